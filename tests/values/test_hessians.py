"""Hessians for boosting and Newton steps: policies, scale, floor, float32 outputs, products; sums.

The truth of a policy is made of the gradient and the exact Hessian of the oracle; that of a product
with a vector is the derivative of the gradient along that vector, in mpmath.
"""

import math
from dataclasses import replace

import mpmath
import numpy as np
import pytest
from helpers.problems import (
    COMPARED_DTYPES,
    COMPARED_FLOATS,
    assert_same_bits,
    assert_within,
    criterion_of,
    laid_out,
    problem,
)
from mpmath import mpf
from oracle import LOSSES
from oracle.exact import UNIT, WIDE, Exact, stored

import ce

every_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.label)
compared_dtypes = pytest.mark.parametrize("dtype", COMPARED_DTYPES)
compared_floats = pytest.mark.parametrize("dtype", COMPARED_FLOATS)

# Of each loss the diagonal that its whole Hessian never exceeds, in units of the weight (a number,
# or of the criterion), or how many times its exact one.
OF_WEIGHT = {
    "MSELoss": lambda c: 2, "L1Loss": lambda c: 1, "HuberLoss": lambda c: 1,
    "SmoothL1Loss": lambda c: 1 / c.beta if c.beta else 1,
}  # fmt: skip
OF_EXACT = {"CrossEntropyLoss": 2, "BCEWithLogitsLoss": 1}
SHAPES = [((37, 10), None), ((3, 500), None), ((2, 21, 33), None), ((2, 5000), None)]


def sweeps_of(loss):
    return [loss.sweeps[0], loss.sweeps[-1]]


def shapes_of(loss):
    return SHAPES if loss.classes else [((9001,), None), ((41, 50), None)]


@every_loss
@compared_dtypes
def test_sizes_of_gradients(loss, dtype, isa):
    for shape, axis in shapes_of(loss):
        for sweep in sweeps_of(loss):
            p = problem(loss, shape, axis, dtype, sweep, "mean")
            grad, hess = criterion_of(loss, p).grad_and_hess(p.x, p.target, hessian="abs", **p.call)
            assert_within(grad, p.exact.grad, "grad")
            assert_same_bits(hess, abs(grad), "hess")


@every_loss
@compared_dtypes
def test_bounds(loss, dtype, isa):
    for shape, axis in shapes_of(loss):
        for sweep in sweeps_of(loss):
            p = problem(loss, shape, axis, dtype, sweep, "sum")
            criterion = criterion_of(loss, p)
            if loss.criterion in OF_EXACT:
                by, exact = OF_EXACT[loss.criterion], p.exact.hess
                truth = Exact(by * exact.value, by * exact.error)
            elif loss.criterion in OF_WEIGHT:
                weight = np.asarray(p.options.get("weight", 1)).astype(WIDE)
                value = np.broadcast_to(OF_WEIGHT[loss.criterion](criterion) * weight, shape)
                # The weight and 1 / beta are rounded once each, and their product; halves again.
                unit = 2.0**-8 if dtype not in (np.float32, np.float64) else 4 * UNIT[p.x.dtype]
                truth = Exact(value, unit * abs(value))
            else:
                with pytest.raises(ValueError, match=r"hessian is 'bound'.*has no bound"):
                    criterion.grad_and_hess(p.x, p.target, hessian="bound", **p.call)
                continue
            _, hess = criterion.grad_and_hess(p.x, p.target, hessian="bound", **p.call)
            assert_within(hess, truth, f"bound of {shape}, {[*p.options]}")


def test_the_bound_of_cross_entropy_is_one():
    """No direction has more curvature: 2 diag(h) less the whole Hessian is nowhere negative."""
    rng = np.random.default_rng(3)
    for K in (2, 3, 10):
        for z in rng.normal(size=(20, K)) * 3:
            p = ce.softmax(z)
            bound = ce.CrossEntropyLoss().grad_and_hess(z, 0, hessian="bound")[1]
            least = np.linalg.eigvalsh(np.diag(bound) - (np.diag(p) - np.outer(p, p)))[0]
            assert least > -1e-15


