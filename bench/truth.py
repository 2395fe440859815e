"""truth.py - the losses in mpmath, by their formulas alone: derivatives follow by the chain rule.

No formula here is written to be stable: digits enough for every cancellation make up for it.
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


# -- losses of single elements: of the jet x and the number y -------------------------------------


def mse_loss(x, y):
    r = x - y
    return r * r


def l1_loss(x, y):
    return (x - y) * mpmath.sign(x.v - y)


def huber_loss(x, y, delta=1):
    r = (x - y) * mpmath.sign(x.v - y)
    return mse_loss(x, y) * mpf(0.5) if r.v <= delta else delta * (r - mpf(delta) / 2)


def smooth_l1_loss(x, y, beta=1):
    r = (x - y) * mpmath.sign(x.v - y)
    return mse_loss(x, y) * (mpf(0.5) / beta) if r.v < beta else r - mpf(beta) / 2


def binary_cross_entropy(x, y):
    """With torch's bounds: logarithms of -100, denominators of 1e-12."""
    p, q, least = x.v, 1 - x.v, mpf(10) ** -12
    log_p, log_q = (mpmath.log(a) if a else mpf("-inf") for a in (p, q))
    return Jet(
        -y * max(log_p, -100) - (1 - y) * max(log_q, -100),
        (p - y) / max(p * q, least),
        y / max(p, least) ** 2 + (1 - y) / max(q, least) ** 2,
    )


def binary_cross_entropy_with_logits(x, y):
    return (1 - y) * log(1 + exp(x)) + y * log(1 + exp(-x))


def sigmoid_focal_loss(x, y, gamma=2, alpha=0.25):
    """And Gauss-Newton's Hessian, |gradient| (1 - R)."""
    miss = y * (1 + exp(x)) ** -1 + (1 - y) * (1 + exp(-x)) ** -1
    weight = alpha * y + (1 - mpf(alpha)) * (1 - y)
    loss = weight * (miss**gamma) * binary_cross_entropy_with_logits(x, y)
    return loss, abs(loss.d) * (1 - miss.v)


def kl_div(x, y):
    return y * (mpmath.log(y) - x) if y else Jet(mpf(0))


def kl_div_logs(x, y):
    return mpmath.exp(y) * (y - x)


Truth = dict[str, list]


def of_elements(formula: Callable) -> Callable[..., Truth]:
    """The truth of arrays x and y, element by element."""

    def define(x: np.ndarray, y: np.ndarray) -> Truth:
        found = []
        for a, b in zip(x.ravel(), y.ravel(), strict=True):
            with mpmath.workdps(DIGITS + int(min(0.9 * abs(float(a)), 700))):
                jet = formula(Jet(number(a), mpf(1)), number(b))
                jet, newton = jet if isinstance(jet, tuple) else (jet, None)
                found.append((+jet.v, jet.d, jet.h, newton))
        loss, grad, hess, newton = (list(column) for column in zip(*found, strict=True))
        truth = {"loss": loss, "gradient": grad, "Hessian": hess}
        return truth if newton[0] is None else truth | {"Gauss-Newton": newton}

    return define


# -- losses of rows: of L = log sum_k e^z_k, T = sum_k u_k z_k and U = sum_k u_k -------------------


def cross_entropy(L, T, U):
    return L * U - T


def focal_loss(L, T, U, gamma=2):
    return ((1 - exp(T - L)) ** gamma) * (L - T)


def nll_loss(L, T, U):
    return -1 * T


def _digits(z: Iterable) -> int:
    z = [float(a) for a in z]
    return DIGITS + int(0.9 * (max(z) - min(z)) + math.log10(1 + max(map(abs, z))))


