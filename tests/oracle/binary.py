"""binary.py - the losses of two classes: x is a probability or a logit, y the label."""

from __future__ import annotations

from functools import partial

import mpmath
import numpy as np
from mpmath import mpf

from oracle.elements import Terms, elementwise, sigmoid, softplus, sum_of
from oracle.exact import WIDE, times
from oracle.inputs import REACH, near_the_ends
from oracle.jets import Jet, exp, log, of_elements
from oracle.rows import (
    COLUMN_WEIGHT,
    ELEMENT_WEIGHT,
    GAMMAS,
    HESSIANS,
    OF_ELEMENTS,
    Curve,
    Measured,
    Option,
    Torch,
    Wrong,
    always,
    over_elements,
    per_column,
    per_item,
)


def _labels(rng, shape, dtype, soft):
    hard = rng.integers(0, 2, shape)
    return np.where(rng.random(shape) < soft, rng.uniform(0, 1, shape), hard).astype(dtype)


def logits_and_labels(rng, shape, axis, dtype, soft=0.0):
    """Logits up to far beyond where 1 - p vanishes."""
    x = rng.normal(size=shape) * rng.choice([1, 4, 20], shape)
    return x.astype(dtype), _labels(rng, shape, dtype, soft)


def ends_of_logits(rng, n, dtype, soft=False):
    """As far as e^x reaches, and some farther; some soft labels close to 0 or 1."""
    x = np.linspace(-REACH[dtype], REACH[dtype], n)
    y = rng.uniform(0, 1, n) if soft else rng.choice([0, 1], n)
    most = {np.float16: 15, np.float64: 1000}.get(dtype, 126)
    x[::5] *= np.exp2(rng.uniform(0, most - np.log2(REACH[dtype]), len(x[::5])))
    if soft:
        close = np.exp2(rng.uniform(-max(most - 26, 14), 0, len(y[::2])))  # |x| of it beside e^-|x|
        y[::2] = np.where(rng.random(len(close)) < 0.7, close, 1 - close)
    return x.astype(dtype), y.astype(dtype)


def tails_of_logits(rng, n, dtype, soft=0.0):
    """Of any size up to 100, or 600 in float64; ordinary ones; tiny ones."""
    y = np.where(rng.random(n) < soft, rng.uniform(0, 1, n), rng.integers(0, 2, n))
    sizes = [rng.uniform(-100, 100, n), rng.normal(0, 4, n), 10 ** rng.uniform(-8, 0, n)]
    sizes[0][::5] *= 6 if dtype == np.float64 else 1
    special = [0.0, 1e-4, -1e-4, 17, -17, 37, -37, 87, -87, 88, -88, 100, -100]
    x = np.choose(rng.integers(0, 3, n), sizes)
    x[: len(special)] = special[:n]
    yield x.astype(dtype), y.astype(dtype)


# -- of probabilities -----------------------------------------------------------------------------


@elementwise()
def binary_cross_entropy(x, y):
    """-y max(log x, -100) - (1 - y) max(log(1 - x), -100).

    The derivatives are torch's: they are kept finite at 0 and 1 by bounds on their denominators.
    """
    logs = np.maximum(np.log(x), -100), np.maximum(np.log1p(-x), -100)
    loss = sum_of(-y * logs[0], -(1 - y) * logs[1])
    grad = sum_of((x - y) / np.maximum(x * (1 - x), WIDE(1e-12)))
    low, high = np.maximum(x, WIDE(1e-12)), np.maximum(1 - x, WIDE(1e-12))
    return loss, grad, sum_of(y / low**2, (1 - y) / high**2)


def bce_formula(x, y):
    """With torch's bounds: logarithms of -100, denominators of 1e-12."""
    p, q, least = x.v, 1 - x.v, mpf(10) ** -12
    log_p, log_q = (mpmath.log(a) if a else mpf("-inf") for a in (p, q))
    return Jet(
        -y * max(log_p, -100) - (1 - y) * max(log_q, -100),
        (p - y) / max(p * q, least),
        y / max(p, least) ** 2 + (1 - y) / max(q, least) ** 2,
    )


def probabilities_and_labels(rng, shape, axis, dtype):
    """From all of [0, 1], the ends included; some labels are soft."""
    x = rng.uniform(0, 1, shape) * 10 ** rng.uniform(-6, 0, shape)
    ends = rng.choice([0, 1, 2, 3], shape, p=[0.05, 0.05, 0.4, 0.5])
    x = np.select([ends == 0, ends == 1, ends == 2], [0, 1, x], 1 - x)
    return x.astype(dtype), _labels(rng, shape, dtype, 0.3)


