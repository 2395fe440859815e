"""`ce.torch` in torch itself: its own samples, autograd, and what is left to it."""

import copy
import doctest
import inspect
import itertools
import pickle
import socket
import subprocess
import sys
import threading
import warnings
import weakref

import numpy as np
import pytest

import ce

torch = pytest.importorskip("torch")

import ce.torch  # noqa: E402

functional = torch.nn.functional
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
OF_TORCH = [
    "cross_entropy", "nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits",
    "mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss", "kl_div",
]  # fmt: skip
CLASSES = [
    "CrossEntropyLoss", "NLLLoss", "BCELoss", "BCEWithLogitsLoss", "MSELoss", "L1Loss", "HuberLoss",
    "SmoothL1Loss", "KLDivLoss",
]  # fmt: skip
pytestmark = pytest.mark.filterwarnings("default")  # those of torch are its own


def assert_close(got, wanted, dtype, what=""):
    """Results of halves are rounded by torch at every step: theirs are those of float64 here."""
    rtol, atol = {
        torch.float32: (1e-5, 1e-6), torch.float64: (1e-9, 1e-12), torch.float16: (2e-3, 1e-3),
        torch.bfloat16: (1e-2, 8e-3),
    }[dtype]  # fmt: skip
    torch.testing.assert_close(
        got.double(), wanted.double(), rtol=rtol, atol=atol, equal_nan=True, msg=lambda m: what + m
    )


def wide(x):
    """Floating numbers as float64."""
    if isinstance(x, torch.Tensor):
        return x.detach().double() if x.is_floating_point() else x
    return x


@pytest.fixture
def served(monkeypatch):
    """No call goes to torch's own function."""

    def formula(*given):
        raise AssertionError(f"{given[1]} went to torch's own function")

    monkeypatch.setattr(ce.torch, "_formula", formula)


@pytest.mark.parametrize("name", OF_TORCH)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_torchs_own_samples(name, dtype, served):
    """Of OpInfo, with targets that need no gradient."""
    pytest.importorskip("expecttest", reason="torch's samples need it")
    from torch.testing._internal.common_methods_invocations import op_db

    (op,) = (op for op in op_db if op.name == f"nn.functional.{name}")
    count = 0
    for sample in op.sample_inputs("cpu", dtype, requires_grad=True):
        given = [x.detach() if isinstance(x, torch.Tensor) else x for x in sample.args]
        options = {
            k: v.detach() if isinstance(v, torch.Tensor) else v for k, v in sample.kwargs.items()
        }
        x = sample.input.detach().clone().requires_grad_()
        y = wide(x).requires_grad_()
        loss = getattr(ce.torch, name)(x, *given, **options)
        truth = getattr(functional, name)(
            y, *map(wide, given), **{k: wide(v) for k, v in options.items()}
        )
        assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert loss.shape == truth.shape
        upstream = torch.randn(truth.shape, dtype=torch.float64)
        loss.backward(upstream.to(loss.dtype))
        truth.backward(upstream)
        assert x.grad.dtype == dtype
        assert_close(loss, truth, dtype, f"{sample}: ")
        assert_close(x.grad, y.grad, dtype, f"{sample}: ")
        count += 1
    assert count >= 6


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_torchs_own_modules(name, dtype):
    """Of ModuleInfo: the classes take what torch's do, and give what they give of float64."""
    pytest.importorskip("expecttest", reason="torch's samples need it")
    from torch.testing._internal.common_modules import module_db

    (info,) = (info for info in module_db if info.module_cls is getattr(torch.nn, name))
    samples = info.module_inputs_func(
        info, device="cpu", dtype=dtype, requires_grad=True, training=True
    )
    for sample in samples:
        made = sample.constructor_input
        wide_options = {k: wide(v) for k, v in made.kwargs.items()}
        ours = getattr(ce.torch, name)(*made.args, **made.kwargs)
        theirs = getattr(torch.nn, name)(*map(wide, made.args), **wide_options)
        assert isinstance(ours, getattr(torch.nn, name))
        x, *rest = (
            y.detach() if isinstance(y, torch.Tensor) else y for y in sample.forward_input.args
        )
        if name == "KLDivLoss":  # the logarithm of a 0, which some draws have, is NaN in torch
            x, rest = x.clamp(min=-30), [y.clamp(min=-30) for y in rest]
        found = []
        for module, z, given in (
            (ours, x.clone().requires_grad_(), rest),
            (theirs, wide(x).requires_grad_(), map(wide, rest)),
        ):
            loss = module(z, *given)
            loss.sum().backward()
            found.append((loss, z.grad))
        for got, truth in zip(*found, strict=True):
            assert_close(got, truth, dtype, f"{made.kwargs}: ")


def problem(name, dtype=torch.float64):
    """Input and target of a loss, small and in its domain."""
    torch.manual_seed(0)
    if name in ("cross_entropy", "nll_loss", "focal_loss"):
        x = torch.randn(5, 4, dtype=dtype)
        return x.log_softmax(1) if name == "nll_loss" else x, torch.tensor([0, 3, -100, 1, 2])
    x, y = torch.randn(5, 4, dtype=dtype), torch.rand(5, 4, dtype=dtype)
    if name == "binary_cross_entropy":
        return torch.rand(5, 4, dtype=dtype) * 0.8 + 0.1, y
    return (x.log_softmax(1), y.softmax(1)) if name == "kl_div" else (x, y)


