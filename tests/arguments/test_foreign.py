"""Objects that are no arrays of real numbers, and arrays of other libraries: read, or named."""

import ctypes
import datetime
import decimal
import gc
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from helpers.problems import assert_same_bits

import ce

LOGITS = np.array([[0.5, -1.0, 2.0], [1.0, 0.0, -0.5]])
TARGET = np.array([2, 0])


def library(name):
    """A library that the tests may do without; what it warns of at import is its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"{name} is not installed")


def refused(error, words, x):
    """As the logits, as the target and as weights, each by its name."""
    criterion = ce.CrossEntropyLoss()
    for name, call in {
        "logits": lambda: criterion(x, TARGET),
        "target": lambda: criterion(LOGITS, x),
        "sample_weight": lambda: criterion(LOGITS, TARGET, sample_weight=x),
        "weight": lambda: ce.cross_entropy(LOGITS, TARGET, weight=x),
        "x": lambda: ce.softmax(x),
    }.items():
        with pytest.raises(error, match=rf"^{name} .*{words}"):
            call()


# -- what is no array -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "words"),
    [
        ({0.5, 1.0}, "a set, which has no order"),
        (frozenset([1]), "a frozenset, which has no order"),
        ({"a": 1.0}, "a dict; pass an array of its values"),
        ({"a": 1.0}.values(), "dict_values.* pass a list"),
        ((i for i in (0, 1)), "generator.* pass a list"),
        (map(float, "12"), "map.* pass a list"),
        (object(), "of type object, which is no array"),
        (len, "builtin_function_or_method, which is no array"),
        (decimal.Decimal(1), "Decimal, which is no array"),
        (2**70, "an integer beyond 64 bits"),
        ([0, 2**70], r"an integer beyond 64 bits at \[1\]"),
        ("1.0", "text .*<U3"),
        (b"1.0", r"text .*S3"),
        (["a", "b"], "text .*return_inverse"),
        (np.array(["a", "b"], object), r"text at \[0\].*return_inverse"),
        ([1.0, None], r"a missing value at \[1\] \(None\).*sample_weight="),
        ([[1.0, 2.0], [None, 3.0]], r"a missing value at \[1, 0\] \(None\)"),
        ([1.0, decimal.Decimal(1)], r"a Decimal at \[1\]"),
        ([{1}, {2}], r"a set at \[0\]"),
        (np.array([1.0, 2.0], object), r"Python objects.*\.astype\(float\)"),
        ([datetime.datetime(2020, 1, 1)], "a datetime at"),
        (np.array(["2020"], "M8[D]"), "dates or times"),
        (np.array([3], "m8[s]"), "dates or times"),
        (1j, "complex128"),
        (np.zeros(2, [("a", "f4")]), "records .*one field"),
        (np.zeros(2, "V2"), "V2"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_what_is_no_array_is_named(x, words):
    refused(TypeError, words, x)


@pytest.mark.parametrize("x", [[[1.0, 2.0], [3.0]], [np.zeros(2), np.zeros(3)], [[1.0], 2.0]])
def test_rows_of_different_lengths(x):
    refused(ValueError, "rows of different lengths", x)


def test_rows_within_an_object_array():
    rows = np.empty(2, object)
    rows[:] = [[1.0, 2.0], [3.0]]
    refused(TypeError, r"a row of its own at \[0\] \(list\)", rows)


def test_ranges_and_sequences_are_read():
    assert_same_bits(ce.cross_entropy(LOGITS, range(2)), ce.cross_entropy(LOGITS, [0, 1]))


# -- masked arrays --------------------------------------------------------------------------------


class Lying(np.ma.MaskedArray):
    dtype = property(lambda self: np.dtype("U1"))
    shape = property(lambda self: (1 << 40,))
    strides = property(lambda self: (0,))


@pytest.mark.parametrize("kind", [np.ma.MaskedArray, Lying])
def test_masked_arrays(kind):
    x = np.ma.array([0, 1], mask=[False, True])
    x.__class__ = kind
    refused(TypeError, "masked array.* sample_weight= .*ignore_index", x)
    for mask in (np.ma.nomask, np.zeros_like(LOGITS, bool)):
        x = np.ma.array(LOGITS, mask=mask)
        x.__class__ = kind
        assert_same_bits(ce.softmax(x), ce.softmax(LOGITS))
    with pytest.raises(TypeError, match="masked"):
        ce.softmax(np.ma.masked)


def test_masked_outputs():
    """What is masked would be written to."""
    out = np.ma.array(np.zeros_like(LOGITS), mask=[[1, 0, 0], [0, 0, 0]])
    with pytest.raises(TypeError, match=r"^out is a masked array.*\.data"):
        ce.softmax(LOGITS, out=out)
    plain = np.ma.array(np.zeros_like(LOGITS))
    assert ce.softmax(LOGITS, out=plain) is plain
    assert_same_bits(plain.data, ce.softmax(LOGITS))


def test_masked_records():
    x = np.ma.array([(1.0, 2)], dtype="f4,f4", mask=[(0, 1)])
    with pytest.raises(TypeError, match="holds records"):
        ce.softmax(x)


# -- tables and matrices of other libraries -------------------------------------------------------


@pytest.mark.parametrize("kind", ["csr_array", "csc_matrix", "coo_array", "dok_array"])
def test_sparse_matrices(kind):
    sparse = library("scipy.sparse")
    refused(TypeError, r"a sparse matrix; pass \.toarray\(\)", getattr(sparse, kind)(LOGITS))


def test_pandas():
    pandas = library("pandas")
    frame = pandas.DataFrame(LOGITS)
    loss = ce.cross_entropy(LOGITS, TARGET)
    assert_same_bits(ce.cross_entropy(frame, pandas.Series(TARGET)), loss)
    assert_same_bits(ce.cross_entropy(frame, pandas.array(TARGET, dtype="Int64")), loss)
    refused(TypeError, r"a missing value at \[1\] \(<NA>\).*sample_weight=",
            pandas.Series([True, None], dtype="boolean"))  # fmt: skip
    mixed = pandas.DataFrame({"a": pandas.array([1, None], dtype="Int64"), "b": [0.5, 1.0]})
    refused(TypeError, r"a missing value at \[1, 0\] \(<NA>\)", mixed)
    refused(TypeError, "text", pandas.Categorical(["a", "b"]))
    refused(TypeError, "dates", pandas.Series(pandas.to_datetime(["2020-01-01"])))
    with pytest.raises((TypeError, ValueError), match="target"):
        ce.cross_entropy(LOGITS, pandas.array([1, None], dtype="Int64"))


def test_pyarrow():
    """DLPack refuses booleans and nulls; what refuses them must not hide what reads them."""
    pyarrow = library("pyarrow")
    x = LOGITS[0]
    assert_same_bits(ce.softmax(pyarrow.array(x)), ce.softmax(x))
    assert_same_bits(ce.softmax(pyarrow.chunked_array([x[:1], x[1:]])), ce.softmax(x))
    holes = ce.mse_loss(np.zeros(2), pyarrow.array([1.0, None]), reduction="none")
    np.testing.assert_array_equal(holes, [1, np.nan])
    weighed = ce.mse_loss(LOGITS[0], 0.0, weight=pyarrow.array([True, False, True]))
    np.testing.assert_allclose(weighed, (0.25 + 4) / 2, rtol=1e-15)
    refused(TypeError, r"a missing value at \[1\] \(None\)", pyarrow.array([True, None]))
    refused(TypeError, r"a row of its own at \[0\]", pyarrow.array([[1.0, 2.0], [3.0]]))
    refused(TypeError, "text", pyarrow.array(["a", "b"]))


def test_polars():
    polars = library("polars")
    assert_same_bits(ce.softmax(polars.Series(LOGITS[0])), ce.softmax(LOGITS[0]))
    refused(TypeError, r"LazyFrame; pass \.collect\(\)", polars.LazyFrame({"a": [1.0]}))
    refused(TypeError, r"a missing value at \[1\]", polars.Series([True, None]))


def test_dask():
    """NumPy would compute all of it, wherever its blocks are."""
    array = library("dask.array")
    x = array.from_array(LOGITS, chunks=(1, 3))
    refused(TypeError, r"dask.*map_blocks.*\.compute\(\)", x)
    assert_same_bits(x.map_blocks(ce.softmax).compute(), ce.softmax(LOGITS))


# -- JAX ------------------------------------------------------------------------------------------


def test_jax_tracers():
    jax = library("jax")
    seen = []

    def traced(x):
        with pytest.raises(TypeError, match=r"^x is a JAX tracer.*jax\.pure_callback"):
            ce.softmax(x)
        seen.append(x)
        return x.sum()

    x = jax.numpy.asarray(LOGITS, jax.numpy.float32)
    jax.jit(traced)(x)
    jax.grad(traced)(x)
    jax.vmap(traced)(x)
    assert len(seen) == 3


def test_jax_dtypes():
    jax = library("jax")
    numpy = jax.numpy
    x = numpy.asarray(LOGITS, numpy.bfloat16)
    assert_same_bits(ce.softmax(x), ce.softmax(np.asarray(x)))
    refused(TypeError, "float8_e5m2", numpy.asarray(LOGITS[0], numpy.float8_e5m2))
    refused(TypeError, "key_data", jax.random.key(0))
    for dtype in (numpy.float32, numpy.bfloat16):
        x = numpy.asarray(LOGITS, dtype)
        with pytest.raises(ValueError, match="out is read-only"):
            ce.softmax(np.asarray(x), out=x)
    gone = numpy.ones(3)
    gone.delete()
    refused(TypeError, "deleted", gone)


SHARDED = """
import jax, numpy as np, ce
mesh = jax.make_mesh((2,), ("a",))
sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("a"))
x = np.arange(8, dtype=np.float32).reshape(4, 2)
sharded = jax.device_put(jax.numpy.asarray(x), sharding)
assert len(sharded.devices()) == 2
np.testing.assert_array_equal(ce.softmax(sharded), ce.softmax(x))
"""


def test_jax_arrays_sharded_over_devices():
    library("jax")
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", SHARDED], env=os.environ | flags, timeout=120, check=True)


# -- __array__ and __dlpack__ of users ------------------------------------------------------------


class Counted:
    """Hooks that count their calls."""

    def __init__(self, **hooks):
        self.calls = {}
        self.hooks = hooks

    def _call(self, name):
        self.calls[name] = self.calls.get(name, 0) + 1
        result = self.hooks[name]
        if isinstance(result, Exception):
            raise result
        return result


class ByArray(Counted):
    def __array__(self, dtype=None, copy=None):
        return self._call("array")


class OldArray(Counted):
    def __array__(self):
        return self._call("array")


class ByDlpack(Counted):
    def __dlpack_device__(self):
        return self._call("device")

    def __dlpack__(self, **options):
        return self._call("dlpack")


class ByOldDlpack(Counted):
    def __dlpack_device__(self):
        return self._call("device")

    def __dlpack__(self, stream=None):
        return self._call("dlpack")


class ByBoth(ByArray, ByDlpack):
    pass


@pytest.mark.parametrize("kind", [ByArray, OldArray])
def test_array_is_asked_once(kind):
    x = kind(array=LOGITS)
    assert_same_bits(ce.softmax(x), ce.softmax(LOGITS))
    assert x.calls == {"array": 1}


@pytest.mark.parametrize("kind", [ByArray, OldArray])
def test_errors_of_array_are_named(kind):
    """Not what NumPy says of keywords, nor its deprecations, which these tests make errors."""
    for error in (ValueError("the real cause"), TypeError("the real cause")):
        refused(TypeError, f"{kind.__name__} cannot be read as an array: the real cause",
                kind(array=error))  # fmt: skip
    refused(TypeError, "cannot be read as an array", kind(array=[1.0, 2.0]))


@pytest.mark.parametrize(
    "error", [BufferError("no"), RuntimeError("no"), TypeError("no"), ValueError("no"), OSError()]
)
def test_array_is_asked_where_dlpack_fails(error):
    for failing in ({"device": error}, {"device": (1, 0), "dlpack": error}):
        x = ByBoth(array=LOGITS, **failing)
        assert_same_bits(ce.softmax(x), ce.softmax(LOGITS))
        assert set(x.calls.values()) == {1}
    refused(TypeError, f"ByDlpack cannot be read as an array: {error}",
            ByDlpack(device=(1, 0), dlpack=error))  # fmt: skip


@pytest.mark.parametrize("kind", [ByDlpack, ByOldDlpack, ByBoth])
@pytest.mark.parametrize(
    ("device", "words"),
    [((2, 1), "cuda:1"), ((10, 0), "rocm:0"), ((8, 0), "metal:0"), ((99, 3), "99:3")],
)
def test_other_devices_are_named(kind, device, words):
    """An `__array__` would copy from there unasked."""
    x = kind(device=device, array=LOGITS)
    refused(TypeError, rf"on device .*{words}.*CPU", x)
    with pytest.raises(TypeError, match=rf"^out is on device .*{words}"):
        ce.softmax(LOGITS, out=x)
    assert "dlpack" not in x.calls
    assert "array" not in x.calls


@pytest.mark.parametrize("garbage", [None, "dltensor", 17, LOGITS])
def test_no_capsule(garbage):
    refused(TypeError, "no capsule of DLPack", ByDlpack(device=(1, 0), dlpack=garbage))
    refused(TypeError, "cannot be read", ByDlpack(device=garbage, dlpack=None))


def test_old_dlpack_is_asked_once():
    """One that knows no versions is asked without; an error of its own is no such."""
    x = ByOldDlpack(device=(1, 0), dlpack=LOGITS.__dlpack__())
    assert_same_bits(ce.softmax(x), ce.softmax(LOGITS))
    assert x.calls == {"device": 1, "dlpack": 1}
    x = ByDlpack(device=(1, 0), dlpack=TypeError("my own"))
    with pytest.raises(TypeError, match="my own"):
        ce.softmax(x)
    assert x.calls == {"device": 1, "dlpack": 1}


def test_classes_that_claim_to_be_others():
    """By an equality of their own, or as views of what is internal."""
    from ce import _arrays

    class Equal(type):
        def __eq__(cls, other):
            return True

        __hash__ = type.__hash__

    class Claims(np.ndarray, metaclass=Equal):
        dtype = property(lambda self: np.dtype("f8"))
        code = 0

    x = np.zeros((2, 3), np.complex128).view(Claims)
    assert type(_arrays.as_out("out", x)) is np.ndarray
    refused(TypeError, "complex128", x)
    for kind in _arrays.FOREIGN.values():
        bits = np.zeros(3, np.uint16).view(kind)
        assert _arrays.as_array("x", bits) is bits
        assert type(_arrays.as_array("x", np.zeros(3).view(kind))) is np.ndarray
        with pytest.raises(AttributeError):
            bits.code = 0


# -- capsules -------------------------------------------------------------------------------------


class DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p), ("device", ctypes.c_int32), ("number", ctypes.c_int32),
        ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16), ("shape", ctypes.c_void_p), ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
    ]  # fmt: skip


DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Old(ctypes.Structure):
    _fields_ = [("tensor", DLTensor), ("context", ctypes.c_void_p), ("deleter", DELETER)]


class Versioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("context", ctypes.c_void_p),
        ("deleter", DELETER), ("flags", ctypes.c_uint64), ("tensor", DLTensor),
    ]  # fmt: skip


class Lender:
    """A capsule over `memory`, whose fields can be set to anything; counts what is given back."""

    def __init__(self, memory, versioned=True, major=1, flags=0, deleter=True, **fields):
        self.memory = memory
        self.deleted = 0
        shape = fields.pop("shape", memory.shape)
        strides = fields.pop("strides", None)
        self.held = [(ctypes.c_int64 * 64)(*numbers) for numbers in (shape, strides or ())]
        tensor = DLTensor(
            data=memory.ctypes.data, device=1, ndim=len(shape), code=2, lanes=1,
            bits=8 * memory.itemsize, shape=ctypes.addressof(self.held[0]),
            strides=ctypes.addressof(self.held[1]) if strides is not None else None,
        )  # fmt: skip
        for name, value in fields.items():
            setattr(tensor, name, value)
        self.callback = DELETER(self.delete) if deleter else DELETER()
        self.struct = (
            Versioned(major, 7, None, self.callback, flags, tensor) if versioned
            else Old(tensor, None, self.callback)
        )  # fmt: skip
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p] * 3
        self.name = ctypes.c_char_p(b"dltensor_versioned" if versioned else b"dltensor")
        self.capsule = new(
            ctypes.addressof(self.struct), ctypes.cast(self.name, ctypes.c_void_p), None
        )

    def delete(self, _):
        self.deleted += 1

    def __dlpack_device__(self):
        return 1, 0

    def __dlpack__(self, **options):
        return self.capsule


MEMORY = np.arange(24, dtype=np.float32).reshape(4, 6) / 8


@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize("deleter", [True, False])
def test_what_capsules_hold(versioned, deleter):
    cases = [
        ({}, MEMORY),
        ({"strides": (6, 1)}, MEMORY),
        ({"strides": (1, 6), "shape": (6, 4)}, MEMORY.T),
        ({"byte_offset": 24, "shape": (3, 6)}, MEMORY[1:]),
        ({"strides": (12, 2), "shape": (2, 3)}, MEMORY[::2, ::2]),
        ({"strides": (-6, 1), "byte_offset": 72}, MEMORY[::-1]),
        ({"strides": (0, 1)}, np.broadcast_to(MEMORY[0], (4, 6))),
        ({"strides": (1 << 62, 1), "shape": (1, 6)}, MEMORY[:1]),
        ({"shape": (24,)}, MEMORY.ravel()),
        ({"data": None, "shape": (0, 6)}, np.zeros((0, 6), np.float32)),
        ({"data": None, "shape": (3, 0), "strides": (1, 1)}, np.zeros((3, 0), np.float32)),
        ({"device": 3}, MEMORY),
    ]
    for fields, expected in cases:
        lender = Lender(MEMORY, versioned, deleter=deleter, **fields)
        result = ce.softmax(lender)
        np.testing.assert_allclose(result, ce.softmax(expected), rtol=1e-6, err_msg=str(fields))
        gc.collect()
        assert lender.deleted == deleter, fields
        refused(TypeError, "used up", lender)
        assert lender.deleted == deleter
    scalar = Lender(MEMORY, versioned, shape=(), byte_offset=4)
    scalar_tensor = scalar.struct.tensor
    scalar_tensor.shape = None
    assert ce.mse_loss(scalar, 0.0) == MEMORY[0, 1] ** 2


@pytest.mark.parametrize("versioned", [True, False])
def test_what_capsules_may_not_hold(versioned):
    """Each is given back once, and nothing of it is read."""
    cases = [
        ({"device": 2, "number": 1}, "device cuda:1"),
        ({"data": None}, "no memory"),
        ({"ndim": -1}, "-1 axes"),
        ({"ndim": 65}, "65 axes"),
        ({"ndim": 2**31 - 1}, "axes"),
        ({"shape": (4, -6)}, "length -6"),
        ({"shape": (1 << 31, 1 << 31, 4)}, "length"),
        ({"shape": (1 << 62, 2)}, "length"),
        ({"lanes": 4}, "4 lanes"),
        ({"lanes": 0}, "0 lanes"),
        ({"bits": 128}, "128 bits"),
        ({"bits": 8}, "8 bits"),
        ({"bits": 4, "code": 17}, "type 17"),
        ({"code": 3}, "type 3"),
        ({"code": 5, "bits": 64}, "type 5"),
        ({"code": 255}, "type 255"),
        ({"code": 6, "bits": 32}, "type 6"),
        ({"code": 4, "bits": 32}, "type 4"),
    ]
    if versioned:
        cases += [({"major": 0}, "DLPack 0.7"), ({"major": 2}, "DLPack 2.7")]
    for fields, words in cases:
        lender = Lender(MEMORY, versioned, **fields)
        with pytest.raises(TypeError, match=f"^x of type .*Lender cannot be read.*{words}"):
            ce.softmax(lender)
        gc.collect()
        assert lender.deleted == 1, fields


def test_loans_are_buffers():
    """By which arrays come of them where NumPy's functions in C are not known."""
    from ce import _arrays

    lender = Lender(MEMORY, strides=(1, 6), shape=(5, 4), byte_offset=4)
    x = _arrays.as_array("x", lender)
    loan = x.base
    again = np.asarray(loan)
    assert_same_bits(again, MEMORY.T[1:])
    assert again.strides == x.strides
    assert memoryview(loan).format == "f"
    with pytest.raises(TypeError, match="not writable"):
        (ctypes.c_float * 20).from_buffer(_arrays.as_array("x", Lender(MEMORY, flags=1)).base)
    with pytest.raises(BufferError):
        memoryview(type(loan)())
    del x, again
    assert not lender.deleted
    del loan
    gc.collect()
    assert lender.deleted == 1


