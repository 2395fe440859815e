"""Worked examples from books, tutorials and forums, and identities between losses."""

import numpy as np
import pytest

import ce


def near(got, expected, digits):
    """Equal to that many decimal places, to one unit of the last."""
    np.testing.assert_allclose(got, expected, rtol=0, atol=10.0**-digits)


def test_mean_of_two_items():
    logits = np.array([[1.0, 2, 3], [1, 2, 3]])
    near(ce.cross_entropy(logits, np.array([2, 0])), 1.4076058864593506, 7)
    logits = np.array([[2.0, 1, 0.1], [0.5, 2, 0.3]], np.float32)
    near(ce.cross_entropy(logits, np.array([0, 1])), 0.3788231, 7)


def test_single_items():
    near(ce.cross_entropy(np.array([0.1, 0.2, 0.7]), 2), 0.7679496, 7)
    near(ce.binary_cross_entropy_with_logits(np.array([1.5]), np.array([1.0])), 0.2014133, 7)
    near(ce.nll_loss(np.log([0.1, 0.2, 0.7]), 2), -np.log(0.7), 15)


def test_softmax_and_entropy():
    near(ce.softmax(np.array([3.0, 1, -3])), [0.87887824, 0.11894324, 0.00217852], 8)
    near(ce.entropy(np.array([0.7, 0.2, 0.1])), 0.8018, 4)
    near(ce.entropy(np.array([0.5, 0.5])), np.log(2), 15)


def test_class_probabilities():
    logits = np.array([[4.0, 2, 1], [0, 5, 1]])
    q = np.array([[1, 0, 0], [0, 0.8, 0.2]])
    loss = ce.cross_entropy(logits, q, reduction="none")
    near(loss, [0.16984602, 0.82474489], 8)
    near(ce.cross_entropy(logits, q), np.mean([0.16984602, 0.82474489]), 8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_focal_loss_of_four_classes(dtype, rng):
    logits = rng.normal(0, 2, (30, 4)).astype(dtype)
    target = rng.integers(0, 4, 30)
    alpha = np.array([0.2, 0.3, 0.5, 1.0])
    log_p = ce.log_softmax(logits.astype(np.float64))
    modulated = alpha * (1 - np.exp(log_p)) ** 2 * log_p
    expected = ce.nll_loss(modulated, target, reduction="sum")
    got = ce.focal_loss(logits, target, gamma=2, alpha=alpha, reduction="sum")
    np.testing.assert_allclose(got, expected, rtol=1e-6 if dtype is np.float32 else 1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(9, 5), (4, 700), (3, 6, 11)])
def test_log_softmax_then_nll_is_cross_entropy(dtype, shape, isa, rng):
    logits = rng.normal(0, 3, shape).astype(dtype)
    target = rng.integers(0, shape[1], shape[:1] + shape[2:])
    eps = np.finfo(dtype).eps
    for options in ({}, {"reduction": "sum"}, {"reduction": "none"}, {"ignore_index": 1}):
        got = ce.nll_loss(ce.log_softmax(logits, axis=1), target, **options)
        expected = ce.cross_entropy(logits, target, **options)
        np.testing.assert_allclose(got, expected, rtol=16 * eps, atol=16 * eps)


def test_one_hot_probabilities_are_indices(isa, rng):
    logits = rng.normal(0, 3, (20, 7))
    target = rng.integers(0, 7, 20)
    q = ce.one_hot(target, 7, dtype=np.float64)
    for smoothing in (0.0, 0.1):
        of_indices = ce.CrossEntropyLoss(label_smoothing=smoothing, reduction="none")
        loss, grad = of_indices.value_and_grad(logits, target)
        got, got_grad = of_indices.value_and_grad(logits, q)
        np.testing.assert_allclose(got, loss, rtol=1e-13)
        np.testing.assert_allclose(got_grad, grad, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_five_axes_are_items_in_another_order(dtype, isa, rng):
    logits = rng.normal(0, 2, (2, 4, 3, 5, 5)).astype(dtype)
    target = rng.integers(0, 4, (2, 3, 5, 5))
    rows = np.moveaxis(logits, 1, -1).reshape(-1, 4)
    for make in (ce.CrossEntropyLoss, ce.FocalLoss, ce.NLLLoss):
        criterion = make(reduction="none")
        loss, grad = criterion.value_and_grad(logits, target)
        expected, expected_grad = criterion.value_and_grad(rows, target.reshape(-1))
        tolerance = 32 * np.finfo(loss.dtype).eps
        np.testing.assert_allclose(loss.reshape(-1), expected, rtol=tolerance, atol=1e-12)
        moved = np.moveaxis(grad, 1, -1).reshape(-1, 4)
        tolerance = max(tolerance, np.finfo(dtype).eps)
        np.testing.assert_allclose(moved, expected_grad, rtol=tolerance, atol=tolerance / 16)


def test_divergences_hang_together(rng):
    p, q = (ce.softmax(rng.normal(0, 2, (6, 9))) for _ in range(2))
    divergence = ce.relative_entropy(p, q)
    np.testing.assert_allclose(
        ce.cross_entropy_between(p, q), ce.entropy(p) + divergence, rtol=1e-13
    )
    np.testing.assert_allclose(
        ce.kl_div(np.log(q), p, reduction="batchmean"), divergence.mean(), rtol=1e-13
    )
    np.testing.assert_allclose(
        ce.cross_entropy(np.log(q), p, reduction="none"), ce.cross_entropy_between(p, q), 1e-13
    )


def test_divergences_of_two_dtypes_that_overflow_say_nothing():
    """Neither a sum beyond float32 nor a signalling NaN is an error, whatever NumPy is told."""
    p = np.float32([3e38, 3e38])
    signalling = np.array([0x7F800001], np.uint32).view(np.float32)
    with np.errstate(all="raise"):
        assert ce.relative_entropy(p, np.array([1e-300, 1e-300])) == np.inf
        assert np.isnan(ce.cross_entropy_between(signalling, np.array([0.5])))


def test_binary_losses_hang_together(rng):
    x, y = rng.normal(0, 3, 50), rng.uniform(0, 1, 50)
    p = 1 / (1 + np.exp(-x))
    expected = ce.binary_cross_entropy(p, y, reduction="none")
    got = ce.binary_cross_entropy_with_logits(x, y, reduction="none")
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    focal = ce.sigmoid_focal_loss(x, y, gamma=0, alpha=None, reduction="none")
    np.testing.assert_allclose(focal, got, rtol=1e-14)
    hard = (y > 0.5).astype(float)
    two = ce.cross_entropy(np.stack([0 * x, x], 1), hard.astype(int), reduction="none")
    got = ce.binary_cross_entropy_with_logits(x, hard, reduction="none")
    np.testing.assert_allclose(got, two, rtol=1e-14)
