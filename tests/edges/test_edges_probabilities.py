"""Edges of cross-entropy with class probabilities."""

import numpy as np
import pytest
from helpers.problems import DTYPES, FLOATS, LAYOUTS, assert_same_bits, padded
from helpers.problems import row_results as results
from oracle.inputs import random_logits

import ce

INF, NAN = np.inf, np.nan
both_floats = pytest.mark.parametrize("dtype", FLOATS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
layouts = pytest.mark.parametrize("layout", LAYOUTS)
lengths = pytest.mark.parametrize("classes", [3, 40, 1100])
ALL = ("value", "grad", "hess")


@both_floats
@layouts
@lengths
def test_an_impossible_class_of_probability_zero(dtype, layout, classes, isa):
    """0 log 0 = 0."""
    row, q = padded([-INF, 0, 1], classes).astype(dtype), np.zeros(classes, dtype)
    q[2] = 1
    rows, q = np.stack([row, row, row]), np.stack([q, q, q])
    rows[1] = 0
    loss, grad, hess = results(ce.CrossEntropyLoss(reduction="none"), rows, q, layout)
    p = 1 / (1 + np.e)
    np.testing.assert_allclose(loss, np.log([1 + 1 / np.e, classes, 1 + 1 / np.e]), rtol=1e-6)
    expected = np.zeros(classes)
    expected[1:3] = p, -p
    np.testing.assert_allclose(grad[0], expected, rtol=1e-6, atol=1e-7)
    expected[1:3] = p * (1 - p)
    np.testing.assert_allclose(hess[0], expected, rtol=1e-6)
    assert_same_bits(grad[2], grad[0], "the same row again")


@both_floats
@layouts
@lengths
def test_an_impossible_class_of_positive_probability(dtype, layout, classes, isa):
    row, q = padded([-INF, 0, 1], classes).astype(dtype), np.zeros(classes, dtype)
    q[[0, 2]] = 0.25, 0.75
    loss, grad, _ = results(ce.CrossEntropyLoss(reduction="none"), row[None], q[None], layout)
    assert loss[0] == INF
    p = 1 / (1 + np.e)
    np.testing.assert_allclose(grad[0, :3], [-0.25, p, 1 - p - 0.75], rtol=1e-5)


@both_floats
@layouts
@lengths
@pytest.mark.parametrize("zero", ["weight", "sample_weight"])
def test_weight_zero_masks_an_impossible_class(dtype, layout, classes, zero, isa):
    row, q = padded([-INF, 0, 1], classes).astype(dtype), np.zeros(classes, dtype)
    q[[0, 2]] = 0.25, 0.75
    rows, q = np.stack([row, row]), np.stack([q, q])
    weight = np.ones(classes, dtype)
    weight[0] = zero != "weight"
    v = np.array([1, zero != "sample_weight"], dtype)
    criterion = ce.CrossEntropyLoss(reduction="none", weight=weight)
    loss, grad, hess = results(criterion, rows, q, layout, sample_weight=v)
    if zero == "weight":
        np.testing.assert_allclose(loss, 0.75 * np.log1p(1 / np.e), rtol=1e-6)
        assert np.isfinite(grad).all()
    else:
        np.testing.assert_array_equal(loss, [INF, 0])
        np.testing.assert_array_equal(grad[1], 0)
        np.testing.assert_array_equal(hess[1], 0)


@both_floats
@layouts
@lengths
def test_spoilt_rows_spoil_themselves_only(dtype, layout, classes, isa, rng):
    for bad in (NAN, INF, "all -inf"):
        rows = random_logits(rng, (35, classes), dtype)
        q = rng.uniform(0, 1, rows.shape).astype(dtype)
        criterion = ce.CrossEntropyLoss(reduction="none")
        clean = results(criterion, rows, q, layout)
        rows[17] = -INF if bad == "all -inf" else rows[17]
        rows[17, classes // 2] = -INF if bad == "all -inf" else bad
        spoilt = results(criterion, rows, q, layout)
        others = np.arange(35) != 17
        for what, before, after in zip(ALL, clean, spoilt, strict=True):
            assert np.isnan(after[17]).all(), what
            assert_same_bits(after[others], before[others], what)


@both_floats
def test_probabilities_are_not_validated(dtype, isa):
    """They may be negative, or larger than 1: the formula holds."""
    logits, q = np.array([[0.5, -1, 2]], dtype), np.array([[2, -1, 0.5]], dtype)
    log_p = logits - np.log(np.exp(logits.astype(float)).sum())
    np.testing.assert_allclose(ce.cross_entropy(logits, q), -(q * log_p).sum(), rtol=1e-5)
    grad = ce.CrossEntropyLoss().grad(logits, q)
    np.testing.assert_allclose(grad, 1.5 * np.exp(log_p) - q, rtol=1e-5)


@both_floats
def test_the_mean_of_probabilities_counts_items(dtype, isa, rng):
    logits = random_logits(rng, (6, 4), dtype)
    q = rng.uniform(0, 1, logits.shape).astype(dtype)
    weight, v = rng.uniform(1, 2, 4).astype(dtype), rng.uniform(1, 2, 6).astype(dtype)
    losses = ce.cross_entropy(logits, q, weight=weight, reduction="none")
    rtol = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(ce.cross_entropy(logits, q, weight=weight), losses.mean(), rtol)
    got = ce.cross_entropy(logits, q, weight=weight, sample_weight=v)
    np.testing.assert_allclose(got, (v * losses).sum() / v.sum(), rtol=rtol)


@every_dtype
def test_no_items_of_probabilities(dtype, isa):
    empty = np.zeros((0, 3), dtype)
    assert np.isnan(ce.cross_entropy(empty, empty))
    assert ce.cross_entropy(empty, empty, reduction="sum") == 0
    assert ce.cross_entropy(empty, empty, reduction="none").shape == (0,)
    assert ce.CrossEntropyLoss().grad(empty, empty).shape == (0, 3)


@every_dtype
def test_a_single_item_of_probabilities(dtype, isa):
    logits, q = np.array([0, 0, 0], dtype), np.array([0.5, 0.25, 0.25], dtype)
    np.testing.assert_allclose(float(ce.cross_entropy(logits, q)), np.log(3), rtol=1e-6)


@layouts
def test_probabilities_of_extreme_logits_are_finite(layout, isa):
    """Their distances overflow in float32, the loss does not."""
    row, q = np.float32([3.4e38, -3.4e38, 0]), np.float32([0.75, 0, 0.25])
    loss, grad, _ = results(ce.CrossEntropyLoss(reduction="none"), row[None], q[None], layout)
    np.testing.assert_allclose(loss, 0.25 * 3.4e38, rtol=1e-6)
    np.testing.assert_array_equal(grad, [[0.25, 0, -0.25]])


@every_dtype
def test_no_classes(dtype, isa):
    """A sum of no terms is 0."""
    for shape in ((3, 0), (3, 0, 2)):
        logits = np.zeros(shape, dtype)
        for reduction, expected in (("mean", 0), ("sum", 0), ("none", np.zeros((3, *shape[2:])))):
            criterion = ce.CrossEntropyLoss(reduction=reduction)
            np.testing.assert_array_equal(criterion(logits, logits), expected)
            assert criterion.grad(logits, logits).shape == shape


@layouts
def test_small_gradients_under_large_weights(layout, isa):
    """A hard target gives the gradient that its class index gives."""
    rows, weight = np.float32([[0, -92, -5]]), np.float32([1e20, 1, 1])
    hard, soft = ce.CrossEntropyLoss(weight=weight, reduction="none"), np.float32([[1, 0, 0]])
    expected = results(hard, rows, np.array([0]), layout)[1]
    assert expected[0, 1] > 1e-20
    np.testing.assert_allclose(results(hard, rows, soft, layout)[1], expected, rtol=1e-6)
