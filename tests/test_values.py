"""Values, gradients and Hessians against the definitions, and the methods against each other."""

import numpy as np
import pytest
from losses import LOSSES, NORMALISERS
from problems import (
    COMPARED_FLOATS,
    FLOATS,
    LENGTHS,
    assert_same_bits,
    assert_within,
    criterion_of,
    problem,
    random_logits,
    random_target,
)

import ce

every_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
every_normaliser = pytest.mark.parametrize("normaliser", NORMALISERS, ids=lambda n: n.name)
both_floats = pytest.mark.parametrize("dtype", FLOATS)
compared_floats = pytest.mark.parametrize("dtype", COMPARED_FLOATS)

SHAPES = [
    ((11,), None),
    ((37, 11), None),
    ((23, 2), None),
    ((3, 7, 29), None),
    ((2, 5, 3, 9), None),
    ((2, 40, 6, 5), None),
    ((3, 4, 21), -1),
    ((2, 3, 4, 130), -1),
    ((6, 2, 5), 0),
]
WITH_OPTIONS = [((5,), None), ((19, 10), None), ((7, 515), None), ((3, 6, 17), None)]
WITH_OPTIONS += [((2, 3, 33), -1)]


def shapes_of_length(classes):
    """A batch of rows, and the class axis in the middle; fewer items where rows are long."""
    items = 37 if classes < 100 else 7 if classes < 5000 else 2
    return [((items, classes), None), ((1, classes, items), None)]


def check(loss, p):
    """The value and both derivatives of one problem."""
    criterion = criterion_of(loss, p)
    assert_within(criterion(p.logits, p.target, **p.call), p.exact.loss, "loss")
    grad, hess = criterion.grad_and_hess(p.logits, p.target, **p.call)
    assert_within(criterion.grad(p.logits, p.target, **p.call), p.exact.grad, "grad")
    assert_within(grad, p.exact.grad, "grad (with hess)")
    assert_within(hess, p.exact.hess, "hess")


@every_loss
@compared_floats
@pytest.mark.parametrize("classes", LENGTHS)
def test_every_row_length(loss, dtype, classes, isa):
    for shape, axis in shapes_of_length(classes):
        check(loss, problem(loss, shape, axis, dtype, (), "none"))


@every_loss
@compared_floats
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_every_shape(loss, dtype, shape, axis, isa):
    for reduction in loss.reductions:
        check(loss, problem(loss, shape, axis, dtype, (), reduction))


@every_loss
@compared_floats
@pytest.mark.parametrize(("shape", "axis"), WITH_OPTIONS)
def test_every_option(loss, dtype, shape, axis, isa):
    for sweep in loss.sweeps:
        for reduction in loss.reductions:
            check(loss, problem(loss, shape, axis, dtype, sweep, reduction))


@every_loss
@compared_floats
@pytest.mark.parametrize("classes", [1, 2, 8, 31, 32, 33, 512, 1025, 8193])
def test_all_options_together_at_every_kind_of_length(loss, dtype, classes, isa):
    for shape, axis in shapes_of_length(classes):
        check(loss, problem(loss, shape, axis, dtype, loss.sweeps[-1], "mean"))


@every_loss
@compared_floats
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("shape", [(9, 6), (4, 600), (3, 5, 18)])
def test_grad_output_scales_the_gradient(loss, dtype, reduction, shape, isa, rng):
    p = problem(loss, shape, None, dtype, loss.sweeps[-1], reduction)
    upstream = dtype(-1.75)
    if reduction == "none":
        upstream = rng.normal(size=p.target.shape).astype(dtype)
    options = {**p.options, **p.call}
    exact = loss.define(p.logits, p.target, grad_output=upstream, **options)
    criterion, call = criterion_of(loss, p), {**p.call, "grad_output": upstream}
    assert_within(criterion.grad(p.logits, p.target, **call), exact.grad, "grad")
    value, grad = criterion.value_and_grad(p.logits, p.target, **call)
    assert_same_bits(value, criterion(p.logits, p.target, **p.call), "the value")
    assert_within(grad, exact.grad, "grad with the value")
    grad, hess = criterion.grad_and_hess(p.logits, p.target, **call)
    assert_within(grad, exact.grad, "grad with the Hessian")
    assert_within(hess, exact.hess, "hess")


