"""Few classes with no options but weights and label smoothing take a shorter way than where
statistics are asked for, too: the same bits.

So do softmax, log_softmax and logsumexp: softmax is the gradient of logsumexp, which takes the
longer way; so do rows in which classes of -inf make them too long for the shorter one.
"""

import itertools

import numpy as np
import pytest
from helpers.problems import FLOATS, assert_same_bits

import ce

AWKWARD = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e30, -1e30, 1e-40, 88.0, -130.0, -750.0]


def assert_ways_agree(logits, target, reduction, weight=None, v=None, smoothing=0.0):
    criterion = ce.CrossEntropyLoss(weight=weight, reduction=reduction, label_smoothing=smoothing)
    name = f"{logits.shape[1]} classes, {weight=}, {smoothing=}, {v=}"
    *longer, _ = criterion.value_and_grad(logits, target, sample_weight=v, stats=True)
    for a, b in zip(criterion.value_and_grad(logits, target, sample_weight=v), longer, strict=True):
        assert_same_bits(a, b, name)
    assert_same_bits(criterion(logits, target, sample_weight=v), longer[0], name)


def sample_weights_of(rng, shape):
    """Absent; as they usually are, some 0; so far apart that factors leave the range."""
    usual = rng.uniform(0.1, 3, shape).astype(np.float32)
    some = np.where(rng.random(shape) < 0.2, 0, usual)
    return [None, some, 10.0 ** rng.uniform(-60, 60, shape)]


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
        for weight, v, smoothing in itertools.product(
            (None, *weights_of(rng, classes, dtype)),
            sample_weights_of(rng, len(logits)),
            (0.0, 0.1, 1.0),
        ):
            assert_ways_agree(logits, np.full(len(logits), t), "none", weight, v, smoothing)


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
            for weight, v, smoothing in itertools.product(
                (None, *weights), sample_weights_of(rng, items), (0.0, 0.2)
            ):
                assert_ways_agree(logits[:items], target[:items], reduction, weight, v, smoothing)
    behind, target = np.moveaxis(logits.reshape(10, 100, classes), 2, 1), target.reshape(10, 100)
    for v, smoothing in itertools.product(sample_weights_of(rng, target.shape), (0.0, 0.2)):
        assert_ways_agree(behind, target, "none", None, v, smoothing)
        assert_ways_agree(np.ascontiguousarray(behind), target, "none", None, v, smoothing)


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
