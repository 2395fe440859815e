"""classification.py - the losses of logits along a class axis.

A loss per item, with v the item's weight and w those of the classes; its gradient and the diagonal
of its Hessian. Each of weights, mean and grad_output is one rounding or two more, 4 u together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np

from oracle.bends import cleared, hidden, open_classes, view
from oracle.exact import (
    UNIT,
    WIDE,
    Derivatives,
    Exact,
    class_axis,
    from_rows,
    in_rows,
    reduced,
    scaled,
    softmax_facts,
    times,
)
from oracle.inputs import distributions, far_rows, logits_and_classes
from oracle.jets import exp, of_rows
from oracle.rows import (
    GAMMAS,
    HESSIANS,
    IGNORED,
    OF_CLASSES,
    SAMPLE_WEIGHT,
    Curve,
    Measured,
    Option,
    Torch,
    Wrong,
    always,
    over_classes,
    per_class,
)

DOUBLE = UNIT[np.dtype(np.float64)]


@dataclass(frozen=True)
class Items:
    """Rows of logits, and what one item and one class have: target t, weights v and w."""

    z: np.ndarray
    t: np.ndarray
    v: np.ndarray
    w: np.ndarray
    shape: tuple[int, ...]
    axis: int

    @property
    def row(self) -> np.ndarray:
        return np.arange(len(self.z))

    @property
    def at_target(self) -> np.ndarray:
        return np.arange(self.z.shape[1]) == self.t[:, None]


def items_of(logits, target, weight, sample_weight, ignore_index, axis) -> Items:
    """Ignored items keep their place, with logits of 0 and weight 0."""
    axis = class_axis(logits.ndim, axis)
    z, t = in_rows(logits, axis), np.asarray(target).astype(object).reshape(-1)
    n, classes = z.shape
    counted = (t != ignore_index).astype(bool)
    z = np.where(counted[:, None], z, z.dtype.type(0))
    t = np.where(counted, t, 0).astype(np.int64)
    return Items(
        z, t, np.where(counted, weights(sample_weight, n), 0), weights(weight, classes),
        logits.shape, axis,
    )  # fmt: skip


def weights(x, n: int) -> np.ndarray:
    """One number each, 1 unless given."""
    return np.broadcast_to(np.reshape(1 if x is None else x, -1).astype(WIDE), (n,))


def roundings(dtype, reduction, n, *options) -> float:
    """What weights, grad_output and the mean cost, the sum of n weights among it."""
    plain = all(option is None for option in options)
    slack = 0 if plain and reduction != "mean" else 4 * UNIT[dtype]
    return slack + (n / 2 * DOUBLE if reduction == "mean" else 0)


def derivatives(items: Items, loss, grad, hess, size, reduction, grad_output) -> Derivatives:
    """Rows per item, times v, reduced: the mean divides by the size."""
    n, dtype = len(items.z), items.z.dtype
    g = np.ones(1, WIDE) if grad_output is None else np.asarray(grad_output).astype(WIDE)
    scale = np.broadcast_to(g.reshape(-1), (n,)) * items.v
    if reduction == "mean":
        with np.errstate(all="ignore"):
            scale = np.where(items.v == 0, 0, scale / size)
    shape = items.shape[: items.axis] + items.shape[items.axis + 1 :]
    results = (
        Exact(*(from_rows(x, items.shape, items.axis) for x in (rows.value, rows.error)))
        for rows in (scaled(x, scale[:, None], dtype) for x in (grad, hess))
    )
    loss = Exact(times(items.v, loss.value), times(abs(items.v), loss.error))
    return Derivatives(reduced(loss, size, reduction, dtype, shape), *results)


def _variance(facts, slack, u) -> Exact:
    """p (1 - p): a product of two probabilities, the errors of both, and a few roundings."""
    p, q = facts.p, facts.others
    error = p.error * q.value + q.error * p.value + (slack + 4 * u) * p.value * q.value
    return Exact(p.value * q.value, error)


# -- cross-entropy of class indices ---------------------------------------------------------------


def finished(loss, grad, hess, facts, seen, factor, u) -> tuple[Exact, Exact, Exact]:
    """With the z-loss, factor lse^2; the derivatives with respect to z."""
    L, L_off = facts.lse.value, facts.lse.error
    p, q, p_off = facts.p.value, facts.others.value, facts.p.error
    if factor:
        loss = Exact(
            loss.value + factor * L**2,
            loss.error + factor * (2 * abs(L) * L_off + 6 * u * L**2),  # lse twice, three products
        )
        L, L_off = L[:, None], L_off[:, None]
        both = _variance(facts, 0, u)
        grad = Exact(
            grad.value + 2 * factor * L * p,
            grad.error + 2 * factor * (abs(L) * p_off + L_off * p + 4 * u * abs(L) * p),
        )
        size = p**2 + abs(L) * p * q
        hess = Exact(
            hess.value + 2 * factor * (p**2 + L * p * q),
            hess.error + 2 * factor * (
                2 * p * p_off + L_off * p * q + abs(L) * both.error + 6 * u * size),
        )  # fmt: skip
    s, c, off = seen.slope, seen.curve, seen.slope_off
    if np.ndim(s) == 0 and s == 1:
        return loss, grad, hess
    hess = Exact(
        hess.value * s**2 + grad.value * c,
        hess.error * s**2 + abs(hess.value) * s**2 * (2 * off + 4 * u)
        + grad.error * abs(c) + abs(grad.value * c) * (2 * off + 12 * u),
    )  # fmt: skip
    return (
        loss,
        Exact(grad.value * s, grad.error * abs(s) + abs(grad.value * s) * (off + 2 * u)),
        hess,
    )


def cross_entropy(
    logits, target, *, weight=None, sample_weight=None, ignore_index=-100,
    label_smoothing=0.0, z_loss=0.0, where=None, reduction="mean", axis=None, grad_output=None,
    **bends,
) -> Derivatives:  # fmt: skip
    """(1 - eps) w_t (-log p_t) + eps / K sum_k w_k (-log p_k), and z_loss lse^2.

    Smoothing adds K terms in chunks, another 12 u with its own roundings, and may cancel: the
    error is relative to the sum of the absolute terms. K counts the classes that can be.
    """
    items = items_of(logits, target, weight, sample_weight, ignore_index, axis)
    mask = open_classes(where, logits.shape, items.axis)
    eps, u, row = WIDE(label_smoothing), UNIT[logits.dtype], items.row
    slack = roundings(logits.dtype, reduction, len(row), weight, sample_weight, grad_output)
    slack += 12 * u if eps else 0
    seen = view(hidden(items.z, mask | (items.v == 0)[:, None]), logits.dtype, **bends)
    facts = softmax_facts(seen.u, logits.dtype, seen.off)
    hot, smooth = (1 - eps) * items.w[items.t], eps / mask.sum(1, keepdims=True) * items.w * mask
    surprise, error = facts.surprise.value, facts.surprise.error
    loss = times(hot, surprise[row, items.t]) + times(smooth, surprise).sum(1)
    error = error + times(slack, surprise)
    loss_error = times(abs(hot), error[row, items.t]) + times(abs(smooth), error).sum(1)
    hot, whole, size = hot[:, None], smooth.sum(1, keepdims=True), abs(smooth).sum(1, keepdims=True)
    p, q, at_target = facts.p, facts.others, items.at_target
    first = np.where(at_target, -q.value, p.value)
    first_error = np.where(at_target, q.error, p.error)
    grad = hot * first + whole * p.value - smooth
    terms = abs(hot * first) + size * p.value + abs(smooth)
    grad_error = abs(hot) * first_error + size * p.error + slack * terms
    hess = _variance(facts, slack, u)
    hess = Exact(hess.value * (hot + whole), hess.error * (abs(hot) + size))
    size = (items.v * items.w[items.t]).sum()
    loss, grad, hess = finished(
        Exact(loss, loss_error), Exact(grad, grad_error), hess, facts, seen,
        z_loss * (size / items.v.sum() if z_loss and reduction == "mean" else WIDE(1)), u,
    )  # fmt: skip
    return derivatives(
        items, loss, cleared(grad, mask), cleared(hess, mask), size, reduction, grad_output
    )


def cross_entropy_formula(L, T, U):
    return L * U - T


def precise_row(z: np.ndarray, t: int) -> tuple[Any, np.ndarray, np.ndarray]:
    """log(sum_k e^z_k) - z_t, its gradient and its Hessian, by mpmath, exact to some 40 digits.

    Equal logits are evaluated once and counted.
    """
    levels, where, counts = np.unique(z, return_inverse=True, return_counts=True)
    digits = 60 + int((levels[-1] - levels[0]) / math.log(10))
    with mpmath.workdps(digits):
        zs = [mpmath.mpf(float(level)) for level in levels]
        e = [mpmath.exp(level) for level in zs]
        total = mpmath.fsum(int(n) * x for n, x in zip(counts, e, strict=True))
        p = [x / total for x in e]
        loss = to_wide(mpmath.log(total) - zs[where[t]])
        grad = np.array([to_wide(x) for x in p])[where]
        hess = np.array([to_wide(x * (1 - x)) for x in p])[where]
        grad[t] = to_wide(p[where[t]] - 1)
    return loss, grad, hess


def to_wide(x: mpmath.mpf) -> np.longdouble:
    """The mpmath number as a long double."""
    return WIDE(mpmath.nstr(x, 25, min_fixed=1, max_fixed=0))


WEIGHT = Option("weight", per_class, OF_CLASSES)
SMOOTHING = always(
    "label_smoothing", 0.1,
    Wrong(-0.1, ValueError, (r"-0\.1",)), Wrong(1.5, ValueError, (r"1\.5",)),
    Wrong(np.nan, ValueError, ("nan",)), Wrong("much", (TypeError, ValueError), ("much|str",)),
    Wrong(10**400, (TypeError, ValueError)),
)  # fmt: skip


def torch_cross_entropy(
    z, t, z_loss=0.0, logit_scale=1.0, softcap=None, temperature=1.0, **options
):
    """torch's, of logits that are bent before; the z-loss in its mean over the items that count."""
    import torch

    u = logit_scale * z
    if softcap is not None:
        u = softcap * torch.tanh(u / softcap)
    u = u / temperature
    loss = torch.nn.functional.cross_entropy(u, t, **options)
    if not z_loss:
        return loss
    square = z_loss * torch.logsumexp(u, min(1, z.ndim - 1)) ** 2
    counts = torch.ones_like(square)
    if not t.is_floating_point():
        counts = (t != options.get("ignore_index", -100)).to(square.dtype)
    reduction = options.get("reduction", "mean")
    if reduction == "none":
        return loss + square * counts
    return loss + (square * counts).sum() / (counts.sum() if reduction == "mean" else 1)


