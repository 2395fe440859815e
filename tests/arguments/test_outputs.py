"""`out`: what may receive a result, what may not, and that nothing is written when refused."""

import re

import ml_dtypes
import numpy as np
import pytest
from helpers.problems import DTYPES, FLOATS, assert_same_bits
from numpy.lib.stride_tricks import as_strided
from oracle import FUNCTIONS, LOSSES
from oracle.exact import BFLOAT16

import ce

both_floats = pytest.mark.parametrize("dtype", FLOATS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.label)
CLASSES = pytest.mark.parametrize("classes", [3, 50, 1300])
# functions of one array, and of two either of which may be written to
FORWARD = {row.name: row for row in FUNCTIONS if row.out and row.place in ((), (0,))}
BACKWARD = [row.name for row in FUNCTIONS if row.place == (0, 1)]
OVERLAP = r"overlap|share|memory"


def arrays(classes=3, dtype=np.float32):
    """Logits (4, K) and a target that fits."""
    logits = np.linspace(-3, 3, 4 * classes).reshape(4, classes).astype(dtype)
    return logits, np.array([0, 1, 2, 0])


def filled(memory):
    """The memory, holding arguments that every loss takes."""
    memory[...] = np.linspace(0.125, 0.875, memory.size).reshape(memory.shape)
    return memory


def problem(loss, classes=3, dtype=np.float32):
    """Arguments (4, K) of the loss and a target."""
    x = filled(np.zeros((4, classes), dtype))
    if loss.indices:
        return x, np.array([0, 1, 2, 0])
    return x, x[::-1, ::-1].copy()


def refused(error, words, watched, function, *args, **options):
    """The call raises that error, in those words, and the watched memory stays as it was."""
    before = watched.tobytes()
    with pytest.raises(error, match=words) as caught:
        function(*args, **options)
    assert "out" in str(caught.value)
    assert watched.tobytes() == before


def criterion_of(loss, **options):
    return getattr(ce, loss.criterion)(**loss.fixed, **options)


def every_method(words, error, loss, x, target, out, watched, **call):
    """All methods refuse that output, alone and as either one of a pair."""
    criterion = criterion_of(loss)
    spare = np.empty_like(x)
    for method in (criterion.grad, criterion.value_and_grad):
        refused(error, words, watched, method, x, target, out=out, **call)
    for pair in ((out, spare), (spare, out)):
        refused(error, words, watched, criterion.grad_and_hess, x, target, out=pair, **call)


@every_loss
def test_shape_and_dtype(loss):
    x, target = problem(loss)
    for shape in ((3, 4), (4, 4), (12,), (1, 4, 3), (4, 1)):
        out = np.full(shape, 7, np.float32)
        text = str(shape).replace("(", r"\(").replace(")", r"\)")
        every_method(text, ValueError, loss, x, target, out, out)
    for dtype in ("f8", "f2", BFLOAT16, "i4", "c8", ">f8", "O", "m8[s]"):
        out = np.full((4, 3), 7, dtype)
        named = f"{re.escape(out.dtype.name)}|{re.escape(out.dtype.str)}"
        every_method(named, TypeError, loss, x, target, out, out)


@every_loss
def test_what_is_no_array(loss):
    x, target = problem(loss)
    for out in ([[0.0] * 3] * 4, "out", 3.0):
        every_method("out", TypeError, loss, x, target, out, x)
    both = criterion_of(loss).grad_and_hess
    refused((TypeError, ValueError), "out", x, both, x, target, out=np.empty_like(x))


@every_loss
def test_read_only(loss):
    x, target = problem(loss)
    out = np.full((4, 3), 7, np.float32)
    out.flags.writeable = False
    every_method("read-?only|writ", ValueError, loss, x, target, out, out)
    x.flags.writeable = False
    refused(ValueError, "read-?only|writ", x, criterion_of(loss).grad, x, target, out=x)


@every_loss
@every_dtype
@CLASSES
def test_partial_overlap_with_the_input(loss, dtype, classes):
    whole = filled(np.zeros(6 * classes, dtype))
    _, target = problem(loss, classes, dtype)
    x = whole[: 4 * classes].reshape(4, classes)
    for start in (1, classes, 2 * classes):
        out = whole[start : start + 4 * classes].reshape(4, classes)
        every_method(OVERLAP, ValueError, loss, x, target, out, whole)
    every_method(OVERLAP, ValueError, loss, x, target, x[::-1], whole)
    every_method(OVERLAP, ValueError, loss, x, target, x[:, ::-1], whole)


