"""normalisers.py - functions of logits along an axis, and their backward passes."""

from __future__ import annotations

import mpmath
import numpy as np

import ce
from oracle.exact import UNIT, WIDE, Exact, from_rows, in_rows, real, softmax_facts, stored
from oracle.inputs import far_rows, random_logits
from oracle.jets import of_axis
from oracle.rows import Function, Measured

ASSUMES = "Rows enter by `softmax_facts`: its errors hold for z_k - m, one rounding, and e^x."


def logits(rng, shape, axis, dtype):
    """Alone."""
    return (random_logits(rng, shape, dtype),)


def far_logits(rng, n, dtype):
    """Tails of logits."""
    for z, _ in far_rows(rng, n, dtype):
        yield (z,)


def upstream_and_output(forward):
    """Makers of an upstream gradient, and the output of the forward function, stored."""

    def arrays(rng, shape, axis, dtype):
        x = random_logits(rng, shape, dtype)
        g = rng.normal(size=shape).astype(dtype)
        return g, forward.define(x, axis).value.astype(dtype)

    def tails(rng, n, dtype):
        for z, _ in far_rows(rng, n, dtype):
            yield rng.normal(size=z.shape).astype(dtype), getattr(ce, forward.name)(z, 1)

    return {"arrays": arrays, "measured": (Measured(tails),), "place": (0, 1)}


# -- softmax --------------------------------------------------------------------------------------


def softmax(x: np.ndarray, axis: int) -> Exact:
    """e^z_k / sum_j e^z_j."""
    p = softmax_facts(in_rows(x, axis), x.dtype).p
    p = Exact(from_rows(p.value, x.shape, axis), from_rows(p.error, x.shape, axis))
    return stored(p, x.dtype)


def softmax_formula(z):
    total = mpmath.fsum(map(mpmath.exp, z))
    return [mpmath.exp(a) / total for a in z]


SOFTMAX = Function(
    name="softmax", core="softmax", define=softmax, truth=of_axis(softmax_formula),
    arrays=logits, measured=(Measured(far_logits),), place=(0,), assumes=ASSUMES,
)  # fmt: skip


def softmax_backward(g: np.ndarray, y: np.ndarray, axis: int) -> Exact:
    """y_k (g_k - sum_j g_j y_j), summed in double: what that loses shows if g_k is nearly all."""
    g, wide, u = g.astype(WIDE), y.astype(WIDE), UNIT[y.dtype]
    inner, size = ((x * wide).sum(axis, keepdims=True) for x in (g, abs(g)))
    lost = (y.shape[axis] + 4) * UNIT[np.dtype(np.float64)] * size
    return stored(Exact(wide * (g - inner), abs(wide) * (12 * u * abs(g - inner) + lost)), y.dtype)


def softmax_backward_formula(g, y):
    inner = mpmath.fdot(g, y)
    return [b * (a - inner) for a, b in zip(g, y, strict=True)]


SOFTMAX_BACKWARD = Function(
    name="softmax_backward", core="softmax_backward", define=softmax_backward,
    truth=of_axis(softmax_backward_formula), assumes="The sum is taken in double.",
    **upstream_and_output(SOFTMAX),
)  # fmt: skip


# -- log_softmax ----------------------------------------------------------------------------------


def log_softmax(x: np.ndarray, axis: int) -> Exact:
    """log(e^z_k / sum_j e^z_j)."""
    facts = softmax_facts(in_rows(x, axis), x.dtype).surprise
    value, error = (from_rows(rows, x.shape, axis) for rows in (facts.value, facts.error))
    return stored(Exact(-value, error), x.dtype)


def log_softmax_formula(z):
    L = logsumexp_formula(z)[0]
    return [a - L for a in z]


LOG_SOFTMAX = Function(
    name="log_softmax", core="log_softmax", define=log_softmax, truth=of_axis(log_softmax_formula),
    arrays=logits, measured=(Measured(far_logits),), place=(0,), assumes=ASSUMES,
)  # fmt: skip


