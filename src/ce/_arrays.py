"""What objects are as ndarrays: inputs and outputs, those of other libraries among them.

All of a user's code that an object brings with it (`__array__`, `__dlpack__`, attributes) runs
here. What leaves is an ndarray proper, or the bits of a 16-bit type that NumPy does not have, of
real numbers, and shares memory with the object where that has any.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence, Set
from importlib import import_module
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

# -- 16-bit types that NumPy does not have --------------------------------------------------------


class Bits(np.ndarray[Any, Any]):
    """Numbers of such a type, as the 16-bit integers that have their bits. A subclass for each."""

    __slots__ = ()
    name: str
    code: int


FOREIGN: dict[str, type[Bits]] = {}  # by the name of the dtype, which another package defines
FLOATS = ""  # the dtypes that are computed with
NUMBERS = ""  # those that are read


def know_dtypes(rows: Sequence[dict[str, Any]]) -> None:
    """Once, at import: what `_core` reads from dtypes.def."""
    global FLOATS, NUMBERS
    floats = sorted((row for row in rows if row["digits"]), key=lambda row: row["size"])
    FLOATS = ", ".join(row["name"] for row in floats)
    NUMBERS = f"{FLOATS}, integers, booleans"
    for code, row in enumerate(rows):
        if row["digits"] and row["number"] < 0:
            names = {"name": row["name"], "code": code, "__slots__": ()}
            FOREIGN[row["name"]] = type(row["name"], (Bits,), names)


def numpy_dtypes(rows: Sequence[dict[str, Any]]) -> tuple[np.dtype[Any], ...]:
    """The dtypes in which NumPy holds them."""
    return tuple(np.dtype("uint16" if row["name"] in FOREIGN else row["name"]) for row in rows)


def foreign(dtype: np.dtype[Any]) -> type[Bits] | None:
    """The subclass for a dtype of another package: known by its name, and then by its number.

    Such a number is at least 256, and has one meaning for the life of the process.
    """
    number = dtype.num
    if number not in _foreign:
        of_16_bits = number >= 256 and dtype.itemsize == 2
        kind = _foreign[number] = FOREIGN.get(dtype.name) if of_16_bits else None
        if kind is not None:
            number_of_code[kind.code] = number
    return _foreign[number]


_foreign: dict[int, type[Bits] | None] = {}
number_of_code: dict[int, int] = {}  # NumPy's, of those that were met, by ce_type


def dtype_of_code(code: int) -> np.dtype[Any]:
    """The dtype of ml_dtypes for such a type, by its ce_type."""
    if code not in _dtypes:
        name = next(kind.name for kind in FOREIGN.values() if kind.code == code)
        try:
            _dtypes[code] = np.dtype(getattr(import_module("ml_dtypes"), name))
        except ImportError:
            raise TypeError(
                f"a new array of {name} needs the package ml_dtypes; install it, or pass out="
            ) from None
    return _dtypes[code]


_dtypes: dict[int, np.dtype[Any]] = {}


def numbers_of_bits(bits: NDArray[Any], code: int) -> NDArray[Any]:
    """The same memory in the dtype of ml_dtypes."""
    return np.asarray(bits).view(dtype_of_code(code))


# -- inputs ---------------------------------------------------------------------------------------


def as_array(name: str, x: Any) -> NDArray[Any]:
    """An ndarray of real numbers (see Bits) that shares memory with x where x has any.

    Raises a TypeError that says what x is and what to pass instead; a ValueError for rows of
    different lengths.
    """
    array: NDArray[Any] = x if type(x) is np.ndarray else _read(name, x)
    if array.dtype.num in _REAL and (array.dtype.isnative or array.dtype.char != "g"):
        return array  # of foreign long doubles no buffer is made
    kind = foreign(array.dtype)
    if kind is None:
        raise TypeError(f"{name} {_matter(array)}")
    # The first view is ours alone: making the second may start a garbage collection.
    return array.view(_bits_like(array)).view(kind)


def _bits_like(array: NDArray[Any]) -> np.dtype[Any]:
    """uint16 in the byte order of an array of 16-bit numbers."""
    return np.dtype(np.uint16).newbyteorder(array.dtype.byteorder)


_UINT16 = np.dtype(np.uint16).num  # in either byte order
_REAL = frozenset(np.dtype(char).num for char in "?bBhHiIlLqQefdg")
_NUMPYS_OWN = (list, tuple, int, float, np.generic)  # what NumPy reads without help


def _read(name: str, x: Any) -> NDArray[Any]:
    if x is None:
        raise TypeError(f"{name} is None; an array is needed")
    kind = type(x)
    if kind is _tensor_type:
        return _of_tensor(name, x)
    if issubclass(kind, np.ndarray):
        if any(kind is bits for bits in FOREIGN.values()) and x.dtype.num == _UINT16:
            return x  # type: ignore[no-any-return]
        refuse_mask(name, x, _MASKS)
    elif not issubclass(kind, _NUMPYS_OWN):
        _refuse_kind(name, kind)
        array = _of_tensor(name, x) if _is_tensor(kind) else _lent(name, x)
        if array is not None:
            return array
    try:
        return np.asarray(x)
    except (MemoryError, RecursionError):
        raise
    except Exception as error:
        if isinstance(error, ValueError) and "inhomogeneous" in str(error):
            raise ValueError(f"{name} has rows of different lengths") from None
        raise TypeError(_unreadable(name, kind, error)) from error


def _unreadable(name: str, kind: type, error: Exception) -> str:
    return f"{name} of type {kind.__module__}.{kind.__name__} cannot be read as an array: {error}"


def refuse_mask(name: str, x: Any, hint: str = "") -> None:
    """Raise an error if it is an array of which some is masked."""
    ma = sys.modules.get("numpy.ma")
    if ma is None or not issubclass(type(x), ma.MaskedArray):
        return
    mask = np.asarray(ma.getmask(x))
    if mask.dtype == bool and mask.any():
        raise TypeError(f"{name} is a masked array, and some of it is masked; pass .data{hint}")


_MASKS = (
    ", and say what does not count by sample_weight= (0 or False) or, in class indices, "
    "by ignore_index"
)
# What to pass instead of objects of other packages, by package and how the class is called.
_INSTEAD = {
    ("scipy.sparse", ""): "is a sparse matrix; pass .toarray()",
    ("polars.", "LazyFrame"): "is a polars LazyFrame; pass .collect()",
    ("dask.", ""): "is a dask collection, which may be larger than memory; map a function over its "
    "blocks (dask.array.map_blocks), or pass .compute()",
    ("jax.", "Tracer"): "is a JAX tracer, whose numbers are not known while JAX traces; call ce "
    "outside of jit, grad and vmap, or within them through jax.pure_callback",
}


def _refuse_kind(name: str, kind: type) -> None:
    for base in kind.__mro__:
        for (package, called), words in _INSTEAD.items():
            if str(base.__module__).startswith(package) and base.__name__.endswith(called):
                raise TypeError(f"{name} {words}")


# -- what is no array of real numbers -------------------------------------------------------------


def _matter(array: NDArray[Any]) -> str:
    """What is the matter with an array that holds no real numbers."""
    kind = array.dtype.kind
    if kind == "O":
        return _matter_of_object(array.item()) if array.ndim == 0 else _matter_of_objects(array)
    if kind in "UST":
        return f"holds text (dtype {array.dtype}); accepted: {NUMBERS}; {_LABELS}"
    if kind in "mM":
        return f"holds dates or times (dtype {array.dtype}); accepted: {NUMBERS}"
    if array.dtype.names:
        return f"holds records (dtype {array.dtype}); pass one field of them"
    return f"has dtype {array.dtype}; accepted: {NUMBERS}"


_LABELS = "np.unique(labels, return_inverse=True) makes class indices of labels"
_MISSING = ("NoneType", "NAType", "NaTType")


def _is(x: Any, *kinds: type) -> bool:
    """As isinstance, which would ask x for a `__class__` of its own."""
    return issubclass(type(x), kinds)


def _matter_of_object(x: Any) -> str:
    kind = type(x).__name__
    if _is(x, Set):
        return f"is a {kind}, which has no order; pass a list"
    if _is(x, Mapping):
        return f"is a {kind}; pass an array of its values"
    if _is(x, int):
        return "is an integer beyond 64 bits; pass a float"
    hint = "; pass a list of what it yields" if hasattr(type(x), "__iter__") else ""
    return f"is of type {kind}, which is no array{hint}"


def _matter_of_objects(array: NDArray[Any]) -> str:
    for place, x in np.ndenumerate(array.copy()):  # an object's own code may change the array
        kind, where = type(x).__name__, f"at [{', '.join(map(str, place))}]"
        if kind in _MISSING:
            return f"has a missing value {where} ({x}); fill it, and mask it by sample_weight="
        if _is(x, str, bytes):
            return f"holds text {where}; {_LABELS}"
        if _is(x, Sequence, np.ndarray):
            return f"holds a row of its own {where} ({kind}); np.stack makes one array of rows"
        if _is(x, int) and not -(2**63) <= x < 2**64:
            return f"holds an integer beyond 64 bits {where}; pass .astype(float)"
        if not _is(x, Real):
            return f"holds a {kind} {where}; accepted: {NUMBERS}"
    return f"holds Python objects (dtype object); accepted: {NUMBERS}; pass .astype(float)"


# -- DLPack ---------------------------------------------------------------------------------------


def _lent(name: str, x: Any, as_out: bool = False) -> NDArray[Any] | None:
    """What x lends through DLPack; None if it does not, or not so but through `__array__`."""
    from ce import _core  # which imports this module

    try:
        lend = getattr(x, "__dlpack__", None)
        if lend is None:
            return None
        device = _core.device_name(*map(int, x.__dlpack_device__()))
        array: NDArray[Any] | None = _core.from_dlpack(_capsule(lend)) if device is None else None
    except (MemoryError, RecursionError):
        raise
    except Exception as error:
        if as_out or not hasattr(x, "__array__"):
            raise TypeError(_unreadable(name, type(x), error)) from error
        return None
    if device is not None:
        raise TypeError(f"{name} is on device {device}; pass a copy of it on the CPU")
    return array


def _capsule(lend: Any) -> Any:
    try:
        return lend(max_version=(1, 0))
    except TypeError as error:
        if error.__traceback__ is None or error.__traceback__.tb_next is not None:
            raise
    return lend()  # it has not run yet: it knows no such keyword


# torch.Tensor, and how it is read in C; None where torch does not offer that.
_tensor_type: type | None = None
_from_tensor: Callable[[Any], NDArray[Any] | None]


def _is_tensor(kind: type) -> bool:
    """True for torch's. (Who has one has imported torch.)"""
    global _tensor_type, _from_tensor
    tensor = getattr(sys.modules.get("torch"), "Tensor", None)
    if not isinstance(tensor, type) or not issubclass(kind, tensor):
        return False
    if _tensor_type is None:
        from ce import _core  # which imports this module

        if _core.know_tensors(tensor):
            _tensor_type, _from_tensor = tensor, _core.from_tensor
    return True


