"""Bad input: any object for any argument of the whole public interface.

Whatever comes in, a call ends with a result, which is that of plain contiguous copies of the same
numbers, or with an exception of the documented kinds, and then nothing has been written. The long
campaign, with other examples in each run:

    CE_HOSTILE_EXAMPLES=2000 pytest -q tests/memory/test_hostile.py
"""

import array
import ctypes
import decimal
import fractions
import inspect
import io
import os
import sys
from contextlib import redirect_stdout

import numpy as np
import pytest
from helpers.problems import INTEGERS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided
from oracle import FUNCTIONS as AXIS_FUNCTIONS
from oracle import LOSSES
from oracle.exact import BFLOAT16

import ce

EXAMPLES = int(os.environ.get("CE_HOSTILE_EXAMPLES", "0"))
# Earlier NumPy only warns of its own bool as an integer, and of an empty array as a truth value.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*interpreted as an index:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*truth value of an empty array:DeprecationWarning"),
]

campaign = settings(
    max_examples=EXAMPLES or 50,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class OwnError(Exception):
    """What the objects below raise by themselves."""


DOCUMENTED = (TypeError, ValueError, IndexError, MemoryError, OwnError)


# -- objects --------------------------------------------------------------------------------------


class Raises:
    """Raises whatever it is asked."""

    def _raise(self, *args, **options):
        raise OwnError

    __array__ = __float__ = __index__ = __len__ = __bool__ = __iter__ = __getitem__ = _raise
    __int__ = __contains__ = __add__ = __dlpack__ = __dlpack_device__ = _raise


class RaisesOnLook:
    def __getattr__(self, name):
        raise OwnError


class Returns:
    """An __array__ that returns that."""

    def __init__(self, answer):
        self.answer = answer

    def __array__(self, dtype=None, copy=None):
        return self.answer


class Interface:
    """An __array_interface__ with something wrong in it."""

    def __init__(self, **wrong):
        self.kept = np.linspace(0, 1, 12)
        self.__array_interface__ = {**self.kept.__array_interface__, **wrong}


class Dlpack:
    """A __dlpack__ that returns that."""

    def __init__(self, answer, dtype=None, device=(1, 0)):
        self.answer, self.dtype, self.device = answer, dtype, device

    def __dlpack__(self, **options):
        return self.answer.__dlpack__(**options) if hasattr(self.answer, "data") else self.answer

    def __dlpack_device__(self):
        return self.device


class Int(int):
    pass


class Float(float):
    pass


class Str(str):
    pass


class Sub(np.ndarray):
    """A subclass whose every product is broken."""

    def __array_finalize__(self, other):
        self.note = getattr(other, "note", None)

    def __array_ufunc__(self, *args, **options):
        raise OwnError


def records():
    return np.zeros(3, [("a", "f4"), ("b", "i8")])


ODD_ARRAYS = [
    lambda: np.zeros(3, complex),
    lambda: np.zeros(3, np.longdouble),
    lambda: np.zeros((2, 3), bool),
    lambda: np.array([None, 1.0, "x"], object),
    lambda: np.array([[1.0, 2.0, 3.0]], object),
    lambda: np.array(["a", "b", "c"]),
    lambda: np.array([b"a", b"b"]),
    lambda: np.zeros(3, "M8[s]"),
    lambda: np.zeros(3, "m8[s]"),
    lambda: np.zeros(3, "V4"),
    records,
    lambda: records()["a"],
    lambda: np.zeros((3, 0)),
    lambda: np.zeros((0, 3), np.float32),
    lambda: np.zeros(0),
    lambda: np.float32(1),
    lambda: np.array(0.5),
    lambda: np.zeros((1,) * 32, np.float32),
    lambda: np.ma.masked_array([0.1, 0.2, 0.7], [True, False, False]),
    lambda: np.zeros((2, 3)).view(np.matrix),
    lambda: np.zeros(3).view(Sub),
    lambda: as_strided(np.zeros(8), (2, 3), (8, 8)),
    lambda: as_strided(np.zeros(1), (2**40, 3), (0, 0))[:0],
    lambda: np.zeros(16, np.uint8)[1:13].view(np.float32),
    lambda: np.zeros((2, 3), ">f4"),
    lambda: np.zeros((2, 3), BFLOAT16),
    lambda: np.array([np.nan, np.inf, -np.inf]),
    lambda: np.array([2**64 - 1, 2**63], np.uint64),
]

OBJECTS = [
    lambda: None,
    lambda: "abc",
    lambda: "\ud800",
    lambda: b"abcd",
    lambda: bytearray(12),
    lambda: [],
    lambda: [[]],
    lambda: [[0.1, 0.2], [0.3]],
    lambda: [0.1, None],
    lambda: ["0.1", "0.2"],
    lambda: (0.1, 0.2, 0.7),
    lambda: [2**70, 1],
    lambda: {},
    lambda: {0: 1.0},
    lambda: {0.1, 0.2},
    lambda: (x for x in (0.1, 0.2)),
    lambda: iter([0.1]),
    lambda: range(3),
    lambda: lambda: 0,
    lambda: int,
    lambda: ...,
    lambda: object(),
    lambda: ce,
    lambda: 3,
    lambda: -1,
    lambda: 2**200,
    lambda: 0.5,
    lambda: np.nan,
    lambda: 1j,
    lambda: True,
    Raises,
    RaisesOnLook,
    lambda: Returns(None),
    lambda: Returns([0.1]),
    lambda: Returns(np.zeros((2, 3), np.float32)),
    lambda: Returns(np.array(None)),
    lambda: Interface(shape=(-1,)),
    lambda: Interface(shape=("a",)),
    lambda: Interface(strides=(3,)),
    lambda: Interface(typestr="<f3"),
    lambda: Interface(typestr=None),
    lambda: Interface(data=None),
    lambda: Interface(data=(None, False)),
    lambda: Interface(version=99),
    lambda: Interface(descr=[("", "<f4")]),
    lambda: Dlpack(None),
    lambda: Dlpack(object(), dtype="torch.bfloat16"),
    lambda: Dlpack(np.zeros((2, 3), np.float32)),
    lambda: Dlpack(np.zeros((2, 3), np.float32), device=(2, 0)),
    lambda: Dlpack(np.zeros((2, 3), np.float32), dtype="torch.bfloat16", device=(2, 0)),
    lambda: Dlpack(np.zeros((2, 3), np.float32), device=None),
    lambda: memoryview(b"abcd"),
    lambda: memoryview(bytes(12)).cast("f"),
    lambda: memoryview(np.zeros((2, 3))),
    lambda: memoryview(bytes(6)).cast("?"),
    lambda: array.array("d", [0.1, 0.2, 0.7]),
    lambda: array.array("d"),
    lambda: array.array("u" if sys.version_info < (3, 13) else "w", "abc"),
    lambda: (ctypes.c_float * 3)(0.1, 0.2, 0.7),
    lambda: (ctypes.c_double * 3 * 2)(),
    lambda: ctypes.c_double(1),
    lambda: (ctypes.c_void_p * 2)(),
    lambda: (ctypes.c_float * 0)(),
    lambda: np.zeros,
    lambda: np.dtype("f4"),
    *ODD_ARRAYS,
]

OPTIONS = [
    lambda: 0,
    lambda: 1,
    lambda: 2,
    lambda: -2,
    lambda: -100,
    lambda: 2**31,
    lambda: 2**63,
    lambda: -(2**63),
    lambda: 0.0,
    lambda: 1.0,
    lambda: 1e-310,
    lambda: 1e308,
    lambda: -0.5,
    lambda: np.inf,
    lambda: -np.inf,
    lambda: Int(1),
    lambda: Float(0.5),
    lambda: Str("mean"),
    lambda: Str("exact"),
    lambda: "mean",
    lambda: "sum",
    lambda: "none",
    lambda: "batchmean",
    lambda: "elementwise_mean",
    lambda: "abs",
    lambda: "gauss_newton",
    lambda: b"mean",
    lambda: np.str_("sum"),
    lambda: np.float32(0.5),
    lambda: np.float16(0.5),
    lambda: np.float64(np.nan),
    lambda: np.longdouble(0.5),
    lambda: np.int8(1),
    lambda: np.uint64(2**64 - 1),
    lambda: np.True_,
    lambda: np.array(1),
    lambda: np.array(0.5),
    lambda: np.array([0.5]),
    lambda: np.array([1]),
    lambda: np.array([0.5, 0.5]),
    lambda: np.datetime64("2020-01-01"),
    lambda: fractions.Fraction(1, 2),
    lambda: decimal.Decimal("NaN"),
    lambda: decimal.Decimal("sNaN"),
    *OBJECTS,
]

# To be refused beside arguments of another shape; alone they may be hours of honest work.
HUGE = [
    lambda: np.broadcast_to(np.float32(1), (2**57, 3)),
    lambda: np.broadcast_to(np.int8(1), (2**60,)),
    lambda: np.broadcast_to(np.float32(0.5), (2**60,)),
]


# -- good arguments, and disguises ----------------------------------------------------------------

SHAPES = [(3,), (2, 3), (4, 1), (2, 3, 2), (3, 4, 1, 2), (2, 170), (1, 600), (40, 3), (0, 3)]
SHAPES += [(2, 0), (0,), (2, 0, 3), (1,) * 8 + (2, 3), (1,) * 9 + (2,), (1,) * 30 + (2, 2)]
FLOATS = [np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.float16), BFLOAT16]


