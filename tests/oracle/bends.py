"""bends.py - logits as a loss sees them: scaled, capped, cooled; classes that cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from oracle.exact import UNIT, WIDE, Exact, in_rows


@dataclass(frozen=True)
class View:
    """Logits u as a loss sees them, and how far off; du/dz, d2u/dz2, and their relative error."""

    u: np.ndarray
    off: Any
    slope: Any
    curve: Any
    slope_off: Any


def view(z, dtype, logit_scale=1.0, softcap=None, temperature=1.0) -> View:
    """u = softcap tanh(logit_scale z / softcap) / temperature; -inf stays what it is.

    The two constants are rounded, and the products; tanh is within 6 u; an argument x of sech^2
    that is off by 2 |x| u takes 4 |x| u.
    """
    u, z = UNIT[dtype], z.astype(WIDE)
    scale, cool = WIDE(logit_scale), WIDE(temperature)
    if softcap is None:
        a = scale / cool
        seen = z if a == 1 else np.where(z == -np.inf, z, a * z)
        finite = np.where(np.isfinite(seen), seen, 0)
        off = 0 if a == 1 else 2 * u * abs(finite).max(1, keepdims=True)
        return View(seen, off, a, WIDE(0), 0 if a == 1 else 2 * u)
    cap = WIDE(softcap)
    x = scale / cap * z
    E = np.exp(-2 * abs(x))
    slope = scale / cool * 4 * E / (1 + E) ** 2
    seen = np.where(z == -np.inf, -np.inf, cap / cool * np.tanh(x))
    off = 10 * u * cap / cool * np.tanh(abs(x)).max(1, keepdims=True)
    curve = -2 * scale / cap * slope * np.tanh(x)
    return View(seen, off, slope, curve, np.where(np.isfinite(x), 4 * abs(x) + 8, 0) * u)


def open_classes(where, shape, axis) -> np.ndarray:
    """The classes that can be, in rows."""
    mask = np.ones(shape, bool) if where is None else np.asarray(where)
    if mask.ndim == 1 and mask.shape != shape:
        mask = np.moveaxis(
            np.broadcast_to(mask, np.moveaxis(np.empty(shape), axis, -1).shape), -1, axis
        )
    return in_rows(mask, axis)


def hidden(z, mask) -> np.ndarray:
    return np.where(mask, z, z.dtype.type(-np.inf))


def cleared(exact: Exact, mask) -> Exact:
    """The derivatives of classes that cannot be are 0."""
    return Exact(np.where(mask, exact.value, 0), np.where(mask, exact.error, 0))