Z_LOSS = always(
    "z_loss", 0.01, Wrong(-0.1, ValueError, (r"-0\.1",)), Wrong(np.inf, ValueError, ("inf",)),
    Wrong(np.nan, ValueError, ("nan",)), Wrong("2", TypeError, ("'2'",)),
)  # fmt: skip
LOGIT_SCALE = always(
    "logit_scale", -0.75, Wrong(0, ValueError, ("0",)), Wrong(np.inf, ValueError, ("inf",)),
    Wrong(np.nan, ValueError, ("nan",)), Wrong("2", TypeError, ("'2'",)),
)  # fmt: skip
SOFTCAP = always(
    "softcap", 3.0, Wrong(0, ValueError, ("0",)), Wrong(-1.0, ValueError, (r"-1\.0",)),
    Wrong(np.inf, ValueError, ("inf",)), Wrong("2", TypeError, ("'2'",)),
)  # fmt: skip
TEMPERATURE = always(
    "temperature", 1.5, Wrong(0, ValueError, ("0",)), Wrong(-1.0, ValueError, (r"-1\.0",)),
    Wrong(np.inf, ValueError, ("inf",)), Wrong("2", TypeError, ("'2'",)),
)  # fmt: skip
BENDS = (
    (Z_LOSS,), (TEMPERATURE,), (LOGIT_SCALE, Z_LOSS, SAMPLE_WEIGHT), (SOFTCAP,),
    (SOFTCAP, LOGIT_SCALE, TEMPERATURE, Z_LOSS, SMOOTHING, WEIGHT, SAMPLE_WEIGHT),
)  # fmt: skip
CROSS_ENTROPY = over_classes(
    (WEIGHT,), (SMOOTHING,), (SAMPLE_WEIGHT,), (WEIGHT, SMOOTHING), *BENDS,
    (WEIGHT, SAMPLE_WEIGHT, SMOOTHING, IGNORED),
    name="cross_entropy", criterion="CrossEntropyLoss", core="cross_entropy",
    define=cross_entropy, truth=of_rows(cross_entropy_formula), input="logits", indices=True,
    arrays=logits_and_classes,
    measured=(
        Measured(far_rows),
        Measured(far_rows, "smoothing", {"label_smoothing": 0.1}),
    ),
    torch=Torch(torch_cross_entropy), axis="margin",
    curves=(
        Curve(),
        Curve(", ε = 0.1", {"label_smoothing": [0.1]}, options={"label_smoothing": 0.1}),
    ),
)  # fmt: skip


