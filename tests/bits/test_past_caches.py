"""Large gradients into another array are stored past the caches: the same bits as in place.

Lines of memory that are written in part, at both ends, are those of neighbours, too.
"""

import numpy as np
import pytest

import ce

BYTES = 1 << 25  # see STREAM_BYTES in plan.c
SHAPES = {  # of float32: logits of more than that, rows or few classes whose items are neighbours
    "rows": ((4100, 2051), 1),
    "short rows": ((45_000, 187), 1),
    "long rows": ((3, 3_000_001), 1),
    "few classes": ((2, 11, 400_003), 1),
}
HALVES = {"rows": ((9000, 2051), 1), "short rows": ((99_000, 187), 1)}  # of 16 bits


def criteria(classes):
    yield ce.CrossEntropyLoss(ignore_index=1)
    if classes > 100:
        weight = np.linspace(0.5, 2, classes, dtype=np.float32)
        yield ce.CrossEntropyLoss(weight=weight, label_smoothing=0.1, reduction="sum")


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("offset", [0, 1, 15])
def test_same_bits_as_in_place(name, offset, threads, rng):
    shape, axis = SHAPES[name]
    z = rng.standard_normal(shape, dtype=np.float32)
    assert z.nbytes > BYTES
    target = rng.integers(0, shape[axis], shape[:axis] + shape[axis + 1 :])
    target[0] = target[2::7] = 1
    memory = np.empty(z.size + 64, np.float32)
    begin = -memory.ctypes.data // 4 % 16 + offset  # numbers behind the begin of a line
    out = memory[begin : begin + z.size].reshape(shape)
    for criterion in criteria(shape[axis]):
        memory[:] = 7
        place = z.copy()
        with ce.threads(threads):
            criterion.grad(place, target, out=place)
            criterion.grad(z, target, out=out)
        np.testing.assert_array_equal(out.view(np.int32), place.view(np.int32))
        assert np.all(memory[:begin] == 7)
        assert np.all(memory[begin + z.size :] == 7)


@pytest.mark.parametrize("first", [0, 8192])
@pytest.mark.parametrize("offset", [0, 1, 15])
def test_shards(offset, first, rng):
    n, classes = 1100, 8219
    z = rng.standard_normal((n, 8192 + classes), dtype=np.float32)
    target = rng.integers(0, z.shape[1], n)
    target[2::7] = -100
    part = z[:, first : first + classes]
    assert part.nbytes > BYTES
    memory = np.full(part.size + 64, 7, np.float32)
    begin = -memory.ctypes.data // 4 % 16 + offset
    out = memory[begin : begin + part.size].reshape(part.shape)
    criterion = ce.CrossEntropyLoss()
    merged = ce.merge_partials([ce.partials(z, target, stats=False)])
    criterion.shard_grad(part, target, merged, first=first, out=out)
    grad = criterion.grad(z, target)[:, first : first + classes]
    np.testing.assert_array_equal(out.view(np.int32), grad.view(np.int32))
    assert np.all(memory[:begin] == 7)
    assert np.all(memory[begin + part.size :] == 7)
    criterion.shard_grad(part, target, merged, first=first, out=part)
    np.testing.assert_array_equal(part.view(np.int32), out.view(np.int32))


@pytest.mark.parametrize("smoothing", [0, 0.1, 1])
@pytest.mark.parametrize("weighted", [False, True])
def test_what_is_no_number_stays(smoothing, weighted, rng):
    """An infinite sample weight, and factors that overflow: the same wherever a row goes."""
    shape = 2049, 4100
    z = rng.standard_normal(shape, dtype=np.float32)
    weight = np.linspace(0, 2, shape[1], dtype=np.float32) if weighted else None
    criterion = ce.CrossEntropyLoss(weight=weight, label_smoothing=smoothing, reduction="sum")
    target, v = rng.integers(1, shape[1], shape[0]), np.ones(shape[0])
    v[8], v[9], v[10] = np.inf, 1e60, np.nan
    for grad_output in (1.0, 1e30):
        options = {"grad_output": grad_output}
        out = criterion.grad(z, target, sample_weight=v, out=np.empty_like(z), **options)
        few = criterion.grad(z[:12], target[:12], sample_weight=v[:12], **options)
        np.testing.assert_array_equal(out[:12], few)
        assert np.isnan(few[8]).any()


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("offset", [0, 1, 31])
def test_halves(name, offset, rng):
    shape, axis = HALVES[name]
    z = rng.standard_normal(shape, dtype=np.float32).astype(np.float16)
    assert z.nbytes > BYTES
    target = rng.integers(0, shape[axis], shape[0])
    target[2::7] = 1
    memory = np.empty(z.size + 128, np.float16)
    begin = -memory.ctypes.data // 2 % 32 + offset
    out = memory[begin : begin + z.size].reshape(shape)
    for criterion in criteria(shape[axis]):
        memory[:] = 7
        place = z.copy()
        criterion.grad(place, target, out=place)
        criterion.grad(z, target, out=out)
        np.testing.assert_array_equal(out.view(np.int16), place.view(np.int16))
        assert np.all(memory[:begin] == 7)
        assert np.all(memory[begin + z.size :] == 7)


@pytest.mark.parametrize("shape", [(4100, 2051), (45_000, 187)])
@pytest.mark.parametrize("function", [ce.softmax, ce.log_softmax])
def test_softmax(function, shape, rng):
    z = rng.standard_normal(shape, dtype=np.float32)
    place = z.copy()
    function(place, out=place)
    np.testing.assert_array_equal(function(z, out=np.empty_like(z)), place)
    np.testing.assert_array_equal(function(z), place)
