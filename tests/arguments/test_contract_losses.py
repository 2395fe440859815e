"""What the other losses refuse, with which words, and that a refused call writes nothing."""

import re

import numpy as np
import pytest
from helpers.refusals import called, kind, refused
from oracle import LOSSES
from oracle.rows import Wrong

import ce

OF_NUMBERS = {loss.name for loss in LOSSES if not loss.indices}
ONLY_INDICES = [loss for loss in LOSSES if loss.indices and loss.name not in OF_NUMBERS]
ELEMENTWISE = [loss for loss in LOSSES if not loss.classes]
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.label)
over_elements = pytest.mark.parametrize("loss", ELEMENTWISE, ids=lambda loss: loss.label)


def arrays(name):
    """Fresh arrays (4, 3) that the loss takes, and an output holding a mark."""
    x = np.linspace(0.05, 0.95, 12, dtype=np.float32).reshape(4, 3)
    loss = next(loss for loss in LOSSES if loss.name == name)
    target = np.array([0, 1, 2, 0]) if loss.classes else x[::-1].copy()
    return x, target, np.full((4, 3), 7, np.float32)


def criterion_named(name):
    return next(getattr(ce, loss.criterion) for loss in LOSSES if loss.name == name)


AXES = [Wrong(axis, ValueError, (str(axis),)) for axis in (2, -3)]
OPTIONS = {  # of every function once: a value, the error, and words of it
    str((loss.name, name, wrong.value)): (loss.name, name, wrong)
    for loss in LOSSES
    for name, wrongs in [
        *((name, option.wrong) for name, option in loss.options.items()),
        *([("axis", AXES)] if loss.classes else []),
    ]
    for wrong in wrongs
}


@pytest.mark.parametrize(("name", "option", "wrong"), OPTIONS.values(), ids=OPTIONS)
def test_option_errors(name, option, wrong):
    options, error, words = {option: wrong.value}, wrong.error, [option, *wrong.words]
    x, target, out = arrays(name)
    make = criterion_named(name)
    refused(error, words, getattr(ce, name), x, target, **options)
    for method in ("value_and_grad", "grad"):
        for place in (out, x):
            refused(error, words, called(lambda: make(**options), method), x, target, out=place)
    pair = called(lambda: make(**options), "grad_and_hess")
    refused(error, words, pair, x, target, out=(out, np.copy(out)))


@every_loss
def test_reductions(loss):
    x, target, out = arrays(loss.name)
    for value in ("average", "elementwise_mean", None, 3, "batchmean"):
        if value in loss.reductions:
            continue
        words = ["reduction", re.escape(repr(value))]
        words += ["'mean'|\"mean\""] if value == "elementwise_mean" else []
        refused((TypeError, ValueError), words, getattr(ce, loss.name), x, target, reduction=value)
        make = criterion_named(loss.name)
        grad = called(lambda make=make, value=value: make(reduction=value), "grad")
        refused((TypeError, ValueError), words, grad, x, target, out=out)


@pytest.mark.parametrize("name", sorted({loss.name for loss in LOSSES}))
@pytest.mark.parametrize("hessian", ["newton", "EXACT", None, 1, ""])
def test_hessian_names(name, hessian):
    x, target, out = arrays(name)
    words = ["hessian", re.escape(repr(hessian)), "exact", "gauss_newton", "abs"]
    method = criterion_named(name)().grad_and_hess
    refused((TypeError, ValueError), words, method, x, target, hessian=hessian,
            out=(out, np.copy(out)))  # fmt: skip


@every_loss
def test_calls_choose_a_hessian(loss):
    """Criteria do not."""
    for name, value in (("hessian", "abs"), ("hess_scale", 2.0), ("hess_floor", 0.0)):
        with pytest.raises(TypeError):
            criterion_named(loss.name)(**{name: value})
        with pytest.raises(TypeError):
            criterion_named(loss.name)().grad(*arrays(loss.name)[:2], **{name: value})


@every_loss
def test_every_call_takes_sample_weights_and_a_normalizer(loss):
    """Criteria do not: they belong to the data."""
    x, target, _ = arrays(loss.name)
    items = np.ones(target.shape)
    for name, value in (("sample_weight", items), ("normalizer", 2.0)):
        assert np.isfinite(getattr(ce, loss.name)(x, target, **{name: value}))
        for method in ("__call__", "value_and_grad", "grad", "grad_and_hess"):
            getattr(criterion_named(loss.name)(), method)(x, target, **{name: value})
        with pytest.raises(TypeError, match=name):
            criterion_named(loss.name)(**{name: value})


