"""What is refused, with which words, and that a refused call writes nothing."""

import re
from fractions import Fraction
from functools import partial

import ml_dtypes
import numpy as np
import pytest
from helpers.refusals import called, kind, refused

import ce


def arrays():
    """Fresh logits (4, 3), a target that fits, and an output holding a mark."""
    logits = np.arange(12, dtype=np.float32).reshape(4, 3)
    return logits, np.array([0, 1, 2, 0]), np.full((4, 3), 7, np.float32)


OPTIONS = [
    ({"label_smoothing": -0.1}, ValueError, ["label_smoothing", "-0.1"]),
    ({"label_smoothing": 1.5}, ValueError, ["label_smoothing", "1.5"]),
    ({"label_smoothing": np.nan}, ValueError, ["label_smoothing", "nan"]),
    ({"label_smoothing": "much"}, (TypeError, ValueError), ["label_smoothing", "much|str"]),
    (
        {"reduction": "elementwise_mean"},
        ValueError,
        ["reduction", "elementwise_mean", "'mean'|\"mean\""],
    ),
    ({"reduction": "average"}, ValueError, ["reduction", "average"]),
    ({"reduction": "batchmean"}, ValueError, ["reduction", "batchmean"]),
    ({"reduction": None}, (TypeError, ValueError), ["reduction", "None"]),
    ({"axis": 2}, ValueError, ["axis", "2"]),
    ({"axis": -3}, ValueError, ["axis", "-3"]),
    ({"axis": 1.0}, TypeError, ["axis", r"1\.0|float"]),
    ({"ignore_index": 1.5}, TypeError, ["ignore_index", r"1\.5|float"]),
    ({"ignore_index": None}, TypeError, ["ignore_index", "None"]),
    ({"ignore_index": "no"}, TypeError, ["ignore_index", "no|str"]),
    ({"ignore_index": 2**63}, ValueError, ["ignore_index", str(2**63), "int64"]),
    ({"weight": np.ones(4, np.float32)}, ValueError, ["weight", r"\(4,\)", r"\(3,\)"]),
    ({"weight": np.ones((1, 3), np.float32)}, ValueError, ["weight", r"\(1, 3\)"]),
    ({"weight": np.ones(3, complex)}, TypeError, ["weight", "complex128"]),
    ({"weight": np.array(["a", "b", "c"])}, TypeError, ["weight"]),
    ({"weight": np.zeros(3, "m8[s]")}, TypeError, ["weight", "timedelta64|m8"]),
]
CALL = [
    (
        {"sample_weight": np.ones(3, np.float32)},
        ValueError,
        ["sample_weight", r"\(3,\)", r"\(4,\)"],
    ),
    ({"sample_weight": np.ones((4, 1), np.float32)}, ValueError, ["sample_weight", r"\(4, 1\)"]),
    ({"sample_weight": np.ones(4, complex)}, TypeError, ["sample_weight", "complex128"]),
    ({"sample_weight": np.zeros(4, "m8[s]")}, TypeError, ["sample_weight", "timedelta64|m8"]),
]


def name_of(value):
    """The option under test names the test."""
    return next(iter(value)) if isinstance(value, dict) else ""


@pytest.mark.parametrize(("options", "error", "words"), OPTIONS, ids=name_of)
def test_option_errors(options, error, words):
    logits, target, out = arrays()
    criterion = partial(ce.CrossEntropyLoss, **options)
    refused(error, words, ce.cross_entropy, logits, target, **options)
    for method in ("value_and_grad", "grad"):
        for place in (out, logits):
            refused(error, words, called(criterion, method), logits, target, out=place)
    pair = called(criterion, "grad_and_hess")
    refused(error, words, pair, logits, target, out=(out, np.copy(out)))


@pytest.mark.parametrize(("options", "error", "words"), CALL, ids=name_of)
def test_call_errors(options, error, words):
    logits, target, out = arrays()
    refused(error, words, ce.cross_entropy, logits, target, **options)
    for place in (out, logits):
        criterion = ce.CrossEntropyLoss()
        refused(error, words, criterion.value_and_grad, logits, target, out=place, **options)
        refused(error, words, criterion.grad, logits, target, out=place, **options)


