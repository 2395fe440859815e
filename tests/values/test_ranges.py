"""The whole range of arguments: from where a loss all but vanishes to where it overflows.

The promises of test_values hold there, too: every result within a few units in the last place of
what its terms are, until it falls below the least normal number.
"""

from functools import lru_cache

import numpy as np
import pytest
from helpers.problems import COMPARED_DTYPES, assert_within
from oracle import LOSSES

import ce

compared_dtypes = pytest.mark.parametrize("dtype", COMPARED_DTYPES)
over_elements = pytest.mark.parametrize(
    "loss", [loss for loss in LOSSES if not loss.classes], ids=lambda loss: loss.label
)
CONFIDENT = [loss for loss in LOSSES if loss.classes and loss.input == "logits"]
MARGINS = {np.float32: [0, 0.3, 5, 16, 18, 40, 60, 80], np.float64: [0, 5, 36, 38, 200, 600]}
N = 6001


@lru_cache(maxsize=1)
def element_problems(loss, dtype):
    """Arguments, options and the truth; once for all kernels."""
    rng = np.random.default_rng(7)
    x, y = loss.ends(rng, N, dtype)
    problems = []
    for sweep in loss.sweeps:
        if not any(option.array for option in sweep):
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
            if not any(option.array for option in sweep):
                options = {o.name: o.make(None, 1, (), dtype) for o in sweep}
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