def gappy(a):
    part = np.zeros(2 * a.size, a.dtype)[::2].reshape(a.shape)
    part[...] = a
    return part


def backwards(a):
    return np.flip(np.flip(a).copy())


def unaligned(a):
    memory = np.zeros(a.nbytes + 1, np.uint8)
    moved = memory[1:].view(a.dtype).reshape(a.shape)
    moved[...] = a
    return moved


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def flat_ctypes(a):
    kinds = {"f": ctypes.c_float, "d": ctypes.c_double, "q": ctypes.c_int64, "b": ctypes.c_int8}
    return (
        (kinds[a.dtype.char] * a.size)(*a.tolist()) if a.dtype.char in kinds and a.ndim == 1 else a
    )


def foreign(a):
    return a if a.dtype == BFLOAT16 else a.astype(a.dtype.newbyteorder())


DISGUISES = [
    np.copy,
    np.copy,
    np.asfortranarray,
    gappy,
    backwards,
    unaligned,
    read_only,
    flat_ctypes,
    foreign,
    Returns,
    lambda a: a.tolist(),
    lambda a: a if a.dtype == BFLOAT16 else Dlpack(a),
    lambda a: a if a.dtype == BFLOAT16 else memoryview(a),
    lambda a: a.view(Sub),
    lambda a: a.view(np.matrix) if a.ndim == 2 else a,
    lambda a: np.ma.masked_array(a.astype(np.float64)) if a.dtype.kind == "f" else a,
    lambda a: np.broadcast_to(a[:1], a.shape) if a.ndim and len(a) else a,
    lambda a: as_strided(
        a, a.shape, [1 if n == 1 else s for n, s in zip(a.shape, a.strides, strict=True)]
    ),
]