@every_loss
def test_transposed_overlap(loss):
    x, target = problem(loss, 4)
    every_method(OVERLAP, ValueError, loss, x, target, x.T, x)


@every_loss
def test_overlap_with_the_other_arguments(loss):
    x, target = problem(loss)
    out = filled(np.zeros((4, 3), np.float32))
    if target.shape == x.shape:
        every_method(OVERLAP, ValueError, loss, x, out, out, out)
        every_method(OVERLAP, ValueError, loss, x, x, x, x)  # in place, but for the target
    else:
        out[...] = 0
        as_target = out.reshape(-1).view(np.int32)[:4]
        every_method(OVERLAP, ValueError, loss, x, as_target, out, out)
    if loss.classes:
        every_method(OVERLAP, ValueError, loss, x, target, out, out, sample_weight=out[:, 1])
    g = out[:, 0] if loss.classes else out
    grad = criterion_of(loss, reduction="none").grad
    refused(ValueError, OVERLAP, out, grad, x, target, grad_output=g, out=out)


@every_loss
def test_options_are_apart_from_outputs(loss):
    """A criterion has copies of its arrays, so an output may lie where they came from."""
    x, target = problem(loss)
    for name in loss.weights:
        out = np.linspace(0.25, 1, 12, dtype=np.float32).reshape(4, 3)
        expected = criterion_of(loss, **{name: out[2].copy()}).grad(x, target)
        criterion = criterion_of(loss, **{name: out[2]})
        assert_same_bits(criterion.grad(x, target, out=out), expected)
        assert_same_bits(criterion.grad(x, target), expected)


@every_loss
def test_overlap_with_itself_or_its_pair(loss):
    x, target = problem(loss)
    memory = np.full(40, 7, np.float32)
    for strides in ((0, 4), (4, 0), (4, 4), (8, 4), (0, 0), (4, -4)):
        out = as_strided(memory[20:], (4, 3), strides, writeable=True)
        every_method(OVERLAP, ValueError, loss, x, target, out, memory)
    first, second = memory[:12].reshape(4, 3), memory[11:23].reshape(4, 3)
    both = criterion_of(loss).grad_and_hess
    for pair in ((first, first), (first, second), (second, first)):
        refused(ValueError, OVERLAP, memory, both, x, target, out=pair)


@every_loss
@every_dtype
def test_in_place(loss, dtype, isa):
    for classes in (3, 50, 1300):
        x, target = problem(loss, classes, dtype)
        criterion = criterion_of(loss)
        value, grad = criterion.value_and_grad(x, target)
        place = x.copy()
        got = criterion.value_and_grad(place, target, out=place)
        assert got[1] is place
        assert_same_bits(got[0], value)
        assert_same_bits(place, grad)
        again = x.copy()
        assert criterion.grad(again, target, out=again) is again
        assert_same_bits(again, grad)
        alias = x.copy()
        criterion.grad(alias, target, out=alias[:])
        assert_same_bits(alias, grad)


@every_loss
@every_dtype
def test_in_place_pair(loss, dtype, isa):
    for classes in (3, 50, 1300):
        x, target = problem(loss, classes, dtype)
        criterion = criterion_of(loss)
        grad, hess = criterion.grad_and_hess(x, target)
        for where in (0, 1):
            place, other = x.copy(), np.empty_like(x)
            pair = (place, other) if where == 0 else (other, place)
            got = criterion.grad_and_hess(place, target, out=pair)
            assert got[0] is pair[0]
            assert got[1] is pair[1]
            assert_same_bits(pair[0], grad)
            assert_same_bits(pair[1], hess)


