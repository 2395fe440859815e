"""Flush-to-zero mode, which torch.set_flush_denormal and others switch on, changes nothing."""

import numpy as np
import pytest
from losses import LOSSES
from problems import FLOATS, assert_same_bits, criterion_of, problem

import ce

torch = pytest.importorskip("torch", reason="torch is not installed; it sets the mode")


@pytest.fixture
def flushed():
    """A function that runs another one in flush-to-zero mode."""
    if not torch.set_flush_denormal(True):
        pytest.skip("this machine has no such mode")
    torch.set_flush_denormal(False)

    def run(function, *args, **options):
        torch.set_flush_denormal(True)
        try:
            tiny = np.finfo(np.float32).smallest_normal
            assert tiny * np.float32(0.5) == 0, "the mode is not on"
            return function(*args, **options)
        finally:
            torch.set_flush_denormal(False)

    return run


def with_subnormals(x, signed):
    """About a third of the numbers subnormal, each sign if the loss takes both."""
    tiny = np.finfo(x.dtype).smallest_normal
    small = tiny * np.linspace(-1 if signed else 0.1, 1, x.size).reshape(x.shape) * 0.9
    return np.where(np.arange(x.size).reshape(x.shape) % 3 == 1, small, x).astype(x.dtype)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(40, 5), (9, 70)])
def test_losses(loss, dtype, shape, isa, flushed):
    for sweep in (loss.sweeps[0], loss.sweeps[-1]):
        p = problem(loss, shape, None, dtype, sweep, "none")
        criterion, target = criterion_of(loss, p), p.target
        x = with_subnormals(p.x, loss.criterion != "BCELoss")
        if target.dtype.kind == "f":
            signed = loss.criterion in ("MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss")
            target = with_subnormals(target, signed)
        for method in (criterion.value_and_grad, criterion.grad_and_hess):
            for a, b in zip(
                method(x, target, **p.call), flushed(method, x, target, **p.call), strict=True
            ):
                assert_same_bits(a, b, method.__name__)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(40, 5), (9, 70)])
def test_functions_along_an_axis(dtype, shape, isa, flushed, rng):
    p, q = (with_subnormals(rng.uniform(size=shape).astype(dtype), False) for _ in range(2))
    x = with_subnormals(rng.normal(0, 9, shape).astype(dtype), True)
    for function, *args in (
        (ce.entropy, p),
        (ce.relative_entropy, p, q),
        (ce.cross_entropy_between, p, q),
        (ce.softmax, x),
        (ce.log_softmax, x),
        (ce.logsumexp, x),
    ):
        assert_same_bits(function(*args), flushed(function, *args), function.__name__)
