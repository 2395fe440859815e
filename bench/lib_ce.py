"""lib_ce.py - `ce` as a user calls it."""

from functools import partial

import numpy as np

import ce
from bench.cases import FORWARD, FORWARD_OUT, FUSED, FUSED_OUT, Case

CRITERIA = {
    "cross_entropy": ce.CrossEntropyLoss,
    "focal_loss": ce.FocalLoss,
    "sigmoid_focal_loss": ce.SigmoidFocalLoss,
    "binary_cross_entropy_with_logits": ce.BCEWithLogitsLoss,
    "mse_loss": ce.MSELoss,
    "huber_loss": ce.HuberLoss,
}


def modes(case: Case) -> tuple[str, ...]:
    return case.modes


def configure(threads: int) -> tuple[dict[str, str], str]:
    """Set the thread count; return the versions and the instruction set in use."""
    ce.set_num_threads(threads)
    return {"ce": ce.__version__}, ce.show_config(mode="dicts")["instruction set"]


def prepare(case: Case, mode: str, logits, *target):
    """A call without arguments that returns the value, or the value and the gradient."""
    if mode in (FORWARD, FORWARD_OUT):
        out = {"out": np.empty_like(logits)} if mode == FORWARD_OUT else {}
        return partial(getattr(ce, case.loss), logits, *target, **case.options, **out)
    fused = partial(CRITERIA[case.loss](**case.options).value_and_grad, logits, *target)
    if mode == FUSED:
        return fused
    return partial(fused, out=np.empty_like(logits) if mode == FUSED_OUT else logits)
