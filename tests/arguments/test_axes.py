"""Several axes at once, all of them, or none: as one axis that holds their numbers."""

import math
import re
import tracemalloc

import numpy as np
import pytest
from helpers.problems import COMPARED_DTYPES, DTYPES, FLOATS, assert_same_bits, assert_within
from helpers.refusals import refused
from oracle import FUNCTIONS
from oracle.exact import BFLOAT16, Exact, real
from oracle.inputs import random_logits

import ce

INF, NAN = np.inf, np.nan
every_function = pytest.mark.parametrize("row", FUNCTIONS, ids=lambda row: row.name)
with_out = pytest.mark.parametrize(
    "row", [row for row in FUNCTIONS if row.out], ids=lambda row: row.name
)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
compared_dtypes = pytest.mark.parametrize("dtype", COMPARED_DTYPES)
ROWS = [row for row in FUNCTIONS if row.name != "logsumexp_backward"]  # of arrays of one shape
OVER = [ce.softmax, ce.log_softmax, ce.logsumexp]

# Shapes, and axes: neighbours, strangers, all, none; in any order and spelling.
CASES = [
    ((), None), ((), ()), ((3,), None), ((3,), ()), ((3,), (0,)), ((4, 5), None), ((4, 5), (1, 0)),
    ((2, 3, 4), (0, 1)), ((2, 3, 4), (1, -1)), ((2, 3, 4), (0, 2)), ((2, 3, 4), ()),
    ((2, 3, 4), (2, 0, 1)), ((1, 3, 1, 4), (0, 3)), ((3, 1, 5), (1,)), ((2, 3, 2, 3), (3, -4)),
    ((2, 2, 2, 2, 2, 2, 2, 2, 2), (0, 2, 4, 6, 8)), ((6, 33, 5), (0, 2)), ((6, 5, 33), (0, 1)),
    ((40, 70), None), ((3, 600, 5), (1, 2)), ((3, 600, 5), (0, 1)),
]  # fmt: skip
some_cases = pytest.mark.parametrize(("shape", "axis"), CASES[5:15])
LAYOUTS = {
    "C": np.array,
    "F": lambda x: np.array(x, order="F"),
    "swapped": lambda x: x.swapaxes(0, -1).copy().swapaxes(0, -1) if x.ndim else x,
    "gaps": lambda x: np.repeat(x[..., None], 2, -1)[..., 0],
    "reversed": lambda x: x[::-1].copy()[::-1] if x.ndim else x,
}


def parted(shape, axis):
    """The other axes, and those that are meant; both in rising order."""
    rank = len(shape)
    axes = tuple(range(rank)) if axis is None else tuple(sorted(a % rank for a in axis))
    return tuple(a for a in range(rank) if a not in axes), axes


def merged(x, axis):
    """The axes as one at the end, contiguous."""
    rest, axes = parted(x.shape, axis)
    x = x.transpose(rest + axes)
    return np.ascontiguousarray(x).reshape((*x.shape[: len(rest)], -1 if x.size else 0))


def spread(x, shape, axis):
    """What was merged as an array of that shape."""
    rest, axes = parted(shape, axis)
    order = rest + axes
    return x.reshape([shape[a] for a in order]).transpose(np.argsort(order).astype(int))


def problem(row, shape, axis, dtype):
    """Arguments of that shape, the same merged, and the truth."""
    rest, axes = parted(shape, axis)
    rows = (*(shape[a] for a in rest), math.prod(shape[a] for a in axes))
    arrays = row.arrays(np.random.default_rng([len(shape), *shape]), rows, len(rest), dtype)
    exact = row.define(*arrays, len(rest))
    if not row.drops:
        exact = Exact(*(spread(x, shape, axis) for x in (exact.value, exact.error)))
    given = [np.asarray(spread(x, shape, axis) if x.shape == rows else x) for x in arrays]
    return given, arrays, exact


def of(row):
    return getattr(ce, row.name)


# -- values ---------------------------------------------------------------------------------------


