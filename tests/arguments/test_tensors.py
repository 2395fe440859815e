"""torch's tensors, as inputs and as outputs, in every dtype."""

import gc
import subprocess
import sys
import weakref

import numpy as np
import pytest
from helpers.problems import assert_same_bits
from oracle.exact import BFLOAT16

import ce

torch = pytest.importorskip("torch", reason="torch is not installed")

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
each_float = pytest.mark.parametrize("dtype", FLOATS, ids=str)
TARGET = np.array([2, 0, 1, 4])


def logits(dtype, rng):
    return torch.from_numpy(rng.normal(0, 2, (4, 5))).to(dtype)


def numbers(tensor):
    """As an ndarray, by torch alone; bfloat16 in the dtype of ml_dtypes."""
    if tensor.dtype == torch.bfloat16:
        return tensor.contiguous().view(torch.int16).numpy().view(BFLOAT16)
    return tensor.numpy()


# -- inputs ---------------------------------------------------------------------------------------

LAYOUTS = {
    "as made": lambda x: x,
    "transposed": lambda x: x.T.contiguous().T,
    "steps": lambda x: x.repeat(2, 2)[::2, ::2],
    "offset": lambda x: torch.cat([x[:1], x])[1:],
    "expanded": lambda x: x[:1].expand(4, 5),
    "parameter": lambda x: torch.nn.Parameter(x, requires_grad=False),
}


@each_float
@pytest.mark.parametrize("layout", LAYOUTS)
def test_as_the_array_of_it(dtype, layout, rng):
    x = LAYOUTS[layout](logits(dtype, rng))
    expected = ce.CrossEntropyLoss().value_and_grad(np.ascontiguousarray(numbers(x)), TARGET)
    got = ce.CrossEntropyLoss().value_and_grad(x, torch.from_numpy(TARGET))
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-6)
    assert got[1].dtype == expected[1].dtype
    np.testing.assert_allclose(
        got[1].astype(float), expected[1].astype(float), rtol=2.0**-7, atol=2.0**-30
    )


@pytest.mark.parametrize(
    "dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
)
def test_targets(dtype, rng):
    x = logits(torch.float64, rng)
    target = torch.from_numpy(TARGET).to(getattr(torch, dtype))
    assert_same_bits(ce.cross_entropy(x, target), ce.cross_entropy(x.numpy(), TARGET))


@each_float
def test_few_axes_and_none(dtype):
    assert ce.mse_loss(torch.tensor(3.0, dtype=dtype), 1.0) == 4
    assert ce.softmax(torch.zeros(0, 3, dtype=dtype)).shape == (0, 3)
    assert ce.softmax(torch.zeros((1,) * 31 + (2,), dtype=dtype)).ndim == 32


def test_weights_of_any_dtype(rng):
    x = logits(torch.float32, rng)
    weight = torch.tensor([1.0, 2, 0.5, 3, 1])
    expected = ce.cross_entropy(x.numpy(), TARGET, weight=weight.numpy())
    for dtype in FLOATS:
        assert_same_bits(ce.cross_entropy(x, TARGET, weight=weight.to(dtype)), expected)


def test_negated_views(rng):
    """torch keeps the sign of such a view beside its memory, and only of complex numbers."""
    x = logits(torch.float32, rng)
    negated = torch.complex(torch.zeros(4, 5), -x).conj().imag
    assert negated.is_neg()
    assert_same_bits(ce.softmax(negated), ce.softmax(x.numpy()))
    with pytest.raises(TypeError, match=r"out is a negated view.*\.resolve_neg\(\)"):
        ce.softmax(x, out=negated)


def test_memory_is_given_back(rng):
    for dtype in FLOATS:
        x = logits(dtype, rng)
        gone = weakref.ref(x.untyped_storage())
        ce.softmax(x)
        ce.softmax(x, out=x)
        before = sys.getrefcount(x)
        ce.softmax(x)
        assert sys.getrefcount(x) == before
        del x
        gc.collect()
        assert gone() is None


# -- what cannot be read --------------------------------------------------------------------------


def test_tensors_that_require_grad(rng):
    for dtype in FLOATS:
        x = logits(dtype, rng).requires_grad_()
        for tensor in (x, x * 2, torch.nn.Parameter(logits(dtype, rng))):
            with pytest.raises(TypeError, match=r"logits requires grad.*\.detach\(\)"):
                ce.cross_entropy(tensor, TARGET)
            with pytest.raises(TypeError, match=r"out requires grad.*\.detach\(\)"):
                ce.softmax(x.detach(), out=tensor)
            expected = ce.softmax(numbers(tensor.detach()))
            assert_same_bits(ce.softmax(tensor.detach()), expected)


