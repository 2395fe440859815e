"""lib_jax.py - JAX under jit. XLA has no thread count, so the process is held to so many CPUs."""

import os
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from bench.cases import FORWARD, FUSED, Case


def _at(z, t):
    return jnp.take_along_axis(z, t[:, None], axis=1)[:, 0]


def cross_entropy(z, t, label_smoothing=0.0):
    """Half types are computed in float32, as JAX's users do."""
    z = z.astype(jnp.promote_types(z.dtype, jnp.float32))
    lse = jax.nn.logsumexp(z, axis=1)
    if t.ndim == z.ndim:
        return (lse - (z * t).sum(axis=1)).mean()
    loss = lse - _at(z, t)
    if label_smoothing:
        loss = (1 - label_smoothing) * loss + label_smoothing * (lse - z.mean(axis=1))
    return loss.mean()


def focal_loss(z, t, gamma=2):
    log_p = _at(jax.nn.log_softmax(z, axis=1), t)
    return (-((1 - jnp.exp(log_p)) ** gamma) * log_p).mean()


def binary_cross_entropy_with_logits(z, t):
    return (jax.nn.softplus(z) - t * z).mean()


def sigmoid_focal_loss(z, t, gamma=2, alpha=0.25):
    p = jax.nn.sigmoid(z)
    miss = p * (1 - t) + (1 - p) * t
    weight = alpha * t + (1 - alpha) * (1 - t)
    return (weight * (jax.nn.softplus(z) - t * z) * miss**gamma).mean()


def mse_loss(x, t):
    return ((x - t) ** 2).mean()


def huber_loss(x, t, delta=1.0):
    a = abs(x - t)
    return jnp.where(a <= delta, a * a / 2, delta * (a - delta / 2)).mean()


LOSSES = {
    "cross_entropy": cross_entropy,
    "focal_loss": focal_loss,
    "sigmoid_focal_loss": sigmoid_focal_loss,
    "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits,
    "mse_loss": mse_loss,
    "huber_loss": huber_loss,
    "logsumexp": partial(jax.nn.logsumexp, axis=1),
    "softmax": partial(jax.nn.softmax, axis=1),
    "log_softmax": partial(jax.nn.log_softmax, axis=1),
}


def modes(case: Case) -> tuple[str, ...]:
    return (FORWARD, FUSED) if case.is_loss else (FORWARD,)


def configure(threads: int) -> tuple[dict[str, str], str]:
    """Hold the process to so many CPUs; return the versions and the instruction set in use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    jax.config.update("jax_enable_x64", True)
    return {"jax": jax.__version__}, "XLA's choice"


def prepare(case: Case, mode: str, logits, *target):
    """A call without arguments that returns the value, or the value and the gradient."""
    loss = partial(LOSSES[case.loss], **case.options)
    function = jax.jit(loss if mode == FORWARD else jax.value_and_grad(loss))
    target = [t.astype(np.int32) if t.dtype == np.int64 else t for t in target]
    arrays = [jnp.asarray(array) for array in (logits, *target)]
    return lambda: jax.block_until_ready(function(*arrays))
