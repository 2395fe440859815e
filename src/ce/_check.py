"""What is accepted, and every error message.

The fast path of `ce._core` accepts native, aligned float32 and float64 buffers as they are.
Whatever else comes in passes through here: it leaves as such an array, or as an exception that says
what to do.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]

HESSIANS = ("exact", "gauss_newton", "abs")


# -- 16-bit types that NumPy does not have --------------------------------------------------------


class Bits(np.ndarray[Any, Any]):
    """Numbers of such a type, as the 16-bit integers that have their bits. A subclass for each."""

    name: str
    code: int


FOREIGN: dict[str, type[Bits]] = {}  # by the name of the dtype, which another package defines
FLOATS = ""
INTEGERS = "any integer dtype (class indices)"


def know_dtypes(rows: Sequence[dict[str, Any]]) -> None:
    """Once, at import: what `_core` reads from dtypes.def."""
    global FLOATS
    floats = [(code, row) for code, row in enumerate(rows) if row["digits"]]
    for code, row in floats:
        if row["number"] < 0:
            names = {"name": row["name"], "code": code}
            FOREIGN[row["name"]] = type(row["name"], (Bits,), names)
    FLOATS = ", ".join(row["name"] for _, row in sorted(floats, key=lambda pair: pair[1]["size"]))


def numpy_dtypes(rows: Sequence[dict[str, Any]]) -> tuple[np.dtype[Any], ...]:
    """The dtypes in which NumPy holds them."""
    return tuple(np.dtype("uint16" if row["name"] in FOREIGN else row["name"]) for row in rows)


def _widened(x: NDArray[Any]) -> NDArray[Any]:
    """The numbers as float32, if they are of such a type."""
    from ce import _core  # which imports this module

    return _core.widen(x.code, x) if isinstance(x, Bits) else x


def numbers_of_bits(bits: NDArray[Any], code: int) -> NDArray[Any]:
    """The same memory in the dtype of ml_dtypes, which NumPy knows once that is imported."""
    name = _name_of(code)
    try:
        return np.asarray(bits).view(np.dtype(name))
    except TypeError:
        raise TypeError(
            f"a new array of {name} needs the package ml_dtypes: import it, or pass out="
        ) from None


def bits_of_out(name: str, out: NDArray[Any], code: int) -> NDArray[Any]:
    """An output of such a type, or of uint16 for its bits."""
    wanted = _name_of(code)
    if out.dtype != np.uint16 and out.dtype.name != wanted:
        raise TypeError(f"{name} has dtype {out.dtype}; it must be {wanted} (or uint16, its bits)")
    return out.view(np.uint16)


def _name_of(code: int) -> str:
    return next(kind.name for kind in FOREIGN.values() if kind.code == code)


class _Memory:
    """Memory of another library, for NumPy; the owner keeps it alive."""

    def __init__(self, interface: dict[str, Any], owner: Any) -> None:
        self.__array_interface__ = interface
        self.owner = owner


def bits_of_memory(
    address: int, shape: Shape, strides: Shape | None, owner: Any
) -> NDArray[np.uint16]:
    data = (address or _NOWHERE.ctypes.data, False)
    interface = {"data": data, "shape": shape, "strides": strides, "typestr": "<u2", "version": 3}
    return np.asarray(_Memory(interface, owner))


_NOWHERE = np.zeros(1)  # empty tensors may have no address


def numpy_api() -> Any:
    """The capsule with NumPy's C functions, from where its own headers take it."""
    try:
        module = import_module("numpy._core._multiarray_umath")
    except ModuleNotFoundError:
        module = import_module("numpy.core._multiarray_umath")  # NumPy 1
    return module._ARRAY_API


# -- arrays ---------------------------------------------------------------------------------------


def as_array(name: str, x: Any) -> NDArray[Any]:
    """An ndarray that shares memory with x where x has memory of its own; see Bits."""
    if x is None:
        raise TypeError(f"{name} is None; an array is needed")
    try:
        if not isinstance(x, np.ndarray):
            x = _imported(x)
    except Exception as error:
        kind = f"{type(x).__module__}.{type(x).__name__}"
        raise TypeError(f"{name} of type {kind} cannot be read as an array: {error}") from error
    array: NDArray[Any] = x
    foreign = FOREIGN.get(array.dtype.name)
    return array if foreign is None else array.view(np.uint16).view(foreign)


