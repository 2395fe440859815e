"""Infinities, NaN, extreme and subnormal logits, empty arrays and single classes."""

import numpy as np
import pytest
from helpers.problems import DTYPES, FLOATS, LAYOUTS, assert_same_bits, laid_out, run_rows
from oracle import LOSSES
from oracle.inputs import random_logits, random_target

import ce

INF, NAN = np.inf, np.nan
both_floats = pytest.mark.parametrize("dtype", FLOATS)
layouts = pytest.mark.parametrize("layout", LAYOUTS)
# short rows, rows of about a vector, and rows of several chunks take different paths
lengths = pytest.mark.parametrize("classes", [3, 40, 1100])


def one(row, t, dtype=np.float64, layout="rows", **options):
    """The loss and the gradient of one row, between two harmless ones."""
    row = np.asarray(row, dtype)
    rows = np.stack([np.zeros_like(row), row, np.ones_like(row)])
    loss, grad = run_rows(rows, [0, t, 0], layout, reduction="none", **options)
    assert np.isfinite(loss[[0, 2]]).all()
    assert np.isfinite(grad[[0, 2]]).all()
    return loss[1], grad[1]


@both_floats
@layouts
def test_minus_infinity_is_a_class_of_probability_zero(dtype, layout, isa):
    loss, grad = one([-INF, 0, 1], 2, dtype, layout)
    np.testing.assert_allclose(loss, np.log1p(np.exp(-1.0)), rtol=1e-6)
    p = 1 / (1 + np.e)
    np.testing.assert_allclose(grad, [0, p, -p], rtol=1e-6)


@both_floats
@layouts
def test_minus_infinity_at_the_target(dtype, layout, isa):
    loss, grad = one([-INF, 0, 1], 0, dtype, layout)
    assert loss == INF
    p = 1 / (1 + np.e)
    np.testing.assert_allclose(grad, [-1, p, 1 - p], rtol=1e-6)


@both_floats
@layouts
def test_smoothing_of_minus_infinity_is_infinite(dtype, layout, isa):
    loss, grad = one([-INF, 0, 1], 2, dtype, layout, label_smoothing=0.1)
    assert loss == INF
    p = np.array([0, 1, np.e]) / (1 + np.e)
    np.testing.assert_allclose(grad, p - [0.1 / 3, 0.1 / 3, 0.9 + 0.1 / 3], rtol=1e-5)


@both_floats
@layouts
@lengths
@pytest.mark.parametrize("bad", [NAN, INF])
def test_nan_or_plus_infinity_spoils_its_item_only(dtype, layout, classes, bad, isa, rng):
    rows = random_logits(rng, (35, classes), dtype)
    target = random_target(rng, rows)
    clean_loss, clean_grad = run_rows(rows, target, layout, reduction="none")
    for place in (0, classes // 2, classes - 1):
        spoilt = rows.copy()
        spoilt[17, place] = bad
        loss, grad = run_rows(spoilt, target, layout, reduction="none")
        assert np.isnan(loss[17])
        assert np.isnan(grad[17]).all()
        others = np.arange(35) != 17
        assert_same_bits(loss[others], clean_loss[others], "the other losses")
        assert_same_bits(grad[others], clean_grad[others], "the other gradients")
        assert np.isnan(run_rows(spoilt, target, layout, reduction="sum")[0])


@both_floats
@layouts
@lengths
def test_all_minus_infinity_is_nan(dtype, layout, classes, isa):
    loss, grad = one(np.full(classes, -INF), 1, dtype, layout)
    assert np.isnan(loss)
    assert np.isnan(grad).all()
    row = np.full((1, classes), -INF, dtype)
    assert ce.logsumexp(laid_out(row, layout), axis=1).item() == -INF
    assert np.isnan(ce.softmax(laid_out(row, layout), axis=1)).all()


@layouts
def test_extreme_finite_logits(layout, isa):
    """z - m overflows to -inf, whose exponential is 0."""
    for dtype, big in ((np.float32, 3.4e38), (np.float64, 1.7e308)):
        loss, grad = one([big, -big, 0], 0, dtype, layout)
        assert loss == 0
        np.testing.assert_array_equal(grad, [0, 0, 0])
        loss, grad = one([big, -big, 0], 2, dtype, layout)
        assert loss == dtype(big)
        np.testing.assert_array_equal(grad, [1, 0, -1])
        loss, grad = one([big, -big, 0], 1, dtype, layout)
        np.testing.assert_array_equal(grad, [1, -1, 0])
        np.testing.assert_array_equal(ce.softmax(np.array([big, -big, 0], dtype)), [1, 0, 0])


@both_floats
def test_no_classes(dtype, isa):
    logits = np.zeros((2, 0), dtype)
    text = r"target\[0\] is 0, not in \[0, 0\) \(ignore_index=-100\)"
    with pytest.raises(IndexError, match=text):
        ce.cross_entropy(logits, np.array([0, 0]))
    ignored = np.array([-100, -100])
    assert np.isnan(ce.cross_entropy(logits, ignored))
    np.testing.assert_array_equal(ce.cross_entropy(logits, ignored, reduction="none"), [0, 0])
    assert ce.CrossEntropyLoss().grad(logits, ignored).shape == (2, 0)


@both_floats
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_one_class_is_certain(dtype, smoothing, isa):
    logits = np.array([[5], [-300], [0]], dtype)
    criterion = ce.CrossEntropyLoss(reduction="none", label_smoothing=smoothing)
    loss, grad = criterion.value_and_grad(logits, np.zeros(3, int))
    np.testing.assert_array_equal(loss, [0, 0, 0])
    np.testing.assert_allclose(grad, np.zeros((3, 1)), atol=4 * np.finfo(dtype).eps * smoothing)


@both_floats
@layouts
def test_zeros_and_subnormal_logits(dtype, layout, isa):
    tiny = np.finfo(dtype).smallest_subnormal
    for row in ([-0.0, 0.0], [0.0, -0.0], [tiny, -tiny], [-tiny, tiny * 3]):
        loss, grad = one(row, 0, dtype, layout)
        np.testing.assert_allclose(loss, np.log(2), rtol=1e-6)
        np.testing.assert_allclose(grad, [-0.5, 0.5], rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], -INF),
        ([-INF], -INF),
        ([INF], INF),
        ([INF, INF, 0], INF),
        ([-INF, INF], INF),
        ([NAN, 1], NAN),
        ([INF, NAN], NAN),
        ([1, NAN, INF], NAN),
        ([-INF, NAN], NAN),
        ([-INF, 2], 2),
        ([-3], -3),
    ],
)
@both_floats
def test_logsumexp_of_special_values(values, expected, dtype, isa):
    for x in (values, [-INF] * 600 + values if values else values):
        x = np.array(x, dtype)
        assert_same_bits(ce.logsumexp(x), dtype(expected))
        block = np.ascontiguousarray(np.repeat(x[:, None], 17, axis=1))
        assert_same_bits(ce.logsumexp(block, axis=0), np.full(17, expected, dtype))


