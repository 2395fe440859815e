"""lib_numpy.py - the NumPy that one writes by hand: stable, without needless copies, no tricks."""

from functools import partial

import numpy as np

from bench.cases import FORWARD, FORWARD_OUT, FUSED, FUSED_OUT, Case


def cross_entropy(z, t, label_smoothing=0.0):
    """Mean cross-entropy of logits ``(N, K, ...)`` and indices ``(N, ...)``, or probabilities."""
    z = z - z.max(axis=1, keepdims=True)
    if t.ndim == z.ndim:
        return (np.log(np.exp(z).sum(axis=1)) - (z * t).sum(axis=1)).mean()
    lse = np.log(np.exp(z).sum(axis=1))
    loss = lse - np.take_along_axis(z, t[:, None], axis=1)[:, 0]
    if label_smoothing:
        loss = (1 - label_smoothing) * loss + label_smoothing * (lse - z.mean(axis=1))
    return loss.mean()


def cross_entropy_grad(z, t, label_smoothing=0.0, out=None):
    """The mean and its gradient, which is ``softmax(z) - one_hot(t)`` over the number of items."""
    eps, n = label_smoothing, z.size // z.shape[1]
    g = np.subtract(z, z.max(axis=1, keepdims=True), out=out)
    if t.ndim == z.ndim:
        z_t = (g * t).sum(axis=1, keepdims=True)
    else:
        z_t = np.take_along_axis(g, t[:, None], axis=1)
    mean = g.mean(axis=1, keepdims=True) if eps else 0.0
    np.exp(g, out=g)
    s = g.sum(axis=1, keepdims=True)
    loss = (np.log(s) - (1 - eps) * z_t - eps * mean).mean()
    if t.ndim == z.ndim:
        g /= s
        g -= t
        g /= n
        return loss, g
    g *= 1 / (s * n)
    if eps:
        g -= eps / (z.shape[1] * n)
    p_t = np.take_along_axis(g, t[:, None], axis=1)
    np.put_along_axis(g, t[:, None], p_t - (1 - eps) / n, axis=1)
    return loss, g


def binary_cross_entropy_with_logits(z, t):
    return (np.maximum(z, 0) - t * z + np.log1p(np.exp(-np.abs(z)))).mean()


def binary_cross_entropy_with_logits_grad(z, t, out=None):
    g = np.negative(np.abs(z, out=out), out=out)
    np.exp(g, out=g)
    value = (np.maximum(z, 0) - t * z + np.log1p(g)).mean()
    np.divide(np.where(z < 0, g, 1), 1 + g, out=g)
    g -= t
    g /= z.size
    return value, g


def mse_loss(x, t):
    d = x - t
    return np.dot(d, d) / d.size


def mse_loss_grad(x, t, out=None):
    g = np.subtract(x, t, out=out)
    value = np.dot(g, g) / g.size
    g *= 2 / g.size
    return value, g


def logsumexp(z):
    m = z.max(axis=1, keepdims=True)
    return m[:, 0] + np.log(np.exp(z - m).sum(axis=1))


def softmax(z, out=None):
    g = np.subtract(z, z.max(axis=1, keepdims=True), out=out)
    np.exp(g, out=g)
    g /= g.sum(axis=1, keepdims=True)
    return g


def log_softmax(z, out=None):
    g = np.subtract(z, z.max(axis=1, keepdims=True), out=out)
    g -= np.log(np.exp(g).sum(axis=1, keepdims=True))
    return g


def modes(case: Case) -> tuple[str, ...]:
    if case.loss not in globals() or case.dtype not in ("float32", "float64"):
        return ()
    return (FORWARD, FUSED, FUSED_OUT) if case.is_loss else case.modes


def configure(threads: int) -> tuple[dict[str, str], str]:
    """Nothing to set: the element-wise functions of NumPy use one thread."""
    return {"numpy": np.__version__}, "NumPy's choice for each function"


def prepare(case: Case, mode: str, *arrays):
    """A call without arguments that returns the value, or the value and the gradient."""
    name = case.loss if mode in (FORWARD, FORWARD_OUT) else f"{case.loss}_grad"
    call = partial(globals()[name], *arrays, **case.options)
    return partial(call, out=np.empty_like(arrays[0])) if mode.endswith("out") else call