@pytest.mark.parametrize(
    ("reduction", "grad_output", "error", "words"),
    [
        ("none", np.ones(3, np.float32), ValueError, [r"\(3,\)", r"\(4,\)"]),
        ("mean", np.ones(4, np.float32), ValueError, [r"\(4,\)"]),
        ("sum", np.ones((2, 2), np.float32), ValueError, [r"\(2, 2\)"]),
        ("none", np.ones(4, complex), TypeError, ["complex128"]),
    ],
)
def test_grad_output_errors(reduction, grad_output, error, words):
    logits, target, out = arrays()
    grad = ce.CrossEntropyLoss(reduction=reduction).grad
    words = ["grad_output", *words]
    refused(error, words, grad, logits, target, grad_output=grad_output, out=out)


@pytest.mark.parametrize("dtype", ["complex64", "O", "U1", "M8[s]"])
def test_logits_dtypes(dtype):
    logits, target, _ = arrays()
    logits = logits.astype(dtype)
    words = [kind(dtype), "accepted: .*float32.*, integers, booleans"]
    refused(TypeError, ["^logits ", *words], ce.cross_entropy, logits, target)
    refused(TypeError, ["^x ", *words], ce.softmax, logits)


@pytest.mark.parametrize("dtype", ["?", "u1", "i8"])
def test_no_gradient_fits_integers_in_place(dtype):
    logits, target, _ = arrays()
    logits = (logits % 2).astype(dtype)
    words = ["^out ", kind(dtype), "it must be float64 or float32$"]
    for method in ("grad", "value_and_grad"):
        refused(
            TypeError, words, getattr(ce.CrossEntropyLoss(), method), logits, target, out=logits
        )
    pair, hess = ce.CrossEntropyLoss().grad_and_hess, np.empty((4, 3))
    refused(TypeError, [r"^out\[0\] ", *words[1:]], pair, logits, target, out=(logits, hess))
    refused(TypeError, [*words[:2], "it must be float64$"], ce.softmax, logits, out=logits)
    half = np.full((4, 3), 7, np.float16)
    refused(TypeError, ["float16", *words[2:]], ce.CrossEntropyLoss().grad, logits, target,
            out=half)  # fmt: skip


@pytest.mark.parametrize("dtype", ["bool", "complex128", "O", "U1", "m8[s]"])
def test_target_dtypes(dtype):
    logits, target, out = arrays()
    target, words = target.astype(dtype), ["target", kind(dtype)]
    refused(TypeError, words, ce.CrossEntropyLoss().grad, logits, target, out=out)


def test_none_is_never_an_array():
    logits, target, _ = arrays()
    refused(TypeError, ["logits"], ce.cross_entropy, None, target)
    refused(TypeError, ["target"], ce.cross_entropy, logits, None)
    refused(TypeError, [r"\bx\b"], ce.logsumexp, None)


def test_shapes():
    logits, _, out = arrays()
    for shape in ((5,), (3,), (4, 1), (4, 3), ()):
        words = ["target", re.escape(str(shape)), r"\(4,\)"]
        refused(
            ValueError, words, ce.CrossEntropyLoss().grad, logits, np.zeros(shape, int), out=out
        )
    refused(ValueError, ["logits"], ce.cross_entropy, np.float32(1), np.array(0))
    for function in (ce.softmax, ce.log_softmax, ce.logsumexp):
        refused(ValueError, [r"\bx\b|axis"], function, np.float32(1))


@pytest.mark.parametrize(
    ("shape", "items", "fits"),
    [((2, 3, 4), (2, 3), "-1|2"), ((2, 3, 4), (3, 4), "0"), ((5, 6), (6,), "0")],
)
def test_a_shape_mismatch_names_the_axis_that_fits(shape, items, fits):
    words = ["target", f"axis ?=? ?({fits})\\b"]
    refused(ValueError, words, ce.cross_entropy, np.zeros(shape, "f4"), np.zeros(items, int))


INDEX = [
    ((5, 21), (3,), 21, "target[3] is 21, not in [0, 21) (ignore_index=-100)"),
    ((5, 21), (0,), -1, "target[0] is -1, not in [0, 21) (ignore_index=-100)"),
    ((5, 21), (4,), -(2**63), f"target[4] is {-(2**63)}, not in [0, 21) (ignore_index=-100)"),
    ((4, 21, 8), (3, 7), 21, "target[3, 7] is 21, not in [0, 21) (ignore_index=-100)"),
    ((2, 3, 4, 5), (1, 0, 2), 99, "target[1, 0, 2] is 99, not in [0, 3) (ignore_index=-100)"),
    ((21,), (), 21, "target is 21, not in [0, 21) (ignore_index=-100)"),
    ((200000, 10), (199999,), 10, "target[199999] is 10, not in [0, 10) (ignore_index=-100)"),
]