def ends_of_probabilities(rng, n, dtype):
    """Down to the least normal number, and as near to 1 as there are numbers."""
    least = {np.float16: -24, np.float64: -1000}.get(dtype, -120)
    x = np.exp2(rng.uniform(least, 0, n))
    x = np.where(rng.random(n) < 0.3, 1 - np.exp2(rng.uniform(-53, 0, n)), x)
    y = np.where(rng.random(n) < 0.5, rng.integers(0, 2, n), rng.uniform(0, 1, n))
    return x.astype(dtype), y.astype(dtype)


def tails_of_probabilities(rng, n, dtype):
    """Some labels are soft."""
    y = np.where(rng.random(n) < 0.3, rng.uniform(0, 1, n), rng.integers(0, 2, n))
    yield near_the_ends(rng, n, dtype), y.astype(dtype)


BCE = over_elements(
    (COLUMN_WEIGHT,), (ELEMENT_WEIGHT,),
    name="binary_cross_entropy", criterion="BCELoss", core="bce", define=binary_cross_entropy,
    truth=of_elements(bce_formula), input="probs", domain=(0, 1), arrays=probabilities_and_labels,
    ends=ends_of_probabilities, measured=(Measured(tails_of_probabilities),),
    torch=Torch("binary_cross_entropy", rtol=1e-8),  # its bound of 1e-12 is a float32
    axis="probability", curves=(Curve(", y = 1", target=1),),
)  # fmt: skip


# -- of logits ------------------------------------------------------------------------------------


@elementwise()
def binary_cross_entropy_with_logits(x, y, pos_weight=None):
    """(1 - y) sp(x) + pw y sp(-x), sp(x) = log(1 + e^x)."""
    pw = WIDE(1) if pos_weight is None else np.asarray(pos_weight).astype(WIDE)
    loss = sum_of(times(1 - y, softplus(x)), times(pw * y, softplus(-x)))
    p, q = sigmoid(x), sigmoid(-x)
    return loss, sum_of((1 - y) * p, -pw * y * q), sum_of((1 - y) * p * q, pw * y * p * q)


def bce_with_logits_formula(x, y):
    return (1 - y) * log(1 + exp(x)) + y * log(1 + exp(-x))


BCE_WITH_LOGITS = over_elements(
    (COLUMN_WEIGHT,), (Option("pos_weight", per_column, OF_ELEMENTS),),
    (ELEMENT_WEIGHT, Option("pos_weight", per_item, OF_ELEMENTS)),
    name="binary_cross_entropy_with_logits", criterion="BCEWithLogitsLoss", core="bce_with_logits",
    define=binary_cross_entropy_with_logits, truth=of_elements(bce_with_logits_formula),
    input="logits", arrays=partial(logits_and_labels, soft=0.3), ends=ends_of_logits,
    measured=(
        Measured(tails_of_logits),
        Measured(partial(tails_of_logits, soft=0.9), "soft"),
    ),
    torch=Torch("binary_cross_entropy_with_logits"), axis="logit",
    curves=(
        Curve(", y = 0", target=0),
        Curve(
            ", pos_weight = 3, y = 1", {"pos_weight": [3]}, target=1, options={"pos_weight": 3}
        ),
    ),
)  # fmt: skip


# -- focal loss -----------------------------------------------------------------------------------


