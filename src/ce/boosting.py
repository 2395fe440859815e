r"""Objectives of gradient boosting: a criterion as XGBoost, LightGBM or CatBoost ask for it.

``xgboost(criterion)`` and ``lightgbm(criterion)`` return one callable, which serves the native and
the scikit-learn interface of the library, ``catboost(criterion)`` an object with the methods that
CatBoost calls. With them comes what belongs to them: ``metric`` and ``eval_metric``, the loss
itself from raw scores, and ``predict_proba``, from raw scores to probabilities. None of the
libraries is imported here.

Examples
--------
>>> import ce.boosting
>>> objective = ce.boosting.xgboost(ce.FocalLoss(gamma=2.0))
>>> objective.hessian, objective.scale, objective.floor
('gauss_newton', 2.0, 1e-16)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ce import _check
from ce._arrays import Bits, as_array
from ce._criterion import Hessian, ItemLoss, Loss
from ce.binary import BCEWithLogitsLoss, SigmoidFocalLoss
from ce.classification import CrossEntropyLoss, FocalLoss
from ce.normalisers import softmax
from ce.regression import HuberLoss, L1Loss, MSELoss, SmoothL1Loss

__all__ = [
    "CatBoostObjective",
    "LightGBMObjective",
    "Metric",
    "XGBoostObjective",
    "catboost",
    "lightgbm",
    "xgboost",
]

Array = NDArray[Any]
Policy = Hessian | Literal["auto"]

_FOCAL = FocalLoss, SigmoidFocalLoss
_BINARY = BCEWithLogitsLoss, SigmoidFocalLoss
_REGRESSION = MSELoss, L1Loss, HuberLoss, SmoothL1Loss
_SERVED = CrossEntropyLoss, FocalLoss, *_BINARY, *_REGRESSION


# -- what is served -------------------------------------------------------------------------------


def _summing(criterion: Any) -> Any:
    """The criterion with its losses added up, or an error."""
    if not isinstance(criterion, _SERVED):
        names = ", ".join(kind.__name__ for kind in _SERVED)
        raise TypeError(f"criterion is {_check.shown(criterion)}; it must be one of {names}")
    if criterion.reduction == "none":
        raise ValueError("criterion has reduction 'none'; an objective adds up: 'sum' or 'mean'")
    if isinstance(criterion, ItemLoss):
        if criterion.axis not in (None, 1, -1):
            raise ValueError(
                f"criterion has axis={criterion.axis}; the classes of a booster are the last axis"
            )
        if criterion.ignore_index >= 0:
            raise ValueError(
                f"criterion has ignore_index={criterion.ignore_index}, which is a class; a weight "
                "of 0 leaves a row out"
            )
        return replace(criterion, axis=None, reduction="sum")
    return replace(criterion, reduction="sum")


def _policy(hessian: Any, criterion: Loss[Any]) -> Hessian:
    """The Hessian that is meant, or an error."""
    bounded = not isinstance(criterion, _FOCAL)
    if isinstance(hessian, str) and hessian == "auto":
        if isinstance(criterion, _REGRESSION):
            return "bound"
        return "exact" if bounded else "gauss_newton"
    count = len(_check.HESSIANS) - (not bounded)
    return cast(Hessian, _check.HESSIANS[_check.hessian(hessian, count, also="auto, ")])


def _number(name: str, value: Any, least: float, most: float, rule: str) -> float:
    x = _check.number(name, value, least, least, most, rule)
    assert x is not None  # None is refused where a number within the bounds stands for it
    return x


# -- what a library hands over --------------------------------------------------------------------


def _class_indices(labels: Array, scores: Array) -> Array:
    """Labels of one number a row as integers; those that are not whole are left to the engine."""
    if scores.ndim != 2:
        raise ValueError(
            f"the raw scores have shape {scores.shape}; a loss of classes needs one for each class "
            "(num_class), or else a binary loss"
        )
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(
            f"the labels have shape {labels.shape}; one class a row is needed: those of one-hot "
            "rows are labels.argmax(1)"
        )
    if labels.dtype.kind != "f":
        return labels
    with np.errstate(invalid="ignore"):
        whole: Array = labels.astype(np.int32)
    return whole if (whole == labels).all() else labels


def _numbers(labels: Array, scores: Array, binary: bool) -> Array:
    """Labels of the shape of the scores, in [0, 1] for binary losses."""
    is_flat = labels.ndim == 1 or labels.shape[1:] == (1,)
    if labels.shape != scores.shape and labels.size == scores.size and is_flat:
        labels = labels.reshape(scores.shape)
    if labels.shape != scores.shape:
        hint = "; classes that exclude each other need CrossEntropyLoss or FocalLoss"
        hint = hint if binary and scores.ndim == 2 and labels.ndim == 1 else ""
        raise ValueError(
            f"the raw scores have shape {scores.shape}, the labels {labels.shape}{hint}"
        )
    if binary and labels.dtype.kind != "b" and not ((labels >= 0) & (labels <= 1)).all():
        wrong = np.argwhere(~((labels >= 0) & (labels <= 1)))[0].tolist()
        value, place = labels[tuple(wrong)], ", ".join(map(str, wrong))
        raise ValueError(f"target[{place}] is {value}, not in [0, 1]; a binary loss needs 0 and 1")
    return labels


def _arguments(criterion: Loss[Any], labels: Any, scores: Any, weight: Any) -> tuple[Any, Any, Any]:
    """Raw scores, target and sample weights as the criterion takes them."""
    scores, labels = _widened(as_array("scores", scores)), as_array("labels", labels)
    if weight is not None:
        weight = as_array("sample_weight", weight)
    if isinstance(criterion, ItemLoss):
        return scores, _class_indices(labels, scores), weight
    if weight is not None and scores.ndim > 1 and weight.ndim == 1:
        weight = weight[:, None]
    return scores, _numbers(labels, scores, isinstance(criterion, _BINARY)), weight


def _widened(x: Array) -> Array:
    """Numbers of a 16-bit type that NumPy does not have as float32."""
    return _check.widened(x).astype(np.float32) if isinstance(x, Bits) else x


@dataclass(frozen=True)
class _Objective:
    """A criterion, which Hessian, and what multiplies and bounds it: compared and kept by value."""

    criterion: Loss[Any]
    hessian: Hessian
    scale: float | None
    floor: float

    def __deepcopy__(self, memo: Any) -> Self:
        """Itself, which nothing changes: scikit-learn's `clone` wants the same object back."""
        return self

    def predict_proba(self, raw: ArrayLike) -> Array:
        """Probabilities of raw scores.

        Parameters
        ----------
        raw : array_like, shape (n,) or (n, K)
            What ``predict`` returns with ``output_margin=True`` (XGBoost) or ``raw_score=True``
            (LightGBM), and never what is a probability already; float16, bfloat16, float32 or
            float64.

        Returns
        -------
        ndarray
            For losses of classes the softmax, (n, K). For binary losses the probabilities of "no"
            and "yes", (n, 2), or, for several labels (n, K), those of "yes". Of the dtype of
            `raw`, float32 for bfloat16.

        Raises
        ------
        ValueError
            If the loss is one of regression, or the shape does not fit.

        Examples
        --------
        >>> import ce.boosting
        >>> ce.boosting.lightgbm(ce.BCEWithLogitsLoss()).predict_proba([0.0, 2.0]).round(3)
        array([[0.5  , 0.5  ],
               [0.119, 0.881]])
        """
        raw = _widened(as_array("raw", raw))
        if isinstance(self.criterion, _REGRESSION):
            raise ValueError(f"{type(self.criterion).__name__} has no probabilities")
        if raw.ndim not in (1, 2) or (raw.ndim == 1 and isinstance(self.criterion, ItemLoss)):
            rule = "(n, K)" if isinstance(self.criterion, ItemLoss) else "(n,) or (n, K)"
            raise ValueError(f"raw has shape {raw.shape}; it must have shape {rule}")
        if isinstance(self.criterion, ItemLoss):
            return softmax(raw)
        both = softmax(np.stack((np.zeros_like(raw), raw), axis=-1))
        return both if raw.ndim == 1 else both[..., 1]

    def _derivatives(
        self, labels: Any, scores: Any, weight: Any, order: Literal["C", "F"] | None = None
    ) -> tuple[Array, Array]:
        """Gradient and Hessian, as new float32 arrays in that order, if one is given."""
        scores, target, weight = _arguments(self.criterion, labels, scores, weight)
        out = None
        if order and scores.dtype in (np.float32, np.float64):
            out = (np.empty(scores.shape, np.float32, order),
                   np.empty(scores.shape, np.float32, order))  # fmt: skip
        return self.criterion.grad_and_hess(
            scores, target, sample_weight=weight, hessian=self.hessian,
            hess_scale=self._factor(scores), hess_floor=self.floor, out=out,
        )  # fmt: skip

    def _factor(self, scores: Array) -> float:
        """What multiplies the Hessian: K / (K - 1) where no scale is given."""
        if self.scale is not None:
            return self.scale
        classes: int = scores.shape[1]
        return classes / max(classes - 1, 1)


