"""`ce.boosting.lightgbm` in LightGBM itself: the text of all trees is that of the built-in's."""

import numpy as np
import pytest

import ce
import ce.boosting

lgb = pytest.importorskip("lightgbm")
pytest.importorskip("sklearn")

from sklearn import datasets  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402

ROUNDS = 10
PARAMS = {
    "verbosity": -1, "num_leaves": 15, "num_threads": 2, "deterministic": True, "seed": 1,
    "force_row_wise": True,
}  # fmt: skip
QUIET = {"metric": "None"}


def made(n=200_000, classes=10):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, 12))
    return X, (X[:, :classes] + rng.gumbel(size=(n, classes))).argmax(1)


def trees(model):
    """The text of all trees, less the shape of the file."""
    text = model.model_to_string()
    return text[text.index("Tree=0") : text.index("end of trees")]


def trained(params, X, y, rounds=ROUNDS, **more):
    return lgb.train(PARAMS | params, lgb.Dataset(X, y, **more), rounds)


def both(name, criterion, X, y, **more):
    params = {"boost_from_average": False, **more.pop("params", {})}
    built_in = trained({"objective": name, **params}, X, y, **more)
    kept = {k: v for k, v in params.items() if k == "num_class"}
    objective = ce.boosting.lightgbm(criterion)
    return built_in, trained({"objective": objective, **kept}, X, y, **more), objective


@pytest.mark.parametrize(("load", "K"), [(datasets.load_digits, 10), (made, 10)])
def test_multiclass(load, K):
    X, y = load() if load is made else load(return_X_y=True)
    built_in, ours, objective = both(
        "multiclass", ce.CrossEntropyLoss(), X, y, params={"num_class": K}
    )
    assert trees(built_in) == trees(ours)
    raw = ours.predict(X[:1000], raw_score=True)
    np.testing.assert_allclose(
        objective.predict_proba(raw), built_in.predict(X[:1000]), rtol=1e-9, atol=1e-12
    )


def test_binary():
    X, y = datasets.load_breast_cancer(return_X_y=True)
    built_in, ours, objective = both("binary", ce.BCEWithLogitsLoss(), X, y)
    assert trees(built_in) == trees(ours)
    proba = objective.predict_proba(ours.predict(X, raw_score=True))
    np.testing.assert_allclose(proba[:, 1], built_in.predict(X), rtol=1e-9)
    X, y = made(200_000, 2)
    built_in, ours, _ = both("binary", ce.BCEWithLogitsLoss(), X, y)
    assert trees(built_in) == trees(ours)


def test_huber():
    X, y = datasets.load_diabetes(return_X_y=True)
    built_in, ours, _ = both("huber", ce.HuberLoss(delta=0.9), X, y, params={"alpha": 0.9})
    assert trees(built_in) == trees(ours)
    X, y = made(200_000, 5)
    built_in, ours, _ = both("huber", ce.HuberLoss(delta=1.0), X, y, params={"alpha": 1.0})
    assert trees(built_in) == trees(ours)


def test_the_exact_hessian_of_huber_is_not_the_default():
    """It is 0 outside of delta: a leaf of such rows has no step."""
    X, y = datasets.load_diabetes(return_X_y=True)
    objective = ce.boosting.lightgbm(ce.HuberLoss(delta=0.9))
    assert (objective.hessian, objective.scale) == ("bound", 1.0)
    exact = ce.boosting.lightgbm(ce.HuberLoss(delta=0.9), hessian="exact")
    assert np.ptp(trained({"objective": exact}, X, y).predict(X)) == 0


def test_weights():
    X, y = made(3000, 5)
    weight = np.random.default_rng(2).random(len(y))
    built_in, ours, _ = both(
        "multiclass", ce.CrossEntropyLoss(), X, y, params={"num_class": 5}, weight=weight
    )
    # LightGBM multiplies its float32 results by the weights, we round the products once.
    a, b = built_in.predict(X, raw_score=True), ours.predict(X, raw_score=True)
    assert abs(a - b).max() < 1e-5


def test_the_average_as_init_score():
    """What boost_from_average=True starts from is the log of the priors."""
    X, y = datasets.load_digits(return_X_y=True)
    built_in = trained({"objective": "multiclass", "num_class": 10}, X, y)
    prior = np.log(np.bincount(y) / len(y))
    start = np.tile(prior, (len(y), 1))
    ours = trained(
        {"objective": ce.boosting.lightgbm(ce.CrossEntropyLoss()), "num_class": 10}, X, y,
        init_score=start,
    )  # fmt: skip
    difference = built_in.predict(X, raw_score=True) - (ours.predict(X, raw_score=True) + start)
    assert abs(difference).max() < 1e-7