@both_floats
def test_empty_arrays(dtype, isa):
    assert_same_bits(ce.logsumexp(np.zeros((3, 0), dtype)), np.full(3, -INF, dtype))
    assert_same_bits(ce.logsumexp(np.zeros((0, 4), dtype), axis=0), np.full(4, -INF, dtype))
    kept = ce.logsumexp(np.zeros((3, 0), dtype), keepdims=True)
    assert_same_bits(kept, np.full((3, 1), -INF, dtype))
    for function in (ce.softmax, ce.log_softmax):
        for shape in ((3, 0), (0, 3), (0,)):
            assert_same_bits(function(np.zeros(shape, dtype)), np.zeros(shape, dtype))


@both_floats
def test_softmax_of_one_is_one(dtype, isa):
    x = np.array([[3], [-1e30], [0]], dtype)
    np.testing.assert_array_equal(ce.softmax(x), np.ones((3, 1)))
    np.testing.assert_array_equal(ce.log_softmax(x), np.zeros((3, 1)))


@pytest.mark.parametrize(
    ("row", "t", "smoothing"),
    [
        ([3.4e38, -3.4e38, 0], 0, 0.1),
        ([2e38] + [0] * 63, 0, 0.01),
        ([0] + [-2e38] * 599, 0, 0.1),
        ([3.4e38] + [-3.4e38] * 600, 0, 0.01),
    ],
)
@pytest.mark.parametrize("layout", ["rows", "middle"])
def test_smoothing_of_extreme_logits_is_finite(row, t, smoothing, layout, isa):
    """Their distances overflow in float32, the loss does not."""
    shape = (1, -1) if layout == "rows" else (1, -1, 1)
    z = np.array(row, np.float32).reshape(shape)
    target = np.full(z.shape[:1] + z.shape[2:], t)
    expected = smoothing * np.mean(max(row) - np.float64(row))
    got = ce.cross_entropy(z, target, label_smoothing=smoothing)
    np.testing.assert_allclose(got, expected, 1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "loss", [loss for loss in LOSSES if not loss.domain], ids=lambda loss: loss.label
)  # where NaN is an error
def test_nan_of_any_payload_is_nan(loss, dtype, isa, rng):
    """Quiet or signalling, of either sign: whatever a computation made of it."""
    bits = 8 * np.dtype(dtype).itemsize
    fraction = {np.float16: 10, np.float32: 23, np.float64: 52}.get(dtype, 7)
    ones = (2 ** (bits - 1) - 1) >> fraction << fraction
    nans = [ones | 1, ones | 2 ** (fraction - 1), 2 ** (bits - 1) - 1, ones | 2 ** (fraction // 2)]
    nans = np.array([*nans, *(n | 2 ** (bits - 1) for n in nans)], f"u{bits // 8}").view(dtype)
    for classes in (5, 40, 700):
        x, y = loss.arrays(rng, (len(nans), classes), None, dtype)
        y = np.zeros_like(y) if loss.indices else y
        if not loss.classes:
            y[:, 0] = dtype(0.5)  # 0 times NaN is 0 in a divergence
        x[:, 0] = nans
        criterion = getattr(ce, loss.criterion)(reduction="none", **loss.fixed)
        losses = np.asarray(criterion(x, y), np.float64)
        assert np.isnan(losses if loss.classes else losses[:, 0]).all()
        assert np.isfinite(losses[:, 1:] if not loss.classes else 0).all()
        if not loss.linear:
            assert np.isnan(criterion.grad(x, y)[:, 0].astype(np.float64)).all()
