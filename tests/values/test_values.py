"""Values, gradients and Hessians against the definitions, and the methods against each other."""

import itertools
from functools import lru_cache

import ml_dtypes
import numpy as np
import pytest
from helpers.problems import (
    COMPARED_DTYPES,
    COMPARED_FLOATS,
    DTYPES,
    LENGTHS,
    assert_same_bits,
    assert_within,
    criterion_of,
    problem,
)
from oracle import FUNCTIONS, LOSSES, normalisers
from oracle.classification import CROSS_ENTROPY
from oracle.exact import BFLOAT16, real
from oracle.inputs import random_logits

import ce

every_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.label)
over_classes = pytest.mark.parametrize(
    "loss", [x for x in LOSSES if x.classes], ids=lambda loss: loss.label
)
over_elements = pytest.mark.parametrize(
    "loss", [x for x in LOSSES if not x.classes], ids=lambda loss: loss.label
)
every_normaliser = pytest.mark.parametrize("normaliser", normalisers.ROWS, ids=lambda row: row.name)
SUMS = [row for row in FUNCTIONS if row not in normalisers.ROWS]
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
compared_floats = pytest.mark.parametrize("dtype", COMPARED_FLOATS)
compared_dtypes = pytest.mark.parametrize("dtype", COMPARED_DTYPES)

# each of them another case of the traversals: single classes, tiles, vectors, chunks, and tails
SOME_LENGTHS = [1, 2, 3, 8, 15, 31, 32, 33, 65, 129, 500, 513, 1025, 4097]
NUMBERS = [31, 32, 33, 63, 64, 65, 127, 128, 129, 511, 512, 513, 1023, 1024, 1025, 4095, 4096, 4097]
TILES = [(1, 45, 70), (2, 170, 21), (1, 2049, 36)]  # of four vectors; few items; panel by panel
WITH_OPTIONS = [((19, 10), None), ((2, 515), None), ((2, 3, 33), -1)]


def shapes_of_length(classes):
    """A batch of rows, and the class axis in the middle; fewer items where rows are long."""
    items = 37 if classes < 100 else 7 if classes < 5000 else 2
    return [((items, classes), None), ((1, classes, items), None)]


def check(loss, p):
    """The value and both derivatives of one problem."""
    criterion, of = criterion_of(loss, p), f"of {p.x.shape}, {[*p.options, *p.call]}, "
    value = criterion(p.x, p.target, **p.call)
    assert_within(value, p.exact.loss, f"{of}loss")
    assert value.dtype == real(p.x.dtype)
    grad, hess = criterion.grad_and_hess(p.x, p.target, **p.call)
    assert_within(criterion.grad(p.x, p.target, **p.call), p.exact.grad, f"{of}grad")
    assert_within(grad, p.exact.grad, f"{of}grad (with hess)")
    assert_within(hess, p.exact.hess, f"{of}hess")
    assert grad.dtype == hess.dtype == p.x.dtype


@over_classes
@compared_dtypes
def test_rows_of_every_kind_of_length(loss, dtype, isa):
    for classes in SOME_LENGTHS:
        for shape, axis in shapes_of_length(classes):
            check(loss, problem(loss, shape, axis, dtype, (), "none"))
            check(loss, problem(loss, shape, axis, dtype, loss.sweeps[-1], "mean"))


@over_classes
@compared_dtypes
@pytest.mark.parametrize("shape", TILES)
def test_tiles(loss, dtype, shape, isa):
    """The class axis in the middle, with as many items and classes as make a difference."""
    for sweep in (loss.sweeps[0], loss.sweeps[-1]):
        check(loss, problem(loss, shape, None, dtype, sweep, "mean"))


@compared_floats
@pytest.mark.parametrize("classes", sorted(set(LENGTHS) - set(SOME_LENGTHS)))
def test_rows_of_every_length(dtype, classes, isa):
    """The losses and dtypes share the traversals: one loss for all other lengths."""
    for shape, axis in shapes_of_length(classes):
        check(CROSS_ENTROPY, problem(CROSS_ENTROPY, shape, axis, dtype, (), "none"))


@over_elements
@compared_dtypes
def test_many_elements(loss, dtype, isa):
    for sweep, reduction in ((loss.sweeps[0], "none"), (loss.sweeps[-1], "sum")):
        check(loss, problem(loss, (9001,), None, dtype, sweep, reduction))


@over_elements
@every_dtype
def test_every_number_of_elements(loss, dtype, isa):
    """Each element has its result, whatever their number and wherever they begin."""
    p = problem(loss, (9001,), None, dtype, (), "none")
    criterion = criterion_of(loss, p)
    whole = criterion(p.x, p.target), *criterion.grad_and_hess(p.x, p.target)
    for n in [*range(19), *NUMBERS]:
        for start in (0, 5):
            part = slice(start, start + n)
            x, y = p.x[part], p.target[part]
            some = criterion(x, y), *criterion.grad_and_hess(x, y)
            for what, a, b in zip(("loss", "grad", "hess"), some, whole, strict=True):
                assert_same_bits(a, b[part], f"{what} of {n}")
            assert_same_bits(criterion.value_and_grad(x, y)[1], some[1], "grad with the value")


