"""Softmax, its logarithm, log-sum-exp, and their backward passes, along an axis or several."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

from ce import _axes, _core
from ce._axes import Axes

_LOGSUMEXP = _core.find_loss("logsumexp")
_SOFTMAX = _core.find_loss("softmax")
_LOG_SOFTMAX = _core.find_loss("log_softmax")
_SOFTMAX_BACKWARD = _core.find_loss("softmax_backward")
_LOG_SOFTMAX_BACKWARD = _core.find_loss("log_softmax_backward")
_LOGSUMEXP_BACKWARD = _core.find_loss("logsumexp_backward")


def logsumexp(
    x: ArrayLike, axis: Axes = -1, *, keepdims: bool = False, out: NDArray[Any] | None = None
) -> Any:
    r"""Logarithm of the sum of exponentials along axes: :math:`\log \sum_k e^{x_k}`, in nats.

    Parameters
    ----------
    x : array_like, any shape
        float16, bfloat16, float32 or float64; integers and booleans count as float64.
    axis : int, tuple of ints, or None, optional
        The axis or axes that are summed over; None stands for all. Over no axes, ``()``, the
        result is `x`, and over all those of a 0-d array, too.
        Several that do not follow one another in memory are copied into one first.
    keepdims : bool, optional
        Keep those axes, with length 1.
    out : ndarray, optional
        Receives the result: its shape and dtype, any strides, apart from `x`.

    Returns
    -------
    ndarray, or NumPy scalar where no axis is left
        float64 for float64 `x`, else float32. -inf over nothing or over -inf only; inf where there
        is a +inf and no NaN; NaN where there is a NaN.

    Raises
    ------
    TypeError
        If a dtype is not one of those above, or an option is not of its type.
    ValueError
        If `axis` or `out` does not fit, or an axis is named twice.

    References
    ----------
    Blanchard, Higham and Higham, "Accurately computing the log-sum-exp and softmax functions",
    IMA J. Numer. Anal. 41 (2021).

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> ce.logsumexp(np.array([[1000.0, 1000.0], [0.0, -np.inf]]))
    array([1000.69314718,    0.        ])
    >>> ce.logsumexp(np.zeros((2, 3, 4)), axis=(0, 2), keepdims=True).round(5)
    array([[[2.07944],
            [2.07944],
            [2.07944]]])
    """
    if type(axis) is int and type(keepdims) is bool:
        return _core.logsumexp(_LOGSUMEXP, x, axis, keepdims, out)
    return _axes.logsumexp(_LOGSUMEXP, x, axis, keepdims, out)


def softmax(x: ArrayLike, axis: Axes = -1, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
    r"""Softmax along an axis: :math:`p_k = e^{x_k} / \sum_j e^{x_j}`.

    Parameters
    ----------
    x : array_like, any shape
        float16, bfloat16, float32 or float64; half types are computed in float32, integers and
        booleans in float64.
    axis : int, tuple of ints, or None, optional
        The axis or axes along which the result sums to 1; None stands for all. Along no axes,
        ``()``, every number is on its own.
        Several that do not follow one another in memory are copied into one first.
    out : ndarray, optional
        Receives the result: shape and dtype of `x`, any strides. It may be `x` itself.

    Returns
    -------
    ndarray
        Shape and dtype of `x`. NaN along axes that hold a NaN or +inf, or only -inf.

    Raises
    ------
    TypeError
        If a dtype is not one of those above, or an option is not of its type.
    ValueError
        If `axis` or `out` does not fit, or an axis is named twice.

    References
    ----------
    Blanchard, Higham and Higham, "Accurately computing the log-sum-exp and softmax functions",
    IMA J. Numer. Anal. 41 (2021).

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> ce.softmax(np.array([3.0, 1.0, -3.0]))
    array([0.87887824, 0.11894324, 0.00217852])
    >>> ce.softmax(np.zeros((2, 2)), axis=None)
    array([[0.25, 0.25],
           [0.25, 0.25]])
    """
    if type(axis) is int:
        return _core.normalise(_SOFTMAX, x, axis, out)
    return _axes.normalise(_SOFTMAX, x, axis, out)


def log_softmax(x: ArrayLike, axis: Axes = -1, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
    r"""Logarithm of the softmax along an axis: :math:`x_k - \log \sum_j e^{x_j}`, in nats.

    The result for a maximum that outweighs all others is exact, however small.

    Parameters
    ----------
    x : array_like, any shape
        float16, bfloat16, float32 or float64; half types are computed in float32, integers and
        booleans in float64.
    axis : int, tuple of ints, or None, optional
        The axis or axes along which the exponentials of the result sum to 1; None stands for all.
        Along no axes, ``()``, every number is on its own.
        Several that do not follow one another in memory are copied into one first.
    out : ndarray, optional
        Receives the result: shape and dtype of `x`, any strides. It may be `x` itself.

    Returns
    -------
    ndarray
        Shape and dtype of `x`. NaN along axes that hold a NaN or +inf, or only -inf.

    Raises
    ------
    TypeError
        If a dtype is not one of those above, or an option is not of its type.
    ValueError
        If `axis` or `out` does not fit, or an axis is named twice.

    References
    ----------
    ``torch.nn.functional.log_softmax``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> ce.log_softmax(np.array([40.0, 0.0]))
    array([-4.24835426e-18, -4.00000000e+01])
    """
    if type(axis) is int:
        return _core.normalise(_LOG_SOFTMAX, x, axis, out)
    return _axes.normalise(_LOG_SOFTMAX, x, axis, out)


def softmax_backward(
    grad_output: ArrayLike, output: ArrayLike, axis: Axes = -1, *, out: NDArray[Any] | None = None
) -> NDArray[Any]:
    r"""Backward pass of `softmax`: :math:`y_k (g_k - \sum_j g_j y_j)`.

    Parameters
    ----------
    grad_output : array_like, shape and dtype of `output`
        The gradient g with respect to the softmax.
    output : array_like
        y, the result of ``softmax(x, axis)``, in float16, bfloat16, float32 or float64.
    axis : int, tuple of ints, or None, optional
        The axis or axes of the softmax; None stands for all.
        Several that do not follow one another in memory are copied into one first.
    out : ndarray, optional
        Receives the result: shape and dtype of `output`, any strides. It may be `grad_output` or
        `output` itself.

    Returns
    -------
    ndarray
        The gradient with respect to x; shape and dtype of `output`. NaN along axes that hold one.

    Raises
    ------
    TypeError
        If a dtype is not one of those above, or the two differ, or an option is not of its type.
    ValueError
        If shapes, `axis` or `out` do not fit, or an axis is named twice.

    References
    ----------
    The Jacobian of softmax, diag(y) - y y^T, times g.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> y = ce.softmax(np.array([0.0, 0.0]))
    >>> ce.softmax_backward(np.array([1.0, 0.0]), y)
    array([ 0.25, -0.25])
    """
    if type(axis) is int:
        return _core.normalise_backward(_SOFTMAX_BACKWARD, grad_output, output, axis, out)
    return _axes.normalise_backward(_SOFTMAX_BACKWARD, grad_output, output, axis, out)


def log_softmax_backward(
    grad_output: ArrayLike, output: ArrayLike, axis: Axes = -1, *, out: NDArray[Any] | None = None
) -> NDArray[Any]:
    r"""Backward pass of `log_softmax`: :math:`g_k - e^{y_k} \sum_j g_j`.

    Parameters
    ----------
    grad_output : array_like, shape and dtype of `output`
        The gradient g with respect to the log-softmax.
    output : array_like
        y, the result of ``log_softmax(x, axis)``, in float16, bfloat16, float32 or float64.
    axis : int, tuple of ints, or None, optional
        The axis or axes of the log-softmax; None stands for all.
        Several that do not follow one another in memory are copied into one first.
    out : ndarray, optional
        Receives the result: shape and dtype of `output`, any strides. It may be `grad_output` or
        `output` itself.

    Returns
    -------
    ndarray
        The gradient with respect to x; shape and dtype of `output`. NaN along axes that hold one.

    Raises
    ------
    TypeError
        If a dtype is not one of those above, or the two differ, or an option is not of its type.
    ValueError
        If shapes, `axis` or `out` do not fit, or an axis is named twice.

    References
    ----------
    The Jacobian of log-softmax, I - 1 p^T with p = e^y, transposed, times g.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> y = ce.log_softmax(np.array([0.0, 0.0]))
    >>> ce.log_softmax_backward(np.array([-1.0, 0.0]), y)
    array([-0.5,  0.5])
    """
    if type(axis) is int:
        return _core.normalise_backward(_LOG_SOFTMAX_BACKWARD, grad_output, output, axis, out)
    return _axes.normalise_backward(_LOG_SOFTMAX_BACKWARD, grad_output, output, axis, out)


def logsumexp_backward(
    grad_output: ArrayLike,
    x: ArrayLike,
    axis: Axes = -1,
    *,
    keepdims: bool = False,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    r"""Backward pass of `logsumexp`: :math:`g\, e^{x_k} / \sum_j e^{x_j}`.

    Parameters
    ----------
    grad_output : array_like, shape of ``logsumexp(x, axis, keepdims=keepdims)``
        The gradient g with respect to the log-sum-exp, in any real dtype.
    x : array_like
        float16, bfloat16, float32 or float64; integers and booleans count as float64.
    axis : int, tuple of ints, or None, optional
        The axis or axes that were summed over; None stands for all.
        Several that do not follow one another in memory are copied into one first.
    keepdims : bool, optional
        Whether `grad_output` keeps those axes, with length 1.
    out : ndarray, optional
        Receives the result: shape and dtype of `x`, any strides. It may be `x` itself.

    Returns
    -------
    ndarray
        The gradient with respect to x; shape and dtype of `x`. NaN along axes that hold a NaN or
        +inf, or only -inf.

    Raises
    ------
    TypeError
        If a dtype is not one of those above, or an option is not of its type.
    ValueError
        If shapes, `axis` or `out` do not fit, or an axis is named twice.

    References
    ----------
    The gradient of log-sum-exp is the softmax.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> ce.logsumexp_backward(2.0, np.array([0.0, 0.0]))
    array([1., 1.])
    """
    if type(axis) is int and type(keepdims) is bool:
        return _core.logsumexp_backward(_LOGSUMEXP_BACKWARD, grad_output, x, axis, keepdims, out)
    return _axes.logsumexp_backward(_LOGSUMEXP_BACKWARD, grad_output, x, axis, keepdims, out)