def test_dtypes_of_capsules(rng):
    for dtype in "?bBhHiIqQefd":
        x = (rng.random(5) * 2).astype(dtype)
        code = {"b": 6, "i": 0, "u": 1, "f": 2}[x.dtype.kind]
        lent = Lender(x, code=code)
        expected = ce.mse_loss(np.ones(5), x)
        np.testing.assert_allclose(ce.mse_loss(np.ones(5), lent), expected, rtol=1e-6)
    bits = np.array([0x3F80, 0x4000, 0xC000], np.uint16)  # 1, 2, -2 in bfloat16
    assert ce.mse_loss(Lender(bits, code=4), 0.0, reduction="sum") == 9


def test_outputs_through_dlpack():
    x = MEMORY.copy()
    expected = ce.softmax(x)
    out = Lender(np.zeros_like(x))
    assert ce.softmax(x, out=out) is out
    assert_same_bits(out.memory, expected)
    gc.collect()
    assert out.deleted == 1
    for kind in ({"flags": 1}, {"flags": 2}, {"versioned": False}):  # read-only, a copy, not said
        out = Lender(np.zeros_like(x), **kind)
        with pytest.raises(ValueError, match="out is read-only"):
            ce.softmax(x, out=out)
        assert not out.memory.any()
        gc.collect()
        assert out.deleted == 1
    read_only = np.zeros_like(x)
    read_only.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        ce.softmax(x, out=read_only)
    for other in ([0.0], memoryview(x), 1.0, Counted()):
        with pytest.raises(TypeError, match=r"^out is a \w+; it must be"):
            ce.softmax(x, out=other)


