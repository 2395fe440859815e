"""What the tests share: problems made from the table of losses, and comparisons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np
import pytest
from oracle import Loss
from oracle.exact import HALF, UNIT, WIDE, WIDE_IS_WIDER, Derivatives, Exact, class_axis, real

import ce

FLOATS = [np.float32, np.float64]
HALVES = [dtype.type for dtype in HALF]
DTYPES = FLOATS + HALVES


def _compared(dtypes):
    """Where long double is no wider than double it defines float32 results only."""
    skip = pytest.mark.skipif(not WIDE_IS_WIDER, reason="long double is double here")
    return [pytest.param(d, marks=skip) if d is np.float64 else d for d in dtypes]


COMPARED_FLOATS, COMPARED_DTYPES = _compared(FLOATS), _compared(DTYPES)
COPIES = (1, 37)  # elements of no vector, and of several
LAYOUTS = ["rows", "middle", "fortran"]
INTEGERS = [np.dtype(code) for code in "bBhHiIlLqQ"]
LENGTHS = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 34, 63, 64, 65, 127, 128, 129, 500, 511, 512]
LENGTHS += [513, 1000, 1023, 1024, 1025, 4095, 4096, 4097, 8193, 20000, 65537, 262144]
LENGTHS += [262145, 524288, 524289]  # those beyond which exponentials are not kept


@dataclass
class Problem:
    """One call of a loss: arrays, options of the criterion, options of the call, the truth."""

    x: np.ndarray
    target: np.ndarray
    options: dict[str, Any]
    call: dict[str, Any]
    define: Callable[[], Derivatives]

    @cached_property
    def exact(self) -> Derivatives:
        return self.define()

    @property
    def items(self) -> tuple[int, ...]:
        """The shape of the losses, unreduced."""
        if "axis" not in self.options:
            return self.x.shape
        axis = class_axis(self.x.ndim, self.options["axis"])
        return self.x.shape[:axis] + self.x.shape[axis + 1 :]


@lru_cache(maxsize=128)
def problem(loss: Loss, shape, axis, dtype, sweep=(), reduction="mean", hessian="exact") -> Problem:
    """A reproducible problem of that shape; its truth is computed once, for all kernels in turn."""
    rng = np.random.default_rng([len(shape), *shape, len(sweep)])
    x, target = loss.arrays(rng, shape, axis, dtype)
    x, target = np.asarray(x), np.asarray(target)
    options, classes, items = dict(loss.fixed), 1, shape
    if loss.classes:
        options["axis"], at = axis, class_axis(len(shape), axis)
        classes, items = shape[at], shape[:at] + shape[at + 1 :]
    made = {option.name: option.make(rng, classes, items, dtype) for option in sweep}
    method = {"hessian": hessian} if hessian != "exact" else {}
    options["reduction"] = reduction
    define = partial(loss.define, x, target, **options, **made, **method)
    call = {name: made.pop(name) for name in loss.per_call if name in made}
    for array in (x, target, *call.values(), *made.values()):
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    return Problem(x, target, {**options, **made}, call, define)


def criterion_of(loss: Loss, p: Problem, **more):
    """The criterion object with the options of the problem, and others over them."""
    return getattr(ce, loss.criterion)(**{**p.options, **more})


def assert_within(got, exact: Exact, what: str = "result") -> None:
    """Every number lies within its error of the truth, and NaN is where NaN is due."""
    got = np.asarray(got)
    assert got.shape == np.shape(exact.value), f"{what} has shape {got.shape}"
    value = np.asarray(exact.value, WIDE)
    with np.errstate(all="ignore"):
        wide = got.astype(WIDE)
        off = abs(wide - value)
        fine = (off <= exact.error) | (wide == value) | (np.isnan(wide) & np.isnan(value))
        fine &= np.isinf(wide) <= (np.isinf(value) | np.isinf(exact.error))
    if not fine.all():
        pytest.fail(_worst(got, value, off, np.broadcast_to(exact.error, got.shape), fine, what))


def _worst(got, value, off, error, fine, what) -> str:
    with np.errstate(all="ignore"):
        excess = np.where(fine, 0, np.nan_to_num(off / error, nan=np.inf))
    i = np.unravel_index(int(excess.argmax()), got.shape)
    unit = UNIT[got.dtype] * abs(value[i])
    with np.errstate(all="ignore"):
        return (
            f"{what}{list(map(int, i)) or ''} is {got[i]!r}, should be {value[i]!r}: "
            f"off by {float(off[i] / unit):.4g} u, allowed {float(error[i] / unit):.4g} u; "
            f"{int((~fine).sum())} of {got.size} numbers are wrong"
        )


def same_bits(a, b) -> bool:
    """Equal dtype, shape and bits (NaN equals itself, 0.0 is not -0.0)."""
    a, b = np.asarray(a), np.asarray(b)
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return False
    bits = f"u{a.dtype.itemsize}"
    return bool((a.view(bits) == b.view(bits)).all())


def assert_same_bits(a, b, what: str = "result") -> None:
    """The two results agree to the bit; NaNs may differ in sign and payload."""
    a, b = np.asarray(a), np.asarray(b)
    if same_bits(a, b):
        return
    assert (a.dtype, a.shape) == (b.dtype, b.shape), what
    view = f"u{a.dtype.itemsize}"
    a, b = np.atleast_1d(np.ascontiguousarray(a)), np.atleast_1d(np.ascontiguousarray(b))
    differ = (a.view(view) != b.view(view)) & ~(np.isnan(a) & np.isnan(b))
    where = np.argwhere(differ)
    if len(where):
        i = tuple(where[0])
        pytest.fail(f"{what} differs in {len(where)} places, first {i}: {a[i]!r} and {b[i]!r}")


def laid_out(rows, layout):
    """Rows (N, K) with the class axis contiguous, in the middle, or F-ordered."""
    if layout == "middle":
        return np.ascontiguousarray(rows.T)[None]
    return np.asfortranarray(rows) if layout == "fortran" else np.ascontiguousarray(rows)


def run_rows(rows, target, layout="rows", criterion="CrossEntropyLoss", **options):
    """The loss per item and the gradient in rows, whatever the layout."""
    call = {"sample_weight": options.pop("sample_weight", None)}
    logits, target = laid_out(rows, layout), np.asarray(target)
    if layout == "middle":
        target = target[None]
        call = {name: v if v is None else v[None] for name, v in call.items()}
    loss, grad = getattr(ce, criterion)(**options).value_and_grad(logits, target, **call)
    if layout == "middle":
        return loss[0] if np.ndim(loss) else loss, grad[0].T
    return loss, grad


def element_results(criterion, x, y, copies=1, **call):
    """Loss, gradient and Hessian of elements, as float64; all copies alike."""
    many = [np.repeat(a, copies) if np.ndim(a) else a for a in (x, y)]
    loss, grad = criterion.value_and_grad(*many, **call)
    _, hess = criterion.grad_and_hess(*many, **call)
    assert grad.dtype == hess.dtype == x.dtype
    assert loss.dtype == real(x.dtype)
    found = [np.asarray(a, np.float64).reshape(-1, copies) for a in (loss, grad, hess)]
    for a in found:
        np.testing.assert_array_equal(a, np.broadcast_to(a[:, :1], a.shape))
    return [a[:, 0] for a in found]


def rounding(dtype):
    """A tolerance for results that are stored in that dtype."""
    return {np.float32: 1e-6, np.float64: 1e-14, np.float16: 6e-4}.get(dtype, 4e-3)


def row_results(criterion, rows, target, layout="rows", **call):
    """Loss, gradient and Hessian in rows; the target indices, or rows of probabilities."""
    logits, target = laid_out(rows, layout), np.asarray(target)
    middle = layout == "middle"
    if target.ndim == 2:
        target = laid_out(target, layout)
    elif middle:
        target = target[None]
    if middle:
        call = {name: v[None] for name, v in call.items()}
    loss = criterion(logits, target, **call)
    grad, hess = criterion.grad_and_hess(logits, target, **call)
    if middle:
        return loss[0] if np.ndim(loss) else loss, grad[0].T, hess[0].T
    return loss, grad, hess


def padded(row, classes):
    """The row with further classes that cannot be, so that it takes every path."""
    return np.concatenate([row, np.full(classes - len(row), -np.inf)])
