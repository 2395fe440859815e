"""The definitions of the losses of single elements, x against y.

Each is a value and its first and second derivative in x, every one with the sum of the absolute
terms of its formula; a result may be off by 8 u of that, with a further 4 (1 + gamma) u for a
power. No exponential here has a rounded argument.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

import numpy as np
from exact import UNIT, WIDE, Derivatives, Exact, real, reduced, scaled, times


@dataclass(frozen=True)
class Terms:
    """A number, and the sum of the absolute terms that it is made of, with a factor for powers.

    A factor of theirs that is not normal may count as 0: `gain` is what it is multiplied by.
    """

    value: np.ndarray
    size: np.ndarray
    gain: np.ndarray | float = 0.0


def error_of(t: Terms, dtype, slack: float) -> np.ndarray:
    """8 u of the terms, and what scaling costs: of numbers without error, such as 1, too."""
    lost = np.where(t.size < t.gain * np.finfo(real(dtype)).tiny, t.size, 0)
    return 8 * UNIT[dtype] * t.size + slack * np.maximum(t.size, abs(t.value)) + lost


def sum_of(*terms) -> Terms:
    """Their sum; one that is 0 does not cancel."""
    return Terms(sum(terms), sum(map(abs, terms)))


def elementwise(mean_by_weight: bool = False):
    """Make a definition of losses, reduced, of a function of x and y that returns three Terms.

    Weights, grad_output and the mean are 4 u. The mean divides by the number of elements, or by
    the sum of their weights. An element of weight 0 is 0 whatever it holds.
    """

    def decorate(terms: Callable[..., tuple[Terms, Terms, Terms]]):
        @wraps(terms)
        def define(
            x, y, *, weight=None, reduction="mean", grad_output=None, **options
        ) -> Derivatives:
            u, shape = UNIT[x.dtype], x.shape
            w = np.broadcast_to(np.asarray(1 if weight is None else weight).astype(WIDE), shape)
            plain = weight is None and grad_output is None and reduction != "mean"
            slack = 0 if plain else 4 * u
            slack += x.size / 2 * UNIT[np.dtype(np.float64)] if reduction == "mean" else 0
            wide = np.asarray(x).astype(WIDE), np.asarray(y).astype(WIDE)
            with np.errstate(all="ignore"):
                loss, grad, hess = (
                    Exact(
                        *(np.broadcast_to(a, shape) for a in (t.value, error_of(t, x.dtype, slack)))
                    )
                    for t in terms(*wide, **options)
                )
            size = w.sum() if mean_by_weight else WIDE(x.size)
            if reduction == "batchmean":
                size = WIDE(shape[0])
            g = 1 if grad_output is None else np.asarray(grad_output).astype(WIDE)
            scale = w * g
            if reduction in ("mean", "batchmean"):
                with np.errstate(all="ignore"):
                    scale = np.where(w == 0, 0, scale / size)
            loss = Exact(times(w, loss.value), times(abs(w), loss.error))
            results = (scaled(t, scale, x.dtype) for t in (grad, hess))
            return Derivatives(reduced(loss, size, reduction, real(x.dtype), shape), *results)

        return define

    return decorate


def sigmoid(x):
    """1 / (1 + e^-x), accurate on both sides."""
    e = np.exp(-abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def softplus(x):
    """log(1 + e^x), accurate on both sides."""
    return np.maximum(x, 0) + np.log1p(np.exp(-abs(x)))


@elementwise(mean_by_weight=True)
def mse_loss(x, y):
    """r^2 with r = x - y."""
    r = x - y
    return sum_of(r * r), sum_of(2 * r), Terms(WIDE(2), WIDE(0))


@elementwise(mean_by_weight=True)
def l1_loss(x, y):
    """|r|, and sign(r) with sign(0) = 0."""
    r = x - y
    return sum_of(abs(r)), Terms(np.sign(r), 0 * r), Terms(0 * r, 0 * r)


@elementwise(mean_by_weight=True)
def huber_loss(x, y, delta=1.0):
    """r^2 / 2 where |r| <= delta, else delta (|r| - delta / 2)."""
    r, delta = abs(x - y), WIDE(delta)
    inside = r <= delta
    value = np.where(inside, r * r / 2, delta * (r - delta / 2))
    size = np.where(inside, value, delta * (r + delta / 2))
    grad = np.sign(x - y) * np.minimum(r, delta)
    return Terms(value, size), sum_of(grad), Terms(np.where(inside, WIDE(1), 0), 0 * r)


@elementwise(mean_by_weight=True)
def smooth_l1_loss(x, y, beta=1.0):
    """r^2 / (2 beta) where |r| < beta, else |r| - beta / 2."""
    r, beta = abs(x - y), WIDE(beta)
    inside, b = r < beta, beta or WIDE(1)
    value = np.where(inside, r * r / (2 * b), r - beta / 2)
    size = np.where(inside, value, r + beta / 2)
    grad = np.sign(x - y) * np.where(inside, r / b, 1)
    return Terms(value, size), sum_of(grad), sum_of(np.where(inside, 1 / b, 0))


@elementwise()
def binary_cross_entropy(x, y):
    """-y max(log x, -100) - (1 - y) max(log(1 - x), -100).

    The derivatives are torch's: they are kept finite at 0 and 1 by bounds on their denominators.
    """
    logs = np.maximum(np.log(x), -100), np.maximum(np.log1p(-x), -100)
    loss = sum_of(-y * logs[0], -(1 - y) * logs[1])
    grad = sum_of((x - y) / np.maximum(x * (1 - x), WIDE(1e-12)))
    low, high = np.maximum(x, WIDE(1e-12)), np.maximum(1 - x, WIDE(1e-12))
    return loss, grad, sum_of(y / low**2, (1 - y) / high**2)


@elementwise()
def binary_cross_entropy_with_logits(x, y, pos_weight=None):
    """(1 - y) sp(x) + pw y sp(-x), sp(x) = log(1 + e^x).

    The Hessian's (1 - y) + pw y is 1 + (pw - 1) y in other terms.
    """
    pw = WIDE(1) if pos_weight is None else np.asarray(pos_weight).astype(WIDE)
    loss = sum_of(times(1 - y, softplus(x)), times(pw * y, softplus(-x)))
    p, q = sigmoid(x), sigmoid(-x)
    hess = Terms((1 - y + pw * y) * p * q, (1 + abs(y) * (1 + abs(pw))) * p * q)
    return loss, sum_of((1 - y) * p, -pw * y * q), hess


@elementwise()
def sigmoid_focal_loss(x, y, gamma=2.0, alpha=0.25, hessian="exact"):
    """at R^g C with R = y n + (1 - y) p, C = y sp(-x) + (1 - y) sp(x), p = sg(x), n = sg(-x).

    at is alpha y + (1 - alpha) (1 - y), or 1. With a hard label, 0 or 1, no sum cancels.
    """
    g, p, n = WIDE(gamma), sigmoid(x), sigmoid(-x)
    at = WIDE(1) if alpha is None else WIDE(alpha) * y + (1 - WIDE(alpha)) * (1 - y)
    R, C = y * n + (1 - y) * p, times(y, softplus(-x)) + times(1 - y, softplus(x))
    at_Rg = at * np.where(R > 0, R**g, WIDE(gamma == 0))
    dR, dC = (1 - 2 * y) * p * n, (1 - y) * p - y * n
    ddR, V = dR * (n - p), np.where(R > 0, 1 / np.where(R > 0, R, 1), 0)
    terms_dC = (1 - y) * p + y * n
    grad = dC, g * V * dR * C
    hess = p * n, 2 * g * V * dR * dC, g * V * C * ((g - 1) * V * dR**2 + ddR)
    grad_terms = terms_dC, abs(grad[1])
    hess_terms = (
        p * n,
        2 * g * V * abs(dR) * terms_dC,
        g * V * C * (abs(g - 1) * V * dR**2 + abs(dR) * (n + p)),
    )
    if hessian == "gauss_newton":
        hits = y * p + (1 - y) * n  # 1 - R
        hess, hess_terms = (abs(sum(grad)) * hits,), (sum(grad_terms) * hits,)
    elif hessian == "abs":
        hess, hess_terms = (abs(sum(grad)),), grad_terms
    power = 1 + (4 * (1 + g) / 8 if gamma else 0)
    gain = 1 + g * C, 1 + g * C, 1 + 2 * g + (g + g**2) * C  # of p n and its like
    return tuple(
        Terms(at_Rg * sum(values), power * abs(at_Rg) * sum(sizes), power * abs(at_Rg) * k)
        for values, sizes, k in zip(
            ((C,), grad, hess), ((C,), grad_terms, hess_terms), gain, strict=True
        )
    )


@elementwise()
def kl_div(x, y, log_target=False):
    """p (log p - x), p = y, or y is log p; 0 log 0 = 0."""
    p = np.exp(y) if log_target else y
    log_p = y if log_target else np.log(np.where(p > 0, p, 1))
    loss = sum_of(times(p, log_p), -times(p, x))
    return loss, sum_of(-p), Terms(0 * x, 0 * x)
