"""The mode of a thread's arithmetic, which any library may change, changes nothing.

Flush-to-zero (torch.set_flush_denormal and -ffast-math switch it on), another rounding, traps.
"""

import platform
import sys

import numpy as np
import pytest
from helpers.interpreter import printed
from helpers.modes import MODES, in_mode
from helpers.problems import FLOATS, assert_same_bits, criterion_of, problem
from oracle import FUNCTIONS, LOSSES

import ce

glibc = pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc" or not MODES,
    reason="fenv_t is known for glibc on x86-64 and arm64 alone",
)
SHAPES = [(40, 5), (9, 70), (3, 1030)]


def half(x):
    return x * x.dtype.type(0.5)


@glibc
def test_the_modes_are_on():
    """Or else all the others would pass."""
    x = np.array([np.finfo(np.float32).smallest_normal])
    assert half(x)[0] != 0
    assert in_mode("flush", half, x)[0] == 0
    third = {mode: in_mode(mode, np.divide, np.ones(1), np.full(1, 3.0))[0] for mode in MODES}
    assert third["up"] > third["down"] == third["cut"]
    assert half(x)[0] != 0


def with_subnormals(x):
    """About a third of the numbers subnormal, of either sign where there are negative numbers."""
    signed, tiny = (x < 0).any(), np.finfo(x.dtype).smallest_normal
    small = tiny * np.linspace(-1 if signed else 0.1, 1, x.size).reshape(x.shape) * 0.9
    return np.where(np.arange(x.size).reshape(x.shape) % 3 == 1, small, x).astype(x.dtype)


def assert_unmoved(function, *args, **options):
    expected = function(*args, **options)
    for mode in set(MODES) - {"traps"}:
        found = in_mode(mode, function, *args, **options)
        for a, b in zip(
            *(r if isinstance(r, tuple) else (r,) for r in (expected, found)), strict=True
        ):
            assert_same_bits(a, b, f"{function.__name__}, {mode}")


@glibc
def test_options_are_checked_as_ever():
    """Where subnormal numbers count as 0, the least of those above 0 does, too."""
    for criterion in (ce.CrossEntropyLoss, ce.EntropyFromLogitsLoss, ce.KLDivWithLogitsLoss):
        assert in_mode("flush", criterion).softcap is None
        assert in_mode("flush", criterion, softcap=None, temperature=0.5).temperature == 0.5
        for name in ("temperature", "softcap", "logit_scale"):
            with pytest.raises(ValueError, match=rf"{name} is 0\.0"):
                in_mode("flush", criterion, **{name: 0.0})
    z, t = np.array([[1.0, 2.0]]), [0]
    assert in_mode("flush", ce.cross_entropy, z, t, normalizer=None) == ce.cross_entropy(z, t)
    for call in ({"normalizer": 0.0}, {"temperature": 0}):
        with pytest.raises(ValueError, match="must be above 0"):
            in_mode("flush", ce.cross_entropy, z, t, **call)
    with pytest.raises(ValueError, match=r"delta is 0\.0"):
        in_mode("flush", ce.HuberLoss, delta=0.0)


@glibc
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.label)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_losses(loss, dtype, shape, isa):
    for sweep in (loss.sweeps[0], loss.sweeps[-1]):
        p = problem(loss, shape, None, dtype, sweep, "none")
        criterion, x, target = criterion_of(loss, p), with_subnormals(p.x), p.target
        if target.dtype.kind == "f":
            target = with_subnormals(target)
        for method in (criterion.value_and_grad, criterion.grad_and_hess):
            assert_unmoved(method, x, target, **p.call)


@glibc
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_functions_along_an_axis(dtype, shape, isa, rng):
    for function in FUNCTIONS:
        arrays = map(with_subnormals, function.arrays(rng, shape, 1, dtype))
        assert_unmoved(getattr(ce, function.name), *arrays)


@glibc
def test_threads():
    """Each thread of a call has a mode of its own."""
    x = with_subnormals(np.random.default_rng(0).normal(size=(20_000, 40)).astype("f4"))
    with ce.threads(4):
        assert_unmoved(ce.CrossEntropyLoss().value_and_grad, x, np.arange(20_000) % 40)


IMPORT = """
import numpy as np
x = np.array([np.finfo(np.float32).smallest_normal])
half = x * x.dtype.type(0.5)
import ce
assert (x * x.dtype.type(0.5)).tobytes() == half.tobytes() != bytes(4)
print("all well")
"""


def test_importing_leaves_the_mode_alone():
    """What is linked with -ffast-math would switch flush-to-zero on; the gate builds ce so."""
    assert printed(IMPORT) == "all well"


TRAPS = """
import numpy as np
import ce
from helpers.modes import in_mode

x = np.array([[np.nan, 1, np.inf], [-np.inf, 3e38, -3e38], [0, 0, 0]], "f4")
for criterion in (ce.CrossEntropyLoss(), ce.FocalLoss(), ce.NLLLoss()):
    in_mode("traps", criterion.value_and_grad, x, np.array([0, 1, 2]))
in_mode("traps", ce.BCEWithLogitsLoss().value_and_grad, x, 1.0)
in_mode("traps", ce.MSELoss().value_and_grad, x, 1.0)
print("all well")
"""


@glibc
@pytest.mark.skipif("traps" not in MODES, reason="arm64 need not have traps")
def test_traps():
    """A process in which invalid operations, overflow and division by zero raise a signal."""
    assert printed(TRAPS) == "all well"
