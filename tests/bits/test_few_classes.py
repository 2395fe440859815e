"""Few classes without options, but for class weights, take a shorter way than with sample weights
of 1: the same bits.

So do softmax, log_softmax and logsumexp: softmax is the gradient of logsumexp, which takes the
longer way; so do rows in which classes of -inf make them too long for the shorter one.
"""

import itertools

import numpy as np
import pytest
from helpers.problems import FLOATS, assert_same_bits

import ce

AWKWARD = [np.nan, np.inf, -np.inf, 0.0, 1.0, -1.0, 1e30, -1e30, 1e-40, 88.0, -130.0, -750.0]


def assert_ways_agree(logits, target, reduction, weight=None):
    criterion = ce.CrossEntropyLoss(weight=weight, reduction=reduction)
    ones = np.ones(target.shape)
    name = f"{logits.shape[1]} classes, {weight=}"
    for a, b in zip(
        criterion.value_and_grad(logits, target),
        criterion.value_and_grad(logits, target, sample_weight=ones),
        strict=True,
    ):
        assert_same_bits(a, b, name)
    value = criterion(logits, target, sample_weight=ones)
    assert_same_bits(criterion(logits, target), value, name)


def weights_of(rng, classes, dtype):
    """Class weights: usual ones, some 0; far from 1; so far apart that products leave the range."""
    usual = rng.uniform(0.1, 3, classes).astype(dtype)
    some = np.where(np.arange(classes) % 3 == 1, 0, usual).astype(dtype)
    wide = np.geomspace(1e-30, 1e30, classes).astype(dtype)
    return [usual, -usual, some, usual * dtype(2.0**-40), wide]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("dtype", FLOATS)
def test_awkward_logits(classes, dtype, isa, rng):
    logits = np.array(list(itertools.product(AWKWARD, repeat=classes)), dtype)
    for t in range(classes):
        for weight in (None, *weights_of(rng, classes, dtype)):
            assert_ways_agree(logits, np.full(len(logits), t), "none", weight)


@pytest.mark.parametrize("classes", [2, 3, 4, 5, 10, 31, 32, 33])
@pytest.mark.parametrize("dtype", [*FLOATS, np.float16])
def test_ties_and_ignored_items(classes, dtype, isa, rng):
    logits = (rng.standard_normal((1000, classes)) * 10).astype(dtype)
    logits[rng.random(logits.shape) < 0.05] = -np.inf
    logits[rng.random(logits.shape) < 0.05] = 3
    target = rng.integers(classes, size=1000)
    target[::17] = -100
    weights = weights_of(rng, classes, np.float32 if dtype == np.float16 else dtype)
    for items in (1, 15, 16, 17, 63, 64, 65, 1000):
        for reduction in ("mean", "sum"):
            for weight in (None, *weights):
                assert_ways_agree(logits[:items], target[:items], reduction, weight)
    behind = np.moveaxis(logits.reshape(10, 100, classes), 2, 1)
    assert_ways_agree(behind, target.reshape(10, 100), "none")
    assert_ways_agree(np.ascontiguousarray(behind), target.reshape(10, 100), "none")


def assert_normalisers_agree(logits):
    """Logits of shape (items, classes), with at most 32 classes."""
    items, classes = logits.shape
    ones = np.ones(items, np.float64 if logits.dtype == np.float64 else np.float32)
    longer = np.full((items, 33), -np.inf, logits.dtype)  # sums of 32 classes and of one more
    longer[:, :classes] = logits
    name = f"{classes} classes"
    assert_same_bits(ce.softmax(logits), ce.logsumexp_backward(ones, logits), name)
    if classes == 2:  # of which log1p is another polynomial
        return
    assert_same_bits(ce.softmax(logits), ce.softmax(longer)[:, :classes], name)
    assert_same_bits(ce.log_softmax(logits), ce.log_softmax(longer)[:, :classes], name)
    assert_same_bits(ce.logsumexp(logits), ce.logsumexp(longer), name)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("dtype", FLOATS)
def test_normalisers_of_awkward_logits(classes, dtype, isa):
    assert_normalisers_agree(np.array(list(itertools.product(AWKWARD, repeat=classes)), dtype))


@pytest.mark.parametrize("classes", [2, 3, 4, 5, 10, 31, 32])
@pytest.mark.parametrize("dtype", [*FLOATS, np.float16])
def test_normalisers(classes, dtype, isa, rng):
    logits = (rng.standard_normal((1000, classes)) * 10).astype(dtype)
    logits[rng.random(logits.shape) < 0.05] = -np.inf
    logits[rng.random(logits.shape) < 0.05] = 3
    for items in (1, 15, 16, 17, 63, 64, 65, 1000):
        assert_normalisers_agree(logits[:items])
    behind = np.ascontiguousarray(np.moveaxis(logits.reshape(10, 100, classes), 2, 1))
    for function in (ce.softmax, ce.log_softmax):
        got = np.moveaxis(function(behind, axis=1), 1, 2).reshape(logits.shape)
        assert_same_bits(got, function(logits), function.__name__)
    got = ce.logsumexp(behind, axis=1).ravel()
    assert_same_bits(got, ce.logsumexp(logits), "logsumexp")
