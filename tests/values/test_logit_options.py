"""Cross-entropy of logits that are scaled or capped, of classes that can be, a z-loss; entropy.

The definitions are the oracle's, in long double; tails and products are mpmath's.
"""

import itertools

import mpmath
import numpy as np
import pytest
from helpers.problems import (
    COMPARED_DTYPES,
    COMPARED_FLOATS,
    assert_same_bits,
    assert_within,
    laid_out,
)
from oracle.bends import view
from oracle.classification import cross_entropy, cross_entropy_probabilities
from oracle.exact import FLOOR, HALF, UNIT, WIDE, Exact, in_rows, softmax_facts, stored
from oracle.inputs import random_logits

import ce

compared_dtypes = pytest.mark.parametrize("dtype", COMPARED_DTYPES)
compared_floats = pytest.mark.parametrize("dtype", COMPARED_FLOATS)
# By lanes and by rows, at the borders of tiles, panels and blocks.
SHAPES = [
    ((41, 2), -1), ((23, 10), -1), ((9, 33), -1), ((5, 160), -1), ((5, 161), -1), ((3, 1000), -1),
    ((2, 4095), -1), ((2, 4097), -1), ((2, 9000), -1), ((2, 21, 33), 1), ((2, 700, 19), 1),
    ((1, 2049, 17), 1), ((7, 50), 0), ((300,), 0),
]  # fmt: skip
SETS = [
    {"temperature": 0.7},
    {"logit_scale": -1.5, "z_loss": 0.1},
    {"softcap": 3.0},
    {"softcap": 30.0, "temperature": 2.0, "label_smoothing": 0.2, "z_loss": 1e-3},
    {"z_loss": 2.0, "label_smoothing": 0.3},
    {},
]
every_set = pytest.mark.parametrize("options", SETS, ids=str)


def problem(shape, axis, dtype, probs, masks, seed=0):
    """Logits with what is hidden set to NaN; a target that can be; a mask of bools, or None."""
    rng = np.random.default_rng([seed, *shape])
    z = (3 * rng.normal(size=shape)).astype(dtype)
    K, items = shape[axis], shape[:axis] + shape[axis:][1:] if axis >= 0 else shape[:-1]
    t = rng.integers(0, K, items)
    where, spread = None, np.ones(shape, bool)
    if masks:
        spread = rng.random(shape) < 0.7 if masks == "items" else rng.random(K) < 0.7
        if masks == "classes":
            spread = np.moveaxis(np.broadcast_to(spread, np.moveaxis(z, axis, -1).shape), -1, axis)
        spread = spread.copy()
        np.put_along_axis(spread, np.expand_dims(t, axis), True, axis)
        where = spread
        if masks == "classes":
            where = np.moveaxis(spread, axis, -1).reshape(-1, K).any(0)
            spread = np.moveaxis(np.broadcast_to(where, np.moveaxis(z, axis, -1).shape), -1, axis)
        z = np.where(spread, z, np.asarray(np.nan, dtype))
    if probs:
        q = rng.random(shape) * (rng.random(shape) < 0.5)
        q = q * spread
        t = (q / np.maximum(q.sum(axis, keepdims=True), 1e-3)).astype(dtype)
    return z, t, where