class _Callable(_Objective):
    """What XGBoost and LightGBM have in common: they call an objective, and a metric."""

    library: ClassVar[str]  # the name of its package
    order: ClassVar[Literal["C", "F"]]  # in which it takes results without a copy

    @property
    def metric(self) -> Metric:
        """The loss as the library's evaluation metric; see `Metric`."""
        return Metric(self)

    @property
    def eval_metric(self) -> Metric:
        """The same: one object serves both interfaces."""
        return Metric(self)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[Array, Array]:
        """Gradient and Hessian of the summed loss.

        Of (labels, scores, weights), or natively of (scores, the library's data set).
        """
        return self._derivatives(*self._given(y_true, y_pred, sample_weight), order=self.order)

    def _given(self, first: Any, second: Any, weight: Any) -> tuple[Any, Any, Any]:
        """Labels, raw scores, weights: of these, or natively of (scores, data set)."""
        if isinstance(second, Loss | np.ndarray) or not hasattr(second, "get_label"):
            return first, second, weight
        package = type(second).__module__.partition(".")[0]
        if package in ("xgboost", "lightgbm") and package != self.library:
            raise TypeError(f"this is for {self.library}; {package} needs ce.boosting.{package}")
        weights = second.get_weight()
        return second.get_label(), first, None if weights is None or len(weights) == 0 else weights

    def _refuse_built_in(self, data: Any) -> None:
        """Raise an error if that data set is one of a built-in objective."""

    def _evaluation(self, name: str, value: float, native: bool) -> Any:
        """A metric's value as the library asks for it."""
        raise NotImplementedError


