"""regression.py - the losses of numbers: x is the input, y the target, r = x - y."""

from __future__ import annotations

import mpmath
import numpy as np
from mpmath import mpf

from oracle.elements import Terms, elementwise, sum_of
from oracle.exact import BFLOAT16, WIDE
from oracle.jets import of_elements
from oracle.rows import (
    COLUMN_WEIGHT,
    ELEMENT_WEIGHT,
    NEGATIVE,
    NO_NUMBERS,
    Curve,
    Measured,
    Torch,
    Wrong,
    always,
    over_elements,
)

# The powers of 2 whose squares are finite.
POWERS = {np.float32: 62, np.float64: 505, np.float16: 15, BFLOAT16.type: 62}


def pairs(rng, shape, axis, dtype):
    """Numbers of all sizes from 1e-3 to 1e2, some of them equal, some of them close."""
    x, r = (rng.normal(size=shape) * 10 ** rng.uniform(-3, 2, shape) for _ in range(2))
    return x.astype(dtype), (x + r * (rng.random(shape) < 0.9)).astype(dtype)


def ends(rng, n, dtype):
    """Residuals of either sign from tiny ones to those whose squares overflow."""
    power = POWERS[dtype]
    low = -14 if dtype is np.float16 else -min(power, 58)
    x = np.exp2(rng.uniform(low, power, n)) * rng.choice([-1, 1], n)
    y = x * (1 + rng.choice([0, 1e-3, -1, -2, 0.5], n))
    return x.astype(dtype), y.astype(dtype)


def tails(rng, n, dtype):
    """Numbers of all sizes from 1e-3 to 1e2, some of them equal, some of them close."""
    x, r = (rng.normal(size=n) * 10 ** rng.uniform(-3, 2, n) for _ in range(2))
    yield x.astype(dtype), (x + r * (rng.random(n) < 0.95)).astype(dtype)


def expanded(name):
    """torch's function; its weights have the shape of the input."""

    def function(x, y, weight=None, **options):
        from torch.nn import functional

        if weight is not None:
            options["weight"] = weight.expand_as(x)
        return getattr(functional, name)(x, y, **options)

    return Torch(function)


def weighted(name):
    """torch's function with the weighted mean of its mse_loss: divided by the sum of the weights.

    Its huber_loss divides by their number, and its smooth_l1_loss has none.
    """

    def function(x, y, weight=None, reduction="mean", **options):
        from torch.nn import functional

        function = getattr(functional, name)
        if weight is None:
            return function(x, y, reduction=reduction, **options)
        loss = function(x, y, reduction="none", **options) * weight
        total = loss if reduction == "none" else loss.sum()
        return total / weight.expand_as(x).sum() if reduction == "mean" else total

    return Torch(function)


FACTS = {
    "arrays": pairs,
    "input": "input",
    "ends": ends,
    "measured": (Measured(tails),),
    "axis": "residual",
}


# -- squared error --------------------------------------------------------------------------------


@elementwise(mean_by_weight=True)
def mse_loss(x, y):
    """r^2 with r = x - y."""
    r = x - y
    return sum_of(r * r), sum_of(2 * r), Terms(WIDE(2), WIDE(0))


def mse_formula(x, y):
    r = x - y
    return r * r


MSE = over_elements(
    (COLUMN_WEIGHT,), (ELEMENT_WEIGHT,),
    name="mse_loss", criterion="MSELoss", core="mse", define=mse_loss,
    truth=of_elements(mse_formula), torch=expanded("mse_loss"), curves=(Curve(),), **FACTS,
)  # fmt: skip


# -- absolute error -------------------------------------------------------------------------------


@elementwise(mean_by_weight=True)
def l1_loss(x, y):
    """|r|, and sign(r) with sign(0) = 0."""
    r = x - y
    return sum_of(abs(r)), Terms(np.sign(r), 0 * r), Terms(0 * r, 0 * r)


