"""Objectives of gradient boosting without the libraries: what is refused, and what they are."""

import doctest
import subprocess
import sys
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest

import ce
import ce.boosting
from ce.boosting import catboost, lightgbm, xgboost

MAKERS = [xgboost, lightgbm, catboost]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("criterion", "error", "message"),
    [
        (ce.MSELoss(reduction="none"), ValueError, "reduction 'none'; an objective adds up"),
        (ce.CrossEntropyLoss(axis=0), ValueError, "axis=0; the classes of a booster are the last"),
        (ce.FocalLoss(ignore_index=2), ValueError, "ignore_index=2, which is a class"),
        (
            ce.BCELoss(),
            TypeError,
            r"criterion is BCELoss\(.*\); it must be one of CrossEntropyLoss",
        ),
        (ce.KLDivLoss(), TypeError, "it must be one of"),
        (ce.NLLLoss(), TypeError, "it must be one of"),
        (ce.CrossEntropyLoss, TypeError, "it must be one of"),
        ("cross_entropy", TypeError, "criterion is 'cross_entropy'"),
    ],
)
def test_criteria_that_are_refused(make, criterion, error, message):
    with pytest.raises(error, match=message):
        make(criterion)


@pytest.mark.parametrize("make", MAKERS)
def test_hessians_that_are_refused(make):
    with pytest.raises(ValueError, match="one of auto, exact, gauss_newton, abs; this loss has no"):
        make(ce.SigmoidFocalLoss(), hessian="bound")
    with pytest.raises(ValueError, match=r"one of auto, exact, gauss_newton, abs, bound$"):
        make(ce.MSELoss(), hessian="newton")


@pytest.mark.parametrize("make", [xgboost, lightgbm])
def test_numbers_that_are_refused(make):
    for options, message in (
        ({"scale": 0}, r"scale is 0.0; it must be in \[1e-30, 1e30\]"),
        ({"floor": -1.0}, "floor is -1.0; it must be at least 0"),
    ):
        with pytest.raises(ValueError, match=message):
            make(ce.MSELoss(), **options)
    with pytest.raises(TypeError, match="scale is '2'; it must be a number"):
        make(ce.MSELoss(), scale="2")


def test_losses_of_classes_are_catboosts_own():
    with pytest.raises(ValueError, match="loss_function='MultiClass'"):
        catboost(ce.CrossEntropyLoss())


def test_what_auto_is():
    kinds = {
        ce.CrossEntropyLoss(): ("exact", 2.0, None),
        ce.FocalLoss(): ("gauss_newton", 2.0, None),
        ce.BCEWithLogitsLoss(): ("exact", 1.0, 1.0),
        ce.SigmoidFocalLoss(): ("gauss_newton", 1.0, 1.0),
        ce.MSELoss(): ("bound", 1.0, 1.0),
        ce.L1Loss(): ("bound", 1.0, 1.0),
        ce.SmoothL1Loss(): ("bound", 1.0, 1.0),
    }
    for criterion, (hessian, two, ratio) in kinds.items():
        a, b = xgboost(criterion), lightgbm(criterion)
        assert (a.hessian, a.scale, a.floor) == (hessian, two, 1e-16)
        assert (b.hessian, b.scale, b.floor) == (hessian, ratio, 0.0)
    assert xgboost(ce.CrossEntropyLoss(), hessian="bound").scale == 1


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_an_objective_sums(reduction):
    y, z = np.array([0, 1, 1]), np.zeros((3, 2), np.float32)
    for make in (xgboost, lightgbm):
        grad, _ = make(ce.CrossEntropyLoss(reduction=reduction))(y, z)
        np.testing.assert_array_equal(grad, np.float32([[-0.5, 0.5], [0.5, -0.5], [0.5, -0.5]]))
    assert xgboost(ce.MSELoss(reduction=reduction)) == xgboost(ce.MSELoss())


def test_margins_that_look_like_probabilities_are_margins():
    """Rows in [0, 1] that add up to 1 are raw scores, whatever they look like."""
    z, y = np.array([[0.25, 0.75], [0.9, 0.1]]), np.array([1, 0])
    for make in (xgboost, lightgbm):
        value = make(ce.CrossEntropyLoss()).eval_metric(y, z)
        value = value if make is xgboost else value[1]
        assert value == ce.cross_entropy(z, y)


def test_labels_of_every_kind():
    z = np.random.default_rng(0).normal(size=(4, 3))
    first = xgboost(ce.CrossEntropyLoss())(np.array([0, 2, 1, 0]), z)
    for y in ([0, 2, 1, 0], np.float32([0, 2, 1, 0]), np.uint8([0, 2, 1, 0])):
        for a, b in zip(xgboost(ce.CrossEntropyLoss())(y, z), first, strict=True):
            np.testing.assert_array_equal(a, b)
    for bad, error in (([0, 2, 1.5, 0], ValueError), ([0, 2, np.nan, 0], ValueError)):
        with pytest.raises(error, match=r"target\[2\]"):
            xgboost(ce.CrossEntropyLoss())(np.float32(bad), z)
    with pytest.raises(IndexError, match=r"target\[1\] is 3, not in \[0, 3\)"):
        xgboost(ce.CrossEntropyLoss())(np.float32([0, 3, 1, 0]), z)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("criterion", [ce.BCEWithLogitsLoss(), ce.SigmoidFocalLoss()])