@compared_dtypes
@every_set
@pytest.mark.parametrize("masks", [None, "classes", "items"])
@pytest.mark.parametrize("probs", [False, True])
def test_against_the_definition(dtype, options, masks, probs, isa):
    define = cross_entropy_probabilities if probs else cross_entropy
    for shape, axis in SHAPES:
        z, t, where = problem(shape, axis, dtype, probs, masks)
        clean = np.where(np.isnan(z), np.asarray(0, dtype), z) if masks else z
        for reduction in ("none", "mean"):
            exact = define(clean, t, where=where, reduction=reduction, axis=axis, **options)
            criterion = ce.CrossEntropyLoss(reduction=reduction, axis=axis, **options)
            loss, grad = criterion.value_and_grad(z, t, where=where)
            of = f"of {shape}, {reduction}: "
            assert_within(loss, exact.loss, of + "loss")
            assert_within(grad, exact.grad, of + "gradient")
            assert_same_bits(criterion(z, t, where=where), loss, of + "the loss alone")
            g, h = criterion.grad_and_hess(z, t, where=where)
            assert_same_bits(g, grad, of + "beside the Hessian")
            assert_within(h, exact.hess, of + "Hessian")
            place = z.copy()
            assert_same_bits(criterion.grad(place, t, where=where, out=place), grad, "in place")
            first = z.copy()
            criterion.grad_and_hess(first, t, where=where, out=(first, np.empty_like(z)))
            assert_same_bits(first, grad, of + "in place beside the Hessian")
            second = z.copy()
            criterion.grad_and_hess(second, t, where=where, out=(np.empty_like(z), second))
            assert_same_bits(second, h, of + "Hessian in place")


@compared_floats
@pytest.mark.parametrize("K", [10, 300, 5000])
@pytest.mark.parametrize("layout", ["rows", "middle", "fortran"])
def test_ignored_rows_are_not_read(dtype, K, layout, isa):
    rng = np.random.default_rng(K)
    z, t, v = rng.normal(size=(40, K)).astype(dtype), rng.integers(0, K, 40), np.ones(40)
    gone = rng.random(40) < 0.3
    z[gone] = np.nan
    t[gone], v[gone & (t % 2 == 0)] = -100, 0
    where = rng.random(K) < 0.8
    where[t[~gone]] = True
    z = laid_out(z, layout)
    call = {"sample_weight": v, "where": where}
    if layout == "middle":
        t, call["sample_weight"] = t[None], v[None]
    criterion = ce.CrossEntropyLoss(softcap=5.0, z_loss=0.1, label_smoothing=0.1, reduction="none")
    loss, grad = criterion.value_and_grad(z, t, **call)
    rows = grad[0].T if layout == "middle" else grad
    assert (np.ravel(loss)[gone] == 0).all()
    assert (rows[gone] == 0).all()
    assert (rows[:, ~where] == 0).all()
    assert np.isfinite(grad).all()
    _, hess = criterion.grad_and_hess(z, t, **call, hess_floor=7.0)
    rows = hess[0].T if layout == "middle" else hess
    assert (rows[gone] == 0).all()
    assert (rows[:, ~where] == 0).all()
    assert (rows[~gone][:, where] >= 7).all()


@pytest.mark.parametrize("K", [3, 200])
def test_a_target_that_cannot_be(K):
    """As one at a logit of -inf: the loss is inf; but its own gradient is 0."""
    z = np.random.default_rng(0).normal(size=(4, K))
    where = np.arange(K) != 1
    for t in (np.array([1, 0, 1, 2]), np.eye(K)[[1, 0, 1, 2]]):
        loss, grad = ce.CrossEntropyLoss(reduction="none").value_and_grad(z, t, where=where)
        np.testing.assert_array_equal(np.isinf(loss), [True, False, True, False])
        assert (grad[:, 1] == 0).all()
        np.testing.assert_allclose(grad[0, where], ce.softmax(z[0, where]), rtol=1e-14)
    assert np.isnan(ce.cross_entropy(z, [0, 0, 0, 0], where=np.zeros(K, bool)))


@compared_floats
def test_a_mask_is_a_view(dtype, isa):
    """Of the first classes alone: the same numbers as those of the view, whatever lies beyond."""
    rng = np.random.default_rng(5)
    for K, n in ((40, 33), (700, 640), (5000, 4096)):
        z, t = rng.normal(size=(6, K)).astype(dtype), rng.integers(0, n, 6)
        for options in ({}, {"label_smoothing": 0.2, "z_loss": 0.01, "softcap": 4.0}):
            criterion = ce.CrossEntropyLoss(**options)
            loss, grad = criterion.value_and_grad(z, t, where=np.arange(K) < n)
            part, part_grad = criterion.value_and_grad(np.ascontiguousarray(z[:, :n]), t)
            np.testing.assert_allclose(loss, part, rtol=4 * UNIT[np.dtype(dtype)])
            np.testing.assert_allclose(
                grad[:, :n], part_grad, rtol=16 * UNIT[np.dtype(dtype)], atol=1e-9
            )
            assert not grad[:, n:].any()


