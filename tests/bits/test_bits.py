"""The same bits for any number of threads, any batch, any place of the output.

The result for an item depends on its logits, the number of classes, the dtype and the layout.
"""

from functools import lru_cache

import numpy as np
import pytest
from helpers.problems import (
    DTYPES,
    FLOATS,
    HALVES,
    LAYOUTS,
    assert_same_bits,
    criterion_of,
    problem,
)
from oracle import FUNCTIONS, LOSSES
from oracle.inputs import random_logits, random_target
from threadpoolctl import threadpool_limits

import ce

CLASSES = [1, 2, 10, 32, 33, 513, 1000, 4097, 32000, 128256]
ELEMENTS = 80_000  # some 60 us of work: several threads take part
MANY = 250_000  # for some lengths: many blocks for each thread
both_floats = pytest.mark.parametrize("dtype", FLOATS)
every_layout = pytest.mark.parametrize("layout", LAYOUTS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.label)
every_length = pytest.mark.parametrize("classes", CLASSES)
some_lengths = pytest.mark.parametrize("classes", [1, 2, 33, 1000, 4097, 128256])


@pytest.fixture(autouse=True)
def eight_threads():
    """Up to 8 threads work, whatever the machine has; 2 unless a test says otherwise."""
    ce._core.set_cpus(8)
    with threadpool_limits(8, user_api="openmp"), ce.threads(2):
        if ce._core.threads_runtime().startswith("OpenMP"):
            assert ce._core.threads_team(7) == 7
        yield
    ce._core.set_cpus(ce._process.available_cpus())


