"""Targets wider than the input are not rounded first: all is computed in float64, rounded once.

What is right is the definition in long double, of the input and the target as they are. Against it
a result may be off by what one in float64 may be, and half a unit in the last place of its dtype.
"""

import functools

import numpy as np
import pytest
from helpers.problems import assert_same_bits, assert_within
from oracle import LOSSES
from oracle.exact import BFLOAT16, HALF, WIDE, WIDE_IS_WIDER, Exact, real, stored
from oracle.information import CROSS_ENTROPY_BETWEEN, RELATIVE_ENTROPY
from threadpoolctl import threadpool_limits

import ce

NARROW = [np.float32, np.float16, BFLOAT16.type]
OF_CLASSES = ("cross_entropy", "nll_loss", "focal_loss")
ELEMENTWISE = [loss for loss in LOSSES if loss.name not in OF_CLASSES]
REGRESSION = [
    loss for loss in LOSSES if loss.name in ("mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss")
]
BINARY = [loss for loss in ELEMENTWISE if loss not in REGRESSION]
MANY = 3 * 8192 + 77  # elements of several blocks, the last one not full
every_loss = pytest.mark.parametrize("loss", ELEMENTWISE, ids=lambda loss: loss.label)
of_regression = pytest.mark.parametrize("loss", REGRESSION, ids=lambda loss: loss.label)
every_narrow = pytest.mark.parametrize("dtype", NARROW)
needs_long_double = pytest.mark.skipif(not WIDE_IS_WIDER, reason="long double is double here")

# Significant bits, spacing of the subnormals, below what a number may be 0, from what it is inf.
ROUNDED = HALF | {np.dtype(np.float32): (24, 2.0**-149, 2.0**-126, 2.0**128 - 2.0**103)}


def rounded(exact: Exact, dtype) -> Exact:
    """A number of float64 after rounding to that dtype."""
    return stored(exact, dtype, ROUNDED)


@functools.lru_cache(maxsize=64)
def arguments(loss, dtype, shape):
    """An input, and a target of twice its digits or more; half of the residuals are tiny."""
    rng = np.random.default_rng(shape)
    x, _ = loss.arrays(rng, shape, None, dtype)
    _, t = loss.arrays(rng, shape, None, np.float64)
    if loss in REGRESSION:
        near = rng.random(shape) < 0.5
        reach = 60000 if dtype is np.float16 else np.inf
        x = np.where(near, t.clip(-reach, reach).astype(dtype), x).astype(dtype)
    elif loss.domain or loss.name != "kl_div":
        t = np.where(rng.random(shape) < 0.5, rng.uniform(0, 1, shape), t)
    if loss.label == "sigmoid_focal_loss-hard":
        t = np.round(t)
    return x, t


@functools.lru_cache(maxsize=64)
def truth(loss, dtype, shape, reduction, weights):
    """In float64, and then in the dtypes of results."""
    x, t = arguments(loss, dtype, shape)
    options = options_of(loss, shape, weights)
    d = loss.define(x.astype(np.float64), t, **loss.fixed, **options, reduction=reduction)
    return rounded(d.loss, real(dtype)), rounded(d.grad, dtype), rounded(d.hess, dtype)


def options_of(loss, shape, weights):
    """Weights of another dtype than input and target, in one number for each column."""
    if not weights:
        return {}
    rng = np.random.default_rng(len(shape))
    return {name: rng.uniform(0.25, 2, shape[-1:]).astype(weights) for name in loss.weights}


def criterion_of(loss, shape, reduction="mean", weights=None):
    options = loss.fixed | options_of(loss, shape, weights)
    return getattr(ce, loss.criterion)(**options, reduction=reduction)


def assert_right(results, exact, dtype, what):
    for name, got, right in zip(("value", "gradient", "Hessian"), results, exact, strict=True):
        assert_within(got, right, f"{name}, {what}")
    assert results[0].dtype == real(dtype)
    assert results[1].dtype == results[2].dtype == dtype