@pytest.mark.parametrize(("shape", "place", "value", "text"), INDEX)
def test_index_errors_name_the_position(shape, place, value, text, isa):
    logits = np.ones(shape, np.float32)
    target = np.zeros(shape[:1] + shape[2:] if len(shape) > 1 else (), np.int64)
    target[place] = value
    out, criterion = np.full(shape, 7, np.float32), ce.CrossEntropyLoss()
    exactly = [f"^{re.escape(text)}$"]
    refused(IndexError, exactly, ce.cross_entropy, logits, target)
    refused(IndexError, exactly, criterion.grad, logits, target, out=out)
    refused(IndexError, exactly, criterion.value_and_grad, logits, target, out=logits)
    refused(IndexError, exactly, ce.cross_entropy, logits, target, reduction="none")


def test_index_errors_tell_the_true_value():
    logits = np.zeros((3, 4), np.float32)
    for dtype, value in (("u8", 2**63 + 5), ("u8", 2**64 - 100), ("u8", 2**64 - 1), ("i1", -128)):
        target = np.array([0, value, 0], dtype)
        text = rf"target\[1\] is {value}, not in \[0, 4\) \(ignore_index=-100\)"
        refused(IndexError, [text], ce.cross_entropy, logits, target)
    target = np.array([1, 2, 9])
    refused(
        IndexError, ["is 9", r"ignore_index=2\)"], ce.cross_entropy, logits, target, ignore_index=2
    )


def test_the_first_of_several_bad_indices_is_named():
    target = np.zeros((40, 500), np.int32)
    target[7, 80], target[7, 81], target[30, 2] = 5, -3, 8
    logits = np.zeros((40, 4, 500), np.float32)
    refused(IndexError, [r"target\[7, 80\] is 5,"], ce.cross_entropy, logits, target)


@pytest.mark.parametrize(
    ("function", "second"),
    [
        (ce.softmax_backward, "output"),
        (ce.log_softmax_backward, "output"),
        (ce.logsumexp_backward, "x"),
    ],
)
def test_backward_errors(function, second):
    good = np.ones((4, 3), np.float32)
    g = good[:, 0] if second == "x" else good
    refused(ValueError, ["grad_output", r"\(5,\)"], function, np.ones(5, np.float32), good)
    if second == "output":  # integers count as float64
        words = ["grad_output", "float32", "output", "float64"]
        refused(TypeError, words, function, g, np.ones((4, 3), int))
    for bad in (complex, "O", "U1", "M8[s]"):
        refused(TypeError, [rf"^{second} "], function, g, np.ones((4, 3), int).astype(bad))
    refused(TypeError, ["grad_output", "complex"], function, g.astype(complex), good)
    refused(ValueError, ["axis"], function, g, good, axis=7)
    if second == "output":
        words = ["grad_output", "float64", "output", "float32"]
        refused(TypeError, words, function, g.astype(np.float64), good)


@pytest.mark.parametrize("function", [ce.softmax, ce.log_softmax, ce.logsumexp])
def test_axis_errors(function):
    x = np.ones((4, 3), np.float32)
    refused(ValueError, ["axis", "2"], function, x, axis=2)
    refused(ValueError, ["axis", "-3"], function, x, axis=-3)
    refused(TypeError, ["axis"], function, x, axis=0.5)


def test_no_unsigned_index_is_taken_for_the_ignored_one():
    target = np.array([2**63 + 5, 1], np.uint64)
    for ignored in (2**63 - 1, -1, -(2**63)):
        with pytest.raises(IndexError, match=rf"target\[0\] is {2**63 + 5}"):
            ce.cross_entropy(np.zeros((2, 3)), target, ignore_index=ignored)


def test_integers_that_are_too_long_to_be_written():
    """Python writes none of more than 4300 digits; the error must still name the argument."""
    x, t, long = np.zeros((2, 3)), [0, 1], 10**5000
    for name, call in [
        ("axis", lambda: ce.softmax(x, axis=long)),
        ("axis", lambda: ce.softmax(x, axis=(long, 0))),
        ("axis", lambda: ce.cross_entropy(x, t, axis=long)),
        ("ignore_index", lambda: ce.cross_entropy(x, t, ignore_index=long)),
        ("reduction", lambda: ce.cross_entropy(x, t, reduction=long)),
        ("keepdims", lambda: ce.logsumexp(x, keepdims=long)),
        ("num_classes", lambda: ce.one_hot(t, -long)),
        ("number of threads", lambda: ce.set_num_threads(-long)),
    ]:
        with pytest.raises((TypeError, ValueError), match=f"{name} is <int that is too long"):
            call()


