"""Rows of which nothing is kept go through the link together, however long they are: the same bits
as of each row alone, where logits are copied to be converted, scaled or hidden, too.
"""

import ml_dtypes
import numpy as np
import pytest
from helpers.problems import FLOATS, assert_same_bits

import ce

OPTIONS = [{}, {"temperature": 0.7}, {"softcap": 20.0}, {"label_smoothing": 0.1}]


@pytest.mark.parametrize("classes", [161, 500, 1000, 1500, 2100, 5000])
@pytest.mark.parametrize("dtype", [*FLOATS, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("options", OPTIONS)
def test_many_rows_or_one(classes, dtype, options, isa, rng):
    z = (rng.standard_normal((37, classes)) * 3).astype(dtype)
    z[5, 7], z[6, 3], z[7] = np.nan, np.inf, -np.inf
    target = rng.integers(0, classes, 37)
    target[[0, 3, 4, 17, 36]] = -100
    where = np.arange(classes) % 7 != 2 if "softcap" in options else None
    criterion = ce.CrossEntropyLoss(reduction="none", axis=-1, **options)
    loss = criterion(z, target, where=where)
    alone = [criterion(z[i : i + 1], target[i : i + 1], where=where)[0] for i in range(37)]
    assert_same_bits(loss, np.array(alone), f"{classes} classes, {options=}")
    stats = ce.token_stats(z, target, top_k=3)
    each = [ce.token_stats(row, t, top_k=3) for row, t in zip(z, target, strict=True)]
    for name in ("log_prob", "entropy", "rank", "top_index"):
        of_one = np.array([getattr(one, name) for one in each])
        assert_same_bits(getattr(stats, name), of_one, f"{name} of {classes} classes")
