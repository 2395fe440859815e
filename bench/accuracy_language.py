"""accuracy_language.py - the subjects of the accuracy report that are no rows of tests/oracle.

Statistics, the entropy of logits and its gradient, divergences of two models' logits, and
cross-entropy of logits that are capped, with a z-loss. The truth is mpmath's, of the formulas as
they are written; what is allowed is what the tests of each allow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

import ce
from bench.truth import cross_entropy as defined
from bench.truth import far_rows, softmax_facts, unit_of

CAP, Z_LOSS = 30.0, 1e-3


def _rows(z: np.ndarray, t: Any = None) -> Iterator[tuple[list, Any]]:
    """Each row as mpmath numbers, with digits enough, and its target."""
    for row, target in zip(z, np.zeros(len(z), int) if t is None else t, strict=True):
        reach = float(np.ptp(row.astype(np.float64)))
        with mpmath.workdps(60 + int(0.9 * reach)):
            yield [mpf(float(x)) for x in row], target


def _softmax(z: list) -> tuple[Any, list]:
    e = [mpmath.exp(x) for x in z]
    total = mpmath.fsum(e)
    return mpmath.log(total), [x / total for x in e]


# -- statistics, entropy --------------------------------------------------------------------------


def log_prob_truth(z, t):
    return {"value": [x[k] - _softmax(x)[0] for x, k in _rows(z, t)]}


def entropy_truth(z, t=None):
    found: dict[str, list] = {"loss": [], "gradient": []}
    for x, _ in _rows(z):
        lse, p = _softmax(x)
        H = mpmath.fsum(a * (lse - b) for a, b in zip(p, x, strict=True))
        found["loss"].append(H)
        found["gradient"] += [a * ((lse - b) - H) for a, b in zip(p, x, strict=True)]
    return found


def entropy_allowed(z, t=None):
    """(D + 8) u of H, D the runner-up's distance; p_k (gap_k + mean gap) times (gaps + 16) u."""
    u, facts = unit_of(z.dtype), softmax_facts(z, z.dtype)
    wide = z.astype(np.longdouble)
    gap = wide.max(1, keepdims=True) - wide
    p = facts.p.value
    mean = (p * gap).sum(1, keepdims=True)
    H = facts.surprise.value.min(1, keepdims=True) + mean
    top = np.arange(z.shape[1]) == z.argmax(1)[:, None]
    near = np.where(top, np.inf, gap).min(1, keepdims=True) + 8
    far = gap.max(1, keepdims=True)
    return {
        "loss": (H * near * u)[:, 0] + 1e-36,
        "gradient": _stored(p * (gap + mean) * (far + gap + 16) * u, p * (gap - mean), z.dtype),
    }


def _stored(error, value, dtype):
    """With half a place of the dtype that gradients are rounded to."""
    half = {2: 2.0**-11 if dtype == np.float16 else 2.0**-8}.get(dtype.itemsize, 0.0)
    least = 2.0**-25 if dtype == np.float16 else 1e-36
    return np.asarray(error + half * abs(value) + least, np.float64)


def of_entropy(z, t=None):
    loss, grad = ce.EntropyFromLogitsLoss(reduction="none").value_and_grad(z)
    return {"loss": loss, "gradient": grad}


# -- divergences ----------------------------------------------------------------------------------

BETA = 0.5
DIVERGENCES = {
    "kl_div_with_logits": ce.KLDivWithLogitsLoss(reduction="none"),
    "kl_div_with_logits-reverse": ce.KLDivWithLogitsLoss(reduction="none", reverse=True),
    "js_div_with_logits": ce.JSDivWithLogitsLoss(reduction="none", beta=BETA),
}