def _imported(x: Any) -> NDArray[Any]:
    if not hasattr(x, "__dlpack__") or hasattr(x, "__array_interface__"):
        return np.asarray(x)
    if hasattr(x, "is_neg") and x.is_neg():
        return np.asarray(x.resolve_neg())  # torch's DLPack forgets the sign of such a view
    try:
        return np.from_dlpack(x)
    except (BufferError, RuntimeError, TypeError):
        from ce import _core  # which imports this module

        bits = _core.bits_of_dlpack(x) if "bfloat16" in str(getattr(x, "dtype", "")) else None
        if bits is None:
            raise
        return bits.view(FOREIGN["bfloat16"])  # type: ignore[no-any-return]


def _dtype_of(x: NDArray[Any]) -> str:
    return x.name if isinstance(x, Bits) else str(x.dtype)


def _native(x: NDArray[Any]) -> NDArray[Any]:
    """x itself, or a copy in native byte order, every element at a multiple of its size."""
    steps = (x.ctypes.data, *x.strides)
    if x.dtype.isnative and all(step % x.dtype.itemsize == 0 for step in steps):
        return x
    return np.array(x, dtype=x.dtype.newbyteorder("="), order="K", subok=isinstance(x, Bits))


def floats(name: str, x: Any) -> NDArray[Any]:
    array = as_array(name, x)
    if isinstance(array, Bits):
        return _native(array)
    if array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4, 8):
        raise TypeError(f"{name} has dtype {array.dtype}; accepted: {FLOATS}")
    if array.dtype.char not in "efd":
        array = array.astype(np.float64)  # a long double of 8 bytes
    return _native(array)


def indices(name: str, x: Any) -> NDArray[Any]:
    array = as_array(name, x)
    empty_list = array.size == 0 and isinstance(x, list | tuple)
    if isinstance(array, Bits) or (array.dtype.kind not in "iu" and not empty_list):
        raise TypeError(f"{name} has dtype {_dtype_of(array)}; accepted: {INTEGERS}")
    if array.dtype.kind not in "iu":
        array = array.astype(np.int64)  # [] has dtype float64
    return _native(array)


def numbers(name: str, x: Any, dtype: Any, may_be_half: bool) -> NDArray[Any]:
    """Weights and the like: any real numbers, brought to the computing type or left in 16 bits."""
    array = as_array(name, x)
    half = isinstance(array, Bits) or array.dtype == np.float16
    if may_be_half and half and dtype is np.float32:
        return _native(array)
    array = _real(name, array)
    with np.errstate(all="ignore"):
        return _native(array.astype(dtype, copy=False))


def _real(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {array.dtype}; accepted: real numbers")
    return _widened(array)


def broadcast(name: str, x: Any, shape: Shape) -> NDArray[Any]:
    try:
        return np.broadcast_to(x, shape, subok=isinstance(x, Bits))
    except ValueError:
        raise ValueError(
            f"{name} has shape {np.shape(x)}; it must broadcast to shape {shape}"
        ) from None


def without_axis(name: str, x: Any, shape: Shape, axis: int | None) -> NDArray[Any]:
    """x seen without an axis of length 1 that keepdims left in it."""
    array = as_array(name, x)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; it must have shape {shape}")
    return array if axis is None else array.squeeze(axis)


# -- shapes and axes ------------------------------------------------------------------------------


def no_none(axis: Any) -> Any:
    if axis is None:
        raise TypeError("axis is None; it must be an integer")
    return axis


def axis(value: Any, rank: int) -> int:
    index = _integer("axis", value)
    return index if -rank <= index < rank else rank


def axis_or_none(value: Any) -> int | None:
    return None if value is None else _integer("axis", value)


def _integer(name: str, value: Any) -> int:
    """An integer that is no truth value."""
    try:
        index = int(operator.index(value))
    except TypeError:
        raise TypeError(f"{name} is {value!r}; it must be an integer") from None
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} is {value!r}; it must be an integer")
    return index


def bad_axis(name: str, value: Any, rank: int) -> NoReturn:
    if rank == 0:
        raise ValueError(f"{name} has no axes; it needs at least a class axis")
    raise ValueError(f"axis is {value}; {name} has {rank} axes, so it must be in [{-rank}, {rank})")


def bad_target_shape(logits: Shape, target: Shape, axis: int, given: int | None) -> NoReturn:
    expected = logits[:axis] + logits[axis + 1 :]
    fitting = [i for i in range(len(logits)) if logits[:i] + logits[i + 1 :] == target]
    chosen = f"axis={given}" if given is not None else f"axis=None, the class axis being {axis}"
    hint = "".join(f"; it would fit axis={i}" for i in fitting)
    if target == logits:
        hint = "; class probabilities must be floating numbers"
    raise ValueError(
        f"target has shape {target}; with logits of shape {logits} and {chosen} "
        f"it must have shape {expected}{hint}"
    )


