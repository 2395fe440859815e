"""Edges of the regression losses: zeros, NaN, infinities, bends, and their means."""

import ml_dtypes
import numpy as np
import pytest
from helpers.problems import COPIES, DTYPES, assert_same_bits, assert_within, rounding
from helpers.problems import element_results as results
from oracle.exact import BFLOAT16, Exact, real
from oracle.regression import HUBER, SMOOTH_L1

import ce

INF, NAN = np.inf, np.nan
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
REGRESSIONS = pytest.mark.parametrize("name", ["MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss"])


@every_dtype
@REGRESSIONS
def test_equal_numbers(dtype, name, isa):
    """sign(0) = 0."""
    for copies in COPIES:
        x = np.array([0, -0.0, 1.5, -3], dtype)
        loss, grad, _ = results(getattr(ce, name)(reduction="none"), x, x, copies)
        np.testing.assert_array_equal(loss, [0, 0, 0, 0])
        np.testing.assert_array_equal(grad, [0, 0, 0, 0])


@every_dtype
@REGRESSIONS
def test_residuals_that_are_not_finite(dtype, name, isa):
    for copies in COPIES:
        x, y = np.array([NAN, 0, INF, -INF, 1], dtype), np.array([0, NAN, 0, 0, INF], dtype)
        loss, grad, hess = results(getattr(ce, name)(reduction="none"), x, y, copies)
        np.testing.assert_array_equal(loss, [NAN, NAN, INF, INF, INF])
        slope = INF if name == "MSELoss" else 1
        np.testing.assert_array_equal(grad, [NAN, NAN, slope, -slope, -slope])
        np.testing.assert_array_equal(hess[2:], np.full(3, 2 if name == "MSELoss" else 0))
        both = np.array([INF, -INF], dtype)
        loss, grad, _ = results(getattr(ce, name)(reduction="none"), both, both, copies)
        assert np.isnan(loss).all()
        assert np.isnan(grad).all()


@pytest.mark.parametrize("dtype", [np.float32, BFLOAT16.type])
def test_large_residuals_are_finite(dtype, isa):
    """Their squares are not."""
    for copies in COPIES:
        x = np.array([1e25, -1e25], dtype)
        r = abs(x.astype(np.float64))
        zero = np.zeros(2, dtype)
        loss, grad, _ = results(ce.HuberLoss(delta=2, reduction="none"), x, zero, copies)
        np.testing.assert_allclose(loss, 2 * r, rtol=1e-6)
        np.testing.assert_array_equal(grad, [2, -2])
        loss, grad, _ = results(ce.SmoothL1Loss(beta=2, reduction="none"), x, zero, copies)
        np.testing.assert_allclose(loss, r, rtol=1e-6)
        np.testing.assert_array_equal(grad, [1, -1])
        # beta has no influence on what can be squared, either
        loss, *_ = results(ce.SmoothL1Loss(beta=1e30, reduction="none"), x, zero, copies)
        np.testing.assert_allclose(loss, r**2 / 2e30, rtol=1e-6)


@every_dtype
def test_huber_without_a_bend(dtype, isa):
    """With an infinite delta it is half the squared error."""
    for copies in COPIES:
        x = np.array([0, 1.5, -3, 200, -200, INF, -INF, NAN], dtype)
        y = np.zeros(8, dtype)
        loss, grad, hess = results(ce.HuberLoss(delta=INF, reduction="none"), x, y, copies)
        squares, slopes, curves = results(ce.MSELoss(reduction="none"), x, y, copies)
        np.testing.assert_array_equal(loss, squares / 2)
        np.testing.assert_array_equal(grad, slopes / 2)
        np.testing.assert_array_equal(hess[:7], curves[:7] / 2)


def overflowed(exact, dtype):
    """What is beyond the largest number of the dtype is infinite."""
    beyond = abs(exact.value) > ml_dtypes.finfo(dtype).max
    return Exact(np.where(beyond, np.copysign(INF, exact.value), exact.value), exact.error)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, BFLOAT16.type])
@pytest.mark.parametrize(
    "limit", [3e-310, 3e-300, 1e-200, 1e-60, 1e-45, 1e-42, 5e-39, 1.1e-38, 2e-38]
)
@pytest.mark.parametrize("power", [1, -1])
def test_limits_beyond_the_dtype(dtype, limit, power, isa):
    """A delta or beta that is subnormal, or that float32 cannot hold, is taken as it is."""
    limit = limit if power == 1 else min(1 / limit, np.finfo(np.float64).max)
    x = np.array([0, *(s * 10.0**e for e in range(-30, 39, 2) for s in (1, -1))], dtype)
    for row, option in ((HUBER, "delta"), (SMOOTH_L1, "beta")):
        exact = row.define(x, 0 * x, reduction="none", **{option: limit})
        criterion = getattr(ce, row.criterion)(reduction="none", **{option: limit})
        loss, grad = criterion.value_and_grad(x, 0 * x)
        hess = criterion.grad_and_hess(x, 0 * x)[1]
        assert_within(loss, overflowed(exact.loss, real(dtype)), "loss")
        assert_within(grad, overflowed(exact.grad, dtype), "grad")
        assert_within(hess, overflowed(exact.hess, dtype), "hess")


