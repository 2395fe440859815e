"""lib_compile.py - torch.compile: what lib_torch.py calls, compiled for the shapes of the case."""

import os

os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

import torch

from bench import lib_torch
from bench.cases import FORWARD, FUSED, Case
from bench.lib_torch import as_arrays, configure

__all__ = ["as_arrays", "configure", "modes", "prepare"]


def modes(case: Case) -> tuple[str, ...]:
    return (FORWARD, FUSED) if case.is_loss else (FORWARD,)


def prepare(case: Case, mode: str, *arrays):
    """A call without arguments that returns the value, or the value and the gradient."""
    torch._dynamo.reset()
    return lib_torch.prepare(
        case, mode, *arrays, wrap=lambda loss: torch.compile(loss, dynamic=False)
    )