@compared_floats
@pytest.mark.parametrize("hessian", ["exact", "gauss_newton", "abs"])
def test_policies(dtype, hessian, isa):
    """Gauss-Newton leaves out what may be negative; "abs" is the size of the gradient."""
    u = UNIT[np.dtype(dtype)]
    for shape, axis in SHAPES[1:8:2] + SHAPES[9:12]:
        z, t, _ = problem(shape, axis, dtype, False, None)
        for options in SETS[:5]:
            criterion = ce.CrossEntropyLoss(reduction="sum", axis=axis, **options)
            exact = cross_entropy(z, t, reduction="sum", axis=axis, **options)
            grad, hess = criterion.grad_and_hess(z, t, hessian=hessian, hess_scale=2.0)
            assert_within(grad, exact.grad, "gradient")
            if hessian == "exact":
                wanted = Exact(2 * exact.hess.value, 2 * exact.hess.error)
                assert_within(hess, wanted, f"{shape} {options}")
            elif hessian == "abs":
                assert_same_bits(hess, 2 * abs(grad), "abs")
            else:
                bends = {k: v for k, v in options.items() if k not in ("z_loss", "label_smoothing")}
                seen = view(in_rows(z, axis % z.ndim), z.dtype, **bends)
                facts = softmax_facts(seen.u, z.dtype, seen.off)
                p, q, lam = facts.p.value, facts.others.value, 2 * options.get("z_loss", 0)
                value = 2 * (p * q + lam * p**2) * seen.slope**2
                error = 2 * (facts.p.error * (q + 2 * lam * p) + facts.others.error * p)
                error = error * seen.slope**2 + value * (2 * seen.slope_off + 20 * u)
                got = in_rows(hess, axis % z.ndim)
                assert (got >= 0).all()
                floor = FLOOR[np.dtype(dtype)]
                assert_within(got, Exact(value, error + floor), f"{shape} {options}")


def test_what_there_is_not():
    z, t = np.zeros((2, 3)), [0, 1]
    for options in ({"softcap": 5.0}, {"z_loss": 0.1}):
        with pytest.raises(ValueError, match=r"exact, gauss_newton, abs.*has no bound"):
            ce.CrossEntropyLoss(**options).grad_and_hess(z, t, hessian="bound")
    ce.CrossEntropyLoss(temperature=2.0).grad_and_hess(z, t, hessian="bound")
    with pytest.raises(NotImplementedError, match="hess_vec has no softcap"):
        ce.CrossEntropyLoss(softcap=5.0).hess_vec(z, t, z)
    with pytest.raises(ValueError, match="sums has one divisor"):
        ce.CrossEntropyLoss(z_loss=0.1, weight=[1, 2, 3]).sums(z, t)
    for where, error, message in (
        ([1, 0, 1], TypeError, "where has dtype int64; it must be of booleans"),
        (np.ones(2, bool), ValueError, r"where has shape \(2,\).*\(2, 3\) or \(3,\)"),
        (np.ones((3, 2), bool), ValueError, r"where has shape \(3, 2\)"),
    ):
        out = np.full((2, 3), 7.0)
        with pytest.raises(error, match=message):
            ce.CrossEntropyLoss().grad(z, t, where=where, out=out)
        assert (out == 7).all()
    with pytest.raises(TypeError, match="terms is 1; it must be True or False"):
        ce.cross_entropy(z, t, terms=1)
    with pytest.raises(TypeError, match="logit_scale is None"):
        ce.cross_entropy(z, t, logit_scale=None)