@each_float
def test_other_devices(dtype):
    x = torch.zeros(4, 5, dtype=dtype, device="meta")
    with pytest.raises(TypeError, match=r"logits is on device meta.*\.cpu\(\)"):
        ce.cross_entropy(x, TARGET)
    with pytest.raises(TypeError, match=r"target is on device meta.*\.cpu\(\)"):
        ce.cross_entropy(np.zeros((4, 5)), x)
    with pytest.raises(TypeError, match=r"out is on device meta.*\.cpu\(\)"):
        ce.softmax(np.zeros((4, 5)), out=x)


@each_float
def test_tensors_whose_storage_was_freed(dtype):
    """NumPy would see memory of its own in its place."""
    x = torch.zeros(4, 5, dtype=dtype)
    x.untyped_storage().resize_(0)
    for call in (
        lambda: ce.softmax(x),
        lambda: ce.softmax(x, axis=None),
        lambda: ce.mse_loss(x, 0),
    ):
        with pytest.raises(TypeError, match="it has no memory"):
            call()
    with pytest.raises(TypeError, match=r"out .* it has no memory"):
        ce.softmax(np.zeros((4, 5)), out=x)
    empty = torch.zeros(0, 5, dtype=dtype)
    assert ce.softmax(empty).shape == (0, 5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: torch.eye(2).to_sparse(), r"layout torch\.sparse_coo; pass \.to_dense\(\)"),
        (lambda: torch.eye(2).to_sparse_csr(), r"layout torch\.sparse_csr; pass \.to_dense\(\)"),
        (lambda: torch.eye(2).to_mkldnn(), r"layout torch\._mkldnn; pass \.to_dense\(\)"),
        (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
         r"nested tensor.*\.to_padded_tensor"),
        (lambda: torch.nested.nested_tensor(
            [torch.ones(2), torch.ones(3)], layout=torch.jagged), r"nested tensor.*to_padded"),
        (lambda: torch.quantize_per_tensor(torch.eye(2), 0.1, 0, torch.quint8),
         r"quantized; pass \.dequantize\(\)"),
        (lambda: torch.eye(2, dtype=torch.complex64), "dtype complex64"),
        (lambda: torch.eye(2, dtype=torch.complex64).conj(), r"dtype torch\.complex64"),
        (lambda: torch.zeros(2, dtype=torch.float8_e5m2), r"dtype torch\.float8_e5m2"),
        (lambda: [torch.zeros(2, dtype=torch.bfloat16)], "cannot be read as an array"),
    ],
)  # fmt: skip
def test_tensors_without_numbers_in_memory(make, words):
    x = make()
    with pytest.raises(TypeError, match=rf"x .*{words}"):
        ce.softmax(x)
    with pytest.raises(TypeError, match="out "):
        ce.softmax(np.eye(2), out=x)


def test_within_transforms_of_torch():
    def inner(x):
        with pytest.raises(TypeError, match=r"x .*(storage|requires grad)"):
            ce.softmax(x)
        return x.sum()

    torch.func.vmap(inner)(torch.ones(2, 3))
    torch.func.grad(inner)(torch.ones(3))


def test_subclasses_answer_with_arrays_only():
    from ce import _arrays

    class Array(np.ndarray):
        dtype = property(lambda self: np.dtype("f8"))
        shape = property(lambda self: (1 << 40,))

    class Lying(torch.Tensor):
        def numpy(self, **_):
            return np.ones(3, np.float32).view(Array)

        def view(self, _):
            return self

    for dtype in (torch.float32, torch.bfloat16):
        x = torch.zeros(5, dtype=dtype).as_subclass(Lying)
        assert type(_arrays.as_array("x", x)) in (np.ndarray, *_arrays.FOREIGN.values())
        assert type(_arrays.as_out("out", x)) in (np.ndarray, *_arrays.FOREIGN.values())


# -- outputs --------------------------------------------------------------------------------------


@each_float
@pytest.mark.parametrize("layout", ["as made", "transposed", "steps", "offset", "parameter"])
def test_outputs(dtype, layout, rng):
    """Each is returned itself, and holds what a new array would."""
    x = logits(dtype, rng)
    criterion = ce.CrossEntropyLoss()
    grad = criterion.grad(numbers(x), TARGET)
    out = LAYOUTS[layout](torch.zeros_like(x))
    assert criterion.grad(x, TARGET, out=out) is out
    assert_same_bits(numbers(out.detach()), grad)
    out = LAYOUTS[layout](torch.zeros_like(x))
    value, got = criterion.value_and_grad(x, TARGET, out=out)
    assert got is out
    assert_same_bits(value, criterion(numbers(x), TARGET))
    assert_same_bits(numbers(out.detach()), grad)


