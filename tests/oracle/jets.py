"""jets.py - formulas in mpmath: what makes the truth of arrays of them.

A formula is of jets, numbers with their derivatives, so that derivatives follow by the chain rule.
None is written to be stable: digits enough for every cancellation make up for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import mpmath
import numpy as np
from mpmath import mpf

DIGITS = 50


@dataclass
class Jet:
    """A number with its first and second derivative."""

    v: mpf
    d: mpf = 0
    h: mpf = 0

    def __add__(self, other) -> Jet:
        b = other if isinstance(other, Jet) else Jet(other)
        return Jet(self.v + b.v, self.d + b.d, self.h + b.h)

    def __mul__(self, other) -> Jet:
        b = other if isinstance(other, Jet) else Jet(other)
        h = self.h * b.v + 2 * self.d * b.d + self.v * b.h
        return Jet(self.v * b.v, self.d * b.v + self.v * b.d, h)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Jet:
        return self * -1

    def __sub__(self, other) -> Jet:
        return self + -1 * other

    def __rsub__(self, other) -> Jet:
        return -self + other

    def through(self, f, slope, curve) -> Jet:
        """A function of it, given its derivatives there."""
        return Jet(f, slope * self.d, curve * self.d**2 + slope * self.h)

    def __pow__(self, g) -> Jet:
        f = self.v**g
        return self.through(f, g * f / self.v, g * (g - 1) * f / self.v**2)


def exp(x: Jet) -> Jet:
    e = mpmath.exp(x.v)
    return x.through(e, e, e)


def log(x: Jet) -> Jet:
    return x.through(mpmath.log(x.v), 1 / x.v, -1 / x.v**2)


def number(x) -> mpf:
    return mpf(float(x))


Truth = dict[str, list]


def of_elements(formula: Callable) -> Callable[..., Truth]:
    """The truth of arrays x and y, element by element, of a formula of the jet x and the number y.

    The formula may return the Gauss-Newton Hessian beside the jet.
    """

    def define(x: np.ndarray, y: np.ndarray, **options) -> Truth:
        found = []
        for a, b in zip(x.ravel(), y.ravel(), strict=True):
            with mpmath.workdps(DIGITS + int(min(0.9 * (abs(float(a)) + abs(float(b))), 700))):
                jet = formula(Jet(number(a), mpf(1)), number(b), **options)
                jet, newton = jet if isinstance(jet, tuple) else (jet, None)
                found.append((+jet.v, jet.d, jet.h, newton))
        loss, grad, hess, newton = (list(column) for column in zip(*found, strict=True))
        truth = {"loss": loss, "gradient": grad, "Hessian": hess}
        return truth if newton[0] is None else truth | {"Gauss-Newton": newton}

    return define


# -- losses of rows: of L = log sum_k e^z_k, T = sum_k u_k z_k and U = sum_k u_k -------------------


def _digits(z: Iterable) -> int:
    z = [float(a) for a in z]
    return DIGITS + int(0.9 * (max(z) - min(z)) + math.log10(1 + max(map(abs, z))))


def of_rows(formula: Callable, newton: bool = False) -> Callable[..., Truth]:
    """The truth of logits (N, K) and class indices or probabilities; u is what is aimed at.

    With the Gauss-Newton Hessian of a loss whose gradient is A (p - u), of class indices.
    """

    def define(z: np.ndarray, t: np.ndarray, label_smoothing: float = 0.0, **options) -> Truth:
        truth: Truth = {"loss": [], "gradient": [], "Hessian": [], "Gauss-Newton": []}
        for row, target in zip(z, t, strict=True):
            with mpmath.workdps(_digits(row)):
                zs, (K,) = list(map(number, row)), row.shape
                if t.ndim == 2:
                    u = list(map(number, target))
                else:
                    eps = number(label_smoothing)
                    u = [(1 - eps) * int(k == target) + eps / K for k in range(K)]
                e = list(map(mpmath.exp, zs))
                total, U, T = mpmath.fsum(e), mpmath.fsum(u), mpmath.fdot(u, zs)
                truth["loss"].append(formula(Jet(mpmath.log(total)), Jet(T), U, **options).v)
                for k in range(K):
                    x, p = Jet(zs[k], mpf(1)), e[k] / total
                    L, tilt = log(total - e[k] + exp(x)), (T - u[k] * zs[k]) + u[k] * x
                    jet = formula(L, tilt, U, **options)
                    truth["gradient"].append(jet.d)
                    truth["Hessian"].append(jet.h)
                    at_t = t.ndim == 1 and k == target
                    truth["Gauss-Newton"].append(abs(jet.d) * (p if at_t else 1 - p))
        if not newton:
            del truth["Gauss-Newton"]
        return truth

    return define


# -- functions along an axis: values --------------------------------------------------------------


def of_axis(formula: Callable) -> Callable[..., Truth]:
    """The truth of arrays of rows, of a formula that returns a list for each row."""

    def define(*arrays: np.ndarray) -> Truth:
        values = []
        for items in zip(*arrays, strict=True):
            rows = [np.atleast_1d(item) for item in items]
            with mpmath.workdps(max(map(_digits, rows))):
                values += formula(*([number(a) for a in row] for row in rows))
        return {"value": values}

    return define