def _of_tensor(name: str, x: Any, as_out: bool = False) -> NDArray[Any]:
    try:
        array = _from_tensor(x) if type(x) is _tensor_type else None
        if array is not None:
            return array
        grad, negated = x.requires_grad, x.is_neg()
        if not grad and not (negated and as_out):
            x = x.resolve_neg()
            if x.data_ptr() == 0 and x.numel() > 0:  # NumPy would put memory of its own there
                raise RuntimeError("it has no memory")
            if x.dtype is not sys.modules["torch"].bfloat16:
                return np.asarray(x.numpy())
            bits = np.asarray(x.view(sys.modules["torch"].int16).numpy())
            return bits.view(np.uint16).view(FOREIGN["bfloat16"])
    except (MemoryError, RecursionError):
        raise
    except Exception as error:
        raise TypeError(f"{name} {_matter_of_tensor(x, error)}") from error
    if grad:
        raise TypeError(f"{name} requires grad, and no gradient flows through ce; pass .detach()")
    raise TypeError(f"{name} is a negated view of its memory; pass .resolve_neg()")


def _matter_of_tensor(x: Any, error: Exception) -> str:
    if x.device.type != "cpu":
        return f"is on device {x.device}; pass a copy of it on the CPU: .cpu()"
    if x.is_nested:
        return "is a nested tensor, with rows of different lengths; pass .to_padded_tensor(0.0)"
    if str(x.layout) != "torch.strided":
        return f"has layout {x.layout}; pass .to_dense()"
    if x.is_quantized:
        return "is quantized; pass .dequantize()"
    if isinstance(error, TypeError) or x.is_complex():
        return f"has dtype {x.dtype}; accepted: {NUMBERS}"
    return f"of type {type(x).__module__}.{type(x).__name__} cannot be read as an array: {error}"


# -- outputs --------------------------------------------------------------------------------------


def as_out(name: str, out: Any) -> NDArray[Any]:
    """The memory of an output as such an array, writeable."""
    kind = type(out)
    if issubclass(kind, np.ndarray):
        refuse_mask(name, out, "")
        array = np.asarray(out)
    else:
        lent = _of_tensor(name, out, True) if _is_tensor(kind) else _lent(name, out, True)
        if lent is None:
            raise TypeError(
                f"{name} is a {kind.__name__}; it must be a numpy.ndarray or a CPU tensor"
            )
        array = lent
    if not array.flags.writeable:
        raise ValueError(f"{name} is read-only; it must be writeable")
    bits = foreign(array.dtype)
    return array if bits is None else array.view(_bits_like(array)).view(bits)
