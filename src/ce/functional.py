"""The losses and normalisers as functions of arrays.

Half types, float16 and the bfloat16 of ml_dtypes (or of torch tensors on CPU), are computed in
float32. Losses of half and float32 arrays are float32, those of float64 arrays float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ce import _check, _core

_CROSS_ENTROPY = _core.find_loss("cross_entropy")
_NLL = _core.find_loss("nll")
_FOCAL = _core.find_loss("focal")
_BCE = _core.find_loss("bce")
_BCE_WITH_LOGITS = _core.find_loss("bce_with_logits")
_SIGMOID_FOCAL = _core.find_loss("sigmoid_focal")
_MSE = _core.find_loss("mse")
_L1 = _core.find_loss("l1")
_HUBER = _core.find_loss("huber")
_SMOOTH_L1 = _core.find_loss("smooth_l1")
_KL_DIV = _core.find_loss("kl_div")
_KL_DIV_LOG = _core.find_loss("kl_div_log")
_ENTROPY = _core.find_loss("entropy")
_RELATIVE_ENTROPY = _core.find_loss("relative_entropy")
_CROSS_ENTROPY_BETWEEN = _core.find_loss("cross_entropy_between")
_SOFTMAX = _core.find_loss("softmax")
_LOG_SOFTMAX = _core.find_loss("log_softmax")
_LOGSUMEXP = _core.find_loss("logsumexp")
_SOFTMAX_BACKWARD = _core.find_loss("softmax_backward")
_LOG_SOFTMAX_BACKWARD = _core.find_loss("log_softmax_backward")
_VALUE = _core.VALUE


# -- classification -------------------------------------------------------------------------------


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
    r"""Cross-entropy between the softmax of logits and class indices or probabilities, in nats.

    For an item with logits :math:`z_1 \dots z_K`, target :math:`t`, class weights :math:`w` and
    sample weight :math:`v`, with :math:`\varepsilon` the label smoothing:

    .. math::
        \ell = v \Big[ (1 - \varepsilon)\, w_t\, (\mathrm{lse}(z) - z_t)
               + \frac{\varepsilon}{K} \sum_k w_k (\mathrm{lse}(z) - z_k) \Big],
        \qquad \mathrm{lse}(z) = \log \sum_k e^{z_k}.

    For an item with class probabilities :math:`q_1 \dots q_K` instead of a target:

    .. math::
        \ell = v \sum_k w_k q'_k (\mathrm{lse}(z) - z_k), \qquad
        q'_k = (1 - \varepsilon)\, q_k + \varepsilon / K,

    where a term with :math:`w_k q'_k = 0` is 0, even at a logit of -inf.

    Small losses are exact: they come from the sum of the other exponentials, not from the
    difference lse(z) - z_t, which is 0 from a margin of 17 on in float32.

    Parameters
    ----------
    logits : array_like, shape (C,), (N, C) or (N, C, d1, ..., dk)
        Unnormalised log-probabilities in float16, bfloat16, float32 or float64. -inf is a class
        that cannot be.
    target : array_like
        Of any integer dtype and the shape of `logits` less the class axis: class indices in
        [0, C), or `ignore_index`. Of a floating dtype and the shape of `logits`: class
        probabilities, which are taken as they are, whatever their sum.
    weight : array_like, shape (C,), optional
        One number per class.
    sample_weight : array_like, shape of `logits` less the class axis, optional
        One number per item.
    ignore_index : int, optional
        Items with this target have loss 0 and do not count; their logits are never read. Class
        probabilities have no index to ignore: with them it must be negative.
    label_smoothing : float in [0, 1], optional
        The share of the target that is spread evenly over all classes.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the sum of v w_t over counted items; with class probabilities by the
        sum of v, which is the number of items where there is no `sample_weight`.
    axis : int, optional
        The class axis; by default axis 1, or 0 for a single item of shape (C,).

    Returns
    -------
    NumPy scalar, or array of the shape of `logits` less the class axis for reduction "none"
        float64 for float64 logits, else float32.

        NaN for an item that holds a NaN or +inf, or only -inf; inf where a logit of the target is
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

    With class probabilities:

    >>> logits = np.array([[4.0, 2.0, 1.0], [0.0, 5.0, 1.0]])
    >>> probs = np.array([[1.0, 0.0, 0.0], [0.0, 0.8, 0.2]])
    >>> ce.cross_entropy(logits, probs, reduction="none").round(5)
    array([0.16985, 0.82474])
    """
    return _core.softmax_loss(
        _CROSS_ENTROPY, _VALUE, logits, target, weight, sample_weight, ignore_index,
        label_smoothing, 0.0, "exact", reduction, axis, None, None,
    )  # fmt: skip


def nll_loss(
    log_probs: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    axis: int | None = None,
) -> Any:
    r"""Negative log-likelihood of class indices under given log-probabilities, in nats.

    For an item with log-probabilities :math:`x_1 \dots x_K`, target :math:`t`, class weights
    :math:`w` and sample weight :math:`v`:

    .. math::
        \ell = -v\, w_t\, x_t.

    After `log_softmax` this is `cross_entropy`, which is faster from logits.

    Parameters
    ----------
    log_probs : array_like, shape (C,), (N, C) or (N, C, d1, ..., dk)
        Log-probabilities in float16, bfloat16, float32 or float64.
    target : array_like of any integer dtype, shape of `log_probs` less the class axis
        Class indices in [0, C), or `ignore_index`.
    weight : array_like, shape (C,), optional
        One number per class.
    sample_weight : array_like, shape of `target`, optional
        One number per item.
    ignore_index : int, optional
        Items with this target have loss 0 and do not count.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the sum of v w_t over counted items.
    axis : int, optional
        The class axis; by default axis 1, or 0 for a single item of shape (C,).

    Returns
    -------
    NumPy scalar, or array of the shape of `target` for reduction "none"
        float64 for float64 log-probabilities, else float32.

        Only x_t matters: the loss is NaN where it is NaN, inf where it is -inf; the mean over
        nothing is NaN.

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
    NLLLoss : the same with its gradient and Hessian.

    References
    ----------
    ``torch.nn.functional.nll_loss``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> ce.nll_loss(np.log([0.1, 0.2, 0.7]), 2).round(5)
    np.float64(0.35667)
    """
    return _core.softmax_loss(
        _NLL, _VALUE, log_probs, target, weight, sample_weight, ignore_index,
        0.0, 0.0, "exact", reduction, axis, None, None,
    )  # fmt: skip


def focal_loss(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    gamma: float = 2.0,
    alpha: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    axis: int | None = None,
) -> Any:
    r"""Focal loss of the softmax of logits: cross-entropy with easy items faded out, in nats.

    For an item whose target has probability :math:`p = \mathrm{softmax}(z)_t` and class weight
    :math:`\alpha_t`, with sample weight :math:`v`:

    .. math::
        \ell = -v\, \alpha_t\, (1 - p)^\gamma \log p.

    Small losses are exact: 1 - p comes from the sum of the other exponentials.

    Parameters
    ----------
    logits : array_like, shape (C,), (N, C) or (N, C, d1, ..., dk)
        Unnormalised log-probabilities in float16, bfloat16, float32 or float64. -inf is a class
        that cannot be.
    target : array_like of any integer dtype, shape of `logits` less the class axis
        Class indices in [0, C), or `ignore_index`.
    gamma : float, optional
        How fast easy items fade, in [0, 1e6]; at 0 the loss is cross-entropy.
    alpha : array_like, shape (C,) or a scalar, optional
        One number per class, or one for all.
    sample_weight : array_like, shape of `target`, optional
        One number per item.
    ignore_index : int, optional
        Items with this target have loss 0 and do not count; their logits are never read.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the number of counted items, or by the sum of their v; never by
        `alpha`.
    axis : int, optional
        The class axis; by default axis 1, or 0 for a single item of shape (C,).

    Returns
    -------
    NumPy scalar, or array of the shape of `target` for reduction "none"
        float64 for float64 logits, else float32.

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
    FocalLoss : the same with its gradient and Hessian.
    sigmoid_focal_loss : for labels that do not exclude each other.

    References
    ----------
    Lin, Goyal, Girshick, He and Dollár, "Focal loss for dense object detection", ICCV 2017,
    section 3.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> logits = np.array([[2.0, 1.0, 0.1], [0.5, 2.0, 0.3]])
    >>> ce.focal_loss(logits, [0, 1], reduction="none").round(5)
    array([0.04849, 0.02838])
    >>> print(f"{ce.focal_loss(np.float32([10, 0]), 0, gamma=0.5):.4g}")
    3.059e-07
    """
    return _core.softmax_loss(
        _FOCAL, _VALUE, logits, target, alpha, sample_weight, ignore_index,
        0.0, gamma, "exact", reduction, axis, None, None,
    )  # fmt: skip


def binary_cross_entropy(
    probs: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    reduction: str = "mean",
) -> Any:
    r"""Cross-entropy of yes-or-no labels and given probabilities, in nats.

    For an element with probability :math:`x`, label :math:`y` and weight :math:`w`:

    .. math::
        \ell = -w\, [\, y \log x + (1 - y) \log(1 - x) \,],

    where logarithms below -100 count as -100, so the loss is finite at 0 and 1. From logits,
    `binary_cross_entropy_with_logits` is exact and needs no such bound.

    Parameters
    ----------
    probs : array_like, any shape
        Probabilities in [0, 1], in float16, bfloat16, float32 or float64.
    target : array_like of any real dtype, shape of `probs`, or a scalar
        Labels in [0, 1].
    weight : array_like that broadcasts to `probs`, optional
        One number per element. An element of weight 0 has loss 0.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the number of elements, also with `weight`.

    Returns
    -------
    NumPy scalar, or array of the shape of `probs` for reduction "none"
        float64 for float64 probabilities, else float32. The mean over nothing is NaN.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If shapes do not fit, an option is out of its range, or a probability or label is NaN or
        outside [0, 1]; the message names the position of the first.

    See Also
    --------
    BCELoss : the same with its gradient and Hessian.

    References
    ----------
    ``torch.nn.functional.binary_cross_entropy``; Good, "Rational decisions", J. R. Statist. Soc. B
    14 (1952).

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> ce.binary_cross_entropy(np.array([0.8, 0.1, 0.0]), [1, 0, 1], reduction="none").round(5)
    array([  0.22314,   0.10536, 100.     ])
    """
    return _core.pointwise_loss(
        _BCE, _VALUE, probs, target, weight, None, 0.0, None, 0.0, "exact", reduction, None, None
    )  # fmt: skip


def binary_cross_entropy_with_logits(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None,
    reduction: str = "mean",
) -> Any:
    r"""Cross-entropy of yes-or-no labels and the sigmoid of logits, in nats.

    For an element with logit :math:`x`, label :math:`y`, weight :math:`w` and positive weight
    :math:`u`:

    .. math::
        \ell = w\, [\, u\, y\, \mathrm{sp}(-x) + (1 - y)\, \mathrm{sp}(x) \,],
        \qquad \mathrm{sp}(x) = \log(1 + e^x),

    where a term with factor 0 is 0: a logit of +-inf that agrees with its label has loss 0.

    Parameters
    ----------
    logits : array_like, any shape
        Log-odds in float16, bfloat16, float32 or float64.
    target : array_like of any real dtype, shape of `logits`, or a scalar
        Labels, as a rule in [0, 1]; others are taken as they are.
    weight : array_like that broadcasts to `logits`, optional
        One number per element. An element of weight 0 has loss 0, whatever it holds.
    pos_weight : array_like that broadcasts to `logits`, optional
        The weight u of the part y of each label; above 1 it favours recall.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the number of elements, also with weights.

    Returns
    -------
    NumPy scalar, or array of the shape of `logits` for reduction "none"
        float64 for float64 logits, else float32.

        NaN where a logit or label is NaN; inf where a logit of +-inf contradicts its label; the
        mean over nothing is NaN.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If shapes do not fit or an option is out of its range.

    See Also
    --------
    BCEWithLogitsLoss : the same with its gradient and Hessian.

    References
    ----------
    ``torch.nn.functional.binary_cross_entropy_with_logits``, which is NaN at infinite logits
    (pytorch#49844).

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> ce.binary_cross_entropy_with_logits(np.float64(1.5), 1).round(5)
    np.float64(0.20141)
    >>> logits = np.array([np.inf, -np.inf, 2.0])
    >>> ce.binary_cross_entropy_with_logits(logits, [1, 0, 1], reduction="none").round(5)
    array([0.     , 0.     , 0.12693])
    """
    return _core.pointwise_loss(
        _BCE_WITH_LOGITS, _VALUE, logits, target, weight, pos_weight, 0.0, None, 0.0, "exact",
        reduction, None, None,
    )  # fmt: skip


def sigmoid_focal_loss(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    gamma: float = 2.0,
    alpha: float | None = 0.25,
    weight: ArrayLike | None = None,
    reduction: str = "mean",
) -> Any:
    r"""Focal loss of the sigmoid of logits, for labels that do not exclude each other, in nats.

    For an element with logit :math:`x`, label :math:`y` and weight :math:`w`, with c the
    cross-entropy, R the probability that is given to the wrong answer and a the class weight:

    .. math::
        \ell &= w\, a\, R^\gamma c \\
        c &= y\, \mathrm{sp}(-x) + (1 - y)\, \mathrm{sp}(x), \quad \mathrm{sp}(x) = \log(1 + e^x) \\
        R &= y\, \sigma(-x) + (1 - y)\, \sigma(x) \\
        a &= \alpha y + (1 - \alpha)(1 - y), \text{ or 1 without } \alpha.

    Parameters
    ----------
    logits : array_like, any shape
        Log-odds in float16, bfloat16, float32 or float64.
    target : array_like of any real dtype, shape of `logits`, or a scalar
        Labels in [0, 1].
    gamma : float, optional
        How fast easy elements fade, in [0, 1e6]; at 0 the loss is a times cross-entropy.
    alpha : float or None, optional
        The weight of label 1, that of label 0 being ``1 - alpha``; None weighs both with 1.
    weight : array_like that broadcasts to `logits`, optional
        One number per element. An element of weight 0 has loss 0, whatever it holds.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the number of elements, also with `weight`.

    Returns
    -------
    NumPy scalar, or array of the shape of `logits` for reduction "none"
        float64 for float64 logits, else float32.

        NaN where a logit or label is NaN; 0 where a logit of +-inf agrees with its label, inf
        where it does not; the mean over nothing is NaN.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If shapes do not fit or an option is out of its range.

    See Also
    --------
    SigmoidFocalLoss : the same with its gradient and Hessian.
    focal_loss : for classes that exclude each other.

    References
    ----------
    Lin, Goyal, Girshick, He and Dollár, "Focal loss for dense object detection", ICCV 2017,
    section 3; ``torchvision.ops.sigmoid_focal_loss``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> ce.sigmoid_focal_loss(np.array([1.5, -1.0, 0.0]), [1, 1, 0], reduction="none").round(5)
    array([0.00168, 0.17547, 0.12997])
    """
    return _core.pointwise_loss(
        _SIGMOID_FOCAL, _VALUE, logits, target, weight, None, gamma, alpha, 0.0, "exact",
        reduction, None, None,
    )  # fmt: skip


# -- regression -----------------------------------------------------------------------------------


def mse_loss(
    input: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    reduction: str = "mean",
) -> Any:
    r"""Squared error: :math:`\ell = w\, r^2` of the residual r = input - target.

    Parameters
    ----------
    input : array_like, any shape
        Predictions in float16, bfloat16, float32 or float64. Subnormal numbers count as 0.
    target : array_like of any real dtype, shape of `input`, or a scalar
        What was to be predicted. Other shapes do not broadcast.
    weight : array_like that broadcasts to `input`, optional
        One number w per element. An element of weight 0 has loss 0, whatever it holds.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the sum of the weights, or by the number of elements without them.

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
    """
    return _core.pointwise_loss(
        _MSE, _VALUE, input, target, weight, None, 0.0, None, 0.0, "exact", reduction, None, None
    )  # fmt: skip


def l1_loss(
    input: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    reduction: str = "mean",
) -> Any:
    r"""Absolute error: :math:`\ell = w\, |r|` of the residual r = input - target.

    Parameters
    ----------
    input : array_like, any shape
        Predictions in float16, bfloat16, float32 or float64. Subnormal numbers count as 0.
    target : array_like of any real dtype, shape of `input`, or a scalar
        What was to be predicted. Other shapes do not broadcast.
    weight : array_like that broadcasts to `input`, optional
        One number w per element. An element of weight 0 has loss 0, whatever it holds.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the sum of the weights, or by the number of elements without them.

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
    return _core.pointwise_loss(
        _L1, _VALUE, input, target, weight, None, 0.0, None, 0.0, "exact", reduction, None, None
    )  # fmt: skip


def huber_loss(
    input: ArrayLike,
    target: ArrayLike,
    *,
    delta: float = 1.0,
    weight: ArrayLike | None = None,
    reduction: str = "mean",
) -> Any:
    r"""Huber's loss: squared error for small residuals, absolute error for large ones.

    For an element with residual r = input - target and weight w:

    .. math::
        \ell = w \begin{cases} r^2 / 2 & |r| \le \delta \\
                               \delta\, (|r| - \delta / 2) & |r| > \delta. \end{cases}

    Parameters
    ----------
    input : array_like, any shape
        Predictions in float16, bfloat16, float32 or float64. Subnormal numbers count as 0.
    target : array_like of any real dtype, shape of `input`, or a scalar
        What was to be predicted. Other shapes do not broadcast.
    delta : float, optional
        The residual at which the square ends; positive and finite.
    weight : array_like that broadcasts to `input`, optional
        One number per element. An element of weight 0 has loss 0, whatever it holds.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the sum of the weights, or by the number of elements without them.
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
    return _core.pointwise_loss(
        _HUBER, _VALUE, input, target, weight, None, 0.0, None, delta, "exact", reduction, None,
        None,
    )  # fmt: skip


def smooth_l1_loss(
    input: ArrayLike,
    target: ArrayLike,
    *,
    beta: float = 1.0,
    weight: ArrayLike | None = None,
    reduction: str = "mean",
) -> Any:
    r"""Absolute error with a smooth minimum.

    For an element with residual r = input - target and weight w:

    .. math::
        \ell = w \begin{cases} r^2 / (2 \beta) & |r| < \beta \\
                               |r| - \beta / 2 & |r| \ge \beta. \end{cases}

    Parameters
    ----------
    input : array_like, any shape
        Predictions in float16, bfloat16, float32 or float64. Subnormal numbers count as 0.
    target : array_like of any real dtype, shape of `input`, or a scalar
        What was to be predicted. Other shapes do not broadcast.
    beta : float, optional
        The residual at which the square ends, at least 0 and finite; at 0 the loss is
        `l1_loss`.
    weight : array_like that broadcasts to `input`, optional
        One number per element. An element of weight 0 has loss 0, whatever it holds.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the sum of the weights, or by the number of elements without them.

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
    return _core.pointwise_loss(
        _SMOOTH_L1, _VALUE, input, target, weight, None, 0.0, None, beta, "exact", reduction, None,
        None,
    )  # fmt: skip


# -- information theory ---------------------------------------------------------------------------


def kl_div(
    input: ArrayLike, target: ArrayLike, *, log_target: bool = False, reduction: str = "mean"
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
        Log-probabilities of the model in float16, bfloat16, float32 or float64.
    target : array_like of any real dtype, shape of `input`, or a scalar
        Probabilities, or their logarithms if `log_target`.
    log_target : bool, optional
        Whether `target` holds logarithms; -inf among them is probability 0.
    reduction : {"mean", "batchmean", "sum", "none"}, optional
        "mean" divides the sum by the number of elements, "batchmean" by the length of axis 0.

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
    return _core.pointwise_loss(
        _KL_DIV_LOG if log_target else _KL_DIV, _VALUE, input, target, None, None, 0.0, None, 0.0,
        "exact", reduction, None, None,
    )  # fmt: skip


def entropy(p: ArrayLike, axis: int = -1) -> Any:
    r"""Entropy along an axis: :math:`H(p) = -\sum_k p_k \log p_k`, in nats, with 0 log 0 = 0.

    Parameters
    ----------
    p : array_like, any shape with at least one axis
        Probabilities in float16, bfloat16, float32 or float64, taken as they are, whatever their
        sum.
    axis : int, optional
        The axis that is summed over.

    Returns
    -------
    ndarray, or NumPy scalar for 1-D `p`
        float64 for float64 `p`, else float32. NaN where p is negative or NaN along the axis.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If `axis` does not fit.

    References
    ----------
    Shannon, "A mathematical theory of communication", Bell Syst. Tech. J. 27 (1948), section 6.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> ce.entropy(np.array([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0]])).round(4)
    array([0.8018, 0.    ])
    """
    return _core.axis_sum(_ENTROPY, p, None, axis)


def relative_entropy(p: ArrayLike, q: ArrayLike, axis: int = -1) -> Any:
    r"""Kullback-Leibler divergence along an axis: :math:`D(p \| q) = \sum_k p_k \log(p_k / q_k)`.

    In nats; a term with p = 0 is 0.

    Parameters
    ----------
    p : array_like, any shape with at least one axis
        Probabilities in float16, bfloat16, float32 or float64, taken as they are, whatever their
        sum.
    q : array_like, shape of `p`
        The probabilities that those of `p` are compared with, likewise.
    axis : int, optional
        The axis that is summed over.

    Returns
    -------
    ndarray, or NumPy scalar for 1-D `p`
        float64 for float64 `p`, else float32. inf where p > 0 and q = 0; NaN where p or q is
        negative or NaN along the axis.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If the shapes differ or `axis` does not fit.

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
    return _core.axis_sum(_RELATIVE_ENTROPY, p, q, axis)


def cross_entropy_between(p: ArrayLike, q: ArrayLike, axis: int = -1) -> Any:
    r"""Cross-entropy of two distributions along an axis: :math:`H(p, q) = -\sum_k p_k \log q_k`.

    In nats; a term with p = 0 is 0. It is the sum of `entropy` of p and `relative_entropy`.

    Parameters
    ----------
    p : array_like, any shape with at least one axis
        True probabilities in float16, bfloat16, float32 or float64, taken as they are, whatever
        their sum.
    q : array_like, shape of `p`
        The probabilities of the model, likewise.
    axis : int, optional
        The axis that is summed over.

    Returns
    -------
    ndarray, or NumPy scalar for 1-D `p`
        float64 for float64 `p`, else float32. inf where p > 0 and q = 0; NaN where p or q is
        negative or NaN along the axis.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If the shapes differ or `axis` does not fit.

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
    return _core.axis_sum(_CROSS_ENTROPY_BETWEEN, p, q, axis)


def perplexity(
    logits: ArrayLike, target: ArrayLike, *, ignore_index: int = -100, axis: int | None = None
) -> Any:
    r"""Perplexity: the exponential of the mean cross-entropy of logits and class indices.

    .. math::
        \exp \Big( \frac{1}{n} \sum_i (\mathrm{lse}(z_i) - z_{i t_i}) \Big)
        \quad \text{over the n items that are not ignored.}

    It is the number of classes among which an even guess would do as well.

    Parameters
    ----------
    logits : array_like, shape (C,), (N, C) or (N, C, d1, ..., dk)
        Unnormalised log-probabilities in float16, bfloat16, float32 or float64.
    target : array_like of any integer dtype, shape of `logits` less the class axis
        Class indices in [0, C), or `ignore_index`.
    ignore_index : int, optional
        Items with this target do not count; their logits are never read.
    axis : int, optional
        The class axis; by default axis 1, or 0 for a single item of shape (C,).

    Returns
    -------
    NumPy scalar
        float64 for float64 logits, else float32. NaN and inf where the mean cross-entropy is, and
        inf where the exponential overflows; the perplexity of nothing is NaN.

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
    cross_entropy : its logarithm.

    References
    ----------
    Jelinek, Mercer, Bahl and Baker, "Perplexity - a measure of the difficulty of speech
    recognition tasks", J. Acoust. Soc. Am. 62 (1977).

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> ce.perplexity(np.zeros((3, 10)), [4, 7, -100]).round(5)
    np.float64(10.0)
    """
    return _core.softmax_loss(
        _CROSS_ENTROPY, _VALUE, logits, target, None, None, ignore_index,
        0.0, 0.0, "exact", _core.PERPLEXITY, axis, None, None,
    )  # fmt: skip


def one_hot(
    target: ArrayLike, num_classes: int, *, dtype: DTypeLike = np.float32, axis: int = -1
) -> NDArray[Any]:
    """Class indices as rows of zeros with a one at the class.

    Parameters
    ----------
    target : array_like of any integer dtype, any shape
        Class indices in [0, num_classes).
    num_classes : int
        The length of the new axis.
    dtype : data-type, optional
        The dtype of the result.
    axis : int, optional
        Where the new axis stands in the result.

    Returns
    -------
    ndarray
        The shape of `target` with an axis of length `num_classes` more.

    Raises
    ------
    TypeError
        If the dtype of `target` is not an integer one, or an option is not of its type.
    ValueError
        If `num_classes` or `axis` is out of its range.
    IndexError
        If a class index is out of range; the message names its position.

    References
    ----------
    ``torch.nn.functional.one_hot``, whose result is int64.

    Examples
    --------
    >>> import ce
    >>> ce.one_hot([2, 0], 3)
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    >>> ce.one_hot([2, 0], 3, dtype=int, axis=0)
    array([[0, 1],
           [0, 0],
           [1, 0]])
    """
    t = np.asarray(_check.indices("target", target))
    classes = _check.classes(num_classes)
    place = _check.axis(axis, t.ndim + 1)
    if place > t.ndim:
        _check.bad_axis("the result", axis, t.ndim + 1)
    if t.size and not (int(t.min()) >= 0 and int(t.max()) < classes):
        _check.bad_class(t, int(np.argmax((t < 0) | (t >= classes))), classes)
    shape = list(t.shape)
    shape.insert(place % (t.ndim + 1), classes)
    result = np.zeros(shape, dtype)
    np.put_along_axis(result, np.expand_dims(t, place), 1, place)
    return result


# -- normalisers ----------------------------------------------------------------------------------


def logsumexp(
    x: ArrayLike, axis: int = -1, *, keepdims: bool = False, out: NDArray[Any] | None = None
) -> Any:
    r"""Logarithm of the sum of exponentials along an axis: :math:`\log \sum_k e^{x_k}`, in nats.

    Parameters
    ----------
    x : array_like, any shape with at least one axis
        float16, bfloat16, float32 or float64.
    axis : int, optional
        The axis that is summed over.
    keepdims : bool, optional
        Keep that axis, with length 1.
    out : ndarray, optional
        Receives the result: its shape and dtype, any strides, apart from `x`.

    Returns
    -------
    ndarray, or NumPy scalar for 1-D `x`
        float64 for float64 `x`, else float32. -inf for an empty axis or one of -inf only;
        inf where there is a +inf and no NaN; NaN where there is a NaN.

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
    x : array_like, any shape with at least one axis
        float16, bfloat16, float32 or float64; half types are computed in float32.
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
    x : array_like, any shape with at least one axis
        float16, bfloat16, float32 or float64; half types are computed in float32.
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
    output : array_like
        y, the result of ``softmax(x, axis)``, in float16, bfloat16, float32 or float64.
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
    output : array_like
        y, the result of ``log_softmax(x, axis)``, in float16, bfloat16, float32 or float64.
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
        The gradient g with respect to the log-sum-exp, in any real dtype.
    x : array_like
        float16, bfloat16, float32 or float64.
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