@every_loss
@compared_dtypes
def test_every_shape(loss, dtype, isa):
    for shape, axis in loss.shapes:
        for reduction in loss.reductions:
            check(loss, problem(loss, shape, axis, dtype, (), reduction))


@every_loss
@compared_dtypes
def test_every_option(loss, dtype, isa):
    for shape, axis in WITH_OPTIONS:
        for sweep in loss.sweeps:
            for reduction in loss.reductions:
                check(loss, problem(loss, shape, axis, dtype, sweep, reduction))


@pytest.mark.parametrize(
    ("loss", "hessian"),
    [(loss, hessian) for loss in LOSSES for hessian in loss.hessians],
    ids=lambda x: getattr(x, "label", x),
)
@compared_dtypes
def test_every_hessian(loss, hessian, dtype, isa):
    for shape in ((9, 6), (3, 5, 18)):
        for sweep in loss.sweeps:
            for reduction in ("none", "mean"):
                p = problem(loss, shape, None, dtype, sweep, reduction, hessian)
                method = criterion_of(loss, p).grad_and_hess
                grad, hess = method(p.x, p.target, **p.call, hessian=hessian)
                assert_within(grad, p.exact.grad, "grad")
                assert_within(hess, p.exact.hess, f"hess, {hessian}")


@pytest.mark.parametrize("loss", [x for x in LOSSES if x.hessians], ids=lambda loss: loss.label)
@every_dtype
def test_absolute_hessian_is_that_of_the_gradient(loss, dtype, isa):
    """Whatever scales it: it is never negative."""
    for shape in ((9, 6), (3, 200), (3, 5, 18)):
        p = problem(loss, shape, None, dtype, loss.sweeps[-1], "mean")
        for g in (2.0, -2.0):
            grad, hess = criterion_of(loss, p).grad_and_hess(
                p.x, p.target, **p.call, grad_output=g, hessian="abs"
            )
            off = abs(abs(grad).astype(float) - hess.astype(float))
            eps = float(ml_dtypes.finfo(dtype).eps)  # two ways to the same number, rounded
            assert (off <= 32 * eps * abs(grad).astype(float) + 1e-7 * eps).all()
            assert (hess >= 0).all()


@every_loss
@compared_dtypes
def test_grad_output_scales_the_gradient(loss, dtype, isa, rng):
    shapes = [(9, 6), (4, 600), (3, 5, 18)]
    for shape, reduction in itertools.product(shapes, loss.reductions):
        p = problem(loss, shape, None, dtype, loss.sweeps[-1], reduction)
        upstream = dtype(-1.75)
        if reduction == "none":
            upstream = rng.normal(size=p.items).astype(dtype)
        options = {**p.options, **p.call}
        exact = loss.define(p.x, p.target, grad_output=upstream, **options)
        criterion, call = criterion_of(loss, p), {**p.call, "grad_output": upstream}
        assert_within(criterion.grad(p.x, p.target, **call), exact.grad, "grad")
        value, grad = criterion.value_and_grad(p.x, p.target, **call)
        assert_same_bits(value, criterion(p.x, p.target, **p.call), "the value")
        assert_within(grad, exact.grad, "grad with the value")
        grad, hess = criterion.grad_and_hess(p.x, p.target, **call)
        assert_within(grad, exact.grad, "grad with the Hessian")
        assert_within(hess, exact.hess, "hess")


@every_loss
@every_dtype
def test_methods_agree_to_the_bit(loss, dtype, isa):
    for shape, axis in [*loss.shapes[::2], ((3, 4097), None), ((90, 33), None)]:
        for sweep in (loss.sweeps[0], loss.sweeps[-1]):
            for reduction in loss.reductions[: None if shape else 3]:
                p = problem(loss, shape, axis, dtype, sweep, reduction)
                criterion = criterion_of(loss, p)
                value = criterion(p.x, p.target, **p.call)
                both = criterion.value_and_grad(p.x, p.target, **p.call)
                grad = criterion.grad(p.x, p.target, **p.call)
                first, _ = criterion.grad_and_hess(p.x, p.target, **p.call)
                function = getattr(ce, loss.name)(p.x, p.target, **p.options, **p.call)
                assert_same_bits(value, function, "the function")
                assert_same_bits(value, both[0], "the value with the gradient")
                assert_same_bits(grad, both[1], "the gradient with the value")
                assert_same_bits(grad, first, "the gradient with the Hessian")