def bad_shape(name: str, met: Shape, expected: Shape) -> NoReturn:
    raise ValueError(f"{name} has shape {met}; it must have shape {expected}")


def bad_weight_shape(name: str, met: Shape, classes: int) -> NoReturn:
    raise ValueError(f"{name} has shape {met}; it must have shape ({classes},), one number a class")


def is_probabilities(target: Any, logits: Shape) -> bool:
    """Floating numbers are class probabilities, and have the shape of the logits."""
    array = as_array("target", target)
    if not isinstance(array, Bits) and array.dtype.kind != "f":
        return False
    if array.size == 0 and isinstance(target, list | tuple):
        return False
    if array.ndim < len(logits):
        raise TypeError(
            f"target has dtype {_dtype_of(array)} and shape {array.shape}; accepted: class indices "
            f"of any integer dtype, or class probabilities of shape {logits}"
        )
    if array.shape != logits:
        bad_shape("target", array.shape, logits)
    return True


def bad_match(name: str, other: str, met: Any, expected: Any) -> NoReturn:
    met, expected = (_dtype_of(as_array(name, x)) for x in (met, expected))
    raise TypeError(f"{name} has dtype {met}; it must have that of {other}, {expected}")


# -- options --------------------------------------------------------------------------------------


def reduction(value: Any, names: Sequence[str]) -> int:
    """Its place among the names that there are."""
    if isinstance(value, str) and value in names:
        return names.index(value)
    old = isinstance(value, str) and value == "elementwise_mean"
    hint = "; the old 'elementwise_mean' is now 'mean'" if old else ""
    listed = [name for name in ("mean", "sum", "none", "batchmean") if name in names]
    raise ValueError(f"reduction is {value!r}; it must be one of {', '.join(listed)}{hint}")


def bad_batchmean() -> NoReturn:
    raise ValueError("reduction is 'batchmean'; input has no axes to take the batch from")


def hessian(value: Any) -> int:
    if not isinstance(value, str) or value not in HESSIANS:
        raise ValueError(f"hessian is {value!r}; it must be one of {', '.join(HESSIANS)}")
    return HESSIANS.index(value)


def ignore_index(value: Any) -> int:
    try:
        index = int(operator.index(value))
    except TypeError:
        raise TypeError(f"ignore_index is {value!r}; it must be an integer") from None
    if not -(2**63) <= index < 2**63:
        raise ValueError(f"ignore_index is {index}; it must be in the range of int64")
    return index


def bad_ignored(index: int) -> NoReturn:
    raise ValueError(f"ignore_index is {index}; with class probabilities it has no meaning")


def bad_with_probabilities(name: str) -> NoReturn:
    raise ValueError(f"{name} has no meaning with class probabilities; it must be left out")


def _number(name: str, value: Any) -> float:
    """What float() gives, of a single real number only: no text, no array with axes, no complex."""
    if type(value) is float:
        return value
    of_numpy = isinstance(value, np.generic | np.ndarray)
    real = not of_numpy or np.can_cast(value.dtype, np.float64, "same_kind")
    if real and getattr(value, "ndim", 0) == 0:
        try:
            return math.ldexp(value, 0)  # as float(), but it reads no text
        except OverflowError:
            raise ValueError(f"{name} is beyond the range of float64") from None
        except (TypeError, ValueError):
            pass
    raise TypeError(f"{name} is {value!r}; it must be a number")


def number(
    name: str, value: Any, absent: float, least: float, most: float, rule: str
) -> float | None:
    """An option of one number; None where that may stand for "not given"."""
    if value is None and not least <= absent <= most:
        return None
    x = _number(name, value)
    if not least <= x <= most:
        raise ValueError(f"{name} is {x}; it must be {rule}")
    return x


def alpha_per_class(value: Any, classes: int) -> Any:
    """A number stands for as many of it as there are classes."""
    if isinstance(value, int | float):
        return np.full(classes, _number("alpha", value))
    array = as_array("alpha", value)
    return value if array.ndim else np.full(classes, float(_real("alpha", array)))


def frozen(name: str, value: Any) -> Any:
    """An option of numbers as it is kept: None, a float, or a copy that cannot be written to."""
    if value is None:
        return None
    if isinstance(value, int | float):
        return _number(name, value)
    array = _real(name, as_array(name, value))
    if array.ndim == 0:
        return float(array)
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return np.ndarray(native.shape, native.dtype, buffer=native.tobytes())  # bytes never change


def classes(value: Any) -> int:
    n = _integer("num_classes", value)
    if n < 0:
        raise ValueError(f"num_classes is {n}; it must be at least 0")
    return n


