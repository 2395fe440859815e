"""information.py - divergences, and entropies: sums over probabilities along an axis."""

from __future__ import annotations

from functools import partial

import mpmath
import numpy as np
from mpmath import mpf

from oracle.elements import Terms, elementwise, sum_of
from oracle.exact import FLOOR, UNIT, WIDE, Exact, real, times
from oracle.inputs import REACH, distributions, near_the_ends
from oracle.jets import Jet, of_axis, of_elements
from oracle.rows import Curve, Function, Measured, Torch, over_elements

# -- Kullback-Leibler divergence ------------------------------------------------------------------


@elementwise()
def kl_div(x, y, log_target=False):
    """p (log p - x), p = y, or y is log p; 0 log 0 = 0."""
    p = np.exp(y) if log_target else y
    log_p = y if log_target else np.log(np.where(p > 0, p, 1))
    loss = sum_of(times(p, log_p), -times(p, x))
    return loss, sum_of(-p), Terms(0 * x, 0 * x)


def kl_div_formula(x, y, log_target=False):
    """Of the logarithms as they are: p log p is p y."""
    if log_target:
        return mpmath.exp(y) * (y - x)
    return y * (mpmath.log(y) - x) if y else Jet(mpf(0))


def log_and_probabilities(rng, shape, axis, dtype, logs=False):
    """log q, and p with a fifth of zeros, or log p."""
    x, y = (-rng.exponential(3, shape) for _ in range(2))
    if logs:
        return x.astype(dtype), y.astype(dtype)
    return x.astype(dtype), (np.exp(y) * (rng.random(shape) < 0.8)).astype(dtype)


def ends(rng, n, dtype, logs=False):
    """log q as far as e^x reaches, and p or its logarithm of all sizes."""
    x = np.linspace(-REACH[dtype], 0, n)
    if logs:
        return x.astype(dtype), rng.permutation(x).astype(dtype)
    y = np.exp2(rng.uniform(-14 if dtype is np.float16 else -100, 0, n))
    return x.astype(dtype), y.astype(dtype)


def tails(rng, n, dtype, logs=False):
    """log q down to -100, p of any size, or its logarithm; some of them close."""
    x, p = -rng.exponential(1, n) * rng.choice([1, 5, 25], n), near_the_ends(rng, n, np.float64)
    p = np.where(rng.random(n) < 0.2, np.exp(x) * rng.uniform(0.9, 1.1, n), p).clip(0, 1)
    with np.errstate(divide="ignore"):
        yield x.clip(-100).astype(dtype), (np.log(p).clip(-100) if logs else p).astype(dtype)


KL_DIV, KL_DIV_OF_LOGS = (
    over_elements(
        name="kl_div", variant="logs" if logs else "", criterion="KLDivLoss",
        core="kl_div_log" if logs else "kl_div", define=kl_div, truth=of_elements(kl_div_formula),
        input="input", arrays=partial(log_and_probabilities, logs=logs),
        ends=partial(ends, logs=logs), measured=(Measured(partial(tails, logs=logs)),),
        fixed={"log_target": True} if logs else {}, linear=True,
        reductions=("none", "sum", "mean", "batchmean"), torch=Torch("kl_div"),
        axis="probability", curves=() if logs else (Curve(", p = 0.2", target=0.2),),
    )
    for logs in (False, True)
)  # fmt: skip


# -- entropies ------------------------------------------------------------------------------------


def _sum_of_terms(x: np.ndarray, axis: int, *terms) -> Exact:
    """The sum along the axis: 8 u for a term, and 8 u of all sizes for a sum taken in chunks."""
    terms = [np.asarray(term) for term in terms]
    size = sum(map(abs, terms)).sum(axis)
    value = sum(terms).sum(axis)
    dtype = np.dtype(real(x.dtype))
    return Exact(value, 16 * UNIT[dtype] * size + FLOOR[dtype] * (size < FLOOR[dtype]))


