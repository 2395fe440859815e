"""The losses and normalisers as functions of arrays."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

from ce import _core

_CROSS_ENTROPY = _core.find_loss("cross_entropy")
_SOFTMAX = _core.find_loss("softmax")
_LOG_SOFTMAX = _core.find_loss("log_softmax")
_LOGSUMEXP = _core.find_loss("logsumexp")
_SOFTMAX_BACKWARD = _core.find_loss("softmax_backward")
_LOG_SOFTMAX_BACKWARD = _core.find_loss("log_softmax_backward")
_VALUE = _core.VALUE


def cross_entropy(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    axis: int | None = None,
) -> Any:
    r"""Cross-entropy between the softmax of logits and class indices, in nats.

    For an item with logits :math:`z_1 \dots z_K`, target :math:`t`, class weights :math:`w` and
    sample weight :math:`v`, with :math:`\varepsilon` the label smoothing:

    .. math::
        \ell = v \Big[ (1 - \varepsilon)\, w_t\, (\mathrm{lse}(z) - z_t)
               + \frac{\varepsilon}{K} \sum_k w_k (\mathrm{lse}(z) - z_k) \Big],
        \qquad \mathrm{lse}(z) = \log \sum_k e^{z_k}.

    Small losses are exact: they come from the sum of the other exponentials, not from the
    difference lse(z) - z_t, which is 0 from a margin of 17 on in float32.

    Parameters
    ----------
    logits : array_like, float32 or float64, shape (C,), (N, C) or (N, C, d1, ..., dk)
        Unnormalised log-probabilities. -inf is a class that cannot be.
    target : array_like of any integer dtype, shape of `logits` less the class axis
        Class indices in [0, C), or `ignore_index`.
    weight : array_like, shape (C,), optional
        One number per class.
    sample_weight : array_like, shape of `target`, optional
        One number per item.
    ignore_index : int, optional
        Items with this target have loss 0 and do not count; their logits are never read.
    label_smoothing : float in [0, 1], optional
        The share of the target that is spread evenly over all classes.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the sum of v w_t over counted items.
    axis : int, optional
        The class axis; by default axis 1, or 0 for a single item of shape (C,).

    Returns
    -------
    NumPy scalar, or array of the shape of `target` for reduction "none"
        float32 for float32 logits, float64 for float64.

        NaN for an item that holds a NaN or +inf, or only -inf; inf where the target's logit is
        -inf and others are not; the mean over nothing is NaN.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If shapes do not fit or an option is out of its range.
    IndexError
        If a class index is out of range; the message names its position.

    See Also
    --------
    CrossEntropyLoss : the same with its gradient and Hessian.

    References
    ----------
    ``torch.nn.functional.cross_entropy``; Szegedy et al., "Rethinking the Inception architecture
    for computer vision", CVPR 2016, section 7 (label smoothing).

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> logits = np.array([[2.0, 1.0, 0.1], [0.5, 2.0, 0.3]], dtype=np.float32)
    >>> ce.cross_entropy(logits, np.array([0, 1])).round(5)
    np.float32(0.37882)
    >>> ce.cross_entropy(logits, np.array([0, -100]), reduction="none").round(5)
    array([0.41703, 0.     ], dtype=float32)
    >>> print(f"{ce.cross_entropy(np.float32([30, 0]), 0):.6g}")
    9.35762e-14
    """
    return _core.softmax_loss(
        _CROSS_ENTROPY, _VALUE, logits, target, weight, sample_weight, ignore_index,
        label_smoothing, reduction, axis, None, None,
    )  # fmt: skip


def logsumexp(
    x: ArrayLike, axis: int = -1, *, keepdims: bool = False, out: NDArray[Any] | None = None
) -> Any:
    r"""Logarithm of the sum of exponentials along an axis: :math:`\log \sum_k e^{x_k}`, in nats.

    Parameters
    ----------
    x : array_like, float32 or float64, any shape with at least one axis
    axis : int, optional
        The axis that is summed over.
    keepdims : bool, optional
        Keep that axis, with length 1.
    out : ndarray, optional
        Receives the result: its shape and the dtype of `x`, any strides, apart from `x`.

    Returns
    -------
    ndarray, or NumPy scalar for 1-D `x`
        In the dtype of `x`. -inf for an empty axis or one of -inf only; inf where there is a +inf
        and no NaN; NaN where there is a NaN.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If `axis` or `out` does not fit.

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
    """
    return _core.logsumexp(_LOGSUMEXP, x, axis, keepdims, out)


def softmax(x: ArrayLike, axis: int = -1, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
    r"""Softmax along an axis: :math:`p_k = e^{x_k} / \sum_j e^{x_j}`.

    Parameters
    ----------
    x : array_like, float32 or float64, any shape with at least one axis
    axis : int, optional
        The axis along which the result sums to 1.
    out : ndarray, optional
        Receives the result: shape and dtype of `x`, any strides. It may be `x` itself.

    Returns
    -------
    ndarray
        Shape and dtype of `x`. NaN along an axis that holds a NaN or +inf, or only -inf.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If `axis` or `out` does not fit.

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
    """
    return _core.normalise(_SOFTMAX, x, axis, out)


def log_softmax(x: ArrayLike, axis: int = -1, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
    r"""Logarithm of the softmax along an axis: :math:`x_k - \log \sum_j e^{x_j}`, in nats.

    The result for a maximum that outweighs all others is exact, however small.

    Parameters
    ----------
    x : array_like, float32 or float64, any shape with at least one axis
    axis : int, optional
        The axis along which the exponentials of the result sum to 1.
    out : ndarray, optional
        Receives the result: shape and dtype of `x`, any strides. It may be `x` itself.

    Returns
    -------
    ndarray
        Shape and dtype of `x`. NaN along an axis that holds a NaN or +inf, or only -inf.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If `axis` or `out` does not fit.

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
    return _core.normalise(_LOG_SOFTMAX, x, axis, out)


