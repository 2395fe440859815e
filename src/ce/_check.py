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

from ce import _arrays
from ce._arrays import FOREIGN, Bits, as_array

Shape = tuple[int, ...]

HESSIANS = ("exact", "gauss_newton", "abs", "bound")
NAMES: tuple[str, ...] = ()  # of the dtypes, by ce_type
INTEGERS = "any integer dtype, or whole floating numbers (class indices)"


def know_dtypes(rows: Sequence[dict[str, Any]]) -> None:
    """Once, at import: what `_core` reads from dtypes.def."""
    global NAMES
    NAMES = tuple(row["name"] for row in rows)


def numpy_api() -> Any:
    """The capsule with NumPy's C functions, from where its own headers take it."""
    try:
        module = import_module("numpy._core._multiarray_umath")
    except ModuleNotFoundError:
        module = import_module("numpy.core._multiarray_umath")  # NumPy 1
    return module._ARRAY_API


# -- arrays ---------------------------------------------------------------------------------------
# All arrays here are ndarrays proper or Bits, as `_arrays` gives them: no code of a user's runs.


def changed(name: str) -> NoReturn:
    raise ValueError(f"{name} was changed while the arguments of the call were read")


def shown(value: Any) -> str:
    """As Python writes it; an integer of thousands of digits it does not write."""
    try:
        return repr(value)
    except ValueError:
        return f"<{type(value).__name__} that is too long to be written>"


def _widened(x: NDArray[Any]) -> NDArray[Any]:
    """The numbers as float32, if they are of a type that NumPy does not have."""
    from ce import _core  # which imports this module

    return _core.widen(x.code, x) if isinstance(x, Bits) else x


def widened(x: NDArray[Any]) -> NDArray[Any]:
    return cast(_widened(x), np.float64)


def cast(x: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Rounded to that dtype, and no word about what overflows."""
    with np.errstate(all="ignore"):
        return x.astype(dtype, copy=False)


def _dtype_of(x: NDArray[Any]) -> str:
    return x.name if isinstance(x, Bits) else str(x.dtype)


def _native(x: NDArray[Any]) -> NDArray[Any]:
    """x itself, or a copy in native byte order, every element at a multiple of its size."""
    size = x.dtype.itemsize
    if x.dtype.isnative and x.size and x.flags.aligned and math.gcd(size, *x.strides) == size:
        return x
    return np.array(x, dtype=x.dtype.newbyteorder("="), order="K", subok=isinstance(x, Bits))


def floats(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Logits and the like; integers and truth values count as float64, as in NumPy's functions."""
    if isinstance(array, Bits):
        return _native(array)
    if array.dtype.kind in "iub":
        return array.astype(np.float64)
    if array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4, 8):
        raise TypeError(f"{name} has dtype {array.dtype}; accepted: {_arrays.NUMBERS}")
    if array.dtype.char not in "efd":
        array = array.astype(np.float64)  # a long double of 8 bytes
    return _native(array)


_NO_INDEX = -(2**62) - 1  # no floating number is that, or 2 less


def indices(
    name: str, array: NDArray[Any], may_be_empty: bool = False, ignored: int = -1
) -> NDArray[Any]:
    """Class indices as integers; numbers that are not whole become one that is no index.

    `may_be_empty`: an empty list has dtype float64. `ignored`: this one is an index.
    """
    if may_be_empty and array.size == 0:
        return array.astype(np.int64)
    if isinstance(array, Bits) or array.dtype.kind == "f":
        x = _widened(array)
        with np.errstate(all="ignore"):
            whole = (np.trunc(x) == x) & (x >= -(2.0**63)) & (x < 2.0**63)
            no_index = _NO_INDEX - 2 if ignored == _NO_INDEX else _NO_INDEX
            return np.where(whole, np.where(whole, x, 0).astype(np.int64), no_index)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} has dtype {_dtype_of(array)}; accepted: {INTEGERS}")
    return _native(array)


