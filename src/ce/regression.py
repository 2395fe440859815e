"""Losses of the residual, input - target."""

from __future__ import annotations

from typing import Any, Literal, overload

from numpy.typing import ArrayLike

from ce._core import VALUE, Prepared, call
from ce._criterion import Array, Loss, R, Reduced, Scalar, criterion

_MSE = Prepared("mse")


@overload
def mse_loss(
    input: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    reduction: Literal["none"],
) -> Array: ...
@overload
def mse_loss(
    input: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    reduction: Reduced = ...,
) -> Scalar: ...
def mse_loss(
    input: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    normalizer: float | None = None,
    reduction: Reduced | Literal["none"] = "mean",
) -> Any:
    r"""Squared error: :math:`\ell = w\, r^2` of the residual r = input - target.

    Parameters
    ----------
    input : array_like, any shape
        Predictions in float16, bfloat16, float32 or float64; integers and booleans count as
        float64. Subnormal numbers count as 0.
    target : array_like of any real dtype, shape of `input`, or a scalar
        What was to be predicted. Other shapes do not broadcast. The residual is formed in NumPy's
        result type of both, so a float64 target is not rounded first.
    weight : array_like that broadcasts to `input`, optional
        One number w per element. An element of weight 0 has loss 0, whatever it holds.
    sample_weight : array_like that broadcasts to `input`, optional
        One number v per element, which multiplies its loss, or a mask: an element of weight 0 (or
        False) is not read, not checked and not counted.
    normalizer : float, optional
        What the mean divides by instead, above 0. The mean over nothing is then 0.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the sum of the products v w, which is the number of elements where
        there are no weights of either kind.

    Returns
    -------
    NumPy scalar, or array of the shape of `input` for reduction "none"
        float64 for float64 input, else float32.

        NaN where the residual is NaN, inf where it is infinite or its square overflows; the mean
        over nothing is NaN.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If shapes do not fit or an option is out of its range.

    See Also
    --------
    MSELoss : the same with its gradient and Hessian.

    References
    ----------
    ``torch.nn.functional.mse_loss``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> ce.mse_loss(np.array([1.0, 2.0, 5.0]), [1.0, 4.0, 2.0], reduction="none")
    array([0., 4., 9.])
    >>> ce.mse_loss(np.array([1.0, 2.0, 5.0]), [1.0, 4.0, 2.0], weight=[1, 3, 0])
    np.float64(3.0)

    With a mask: what is masked counts for nothing, whatever it holds.

    >>> ce.mse_loss(np.array([1.0, np.nan]), [3.0, 1.0], sample_weight=[True, False])
    np.float64(4.0)
    """
    return call(
        _MSE, VALUE, input, target, sample_weight, normalizer, weight=weight, reduction=reduction,
    )  # fmt: skip


@criterion
class MSELoss(Loss[R]):
    r"""Squared error, with gradient and diagonal Hessian.

    With the residual r = input - target and the weight w of an element, and x its input:

    .. math::
        \frac{\partial \ell}{\partial x} = 2\, w\, r, \qquad
        \frac{\partial^2 \ell}{\partial x^2} = 2\, w

    Parameters
    ----------
    weight, reduction
        As in `mse_loss`.

    References
    ----------
    ``torch.nn.MSELoss``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> criterion = ce.MSELoss(weight=[1, 3, 0])
    >>> loss, grad = criterion.value_and_grad(np.array([1.0, 2.0, np.nan]), [1.0, 4.0, 2.0])
    >>> loss, grad
    (np.float64(3.0), array([ 0., -3.,  0.]))
    """

    _loss = "mse"
    _function = "mse_loss"

    weight: ArrayLike | None = None
    reduction: R = "mean"  # type: ignore[assignment]


_L1 = Prepared("l1")


@overload
def l1_loss(
    input: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    reduction: Literal["none"],
) -> Array: ...
@overload
def l1_loss(
    input: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    reduction: Reduced = ...,
) -> Scalar: ...
def l1_loss(
    input: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    normalizer: float | None = None,
    reduction: Reduced | Literal["none"] = "mean",
) -> Any:
    r"""Absolute error: :math:`\ell = w\, |r|` of the residual r = input - target.

    Parameters
    ----------
    input : array_like, any shape
        Predictions in float16, bfloat16, float32 or float64; integers and booleans count as
        float64. Subnormal numbers count as 0.
    target : array_like of any real dtype, shape of `input`, or a scalar
        What was to be predicted. Other shapes do not broadcast. The residual is formed in NumPy's
        result type of both, so a float64 target is not rounded first.
    weight : array_like that broadcasts to `input`, optional
        One number w per element. An element of weight 0 has loss 0, whatever it holds.
    sample_weight : array_like that broadcasts to `input`, optional
        One number v per element, which multiplies its loss, or a mask: an element of weight 0 (or
        False) is not read, not checked and not counted.
    normalizer : float, optional
        What the mean divides by instead, above 0. The mean over nothing is then 0.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the sum of the products v w, which is the number of elements where
        there are no weights of either kind.

    Returns
    -------
    NumPy scalar, or array of the shape of `input` for reduction "none"
        float64 for float64 input, else float32.

        NaN where the residual is NaN, inf where it is infinite; the mean over nothing is NaN.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If shapes do not fit or an option is out of its range.

    See Also
    --------
    L1Loss : the same with its gradient and Hessian.

    References
    ----------
    ``torch.nn.functional.l1_loss``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> ce.l1_loss(np.array([1.0, 2.0, 5.0]), [1.0, 4.0, 2.0], reduction="none")
    array([0., 2., 3.])
    >>> ce.l1_loss(np.array([1.0, 2.0, 5.0]), 2.0, reduction="sum")
    np.float64(4.0)
    """
    return call(
        _L1, VALUE, input, target, sample_weight, normalizer, weight=weight, reduction=reduction,
    )  # fmt: skip