@every_function
@compared_dtypes
@pytest.mark.parametrize("layout", LAYOUTS)
def test_several_axes(row, dtype, layout, isa):
    for shape, axis in CASES:
        given, _, exact = problem(row, shape, axis, dtype)
        given = [LAYOUTS[layout](x) for x in given]
        got = of(row)(*given, axis=axis)
        assert_within(got, exact, f"{row.name} of {shape}, axis={axis}")
        assert got.dtype == (real(dtype) if row.drops else dtype)
        assert isinstance(got, np.ndarray) != (row.drops and got.ndim == 0)


@every_function
@every_dtype
def test_several_axes_have_the_bits_of_one(row, dtype, isa):
    """Neighbours are taken where they lie, others as if they had been copied into one."""
    for shape, axis in CASES:
        given, rows, _ = problem(row, shape, axis, dtype)
        given = [np.array(x, order="C") for x in given]
        _, axes = parted(shape, axis)
        one = of(row)(*rows, axis=-1)
        if axes and axes == tuple(range(axes[0], axes[-1] + 1)):
            flat = *shape[: axes[0]], rows[-1].shape[-1], *shape[axes[-1] + 1 :]
            views = [x.reshape(flat) if x.shape == shape else x for x in given]
            one = of(row)(*views, axis=axes[0])
            one = one if row.drops else np.moveaxis(one.reshape(flat), axes[0], -1)
        one = one if row.drops else spread(one, shape, axis)
        assert_same_bits(of(row)(*given, axis=axis), one, f"{row.name} of {shape}, axis={axis}")


@every_function
def test_f_order_has_the_bits_of_its_transpose(row, isa):
    for shape, axis in CASES:
        given, _, _ = problem(row, shape, axis, np.float32)
        given = [np.array(x, order="C") for x in given]
        there = None if axis is None else tuple(-1 - a % len(shape) for a in axis)
        got = of(row)(*(x.T for x in given), axis=there)
        assert_same_bits(got, of(row)(*given, axis=axis).T, f"{shape}, axis={axis}")


@every_function
def test_spellings_of_axes(row):
    """Any integers, any order, from either end."""
    given, _, _ = problem(row, (2, 3, 4), (0, 2), np.float64)
    expected = of(row)(*given, axis=(0, 2))
    for axis in [(2, 0), (-1, 0), (-3, -1), (np.int8(0), np.uint64(2)), (np.array(0), 2)]:
        assert_same_bits(of(row)(*given, axis=axis), expected, repr(axis))
    given, _, _ = problem(row, (2, 3, 4), (1,), np.float64)
    expected = of(row)(*given, axis=1)
    for axis in [(1,), (-2,), np.int64(1), np.array(-2)]:
        assert_same_bits(of(row)(*given, axis=axis), expected, repr(axis))


@pytest.mark.parametrize("dtype", FLOATS)
def test_no_axes_at_all(dtype, isa):
    """Every number is on its own."""
    x = np.array([[0, 3, -1e30], [INF, -INF, NAN]], dtype)
    finite = np.isfinite(x)
    np.testing.assert_array_equal(ce.logsumexp(x, axis=()), x)
    np.testing.assert_array_equal(ce.softmax(x, axis=()), np.where(finite, 1, NAN))
    np.testing.assert_array_equal(ce.log_softmax(x, axis=()), np.where(finite, 0, NAN))
    p = np.array([[0, 0.5, 1]], dtype)
    np.testing.assert_array_equal(ce.entropy(p, axis=()), np.array([[0, dtype(np.log(2) / 2), 0]]))
    for number in x.reshape(-1):
        for axis in (None, ()):
            np.testing.assert_array_equal(ce.logsumexp(number, axis), number)
            np.testing.assert_array_equal(
                ce.softmax(number, axis), 1 if np.isfinite(number) else NAN
            )
            assert ce.softmax(number, axis).shape == ()


