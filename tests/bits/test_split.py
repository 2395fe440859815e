"""Rows so few and long that threads share them: the same bits as from one thread."""

import numpy as np
import pytest
from helpers.problems import DTYPES, assert_same_bits

import ce

SHAPES = [(1, 70001), (3, 30011), (5, 20480), (1, 530_001)]
THREADS = range(2, 8)


@pytest.fixture(autouse=True)
def restored():
    before = ce.get_num_threads()
    yield
    ce.set_num_threads(before)


def logits(shape, dtype):
    rng = np.random.default_rng(shape[1])
    return (4 * rng.standard_normal(shape)).astype(dtype)


def targets(shape):
    return np.random.default_rng(1).integers(shape[1], size=shape[0])


def same_for_all_threads(call):
    """call() returns an array, or a tuple of arrays and numbers."""
    ce.set_num_threads(1)
    expected = call()
    for count in THREADS:
        ce.set_num_threads(count)
        actual = call()
        for a, b in zip(
            actual if isinstance(actual, tuple) else (actual,),
            expected if isinstance(expected, tuple) else (expected,),
            strict=True,
        ):
            assert_same_bits(np.asarray(a), np.asarray(b))


def every_way(criterion, z, t):
    """Value, gradient, Hessian; in place."""
    same_for_all_threads(lambda: criterion(z, t))
    same_for_all_threads(lambda: criterion.value_and_grad(z, t))
    same_for_all_threads(lambda: criterion.grad_and_hess(z, t))

    def in_place():
        copy = z.copy()
        return criterion.grad(copy, t, out=copy)

    same_for_all_threads(in_place)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_cross_entropy(shape, dtype, reduction):
    z, t = logits(shape, dtype), targets(shape)
    every_way(ce.CrossEntropyLoss(reduction=reduction), z, t)
    every_way(ce.CrossEntropyLoss(reduction=reduction, label_smoothing=0.1), z, t)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_other_losses(shape, dtype):
    z, t = logits(shape, dtype), targets(shape)
    q = np.random.default_rng(2).random(shape).astype(np.float64 if dtype == "float64" else "f4")
    every_way(ce.CrossEntropyLoss(), z, q / q.sum(axis=1, keepdims=True))
    every_way(ce.FocalLoss(), z, t)
    every_way(ce.NLLLoss(), z, t)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_normalisers(shape, dtype):
    z, g = logits(shape, dtype), logits(shape, dtype)[:, ::-1].copy()
    y, log_y, lse = ce.softmax(z), ce.log_softmax(z), ce.logsumexp(z, axis=1)
    for call in (
        lambda: ce.softmax(z),
        lambda: ce.log_softmax(z),
        lambda: ce.logsumexp(z, axis=1),
        lambda: ce.softmax_backward(g, y),
        lambda: ce.log_softmax_backward(g, log_y),
        lambda: ce.logsumexp_backward(lse, z, axis=1),
        lambda: ce.entropy(y, axis=1),
        lambda: ce.relative_entropy(y, y[:, ::-1].copy(), axis=1),
        lambda: ce.cross_entropy_between(y, y[:, ::-1].copy(), axis=1),
    ):
        same_for_all_threads(call)


def test_weights_and_ignored_items():
    z = logits((5, 20480), "f4")
    t = targets(z.shape)
    t[1] = -100
    z[1] = np.nan
    w = np.random.default_rng(3).random(z.shape[1], "f4")
    v = np.array([1, 1, 0, 2, 0.5], "f4")
    every_way(ce.CrossEntropyLoss(weight=w), z, t)
    criterion = ce.CrossEntropyLoss(weight=w, label_smoothing=0.2)
    same_for_all_threads(lambda: criterion.value_and_grad(z, t, sample_weight=v))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite(bad):
    z, t = logits((1, 70001), "f4"), np.array([5])
    z[0, 40000] = bad
    every_way(ce.CrossEntropyLoss(), z, t)
    same_for_all_threads(lambda: (ce.softmax(z), ce.log_softmax(z), ce.logsumexp(z, axis=1)))
    z[...] = bad
    every_way(ce.CrossEntropyLoss(), z, t)
    same_for_all_threads(lambda: (ce.softmax(z), ce.log_softmax(z), ce.logsumexp(z, axis=1)))


def test_rows_cut_for_their_length_alone():
    """So that a call can be stopped; by one thread, too. Beside many others they are not cut."""
    z = logits((1, 2**24 + 77), np.float16)
    many = np.broadcast_to(z, (65, z.size))
    ce.set_num_threads(1)
    for call in (
        ce.logsumexp,
        lambda x, **_: ce.CrossEntropyLoss(reduction="none")(x, [5] * len(x)),
    ):
        assert_same_bits(call(z, axis=1), call(many, axis=1)[:1])
