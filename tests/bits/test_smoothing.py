"""Label smoothing adds up gaps where exponentials are; beside statistics, and where weights or
logits are unusual, in a loop of its own: the same bits.
"""

import itertools

import numpy as np
import pytest
from helpers.problems import FLOATS, assert_same_bits

import ce


def weights_of(rng, classes, dtype):
    """Usual ones, and those of which not all are positive numbers of usual size."""
    usual = rng.uniform(0.1, 3, classes).astype(dtype)
    some = np.where(np.arange(classes) % 5 == 1, 0, usual).astype(dtype)
    one_more = np.where(np.arange(classes) == classes - 1, dtype(2.0**39), usual).astype(dtype)
    return [None, usual, some, -usual, usual * dtype(2.0**60), one_more]


@pytest.mark.parametrize("classes", [7, 10, 32, 33, 70, 160, 161, 192, 1000, 4097, 9000])
@pytest.mark.parametrize("dtype", [*FLOATS, np.float16])
def test_ways_agree(classes, dtype, isa, rng):
    z = rng.standard_normal((11, classes)).astype(dtype)
    z[1] *= dtype(40)
    z[2, ::7] = z[3, -1] = -np.inf
    z[4, 5], z[5, -2], z[6] = np.nan, np.inf, -np.inf
    if dtype != np.float16:
        z[7, 3], z[8, -1] = 2.0**101, np.finfo(dtype).max
        z[9] *= dtype(1e30)
    target = rng.integers(0, classes, 11)
    real = np.float32 if dtype == np.float16 else dtype
    for weight, smoothing in itertools.product(weights_of(rng, classes, real), (0.1, 1.0)):
        options = {"weight": weight, "label_smoothing": smoothing, "reduction": "none"}
        criterion = ce.CrossEntropyLoss(axis=-1, **options)
        loss, grad, _ = criterion.value_and_grad(z, target, stats=True)
        name = f"{classes} classes, {weight=}, {smoothing=}"
        assert_same_bits(criterion(z, target), loss, name)
        for out in (None, np.zeros_like(z), z.copy()):
            from_place = z if out is None or not out.any() else out
            assert_same_bits(criterion.grad(from_place, target, out=out), grad, name)