def test_labels_of_binary_losses(make, criterion):
    """They are 0 and 1, or between; -1 and 1, or 1 and 2, would train to nonsense."""
    objective, z = make(criterion), np.zeros(3)
    call = objective.calc_ders_range if make is catboost else lambda z, y: objective(y, z)
    for good in ([0, 1, 1], [False, True, True], [0.0, 0.25, 1.0]):
        assert len(call(z, np.array(good))) in (2, 3)
    for bad, words in (
        ([1, -1, 1], r"target\[1\] is -1, not in \[0, 1\]; a binary loss needs 0 and 1"),
        ([1, 0, 2.0], r"target\[2\] is 2.0, not in"),
        ([np.nan, 0, 1], r"target\[0\] is nan, not in"),
    ):
        with pytest.raises(ValueError, match=words):
            call(z, np.array(bad))


def test_labels_that_do_not_fit():
    z = np.zeros((3, 2), np.float32)
    with pytest.raises(ValueError, match=r"labels have shape \(3, 2\).*labels.argmax\(1\)"):
        xgboost(ce.CrossEntropyLoss())(np.eye(3, 2, dtype=np.float32), z)
    with pytest.raises(ValueError, match=r"shape \(3, 2\), the labels \(3,\); classes that excl"):
        xgboost(ce.BCEWithLogitsLoss())(np.zeros(3), z)
    with pytest.raises(ValueError, match=r"shape \(3, 2\), the labels \(2, 3\)$"):
        xgboost(ce.MSELoss())(np.ones((2, 3)), z)
    column = np.array([[0], [1], [1]])
    for objective, scores in ((ce.CrossEntropyLoss(), z), (ce.BCEWithLogitsLoss(), z[:, 0])):
        results = [xgboost(objective)(labels, scores) for labels in (column, column[:, 0])]
        np.testing.assert_array_equal(*results)
    masked = np.ma.masked_array([0, 1, 1], [0, 1, 0])
    for given in ((masked, z, None), ([0, 1, 1], z, np.ma.masked_array([1.0] * 3, [0, 0, 1]))):
        with pytest.raises(TypeError, match="is a masked array"):
            xgboost(ce.CrossEntropyLoss())(*given)


def test_the_other_librarys_data():
    data = type("Dataset", (), {"__module__": "lightgbm.basic", "get_label": None})()
    with pytest.raises(TypeError, match="this is for xgboost; lightgbm needs"):
        xgboost(ce.MSELoss())(np.zeros(3), data)


def test_metrics_of_nothing():
    metric = xgboost(ce.MSELoss()).metric
    assert np.isnan(metric(np.zeros(0), np.zeros(0)))
    assert np.isnan(metric(np.zeros(2), np.zeros(2), np.zeros(2)))


def test_scores_of_one_dimension_want_classes():
    with pytest.raises(ValueError, match=r"shape \(4,\); a loss of classes.*num_class"):
        xgboost(ce.CrossEntropyLoss())(np.zeros(4), np.zeros(4))


def test_weights_of_rows_and_of_elements():
    rng = np.random.default_rng(0)
    z, y, v = rng.normal(size=(5, 3)), rng.integers(0, 2, (5, 3)), rng.random(5)
    objective = xgboost(ce.BCEWithLogitsLoss())
    plain, weighted = objective(y, z), objective(y, z, v)
    for a, b in zip(plain, weighted, strict=True):
        np.testing.assert_allclose(b, a * v[:, None], rtol=3e-7)
    data = SimpleNamespace(get_label=lambda: y.ravel(), get_weight=lambda: v)
    for a, b in zip(objective(z, data), weighted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_probabilities():
    z = np.array([[40.0, 0.0], [0.0, 1.0]])
    np.testing.assert_array_equal(xgboost(ce.CrossEntropyLoss()).predict_proba(z), ce.softmax(z))
    binary = xgboost(ce.SigmoidFocalLoss())
    np.testing.assert_array_equal(
        binary.predict_proba([-40.0, 1.0]), ce.softmax(np.array([[0, -40.0], [0, 1.0]]))
    )
    assert binary.predict_proba(np.zeros((3, 2), np.float32)).shape == (3, 2)
    assert (binary.predict_proba(np.zeros((3, 2))) == 0.5).all()
    half = np.array([-2, 1], ml_dtypes.bfloat16)
    got = binary.predict_proba(half)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, binary.predict_proba(half.astype(np.float32)))
    with pytest.raises(ValueError, match=r"raw must have shape \(n,\)"):
        lightgbm(ce.SigmoidFocalLoss()).predict_proba(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="HuberLoss has no probabilities"):
        xgboost(ce.HuberLoss()).predict_proba(z)
    with pytest.raises(ValueError, match=r"raw has shape \(2,\); it must have shape \(n, K\)"):
        xgboost(ce.CrossEntropyLoss()).predict_proba([0.0, 1.0])


def test_results_are_the_callers_own():
    """What a call returned is not written to by the next one."""
    objective = lightgbm(ce.CrossEntropyLoss())
    z, y = np.random.default_rng(0).normal(size=(50, 4)), np.zeros(50, int)
    first = objective(y, z)
    kept = [x.copy() for x in first]
    objective(y, -z)
    for a, b in zip(first, kept, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="the examples print as NumPy 2 does"
)
def test_examples_run():
    result = doctest.testmod(ce.boosting)
    assert result.attempted > 10
    assert result.failed == 0


@pytest.mark.parametrize("module", ["ce", "ce.boosting"])
def test_no_library_is_imported(module):
    names = "xgboost, lightgbm, catboost, sklearn, torch, scipy"
    code = f"import sys, {module}; print([n for n in '{names}'.split(', ') if n in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
