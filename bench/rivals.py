"""rivals.py - what other libraries answer to the same arrays, element by element or row by row.

A function per library: of the label of a loss and its arrays, to a dictionary of arrays like that
of truth.py, empty where the library does not offer the loss in that dtype.
"""

from __future__ import annotations

import warnings

import ml_dtypes
import numpy as np

HALF_TYPES = 2  # bytes
MANY = 10  # classes: torch needs a backward pass for each


def torch(label: str, *arrays: np.ndarray) -> dict[str, np.ndarray]:
    """Eager; the Hessian by differentiating twice, where classes are few. The focal losses are
    composed, as usual."""
    import torch
    from torch.nn import functional

    from bench.lib_torch import _tensor

    torch.set_num_threads(1)

    def array(tensor):
        tensor = tensor.detach()
        if tensor.dtype == torch.bfloat16:
            return tensor.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
        return tensor.numpy()

    def focal_loss(z, t, gamma=2.0):
        log_p = functional.log_softmax(z, 1).gather(1, t[:, None])[:, 0]
        return -((1 - log_p.exp()) ** gamma) * log_p

    def sigmoid_focal_loss(z, t, gamma=2.0, alpha=0.25):
        p = torch.sigmoid(z)
        losses = functional.binary_cross_entropy_with_logits(z, t, reduction="none")
        miss = 1 - (p * t + (1 - p) * (1 - t))
        return (alpha * t + (1 - alpha) * (1 - t)) * losses * miss**gamma

    values = {
        "softmax": lambda z: torch.softmax(z, 1),
        "log_softmax": lambda z: torch.log_softmax(z, 1),
        "logsumexp": lambda z: torch.logsumexp(z, 1),
        "softmax_backward": lambda g, y: torch.ops.aten._softmax_backward_data(g, y, 1, y.dtype),
        "log_softmax_backward": lambda g, y: torch.ops.aten._log_softmax_backward_data(
            g, y, 1, y.dtype
        ),
    }
    tensors = [_tensor(array.copy()) for array in arrays]

    def log_prob(z, t):
        return functional.log_softmax(z, 1).gather(1, t[:, None])[:, 0]

    def entropy(z, t=None):
        return torch.distributions.Categorical(logits=z).entropy()

    def kl(y, z, reverse=False):
        logs = [functional.log_softmax(x, 1) for x in ((z, y) if reverse else (y, z))]
        return functional.kl_div(*logs, log_target=True, reduction="none").sum(1)

    def capped(z, t):
        return functional.cross_entropy(30 * torch.tanh(z / 30), t, reduction="none")

    def with_z_loss(z, t):
        losses = functional.cross_entropy(z, t, reduction="none")
        return losses + 1e-3 * torch.logsumexp(z, 1) ** 2

    by_hand = {
        "entropy_from_logits": entropy, "kl_div_with_logits": kl,
        "kl_div_with_logits-reverse": lambda y, z: kl(y, z, True),
        "cross_entropy-softcap": capped, "cross_entropy-z_loss": with_z_loss,
    }  # fmt: skip
    if label == "token_stats-log_prob":
        return {"value": array(log_prob(*tensors))}
    if label in by_hand:
        x = tensors[0].requires_grad_()
        losses = by_hand[label](x, *tensors[1:])
        (grad,) = torch.autograd.grad(losses.sum(), x)
        return {"loss": array(losses), "gradient": array(grad)}
    if label in values:
        return {"value": array(values[label](*tensors))}
    name, _, variant = label.partition("-")
    options = {"smoothing": {"label_smoothing": 0.1}, "logs": {"log_target": True}}.get(variant, {})
    composed = {"focal_loss": focal_loss, "sigmoid_focal_loss": sigmoid_focal_loss}
    if name in composed:
        loss = composed[name]
    elif hasattr(functional, name):
        options["reduction"] = "none"
        loss = getattr(functional, name)
    else:
        return {}
    x, y = tensors
    try:
        losses = loss(x.requires_grad_(), y, **options)
    except NotImplementedError:
        return {}
    (grad,) = torch.autograd.grad(losses.sum(), x, create_graph=True)
    results = {"loss": losses, "gradient": grad}
    other_bounds = name == "binary_cross_entropy"  # its second derivative is another
    if not other_bounds and (x.ndim == 1 or x.shape[1] < MANY):
        results["Hessian"] = hess = torch.zeros_like(grad)
        for at in [(..., k) for k in range(x.shape[1])] if x.ndim == 2 else [...]:
            if grad.requires_grad:
                (slope,) = torch.autograd.grad(
                    grad[at].sum(), x, retain_graph=True, allow_unused=True
                )
                hess[at] = 0 if slope is None else slope[at]
    return {quantity: array(tensor) for quantity, tensor in results.items()}


