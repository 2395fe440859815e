"""lib_numpy.py - the NumPy that one writes by hand: stable, without needless copies, no tricks."""

from functools import partial

import numpy as np

from bench.cases import FORWARD, FUSED_OUT, MODES, Case, inputs

__all__ = ["MODES", "configure", "prepare", "to_array"]

to_array = np.asarray


def cross_entropy(z, t, label_smoothing=0.0):
    """Mean cross-entropy of logits ``(N, K, ...)`` and class indices ``(N, ...)``."""
    z = z - z.max(axis=1, keepdims=True)
    lse = np.log(np.exp(z).sum(axis=1))
    loss = lse - np.take_along_axis(z, t[:, None], axis=1)[:, 0]
    if label_smoothing:
        loss = (1 - label_smoothing) * loss + label_smoothing * (lse - z.mean(axis=1))
    return loss.mean()


def cross_entropy_grad(z, t, label_smoothing=0.0, out=None):
    """The mean and its gradient, which is ``softmax(z) - one_hot(t)`` over the number of items."""
    eps = label_smoothing
    at_target = t[:, None]
    g = np.subtract(z, z.max(axis=1, keepdims=True), out=out)
    z_t = np.take_along_axis(g, at_target, axis=1)
    mean = g.mean(axis=1, keepdims=True) if eps else 0.0
    np.exp(g, out=g)
    s = g.sum(axis=1, keepdims=True)
    loss = np.log(s) - (1 - eps) * z_t - eps * mean
    g *= 1 / (s * t.size)
    if eps:
        g -= eps / (z.shape[1] * t.size)
    p_t = np.take_along_axis(g, at_target, axis=1)
    np.put_along_axis(g, at_target, p_t - (1 - eps) / t.size, axis=1)
    return loss.mean(), g


LOSSES = {"cross_entropy": (cross_entropy, cross_entropy_grad)}


def configure(threads: int) -> tuple[dict[str, str], str]:
    """Nothing to set: the element-wise functions of NumPy use one thread."""
    return {"numpy": np.__version__}, "NumPy's choice for each function"


def prepare(case: Case, mode: str):
    """A call without arguments that returns the value, or the value and the gradient."""
    forward, fused = LOSSES[case.loss]
    logits, target = inputs(case)
    if mode == FORWARD:
        return partial(forward, logits, target, **case.options)
    if mode == FUSED_OUT:
        return partial(fused, logits, target, **case.options, out=np.empty_like(logits))
    return partial(fused, logits, target, **case.options)
