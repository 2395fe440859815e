"""Losses of labels that do not exclude each other: from probabilities, or from logits."""

from __future__ import annotations

from typing import Any, Literal, overload

from numpy.typing import ArrayLike

from ce._core import VALUE, Prepared, call
from ce._criterion import Array, Loss, R, Reduced, Scalar, criterion

_BCE = Prepared("bce")


@overload
def binary_cross_entropy(
    probs: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    reduction: Literal["none"],
) -> Array: ...
@overload
def binary_cross_entropy(
    probs: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    reduction: Reduced = ...,
) -> Scalar: ...
def binary_cross_entropy(
    probs: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    normalizer: float | None = None,
    reduction: Reduced | Literal["none"] = "mean",
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
        Probabilities in [0, 1], in float16, bfloat16, float32 or float64; integers and booleans
        count as float64.
    target : array_like of any real dtype, shape of `probs`, or a scalar
        Labels in [0, 1]. Floating ones that are wider than the first argument are not rounded.
    weight : array_like that broadcasts to `probs`, optional
        One number per element. An element of weight 0 has loss 0.
    sample_weight : array_like that broadcasts to `probs`, optional
        One number v per element, which multiplies its loss, or a mask: an element of weight 0 (or
        False) is not read, not checked and not counted.
    normalizer : float, optional
        What the mean divides by instead, above 0. The mean over nothing is then 0.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the number of elements, also with `weight`; with `sample_weight` by
        the sum of v.

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
    return call(
        _BCE, VALUE, probs, target, sample_weight, normalizer, weight=weight, reduction=reduction,
    )  # fmt: skip


@criterion
class BCELoss(Loss[R]):
    r"""Cross-entropy of yes-or-no labels and probabilities, with gradient and diagonal Hessian.

    With the letters of `binary_cross_entropy`:

    .. math::
        \frac{\partial \ell}{\partial x} = w\, \frac{x - y}{x (1 - x)}, \qquad
        \frac{\partial^2 \ell}{\partial x^2}
            = w \Big[ \frac{y}{x^2} + \frac{1 - y}{(1 - x)^2} \Big]

    The gradient's denominator is at least 1e-12, and the Hessian takes x no closer than 1e-12 to
    0 and 1, so both are finite there in float32 and float64.

    Parameters
    ----------
    weight, reduction
        As in `binary_cross_entropy`.

    References
    ----------
    ``torch.nn.BCELoss``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> loss, grad = ce.BCELoss().value_and_grad(np.array([0.8, 0.1]), [1, 0])
    >>> loss.round(5)
    np.float64(0.16425)
    >>> grad.round(4)
    array([-0.625 ,  0.5556])
    """

    _loss = "bce"
    _function = "binary_cross_entropy"

    weight: ArrayLike | None = None
    reduction: R = "mean"  # type: ignore[assignment]


_BCE_WITH_LOGITS = Prepared("bce_with_logits")


@overload
def binary_cross_entropy_with_logits(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = ...,
    pos_weight: ArrayLike | None = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    reduction: Literal["none"],
) -> Array: ...
@overload
def binary_cross_entropy_with_logits(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = ...,
    pos_weight: ArrayLike | None = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    reduction: Reduced = ...,
) -> Scalar: ...
def binary_cross_entropy_with_logits(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    normalizer: float | None = None,
    reduction: Reduced | Literal["none"] = "mean",
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
        Log-odds in float16, bfloat16, float32 or float64; integers and booleans count as float64.
    target : array_like of any real dtype, shape of `logits`, or a scalar
        Labels, as a rule in [0, 1]; others are taken as they are. Floating ones that are wider
        than the logits are not rounded.
    weight : array_like that broadcasts to `logits`, optional
        One number per element. An element of weight 0 has loss 0, whatever it holds.
    pos_weight : array_like that broadcasts to `logits`, optional
        The weight u of the part y of each label; above 1 it favours recall.
    sample_weight : array_like that broadcasts to `logits`, optional
        One number v per element, which multiplies its loss, or a mask: an element of weight 0 (or
        False) is not read, not checked and not counted.
    normalizer : float, optional
        What the mean divides by instead, above 0. The mean over nothing is then 0.
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
    return call(
        _BCE_WITH_LOGITS, VALUE, logits, target, sample_weight, normalizer,
        weight=weight, pos_weight=pos_weight, reduction=reduction,
    )  # fmt: skip


@criterion
class BCEWithLogitsLoss(Loss[R]):
    r"""Cross-entropy of yes-or-no labels and logits, with gradient and diagonal Hessian.

    With :math:`\sigma(x) = 1 / (1 + e^{-x})` and the letters of `binary_cross_entropy_with_logits`:

    .. math::
        \frac{\partial \ell}{\partial x} &= w\, [\, (1 - y)\, \sigma(x) - u\, y\, \sigma(-x) \,] \\
        \frac{\partial^2 \ell}{\partial x^2} &= w\, (1 - y + u y)\, \sigma(x)\, \sigma(-x)

    Small gradients are exact: 1 - sigma(x) is computed as sigma(-x).

    Parameters
    ----------
    weight, pos_weight, reduction
        As in `binary_cross_entropy_with_logits`.

    References
    ----------
    ``torch.nn.BCEWithLogitsLoss``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> criterion = ce.BCEWithLogitsLoss(reduction="sum")
    >>> loss, grad = criterion.value_and_grad(np.array([1.5, -0.5]), [1, 0])
    >>> loss.round(5)
    np.float64(0.67549)
    >>> grad.round(4)
    array([-0.1824,  0.3775])
    """

    _loss = "bce_with_logits"
    _function = "binary_cross_entropy_with_logits"

    weight: ArrayLike | None = None
    pos_weight: ArrayLike | None = None
    reduction: R = "mean"  # type: ignore[assignment]


_SIGMOID_FOCAL = Prepared("sigmoid_focal")


@overload
def sigmoid_focal_loss(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    gamma: float = ...,
    alpha: float | None = ...,
    weight: ArrayLike | None = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    reduction: Literal["none"],
) -> Array: ...
@overload
def sigmoid_focal_loss(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    gamma: float = ...,
    alpha: float | None = ...,
    weight: ArrayLike | None = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    reduction: Reduced = ...,
) -> Scalar: ...
def sigmoid_focal_loss(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    gamma: float = 2.0,
    alpha: float | None = 0.25,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    normalizer: float | None = None,
    reduction: Reduced | Literal["none"] = "mean",
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
        Log-odds in float16, bfloat16, float32 or float64; integers and booleans count as float64.
    target : array_like of any real dtype, shape of `logits`, or a scalar
        Labels in [0, 1]. Floating ones that are wider than the first argument are not rounded.
    gamma : float, optional
        How fast easy elements fade, in [0, 1e6]; at 0 the loss is a times cross-entropy.
    alpha : float or None, optional
        The weight of label 1, that of label 0 being ``1 - alpha``; None weighs both with 1.
    weight : array_like that broadcasts to `logits`, optional
        One number per element. An element of weight 0 has loss 0, whatever it holds.
    sample_weight : array_like that broadcasts to `logits`, optional
        One number v per element, which multiplies its loss, or a mask: an element of weight 0 (or
        False) is not read, not checked and not counted.
    normalizer : float, optional
        What the mean divides by instead, above 0. The mean over nothing is then 0.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the number of elements, also with `weight`; with `sample_weight` by
        the sum of v.

    Returns
    -------
    NumPy scalar, or array of the shape of `logits` for reduction "none"
        float64 for float64 logits, else float32.

        NaN where a logit is NaN; 0 where a logit of +-inf agrees with its label, inf
        where it does not; the mean over nothing is NaN.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If shapes do not fit, an option is out of its range, or a label is NaN or outside [0, 1];
        the message names the position of the first.

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
    return call(
        _SIGMOID_FOCAL, VALUE, logits, target, sample_weight, normalizer,
        gamma=gamma, alpha=alpha, weight=weight, reduction=reduction,
    )  # fmt: skip


@criterion
class SigmoidFocalLoss(Loss[R]):
    r"""Focal loss of the sigmoid of logits, with gradient and diagonal Hessian.

    With :math:`s = \sigma(x)`, :math:`n = \sigma(-x)`, and the letters of `sigmoid_focal_loss`:

    .. math::
        E &= (1 - 2 y)\, s\, n / R \quad (0 / 0 = 0) \\
        \frac{\partial \ell}{\partial x} &= w\, a\, R^\gamma [\, s - y + \gamma\, E\, c \,] \\
        \frac{\partial^2 \ell}{\partial x^2} &= w\, a\, R^\gamma \big[\, s n
            + 2 \gamma\, E\, (s - y)
            + \gamma\, c\, \big( (\gamma - 1) E^2 + E\, (n - s) \big) \big]

    The Hessian is negative on hard elements; `grad_and_hess` has others that are not. Small
    gradients are exact, and finite for every gamma.

    Parameters
    ----------
    gamma, alpha, weight, reduction
        As in `sigmoid_focal_loss`.

    References
    ----------
    Lin, Goyal, Girshick, He and Dollár, "Focal loss for dense object detection", ICCV 2017,
    section 3.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> criterion = ce.SigmoidFocalLoss(reduction="sum")
    >>> loss, grad = criterion.value_and_grad(np.array([1.5, -1.0, 0.0]), [1, 1, 0])
    >>> loss.round(5)
    np.float64(0.30711)
    >>> grad.round(4)
    array([-0.0043, -0.1921,  0.2237])
    """

    _loss = "sigmoid_focal"
    _function = "sigmoid_focal_loss"

    gamma: float = 2.0
    alpha: float | None = 0.25
    weight: ArrayLike | None = None
    reduction: R = "mean"  # type: ignore[assignment]