# -- cross-entropy of class probabilities ---------------------------------------------------------


def cross_entropy_probabilities(
    logits, target, *, weight=None, sample_weight=None, label_smoothing=0.0, z_loss=0.0,
    where=None, reduction="mean", axis=None, grad_output=None, **bends,
) -> Derivatives:  # fmt: skip
    """sum_k w_k q_k (-log p_k), q blended with 1 / K by the smoothing, and z_loss lse^2.

    K terms, added in chunks, with weights and the blend, are 12 u of the absolute terms.
    """
    axis, u = class_axis(logits.ndim, axis), UNIT[logits.dtype]
    no_index = np.zeros(logits.shape[:axis] + logits.shape[axis + 1 :], int)
    items = items_of(logits, no_index, weight, sample_weight, -1, axis)
    mask = open_classes(where, logits.shape, axis)
    eps = WIDE(label_smoothing)
    slack = 12 * u + roundings(logits.dtype, reduction, len(items.z), sample_weight, grad_output)
    seen = view(hidden(items.z, mask | (items.v == 0)[:, None]), logits.dtype, **bends)
    facts = softmax_facts(seen.u, logits.dtype, seen.off)
    even = eps / mask.sum(1, keepdims=True) * mask
    wq = items.w * ((1 - eps) * in_rows(target, axis).astype(WIDE) + even)
    surprise, error = facts.surprise.value, facts.surprise.error
    loss = Exact(times(wq, surprise).sum(1), times(abs(wq), error + times(slack, surprise)).sum(1))
    whole, size = wq.sum(1, keepdims=True), abs(wq).sum(1, keepdims=True)
    p = facts.p
    grad_error = size * p.error + slack * (size * p.value + abs(wq))
    hess = _variance(facts, slack, u)
    loss, grad, hess = finished(
        loss, Exact(whole * p.value - wq, grad_error),
        Exact(hess.value * whole, hess.error * size), facts, seen, WIDE(z_loss), u,
    )  # fmt: skip
    return derivatives(
        items, loss, cleared(grad, mask), cleared(hess, mask), items.v.sum(), reduction, grad_output
    )