@over_elements
def test_sample_weights_of_elements(loss):
    x, target, out = arrays(loss.name)
    grad = criterion_named(loss.name)().grad
    for shape in ((4,), (3, 4), (2, 4, 3), (0,)):
        words = ["^sample_weight ", re.escape(str(shape)), r"must broadcast to shape \(4, 3\)"]
        refused(ValueError, words, grad, x, target, sample_weight=np.ones(shape), out=out)
    for dtype in ("complex128", "O", "U1", "m8[s]"):
        v = np.ones((4, 3), int).astype(dtype)
        words = ["^sample_weight ", kind(dtype)]
        refused(TypeError, words, grad, x, target, sample_weight=v, out=out)


@over_elements
def test_arrays_of_elements(loss):
    x, target, out = arrays(loss.name)
    first, function, grad = loss.input, getattr(ce, loss.name), criterion_named(loss.name)().grad
    for dtype in ("complex64", "O", "U1", "M8[s]"):
        words = [f"^{first} ", kind(dtype), "accepted: .*float32"]
        refused(TypeError, words, function, x.astype(int).astype(dtype), target)
    for dtype in ("complex128", "O", "U1", "m8[s]"):
        words = ["target", kind(dtype)]
        bad = target.astype(int).astype(dtype)
        refused(TypeError, words, grad, x, bad, out=out)
    for shape in ((4,), (3,), (4, 1), (1, 4, 3), (3, 4)):
        words = ["target", re.escape(str(shape)), r"\(4, 3\)"]
        refused(ValueError, words, grad, x, np.full(shape, 0.5, np.float32), out=out)
    refused(TypeError, [first], function, None, target)
    refused(TypeError, ["target"], function, x, None)


@every_loss
@pytest.mark.parametrize(
    ("reduction", "grad_output", "error", "words"),
    [
        ("none", np.ones(5, np.float32), ValueError, [r"\(5,\)"]),
        ("mean", np.ones(4, np.float32), ValueError, [r"\(4,\)"]),
        ("sum", np.ones((4, 3), np.float32), ValueError, [r"\(4, 3\)"]),
        ("none", np.ones(4, complex), TypeError, ["complex128"]),
        ("mean", "1", TypeError, []),
    ],
)
def test_grad_output_errors(loss, reduction, grad_output, error, words):
    x, target, out = arrays(loss.name)
    grad = criterion_named(loss.name)(reduction=reduction).grad
    refused(error, ["grad_output", *words], grad, x, target, grad_output=grad_output, out=out)


@over_elements
def test_grad_output_of_elements_is_not_broadcast(loss):
    x, target, out = arrays(loss.name)
    grad = criterion_named(loss.name)(reduction="none").grad
    words = ["grad_output", r"\(3,\)", r"\(4, 3\)"]
    refused(ValueError, words, grad, x, target, grad_output=np.ones(3, np.float32), out=out)


@pytest.mark.parametrize("loss", ONLY_INDICES, ids=lambda loss: loss.name)
def test_indices_and_inputs(loss):
    name, first = loss.name, loss.input
    x, target, out = arrays(name)
    criterion = criterion_named(name)()
    for dtype in ("complex64", "O", "U1"):
        words = [f"^{first} ", kind(dtype), "accepted: .*float32"]
        refused(TypeError, words, getattr(ce, name), x.astype(dtype), target)
    for dtype in ("bool", "complex128", "U1"):
        words = ["target", kind(dtype)]
        refused(TypeError, words, criterion.grad, x, target.astype(dtype), out=out)
    words = ["target", r"\(4, 3\)", r"\(4,\)", "takes no class probabilities"]
    refused(ValueError, words, criterion.grad, x, x.copy(), out=out)
    for shape in ((5,), (4, 1), (4, 3), ()):
        words = ["target", re.escape(str(shape)), r"\(4,\)"]
        refused(ValueError, words, criterion.grad, x, np.zeros(shape, int), out=out)
    refused(ValueError, [r"^target\[1\] is 0\.5, not a whole number"], criterion.grad, x,
            np.array([0, 0.5, 1, 7]), out=out)  # fmt: skip
    exactly = [r"^target\[2\] is 3, not in \[0, 3\) \(ignore_index=-100\)$"]
    bad = np.array([0, 1, 3, 0])
    refused(IndexError, exactly, getattr(ce, name), x, bad)
    refused(IndexError, exactly, criterion.value_and_grad, x, bad, out=x)
    for shape in ((3,), (4, 1)):
        words = ["sample_weight", re.escape(str(shape)), r"\(4,\)"]
        v = np.ones(shape, np.float32)
        refused(ValueError, words, criterion.grad, x, target, sample_weight=v, out=out)