@every_loss
@compared_dtypes
def test_scale_and_floor(loss, dtype, isa):
    """The scale multiplies, then the floor is the least, in every layout and with weights."""
    for shape, axis in shapes_of(loss):
        for sweep in sweeps_of(loss):
            p = problem(loss, shape, axis, dtype, sweep, "sum")
            criterion, exact = criterion_of(loss, p), p.exact.hess
            _, hess = criterion.grad_and_hess(p.x, p.target, **p.call, hess_scale=4.0)
            assert_within(hess, stored(Exact(4 * exact.value, 4 * exact.error), dtype), "4 hess")
            _, sizes = criterion.grad_and_hess(
                p.x, p.target, **p.call, hessian="abs", hess_scale=2.0**10
            )
            size = Exact(2**10 * abs(p.exact.grad.value), 2**10 * p.exact.grad.error)
            assert_within(sizes, stored(size, dtype), "abs")
            if sweep:  # what is ignored has no floor
                continue
            floor = float(np.float16(np.median(abs(exact.value)) + 0.01))
            _, raised = criterion.grad_and_hess(p.x, p.target, hess_scale=4.0, hess_floor=floor)
            with np.errstate(invalid="ignore"):
                wanted = np.maximum(hess, np.asarray(floor, hess.dtype))
            assert_same_bits(raised, wanted, "raised hess")


def test_extreme_factors():
    """Zero stays zero, and the gradient does not hang on the Hessian's scale."""
    for scale in (1e30, 1e-30):
        x = np.float32([1e-30, 2.0])
        grad, hess = ce.MSELoss(reduction="sum").grad_and_hess(x, 0, hess_scale=scale)
        np.testing.assert_array_equal(hess, np.float32([2 * scale] * 2))
        np.testing.assert_array_equal(grad, 2 * x)
    x = np.random.default_rng(0).normal(size=7).astype(np.float32)
    for weight in (None, np.ones(7)):
        first, second = (
            ce.MSELoss().grad_and_hess(x, 0 * x, sample_weight=weight, hess_scale=s)[0]
            for s in (1, 1e30)
        )
        assert_same_bits(first, second)
    scaled = ce.MSELoss(reduction="sum").grad_and_hess(x, 0, grad_output=1e-30, hess_scale=1e30)
    np.testing.assert_allclose(scaled[1], 2, rtol=1e-6)
    for K in (2, 40, 300, 5000):  # by lanes, and by rows
        z = np.zeros(K, np.float32)
        z[0] = 2000
        for by in (1e30, 1e60, 1e250):
            for array in (z, np.stack([z] * 20)):
                target = np.zeros(array.shape[:-1], int)
                grad, hess = ce.CrossEntropyLoss(reduction="sum").grad_and_hess(
                    array, target, grad_output=by, hess_scale=1e30
                )
                assert (grad == 0).all()
                assert (hess == 0).all()
    ones = np.ones(1)
    criterion = ce.L1Loss(reduction="sum")
    assert criterion.grad_and_hess(ones, 0, hess_scale=1e30, grad_output=1e270)[1] == 0


def ignored_rows(layout, K):
    """Rows of NaN that are ignored or masked between others."""
    rng = np.random.default_rng(K)
    z, t, v = rng.normal(size=(40, K)), rng.integers(0, K, 40), np.ones(40)
    gone = rng.random(40) < 0.3
    z[gone] = np.nan
    masked = gone & (rng.random(40) < 0.5)
    t[gone & ~masked], v[masked] = -100, 0
    return laid_out(z, layout), t, v, gone