# -- products with a vector -----------------------------------------------------------------------


def product_truth(z, x, weight, lam, where):
    """H x of one item: (A + 2 lam L) (p x - p (p . x)) + 2 lam p (p . x), in mpmath."""
    with mpmath.workdps(60):
        zs = [mpmath.mpf(float(a)) for a in z]
        e = [mpmath.exp(a) * int(o) for a, o in zip(zs, where, strict=True)]
        total = mpmath.fsum(e)
        L, p = mpmath.log(total), [a / total for a in e]
        xs = [mpmath.mpf(float(a)) for a in x]
        mean = mpmath.fdot(p, xs)
        A = mpmath.mpf(float(weight)) + 2 * mpmath.mpf(lam) * L
        return np.array(
            [float(A * a * (b - mean) + 2 * lam * a * mean) for a, b in zip(p, xs, strict=True)]
        )


@compared_floats
@pytest.mark.parametrize("K", [5, 33, 300])
@pytest.mark.parametrize("layout", ["rows", "fortran"])
def test_products(dtype, K, layout, isa):
    rng = np.random.default_rng(K)
    z, x = (rng.normal(size=(7, K)).astype(dtype) for _ in range(2))
    t, where, lam = rng.integers(0, K, 7), rng.random((7, K)) < 0.8, 0.25
    np.put_along_axis(where, t[:, None], True, 1)
    args = [laid_out(a, layout) for a in (z, x)]
    u = UNIT[np.dtype(dtype)]
    for hidden, scale in itertools.product((None, where), (1.0, -2.0)):
        criterion = ce.CrossEntropyLoss(z_loss=lam, logit_scale=scale, reduction="sum")
        got = criterion.hess_vec(args[0], t, args[1], where=hidden)
        mask = np.ones_like(where) if hidden is None else hidden
        for i in range(7):
            truth = scale**2 * product_truth(scale * z[i].astype(float), x[i], 1, lam, mask[i])
            np.testing.assert_allclose(got[i], truth, rtol=0, atol=100 * u * abs(truth).max())
        newton = criterion.hess_vec(args[0], t, args[1], where=hidden, hessian="gauss_newton")
        curved = criterion.grad_and_hess(args[0], t, where=hidden, hessian="gauss_newton")[1]
        columns = np.stack(
            [
                criterion.hess_vec(
                    args[0], t, laid_out(np.eye(K, dtype=dtype)[[k] * 7], layout), where=hidden,
                    hessian="gauss_newton",
                )[:, k]
                for k in range(0, K, 7)
            ], axis=1,
        )  # fmt: skip
        np.testing.assert_allclose(columns, curved[:, ::7], rtol=60 * u, atol=1e-30)
        assert np.isfinite(newton).all()


# -- the z-loss apart -----------------------------------------------------------------------------