@pytest.mark.parametrize("ignored", [2**63, -(2**63) - 1, 10**30])
def test_ignore_index_beyond_int64(ignored):
    with pytest.raises(ValueError, match="ignore_index"):
        ce.cross_entropy(np.zeros((2, 3)), [0, 1], ignore_index=ignored)


@pytest.mark.parametrize(
    "number",
    [
        "0.1",
        b"0.1",
        bytearray(b"0"),
        memoryview(b"0"),
        True,
        np.False_,
        np.array(True),
        np.array("0.1"),
        np.array([0.1]),
        np.complex64(0),
        np.array(0.1, object),
        np.void(b"0"),
        np.timedelta64(0, "s"),
        1j,
        None,
        [0.1],
    ],
    ids=lambda x: type(x).__name__,
)
def test_options_that_are_no_number(number):
    with pytest.raises(TypeError, match=r"label_smoothing is .* it must be a number"):
        ce.cross_entropy(np.zeros((2, 3)), [0, 1], label_smoothing=number)
    with pytest.raises(TypeError, match=r"delta is .* it must be a number"):
        ce.huber_loss(np.zeros(3), np.ones(3), delta=number)


@pytest.mark.parametrize(
    "number",
    [
        1,
        np.float16(1),
        np.longdouble(1),
        np.uint8(1),
        np.array(1),
        Fraction(1),
        ml_dtypes.bfloat16(1),
    ],
    ids=lambda x: type(x).__name__,
)
def test_options_that_are_a_number(number):
    assert ce.huber_loss(np.zeros(3), np.ones(3), delta=number) == 0.5


@pytest.mark.parametrize("value", ["False", "no", 1, 0, None, [True], np.ones(1, bool), 1.0])
def test_flags_are_booleans(value):
    """So that no text counts as true."""
    x = np.zeros((2, 3))
    for name, function, *more in (
        ("log_target", ce.kl_div, x, x),
        ("keepdims", ce.logsumexp, x),
        ("keepdims", ce.logsumexp_backward, x[:, :1], x),
    ):
        words = [rf"^{name} is {re.escape(repr(value))}; it must be True or False$"]
        refused(TypeError, words, function, *more, **{name: value})
    with pytest.raises(TypeError, match="log_target"):
        ce.KLDivLoss(log_target=value)


def test_flags_of_numpy():
    x = np.zeros((2, 3))
    assert ce.logsumexp(x, keepdims=np.True_).shape == (2, 1)
    assert ce.KLDivLoss(log_target=np.False_) == ce.KLDivLoss()


@pytest.mark.parametrize("truth", [True, np.True_, np.array(True)], ids=repr)
def test_numbers_are_no_booleans(truth):
    """Each option that is one number, of a function that has it."""
    x, t = np.full((2, 3), 0.5), np.array([0, 1])
    for name, function, target in (
        ("label_smoothing", ce.cross_entropy, t), ("ignore_index", ce.cross_entropy, t),
        ("ignore_index", ce.perplexity, t), ("normalizer", ce.mse_loss, x),
        ("gamma", ce.focal_loss, t), ("gamma", ce.sigmoid_focal_loss, x),
        ("alpha", ce.sigmoid_focal_loss, x), ("delta", ce.huber_loss, x),
        ("beta", ce.smooth_l1_loss, x), ("axis", ce.nll_loss, t),
    ):  # fmt: skip
        refused(TypeError, [f"^{name} is "], function, x, target, **{name: truth})
    refused(TypeError, ["^grad_output "], ce.MSELoss().grad, x, x, grad_output=truth)


def test_a_number_beyond_float64():
    with pytest.raises(ValueError, match="label_smoothing is beyond the range of float64"):
        ce.cross_entropy(np.zeros((2, 3)), [0, 1], label_smoothing=10**400)


def test_weights_beyond_float32_are_infinite_without_a_warning():
    logits = np.zeros((2, 3), np.float32)
    assert np.isinf(ce.cross_entropy(logits, [0, 1], weight=[1e300, 1, 1], reduction="sum"))