@dataclass(frozen=True)
class Metric:
    """The mean loss of an objective's criterion, as XGBoost or LightGBM ask for a metric.

    It takes raw scores: use it with its objective. With a built-in objective the libraries hand
    probabilities to metrics instead, and neither XGBoost nor the scikit-learn interfaces say which
    it is. Only LightGBM's data sets know their objective: natively, a built-in one that makes
    probabilities is a ValueError.

    ``metric(scores, data)`` is the native call: XGBoost gets (name, value), LightGBM (name, value,
    False), the last as less is better. ``metric(labels, scores, sample_weight)`` is that of the
    scikit-learn interfaces: XGBoost gets the value.

    Examples
    --------
    >>> import ce.boosting
    >>> metric = ce.boosting.xgboost(ce.CrossEntropyLoss()).eval_metric
    >>> metric.__name__, round(metric([0, 1], [[1.0, 0.0], [0.0, 1.0]]), 4)
    ('cross_entropy', 0.3133)
    """

    objective: _Callable

    @property
    def __name__(self) -> str:
        return self.objective.criterion._function

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        native = hasattr(y_pred, "get_label")
        if native:
            self.objective._refuse_built_in(y_pred)
        given = self.objective._given(y_true, y_pred, sample_weight)
        scores, target, weight = _arguments(self.objective.criterion, *given)
        total, divisor = self.objective.criterion.sums(scores, target, sample_weight=weight)
        mean = float(total) / float(divisor) if divisor else float("nan")
        return self.objective._evaluation(self.__name__, mean, native)


class XGBoostObjective(_Callable):
    """A criterion as XGBoost's objective; `xgboost` makes it."""

    library, order = "xgboost", "C"

    def _evaluation(self, name: str, value: float, native: bool) -> Any:
        return (name, value) if native else value


class LightGBMObjective(_Callable):
    """A criterion as LightGBM's objective; `lightgbm` makes it."""

    library, order = "lightgbm", "F"

    def predict_proba(self, raw: ArrayLike) -> Array:
        if isinstance(self.criterion, _BINARY) and as_array("raw", raw).ndim != 1:
            raise ValueError("raw must have shape (n,): one raw score a row, no probabilities")
        return super().predict_proba(raw)

    predict_proba.__doc__ = _Objective.predict_proba.__doc__

    def _refuse_built_in(self, data: Any) -> None:
        objective = (getattr(data, "params", None) or {}).get("objective")
        if isinstance(self.criterion, _REGRESSION) or not isinstance(objective, str):
            return
        if objective not in ("none", "null", "custom", "na"):
            raise ValueError(
                f"the objective is LightGBM's {objective!r}, which hands probabilities to metrics; "
                "this metric takes raw scores: those of its own objective"
            )

    def _evaluation(self, name: str, value: float, native: bool) -> Any:
        return name, value, False


