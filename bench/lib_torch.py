"""lib_torch.py - torch, eager.

The forward pass is timed under `no_grad`, the gradient through `autograd.grad`. torch cannot write
a gradient into an array it is given, so there is no third mode.
"""

from functools import partial

import torch
from torch.nn.functional import cross_entropy

from bench.cases import FORWARD, FUSED, Case, inputs

LOSSES = {"cross_entropy": cross_entropy}
MODES = FORWARD, FUSED


def to_array(x):
    return x.detach().numpy()


def configure(threads: int) -> tuple[dict[str, str], str]:
    """Set the thread count; return the versions and the instruction set in use."""
    torch.set_num_threads(threads)
    return {"torch": torch.__version__}, torch.backends.cpu.get_cpu_capability().lower()


def prepare(case: Case, mode: str):
    """A call without arguments that returns the value, or the value and the gradient."""
    loss = partial(LOSSES[case.loss], **case.options)
    logits, target = map(torch.from_numpy, inputs(case))
    if mode == FORWARD:
        return partial(torch.no_grad()(loss), logits, target)
    logits.requires_grad_()

    def value_and_grad():
        value = loss(logits, target)
        return value, *torch.autograd.grad(value, logits)

    return value_and_grad