@every_dtype
def test_huber_at_the_bend(dtype, isa):
    for copies in COPIES:
        x = np.array([1, -1, 1.25, -0.75, 0.5], dtype)
        loss, grad, hess = results(ce.HuberLoss(reduction="none"), x, 0 * x, copies)
        np.testing.assert_array_equal(loss, [0.5, 0.5, 0.75, 0.28125, 0.125])
        np.testing.assert_array_equal(grad, [1, -1, 1, -0.75, 0.5])
        np.testing.assert_array_equal(hess, [1, 1, 0, 1, 1])
        loss, grad, hess = results(ce.SmoothL1Loss(reduction="none"), x, 0 * x, copies)
        np.testing.assert_array_equal(loss, [0.5, 0.5, 0.75, 0.28125, 0.125])
        np.testing.assert_array_equal(grad, [1, -1, 1, -0.75, 0.5])
        np.testing.assert_array_equal(hess, [0, 0, 0, 1, 1])


@every_dtype
def test_huber_of_a_large_delta_is_half_of_mse(dtype, isa, rng):
    for copies in COPIES:
        x = rng.normal(0, 5, 30).astype(dtype)
        huber = results(ce.HuberLoss(delta=1e6, reduction="none"), x, 0 * x, copies)
        mse = results(ce.MSELoss(reduction="none"), x, 0 * x, copies)
        for a, b in zip(huber, mse, strict=True):
            np.testing.assert_allclose(a, b / 2, rtol=rounding(dtype))


@every_dtype
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_smooth_l1_with_beta_0_is_l1(dtype, reduction, isa, rng):
    """Exactly."""
    x, y = (rng.normal(size=100).astype(dtype) for _ in range(2))
    x[3], x[4], x[5], y[6] = y[3], INF, NAN, -INF
    smooth, l1 = ce.SmoothL1Loss(beta=0, reduction=reduction), ce.L1Loss(reduction=reduction)
    assert_same_bits(smooth(x, y), l1(x, y), "loss")
    for a, b in zip(smooth.grad_and_hess(x, y), l1.grad_and_hess(x, y), strict=True):
        assert_same_bits(a + dtype(0), b + dtype(0), "derivative")


@every_dtype
@REGRESSIONS
def test_weighted_mean_divides_by_the_sum_of_weights(dtype, name, isa, rng):
    x, y = (rng.normal(size=(6, 5)).astype(dtype) for _ in range(2))
    losses = np.asarray(getattr(ce, name)(reduction="none")(x, y), np.float64)
    for weight in (rng.uniform(0, 1, (6, 5)), rng.uniform(0, 1, 5), rng.uniform(0, 1, (6, 1))):
        weight = weight.astype(dtype)
        wide = np.broadcast_to(weight, x.shape).astype(np.float64)
        criterion = getattr(ce, name)(weight=weight)
        np.testing.assert_allclose(criterion(x, y), (wide * losses).sum() / wide.sum(), rtol=1e-5)
        total = getattr(ce, name)(weight=weight, reduction="sum").grad(x, y).astype(np.float64)
        np.testing.assert_allclose(
            criterion.grad(x, y).astype(np.float64), total / wide.sum(), rtol=2 * rounding(dtype),
            atol=1e-7,
        )  # fmt: skip
    np.testing.assert_allclose(getattr(ce, name)(weight=dtype(3))(x, y), losses.mean(), rtol=1e-5)
    assert np.isnan(getattr(ce, name)(weight=np.zeros(5, dtype))(x, y))


@pytest.mark.parametrize("weight", [1e38, 2e-38])
def test_extreme_weights_neither_overflow_nor_vanish(weight, isa):
    """The weighted sum is taken in float64; w r^2 alone would not fit float32."""
    x, w = np.float32([2, 2, 4]), np.full(3, weight, np.float32)
    np.testing.assert_allclose(ce.mse_loss(x, 0, weight=w), 8, rtol=1e-6)
    np.testing.assert_allclose(ce.MSELoss(weight=w).grad(x, 0), 2 * x / 3, rtol=1e-6)