@every_dtype
def test_axes_of_nothing(dtype, isa):
    for shape, axis, left in [
        ((0,), None, ()), ((2, 0, 3), (0, 1), (3,)), ((2, 0, 3), None, ()), ((0, 3), (), (0, 3)),
        ((2, 0, 3), (0, 2), (0,)), ((0, 0), None, ()), ((4, 0, 0), (1, 2), (4,)),
    ]:  # fmt: skip
        x = np.zeros(shape, dtype)
        x.flags.writeable = False
        np.testing.assert_array_equal(ce.logsumexp(x, axis), np.full(left, -INF))
        np.testing.assert_array_equal(ce.entropy(x, axis), np.zeros(left))
        np.testing.assert_array_equal(ce.relative_entropy(x, x, axis), np.zeros(left))
        for function in (ce.softmax, ce.log_softmax):
            got = function(x, axis)
            assert (got.shape, got.dtype) == (shape, np.dtype(dtype))
        assert ce.softmax_backward(x, x, axis).shape == shape
        assert ce.logsumexp_backward(np.zeros(left), x, axis).shape == shape


@every_dtype
def test_special_values_among_several_axes(dtype, isa):
    """They spoil what they are summed with, and no more."""
    x = np.zeros((2, 3, 4), dtype)
    x[0, 1, 2], x[1, 2, 3], x[:, 0] = NAN, INF, -INF
    np.testing.assert_array_equal(ce.logsumexp(x, (0, 2)), [-INF, NAN, INF])
    assert np.isnan(ce.softmax(x, (0, 2)).astype(float)).all()
    assert np.isnan(ce.logsumexp(x, None))
    np.testing.assert_array_equal(
        np.isnan(ce.softmax(x, (1, 2)).astype(float)).all((1, 2)), [True, True]
    )
    x[0, 1, 2] = 0
    p = ce.softmax(x, (1, 2)).astype(float)
    assert np.isnan(p[1]).all()
    np.testing.assert_allclose(p[0], np.repeat([[0], [0.125], [0.125]], 4, 1), rtol=1e-2)


# -- keepdims -------------------------------------------------------------------------------------


@some_cases
@every_dtype
def test_keepdims_of_several_axes(shape, axis, dtype, rng):
    x = random_logits(rng, shape, dtype)
    _, axes = parted(shape, axis)
    value = ce.logsumexp(x, axis)
    expected = np.expand_dims(value, axes)
    for keepdims in (True, np.True_):
        got = ce.logsumexp(x, axis, keepdims=keepdims)
        assert_same_bits(got, expected)
        out = np.full(expected.shape, 7, real(dtype))
        assert ce.logsumexp(x, axis, keepdims=keepdims, out=out) is out
        assert_same_bits(out, expected)
        back = ce.logsumexp_backward(expected, x, axis, keepdims=keepdims)
        assert_same_bits(back, ce.logsumexp_backward(value, x, axis))
    assert_same_bits(ce.logsumexp(x, axis, keepdims=np.False_), value)


@pytest.mark.parametrize("keepdims", ["no", "", 1, 0, 0.0, None, [], np.int8(1), np.array(True)])
@pytest.mark.parametrize("axis", [-1, (0, 1), None, np.int64(0)])
def test_keepdims_is_a_truth_value(keepdims, axis):
    x, words = np.zeros((2, 3)), [f"^keepdims is {re.escape(repr(keepdims))}; it must be True or F"]
    refused(TypeError, words, ce.logsumexp, x, axis, keepdims=keepdims)
    refused(TypeError, words, ce.logsumexp_backward, np.zeros(()), x, axis, keepdims=keepdims)


# -- outputs --------------------------------------------------------------------------------------


def gaps(shape, dtype):
    """An array with gaps along every axis."""
    return np.zeros([2 * n for n in shape], dtype)[(..., *[slice(None, None, 2)] * len(shape))]


OUTS = {
    "C": lambda shape, dtype: np.zeros(shape, dtype),
    "F": lambda shape, dtype: np.zeros(shape, dtype, order="F"),
    "gaps": gaps,
    "reversed": lambda shape, dtype: np.zeros(shape, dtype)[::-1] if shape else np.zeros((), dtype),
    "foreign": lambda shape, dtype: (
        np.zeros(shape, np.dtype(dtype).newbyteorder())
        if np.dtype(dtype) != BFLOAT16
        else np.zeros(shape, np.uint16)
    ),
}


