"""The table of losses: for each one its definition, and the options to sweep.

A further loss is one definition and one row of `LOSSES` (or of `NORMALISERS`, for the functions
along an axis) here; the test files walk the tables.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from exact import FLOOR, UNIT, WIDE, Exact, class_axis, from_rows, in_rows, softmax_facts, times


@dataclass(frozen=True)
class Derivatives:
    """The value of a loss, its gradient, and the diagonal of its Hessian."""

    loss: Exact
    grad: Exact
    hess: Exact


def cross_entropy(
    logits, target, *, weight=None, sample_weight=None, ignore_index=-100,
    label_smoothing=0.0, reduction="mean", axis=None, grad_output=None,
) -> Derivatives:  # fmt: skip
    """v [(1 - eps) w_t (-log p_t) + eps / K sum_k w_k (-log p_k)] of every item, reduced.

    Each of weights, smoothing, mean and grad_output is one rounding or two more, 4 u together;
    smoothing adds K terms in chunks, another 8 u, and may cancel: the error is relative to the
    sum of the absolute terms. Sums over n items, that of the weights for the mean among them, are
    taken in float64: n / 2 roundings of the size of the sum at worst, then one to the dtype.
    """
    dtype, u, eps = logits.dtype, UNIT[logits.dtype], WIDE(label_smoothing)
    axis = class_axis(logits.ndim, axis)
    z, t = in_rows(logits, axis), np.asarray(target).astype(object).reshape(-1)
    n, classes = z.shape
    counted = (t != ignore_index).astype(bool)
    z = np.where(counted[:, None], z, 0)
    t = np.where(counted, t, 0).astype(np.int64)
    w = np.ones(classes, WIDE) if weight is None else np.asarray(weight).astype(WIDE)
    v = np.ones(n, WIDE) if sample_weight is None else np.reshape(sample_weight, -1).astype(WIDE)
    v, row = np.where(counted, v, 0), np.arange(n)
    plain = weight is None and sample_weight is None and eps == 0 and grad_output is None
    slack = (0 if plain and reduction != "mean" else 4 * u) + (8 * u if eps else 0)
    slack += n / 2 * UNIT[np.dtype(np.float64)] if reduction == "mean" else 0

    facts = softmax_facts(z, dtype)
    hot, smooth = (1 - eps) * w[t], eps / classes * w
    surprise, error = facts.surprise.value, facts.surprise.error
    loss = times(v, times(hot, surprise[row, t]) + times(smooth, surprise).sum(1))
    error = error + slack * surprise
    loss_error = times(abs(hot), error[row, t]) + times(abs(smooth), error).sum(1)
    loss_error = times(abs(v), loss_error)
    g = np.ones(n, WIDE) if grad_output is None else np.asarray(grad_output).astype(WIDE)
    scale = np.broadcast_to(g.reshape(-1), (n,)) * v
    size = (v * w[t]).sum()
    if reduction == "mean":
        with np.errstate(all="ignore"):
            scale = np.where(v == 0, 0, scale / size)
    grad, hess = _softmax_derivatives(facts, t, hot, smooth, slack, u)
    shape = logits.shape
    return Derivatives(
        _reduced(loss, loss_error, size, reduction, u, np.shape(target)),
        _scaled(grad, scale, FLOOR[dtype], shape, axis),
        _scaled(hess, scale, FLOOR[dtype], shape, axis),
    )


def _softmax_derivatives(facts, t, hot, smooth, slack, u) -> tuple[Exact, Exact]:
    """hot (p - [k == t]) + W p - smooth, and p (1 - p) (hot + W), W the sum of smooth."""
    at_target = np.arange(smooth.size) == t[:, None]
    hot = hot[:, None]
    whole, size = smooth.sum(), abs(smooth).sum()
    p, p_error = facts.p.value, facts.p.error
    q, q_error = facts.others.value, facts.others.error
    first, first_error = np.where(at_target, -q, p), np.where(at_target, q_error, p_error)
    grad = hot * first + whole * p - smooth
    size_of_terms = abs(hot * first) + size * p + abs(smooth)
    grad_error = abs(hot) * first_error + size * p_error + slack * size_of_terms
    hess = p * q * (hot + whole)
    # the product of two probabilities, the errors of both, and a few roundings
    hess_error = (p_error * q + q_error * p + (slack + 4 * u) * p * q) * (abs(hot) + size)
    return Exact(grad, grad_error), Exact(hess, hess_error)


def _scaled(rows: Exact, scale, floor, shape, axis) -> Exact:
    """The rows times a number each, in the shape of the logits; below the floor 0 will do."""
    scale = scale[:, None]
    value, error = times(scale, rows.value), times(abs(scale), rows.error)
    error = error + floor * (abs(value) < floor)
    return Exact(from_rows(value, shape, axis), from_rows(error, shape, axis))


def _reduced(loss, error, size, reduction, u, shape) -> Exact:
    if reduction == "none":
        return Exact(loss.reshape(shape), error.reshape(shape))
    total = loss.sum()
    error = (
        error.sum() + loss.size / 2 * UNIT[np.dtype(np.float64)] * abs(loss).sum() + u * abs(total)
    )
    if reduction == "sum":
        return Exact(total, error)
    with np.errstate(all="ignore"):
        return Exact(total / size, error / abs(size) + 2 * u * abs(total / size))


def _logsumexp(x: np.ndarray, axis: int) -> Exact:
    """log(sum_k e^z_k): log(1 + s) as in a loss, and one addition to the maximum."""
    facts = softmax_facts(in_rows(x, axis), x.dtype)
    row, top = np.arange(len(facts.p.value)), facts.p.value.argmax(1)
    value = in_rows(x, axis).max(1) + facts.surprise.value[row, top]
    error = facts.surprise.error[row, top] + UNIT[x.dtype] * abs(value)
    shape = x.shape[:axis] + x.shape[axis + 1 :]
    return Exact(value.reshape(shape), error.reshape(shape))


def _softmax(x: np.ndarray, axis: int) -> Exact:
    """e^z_k / sum_j e^z_j."""
    p = softmax_facts(in_rows(x, axis), x.dtype).p
    return Exact(from_rows(p.value, x.shape, axis), from_rows(p.error, x.shape, axis))


def _log_softmax(x: np.ndarray, axis: int) -> Exact:
    """log(e^z_k / sum_j e^z_j)."""
    facts = softmax_facts(in_rows(x, axis), x.dtype).surprise
    return Exact(-from_rows(facts.value, x.shape, axis), from_rows(facts.error, x.shape, axis))


def _softmax_backward(g: np.ndarray, y: np.ndarray, axis: int) -> Exact:
    """y_k (g_k - sum_j g_j y_j); the error is relative to the absolute terms."""
    g, wide, u = g.astype(WIDE), y.astype(WIDE), UNIT[y.dtype]
    inner, size = ((x * wide).sum(axis, keepdims=True) for x in (g, abs(g)))
    return Exact(wide * (g - inner), 12 * u * abs(wide) * (abs(g) + size))


def _log_softmax_backward(g: np.ndarray, y: np.ndarray, axis: int) -> Exact:
    """g_k - e^y_k sum_j g_j; the error is relative to the absolute terms."""
    g, p, u = g.astype(WIDE), np.exp(y.astype(WIDE)), UNIT[y.dtype]
    total, size = (x.sum(axis, keepdims=True) for x in (g, abs(g)))
    return Exact(g - p * total, 12 * u * (abs(g) + p * size))


def _logsumexp_backward(g: np.ndarray, x: np.ndarray, axis: int) -> Exact:
    """g e^z_k / sum_j e^z_j: softmax and one product."""
    p = _softmax(x, axis)
    g = np.expand_dims(g, axis).astype(WIDE)
    error = abs(g) * (p.error + UNIT[x.dtype] * p.value)
    return Exact(g * p.value, error)


@dataclass(frozen=True)
class Normaliser:
    """A function along one axis, what it is of (of an array, or of g and an array), and ce's name.

    `drops` tells that the result of the forward function lacks the axis.
    """

    name: str
    define: Callable[..., Exact]
    backward_of: str = ""
    output: bool = False
    drops: bool = False


NORMALISERS = [
    Normaliser("logsumexp", _logsumexp, drops=True),
    Normaliser("softmax", _softmax),
    Normaliser("log_softmax", _log_softmax),
    Normaliser("softmax_backward", _softmax_backward, backward_of="softmax", output=True),
    Normaliser("log_softmax_backward", _log_softmax_backward, "log_softmax", output=True),
    Normaliser("logsumexp_backward", _logsumexp_backward, "logsumexp", drops=True),
]


def _signed(rng, classes, items, dtype):
    return rng.normal(size=items).astype(dtype)


def _positive(rng, classes, items, dtype):
    return rng.uniform(0.25, 2, items).astype(dtype)


def _per_class(rng, classes, items, dtype):
    return rng.uniform(0.25, 2, classes).astype(dtype)


def _always(value):
    return lambda rng, classes, items, dtype: value


@dataclass(frozen=True, eq=False)
class Loss:
    """A loss: the function, the class, the definition, and a maker for each of its options.

    `sweeps` are the sets of options to test together; `reduction` is swept over all of them.
    """

    name: str
    criterion: str
    define: Callable[..., Derivatives]
    options: dict[str, Callable[..., Any]]
    sweeps: tuple[tuple[str, ...], ...]
    reductions: tuple[str, ...] = ("none", "sum", "mean")
    per_call: tuple[str, ...] = field(default=("sample_weight",))


LOSSES = [
    Loss(
        "cross_entropy",
        "CrossEntropyLoss",
        cross_entropy,
        {
            "weight": _per_class,
            "sample_weight": _positive,
            "label_smoothing": _always(0.1),
            "ignore_index": _always(0),
        },
        (
            (),
            ("weight",),
            ("label_smoothing",),
            ("sample_weight",),
            ("weight", "label_smoothing"),
            ("weight", "sample_weight", "label_smoothing", "ignore_index"),
        ),
    ),
]
