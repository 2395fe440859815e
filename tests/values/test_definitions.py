"""The definitions themselves: their derivatives are those of their values."""

from fractions import Fraction

import numpy as np
import pytest
from oracle import LOSSES
from oracle.exact import WIDE, WIDE_IS_WIDER

every_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.label)
# central differences of order 6: weights of f(x +- k h)
FIRST = {1: "3/4", 2: "-3/20", 3: "1/60"}
SECOND = {0: "-49/18", 1: "3/2", 2: "-3/20", 3: "1/90"}
STEP = WIDE(2) ** -8


def smooth_problem(loss, rng):
    """Arguments in long double around which the loss can be differentiated."""
    shape = (7, 5) if loss.classes else (60,)
    _, target = loss.arrays(rng, shape, None, np.float64)
    x = rng.normal(0, 2, shape)
    if loss.domain:
        low, high = loss.domain
        x = rng.uniform(0.8 * low + 0.2 * high, 0.2 * low + 0.8 * high, shape)
    target = target if loss.indices else target.astype(WIDE)
    for _ in range(2 if loss.kinks else 0):
        close = abs(abs(x - target)[..., None] - loss.kinks).min(-1) < 0.02
        x = np.where(close, x + 0.05, x)
    return x.astype(WIDE), target


def weighted(weights, values):
    """Long doubles times fractions."""
    parts = [(Fraction(w), values[k]) for k, w in weights.items()]
    return sum(WIDE(f.numerator) / WIDE(f.denominator) * v for f, v in parts)


@pytest.mark.skipif(not WIDE_IS_WIDER, reason="long double is double here")
@every_loss
def test_derivatives_of_the_value(loss, rng):
    x, target = smooth_problem(loss, rng)
    classes, items = (5, x.shape[:1]) if loss.classes else (1, x.shape)
    for sweep in loss.sweeps:
        made = {o.name: o.make(rng, classes, items, np.float64) for o in sweep} | loss.fixed

        def moved(by, made=made):
            return loss.define(x + by, target, reduction="none", **made).loss.value

        exact = loss.define(x, target, reduction="none", **made)
        for k in range(classes):
            of = (slice(None), k) if loss.classes else slice(None)
            step = STEP * (np.arange(classes) == k if loss.classes else 1)
            plus = {i: moved(i * step) for i in range(4)}
            minus = {i: moved(-i * step) for i in range(4)}
            odd = {i: plus[i] - minus[i] for i in FIRST}
            even = {i: plus[i] + minus[i] if i else plus[i] for i in SECOND}
            first, second = weighted(FIRST, odd) / STEP, weighted(SECOND, even) / STEP**2
            np.testing.assert_allclose(first, exact.grad.value[of], rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(second, exact.hess.value[of], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("loss", [x for x in LOSSES if x.hessians], ids=lambda loss: loss.label)
def test_other_hessians(loss, rng):
    """gauss_newton takes the factor before p - y as constant; abs is |grad|."""
    x, target = smooth_problem(loss, rng)
    exact = loss.define(x, target, reduction="none")
    absolute = loss.define(x, target, reduction="none", hessian="abs")
    np.testing.assert_array_equal(absolute.hess.value, abs(exact.grad.value))
    # of hard labels: grad = A (p - y), and A p (1 - p)
    p, y = 1 / (1 + np.exp(-x)), target
    if loss.classes:
        p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
        y = target[:, None] == np.arange(x.shape[1])
    newton = loss.define(x, target, reduction="none", hessian="gauss_newton").hess.value
    hard = (y == 0) | (y == 1)
    expected = exact.grad.value / (p - y) * p * (1 - p)
    np.testing.assert_allclose(newton[hard], expected[hard], rtol=1e-13)
