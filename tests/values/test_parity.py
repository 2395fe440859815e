"""Agreement with torch, and the places where it is left on purpose."""

import itertools

import numpy as np
import pytest
from helpers.problems import FLOATS
from oracle.inputs import random_logits, random_target

import ce

torch = pytest.importorskip("torch", reason="torch is not installed")
F = torch.nn.functional

both_floats = pytest.mark.parametrize("dtype", FLOATS)
SHAPES = [(5,), (1, 3), (6, 4), (40, 33), (3, 700), (3, 5, 7), (2, 4, 3, 5)]
# ce is held to its own definition elsewhere; here the roundings of both count, torch's more
TOLERANCE = {
    np.float32: {"rtol": 3e-5, "atol": 2e-6},
    np.float64: {"rtol": 1e-12, "atol": 1e-14},
}


@pytest.fixture(autouse=True, scope="module")
def one_thread_for_torch():
    """Threads of the two libraries that wait for work would slow each other down."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def by_torch(logits, target, grad_output=None, weight=None, **options):
    """The loss and the gradient by torch."""
    z = torch.from_numpy(logits.copy()).requires_grad_()
    weight = None if weight is None else torch.from_numpy(weight)
    loss = F.cross_entropy(z, torch.from_numpy(np.asarray(target)), weight=weight, **options)
    g = torch.ones_like(loss) if grad_output is None else torch.from_numpy(np.asarray(grad_output))
    loss.backward(g)
    return loss.detach().numpy(), z.grad.numpy()


OPTIONS = list(
    itertools.product([False, True], [-100, 0], [0.0, 0.1, 1.0], ["none", "sum", "mean"])
)


@both_floats
@pytest.mark.parametrize("shape", SHAPES)
def test_cross_entropy(dtype, shape, isa, rng):
    logits = random_logits(rng, shape, dtype)
    classes = shape[min(1, len(shape) - 1)]
    weights = rng.uniform(0.1, 2, classes).astype(dtype)
    for weighted, ignore_index, smoothing, reduction in OPTIONS:
        target = random_target(rng, logits)
        if target.size > 2:
            target.reshape(-1)[::3] = ignore_index
        options = {
            "weight": weights if weighted else None,
            "ignore_index": ignore_index,
            "label_smoothing": smoothing,
            "reduction": reduction,
        }
        g = rng.normal(size=target.shape if reduction == "none" else ()).astype(dtype)
        value, grad = by_torch(logits, target, g, **options)
        criterion = ce.CrossEntropyLoss(**options)
        np.testing.assert_allclose(criterion(logits, target), value, **TOLERANCE[dtype])
        got = criterion.grad(logits, target, grad_output=g)
        np.testing.assert_allclose(got, grad, **TOLERANCE[dtype])


@both_floats
@pytest.mark.parametrize("weight", [np.inf, np.nan])
def test_the_weight_of_an_absent_class_does_not_matter(dtype, weight, isa, rng):
    """Say 1 / count where the count is 0."""
    logits, target = random_logits(rng, (9, 4), dtype), rng.integers(1, 4, 9)
    weights = np.array([weight, 1, 2, 0.5], dtype)
    value, grad = by_torch(logits, target, weight=weights)
    assert np.isfinite(grad).all()
    got, got_grad = ce.CrossEntropyLoss(weight=weights).value_and_grad(logits, target)
    np.testing.assert_allclose(got, value, **TOLERANCE[dtype])
    np.testing.assert_allclose(got_grad, grad, **TOLERANCE[dtype])


@both_floats
@pytest.mark.parametrize("shape", [(7,), (5, 3), (3, 90), (2, 600), (4, 5, 6)])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_normalisers_and_their_backward(dtype, shape, name, isa, rng):
    x = random_logits(rng, shape, dtype)
    for axis in range(len(shape)):
        z = torch.from_numpy(x.copy()).requires_grad_()
        y = getattr(torch, name)(z, axis)
        g = rng.normal(size=tuple(y.shape)).astype(dtype)
        y.backward(torch.from_numpy(g))
        got = getattr(ce, name)(x, axis=axis)
        np.testing.assert_allclose(got, y.detach().numpy(), **TOLERANCE[dtype])
        backward = getattr(ce, f"{name}_backward")
        grad = backward(g, x if name == "logsumexp" else got, axis=axis)
        np.testing.assert_allclose(grad, z.grad.numpy(), **TOLERANCE[dtype])


def test_difference_confident_predictions():
    """torch loses the loss and its gradient from a margin of 17; ce keeps every digit."""
    logits, target = np.array([[20, 0, 0]], np.float32), np.array([0])
    value, grad = by_torch(logits, target)
    assert value == 0
    assert grad[0, 0] == 0
    value, grad = ce.CrossEntropyLoss().value_and_grad(logits, target)
    s = 2 * np.exp(-20.0)
    np.testing.assert_allclose(value, np.log1p(s), rtol=2e-6)
    np.testing.assert_allclose(grad, [[-s / (1 + s), s / 2 / (1 + s), s / 2 / (1 + s)]], rtol=2e-6)


def test_difference_ignored_rows_with_nan():
    """In torch the NaN of an ignored row reaches the gradient of that row; in ce it is 0."""
    logits = np.array([[1, 2, 3], [np.nan, 0, np.inf]], np.float32)
    target = np.array([2, -100])
    _, grad = by_torch(logits, target)
    assert np.isnan(grad[1]).any()
    _, grad = ce.CrossEntropyLoss().value_and_grad(logits, target)
    np.testing.assert_array_equal(grad[1], [0, 0, 0])
    assert np.isfinite(grad).all()


def test_difference_negative_smoothing():
    """torch takes a negative smoothing for 0; ce refuses it."""
    logits, target = np.array([[1, 2, 3]], np.float32), np.array([2])
    assert by_torch(logits, target, label_smoothing=-1.0)[0] == by_torch(logits, target)[0]
    with pytest.raises(ValueError, match="label_smoothing"):
        ce.cross_entropy(logits, target, label_smoothing=-1.0)


def test_difference_zero_weight_of_an_impossible_target():
    """0 * inf is NaN in torch, and 0 in ce: such an item does not count."""
    logits, target = np.array([[-np.inf, 0], [1, 0]], np.float32), np.array([0, 1])
    weight = np.array([0, 1], np.float32)
    assert np.isnan(by_torch(logits, target, weight=weight, reduction="sum")[0])
    got = ce.cross_entropy(logits, target, weight=weight, reduction="sum")
    np.testing.assert_allclose(got, np.log1p(np.e), rtol=1e-6)


def test_difference_integer_dtypes():
    """torch takes int64 and uint8; ce every integer dtype."""
    logits, target = np.eye(3, dtype=np.float32), np.array([0, 1, 1], np.int16)
    with pytest.raises(RuntimeError):
        by_torch(logits, target)
    expected = by_torch(logits, target.astype(np.int64))[0]
    np.testing.assert_allclose(ce.cross_entropy(logits, target), expected, rtol=1e-6)
