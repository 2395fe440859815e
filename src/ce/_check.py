"""What is accepted, and every error message.

The fast path of `ce._core` accepts native, aligned float32 and float64 buffers as they are.
Whatever else comes in passes through here: it leaves as such an array, or as an exception that says
what to do.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]

REDUCTIONS = ("mean", "sum", "none")
FLOATS = "float32, float64"
INTEGERS = "any integer dtype (class indices)"


# -- arrays ---------------------------------------------------------------------------------------


def _array(name: str, x: Any) -> NDArray[Any]:
    """An ndarray that shares memory with x where x has memory of its own."""
    if isinstance(x, np.ndarray):
        return x
    if x is None:
        raise TypeError(f"{name} is None; an array is needed")
    try:
        if hasattr(x, "__dlpack__") and not hasattr(x, "__array_interface__"):
            return np.from_dlpack(x)
        return np.asarray(x)
    except Exception as error:
        kind = f"{type(x).__module__}.{type(x).__name__}"
        raise TypeError(f"{name} of type {kind} cannot be read as an array: {error}") from error


def _native(x: NDArray[Any]) -> NDArray[Any]:
    """x itself, or a copy in native byte order, every element at a multiple of its size."""
    steps = (x.ctypes.data, *x.strides)
    if x.dtype.isnative and all(step % x.dtype.itemsize == 0 for step in steps):
        return x
    return np.array(x, dtype=x.dtype.newbyteorder("="), order="K", subok=False)


def floats(name: str, x: Any) -> NDArray[Any]:
    array = _array(name, x)
    if array.dtype.kind != "f" or array.dtype.itemsize not in (4, 8):
        raise TypeError(f"{name} has dtype {array.dtype}; accepted: {FLOATS}")
    if array.dtype.char not in "fd":
        array = array.astype(np.float64)  # a long double of 8 bytes
    return _native(array)


def indices(name: str, x: Any) -> NDArray[Any]:
    array = _array(name, x)
    if array.dtype.kind not in "iu" and not (array.size == 0 and isinstance(x, list | tuple)):
        raise TypeError(f"{name} has dtype {array.dtype}; accepted: {INTEGERS}")
    if array.dtype.kind not in "iu":
        array = array.astype(np.int64)  # [] has dtype float64
    return _native(array)


def numbers(name: str, x: Any, dtype: Any) -> NDArray[Any]:
    """Weights and the like: any real numbers, brought to the computing type."""
    array = _array(name, x)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} has dtype {array.dtype}; accepted: real numbers")
    with np.errstate(all="ignore"):
        return _native(array.astype(dtype, copy=False))


def without_axis(name: str, x: Any, shape: Shape, axis: int | None) -> NDArray[Any]:
    """x seen without an axis of length 1 that keepdims left in it."""
    array = _array(name, x)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; it must have shape {shape}")
    return array if axis is None else array.squeeze(axis)


# -- shapes and axes ------------------------------------------------------------------------------


def no_none(axis: Any) -> Any:
    if axis is None:
        raise TypeError("axis is None; it must be an integer")
    return axis


def axis(value: Any, rank: int) -> int:
    try:
        index = operator.index(value)
    except TypeError:
        raise TypeError(f"axis is {value!r}; it must be an integer") from None
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"axis is {value!r}; it must be an integer")
    return index if -rank <= index < rank else rank


def bad_axis(name: str, value: Any, rank: int) -> NoReturn:
    if rank == 0:
        raise ValueError(f"{name} has no axes; it needs at least a class axis")
    raise ValueError(f"axis is {value}; {name} has {rank} axes, so it must be in [{-rank}, {rank})")


def bad_target_shape(logits: Shape, target: Shape, axis: int, given: int | None) -> NoReturn:
    expected = logits[:axis] + logits[axis + 1 :]
    fitting = [i for i in range(len(logits)) if logits[:i] + logits[i + 1 :] == target]
    chosen = f"axis={given}" if given is not None else f"axis=None, the class axis being {axis}"
    hint = "".join(f"; it would fit axis={i}" for i in fitting)
    raise ValueError(
        f"target has shape {target}; with logits of shape {logits} and {chosen} "
        f"it must have shape {expected}{hint}"
    )


def bad_items_shape(name: str, met: Shape, expected: Shape) -> NoReturn:
    raise ValueError(f"{name} has shape {met}; it must have shape {expected}")


def bad_weight_shape(name: str, met: Shape, classes: int) -> NoReturn:
    raise ValueError(f"{name} has shape {met}; it must have shape ({classes},), one number a class")


def bad_match(name: str, other: str, met: Any, expected: Any) -> NoReturn:
    raise TypeError(f"{name} has dtype {met}; it must have that of {other}, {expected}")


# -- options --------------------------------------------------------------------------------------


def bad_reduction(value: Any) -> NoReturn:
    old = isinstance(value, str) and value == "elementwise_mean"
    hint = "; the old 'elementwise_mean' is now 'mean'" if old else ""
    raise ValueError(f"reduction is {value!r}; it must be one of {', '.join(REDUCTIONS)}{hint}")


def ignore_index(value: Any) -> int:
    try:
        index = operator.index(value)
    except TypeError:
        raise TypeError(f"ignore_index is {value!r}; it must be an integer") from None
    if not -(2**63) <= index < 2**63:
        raise ValueError(f"ignore_index is {index}; it must be in the range of int64")
    return index


def _number(name: str, value: Any) -> float:
    try:
        if not isinstance(value, str | bytes):
            return float(value)
    except OverflowError:
        raise ValueError(f"{name} is beyond the range of float64") from None
    except (TypeError, ValueError):
        pass
    raise TypeError(f"{name} is {value!r}; it must be a number")


def label_smoothing(value: Any) -> float:
    eps = _number("label_smoothing", value)
    if not 0.0 <= eps <= 1.0:
        raise ValueError(f"label_smoothing is {eps}; it must be in [0, 1]")
    return eps


def grad_output(value: Any, reduction: str) -> Any:
    """A float, or the array that goes with reduction "none"."""
    if isinstance(value, int | float):
        return _number("grad_output", value)
    array = _array("grad_output", value)
    if array.ndim == 0:
        if array.dtype.kind not in "fiu":
            raise TypeError(f"grad_output has dtype {array.dtype}; accepted: real numbers")
        return float(array)
    if reduction != "none":
        raise ValueError(
            f"grad_output has shape {array.shape}; with reduction {reduction!r} it must be a scalar"
        )
    return array


# -- class indices --------------------------------------------------------------------------------


def bad_index(target: Any, position: int, classes: int, ignored: int) -> NoReturn:
    array = np.asarray(target)
    where = tuple(int(i) for i in np.unravel_index(position, array.shape))
    place = f"[{', '.join(map(str, where))}]" if where else ""
    raise IndexError(
        f"target{place} is {int(array[where])}, not in [0, {classes}) (ignore_index={ignored})"
    )


# -- outputs --------------------------------------------------------------------------------------


def pair(out: Any) -> tuple[Any, Any]:
    if not isinstance(out, Sequence) or len(out) != 2:
        raise TypeError("out must be a pair of arrays: (gradient, Hessian)")
    return out[0], out[1]


def bad_out_type(name: str, out: Any) -> NoReturn:
    hint = "; of a CPU tensor, pass .numpy()" if hasattr(out, "__dlpack__") else ""
    raise TypeError(f"{name} is a {type(out).__name__}; it must be a numpy.ndarray{hint}")


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


def overlaps(name: str, array: NDArray[Any], inputs: Sequence[tuple[str, Any, bool]]) -> None:
    """`out` may be an input that is marked so, element for element, but not meet one otherwise."""
    for other, x, may_be in inputs:
        if x is None or isinstance(x, int | float | list | tuple):
            continue
        met = _array(other, x)
        if may_be and _identical(array, met):
            continue
        if np.may_share_memory(array, met) and _share(array, met):
            rule = f"it must be {other} itself or apart from it" if may_be else "it must not"
            raise ValueError(f"{name} overlaps {other}; {rule}")


def threads(value: Any) -> int:
    try:
        n = operator.index(value)
    except TypeError:
        raise TypeError(f"the number of threads is {value!r}; it must be an integer") from None
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"the number of threads is {value!r}; it must be an integer")
    if n < 1:
        raise ValueError(f"the number of threads is {n}; it must be at least 1")
    return min(n, 2**31 - 1)