@each_float
def test_other_outputs(dtype, rng):
    x = logits(dtype, rng)
    real = torch.float64 if dtype == torch.float64 else torch.float32
    pair = torch.zeros_like(x), torch.zeros_like(x)
    target = torch.ones_like(x)
    got = ce.BCEWithLogitsLoss().grad_and_hess(x, target, out=pair)
    expected = ce.BCEWithLogitsLoss().grad_and_hess(numbers(x), numbers(target))
    for a, b, c in zip(got, pair, expected, strict=True):
        assert a is b
        assert_same_bits(numbers(a), c)
    sums = torch.zeros(4, 1, dtype=real)
    assert ce.logsumexp(x, keepdims=True, out=sums) is sums
    assert_same_bits(sums.numpy(), ce.logsumexp(numbers(x), keepdims=True))
    for function in (ce.softmax, ce.log_softmax):
        out = torch.zeros_like(x)
        assert function(x, out=out) is out
        assert_same_bits(numbers(out), function(numbers(x)))


@each_float
def test_in_place(dtype, rng):
    x = logits(dtype, rng)
    grad = ce.CrossEntropyLoss().grad(numbers(x), TARGET)
    assert ce.CrossEntropyLoss().grad(x, TARGET, out=x) is x
    assert_same_bits(numbers(x), grad)


@each_float
def test_outputs_that_overlap(dtype):
    flat = torch.zeros(25, dtype=dtype)
    with pytest.raises(ValueError, match="out overlaps logits"):
        ce.CrossEntropyLoss().grad(flat[:20].view(4, 5), TARGET, out=flat[1:21].view(4, 5))
    with pytest.raises(ValueError, match="out overlaps itself"):
        ce.softmax(np.zeros((4, 5), numbers(flat).dtype), out=flat[:5].expand(4, 5))
    assert not flat.any()


@each_float
def test_outputs_that_do_not_fit(dtype, rng):
    x = logits(dtype, rng)
    for other in {*FLOATS, torch.int64, torch.complex64} - {dtype}:
        with pytest.raises(TypeError, match="out has dtype"):
            ce.softmax(x, out=torch.zeros(4, 5, dtype=other))
    with pytest.raises(ValueError, match=r"out has shape \(5, 4\)"):
        ce.softmax(x, out=torch.zeros(5, 4, dtype=dtype))


# -- bfloat16 -------------------------------------------------------------------------------------

IMPORTED = """
import sys, numpy as np, torch, ce
z, t = torch.zeros(2, 4, dtype=torch.bfloat16), torch.tensor([0, 1])
assert ce.cross_entropy(z, t) == np.float32(np.log(4))
assert ce.CrossEntropyLoss().grad(z, t, out=z) is z
assert "ml_dtypes" not in sys.modules
assert ce.CrossEntropyLoss().grad(z, t).dtype.name == "bfloat16"
assert ce.softmax(z).dtype == sys.modules["ml_dtypes"].bfloat16
"""

NOT_INSTALLED = """
import sys, torch, ce
sys.modules["ml_dtypes"] = None
z, t = torch.zeros(2, 4, dtype=torch.bfloat16), torch.tensor([0, 1])
for call in (lambda: ce.CrossEntropyLoss().grad(z, t), lambda: ce.softmax(z)):
    try:
        call()
    except TypeError as error:
        assert "install it, or pass out=" in str(error), error
    else:
        raise AssertionError
assert ce.softmax(z, out=z)[0, 0] == 0.25
"""


@pytest.mark.parametrize("script", [IMPORTED, NOT_INSTALLED], ids=["installed", "not installed"])
def test_new_arrays_of_bfloat16(script):
    """They take ml_dtypes; values and `out` do without."""
    subprocess.run([sys.executable, "-c", script], timeout=120, check=True)


def test_torch_before_it_offers_memory_in_c(monkeypatch, rng):
    """Then by its numpy(); bfloat16 as the bits of an integer."""
    from ce import _arrays

    monkeypatch.setattr(_arrays, "_tensor_type", None)
    monkeypatch.setattr(ce._core, "know_tensors", lambda kind: False, raising=True)
    for dtype in FLOATS:
        x = logits(dtype, rng)
        expected = ce.softmax(numbers(x))
        assert_same_bits(_arrays.as_array("x", x).view(np.uint8), numbers(x).view(np.uint8))
        assert ce.softmax(x, out=x) is x
        assert_same_bits(numbers(x), expected)