@criterion
class L1Loss(Loss[R]):
    r"""Absolute error, with its gradient.

    With the residual r = input - target and the weight w of an element, and x its input:

    .. math::
        \frac{\partial \ell}{\partial x} = w\, \mathrm{sign}(r), \quad \mathrm{sign}(0) = 0, \qquad
        \frac{\partial^2 \ell}{\partial x^2} = 0

    Parameters
    ----------
    weight, reduction
        As in `l1_loss`.

    References
    ----------
    ``torch.nn.L1Loss``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> criterion = ce.L1Loss(reduction="sum")
    >>> loss, grad = criterion.value_and_grad(np.array([1.0, 2.0, 5.0]), [1.0, 4.0, 2.0])
    >>> loss, grad
    (np.float64(5.0), array([ 0., -1.,  1.]))
    """

    _loss = "l1"
    _function = "l1_loss"

    weight: ArrayLike | None = None
    reduction: R = "mean"  # type: ignore[assignment]


_HUBER = Prepared("huber")


@overload
def huber_loss(
    input: ArrayLike,
    target: ArrayLike,
    *,
    delta: float = ...,
    weight: ArrayLike | None = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    reduction: Literal["none"],
) -> Array: ...
@overload
def huber_loss(
    input: ArrayLike,
    target: ArrayLike,
    *,
    delta: float = ...,
    weight: ArrayLike | None = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    reduction: Reduced = ...,
) -> Scalar: ...
def huber_loss(
    input: ArrayLike,
    target: ArrayLike,
    *,
    delta: float = 1.0,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    normalizer: float | None = None,
    reduction: Reduced | Literal["none"] = "mean",
) -> Any:
    r"""Huber's loss: squared error for small residuals, absolute error for large ones.

    For an element with residual r = input - target and weight w:

    .. math::
        \ell = w \begin{cases} r^2 / 2 & |r| \le \delta \\
                               \delta\, (|r| - \delta / 2) & |r| > \delta. \end{cases}

    Parameters
    ----------
    input : array_like, any shape
        Predictions in float16, bfloat16, float32 or float64; integers and booleans count as
        float64. Subnormal numbers count as 0.
    target : array_like of any real dtype, shape of `input`, or a scalar
        What was to be predicted. Other shapes do not broadcast. The residual is formed in NumPy's
        result type of both, so a float64 target is not rounded first.
    delta : float, optional
        The residual at which the square ends; positive and finite.
    weight : array_like that broadcasts to `input`, optional
        One number per element. An element of weight 0 has loss 0, whatever it holds.
    sample_weight : array_like that broadcasts to `input`, optional
        One number v per element, which multiplies its loss, or a mask: an element of weight 0 (or
        False) is not read, not checked and not counted.
    normalizer : float, optional
        What the mean divides by instead, above 0. The mean over nothing is then 0.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the sum of the products v w, which is the number of elements where
        there are no weights of either kind.
        (torch divides by that number with weights, too.)

    Returns
    -------
    NumPy scalar, or array of the shape of `input` for reduction "none"
        float64 for float64 input, else float32.

        NaN where the residual is NaN, inf where it is infinite; the mean over nothing is NaN.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If shapes do not fit or an option is out of its range.

    See Also
    --------
    HuberLoss : the same with its gradient and Hessian.
    smooth_l1_loss : the same divided by `delta`.

    References
    ----------
    Huber, "Robust estimation of a location parameter", Ann. Math. Statist. 35 (1964);
    ``torch.nn.functional.huber_loss``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> ce.huber_loss(np.array([0.5, -1.0, 4.0]), 0.0, delta=2.0, reduction="none")
    array([0.125, 0.5  , 6.   ])
    """
    return call(
        _HUBER, VALUE, input, target, sample_weight, normalizer,
        delta=delta, weight=weight, reduction=reduction,
    )  # fmt: skip