@with_out
@some_cases
@every_dtype
def test_where_results_of_several_axes_go(row, shape, axis, dtype):
    given, _, _ = problem(row, shape, axis, dtype)
    for order in "CF":
        given = [np.array(x, order=order) for x in given]
        fresh = of(row)(*given, axis=axis)
        if not row.drops:
            assert fresh.strides == np.empty_like(given[-1]).strides
            assert fresh.flags.owndata or dtype == BFLOAT16.type
        for name, make in OUTS.items():
            out = make(fresh.shape, fresh.dtype)
            assert of(row)(*given, axis=axis, out=out) is out, name
            got = out.view(BFLOAT16) if out.dtype == np.uint16 else out.astype(fresh.dtype)
            assert_same_bits(got, fresh, name)
        for i in row.place:
            args = [x.copy(order="K") for x in given]
            assert of(row)(*args, axis=axis, out=args[i]) is args[i]
            assert_same_bits(args[i], fresh, "in place")
            for before, after in zip(
                given[:i] + given[i + 1 :], args[:i] + args[i + 1 :], strict=True
            ):
                assert_same_bits(after, before, "the other argument")


@with_out
@pytest.mark.parametrize("axis", [(0, 1), (0, 2), (1, 2), None])
@pytest.mark.parametrize("dtype", FLOATS)
def test_outputs_that_do_not_fit(row, axis, dtype):
    given, _, _ = problem(row, (2, 3, 4), axis, dtype)
    fit, function = np.full_like(of(row)(*given, axis=axis), 7), of(row)
    fit = np.asarray(fit)
    other = np.float64 if dtype == np.float32 else np.float32
    shape = re.escape(str(fit.shape))
    for out, error, words in [
        (np.full((2, 2), 7, dtype), ValueError, ["out", r"\(2, 2\)", shape]),
        (fit.astype(other), TypeError, ["out", np.dtype(other).name, np.dtype(dtype).name]),
        (fit.astype(np.int32), TypeError, ["out", "int32"]),
        (fit.tolist(), TypeError, ["out"]),
    ]:
        refused(error, words, function, *given, axis=axis, out=out)
    fit.flags.writeable = False
    refused(ValueError, ["out", "read-only"], function, *given, axis=axis, out=fit)
    memory = np.linspace(0.1, 0.9, 60).astype(dtype)
    for first in (1, 4, 11):
        met = memory[first : first + fit.size].reshape(fit.shape)
        for i, x in enumerate(given):
            args = list(given)
            args[i] = memory[: x.size].reshape(x.shape)
            if np.may_share_memory(args[i], met):
                refused(ValueError, ["out overlaps"], function, *args, axis=axis, out=met)
                backwards = args[i][::-1] if args[i].ndim else met
                if args[i].shape == fit.shape:
                    refused(ValueError, ["out ov"], function, *args, axis=axis, out=backwards)
    if fit.ndim and fit.size > fit.shape[-1]:
        crossing = np.broadcast_to(memory[: fit.shape[-1]], fit.shape)
        crossing = np.lib.stride_tricks.as_strided(memory, fit.shape, crossing.strides)
        refused(ValueError, ["out", "itself"], function, *given, axis=axis, out=crossing)


# -- inputs ---------------------------------------------------------------------------------------


@every_function
@pytest.mark.parametrize("axis", [(0, 1), (0, 2), None])
def test_what_several_axes_can_be_of(row, axis):
    class Odd(np.ndarray):
        """Says of itself what is not so."""

        shape = property(lambda self: (1, 1))
        strides = property(lambda self: (0, 0))
        ndim = property(lambda self: 2)
        size = property(lambda self: 1)

        def transpose(self, *axes):
            raise AssertionError("asked of a subclass")

        reshape = view = astype = transpose

    class Array:
        def __init__(self, x):
            self.x, self.asked = x, 0

        def __array__(self, dtype=None, copy=None):
            self.asked += 1
            return self.x

    torch = pytest.importorskip("torch")
    given, _, _ = problem(row, (2, 3, 4), axis, np.float64)
    expected = of(row)(*given, axis=axis)
    for name, wrap in {
        "list": lambda x: x.tolist(),
        "tensor": lambda x: torch.from_numpy(x.copy()),
        "foreign": lambda x: x.astype(">f8"),
        "F": lambda x: np.array(x, order="F"),
        "odd": lambda x: x.copy().view(Odd) if x.ndim == 3 else x,
    }.items():
        for i in range(len(given)):
            args = [wrap(x) if j == i else x for j, x in enumerate(given)]
            got = of(row)(*args, axis=axis)
            np.testing.assert_allclose(got, expected, rtol=1e-13, err_msg=name)
            assert type(got) is type(expected)
    asked = [Array(x) for x in given]
    assert_same_bits(of(row)(*asked, axis=axis), expected)
    assert [x.asked for x in asked] == [1] * len(given)
    for x in given:
        x.flags.writeable = False
    assert_same_bits(of(row)(*given, axis=axis), expected, "read-only")