def logits_and_probabilities(rng, shape, axis, dtype):
    """A third of the probabilities are 0."""
    logits, _ = logits_and_classes(rng, shape, axis, dtype)
    q = rng.uniform(0, 1, shape) * (rng.random(shape) < 0.7)
    total = q.sum(class_axis(len(shape), axis), keepdims=True)
    return logits, (q / np.where(total > 0, total, 1)).astype(dtype)


def far_rows_and_probabilities(rng, n, dtype):
    """Tails of logits, and probabilities of which a third are 0."""
    for z, _ in far_rows(rng, n, dtype):
        yield z, distributions(rng, z.shape, dtype)


CROSS_ENTROPY_PROBABILITIES = over_classes(
    (WEIGHT,), (SMOOTHING,), (SAMPLE_WEIGHT,), *BENDS, (WEIGHT, SAMPLE_WEIGHT, SMOOTHING),
    name="cross_entropy", variant="probabilities", criterion="CrossEntropyLoss",
    core="cross_entropy_probabilities", define=cross_entropy_probabilities,
    truth=of_rows(cross_entropy_formula), input="logits", arrays=logits_and_probabilities,
    measured=(Measured(far_rows_and_probabilities),), torch=Torch(torch_cross_entropy),
    axis="margin",
)  # fmt: skip


