"""Edges of divergences and entropies: zeros, infinities, negative numbers, empty axes."""

import mpmath
import numpy as np
import pytest
from helpers.problems import COPIES, DTYPES, FLOATS, assert_same_bits, rounding
from helpers.problems import element_results as results
from mpmath import mpf
from oracle.exact import FLOOR, UNIT, real

import ce

INF, NAN = np.inf, np.nan
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


@every_dtype
def test_kl_div_of_zeros_and_infinities(dtype, isa):
    for copies in COPIES:
        x = np.array([-1, -INF, -INF, NAN, INF, -1, NAN], dtype)
        p = np.array([0, 0, 0.5, 0, 0, NAN, 0.5], dtype)
        loss, grad, hess = results(ce.KLDivLoss(reduction="none"), x, p, copies)
        np.testing.assert_array_equal(loss, [0, 0, INF, 0, 0, NAN, NAN])
        np.testing.assert_array_equal(grad[:5], [0, 0, -0.5, 0, 0])
        np.testing.assert_array_equal(hess[:5], [0, 0, 0, 0, 0])
        assert np.isnan(results(ce.KLDivLoss(reduction="none"), x[:1], np.array([-0.5], dtype))[0])


@every_dtype
def test_kl_div_of_log_zeros(dtype, isa):
    for copies in COPIES:
        x = np.array([-1, -INF, -INF, NAN, 0], dtype)
        t = np.array([-INF, -INF, 0, -INF, NAN], dtype)
        criterion = ce.KLDivLoss(log_target=True, reduction="none")
        loss, grad, _ = results(criterion, x, t, copies)
        np.testing.assert_array_equal(loss, [0, 0, INF, 0, NAN])
        np.testing.assert_array_equal(grad, [0, 0, -1, 0, NAN])


@every_dtype
def test_kl_div_means(dtype, isa, rng):
    p, q = (ce.softmax(rng.normal(size=(4, 6))) for _ in range(2))
    x, p = np.log(q).astype(dtype), p.astype(dtype)
    losses = np.asarray(ce.kl_div(x, p, reduction="none"), np.float64)
    np.testing.assert_allclose(ce.kl_div(x, p), losses.mean(), rtol=1e-6)
    np.testing.assert_allclose(ce.kl_div(x, p, reduction="sum"), losses.sum(), rtol=1e-6)
    got = ce.kl_div(x, p, reduction="batchmean")
    np.testing.assert_allclose(got, losses.sum() / 4, rtol=1e-6)
    grad = ce.KLDivLoss(reduction="batchmean").grad(x, p)
    np.testing.assert_allclose(grad.astype(float), -p.astype(float) / 4, rtol=rounding(dtype))


@every_dtype
def test_kl_div_of_a_number_by_batchmean(dtype, isa):
    """It is a batch of one: as in torch, the mean of the batch is the sum."""
    for log_target in (False, True):
        x, y = np.array(-1.25, dtype), np.array(-0.5 if log_target else 0.5, dtype)
        mean, total = (
            ce.KLDivLoss(log_target=log_target, reduction=r) for r in ("batchmean", "sum")
        )
        for a, b in zip(mean.value_and_grad(x, y), total.value_and_grad(x, y), strict=True):
            assert_same_bits(a, b)
        assert mean(x, y) != 0


@every_dtype
@pytest.mark.parametrize("classes", [3, 40, 600])
def test_entropy_of_special_values(dtype, classes, isa):
    """0 log 0 = 0; p < 0 is NaN, and only in its own row."""
    p = np.zeros((6, classes), dtype)
    p[0, -1] = 1
    p[1, :2] = 0.5
    p[2, 1] = -0.25
    p[3, 1] = NAN
    p[4, 1] = -0.0
    p[5, 1] = INF
    expected = [0, np.log(2), NAN, NAN, 0, -INF]
    np.testing.assert_allclose(ce.entropy(p), expected, rtol=1e-6)
    columns = np.ascontiguousarray(p.T)
    np.testing.assert_allclose(ce.entropy(columns, axis=0), expected, rtol=1e-6)