def l1_formula(x, y):
    return (x - y) * mpmath.sign(x.v - y)


L1 = over_elements(
    (COLUMN_WEIGHT,), (ELEMENT_WEIGHT,),
    name="l1_loss", criterion="L1Loss", core="l1", define=l1_loss, truth=of_elements(l1_formula),
    torch=expanded("l1_loss"), kinks=(0,), curves=(Curve(),), **FACTS,
)  # fmt: skip


# -- Huber ----------------------------------------------------------------------------------------


@elementwise(mean_by_weight=True)
def huber_loss(x, y, delta=1.0):
    """r^2 / 2 where |r| <= delta, else delta (|r| - delta / 2)."""
    r, delta = abs(x - y), WIDE(delta)
    inside = r <= delta
    value = np.where(inside, r * r / 2, delta * (r - delta / 2))
    size = np.where(inside, value, delta * (r + delta / 2))
    grad = np.sign(x - y) * np.minimum(r, delta)
    return Terms(value, size), sum_of(grad), Terms(np.where(inside, WIDE(1), 0), 0 * r)


def huber_formula(x, y, delta=1):
    r = l1_formula(x, y)
    return mse_formula(x, y) * mpf(0.5) if r.v <= delta else delta * (r - mpf(delta) / 2)


# All but infinity, with which it is half the squared error.
NO_NUMBER_AT_ALL = [wrong for wrong in NO_NUMBERS if wrong.value is not np.inf]
DELTA, LARGE_DELTA = (
    always("delta", delta, Wrong(0, ValueError, ("0",)), *NEGATIVE, *NO_NUMBER_AT_ALL)
    for delta in (0.375, 20)
)
HUBER = over_elements(
    (COLUMN_WEIGHT,), (DELTA,), (LARGE_DELTA, ELEMENT_WEIGHT),
    name="huber_loss", criterion="HuberLoss", core="huber", define=huber_loss,
    truth=of_elements(huber_formula), torch=weighted("huber_loss"), kinks=(0.375, 1, 20),
    curves=(
        Curve(", δ = 1"),
        Curve(", δ = 0.5", {"delta": [0.5]}, options={"delta": 0.5}),
    ), **FACTS,
)  # fmt: skip


# -- smooth L1 ------------------------------------------------------------------------------------


@elementwise(mean_by_weight=True)
def smooth_l1_loss(x, y, beta=1.0):
    """r^2 / (2 beta) where |r| < beta, else |r| - beta / 2."""
    r, beta = abs(x - y), WIDE(beta)
    inside, b = r < beta, beta or WIDE(1)
    value = np.where(inside, r * r / (2 * b), r - beta / 2)
    size = np.where(inside, value, r + beta / 2)
    grad = np.sign(x - y) * np.where(inside, r / b, 1)
    return Terms(value, size), sum_of(grad), sum_of(np.where(inside, 1 / b, 0))


def smooth_l1_formula(x, y, beta=1):
    r = l1_formula(x, y)
    return mse_formula(x, y) * (mpf(0.5) / beta) if r.v < beta else r - mpf(beta) / 2


NO_BETA, BETA, LARGE_BETA = (always("beta", b, *NEGATIVE, *NO_NUMBERS) for b in (0, 0.375, 20))
SMOOTH_L1 = over_elements(
    (COLUMN_WEIGHT,), (NO_BETA,), (BETA,), (LARGE_BETA, ELEMENT_WEIGHT),
    name="smooth_l1_loss", criterion="SmoothL1Loss", core="smooth_l1", define=smooth_l1_loss,
    truth=of_elements(smooth_l1_formula), torch=weighted("smooth_l1_loss"),
    kinks=(0, 0.375, 1, 20),
    curves=(Curve(", β = 2", {"beta": [2]}, options={"beta": 2}),), **FACTS,
)  # fmt: skip


ROWS = [MSE, L1, HUBER, SMOOTH_L1]
