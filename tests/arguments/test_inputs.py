"""Inputs that are no NumPy arrays: lists, buffers, scalars, and arrays of other libraries."""

import array
import ctypes

import numpy as np
import pytest
from helpers.problems import assert_same_bits
from oracle.inputs import random_logits, random_target

import ce


class OnlyArray:
    """An object that can only turn itself into an array."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values


class OnlyDlpack:
    """An object that can only export itself by DLPack."""

    def __init__(self, values):
        self.values = values

    def __dlpack__(self, **options):
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


def problem(rng, dtype=np.float32):
    """Logits, a target, the loss and the gradient."""
    logits = random_logits(rng, (9, 6), dtype)
    target = random_target(rng, logits)
    return logits, target, *ce.CrossEntropyLoss().value_and_grad(logits, target)


@pytest.mark.parametrize("wrap", [OnlyArray, OnlyDlpack, memoryview, np.asfortranarray])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_wrapped_arrays(wrap, dtype, rng):
    logits, target, loss, grad = problem(rng, dtype)
    assert_same_bits(ce.cross_entropy(wrap(logits), target), loss)
    assert_same_bits(ce.cross_entropy(logits, wrap(target)), loss)
    ones = np.ones(9, dtype)
    got = ce.CrossEntropyLoss().grad(wrap(logits), wrap(target), sample_weight=wrap(ones))
    np.testing.assert_allclose(got, grad, rtol=1e-5, atol=1e-7)
    assert_same_bits(ce.softmax(wrap(logits)), ce.softmax(logits))


def test_lists_and_scalars(rng):
    logits, target, loss, grad = problem(rng, np.float64)
    got = ce.CrossEntropyLoss().value_and_grad(logits.tolist(), target.tolist())
    assert_same_bits(got[0], loss)
    assert_same_bits(got[1], grad)
    single = ce.cross_entropy([0.0, 1.0, 2.0], 1)
    assert_same_bits(single, ce.cross_entropy(np.array([0.0, 1, 2]), np.array(1)))
    assert_same_bits(ce.cross_entropy([0.0, 1.0, 2.0], np.int8(1)), single)
    assert_same_bits(ce.logsumexp([0.0, 1.0]), ce.logsumexp(np.array([0.0, 1.0])))
    whole = ce.cross_entropy([[0, 1], [1, 0]], [0, 1])
    assert_same_bits(whole, ce.cross_entropy(np.array([[0.0, 1], [1, 0]]), [0, 1]))


def test_buffers(rng):
    logits, target, *_ = problem(rng)
    x = array.array("f", logits[0].tolist())
    expected = ce.cross_entropy(logits[0], target[0])
    assert_same_bits(ce.cross_entropy(x, target[0]), expected)
    indices = array.array("q", target.tolist())
    assert_same_bits(ce.cross_entropy(logits, indices), ce.cross_entropy(logits, target))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_as_lists_or_of_another_precision(dtype, rng):
    logits, target, *_ = problem(rng, dtype)
    weight = [0.5, 1, 2, 0.25, 4, 1.5]
    expected = ce.cross_entropy(logits, target, weight=np.array(weight, dtype))
    for given in (weight, np.array(weight, np.float32), np.array(weight, np.float64)):
        assert_same_bits(ce.cross_entropy(logits, target, weight=given), expected)


def test_torch_tensors_share_memory(rng):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    logits, target, loss, grad = problem(rng)
    tensor, index = torch.from_numpy(logits.copy()), torch.from_numpy(target)
    value, fresh = ce.CrossEntropyLoss().value_and_grad(tensor, index)
    assert_same_bits(value, loss)
    assert isinstance(fresh, np.ndarray)
    assert_same_bits(fresh, grad)
    criterion = ce.CrossEntropyLoss()
    flat = torch.from_numpy(np.zeros(60, np.float32))
    with pytest.raises(ValueError, match="out"):
        criterion.grad(flat[:54].reshape(9, 6), index, out=flat.numpy()[1:55].reshape(9, 6))
    criterion.grad(tensor, index, out=tensor.numpy())
    assert_same_bits(tensor.numpy(), grad)
    tensor.zero_()
    assert criterion.grad(torch.from_numpy(logits), index, out=tensor) is tensor
    assert_same_bits(tensor.numpy(), grad)


def test_torch_layouts(rng):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    logits = random_logits(rng, (3, 5, 4, 2), np.float32)
    target = random_target(rng, logits)
    tensor = torch.from_numpy(logits).to(memory_format=torch.channels_last)
    got = ce.cross_entropy(tensor, torch.from_numpy(target), reduction="none")
    np.testing.assert_allclose(got, ce.cross_entropy(logits, target, reduction="none"), rtol=1e-5)


def test_jax_arrays(rng):
    jnp = pytest.importorskip("jax.numpy", reason="JAX is not installed")
    logits, target, loss, grad = problem(rng)
    index = jnp.asarray(target.astype(np.int32))
    value, got = ce.CrossEntropyLoss().value_and_grad(jnp.asarray(logits), index)
    assert_same_bits(value, loss)
    assert_same_bits(got, grad)


def test_ctypes_arrays():
    """They are buffers without strides."""
    logits = ((ctypes.c_float * 3) * 2)((1, 2, 3), (1, 2, 3))
    target = (ctypes.c_int64 * 2)(2, 0)
    weight = (ctypes.c_float * 3)(1, 2, 3)
    plain = np.asarray(logits), np.asarray(target)
    expected = ce.cross_entropy(*plain, weight=np.asarray(weight))
    assert_same_bits(ce.cross_entropy(logits, target, weight=weight), expected, "value")


def test_subclasses_do_not_decide_where_results_go():
    class Odd(np.ndarray):
        def __array_function__(self, *_):
            return np.empty(1, np.float32)

    x = np.zeros((300, 300), np.float32)
    assert_same_bits(ce.softmax(x.view(Odd)), ce.softmax(x), "softmax")


def test_torch_views_that_negate(rng):
    """torch keeps the sign of such a view beside its memory."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    logits, target, loss, grad = problem(rng)
    tensor = torch.complex(torch.zeros(9, 6), torch.from_numpy(-logits)).conj().imag
    assert tensor.is_neg()
    got, got_grad = ce.CrossEntropyLoss().value_and_grad(tensor, target)
    np.testing.assert_allclose(got, loss, rtol=1e-6)
    np.testing.assert_allclose(got_grad, grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("ignored", [-(2**63), -(2**62), -100, 2**62])
def test_floating_targets_may_be_the_ignored_index(ignored):
    """Any that float64 has, the least integer of 64 bits included."""
    got = ce.cross_entropy(np.eye(2, 3), np.array([float(ignored), 1.0]), ignore_index=ignored)
    assert_same_bits(got, ce.cross_entropy(np.eye(2, 3)[1], 1))
