"""Divergence and entropy of distributions."""

from __future__ import annotations

from typing import Any, Literal, overload

from numpy.typing import ArrayLike

from ce import _axes, _check, _core
from ce._axes import Axes
from ce._core import GRAD, SUMS, VALUE, Prepared, call
from ce._criterion import Array, B, Loss, R, Reduced, Scalar, _set, criterion

_ENTROPY = _core.find_loss("entropy")
_RELATIVE_ENTROPY = _core.find_loss("relative_entropy")
_CROSS_ENTROPY_BETWEEN = _core.find_loss("cross_entropy_between")
_KL_DIV = Prepared("kl_div")
_KL_DIV_LOG = Prepared("kl_div_log")
_ENTROPY_FROM_LOGITS = Prepared("entropy_from_logits", axis=-1)


@overload
def kl_div(
    input: ArrayLike,
    target: ArrayLike,
    *,
    log_target: bool = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    reduction: Literal["none"],
) -> Array: ...
@overload
def kl_div(
    input: ArrayLike,
    target: ArrayLike,
    *,
    log_target: bool = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    reduction: Reduced | Literal["batchmean"] = ...,
) -> Scalar: ...
def kl_div(
    input: ArrayLike,
    target: ArrayLike,
    *,
    log_target: bool = False,
    sample_weight: ArrayLike | None = None,
    normalizer: float | None = None,
    reduction: Reduced | Literal["none", "batchmean"] = "mean",
) -> Any:
    r"""Terms of the Kullback-Leibler divergence of log-probabilities from a target, in nats.

    For an element with log-probability :math:`x = \log q` and target :math:`p`, or
    :math:`t = \log p` if `log_target`:

    .. math::
        \ell = p\, (\log p - x), \quad \text{or} \quad \ell = e^t (t - x),

    where a term with :math:`p = 0` is 0. Their sum over a distribution is D(p || q): so reduction
    "batchmean" gives the mean divergence of the rows of a batch, and "mean" does not.

    Parameters
    ----------
    input : array_like, any shape
        Log-probabilities of the model in float16, bfloat16, float32 or float64; integers count
        as float64.
    target : array_like of any real dtype, shape of `input`, or a scalar
        Probabilities, or their logarithms if `log_target`. Floating ones that are wider than the
        input are not rounded.
    log_target : bool, optional
        Whether `target` holds logarithms; -inf among them is probability 0.
    sample_weight : array_like that broadcasts to `input`, optional
        One number v per element, which multiplies its loss, or a mask: an element of weight 0 (or
        False) is not read, not checked and not counted.
    normalizer : float, optional
        What the mean divides by instead, above 0. The mean over nothing is then 0.
    reduction : {"mean", "batchmean", "sum", "none"}, optional
        "mean" divides the sum by the number of elements, or by the sum of v where there is
        `sample_weight`; "batchmean" by the length of axis 0, and by 1 where there is no axis.

    Returns
    -------
    NumPy scalar, or array of the shape of `input` for reduction "none"
        float64 for float64 input, else float32.

        inf where p > 0 and x is -inf; NaN where p is negative or NaN, or x is NaN and p is not 0;
        the mean over nothing is NaN.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If shapes do not fit or an option is out of its range.

    See Also
    --------
    KLDivLoss : the same with its gradient and Hessian.
    relative_entropy : the divergence of probabilities, along an axis.

    References
    ----------
    Kullback and Leibler, "On information and sufficiency", Ann. Math. Statist. 22 (1951);
    ``torch.nn.functional.kl_div``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> log_q = np.log([[0.5, 0.25, 0.25]])
    >>> p = np.array([[0.25, 0.75, 0.0]])
    >>> ce.kl_div(log_q, p, reduction="none").round(5)
    array([[-0.17329,  0.82396,  0.     ]])
    >>> ce.kl_div(log_q, p, reduction="batchmean").round(5)
    np.float64(0.65067)
    """
    return call(
        _KL_DIV_LOG if _check.flag("log_target", log_target) else _KL_DIV, VALUE, input, target,
        sample_weight, normalizer, reduction=reduction,
    )  # fmt: skip


