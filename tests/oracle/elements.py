"""elements.py - what makes the definition of a loss of single elements, x against y.

Each is a value and its first and second derivative in x, every one with the sum of the absolute
terms of its formula; a result may be off by 8 u of that, with a further 4 (1 + gamma) u for a
power.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

import numpy as np

from oracle.exact import UNIT, WIDE, Derivatives, Exact, real, reduced, scaled, times


@dataclass(frozen=True)
class Terms:
    """A number, and the sum of the absolute terms that it is made of, with a factor for powers.

    An exponential that is not normal may count as 0: `gain` is what it is multiplied by.
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
                size = WIDE(shape[0] if shape else 1)
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