@every_loss
@compared_dtypes
def test_sums_over_many_items_are_accurate(loss, dtype, isa):
    shape = (30011, 5) if loss is CROSS_ENTROPY else (5003, 3)
    for reduction in ("sum", "mean"):
        p = problem(loss, shape, None, dtype, (), reduction)
        assert_within(criterion_of(loss, p)(p.x, p.target), p.exact.loss, reduction)


@every_dtype
def test_sums_over_items_are_rounded_once(dtype, isa, rng):
    """With a margin of D, an integer, the loss is D; float32 sums of these would drift.

    torch adds float16 losses in float16, which end at 65504.
    """
    high = 256 if dtype is BFLOAT16.type else 1000  # integers that the dtype holds
    margin = rng.integers(64, high, 200_003)
    logits = np.stack([np.zeros(margin.size), -margin], 1).astype(dtype)
    target, value = np.ones(margin.size, int), real(dtype)
    for z in (logits, np.asfortranarray(logits)):
        assert ce.cross_entropy(z, target, reduction="sum") == value(margin.sum())
        mean = ce.cross_entropy(z, target)
        np.testing.assert_allclose(mean, margin.mean(), rtol=np.finfo(value).eps)
    x = margin.astype(dtype)
    assert ce.l1_loss(x, np.zeros_like(x), reduction="sum") == value(margin.sum())


@every_loss
@every_dtype
def test_scalars_are_numpy_scalars(loss, dtype):
    for reduction in loss.reductions:
        p = problem(loss, (6, 4), None, dtype, (), reduction)
        value = criterion_of(loss, p)(p.x, p.target)
        if reduction != "none":
            assert type(value) is real(dtype)
    target = p.target[0]
    single = getattr(ce, loss.name)(p.x[0], target, reduction="none", **loss.fixed)
    assert single.dtype == real(dtype)
    assert np.shape(single) == (() if loss.classes else (4,))


@lru_cache(maxsize=64)
def of_axis(function, shape, dtype, axis):
    """What the function is called with, and the truth."""
    rng = np.random.default_rng([len(shape), *shape])
    arrays = function.arrays(rng, shape, axis, dtype)
    return arrays, function.define(*arrays, axis)


def result_dtype(function, dtype):
    """A function of fewer axes gives values, the others what they are of."""
    return real(dtype) if function.drops else dtype


@every_normaliser
@compared_dtypes
def test_normalisers_of_every_length(normaliser, dtype, isa):
    lengths = [*SOME_LENGTHS, 7, 16, 64, 511, 1000, 20000]
    for shape, _ in (shape for classes in lengths for shape in shapes_of_length(classes)):
        arrays, exact = of_axis(normaliser, shape, dtype, 1)
        got = getattr(ce, normaliser.name)(*arrays, axis=1)
        assert_within(got, exact, normaliser.name)
        assert got.dtype == result_dtype(normaliser, dtype)


@every_normaliser
@compared_dtypes
def test_normalisers_along_every_axis(normaliser, dtype, isa):
    for shape in [(7,), (3, 5), (5, 3, 4), (2, 3, 4, 5), (2, 1, 2, 3, 4)]:
        for axis in range(len(shape)):
            arrays, exact = of_axis(normaliser, shape, dtype, axis)
            for spelling in (axis, axis - len(shape)):
                got = getattr(ce, normaliser.name)(*arrays, axis=spelling)
                assert_within(got, exact, normaliser.name)


@every_dtype
def test_keepdims_keeps_a_length_of_one(dtype, rng):
    x = random_logits(rng, (3, 5, 4), dtype)
    g = rng.normal(size=(3, 4)).astype(real(dtype))
    for axis in (1, -2):
        kept = ce.logsumexp(x, axis=axis, keepdims=True)
        assert_same_bits(kept, np.expand_dims(ce.logsumexp(x, axis=axis), axis))
        backward = ce.logsumexp_backward(g[:, None], x, axis=axis, keepdims=True)
        assert_same_bits(backward, ce.logsumexp_backward(g, x, axis=axis))


@pytest.mark.parametrize("function", SUMS, ids=lambda row: row.name)
@compared_dtypes
def test_sums_over_probabilities(function, dtype, isa):
    shapes = [((n,), 0) for n in LENGTHS if n < 5000]
    shapes += [((5, 33), -1), ((5, 33), 0), ((3, 40, 7), 1), ((2, 3, 4, 9), 2), ((1, 70001), 1)]
    for shape, axis in shapes:
        arrays, exact = of_axis(function, shape, dtype, axis % len(shape))
        got = getattr(ce, function.name)(*arrays, axis=axis)
        assert_within(got, exact, f"{function.name} of {shape}")
        assert got.dtype == result_dtype(function, dtype)