# -- negative log-likelihood ----------------------------------------------------------------------


def nll_loss(
    log_probs, target, *, weight=None, sample_weight=None, ignore_index=-100,
    reduction="mean", axis=None, grad_output=None,
) -> Derivatives:  # fmt: skip
    """-w_t log p_t, of log-probabilities: without weights an element, negated."""
    items = items_of(log_probs, target, weight, sample_weight, ignore_index, axis)
    options = (weight, sample_weight, grad_output)
    slack = roundings(log_probs.dtype, reduction, len(items.z), *options)
    w = items.w[items.t]
    loss = times(-w, items.z[items.row, items.t].astype(WIDE))
    grad = np.where(items.at_target, -w[:, None], 0)
    none = np.zeros_like(grad)
    return derivatives(
        items, Exact(loss, slack * abs(loss)), Exact(grad, slack * abs(grad)), Exact(none, none),
        (items.v * w).sum(), reduction, grad_output,
    )  # fmt: skip


def nll_formula(L, T, U):
    return -1 * T


def log_probs_and_classes(rng, shape, axis, dtype):
    """Logarithms of probabilities that sum to 1, but for rounding."""
    logits, target = logits_and_classes(rng, shape, axis, dtype)
    axis = class_axis(len(shape), axis)
    rows = in_rows(logits, axis).astype(WIDE)
    rows = rows - np.log(np.exp(rows).sum(1, keepdims=True))
    return from_rows(rows, shape, axis).astype(dtype), target


def far_log_rows(rng, n, dtype):
    """Tails of log-probabilities."""
    for z, t in far_rows(rng, n, dtype):
        wide = z.astype(np.longdouble)
        wide = wide - wide.max(1, keepdims=True)
        yield (wide - np.log(np.exp(wide).sum(1, keepdims=True))).astype(dtype), t


NLL = over_classes(
    (WEIGHT,), (SAMPLE_WEIGHT,), (WEIGHT, SAMPLE_WEIGHT, IGNORED),
    name="nll_loss", criterion="NLLLoss", core="nll", define=nll_loss,
    truth=of_rows(nll_formula), input="log_probs", indices=True, linear=True,
    arrays=log_probs_and_classes, measured=(Measured(far_log_rows),), torch=Torch("nll_loss"),
    axis="probability", curves=(Curve(),), assumes="It is a product.",
)  # fmt: skip


# -- focal loss -----------------------------------------------------------------------------------