def _log(x: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(x.astype(WIDE))


def _log_ratio(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """log(p / q), where they are close from their difference, which is exact."""
    wide_p, wide_q = p.astype(WIDE), q.astype(WIDE)
    with np.errstate(all="ignore"):
        close = (wide_p < 2 * wide_q) & (wide_q < 2 * wide_p)
        return np.where(close, np.log1p((wide_p - wide_q) / wide_q), _log(p) - _log(q))


def probabilities(rng, shape, axis, dtype, count=1):
    """Arrays that sum to 1 along the axis, but for rounding; the first has zeros.

    A third of the second's numbers are close to those of the first.
    """
    result = []
    for i in range(count):
        p = rng.exponential(1, shape) ** 3 * (rng.random(shape) < (1 if i else 0.7))
        total = p.sum(axis, keepdims=True)
        p = (p / np.where(total > 0, total, 1)).astype(dtype)
        if i:
            apart = 1 + rng.normal(size=shape) * rng.choice([1e-1, 1e-4, 1e-7, 1e-12], shape)
            p = np.where(rng.random(shape) < 1 / 3, (result[0] * apart).astype(dtype), p)
            p = np.maximum(p, np.dtype(dtype).type(1e-4))
        result.append(p)
    return tuple(result)


def tails_of_probabilities(rng, n, dtype, count=1):
    """Some classes and many; the second array has no zeros."""
    for shape in ((n // 16, 7), (2, min(1000, n))):
        p, q = (distributions(rng, shape, dtype) for _ in range(2))
        yield (p, np.maximum(q, dtype.type(1e-4)))[:count]


def over_probabilities(count, **facts):
    """A sum over so many arrays of probabilities."""
    return Function(
        arrays=partial(probabilities, count=count), drops=True, out=False,
        measured=(Measured(partial(tails_of_probabilities, count=count)),),
        assumes="A term has no rounded argument, and sums are taken in chunks.", **facts,
    )  # fmt: skip


def entropy(p: np.ndarray, axis: int) -> Exact:
    """-sum_k p_k log p_k."""
    return _sum_of_terms(p, axis, -times(p.astype(WIDE), _log(p)))


def entropy_formula(p):
    return [-mpmath.fsum(a * mpmath.log(a) for a in p if a)]


ENTROPY = over_probabilities(
    1, name="entropy", core="entropy", define=entropy, truth=of_axis(entropy_formula)
)


def relative_entropy(p: np.ndarray, q: np.ndarray, axis: int) -> Exact:
    """sum_k p_k log(p_k / q_k)."""
    return _sum_of_terms(p, axis, times(p.astype(WIDE), _log_ratio(p, q)))


def relative_entropy_formula(p, q):
    return [mpmath.fsum(a * mpmath.log(a / b) for a, b in zip(p, q, strict=True) if a)]


RELATIVE_ENTROPY = over_probabilities(
    2, name="relative_entropy", core="relative_entropy", define=relative_entropy,
    truth=of_axis(relative_entropy_formula),
)  # fmt: skip


def cross_entropy_between(p: np.ndarray, q: np.ndarray, axis: int) -> Exact:
    """-sum_k p_k log q_k."""
    return _sum_of_terms(p, axis, -times(p.astype(WIDE), _log(q)))


def cross_entropy_between_formula(p, q):
    return [-mpmath.fsum(a * mpmath.log(b) for a, b in zip(p, q, strict=True) if a)]


CROSS_ENTROPY_BETWEEN = over_probabilities(
    2, name="cross_entropy_between", core="cross_entropy_between", define=cross_entropy_between,
    truth=of_axis(cross_entropy_between_formula),
)  # fmt: skip


ROWS = [KL_DIV, KL_DIV_OF_LOGS, ENTROPY, RELATIVE_ENTROPY, CROSS_ENTROPY_BETWEEN]