def plain(x):
    """The same numbers in a contiguous array of native byte order; lists and scalars stay."""
    if isinstance(x, Dlpack | Returns):
        x = x.answer
    if isinstance(x, memoryview | array.array | ctypes.Array | bytearray | bytes | np.ndarray):
        x = np.array(np.asarray(x), order="C")
        return x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))
    return x


CLASSES = {loss.criterion: "items" if loss.classes else "elements" for loss in LOSSES}
INPUTS = {loss.input for loss in LOSSES} | {"x", "p", "q", "output", "vector"}
WEIGHTS = {
    kind: {name for loss in LOSSES if CLASSES[loss.criterion] == kind for name in loss.weights}
    for kind in ("items", "elements")
}


class Call:
    """Draws the arguments of one call, and keeps the memory that must not change."""

    def __init__(self, draw):
        self.draw, self.watched = draw, []
        self.shape = self.any_of(SHAPES)
        self.axis = draw(st.sampled_from([None, -1, 0, len(self.shape) - 1]))
        self.dtype = self.any_of(FLOATS)
        self.rng = np.random.default_rng(draw(st.integers(0, 99)))
        self.victim, self.turn = draw(st.integers(-1, 7)), 0  # mostly one bad argument
        self.hostile = draw(st.sampled_from([0, 0, 0, 30]))  # percent of the others

    def any_of(self, choices):
        return self.draw(st.sampled_from(choices))

    def chance(self, percent):
        return self.draw(st.integers(0, 99)) < percent

    def is_hostile(self):
        self.turn += 1
        return self.turn == self.victim or self.chance(self.hostile)

    def watch(self, x):
        memory = x.answer if isinstance(x, Returns | Dlpack) else x
        while isinstance(memory, np.ndarray) and isinstance(memory.base, np.ndarray):
            memory = memory.base
        if isinstance(memory, np.ndarray) and not memory.dtype.hasobject and memory.size < 10**6:
            self.watched.append((memory, memory.tobytes()))
        return x

    def floats(self, shape, dtype=None):
        return self.rng.uniform(0.05, 0.95, shape).astype(dtype or self.dtype)

    def array(self, a):
        """That array in disguise, or something else."""
        if self.is_hostile():
            return self.watch(self.any_of(OBJECTS)())
        return self.watch(self.any_of(DISGUISES)(np.asarray(a)))

    def option(self, *good):
        return self.any_of(OPTIONS)() if self.is_hostile() else self.any_of(good)

    @property
    def class_axis(self):
        rank = len(self.shape)
        return (1 if rank > 1 else 0) if self.axis is None else self.axis % rank

    @property
    def items(self):
        return self.shape[: self.class_axis] + self.shape[self.class_axis + 1 :]

    @property
    def classes(self):
        return self.shape[self.class_axis]

    def indices(self):
        kind = self.draw(st.integers(0, 9))
        low, high = (-100, self.classes + 100) if kind == 0 else (0, max(self.classes, 1))
        dtype = self.any_of(INTEGERS)
        low, high = max(low, np.iinfo(dtype).min), min(high, np.iinfo(dtype).max)
        return self.rng.integers(low, high, self.items).astype(dtype)

    def argument(self, name, kind):
        """A value for the parameter of that name, for a loss of items or of elements."""
        number = self.floats((), np.float64).item()
        if name in INPUTS:
            return self.array(self.floats(self.shape))
        if name == "target":
            if kind == "indices" or (kind == "items" and self.chance(70)):
                t = self.indices()
                return self.array(t.astype(np.float64) if self.chance(20) else t)
            dtype = np.float64 if self.chance(30) else self.dtype
            return self.array(self.floats(self.shape, dtype))
        if name == "sample_weight":
            shape = self.any_of([self.shape, self.shape[-1:], ()])
            v = self.floats(shape if kind == "elements" else self.items, self.any_of(FLOATS))
            v = v > 0.3 if self.chance(30) else v * (v > 0.3)
            return self.array(v) if self.chance(60) else None
        if name in WEIGHTS["items"] and kind == "items":
            return self.array(self.floats((self.classes,))) if self.chance(40) else None
        if name in WEIGHTS["elements"]:
            shape = self.any_of([self.shape, self.shape[-1:], ()])
            return self.array(self.floats(shape)) if self.chance(40) else None
        if name == "grad_output" and kind in ("backward", "logsumexp_backward"):
            return self.array(self.floats(self.shape if kind == "backward" else self.items))
        if name == "grad_output":
            shape = self.items if kind == "items" else self.shape
            return self.array(self.floats(shape)) if self.chance(30) else self.option(None, number)
        options = {
            "reduction": ("mean", "sum", "none", "none"),
            "hessian": ("exact", "gauss_newton", "abs", "bound"),
            "hess_scale": (1.0, 2, number),
            "hess_floor": (None, 0.0, number),
            "axis": (self.axis,) if kind in ("items", "indices") else (self.axis or -1,),
            "ignore_index": (-100, 0, -1),
            "normalizer": (None, 1, 2.5, number),
            "num_classes": (self.classes, np.int64(3)),
            "dtype": (np.float32, int, "f8", bool),
            "keepdims": (False, True),
            "log_target": (False, True),
            "alpha": (None, number),
            "mode": ("stdout", "dicts"),
            "n": (1, 2),
        }
        return self.option(*options.get(name, (0.0, 0.1, 1, 2, number)))

    def out(self, arguments, shape):
        """An output: good ones, inputs, views across inputs, and wrong ones."""
        inputs = [a for a in arguments if isinstance(a, np.ndarray)] or [np.zeros(3)]
        first = self.any_of(inputs)
        good = self.floats(shape)
        return self.watch(
            self.any_of(
                [
                    lambda: None,
                    lambda: good,
                    lambda: np.asfortranarray(good),
                    lambda: gappy(good),
                    lambda: backwards(good),
                    lambda: unaligned(good),
                    lambda: foreign(good),
                    lambda: read_only(good),
                    lambda: good.view(Sub),
                    lambda: inputs[0],
                    lambda: first,
                    lambda: first[::-1] if first.ndim else first,
                    lambda: first.T,
                    lambda: first.reshape(-1)[: good.size].reshape(-1),
                    lambda: as_strided(good, good.shape, [0] * good.ndim),
                    lambda: as_strided(good, good.shape, [good.itemsize] * good.ndim),
                    lambda: good.astype(np.float64),
                    lambda: good.view("u2") if good.itemsize == 2 else good,
                    lambda: good[..., :1] if good.ndim else good[None],
                    lambda: good[None],
                    self.any_of(OBJECTS),
                ]
            )()
        )