@pytest.mark.parametrize("layout", ["rows", "fortran"])
@pytest.mark.parametrize("K", [2, 10, 40, 300, 5000])
@pytest.mark.parametrize("hessian", ["exact", "abs", "bound"])
def test_the_floor_leaves_ignored_rows(layout, K, hessian, isa):
    z, t, v, gone = ignored_rows(layout, K)
    criterion = ce.CrossEntropyLoss()
    grad, hess = criterion.grad_and_hess(z, t, sample_weight=v, hessian=hessian, hess_floor=1e3)
    assert (grad[gone] == 0).all()
    np.testing.assert_array_equal(hess, np.where(gone, 0, 1e3)[:, None] * np.ones(K))
    product = criterion.hess_vec(z, t, np.ones_like(z), sample_weight=v)
    assert (product[gone] == 0).all()
    assert np.isfinite(product).all()


def test_the_floor_leaves_weights_of_0():
    weight = np.array([0.0, 1.0])
    for criterion in (ce.HuberLoss(weight=weight), ce.BCEWithLogitsLoss(weight=weight)):
        _, hess = criterion.grad_and_hess(np.array([np.nan, 9.0]), 0, hess_floor=7.0)
        np.testing.assert_array_equal(hess, [0, 7])
    criterion = ce.SigmoidFocalLoss(reduction="sum")
    _, hess = criterion.grad_and_hess(
        np.array([np.nan, -9.0]), 0, sample_weight=[0, 1], hess_floor=2
    )
    np.testing.assert_array_equal(hess, [0, 2])


@every_loss
def test_float32_outputs_of_float64(loss, isa):
    """What float64 gives, rounded once; what float32 cannot hold as a normal number is 0."""
    for shape, axis in shapes_of(loss):
        for sweep in sweeps_of(loss):
            p = problem(loss, shape, axis, np.float64, sweep, "mean")
            criterion = criterion_of(loss, p)
            wanted = criterion.grad_and_hess(p.x, p.target, **p.call)
            wanted = [np.where(abs(x) < 2.0**-126, 0, x).astype(np.float32) for x in wanted]
            for order in "CF":
                for strided in (False, True):
                    out = [np.full(shape, np.nan, np.float32, order) for _ in range(2)]
                    if strided:
                        out = [np.full((*shape, 2), np.nan, np.float32)[..., 1] for _ in out]
                    got = criterion.grad_and_hess(p.x, p.target, **p.call, out=tuple(out))
                    assert got[0] is out[0]
                    assert got[1] is out[1]
                    for a, b, what in zip(got, wanted, ("grad", "hess"), strict=True):
                        assert_same_bits(a, b + 0, what)
                    loss_, grad = criterion.value_and_grad(p.x, p.target, **p.call, out=out[0])
                    assert grad is out[0]
                    assert_same_bits(loss_, criterion(p.x, p.target, **p.call), "value")
                    assert_same_bits(grad, wanted[0] + 0, "grad")
                    assert_same_bits(
                        criterion.grad(p.x, p.target, **p.call, out=out[1]), wanted[0] + 0, "grad"
                    )


def test_float32_outputs_are_of_float64_alone():
    z, out = np.zeros((3, 4)), np.zeros((3, 4), np.float32)
    criterion = ce.CrossEntropyLoss()
    with pytest.raises(TypeError, match=r"it must be float32$"):
        criterion.grad(z.astype(np.float32), [0, 1, 2], out=z)
    with pytest.raises(TypeError, match="out has dtype float16; it must be float64 or float32"):
        criterion.grad(z, [0, 1, 2], out=out.astype(np.float16))
    with pytest.raises(TypeError, match=r"it must be float64$"):
        ce.softmax(z, out=out)
    with pytest.raises(ValueError, match="out overlaps logits"):
        criterion.grad(z, [0, 1, 2], out=z.view(np.float32)[:, :4])
    swapped = out.astype(">f4")
    assert criterion.grad(z, [0, 1, 2], out=swapped) is swapped
    assert_same_bits(
        swapped.astype(np.float32), criterion.grad(z, [0, 1, 2]).astype(np.float32), "swapped"
    )
    assert criterion.grad(z.astype(int), [0, 1, 2], out=out) is out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hess_scale": 0.0}, r"hess_scale is 0.0; it must be in \[1e-30, 1e30\]"),
        ({"hess_scale": math.inf}, r"hess_scale is inf; it must be in \[1e-30, 1e30\]"),
        ({"hess_scale": math.nan}, "hess_scale is nan"),
        ({"hess_floor": -1e-9}, "hess_floor is -1e-09; it must be at least 0"),
        ({"hess_floor": math.inf}, "hess_floor is inf"),
        (
            {"hessian": "full"},
            "hessian is 'full'; it must be one of exact, gauss_newton, abs, bound",
        ),
    ],
)
def test_refusals(options, message):
    z, out = np.zeros((2, 3)), (np.full((2, 3), 7.0), np.full((2, 3), 7.0))
    with pytest.raises(ValueError, match=message):
        ce.CrossEntropyLoss().grad_and_hess(z, [0, 1], out=out, **options)
    assert (np.array(out) == 7).all()
    with pytest.raises(TypeError, match="hess_scale is None; it must be a number"):
        ce.CrossEntropyLoss().grad_and_hess(z, [0, 1], hess_scale=None)