def scipy(label: str, *arrays: np.ndarray) -> dict[str, np.ndarray]:
    """The functions of scipy.special, and gradients by those that are one."""
    from scipy import special

    if arrays[0].dtype.itemsize == HALF_TYPES:
        return {}

    def one_hot(z, t):
        return np.arange(z.shape[1]) == t[:, None]

    def cross_entropy(z, t):
        loss = -np.take_along_axis(special.log_softmax(z, axis=1), t[:, None], axis=1)[:, 0]
        return {
            "loss": loss,
            "gradient": special.softmax(z, axis=1) - one_hot(z, t).astype(z.dtype),
        }

    def bce_with_logits(x, y):
        loss = -(y * special.log_expit(x) + (1 - y) * special.log_expit(-x))
        return {"loss": loss, "gradient": special.expit(x) - y}

    functions = {
        "cross_entropy": cross_entropy,
        "binary_cross_entropy": lambda x, y: {
            "loss": -np.maximum(special.xlogy(y, x), -100 * y)
            - np.maximum(special.xlog1py(1 - y, -x), -100 * (1 - y))
        },
        "binary_cross_entropy_with_logits": bce_with_logits,
        "huber_loss": lambda x, y: {"loss": special.huber(x.dtype.type(1), x - y)},
        "kl_div": lambda x, y: {"loss": special.rel_entr(y, np.exp(x))},
        "softmax": lambda z: {"value": special.softmax(z, axis=1)},
        "log_softmax": lambda z: {"value": special.log_softmax(z, axis=1)},
        "logsumexp": lambda z: {"value": special.logsumexp(z, axis=1)},
        "entropy": lambda p: {"value": special.entr(p).sum(1)},
        "relative_entropy": lambda p, q: {"value": special.rel_entr(p, q).sum(1)},
    }
    label = label.removesuffix("-soft")
    with np.errstate(all="ignore"):
        return functions[label](*arrays) if label in functions else {}


def sklearn(label: str, *arrays: np.ndarray) -> dict[str, np.ndarray]:
    """The losses of `sklearn._loss`, which its linear models and its boosting use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sklearn import _loss

    if arrays[0].dtype.itemsize == HALF_TYPES:
        return {}
    x, y = arrays[0], arrays[-1].astype(arrays[0].dtype)
    losses = {
        "cross_entropy": lambda: (_loss.HalfMultinomialLoss(n_classes=x.shape[1]), 1),
        "binary_cross_entropy_with_logits": lambda: (_loss.HalfBinomialLoss(), 1),
        "mse_loss": lambda: (_loss.HalfSquaredError(), 2),
        "huber_loss": lambda: (_loss.HuberLoss(delta=1.0), 1),
    }
    label = label.removesuffix("-soft")
    if label not in losses:
        return {}
    loss, scale = losses[label]()
    value, grad = loss.loss_gradient(y_true=y, raw_prediction=x, n_threads=1)
    results = {"loss": value * value.dtype.type(scale), "gradient": grad * grad.dtype.type(scale)}
    if label in ("cross_entropy", "binary_cross_entropy_with_logits"):
        results["Hessian"] = loss.gradient_hessian(y_true=y, raw_prediction=x, n_threads=1)[1]
    return results


LIBRARIES = {"torch": torch, "scipy": scipy, "sklearn": sklearn}