def pairs_of_rows(rng, n: int, dtype):
    """Models that are all but the same, close, and far from each other."""
    for noise in (1e-6, 1e-3, 0.1, 3.0):
        z = rng.normal(0, 4, (n // 8, 7)).astype(dtype)
        yield (z + rng.normal(0, noise, z.shape)).astype(dtype), z


def divergence_truth(label):
    def truth(y, z):
        found: dict[str, list] = {"loss": [], "gradient": []}
        for (a, _), (b, _) in zip(_rows(y), _rows(z), strict=True):
            with mpmath.workdps(90):
                (lse_q, q), (lse_p, p) = _softmax(a), _softmax(b)
                lq, lp = [x - lse_q for x in a], [x - lse_p for x in b]
                lm = [mpmath.log(BETA * x + (1 - BETA) * w) for x, w in zip(p, q, strict=True)]

                def far(x, lx, other):
                    return mpmath.fsum(w * (c - d) for w, c, d in zip(x, lx, other, strict=True))

                if label.endswith("reverse"):
                    loss = far(q, lq, lp)
                    grad = [w * (c - d - loss) for w, c, d in zip(q, lq, lp, strict=True)]
                elif label.startswith("js"):
                    of_q = far(q, lq, lm)
                    loss = BETA * far(p, lp, lm) + (1 - BETA) * of_q
                    grad = [
                        (1 - BETA) * w * (c - d - of_q) for w, c, d in zip(q, lq, lm, strict=True)
                    ]
                else:
                    loss, grad = far(p, lp, lq), [c - d for c, d in zip(q, p, strict=True)]
                found["loss"].append(loss)
                found["gradient"] += grad
        return found

    return truth


def divergence_allowed(label):
    """(R + 8) u of the divergence, R the range of the logits; see tests/values."""

    def allowed(y, z):
        found, u = divergence_truth(label)(y, z), unit_of(y.dtype)
        wide = [x.astype(np.float64) for x in (y, z)]
        reach = np.maximum(*[np.ptp(x, axis=1) for x in wide])[:, None] + 8
        q, p = (ce.softmax(x, axis=1) for x in wide)
        d = np.log(q) - np.log(p)
        loss = np.array([float(x) for x in found["loss"]])
        grad = np.array([float(x) for x in found["gradient"]]).reshape(y.shape)
        error = np.maximum(p, q) * (np.minimum(abs(d), 1) * reach + 4) * u
        if label != "kl_div_with_logits":
            error = error + (abs(grad) + q * loss[:, None]) * reach * u
        return {
            "loss": loss * reach[:, 0] * u + 1e-36, "gradient": _stored(error, grad, y.dtype)
        }  # fmt: skip

    return allowed


def of_divergence(label):
    def answers(y, z):
        loss, grad = DIVERGENCES[label].value_and_grad(y, z)
        return {"loss": loss, "gradient": grad}

    return answers


# -- cross-entropy of capped logits, with a z-loss -------------------------------------------------


def capped_truth(z, t, cap=None, lam=0.0):
    found: dict[str, list] = {"loss": [], "gradient": [], "Hessian": []}
    for x, k in _rows(z, t):
        with mpmath.workdps(mpmath.mp.dps + 20):
            tanh = [mpmath.tanh(a / cap) for a in x] if cap else [mpf(0)] * len(x)
            u = [cap * a for a in tanh] if cap else x
            slope = [1 - a**2 if cap else mpf(1) for a in tanh]
            lse, p = _softmax(u)
            found["loss"].append(lse - u[k] + mpf(lam) * lse**2)
            for j, (q, s, a) in enumerate(zip(p, slope, tanh, strict=True)):
                g = q - (j == k) + 2 * mpf(lam) * lse * q
                h = q * (1 - q) * (1 + 2 * mpf(lam) * lse) + 2 * mpf(lam) * q**2
                found["gradient"].append(g * s)
                found["Hessian"].append(h * s**2 - 2 * g * s * a / cap if cap else h)
    return found


def _of_options(**options):
    def answers(z, t):
        criterion = ce.CrossEntropyLoss(reduction="none", **options)
        grad, hess = criterion.grad_and_hess(z, t)
        return {"loss": criterion(z, t), "gradient": grad, "Hessian": hess}

    def allowed(z, t):
        exact = defined(z, t, reduction="none", **options)
        return {"loss": exact.loss.error, "gradient": exact.grad.error, "Hessian": exact.hess.error}

    return answers, allowed


def subjects(make: Any) -> list[Any]:
    """make: label, inputs, answers, truth, what is allowed."""
    one = [
        make(
            "token_stats-log_prob", far_rows,
            lambda z, t: {"value": ce.token_stats(z, t).log_prob}, log_prob_truth,
            lambda z, t: {
                "value": softmax_facts(z, z.dtype).surprise.error[np.arange(len(z)), t]
            },
        ),
        make("entropy_from_logits", far_rows, of_entropy, entropy_truth, entropy_allowed),
    ]  # fmt: skip
    for label in DIVERGENCES:
        one.append(
            make(
                label, pairs_of_rows, of_divergence(label), divergence_truth(label),
                divergence_allowed(label),
            )
        )  # fmt: skip
    for label, options, truth in (
        ("cross_entropy-softcap", {"softcap": CAP}, lambda z, t: capped_truth(z, t, cap=CAP)),
        ("cross_entropy-z_loss", {"z_loss": Z_LOSS}, lambda z, t: capped_truth(z, t, lam=Z_LOSS)),
    ):
        answers, allowed = _of_options(**options)
        one.append(make(label, far_rows, answers, truth, allowed))
    return one
