"""Edges of all element-wise losses: masks, shapes, scalars, empty arrays, targets."""

import numpy as np
import pytest
from helpers.problems import COPIES, DTYPES, assert_same_bits
from oracle import LOSSES
from oracle.exact import real

import ce

INF, NAN = np.inf, np.nan
TINY = np.finfo(np.float32).tiny  # what is smaller counts as 0
ELEMENTWISE = [loss for loss in LOSSES if not loss.classes]
every_loss = pytest.mark.parametrize("loss", ELEMENTWISE, ids=lambda loss: loss.label)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


OF_NUMBERS = {"mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss"}
MASKABLE = [loss for loss in ELEMENTWISE if "weight" in loss.weights]


@every_dtype
@pytest.mark.parametrize("loss", MASKABLE, ids=lambda loss: loss.label)
def test_weight_zero_masks_whatever_the_element_holds(loss, dtype, isa, rng):
    for copies in COPIES:
        for reduction in ("none", "sum", "mean"):
            x, y = loss.arrays(rng, (7 * copies,), None, dtype)
            mask = np.arange(7 * copies) % 7
            weight = (mask > 3).astype(dtype)
            criterion = getattr(ce, loss.criterion)(
                weight=weight, reduction=reduction, **loss.fixed
            )
            clean = criterion(x, y), *criterion.grad_and_hess(x, y)
            x, y = x.copy(), y.copy()
            if loss.domain:  # anything else is an error there
                x[mask == 0], x[mask == 1] = loss.domain
                y[mask < 2] = 0.5
            else:
                x[mask == 0], x[mask == 1], x[mask == 2] = NAN, INF, -INF
            spoilt = criterion(x, y), *criterion.grad_and_hess(x, y)
            for what, before, after in zip(("loss", "grad", "hess"), clean, spoilt, strict=True):
                np.testing.assert_array_equal(np.asarray(after), np.asarray(before), what)
                if np.ndim(after):
                    np.testing.assert_array_equal(
                        np.asarray(after)[mask < 4].astype(float), 0, what
                    )
            assert_same_bits(criterion.value_and_grad(x, y)[1], spoilt[1], "grad with the value")


@every_dtype
@every_loss
def test_scalar_targets(loss, dtype, isa, rng):
    x, y = loss.arrays(rng, (4, 33), None, dtype)
    for value in (y[0, 0], float(y[0, 0]), np.array(y[0, 0])):
        for reduction in loss.reductions:
            criterion = getattr(ce, loss.criterion)(reduction=reduction, **loss.fixed)
            full = np.full(x.shape, y[0, 0])
            assert_same_bits(criterion(x, value), criterion(x, full), "loss")
            for a, b in zip(
                criterion.grad_and_hess(x, value), criterion.grad_and_hess(x, full), strict=True
            ):
                assert_same_bits(a, b, "derivative")


@every_loss
@pytest.mark.parametrize(
    ("shape", "other"), [((3, 1), (3,)), ((3,), (3, 1)), ((3,), (1,)), ((2, 3), (3,)), ((1,), (4,))]
)
def test_no_silent_broadcasting(loss, shape, other, rng):
    x, _ = loss.arrays(rng, shape, None, np.float32)
    _, y = loss.arrays(rng, other, None, np.float32)
    with pytest.raises(ValueError, match="target") as caught:
        getattr(ce, loss.name)(x, y, **loss.fixed)
    assert str(shape) in str(caught.value)
    assert str(other) in str(caught.value)


@every_dtype
@every_loss
def test_scalar_inputs(loss, dtype, isa, rng):
    x, y = loss.arrays(rng, (3,), None, dtype)
    for reduction in ("none", "sum", "mean"):
        criterion = getattr(ce, loss.criterion)(reduction=reduction, **loss.fixed)
        loss_, grad = criterion.value_and_grad(np.array(x[0]), np.array(y[0]))
        expected, expected_grad = criterion.value_and_grad(x[:1], y[:1])
        assert np.shape(loss_) == np.shape(grad) == ()
        np.testing.assert_array_equal(np.float64(loss_), np.ravel(expected).astype(float)[0])
        np.testing.assert_array_equal(np.float64(grad), expected_grad.astype(float)[0])


@every_dtype
@every_loss
def test_empty_arrays(loss, dtype, isa):
    for shape in ((0,), (0, 3), (2, 0)):
        empty = np.zeros(shape, dtype)
        for reduction in loss.reductions:
            criterion = getattr(ce, loss.criterion)(reduction=reduction, **loss.fixed)
            value, grad = criterion.value_and_grad(empty, empty)
            assert_same_bits(grad, empty, "gradient")
            if reduction == "none":
                assert_same_bits(value, np.zeros(shape, real(dtype)))
            elif reduction == "sum" or (reduction == "batchmean" and shape[0]):
                assert value == 0
            else:
                assert np.isnan(value)
            assert_same_bits(criterion(empty, empty), value)


@every_loss
def test_targets_of_every_real_dtype(loss, isa, rng):
    """Labels and counts are often integers: they are brought to the computing type.

    Where NumPy computes in float64 with a dtype and float32, so does a loss; of losses of labels
    or probabilities with floating ones only.
    """
    wide = {"f8"} if loss.name not in OF_NUMBERS else {"f8", "i4", "u4", "i8", "u8"}
    for dtype in ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "f2"):
        x, _ = loss.arrays(rng, (5, 9), None, np.float32)
        y = rng.integers(0, 2, x.shape).astype(dtype)
        criterion = getattr(ce, loss.criterion)(**loss.fixed)
        computed = np.float64 if dtype in wide else np.float32
        expected = criterion.value_and_grad(x.astype(computed), y.astype(computed))
        expected = [a.astype(np.float32) for a in expected]
        expected = [np.where(abs(a) < TINY, np.float32(0), a) for a in expected]
        got = criterion.value_and_grad(x, y)
        assert_same_bits(got[0], expected[0], "loss")
        assert_same_bits(got[1], expected[1], "gradient")