def softmax_backward(
    grad_output: ArrayLike, output: ArrayLike, axis: int = -1, *, out: NDArray[Any] | None = None
) -> NDArray[Any]:
    r"""Backward pass of `softmax`: :math:`y_k (g_k - \sum_j g_j y_j)`.

    Parameters
    ----------
    grad_output : array_like, shape and dtype of `output`
        The gradient g with respect to the softmax.
    output : array_like, float32 or float64
        y, the result of ``softmax(x, axis)``.
    axis : int, optional
        The axis of the softmax.
    out : ndarray, optional
        Receives the result: shape and dtype of `output`, any strides. It may be `grad_output` or
        `output` itself.

    Returns
    -------
    ndarray
        The gradient with respect to x; shape and dtype of `output`. NaN along an axis that holds
        one.

    Raises
    ------
    TypeError
        If a dtype is not one of those above, or the two differ.
    ValueError
        If shapes, `axis` or `out` do not fit.

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
    return _core.normalise_backward(_SOFTMAX_BACKWARD, grad_output, output, axis, out)


def log_softmax_backward(
    grad_output: ArrayLike, output: ArrayLike, axis: int = -1, *, out: NDArray[Any] | None = None
) -> NDArray[Any]:
    r"""Backward pass of `log_softmax`: :math:`g_k - e^{y_k} \sum_j g_j`.

    Parameters
    ----------
    grad_output : array_like, shape and dtype of `output`
        The gradient g with respect to the log-softmax.
    output : array_like, float32 or float64
        y, the result of ``log_softmax(x, axis)``.
    axis : int, optional
        The axis of the log-softmax.
    out : ndarray, optional
        Receives the result: shape and dtype of `output`, any strides. It may be `grad_output` or
        `output` itself.

    Returns
    -------
    ndarray
        The gradient with respect to x; shape and dtype of `output`. NaN along an axis that holds
        one.

    Raises
    ------
    TypeError
        If a dtype is not one of those above, or the two differ.
    ValueError
        If shapes, `axis` or `out` do not fit.

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
    return _core.normalise_backward(_LOG_SOFTMAX_BACKWARD, grad_output, output, axis, out)


def logsumexp_backward(
    grad_output: ArrayLike,
    x: ArrayLike,
    axis: int = -1,
    *,
    keepdims: bool = False,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    r"""Backward pass of `logsumexp`: :math:`g\, e^{x_k} / \sum_j e^{x_j}`.

    Parameters
    ----------
    grad_output : array_like, shape of ``logsumexp(x, axis, keepdims=keepdims)``
        The gradient g with respect to the log-sum-exp.
    x : array_like, float32 or float64
    axis : int, optional
        The axis that was summed over.
    keepdims : bool, optional
        Whether `grad_output` keeps that axis, with length 1.
    out : ndarray, optional
        Receives the result: shape and dtype of `x`, any strides. It may be `x` itself.

    Returns
    -------
    ndarray
        The gradient with respect to x; shape and dtype of `x`. NaN along an axis that holds a NaN
        or +inf, or only -inf.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If shapes, `axis` or `out` do not fit.

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
    return _core.logsumexp_backward(_SOFTMAX, grad_output, x, axis, keepdims, out)
