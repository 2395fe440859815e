"""float16 and bfloat16: computed in float32, rounded once, no digit of theirs lost."""

import numpy as np
import pytest
from helpers.problems import assert_same_bits, problem
from oracle import LOSSES
from oracle.exact import BFLOAT16, FLOAT16, HALF

import ce

both_halves = pytest.mark.parametrize("dtype", [FLOAT16, BFLOAT16], ids=str)
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.label)


def every_number(dtype):
    """All 65536 of them, those that are no number left out; bfloat16 subnormals may count as 0."""
    x = np.arange(2**16, dtype=np.uint16).view(dtype)
    with np.errstate(invalid="ignore"):
        size = abs(x.astype(np.float32))
    return x[np.isfinite(size) & ((size >= HALF[dtype][2]) | (size == 0))]


@both_halves
def test_every_number_is_read(dtype, isa):
    x = every_number(dtype)
    loss = ce.l1_loss(x, np.zeros_like(x), reduction="none")
    assert_same_bits(loss, abs(x.astype(np.float32)))
    assert_same_bits(ce.l1_loss(np.zeros_like(x), x, reduction="none"), loss, "as a target")
    rows = x[: x.size // 8 * 8].reshape(-1, 8)
    for z in (rows, np.asfortranarray(rows)):
        loss = ce.nll_loss(z, np.full(len(rows), 3), reduction="none")
        np.testing.assert_array_equal(loss, -rows[:, 3].astype(np.float32))


@both_halves
@pytest.mark.parametrize("place", ["each", "between", "next to it", "random"])
def test_every_number_is_rounded_to_nearest_even(dtype, place, isa, rng):
    """Half-way cases, their neighbours, subnormals, the largest, and overflow to infinity."""
    x = np.unique(every_number(dtype).astype(np.float32))
    if place == "random":
        g = rng.integers(0, 2**32, 300_000, dtype=np.uint32).view(np.float32)
        g = g[np.isfinite(g) & (abs(g) >= 2.0**-126)]
    else:
        ends = x[-1] + (x[-1] - x[-2]) * np.float32(0.5)
        between = np.concatenate([(x[:-1].astype(float) + x[1:]) / 2, [ends]]).astype(np.float32)
        towards = np.nextafter(between, np.float32(0))
        away = np.nextafter(between, np.copysign(np.float32(np.inf), between))
        g = {"each": x, "between": between, "next to it": np.concatenate([towards, away])}[place]
        g = g[(abs(g) >= 2.0**-126) | (g == 0)]
    ones = np.ones(g.size, dtype)
    grad = ce.L1Loss(reduction="none").grad(ones, 0, grad_output=g)
    with np.errstate(over="ignore"):
        expected = g.astype(dtype)
    small = abs(expected.astype(float)) < HALF[dtype][2]
    np.testing.assert_array_equal(np.where(small, 0, grad.astype(float)),
                                  np.where(small, 0, expected.astype(float)))  # fmt: skip


@both_halves
def test_nan_stays_nan(dtype, isa):
    x = np.arange(2**16, dtype=np.uint16).view(dtype)
    x = x[np.isnan(x.astype(np.float32))]
    assert np.isnan(ce.mse_loss(x, np.zeros_like(x), reduction="none")).all()
    grad = ce.MSELoss(reduction="none").grad(x, np.zeros_like(x))
    assert np.isnan(grad.astype(np.float32)).all()
    g = np.array([0x7F800001, 0x7FFFFFFF, 0xFF800001], np.uint32).view(np.float32)
    grad = ce.L1Loss(reduction="none").grad(np.ones(3, dtype), 0, grad_output=g)
    assert np.isnan(grad.astype(np.float32)).all()


@pytest.mark.parametrize("classes", [2, 10, 33, 600, 5000])
@pytest.mark.parametrize("layout", ["rows", "middle"])
def test_float16_gradients_below_the_normal_numbers(classes, layout, isa, rng):
    """A mean over many items brings them there: they are subnormal, not 0."""
    rows = rng.normal(0, 1, (400, classes)).astype(np.float16)
    target = rng.integers(0, classes, 400)
    p = np.exp(rows.astype(float))
    p /= p.sum(1, keepdims=True)
    expected = (p - np.eye(classes)[target]) / 400
    if layout == "middle":
        rows, target = np.ascontiguousarray(rows.T)[None], target[None]
    grad = ce.CrossEntropyLoss().grad(rows, target)
    grad = grad[0].T if layout == "middle" else grad
    small = (abs(expected) < 6e-5) & (abs(expected) > 2.0**-24)
    assert small.any()
    assert (grad[small] != 0).all()
    np.testing.assert_allclose(grad.astype(float), expected, rtol=2.0**-10, atol=2.0**-25 * 1.01)


@every_loss
@both_halves
def test_as_in_float32_rounded_once(loss, dtype, isa):
    """The value has the bits of the float32 computation, the gradient those of it rounded."""
    for shape in ((5, 7), (3, 40), (4, 9, 18)):
        for sweep in (loss.sweeps[0], loss.sweeps[-1]):
            p = problem(loss, shape, None, dtype.type, sweep, "mean")
            criterion = getattr(ce, loss.criterion)(**p.options)
            x, y = p.x.astype(np.float32), p.target
            y = y.astype(np.float32) if y.dtype.kind not in "iu" else y
            value, grad = criterion.value_and_grad(p.x, p.target, **p.call)
            expected, wide = criterion.value_and_grad(x, y, **p.call)
            np.testing.assert_allclose(value, expected, rtol=2e-7)
            with np.errstate(over="ignore"):
                once = wide.astype(dtype).astype(np.float32)
            bits, least, *_ = HALF[dtype]
            got = grad.astype(np.float32)
            np.testing.assert_allclose(got, once, rtol=2.0 ** (1 - bits), atol=least)


@both_halves
def test_out_and_in_place(dtype, isa, rng):
    for shape in [(9, 7), (4, 50), (2, 5, 33)]:
        logits = rng.normal(0, 2, shape).astype(dtype)
        target = rng.integers(0, shape[1], shape[:1] + shape[2:])
        criterion = ce.CrossEntropyLoss()
        fresh = criterion.grad(logits, target)
        assert fresh.dtype == dtype
        out = np.zeros_like(logits)
        assert criterion.grad(logits, target, out=out) is out
        assert_same_bits(out, fresh)
        place = logits.copy()
        criterion.grad(place, target, out=place)
        assert_same_bits(place, fresh)
        with pytest.raises(TypeError, match=rf"out.*float32.*{dtype.name}"):
            criterion.grad(logits, target, out=np.zeros(shape, np.float32))


@both_halves
def test_lists_of_weights_and_python_scalars(dtype, isa):
    x = np.array([1, 2, 3], dtype)
    assert ce.mse_loss(x, 1, weight=[1, 0, 0.5]) == np.float32(2 / 1.5)
    with pytest.raises(ValueError, match="weight"):
        ce.mse_loss(x, 1, weight=[1, 2])


def test_foreign_byte_order_of_float16(isa, rng):
    x = rng.normal(size=(6, 5)).astype(np.float16)
    target = rng.integers(0, 5, 6)
    loss, grad = ce.CrossEntropyLoss().value_and_grad(x, target)
    got, got_grad = ce.CrossEntropyLoss().value_and_grad(x.astype(">f2"), target)
    assert_same_bits(got, loss)
    np.testing.assert_array_equal(got_grad, grad)


def test_torch_float16_tensors(rng):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x, target = rng.normal(size=(6, 5)).astype(np.float16), rng.integers(0, 5, 6)
    loss, grad = ce.CrossEntropyLoss().value_and_grad(x, target)
    tensors = torch.from_numpy(x), torch.from_numpy(target)
    got, got_grad = ce.CrossEntropyLoss().value_and_grad(*tensors)
    assert_same_bits(got, loss)
    assert_same_bits(got_grad, grad)


@pytest.mark.parametrize("order", ["rows", "transposed", "steps"])
def test_torch_bfloat16_tensors(order, rng):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x, target = rng.normal(size=(6, 10)).astype(BFLOAT16), rng.integers(0, 5, 6)
    z = torch.from_numpy(x.astype(np.float32)).bfloat16()
    if order == "transposed":
        z = z.T.contiguous().T
    if order == "steps":
        z, x = z[:, ::2], x[:, ::2]
    loss, grad = ce.CrossEntropyLoss().value_and_grad(x, target)
    got, got_grad = ce.CrossEntropyLoss().value_and_grad(z, torch.from_numpy(target))
    np.testing.assert_allclose(got, loss, rtol=1e-6)
    assert got_grad.dtype == BFLOAT16
    np.testing.assert_allclose(got_grad.astype(float), grad.astype(float), rtol=2.0**-7)
    y = z[:, :1]
    got = ce.mse_loss(y, y * 0)
    np.testing.assert_allclose(got, np.mean(x[:, :1].astype(float) ** 2), rtol=1e-6)
    np.testing.assert_allclose(
        ce.softmax(z).astype(float), ce.softmax(x).astype(float), rtol=2.0**-7
    )
    back = ce.MSELoss(weight=z[0]).grad(z, z * 0)
    assert back.dtype == BFLOAT16


def test_torch_bfloat16_tensors_are_not_copied(rng):
    """An output over the tensor's memory is seen as such."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    z = torch.zeros(7, 5, dtype=torch.bfloat16)
    memory = z.view(torch.int16).numpy().view(BFLOAT16)
    target = np.zeros(6, int)
    with pytest.raises(ValueError, match="out"):
        ce.CrossEntropyLoss().grad(z[:6], target, out=memory[1:])
    ce.CrossEntropyLoss().grad(z[:6], target, out=memory[:6])
    np.testing.assert_allclose(z[0].float().numpy(), [-0.8 / 6] + [0.2 / 6] * 4, rtol=2.0**-7)


def test_other_narrow_types_are_refused():
    """They are void to NumPy, as bfloat16 is."""
    import ml_dtypes

    for dtype in (ml_dtypes.float8_e4m3fn, ml_dtypes.int4):
        x = np.zeros((2, 3), dtype)
        with pytest.raises(TypeError, match=rf"logits.*{np.dtype(dtype).name}"):
            ce.cross_entropy(x, [0, 1])
    with pytest.raises(TypeError, match=r"logits.*(longdouble|float128)"):
        ce.cross_entropy(np.zeros((2, 3), np.longdouble), [0, 1])