def log_softmax_backward(g: np.ndarray, y: np.ndarray, axis: int) -> Exact:
    """g_k - e^y_k sum_j g_j; the error is relative to the absolute terms."""
    g, p, u = g.astype(WIDE), np.exp(y.astype(WIDE)), UNIT[y.dtype]
    total, size = (x.sum(axis, keepdims=True) for x in (g, abs(g)))
    return stored(Exact(g - p * total, 12 * u * (abs(g) + p * size)), y.dtype)


def log_softmax_backward_formula(g, y):
    total = mpmath.fsum(g)
    return [a - mpmath.exp(b) * total for a, b in zip(g, y, strict=True)]


LOG_SOFTMAX_BACKWARD = Function(
    name="log_softmax_backward", core="log_softmax_backward", define=log_softmax_backward,
    truth=of_axis(log_softmax_backward_formula), assumes="No exponential has a rounded argument.",
    **upstream_and_output(LOG_SOFTMAX),
)  # fmt: skip


# -- logsumexp ------------------------------------------------------------------------------------


def logsumexp(x: np.ndarray, axis: int) -> Exact:
    """log(sum_k e^z_k): log(1 + s) as in a loss, and one addition to the maximum."""
    facts = softmax_facts(in_rows(x, axis), x.dtype)
    row, top = np.arange(len(facts.p.value)), facts.p.value.argmax(1)
    value = in_rows(x, axis).max(1).astype(WIDE) + facts.surprise.value[row, top]
    error = facts.surprise.error[row, top] + UNIT[x.dtype] * abs(value)
    shape = x.shape[:axis] + x.shape[axis + 1 :]
    return Exact(value.reshape(shape), error.reshape(shape))


def logsumexp_formula(z):
    return [mpmath.log(mpmath.fsum(map(mpmath.exp, z)))]


LOGSUMEXP = Function(
    name="logsumexp", core="logsumexp", define=logsumexp, truth=of_axis(logsumexp_formula),
    arrays=logits, measured=(Measured(far_logits),), drops=True, assumes=ASSUMES,
)  # fmt: skip


def logsumexp_backward(g: np.ndarray, x: np.ndarray, axis: int) -> Exact:
    """g e^z_k / sum_j e^z_j: softmax and one product."""
    p = softmax_facts(in_rows(x, axis), x.dtype).p
    p = Exact(*(from_rows(rows, x.shape, axis) for rows in (p.value, p.error)))
    g = np.expand_dims(g, axis).astype(WIDE)
    error = abs(g) * (p.error + UNIT[x.dtype] * p.value)
    return stored(Exact(g * p.value, error), x.dtype)


def logsumexp_backward_formula(g, z):
    return [g[0] * p for p in softmax_formula(z)]


def upstream_and_logits(rng, shape, axis, dtype):
    """A gradient for every item, in the dtype of values."""
    x = random_logits(rng, shape, dtype)
    return rng.normal(size=shape[:axis] + shape[axis + 1 :]).astype(real(dtype)), x


def far_upstream(rng, n, dtype):
    """Tails of logits."""
    for z, _ in far_rows(rng, n, dtype):
        yield rng.normal(size=len(z)).astype(real(dtype)), z


LOGSUMEXP_BACKWARD = Function(
    name="logsumexp_backward", core="logsumexp_backward",
    define=logsumexp_backward,
    truth=of_axis(logsumexp_backward_formula), arrays=upstream_and_logits,
    measured=(Measured(far_upstream),), place=(1,), assumes=ASSUMES,
)  # fmt: skip


ROWS = [
    SOFTMAX, SOFTMAX_BACKWARD, LOG_SOFTMAX, LOG_SOFTMAX_BACKWARD, LOGSUMEXP, LOGSUMEXP_BACKWARD
]  # fmt: skip
