"""The table of losses: for each one its definition, what it is of, and the options to sweep.

A further loss is one definition and one row of `LOSSES`; the test files walk the table. The
definitions stand in softmax_losses.py and pointwise_losses.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pointwise_losses as pointwise
import softmax_losses as softmax
from exact import WIDE, Derivatives, class_axis, from_rows, in_rows


@dataclass(frozen=True)
class Option:
    """An option of a loss, and a maker of its value: of rng, classes, shape of the items, dtype."""

    name: str
    make: Callable[..., Any]


def always(name: str, value: Any) -> Option:
    return Option(name, partial(_value, value))


def _value(value, rng, classes, items, dtype):
    return value


def _per_item(rng, classes, items, dtype):
    return rng.uniform(0.25, 2, items).astype(dtype)


def _per_class(rng, classes, items, dtype):
    return rng.uniform(0.25, 2, classes).astype(dtype)


def _per_element(rng, classes, items, dtype):
    """Some elements do not count."""
    w = rng.uniform(0.25, 2, items) * (rng.random(items) < 0.9)
    return w.astype(dtype)


def _per_column(rng, classes, items, dtype):
    """To be broadcast."""
    return rng.uniform(0.25, 2, items[-1:]).astype(dtype)


WEIGHT = Option("weight", _per_class)
SAMPLE_WEIGHT = Option("sample_weight", _per_item)
ELEMENT_WEIGHT = Option("weight", _per_element)
COLUMN_WEIGHT = Option("weight", _per_column)
SMOOTHING = always("label_smoothing", 0.1)
IGNORED = always("ignore_index", 0)


# -- what the losses are of -----------------------------------------------------------------------


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


def random_logits(rng, shape, dtype) -> np.ndarray:
    """Logits of the size that networks produce."""
    return rng.normal(0, 4, shape).astype(dtype)


def random_target(rng, logits, axis=None) -> np.ndarray:
    """One class for each item of the logits."""
    axis = class_axis(logits.ndim, axis)
    items = logits.shape[:axis] + logits.shape[axis + 1 :]
    return rng.integers(0, logits.shape[axis], items)


def logits_and_classes(rng, shape, axis, dtype):
    logits = random_logits(rng, shape, dtype)
    target = random_target(rng, logits, axis)
    return with_confidence(rng, logits, target, axis), target


def logits_and_probabilities(rng, shape, axis, dtype):
    """A third of the probabilities are 0."""
    logits, _ = logits_and_classes(rng, shape, axis, dtype)
    q = rng.uniform(0, 1, shape) * (rng.random(shape) < 0.7)
    total = q.sum(class_axis(len(shape), axis), keepdims=True)
    return logits, (q / np.where(total > 0, total, 1)).astype(dtype)


def log_probs_and_classes(rng, shape, axis, dtype):
    logits, target = logits_and_classes(rng, shape, axis, dtype)
    axis = class_axis(len(shape), axis)
    rows = in_rows(logits, axis).astype(WIDE)
    rows = rows - np.log(np.exp(rows).sum(1, keepdims=True))
    return from_rows(rows, shape, axis).astype(dtype), target


def pairs(rng, shape, axis, dtype):
    """Numbers of all sizes from 1e-3 to 1e2, some of them equal, some of them close."""
    x, r = (rng.normal(size=shape) * 10 ** rng.uniform(-3, 2, shape) for _ in range(2))
    return x.astype(dtype), (x + r * (rng.random(shape) < 0.9)).astype(dtype)


def _labels(rng, shape, dtype, soft):
    hard = rng.integers(0, 2, shape)
    return np.where(rng.random(shape) < soft, rng.uniform(0, 1, shape), hard).astype(dtype)


def probabilities_and_labels(rng, shape, axis, dtype):
    """From all of [0, 1], the ends included; some labels are soft."""
    x = rng.uniform(0, 1, shape) * 10 ** rng.uniform(-6, 0, shape)
    ends = rng.choice([0, 1, 2, 3], shape, p=[0.05, 0.05, 0.4, 0.5])
    x = np.select([ends == 0, ends == 1, ends == 2], [0, 1, x], 1 - x)
    return x.astype(dtype), _labels(rng, shape, dtype, 0.3)


def logits_and_labels(rng, shape, axis, dtype, soft=0.0):
    """Logits up to far beyond where 1 - p vanishes."""
    x = rng.normal(size=shape) * rng.choice([1, 4, 20], shape)
    return x.astype(dtype), _labels(rng, shape, dtype, soft)


def log_and_probabilities(rng, shape, axis, dtype, logs=False):
    """log q, and p with a fifth of zeros, or log p."""
    x, y = (-rng.exponential(3, shape) for _ in range(2))
    if logs:
        return x.astype(dtype), y.astype(dtype)
    return x.astype(dtype), (np.exp(y) * (rng.random(shape) < 0.8)).astype(dtype)


# -- the table ------------------------------------------------------------------------------------

SOFTMAX_SHAPES = (
    ((11,), None), ((37, 11), None), ((23, 2), None), ((3, 7, 29), None), ((2, 5, 3, 9), None),
    ((2, 40, 6, 5), None), ((3, 4, 21), -1), ((2, 3, 4, 130), -1), ((6, 2, 5), 0),
)  # fmt: skip
POINTWISE_SHAPES = (((), None), ((11,), None), ((37, 11), None), ((3, 7, 29), None))
POINTWISE_SHAPES += (((2, 5, 3, 9), None), ((2, 3, 700), None))


@dataclass(frozen=True, eq=False)
class Loss:
    """A loss: function, class, definition, what it is of, and the sets of options to test together.

    `fixed` options belong to the row; `reduction` is swept over all of the sets. The losses along
    a class axis take `axis`.
    """

    name: str
    criterion: str
    define: Callable[..., Derivatives]
    arrays: Callable[..., tuple[np.ndarray, np.ndarray]]
    sweeps: tuple[tuple[Option, ...], ...]
    variant: str = ""
    fixed: dict[str, Any] = field(default_factory=dict)
    reductions: tuple[str, ...] = ("none", "sum", "mean")
    hessians: tuple[str, ...] = ()
    per_call: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return f"{self.name}-{self.variant}" if self.variant else self.name

    @property
    def classes(self) -> bool:
        """Whether items are rows of classes, rather than elements."""
        return "sample_weight" in self.per_call

    @property
    def indices(self) -> bool:
        """Whether the target is class indices, rather than numbers in the shape of x."""
        return self.arrays in (logits_and_classes, log_probs_and_classes)

    @property
    def shapes(self):
        return SOFTMAX_SHAPES if self.classes else POINTWISE_SHAPES


def over_classes(name, criterion, define, arrays, *sweeps, **more) -> Loss:
    sweeps = ((), *sweeps)
    return Loss(name, criterion, define, arrays, sweeps, per_call=("sample_weight",), **more)


def over_elements(name, criterion, define, arrays, *sweeps, **more) -> Loss:
    return Loss(name, criterion, define, arrays, ((), *sweeps), **more)


GAMMAS = [always("gamma", gamma) for gamma in (0, 0.25, 0.5, 1, 1.5, 3, 5)]
HESSIANS = ("exact", "gauss_newton", "abs")

LOSSES = [
    over_classes(
        "cross_entropy", "CrossEntropyLoss", softmax.cross_entropy, logits_and_classes,
        (WEIGHT,), (SMOOTHING,), (SAMPLE_WEIGHT,), (WEIGHT, SMOOTHING),
        (WEIGHT, SAMPLE_WEIGHT, SMOOTHING, IGNORED),
    ),
    over_classes(
        "cross_entropy", "CrossEntropyLoss", softmax.cross_entropy_probabilities,
        logits_and_probabilities,
        (WEIGHT,), (SMOOTHING,), (SAMPLE_WEIGHT,), (WEIGHT, SAMPLE_WEIGHT, SMOOTHING),
        variant="probabilities",
    ),
    over_classes(
        "nll_loss", "NLLLoss", softmax.nll_loss, log_probs_and_classes,
        (WEIGHT,), (SAMPLE_WEIGHT,), (WEIGHT, SAMPLE_WEIGHT, IGNORED),
    ),
    over_classes(
        "focal_loss", "FocalLoss", softmax.focal_loss, logits_and_classes,
        *((gamma,) for gamma in GAMMAS), (Option("alpha", _per_class),), (SAMPLE_WEIGHT,),
        (Option("alpha", _per_class), SAMPLE_WEIGHT, IGNORED, GAMMAS[4]),
        hessians=HESSIANS,
    ),
    over_elements(
        "binary_cross_entropy", "BCELoss", pointwise.binary_cross_entropy,
        probabilities_and_labels, (COLUMN_WEIGHT,), (ELEMENT_WEIGHT,),
    ),
    over_elements(
        "binary_cross_entropy_with_logits", "BCEWithLogitsLoss",
        pointwise.binary_cross_entropy_with_logits, partial(logits_and_labels, soft=0.3),
        (COLUMN_WEIGHT,), (Option("pos_weight", _per_column),),
        (ELEMENT_WEIGHT, Option("pos_weight", _per_item)),
    ),
    over_elements(
        "sigmoid_focal_loss", "SigmoidFocalLoss", pointwise.sigmoid_focal_loss,
        logits_and_labels, *((gamma,) for gamma in GAMMAS), (always("alpha", None),),
        (GAMMAS[4], always("alpha", 0.75), ELEMENT_WEIGHT),
        variant="hard", hessians=HESSIANS,
    ),
    over_elements(
        "sigmoid_focal_loss", "SigmoidFocalLoss", pointwise.sigmoid_focal_loss,
        partial(logits_and_labels, soft=0.9), *((gamma,) for gamma in GAMMAS),
        (always("alpha", None),), (GAMMAS[4], always("alpha", 0.75), ELEMENT_WEIGHT),
        variant="soft", hessians=HESSIANS,
    ),
    over_elements(
        "mse_loss", "MSELoss", pointwise.mse_loss, pairs, (COLUMN_WEIGHT,), (ELEMENT_WEIGHT,)
    ),
    over_elements(
        "l1_loss", "L1Loss", pointwise.l1_loss, pairs, (COLUMN_WEIGHT,), (ELEMENT_WEIGHT,)
    ),
    over_elements(
        "huber_loss", "HuberLoss", pointwise.huber_loss, pairs,
        (COLUMN_WEIGHT,), (always("delta", 0.375),), (always("delta", 20), ELEMENT_WEIGHT),
    ),
    over_elements(
        "smooth_l1_loss", "SmoothL1Loss", pointwise.smooth_l1_loss, pairs, (COLUMN_WEIGHT,),
        (always("beta", 0),), (always("beta", 0.375),), (always("beta", 20), ELEMENT_WEIGHT),
    ),
    over_elements(
        "kl_div", "KLDivLoss", pointwise.kl_div, log_and_probabilities,
        reductions=("none", "sum", "mean", "batchmean"),
    ),
    over_elements(
        "kl_div", "KLDivLoss", pointwise.kl_div, partial(log_and_probabilities, logs=True),
        variant="logs", fixed={"log_target": True},
        reductions=("none", "sum", "mean", "batchmean"),
    ),
]  # fmt: skip
