"""Rows of which nothing is kept go through the link together, however long they are: the same bits
as of each row alone, where logits are copied to be converted, scaled or hidden, too; and wherever
the next row lies, which memory is asked for ahead.
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


VIEWS = {
    "some columns": lambda z, n: z[:, 3 : 3 + n],
    "other rows": lambda z, n: z[::-2, :n],
    "one row": lambda z, n: np.broadcast_to(z[:1, :n], (len(z), n)),
}


def in_shards(logits, target, cut):
    """Losses and gradient of two shards of the classes, the second from class `cut` on."""
    criterion, classes = ce.CrossEntropyLoss(reduction="none", axis=-1), logits.shape[-1]
    shards = {0: logits[:, :cut], cut: logits[:, cut:]}
    merged = ce.merge_partials(
        ce.partials(z, target, first=first, classes=classes) for first, z in shards.items()
    )
    grads = [criterion.shard_grad(z, target, merged, first=first) for first, z in shards.items()]
    return criterion.shard_loss(target, merged), np.concatenate(grads, axis=-1)


@pytest.mark.parametrize("classes", [161, 1000, 4096, 4100, 16_384, 20_000])
@pytest.mark.parametrize("dtype", [*FLOATS, np.float16])
@pytest.mark.parametrize("view", VIEWS)
def test_rows_anywhere(classes, dtype, view, isa, rng):
    z = VIEWS[view]((rng.standard_normal((37, classes + 300)) * 3).astype(dtype), classes)
    copy, target = z.copy(order="C"), rng.integers(0, classes, len(z))
    target[5] = -100
    criterion = ce.CrossEntropyLoss(reduction="none", axis=-1)
    loss, grad = criterion.value_and_grad(copy, target)
    out = np.ones((len(z), classes + 50), dtype)[:, 9 : 9 + classes]
    for threads in (1, 2):
        with ce.threads(threads):
            assert_same_bits(criterion(z, target), loss, view)
            assert_same_bits(criterion.value_and_grad(z, target, out=out)[1], grad, view)
            kl = ce.kl_div_with_logits(z, copy[::-1], reduction="none", axis=-1)
            of_copies = ce.kl_div_with_logits(copy, copy[::-1].copy(), reduction="none", axis=-1)
            assert_same_bits(kl, of_copies, view)
            cut = ce.block_length(dtype) if classes > ce.block_length(dtype) else 100
            pairs = zip(in_shards(z, target, cut), in_shards(copy, target, cut), strict=True)
            for of_view, of_copy in pairs:
                assert_same_bits(of_view, of_copy, view)
            if cut != 100:
                assert_same_bits(in_shards(z, target, cut)[1], grad, view)