# -- products with a vector -----------------------------------------------------------------------


def cross_entropy_slope(z, t, w, eps, g):
    p, K, W = softmax_of(z), len(z), mpmath.fsum(w)
    a, b = (1 - eps) * w[t], eps / K
    return [(a + b * W) * p[k] - b * w[k] - a * (k == t) for k in range(K)]


def probabilities_slope(z, q, w, eps, g):
    p, K = softmax_of(z), len(z)
    u = [w[k] * (q[k] * (1 - eps) + eps / K) for k in range(K)]
    return [mpmath.fsum(u) * p[k] - u[k] for k in range(K)]


def focal_slope(z, t, w, eps, g):
    p = softmax_of(z)
    q, L = mpmath.fsum(p[:t] + p[t + 1 :]), -mpmath.log(p[t])
    A = q**g + g * q ** (g - 1) * p[t] * L
    return [w[t] * A * (p[k] - (k == t)) for k in range(len(z))]


def softmax_of(z):
    e = [mpmath.exp(x) for x in z]
    return [x / mpmath.fsum(e) for x in e]


def along(slope, z, x):
    """The derivative of a gradient along x, to twenty digits more than a float64 has."""
    h = mpf(10) ** -40
    with mpmath.workdps(140):
        up, down = (
            slope([mpf(float(a)) + s * h * mpf(float(b)) for a, b in zip(z, x, strict=True)])
            for s in (1, -1)
        )
        return [(a - b) / (2 * h) for a, b in zip(up, down, strict=True)]


# Of classes, what is confident and what is not: the argmax far above, the target far below.
ROWS = {
    "near": [0.3, -1.0, 0.5, 0.0, 1.1],
    "sure": [30.0, 1.0, 0.0, -2.0, 3.0],
    "wrong": [0.0, 1.0, 25.0, -2.0, 3.0],
    "close": [5.0, 5.0, 5.0, -70.0, 4.5],
}
VECTORS = {
    "some": [1.0, -2.0, 0.5, 3.0, -0.25],
    "one": [1.0, 0.0, 0.0, 0.0, 0.0],
    "even": [2.0] * 5,
}
WEIGHTS = [0.5, 2.0, 1.0, 0.25, 3.0]
PRODUCTS = {
    "cross_entropy": (ce.CrossEntropyLoss(reduction="sum"), cross_entropy_slope, 0, 0),
    "smoothed": (
        ce.CrossEntropyLoss(reduction="sum", label_smoothing=0.25, weight=WEIGHTS),
        cross_entropy_slope, 0.25, 0,
    ),
    "probabilities": (
        ce.CrossEntropyLoss(reduction="sum", weight=WEIGHTS), probabilities_slope, 0, 0,
    ),
    **{
        f"focal, {g}": (ce.FocalLoss(gamma=g, alpha=WEIGHTS, reduction="sum"), focal_slope, 0, g)
        for g in (0.0, 0.5, 1.0, 2.0, 5.0)
    },
}  # fmt: skip


