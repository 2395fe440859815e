"""What the other losses refuse, with which words, and that a refused call writes nothing."""

import re

import numpy as np
import pytest
from helpers.refusals import called, kind, refused
from losses import LOSSES

import ce

NAN = np.nan
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


FOUR = np.ones(4, np.float32)
OPTIONS = [
    ("focal_loss", {"gamma": -0.5}, ValueError, ["gamma", r"-0\.5"]),
    ("focal_loss", {"gamma": NAN}, ValueError, ["gamma", "nan"]),
    ("focal_loss", {"gamma": "2"}, TypeError, ["gamma", "'2'"]),
    ("focal_loss", {"gamma": None}, TypeError, ["gamma", "None"]),
    ("focal_loss", {"alpha": FOUR}, ValueError, ["alpha", r"\(4,\)", r"\(3,\)"]),
    ("focal_loss", {"alpha": FOUR[:, None]}, ValueError, ["alpha", r"\(4, 1\)"]),
    ("focal_loss", {"alpha": np.ones(3, complex)}, TypeError, ["alpha", "complex128"]),
    ("focal_loss", {"ignore_index": 1.5}, TypeError, ["ignore_index", r"1\.5"]),
    ("focal_loss", {"axis": 2}, ValueError, ["axis", "2"]),
    ("sigmoid_focal_loss", {"gamma": -1}, ValueError, ["gamma", "-1"]),
    ("sigmoid_focal_loss", {"gamma": NAN}, ValueError, ["gamma", "nan"]),
    ("sigmoid_focal_loss", {"gamma": [1, 2]}, TypeError, ["gamma"]),
    ("sigmoid_focal_loss", {"alpha": -0.1}, ValueError, ["alpha", r"-0\.1", r"\[0, 1\]"]),
    ("sigmoid_focal_loss", {"alpha": 1.1}, ValueError, ["alpha", r"1\.1", r"\[0, 1\]"]),
    ("sigmoid_focal_loss", {"alpha": NAN}, ValueError, ["alpha", "nan"]),
    ("sigmoid_focal_loss", {"alpha": "a"}, TypeError, ["alpha", "'a'"]),
    ("huber_loss", {"delta": 0}, ValueError, ["delta", "0"]),
    ("huber_loss", {"delta": -1.5}, ValueError, ["delta", r"-1\.5"]),
    ("huber_loss", {"delta": NAN}, ValueError, ["delta", "nan"]),
    ("huber_loss", {"delta": np.inf}, ValueError, ["delta", "inf"]),
    ("smooth_l1_loss", {"beta": np.inf}, ValueError, ["beta", "inf"]),
    ("focal_loss", {"gamma": np.inf}, ValueError, ["gamma", "inf"]),
    ("sigmoid_focal_loss", {"gamma": np.inf}, ValueError, ["gamma", "inf"]),
    ("huber_loss", {"delta": "1"}, TypeError, ["delta", "'1'"]),
    ("smooth_l1_loss", {"beta": -0.5}, ValueError, ["beta", r"-0\.5"]),
    ("smooth_l1_loss", {"beta": NAN}, ValueError, ["beta", "nan"]),
    ("smooth_l1_loss", {"beta": None}, TypeError, ["beta", "None"]),
    ("nll_loss", {"weight": FOUR}, ValueError, ["weight", r"\(4,\)", r"\(3,\)"]),
    ("nll_loss", {"ignore_index": None}, TypeError, ["ignore_index", "None"]),
    ("nll_loss", {"axis": -3}, ValueError, ["axis", "-3"]),
]
for _name in ("mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss", "binary_cross_entropy",
              "binary_cross_entropy_with_logits", "sigmoid_focal_loss"):  # fmt: skip
    OPTIONS += [
        (_name, {"weight": FOUR}, ValueError, ["weight", r"\(4,\)", r"\(4, 3\)"]),
        (_name, {"weight": np.ones((2, 4, 3))}, ValueError, ["weight", r"\(2, 4, 3\)"]),
        (_name, {"weight": np.ones(3, complex)}, TypeError, ["weight", "complex128"]),
        (_name, {"weight": np.array(["a"] * 3)}, TypeError, ["weight"]),
    ]
OPTIONS += [
    ("binary_cross_entropy_with_logits", {"pos_weight": value}, error, ["pos_weight", word])
    for value, error, word in (
        (FOUR, ValueError, r"\(4,\)"),
        (np.ones((2, 4, 3)), ValueError, r"\(2, 4, 3\)"),
        (np.ones(3, complex), TypeError, "complex128"),
    )
]


@pytest.mark.parametrize(("name", "options", "error", "words"), OPTIONS, ids=str)
def test_option_errors(name, options, error, words):
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


@pytest.mark.parametrize("name", ["focal_loss", "sigmoid_focal_loss"])
@pytest.mark.parametrize("hessian", ["newton", "EXACT", None, 1, ""])
def test_hessian_names(name, hessian):
    x, target, out = arrays(name)
    words = ["hessian", re.escape(repr(hessian)), "exact", "gauss_newton", "abs"]
    method = criterion_named(name)().grad_and_hess
    refused((TypeError, ValueError), words, method, x, target, hessian=hessian,
            out=(out, np.copy(out)))  # fmt: skip


@over_elements
def test_only_focal_losses_choose_a_hessian(loss):
    x, target, _ = arrays(loss.name)
    if not loss.hessians:
        with pytest.raises(TypeError):
            criterion_named(loss.name)().grad_and_hess(x, target, hessian="abs")
    with pytest.raises(TypeError):
        criterion_named(loss.name)(hessian="abs")


@over_elements
def test_elements_have_no_sample_weight(loss):
    x, target, _ = arrays(loss.name)
    with pytest.raises(TypeError):
        criterion_named(loss.name)()(x, target, sample_weight=x)


@over_elements
def test_arrays_of_elements(loss):
    x, target, out = arrays(loss.name)
    first = "probs" if loss.criterion == "BCELoss" else "logits|input"
    function, grad = getattr(ce, loss.name), criterion_named(loss.name)().grad
    for dtype in ("int64", "bool", "complex64", "O", "U1"):
        refused(TypeError, [first, kind(dtype), "float32"], function, x.astype(dtype), target)
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


@pytest.mark.parametrize("name", ["nll_loss", "focal_loss"])
def test_indices_and_inputs(name):
    x, target, out = arrays(name)
    first = "log_probs" if name == "nll_loss" else "logits"
    criterion = criterion_named(name)()
    for dtype in ("int64", "bool", "complex64"):
        refused(TypeError, [first, kind(dtype)], getattr(ce, name), x.astype(dtype), target)
    for dtype in ("float32", "bool", "complex128", "U1"):
        words = ["target", kind(dtype)]
        refused(TypeError, words, criterion.grad, x, target.astype(dtype), out=out)
    refused(TypeError, ["target", "float32"], criterion.grad, x, x.copy(), out=out)
    for shape in ((5,), (4, 1), (4, 3), ()):
        words = ["target", re.escape(str(shape)), r"\(4,\)"]
        refused(ValueError, words, criterion.grad, x, np.zeros(shape, int), out=out)
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
@pytest.mark.parametrize("shape", [(4,), (3,), (4, 1), (3, 4), (1, 4, 3), ()])
def test_floating_targets_of_another_shape(dtype, shape):
    """They are neither indices nor probabilities."""
    x, _, out = arrays("cross_entropy")
    target = np.zeros(shape, dtype)
    words = ["target", f"{dtype}|{re.escape(str(shape))}"]
    refused((TypeError, ValueError), words, ce.CrossEntropyLoss().grad, x, target, out=out)


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