# -- the properties -------------------------------------------------------------------------------


def outcome(function, arguments, options):
    """The result, or the documented exception. Any other one, warnings included, fails the test."""
    try:
        return function(*arguments, **options), None
    except DOCUMENTED as error:
        return None, error


def flat(result):
    return result if isinstance(result, tuple) else (result,)


def assert_unchanged(watched, but=()):
    for memory, before in watched:
        if not any(isinstance(o, np.ndarray) and np.may_share_memory(o, memory) for o in but):
            assert memory.tobytes() == before, "memory was written to"


def assert_equal(result, expected, narrow=False):
    """`narrow`: float32 may stand where float64 is expected, as in outputs of the caller's."""
    for got, wanted in zip(flat(result), flat(expected), strict=True):
        got, wanted = np.asarray(got), np.asarray(wanted)
        got = got.view(BFLOAT16) if got.dtype == np.uint16 else got
        dtype = got.dtype.newbyteorder("=")
        assert got.shape == wanted.shape
        assert dtype == wanted.dtype or (narrow and dtype == np.float32 and wanted.dtype == float)
        tolerance = {2: 2e-2, 4: 1e-4, 8: 1e-10}.get(got.dtype.itemsize, 0)
        wide = [np.asarray(x).astype(np.float64) for x in (got, wanted)]
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(*wide, rtol=tolerance, atol=tolerance / 10)