class CatBoostObjective(_Objective):
    """A criterion as CatBoost's loss function, and as its metric; `catboost` makes it."""

    @property
    def metric(self) -> CatBoostObjective:
        """The same object."""
        return self

    @property
    def eval_metric(self) -> CatBoostObjective:
        """The same object."""
        return self

    def calc_ders_range(
        self, approxes: Any, targets: Any, weights: Any = None
    ) -> list[tuple[float, float]]:
        """Return the derivatives of the negative loss, pair by pair, as CatBoost maximises."""
        grad, hess = self._derivatives(targets, approxes, weights)
        return list(zip((-grad).tolist(), (-hess).tolist(), strict=True))

    def is_max_optimal(self) -> bool:
        """Return False: less is better."""
        return False

    def evaluate(self, approxes: Any, target: Any, weight: Any = None) -> tuple[float, float]:
        """Return the sum of the losses and what their mean divides by."""
        scores, labels, weight = _arguments(self.criterion, target, approxes[0], weight)
        total, divisor = self.criterion.sums(scores, labels, sample_weight=weight)
        return float(total), float(divisor)

    def get_final_error(self, error: float, weight: float) -> float:
        """Return the mean loss."""
        return error / weight if weight else 0.0


# -- the public functions -------------------------------------------------------------------------


def _softmax_scale(criterion: Loss[Any], hessian: Hessian) -> bool:
    """Is the Hessian the diagonal of a softmax, which steps of single classes overshoot?"""
    return isinstance(criterion, ItemLoss) and hessian in ("exact", "gauss_newton")


def xgboost(
    criterion: Loss[Any],
    *,
    hessian: Policy = "auto",
    scale: float | None = None,
    floor: float = 1e-16,
) -> XGBoostObjective:
    r"""Return a criterion as an objective of XGBoost.

    The objective sums: reduction "mean" and "sum" mean the same here.

    Parameters
    ----------
    criterion : Loss
        `CrossEntropyLoss` or `FocalLoss` for num_class > 1; `BCEWithLogitsLoss` or
        `SigmoidFocalLoss` for one output or several labels; `MSELoss`, `L1Loss`, `HuberLoss` or
        `SmoothL1Loss`.
    hessian : {"auto", "exact", "gauss_newton", "abs", "bound"}, optional
        As in ``criterion.grad_and_hess``. "auto" is "exact" for cross-entropy and binary
        cross-entropy, "gauss_newton" for the focal losses, "bound" for regression.
    scale : float, optional
        What the Hessian is multiplied by. By default 2, as in XGBoost's own, where the Hessian is
        the exact or Gauss-Newton one of a softmax, else 1.
    floor : float, optional
        The least Hessian, at least 0; XGBoost's own is 1e-16.

    Returns
    -------
    XGBoostObjective
        To be passed as ``obj`` to ``xgboost.train``, with ``objective.metric`` as
        ``custom_metric``; or as ``objective`` to ``XGBClassifier`` or ``XGBRegressor``, with
        ``objective.eval_metric`` as ``eval_metric``. It returns two arrays of the shape of the
        scores, float32 of float32 and float64 scores.

    Raises
    ------
    TypeError, ValueError
        If the criterion is not one of those above, has reduction "none", a class axis that is not
        the last, or an `ignore_index` among the classes; or an option is out of its range.

    Notes
    -----
    A custom objective switches XGBoost's automatic ``base_score`` off. Natively, name the built-in
    objective of the same link, ``"objective": "multi:softprob"`` or ``"binary:logistic"``, beside
    ``obj``: then predictions are probabilities and saved models reload right.

    References
    ----------
    Chen and Guestrin, "XGBoost: A scalable tree boosting system", KDD 2016, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> import ce.boosting
    >>> objective = ce.boosting.xgboost(ce.CrossEntropyLoss())
    >>> grad, hess = objective(np.array([0, 1]), np.zeros((2, 2), np.float32))
    >>> grad, hess
    (array([[-0.5,  0.5],
           [ 0.5, -0.5]], dtype=float32), array([[0.5, 0.5],
           [0.5, 0.5]], dtype=float32))
    """
    criterion = _summing(criterion)
    chosen = _policy(hessian, criterion)
    if scale is None:
        scale = 2.0 if _softmax_scale(criterion, chosen) else 1.0
    return XGBoostObjective(criterion, chosen, _scale(scale), _floor(floor))


