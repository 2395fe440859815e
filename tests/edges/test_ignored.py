"""Items that do not count: ignored, of weight zero, or none at all; and negative weights."""

import numpy as np
import pytest
from helpers.problems import (
    COMPARED_FLOATS,
    DTYPES,
    FLOATS,
    LAYOUTS,
    assert_same_bits,
    assert_within,
    laid_out,
    run_rows,
)
from oracle import LOSSES
from oracle.classification import CROSS_ENTROPY
from oracle.inputs import random_logits, random_target

import ce

INF, NAN = np.inf, np.nan
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
OF_INDICES = {loss.criterion: loss for loss in LOSSES if loss.indices}
of_indices = pytest.mark.parametrize("criterion", OF_INDICES)
both_floats = pytest.mark.parametrize("dtype", FLOATS)
# short rows, rows of about a vector, and rows of several chunks take different paths
LENGTHS = [3, 40, 1100]


def class_weights(criterion):
    """What the criterion calls its weights of classes."""
    return OF_INDICES[criterion].weights[0]


@every_dtype
@of_indices
def test_ignored_rows_are_never_read(dtype, criterion, isa, rng):
    for classes in LENGTHS:
        for layout in LAYOUTS:
            clean = random_logits(rng, (33, classes), dtype)
            target = random_target(rng, clean)
            ignored = np.zeros(33, bool)
            ignored[[0, 5, 16, 32]] = True
            target[ignored] = -100
            for reduction in ("none", "sum", "mean"):
                options = {"criterion": criterion, "reduction": reduction}
                clean_loss, clean_grad = run_rows(clean, target, layout, **options)
                for bad in (NAN, INF, -INF):
                    rows = clean.copy()
                    rows[ignored] = bad
                    loss, grad = run_rows(rows, target, layout, **options)
                    assert_same_bits(loss, clean_loss, "the loss")
                    assert_same_bits(grad, clean_grad, "the gradient")
                    np.testing.assert_array_equal(grad[ignored].astype(float), 0)
                    if reduction == "none":
                        np.testing.assert_array_equal(loss[ignored], 0)


@every_dtype
@of_indices
@pytest.mark.parametrize("name", ["weight", "sample_weight"])
def test_weights_that_no_counted_item_has(dtype, criterion, name, isa, rng):
    """Say 1 / count of a class that does not occur, or the sample weight of an ignored item."""
    for classes in LENGTHS:
        for layout in LAYOUTS:
            rows = random_logits(rng, (20, classes), dtype)
            target = rng.integers(1, classes, 20)
            target[[3, 11]] = 0
            weight = class_weights(criterion)
            name = weight if name == "weight" else name
            for reduction in ("none", "sum", "mean"):
                options = {weight: np.ones(classes, dtype), "sample_weight": np.ones(20, dtype)}
                options |= {"reduction": reduction, "ignore_index": 0, "criterion": criterion}
                loss, grad = run_rows(rows, target, layout, **options)
                for bad in (NAN, INF):
                    options[name][target == 0 if name == "sample_weight" else 0] = bad
                    got, got_grad = run_rows(rows, target, layout, **options)
                    assert_same_bits(got, loss, "the loss")
                    np.testing.assert_array_equal(got_grad[[3, 11]].astype(float), 0)
                    np.testing.assert_array_equal(got_grad, grad)


@every_dtype
@pytest.mark.parametrize("classes", [2, 3, 32, 33, 150, 170, 5000])
def test_class_weights_that_are_no_numbers(dtype, classes, isa, rng):
    """Nor is their sum, which smoothing asks for: gradients of ignored items are 0 nevertheless."""
    z = rng.standard_normal((37, classes)).astype(dtype)
    target = rng.integers(0, classes, 37)
    target[[3, 11, 36]] = -100
    v = np.ones(37)
    v[5] = 0
    ignored = [3, 5, 11, 36]
    for bad in (NAN, INF, -INF, 0.9 * float(np.finfo(np.float64).max)):
        for places in (slice(None), 0, -1):
            weight = np.ones(classes)
            weight[places] = bad
            for reduction in ("none", "sum", "mean"):
                criterion = ce.CrossEntropyLoss(
                    weight=weight, label_smoothing=0.1, reduction=reduction, axis=-1
                )
                loss, grad = criterion.value_and_grad(z, target, sample_weight=v)
                np.testing.assert_array_equal(grad[ignored].astype(float), 0)
                if reduction == "none":
                    np.testing.assert_array_equal(loss[ignored], 0)