@every_dtype
@pytest.mark.parametrize("classes", [3, 40, 600])
def test_divergence_of_special_values(dtype, classes, isa):
    p, q = (np.zeros((7, classes), dtype) for _ in range(2))
    p[:, 0], q[:, 0] = 1, 1
    p[1, 0], q[1, 0], p[1, 1], q[1, 1] = 0.5, 0.25, 0.5, 0.75
    q[2, :2] = 0.5  # (0, q)
    p[3, :2] = 0.5  # (p, 0)
    p[4, 1] = -0.25
    q[5, 1] = -0.25
    q[6, 1] = NAN  # counts even where p is 0
    middle = 0.5 * np.log(2) + 0.5 * np.log(0.5 / 0.75)
    got = ce.relative_entropy(p, q)
    np.testing.assert_allclose(got, [0, middle, np.log(2), INF, NAN, NAN, NAN], 1e-5)
    got = ce.cross_entropy_between(p, q)
    expected = [0, middle + np.log(2), np.log(2), INF, NAN, NAN, NAN]
    np.testing.assert_allclose(got, expected, 1e-5)


def terms_of(p, q):
    """p log(p / q) by mpmath, of the numbers as they are stored."""
    with mpmath.workdps(60):
        return [
            a * mpmath.log(a / b) if a else mpf(0)
            for a, b in ((mpf(float(a)), mpf(float(b))) for a, b in zip(p, q, strict=True))
        ]


def assert_divergence(p, q):
    """Within 16 u of the sum of the absolute terms, whatever they leave of each other."""
    terms = terms_of(p, q)
    error = 16 * UNIT[p.dtype] * sum(map(abs, terms)) + FLOOR[p.dtype]
    for got in (
        ce.relative_entropy(p, q),
        ce.relative_entropy(np.stack([p, q], 1), np.stack([q, p], 1), axis=0)[0],
    ):
        assert abs(mpf(float(got)) - sum(terms)) <= error


def test_divergence_of_all_but_equal_numbers(isa):
    """What the difference of two logarithms rounds off would be all there is."""
    p = np.array([0.3])
    assert f"{ce.relative_entropy(p, p * (1 + 1e-12)):.6e}" == "-3.000378e-13"
    p, q = np.array([[0.65, 0.35], [0.65 + 3e-9, 0.35 - 3e-9]])
    assert f"{ce.relative_entropy(p, q):.3e}" == "1.978e-17"


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("classes", [1, 2, 16, 40, 600, 5000])
def test_divergence_of_close_distributions(dtype, classes, isa, rng):
    p = rng.exponential(1, classes) ** 3
    p = (p / p.sum()).astype(dtype)
    for apart in (1e-15, 1e-12, 1e-8, 3e-7, 1e-3, 0.3, 0.999):
        q = (p * (1 + apart * rng.uniform(-1, 1, classes))).astype(dtype)
        assert_divergence(p, q)
        assert_divergence(q, p)
        assert_divergence(p, (q / q.sum(dtype=np.float64)).astype(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_divergence_of_numbers_far_apart(dtype, isa):
    """Quotients at the ends of the near ones, and those that no float64 holds."""
    tiny, huge = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max
    numbers = [tiny, 3 * tiny, np.finfo(dtype).tiny, 1e-30, 0.4999, 0.5, 0.7071, 0.7072, 1, 1.4142]
    numbers = np.array(
        [*numbers, 1.4143, np.nextafter(dtype(2), 1), 2, 3, 1e30, huge / 2048], dtype
    )
    for a in numbers:
        for b in numbers:
            assert_divergence(np.array([a]), np.array([b]))


@every_dtype
def test_sums_of_empty_axes(dtype, isa):
    empty = np.zeros((3, 0), dtype)
    assert_same_bits(ce.entropy(empty) + 0, np.zeros(3, real(dtype)))
    assert_same_bits(ce.relative_entropy(empty, empty) + 0, np.zeros(3, real(dtype)))
    assert ce.entropy(np.zeros((0, 4), dtype)).shape == (0,)
    assert type(ce.entropy(np.ones(1, dtype))) is real(dtype)


def test_errors_of_sums():
    p = np.ones((3, 4), np.float32)
    for function in (ce.relative_entropy, ce.cross_entropy_between):
        with pytest.raises(ValueError, match=r"q has shape \(4,\).*\(3, 4\)"):
            function(p, p[0])
        with pytest.raises(TypeError, match=r"\bq\b.*complex"):
            function(p, p.astype(complex))
    for bad in (np.ones((2, 2), complex), np.ones((2, 2), object)):
        with pytest.raises(TypeError, match=r"^p "):
            ce.entropy(bad)
    with pytest.raises(ValueError, match="axis"):
        ce.entropy(p, axis=2)
    with pytest.raises(TypeError, match="axis"):
        ce.entropy(p, axis=1.5)
