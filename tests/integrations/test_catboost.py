"""`ce.boosting.catboost` in CatBoost itself."""

import numpy as np
import pytest

import ce
import ce.boosting

catboost = pytest.importorskip("catboost")
pytestmark = pytest.mark.filterwarnings("ignore:Failed to import numba")

COMMON = {
    "iterations": 20, "depth": 4, "learning_rate": 0.3, "verbose": False, "thread_count": 2,
    "random_seed": 1, "boost_from_average": False, "leaf_estimation_method": "Newton",
    "leaf_estimation_iterations": 1, "bootstrap_type": "No", "allow_writing_files": False,
}  # fmt: skip


def made(n=3000):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, 8))
    return X, (X[:, 0] + X[:, 1] ** 2 + rng.logistic(size=n) > 1).astype(float)


def test_binary():
    X, y = made()
    objective = ce.boosting.catboost(ce.BCEWithLogitsLoss())
    built_in = catboost.CatBoost(COMMON | {"loss_function": "Logloss"}).fit(X, y)
    ours = catboost.CatBoost(COMMON | {"loss_function": objective, "eval_metric": "Logloss"}).fit(
        X, y
    )
    a, b = (m.predict(X, prediction_type="RawFormulaVal") for m in (built_in, ours))
    np.testing.assert_allclose(a, b, atol=1e-5)
    np.testing.assert_allclose(
        objective.predict_proba(b), built_in.predict(X, prediction_type="Probability"), atol=1e-5
    )


def test_metric_weights_and_early_stopping():
    X, y = made()
    v = np.random.default_rng(2).random(len(y))
    objective = ce.boosting.catboost(ce.SigmoidFocalLoss(alpha=None))
    model = catboost.CatBoost(
        COMMON | {"iterations": 300, "loss_function": objective, "eval_metric": objective}
    )
    model.fit(
        catboost.Pool(X[:2000], y[:2000], weight=v[:2000]),
        eval_set=catboost.Pool(X[2000:], y[2000:], weight=v[2000:]),
        early_stopping_rounds=10,
    )
    (name,) = model.evals_result_["validation"]
    curve = model.evals_result_["validation"][name]
    assert len(curve) < 300
    raw = model.predict(X[2000:], prediction_type="RawFormulaVal")
    truth = ce.sigmoid_focal_loss(raw, y[2000:], alpha=None, sample_weight=v[2000:])
    np.testing.assert_allclose(min(curve), truth, rtol=1e-6)


def test_regression():
    X, _ = made()
    y = X[:, 0] * 3 + np.random.default_rng(0).standard_t(2, size=len(X))
    objective = ce.boosting.catboost(ce.HuberLoss())
    model = catboost.CatBoost(
        COMMON | {"iterations": 100, "loss_function": objective, "eval_metric": "RMSE"}
    ).fit(X, y)
    assert np.median(abs(model.predict(X) - 3 * X[:, 0])) < 0.7


def test_clones():
    from sklearn.base import clone

    model = catboost.CatBoostClassifier(
        **COMMON, loss_function=ce.boosting.catboost(ce.BCEWithLogitsLoss()), eval_metric="AUC"
    )
    X, y = made(500)
    again = clone(model).fit(X, y)
    assert (again.predict_proba(X).argmax(1) == y).mean() > 0.7
