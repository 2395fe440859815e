"""Every array that NumPy can describe, and arrays of other libraries, give the same results."""

import math

import numpy as np
import pytest
from helpers.problems import (
    COMPARED_FLOATS,
    DTYPES,
    HALVES,
    INTEGERS,
    assert_same_bits,
    assert_within,
    criterion_of,
    problem,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided
from oracle import FUNCTIONS, LOSSES
from oracle.classification import CROSS_ENTROPY
from oracle.exact import BFLOAT16, Exact, class_axis
from oracle.inputs import random_logits, random_target

import ce

MARK = 0xA5
thorough = settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@st.composite
def layouts(draw, rank, writable=False):
    """An order of the axes in memory, steps, a byte offset, a byte order, and flags."""
    broadcast = st.just(None) if writable else st.none() | st.integers(0, rank - 1)
    return {
        "order": draw(st.permutations(range(rank))),
        "steps": draw(
            st.lists(st.sampled_from([1, 1, 2, 3, -1, -2]), min_size=rank, max_size=rank)
        ),
        "offset": draw(st.sampled_from([0, 0, 1, 2, 4])),
        "swapped": draw(st.booleans()),
        "broadcast": draw(broadcast),
        "readonly": draw(st.booleans()) and not writable,
    }


def lay(values, order, steps, offset, swapped, broadcast, readonly):
    """A copy of the values in that layout, and the memory it lies in (elsewhere full of marks)."""
    full = values.shape
    if broadcast is not None:
        values = values.take([0], broadcast)
    swapped = swapped and values.dtype != BFLOAT16  # it has one order only
    dtype = values.dtype.newbyteorder() if swapped else values.dtype
    shape = [values.shape[axis] * abs(steps[axis]) for axis in order]
    memory = np.full(int(np.prod(shape)) * dtype.itemsize + offset, MARK, np.uint8)
    whole = np.frombuffer(memory, dtype, offset=offset).reshape(shape)
    view = whole[tuple(slice(None, None, steps[axis]) for axis in order)]
    view = view.transpose(np.argsort(order))
    view[...] = values
    view.flags.writeable = not readonly
    return view if broadcast is None else np.broadcast_to(view, full), memory


def spread(values, broadcast):
    """The values that an array broadcast along that axis shows."""
    if broadcast is None:
        return values
    return np.broadcast_to(values.take([0], broadcast), values.shape).copy()


@st.composite
def calls(draw):
    """A loss, its arrays in awkward layouts, the same arrays contiguous, and other options."""
    loss = draw(st.sampled_from(LOSSES))
    rank = draw(st.integers(1, 4))
    sizes = st.sampled_from([1, 2, 3, 5, 8, 17, 33] if rank < 3 else [1, 2, 3, 9])
    shape = draw(st.tuples(*[sizes] * rank))
    axis = draw(st.none() | st.integers(-rank, rank - 1)) if loss.classes else None
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    dtype = draw(st.sampled_from(DTYPES))
    x, target = loss.arrays(rng, shape, axis, dtype)
    if target.dtype.kind == "i":
        target = target.astype(draw(st.sampled_from(INTEGERS)))
    at = class_axis(rank, axis)
    items = shape[:at] + shape[at + 1 :] if loss.classes else shape
    made = {o.name: o.make(rng, shape[at], items, dtype) for o in loss.sweeps[-1]}
    plain = {"x": x, "target": target, "grad_output": rng.normal(size=items).astype(dtype), **made}
    awkward = dict(plain)
    for name, values in plain.items():
        if np.ndim(values):
            layout = draw(layouts(values.ndim))
            plain[name] = spread(values, layout["broadcast"])
            awkward[name] = lay(values, **layout)[0]
    out = lay(np.full(shape, np.nan, dtype), **draw(layouts(rank, writable=True)))
    options = {**loss.fixed, "axis": axis} if loss.classes else loss.fixed
    return loss, plain, awkward, out, options


def called(loss, arrays, options, out=None):
    """The losses of a call, and their gradient."""
    arrays = dict(arrays)
    x, target, upstream = (arrays.pop(name) for name in ("x", "target", "grad_output"))
    call = {name: arrays.pop(name) for name in loss.per_call if name in arrays}
    criterion = getattr(ce, loss.criterion)(reduction="none", **options, **arrays)
    losses = criterion(x, target, **call)
    return losses, criterion.grad(x, target, grad_output=upstream, out=out, **call)


@given(call=calls())
@settings(thorough, max_examples=120)
def test_strides_alignment_and_byte_order(isa, call):
    loss, plain, awkward, (out, memory), options = call
    arrays = dict(plain)
    exact = loss.define(arrays.pop("x"), arrays.pop("target"), **arrays, **options,
                        reduction="none")  # fmt: skip
    losses, grad = called(loss, plain, options)
    before, held = memory.copy(), out.copy()
    got, result = called(loss, awkward, options, out)
    assert_within(got, Exact(losses, 2 * exact.loss.error), "loss")
    assert result is out
    assert_within(out.astype(grad.dtype), Exact(grad, 2 * exact.grad.error), "grad")
    out[...] = held
    np.testing.assert_array_equal(memory, before, "memory around the output")


@st.composite
def function_calls(draw):
    """A function, its arrays contiguous, the same in awkward layouts, an output, and an axis."""
    function = draw(st.sampled_from(FUNCTIONS))
    rank = draw(st.integers(1, 3))
    shape = draw(st.tuples(*[st.sampled_from([1, 2, 3, 7, 17, 40])] * rank))
    axis = draw(st.integers(-rank, rank - 1))
    dtype = draw(st.sampled_from(DTYPES))
    plain = list(function.arrays(np.random.default_rng(1), shape, axis % rank, dtype))
    awkward = list(plain)
    for i, values in enumerate(plain):
        if values.ndim:
            layout = draw(layouts(values.ndim))
            plain[i] = spread(values, layout["broadcast"])
            awkward[i] = lay(values, **layout)[0]
    result = getattr(ce, function.name)(*plain, axis=axis)
    out = None
    if function.out and result.ndim:
        out = lay(np.full_like(result, np.nan), **draw(layouts(result.ndim, writable=True)))
    return function, plain, awkward, result, out, axis


@given(call=function_calls())
@settings(thorough, max_examples=100)
def test_normalisers(isa, call):
    function, plain, awkward, result, into, axis = call
    error = 2 * function.define(*plain, axis % (awkward[-1].ndim)).error
    got = getattr(ce, function.name)(*awkward, axis=axis)
    assert_within(got, Exact(result, error), function.name)
    if into is not None:
        out, memory = into
        before, held = memory.copy(), out.copy()
        assert getattr(ce, function.name)(*awkward, axis=axis, out=out) is out
        assert_within(out.astype(result.dtype), Exact(result, error), f"{function.name}, out")
        out[...] = held
        np.testing.assert_array_equal(memory, before, "memory around the output")


def check_strided(loss, shape, dtype, steps):
    """Every layout of one large problem, against the definition."""
    p = problem(loss, shape, None, dtype, (), "sum")
    criterion = criterion_of(loss, p)
    axes = p.x.ndim
    for order in (range(axes), range(axes)[::-1]):
        for step in steps:
            for offset in (0, 1):
                x, _ = lay(p.x, order, [step] * axes, offset, False, None, True)
                out, _ = lay(p.x, order, [step] * axes, offset, False, None, False)
                target = p.target
                if target.shape == p.x.shape:
                    target, _ = lay(target, order, [step] * axes, offset, False, None, True)
                value, _ = criterion.value_and_grad(x, target, out=out)
                assert_within(value, p.exact.loss, "loss")
                assert_within(out, p.exact.grad, "grad")


@pytest.mark.parametrize("dtype", COMPARED_FLOATS)
@pytest.mark.parametrize("shape", [(70, 3), (20, 33), (40, 700), (3, 4500), (2, 300, 70)])
def test_large_strided_arrays(shape, dtype, isa):
    check_strided(CROSS_ENTROPY, shape, dtype, (1, 2, -1, -3))


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.label)
def test_large_strided_arrays_of_every_loss(loss, dtype, isa):
    for shape in ((20, 33), (11, 700), (2, 90, 70)):
        check_strided(loss, shape, dtype, (1, -3))


