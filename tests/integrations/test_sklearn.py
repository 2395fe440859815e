"""`ce.sklearn` beside scikit-learn's own log loss, and where that has lost its digits."""

import doctest
import math

import numpy as np
import pytest

import ce

pytest.importorskip("sklearn")

import sklearn.metrics
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import ce.sklearn

KINDS = {
    "from 0": np.arange(4),
    "from -3": np.arange(4) - 3,
    "apart": np.array([1, 5, 7, 100]),
    "unsigned": np.arange(4, dtype=np.uint8) + 250,
    "strings": np.array(["ant", "bee", "cat", "dog"]),
    "objects": np.array(["ant", "bee", "cat", "dog"], dtype=object),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("named", [False, True])
def test_several_classes(kind, named):
    rng = np.random.default_rng(0)
    labels = KINDS[kind]
    y, raw, v = labels[rng.integers(0, 4, 500)], rng.normal(size=(500, 4)), rng.random(500)
    more = {"labels": labels} if named else {}
    for weight in (None, v):
        truth = sklearn.metrics.log_loss(y, ce.softmax(raw), sample_weight=weight)
        got = ce.sklearn.log_loss(y, raw, sample_weight=weight, **more)
        assert math.isclose(got, truth, rel_tol=1e-13)


@pytest.mark.parametrize("labels", [[0, 1], [False, True], [-1, 1], ["no", "yes"]])
def test_two_classes(labels):
    rng = np.random.default_rng(1)
    y, raw = np.array(labels)[rng.integers(0, 2, 300)], rng.normal(size=300) * 2
    truth = sklearn.metrics.log_loss(y, 1 / (1 + np.exp(-raw)))
    assert math.isclose(ce.sklearn.log_loss(y, raw), truth, rel_tol=1e-13)
    both = np.stack([np.zeros(300), raw], 1)
    assert math.isclose(ce.sklearn.log_loss(y, both), truth, rel_tol=1e-13)
    assert math.isclose(ce.sklearn.log_loss(y.tolist(), raw.tolist()), truth, rel_tol=1e-13)


def test_tails():
    """Sure hits cost what they cost, and so do sure misses."""
    assert math.isclose(ce.sklearn.log_loss([0, 1], [-50.0, 50.0]), math.log1p(math.exp(-50)))
    assert ce.sklearn.log_loss([1, 0], [-1000.0, 1000.0]) == 1000
    raw = np.float32([[60.0, 0.0, 0.0]])
    got = ce.sklearn.log_loss(["a"], raw, labels=["a", "b", "c"])
    assert math.isclose(got, 2 * math.exp(-60), rel_tol=1e-5)
    assert got.dtype == np.float32


def test_labels_that_are_missing():
    """A column whose label does not occur is not guessed at."""
    raw = np.random.default_rng(0).normal(size=(2, 3))
    truth = ce.cross_entropy(raw, [0, 2])
    with pytest.raises(
        ValueError, match="there are 2 labels, and raw has scores of 3 classes; name"
    ):
        ce.sklearn.log_loss(["a", "c"], raw)
    assert ce.sklearn.log_loss(["a", "c"], raw, labels=["a", "b", "c"]) == truth
    assert ce.sklearn.log_loss([3, 9], raw, labels=[3, 4, 9]) == truth
    assert ce.sklearn.log_loss(["yes"], [0.5], labels=["no", "yes"]) > 0


@pytest.mark.parametrize(
    ("y", "raw", "labels", "message"),
    [
        ([0, 1, 2], np.zeros((2, 3)), None, r"raw has shape \(2, 3\); with 3 labels it must have"),
        ([0, 1], np.zeros((2, 1, 2)), None, r"raw has shape \(2, 1, 2\)"),
        ([0, 3], np.zeros((2, 3)), [0, 1, 2], "y_true holds .*3.*, which is none of the labels"),
        ([-1, 1], np.zeros((2, 3)), [0, 1, 2], "y_true holds .*-1.*, which is none"),
        (["a", "z"], np.zeros((2, 2)), ["a", "b"], "y_true holds .*'z'.*, which is none"),
        ([0, 1], np.zeros((2, 2)), [1, 0], "labels must be in rising order"),
        ([0, 1], np.zeros((2, 3)), [0, 1, 1], "labels must be in rising order"),
        ([0, 1, 2], np.zeros(3), None, "there are 3 labels, and raw has scores of 2 classes"),
        ([0, 1], np.zeros((2, 1)), None, r"raw has shape \(2, 1\).*or \(2,\) for two classes"),
        ([], np.zeros((0, 2)), [0, 1], "y_true is empty"),
    ],
)
def test_refusals(y, raw, labels, message):
    with pytest.raises(ValueError, match=message):
        ce.sklearn.log_loss(y, raw, labels=labels)


def test_wide_and_narrow_integers():
    big = np.array([2**63, 2**63 + 1, 2**63], np.uint64)
    assert ce.sklearn.log_loss(big, np.zeros(3)) == math.log(2)
    with pytest.raises(ValueError, match="y_true holds 18446744073709551615"):
        ce.sklearn.log_loss(np.array([2**64 - 1, 0], np.uint64), np.zeros(2), labels=[-1, 0])
    narrow = np.array([-128, 127, 0], np.int8)
    for labels in (None, np.array([-128, 0, 127], np.int8)):
        assert math.isclose(ce.sklearn.log_loss(narrow, np.zeros((3, 3)), labels), math.log(3))


def test_masks_are_refused():
    with pytest.raises(TypeError, match="y_true is a masked array"):
        ce.sklearn.log_loss(np.ma.masked_array([0, 1, 1], [0, 0, 1]), np.zeros(3))


def test_examples_run():
    result = doctest.testmod(ce.sklearn)
    assert result.attempted > 5
    assert result.failed == 0


def test_the_scorer():
    for load in (datasets.load_iris, datasets.load_breast_cancer, datasets.load_digits):
        X, y = load(return_X_y=True)
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
        truth = cross_val_score(model, X, y, cv=3, scoring="neg_log_loss")
        got = cross_val_score(model, X, y, cv=3, scoring=ce.sklearn.neg_log_loss_scorer)
        np.testing.assert_allclose(got, truth, rtol=1e-9)


def test_the_scorer_knows_the_classes_of_the_model():
    X, y = datasets.load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=500).fit(X, np.array(["a", "b", "c"])[y])
    score = ce.sklearn.neg_log_loss_scorer(model, X[:60], np.array(["a", "b"])[y[:60]])
    raw = model.decision_function(X[:60])
    assert score == -ce.cross_entropy(raw, y[:60])
    weighted = ce.sklearn.neg_log_loss_scorer(
        model, X[:2], np.array(["a", "a"]), sample_weight=[0, 2.0]
    )
    assert weighted == -ce.cross_entropy(raw[1:2], [0])


def test_the_scorer_wants_raw_scores():
    from sklearn.naive_bayes import GaussianNB
    from sklearn.svm import SVC

    X, y = datasets.load_iris(return_X_y=True)
    with pytest.raises(TypeError, match="GaussianNB has no decision_function"):
        ce.sklearn.neg_log_loss_scorer(GaussianNB().fit(X, y), X, y)
    for model in (
        SVC(decision_function_shape="ovo"),
        make_pipeline(SVC().set_params(decision_function_shape="ovo")),
    ):
        with pytest.raises(ValueError, match="SVC has scores of pairs of classes"):
            ce.sklearn.neg_log_loss_scorer(model.fit(X, y), X, y)
