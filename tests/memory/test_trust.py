"""Nothing is trusted that was read before a user's code ran, and no attribute of a subclass.

A call reads its arguments one after the other, and an argument's own methods may change another
one meanwhile. Then the call raises an exception, and nothing is written.
"""

import sys
import threading
import time

import numpy as np
import pytest
from helpers.problems import assert_same_bits

import ce

ROWS, CLASSES = 300, 40


def reshaped(z):
    z.shape = z.shape[::-1]


def retyped(z):
    z.dtype = np.int32 if z.dtype == np.float32 else np.uint8


def halved(z):
    z.dtype = np.float16


def shrunk(z):
    z.resize((1, 1), refcheck=False)


def grown(z):
    z.resize((4 * len(z), *z.shape[1:]), refcheck=False)


def replaced(z):
    z.__setstate__(np.zeros((2, 2), z.dtype).__reduce__()[2])


CHANGES = [reshaped, retyped, halved, shrunk, grown, replaced]
OF_MEMORY = [reshaped, shrunk, grown, replaced]  # of any dtype


class Hostile:
    """Its methods change an array before they answer."""

    def __init__(self, change, array, answer):
        self.change, self.array, self.answer = change, array, answer
        self.asked = 0

    def ask(self):
        self.asked += 1
        if self.asked == 1:
            self.change(self.array)
        return self.answer

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.ask(), dtype)

    def __index__(self):
        return int(self.ask())

    def __float__(self):
        return float(self.ask())

    def __dlpack_device__(self):
        raise NotImplementedError


class HostileText(str):
    """A string whose comparison does."""

    def __eq__(self, other):
        self.hostile.ask()
        return str(self) == other

    __hash__ = str.__hash__


def text(change, array, answer):
    made = HostileText(answer)
    made.hostile = Hostile(change, array, answer)
    return made


def logits():
    return np.linspace(-2, 3, ROWS * CLASSES, dtype=np.float32).reshape(ROWS, CLASSES).copy()


TARGET = np.arange(ROWS) % CLASSES


def by_weight(change, z):
    v = Hostile(change, z, np.ones(ROWS, np.float32))
    return lambda **more: ce.CrossEntropyLoss().grad(z, TARGET, sample_weight=v, **more)


def by_class_weight(change, z):
    w = Hostile(change, z, np.ones(CLASSES))
    return lambda **more: ce.cross_entropy(z, TARGET, weight=w, **more)


def by_strided_class_weight(change, z):
    w = Hostile(change, z, np.ones(2 * CLASSES, np.float32)[::2])
    return lambda **more: ce.cross_entropy(z, TARGET, weight=w, **more)


def by_target(change, z):
    t = Hostile(change, z, TARGET)
    return lambda **more: ce.CrossEntropyLoss().value_and_grad(z, t, **more)


def by_probabilities(change, z):
    q = Hostile(change, z, np.full((ROWS, CLASSES), 1 / CLASSES, np.float32))
    return lambda **more: ce.CrossEntropyLoss().grad_and_hess(z, q, **more)


def by_upstream(change, z):
    g = Hostile(change, z, np.ones(ROWS, np.float32))
    criterion = ce.FocalLoss(reduction="none")
    return lambda **more: criterion.value_and_grad(z, TARGET, grad_output=g, **more)


def by_axis(change, z):
    axis = Hostile(change, z, 1)
    return lambda **more: ce.cross_entropy(z, TARGET, axis=axis, **more)


def by_axis_of_softmax(change, z):
    axis = Hostile(change, z, -1)
    return lambda **more: ce.softmax(z, axis, **more)


def by_reduction(change, z):
    reduction = text(change, z, "none")
    return lambda **more: ce.nll_loss(z, TARGET, reduction=reduction, **more)


def by_ignored_index(change, z):
    index = Hostile(change, z, -100)
    return lambda **more: ce.cross_entropy(z, TARGET, ignore_index=index, **more)


def by_number(change, z):
    gamma = Hostile(change, z, 2.0)
    return lambda **more: ce.focal_loss(z, TARGET, gamma=gamma, **more)