# -- class probabilities --------------------------------------------------------------------------


@pytest.mark.parametrize("ignored", [0, 1, 255])
def test_probabilities_with_an_index_to_ignore(ignored):
    x, _, out = arrays("cross_entropy")
    criterion = ce.CrossEntropyLoss(ignore_index=ignored)
    words = ["ignore_index", str(ignored), "probabilit"]
    refused(ValueError, words, criterion, x, x.copy())
    refused(ValueError, words, criterion.grad, x, x.copy(), out=out)


def test_probabilities_with_a_negative_index_to_ignore():
    x, *_ = arrays("cross_entropy")
    expected = ce.cross_entropy(x, x)
    assert ce.cross_entropy(x, x, ignore_index=-1) == expected


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("shape", [(3,), (4, 1), (3, 4), (1, 4, 3), ()])
def test_floating_targets_of_another_shape(dtype, shape):
    """They are neither indices nor probabilities."""
    x, _, out = arrays("cross_entropy")
    target = np.zeros(shape, dtype)
    words = ["target", re.escape(str(shape)), r"it must have shape \(4,\)"]
    refused(ValueError, words, ce.CrossEntropyLoss().grad, x, target, out=out)


def test_integers_of_the_full_shape_are_no_probabilities():
    x, _, out = arrays("cross_entropy")
    words = ["target", r"\(4, 3\)", r"\(4,\)"]
    refused(ValueError, words, ce.CrossEntropyLoss().grad, x, np.ones((4, 3), int), out=out)


def test_sample_weights_of_probabilities_are_per_item():
    x, _, out = arrays("cross_entropy")
    criterion = ce.CrossEntropyLoss()
    for shape in ((3,), (4, 3), (4, 1)):
        words = ["sample_weight", re.escape(str(shape)), r"\(4,\)"]
        v = np.ones(shape, np.float32)
        refused(ValueError, words, criterion.grad, x, x.copy(), sample_weight=v, out=out)
    criterion = ce.CrossEntropyLoss(reduction="none")
    words = ["grad_output", r"\(4, 3\)", r"\(4,\)"]
    refused(ValueError, words, criterion.grad, x, x.copy(), grad_output=x.copy(), out=out)


def test_an_alpha_of_minus_one_is_no_weight():
    """Elsewhere it stands for none; here it would turn the sign of the loss."""
    logits, target = np.zeros((2, 3)), [0, 1]
    for call in (
        lambda: ce.focal_loss(logits, target, alpha=-1),
        lambda: ce.focal_loss(logits, target, alpha=np.array(-1.0)),
        lambda: ce.FocalLoss(alpha=-1),
        lambda: ce.sigmoid_focal_loss(logits, logits, alpha=-1),
    ):
        with pytest.raises(ValueError, match=r"alpha is -1\.0.*None"):
            call()


def test_errors_print_numbers_as_numpy_does():
    labels = np.array([0.5, 1.1], np.float32)
    with pytest.raises(ValueError, match=r"target\[1\] is 1\.1, not in \[0, 1\]"):
        ce.sigmoid_focal_loss(np.zeros(2, np.float32), labels)
    with pytest.raises(ValueError, match=r"target\[0\] is 0\.1, not a whole number"):
        ce.cross_entropy(np.zeros((1, 2)), np.array([0.1], np.float32))


@every_loss
def test_errors_tell_no_private_names(loss):
    criterion = criterion_named(loss.name)()
    for method in (criterion, criterion.value_and_grad, criterion.grad, criterion.grad_and_hess):
        with pytest.raises(TypeError, match=r"^\w*Loss\.\w+\(\)") as error:
            method(np.zeros(1), 0, nothing=1)
        assert "ItemLoss" not in str(error.value)
