"""What the tests share: problems made from the table of losses, and comparisons."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from exact import UNIT, WIDE, WIDE_IS_WIDER, Exact, class_axis
from losses import Derivatives, Loss

import ce

FLOATS = [np.float32, np.float64]
# Where long double is no wider than double it defines float32 results only.
COMPARED_FLOATS = [
    np.float32,
    pytest.param(
        np.float64,
        marks=pytest.mark.skipif(not WIDE_IS_WIDER, reason="long double is double here"),
    ),
]
LAYOUTS = ["rows", "middle", "fortran"]
INTEGERS = [np.dtype(code) for code in "bBhHiIlLqQ"]
LENGTHS = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 34, 63, 64, 65, 127, 128, 129, 500, 511, 512]
LENGTHS += [513, 1000, 1023, 1024, 1025, 4095, 4096, 4097, 8193, 20000, 70001]


@dataclass(frozen=True)
class Problem:
    """One call of a loss: arrays, options of the criterion, options of the call, the truth."""

    logits: np.ndarray
    target: np.ndarray
    options: dict[str, Any]
    call: dict[str, Any]
    exact: Derivatives


def random_logits(rng, shape, dtype) -> np.ndarray:
    """Logits of the size that networks produce."""
    return rng.normal(0, 4, shape).astype(dtype)


def random_target(rng, logits, axis=None) -> np.ndarray:
    """One class for each item of the logits."""
    axis = class_axis(logits.ndim, axis)
    items = logits.shape[:axis] + logits.shape[axis + 1 :]
    return rng.integers(0, logits.shape[axis], items)


def with_confidence(rng, logits, target, axis=None, margin=22) -> np.ndarray:
    """The same logits with about a third of the targets far above the other classes."""
    axis = class_axis(logits.ndim, axis)
    index = np.expand_dims(target, axis)
    raised = logits.max(axis, keepdims=True) + logits.dtype.type(margin)
    chosen = rng.random(index.shape) < 0.35
    old = np.take_along_axis(logits, index, axis)
    result = logits.copy()
    np.put_along_axis(result, index, np.where(chosen, raised, old), axis)
    return result


@cache
def problem(loss: Loss, shape, axis, dtype, sweep=(), reduction="mean") -> Problem:
    """A reproducible problem of that shape; the truth is computed once for all kernels."""
    rng = np.random.default_rng([len(shape), *shape, len(sweep)])
    logits = random_logits(rng, shape, dtype)
    target = random_target(rng, logits, axis)
    logits = with_confidence(rng, logits, target, axis)
    classes = shape[class_axis(len(shape), axis)]
    made = {name: loss.options[name](rng, classes, target.shape, dtype) for name in sweep}
    exact = loss.define(logits, target, axis=axis, reduction=reduction, **made)
    call = {name: made.pop(name) for name in loss.per_call if name in made}
    for array in (logits, target, *call.values(), *made.values()):
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    return Problem(logits, target, {**made, "axis": axis, "reduction": reduction}, call, exact)


def criterion_of(loss: Loss, p: Problem):
    """The criterion object with the options of the problem."""
    return getattr(ce, loss.criterion)(**p.options)


def assert_within(got, exact: Exact, what: str = "result") -> None:
    """Every number lies within its error of the truth, and NaN is where NaN is due."""
    got = np.asarray(got)
    assert got.shape == np.shape(exact.value), f"{what} has shape {got.shape}"
    value = np.asarray(exact.value, WIDE)
    with np.errstate(all="ignore"):
        off = abs(got.astype(WIDE) - value)
        fine = (off <= exact.error) | (got == value) | (np.isnan(got) & np.isnan(value))
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


def run_rows(rows, target, layout="rows", **options):
    """The loss per item and the gradient in rows, whatever the layout."""
    call = {"sample_weight": options.pop("sample_weight", None)}
    logits, target = laid_out(rows, layout), np.asarray(target)
    if layout == "middle":
        target = target[None]
        call = {name: v if v is None else v[None] for name, v in call.items()}
    loss, grad = ce.CrossEntropyLoss(**options).value_and_grad(logits, target, **call)
    if layout == "middle":
        return loss[0] if np.ndim(loss) else loss, grad[0].T
    return loss, grad