def of_rows(formula: Callable, smoothing: float = 0.0) -> Callable[..., Truth]:
    """The truth of logits (N, K) and class indices or probabilities; u is what is aimed at."""

    def define(z: np.ndarray, t: np.ndarray) -> Truth:
        truth: Truth = {"loss": [], "gradient": [], "Hessian": [], "Gauss-Newton": []}
        for row, target in zip(z, t, strict=True):
            with mpmath.workdps(_digits(row)):
                zs, (K,) = list(map(number, row)), row.shape
                if t.ndim == 2:
                    u = list(map(number, target))
                else:
                    eps = number(smoothing)
                    u = [(1 - eps) * int(k == target) + eps / K for k in range(K)]
                e = list(map(mpmath.exp, zs))
                total, U, T = mpmath.fsum(e), mpmath.fsum(u), mpmath.fdot(u, zs)
                truth["loss"].append(formula(Jet(mpmath.log(total)), Jet(T), U).v)
                for k in range(K):
                    x, p = Jet(zs[k], mpf(1)), e[k] / total
                    L, tilt = log(total - e[k] + exp(x)), (T - u[k] * zs[k]) + u[k] * x
                    jet = formula(L, tilt, U)
                    truth["gradient"].append(jet.d)
                    truth["Hessian"].append(jet.h)
                    at_t = t.ndim == 1 and k == target
                    truth["Gauss-Newton"].append(abs(jet.d) * (p if at_t else 1 - p))
        if formula is not focal_loss:
            del truth["Gauss-Newton"]
        return truth

    return define


# -- functions along an axis: values --------------------------------------------------------------


def of_axis(formula: Callable) -> Callable[..., Truth]:
    """The truth of arrays of rows: a list for each row."""

    def define(*arrays: np.ndarray) -> Truth:
        values = []
        for rows in zip(*arrays, strict=True):
            with mpmath.workdps(max(map(_digits, rows))):
                values += formula(*([number(a) for a in row] for row in rows))
        return {"value": values}

    return define


def logsumexp(z):
    return [mpmath.log(mpmath.fsum(map(mpmath.exp, z)))]


def softmax(z):
    total = mpmath.fsum(map(mpmath.exp, z))
    return [mpmath.exp(a) / total for a in z]


def log_softmax(z):
    L = logsumexp(z)[0]
    return [a - L for a in z]


def softmax_backward(g, y):
    inner = mpmath.fdot(g, y)
    return [b * (a - inner) for a, b in zip(g, y, strict=True)]


def log_softmax_backward(g, y):
    total = mpmath.fsum(g)
    return [a - mpmath.exp(b) * total for a, b in zip(g, y, strict=True)]


def entropy(p):
    return [-mpmath.fsum(a * mpmath.log(a) for a in p if a)]


def relative_entropy(p, q):
    return [mpmath.fsum(a * mpmath.log(a / b) for a, b in zip(p, q, strict=True) if a)]


def cross_entropy_between(p, q):
    return [-mpmath.fsum(a * mpmath.log(b) for a, b in zip(p, q, strict=True) if a)]


TRUTHS: dict[str, Callable[..., Truth]] = {
    "cross_entropy": of_rows(cross_entropy),
    "cross_entropy-smoothing": of_rows(cross_entropy, 0.1),
    "cross_entropy-probabilities": of_rows(cross_entropy),
    "nll_loss": of_rows(nll_loss),
    "focal_loss": of_rows(focal_loss),
    "binary_cross_entropy": of_elements(binary_cross_entropy),
    "binary_cross_entropy_with_logits": of_elements(binary_cross_entropy_with_logits),
    "binary_cross_entropy_with_logits-soft": of_elements(binary_cross_entropy_with_logits),
    "sigmoid_focal_loss-hard": of_elements(sigmoid_focal_loss),
    "sigmoid_focal_loss-soft": of_elements(sigmoid_focal_loss),
    "mse_loss": of_elements(mse_loss),
    "l1_loss": of_elements(l1_loss),
    "huber_loss": of_elements(huber_loss),
    "smooth_l1_loss": of_elements(smooth_l1_loss),
    "kl_div": of_elements(kl_div),
    "kl_div-logs": of_elements(kl_div_logs),
    "softmax": of_axis(softmax),
    "log_softmax": of_axis(log_softmax),
    "logsumexp": of_axis(logsumexp),
    "softmax_backward": of_axis(softmax_backward),
    "log_softmax_backward": of_axis(log_softmax_backward),
    "entropy": of_axis(entropy),
    "relative_entropy": of_axis(relative_entropy),
    "cross_entropy_between": of_axis(cross_entropy_between),
}