@every_loss
@both_floats
@pytest.mark.parametrize(("shape", "axis"), [*SHAPES, ((3, 4097), None), ((90, 33), None)])
def test_methods_agree_to_the_bit(loss, dtype, shape, axis, isa):
    for sweep in (loss.sweeps[0], loss.sweeps[-1]):
        for reduction in loss.reductions:
            p = problem(loss, shape, axis, dtype, sweep, reduction)
            criterion = criterion_of(loss, p)
            value = criterion(p.logits, p.target, **p.call)
            both = criterion.value_and_grad(p.logits, p.target, **p.call)
            grad = criterion.grad(p.logits, p.target, **p.call)
            first, _ = criterion.grad_and_hess(p.logits, p.target, **p.call)
            function = getattr(ce, loss.name)(p.logits, p.target, **p.options, **p.call)
            assert_same_bits(value, function, "the function")
            assert_same_bits(value, both[0], "the value with the gradient")
            assert_same_bits(grad, both[1], "the gradient with the value")
            assert_same_bits(grad, first, "the gradient with the Hessian")


@every_loss
@compared_floats
def test_sums_over_many_items_are_accurate(loss, dtype, isa):
    for reduction in ("sum", "mean"):
        p = problem(loss, (30011, 5), None, dtype, (), reduction)
        assert_within(criterion_of(loss, p)(p.logits, p.target), p.exact.loss, reduction)


@both_floats
def test_sums_over_items_are_rounded_once(dtype, isa, rng):
    """With a margin of D, an integer, the loss is D; float32 sums of these would drift."""
    margin = rng.integers(64, 1000, 200_003)
    logits = np.stack([np.zeros(margin.size), -margin], 1).astype(dtype)
    target = np.ones(margin.size, int)
    for z in (logits, np.asfortranarray(logits)):
        assert ce.cross_entropy(z, target, reduction="sum") == dtype(margin.sum())
        mean = ce.cross_entropy(z, target)
        np.testing.assert_allclose(mean, margin.mean(), rtol=np.finfo(dtype).eps)


@every_loss
@both_floats
def test_scalars_are_numpy_scalars(loss, dtype, rng):
    logits = random_logits(rng, (6, 4), dtype)
    target = random_target(rng, logits)
    for reduction in ("sum", "mean"):
        value = getattr(ce, loss.name)(logits, target, reduction=reduction)
        assert type(value) is dtype
    single = getattr(ce, loss.name)(logits[0], target[0], reduction="none")
    assert single.dtype == dtype
    assert np.shape(single) == ()


def operands(n, shape, dtype, rng, axis):
    """What the normaliser is called with: an array, or an upstream gradient and an array."""
    x = random_logits(rng, shape, dtype)
    if not n.backward_of:
        return (x,)
    items = shape[:axis] + shape[axis + 1 :]
    g = rng.normal(size=items if n.drops else shape).astype(dtype)
    return (g, getattr(ce, n.backward_of)(x, axis) if n.output else x)


@every_normaliser
@compared_floats
@pytest.mark.parametrize("classes", LENGTHS)
def test_normalisers_of_every_length(normaliser, dtype, classes, isa, rng):
    for shape, _ in shapes_of_length(classes):
        arrays = operands(normaliser, shape, dtype, rng, 1)
        got = getattr(ce, normaliser.name)(*arrays, axis=1)
        assert_within(got, normaliser.define(*arrays, 1), normaliser.name)
        assert got.dtype == dtype


@every_normaliser
@compared_floats
@pytest.mark.parametrize("shape", [(7,), (3, 5), (5, 3, 4), (2, 3, 4, 5), (2, 1, 2, 3, 4)])
def test_normalisers_along_every_axis(normaliser, dtype, shape, isa, rng):
    for axis in range(len(shape)):
        arrays = operands(normaliser, shape, dtype, rng, axis)
        exact = normaliser.define(*arrays, axis)
        for spelling in (axis, axis - len(shape)):
            got = getattr(ce, normaliser.name)(*arrays, axis=spelling)
            assert_within(got, exact, normaliser.name)


@both_floats
def test_keepdims_keeps_a_length_of_one(dtype, rng):
    x = random_logits(rng, (3, 5, 4), dtype)
    g = rng.normal(size=(3, 4)).astype(dtype)
    for axis in (1, -2):
        kept = ce.logsumexp(x, axis=axis, keepdims=True)
        assert_same_bits(kept, np.expand_dims(ce.logsumexp(x, axis=axis), axis))
        backward = ce.logsumexp_backward(g[:, None], x, axis=axis, keepdims=True)
        assert_same_bits(backward, ce.logsumexp_backward(g, x, axis=axis))
