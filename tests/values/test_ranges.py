"""The whole range of arguments: from where a loss all but vanishes to where it overflows.

The promises of test_values hold there, too: every result within a few units in the last place of
what its terms are, until it falls below the least normal number.
"""

from functools import lru_cache

import numpy as np
import pytest
from exact import BFLOAT16
from helpers.problems import COMPARED_DTYPES, assert_within
from losses import LOSSES

import ce

compared_dtypes = pytest.mark.parametrize("dtype", COMPARED_DTYPES)
over_elements = pytest.mark.parametrize(
    "loss", [loss for loss in LOSSES if not loss.classes], ids=lambda loss: loss.label
)
CONFIDENT = [loss for loss in LOSSES if loss.name in ("cross_entropy", "focal_loss")]
MARGINS = {np.float32: [0, 0.3, 5, 16, 18, 40, 60, 80], np.float64: [0, 5, 36, 38, 200, 600]}
# of the largest exponent e that e^x may have, and the powers of 2 whose squares are finite
REACH = {np.float32: 104, np.float64: 745, np.float16: 104, BFLOAT16.type: 104}
POWERS = {np.float32: 62, np.float64: 505, np.float16: 15, BFLOAT16.type: 62}


N = 6001


def values(loss, dtype, rng):
    """First arguments and targets, from end to end."""
    n, reach = N, REACH[dtype]
    if loss.criterion in ("BCEWithLogitsLoss", "SigmoidFocalLoss"):
        x = np.linspace(-reach, reach, n)
        y = rng.choice([0, 1], n) if loss.variant != "soft" else rng.uniform(0, 1, n)
    elif loss.criterion == "BCELoss":
        least = {np.float16: -24, np.float64: -1000}.get(dtype, -120)
        x = np.exp2(rng.uniform(least, 0, n))
        x = np.where(rng.random(n) < 0.3, 1 - np.exp2(rng.uniform(-53, 0, n)), x)
        y = np.where(rng.random(n) < 0.5, rng.integers(0, 2, n), rng.uniform(0, 1, n))
    elif loss.variant == "logs":
        x, y = np.linspace(-reach, 0, n), rng.permutation(np.linspace(-reach, 0, n))
    elif loss.name == "kl_div":
        x = np.linspace(-reach, 0, n)
        y = np.exp2(rng.uniform(-14 if dtype is np.float16 else -100, 0, n))
    else:
        power = POWERS[dtype]
        low = -14 if dtype is np.float16 else -min(power, 58)
        x = np.exp2(rng.uniform(low, power, n)) * rng.choice([-1, 1], n)
        y = x * (1 + rng.choice([0, 1e-3, -1, -2, 0.5], n))
    return x.astype(dtype), y.astype(dtype)


@lru_cache(maxsize=1)
def element_problems(loss, dtype):
    """Arguments, options and the truth; once for all kernels."""
    rng = np.random.default_rng(7)
    x, y = values(loss, dtype, rng)
    problems = []
    for sweep in loss.sweeps:
        if not any("weight" in option.name for option in sweep):
            options = {o.name: o.make(rng, 1, x.shape, dtype) for o in sweep} | loss.fixed
            problems.append((x, y, options, loss.define(x, y, reduction="none", **options)))
    return problems


@lru_cache(maxsize=2)
def row_problems(loss, dtype, layout, classes):
    """Rows of one raised class; the target there, far below it, and first of all."""
    margins = np.array(MARGINS.get(dtype, MARGINS[np.float32]))
    rows = np.repeat(-margins[:, None], classes, 1)
    rows[:, classes // 2] = 0
    rows = np.concatenate([rows, rows + (3e4 if dtype is np.float16 else 1e6)]).astype(dtype)
    x = rows if layout == "rows" else np.ascontiguousarray(rows.T)[None]
    problems = []
    for t in {classes // 2, classes - 1, 0}:
        target = np.full(len(rows), t)
        if not loss.indices:
            target = np.eye(classes, dtype=dtype)[target]
        target = target if layout == "rows" else np.ascontiguousarray(target.T)[None]
        for sweep in loss.sweeps:
            options = {o.name: o.make(None, 1, (), dtype) for o in sweep if o.name == "gamma"}
            if len(options) == len(sweep):
                exact = loss.define(x, target, reduction="none", **options)
                problems.append((x, target, options, exact))
    return problems


def check(loss, x, target, options, exact):
    criterion = getattr(ce, loss.criterion)(reduction="none", **options)
    losses, grad = criterion.value_and_grad(x, target)
    _, hess = criterion.grad_and_hess(x, target)
    assert_within(losses, exact.loss, f"loss of {options}")
    assert_within(grad, exact.grad, f"grad of {options}")
    assert_within(hess, exact.hess, f"hess of {options}")


@over_elements
@compared_dtypes
def test_elements(loss, dtype, isa):
    for problem in element_problems(loss, dtype):
        check(loss, *problem)


@pytest.mark.parametrize("loss", CONFIDENT, ids=lambda loss: loss.label)
@compared_dtypes
@pytest.mark.parametrize("classes", [2, 10, 600])
def test_confident_rows(loss, dtype, classes, isa):
    for layout in ("rows", "middle"):
        for problem in row_problems(loss, dtype, layout, classes):
            check(loss, *problem)