@pytest.mark.parametrize("dtype", [*INTEGERS, *(d.newbyteorder() for d in INTEGERS[2:])])
@pytest.mark.parametrize("shape", [(50, 7), (9, 100), (4, 33, 11)])
def test_every_integer_dtype_of_target(dtype, shape, isa, rng):
    logits = random_logits(rng, shape, np.float32)
    target = random_target(rng, logits)
    expected = ce.CrossEntropyLoss().value_and_grad(logits, target)
    got = ce.CrossEntropyLoss().value_and_grad(logits, target.astype(dtype))
    assert_same_bits(got[0], expected[0])
    assert_same_bits(got[1], expected[1])
    ignored = ce.CrossEntropyLoss(ignore_index=3, reduction="none")
    loss = ignored(logits, target.astype(dtype))
    np.testing.assert_array_equal(loss == 0, target == 3)


@pytest.mark.parametrize(
    ("dtype", "index"), [("i1", -100), ("i1", -128), ("u1", 255), ("u2", 65535), ("i8", -(2**63))]
)
def test_ignore_index_at_the_ends_of_a_dtype(dtype, index, isa):
    logits = np.eye(3, dtype=np.float32)
    target = np.array([0, index, 2], dtype)
    loss = ce.cross_entropy(logits, target, ignore_index=index, reduction="none")
    np.testing.assert_array_equal(loss == 0, [False, True, False])