@compared_floats
@pytest.mark.parametrize("name", PRODUCTS)
def test_products(name, dtype, isa):
    criterion, slope, eps, g = PRODUCTS[name]
    w = [mpf(x) for x in (WEIGHTS if criterion != PRODUCTS["cross_entropy"][0] else [1] * 5)]
    for label, z in ROWS.items():
        for what, x in VECTORS.items():
            t = [0.1, 0.2, 0.3, 0.15, 0.25] if slope is probabilities_slope else 0
            truth = along(lambda y, t=t: slope(y, t, w, mpf(eps), mpf(g)), z, x)
            got = criterion.hess_vec(np.array(z, dtype), np.array(t) if t else t, np.array(x))
            assert got.dtype == dtype
            with mpmath.workdps(60):
                p = softmax_of([mpf(a) for a in z])
                # A product is p_k sum_j p_j (x_k - x_j) times a factor: the size of its terms.
                spread = [
                    p[k] * mpmath.fsum(p[j] * abs(x[k] - x[j]) for j in range(5)) for k in range(5)
                ]
                factor = 12 if g == 0 else 30 * (1 + g) ** 2
                for k in range(5):
                    # Rounding z_k - m costs |z_k - m| u; a factor has some ten roundings.
                    slack = (factor + 4 * (max(z) - min(z)) * (1 + g)) * float(
                        UNIT[np.dtype(dtype)]
                    )
                    allowed = slack * (spread[k] + (abs(truth[k]) if g else 0)) * 3
                    if g:  # the part of rank one, d_k (d . x)
                        d = [p[j] if j else -mpmath.fsum(p[1:]) for j in range(5)]
                        allowed += (
                            slack
                            * 3
                            * abs(d[k])
                            * mpmath.fsum(p[j] * abs(x[j] - x[0]) for j in range(5))
                            * (1 + g * abs(mpmath.log(p[0])))
                            * 3
                        )
                    assert abs(mpf(float(got[k])) - truth[k]) <= allowed + mpf("1e-36"), (
                        label, what, k, float(got[k]), float(truth[k]),
                    )  # fmt: skip