def grad_output(value: Any, reduction: str) -> Any:
    """A float, or the array that goes with reduction "none"."""
    if isinstance(value, int | float):
        return _number("grad_output", value)
    array = as_array("grad_output", value)
    if array.ndim == 0:
        if array.dtype.kind not in "fiu":
            raise TypeError(f"grad_output has dtype {array.dtype}; accepted: real numbers")
        return float(_widened(array))
    if reduction != "none":
        raise ValueError(
            f"grad_output has shape {array.shape}; with reduction {reduction!r} it must be a scalar"
        )
    return array


# -- class indices --------------------------------------------------------------------------------


def _element(name: str, array: NDArray[Any], position: int) -> tuple[str, Any]:
    """An element's name, like target[3, 7], and value."""
    where = tuple(int(i) for i in np.unravel_index(position, array.shape))
    return f"{name}[{', '.join(map(str, where))}]" if where else name, array[where]


def bad_class(target: Any, position: int, classes: int) -> NoReturn:
    name, value = _element("target", np.asarray(target), position)
    raise IndexError(f"{name} is {int(value)}, not in [0, {classes})")


def bad_index(target: Any, position: int, classes: int, ignored: int) -> NoReturn:
    array = target if isinstance(target, np.ndarray) else np.asarray(memoryview(target))
    name, value = _element("target", array, position)
    raise IndexError(f"{name} is {int(value)}, not in [0, {classes}) (ignore_index={ignored})")


def bad_probability(probs: Any, target: Any, position: int) -> NoReturn:
    arrays = [as_array("target", x) for x in (probs, target)]
    for name, array in zip(("probs", "target"), arrays, strict=True):
        values = np.broadcast_to(_widened(array), arrays[0].shape)
        named, value = _element(name, values, position)
        if not 0 <= value <= 1:
            break
    raise ValueError(f"{named} is {value}, not in [0, 1]")


# -- outputs --------------------------------------------------------------------------------------


def pair(out: Any) -> tuple[Any, Any]:
    if not isinstance(out, tuple | list) or len(out) != 2:
        raise TypeError("out must be a pair of arrays: (gradient, Hessian)")
    return out[0], out[1]


def bad_out_type(name: str, out: Any) -> NoReturn:
    hint = "; of a CPU tensor, pass .numpy()" if hasattr(out, "__dlpack__") else ""
    raise TypeError(f"{name} is a {type(out).__name__}; it must be a numpy.ndarray{hint}")


def copy_out(stand_in: NDArray[Any], out: NDArray[Any]) -> None:
    (out.view(np.uint16) if out.dtype.name in FOREIGN else out)[...] = stand_in


def out(name: str, array: NDArray[Any], shape: Shape, dtype: Any) -> None:
    if array.dtype.newbyteorder("=") != dtype:
        raise TypeError(f"{name} has dtype {array.dtype}; it must be {np.dtype(dtype)}")
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; it must have shape {shape}")
    if not array.flags.writeable:
        raise ValueError(f"{name} is read-only; it must be writeable")
    if _crosses_itself(array):
        raise ValueError(f"{name} overlaps itself: some of its elements share memory")


def _crosses_itself(array: NDArray[Any]) -> bool:
    reach = array.itemsize
    for stride, n in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True)):
        if n > 1:
            if stride < reach:
                return array.size > 0
            reach += stride * (n - 1)
    return False


def _identical(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return (
        a.ctypes.data == b.ctypes.data
        and a.shape == b.shape
        and a.dtype == b.dtype
        and all(s == t or n == 1 for s, t, n in zip(a.strides, b.strides, a.shape, strict=True))
    )


def _share(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Exactly so, but for puzzles of strides that are too hard: those count as shared."""
    try:
        return np.shares_memory(a, b, max_work=10_000)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def overlaps(name: str, array: NDArray[Any], inputs: Sequence[tuple[str, Any]], may: int) -> None:
    """`out` may be one of the first inputs, `may` of them, but not meet any otherwise."""
    if array.dtype.name in FOREIGN:
        array = array.view(np.uint16)
    for i, (other, x) in enumerate(inputs):
        may_be = i < may
        if x is None or isinstance(x, int | float | list | tuple):
            continue
        met = as_array(other, x)
        if may_be and _identical(array, met):
            continue
        if np.may_share_memory(array, met) and _share(array, met):
            rule = f"it must be {other} itself or apart from it" if may_be else "it must not"
            raise ValueError(f"{name} overlaps {other}; {rule}")


def threads(value: Any) -> int:
    n = _integer("the number of threads", value)
    if n < 1:
        raise ValueError(f"the number of threads is {n}; it must be at least 1")
    return min(n, 2**31 - 1)
