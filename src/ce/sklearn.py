"""Scores of scikit-learn from raw scores: what its own lose by probabilities that are rounded.

scikit-learn's ``log_loss`` takes probabilities, which are 1 or 0 where a model is sure: the loss of
a sure hit is 0 then, and that of a sure miss cut off. From raw scores, as ``decision_function``
returns them, both are exact.

Examples
--------
>>> import ce.sklearn
>>> float(ce.sklearn.log_loss(["no", "yes"], [-40.0, -40.0]).round(3))
20.0
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import column_or_1d  # type: ignore[import-untyped]

from ce._arrays import as_array, refuse_mask
from ce.binary import binary_cross_entropy_with_logits
from ce.classification import cross_entropy

__all__ = ["log_loss", "neg_log_loss_scorer"]

Array = NDArray[Any]


def _places(y: Array, labels: Array) -> Array:
    """Where each of y stands among the labels, which are in order; or an error."""
    n = len(labels)
    if {y.dtype.kind, labels.dtype.kind} == set("iu"):  # NumPy compares these as float64
        y, labels = y.astype(object), labels.astype(object)
    if _are_integers(y, labels) and int(labels[-1]) - int(labels[0]) == n - 1:
        low = min(int(y.min()), int(labels[0]))
        high = max(int(y.max()), int(labels[-1]))
        if low > -(2**62) and high < 2**62:  # labels that follow each other
            places = y.astype(np.int64, copy=False) - int(labels[0])
            _refuse_unknown((places >= 0) & (places < n), y)
            return places
    places = np.minimum(np.searchsorted(labels, y), n - 1)
    _refuse_unknown(labels[places] == y, y)
    return places


def _are_integers(*arrays: Array) -> bool:
    return all(array.dtype.kind in "iu" and array.size for array in arrays)


def _refuse_unknown(is_known: Any, y: Array) -> None:
    if not np.all(is_known):
        unknown = y[np.flatnonzero(np.logical_not(is_known))[0]]
        raise ValueError(f"y_true holds {unknown!r}, which is none of the labels")


def _labels(y: Array, labels: ArrayLike | None) -> Array:
    """The labels in order, as scikit-learn's ``classes_``."""
    if labels is not None:
        given: Array = column_or_1d(labels)
        unique = np.unique(given)
        if len(unique) != len(given) or (unique != given).any():
            raise ValueError("labels must be in rising order, each once, as in classes_")
        return unique
    if _are_integers(y) and abs(int(y.max())) < 2**62 and int(y.max()) - int(y.min()) < y.size:
        least = int(y.min())
        return np.flatnonzero(np.bincount(y.astype(np.int64) - least)) + least
    return np.unique(y)


def log_loss(
    y_true: ArrayLike,
    raw: ArrayLike,
    labels: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> np.floating[Any]:
    r"""Mean cross-entropy of labels and raw scores, in nats.

    For several classes with scores :math:`z` the mean of :math:`\log \sum_j e^{z_j} - z_t`; for two
    with one score :math:`x`, of :math:`\log(1 + e^{-x})` where the label is the second, and of
    :math:`\log(1 + e^x)` where it is the first. It is what ``sklearn.metrics.log_loss`` is of the
    softmax or the sigmoid of the scores, but exact where these are nearly 0 or 1.

    Parameters
    ----------
    y_true : array_like, shape (n,)
        Labels of any kind: integers, strings, truth values.
    raw : array_like, shape (n, K), or (n,) for two classes
        Raw scores, as ``decision_function`` returns them, column k that of the k-th label in
        rising order; float16, bfloat16, float32 or float64.
    labels : array_like, shape (K,), optional
        All labels in rising order (``classes_`` of a classifier), where some may be missing in
        `y_true`.
    sample_weight : array_like, shape (n,), optional
        Weights, at least one of them not 0.

    Returns
    -------
    NumPy scalar
        float64 for float64 scores, else float32.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If shapes do not fit, `y_true` holds none of the `labels`, or their number is not that of
        the columns.

    References
    ----------
    ``sklearn.metrics.log_loss``.

    Examples
    --------
    >>> import ce.sklearn
    >>> raw = [[2.0, 1.0, 0.0], [0.0, 3.0, 0.0]]
    >>> float(ce.sklearn.log_loss(["a", "c"], raw, labels=["a", "b", "c"]).round(5))
    1.75126
    """
    refuse_mask("y_true", y_true)
    y = column_or_1d(y_true)
    scores = as_array("raw", raw)
    if len(y) == 0:
        raise ValueError("y_true is empty")
    if scores.ndim not in (1, 2) or len(scores) != len(y) or scores.shape[1:] == (1,):
        raise ValueError(
            f"raw has shape {scores.shape}; with {len(y)} labels it must have shape ({len(y)}, K), "
            f"or ({len(y)},) for two classes"
        )
    known = _labels(y, labels)
    classes = 2 if scores.ndim == 1 else scores.shape[1]
    if len(known) != classes:
        hint = "" if labels is not None else "; name all of them: labels=classifier.classes_"
        raise ValueError(
            f"there are {len(known)} labels, and raw has scores of {classes} classes{hint}"
        )
    places = _places(y, known)
    if scores.ndim == 1:
        return binary_cross_entropy_with_logits(scores, places, sample_weight=sample_weight)
    return cross_entropy(scores, places, sample_weight=sample_weight)


def neg_log_loss_scorer(
    estimator: Any, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> float:
    """Score a classifier by the negative of `log_loss` of its ``decision_function``.

    It is for ``scoring=`` in scikit-learn, as "neg_log_loss" is, with exact tails.

    Parameters
    ----------
    estimator : classifier with ``decision_function`` and ``classes_``
        Or a pipeline that ends with one.
    X : array_like
        What it takes.
    y : array_like, shape (n,)
        Labels; some of ``classes_`` may be missing, as in a small fold.
    sample_weight : array_like, shape (n,), optional
        Weights.

    Returns
    -------
    float
        More is better; at most 0.

    Raises
    ------
    TypeError
        If the estimator has no ``decision_function``.
    ValueError
        As `log_loss`; an SVC must be made with ``decision_function_shape="ovr"``, its default.

    References
    ----------
    ``sklearn.metrics.get_scorer("neg_log_loss")``.

    Examples
    --------
    >>> import ce.sklearn
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import cross_val_score
    >>> X, y = load_iris(return_X_y=True)
    >>> scoring = ce.sklearn.neg_log_loss_scorer
    >>> scores = cross_val_score(LogisticRegression(max_iter=1000), X, y, scoring=scoring)
    >>> bool((scores < -0.05).all() and (scores > -0.3).all())
    True
    """
    decide = getattr(estimator, "decision_function", None)
    if decide is None:
        raise TypeError(
            f"{type(estimator).__name__} has no decision_function, and so no raw scores; "
            "its probabilities are scored by 'neg_log_loss'"
        )
    last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    if getattr(last, "decision_function_shape", "ovr") == "ovo" and len(estimator.classes_) > 2:
        raise ValueError(
            f"{type(last).__name__} has scores of pairs of classes; make it with "
            "decision_function_shape='ovr'"
        )
    return -float(log_loss(y, decide(X), labels=estimator.classes_, sample_weight=sample_weight))