@elementwise()
def sigmoid_focal_loss(x, y, gamma=2.0, alpha=0.25, hessian="exact"):
    """at R^g C with R = y n + (1 - y) p, C = y sp(-x) + (1 - y) sp(x), p = sg(x), n = sg(-x).

    at is alpha y + (1 - alpha) (1 - y), or 1. With a hard label, 0 or 1, no sum cancels.
    """
    g, p, n = WIDE(gamma), sigmoid(x), sigmoid(-x)
    at = WIDE(1) if alpha is None else WIDE(alpha) * y + (1 - WIDE(alpha)) * (1 - y)
    R, C = y * n + (1 - y) * p, times(y, softplus(-x)) + times(1 - y, softplus(x))
    at_Rg = at * np.where(R > 0, R**g, WIDE(gamma == 0))
    dR, dC = (1 - 2 * y) * p * n, (1 - y) * p - y * n
    ddR, V = dR * (n - p), np.where(R > 0, 1 / np.where(R > 0, R, 1), 0)
    terms_dC = (1 - y) * p + y * n
    grad = dC, g * V * dR * C
    hess = p * n, 2 * g * V * dR * dC, g * V * C * ((g - 1) * V * dR**2 + ddR)
    grad_terms = terms_dC, abs(grad[1])
    hess_terms = (
        p * n,
        2 * g * V * abs(dR) * terms_dC,
        g * V * C * (abs(g - 1) * V * dR**2 + abs(dR) * (n + p)),
    )
    if hessian == "gauss_newton":
        hits = y * p + (1 - y) * n  # 1 - R
        hess, hess_terms = (abs(sum(grad)) * hits,), (sum(grad_terms) * hits,)
    elif hessian == "abs":
        hess, hess_terms = (abs(sum(grad)),), grad_terms
    power = 1 + (4 * (1 + g) / 8 if gamma else 0)
    gain = 0, g * C, 1 + 2 * g + (g + g**2) * C  # of e^-|x|, where that is subnormal
    return tuple(
        Terms(times(at_Rg, sum(values)), power * times(abs(at_Rg), sum(sizes)), abs(at_Rg) * k)
        for values, sizes, k in zip(
            ((C,), grad, hess), ((C,), grad_terms, hess_terms), gain, strict=True
        )
    )


def sigmoid_focal_formula(x, y, gamma=2, alpha=0.25):
    """And Gauss-Newton's Hessian, |gradient| (1 - R)."""
    miss = y * (1 + exp(x)) ** -1 + (1 - y) * (1 + exp(-x)) ** -1
    weight = alpha * y + (1 - mpf(alpha)) * (1 - y)
    loss = weight * (miss**gamma) * bce_with_logits_formula(x, y)
    return loss, abs(loss.d) * (1 - miss.v)


def torch_sigmoid_focal(x, y, gamma=2.0, alpha=0.25, weight=None, reduction="mean"):
    """torchvision.ops.sigmoid_focal_loss."""
    import torch

    p = torch.sigmoid(x)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(x, y, reduction="none")
    loss = loss * (1 - (p * y + (1 - p) * (1 - y))) ** gamma
    if alpha is not None:
        loss = (alpha * y + (1 - alpha) * (1 - y)) * loss
    loss = loss if weight is None else loss * weight
    return loss if reduction == "none" else getattr(loss, reduction)()


def _sound(p, grad):
    """torch forms 1 - p before the power: 0 to a negative power is NaN, or has no digits."""
    if 0 < p.options.get("gamma", 2) < 1:
        return np.exp(-abs(p.x)) > 1e-3
    return None


NO_ALPHA, LARGE_ALPHA = (
    always(
        "alpha", alpha, Wrong(-0.1, ValueError, (r"-0\.1", r"\[0, 1\]")),
        Wrong(1.1, ValueError, (r"1\.1", r"\[0, 1\]")), Wrong(np.nan, ValueError, ("nan",)),
        Wrong("a", TypeError, ("'a'",)),
    )
    for alpha in (None, 0.75)
)  # fmt: skip


def sigmoid_focal(variant, soft, **facts):
    """A row for labels of 0 and 1, where no sum cancels, and one for any other."""
    return over_elements(
        *((gamma,) for gamma in GAMMAS), (NO_ALPHA,), (GAMMAS[4], LARGE_ALPHA, ELEMENT_WEIGHT),
        name="sigmoid_focal_loss", variant=variant, criterion="SigmoidFocalLoss",
        core="sigmoid_focal", define=sigmoid_focal_loss, truth=of_elements(sigmoid_focal_formula),
        input="logits", arrays=partial(logits_and_labels, soft=soft),
        ends=partial(ends_of_logits, soft=soft > 0),
        measured=(Measured(partial(tails_of_logits, soft=soft)),), hessians=HESSIANS,
        torch=Torch(torch_sigmoid_focal, sound=_sound, slack=30), axis="logit", **facts,
    )  # fmt: skip


SIGMOID_FOCAL = sigmoid_focal("hard", 0.0, curves=(Curve(", γ = 2, α = 0.25, y = 1", target=1),))
SOFT_SIGMOID_FOCAL = sigmoid_focal(
    "soft", 0.9,
    curves=(
        Curve(", γ = 2, y = 0.3", {"alpha": [None], "target": [0.3]}, 0.3, {"alpha": None}),
    ),
)  # fmt: skip


ROWS = [BCE, BCE_WITH_LOGITS, SIGMOID_FOCAL, SOFT_SIGMOID_FOCAL]
