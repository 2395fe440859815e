"""exact.py - exact arithmetic for the definitions: softmax in long double, with errors.

The definitions are the mathematics, evaluated in long double (11 bits more than float64) with the
quotients written out, and they say for every number how far from it a result may be.
"""

from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np

WIDE = np.longdouble
WIDE_IS_WIDER = np.finfo(WIDE).eps < 2e-19
FLOAT16, BFLOAT16 = np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)
# The half types: significant bits, spacing of the subnormals, below what a number may be 0, and
# from what it is infinite.
HALF = {FLOAT16: (11, 2.0**-24, 0.0, 65520.0), BFLOAT16: (8, 2.0**-133, 2.0**-126, 3.4e38)}
# Half types are computed with in float32: its unit roundoff counts.
UNIT = {np.dtype(np.float32): 2.0**-24, np.dtype(np.float64): 2.0**-53}
UNIT |= dict.fromkeys(HALF, 2.0**-24) | {np.dtype(WIDE): float(np.finfo(WIDE).eps) / 2}
# Below this a probability may be rounded to zero: the results hold no subnormal numbers.
FLOOR = {np.dtype(np.float32): 1e-36, np.dtype(np.float64): 1e-290, np.dtype(WIDE): 0.0}
FLOOR |= dict.fromkeys(HALF, 1e-36)


def real(dtype) -> type:
    """The type that values come back in: float32 for the half types."""
    dtype = np.dtype(dtype)
    return np.float32 if dtype in HALF else dtype.type


@dataclass(frozen=True)
class Exact:
    """A number or an array, and the absolute error that a result may have against it."""

    value: np.ndarray
    error: np.ndarray


@dataclass(frozen=True)
class Derivatives:
    """The value of a loss, its gradient, and the diagonal of its Hessian."""

    loss: Exact
    grad: Exact
    hess: Exact


def stored(exact: Exact, dtype, formats=HALF) -> Exact:
    """The same after rounding to a half type: half a unit in the last place more."""
    if np.dtype(dtype) not in formats:
        return exact
    bits, least, flushed, limit = formats[np.dtype(dtype)]
    value, error = np.asarray(exact.value), np.asarray(exact.error)
    low, high = abs(value) - error, abs(value) + error
    spacing = np.maximum(np.ldexp(WIDE(1), np.frexp(high)[1] - bits), least)
    error = error + spacing / 2 + np.where(high < 2 * flushed, flushed, 0)
    error = np.where((low < limit) & (high >= limit), np.inf, error)
    return Exact(np.where(low >= limit, np.copysign(np.inf, value), value), error)


def reduced(loss: Exact, size, reduction: str, dtype, shape: tuple[int, ...]) -> Exact:
    """The losses of items or elements, their sum, or that divided by the size.

    Sums over n items, that of the weights for the mean among them, are taken in float64: n / 2
    roundings of the size of the sum at worst, then one to the dtype.
    """
    u, floor = UNIT[np.dtype(dtype)], FLOOR[np.dtype(dtype)]
    value, error = np.asarray(loss.value), np.asarray(loss.error)
    error = error + floor * (abs(value) < floor)
    if reduction == "none":
        return Exact(value.reshape(shape), error.reshape(shape))
    total = value.sum()
    error = error.sum() + value.size / 2 * UNIT[np.dtype(np.float64)] * abs(value).sum()
    error = error + u * abs(total)
    if reduction == "sum":
        return Exact(total, error)
    with np.errstate(all="ignore"):
        return Exact(total / size, error / abs(size) + 2 * u * abs(total / size))


def scaled(exact: Exact, scale, dtype) -> Exact:
    """The numbers times a factor each, in that dtype; below the floor 0 will do."""
    value, error = times(scale, exact.value), times(abs(scale), exact.error)
    floor = FLOOR[np.dtype(dtype)]
    return stored(Exact(value, error + floor * (abs(value) < floor)), dtype)


@dataclass(frozen=True)
class Softmax:
    """Per row and class p, 1 - p and -log p, with the errors allowed; per row log-sum-exp.

    With D = m - z_k and D = m - (largest other logit) at the maximum itself, rounding z_k - m
    costs u D and the rest 8 u, relatively. Away from the maximum 1 - p and -log p are sums
    without cancellation, so 8 u will do for them. Logits that are off by `off` take twice that of
    p (1 - p), and of -log p twice that of 1 - p.
    """

    p: Exact
    others: Exact
    surprise: Exact
    lse: Exact


def times(a, b) -> np.ndarray:
    """The product, where 0 times anything is 0."""
    with np.errstate(invalid="ignore"):
        return np.where((a == 0) | (b == 0), 0, a * b)


def softmax_facts(z: np.ndarray, dtype: np.dtype, off=0) -> Softmax:
    """p_k = e^z_k / sum_j e^z_j, 1 - p_k = sum of the other p_j, and -log p_k, of rows."""
    u, floor = UNIT[dtype], FLOOR[dtype]
    z = z.astype(WIDE)
    top = np.arange(z.shape[1]) == z.argmax(1)[:, None]
    gap = z.max(1, keepdims=True) - z
    e = np.exp(-gap)
    rest = np.where(top, 0, e).sum(1, keepdims=True)
    others = np.where(top, rest, rest + 1 - e)
    with np.errstate(divide="ignore"):
        p, q, surprise = e / (rest + 1), others / (rest + 1), np.log1p(others / e)
    runner_up = np.where(top, np.inf, gap).min(1, keepdims=True)
    runner_up = np.where(np.isfinite(runner_up), runner_up, 0)
    near = (runner_up + 8) * u
    moved = 2 * off * p * q
    lse = (z.max(1, keepdims=True) + np.log1p(rest))[:, 0]
    q_off = np.where(top, q * near, 8 * u * q + times(p, gap) * u) + floor * (q < floor)
    surprise_off = np.where(top, surprise * near, 8 * u * surprise) + floor * (surprise < floor)
    return Softmax(
        Exact(p, times(p, gap + 8) * u + floor * (p < floor) + moved),
        Exact(q, q_off + moved),
        Exact(surprise, surprise_off + 2 * off * q),
        Exact(lse, 8 * u * np.log1p(rest)[:, 0] + np.broadcast_to(off, rest.shape)[:, 0]),
    )


def class_axis(rank: int, axis: int | None) -> int:
    """Axis 1, or 0 where there is no other, unless one is given."""
    return min(1, rank - 1) if axis is None else axis % rank


def in_rows(x: np.ndarray, axis: int) -> np.ndarray:
    """The array with its class axis last and all others in one."""
    return np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])


def from_rows(rows: np.ndarray, shape: tuple[int, ...], axis: int) -> np.ndarray:
    """The inverse of `in_rows`."""
    rest = shape[:axis] + shape[axis + 1 :]
    return np.moveaxis(rows.reshape(*rest, shape[axis]), -1, axis)