@criterion
class KLDivLoss(Loss[B]):
    r"""Kullback-Leibler divergence of log-probabilities from a target, with its gradient.

    The derivatives are those with respect to the log-probabilities :math:`x`, the first argument
    of the methods. With the letters of `kl_div`, p being e^t if `log_target`:

    .. math::
        \frac{\partial \ell}{\partial x} = -p, \qquad
        \frac{\partial^2 \ell}{\partial x^2} = 0

    Parameters
    ----------
    log_target, reduction
        As in `kl_div`; "batchmean" is the mean divergence of the rows of a batch.

    References
    ----------
    Kullback and Leibler, "On information and sufficiency", Ann. Math. Statist. 22 (1951);
    ``torch.nn.KLDivLoss``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> criterion = ce.KLDivLoss(reduction="batchmean")
    >>> log_q, p = np.log([[0.5, 0.25, 0.25]]), np.array([[0.25, 0.5, 0.25]])
    >>> loss, grad = criterion.value_and_grad(log_q, p)
    >>> loss.round(5)
    np.float64(0.17329)
    >>> grad
    array([[-0.25, -0.5 , -0.25]])
    """

    _loss = "kl_div"
    _function = "kl_div"

    log_target: bool = False
    reduction: B = "mean"  # type: ignore[assignment]

    def __post_init__(self) -> None:
        _set(self, log_target=_check.flag("log_target", self.log_target))
        _set(self, _loss="kl_div_log" if self.log_target else "kl_div")
        super().__post_init__()


def entropy(p: ArrayLike, axis: Axes = -1) -> Any:
    r"""Entropy along axes: :math:`H(p) = -\sum_k p_k \log p_k`, in nats, with 0 log 0 = 0.

    Parameters
    ----------
    p : array_like, any shape
        Probabilities in float16, bfloat16, float32 or float64, or integers, which count as
        float64; taken as they are, whatever their sum.
    axis : int, tuple of ints, or None, optional
        The axis or axes that are summed over; None stands for all.
        Several that do not follow one another in memory are copied into one first.

    Returns
    -------
    ndarray, or NumPy scalar where no axis is left
        float64 for float64 `p`, else float32. NaN where p is negative or NaN along the axes.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If `axis` does not fit, or names an axis twice.

    References
    ----------
    Shannon, "A mathematical theory of communication", Bell Syst. Tech. J. 27 (1948), section 6.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> ce.entropy(np.array([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0]])).round(4)
    array([0.8018, 0.    ])
    >>> ce.entropy(np.full((3, 2, 2), 0.25), axis=(1, 2)).round(4)
    array([1.3863, 1.3863, 1.3863])
    """
    if type(axis) is int:
        return _core.axis_sum(_ENTROPY, p, None, axis)
    return _axes.axis_sum(_ENTROPY, axis, p=p)


def relative_entropy(p: ArrayLike, q: ArrayLike, axis: Axes = -1) -> Any:
    r"""Kullback-Leibler divergence along axes: :math:`D(p \| q) = \sum_k p_k \log(p_k / q_k)`.

    In nats; a term with p = 0 is 0.

    Parameters
    ----------
    p : array_like, any shape
        Probabilities in float16, bfloat16, float32 or float64, or integers, which count as
        float64; taken as they are, whatever their sum.
    q : array_like, shape of `p`
        The probabilities that those of `p` are compared with, likewise. Where p or q has float64,
        both are computed with in float64.
    axis : int, tuple of ints, or None, optional
        The axis or axes that are summed over; None stands for all.
        Several that do not follow one another in memory are copied into one first.

    Returns
    -------
    ndarray, or NumPy scalar where no axis is left
        float64 for float64 `p`, else float32. inf where p > 0 and q = 0; NaN where p or q is
        negative or NaN along the axes.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If the shapes differ, or `axis` does not fit or names an axis twice.

    See Also
    --------
    kl_div : the same from log-probabilities, as a loss.

    References
    ----------
    Kullback and Leibler, "On information and sufficiency", Ann. Math. Statist. 22 (1951).

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> ce.relative_entropy(np.array([0.25, 0.75, 0.0]), np.array([0.5, 0.25, 0.25])).round(5)
    np.float64(0.65067)
    """
    if type(axis) is int:
        return _core.axis_sum(_RELATIVE_ENTROPY, p, q, axis)
    return _axes.axis_sum(_RELATIVE_ENTROPY, axis, p=p, q=q)


