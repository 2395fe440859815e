"""Sums over many classes: of weights and of class probabilities no digits are lost."""

import mpmath
import numpy as np
import pytest
from helpers.problems import FLOATS, row_results
from oracle.exact import UNIT

import ce

both_floats = pytest.mark.parametrize("dtype", FLOATS)
layouts = pytest.mark.parametrize("layout", ["rows", "middle"])
counts = pytest.mark.parametrize("classes", [3, 60, 1000, 4099, 200_000])


def loss_of(z, u):
    """sum_k u (log sum_j e^z_j - z_k), by mpmath; z has few different values."""
    values, numbers = (a.tolist() for a in np.unique(z, return_counts=True))
    with mpmath.workdps(40):
        total = mpmath.log(mpmath.fdot(numbers, map(mpmath.exp, values)))
        return float(float(u) * mpmath.fdot(numbers, [total - a for a in values]))


def logits(rng, classes, dtype):
    """All the same, and of few values."""
    return np.zeros(classes, dtype), (rng.integers(-3, 4, classes) / 4).astype(dtype)


def check(criterion, z, target, layout, u):
    """Of u for every class; equal numbers round alike wherever they are added: the hardest sums."""
    loss, _, hess = row_results(criterion, np.stack([z, z]), target, layout)
    rtol = 24 * UNIT[z.dtype]
    np.testing.assert_allclose(loss, loss_of(z, u), rtol=rtol)
    if not z.any():
        np.testing.assert_allclose(hess, u * (1 - 1 / len(z)), rtol=rtol)


@both_floats
@layouts
@counts
def test_weights_under_smoothing(dtype, layout, classes, isa, rng):
    """The loss is sum_k w_k (log S - z_k) / K."""
    w = np.full(classes, 0.1, dtype)
    criterion = ce.CrossEntropyLoss(label_smoothing=1, weight=w, reduction="none")
    for z in logits(rng, classes, dtype):
        check(criterion, z, [0, 1], layout, w[0].astype(float) / classes)


@both_floats
@layouts
@counts
@pytest.mark.parametrize("weight", [None, 0.5])
def test_class_probabilities(dtype, layout, classes, weight, isa, rng):
    """The loss is sum_k w_k q_k (log S - z_k), whatever the q_k add up to."""
    q = np.full((2, classes), 0.1, dtype)
    w = None if weight is None else np.full(classes, weight, dtype)
    criterion = ce.CrossEntropyLoss(weight=w, reduction="none")
    for z in logits(rng, classes, dtype):
        check(criterion, z, q, layout, (weight or 1) * q[0, 0].astype(float))