def lightgbm(
    criterion: Loss[Any],
    *,
    hessian: Policy = "auto",
    scale: float | None = None,
    floor: float = 0.0,
) -> LightGBMObjective:
    r"""Return a criterion as an objective of LightGBM.

    The objective sums: reduction "mean" and "sum" mean the same here.

    Parameters
    ----------
    criterion : Loss
        `CrossEntropyLoss` or `FocalLoss` for num_class > 1; `BCEWithLogitsLoss` or
        `SigmoidFocalLoss` for one output; `MSELoss`, `L1Loss`, `HuberLoss` or `SmoothL1Loss`.
    hessian : {"auto", "exact", "gauss_newton", "abs", "bound"}, optional
        As in ``criterion.grad_and_hess``. "auto" is "exact" for cross-entropy and binary
        cross-entropy, "gauss_newton" for the focal losses, "bound" for regression.
    scale : float, optional
        What the Hessian is multiplied by. By default K / (K - 1), as in LightGBM's own, where the
        Hessian is the exact or Gauss-Newton one of a softmax over K classes, else 1.
    floor : float, optional
        The least Hessian, at least 0.

    Returns
    -------
    LightGBMObjective
        To be passed as ``params["objective"]`` to ``lightgbm.train``, with ``objective.metric`` as
        ``feval``; or as ``objective`` to ``LGBMClassifier`` or ``LGBMRegressor``, with
        ``objective.eval_metric`` as ``eval_metric``. It returns two arrays of the shape of the
        scores, float32 of float64 scores: computed in float64, rounded once.

    Raises
    ------
    TypeError, ValueError
        If the criterion is not one of those above, has reduction "none", a class axis that is not
        the last, or an `ignore_index` among the classes; or an option is out of its range.

    Notes
    -----
    With a custom objective LightGBM starts at 0, not at the mean (``boost_from_average``), and
    ``predict`` returns raw scores: ``objective.predict_proba`` makes probabilities of them. Set
    ``"metric": "None"``: the built-in metrics take raw scores for probabilities.

    References
    ----------
    Ke et al., "LightGBM: A highly efficient gradient boosting decision tree", NeurIPS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> import ce.boosting
    >>> objective = ce.boosting.lightgbm(ce.HuberLoss())
    >>> objective(np.array([0.0, 0.0]), np.array([0.5, 3.0]))
    (array([0.5, 1. ], dtype=float32), array([1., 1.], dtype=float32))
    """
    criterion = _summing(criterion)
    chosen = _policy(hessian, criterion)
    if scale is None and not _softmax_scale(criterion, chosen):
        scale = 1.0
    scale = None if scale is None else _scale(scale)
    return LightGBMObjective(criterion, chosen, scale, _floor(floor))


def catboost(criterion: Loss[Any], *, hessian: Policy = "auto") -> CatBoostObjective:
    r"""Return a criterion as a loss function, and metric, of CatBoost.

    The objective sums: reduction "mean" and "sum" mean the same here.

    Parameters
    ----------
    criterion : Loss
        `BCEWithLogitsLoss`, `SigmoidFocalLoss`, `MSELoss`, `L1Loss`, `HuberLoss` or `SmoothL1Loss`.
    hessian : {"auto", "exact", "gauss_newton", "abs", "bound"}, optional
        As in ``criterion.grad_and_hess``. "auto" is "exact" for binary cross-entropy,
        "gauss_newton" for the focal loss, "bound" for regression.

    Returns
    -------
    CatBoostObjective
        To be passed as ``loss_function`` and, for early stopping, as ``eval_metric``.

    Raises
    ------
    TypeError, ValueError
        If the criterion is not one of those above, or has reduction "none". Losses of classes are
        refused: CatBoost asks for a Hessian of K x K numbers row by row, in Python; its built-in
        ``loss_function="MultiClass"`` is ten times faster.

    References
    ----------
    Prokhorenkova et al., "CatBoost: Unbiased boosting with categorical features", NeurIPS 2018.

    Examples
    --------
    >>> import ce.boosting
    >>> objective = ce.boosting.catboost(ce.BCEWithLogitsLoss())
    >>> objective.calc_ders_range([0.0, 0.0], [1.0, 0.0], None)
    [(0.5, -0.25), (-0.5, -0.25)]
    """
    criterion = _summing(criterion)
    if isinstance(criterion, ItemLoss):
        raise ValueError(
            f"criterion is {type(criterion).__name__}, a loss of several classes; CatBoost has one "
            "of its own, loss_function='MultiClass', and hands others one row at a time"
        )
    return CatBoostObjective(criterion, _policy(hessian, criterion), 1.0, 0.0)


def _scale(value: Any) -> float:
    return _number("scale", value, 1e-30, 1e30, "in [1e-30, 1e30]")


def _floor(value: Any) -> float:
    return _number("floor", value, 0.0, float(np.finfo(np.float64).max), "at least 0 and finite")