@every_dtype
@of_indices
def test_grad_output_of_ignored_items_is_never_used(dtype, criterion, isa, rng):
    for classes in LENGTHS:
        for layout in LAYOUTS:
            rows = random_logits(rng, (20, classes), dtype)
            target = random_target(rng, rows)
            target[[3, 11]] = -100
            g = np.where(target < 0, NAN, 1).astype(dtype)
            middle = layout == "middle"
            target, g = (target[None], g[None]) if middle else (target, g)
            method = getattr(ce, criterion)(reduction="none").grad
            grad = method(laid_out(rows, layout), target, grad_output=g)
            grad = grad[0].T if middle else grad
            np.testing.assert_array_equal(grad[[3, 11]].astype(float), 0)
            assert np.isfinite(grad.astype(float)).all()


@every_dtype
@of_indices
@pytest.mark.parametrize("zero", ["weight", "sample_weight"])
def test_weight_zero_times_infinity_is_zero(dtype, criterion, zero, isa, rng):
    for classes in LENGTHS:
        for layout in LAYOUTS:
            rows = random_logits(rng, (20, classes), dtype)
            target = rng.integers(1, classes, 20)
            target[[3, 11]], rows[[3, 11], 0] = 0, -INF
            options = {"sample_weight": np.ones(20, dtype), "criterion": criterion}
            weight = class_weights(criterion)
            options[weight] = np.ones(classes, dtype)
            options[weight][0] = zero != "weight"
            options["sample_weight"][[3, 11]] = zero != "sample_weight"
            for reduction in ("none", "sum"):
                loss, grad = run_rows(rows, target, layout, reduction=reduction, **options)
                np.testing.assert_array_equal(grad[[3, 11]].astype(float), 0)
                without = np.where(target == 0, -100, target)
                plain = {"criterion": criterion, "reduction": reduction}
                expected, expected_grad = run_rows(rows, without, layout, **plain)
                np.testing.assert_allclose(loss, expected, rtol=1e-6)
                np.testing.assert_allclose(
                    grad.astype(float), expected_grad.astype(float), rtol=1e-6
                )
            loss, grad = run_rows(rows, target, layout, **options)
            assert np.isfinite(loss)
            assert np.isfinite(grad.astype(float)).all()


@both_floats
@pytest.mark.parametrize("shape", [(4, 3), (0, 3), (2, 40, 0), (3, 5, 2), (3, 1000)])
def test_nothing_counted(dtype, shape, isa):
    logits = np.full(shape, NAN, dtype)
    target = np.full(shape[:1] + shape[2:], -100)
    for reduction, expected in (("mean", NAN), ("sum", 0), ("none", np.zeros(target.shape))):
        loss, grad = ce.CrossEntropyLoss(reduction=reduction).value_and_grad(logits, target)
        assert_same_bits(loss, np.asarray(expected, dtype), reduction)
        assert_same_bits(grad, np.zeros(shape, dtype), "the gradient")
    _, hess = ce.CrossEntropyLoss().grad_and_hess(logits, target)
    assert_same_bits(hess, np.zeros(shape, dtype), "the Hessian")


@both_floats
def test_weights_that_cancel_make_the_mean_nan(dtype, isa):
    logits, target = np.eye(3, dtype=dtype), np.array([0, 0, 0])
    weight = np.array([0, 1, 1], dtype)
    assert np.isnan(ce.cross_entropy(logits, target, weight=weight))
    assert ce.cross_entropy(logits, target, weight=weight, reduction="sum") == 0


@pytest.mark.parametrize("dtype", COMPARED_FLOATS)
@pytest.mark.parametrize("shape", [(19, 3), (7, 50), (3, 1200), (2, 9, 20)])
def test_negative_weights_and_the_ends_of_smoothing(dtype, shape, isa, rng):
    logits = random_logits(rng, shape, dtype)
    target = random_target(rng, logits)
    options = {
        "weight": rng.normal(size=shape[1]).astype(dtype),
        "sample_weight": rng.normal(size=target.shape).astype(dtype),
        "reduction": "none",
    }
    for smoothing in (0, 1, 0.0, 1.0, 0.3):
        exact = CROSS_ENTROPY.define(logits, target, label_smoothing=smoothing, **options)
        call = {"sample_weight": options["sample_weight"]}
        made = {"weight": options["weight"], "reduction": "none", "label_smoothing": smoothing}
        loss, grad = ce.CrossEntropyLoss(**made).value_and_grad(logits, target, **call)
        assert_within(loss, exact.loss, f"loss at {smoothing}")
        assert_within(grad, exact.grad, f"grad at {smoothing}")
