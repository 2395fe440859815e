"""lib_sklearn.py - scikit-learn's `_loss`, which its linear models and its boosting use.

It returns the losses of the items and the gradient of their sum, half of the squared error, and
wants class indices as floats. Its softmax is a scalar loop, timed up to 1000 classes only.
"""

from functools import partial

import numpy as np
import sklearn
from sklearn._loss import HalfBinomialLoss, HalfMultinomialLoss, HalfSquaredError, HuberLoss

from bench.cases import FORWARD, FUSED, FUSED_OUT, Case

LOSSES = {
    "cross_entropy": lambda case: HalfMultinomialLoss(n_classes=case.shape[1]),
    "binary_cross_entropy_with_logits": lambda case: HalfBinomialLoss(),
    "mse_loss": lambda case: HalfSquaredError(),
    "huber_loss": lambda case: HuberLoss(delta=1.0),
}
SCALES = {"mse_loss": 2}
_threads = 1


def modes(case: Case) -> tuple[str, ...]:
    plain = case.target != "probabilities" and not case.options and len(case.shape) <= 2
    known = case.loss in LOSSES and case.dtype in ("float32", "float64")
    fits = plain and known and case.shape[1:] <= (1000,)
    return (FORWARD, FUSED, FUSED_OUT) if fits else ()


def configure(threads: int) -> tuple[dict[str, str], str]:
    """Keep the thread count, which is an argument of each call."""
    global _threads
    _threads = threads
    return {"sklearn": sklearn.__version__}, "that of its wheel"


def prepare(case: Case, mode: str, logits, target):
    """A call without arguments that returns the value, or the value and the gradient."""
    loss, target = LOSSES[case.loss](case), target.astype(logits.dtype)
    work = {"y_true": target, "raw_prediction": logits, "n_threads": _threads}
    if mode == FORWARD:
        return lambda: loss.loss(**work).mean()
    if mode == FUSED_OUT:
        work |= {"loss_out": np.empty_like(target), "gradient_out": np.empty_like(logits)}
    fused = partial(loss.loss_gradient, **work)

    def value_and_grad():
        losses, grad = fused()
        return losses.mean(), grad

    return value_and_grad


def as_arrays(case: Case, output):
    """Value and gradient of the mean, the latter None where there is none."""
    value, grad = output if isinstance(output, tuple) else (output, None)
    scale = SCALES.get(case.loss, 1)
    return value * scale, None if grad is None else grad * (scale / case.items)