@pytest.mark.parametrize(("dtype", "index"), [("u1", -1), ("u1", 256), ("i1", 257), ("u8", -100)])
def test_ignore_index_never_wraps(dtype, index):
    """An index that the dtype cannot hold ignores nothing."""
    logits, target = np.eye(3, dtype=np.float32), np.array([0, 1, 0], dtype)
    expected = ce.cross_entropy(logits, target.astype(int), reduction="none")
    got = ce.cross_entropy(logits, target, ignore_index=index, reduction="none")
    assert_same_bits(got, expected)


@pytest.mark.parametrize("classes", [3, 40, 200])
@pytest.mark.parametrize("inner", [(2, 2), (4, 2), (2, 4), (4, 4), (2, 8)])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_permuted_item_axes(dtype, inner, classes, isa, rng):
    """Items that fill whole lines of memory, in another order than theirs."""
    base = rng.standard_normal((classes, 4, *inner)).astype(dtype)
    for axes in ((2, 0, 1, 3), (3, 0, 2, 1), (2, 0, 3, 1), (1, 0, 3, 2)):
        logits = base.transpose(axes)
        plain = np.ascontiguousarray(logits)
        target = rng.integers(classes, size=plain[:, 0].shape)
        criterion = ce.CrossEntropyLoss(reduction="none")
        loss, grad = criterion.value_and_grad(logits, target)
        expected, expected_grad = criterion.value_and_grad(plain, target)
        given = np.empty_like(base).transpose(axes)
        criterion.grad(plain, target, out=given)
        tolerance = 1e-6 if dtype == "f4" else 1e-14
        np.testing.assert_allclose(loss, expected, tolerance)
        np.testing.assert_allclose(grad, expected_grad, 10 * tolerance, tolerance)
        np.testing.assert_allclose(given, expected_grad, 10 * tolerance, tolerance)


@pytest.mark.parametrize("step", [-(2**63), 2**62, -(2**62) + 8, 7])
def test_strides_of_nothing_mean_nothing(step):
    """Where there are no elements they may be any numbers, of items without classes as well."""
    for shape in ((0, 2, 2), (3, 2, 0), (2**31, 0, 2**20)):
        x, out = (as_strided(np.zeros(1), shape, (step, step, 8)) for _ in range(2))
        assert ce.MSELoss(reduction="none").grad(x, x, out=out) is out
        assert ce.softmax(x, axis=2, out=out) is out
        assert ce.softmax(x, axis=(0, 2)).shape == shape
        if math.prod(shape[:2]) < 100:
            assert (ce.logsumexp(x) == -np.inf).all()
