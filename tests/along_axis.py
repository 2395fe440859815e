"""The definitions of the functions along an axis: the normalisers, and sums over probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from exact import FLOOR, UNIT, WIDE, Exact, from_rows, in_rows, real, softmax_facts, stored, times


def _logsumexp(x: np.ndarray, axis: int) -> Exact:
    """log(sum_k e^z_k): log(1 + s) as in a loss, and one addition to the maximum."""
    facts = softmax_facts(in_rows(x, axis), x.dtype)
    row, top = np.arange(len(facts.p.value)), facts.p.value.argmax(1)
    value = in_rows(x, axis).max(1).astype(WIDE) + facts.surprise.value[row, top]
    error = facts.surprise.error[row, top] + UNIT[x.dtype] * abs(value)
    shape = x.shape[:axis] + x.shape[axis + 1 :]
    return Exact(value.reshape(shape), error.reshape(shape))


def _softmax(x: np.ndarray, axis: int) -> Exact:
    """e^z_k / sum_j e^z_j."""
    p = softmax_facts(in_rows(x, axis), x.dtype).p
    p = Exact(from_rows(p.value, x.shape, axis), from_rows(p.error, x.shape, axis))
    return stored(p, x.dtype)


def _log_softmax(x: np.ndarray, axis: int) -> Exact:
    """log(e^z_k / sum_j e^z_j)."""
    facts = softmax_facts(in_rows(x, axis), x.dtype).surprise
    value, error = (from_rows(rows, x.shape, axis) for rows in (facts.value, facts.error))
    return stored(Exact(-value, error), x.dtype)


def _softmax_backward(g: np.ndarray, y: np.ndarray, axis: int) -> Exact:
    """y_k (g_k - sum_j g_j y_j), summed in double: what that loses shows if g_k is nearly all."""
    g, wide, u = g.astype(WIDE), y.astype(WIDE), UNIT[y.dtype]
    inner, size = ((x * wide).sum(axis, keepdims=True) for x in (g, abs(g)))
    lost = (y.shape[axis] + 4) * UNIT[np.dtype(np.float64)] * size
    return stored(Exact(wide * (g - inner), abs(wide) * (12 * u * abs(g - inner) + lost)), y.dtype)


def _log_softmax_backward(g: np.ndarray, y: np.ndarray, axis: int) -> Exact:
    """g_k - e^y_k sum_j g_j; the error is relative to the absolute terms."""
    g, p, u = g.astype(WIDE), np.exp(y.astype(WIDE)), UNIT[y.dtype]
    total, size = (x.sum(axis, keepdims=True) for x in (g, abs(g)))
    return stored(Exact(g - p * total, 12 * u * (abs(g) + p * size)), y.dtype)


def _logsumexp_backward(g: np.ndarray, x: np.ndarray, axis: int) -> Exact:
    """g e^z_k / sum_j e^z_j: softmax and one product."""
    p = softmax_facts(in_rows(x, axis), x.dtype).p
    p = Exact(*(from_rows(rows, x.shape, axis) for rows in (p.value, p.error)))
    g = np.expand_dims(g, axis).astype(WIDE)
    error = abs(g) * (p.error + UNIT[x.dtype] * p.value)
    return stored(Exact(g * p.value, error), x.dtype)


@dataclass(frozen=True)
class Normaliser:
    """A function along one axis, what it is of (of an array, or of g and an array), and ce's name.

    `drops` tells that the result of the forward function lacks the axis.
    """

    name: str
    define: Callable[..., Exact]
    backward_of: str = ""
    output: bool = False
    drops: bool = False


NORMALISERS = [
    Normaliser("logsumexp", _logsumexp, drops=True),
    Normaliser("softmax", _softmax),
    Normaliser("log_softmax", _log_softmax),
    Normaliser("softmax_backward", _softmax_backward, backward_of="softmax", output=True),
    Normaliser("log_softmax_backward", _log_softmax_backward, "log_softmax", output=True),
    Normaliser("logsumexp_backward", _logsumexp_backward, "logsumexp", drops=True),
]


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


def _entropy(p: np.ndarray, axis: int) -> Exact:
    """-sum_k p_k log p_k."""
    return _sum_of_terms(p, axis, -times(p.astype(WIDE), _log(p)))


def _relative_entropy(p: np.ndarray, q: np.ndarray, axis: int) -> Exact:
    """sum_k p_k (log p_k - log q_k)."""
    wide = p.astype(WIDE)
    return _sum_of_terms(p, axis, times(wide, _log(p)), -times(wide, _log(q)))


def _cross_entropy_between(p: np.ndarray, q: np.ndarray, axis: int) -> Exact:
    """-sum_k p_k log q_k."""
    return _sum_of_terms(p, axis, -times(p.astype(WIDE), _log(q)))


@dataclass(frozen=True)
class AxisSum:
    """A sum along one axis of so many arrays of probabilities, by ce's name."""

    name: str
    define: Callable[..., Exact]
    arrays: int


AXIS_SUMS = [
    AxisSum("entropy", _entropy, 1),
    AxisSum("relative_entropy", _relative_entropy, 2),
    AxisSum("cross_entropy_between", _cross_entropy_between, 2),
]