@needs_long_double
@every_loss
@every_narrow
def test_what_is_computed(loss, dtype, isa):
    for shape in ((), (1,), (37, 11), (3, 5, 18), (MANY,)):
        for weights in (None, np.float32, np.float64, np.float16) if shape == (37, 11) else (None,):
            for reduction in loss.reductions:
                if reduction == "batchmean" and not shape:
                    continue
                x, t = arguments(loss, dtype, shape)
                criterion = criterion_of(loss, shape, reduction, weights)
                value, grad = criterion.value_and_grad(x, t)
                again, hess = criterion.grad_and_hess(x, t)
                exact = truth(loss, dtype, shape, reduction, weights)
                assert_right((value, grad, hess), exact, dtype, f"{shape} {reduction} {weights}")
                assert_same_bits(criterion(x, t), value, "value alone")
                assert_same_bits(again, grad, "gradient with the Hessian")
                assert_same_bits(criterion.grad(x, t), grad, "gradient alone")
                options = loss.fixed | options_of(loss, shape, weights)
                function = getattr(ce, loss.name)(x, t, **options, reduction=reduction)
                assert_same_bits(function, value, "function")


@every_loss
@every_narrow
def test_it_is_what_float64_gives(loss, dtype, isa):
    """Results of the same input in float64, rounded once, a mean too; those below 2^-126 are 0."""
    x, t = arguments(loss, dtype, (37, 11))
    rng = np.random.default_rng(3)
    for reduction in loss.reductions:
        criterion = criterion_of(loss, (37, 11), reduction, np.float64)
        v = rng.uniform(0, 2, (37, 11))
        g = rng.normal(size=(37, 11)) if reduction == "none" else 0.3
        wide = criterion.value_and_grad(x.astype(np.float64), t, sample_weight=v, grad_output=g)
        got = criterion.value_and_grad(x, t, sample_weight=v, grad_output=g)
        for a, b, kind in zip(got, wide, (real(dtype), dtype), strict=True):
            with np.errstate(over="ignore"):
                expected = np.asarray(b).astype(kind)
            small = abs(expected.astype(np.float64)) < 2.0**-126
            expected = np.where(small, np.zeros((), kind), expected)
            assert_same_bits(np.asarray(a) + np.zeros((), kind), expected + np.zeros((), kind))


@every_loss
@every_narrow
def test_threads_change_nothing(loss, dtype, isa):
    x, t = arguments(loss, dtype, (MANY,))
    criterion, results = criterion_of(loss, (MANY,)), []
    with threadpool_limits(2, user_api="openmp"):
        ce._core.set_cpus(2)
        for threads in (1, 2):
            with ce.threads(threads):
                results.append((*criterion.value_and_grad(x, t), *criterion.grad_and_hess(x, t)))
        ce._core.set_cpus(ce._process.available_cpus())
    for a, b in zip(*results, strict=True):
        assert_same_bits(a, b)


def layouts(x):
    """The same numbers in other places."""
    yield np.asfortranarray(x)
    wide = np.zeros((x.shape[0] * 2, x.shape[1] * 3), x.dtype)
    wide[::2, 1::3] = x
    yield wide[::2, 1::3]
    yield np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1]
    if x.dtype != BFLOAT16:
        yield x.astype(x.dtype.newbyteorder())


@every_loss
@every_narrow
def test_outputs_and_layouts(loss, dtype, isa):
    x, t = arguments(loss, dtype, (37, 11))
    criterion = criterion_of(loss, (37, 11), "none")
    value, grad = criterion.value_and_grad(x, t)
    hess = criterion.grad_and_hess(x, t)[1]
    for z in (x, *layouts(x)):
        for y in (t, *layouts(t)):
            got, fresh = criterion.value_and_grad(z, y)
            assert_same_bits(got, value, "value")
            assert_same_bits(fresh.astype(dtype), grad, "gradient")
    for out in (np.empty_like(x), *(z.copy() if z.dtype != dtype else z for z in layouts(x))):
        if out.dtype != dtype:
            continue
        assert criterion.grad(x, t, out=out) is out
        assert_same_bits(out, grad, "gradient in an output")
    place = x.copy()
    assert criterion.value_and_grad(place, t, out=place)[1] is place
    assert_same_bits(place, grad, "gradient in place")
    place, other = x.copy(), np.empty_like(x)
    criterion.grad_and_hess(place, t, out=(other, place))
    assert_same_bits(other, grad, "gradient beside the Hessian in place")
    assert_same_bits(place, hess, "Hessian in place")
    with pytest.raises(TypeError, match=f"out has dtype float64; it must be {x.dtype.name}"):
        criterion.grad(x, t, out=np.empty(x.shape))


