"""lib_ce.py - `ce` as a user calls it."""

from functools import partial

import numpy as np

import ce
from bench.cases import FORWARD, FUSED_OUT, MODES, Case, inputs

__all__ = ["MODES", "configure", "prepare", "to_array"]

LOSSES = {"cross_entropy": (ce.cross_entropy, ce.CrossEntropyLoss)}
to_array = np.asarray


def configure(threads: int) -> tuple[dict[str, str], str]:
    """Set the thread count; return the versions and the instruction set in use."""
    ce.set_num_threads(threads)
    return {"ce": ce.__version__}, ce.show_config(mode="dicts")["instruction set"]


def prepare(case: Case, mode: str):
    """A call without arguments that returns the value, or the value and the gradient."""
    function, criterion = LOSSES[case.loss]
    logits, target = inputs(case)
    if mode == FORWARD:
        return partial(function, logits, target, **case.options)
    fused = partial(criterion(**case.options).value_and_grad, logits, target)
    return partial(fused, out=np.empty_like(logits)) if mode == FUSED_OUT else fused