ARRAYS = ("weight", "pos_weight", "alpha", "sample_weight", "grad_output")  # not flags


def copy(arguments, options):
    """Plain copies, taken before the call; None where an argument is no array at all."""
    try:
        given = {k: plain(v) if k in ARRAYS else v for k, v in options.items()}
        return [plain(x) for x in arguments], given
    except (TypeError, ValueError, MemoryError, OwnError):
        return None


def check(call, function, names, arguments, options, outputs=None):
    """`outputs`: the shape of what out receives, None where there is no out."""
    before = copy(arguments, options)
    out = []
    if outputs is not None:
        inputs = [*arguments, *options.values()]
        if function.__name__ == "grad_and_hess":
            options["out"] = call.any_of(
                [
                    lambda: None,
                    lambda: (call.out(inputs, outputs), call.out(inputs, outputs)),
                    lambda: [call.out(inputs, outputs)] * 2,
                    lambda: call.out(inputs, outputs),
                ]
            )()
        else:
            options["out"] = call.out(inputs, outputs)
        out = options["out"] if isinstance(options["out"], tuple | list) else [options["out"]]
    result, error = outcome(function, arguments, options)
    assert_unchanged(call.watched, but=() if error else out)
    if error is None:
        assert_equal(result, function(*before[0], **before[1]), any(o is not None for o in out))
        given = [o for o in out if isinstance(o, np.ndarray)]
        assert all(any(o is r for r in flat(result)) for o in given)


FUNCTIONS = [name for name in ce.__all__ if inspect.isfunction(getattr(ce, name))]
PROCESS = ["get_num_threads", "set_num_threads", "show_config", "threads"]
KINDS = {loss.name: CLASSES[loss.criterion] for loss in LOSSES}
KINDS |= {row.name: "backward" for row in AXIS_FUNCTIONS if row.place == (0, 1)}
KINDS |= {"logsumexp_backward": "logsumexp_backward", "perplexity": "items", "one_hot": "items"}


def kind_of(function):
    return KINDS.get(function.__name__, "elements")


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in PROCESS])
@campaign
@given(st.data())
def test_functions(name, data):
    call, function = Call(data.draw), getattr(ce, name)
    kind, arguments, options = kind_of(function), [], {}
    for p in inspect.signature(function).parameters.values():
        if p.name == "out":
            continue
        if p.kind is p.KEYWORD_ONLY:
            if call.chance(60):
                options[p.name] = call.argument(p.name, kind)
        else:
            arguments.append(call.argument(p.name, kind))
    outputs = None
    if "out" in inspect.signature(function).parameters:
        axis = (call.axis or -1) % len(call.shape)
        outputs = call.shape[:axis] + call.shape[axis + 1 :] if name == "logsumexp" else call.shape
    check(call, function, name, arguments, options, outputs)