@pytest.mark.parametrize("method", ["value_and_grad", "grad"])
def test_the_target_is_no_place_for_gradients(method):
    x, t = np.zeros(4), np.ones(4)
    with pytest.raises(ValueError, match="out overlaps target"):
        getattr(ce.MSELoss(), method)(x, t, out=t)
    with pytest.raises(ValueError, match="out overlaps target"):
        getattr(ce.MSELoss(), method)(t.view(np.float32)[::2], t, out=t.view(np.float32)[::2])


# -- integers, scalars, lists ---------------------------------------------------------------------


@needs_long_double
@of_regression
@every_narrow
@pytest.mark.parametrize("integer", ["i4", "u4", "i8", "u8", ">i8", "g"])
def test_wide_integers_in_regression(loss, dtype, integer, isa):
    """As NumPy has it, whose result type of these and float32 is float64 or wider."""
    low, high = {"i4": (-(2**31), 2**31), "u4": (0, 2**32)}.get(integer, (0, 2**53))
    rng = np.random.default_rng(4)
    for n in (9, MANY):
        t = rng.integers(low, high, n).astype(integer)
        t[: n // 2] = t[: n // 2] % 4096
        x = np.clip(t.astype(np.float64), -60000, 60000) if dtype is np.float16 else t
        x = x.astype(dtype)
        criterion = getattr(ce, loss.criterion)(reduction="none")
        d = loss.define(x.astype(np.float64), t.astype(np.float64), reduction="none")
        exact = rounded(d.loss, real(dtype)), rounded(d.grad, dtype), rounded(d.hess, dtype)
        value, grad = criterion.value_and_grad(x, t)
        assert_right((value, grad, criterion.grad_and_hess(x, t)[1]), exact, dtype, integer)


@pytest.mark.parametrize("loss", BINARY, ids=lambda loss: loss.label)
@every_narrow
@pytest.mark.parametrize("integer", ["?", "u1", "i2", "i4", "i8", "u8"])
def test_labels_are_converted(loss, dtype, integer, isa):
    """0 and 1 are what they are in any dtype: nothing wider is computed with."""
    x, _ = arguments(loss, dtype, (37, 11))
    y = np.random.default_rng(5).integers(0, 2, x.shape)
    if loss.label == "kl_div-logs":
        y = -y if np.dtype(integer).kind == "i" else 0 * y
    for reduction in loss.reductions:
        criterion = criterion_of(loss, x.shape, reduction)
        got = (
            *criterion.value_and_grad(x, y.astype(integer)),
            *criterion.grad_and_hess(x, y.astype(integer)),
        )
        same = y.astype(dtype)
        expected = *criterion.value_and_grad(x, same), *criterion.grad_and_hess(x, same)
        for a, b in zip(got, expected, strict=True):
            assert_same_bits(a, b)


def test_differences_by_hand():
    """Numbers of the reports that this answers."""
    assert ce.mse_loss(np.float32([16777216]), np.array([16777217])) == 1
    assert ce.mse_loss(np.float32([16777216]), np.uint64([16777217])) == 1
    assert ce.l1_loss(np.float16([2048]), np.int32([2049])) == 1
    for dtype in NARROW:
        x = np.array([0.1], dtype)
        right = abs(WIDE(x.astype(np.float64)[0]) - WIDE(0.1))
        for target in (np.array([0.1]), [0.1], (0.1,), np.float64(0.1), np.array(0.1)):
            value = ce.l1_loss(x, target)
            assert value == np.float32(right), target
            assert value.dtype == np.float32


def test_numbers_of_python_are_weak():
    """As in NumPy: they are of the input's width. NumPy's scalars are as wide as they say."""
    for dtype in NARROW:
        x = np.array([0.1], dtype)
        in_float32 = abs(x.astype(np.float32) - np.float32(0.1))[0]
        assert ce.l1_loss(x, 0.1) == in_float32
        assert ce.l1_loss(x, np.float32(0.1)) == in_float32
        assert ce.L1Loss(reduction="sum")(x, 0.1) == in_float32
    assert ce.l1_loss(np.float32([0.1]), 0.1) == 0
    x = np.float32([16777216])
    assert ce.mse_loss(x, 16777217) == 0
    assert ce.mse_loss(x, np.int64(16777217)) == 1
    assert ce.mse_loss(x, [16777217]) == 1
    assert ce.mse_loss(x, True) == ce.mse_loss(x, 1)
    assert ce.mse_loss([16777216], 16777217) == 1  # a list is float64


@every_loss
@every_narrow
def test_scalars(loss, dtype, isa):
    x, t = arguments(loss, dtype, (37, 11))
    number = np.float64(t[0, 0])
    criterion = criterion_of(loss, x.shape)
    full = criterion.value_and_grad(x, np.full(x.shape, number))
    for given in (number, np.array(number)):
        for a, b in zip(criterion.value_and_grad(x, given), full, strict=True):
            assert_same_bits(a, b)
    weak = criterion.value_and_grad(x, np.full(x.shape, np.float32(number)))
    for a, b in zip(criterion.value_and_grad(x, float(number)), weak, strict=True):
        assert_same_bits(a, b)


@pytest.mark.parametrize("loss", [x for x in ELEMENTWISE if x.domain], ids=lambda loss: loss.label)
def test_a_label_that_would_round_to_1(loss):
    """It is checked as it is, and named."""
    x, t = np.float32([0.5, 0.5]), np.array([0.5, 1 + 1e-12])
    with pytest.raises(ValueError, match=r"^target\[1\] is 1\.000000000001, not in \[0, 1\]"):
        getattr(ce, loss.criterion)().grad(x, t)
    with pytest.raises(ValueError, match=r"^target\[0\] is 1\.000000000001, not in \[0, 1\]"):
        getattr(ce, loss.criterion)().grad(x[:1], t[1:], out=x[:1])
    assert (x == 0.5).all()


# -- sums over probabilities ----------------------------------------------------------------------


@needs_long_double
@pytest.mark.parametrize("row", [RELATIVE_ENTROPY, CROSS_ENTROPY_BETWEEN], ids=lambda row: row.name)
@every_narrow
def test_sums_over_probabilities_of_two_widths(row, dtype, isa):
    rng = np.random.default_rng(6)
    function = getattr(ce, row.name)
    for shape, axis in (((37, 11), -1), ((3, 29, 7), 1), ((2, 5000), 1), ((9,), 0)):
        p, _ = row.arrays(rng, shape, axis, dtype)
        _, q = row.arrays(rng, shape, axis, np.float64)
        wide_p, narrow_q = p.astype(np.float64), q.astype(dtype)
        for a, b in ((p, q), (wide_p, narrow_q)):
            got = function(a, b, axis=axis)
            exact = row.define(a.astype(np.float64), b.astype(np.float64), axis)
            assert_within(got, rounded(exact, got.dtype), f"{a.dtype}, {b.dtype}")
            assert got.dtype == real(a.dtype)
        assert_same_bits(function(p.tolist(), q, axis=axis), function(wide_p, q, axis=axis))


def test_a_distribution_beside_itself_rounded():
    """D(p || q) of thirds: about 1.5e-8 of rounding, whose sum vanishes but for its square."""
    for count in (3, 300):
        p, q = np.full(count, 1 / 3, np.float32), np.full(count, 1 / 3)
        exact = RELATIVE_ENTROPY.define(p.astype(np.float64), q, 0)
        got = ce.relative_entropy(p, q)
        assert abs(got - exact.value) <= 1e-6 * abs(exact.value)
        assert got.dtype == np.float32
