"""Edges of NLL, the focal loss, and perplexity."""

import itertools

import numpy as np
import pytest
from helpers.problems import DTYPES, FLOATS, LAYOUTS, assert_same_bits, laid_out, padded
from helpers.problems import row_results as results
from oracle.inputs import random_logits

import ce

INF, NAN = np.inf, np.nan
both_floats = pytest.mark.parametrize("dtype", FLOATS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
layouts = pytest.mark.parametrize("layout", LAYOUTS)
lengths = pytest.mark.parametrize("classes", [3, 40, 1100])
ALL = ("value", "grad", "hess")


@every_dtype
def test_nll_gathers(dtype, isa, rng):
    """Whatever the other classes hold."""
    x = np.full((5, 40), NAN, dtype)
    target = rng.integers(0, 40, 5)
    picked = np.array([-1.5, 0, -INF, -30, 2]).astype(dtype)
    x[np.arange(5), target] = picked
    loss, grad = ce.NLLLoss(reduction="none").value_and_grad(x, target)
    np.testing.assert_array_equal(loss, -picked.astype(np.float64))
    np.testing.assert_array_equal(grad.astype(float), -np.eye(40)[target])
    grad, hess = ce.NLLLoss().grad_and_hess(x, target)
    np.testing.assert_array_equal(hess.astype(float), np.zeros(x.shape))
    np.testing.assert_allclose(grad.astype(float), -np.eye(40)[target] / 5, rtol=4e-3)


@every_dtype
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_nll_of_ignored_and_weightless_items(dtype, reduction, isa):
    x = np.log(np.array([[0.5, 0.5], [0.25, 0.75], [0.1, 0.9]])).astype(dtype)
    x[1], x[2, 0] = NAN, -INF
    weight = np.array([0, 2], dtype)
    criterion = ce.NLLLoss(reduction=reduction, weight=weight)
    loss, grad = criterion.value_and_grad(x, [1, -100, 0])
    first = -2.0 * float(x[0, 1])
    expected = {"none": [first, 0, 0], "sum": first, "mean": first / 2}[reduction]
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    np.testing.assert_array_equal(grad[1:].astype(float), np.zeros((2, 2)))


@every_dtype
def test_nll_of_nothing(dtype, isa):
    x = np.zeros((2, 3), dtype)
    assert np.isnan(ce.nll_loss(x, [-100, -100]))
    assert ce.nll_loss(x, [-100, -100], reduction="sum") == 0
    assert np.isnan(ce.nll_loss(x[:0], np.zeros(0, int)))
    with pytest.raises(IndexError, match=r"target\[1\] is 3, not in \[0, 3\)"):
        ce.nll_loss(x, [0, 3])


HESSIANS = ["exact", "gauss_newton", "abs"]
GAMMAS = [0, 0.25, 0.5, 1, 1.5, 2, 3, 5]


@both_floats
@layouts
@lengths
def test_focal_of_a_certain_class(dtype, layout, classes, isa):
    """Everything goes to 0, and 0 to no power of it is NaN: 1 - p is 0, or as good as 0."""
    for gamma in GAMMAS:
        margins = [40, 87, 100, 104, 1e4, INF]
        rows = np.zeros((len(margins), classes), dtype)
        rows -= np.array(margins, dtype)[:, None]
        rows[:, 1] = 0
        for hessian in ("exact", "gauss_newton", "abs"):
            criterion = ce.FocalLoss(gamma=gamma, reduction="none")
            logits, target = laid_out(rows, layout), np.ones(len(rows), int)
            target = target[None] if layout == "middle" else target
            loss = criterion(logits, target)
            grad, hess = criterion.grad_and_hess(logits, target, hessian=hessian)
            for result in (loss, grad, hess):
                assert (abs(result.astype(float)) <= 1.1 * classes * np.exp(-40.0)).all()
        assert loss.reshape(-1)[-1] == 0


@both_floats
@layouts
@lengths
def test_focal_of_an_impossible_target(dtype, layout, classes, isa):
    for gamma, hessian in itertools.product(GAMMAS, HESSIANS):
        row = padded([-INF, 0, 0], classes).astype(dtype)
        alpha = np.full(classes, 0.75, dtype)
        criterion = ce.FocalLoss(gamma=gamma, alpha=alpha, reduction="none")
        logits = laid_out(row[None], layout)
        target = [[0]] if layout == "middle" else [0]
        loss, grad = criterion.value_and_grad(logits, target)
        assert loss.item() == INF
        expected = np.zeros(classes)
        expected[:3] = -0.75, 0.375, 0.375
        np.testing.assert_array_equal(grad.reshape(-1), expected)
        _, hess = criterion.grad_and_hess(logits, target, hessian=hessian)
        # q = 1 and Q = 1 whatever p_k: what is left is cross-entropy's p_k (1 - p_k)
        expected[:3] = (0.75, 0.375, 0.375) if hessian == "abs" else (0, 0.1875, 0.1875)
        np.testing.assert_array_equal(hess.reshape(-1), expected)


@every_dtype
@pytest.mark.parametrize("classes", [1, 2, 10, 40, 600, 4097])
def test_focal_with_gamma_0_is_cross_entropy(dtype, classes, isa, rng):
    """To the bit."""
    for reduction in ("none", "sum", "mean"):
        rows, target = random_logits(rng, (23, classes), dtype), rng.integers(0, classes, 23)
        rows[4, target[4]] = 60
        target[7] = -100
        for layout in LAYOUTS:
            for hessian in ("exact", "gauss_newton"):
                logits = laid_out(rows, layout)
                t = target[None] if layout == "middle" else target
                focal = ce.FocalLoss(gamma=0, reduction=reduction)
                plain = ce.CrossEntropyLoss(reduction=reduction)
                assert_same_bits(focal(logits, t), plain(logits, t), "loss")
                grad, hess = focal.grad_and_hess(logits, t, hessian=hessian)
                expected, expected_hess = plain.grad_and_hess(logits, t)
                assert_same_bits(grad, expected, "grad")
                if hessian == "gauss_newton":
                    np.testing.assert_allclose(
                        hess.astype(float), expected_hess.astype(float), 1e-2
                    )


@both_floats
@layouts
@lengths
def test_focal_of_spoilt_rows(dtype, layout, classes, isa, rng):
    for bad, gamma in itertools.product([NAN, INF, "all -inf"], [0, 0.5, 2]):
        rows, target = random_logits(rng, (35, classes), dtype), rng.integers(0, classes, 35)
        criterion = ce.FocalLoss(gamma=gamma, reduction="none")
        clean = results(criterion, rows, target, layout)
        rows[17] = -INF if bad == "all -inf" else rows[17]
        rows[17, classes // 2] = -INF if bad == "all -inf" else bad
        spoilt = results(criterion, rows, target, layout)
        others = np.arange(35) != 17
        for what, before, after in zip(ALL, clean, spoilt, strict=True):
            assert np.isnan(after[17]).all(), what
            assert_same_bits(after[others], before[others], what)


@both_floats
def test_focal_mean_counts_items_not_alpha(dtype, isa, rng):
    logits, target = random_logits(rng, (8, 5), dtype), rng.integers(0, 5, 8)
    target[[2, 5]] = -100
    alpha, v = rng.uniform(0.1, 1, 5).astype(dtype), rng.uniform(0.5, 2, 8).astype(dtype)
    losses = ce.focal_loss(logits, target, alpha=alpha, reduction="none")
    rtol = 8 * np.finfo(dtype).eps
    got = ce.focal_loss(logits, target, alpha=alpha)
    np.testing.assert_allclose(got, losses.sum() / 6, rtol=rtol)
    got = ce.focal_loss(logits, target, alpha=alpha, sample_weight=v)
    np.testing.assert_allclose(got, (v * losses).sum() / v[target >= 0].sum(), rtol=rtol)
    scalar = ce.focal_loss(logits, target, alpha=0.25)
    np.testing.assert_allclose(scalar, 0.25 * ce.focal_loss(logits, target), rtol=rtol)


@both_floats
def test_focal_of_nothing(dtype, isa):
    logits = np.full((2, 3), NAN, dtype)
    loss, grad = ce.FocalLoss().value_and_grad(logits, [-100, -100])
    assert np.isnan(loss)
    np.testing.assert_array_equal(grad, np.zeros((2, 3)))
    assert ce.focal_loss(logits, [-100, -100], reduction="sum") == 0
    assert np.isnan(ce.focal_loss(logits[:0], np.zeros(0, int)))
    one = np.array([[5], [-300]], dtype)
    for result in results(ce.FocalLoss(reduction="none"), one, [0, 0]):
        np.testing.assert_array_equal(result, np.zeros(result.shape))


def test_exact_hessian_of_a_hard_example_is_negative():
    logits = np.array([[0.0, 3]])
    _, exact = ce.FocalLoss(gamma=5).grad_and_hess(logits, [0])
    _, newton = ce.FocalLoss(gamma=5).grad_and_hess(logits, [0], hessian="gauss_newton")
    assert exact.min() < 0
    assert newton.min() > 0


@every_dtype
def test_perplexity(dtype, isa, rng):
    logits, target = random_logits(rng, (2, 7, 5), dtype), rng.integers(0, 7, (2, 5))
    target[0, 1] = -100
    mean = ce.cross_entropy(logits, target)
    got = ce.perplexity(logits, target)
    np.testing.assert_allclose(got, np.exp(np.float64(mean)), rtol=1e-5)
    assert got.dtype == mean.dtype
    last = np.ascontiguousarray(np.moveaxis(logits, 1, -1))
    np.testing.assert_allclose(ce.perplexity(last, target, axis=-1), got, rtol=1e-5)
    np.testing.assert_allclose(ce.perplexity(np.zeros((3, 8), dtype), [1, 2, 3]), 8, rtol=1e-6)
    moved = np.where(target == -100, 9, target)
    np.testing.assert_array_equal(ce.perplexity(logits, moved, ignore_index=9), got)


@every_dtype
def test_perplexity_at_the_edges(dtype, isa):
    assert np.isnan(ce.perplexity(np.zeros((2, 3), dtype), [-100, -100]))
    assert ce.perplexity(np.array([[0, -INF]], dtype), [1]) == INF
    assert ce.perplexity(np.array([[0, -INF]], dtype), [0]) == 1
    with pytest.raises(IndexError, match=r"target\[0\] is 3"):
        ce.perplexity(np.zeros((1, 3), dtype), [3])