def cross_entropy_between(p: ArrayLike, q: ArrayLike, axis: Axes = -1) -> Any:
    r"""Cross-entropy of two distributions along axes: :math:`H(p, q) = -\sum_k p_k \log q_k`.

    In nats; a term with p = 0 is 0. It is the sum of `entropy` of p and `relative_entropy`.

    Parameters
    ----------
    p : array_like, any shape
        True probabilities in float16, bfloat16, float32 or float64, or integers, which count as
        float64; taken as they are, whatever their sum.
    q : array_like, shape of `p`
        The probabilities of the model, likewise. Where p or q has float64, both are computed with
        in float64.
    axis : int, tuple of ints, or None, optional
        The axis or axes that are summed over; None stands for all.
        Several that do not follow one another in memory are copied into one first.

    Returns
    -------
    ndarray, or NumPy scalar where no axis is left
        float64 for float64 `p`, else float32. inf where p > 0 and q = 0; NaN where p or q is
        negative or NaN along the axes.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If the shapes differ, or `axis` does not fit or names an axis twice.

    See Also
    --------
    cross_entropy : the same from logits, as a loss.

    References
    ----------
    Cover and Thomas, "Elements of information theory", 2nd ed. (2006), section 5.4: the length of
    a code for p that was made for q.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> p, q = np.array([0.25, 0.75, 0.0]), np.array([0.5, 0.25, 0.25])
    >>> ce.cross_entropy_between(p, q).round(5)
    np.float64(1.21301)
    """
    if type(axis) is int:
        return _core.axis_sum(_CROSS_ENTROPY_BETWEEN, p, q, axis)
    return _axes.axis_sum(_CROSS_ENTROPY_BETWEEN, axis, p=p, q=q)


@overload
def entropy_from_logits(
    logits: ArrayLike,
    *,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    reduction: Literal["none"],
    logit_scale: float = ...,
    softcap: float | None = ...,
    temperature: float = ...,
    axis: int = ...,
) -> Array: ...
@overload
def entropy_from_logits(
    logits: ArrayLike,
    *,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    reduction: Reduced = ...,
    logit_scale: float = ...,
    softcap: float | None = ...,
    temperature: float = ...,
    axis: int = ...,
) -> Scalar: ...
def entropy_from_logits(
    logits: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: float | None = None,
    reduction: Reduced | Literal["none"] = "mean",
    logit_scale: float = 1.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    axis: int = -1,
) -> Any:
    r"""Entropy of the softmax of logits, in nats, as a bonus for policies or a measure of doubt.

    With :math:`p = \mathrm{softmax}(u)`, u the logits as `token_stats` has them, for an item of
    sample weight :math:`v`:

    .. math::
        \ell = -v \sum_k p_k \log p_k.

    Computed as :math:`\log \sum_k e^{u_k - m} + \sum_k p_k (m - u_k)`, m the maximum: no term is
    negative, so the entropy of confident items has all its digits, and logits of -inf add 0.

    Parameters
    ----------
    logits : array_like, shape (..., V), as (B, T, V)
        float16, bfloat16, float32 or float64; integers and booleans count as float64. -inf is a
        class that cannot be.
    sample_weight : array_like, shape of `logits` less the class axis, optional
        One number v per item, or a mask: an item of weight 0 (or False) is not read and not
        counted.
    normalizer : float, optional
        What the mean divides by instead, above 0. The mean over nothing is then 0.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the sum of v.
    logit_scale, softcap, temperature : float, optional
        As in `token_stats`.
    axis : int, optional
        The class axis.

    Returns
    -------
    NumPy scalar, or array of the shape of `logits` less the class axis for reduction "none"
        float64 for float64 logits, else float32. NaN for an item that holds a NaN or +inf, or only
        -inf; the mean over nothing is NaN.

    Raises
    ------
    TypeError
        If a dtype is not one of those above, or an option is not of its type.
    ValueError
        If shapes do not fit, or an option is out of its range.

    See Also
    --------
    EntropyFromLogitsLoss : the same with its gradient.
    token_stats : this beside other statistics of each item.
    entropy : of probabilities.

    References
    ----------
    ``torch.distributions.Categorical(logits=...).entropy()``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> logits = np.array([[2.0, 1.0, 0.1], [-np.inf, 0.0, 0.0]])
    >>> ce.entropy_from_logits(logits, reduction="none").round(5)
    array([0.84674, 0.69315])
    >>> print(f"{ce.entropy_from_logits(np.float32([40.0, 0.0])):.6g}")
    1.74183e-16
    """
    return call(
        _ENTROPY_FROM_LOGITS, VALUE, logits, None, sample_weight, normalizer, reduction=reduction,
        logit_scale=logit_scale, softcap=softcap, temperature=temperature, axis=axis,
    )  # fmt: skip