def focal_loss(
    logits, target, *, gamma=2.0, alpha=None, sample_weight=None, ignore_index=-100,
    reduction="mean", axis=None, grad_output=None, hessian="exact",
) -> Derivatives:  # fmt: skip
    """F = alpha_t q^g L with p = p_t, q = 1 - p, L = -log p.

    The chain rule with dp / dz_k = p ([k = t] - p_k); F' and F'' are derivatives in p. A power
    costs g times the error of q and 4 (1 + g) u of its own. x stands for p_k, and for q at t: the
    gradient is -F' p x (at t the other sign), the Hessian (F'' p^2 + F' p) x^2 - F' p x (1 - x).
    """
    items = items_of(logits, target, alpha, sample_weight, ignore_index, axis)
    g, u, dtype = WIDE(gamma), UNIT[logits.dtype], logits.dtype
    slack = roundings(dtype, reduction, len(items.z), alpha, sample_weight, grad_output) + 4 * u
    facts, row = softmax_facts(items.z, dtype), items.row
    p, q, L = (
        Exact(x.value[row, items.t][:, None], x.error[row, items.t][:, None])
        for x in (facts.p, facts.others, facts.surprise)
    )
    certain = q.value == 0
    Q, q_off, L_off = (
        np.where(certain, WIDE(gamma == 0), q.value**g),
        np.where(certain, 0, q.error / np.where(certain, 1, q.value)),
        np.where(certain, 0, L.error / np.where(certain, 1, L.value)),
    )
    Q_off = g * q_off + (4 * (1 + g) * u if gamma else 0)
    q1 = np.where(certain, 1, q.value)
    # A = -F' p, and E = F'' p^2 + F' p = g q^(g-2) p [(g - 1) p L + 2 q - q L]
    B = g * Q / q1 * L.value
    A = Q + B * p.value
    A_error = A * Q_off + B * (p.error + p.value * (L_off + q_off + 4 * u))
    D = (g - 1) * p.value * L.value / q1, 2 + 0 * q1, -L.value
    E_over_p, E_terms = (g * Q / q1 * sum(terms) for terms in (D, map(abs, D)))
    E_error = E_terms * (2 * p.error + p.value * (Q_off + 2 * q_off + L_off + 8 * u))
    E, E_terms = E_over_p * p.value, E_terms * p.value

    at_target = items.at_target
    x = np.where(at_target, facts.others.value, facts.p.value)
    x_error = np.where(at_target, facts.others.error, facts.p.error)
    grad = np.where(at_target, -A * x, A * x)
    grad_error = A_error * x + A * x_error + slack * A * x
    variance = _variance(facts, slack, u)
    second, second_error = A * variance.value, A * variance.error + A_error * variance.value
    if hessian == "abs":
        second, second_error = abs(grad), grad_error
    elif hessian == "exact":
        second = second + E * x**2
        second_error = second_error + E_error * x**2 + E_terms * x * (2 * x_error + slack * x)
    w = items.w[items.t]
    loss = Exact(
        w * (Q * L.value)[:, 0], abs(w) * (Q * (L.error + L.value * (Q_off + slack)))[:, 0]
    )
    w = w[:, None]
    return derivatives(
        items, loss, Exact(w * grad, abs(w) * grad_error),
        Exact(w * second, abs(w) * second_error), items.v.sum(), reduction, grad_output,
    )  # fmt: skip


def focal_formula(L, T, U, gamma=2):
    return ((1 - exp(T - L)) ** gamma) * (L - T)


def torch_focal(z, t, gamma=2.0, alpha=None, ignore_index=-100, reduction="mean"):
    """alpha_t (1 - p_t)^gamma (-log p_t), over the classes of axis 1, or 0."""
    import torch

    axis = min(1, z.ndim - 1)
    counted = t != ignore_index
    index = torch.where(counted, t, 0).unsqueeze(axis)
    log_p = torch.log_softmax(z, axis).gather(axis, index).squeeze(axis)
    loss = -((1 - log_p.exp()) ** gamma) * log_p
    if alpha is not None:
        loss = loss * alpha[index.squeeze(axis)]
    loss = torch.where(counted, loss, 0)
    if reduction == "none":
        return loss
    return loss.sum() / (counted.sum() if reduction == "mean" else 1)


def _sound(p, grad):
    """torch forms 1 - p before the power: 0 to a negative power is NaN, or has no digits."""
    if not 0 < p.options.get("gamma", 2) < 1:
        return None
    axis = class_axis(p.x.ndim, None)
    others = softmax_facts(in_rows(p.x, axis), p.x.dtype).others.value
    at_target = np.take_along_axis(
        from_rows(others, p.x.shape, axis), np.expand_dims(p.target, axis), axis
    )
    return np.isfinite(grad) & (at_target > 1e-3)


ALPHA = Option("alpha", per_class, OF_CLASSES)
FOCAL = over_classes(
    *((gamma,) for gamma in GAMMAS), (ALPHA,), (SAMPLE_WEIGHT,),
    (ALPHA, SAMPLE_WEIGHT, IGNORED, GAMMAS[4]),
    name="focal_loss", criterion="FocalLoss", core="focal", define=focal_loss,
    truth=of_rows(focal_formula, newton=True), input="logits", indices=True,
    arrays=logits_and_classes, measured=(Measured(far_rows),), hessians=HESSIANS,
    torch=Torch(torch_focal, sound=_sound, slack=30), axis="margin",
    curves=(
        Curve(", γ = 5", options={"gamma": 5}),
        Curve(
            ", γ = 0, α = 3", {"gamma": [0], "alpha": [3]}, options={"gamma": 0, "alpha": 3}
        ),
    ),
)  # fmt: skip


ROWS = [CROSS_ENTROPY, CROSS_ENTROPY_PROBABILITIES, NLL, FOCAL]