@every_function
@pytest.mark.parametrize("axis", [(0, 1), (0, 2), None])
def test_several_axes_of_bfloat16_tensors(row, axis):
    torch = pytest.importorskip("torch")
    given, _, _ = problem(row, (2, 3, 4), axis, BFLOAT16.type)
    expected = of(row)(*given, axis=axis)
    tensors = [torch.from_numpy(x.astype(np.float32)) for x in given]
    tensors = [
        t.bfloat16() if x.dtype == BFLOAT16 else t for t, x in zip(tensors, given, strict=True)
    ]
    got = of(row)(*tensors, axis=axis)
    assert_same_bits(got, expected)
    if not row.drops:
        for make in (np.empty_like, lambda x: gaps(x.shape, x.dtype)):
            for dtype in (BFLOAT16, np.uint16):
                out = make(expected.view(dtype))
                assert of(row)(*tensors, axis=axis, out=out) is out
                assert_same_bits(np.array(out).view(BFLOAT16), expected)
        bits = tensors[row.place[-1]].view(torch.uint16).numpy()
        assert of(row)(*tensors, axis=axis, out=bits) is bits
        assert_same_bits(bits.view(BFLOAT16), expected)


# -- what is refused ------------------------------------------------------------------------------


@every_function
def test_axes_that_are_refused(row):
    given, _, _ = problem(row, (2, 3, 4), (0, 2), np.float64)
    for axis, error, words in [
        ((0, 2, 0), ValueError, [r"axis is \(0, 2, 0\)", "axis 0 more than once"]),
        ((2, 0, -1), ValueError, [r"axis is \(2, 0, -1\)", "axis 2 more than once"]),
        ((0, 3), ValueError, ["axis is 3;", r"\[-3, 3\)"]),
        ((-4, 0), ValueError, ["axis is -4;", r"\[-3, 3\)"]),
        ((10**30, 0), ValueError, ["axis is 10+;", r"\[-3, 3\)"]),
        ((3,), ValueError, ["axis is 3;", r"\[-3, 3\)"]),
        ([0, 2], TypeError, [r"axis is \[0, 2\]", "integer", "tuple", "None"]),
        ((0, 2.0), TypeError, [r"axis is 2\.0", "integer", "tuple", "None"]),
        ((0, None), TypeError, ["axis is None", "integer", "tuple"]),
        ((0, True), TypeError, ["axis is True", "integer"]),
        (((0, 1), 2), TypeError, [r"axis is \(0, 1\)", "integer"]),
        (False, TypeError, ["axis is False", "integer"]),
        (np.array([0, 2]), TypeError, [r"axis is array\(\[0, 2\]\)", "integer"]),
        ("all", TypeError, ["axis is 'all'", "integer"]),
    ]:
        refused(error, words, of(row), *given, axis=axis)
        if row.out:
            out = np.full_like(of(row)(*given, axis=(0, 2)), 7)
            refused(error, words, of(row), *given, axis=axis, out=out)
    refused(ValueError, ["has no axes"], of(row), *([0.5] * len(given)), axis=(0,))
    refused(ValueError, ["has no axes"], of(row), *([0.5] * len(given)), axis=(0, 1))