OPTIONS = {
    "cross_entropy": [{}, {"label_smoothing": 0.1, "weight": torch.tensor([1.0, 2, 3, 4])}],
    "focal_loss": [{}, {"gamma": 1.5, "alpha": torch.tensor([1.0, 2, 3, 4])}, {"alpha": 0.5}],
    "sigmoid_focal_loss": [{}, {"alpha": -1, "gamma": 1.5}],
    "binary_cross_entropy_with_logits": [{}, {"pos_weight": torch.tensor([1.0, 2, 3, 4])}],
    "huber_loss": [{"delta": 0.3}], "smooth_l1_loss": [{"beta": 0.3}],
    "kl_div": [{}, {"log_target": True, "reduction": "batchmean"}],
}  # fmt: skip
ALL = [*OF_TORCH, "focal_loss", "sigmoid_focal_loss"]
every_call = pytest.mark.parametrize(
    ("name", "options"),
    [(name, options) for name in ALL for options in OPTIONS.get(name, [{}])],
    ids=lambda x: x if isinstance(x, str) else ",".join(x),
)


@every_call
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_gradients_and_second_gradients(name, options, reduction):
    x, y = problem(name)
    options = {k: wide(v) for k, v in options.items()} | {"reduction": reduction}

    def function(z):
        return getattr(ce.torch, name)(z, y, **options)

    x.requires_grad_()
    assert torch.autograd.gradcheck(function, x)
    assert torch.autograd.gradgradcheck(function, x)
    loss = function(x).sum()  # one gradient, with a graph of its own or without
    (plain,) = torch.autograd.grad(loss, x, retain_graph=True)
    (derived,) = torch.autograd.grad(loss, x, create_graph=True)
    assert torch.equal(plain, derived)


@every_call
def test_gradients_flow_again_and_from_anywhere(name, options):
    """Twice through one graph, with upstreams of any kind, strides and size."""
    x, y = problem(name, torch.float32)
    x.requires_grad_()
    options = options | {"reduction": "none"}
    loss = getattr(ce.torch, name)(x, y, **options)
    first = torch.autograd.grad(loss, x, torch.ones_like(loss), retain_graph=True)[0]
    second = torch.autograd.grad(loss, x, torch.ones(()).expand_as(loss), retain_graph=True)[0]
    third = torch.autograd.grad(loss, x, torch.zeros_like(loss), retain_graph=True)[0]
    assert torch.equal(first, second)
    assert (third == 0).all()
    strided = torch.ones(*loss.shape[:-1], 2 * loss.shape[-1])[..., ::2]
    assert torch.equal(torch.autograd.grad(loss, x, strided)[0], first)


@pytest.mark.parametrize("n", [3, 5000])  # the gradient with the value, and after it
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_upstream(n, dtype):
    """0, 1, NaN, infinities, and what a scaled loss sends, each more than once."""
    x = torch.randn(n, 4).to(dtype).requires_grad_()
    y = torch.randint(0, 4, (n,))
    loss = ce.torch.cross_entropy(x, y)
    (unit,) = torch.autograd.grad(loss, x, retain_graph=True)
    kept = unit.clone()
    for by in (1.0, 0.0, 0.5, 1.0, 2.0**-20, float("nan"), float("inf"), 1.0):
        (grad,) = torch.autograd.grad(loss * by, x, retain_graph=True)
        assert grad.dtype == dtype
        assert grad.data_ptr() != unit.data_ptr()
        if np.isfinite(by):
            torch.testing.assert_close(grad.double(), kept.double() * by, rtol=1e-2, atol=1e-7)
        else:
            assert not grad.isfinite().any()
        if by == 1:
            assert torch.equal(grad, kept)
    assert torch.equal(unit, kept)
    with torch.no_grad():
        x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignored", [-100, 1, -1])
@pytest.mark.parametrize("shape", [(4,), (6, 4), (6, 4, 2, 3)])
def test_options_together(reduction, smoothing, weighted, ignored, shape):
    torch.manual_seed(1)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    target = torch.randint(0, 4, shape[:1] + shape[2:] if len(shape) > 1 else ())
    if ignored < 0 and target.ndim:
        target[::3] = ignored
    options = {
        "weight": torch.tensor([0.5, 0.0, 2.0, 1.0], dtype=torch.float64) if weighted else None,
        "ignore_index": ignored, "reduction": reduction, "label_smoothing": smoothing,
    }  # fmt: skip
    found = []
    for function in (ce.torch.cross_entropy, functional.cross_entropy):
        loss = function(x, target, **options)
        found.append((loss, *torch.autograd.grad(loss, x, torch.ones_like(loss))))
    for got, truth in zip(*found, strict=True):
        if not (got.isnan().all() and truth.isnan().all()):
            torch.testing.assert_close(got, truth, rtol=1e-12, atol=1e-14)


def test_modes_without_a_graph():
    x, y = problem("cross_entropy", torch.float32)
    leaf = x.clone().requires_grad_()
    truth = ce.torch.cross_entropy(leaf, y)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            loss = ce.torch.cross_entropy(leaf, y)
            assert torch.equal(ce.torch.cross_entropy(x * 1, y), truth)
        assert torch.equal(loss, truth)
        assert not loss.requires_grad
    with torch.inference_mode():
        born = x * 1
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved"):
        ce.torch.cross_entropy(born * leaf, y)


