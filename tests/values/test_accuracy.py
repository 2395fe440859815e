"""The command that reports accuracy, bench/accuracy.py: it counts right, and leaves no loss out."""

import ctypes
from dataclasses import replace

import numpy as np
import pytest
from oracle import LOSSES, ROWS
from oracle.exact import BFLOAT16

import ce
from bench import accuracy, accuracy_report, kernels
from bench.ulps import Errors, Exact, ulps

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
SMALL = 32
every_dtype = pytest.mark.parametrize("dtype", accuracy.DTYPES, ids=str)


def exactly(*numbers):
    return Exact(np.array(numbers, np.float64), np.zeros(len(numbers)))


def moved(x, by):
    """The number so many places further from 0."""
    bits = f"i{x.dtype.itemsize}"
    return (x.view(bits) + np.dtype(bits).type(by)).view(x.dtype)


@every_dtype
def test_places_are_counted(dtype):
    true = np.array([1.25, -1.25, 1.5 * 2.0**-9, -1.75 * 2.0**9]).astype(dtype)
    for by in (-3, 0, 1, 3, 17):
        off = ulps(moved(true, by), exactly(*true.astype(np.float64)))
        np.testing.assert_array_equal(off, abs(by))


def test_truth_between_numbers():
    """A third of a place, of a truth that no float64 holds."""
    third = 2.0**-23 / 3
    off = ulps(
        np.float32([1, 1]), Exact(np.array([1 + third, 1.0]), np.array([0.0, third / 2**40]))
    )
    np.testing.assert_allclose(off, [1 / 3, 2.0**-40 / 3], rtol=1e-8)


def test_no_answer_is_named():
    for got, word in ((np.nan, "NaN"), (np.inf, "inf"), (0.0, "0")):
        found = Errors.of(np.float32([1, got, 2]), exactly(1, 1e-30, 2))
        assert found.word == word
        assert str(found).startswith(f"is {word} / ")
    assert 2**23 <= ulps(np.float32([0]), exactly(1e-30))[0] <= 2**24
    assert Errors.of(np.float32([np.nan, np.inf, 0]), exactly(np.nan, np.inf, 0)).largest == 0
    assert Errors.of(np.float16([60000]), exactly(1e6)).largest > 1
    assert Errors.of(np.float16([np.inf]), exactly(1e6)).largest == 0


def test_what_vanishes():
    """Subnormal numbers count as 0, but not in float16; a 0 will do below 1e-36."""
    true, normal = exactly(1e-39, 1e-37), exactly(1e-35)
    for dtype in (np.float32, BFLOAT16):
        np.testing.assert_array_equal(ulps(np.zeros(2, dtype), true), 0)
        assert ulps(np.zeros(1, dtype), normal)[0] > 100
    assert ulps(np.float32([1e-39, 2e-37]), true)[0] == 0
    assert ulps(np.float32([1e-39, 2e-37]), true)[1] > 1e6
    assert np.isnan(ulps(np.float32([np.nan]), exactly(1e-39)))[0]
    assert ulps(np.float16([0]), exactly(2.0**-22))[0] == 4


@pytest.fixture(scope="module")
def rows():
    """The command on few numbers."""
    last = ce._core.isas()[-1:]
    subjects = accuracy.subjects()
    return [
        r
        for s in subjects
        for d in (FLOAT32, FLOAT64)
        for r in accuracy.measured(s, d, last, SMALL)
    ]


def test_every_loss_has_a_row(rows):
    table = accuracy_report.full(rows, list(ce._core.isas()[-1:])).splitlines()
    heads = [line.split(" | ")[0].removeprefix("| ") for line in table]
    for label in {row.label_of(measured) for row in ROWS for measured in row.measured}:
        assert label.replace("-", ", ").replace("smoothing", "smoothing 0.1") in heads
    assert all(row.measured for row in ROWS)
    for loss in LOSSES:
        quantities = {row.quantity for row in rows if row.label == loss.label}
        assert quantities >= {"loss", "gradient", "Hessian", "mean loss"}


def test_the_tests_would_pass(rows):
    """What mpmath says of our results agrees with the long double definitions of the tests."""
    for row in rows:
        assert max(row.used.values()) <= 1, (row.label, row.quantity, row.dtype)


def test_an_error_of_three_places_is_reported():
    subject = next(s for s in accuracy.subjects() if s.label == "nll_loss")
    isas = list(ce._core.isas()[:1])

    def spoiled(*arrays):
        found = subject.answers(*arrays)
        for quantity in ("loss", "gradient"):
            part, _ = np.frexp(abs(found[quantity]))
            at = np.flatnonzero((part > 0.6) & (part < 0.9) | (part == 0.5))[:1]
            found[quantity].reshape(-1)[at] = moved(found[quantity].reshape(-1)[at], 3)
        return found

    for dtype in (FLOAT32, FLOAT64):
        for good, largest in ((subject, 0), (replace(subject, answers=spoiled), 3)):
            found = {r.quantity: r for r in accuracy.measured(good, dtype, isas, SMALL)}
            for quantity in ("loss", "gradient"):
                assert found[quantity].worst.largest == largest
            assert found["Hessian"].worst.largest == 0
            table = accuracy_report.full(list(found.values()), isas)
            assert table.count("| 3.0 / ") == (2 if largest else 0)


def test_the_instruction_set_is_given_back():
    before = ce._core.isa()
    mse = next(s for s in accuracy.subjects() if s.label == "mse_loss")
    accuracy.measured(mse, FLOAT32, list(ce._core.isas()[:1]), SMALL)
    assert ce._core.isa() == before


@pytest.mark.skipif(not kernels.HEADERS.exists(), reason="the C sources are not here")
def test_functions_of_vecmath(tmp_path):
    library = kernels.build(tmp_path, ce._core.isas()[0])
    if library is None:
        pytest.skip("no C compiler")
    for kernel in kernels.KERNELS:
        for real in kernels.types(library, kernel):
            found = kernels.measure(library, kernel, real, 50021)
            assert 0 < found.mean < 1
            most = {"pow": 20, "tanh": 3}.get(kernel.name, 2)
            assert found.largest < most, (kernel.name, real)
            assert found.count > 1000
    x, worst = np.zeros(5, np.float32), kernels.Worst()  # e^0 = 1, and one answer is off
    y = np.ones(5, np.float32)
    y[3] = moved(y[3:4], 3)[0]
    off = library.exp_off_f32
    off.restype = ctypes.c_double
    pointer = np.ctypeslib.ndpointer(np.float32)
    off.argtypes = [pointer, pointer, pointer, ctypes.c_int64, ctypes.POINTER(kernels.Worst)]
    assert off(x, x, y, 5, ctypes.byref(worst)) == 3
    assert (worst.error, worst.at) == (3, 3)
