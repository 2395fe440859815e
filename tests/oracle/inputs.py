"""inputs.py - what several families are tested and measured with.

The tails, at which accuracy is measured, are margins up to 80 (float64: 600) in favour of the
target and against it, logits up to 100 (600), probabilities down to 1e-37 from 0 and from 1, each
rounded to its dtype.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from oracle.exact import BFLOAT16, class_axis

# The largest exponent e that e^x may have.
REACH = {np.float32: 104, np.float64: 745, np.float16: 104, BFLOAT16.type: 104}


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


def logits_and_classes(rng, shape, axis, dtype):
    """Some of the items confident."""
    logits = random_logits(rng, shape, dtype)
    target = random_target(rng, logits, axis)
    return with_confidence(rng, logits, target, axis), target


def far_rows(rng, n: int, dtype) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Tails of logits and classes: two classes, a few, and many."""
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


def distributions(rng, shape, dtype) -> np.ndarray:
    """Rows that sum to 1, but for rounding; a third of the numbers are 0."""
    p = rng.exponential(1, shape) ** 3 * (rng.random(shape) < 0.7)
    p[:, 0] += 1e-9
    return (p / p.sum(1, keepdims=True)).astype(dtype)


def near_the_ends(rng, n: int, dtype) -> np.ndarray:
    """Probabilities of all sizes, and as close to 1."""
    small = 10 ** -(rng.choice([1, 8, 37], n) ** rng.uniform(0, 1, n))
    p = np.choose(rng.integers(0, 3, n), [rng.uniform(0, 1, n), small, 1 - small])
    p[:2] = 0, 1
    return p.astype(dtype)