def test_evaluation_and_early_stopping():
    X, y = made(4000, 5)
    objective = ce.boosting.lightgbm(ce.CrossEntropyLoss())
    found, truth = {}, {}

    def sets():
        train = lgb.Dataset(X[:3000], y[:3000])
        return train, [lgb.Dataset(X[3000:], y[3000:], reference=train)]

    params = PARAMS | {"num_class": 5, "learning_rate": 0.5}
    train, test = sets()
    model = lgb.train(
        params | QUIET | {"objective": objective}, train, 200, valid_sets=test,
        feval=objective.metric,
        callbacks=[lgb.record_evaluation(found), lgb.early_stopping(5, verbose=False)],
    )  # fmt: skip
    train, test = sets()
    built_in = {"objective": "multiclass", "boost_from_average": False, "metric": "multi_logloss"}
    lgb.train(
        params | built_in, train, model.current_iteration(), valid_sets=test,
        callbacks=[lgb.record_evaluation(truth)],
    )  # fmt: skip
    curve = found["valid_0"]["cross_entropy"]
    n = min(len(curve), len(truth["valid_0"]["multi_logloss"]))
    np.testing.assert_allclose(curve[:n], truth["valid_0"]["multi_logloss"][:n], rtol=1e-6)
    assert model.best_iteration == int(np.argmin(curve)) + 1 < 150


def test_the_metric_refuses_probabilities():
    X, y = made(1000, 5)
    metric = ce.boosting.lightgbm(ce.CrossEntropyLoss()).metric
    with pytest.raises(ValueError, match="'multiclass', which hands probabilities to metrics"):
        lgb.train(
            PARAMS | {"objective": "multiclass", "num_class": 5}, lgb.Dataset(X, y), 2,
            valid_sets=[lgb.Dataset(X, y)], feval=metric,
        )  # fmt: skip


def test_cross_validation():
    X, y = made(2000, 5)
    objective = ce.boosting.lightgbm(ce.CrossEntropyLoss())
    found = lgb.cv(
        PARAMS | QUIET | {"objective": objective, "num_class": 5}, lgb.Dataset(X, y), 5, nfold=3,
        feval=objective.metric,
    )  # fmt: skip
    curve = found["valid cross_entropy-mean"]
    assert curve[0] > curve[-1] > 0


def classifier(objective, **more):
    return lgb.LGBMClassifier(
        objective=objective, n_estimators=ROUNDS, num_leaves=15, n_jobs=2, verbose=-1, **more
    )


@pytest.mark.filterwarnings(
    "ignore:.*feature names",
    "ignore:Cannot compute class probabilities",
    "ignore:The argument .eval_set.",
)
def test_the_classifier():
    X, y = datasets.load_digits(return_X_y=True)
    objective = ce.boosting.lightgbm(ce.CrossEntropyLoss())
    model = classifier(objective, deterministic=True, force_row_wise=True, seed=1)
    weight = np.ones(len(y))
    model.fit(X, y, sample_weight=weight, eval_set=[(X, y)], eval_metric=objective.eval_metric)
    raw = model.predict(X, raw_score=True)
    proba = objective.predict_proba(raw)
    assert (proba.argmax(1) == y).mean() > 0.95
    (curves,) = model.evals_result_.values()
    curve = curves["cross_entropy"]
    np.testing.assert_allclose(curve[-1], ce.cross_entropy(raw, y), rtol=1e-6)
    binary = classifier(ce.boosting.lightgbm(ce.SigmoidFocalLoss()))
    binary.fit(X, y > 4)
    assert ((binary.predict(X, raw_score=True) > 0) == (y > 4)).mean() > 0.9


@pytest.mark.filterwarnings("ignore:.*feature names", "ignore:Cannot compute class probabilities")
def test_clones_and_searches():
    X, y = datasets.load_digits(return_X_y=True)
    model = classifier(ce.boosting.lightgbm(ce.FocalLoss(gamma=1.0)))
    assert clone(model).get_params()["objective"] == model.get_params()["objective"]

    def right(model, X, y):
        return float((model.predict(X, raw_score=True).argmax(1) == y).mean())

    grid = {"objective": [ce.boosting.lightgbm(ce.FocalLoss(gamma=g)) for g in (0.0, 2.0)]}
    search = GridSearchCV(model.set_params(n_jobs=1), grid, cv=2, n_jobs=2, scoring=right)
    search.fit(X[:600], y[:600])
    assert search.best_score_ > 0.6


@pytest.mark.parametrize("order", ["C", "F"])
def test_layouts_of_scores(order):
    """What is handed over is float64 in F order; C order and 1-D are taken, too."""
    rng = np.random.default_rng(0)
    z, y = np.asarray(rng.normal(size=(50, 4)), order=order), rng.integers(0, 4, 50)
    grad, hess = ce.boosting.lightgbm(ce.CrossEntropyLoss())(y, z)
    assert grad.flags.f_contiguous
    assert grad.dtype == hess.dtype == np.float32
    p = ce.softmax(z)
    np.testing.assert_allclose(grad, p - np.eye(4)[y], rtol=1e-6)
    np.testing.assert_allclose(hess, 4 / 3 * p * (1 - p), rtol=1e-6)


def test_mistakes_are_named():
    X, y = made(500, 5)
    objective = ce.boosting.lightgbm(ce.CrossEntropyLoss())
    with pytest.raises(ValueError, match="num_class"):
        trained({"objective": objective}, X, y, 1)
    with pytest.raises(IndexError, match="is 4, not in"):
        trained({"objective": objective, "num_class": 4}, X, y, 1)