@criterion
class HuberLoss(Loss[R]):
    r"""Huber's loss, with gradient and diagonal Hessian.

    With the residual r = input - target and the weight w of an element, and x its input:

    .. math::
        \frac{\partial \ell}{\partial x} = w\, \mathrm{clip}(r, -\delta, \delta), \qquad
        \frac{\partial^2 \ell}{\partial x^2} = w\, [\, |r| \le \delta \,]

    Parameters
    ----------
    delta, weight, reduction
        As in `huber_loss`.

    References
    ----------
    Huber, "Robust estimation of a location parameter", Ann. Math. Statist. 35 (1964);
    ``torch.nn.HuberLoss``, whose weighted mean divides by the number of elements.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> criterion = ce.HuberLoss(delta=2.0, reduction="sum")
    >>> loss, grad = criterion.value_and_grad(np.array([0.5, -1.0, 4.0]), 0.0)
    >>> loss, grad
    (np.float64(6.625), array([ 0.5, -1. ,  2. ]))
    """

    _loss = "huber"
    _function = "huber_loss"

    delta: float = 1.0
    weight: ArrayLike | None = None
    reduction: R = "mean"  # type: ignore[assignment]


_SMOOTH_L1 = Prepared("smooth_l1")


@overload
def smooth_l1_loss(
    input: ArrayLike,
    target: ArrayLike,
    *,
    beta: float = ...,
    weight: ArrayLike | None = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    reduction: Literal["none"],
) -> Array: ...
@overload
def smooth_l1_loss(
    input: ArrayLike,
    target: ArrayLike,
    *,
    beta: float = ...,
    weight: ArrayLike | None = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    reduction: Reduced = ...,
) -> Scalar: ...
def smooth_l1_loss(
    input: ArrayLike,
    target: ArrayLike,
    *,
    beta: float = 1.0,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    normalizer: float | None = None,
    reduction: Reduced | Literal["none"] = "mean",
) -> Any:
    r"""Absolute error with a smooth minimum.

    For an element with residual r = input - target and weight w:

    .. math::
        \ell = w \begin{cases} r^2 / (2 \beta) & |r| < \beta \\
                               |r| - \beta / 2 & |r| \ge \beta. \end{cases}

    Parameters
    ----------
    input : array_like, any shape
        Predictions in float16, bfloat16, float32 or float64; integers and booleans count as
        float64. Subnormal numbers count as 0.
    target : array_like of any real dtype, shape of `input`, or a scalar
        What was to be predicted. Other shapes do not broadcast. The residual is formed in NumPy's
        result type of both, so a float64 target is not rounded first.
    beta : float, optional
        The residual at which the square ends, at least 0 and finite; at 0 the loss is
        `l1_loss`.
    weight : array_like that broadcasts to `input`, optional
        One number per element. An element of weight 0 has loss 0, whatever it holds.
    sample_weight : array_like that broadcasts to `input`, optional
        One number v per element, which multiplies its loss, or a mask: an element of weight 0 (or
        False) is not read, not checked and not counted.
    normalizer : float, optional
        What the mean divides by instead, above 0. The mean over nothing is then 0.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the sum of the products v w, which is the number of elements where
        there are no weights of either kind.

    Returns
    -------
    NumPy scalar, or array of the shape of `input` for reduction "none"
        float64 for float64 input, else float32.

        NaN where the residual is NaN, inf where it is infinite; the mean over nothing is NaN.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If shapes do not fit or an option is out of its range.

    See Also
    --------
    SmoothL1Loss : the same with its gradient and Hessian.
    huber_loss : the same times `beta`.

    References
    ----------
    Girshick, "Fast R-CNN", ICCV 2015, section 2.3; ``torch.nn.functional.smooth_l1_loss``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> ce.smooth_l1_loss(np.array([0.5, -1.0, 4.0]), 0.0, beta=2.0, reduction="none")
    array([0.0625, 0.25  , 3.    ])
    """
    return call(
        _SMOOTH_L1, VALUE, input, target, sample_weight, normalizer,
        beta=beta, weight=weight, reduction=reduction,
    )  # fmt: skip


@criterion
class SmoothL1Loss(Loss[R]):
    r"""Absolute error with a smooth minimum, with gradient and diagonal Hessian.

    With the residual r = input - target and the weight w of an element, and x its input:

    .. math::
        \frac{\partial \ell}{\partial x} = w \begin{cases} r / \beta & |r| < \beta \\
                                           \mathrm{sign}(r) & |r| \ge \beta, \end{cases} \qquad
        \frac{\partial^2 \ell}{\partial x^2} = \frac{w}{\beta}\, [\, |r| < \beta \,]

    Parameters
    ----------
    beta, weight, reduction
        As in `smooth_l1_loss`. A `beta` of 0 is `L1Loss`.

    References
    ----------
    Girshick, "Fast R-CNN", ICCV 2015, section 2.3; ``torch.nn.SmoothL1Loss``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> criterion = ce.SmoothL1Loss(beta=2.0, reduction="sum")
    >>> loss, grad = criterion.value_and_grad(np.array([0.5, -1.0, 4.0]), 0.0)
    >>> loss, grad
    (np.float64(3.3125), array([ 0.25, -0.5 ,  1.  ]))
    """

    _loss = "smooth_l1"
    _function = "smooth_l1_loss"

    beta: float = 1.0
    weight: ArrayLike | None = None
    reduction: R = "mean"  # type: ignore[assignment]
