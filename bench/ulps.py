"""ulps.py - errors in units in the last place.

An ulp is the unit in the last place of the true value, rounded to the dtype of the result: the
distance from there to the next larger number of that dtype. A correctly rounded result is off by no
more than 0.5.

Subnormal numbers count as 0: where the truth is below the least normal number any result as small
is right (not in float16, whose subnormals are kept), and 0 is right below 1e-36 (float64: 1e-290),
since a factor of the result may be subnormal. That holds for every library.
"""

from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import mpmath
import numpy as np


@dataclass
class Exact:
    """True numbers as sums of two float64: exact to 2^-105 or so."""

    high: np.ndarray
    low: np.ndarray

    @classmethod
    def of(cls, numbers: list) -> Exact:
        with mpmath.workdps(60):
            high = [float(x) for x in numbers]
            pairs = zip(numbers, high, strict=True)
            low = [float(x - h) if np.isfinite(h) else 0.0 for x, h in pairs]
        return cls(np.array(high), np.array(low))

    def off(self, got: np.ndarray) -> np.ndarray:
        """The absolute error."""
        with np.errstate(all="ignore"):
            return abs((got.astype(np.float64).reshape(self.high.shape) - self.high) - self.low)


def ulps(got: np.ndarray, exact: Exact) -> np.ndarray:
    """How far the results are off, in units in the last place of the truth in their dtype."""
    info, floor = ml_dtypes.finfo(got.dtype), 1e-290 if got.dtype == np.float64 else 1e-36
    least = 0.0 if got.dtype == np.float16 else float(info.smallest_normal)
    size, wide = abs(exact.high), got.astype(np.float64).reshape(exact.high.shape)
    with np.errstate(all="ignore"):
        rounded = exact.high.astype(got.dtype).astype(np.float64)
        exponent = np.where(np.isfinite(rounded), np.frexp(rounded)[1], int(info.maxexp))
        spacing = np.ldexp(1.0, np.maximum(exponent, int(info.minexp) + 1) - info.nmant - 1)
        right = (wide == rounded) & ~np.isfinite(rounded) | np.isnan(wide) & np.isnan(rounded)
    right |= (size < least) & (abs(wide) <= least)
    right |= (size < floor) & (wide == 0) & (least > 0)
    return np.where(right, 0, exact.off(got) / spacing)


@dataclass
class Errors:
    """The largest error, the mean of those that are numbers, and what answered what at worst."""

    largest: float
    mean: float
    got: float
    true: float

    @classmethod
    def of(cls, got: np.ndarray, exact: Exact) -> Errors:
        off = ulps(got, exact)
        at = int(np.where(np.isnan(off), np.inf, off).argmax())
        finite = off[np.isfinite(off)]
        mean = float(finite.mean()) if finite.size else np.nan
        return cls(float(off[at]), mean, float(got.reshape(-1)[at]), float(exact.high[at]))

    def __str__(self) -> str:
        largest = f"is {self.word}" if self.word else figure(self.largest)
        return f"{largest} / {figure(self.mean)}"

    @property
    def word(self) -> str:
        """What the worst answer is, where it is none."""
        if not np.isfinite(self.largest):
            return "NaN" if np.isnan(self.got) else "inf"
        return "0" if self.got == 0 and self.largest > 1 else ""


def figure(x: float) -> str:
    """A number of ulps with two digits."""
    if x >= 1000:
        return f"{x:.1e}".replace("e+0", "e").replace("e+", "e")
    return f"{x:.0f}" if x >= 10 else f"{x:.1f}" if x >= 1 else f"{x:.2f}" if x else "0"