@criterion
class EntropyFromLogitsLoss(Loss[R]):
    r"""Entropy of the softmax of logits, with its gradient.

    With the letters of `entropy_from_logits` and z the logits as they are given:

    .. math::
        \frac{\partial \ell}{\partial z_k} =
            -v\, p_k \left(\log p_k + H(p)\right) \frac{du_k}{dz_k},

    in which the log-sum-exp of :math:`\log p_k` and H cancels before it is computed. As a bonus it
    is taken with ``grad_output=-factor``. There is no Hessian: `grad_and_hess` and `hess_vec` raise
    NotImplementedError.

    Parameters
    ----------
    reduction, logit_scale, softcap, temperature, axis
        As in `entropy_from_logits`.

    References
    ----------
    Williams and Peng, "Function optimization using connectionist reinforcement learning
    algorithms", Connection Science 3 (1991).

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> loss, grad = ce.EntropyFromLogitsLoss().value_and_grad(np.array([[2.0, 1.0, 0.1]]))
    >>> loss.round(5), grad.round(4)
    (np.float64(0.84674), array([[-0.2832,  0.1383,  0.1449]]))
    """

    _loss = "entropy_from_logits"
    _function = "entropy_from_logits"

    reduction: R = "mean"  # type: ignore[assignment]
    logit_scale: float = 1.0
    softcap: float | None = None
    temperature: float = 1.0
    axis: int = -1

    def __call__(  # type: ignore[override]
        self,
        logits: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        normalizer: float | None = None,
    ) -> Any:
        return call(self._prepared, VALUE, logits, None, sample_weight, normalizer)

    def value_and_grad(  # type: ignore[override]
        self,
        logits: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        normalizer: float | None = None,
        grad_output: ArrayLike | None = None,
        out: Array | None = None,
    ) -> Any:
        return call(
            self._prepared, VALUE | GRAD, logits, None, sample_weight, normalizer, grad_output, out
        )

    def grad(  # type: ignore[override]
        self,
        logits: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        normalizer: float | None = None,
        grad_output: ArrayLike | None = None,
        out: Array | None = None,
    ) -> Any:
        return call(self._prepared, GRAD, logits, None, sample_weight, normalizer, grad_output, out)

    def sums(  # type: ignore[override]
        self, logits: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Any:
        return call(self._prepared, SUMS, logits, None, sample_weight)

    def grad_and_hess(  # type: ignore[override]
        self, logits: ArrayLike, *args: Any, **options: Any
    ) -> Any:
        _check.no_hessian()

    def hess_vec(  # type: ignore[override]
        self, logits: ArrayLike, *args: Any, **options: Any
    ) -> Any:
        _check.no_hessian()