@compared_dtypes
@pytest.mark.parametrize("K", [1, 2, 3, 15, 16, 17, 64, 100, 161, 1000, 4096, 4097, 9000])
def test_products_of_every_length_and_layout(K, dtype, isa):
    """Against diag(p) - p p^T in long double, for any class axis, strides, and in place."""
    rng = np.random.default_rng(K)
    n = 3 if K > 4000 else 21
    z = (rng.normal(size=(n, K)) * 2).astype(dtype)
    x, t = rng.normal(size=(n, K)).astype(dtype), rng.integers(0, K, n)
    wide = z.astype(WIDE)
    e = np.exp(wide - wide.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    v = x.astype(WIDE)
    centred = v - (p * v).sum(1, keepdims=True)
    spread = abs(v) + (p * abs(v)).sum(1, keepdims=True)
    unit = UNIT[z.dtype] * 40 if dtype in (np.float32, np.float64) else 2.0**-8
    truth = Exact(
        p * centred, unit * p * spread * (1 + (abs(wide).max() * 2)) + 1e-7 * (unit > 1e-3)
    )
    criterion = ce.CrossEntropyLoss(reduction="sum")
    assert_within(criterion.hess_vec(z, t, x), truth, "rows")
    first = criterion.hess_vec(z, t, x)
    for axis, moved in ((0, lambda a: np.ascontiguousarray(a.T)), (1, np.asfortranarray)):
        got = replace(criterion, axis=axis).hess_vec(moved(z), t, moved(x))
        assert_within(got.T if axis == 0 else got, truth, f"axis {axis}")
    backwards = criterion.hess_vec(z[:, ::-1], K - 1 - t, x[:, ::-1])[:, ::-1]
    assert_within(backwards, truth, "backwards")
    for place in (0, 1):
        pair = [z.copy(), x.copy()]
        assert criterion.hess_vec(pair[0], t, pair[1], out=pair[place]) is pair[place]
        assert_same_bits(pair[place], first, f"in place of {place}")
    if dtype in (np.float32, np.float64):
        assert_same_bits(criterion.hess_vec(z, t, x, grad_output=2.0), 2 * first, "twice")


def test_products_where_the_maximum_is_subnormal():
    """It counts as 0, and is the maximum nevertheless."""
    x = [1e10, 1.0, 2.0]
    for dtype, tiny in ((np.float32, -1e-40), (np.float64, -1e-310)):
        rows = np.array([[-30, 0, -5], [-30, tiny, -5]], dtype)
        plain, subnormal = ce.CrossEntropyLoss(reduction="none").hess_vec(rows, [2, 2], [x, x])
        assert_same_bits(plain, subnormal)


def test_products_of_large_numbers():
    criterion = ce.CrossEntropyLoss(reduction="sum")
    assert criterion.hess_vec(np.zeros(2), 0, [1e290, 0]).tolist() == [2.5e289, -2.5e289]
    got = criterion.hess_vec(np.zeros(2), 0, [1e300, 0], grad_output=1e-300)
    np.testing.assert_allclose(got, [0.25, -0.25], rtol=1e-15)
    zero, squared = np.zeros(1, np.float32), ce.MSELoss(reduction="sum")
    for vector, by in ((1e-10, 1e40), (1e30, 1e-40)):
        got = squared.hess_vec(zero, zero, [vector], grad_output=by)
        np.testing.assert_allclose(got, 2 * vector * by, rtol=1e-6)


@pytest.mark.skipif(np.finfo(WIDE).eps > 2e-19, reason="long double is double here")
def test_products_relative_to_any_class():
    """One far number among many, at the class of the maximum or elsewhere."""
    K = 50_000
    for place in (0, 1, K - 1):
        x = np.linspace(0, 1, K)
        x[place] = 1e10
        got = ce.CrossEntropyLoss().hess_vec(np.zeros(K), 1, x)
        wide = x.astype(WIDE)
        truth = (wide - wide.mean()) / K
        size = (abs(wide - wide.mean()) + abs(wide - wide.mean()).mean()) / K
        assert (abs(got - truth) <= 16 * UNIT[np.dtype(float)] * size).all()


@every_loss
def test_products_of_elements_and_linear_losses(loss, isa):
    """Of elements the Hessian is its diagonal; of the negative log-likelihood it is 0."""
    if loss.classes and not loss.linear:
        return
    for shape, axis in shapes_of(loss)[:2]:
        for sweep in sweeps_of(loss):
            p = problem(loss, shape, axis, np.float64, sweep, "mean")
            criterion = criterion_of(loss, p)
            x = np.random.default_rng(0).normal(size=shape)
            hess = criterion.grad_and_hess(p.x, p.target, **p.call)[1]
            got = criterion.hess_vec(p.x, p.target, x, **p.call)
            with np.errstate(all="ignore"):
                np.testing.assert_allclose(got, hess * x, rtol=4e-16, atol=1e-300)
            assert_same_bits(criterion.hess_vec(p.x, p.target, x.copy(), **p.call, out=x), got)


def test_products_refuse_diagonals_and_shapes():
    criterion, z, x = ce.CrossEntropyLoss(), np.zeros((2, 3)), np.ones((2, 3))
    for hessian, hint in (("abs", "; that is a diagonal"), ("bound", "; that is"), ("x", "$")):
        words = f"hessian is '{hessian}'; it must be one of exact, gauss_newton{hint}"
        with pytest.raises(ValueError, match=words):
            criterion.hess_vec(z, [0, 1], x, hessian=hessian)
    with pytest.raises(ValueError, match=r"vector has shape \(3,\); it must have shape \(2, 3\)"):
        criterion.hess_vec(z, [0, 1], x[0])
    with pytest.raises(ValueError, match=r"vector has shape \(3,\); it must have shape \(2, 3\)"):
        ce.MSELoss().hess_vec(z, z, x[0])
    with pytest.raises(TypeError, match="vector has dtype complex128"):
        criterion.hess_vec(z, [0, 1], x + 0j)
    with pytest.raises(IndexError, match=r"target\[1\] is 3"):
        criterion.hess_vec(z, [0, 3], x, out=z)
    assert (z == 0).all()
    assert criterion.hess_vec(np.zeros((0, 3)), np.zeros(0, int), np.zeros((0, 3))).shape == (0, 3)
    assert criterion.hess_vec(np.zeros((0, 0)), np.zeros(0, int), np.zeros((0, 0))).shape == (0, 0)
    with pytest.raises(IndexError):
        criterion.hess_vec(np.zeros((2, 0)), [0, 0], np.zeros((2, 0)))


def test_gauss_newton_products_of_focal_losses_are_never_negative():
    rng = np.random.default_rng(5)
    z, x, t = rng.normal(size=(200, 6)) * 3, rng.normal(size=(200, 6)), rng.integers(0, 6, 200)
    criterion = ce.FocalLoss(reduction="sum")
    exact, newton = (
        (x * criterion.hess_vec(z, t, x, hessian=h)).sum(1) for h in ("exact", "gauss_newton")
    )
    assert exact.min() < -0.01
    assert newton.min() >= 0
    p = ce.softmax(z)[np.arange(200), t]
    A = (1 - p) ** 2 - 2 * (1 - p) * p * np.log(p)
    centred = x - (ce.softmax(z) * x).sum(1, keepdims=True)
    np.testing.assert_allclose(
        newton, A * (ce.softmax(z) * x * centred).sum(1), rtol=1e-12, atol=1e-15
    )


# -- sums -----------------------------------------------------------------------------------------


@every_loss
@compared_dtypes
def test_sums(loss, dtype):
    """The sum in float64 of what reduction "none" would give unrounded, and the mean's divisor."""
    shape, axis = shapes_of(loss)[0]
    for sweep in sweeps_of(loss):
        means = [r for r in loss.reductions if r.endswith("mean")]
        for reduction in ("none", "sum", *means):
            p = problem(loss, shape, axis, dtype, sweep, reduction)
            criterion = criterion_of(loss, p)
            total, divisor = criterion.sums(p.x, p.target, **p.call)
            assert type(total) is type(divisor) is np.float64
            exact = problem(loss, shape, axis, dtype, sweep, "sum").exact.loss
            assert_within(total, exact, "total")
            mean = reduction if reduction in means else "mean"
            value = criterion_of(loss, p, reduction=mean)(p.x, p.target, **p.call)
            assert value == type(value)(total / divisor)


def test_sums_are_float64():
    z = np.zeros((1 << 15, 3), np.float32)
    total, divisor = ce.CrossEntropyLoss().sums(z, np.zeros(len(z), int))
    assert divisor == len(z)
    # Each loss is log 3 to the digits of float32, exact in float64; so are 2^15 of them.
    assert total == len(z) * float(np.float32(ce.cross_entropy(z[:1], [0], reduction="none")[0]))
    assert ce.MSELoss().sums(np.zeros(0), np.zeros(0)) == (0, 0)
    huge = ce.MSELoss().sums(np.array([1.0, 2.0]), 0, sample_weight=[1e308, 1e308])
    assert huge == (np.inf, np.inf)
    x = np.float32([0.5, 2, 3])
    for by in (1e-60, 1e60):  # float32 does not hold it: times a power of 2 it does, rounded
        for criterion in (ce.MSELoss(), ce.MSELoss(weight=np.full(3, by))):
            total, divisor = criterion.sums(x, 0 * x, sample_weight=np.full(3, by))
            both = by if criterion.weight is None else by * by
            np.testing.assert_allclose(total, 13.25 * both, rtol=2e-7)
            np.testing.assert_allclose(divisor, 3 * both, rtol=1e-14)