@lru_cache(maxsize=2)
def batch(classes, dtype, layout, elements=None):
    """Logits in that layout, a target with some ignored items, and sample weights."""
    rng = np.random.default_rng(classes)
    elements = elements or (MANY if classes in (2, 1000, 128256) else ELEMENTS)
    items = max(3, elements // classes)
    inner = 40 if items > 400 else 3
    shape = (items // inner, classes, inner) if layout == "middle" else (items, classes)
    logits = rng.standard_normal(shape, np.float32).astype(dtype)
    logits *= 4
    target = random_target(rng, logits)
    target[rng.random(target.shape) < 0.1] = -100
    weight = rng.uniform(0.5, 2, target.shape).astype(dtype)
    logits = np.asfortranarray(logits) if layout == "fortran" else logits
    for array in (logits, target, weight):
        array.flags.writeable = False
    return logits, target, weight


def few(classes):
    """Elements of some 60 items, fewer where there are many classes."""
    return min(60 * classes, 500_000)


def everything(logits, target, sample_weight):
    """All results of the loss, by name."""
    results = {}
    for reduction in ("none", "sum", "mean"):
        criterion = ce.CrossEntropyLoss(reduction=reduction, label_smoothing=0.1)
        results[reduction] = criterion(logits, target, sample_weight=sample_weight)
    results["plain"] = ce.cross_entropy(logits, target)
    results["gradient"] = ce.CrossEntropyLoss().grad(logits, target)
    results["hessian"] = criterion.grad_and_hess(logits, target, sample_weight=sample_weight)[1]
    return results


@lru_cache(maxsize=2)
def of_functions(shape, dtype, layout):
    """Every function along axis 1, with arguments of that shape in that layout."""
    if layout == "middle":
        shape = (1, *shape[::-1])
    made = [(row, row.arrays(np.random.default_rng(3), shape, 1, dtype)) for row in FUNCTIONS]
    if layout == "fortran":
        made = [(row, tuple(map(np.asfortranarray, arrays))) for row, arrays in made]
    return made


def along_axis(shape, dtype, layout):
    """All results of the functions along an axis, by name."""
    calls = of_functions(shape, dtype, layout)
    return {row.name: getattr(ce, row.name)(*arrays, axis=1) for row, arrays in calls}


def compare(results, expected):
    """Every result has the expected bits."""
    for name, value in expected.items():
        assert_same_bits(results[name], value, name)


@some_lengths
@every_layout
@both_floats
def test_any_number_of_threads(classes, layout, dtype, isa):
    arrays = batch(classes, dtype, layout)
    with ce.threads(1):
        expected = everything(*arrays)
    with ce.threads(7):
        compare(everything(*arrays), expected)


@some_lengths
@every_layout
@both_floats
def test_normalisers_with_any_number_of_threads(classes, layout, dtype, isa):
    elements = MANY if classes in (2, 1000, 128256) else ELEMENTS
    of = (max(3, elements // classes), classes), dtype, layout
    with ce.threads(1):
        expected = along_axis(*of)
    with ce.threads(7):
        compare(along_axis(*of), expected)


@some_lengths
@both_floats
def test_one_long_row_is_split_the_same_way(classes, dtype, isa):
    """A single item, with classes enough that several threads share it where classes are many."""
    x, target, _ = batch(classes * 10, dtype, "rows", 1)
    with ce.threads(1):
        expected = everything(x[:1], target[:1], None)
    for count in (2, 7):
        with ce.threads(count):
            compare(everything(x[:1], target[:1], None), expected)


@some_lengths
@every_layout
@both_floats
def test_alone_or_in_a_batch(classes, layout, dtype, isa):
    logits, target, _ = batch(classes, dtype, layout, few(classes))
    criterion = ce.CrossEntropyLoss(reduction="none")
    loss, grad = criterion.value_and_grad(logits, target)
    p, lse = ce.softmax(logits, axis=1), ce.logsumexp(logits, axis=1)
    for part in (slice(0, 1), slice(1, 2), slice(-1, None), slice(0, 2), slice(0, len(target), 2)):
        some = np.array(logits[part], order="F" if layout == "fortran" else "C")
        if layout == "fortran" and len(some) == 1:
            continue  # one row has no F order: it is contiguous, another layout
        got = criterion.value_and_grad(some, target[part])
        assert_same_bits(got[0], loss[part], f"loss of {part}")
        assert_same_bits(got[1], grad[part], f"grad of {part}")
        assert_same_bits(ce.softmax(some, axis=1), p[part], f"softmax of {part}")
        assert_same_bits(ce.logsumexp(some, axis=1), lse[part], f"logsumexp of {part}")


@pytest.mark.parametrize("classes", [2, 21, 513, 1000, 4097, 32000])
@both_floats
def test_anywhere_in_memory(classes, dtype, isa, rng):
    """Wherever in a line of memory the logits begin, ties for the maximum included."""
    inner = 48 if classes < 33 else 1
    logits = np.rint(rng.standard_normal((7, classes, inner)) * 4).astype(dtype)
    target = rng.integers(classes, size=(7, inner))
    criterion = ce.CrossEntropyLoss()
    value, grad = criterion.value_and_grad(logits, target)
    for offset in (1, 4, 7, 15):
        memory = np.empty(logits.size + offset, dtype)
        z = memory[offset:].reshape(logits.shape)
        z[:] = logits
        assert_same_bits(criterion(z, target), value, f"value at {offset}")
        assert_same_bits(criterion.value_and_grad(z, target)[1], grad, f"gradient at {offset}")
        criterion.grad(z, target, out=z)
        assert_same_bits(z, grad, f"gradient in place at {offset}")


@some_lengths
@both_floats
def test_some_of_the_inner_items(classes, dtype, isa):
    """With the class axis in the middle, items next to each other do not matter either."""
    logits = random_logits(np.random.default_rng(5), (1, classes, 37), dtype)
    target = random_target(np.random.default_rng(6), logits)
    criterion = ce.CrossEntropyLoss(reduction="none")
    loss, grad = criterion.value_and_grad(logits, target)
    for part in (slice(0, 2), slice(3, 20), slice(21, 37), slice(1, 33)):
        some = logits[:, :, part].copy()
        got = criterion.value_and_grad(some, target[:, part])
        assert_same_bits(got[0], loss[:, part], f"loss of {part}")
        assert_same_bits(got[1], grad[:, :, part], f"grad of {part}")


@both_floats
@pytest.mark.parametrize("offset", [0, 3, 16])
def test_large_outputs_with_the_classes_in_the_middle(offset, dtype, isa, rng):
    """Stored by whole lines of memory, wherever these begin among the items."""
    inner = 1040 if offset else 1000
    items = 2**25 // (5 * inner * np.dtype(dtype).itemsize) + 1
    logits = rng.standard_normal((items, 5, inner)).astype(dtype)
    target = random_target(rng, logits)
    target[rng.random(target.shape) < 0.1] = -100
    memory = np.full(logits.size + 16, 7, dtype)
    out = memory[offset : offset + logits.size].reshape(logits.shape)
    assert out.nbytes >= 2**25
    for reduction in ("none", "mean"):
        criterion = ce.CrossEntropyLoss(reduction=reduction)
        loss, grad = criterion.value_and_grad(logits, target, out=out)
        assert_same_bits(memory[:offset], np.full(offset, 7, dtype), "memory before")
        assert_same_bits(memory[offset + logits.size :], np.full(16 - offset, 7, dtype), "after")
        place = logits.copy()
        loss_in_place, _ = criterion.value_and_grad(place, target, out=place)
        assert_same_bits(grad, place, "gradient")
        assert_same_bits(loss_in_place, loss, "loss")


@some_lengths
@every_layout
@both_floats
def test_any_order_of_the_batch(classes, layout, dtype, isa, rng):
    logits, target, _ = batch(classes, dtype, layout, few(classes))
    order = rng.permutation(len(logits))
    criterion = ce.CrossEntropyLoss(reduction="none")
    loss, grad = criterion.value_and_grad(logits, target)
    mixed = np.array(logits[order], order="F" if layout == "fortran" else "C")
    got = criterion.value_and_grad(mixed, target[order])
    assert_same_bits(got[0], loss[order], "loss")
    assert_same_bits(got[1], grad[order], "grad")


@some_lengths
@every_layout
@both_floats
def test_fresh_given_or_in_place(classes, layout, dtype, isa):
    logits, target, _ = batch(classes, dtype, layout)
    criterion = ce.CrossEntropyLoss()
    fresh, p = criterion.grad(logits, target), ce.softmax(logits, axis=1)
    out = np.full_like(logits, 7)
    assert_same_bits(criterion.grad(logits, target, out=out), fresh, "out")
    assert_same_bits(ce.softmax(logits, axis=1, out=out), p, "softmax, out")
    place = logits.copy("K")
    assert_same_bits(criterion.grad(place, target, out=place), fresh, "in place")
    place = logits.copy("K")
    assert_same_bits(ce.softmax(place, axis=1, out=place), p, "softmax in place")


# large enough for several threads
SHAPES = [((3000, 10), "rows"), ((1000, 33), "fortran"), ((8, 4097), "rows")]
SHAPES += [((20, 41, 40), "rows"), ((2, 20_000), "rows")]


SMALL_SHAPES = [((200, 10), "rows"), ((50, 33), "fortran"), ((5, 4097), "rows")]
SMALL_SHAPES += [((3, 41, 40), "rows")]


def cases(loss, dtype, shapes):
    """Problems of a loss in these shapes and layouts."""
    for shape, layout in shapes:
        p = problem(loss, shape, None, dtype, loss.sweeps[-1], "none")
        x = np.asfortranarray(p.x) if layout == "fortran" else p.x
        yield p, x, p.target


def results_of(loss, p, x, target):
    """All results of one problem, by name."""
    results = {}
    for reduction in ("none", "mean"):
        criterion = criterion_of(loss, p, reduction=reduction)
        results[reduction], results[f"{reduction}, gradient"] = criterion.value_and_grad(
            x, target, **p.call
        )
    for hessian in loss.hessians or [None]:
        options = {"hessian": hessian} if hessian else {}
        results[f"Hessian {hessian}"] = criterion.grad_and_hess(x, target, **p.call, **options)[1]
    return results


@every_loss
@every_dtype
def test_every_loss_with_any_number_of_threads(loss, dtype, isa):
    for p, x, target in cases(loss, dtype, SHAPES):
        with ce.threads(1):
            expected = results_of(loss, p, x, target)
        with ce.threads(7):
            compare(results_of(loss, p, x, target), expected)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("classes", [2, 33, 4097])
def test_normalisers_of_halves_with_any_number_of_threads(classes, dtype, isa):
    for layout in LAYOUTS:
        of = (ELEMENTS // classes, classes), dtype, layout
        with ce.threads(1):
            expected = along_axis(*of)
        with ce.threads(7):
            compare(along_axis(*of), expected)


@every_loss
@every_dtype
def test_every_loss_alone_or_in_a_batch(loss, dtype, isa):
    for shape in ((61, 10), (40, 65), (9, 1030), (5, 7, 37)):
        p = problem(loss, shape, None, dtype, (), "none")
        criterion = criterion_of(loss, p)
        losses = criterion(p.x, p.target)
        grad, hess = criterion.grad_and_hess(p.x, p.target)
        for part in (slice(0, 1), slice(1, 2), slice(-1, None), slice(0, None, 2), slice(3, None)):
            x, target = p.x[part].copy(), p.target[part].copy()
            assert_same_bits(criterion(x, target), losses[part], f"loss of {part}")
            got = criterion.grad_and_hess(x, target)
            assert_same_bits(got[0], grad[part], f"grad of {part}")
            assert_same_bits(got[1], hess[part], f"hess of {part}")


FUSED = [name for name in ce._core.isas() if ce._core.isa_facts(name)["fused"]]


@pytest.mark.skipif(len(FUSED) < 2, reason="one instruction set with fused multiply-add")
@every_length
@every_layout
@both_floats
def test_any_instruction_set_with_fma(classes, layout, dtype):
    arrays = batch(classes, dtype, layout, 60_000)
    of = (max(3, 60_000 // classes), classes), dtype, layout
    before, results = ce._core.isa(), []
    try:
        for name in FUSED:
            ce._core.use_isa(name)
            results.append(everything(*arrays) | along_axis(*of))
    finally:
        ce._core.use_isa(before)
    for other in results[1:]:
        compare(other, results[0])


@pytest.mark.skipif(len(FUSED) < 2, reason="one instruction set with fused multiply-add")
@every_loss
@every_dtype
def test_every_loss_with_any_instruction_set_with_fma(loss, dtype):
    for p, x, target in cases(loss, dtype, SMALL_SHAPES):
        before, results = ce._core.isa(), []
        try:
            for name in FUSED:
                ce._core.use_isa(name)
                results.append(results_of(loss, p, x, target))
        finally:
            ce._core.use_isa(before)
        for other in results[1:]:
            compare(other, results[0])


@pytest.mark.skipif(len(FUSED) < 2, reason="one instruction set with fused multiply-add")
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("classes", [2, 33, 1030])
def test_normalisers_of_halves_with_any_instruction_set_with_fma(classes, dtype):
    before, results = ce._core.isa(), []
    try:
        for name in FUSED:
            ce._core.use_isa(name)
            results.append(
                {
                    f"{function}, {layout}": result
                    for layout in ("rows", "fortran")
                    for function, result in along_axis((100, classes), dtype, layout).items()
                }
            )
    finally:
        ce._core.use_isa(before)
    for other in results[1:]:
        compare(other, results[0])