METHODS = ["__call__", "value_and_grad", "grad", "grad_and_hess", "hess_vec", "sums"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", CLASSES)
@campaign
@given(st.data())
def test_criteria(name, method, data):
    call, maker = Call(data.draw), getattr(ce, name)
    kind = CLASSES[name]
    given_options = {
        option: call.argument(option, kind)
        for option in inspect.signature(maker).parameters
        if call.chance(50)
    }
    criterion, error = outcome(maker, (), given_options)
    if error:
        return
    function = getattr(criterion, method)
    arguments, options = [], {}
    for p in inspect.signature(function).parameters.values():
        if p.kind is not p.KEYWORD_ONLY:
            arguments.append(call.argument(p.name, kind))
        elif p.name != "out" and call.chance(60):
            options[p.name] = call.argument(p.name, kind)
    has_out = "out" in inspect.signature(function).parameters
    check(call, function, name, arguments, options, call.shape if has_out else None)


def good(name, kind):
    """A value for a required parameter, of a problem of two items and three classes."""
    x = np.linspace(0.1, 0.6, 6, dtype=np.float32).reshape(2, 3)
    if name == "target" and kind == "items":
        return np.array([0, 2])
    return x[:, 0].copy() if kind == "logsumexp_backward" and name == "grad_output" else x


def each_in_turn(function, kind):
    """Every object there is for one parameter, then for the next; the others are as they should."""
    parameters = inspect.signature(function).parameters
    for name in parameters:
        alone = name in ("x", "p") or (
            function in (ce.token_stats, ce.entropy_from_logits, ce.partials) and name == "logits"
        )
        for make in OPTIONS if alone else OPTIONS + HUGE:  # alone it would be computed
            given = {n: good(n, kind) for n, p in parameters.items() if p.default is p.empty}
            out = np.zeros((2, 3), np.float32)
            if "out" in parameters and function.__name__ not in ("logsumexp", "grad_and_hess"):
                given["out"] = out
            given[name] = make()
            _, error = outcome(function, (), given)
            assert not (error and out.any()), f"{name}: written to before {error!r}"


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in PROCESS])
def test_each_argument_of_functions_in_turn(name):
    each_in_turn(getattr(ce, name), kind_of(getattr(ce, name)))


@pytest.mark.parametrize("name", CLASSES)
def test_each_argument_of_criteria_in_turn(name):
    maker = getattr(ce, name)
    kind = CLASSES[name]
    for method in ("__call__", "value_and_grad", "grad", "grad_and_hess"):
        each_in_turn(getattr(maker(), method), kind)
    for option in inspect.signature(maker).parameters:
        for make in OPTIONS:
            criterion, error = outcome(maker, (), {option: make()})
            for method in () if error else (criterion.value_and_grad, criterion.grad_and_hess):
                names = ("logits" if kind == "items" else "input", "target")
                outcome(method, [good(n, kind) for n in names], {})


@pytest.mark.parametrize("name", PROCESS)
def test_process(name):
    function, before = getattr(ce, name), ce.get_num_threads()
    try:
        for make in OPTIONS:
            with redirect_stdout(io.StringIO()):
                result, _ = outcome(function, (make(),), {})
                if name == "threads" and result is not None:
                    outcome(result.__enter__, (), {})
    finally:
        ce.set_num_threads(before)


def test_refused_and_empty_sizes_take_no_time():
    """These would never end if they were worked on, or would need more memory than there is."""
    one = np.float32(1)
    huge, target = np.broadcast_to(one, (2**57, 3)), np.broadcast_to(np.int8(0), (2**57,))
    with pytest.raises((MemoryError, ValueError)):
        ce.cross_entropy(huge, target, reduction="none")
    with pytest.raises((MemoryError, ValueError)):
        ce.softmax(huge)
    with pytest.raises((MemoryError, ValueError)):
        ce.MSELoss().grad(huge, 1.0)
    for empty in (np.empty((2**59, 0)), np.empty((0, 2**59))):
        assert ce.softmax(empty).shape == ce.softmax_backward(empty, empty).shape == empty.shape
    with pytest.raises(ValueError, match="overlaps itself"):
        ce.softmax(np.zeros((3, 4)), out=as_strided(np.zeros(6), (3, 4), (8, 8)))