def by_normalizer(change, z):
    n = Hostile(change, z, 2.0)
    return lambda **more: ce.CrossEntropyLoss().grad(z, TARGET, normalizer=n, **more)


def by_residual(change, z):
    y = Hostile(change, z, np.zeros((ROWS, CLASSES), np.float32))
    return lambda **more: ce.MSELoss().grad(z, y, **more)


def by_element_weight(change, z):
    w = Hostile(change, z, np.ones(CLASSES, np.float32))
    return lambda **more: ce.binary_cross_entropy_with_logits(z, 0.5, weight=w, **more)


def by_second_distribution(change, z):
    q = Hostile(change, z, np.ones((ROWS, CLASSES)))
    return lambda **more: ce.relative_entropy(z, q, **more)


def by_upstream_of_softmax(change, z):
    g = Hostile(change, z, np.ones((ROWS, CLASSES), np.float32))
    return lambda **more: ce.softmax_backward(g, z, **more)


def by_upstream_of_logsumexp(change, z):
    g = Hostile(change, z, np.ones(ROWS, np.float32))
    return lambda **more: ce.logsumexp_backward(g, z, **more)


CALLS = [made for name, made in list(globals().items()) if name.startswith("by_")]


def outcome(call):
    """What came of it: an exception, or the results."""
    try:
        return call()
    except (TypeError, ValueError, IndexError, BufferError) as error:
        return error


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # NumPy's, of z.shape = ...
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("made", CALLS)
def test_logits_that_change(made, change):
    """Had they been trusted, the result would have been written to memory of another size."""
    z = logits()
    got = outcome(made(change, z))
    if isinstance(got, Exception):
        assert isinstance(got, (TypeError, ValueError))
        return
    # Then it was read before: the results are those of the array as it is now.
    z = z.copy()
    want = outcome(made(lambda z: None, z))
    for a, b in zip(np.atleast_1d(got), np.atleast_1d(want), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("made", [by_weight, by_class_weight, by_target, by_axis, by_residual])
@pytest.mark.parametrize("change", CHANGES)
def test_the_error_names_what_changed(made, change):
    z = logits()
    with pytest.raises(ValueError, match=r"(logits|input) was changed while the arguments"):
        made(change, z)()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("change", [reshaped, shrunk, grown, replaced, retyped])
def test_outputs_that_change(change):
    """The weight's code changes the output, which was good when it was passed."""
    for criterion, target in ((ce.CrossEntropyLoss(), TARGET), (ce.MSELoss(), 0.0)):
        z, out = logits(), np.zeros((ROWS, CLASSES), np.float32)
        v = Hostile(change, out, np.ones((ROWS, 1) if target is not TARGET else ROWS))
        with pytest.raises((ValueError, TypeError)):
            criterion.grad(z, target, sample_weight=v, out=out)
        assert not np.any(out)


def test_an_output_that_becomes_read_only():
    out = np.zeros((ROWS, CLASSES), np.float32)
    v = Hostile(lambda out: out.setflags(write=False), out, np.ones(ROWS, np.float32))
    with pytest.raises(ValueError, match="out is read-only"):
        ce.CrossEntropyLoss().grad(logits(), TARGET, sample_weight=v, out=out)
    assert not out.any()


def test_every_argument_is_asked_once():
    """Another answer the second time cannot matter."""
    z, out = logits(), np.zeros((ROWS, CLASSES), np.float32)
    parts = {
        "target": Hostile(lambda a: None, None, TARGET),
        "sample_weight": Hostile(lambda a: None, None, np.ones(ROWS, np.float64)),
    }
    ce.CrossEntropyLoss().grad(z, parts["target"], sample_weight=parts["sample_weight"], out=out)
    weight = Hostile(lambda a: None, None, np.ones((ROWS, 1), np.int64))
    ce.mse_loss(z, Hostile(lambda a: None, None, np.zeros(z.shape)), weight=weight)
    alpha = Hostile(lambda a: None, None, np.ones(CLASSES))
    ce.focal_loss(z, TARGET, alpha=alpha)
    assert [h.asked for h in (*parts.values(), weight, alpha)] == [1, 1, 1, 1]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_threads_that_reshape():
    """Address and shape were copied: a new shape during the call changes nothing."""
    z, stop = logits(), threading.Event()
    want = ce.CrossEntropyLoss().grad(z, TARGET)

    def turn():
        while not stop.is_set():
            for shape in ((ROWS, CLASSES), (CLASSES, ROWS), (ROWS * CLASSES,)):
                z.shape = shape

    thread = threading.Thread(target=turn)
    thread.start()
    right, end = 0, time.monotonic() + 20
    while right < 20 and time.monotonic() < end:
        got = outcome(lambda: ce.CrossEntropyLoss().grad(z, TARGET))
        if not isinstance(got, Exception):
            assert_same_bits(got, want)
            right += 1
    stop.set()
    thread.join()
    assert right


class Liar(np.ndarray):
    """A subclass that says of itself what is not so."""

    lies: dict

    def __getattribute__(self, name):
        lies = object.__getattribute__(self, "__dict__").get("lies", {})
        if name in lies:
            return lies[name]
        return super().__getattribute__(name)


def lying(array, **lies):
    made = array.view(Liar)
    made.__dict__["lies"] = lies
    return made


def test_a_dtype_that_is_not_so():
    z = lying(np.zeros((3, 4), np.complex128), dtype=np.dtype(np.float64))
    for call in (ce.softmax, lambda z: ce.cross_entropy(z, [0, 1, 2]), lambda z: ce.mse_loss(z, 0)):
        with pytest.raises(TypeError, match="complex128"):
            call(z)
    with pytest.raises(TypeError, match="complex128"):
        ce.CrossEntropyLoss().grad(np.zeros((3, 4)), [0, 1, 2], out=z)


def test_flags_that_are_not_so():
    out = np.zeros((3, 4))
    out.setflags(write=False)

    class Flags:
        writeable = True
        c_contiguous = True

    liar = lying(out, flags=Flags())
    for call in (
        lambda: ce.CrossEntropyLoss().grad(np.ones((3, 4)), [0, 1, 2], out=liar),
        lambda: ce.softmax(np.ones((3, 4)), out=liar),
        lambda: ce.softmax(np.ones((3, 4)), axis=None, out=liar),
        lambda: ce.logsumexp(np.ones((3, 4, 2)), out=liar),
    ):
        with pytest.raises(ValueError, match="read-only"):
            call()
    assert not out.any()


@pytest.mark.parametrize("name", ["shape", "strides", "ndim", "size", "astype", "view", "ctypes"])
def test_attributes_that_are_not_so(name):
    """The call looks past them: all is as with the array itself."""
    lies = {
        "shape": (300, 4), "strides": (0, 0), "ndim": 5, "size": 10**9, "ctypes": None,
        "astype": lambda *args, **more: np.zeros(1), "view": lambda *args: np.zeros(1),
    }  # fmt: skip
    for dtype in (np.float32, ">f8", np.int16, np.float16):
        z = np.arange(12).reshape(3, 4).astype(dtype)
        out = np.zeros((3, 4), z.dtype if z.dtype.kind == "f" else np.float64)
        liar, place = lying(z, **{name: lies[name]}), lying(out, **{name: lies[name]})
        want = ce.CrossEntropyLoss().grad(z, [0, 1, 2])
        assert_same_bits(ce.CrossEntropyLoss().grad(liar, [0, 1, 2]), want)
        assert ce.CrossEntropyLoss().grad(liar, [0, 1, 2], out=place) is place
        assert_same_bits(out.astype(want.dtype), want)
        assert_same_bits(ce.mse_loss(liar, liar), ce.mse_loss(z, z))
        v = np.arange(3.0)
        assert_same_bits(
            ce.cross_entropy(z, [0, 1, 2], sample_weight=lying(v, **{name: lies[name]})),
            ce.cross_entropy(z, [0, 1, 2], sample_weight=v),
        )


def test_a_class_that_is_not_so():
    """`isinstance` asks an object what it is; its memory is that of another."""

    class Pretender:
        @property
        def __class__(self):
            return np.ndarray

    for call in (
        lambda p: ce.softmax(p),
        lambda p: ce.cross_entropy(p, [0]),
        lambda p: ce.softmax(np.zeros(3), out=p),
        lambda p: ce.CrossEntropyLoss().grad(np.zeros((1, 3)), [0], out=p),
        lambda p: ce.logsumexp(np.zeros((2, 3)), out=p),
        lambda p: ce.one_hot(p, 3),
        lambda p: ce.one_hot([0], p),
        lambda p: ce.softmax(np.zeros((2, 3)), axis=p),
        lambda p: ce.FocalLoss(gamma=p),
        lambda p: ce.FocalLoss(alpha=p),
        lambda p: ce.CrossEntropyLoss(ignore_index=p),
        lambda p: ce.kl_div(np.zeros(3), np.zeros(3), log_target=p),
        lambda p: ce.mse_loss(np.zeros(3), 0.0, normalizer=p),
        lambda p: ce.CrossEntropyLoss(reduction=p),
    ):
        with pytest.raises((TypeError, ValueError)):
            call(Pretender())


def test_recursion_without_end_passes_through():
    class Recursive:
        def __array__(self, dtype=None, copy=None):
            return self.__array__()

    class Lender:
        def __dlpack_device__(self):
            return self.__dlpack_device__()

        __dlpack__ = __dlpack_device__

    for endless in (Recursive(), Lender()):
        with pytest.raises(RecursionError):
            ce.softmax(endless)


class Owner(np.ndarray):
    """A subclass: a call sees it by a view, which does not know what becomes of the memory."""


def owned(array):
    made = np.ndarray.__new__(Owner, array.shape, array.dtype)
    made[...] = array
    return made


def freed(array):
    """Its memory becomes larger, until it is elsewhere."""
    before = array.ctypes.data
    while array.ctypes.data == before:
        array.resize((40 * len(array), *array.shape[1:]), refcheck=False)


def shrunk_in_place(array):
    """The same address and the same number of elements, which are smaller."""
    n = array.size
    array.shape = (n,)
    array.dtype = np.int8
    array.resize((n,), refcheck=False)


def of_logits(hostile):
    z = owned(logits())
    return ce.cross_entropy(z, hostile(z, TARGET))


def of_an_output(hostile):
    out = owned(np.zeros((ROWS, CLASSES), np.float32))
    v = hostile(out, np.ones(ROWS))
    return ce.CrossEntropyLoss().grad(logits(), TARGET, sample_weight=v, out=out)


def of_a_weight_that_broadcasts(hostile):
    w = np.ones(CLASSES, np.float32)
    upstream = hostile(w, np.ones((ROWS, CLASSES), np.float32))
    criterion = ce.MSELoss(reduction="none")
    return criterion.grad(logits(), 0.0, sample_weight=w, grad_output=upstream)


def of_all_axes(hostile):
    p = owned(logits())
    return ce.relative_entropy(p, hostile(p, logits()), axis=None)


def of_an_output_of_all_axes(hostile):
    out = owned(np.zeros((ROWS, CLASSES), np.float32))
    return ce.softmax(hostile(out, logits()), axis=None, out=out)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("change", [freed, replaced, shrunk_in_place])
@pytest.mark.parametrize("made", [v for name, v in list(globals().items()) if name[:3] == "of_"])
def test_owners_of_views_that_are_made_here(made, change):
    """An output that is looked at after the change is one of another shape or dtype."""
    with pytest.raises((ValueError, TypeError), match=r"was changed|^out has (shape|dtype)"):
        made(lambda array, answer: Hostile(change, array, answer))


def before_the_target(view, change):
    return ce.mse_loss(Hostile(change, view.base, np.zeros(view.shape)), view)


def before_a_weight(view, change):
    return ce.mse_loss(
        Hostile(change, view.base, np.zeros(view.shape)), np.zeros(view.shape), sample_weight=view
    )


def before_the_output(view, change):
    hostile = Hostile(change, view.base, np.zeros(view.shape))
    return ce.MSELoss().grad(hostile, np.zeros(view.shape), out=view)


def before_the_input(view, change):
    return ce.softmax(view, (Hostile(change, view.base, 0), 1))


def before_the_call(view, change):
    change(view.base)
    return ce.softmax(view)


@pytest.mark.parametrize(
    "change", [freed, replaced, lambda own: own.resize((3, 2), refcheck=False)]
)
@pytest.mark.parametrize("late", [v for k, v in list(globals().items()) if k[:7] == "before_"])
@pytest.mark.parametrize("part", [np.s_[:], np.s_[::-1, 1:], np.s_[20:, ::2]])
def test_views_that_are_read_when_their_owner_has_other_memory(part, late, change):
    own = np.zeros((ROWS, CLASSES))
    with pytest.raises(ValueError, match="was changed"):
        late(own[part], change)


@pytest.mark.parametrize("dtype", ["i4", "?", ">f8", "f2", "f4"])
@pytest.mark.parametrize("change", [freed, replaced])
@pytest.mark.parametrize(
    "call",
    [
        lambda first, v: ce.mse_loss(first, v),
        lambda first, v: ce.mse_loss(first, 0.0, weight=v),
        lambda first, v: ce.mse_loss(first, 0.0, sample_weight=v),
        lambda first, v: ce.MSELoss(reduction="none").grad(first, 0.0, grad_output=v),
        lambda first, v: ce.relative_entropy(first, v),
        lambda first, v: ce.cross_entropy(first, v[:, 0]),
        lambda first, v: ce.cross_entropy(first, np.zeros(ROWS, int), sample_weight=v[:, 0]),
        lambda first, v: ce.cross_entropy(first, np.zeros(ROWS, int), weight=v[0]),
        lambda first, v: ce.softmax_backward(first, v, axis=(0, 1)),
    ],
)
def test_views_that_are_converted(call, change, dtype):
    """Nothing is read of one whose owner an earlier argument has given other memory."""
    own = np.zeros((ROWS, CLASSES), dtype)
    with pytest.raises(ValueError, match="was changed"):
        call(Hostile(change, own, np.ones((ROWS, CLASSES))), own[:])


@pytest.mark.parametrize("dtype", [">i8", "f8", "i4"])
@pytest.mark.parametrize("whole", [True, False])
def test_an_error_names_no_number_of_other_memory(dtype, whole):
    """A target that was converted may be gone when a bad index is found in the copy."""
    own = np.full(ROWS, 99, dtype)
    weight = Hostile(
        freed if not whole else lambda x: x.resize(1, refcheck=False), own, np.ones(ROWS)
    )
    with pytest.raises(ValueError, match="target was changed"):
        ce.cross_entropy(logits(), own if whole else own[:], sample_weight=weight)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_dtype_that_the_buffer_protocol_does_not_know():
    """Arrays of many axes are asked for their buffer again."""
    z = np.zeros((1,) * 9 + (8, 10))

    def change(x):
        x.dtype = "M8[s]"

    weight = Hostile(change, z, np.ones((1,) * 9 + (8,)))
    with pytest.raises(ValueError, match="logits was changed"):
        ce.cross_entropy(z, np.zeros((1,) * 9 + (8,), int), sample_weight=weight, axis=-1)


def test_an_error_asks_no_objects():
    """A target that was converted may have become an array of objects since."""
    target = np.full(ROWS, 99, ">i8")
    objects = [object()] * ROWS

    def change(array):
        array.__setstate__((1, array.shape, np.dtype(object), False, objects))

    weight = Hostile(change, target, np.ones(ROWS))
    with pytest.raises(ValueError, match="target was changed"):
        ce.cross_entropy(logits(), target, sample_weight=weight)


def test_long_doubles_of_foreign_byte_order():
    """There is no buffer of these, hence no view that could be compared."""
    x = np.ones((2, 3), np.dtype(np.longdouble).newbyteorder())
    for call in (lambda: ce.mse_loss(x[0], 0.0), lambda: ce.mse_loss(np.ones((2, 3)), x)):
        with pytest.raises(TypeError, match="has dtype"):
            call()


def test_objects_that_change_the_array_they_are_in():
    class Element:
        def __init__(self, array):
            self.array = array

        @property
        def __class__(self):
            self.array.resize(1, refcheck=False)
            return int

    x = np.empty(1000, object)
    x[:] = [Element(x) for _ in range(1000)]
    with pytest.raises(TypeError, match=r"x holds a Element at \[0\]"):
        ce.softmax(x)


@pytest.mark.parametrize("axes", [3, 11])
def test_outputs_of_bfloat16_and_many_axes(axes):
    """The same memory twice is refused, and bits may stand beside numbers."""
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    shape = (2,) * axes
    x = np.linspace(-1, 1, 2**axes).reshape(shape).astype(ml_dtypes.bfloat16)
    g, h = np.zeros_like(x), np.zeros(shape, np.uint16)
    expected = ce.MSELoss().grad_and_hess(x, 0.0)
    ce.MSELoss().grad_and_hess(x, 0.0, out=(g, h))
    assert_same_bits(g.view("u2"), expected[0].view("u2"))
    assert_same_bits(h, expected[1].view("u2"))
    for out in ((g, g), (g, g.view("u2")), (h, h)):
        with pytest.raises(ValueError, match="overlaps"):
            ce.MSELoss().grad_and_hess(x, 0.0, out=out)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_overlaps_are_those_of_the_views():
    """An output's code may change the strides of an input, and the next one's put them back."""
    memory = np.linspace(0, 1, 24)
    z = memory[:12].reshape(3, 4)

    class Out:
        def __init__(self, array, strides):
            self.array, self.strides = array, strides

        def __dlpack_device__(self):
            return 1, 0

        def __dlpack__(self, **options):
            z.strides = self.strides
            return self.array.__dlpack__(**options)

    first = Out(memory[6:18].reshape(3, 4), (0, 0))
    before = memory.copy()
    with pytest.raises(ValueError, match="was changed"):
        ce.CrossEntropyLoss().grad_and_hess(
            z, [0, 1, 2], out=(first, Out(np.zeros((3, 4)), (32, 8)))
        )
    assert_same_bits(memory, before)


def test_views_of_any_layout_lie_in_their_owner(rng):
    """So do those that begin at its end, have no elements, or share all of them."""
    own = np.array(rng.normal(size=(6, 4, 5)))
    for view in (
        own[::-1], own[:, ::-2], own[..., ::-1], own.T, own[2:3, 1], own[-1, -1], own[:, 4:],
        np.broadcast_to(own, (3, 6, 4, 5)), own.reshape(12, 10).view(complex).imag,
        own[1:].view(Owner)[::2], own.reshape(-1)[119:],
    ):  # fmt: skip
        assert_same_bits(ce.softmax(view), ce.softmax(view.copy()))


def test_an_array_that_writes_back_has_memory_of_its_own():
    """Its base is not the owner of its numbers, but what gets them in the end."""
    own = np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3)
    flags = [["readwrite", "copy", "updateifcopy"]]
    with np.nditer([own], ["external_loop"], flags, ["f8"], casting="unsafe") as lent:
        assert lent.operands[0].base is own
        assert_same_bits(ce.softmax(lent.operands[0]), ce.softmax(own.astype(np.float64)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_output_is_what_it_was_judged_to_be():
    """A trace function may change it while it is looked at, and change it back."""
    out = np.full(600, 5.0)[300:306].reshape(2, 3)
    out.strides = (8, 8)

    def change(frame, event, argument):
        if frame.f_code.co_name == "out" and frame.f_code.co_filename.endswith("_check.py"):
            out.strides = (24, 8) if event == "call" else (8, 8)

    sys.setprofile(change)
    try:
        with pytest.raises(ValueError, match="out overlaps itself"):
            ce.softmax(np.ones((2, 3)), out=out)
    finally:
        sys.setprofile(None)
    assert (out.base == 5).all()


class Fickle(str):
    """Text that equals anything, once."""

    asked = 0

    def __eq__(self, other):
        self.asked += 1
        return self.asked == 1

    __hash__ = str.__hash__


def test_text_is_compared_by_its_letters():
    with pytest.raises(ValueError, match="reduction is 'q'; it must be one of"):
        ce.FocalLoss(reduction=Fickle("q"))
    with pytest.raises(ValueError, match="hessian is 'q'; it must be one of"):
        ce.FocalLoss().grad_and_hess(np.zeros(3), 0, hessian=Fickle("q"))
    assert ce.FocalLoss(reduction=Fickle("sum")).reduction == "sum"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_output_of_foreign_byte_order_that_changes():
    """A stand-in is filled: where its numbers go is looked at once more."""
    z, g, h = np.ones((2, 3)), np.zeros((2, 3), ">f8"), np.zeros((2, 3))

    class Second:
        """An output by DLPack, whose code changes the first one."""

        def __dlpack_device__(self):
            return 1, 0

        def __dlpack__(self, **options):
            g.setflags(write=False)
            return h.__dlpack__(**options)

    with pytest.raises(ValueError, match=r"out\[0\] was changed"):
        ce.CrossEntropyLoss().grad_and_hess(z, [0, 1], out=(g, Second()))
    assert not g.any()
    assert not h.any()


def test_a_first_input_that_changes_before_it_is_widened():
    """q has float64, so p becomes float64: as it was, or not at all."""
    p = np.array([[0.25, 0.75]], np.float32)

    def change(p):
        p.dtype = np.int32

    with pytest.raises(ValueError, match="p was changed"):
        ce.relative_entropy(p, Hostile(change, p, np.array([[0.5, 0.5]])))


def test_bfloat16_of_foreign_byte_order():
    """As logits, as probabilities and as an output."""
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    z = np.linspace(-2, 2, 12).reshape(3, 4).astype(ml_dtypes.bfloat16)
    swapped = np.dtype(ml_dtypes.bfloat16).newbyteorder()

    def turned(x):
        return x.view(np.uint16).byteswap().view(swapped)

    q, out = np.full((3, 4), 0.25).astype(ml_dtypes.bfloat16), turned(np.zeros_like(z))
    want = ce.CrossEntropyLoss().grad(z, q)
    assert_same_bits(ce.CrossEntropyLoss().grad(turned(z), turned(q)).view("u2"), want.view("u2"))
    assert ce.CrossEntropyLoss().grad(z, q, out=out) is out
    assert_same_bits(out.view(np.uint16).byteswap(), want.view(np.uint16))


def test_every_integer_may_be_ignored():
    """Floating indices that are not whole become an integer that is none, whatever is ignored."""
    for ignored in (-(2**62) - 1, -(2**62) - 3, -(2**63)):
        for x in (ignored, np.int64(ignored), np.array(ignored)):
            with pytest.raises(ValueError, match="not a whole number"):
                ce.cross_entropy(np.zeros((1, 3)), [0.5], ignore_index=x)
        with pytest.raises(ValueError, match="not a whole number"):
            ce.CrossEntropyLoss(ignore_index=ignored)(np.zeros((1, 3)), [np.nan])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_arrays_of_a_criterion_are_its_own():
    criterion = ce.CrossEntropyLoss(weight=[1.0, 2.0, 3.0])
    want = criterion(np.eye(3), [0, 1, 2])
    criterion.weight.dtype = np.int64
    assert type(criterion.weight.base) is bytes
    assert_same_bits(criterion(np.eye(3), [0, 1, 2]), want)


def test_misaligned_bfloat16_is_no_new_dtype():
    """Its number was once written beside the table of numbers."""
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    z = np.ndarray((4,), ml_dtypes.bfloat16, np.zeros(64, np.uint8), 1)
    assert_same_bits(ce.softmax(z), ce.softmax(z.copy()))
