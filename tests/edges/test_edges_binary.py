"""Edges of the binary losses: infinite and confident logits, the ends of [0, 1], labels."""

import itertools
from functools import cache

import mpmath
import numpy as np
import pytest
from helpers.problems import COPIES, DTYPES, FLOATS, assert_within, rounding
from helpers.problems import element_results as results
from oracle.binary import SOFT_SIGMOID_FOCAL
from oracle.exact import WIDE, Exact

import ce

INF, NAN = np.inf, np.nan
TINY = mpmath.mpf(10) ** -400
GAMMAS = [0, 0.25, 0.5, 1, 2, 5]
HESSIANS = ["exact", "gauss_newton", "abs"]
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
both_floats = pytest.mark.parametrize("dtype", FLOATS)


@every_dtype
def test_bce_at_the_ends(dtype, isa):
    """Logarithms end at -100, denominators at 1e-12."""
    for copies in COPIES:
        x, y = np.array([0, 1, 0, 1, 0.5], dtype), np.array([0, 1, 1, 0, 0.5], dtype)
        loss, grad, hess = results(ce.BCELoss(reduction="none"), x, y, copies)
        np.testing.assert_allclose(loss, [0, 0, 100, 100, np.log(2)], rtol=1e-6)
        big = INF if dtype is np.float16 else 1e12
        np.testing.assert_allclose(grad, [0, 0, -big, big, 0], rtol=4e-3)
        big = INF if dtype is np.float16 else 1e24
        np.testing.assert_allclose(hess, [1, 1, big, big, 4], rtol=4e-3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("place", [(0, 0), (2, 4), (11, 32)])
def test_bce_refuses_what_is_no_probability(dtype, place, isa):
    for bad in (NAN, -0.25, 1.5, INF, -INF):
        good = np.full((12, 33), 0.5, dtype)
        out = np.full(good.shape, 7, dtype)
        for name in ("probs", "target"):
            arrays = {"probs": good.copy(), "target": good.copy()}
            arrays[name][place] = bad
            if place != (11, 32):
                arrays[name][11, 32] = -1  # the first one is named
            where = rf"{name}\[{place[0]}, {place[1]}\] is {bad}"
            for criterion in (ce.BCELoss(), ce.BCELoss(reduction="none")):
                with pytest.raises(ValueError, match=where):
                    criterion(*arrays.values())
                with pytest.raises(ValueError, match=where):
                    criterion.grad(*arrays.values(), out=out)
            np.testing.assert_array_equal(out.astype(float), 7)


@both_floats
def test_bce_of_small_probabilities(dtype, isa):
    """log(1 - x) of a small x is -x, not log(1)."""
    for copies in COPIES:
        x = np.array([1e-10, 1e-30, 1e-36], dtype)
        loss, *_ = results(ce.BCELoss(reduction="none"), x, 0 * x, copies)
        np.testing.assert_allclose(loss, x.astype(np.float64), rtol=1e-6)


@every_dtype
def test_bce_with_infinite_logits(dtype, isa):
    """0 times infinity is 0."""
    for copies in COPIES:
        x = np.array([INF, -INF, INF, -INF, INF, -INF, NAN], dtype)
        y = np.array([1, 0, 0, 1, 0.5, 0.5, 0], dtype)
        criterion = ce.BCEWithLogitsLoss(reduction="none")
        loss, grad, hess = results(criterion, x, y, copies)
        np.testing.assert_array_equal(loss, [0, 0, INF, INF, INF, INF, NAN])
        np.testing.assert_array_equal(grad, [0, 0, 1, -1, 0.5, -0.5, NAN])
        np.testing.assert_array_equal(hess, [0, 0, 0, 0, 0, 0, NAN])
        criterion = ce.BCEWithLogitsLoss(reduction="none", pos_weight=dtype(0))
        loss, grad, _ = results(criterion, x, y, copies)
        np.testing.assert_array_equal(loss, [0, 0, INF, 0, INF, 0, NAN])
        np.testing.assert_array_equal(grad, [0, 0, 1, 0, 0.5, 0, NAN])


@both_floats
def test_bce_of_confident_logits_keeps_its_digits(dtype, isa):
    """torch's sigma(x) - y is 0 there."""
    for copies in COPIES:
        x = np.array([20, -20, 80, -80, 40, -40], dtype)
        y = np.array([1, 0, 1, 0, 1, 0], dtype)
        loss, grad, hess = results(ce.BCEWithLogitsLoss(reduction="none"), x, y, copies)
        tail = np.exp(-abs(x.astype(np.float64)))
        rtol = 8 * np.finfo(dtype).eps
        np.testing.assert_allclose(loss, np.log1p(tail), rtol=rtol)
        np.testing.assert_allclose(grad, np.where(y == 1, -1, 1) * tail / (1 + tail), rtol=rtol)
        np.testing.assert_allclose(hess, tail / (1 + tail) ** 2, rtol=rtol)


@every_dtype
def test_hessian_of_tiny_positive_weights(dtype, isa):
    """1 + (pos_weight - 1) y would leave nothing of the weight."""
    for copies in COPIES:
        x, y = np.array([0, 0, 2, -2], dtype), np.array([1, 0.75, 1, 1], dtype)
        for weight in dtype(2e-8), dtype(1e-3):
            criterion = ce.BCEWithLogitsLoss(reduction="none", pos_weight=weight)
            *_, hess = results(criterion, x, y, copies)
            e = np.exp(-abs(x.astype(np.float64)))
            expected = (1 - y.astype(float) + float(weight) * y) * e / (1 + e) ** 2
            atol = 2.0**-25 if dtype is np.float16 else 0  # that of subnormal numbers
            np.testing.assert_allclose(hess, expected, rtol=rounding(dtype), atol=atol)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_focal_of_subnormal_factors(dtype, isa):
    """R^gamma, or its product with alpha, is no normal number; the loss is."""
    for x, y, gamma, expected in (
        (-9.78e28, 2.43e-15, 2, 3.4101e-30),
        (-1.16e14, 0.008, 20, 8.5593e-33),
    ):
        arrays = np.array([x], np.float32).astype(dtype), np.array([y], np.float32).astype(dtype)
        got = ce.sigmoid_focal_loss(*arrays, gamma=gamma, alpha=1, reduction="sum")
        np.testing.assert_allclose(got, expected, rtol=2e-5)


@cache
def sigmoid_focal_of_all_sizes(dtype, gamma, alpha):
    """Logits and labels of all sizes, and the truth by mpmath with the errors allowed."""
    rng, n, most = np.random.default_rng(7), 20, 37 if dtype is np.float32 else 300
    x = np.where(np.arange(n) % 3, 10.0 ** rng.uniform(0, most, n), rng.uniform(0, 90, n))
    y = np.where(np.arange(n) % 5, 10.0 ** rng.uniform(-most / 2, 0, n), 1)
    signs = rng.choice([1, -1], n)
    x, y = (x * signs).astype(dtype), np.where(signs < 0, y, 1 - y).astype(dtype)
    row = SOFT_SIGMOID_FOCAL
    defined = row.define(x, y, gamma=gamma, alpha=alpha, reduction="none")
    truth = row.truth(x, y, gamma=gamma, alpha=alpha or 0.5)
    found, by = [], 1 if alpha else 2
    for name, exact in zip(("loss", "gradient", "Hessian"), vars(defined).values(), strict=True):
        values = [WIDE(mpmath.nstr(v * by, 25)) if abs(v) > TINY else 0 for v in truth[name]]
        found.append(Exact(np.array(values), exact.error))
    return x, y, found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gamma", [0.25, 2, 20, 1000])
@pytest.mark.parametrize("alpha", [None, 1, 1e-20])
def test_sigmoid_focal_of_all_sizes(dtype, gamma, alpha, isa):
    """Nothing is lost that the dtype can hold, down to 1e-36 (float64: 1e-290)."""
    x, y, truth = sigmoid_focal_of_all_sizes(dtype, gamma, alpha)
    criterion = ce.SigmoidFocalLoss(gamma=gamma, alpha=alpha, reduction="none")
    loss, grad = criterion.value_and_grad(x, y)
    hess = criterion.grad_and_hess(x, y)[1]
    for name, got, exact in zip(("loss", "grad", "hess"), (loss, grad, hess), truth, strict=True):
        assert_within(got, exact, name)


@every_dtype
def test_bce_with_logits_takes_any_label(dtype, isa):
    for copies in COPIES:
        x, y = np.array([1, -2, 0.5], dtype), np.array([2, -1, 1.5], dtype)
        loss, grad, _ = results(ce.BCEWithLogitsLoss(reduction="none"), x, y, copies)
        x, y = x.astype(np.float64), y.astype(np.float64)
        np.testing.assert_allclose(loss, np.log1p(np.exp(x)) - x * y, rtol=2e-6)
        np.testing.assert_allclose(grad, 1 / (1 + np.exp(-x)) - y, rtol=rounding(dtype))


@every_dtype
@pytest.mark.parametrize("name", ["BCELoss", "BCEWithLogitsLoss", "SigmoidFocalLoss"])
def test_weighted_mean_of_binary_losses_divides_by_their_number(dtype, name, isa, rng):
    x = rng.uniform(0.1, 0.9, (6, 5)).astype(dtype)
    y, weight = rng.integers(0, 2, x.shape), rng.uniform(0, 1, (6, 5)).astype(dtype)
    losses = np.asarray(getattr(ce, name)(reduction="none")(x, y), np.float64)
    expected = (weight.astype(np.float64) * losses).sum() / 30
    np.testing.assert_allclose(getattr(ce, name)(weight=weight)(x, y), expected, rtol=1e-5)
    assert getattr(ce, name)(weight=np.zeros(5, dtype))(x, y) == 0


@every_dtype
def test_sigmoid_focal_of_infinite_logits(dtype, isa):
    """No power of 0 is NaN."""
    for copies in COPIES:
        for gamma, hessian in itertools.product(GAMMAS, HESSIANS):
            x = np.repeat(np.array([INF, -INF, INF, -INF], dtype), copies)
            y = np.repeat(np.array([1, 0, 0, 1], dtype), copies)
            criterion = ce.SigmoidFocalLoss(gamma=gamma, alpha=0.25, reduction="none")
            loss = criterion(x, y)
            grad, hess = (a.astype(float) for a in criterion.grad_and_hess(x, y, hessian=hessian))
            np.testing.assert_array_equal(loss, np.repeat([0, 0, INF, INF], copies))
            np.testing.assert_array_equal(grad, np.repeat([0, 0, 0.75, -0.25], copies))
            expected = [0, 0, 0.75, 0.25] if hessian == "abs" else [0, 0, 0, 0]
            np.testing.assert_array_equal(hess, np.repeat(expected, copies))


@both_floats
def test_sigmoid_focal_of_confident_logits(dtype, isa):
    for copies in COPIES:
        for gamma in GAMMAS:
            x = np.array([40, -40, 87, -87, 100, 1e4, -1e4], dtype)
            y = (x > 0).astype(dtype)
            criterion = ce.SigmoidFocalLoss(gamma=gamma, alpha=None, reduction="none")
            for result in results(criterion, x, y, copies):
                assert (
                    abs(result) <= (1 + gamma) ** 2 * np.exp(-abs(x.astype(float))) * 1.01 + 1e-38
                ).all()


@both_floats
def test_sigmoid_focal_with_gamma_0_is_binary_cross_entropy(dtype, isa, rng):
    for copies in COPIES:
        x, y = rng.normal(0, 5, 40).astype(dtype), rng.uniform(0, 1, 40).astype(dtype)
        focal = results(ce.SigmoidFocalLoss(gamma=0, alpha=None, reduction="none"), x, y, copies)
        plain = results(ce.BCEWithLogitsLoss(reduction="none"), x, y, copies)
        for a, b in zip(focal, plain, strict=True):
            np.testing.assert_allclose(a, b, rtol=16 * np.finfo(dtype).eps)
