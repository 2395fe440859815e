"""tails.py - the inputs at which accuracy is measured: tails as well as the usual.

Margins up to 80 (float64: 600) in favour of the target and against it, logits up to 100 (600),
probabilities down to 1e-37 from 0 and from 1, each rounded to its dtype. A function per loss yields
batches of arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

import ce

Arrays = tuple[np.ndarray, ...]


def _rows(rng, n: int, dtype) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Logits and classes: two classes, a few, and many."""
    n //= 4
    far = 600 if dtype == np.float64 else 80
    margin = rng.uniform(-80, 80, n) * np.where(np.arange(n) % 5, 1, far / 80)
    two = np.stack([margin, np.zeros(n)], 1) + rng.choice([0, 1], n)[:, None] * rng.normal(
        size=(n, 1)
    )
    yield two.astype(dtype), rng.integers(0, 2, n)
    for items, classes in ((n // 4, 7), (2, min(1000, 2 * n))):
        z, t = rng.normal(0, 4, (items, classes)), rng.integers(0, classes, items)
        z[np.arange(items), t] += (z.max(1) + rng.uniform(0, 80, items)) * (np.arange(items) % 2)
        yield z.astype(dtype), t


def _probabilities(rng, shape, dtype) -> np.ndarray:
    """Rows that sum to 1, but for rounding; a third of the numbers are 0."""
    p = rng.exponential(1, shape) ** 3 * (rng.random(shape) < 0.7)
    p[:, 0] += 1e-9
    return (p / p.sum(1, keepdims=True)).astype(dtype)


def _soft_rows(rng, n, dtype):
    for z, _ in _rows(rng, n, dtype):
        yield z, _probabilities(rng, z.shape, dtype)


def _log_rows(rng, n, dtype):
    for z, t in _rows(rng, n, dtype):
        wide = z.astype(np.longdouble)
        wide = wide - wide.max(1, keepdims=True)
        yield (wide - np.log(np.exp(wide).sum(1, keepdims=True))).astype(dtype), t


def _logits(rng, n: int, dtype) -> np.ndarray:
    """Of any size up to 100, or 600 in float64; ordinary ones; tiny ones."""
    sizes = [rng.uniform(-100, 100, n), rng.normal(0, 4, n), 10 ** rng.uniform(-8, 0, n)]
    sizes[0][::5] *= 6 if dtype == np.float64 else 1
    special = [0.0, 1e-4, -1e-4, 17, -17, 37, -37, 87, -87, 88, -88, 100, -100]
    x = np.choose(rng.integers(0, 3, n), sizes)
    x[: len(special)] = special[:n]
    return x.astype(dtype)


def _labelled(rng, n, dtype, soft=0.0):
    y = np.where(rng.random(n) < soft, rng.uniform(0, 1, n), rng.integers(0, 2, n))
    yield _logits(rng, n, dtype), y.astype(dtype)


def _near_ends(rng, n: int, dtype) -> np.ndarray:
    """Probabilities of all sizes, and as close to 1."""
    small = 10 ** -(rng.choice([1, 8, 37], n) ** rng.uniform(0, 1, n))
    p = np.choose(rng.integers(0, 3, n), [rng.uniform(0, 1, n), small, 1 - small])
    p[:2] = 0, 1
    return p.astype(dtype)


def _of_probabilities(rng, n, dtype):
    y = np.where(rng.random(n) < 0.3, rng.uniform(0, 1, n), rng.integers(0, 2, n))
    yield _near_ends(rng, n, dtype), y.astype(dtype)


def _divergent(rng, n, dtype, logs=False):
    """log q down to -100, p of any size, or its logarithm; some of them close."""
    x, p = -rng.exponential(1, n) * rng.choice([1, 5, 25], n), _near_ends(rng, n, np.float64)
    p = np.where(rng.random(n) < 0.2, np.exp(x) * rng.uniform(0.9, 1.1, n), p).clip(0, 1)
    with np.errstate(divide="ignore"):
        yield x.clip(-100).astype(dtype), (np.log(p).clip(-100) if logs else p).astype(dtype)


def _pairs(rng, n, dtype):
    """Numbers of all sizes from 1e-3 to 1e2, some of them equal, some of them close."""
    x, r = (rng.normal(size=n) * 10 ** rng.uniform(-3, 2, n) for _ in range(2))
    yield x.astype(dtype), (x + r * (rng.random(n) < 0.95)).astype(dtype)


def _only_rows(rng, n, dtype):
    for z, _ in _rows(rng, n, dtype):
        yield (z,)


def _upstream(rng, n, dtype, logs=False):
    """Upstream gradients and outputs of softmax, or of log_softmax."""
    for z, _ in _rows(rng, n, dtype):
        yield rng.normal(size=z.shape).astype(dtype), (ce.log_softmax if logs else ce.softmax)(z, 1)


def _distributions(rng, n, dtype, arrays=1):
    for shape in ((n // 16, 7), (2, min(1000, n))):
        p, q = (_probabilities(rng, shape, dtype) for _ in range(2))
        yield (p, np.maximum(q, dtype.type(1e-4)))[:arrays]


INPUTS: dict[str, Callable[..., Iterator[Arrays]]] = {
    "cross_entropy": _rows,
    "cross_entropy-smoothing": _rows,
    "cross_entropy-probabilities": _soft_rows,
    "nll_loss": _log_rows,
    "focal_loss": _rows,
    "binary_cross_entropy": _of_probabilities,
    "binary_cross_entropy_with_logits": _labelled,
    "binary_cross_entropy_with_logits-soft": lambda *a: _labelled(*a, soft=0.9),
    "sigmoid_focal_loss-hard": _labelled,
    "sigmoid_focal_loss-soft": lambda *a: _labelled(*a, soft=0.9),
    "mse_loss": _pairs,
    "l1_loss": _pairs,
    "huber_loss": _pairs,
    "smooth_l1_loss": _pairs,
    "kl_div": _divergent,
    "kl_div-logs": lambda *a: _divergent(*a, logs=True),
    "softmax": _only_rows,
    "log_softmax": _only_rows,
    "logsumexp": _only_rows,
    "softmax_backward": _upstream,
    "log_softmax_backward": lambda *a: _upstream(*a, logs=True),
    "entropy": _distributions,
    "relative_entropy": lambda *a: _distributions(*a, arrays=2),
    "cross_entropy_between": lambda *a: _distributions(*a, arrays=2),
}