@compared_dtypes
@pytest.mark.parametrize("K", [3, 40, 300, 5000])
def test_terms(dtype, K, isa):
    rng = np.random.default_rng(K)
    z, t = (2 * rng.normal(size=(11, K))).astype(dtype), rng.integers(0, K, 11)
    v, w = rng.random(11) + 0.5, (rng.random(K) + 0.5).astype(np.float32)
    t[3], v[5] = -100, 0
    u = UNIT[np.dtype(dtype)]
    for axis, weight, softcap, reduction in itertools.product(
        (0, 1), (None, w), (None, 20.0), ("none", "sum", "mean")
    ):
        x = z if axis else np.ascontiguousarray(z.T)
        options = {"weight": weight, "softcap": softcap, "reduction": reduction, "axis": axis}
        criterion = ce.CrossEntropyLoss(z_loss=0.25, **options)
        (nll, square), grad = criterion.value_and_grad(x, t, sample_weight=v, terms=True)
        plain = ce.CrossEntropyLoss(**options)(x, t, sample_weight=v)
        assert_same_bits(nll, plain, "without the z-loss")
        total, whole = criterion.value_and_grad(x, t, sample_weight=v)
        np.testing.assert_allclose(nll + square, total, rtol=4 * u)
        assert_same_bits(whole, grad, "gradient")
        alone = criterion(x, t, sample_weight=v, terms=True)
        assert_same_bits(alone[0], nll, "loss")
        assert_same_bits(alone[1], square, "z-loss")
        lse = ce.token_stats(x, None, softcap=softcap, axis=axis)
        lse = lse.max.astype(float) + lse.log_sum
        counted = v * (t != -100)
        truth = 0.25 * counted * lse**2
        truth = {"none": truth, "sum": truth.sum(), "mean": truth.sum() / counted.sum()}[reduction]
        np.testing.assert_allclose(square, truth, rtol=8 * u, atol=1e-30)
        (nll2, square2), _, stats = criterion.value_and_grad(
            x, t, sample_weight=v, terms=True, stats=True
        )
        assert_same_bits(nll2, nll, "loss beside statistics")
        assert_same_bits(square2, square, "z-loss beside statistics")
        np.testing.assert_array_equal(stats.rank < 0, counted == 0)
        assert stats.max.shape == (11,)


def test_terms_of_one_item():
    nll, square = ce.cross_entropy([0.0, 0.0], 0, z_loss=2.0, terms=True)
    np.testing.assert_allclose([nll, square], [np.log(2), 2 * np.log(2) ** 2])
    nll, square = ce.cross_entropy(
        np.float32([[0, 0]]), [-100], z_loss=2.0, terms=True, normalizer=3
    )
    assert (nll, square) == (0, 0)


