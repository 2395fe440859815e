"""lib_scipy.py - what scipy.special offers: values; it has no gradients."""

import numpy as np
import scipy
from scipy import special

from bench.cases import FORWARD, Case


def cross_entropy(z, t):
    return -np.take_along_axis(special.log_softmax(z, axis=1), t[:, None], axis=1).mean()


def binary_cross_entropy_with_logits(z, t):
    return -(special.log_expit(z) - (1 - t) * z).mean()


LOSSES = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits,
    "huber_loss": lambda x, t: special.huber(np.float32(1), x - t).mean(),
    "logsumexp": lambda z: special.logsumexp(z, axis=1),
    "softmax": lambda z: special.softmax(z, axis=1),
    "log_softmax": lambda z: special.log_softmax(z, axis=1),
}


def modes(case: Case) -> tuple[str, ...]:
    plain = case.target != "probabilities" and not case.options
    known = case.loss in LOSSES and case.dtype in ("float32", "float64")
    return (FORWARD,) if plain and known else ()


def configure(threads: int) -> tuple[dict[str, str], str]:
    """Nothing to set: the functions use one thread."""
    return {"scipy": scipy.__version__}, "that of its wheel"


def prepare(case: Case, mode: str, *arrays):
    """A call without arguments that returns the value."""
    return lambda: LOSSES[case.loss](*arrays)