def test_an_output_through_dlpack_is_compared_with_the_inputs():
    x = MEMORY.copy()
    with pytest.raises(ValueError, match="out overlaps x"):
        ce.softmax(x[:3], out=Lender(x, byte_offset=4, shape=(3, 6)))
    place = Lender(x)
    ce.softmax(x, out=place)
    assert_same_bits(x, ce.softmax(MEMORY))


def test_memory_lives_as_long_as_what_is_made_of_it():
    """A lender that gives its memory back at once, and a result that outlives it."""
    lender = Lender(MEMORY.copy())
    options = ce.CrossEntropyLoss(weight=Lender(np.ones(6, np.float32)))
    result = ce.softmax(lender)
    lender.memory[:] = np.nan
    del lender
    gc.collect()
    assert_same_bits(result, ce.softmax(MEMORY))
    assert options(MEMORY, [0, 1, 2, 3]) == ce.cross_entropy(MEMORY, [0, 1, 2, 3])


def test_too_little_memory_is_what_it_is():
    """An object that cannot lend for lack of memory is not unreadable."""

    class Poor:
        def __dlpack_device__(self):
            return 1, 0

        def __dlpack__(self, **options):
            raise MemoryError("no room")

        __array__ = __dlpack__

    for call in (lambda: ce.softmax(Poor()), lambda: ce.softmax(np.eye(2), out=Poor())):
        with pytest.raises(MemoryError, match="no room"):
            call()