def test_statistics_are_those_of_what_the_loss_sees(isa):
    rng = np.random.default_rng(0)
    for K in (9, 300, 5000):
        z, t = rng.normal(size=(6, K)).astype(np.float32), rng.integers(0, K, 6)
        where = rng.random((6, K)) < 0.7
        np.put_along_axis(where, t[:, None], True, 1)
        hidden = np.where(where, z, -np.inf).astype(np.float32)
        z[~where] = np.nan
        criterion = ce.CrossEntropyLoss(temperature=0.5, softcap=9.0)
        *_, stats = criterion.value_and_grad(z, t, where=where, stats=True)
        wanted = ce.token_stats(hidden, t, temperature=0.5, softcap=9.0)
        for name in ("log_prob", "max", "log_sum", "entropy", "argmax", "rank"):
            assert_same_bits(getattr(stats, name), getattr(wanted, name), name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize(
    "shape",
    [(20, 161), (9, 320), (9, 1000), (3, 4095), (3, 4097), (2, 9000), (1, 600_000)],
    ids=str,
)
def test_a_scale_is_a_factor_of_the_logits(shape, dtype, isa):
    rng = np.random.default_rng([*shape])
    wide = np.float32 if dtype == np.float16 else dtype
    z = rng.normal(size=shape).astype(dtype)
    z[0, 5], z[-1, -1] = -np.inf, z.max()  # a tie
    t = rng.integers(0, shape[1], shape[0])
    for scale in (0.5, 0.7, -0.5):
        seen = np.where(z == -np.inf, z.astype(wide), z.astype(wide) * wide(scale))
        call = ce.CrossEntropyLoss(reduction="none", logit_scale=scale)
        plain = ce.CrossEntropyLoss(reduction="none")
        loss, grad = call.value_and_grad(z, t)
        wanted, slope = plain.value_and_grad(seen, t)
        assert_same_bits(call(z, t), wanted.astype(loss.dtype), f"{scale=}")
        assert_same_bits(loss, wanted.astype(loss.dtype), f"{scale=}, beside the gradient")
        if abs(scale) == 0.5 and dtype != np.float16:
            np.testing.assert_array_equal(grad, slope * dtype(scale), f"gradient, {scale=}")
        place = z.copy()
        assert_same_bits(call.grad(place, t, out=place), grad, f"in place, {scale=}")
        stats = ce.token_stats(z, t, logit_scale=scale, top_k=3)
        for name, one in vars(ce.token_stats(seen, t, top_k=3)).items():
            if one is not None:
                assert_same_bits(getattr(stats, name), one, f"{name}, {scale=}")


# -- entropy --------------------------------------------------------------------------------------


def entropy_truth(z, dtype, **bends):
    """H and dH/dz of rows, in long double, with errors."""
    u = UNIT[dtype]
    seen = view(z, dtype, **bends)
    facts = softmax_facts(seen.u, dtype, seen.off)
    gap = seen.u.max(1, keepdims=True) - seen.u
    p, q = facts.p.value, facts.others.value
    heat = np.where(p == 0, 0, p * np.where(p == 0, 0, gap))
    mean = heat.sum(1, keepdims=True)
    H = facts.surprise.value.min(1, keepdims=True) + mean
    top = gap == 0
    runner_up = np.where(top, np.inf, gap).min(1)
    runner_up = np.where(np.isfinite(runner_up), runner_up, 0)[:, None]
    H_off = H * (runner_up + 8) * u + 4 * seen.off * (p * q).sum(1, keepdims=True) * (
        1 + gap_of(p, gap)
    )
    grad = p * (np.where(p == 0, 0, gap) - mean)
    size = p * (np.where(p == 0, 0, gap) + mean)
    grad_off = size * (gap_of(p, gap) + np.where(p == 0, 0, gap) + 16) * u
    grad_off = grad_off + 4 * seen.off * (p * q) * (1 + gap_of(p, gap)) * 2
    grad_off = (grad_off + abs(grad) * (seen.slope_off + 2 * u)) * abs(seen.slope)
    floor = FLOOR[dtype]
    value = grad * seen.slope
    return Exact(H[:, 0], H_off[:, 0] + floor), Exact(value, grad_off + floor)


def gap_of(p, gap):
    """The largest gap that counts."""
    return np.where(p == 0, 0, gap).max(1, keepdims=True)


@compared_dtypes
@pytest.mark.parametrize(
    "bends", [{}, {"temperature": 0.7}, {"softcap": 4.0, "logit_scale": -1.5}], ids=str
)
def test_entropy(dtype, bends, isa):
    for shape, axis in SHAPES:
        rng = np.random.default_rng([*shape])
        z = random_logits(rng, (int(np.prod(shape)) // shape[axis], shape[axis]), np.dtype(dtype))
        exact, slope = entropy_truth(z, np.dtype(dtype), **bends)
        z = np.moveaxis(z.reshape(*np.moveaxis(np.empty(shape), axis, -1).shape), -1, axis)
        z = np.ascontiguousarray(z)
        criterion = ce.EntropyFromLogitsLoss(reduction="none", axis=axis, **bends)
        loss, grad = criterion.value_and_grad(z)
        assert_within(np.ravel(loss), exact, f"entropy of {shape}")
        wanted = stored(slope, np.dtype(dtype)) if np.dtype(dtype) in HALF else slope
        assert_within(in_rows(grad, axis % z.ndim), wanted, f"gradient of {shape}")
        assert_same_bits(criterion(z), loss, "alone")
        stats = ce.token_stats(z, axis=axis, **bends)
        assert_same_bits(loss, stats.entropy, "token_stats")
        place = z.copy()
        assert_same_bits(criterion.grad(place, out=place), grad, "in place")
        mean = ce.entropy_from_logits(z, axis=axis, **bends)
        np.testing.assert_allclose(mean, np.mean(loss, dtype=float), rtol=1e-6)


def test_entropy_of_the_confident():
    for K in (2, 200):
        for margin in (20.0, 60.0, 80.0):
            z = np.full(K, -np.inf, np.float32)
            z[0], z[-1] = 0, -margin
            loss, grad = ce.EntropyFromLogitsLoss().value_and_grad(z)
            with mpmath.workdps(60):
                e = mpmath.exp(-margin)
                p = e / (1 + e)
                H = float(-p * mpmath.log(p) - (1 - p) * mpmath.log(1 - p))
                slope = float(p * (1 - p) * margin)
            np.testing.assert_allclose(loss, H, rtol=1e-5)
            np.testing.assert_allclose(grad[[0, -1]], [-slope, slope], rtol=1e-5)
            assert (grad[1:-1] == 0).all()


def test_edges_of_entropy():
    for K in (1, 4, 300):
        z = np.zeros((5, K), np.float32)
        z[1, 0], z[2, -1], z[3] = np.nan, np.inf, -np.inf
        loss, grad = ce.EntropyFromLogitsLoss(reduction="none").value_and_grad(z)
        np.testing.assert_array_equal(np.isnan(loss), [False, True, True, True, False])
        np.testing.assert_array_equal(loss[[0, 4]], np.float32(np.log(WIDE(K))))
        np.testing.assert_array_equal(np.isnan(grad).any(1), [False, True, True, True, False])
        assert (grad[[0, 4]] == 0).all()
        v = np.array([1, 0, 0, 0, 2.0])
        mean, grad = ce.EntropyFromLogitsLoss().value_and_grad(z, sample_weight=v)
        np.testing.assert_allclose(mean, np.log(K), rtol=1e-6)
        assert (grad == 0).all()
    criterion = ce.EntropyFromLogitsLoss()
    with pytest.raises(NotImplementedError, match="no Hessian"):
        criterion.grad_and_hess(np.zeros((2, 3)), None)
    total, divisor = criterion.sums(np.zeros((2, 3)), sample_weight=[1, 3])
    np.testing.assert_allclose([total, divisor], [4 * np.log(3), 4])


def test_invariants_of_entropy(isa):
    rng = np.random.default_rng(7)
    for K in (1, 2, 33, 300, 5000):
        z = rng.normal(0, 3, (8, K)).astype(np.float32)
        H = ce.entropy_from_logits(z, reduction="none")
        assert (H >= 0).all()
        assert (np.float32(np.log(K)) * (1 + 2e-7) >= H).all()
        whole = np.round(z * 8).astype(np.float32) / 8  # to which a constant can be added exactly
        assert_same_bits(
            ce.entropy_from_logits(whole, reduction="none"),
            ce.entropy_from_logits(whole + 512, reduction="none"),
        )
        for half in HALF:
            narrow = z.astype(half)
            assert_same_bits(
                ce.entropy_from_logits(narrow, reduction="none"),
                ce.entropy_from_logits(narrow.astype(np.float32), reduction="none"),
                "half types are widened",
            )
        total, grad = ce.EntropyFromLogitsLoss(reduction="sum").value_and_grad(z.astype(float))
        np.testing.assert_allclose(grad.sum(1), 0, atol=1e-14)  # no direction of all logits
        np.testing.assert_allclose(total, H.sum(), rtol=1e-6)


def test_other_ways_to_write_it():
    """In float64: lse - sum p z, and - sum p log p, as trainers of policies have it."""
    z = np.random.default_rng(3).normal(0, 3, (16, 1000))
    lse = np.log(np.exp(z).sum(1))
    p = np.exp(z - lse[:, None])
    H = ce.entropy_from_logits(z, reduction="none")
    np.testing.assert_allclose(H, lse - (p * z).sum(1), rtol=1e-12)
    np.testing.assert_allclose(H, -(p * np.log(p)).sum(1), rtol=1e-12)
    t = np.arange(16)
    square = 1e-3 * lse**2  # as `lse_square_scale` has it
    np.testing.assert_allclose(
        ce.cross_entropy(z, t, z_loss=1e-3, reduction="none"),
        lse - z[np.arange(16), t] + square, rtol=1e-13,
    )  # fmt: skip


@pytest.mark.parametrize("K", [3, 200])
def test_class_weights_of_0(K):
    """All of an item's loss is times its weight: where that is 0 the item counts for nothing."""
    z, w = np.zeros((2, K)), np.arange(K) > 0
    z[1] = np.nan
    for options, call in (
        ({}, {"where": w}), ({"temperature": 2.0}, {}), ({"softcap": 3.0}, {"where": w}),
    ):  # fmt: skip
        criterion = ce.CrossEntropyLoss(weight=w, reduction="none", **options)
        loss, grad = criterion.value_and_grad(z, [0, 0], **call)
        assert (loss == 0).all()
        assert (grad == 0).all()
    smoothed = ce.CrossEntropyLoss(weight=w, label_smoothing=0.1, reduction="none")
    assert np.isfinite(smoothed(z[:1], [0], where=w)).all()


@pytest.mark.parametrize("K", [3, 200, 5000])
@pytest.mark.parametrize("layout", ["rows", "fortran"])
def test_products_do_not_read_what_is_hidden(K, layout):
    z, x = np.zeros((3, K)), np.ones((3, K))
    z[0, 1], z[1], x[:, 0] = np.nan, 0, np.nan
    where = np.ones((3, K), bool)
    where[:, 0], where[2] = False, False
    t = np.full(3, 2)
    criterion = ce.CrossEntropyLoss(reduction="sum", axis=-1)
    z, x = laid_out(z, layout), laid_out(x, layout)
    got = criterion.hess_vec(z, t, x, where=where)
    assert (got[~where] == 0).all()
    assert np.isnan(got[0, 1:]).all()
    np.testing.assert_allclose(got[1], 0, atol=1e-16)


def test_factors_that_a_dtype_cannot_hold():
    z = np.array([[1.0, -np.inf]])
    for options in (
        {"logit_scale": 1e-46}, {"temperature": 1e46}, {"softcap": 1e39},
        {"softcap": 1e-20, "logit_scale": 1e20},
    ):  # fmt: skip
        for dtype in (np.float32, np.float16):
            with pytest.raises(ValueError, match=r"multiply by .* in float32 that must be in"):
                ce.cross_entropy(z.astype(dtype), [0], **options)
            with pytest.raises(ValueError, match="in float32"):
                ce.token_stats(z.astype(dtype), [0], **options)
        assert ce.cross_entropy(z, [0], **options) == 0
    with pytest.raises(ValueError, match="in float64"):
        ce.cross_entropy(z, [0], temperature=1e300)


def test_slopes_vanish():
    """Far out a softcap has none, whatever it is times."""
    z = np.float32([[60, 0]])
    criterion = ce.CrossEntropyLoss(softcap=1.0, reduction="sum")
    grad, hess = criterion.grad_and_hess(z, [1], grad_output=1e30, hess_scale=1e8)
    assert abs(grad[0, 0]) < 1e-20
    assert abs(hess[0, 0]) < 1e-12
    wide = criterion.grad(z.astype(float), [1], grad_output=1e30)
    assert abs(grad[0, 0] - wide[0, 0]) < 1e-20


def test_sums_with_class_probabilities():
    criterion = ce.CrossEntropyLoss(weight=[1.0, 2, 3], z_loss=0.1, axis=-1)
    z, q = np.ones((2, 3)), np.array([[0.2, 0.3, 0.5]] * 2)
    total, divisor = criterion.sums(z, q)
    np.testing.assert_allclose(total / divisor, criterion(z, q), rtol=1e-15)
    with pytest.raises(NotImplementedError, match="no Hessian"):
        ce.EntropyFromLogitsLoss().grad_and_hess(z)
    with pytest.raises(NotImplementedError, match="no Hessian"):
        ce.EntropyFromLogitsLoss().hess_vec(z, z)