@pytest.mark.parametrize("axis", [(0, 1), None])
def test_arrays_that_do_not_fit(axis):
    x = np.full((2, 3, 4), 0.5, np.float32)
    for function in (ce.softmax_backward, ce.log_softmax_backward):
        words = ["grad_output", r"\(3, 2, 4\)", r"\(2, 3, 4\)"]
        refused(ValueError, words, function, x.reshape(3, 2, 4), x, axis)
        words = ["grad_output", "float64", "output", "float32"]
        refused(TypeError, words, function, x.astype(float), x, axis)
        refused(TypeError, ["output", "complex64"], function, x, x.astype("c8"), axis)
    for function in (ce.relative_entropy, ce.cross_entropy_between):
        refused(
            ValueError, [r"\bq\b", r"\(3, 8\)", r"\(2, 3, 4\)"], function, x, x.reshape(3, 8), axis
        )
        refused(TypeError, [r"\bq is None"], function, x, None, axis)
        refused(TypeError, [r"\bp\b.*complex64"], function, x.astype("c8"), x, axis)
    left = "()" if axis is None else "(4,)"
    words = ["grad_output", r"\(5,\)", re.escape(left)]
    refused(ValueError, words, ce.logsumexp_backward, np.zeros(5), x, axis)
    kept = (1, 1, 1) if axis is None else (1, 1, 4)
    words = ["grad_output", re.escape(left), re.escape(str(kept))]
    g = np.zeros(() if axis is None else 4)
    refused(ValueError, words, ce.logsumexp_backward, g, x, axis, keepdims=True)
    for function in OVER:
        refused(TypeError, [r"\bx\b", "complex128"], function, x.astype(complex), axis)
        refused(TypeError, [r"\bx is None"], function, None, axis)


# -- what a call costs, and whom it trusts --------------------------------------------------------


def filled(row, shape, axis=None, order="C"):
    """Arguments of the function, full of halves."""
    x, (rest, _) = np.full(shape, 0.5, order=order), parted(shape, axis)
    if row.name == "logsumexp_backward":
        return [np.zeros([shape[a] for a in rest]), x]
    two = row.place == (0, 1) or row.name in ("relative_entropy", "cross_entropy_between")
    return [x, x.copy(order="K")] if two else [x]


WITH_OTHERS = [row for row in FUNCTIONS if not row.drops or len(filled(row, (1,))) == 2]


@every_function
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("axis", [None, (0, 1), (1, 2)])
def test_axes_that_lie_as_one_are_not_copied(row, axis, order):
    given = filled(row, (40, 50, 60), axis, order)
    options = {} if row.drops else {"out": np.empty_like(given[-1])}
    of(row)(*given, axis=axis, **options)
    tracemalloc.start()
    of(row)(*given, axis=axis, **options)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < given[-1].nbytes / 4


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("axis", [(1,), (0, -1), 1])
def test_axes_are_asked_first_and_once(row, axis):
    """An `__index__` may give an array another shape: the one it has then counts."""
    x, asked = np.linspace(0.1, 0.9, 12).reshape(2, 6), []

    class Axis:
        def __init__(self, value):
            self.value = value

        def __index__(self):
            asked.append(self.value)
            x.resize((2, 3, 2), refcheck=False)
            return self.value

    x = x.copy()
    spelled = tuple(map(Axis, axis)) if isinstance(axis, tuple) else Axis(axis)
    got = of(row)(*[x] * len(filled(row, (1,))), axis=spelled)
    assert asked == list(axis if isinstance(axis, tuple) else [axis])
    assert_same_bits(got, of(row)(*[x] * len(filled(row, (1,))), axis=axis))


@pytest.mark.parametrize("row", WITH_OTHERS, ids=lambda row: row.name)
@pytest.mark.parametrize("axis", [(0, 1), (0, 2), None])
def test_arrays_that_change_others(row, axis):
    """An `__array__` takes away the memory of another argument and of `out`."""
    for i in range(len(filled(row, (1,)))):
        args = filled(row, (2, 3, 4), axis)
        args = [*args[:i], Taking(args[i], args[:i] + args[i + 1 :]), *args[i + 1 :]]
        options = {} if row.drops else {"out": np.full((2, 3, 4), 7.0)}
        args[i].others.extend(options.values())
        with pytest.raises(ValueError, match=r"shape|was changed"):
            of(row)(*args, axis=axis, **options)
        assert all((out == 7).all() for out in options.values())


class Taking:
    """Gives other arrays other shapes when it is read."""

    def __init__(self, x, others):
        self.x, self.others = x, others

    def __array__(self, dtype=None, copy=None):
        for i, other in enumerate(self.others):
            other.resize((1 + i, 1, 1), refcheck=False)
        return self.x
