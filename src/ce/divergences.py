"""Divergences of two models' logits: to distil one from the other, or to tell what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, overload

from numpy.typing import ArrayLike

from ce import _check
from ce._arrays import as_array
from ce._core import GRAD, SUMS, VALUE, Prepared, call
from ce._criterion import Array, Loss, R, Reduced, Scalar, criterion
from ce.language import TokenStats, token_stats

_KL = Prepared("kl_div_with_logits", axis=-1)
_REVERSE = Prepared("reverse_kl_div_with_logits", axis=-1)
_JS = Prepared("js_div_with_logits", axis=-1)


@overload
def kl_div_with_logits(
    logits: ArrayLike,
    target_logits: ArrayLike,
    *,
    reverse: bool = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    reduction: Literal["none"],
    logit_scale: float = ...,
    softcap: float | None = ...,
    temperature: float = ...,
    axis: int = ...,
) -> Array: ...
@overload
def kl_div_with_logits(
    logits: ArrayLike,
    target_logits: ArrayLike,
    *,
    reverse: bool = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    reduction: Reduced = ...,
    logit_scale: float = ...,
    softcap: float | None = ...,
    temperature: float = ...,
    axis: int = ...,
) -> Scalar: ...
def kl_div_with_logits(
    logits: ArrayLike,
    target_logits: ArrayLike,
    *,
    reverse: bool = False,
    sample_weight: ArrayLike | None = None,
    normalizer: float | None = None,
    reduction: Reduced | Literal["none"] = "mean",
    logit_scale: float = 1.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    axis: int = -1,
) -> Any:
    r"""Kullback-Leibler divergence of two softmax distributions, from their logits, in nats.

    With :math:`q = \mathrm{softmax}(u)` of the logits and :math:`p = \mathrm{softmax}(u')` of the
    target's logits, for an item of sample weight :math:`v`:

    .. math::
        \ell = v \, D(p \,\|\, q) = v \sum_k p_k \log \frac{p_k}{q_k}, \qquad
        \text{reverse:} \quad \ell = v \, D(q \,\|\, p),

    where u is :math:`\mathrm{softcap} \cdot \tanh(\mathrm{logit\_scale} \cdot z / \mathrm{softcap})
    / \mathrm{temperature}`, and without `softcap` :math:`\mathrm{logit\_scale} \cdot z /
    \mathrm{temperature}`, of both.

    Its terms are :math:`p_k (e^{d_k} - 1 - d_k)`, d the difference of the log-probabilities. None
    is negative, so the divergence of models that are close has all its digits. It is exactly 0 for
    equal rows, and for rows that differ by a constant, where their numbers do so exactly.

    Parameters
    ----------
    logits : array_like, shape (..., V), as (B, T, V)
        Those of the model that is trained, or judged: float16, bfloat16, float32 or float64;
        integers and booleans count as float64.
    target_logits : array_like of any real dtype, shape of `logits`
        Those of the teacher, or of the base model; taken in the dtype that is computed with:
        float64 for float64 logits, else float32.
    reverse : bool, optional
        Whether the two change their places in the divergence.
    sample_weight : array_like, shape of `logits` less the class axis, optional
        One number v per item, or a mask: an item of weight 0 (or False) is not read and not
        counted. Padding: ``sample_weight=labels != -100``.
    normalizer : float, optional
        What the mean divides by instead, above 0. The mean over nothing is then 0.
    reduction : {"mean", "sum", "none"}, optional
        The mean is that over items, divided by the sum of v: what `kl_div` calls "batchmean".
    logit_scale, softcap, temperature : float, optional
        As in `token_stats`, for both. There is no factor temperature squared;
        ``grad_output=temperature**2`` in the methods of `KLDivWithLogitsLoss` gives it.
    axis : int, optional
        The class axis.

    Returns
    -------
    NumPy scalar, or array of the shape of `logits` less the class axis for reduction "none"
        float64 for float64 logits, else float32.

        Never negative. inf where a class can be in the first distribution, but not in the second;
        NaN for an item of which one row holds a NaN or +inf, or only -inf; the mean over nothing is
        NaN.

    Raises
    ------
    TypeError
        If a dtype is not one of those above, or an option is not of its type.
    ValueError
        If shapes do not fit, or an option is out of its range.

    See Also
    --------
    KLDivWithLogitsLoss : the same with its gradient.
    js_div_with_logits : between the two; finite.
    compare_logits : this and more of each token.
    kl_div : of log-probabilities and probabilities.

    References
    ----------
    Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> logits = np.array([[2.0, 1.0, 0.1], [0.5, 2.0, 0.3]])
    >>> teacher = np.array([[2.0, 1.0, 0.1], [0.0, 3.0, 0.0]])
    >>> ce.kl_div_with_logits(logits, teacher, reduction="none").round(5)
    array([0.     , 0.11891])
    >>> print(f"{ce.kl_div_with_logits([60.0, 0.0], [50.0, 0.0]):.7g}")
    1.735884e-21
    """
    return call(
        _REVERSE if _check.flag("reverse", reverse) else _KL, VALUE, logits, target_logits,
        sample_weight, normalizer, reduction=reduction, logit_scale=logit_scale, softcap=softcap,
        temperature=temperature, axis=axis,
    )  # fmt: skip


@overload
def js_div_with_logits(
    logits: ArrayLike,
    target_logits: ArrayLike,
    *,
    beta: float = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    reduction: Literal["none"],
    logit_scale: float = ...,
    softcap: float | None = ...,
    temperature: float = ...,
    axis: int = ...,
) -> Array: ...
@overload
def js_div_with_logits(
    logits: ArrayLike,
    target_logits: ArrayLike,
    *,
    beta: float = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    reduction: Reduced = ...,
    logit_scale: float = ...,
    softcap: float | None = ...,
    temperature: float = ...,
    axis: int = ...,
) -> Scalar: ...
def js_div_with_logits(
    logits: ArrayLike,
    target_logits: ArrayLike,
    *,
    beta: float = 0.5,
    sample_weight: ArrayLike | None = None,
    normalizer: float | None = None,
    reduction: Reduced | Literal["none"] = "mean",
    logit_scale: float = 1.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    axis: int = -1,
) -> Any:
    r"""Jensen-Shannon divergence of two softmax distributions, from their logits, in nats.

    With the letters of `kl_div_with_logits` and the mixture :math:`m = \beta p + (1 - \beta) q`:

    .. math::
        \ell = v \left[ \beta \, D(p \,\|\, m) + (1 - \beta) \, D(q \,\|\, m) \right].

    It is finite, at most :math:`-\beta \log \beta - (1 - \beta) \log(1 - \beta)`, and of beta 1/2
    symmetric. No term is negative; of equal rows it is exactly 0.

    Parameters
    ----------
    beta : float in (0, 1), optional
        The weight of the target's distribution. At 0 and 1 the divergence is 0, whatever the
        logits; what some libraries return there is `kl_div_with_logits`.
    logits, target_logits, sample_weight, normalizer, reduction, logit_scale, softcap, temperature, axis
        As in `kl_div_with_logits`.

    Returns
    -------
    NumPy scalar, or array of the shape of `logits` less the class axis for reduction "none"
        As that of `kl_div_with_logits`, but never inf.

    Raises
    ------
    TypeError, ValueError
        As `kl_div_with_logits`.

    See Also
    --------
    JSDivWithLogitsLoss : the same with its gradient.

    References
    ----------
    Lin, "Divergence measures based on the Shannon entropy", IEEE Trans. Inf. Theory 37 (1991);
    Agarwal et al., "On-policy distillation of language models", ICLR 2024 (beta).

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> logits, teacher = np.array([[0.5, 2.0, 0.3]]), np.array([[0.0, 3.0, -np.inf]])
    >>> ce.js_div_with_logits(logits, teacher).round(5)
    np.float64(0.06966)
    >>> ce.js_div_with_logits(logits, teacher, beta=0.9).round(5)
    np.float64(0.03979)
    """  # noqa: E501
    return call(
        _JS, VALUE, logits, target_logits, sample_weight, normalizer, beta=_check.mixture(beta),
        reduction=reduction, logit_scale=logit_scale, softcap=softcap, temperature=temperature,
        axis=axis,
    )  # fmt: skip


class _OfTwoModels(Loss[R]):
    """A divergence of logits from a target's logits. It has no Hessian."""

    def __call__(
        self,
        logits: ArrayLike,
        target_logits: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        normalizer: float | None = None,
    ) -> Any:
        return call(self._prepared, VALUE, logits, target_logits, sample_weight, normalizer)

    def value_and_grad(
        self,
        logits: ArrayLike,
        target_logits: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        normalizer: float | None = None,
        grad_output: ArrayLike | None = None,
        out: Array | None = None,
    ) -> Any:
        return call(
            self._prepared, VALUE | GRAD, logits, target_logits, sample_weight, normalizer,
            grad_output, out,
        )  # fmt: skip

    def grad(
        self,
        logits: ArrayLike,
        target_logits: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        normalizer: float | None = None,
        grad_output: ArrayLike | None = None,
        out: Array | None = None,
    ) -> Any:
        return call(
            self._prepared, GRAD, logits, target_logits, sample_weight, normalizer, grad_output, out
        )

    def sums(
        self, logits: ArrayLike, target_logits: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Any:
        return call(self._prepared, SUMS, logits, target_logits, sample_weight)


@criterion
class KLDivWithLogitsLoss(_OfTwoModels[R]):
    r"""Kullback-Leibler divergence of two models' logits, with its gradient.

    The gradient is that with respect to the first argument of the methods, the logits z of q. With
    the letters of `kl_div_with_logits`:

    .. math::
        \frac{\partial \ell}{\partial z_k} = v\, (q_k - p_k) \frac{du_k}{dz_k}, \qquad
        \text{reverse:} \quad v\, q_k \left(\log \frac{q_k}{p_k} - D(q \,\|\, p)\right)
        \frac{du_k}{dz_k}.

    The difference of p and q that are close has all its digits. There is no Hessian:
    `grad_and_hess` and `hess_vec` raise NotImplementedError.

    Parameters
    ----------
    reverse, reduction, logit_scale, softcap, temperature, axis
        As in `kl_div_with_logits`.

    References
    ----------
    Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> logits, teacher = np.array([[0.5, 2.0, 0.3]]), np.array([[0.0, 3.0, 0.0]])
    >>> criterion = ce.KLDivWithLogitsLoss(temperature=2.0)
    >>> loss, grad = criterion.value_and_grad(logits, teacher, grad_output=2.0**2)
    >>> loss.round(5), grad.round(4)
    (np.float64(0.05676), array([[ 0.1887, -0.3301,  0.1414]]))
    """

    _loss = "kl_div_with_logits"
    _function = "kl_div_with_logits"

    reverse: bool = False
    reduction: R = "mean"  # type: ignore[assignment]
    logit_scale: float = 1.0
    softcap: float | None = None
    temperature: float = 1.0
    axis: int = -1

    def __post_init__(self) -> None:
        object.__setattr__(self, "reverse", _check.flag("reverse", self.reverse))
        if self.reverse:
            object.__setattr__(self, "_loss", "reverse_kl_div_with_logits")
        super().__post_init__()


@criterion
class JSDivWithLogitsLoss(_OfTwoModels[R]):
    r"""Jensen-Shannon divergence of two models' logits, with its gradient.

    The gradient is that with respect to the first argument of the methods, the logits z of q. With
    the letters of `js_div_with_logits`:

    .. math::
        \frac{\partial \ell}{\partial z_k} = v\, (1 - \beta)\, q_k
        \left(\log \frac{q_k}{m_k} - D(q \,\|\, m)\right) \frac{du_k}{dz_k}.

    There is no Hessian: `grad_and_hess` and `hess_vec` raise NotImplementedError.

    Parameters
    ----------
    beta, reduction, logit_scale, softcap, temperature, axis
        As in `js_div_with_logits`.

    References
    ----------
    Agarwal et al., "On-policy distillation of language models", ICLR 2024.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> logits, teacher = np.array([[0.5, 2.0, 0.3]]), np.array([[0.0, 3.0, 0.0]])
    >>> loss, grad = ce.JSDivWithLogitsLoss(beta=0.1).value_and_grad(logits, teacher)
    >>> loss.round(5), grad.round(4)
    (np.float64(0.01092), array([[ 0.0105, -0.0182,  0.0078]]))
    """

    _loss = "js_div_with_logits"
    _function = "js_div_with_logits"

    beta: float = 0.5
    reduction: R = "mean"  # type: ignore[assignment]
    logit_scale: float = 1.0
    softcap: float | None = None
    temperature: float = 1.0
    axis: int = -1

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta", _check.mixture(self.beta))
        super().__post_init__()


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare_logits` tells of two models' logits, in nats, token by token.

    Attributes
    ----------
    kl : the divergence of the model from its base, D(base || model)
    reverse_kl : D(model || base)
    js : the Jensen-Shannon divergence, beta 1/2
    base, model : the statistics of both, each a `TokenStats`
    same_top : whether the likeliest class is the same
    """

    kl: Any
    reverse_kl: Any
    js: Any
    base: TokenStats
    model: TokenStats
    same_top: Any


def compare_logits(
    logits: ArrayLike,
    base_logits: ArrayLike,
    target: ArrayLike | None = None,
    *,
    top_k: int = 0,
    ignore_index: int = -100,
    logit_scale: float = 1.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    axis: int = -1,
) -> Comparison:
    """Compare a model, such as a quantised one, with its base, token by token.

    Parameters
    ----------
    logits, base_logits : array_like, shape (..., V), as (B, T, V)
        Those of the model and of its base, of the same shape.
    target : array_like of integers, shape of `logits` less the class axis, optional
        The true classes, as in `token_stats`. Tokens of `ignore_index` are not read: their
        divergences are 0.
    top_k : int, optional
        How many of the largest classes of both to list.
    ignore_index, logit_scale, softcap, temperature, axis
        As in `token_stats`.

    Returns
    -------
    Comparison

    Raises
    ------
    TypeError, ValueError, IndexError
        As `token_stats` and `kl_div_with_logits`.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> base = np.random.default_rng(0).normal(size=(100, 1000)).astype(np.float32)
    >>> rounded = (base * 16).round() / 16
    >>> both = ce.compare_logits(rounded, base, np.arange(100))
    >>> print(f"{both.kl.mean():.6f} {both.kl.min() >= 0} {both.same_top.mean():.2f}")
    0.000163 True 0.93
    >>> print(f"{(both.model.log_prob - both.base.log_prob).std():.4f}")
    0.0170
    """
    model_array = _check.floats("logits", as_array("logits", logits))
    base_array = _check.floats("base_logits", as_array("base_logits", base_logits))
    if base_array.shape != model_array.shape:
        _check.bad_shape("base_logits", base_array.shape, model_array.shape)
    options: dict[str, Any] = {
        "logit_scale": logit_scale, "softcap": softcap, "temperature": temperature, "axis": axis,
    }  # fmt: skip
    told = {"top_k": top_k, "ignore_index": ignore_index} | options
    base = token_stats(base_array, target, **told)
    model = token_stats(model_array, target, **told)
    counted = {} if target is None else {"sample_weight": base.argmax >= 0}
    options = {"reduction": "none"} | options | counted
    return Comparison(
        kl_div_with_logits(model_array, base_array, **options),
        kl_div_with_logits(model_array, base_array, reverse=True, **options),
        js_div_with_logits(model_array, base_array, **options),
        base,
        model,
        base.argmax == model.argmax,
    )
