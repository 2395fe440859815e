"""lib_torch.py - torch, eager.

The forward pass is timed under `no_grad`, the gradient through `autograd.grad`. torch cannot write
a gradient into an array it is given, so there is no such mode.
"""

from functools import partial

import torch
from torch.nn import functional

from bench.cases import FORWARD, FORWARD_OUT, FUSED, Case


def focal_loss(z, t, gamma=2.0):
    """Composed: torch has none."""
    log_p = functional.log_softmax(z, 1).gather(1, t[:, None])[:, 0]
    return (-((1 - log_p.exp()) ** gamma) * log_p).mean()


def sigmoid_focal_loss(z, t, gamma=2.0, alpha=0.25):
    """Composed, by the formula that torchvision uses."""
    p = torch.sigmoid(z)
    losses = functional.binary_cross_entropy_with_logits(z, t, reduction="none")
    miss = 1 - (p * t + (1 - p) * (1 - t))
    return ((alpha * t + (1 - alpha) * (1 - t)) * losses * miss**gamma).mean()


LOSSES = {
    "focal_loss": focal_loss,
    "sigmoid_focal_loss": sigmoid_focal_loss,
    "logsumexp": partial(torch.logsumexp, dim=1),
    "softmax": partial(torch.softmax, dim=1),
    "log_softmax": partial(torch.log_softmax, dim=1),
}


def modes(case: Case) -> tuple[str, ...]:
    return (FORWARD, FUSED) if case.is_loss else case.modes


def configure(threads: int) -> tuple[dict[str, str], str]:
    """Set the thread count; return the versions and the instruction set in use."""
    torch.set_num_threads(threads)
    return {"torch": torch.__version__}, torch.backends.cpu.get_cpu_capability().lower()


def _tensor(array):
    if array.dtype.itemsize == 2 and array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view("uint16")).view(torch.bfloat16)
    return torch.from_numpy(array)


def prepare(case: Case, mode: str, *arrays, wrap=lambda function: function):
    """A call without arguments that returns the value, or the value and the gradient."""
    loss = LOSSES.get(case.loss) or getattr(functional, case.loss)
    loss = wrap(partial(loss, **case.options))
    logits, *target = map(_tensor, arrays)
    if mode == FORWARD:
        return partial(torch.no_grad()(loss), logits, *target)
    if mode == FORWARD_OUT:  # torch.log_softmax itself takes no `out`
        into = {"softmax": torch._softmax, "log_softmax": torch._log_softmax}[case.loss]
        return partial(into, logits, 1, False, out=torch.empty_like(logits))
    logits.requires_grad_()

    def value_and_grad():
        value = loss(logits, *target)
        return value, *torch.autograd.grad(value, logits)

    return value_and_grad


def _array(tensor):
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def as_arrays(case: Case, output):
    """Value and gradient of the mean, the latter None where there is none."""
    value, grad = output if isinstance(output, tuple) else (output, None)
    return _array(value), None if grad is None else _array(grad)