def class_indices(name: str, x: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Of any object: the array that it is, and its indices."""
    from ce import _core  # which imports this module

    array, watch = as_array(name, x), _core.Watch()
    watch.add(name, array)
    watch.confirm()
    return array, np.asarray(indices(name, array, type(x) in (list, tuple))).view()


def numbers(name: str, array: NDArray[Any], dtype: Any, may_be_half: bool) -> NDArray[Any]:
    """Weights and the like: any real numbers, brought to the computing type or left in 16 bits."""
    half = isinstance(array, Bits) or array.dtype == np.float16
    if may_be_half and half and dtype is np.float32:
        return _native(array)
    return _native(cast(_real(name, array), dtype))


def is_wide(array: NDArray[Any], integers_count: bool) -> bool:
    """True if numbers of that dtype and of float32 are computed with in float64, as in NumPy."""
    if isinstance(array, Bits) or array.dtype.kind not in ("fiub" if integers_count else "f"):
        return False
    return np.result_type(array.dtype, np.float32).itemsize > 4


def _real(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {array.dtype}; accepted: {_arrays.NUMBERS}")
    return _widened(array)


def broadcast(name: str, array: NDArray[Any], shape: Shape) -> NDArray[Any]:
    try:
        return np.broadcast_to(array, shape, subok=isinstance(array, Bits))
    except ValueError:
        raise ValueError(
            f"{name} has shape {array.shape}; it must broadcast to shape {shape}"
        ) from None


def rows(array: NDArray[Any], axis: int) -> NDArray[Any]:
    """A copy in which the elements along that axis are neighbours."""
    return np.moveaxis(np.moveaxis(array, axis, -1).copy(), -1, axis)


def without_axis(name: str, array: NDArray[Any], shape: Shape, axis: int | None) -> NDArray[Any]:
    """The array seen without an axis of length 1 that keepdims left in it."""
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; it must have shape {shape}")
    return array if axis is None else array.squeeze(axis)


# -- shapes and axes ------------------------------------------------------------------------------


def axis(value: Any, rank: int) -> int:
    chosen = index("axis", value)
    return chosen if -rank <= chosen < rank else rank


def axis_or_none(value: Any) -> int | None:
    return None if value is None else index("axis", value)


def index(name: str, value: Any) -> int:
    """An integer that is no truth value."""
    if not _is_truth_value(value):  # NumPy 1 warns of those as integers
        try:
            return int(operator.index(value))
        except TypeError:
            pass
    raise TypeError(f"{name} is {shown(value)}; it must be an integer")


def bad_axis(name: str, value: Any, rank: int) -> NoReturn:
    if rank == 0:
        raise ValueError(f"{name} has no axes; it needs at least a class axis")
    valid = f"[{-rank}, {rank})"
    raise ValueError(f"axis is {shown(value)}; {name} has {rank} axes, so it must be in {valid}")


def bad_target(
    logits: NDArray[Any], target: NDArray[Any], shape: Shape, axis: int, given: int | None,
    may_be_probabilities: bool,
) -> NoReturn:  # fmt: skip
    """Class indices whose shape is not that of the logits less the class axis."""
    expected, met = shape[:axis] + shape[axis + 1 :], target.shape
    chosen = f"axis={given}" if given is not None else f"axis=None, the class axis being {axis}"
    fitting = [i for i in range(len(shape)) if shape[:i] + shape[i + 1 :] == met]
    hint = "".join(f"; it would fit axis={i}" for i in fitting)
    floating = isinstance(target, Bits) or target.dtype.kind == "f"
    if met == shape and may_be_probabilities:
        hint = "; class probabilities, one-hot rows too, must be floating numbers"
        hint += f", class indices of one-hot rows are target.argmax({axis})"
    elif met == shape:
        hint = f"; class indices of one-hot rows are target.argmax({axis})"
        hint = f"; it takes no class probabilities{hint}" if floating else hint
    elif logits.dtype.kind in "iu" and _fits_as_target(shape, met):
        hint = "; are the two arguments swapped?"
    elif 1 in met and not fitting:
        extra = [i for i, n in enumerate(met) if n == 1 and met[:i] + met[i + 1 :] == expected]
        hint = "".join(f"; target.squeeze({i}) has that" for i in extra[:1])
    if floating and may_be_probabilities and not hint:
        hint = f" (class indices), or {shape} (class probabilities)"
    raise ValueError(
        f"target has shape {met}; with logits of shape {shape} and {chosen} "
        f"it must have shape {expected}{hint}"
    )


def _fits_as_target(target: Shape, logits: Shape) -> bool:
    return any(logits[:i] + logits[i + 1 :] == target for i in range(len(logits)))


def bad_shape(name: str, met: Shape, expected: Shape) -> NoReturn:
    raise ValueError(f"{name} has shape {met}; it must have shape {expected}")


def bad_weight_shape(name: str, met: Shape, classes: int) -> NoReturn:
    raise ValueError(f"{name} has shape {met}; it must have shape ({classes},), one number a class")


def is_probabilities(target: NDArray[Any], logits: Shape) -> bool:
    """Floating numbers of the shape of the logits are class probabilities."""
    floating = isinstance(target, Bits) or target.dtype.kind == "f"
    return floating and target.shape == logits


def bad_match(name: str, other: str, met: NDArray[Any], expected: NDArray[Any]) -> NoReturn:
    raise TypeError(
        f"{name} has dtype {_dtype_of(met)}; it must have that of {other}, {_dtype_of(expected)}"
    )


# -- options --------------------------------------------------------------------------------------


def dtype_of_ones(value: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(value)
    try:
        if dtype.shape == ():
            np.zeros(1, dtype)[0] = 1
            return dtype
    except (TypeError, ValueError):
        pass
    raise TypeError(f"dtype is {dtype}; it must be one of numbers or truth values")


def _text(value: Any) -> str | None:
    """A str, its subclasses' code left aside."""
    return str.__str__(value) if issubclass(type(value), str) else None


def reduction(value: Any, names: Sequence[str]) -> int:
    """Its place among the names that there are."""
    text = _text(value)
    if text in names:
        return names.index(text)
    old = text == "elementwise_mean"
    hint = "; the old 'elementwise_mean' is now 'mean'" if old else ""
    listed = [name for name in ("mean", "sum", "none", "batchmean") if name in names]
    raise ValueError(f"reduction is {shown(value)}; it must be one of {', '.join(listed)}{hint}")


def bad_normalizer(value: float, reduction: str) -> NoReturn:
    raise ValueError(
        f"normalizer is {value}; with reduction {reduction!r} nothing is divided by it"
    )


def flag(name: str, value: Any) -> bool:
    """A truth value, and nothing that merely counts as one."""
    if type(value) is not bool and type(value) is not np.bool_:
        raise TypeError(f"{name} is {shown(value)}; it must be True or False")
    return bool(value)


def hessian(value: Any, count: int, also: str = "") -> int:
    """Its place among the first `count` names, those that the loss has."""
    text, names = _text(value), HESSIANS[:count]
    if text not in names:
        hint = "; this loss has no bound" if text == "bound" and count > 2 else ""
        hint = "; that is a diagonal alone" if text in HESSIANS[2:] and count == 2 else hint
        raise ValueError(
            f"hessian is {shown(value)}; it must be one of {also}{', '.join(names)}{hint}"
        )
    return names.index(text)


def ignore_index(value: Any) -> int:
    ignored = index("ignore_index", value)
    if not -(2**63) <= ignored < 2**63:
        raise ValueError(f"ignore_index is {shown(ignored)}; it must be in the range of int64")
    return ignored


def bad_ignored(index: int) -> NoReturn:
    raise ValueError(f"ignore_index is {index}; with class probabilities it has no meaning")


def bad_with_probabilities(name: str) -> NoReturn:
    raise ValueError(f"{name} has no meaning with class probabilities; it must be left out")


def _number(name: str, value: Any) -> float:
    """What float() gives, of a single real number only: no text, no array with axes, no complex."""
    if type(value) is float:
        return value
    of_numpy = issubclass(type(value), np.generic | np.ndarray)  # its __class__ may say anything
    real = not of_numpy or np.can_cast(value.dtype, np.float64, "same_kind")
    real = real and not _is_truth_value(value)
    if real and getattr(value, "ndim", 0) == 0:
        try:
            return math.ldexp(value, 0)  # as float(), but it reads no text
        except OverflowError:
            raise ValueError(f"{name} is beyond the range of float64") from None
        except (TypeError, ValueError):
            pass
    raise TypeError(f"{name} is {shown(value)}; it must be a number")


def _is_truth_value(x: Any) -> bool:
    kind = type(x)
    return kind is bool or (issubclass(kind, np.generic | np.ndarray) and x.dtype == np.bool_)


def number(
    name: str, value: Any, absent: float, least: float, most: float, rule: str
) -> float | None:
    """An option of one number; None where that may stand for "not given"."""
    if value is None and may_be_none(absent, least, most):
        return None
    x = _number(name, value)
    if not least <= x <= most or (_is_positive(least) and not x > 0):
        bad_number(name, x, rule)
    return x


def may_be_none(absent: float, least: float, most: float) -> bool:
    """Does None stand for "not given"? It does where the number that says so is no option."""
    return not least <= absent <= most or (absent == 0 and _is_positive(least))


def _is_positive(x: float) -> bool:
    """By its bits: where the processor takes subnormal numbers for 0, 5e-324 > 0 is false."""
    return bool(np.float64(x).view(np.int64) > 0)


def bad_number(name: str, x: float, rule: str) -> NoReturn:
    raise ValueError(f"{name} is {x}; it must be {rule}")


def alpha(value: Any) -> Any:
    """A float, or an array of one number for each class."""
    if isinstance(value, int | float):
        return _one("alpha", _number("alpha", value))
    array = as_array("alpha", value)
    return array if array.ndim else _one("alpha", float(_real("alpha", array)))


def _one(name: str, x: float) -> float:
    """A weight for all. An alpha of -1 stands for none elsewhere: it is no weight."""
    if name == "alpha" and x < 0:
        raise ValueError(f"alpha is {x}; it must be at least 0, or None for no weights")
    return x


def frozen(name: str, value: Any) -> Any:
    """An option of numbers as it is kept: None, a float, or a copy that cannot be written to."""
    if value is None:
        return None
    if isinstance(value, int | float):
        return _one(name, _number(name, value))
    array = _real(name, as_array(name, value))
    if array.ndim == 0:
        return _one(name, float(array))
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return np.ndarray(native.shape, native.dtype, buffer=native.tobytes())  # bytes never change


def classes(value: Any) -> int:
    n = index("num_classes", value)
    if n < 0:
        raise ValueError(f"num_classes is {shown(n)}; it must be at least 0")
    return n


def grad_output(value: Any, reduction: str) -> Any:
    """A float, or the array that goes with reduction "none"."""
    if isinstance(value, int | float):
        return _number("grad_output", value)
    array = as_array("grad_output", value)
    if array.ndim == 0:
        if array.dtype.kind not in "fiu":
            raise TypeError(f"grad_output has dtype {array.dtype}; accepted: {_arrays.NUMBERS}")
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


def bad_index(
    target: NDArray[Any],
    position: int,
    classes: int,
    ignored: int | None = None,
    name: str = "target",
) -> NoReturn:
    target = _widened(target)
    name, value = _element(name, target, position)
    if target.dtype.kind == "f" and not (np.isfinite(value) and value == np.trunc(value)):
        raise ValueError(f"{name} is {value!s}, not a whole number; it must be a class index")
    hint = ""
    if value == classes and target.size > 1 and not (target == 0).any():
        hint = "; class indices begin at 0, do these begin at 1?"
    rule = "" if ignored is None else f" (ignore_index={ignored})"
    raise IndexError(f"{name} is {int(value)}, not in [0, {classes}){rule}{hint}")


def extra(name: str, value: Any, items: Shape, classes: int, may_be_one: bool) -> NDArray[Any]:
    """Some classes of each item, in range: a copy, in C order. `may_be_one`: also just one."""
    array, found = class_indices(name, value)
    if found.ndim != len(items) + (found.shape != items or not may_be_one) or (
        found.shape[: len(items)] != items
    ):
        alone = f"{items} or " if may_be_one else ""
        shape = f"({', '.join(map(str, items))}{', ' if items else ''}any number)"
        raise ValueError(f"{name} has shape {found.shape}; it must have shape {alone}{shape}")
    copy = np.array(found, np.int64, order="C")  # of uint64 some become negative
    bad = np.flatnonzero((copy < 0) | (copy >= classes))
    if bad.size:
        bad_index(array, int(bad[0]), classes, name=name)
    return copy


def top_k(value: Any, classes: int) -> int:
    k = index("top_k", value)
    if not 0 <= k <= classes:
        raise ValueError(
            f"top_k is {shown(k)}; it must be in [0, {classes}], the number of classes"
        )
    return k


def no_stats(first: str) -> NoReturn:
    raise ValueError(f"stats is True; statistics are those of logits, and {first} are none")


def no_hessian() -> NoReturn:
    raise NotImplementedError(
        "divergences of logits and their entropy have a gradient, but no Hessian here"
    )


def no_product() -> NoReturn:
    raise NotImplementedError(
        "hess_vec has no softcap; grad_and_hess has the diagonal, and cross-entropy of logits that "
        "are capped before the call has the product"
    )


def no_sums() -> NoReturn:
    raise ValueError(
        "sums has one divisor, but with class weights the mean of the z-losses has another; "
        "reduction='sum' with terms=True has the two sums"
    )


def bends(scale: float, cap: float, temperature: float, single: bool) -> None:
    """Can what logits are multiplied by be held, and what their slopes are?"""
    inner, outer = (scale / cap, cap / temperature) if cap else (1.0, scale / temperature)
    least, most = (1e-30, 1e30) if single else (1e-250, 1e250)
    for factor in (inner, outer, inner * outer):
        if not least <= abs(factor) <= most:
            dtype = "float32" if single else "float64"
            given = f"logit_scale {scale}, softcap {cap or None} and temperature {temperature}"
            raise ValueError(
                f"{given} multiply by {factor:g}; in {dtype} that must be in [{least}, {most}]"
            )


def mask(name: str, array: NDArray[Any], shape: Shape, axis: int) -> NDArray[Any]:
    """Booleans, one for each class or for each logit, as bytes of the shape of the logits."""
    if array.dtype != np.bool_:
        raise TypeError(f"{name} has dtype {_dtype_of(array)}; it must be of booleans")
    if array.ndim == 1 and array.shape[0] == shape[axis]:
        array = array.reshape([n if i == axis else 1 for i, n in enumerate(shape)])
    elif array.shape != shape:
        one = f"({shape[axis]},)"
        also = "" if one == str(shape) else f" or {one}"
        raise ValueError(f"{name} has shape {array.shape}; it must have shape {shape}{also}")
    return np.broadcast_to(array.view(np.uint8), shape)


def mixture(beta: Any) -> float:
    """The weight of a mixture's first part."""
    x = _number("beta", beta)
    if not 0 < x < 1:
        hint = ""
        if x == 0:
            hint = "; there it tends to 0, the divergence of the target is kl_div_with_logits"
        elif x == 1:
            hint = "; there it tends to 0, the divergence to the target is kl_div_with_logits with "
            hint += "reverse=True"
        raise ValueError(f"beta is {x}; it must be in (0, 1){hint}")
    return x


def of_items(name: str, value: Any, items: Shape, dtype: Any) -> NDArray[Any]:
    """A number for each item: a copy of that dtype, in C order."""
    array = numbers(name, as_array(name, value), dtype, False)
    if array.shape != items:
        bad_shape(name, array.shape, items)
    return np.array(array, dtype, order="C")


def shard_bounds(first: Any, classes: Any, found: int) -> tuple[int, int]:
    """Of a shard of so many classes: the first of them, and how many there are in all."""
    first = index("first", first)
    if not 0 <= first < 2**31:
        raise ValueError(f"first is {shown(first)}; it must be in [0, 2147483647]")
    classes = first + found if classes is None else index("classes", classes)
    if not found <= classes < 2**31:
        raise ValueError(
            f"classes is {shown(classes)}; it must be in [{found}, 2147483647], as the shard alone "
            f"has {found}"
        )
    if first > classes - found:
        raise ValueError(
            f"first is {first}; with the shard's {found} of {classes} classes it must be in "
            f"[0, {classes - found}]"
        )
    return first, classes


def shard_of(
    items: Shape, found: int, first: Any, classes: int, merged: Shape, met: Any, expected: Any
) -> int:
    """The first class of a shard of what was merged."""
    if items != merged:
        raise ValueError(f"logits have items of shape {items}; those that were merged {merged}")
    start, _ = shard_bounds(first, classes, found)
    if met != expected:
        raise TypeError(
            f"logits are computed with in {np.dtype(expected)}; what was merged in {met}"
        )
    return start


def no_classes(shape: Shape, items: Shape) -> None:
    if math.prod(items):
        raise ValueError(f"logits of shape {shape} have no classes")


def bad_probability(
    inputs: Sequence[tuple[str, NDArray[Any]]], shape: Shape, position: int
) -> NoReturn:
    """Names the first of the inputs that is no probability at that position."""
    for name, array in inputs:
        named, value = _element(name, np.broadcast_to(_widened(array), shape), position)
        if not 0 <= value <= 1:
            break
    raise ValueError(f"{named} is {value!s}, not in [0, 1]")


# -- outputs --------------------------------------------------------------------------------------


def pair(out: Any) -> tuple[Any, Any]:
    if not isinstance(out, tuple | list) or len(out) != 2:
        raise TypeError("out must be a pair of arrays: (gradient, Hessian)")
    return out[0], out[1]


def plain(array: NDArray[Any]) -> NDArray[Any]:
    """An array of numbers of another package's dtype as one of their bits, which NumPy knows."""
    return array.view(np.uint16) if array.dtype.name in FOREIGN else array


def out(
    name: str, array: NDArray[Any], shape: Shape, type: int, may_be_narrow: bool = False
) -> int:
    """The ce_type of the results that go there, that one or maybe float32, or an error."""
    if may_be_narrow and array.dtype.newbyteorder("=") == np.float32:
        type = NAMES.index("float32")
    wanted, met = NAMES[type], _dtype_of(array)
    either = " or float32" if may_be_narrow else ""
    if wanted in FOREIGN and met not in (wanted, "uint16"):
        raise TypeError(f"{name} has dtype {met}; it must be {wanted} (or uint16, its bits)")
    if wanted not in FOREIGN and array.dtype.newbyteorder("=") != np.dtype(wanted):
        raise TypeError(f"{name} has dtype {met}; it must be {wanted}{either}")
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; it must have shape {shape}")
    if not array.flags.writeable:
        raise ValueError(f"{name} is read-only; it must be writeable")
    if _crosses_itself(array):
        raise ValueError(f"{name} overlaps itself: some of its elements share memory")
    return type


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


def overlaps(
    name: str, out: NDArray[Any], others: Sequence[tuple[str, NDArray[Any], bool]]
) -> None:
    """`out` may be one of those others that it says, but not meet any otherwise."""
    out = plain(out)
    for other, given, may_be in others:
        array = plain(given)
        if may_be and _identical(out, array):
            continue
        if np.may_share_memory(out, array) and _share(out, array):
            rule = f"it must be {other} itself or apart from it" if may_be else "it must not"
            raise ValueError(f"{name} overlaps {other}; {rule}")


def threads(value: Any) -> int:
    n = index("the number of threads", value)
    if n < 1:
        raise ValueError(f"the number of threads is {shown(n)}; it must be at least 1")
    return min(n, 2**31 - 1)