@every_call
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_in_place(name, options, reduction):
    """The gradient stands where the logits were, times what comes from upstream."""
    x, y = problem(name, torch.float32)
    options = options | {"reduction": reduction}
    leaf = x.clone().requires_grad_()
    plain = getattr(ce.torch, name)(leaf * 1, y, **options)
    upstream = torch.rand(plain.shape) + 0.5
    (truth,) = torch.autograd.grad(plain, leaf, upstream)
    logits = leaf * 1
    version = logits._version
    loss = getattr(ce.torch, name)(logits, y, **options, inplace=True)
    assert logits._version > version
    assert torch.equal(loss, plain)
    (grad,) = torch.autograd.grad(loss, leaf, upstream, retain_graph=True)
    torch.testing.assert_close(grad, truth, rtol=1e-6, atol=1e-8)
    with pytest.raises(RuntimeError, match="second one"):
        torch.autograd.grad(loss, leaf, upstream)


def test_what_in_place_refuses():
    leaf, target = torch.randn(3, 4, requires_grad=True), torch.tensor([0, 1, 2])
    for x in (leaf, leaf[:2], leaf.view(3, 4)):
        kept = x.detach().clone()
        with pytest.raises(ValueError, match="leaf"):
            ce.torch.cross_entropy(x, target[: len(x)], inplace=True)
        assert torch.equal(x, kept)
    logits = torch.tanh(leaf)  # whose own gradient needs its result
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        ce.torch.cross_entropy(logits, target, inplace=True).backward()
    loss = ce.torch.cross_entropy(leaf * 1, target, inplace=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(loss, leaf, create_graph=True)
    with pytest.raises(IndexError, match=r"target\[2\] is 4"):
        ce.torch.cross_entropy(leaf * 1, torch.tensor([0, 1, 4]), inplace=True)
    logits = leaf * 1  # two losses of one, of which the first would get the second's gradient
    first = ce.torch.cross_entropy(logits, target)
    second = ce.torch.cross_entropy(logits, target, inplace=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        (first + second).backward()
    with torch.no_grad():  # there is no gradient to write
        kept = leaf.clone()
        ce.torch.cross_entropy(leaf, target, inplace=True)
        assert torch.equal(leaf, kept)


def test_inputs_that_change_before_the_backward_pass():
    leaf, y = torch.randn(3, 4, requires_grad=True), torch.tensor([0, 1, 2])
    for change in (torch.Tensor.zero_, lambda z: ce.torch.cross_entropy(z, y, inplace=True)):
        logits = leaf * 1
        loss = ce.torch.cross_entropy(logits, y, inplace=True)
        change(logits.detach() if change is torch.Tensor.zero_ else logits)
        with pytest.raises(RuntimeError, match="modified by an inplace operation since"):
            loss.backward()
    loss = ce.torch.cross_entropy(leaf * 1, y, inplace=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(loss, leaf, create_graph=True)
    loss.backward()  # has lost nothing
    h, W = torch.randn(3, 5, requires_grad=True), torch.randn(4, 5, requires_grad=True)
    weight = torch.ones(4)
    for reduction in ("mean", "none"):
        for changed in (y, weight):
            loss = ce.torch.linear_cross_entropy(h, W, y, weight=weight, reduction=reduction)
            changed.mul_(1)
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                loss.sum().backward()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_are_scaled_before_they_are_rounded(dtype):
    """Losses are scaled up where gradients would be too small for float16, down where too large."""
    h, W = torch.randn(1024, 16).to(dtype), (torch.randn(2000, 16) * 0.1).to(dtype)
    y = torch.randint(0, 2000, (1024,))

    def in_place(h, W, y):
        return ce.torch.cross_entropy(torch.nn.functional.linear(h, W), y, inplace=True)

    w = wide(W).requires_grad_()
    functional.cross_entropy(functional.linear(wide(h), w), y).mul(1024).backward()
    for way in (in_place, ce.torch.linear_cross_entropy):
        W.requires_grad_().grad = None
        way(h, W, y).mul(1024).backward()
        error = ((W.grad.double() - w.grad).norm() / w.grad.norm()).item()
        assert error < (1e-3 if dtype == torch.float16 else 1e-2)
    x = torch.full((2, 500), 4e4).to(dtype).requires_grad_()
    loss = ce.torch.mse_loss(x * 1, torch.zeros_like(x), reduction="none", inplace=True)
    loss.mean().backward()
    assert x.grad.double().numpy() == pytest.approx(80.0, rel=0.01)


def test_layouts():
    target = torch.randint(0, 5, (2, 3, 4))
    x = torch.randn(2, 5, 3, 4)
    truth = functional.cross_entropy(x, target)
    layouts = [x, x.contiguous(memory_format=torch.channels_last), x.flip(0).flip(0), x.double()]
    layouts += [
        torch.randn(2, 5, 3, 8)[..., ::2].copy_(x),
        x.transpose(0, 1).contiguous().transpose(0, 1),
    ]
    for z in layouts:
        z = z.detach().requires_grad_()
        loss = ce.torch.cross_entropy(z, target)
        loss.backward()
        assert_close(loss, truth, torch.float32)
        assert z.grad.shape == z.shape
    single = torch.randn(5, requires_grad=True)
    ce.torch.cross_entropy(single, torch.tensor(1)).backward()
    assert_close(single.grad.sum(), torch.tensor(0.0), torch.float32)
    empty = torch.zeros(0, 5, requires_grad=True)
    assert ce.torch.cross_entropy(empty, torch.zeros(0, dtype=torch.long)).isnan()
    ce.torch.cross_entropy(empty, torch.zeros(0, dtype=torch.long), reduction="sum").backward()
    assert empty.grad.shape == (0, 5)


def test_rows_that_are_ignored():
    x = torch.randn(3, 4)
    x[1] = float("nan")
    x.requires_grad_()
    ce.torch.cross_entropy(x, torch.tensor([0, -100, 2])).backward()
    assert (x.grad[1] == 0).all()
    assert x.grad.isfinite().all()
    z = torch.randn(2, 4, requires_grad=True)
    loss = ce.torch.cross_entropy(z, torch.tensor([-100, -100]))
    assert loss.isnan()  # 0 / 0, as in torch
    loss.backward()
    assert (z.grad == 0).all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_targets_of_any_integers(dtype):
    """Of 8 bits, too, where -100 is a class's number; differentiated once and twice."""
    classes = {torch.uint8: 256, torch.int8: 128}.get(dtype, 300)
    y = torch.tensor([0, 156 if classes > 200 else 27, 3])
    x, h = torch.randn(3, classes, requires_grad=True), torch.randn(3, 4, requires_grad=True)
    W = torch.randn(classes, 4)
    for way, leaf in (
        (lambda t: ce.torch.cross_entropy(x, t, torch.ones(classes, dtype=torch.float64)), x),
        (lambda t: ce.torch.focal_loss(x, t), x),
        (lambda t: ce.torch.linear_cross_entropy(h, W, t), h),
    ):
        for graph in (False, True):
            got, truth = (
                (loss, torch.autograd.grad(loss, leaf, create_graph=graph)[0])
                for loss in (way(y.to(dtype)), way(y))
            )
            assert torch.equal(got[0], truth[0])
            torch.testing.assert_close(got[1], truth[1])


def test_dtypes_that_differ():
    """Targets and weights of another dtype, differentiated twice; labels that are integers."""
    x, y = problem("binary_cross_entropy", torch.float32)
    weight = torch.rand(5, 4, dtype=torch.float64)
    for name in ("binary_cross_entropy", "huber_loss", "mse_loss", "l1_loss"):
        z = x.clone().requires_grad_()
        loss = getattr(ce.torch, name)(z, y.double(), weight=weight)
        truth = getattr(functional, name)(z.double(), y.double(), weight=weight)
        torch.testing.assert_close(loss.double(), truth, rtol=1e-6, atol=0)
        (grad,) = torch.autograd.grad(loss, z, create_graph=True)
        grad.sum().backward()
        assert z.grad.dtype == torch.float32
    labels = (y > 0.5).long()
    loss = ce.torch.binary_cross_entropy_with_logits(x, labels)
    assert torch.equal(loss, ce.torch.binary_cross_entropy_with_logits(x, labels.float()))


def test_what_is_kept():
    """The target not longer than the graph needs it."""
    x, target = torch.randn(4, 3, requires_grad=True), torch.rand(4, 3)
    for way in (ce.torch.cross_entropy, ce.torch.mse_loss):
        target = torch.rand(4, 3)
        gone, loss = weakref.ref(target), way(x, target)
        del target
        loss.backward()
        assert gone() is None
    h, W, y = x.detach(), torch.ones(5, 3), torch.zeros(4, dtype=torch.long)
    with torch.device("meta"):  # the default for new tensors
        assert ce.torch.linear_cross_entropy(h, W, y).device.type == "cpu"


def test_errors_that_say_what_to_do():
    x, y = torch.randn(2, 3, 7), torch.zeros(2, 3, dtype=torch.long)
    with pytest.raises(ValueError, match=r"the classes are axis 1; pass input.transpose\(1, -1\)"):
        ce.torch.cross_entropy(x, y)
    torch.testing.assert_close(
        ce.torch.cross_entropy(x.transpose(1, -1), y),
        ce.torch.cross_entropy(x.flatten(0, -2), y.flatten()),
    )
    with pytest.raises(ValueError, match="of logits take binary_cross_entropy_with_logits"):
        ce.torch.binary_cross_entropy(torch.tensor([4.0]), torch.tensor([1.0]))
    h, W, t = torch.randn(4, 3), torch.randn(5, 3), torch.zeros(4, dtype=torch.long)
    for options in ({"reduction": "men"}, {"reduction": "batchmean"}, {"label_smoothing": 7.0}):
        with pytest.raises(ValueError, match="it must be"):
            ce.torch.linear_cross_entropy(h, W, t, **options)
        with pytest.raises(ValueError, match="it must be"):
            ce.torch.linear_cross_entropy(h[:0], W, t[:0], **options)
    with pytest.raises(RuntimeError, match="linear_bias"):
        ce.torch.linear_cross_entropy(h, W, t, linear_bias=torch.zeros(1))


def test_tails():
    x = torch.tensor([[40.0, 0.0]], requires_grad=True)
    loss = ce.torch.cross_entropy(x, torch.tensor([0]))
    loss.backward()
    assert loss.item() == pytest.approx(np.exp(-40), rel=1e-5)
    assert x.grad[0, 0].item() == pytest.approx(-np.exp(-40), rel=1e-5)


def test_what_torch_does_itself(monkeypatch):
    """Transforms, other devices and dtypes, targets with a gradient, shapes that broadcast."""
    went, formula = [], ce.torch._formula

    def counted(*given):
        went.append(given[1])
        return formula(*given)

    monkeypatch.setattr(ce.torch, "_formula", counted)
    x, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    grad = torch.func.grad(lambda z: ce.torch.cross_entropy(z, y))(x)
    assert_close(grad, torch.func.grad(lambda z: functional.cross_entropy(z, y))(x), torch.float32)
    rows = torch.func.vmap(lambda z, t: ce.torch.cross_entropy(z[None], t[None]))(x, y)
    assert_close(rows, functional.cross_entropy(x, y, reduction="none"), torch.float32)
    _, tangent = torch.func.jvp(lambda z: ce.torch.cross_entropy(z, y), (x,), (x,))
    assert tangent.shape == ()
    assert ce.torch.cross_entropy(x.to("meta"), y.to("meta")).device.type == "meta"
    probabilities = torch.rand(4, 3).softmax(1).requires_grad_()
    ce.torch.cross_entropy(x, probabilities).backward()
    assert probabilities.grad is not None
    target = torch.randn(4, 3, requires_grad=True)
    ce.torch.mse_loss(x, target).backward()
    assert target.grad is not None
    assert ce.torch.mse_loss(x, torch.zeros(4, 1)).ndim == 0
    assert torch.equal(ce.torch.cross_entropy(x[0], y[:1]), functional.cross_entropy(x[0], y[:1]))
    assert len(went) == 8


def test_transforms():
    """Of torch.func, composed, through a module's parameters."""
    model, loss = torch.nn.Linear(5, 3), ce.torch.CrossEntropyLoss(label_smoothing=0.1)
    x, y = torch.randn(4, 5), torch.tensor([0, 1, 2, 0])
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def of_one(parameters, row, target, function):
        logits = torch.func.functional_call(model, parameters, (row[None],))
        return function(logits, target[None])

    per_sample = torch.func.vmap(
        torch.func.grad(of_one), in_dims=(None, 0, 0, None), randomness="error"
    )
    got = per_sample(parameters, x, y, loss)
    truth = per_sample(parameters, x, y, torch.nn.CrossEntropyLoss(label_smoothing=0.1))
    for name in parameters:
        torch.testing.assert_close(got[name], truth[name])
    z = torch.randn(4, 3, dtype=torch.float64)
    for transform in (torch.func.hessian, torch.func.jacrev, torch.func.jacfwd):
        ours, theirs = (
            transform(lambda z, f=f: f(z, y))(z)
            for f in (ce.torch.cross_entropy, functional.cross_entropy)
        )
        torch.testing.assert_close(ours, theirs)
    for many in (True, False):
        ours, theirs = (
            torch.autograd.functional.jacobian(lambda z, f=f: f(z, y), z, vectorize=many)
            for f in (ce.torch.cross_entropy, functional.cross_entropy)
        )
        torch.testing.assert_close(ours, theirs)
    forward = torch.autograd.forward_ad
    found = []
    for f in (ce.torch.cross_entropy, functional.cross_entropy):
        loss = f(z.requires_grad_(), y)
        with forward.dual_level(), torch.no_grad():
            found.append(forward.unpack_dual(f(forward.make_dual(z, z), y)).tangent)
        with forward.dual_level():
            upstream = forward.make_dual(torch.ones_like(loss), torch.ones_like(loss))
            (grad,) = torch.autograd.grad(loss, z, upstream)
            found.append(forward.unpack_dual(grad).tangent)
    torch.testing.assert_close(found[:2], found[2:])
    z = z.detach()
    leaked = []
    torch.func.grad(lambda z: leaked.append(z) or z.sum())(z)
    truth = functional.cross_entropy(z, y)
    with torch.no_grad():
        torch.testing.assert_close(ce.torch.cross_entropy(leaked[0], y), truth)
    torch.testing.assert_close(ce.torch.cross_entropy(leaked[0], y).detach(), truth)


def test_functions_know_torchs_old_options():
    x, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    for size_average, reduce in itertools.product((None, True, False), (None, True, False)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            got = ce.torch.cross_entropy(x, y, None, size_average, -100, reduce)
            truth = functional.cross_entropy(x, y, None, size_average, -100, reduce)
        assert_close(got, truth, torch.float32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_give_float32(dtype):
    x, y = torch.randn(4, 3).to(dtype).requires_grad_(), torch.tensor([0, 1, 2, 0])
    loss = ce.torch.cross_entropy(x, y)
    loss.backward()
    assert loss.dtype == torch.float32
    assert x.grad.dtype == dtype
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = ce.torch.cross_entropy(torch.nn.Linear(5, 3)(torch.randn(4, 5)), y)
    assert loss.dtype == torch.float32
    loss.backward()


def test_modules_are_values():
    """Copied, pickled, with the state of torch's, in place only where asked."""
    weight = torch.tensor([1.0, 2, 3])
    ours = ce.torch.CrossEntropyLoss(weight=weight, label_smoothing=0.1, inplace=True)
    assert ours.inplace
    assert not ce.torch.MSELoss().inplace
    again = pickle.loads(pickle.dumps(ours))
    assert again.inplace
    assert again.label_smoothing == 0.1
    assert torch.equal(copy.deepcopy(ours).weight, weight)
    theirs = torch.nn.CrossEntropyLoss(weight=weight)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    focal = ce.torch.FocalLoss(alpha=weight)
    fresh = ce.torch.FocalLoss(alpha=torch.ones(3))
    fresh.load_state_dict(focal.state_dict())
    assert torch.equal(fresh.alpha, weight)
    x, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    assert torch.equal(focal(x, y), ce.torch.focal_loss(x, y, alpha=weight))
    assert repr(ours) == "CrossEntropyLoss(inplace=True)"
    assert repr(ce.torch.FocalLoss(3.0)) == "FocalLoss(gamma=3.0, alpha=None)"
    assert "label_smoothing" in inspect.signature(ce.torch.CrossEntropyLoss).parameters
    assert "inplace" in inspect.signature(ce.torch.HuberLoss).parameters
    both = ce.torch.SigmoidFocalLoss()(x, x.sigmoid())
    assert torch.equal(both, ce.torch.sigmoid_focal_loss(x, x.sigmoid(), reduction="mean"))


def test_checkpoints_and_threads():
    """Backward runs in threads of torch's own."""
    from torch.utils.checkpoint import checkpoint

    x, y = torch.randn(4, 3, requires_grad=True), torch.tensor([0, 1, 2, 0])
    checkpoint(ce.torch.cross_entropy, x, y, use_reentrant=False).backward()
    truth = x.grad.clone()
    grads = []

    def work():
        z = x.detach().clone().requires_grad_()
        ce.torch.cross_entropy(z, y).backward()
        grads.append(z.grad)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(grad, truth) for grad in grads)


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@every_call
def test_compiled(name, options, backend, monkeypatch):
    """Without a break of the graph, by our operators, for other shapes without another trace."""
    if backend == "inductor" and (name != "cross_entropy" or options):
        return  # one will do: it compiles C++ for each
    monkeypatch.setattr(ce.torch, "_formula", None)
    torch._dynamo.reset()
    x, y = problem(name, torch.float32)
    function = getattr(ce.torch, name)
    compiled = torch.compile(
        lambda z, t: function(z * 1, t, **options), fullgraph=True, dynamic=True, backend=backend
    )
    for rows in (5, 4, 3):
        leaf, target = x[:rows].clone().requires_grad_(), y[:rows]
        loss, truth = compiled(leaf, target), function(leaf, target, **options)
        upstream = torch.rand(truth.shape)
        grads = [torch.autograd.grad(z, leaf, upstream)[0] for z in (loss, truth)]
        assert torch.equal(loss, truth)
        assert torch.equal(*grads)


def test_compiled_anew_for_other_options():
    torch._dynamo.reset()
    x, y = problem("cross_entropy", torch.float32)
    y = y.clamp(0)
    compiled = torch.compile(
        lambda z, t, **options: ce.torch.cross_entropy(z * 1, t, **options),
        fullgraph=True, mode="reduce-overhead",
    )  # fmt: skip
    for options in ({}, {"label_smoothing": 0.1}, {"reduction": "sum"}, {"ignore_index": 1}):
        leaf = x.clone().requires_grad_()
        loss, truth = compiled(leaf, y, **options), ce.torch.cross_entropy(leaf, y, **options)
        assert torch.equal(loss, truth)
        assert torch.equal(*(torch.autograd.grad(z, leaf)[0] for z in (loss, truth)))


def test_compiled_beside_what_shares_memory():
    """The copy that is left out may be of what the target is in."""
    torch._dynamo.reset()
    h = torch.randn(6, 5)
    found = []
    for loss in (ce.torch.mse_loss, functional.mse_loss):

        def between(h, loss=loss):
            z = h * 2
            return loss(z[:-1], z[1:].detach())

        leaf = h.clone().requires_grad_()
        torch.compile(between, fullgraph=True)(leaf).backward()
        found.append(leaf.grad)
    torch.testing.assert_close(*found)
    x, y = problem("cross_entropy", torch.float32)

    def transformed(x):
        return torch.func.grad(lambda z: ce.torch.cross_entropy(z, y, size_average=False))(x)

    got = torch.compile(transformed, fullgraph=True, backend="aot_eager")(x)
    torch.testing.assert_close(got, transformed(x))


def test_operators():
    x = torch.randn(4, 3)
    wide_x = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    for z in (x, x.t(), x[:, ::2], x[:1].expand(4, 3), wide_x):
        for reduction in ("none", "mean"):
            given = "mse", torch.zeros(z.shape), None, None, -100, 0.0, 0.0, reduction
            torch.library.opcheck(torch.ops.ce.loss.default, (z, *given))
    x, y = problem("cross_entropy", torch.float32)
    given = "cross_entropy", y, torch.rand(4), None, -100, 0.1, 0.0
    for reduction in ("mean", "none"):
        torch.library.opcheck(torch.ops.ce.loss.default, (x, *given, reduction))
        upstream = torch.rand(() if reduction == "mean" else 5)
        torch.library.opcheck(
            torch.ops.ce.loss_backward_.default, (x.clone(), upstream, *given, reduction)
        )


def test_export():
    class Head(torch.nn.Module):
        def forward(self, x, y):
            return ce.torch.cross_entropy(x, y)

    x, y = problem("cross_entropy", torch.float32)
    program = torch.export.export(Head(), (x, y))
    assert torch.equal(program.module()(x, y), ce.torch.cross_entropy(x, y))
    assert any("ce.loss" in str(node.target) for node in program.graph.nodes)


# -- a linear layer and its loss -----------------------------------------------------------------


def head(dtype, bias):
    torch.manual_seed(0)
    target = torch.randint(0, 13, (37,))
    target[::5] = -100
    leaves = [torch.randn(shape).to(dtype) for shape in ((37, 7), (13, 7), (13,))]
    return target, [x.requires_grad_() for x in leaves[: 2 + bias]]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_linear_cross_entropy(dtype, bias, reduction, weighted, monkeypatch):
    """In chunks that do not divide rows and classes; twice through one graph; any upstream."""
    monkeypatch.setattr(ce.torch, "_AT_ONCE", 5)
    target, leaves = head(dtype, bias)
    weight = torch.rand(13).to(dtype) if weighted else None
    options = {"reduction": reduction, "label_smoothing": 0.1}
    loss = ce.torch.linear_cross_entropy(
        *leaves[:2], target, linear_bias=leaves[2] if bias else None, weight=weight, chunk=10,
        **options,
    )  # fmt: skip
    truths = [wide(x).requires_grad_() for x in leaves]
    truth = functional.cross_entropy(functional.linear(*truths), target, wide(weight), **options)
    upstream = torch.rand(truth.shape, dtype=torch.float64)
    wanted = torch.autograd.grad(truth, truths, upstream)
    tolerance = {torch.float64: 1e-12, torch.float32: 2e-6}.get(dtype, 2e-2)
    torch.testing.assert_close(loss.double(), truth, rtol=tolerance, atol=2 * tolerance)
    for again in (True, False):
        found = torch.autograd.grad(loss, leaves, upstream.to(loss.dtype), retain_graph=again)
        for got, true, leaf in zip(found, wanted, leaves, strict=True):
            assert got.dtype == leaf.dtype
            assert (got.double() - true).abs().max() <= tolerance * true.abs().max()
    with torch.no_grad():
        alone = ce.torch.linear_cross_entropy(
            *leaves[:2], target, linear_bias=leaves[2] if bias else None, weight=weight, **options
        )
    torch.testing.assert_close(alone.double(), truth, rtol=tolerance, atol=2 * tolerance)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("variant", ["", "chunked", "chunked_none"])
def test_torchs_own_samples_of_heads(dtype, variant):
    """Of OpInfo: weights of two axes here, of more by torch's own function."""
    pytest.importorskip("expecttest", reason="torch's samples need it")
    from torch.testing._internal.common_methods_invocations import op_db

    (op,) = (
        op
        for op in op_db
        if op.name == "nn.functional.linear_cross_entropy" and op.variant_test_name == variant
    )
    count = 0
    for sample in op.sample_inputs("cpu", dtype, requires_grad=True):
        W, target = sample.args
        options = dict(sample.kwargs)
        bias, torchs = options.pop("linear_bias", None), options.pop("options", None)
        leaves = [x.detach().clone().requires_grad_() for x in (sample.input, W)]
        truths = [wide(x).requires_grad_() for x in leaves]
        loss = ce.torch.linear_cross_entropy(
            *leaves, target.detach(), linear_bias=wide(bias) if bias is None else bias.detach(),
            options=torchs, **options,
        )  # fmt: skip
        truth = functional.linear_cross_entropy(
            *truths, wide(target), linear_bias=wide(bias),
            **{k: wide(v) for k, v in options.items()},
        )  # fmt: skip
        upstream = torch.ones_like(truth)
        loss.backward(upstream.to(loss.dtype))
        truth.backward(upstream)
        # Rounded where logits and products of half types are, and their sums are as large as 1000.
        tolerance = {torch.float64: 1e-10, torch.float32: 1e-4, torch.float16: 2e-2}.get(dtype, 0.1)
        pairs = [(x.grad, y.grad) for x, y in zip(leaves, truths, strict=True)]
        for got, true in [(loss, truth), *pairs]:
            assert got.shape == true.shape
            scale = max(true.abs().max().item(), 1.0)
            assert (got.double() - true).abs().max().item() <= tolerance * scale, sample
        count += 1
    assert count >= 20


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_torchs_own_modules_of_heads(dtype):
    """Of ModuleInfo, beside torch's module in float64 with the same state."""
    pytest.importorskip("expecttest", reason="torch's samples need it")
    from torch.testing._internal.common_modules import module_db

    kind, count = torch.nn.LinearCrossEntropyLoss, 0
    (info,) = (info for info in module_db if info.module_cls is kind)
    samples = info.module_inputs_func(
        info, device="cpu", dtype=dtype, requires_grad=True, training=True
    )
    tolerance = {torch.float64: 1e-10, torch.float32: 1e-4, torch.float16: 2e-2}.get(dtype, 0.1)
    for sample in samples:
        made, (x, target) = sample.constructor_input, sample.forward_input.args
        ours = ce.torch.LinearCrossEntropyLoss(*made.args, **made.kwargs, chunk=3)
        others = {k: v for k, v in made.kwargs.items() if k not in ("dtype", "options")}
        theirs = kind(*made.args, **{k: wide(v) for k, v in others.items()}, dtype=torch.float64)
        theirs.load_state_dict({k: wide(v) for k, v in ours.state_dict().items()})
        found = []
        for module, h, t in (
            (ours, x.detach().clone().requires_grad_(), target),
            (theirs, wide(x).requires_grad_(), wide(target)),
        ):
            loss = module(h, t)
            loss.sum().backward()
            found.append((loss, h.grad, module.linear.weight.grad))
        for got, truth in zip(*found, strict=True):
            scale = max(truth.abs().max().item(), 1.0)
            assert (got.double() - truth).abs().max().item() <= tolerance * scale, made.kwargs
        count += 1
    assert count >= 50


def test_second_gradients_of_a_head():
    target, (h, W) = head(torch.float64, False)
    h, W, target = h[:6].detach().requires_grad_(), W[:4].detach().requires_grad_(), target[:6] % 4
    for reduction in ("mean", "none"):

        def function(h, W, reduction=reduction):
            return ce.torch.linear_cross_entropy(h, W, target, chunk=4, reduction=reduction)

        assert torch.autograd.gradcheck(function, (h, W))
        assert torch.autograd.gradgradcheck(function, (h, W))


def test_heads_of_nothing_and_mistakes():
    h, W = torch.randn(3, 4, requires_grad=True), torch.randn(5, 4, requires_grad=True)
    loss = ce.torch.linear_cross_entropy(h, W, torch.full((3,), 2), ignore_index=2)
    assert loss.isnan()
    grads = torch.autograd.grad(loss, (h, W))
    assert all((grad == 0).all() for grad in grads)
    with pytest.raises(IndexError, match=r"target\[2\] is 5, not in \[0, 5\)"):
        ce.torch.linear_cross_entropy(h, W, torch.tensor([0, -100, 5]), chunk=1)
    with pytest.raises(ValueError, match="chunk is 0; it must be at least 1"):
        ce.torch.linear_cross_entropy(h, W, torch.tensor([0, 1, 2]), chunk=0)
    probabilities = torch.rand(3, 5).softmax(1)
    loss = ce.torch.linear_cross_entropy(h, W, probabilities)  # torch's own
    torch.testing.assert_close(loss, functional.cross_entropy(h @ W.T, probabilities))


def test_a_head_in_autocast():
    """Products are of bfloat16 there, whatever comes in; gradients of the leaves' own dtypes."""
    h, W = torch.randn(6, 8, requires_grad=True), torch.randn(9, 8, requires_grad=True)
    y = torch.randint(0, 9, (6,))
    for hidden in (h, h.bfloat16()):
        with torch.autocast("cpu", torch.bfloat16):
            loss = ce.torch.linear_cross_entropy(hidden, W, y)
            truth = functional.cross_entropy(functional.linear(hidden, W).float(), y)
        assert "_LinearLoss" in type(loss.grad_fn).__name__
        torch.testing.assert_close(loss, truth, rtol=1e-6, atol=0)
        for got, true in zip(
            torch.autograd.grad(loss, (h, W)), torch.autograd.grad(truth, (h, W)), strict=True
        ):
            assert got.dtype == torch.float32
            torch.testing.assert_close(got, true, rtol=0.02, atol=0.01)


def test_a_head_module():
    kind = pytest.importorskip("torch.nn").LinearCrossEntropyLoss
    ours = ce.torch.LinearCrossEntropyLoss(4, 6, bias=True, label_smoothing=0.1, chunk=2)
    theirs = kind(4, 6, bias=True, label_smoothing=0.1)
    theirs.load_state_dict(ours.state_dict())
    assert isinstance(ours, kind)
    h, target = torch.randn(5, 4), torch.tensor([0, 1, -100, 3, 5])
    losses = [module(h, target) for module in (ours, theirs)]
    torch.testing.assert_close(*losses)
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(ours.linear.weight.grad, theirs.linear.weight.grad)
    several = ce.torch.LinearCrossEntropyLoss(4, 6, out_features=(2,))
    assert several(h, torch.zeros(5, 2, dtype=torch.long)).ndim == 0


SEVERAL = """
import sys
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.utils.data import DataLoader, Dataset
import ce.torch


class Losses(Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, i):
        torch.manual_seed(i)
        z = torch.randn(300, 40, requires_grad=True)
        loss = ce.torch.cross_entropy(z, torch.randint(0, 40, (300,)))
        loss.backward()
        return loss.detach(), z.grad


def compare(i, options):
    torch.manual_seed(0)
    x, y = torch.randn(8, 5), torch.randint(0, 7, (8,))
    plain = torch.nn.Linear(5, 7)
    ce.torch.cross_entropy(plain(x), y).backward()
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(5, 7))
    model.module.load_state_dict(plain.state_dict())
    half = slice(4 * i, 4 * i + 4)
    ce.torch.CrossEntropyLoss(**options)(model(x[half]), y[half]).backward()
    for a, b in zip(model.parameters(), plain.parameters()):
        torch.testing.assert_close(a.grad, b.grad)


def rank(i, port):
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=i, world_size=2)
    for options in ({}, {"inplace": True}):
        compare(i, options)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    here = [Losses()[i] for i in range(6)]  # with threads, before anything is forked
    for context in ("fork", "spawn"):
        options = {"num_workers": 2, "multiprocessing_context": context}
        there = DataLoader(Losses(), batch_size=None, **options)
        for (loss, grad), (other, same) in zip(here, there, strict=True):
            assert torch.equal(loss, other) and torch.equal(grad, same)
    mp.spawn(rank, (int(sys.argv[1]),), nprocs=2)
    print("done")
"""


def test_several_processes(tmp_path):
    """Workers of a DataLoader, forked and spawned; DistributedDataParallel with gloo."""
    (tmp_path / "several.py").write_text(SEVERAL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = subprocess.run(
        [sys.executable, "several.py", str(port)], cwd=tmp_path, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.stdout == "done\n", done.stderr


def test_what_is_no_loss():
    """Is torch's, so that one import can change; compiled, too."""
    assert ce.torch.relu is functional.relu
    assert ce.torch.Linear is torch.nn.Linear
    assert ce.torch.init is torch.nn.init
    assert ce.torch.functional is ce.torch  # of ``import ce.torch as nn``
    assert ce.torch.CrossEntropyLoss is not torch.nn.CrossEntropyLoss
    with pytest.raises(AttributeError, match="no attribute 'cros_entropy'"):
        ce.torch.cros_entropy  # noqa: B018
    assert not hasattr(ce.torch, "__wrapped__")
    x, y = problem("cross_entropy", torch.float32)

    def loss(x, y):
        return ce.torch.cross_entropy(ce.torch.relu(x), y)

    torch._dynamo.reset()
    assert torch.equal(torch.compile(loss, fullgraph=True, backend="aot_eager")(x, y), loss(x, y))


def test_examples_run():
    result = doctest.testmod(ce.torch)
    assert result.attempted > 30
    assert result.failed == 0