@every_loss
@every_dtype
def test_interleaved_but_separate(loss, dtype, isa):
    for classes in (3, 50, 1300):
        x, target = problem(loss, classes, dtype)
        criterion = criterion_of(loss)
        grad = criterion.grad(x, target)
        for axis in (0, 1):
            both = np.repeat(x, 2, axis)
            halves = [(slice(None),) * axis + (slice(start, None, 2),) for start in (0, 1)]
            criterion.grad(both[halves[0]], target, out=both[halves[1]])
            assert_same_bits(both[halves[0]], x, "the input")
            got = both[halves[1]]
            if axis == 0:  # rows apart are rows; classes apart are another layout
                assert_same_bits(got, grad, "the gradient between them")
            eps = float(ml_dtypes.finfo(dtype).eps)  # and p - y may cancel
            np.testing.assert_allclose(
                got.astype(float), grad.astype(float), rtol=32 * eps, atol=eps
            )


@both_floats
@pytest.mark.parametrize("name", FORWARD)
def test_normalisers(dtype, name, isa):
    function = getattr(ce, name)
    x = arrays(20, dtype)[0]
    fresh = function(x)
    out = np.full(fresh.shape, 7, dtype)
    assert function(x, out=out) is out
    assert_same_bits(out, fresh)
    if FORWARD[name].place:
        assert function(x, out=x) is x
        assert_same_bits(x, fresh)
    wrong, other = np.full((2, 2), 7, dtype), np.full(fresh.shape, 7, np.int32)
    refused(ValueError, r"\(2, 2\)", wrong, function, x, out=wrong)
    refused(TypeError, "int32", other, function, x, out=other)
    out.flags.writeable = False
    refused(ValueError, "read-?only|writ", out, function, x, out=out)
    if FORWARD[name].drops:
        refused(ValueError, OVERLAP, x, function, x, out=x[:, 3])


@both_floats
def test_normaliser_with_shifted_output(dtype):
    memory = np.linspace(-3, 3, 50).astype(dtype)
    x, out = memory[:40].reshape(2, 20), memory[5:45].reshape(2, 20)
    for name in (name for name, row in FORWARD.items() if not row.drops):
        refused(ValueError, OVERLAP, memory, getattr(ce, name), x, out=out)


@both_floats
@CLASSES
@pytest.mark.parametrize("name", BACKWARD)
def test_backward_in_place(dtype, classes, name, isa, rng):
    function, y = getattr(ce, name), ce.softmax(arrays(classes, dtype)[0])
    g = rng.normal(size=y.shape).astype(dtype)
    fresh = function(g, y)
    for place in (0, 1):
        pair = [g.copy(), y.copy()]
        assert function(*pair, out=pair[place]) is pair[place]
        assert_same_bits(pair[place], fresh)
        assert_same_bits(pair[1 - place], (g, y)[1 - place], "the other argument")
    memory = np.concatenate([g.reshape(-1), y.reshape(-1)])
    first, second = memory[: g.size].reshape(g.shape), memory[g.size :].reshape(g.shape)
    shifted = memory[1 : g.size + 1].reshape(g.shape)
    refused(ValueError, OVERLAP, memory, function, first, second, out=shifted)


@both_floats
def test_logsumexp_backward_in_place(dtype, isa):
    x, g = arrays(40, dtype)[0], np.arange(4, dtype=dtype)
    fresh = ce.logsumexp_backward(g, x)
    place = x.copy()
    assert ce.logsumexp_backward(g, place, out=place) is place
    assert_same_bits(place, fresh)
    refused(ValueError, OVERLAP, x, ce.logsumexp_backward, x[:, 0], x.copy(), out=x)


def test_foreign_byte_order_of_a_pair():
    """They are filled by way of a copy, and still must not overlap."""
    logits, target = np.eye(2, 3), np.array([0, 1])
    memory = np.zeros(12, ">f8")
    first, apart, meeting = (memory[i : i + 6].reshape(2, 3) for i in (0, 6, 2))
    criterion = ce.CrossEntropyLoss()
    for pair in ((first, first), (first, meeting)):
        refused(ValueError, "overlap", memory, criterion.grad_and_hess, logits, target, out=pair)
    expected = criterion.grad_and_hess(logits, target)
    criterion.grad_and_hess(logits, target, out=(first, apart))
    np.testing.assert_array_equal(first, expected[0])
    np.testing.assert_array_equal(apart, expected[1])


@pytest.mark.parametrize("out", [[0.0, 0.0], np.float64(7), memoryview(bytearray(16))])
def test_logsumexp_wants_an_array(out):
    with pytest.raises(TypeError, match="out"):
        ce.logsumexp(np.zeros((2, 3)), out=out)
