"""Divergences of two models' logits against mpmath: digits where models are close, and edges.

Yardsticks, with u the unit roundoff and R the range of the logits that count: of a divergence
(R + 8) u; of the gradient max(p, q) (min(|d|, 1) (R + 8) u + 4 u), d the difference of the
log-probabilities; of those that take the divergence D away from d also (R + 8) u of themselves and
of q D. Logits that are scaled or capped are rounded once more.
"""

import dataclasses
import math
from functools import cache

import ml_dtypes
import mpmath
import numpy as np
import pytest
from helpers.problems import assert_same_bits
from oracle.exact import UNIT, WIDE, Exact, real, stored
from oracle.inputs import random_logits

import ce

DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
KINDS = {
    "forward": ce.KLDivWithLogitsLoss(reduction="none"),
    "reverse": ce.KLDivWithLogitsLoss(reverse=True, reduction="none"),
    "between": ce.JSDivWithLogitsLoss(reduction="none"),
    "mostly q": ce.JSDivWithLogitsLoss(beta=0.03125, reduction="none"),
    "mostly p": ce.JSDivWithLogitsLoss(beta=0.96875, reduction="none"),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


@cache
def truth(kind, y, z, dtype):
    """The divergence and its gradient, to as many digits as it takes; p, q and d."""
    with mpmath.workdps(80):
        rows = []
        for data in (z, y):
            x = [mpmath.mpf(float(v)) for v in np.frombuffer(data, dtype)]
            total = mpmath.log(mpmath.fsum(map(mpmath.exp, x)))
            rows.append([v - total for v in x])
        lp, lq = rows
        p, q = ([mpmath.exp(v) for v in row] for row in rows)
        d = [b - a for a, b in zip(lp, lq, strict=True)]
        if kind == "forward":
            value = -mpmath.fdot(p, d)
            grad = [b - a for a, b in zip(p, q, strict=True)]
        elif kind == "reverse":
            value = mpmath.fdot(q, d)
            grad = [b * (x - value) for b, x in zip(q, d, strict=True)]
        else:
            beta = mpmath.mpf(KINDS[kind].beta)
            m = [beta * a + (1 - beta) * b for a, b in zip(p, q, strict=True)]
            lm = list(map(mpmath.log, m))
            of_p = mpmath.fsum(a * (x - c) for a, x, c in zip(p, lp, lm, strict=True))
            of_q = mpmath.fsum(b * (x - c) for b, x, c in zip(q, lq, lm, strict=True))
            value = beta * of_p + (1 - beta) * of_q
            grad = [(1 - beta) * b * (x - c - of_q) for b, x, c in zip(q, lq, lm, strict=True)]
    return value, grad, p, q, d


def check_row(kind, y, z, value, grad):
    u = UNIT[np.dtype(y.dtype)]
    exact, gradient, p, q, d = truth(kind, y.tobytes(), z.tobytes(), y.dtype)
    reach = float(max(np.ptp(y), np.ptp(z))) + 8
    assert value >= 0
    if exact > 1e-36:
        error = abs(mpmath.mpf(float(value)) - exact) / exact
        assert error <= reach * u, (kind, float(error / (reach * u)))
    else:
        assert value <= 1e-36
    for k in range(len(y)):
        larger = float(max(p[k], q[k]))
        bound = larger * (min(abs(float(d[k])), 1) * reach * u + 4 * u)
        if kind != "forward":  # the divergence is taken away from d, and is no better known
            bound += (abs(float(gradient[k])) + float(q[k] * exact)) * reach * u
        assert abs(mpmath.mpf(float(grad[k])) - gradient[k]) <= bound + 1e-37, (kind, k)


SIZES = [2, 3, 10, 100, 600, 5000]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("noise", [1e-8, 1e-4, 1e-2, 1.0, 10.0])
def test_close_and_far(dtype, noise, rng, isa):
    """Down to models that differ in the eighth digit: where log-softmaxes differ by nothing."""
    for K in SIZES[: 5 if noise == 1e-4 else 4]:
        for spread in (0.1, 3, 20, 60):
            z = rng.uniform(-spread / 2, spread / 2, K).astype(dtype)
            for offset in (0, 300):
                y = (z + offset + rng.normal(0, noise, K)).astype(dtype)
                for kind, criterion in KINDS.items():
                    check_row(kind, y, z, *criterion.value_and_grad(y, z))


def phi(x):
    """e^x - 1 - x, of long doubles that are small."""
    return x**2 * sum(x**n / WIDE(math.factorial(n + 2)) for n in range(9))


@every_kind
@pytest.mark.parametrize("noise", [1e-3, 1e-6])
def test_long_rows(kind, noise, rng, isa):
    """Several blocks; beyond the length whose exponentials are kept; so close that sums are made
    anew. What the gradient is off by is a part of the largest terms, as d is off for all classes
    alike."""
    for K, dtype in ((9000, np.float32), (5000, np.float64), (270_000, np.float32)):
        z = rng.normal(0, 3, K).astype(dtype)
        y = (z + rng.normal(0, noise, K)).astype(dtype)
        u = UNIT[np.dtype(dtype)]
        p, d, criterion = z.astype(WIDE) - z.max(), y.astype(WIDE) - z, KINDS[kind]
        p -= np.log(np.exp(p).sum())
        d -= np.log1p((np.exp(p) * np.expm1(d)).sum())  # not as a difference of long logarithms
        q = p + d
        if kind == "forward":
            exact = (np.exp(p) * phi(d)).sum()
            gradient = np.exp(p) * np.expm1(d)
        elif kind == "reverse":
            exact = (np.exp(q) * phi(-d)).sum()
            gradient = np.exp(q) * (d - exact)
        else:
            to_m = np.log1p((1 - criterion.beta) * np.expm1(d))
            of_q = (np.exp(q) * phi(to_m - d)).sum()
            exact = criterion.beta * (np.exp(p) * phi(to_m)).sum() + (1 - criterion.beta) * of_q
            gradient = (1 - criterion.beta) * np.exp(q) * (d - to_m - of_q)
        value, grad = criterion.value_and_grad(y, z)
        reach = (np.ptp(y) + 8) * u
        assert abs(value - exact) <= reach * exact
        assert value == criterion(y, z)
        bound = np.exp(np.maximum(p, q)) * (np.abs(d) * reach + 4 * u * np.abs(d).max())
        assert (np.abs(grad - gradient) <= bound).all()


def test_the_digits_of_models_that_are_close(rng):
    """At 4.8e-7, where differences of log-softmaxes in float32 have few digits left."""
    z = rng.normal(0, 4, (8, 32000)).astype(np.float32)
    y = (z + rng.normal(0, 1e-3, z.shape)).astype(np.float32)
    p, q = (x.astype(np.float64) for x in (z, y))
    p, q = (x - np.log(np.exp(x).sum(1, keepdims=True)) for x in (p, q))
    exact = (np.exp(p) * (np.expm1(q - p) - (q - p))).sum(1)
    assert 1e-7 < exact.mean() < 1e-6
    np.testing.assert_allclose(ce.kl_div_with_logits(y, z, reduction="none"), exact, rtol=1e-6)


@every_dtype
@every_kind
def test_equal_rows(dtype, kind, rng, isa):
    """Exactly 0, gradient too; also where one is the other plus a constant."""
    for K in SIZES:
        z = random_logits(rng, (3, K), dtype)
        value, grad = KINDS[kind].value_and_grad(z, z.copy())
        assert (value == 0).all()
        assert (grad == 0).all()
        whole = np.round(z.astype(np.float32)).astype(dtype)
        shifted = (whole.astype(np.float32) + 64).astype(dtype)
        if (shifted.astype(np.float32) - 64 == whole).all():
            assert (KINDS[kind](shifted, whole) == 0).all()


def test_worked():
    np.testing.assert_allclose(
        ce.kl_div_with_logits([60.0, 0], [50.0, 0]), 1.7358836e-21, rtol=1e-7
    )
    single = ce.kl_div_with_logits(np.float32([60, 0]), np.float32([50, 0]))
    np.testing.assert_allclose(single, 1.7358836e-21, rtol=1e-6)


@every_dtype
@every_kind
def test_invariants(dtype, kind, rng, isa):
    """Never negative; symmetric or bounded where it should be; gradients add up to 0."""
    z, y = (random_logits(rng, (40, 300), dtype) for _ in range(2))
    value, grad = KINDS[kind].value_and_grad(y, z)
    assert value.dtype == real(dtype)
    assert grad.dtype == dtype
    assert (value > 0).all()
    if dtype in (np.float32, np.float64):
        np.testing.assert_allclose(
            grad.sum(1, dtype=np.float64), 0, atol=64 * UNIT[np.dtype(dtype)]
        )
    if kind == "between":
        np.testing.assert_allclose(ce.js_div_with_logits(z, y, reduction="none"), value, rtol=1e-5)
        assert (value <= np.log(2)).all()
    if kind == "forward":
        other = ce.kl_div_with_logits(z, y, reverse=True, reduction="none")
        np.testing.assert_allclose(other, value, rtol=1e-5)


BENDS = [
    {"temperature": 2.0}, {"temperature": 0.7}, {"logit_scale": -0.5}, {"softcap": 30.0},
    {"softcap": 5.0, "logit_scale": 2.0, "temperature": 1.5},
]  # fmt: skip


@pytest.mark.parametrize("bends", BENDS, ids=str)
@pytest.mark.parametrize("K", [7, 200, 5000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bent_logits(dtype, K, bends, rng, isa):
    """The divergence of the bent logits, its gradient times their slope."""
    z, y = (random_logits(rng, (3, K), dtype) for _ in range(2))
    scale, cap, T = (bends.get(k, v) for k, v in
                     (("logit_scale", 1.0), ("softcap", None), ("temperature", 1.0)))  # fmt: skip
    u, v = (x.astype(WIDE) * scale for x in (z, y))
    if cap:
        slope = scale / np.cosh(v / cap) ** 2 / T
        u, v = cap * np.tanh(u / cap) / T, cap * np.tanh(v / cap) / T
    else:
        u, v, slope = u / T, v / T, scale / T
    tolerance = 60 * UNIT[np.dtype(dtype)] * max(2 * (cap or 0), float(abs(v).max()), 8)
    for reverse in (False, True):
        plain = ce.KLDivWithLogitsLoss(reverse=reverse, reduction="none")
        bent = ce.KLDivWithLogitsLoss(reverse=reverse, reduction="none", **bends)
        want = plain.value_and_grad(v.astype(np.float64), u.astype(np.float64))
        got = bent.value_and_grad(y, z)
        np.testing.assert_allclose(got[0], want[0], rtol=tolerance)
        size = abs(want[1] * slope).max()
        np.testing.assert_allclose(got[1], want[1] * slope, rtol=tolerance, atol=tolerance * size)
    between = ce.JSDivWithLogitsLoss(beta=0.3, **bends).value_and_grad(y, z)
    want = ce.JSDivWithLogitsLoss(beta=0.3).value_and_grad(v.astype(float), u.astype(float))
    np.testing.assert_allclose(between[0], want[0], rtol=tolerance)
    size = abs(want[1] * slope).max()
    np.testing.assert_allclose(between[1], want[1] * slope, rtol=tolerance, atol=tolerance * size)


@every_dtype
@every_kind
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_layouts(dtype, kind, axis, rng, isa):
    """Any class axis, any strides, in place, half types beside float32: the same bits."""
    z, y = (random_logits(rng, (5, 40, 7), dtype) for _ in range(2))
    criterion = dataclasses.replace(KINDS[kind], axis=axis)
    rows = [np.ascontiguousarray(np.moveaxis(x, axis, -1)) for x in (y, z)]
    want = KINDS[kind].value_and_grad(*rows)
    for a, b in (
        (y, z), (np.asfortranarray(y), z), (y, np.repeat(z, 2, 0)[::2]),
        (y, z.astype(real(dtype))),
    ):  # fmt: skip
        value, grad = criterion.value_and_grad(a, b)
        assert_same_bits(value, want[0])
        assert_same_bits(np.ascontiguousarray(np.moveaxis(grad, axis, -1)), want[1])
    place = y.copy()
    value, grad = criterion.value_and_grad(place, z, out=place)
    assert grad is place
    assert_same_bits(np.ascontiguousarray(np.moveaxis(place, axis, -1)), want[1])


@every_kind
def test_half_types(kind, rng):
    """Computed in float32, rounded once."""
    for dtype in DTYPES[2:]:
        z, y = (random_logits(rng, (4, 900), dtype) for _ in range(2))
        value, grad = KINDS[kind].value_and_grad(y, z)
        wide = KINDS[kind].value_and_grad(y.astype(np.float32), z.astype(np.float32))
        assert_same_bits(value, wide[0])
        once = stored(Exact(wide[1].astype(WIDE), np.zeros(wide[1].shape)), np.dtype(dtype))
        assert (abs(grad.astype(WIDE) - once.value) <= once.error).all()


NAN, INF = np.nan, np.inf


@pytest.mark.parametrize("K", [4, 100, 5000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_edges(dtype, K, isa):
    """Classes that cannot be in one of them, or in neither; rows that are no distributions."""
    z, y = np.zeros((6, K), dtype), np.zeros((6, K), dtype)
    z[0, 1] = -INF  # not in the target's
    y[1, 1] = -INF  # only in the target's
    z[2, 1] = y[2, 1] = -INF  # in neither
    y[3, 0] = NAN
    z[4, 0] = INF
    y[5, :] = -INF
    forward, grad = KINDS["forward"].value_and_grad(y, z)
    backward, other = KINDS["reverse"].value_and_grad(y, z)
    between, last = KINDS["between"].value_and_grad(y, z)
    tolerance = 16 * UNIT[np.dtype(dtype)]
    np.testing.assert_allclose(forward[0], -np.log1p(-1 / K), rtol=max(tolerance * K, tolerance))
    assert backward[0] == INF
    assert forward[1] == INF
    np.testing.assert_allclose(grad[1, 1], -1 / K, rtol=tolerance)
    np.testing.assert_allclose(backward[1], -np.log1p(-1 / K), rtol=max(tolerance * K, tolerance))
    assert np.isnan(other[0]).any()
    assert np.isfinite(other[1]).all()
    assert forward[2] == backward[2] == between[2] == 0
    assert (grad[2] == 0).all()
    assert np.isfinite(between[:3]).all()
    assert np.isfinite(last[:3]).all()
    p, q = np.full(K, WIDE(1) / K), np.full(K, WIDE(1) / (K - 1))
    q[1] = 0
    to_m = np.log1p((q - p) / p / 2)
    terms = p * (np.expm1(to_m) - to_m)
    with np.errstate(divide="ignore", invalid="ignore"):
        from_q = to_m - np.log(q / p)
        terms += np.where(q > 0, q * (np.expm1(from_q) - from_q), (p + q) / 2)
    exact = terms.sum() / 2
    np.testing.assert_allclose(between[:2], exact, rtol=tolerance * 8)
    for values, grads in ((forward, grad), (backward, other), (between, last)):
        assert np.isnan(values[3:]).all()
        assert np.isnan(grads[3:]).any(1).all()


def test_items_of_weight_0_are_not_read():
    z = np.array([[1.0, 2.0], [NAN, INF], [0.0, 1.0]], np.float32)
    y = np.array([[2.0, 2.0], [NAN, 0.0], [0.0, 3.0]], np.float32)
    for criterion in (ce.KLDivWithLogitsLoss(), ce.JSDivWithLogitsLoss()):
        value, grad = criterion.value_and_grad(y, z, sample_weight=[1, 0, 2])
        each = type(criterion)(reduction="none")(y[[0, 2]], z[[0, 2]])
        np.testing.assert_allclose(value, (each[0] + 2 * each[1]) / 3, rtol=1e-6)
        assert (grad[1] == 0).all()
        total, divisor = criterion.sums(y, z, sample_weight=[1, 0, 2])
        assert divisor == 3
        np.testing.assert_allclose(total / divisor, value, rtol=1e-6)
        np.testing.assert_allclose(criterion(y[:1], z[:1], normalizer=4), each[0] / 4, rtol=1e-6)
        assert np.isnan(criterion(y[:0], z[:0]))


def test_grad_output(rng):
    y, z = rng.normal(size=(2, 4, 30))
    g = np.array([1.0, 0.0, -2.0, 1e-300])
    for criterion in KINDS.values():
        grad = criterion.grad(y, z)
        np.testing.assert_allclose(
            criterion.grad(y, z, grad_output=g), grad * g[:, None], rtol=1e-14
        )
    mean = ce.KLDivWithLogitsLoss(temperature=2.0)
    np.testing.assert_allclose(mean.grad(y, z, grad_output=4.0), 4 * mean.grad(y, z), rtol=1e-14)


def test_peers(rng):
    """Their formulas in float64: a generalised JSD for distillation, and torch's kl_div."""
    y, z = rng.normal(size=(2, 20, 50))
    lp, lq = (x - np.log(np.exp(x).sum(1, keepdims=True)) for x in (z, y))
    for beta in (0.1, 0.5, 0.9):
        mixture = np.log(beta * np.exp(lp) + (1 - beta) * np.exp(lq))
        exact = beta * (np.exp(lp) * (lp - mixture)).sum(1)
        exact += (1 - beta) * (np.exp(lq) * (lq - mixture)).sum(1)
        got = ce.js_div_with_logits(y, z, beta=beta, reduction="none")
        np.testing.assert_allclose(got, exact, rtol=1e-12)
    batchmean = ce.kl_div(lq, lp, log_target=True, reduction="batchmean")
    np.testing.assert_allclose(ce.kl_div_with_logits(y, z), batchmean, rtol=1e-12)


def test_comparison_of_a_quantised_model(rng):
    """Statistics of logits that were rounded to 8 bits by blocks, confirmed in float64."""
    base = (rng.standard_t(4, (3, 7, 3200)) * 2).astype(np.float32)
    blocks = base.reshape(3, 7, -1, 32)
    scale = abs(blocks).max(-1, keepdims=True) / 127
    model = (np.round(blocks / scale) * scale).reshape(base.shape).astype(np.float32)
    target = rng.integers(0, 3200, (3, 7))
    target[1, 5:] = -100
    both = ce.compare_logits(model, base, target, top_k=3)
    lp, lq = (x.astype(np.float64) for x in (base, model))
    lp, lq = (x - np.log(np.exp(x).sum(-1, keepdims=True)) for x in (lp, lq))
    d, live = lq - lp, target >= 0
    exact = (np.exp(lp) * (np.expm1(d) - d)).sum(-1)
    np.testing.assert_allclose(both.kl[live], exact[live], rtol=2e-6)
    exact = (np.exp(lq) * (np.expm1(-d) + d)).sum(-1)
    np.testing.assert_allclose(both.reverse_kl[live], exact[live], rtol=2e-6)
    to_m = np.log1p(np.expm1(d) / 2)
    terms = np.exp(lp) * (np.expm1(to_m) - to_m)
    exact = (terms + np.exp(lq) * (np.expm1(to_m - d) - (to_m - d))).sum(-1) / 2
    np.testing.assert_allclose(both.js[live], exact[live], rtol=2e-6, atol=1e-15)
    for stats, logs, x in ((both.base, lp, base), (both.model, lq, model)):
        got = np.take_along_axis(logs, target[..., None], -1)[..., 0]
        np.testing.assert_allclose(stats.log_prob[live], got[live], rtol=1e-6)
        top = np.argsort(-x, -1, kind="stable")[..., :3]
        np.testing.assert_array_equal(stats.top_index[live], top[live])
    assert (both.kl[~live] == 0).all()
    np.testing.assert_array_equal(both.same_top[live], (lp.argmax(-1) == lq.argmax(-1))[live])
    assert both.kl.min() >= 0
    alone = ce.compare_logits(model, base)
    assert_same_bits(alone.kl[live], both.kl[live])


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"beta": 0}, ValueError, r"beta is 0\.0; it must be in \(0, 1\).*kl_div_with_logits"),
        ({"beta": 1.0}, ValueError, "reverse=True"),
        ({"beta": 2}, ValueError, r"beta is 2\.0"),
        ({"beta": np.nan}, ValueError, "beta is nan"),
        ({"beta": None}, TypeError, "beta is None"),
        ({"temperature": 0}, ValueError, "temperature"),
        ({"reduction": "batchmean"}, ValueError, "reduction"),
        ({"axis": 3}, ValueError, "axis"),
        ({"normalizer": 0}, ValueError, "normalizer"),
    ],
    ids=str,
)
def test_wrong_options(options, error, words):
    with pytest.raises(error, match=words):
        ce.js_div_with_logits(np.zeros((2, 3)), np.zeros((2, 3)), **options)
    if "normalizer" not in options:
        with pytest.raises(error, match=words):
            ce.JSDivWithLogitsLoss(**options)(np.zeros((2, 3)), np.zeros((2, 3)))


def test_wrong_arguments():
    zeros, criterion = np.zeros((2, 3)), ce.KLDivWithLogitsLoss()
    with pytest.raises(ValueError, match=r"target_logits has shape \(3,\); it must have shape"):
        ce.kl_div_with_logits(zeros, zeros[0])
    with pytest.raises(TypeError, match="target_logits has dtype complex128"):
        ce.kl_div_with_logits(zeros, zeros.astype(complex))
    with pytest.raises(TypeError, match="reverse is 1; it must be True or False"):
        ce.kl_div_with_logits(zeros, zeros, reverse=1)
    with pytest.raises(TypeError, match="reverse is 'no'"):
        ce.KLDivWithLogitsLoss(reverse="no")
    with pytest.raises(ValueError, match="out"):
        criterion.grad(zeros, zeros.copy(), out=np.zeros(3))
    target = zeros.copy()
    with pytest.raises(ValueError, match=r"out .*target_logits"):
        criterion.grad(zeros, target, out=target)
    for method, more in (("grad_and_hess", ()), ("hess_vec", (zeros,))):
        with pytest.raises(NotImplementedError, match="no Hessian"):
            getattr(criterion, method)(zeros, zeros.copy(), *more)


def test_a_comparison_names_what_is_wrong():
    zeros = np.zeros((2, 3))
    with pytest.raises(ValueError, match=r"base_logits has shape \(3,\); it must have shape"):
        ce.compare_logits(zeros, zeros[0])
    with pytest.raises(TypeError, match="base_logits has dtype complex128"):
        ce.compare_logits(zeros, zeros.astype(complex))
    with pytest.raises(IndexError, match=r"target\[0\] is 3"):
        ce.compare_logits(zeros, zeros, [3, 0])


def test_criteria_are_equal_by_their_options():
    one, other = ce.KLDivWithLogitsLoss(reverse=True), ce.KLDivWithLogitsLoss()
    assert one != other
    assert one == ce.KLDivWithLogitsLoss(reverse=True, temperature=1)
    assert "reverse=True" in repr(one)
    assert ce.JSDivWithLogitsLoss(beta=0.25) == ce.JSDivWithLogitsLoss(beta=np.float32(0.25))
