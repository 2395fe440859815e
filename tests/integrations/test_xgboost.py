"""`ce.boosting.xgboost` in XGBoost itself: the models of its built-in objectives; their place."""

import copy
import json
import pickle

import numpy as np
import pytest

import ce
import ce.boosting

xgb = pytest.importorskip("xgboost")
pytest.importorskip("sklearn")

from sklearn import datasets  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402

ROUNDS = 10
DEPTH = {"max_depth": 4, "eta": 0.3, "nthread": 2, "tree_method": "hist"}


def digits():
    X, y = datasets.load_digits(return_X_y=True)
    return X.astype(np.float32), y.astype(np.float32)


def cancer():
    X, y = datasets.load_breast_cancer(return_X_y=True)
    return X.astype(np.float32), y.astype(np.float32)


def made(n=200_000, classes=10):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, 20)).astype(np.float32)
    scores = X[:, :classes] + rng.gumbel(size=(n, classes))
    return X, scores.argmax(1).astype(np.float32)


def softprob(K):
    return {"objective": "multi:softprob", "num_class": K, "base_score": [1 / K] * K}


def splits(booster):
    """What the trees ask, without the weights of their leaves."""
    trees = [json.loads(tree) for tree in booster.get_dump(dump_format="json")]

    def asked(node):
        if "leaf" in node:
            return None
        return node["split"], node["split_condition"], [asked(n) for n in node["children"]]

    return [asked(tree) for tree in trees]


def both(params, data, objective, rounds=ROUNDS, **more):
    """A model of the built-in objective, and one of ours; all else is the same."""
    built_in = xgb.train(DEPTH | params, data, rounds, **more)
    ours = xgb.train(DEPTH | params, data, rounds, obj=objective, **more)
    return built_in, ours


def assert_same_models(built_in, ours, data):
    assert splits(built_in) == splits(ours)
    a, b = (model.predict(data, output_margin=True) for model in (built_in, ours))
    assert abs(a - b).max() < 2e-6
    np.testing.assert_allclose(built_in.predict(data), ours.predict(data), atol=1e-6)


def curvature(objective, K, labels):
    """The Hessian of a built-in objective, which versions of XGBoost may change: 2 p (1 - p), or
    p (1 - p) of two classes, is "exact"; |p - y| is "abs". From the one leaf of a tree that has
    nothing to split, -eta G / (H + lambda)."""
    data = xgb.DMatrix(np.zeros((len(labels), 1)), labels)
    params = {"objective": objective, "base_score": 0.5, "eta": 1.0, "lambda": 1.0}
    params |= {"num_class": K, "base_score": [0.0] * K} if K > 2 else {}
    leaf = xgb.train(params, data, 1).predict(data, output_margin=True).reshape(len(labels), -1)
    y = labels == (0 if K > 2 else 1)
    p = 1 / K
    G, factor = (p - y).sum(), 2 if K > 2 else 1
    found = -G / leaf[0, 0] - 1
    hessians = {"exact": factor * p * (1 - p) * len(y), "abs": abs(p - y).sum()}
    return min(hessians, key=lambda name: abs(hessians[name] - found))


@pytest.fixture(scope="module")
def of_classes():
    """Our objective beside `multi:softprob`."""
    hessian = curvature("multi:softprob", 4, np.array([0, 0, 0, 1, 2, 3]))
    return ce.boosting.xgboost(ce.CrossEntropyLoss(), hessian=hessian)


@pytest.fixture(scope="module")
def of_two():
    """Options beside `binary:logistic`."""
    return {"hessian": curvature("binary:logistic", 2, np.array([0, 0, 0, 1]))}


def test_the_default_is_the_hessian_of_this_version(of_classes, of_two):
    if tuple(map(int, xgb.__version__.split(".")[:2])) <= (3, 2):
        assert of_classes == ce.boosting.xgboost(ce.CrossEntropyLoss())
        assert of_two == {"hessian": "exact"}


@pytest.mark.parametrize(("load", "K"), [(digits, 10), (made, 10)])
def test_multi_softprob(load, K, of_classes):
    X, y = load()
    data = xgb.DMatrix(X, y)
    assert_same_models(*both(softprob(K), data, of_classes), data)


@pytest.mark.parametrize("load", [cancer, lambda: made(classes=2)], ids=["cancer", "made"])
def test_binary_logistic(load, of_two):
    X, y = load()
    data = xgb.DMatrix(X, y)
    params = {"objective": "binary:logistic", "base_score": 0.5}
    objective = ce.boosting.xgboost(ce.BCEWithLogitsLoss(), **of_two)
    assert_same_models(*both(params, data, objective), data)
    weighted = params | {"scale_pos_weight": 3.0}
    objective = ce.boosting.xgboost(ce.BCEWithLogitsLoss(pos_weight=3.0), **of_two)
    built_in = xgb.train(DEPTH | weighted, data, ROUNDS)
    ours = xgb.train(DEPTH | params, data, ROUNDS, obj=objective)
    assert_same_models(built_in, ours, data)


def test_squared_error():
    X, y = datasets.load_diabetes(return_X_y=True)
    data = xgb.DMatrix(X, y)
    # XGBoost's is half of r^2, with Hessian 1.
    objective = ce.boosting.xgboost(ce.HuberLoss(delta=1e9))
    built_in, ours = both({"objective": "reg:squarederror", "base_score": 150.0}, data, objective)
    assert splits(built_in) == splits(ours)
    np.testing.assert_allclose(built_in.predict(data), ours.predict(data), rtol=1e-5)


def test_weights_and_margins(of_classes):
    X, y = made(4000, 5)
    rng = np.random.default_rng(2)
    data = xgb.DMatrix(X, y, weight=rng.random(len(y)), base_margin=rng.normal(size=(len(y), 5)))
    assert_same_models(*both(softprob(5), data, of_classes), data)


def test_several_labels(of_two):
    X, y = made(3000, 6)
    labels = np.stack([y == k for k in range(4)], 1).astype(np.float32)
    data = xgb.DMatrix(X, labels)
    params = {"objective": "binary:logistic", "base_score": 0.5}
    for strategy in ("one_output_per_tree", "multi_output_tree"):
        objective = ce.boosting.xgboost(ce.BCEWithLogitsLoss(), **of_two)
        models = both(params | {"multi_strategy": strategy}, data, objective)
        a, b = (model.predict(data) for model in models)
        assert a.shape == (3000, 4)
        np.testing.assert_allclose(a, b, atol=1e-6)
        raw = models[1].predict(data, output_margin=True)
        np.testing.assert_allclose(objective.predict_proba(raw), b, atol=1e-6)


def test_gradients_to_the_last_digits():
    """Where a tie falls otherwise models differ: gradients do not, here from XGBoost's formula."""
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(1000, 7)).astype(np.float32), rng.integers(0, 7, 1000)
    grad, hess = ce.boosting.xgboost(ce.CrossEntropyLoss())(y, z)
    wide = np.exp(z.astype(np.longdouble) - z.max(1, keepdims=True))
    p = wide / wide.sum(1, keepdims=True)
    # A gradient is one probability, a Hessian the product of two.
    truths = (grad, p - np.eye(7)[y], 4), (hess, np.maximum(2 * p * (1 - p), 1e-16), 8)
    for got, truth, ulps in truths:
        assert got.dtype == np.float32
        assert (abs(got - truth) <= ulps * np.spacing(abs(got))).all()
    for order in "CF":
        again = ce.boosting.xgboost(ce.CrossEntropyLoss())(y, np.asarray(z, order=order))
        assert all(x.flags.c_contiguous for x in again)
        np.testing.assert_array_equal(again[0], grad)


def test_evaluation_and_early_stopping():
    X, y = made(4000, 5)
    train, test = xgb.DMatrix(X[:3000], y[:3000]), xgb.DMatrix(X[3000:], y[3000:])
    objective = ce.boosting.xgboost(ce.CrossEntropyLoss())
    found = {}
    params = DEPTH | softprob(5) | {"eval_metric": "mlogloss", "eta": 1.0}
    model = xgb.train(
        params, train, 200, evals=[(test, "test")], obj=objective, verbose_eval=False,
        custom_metric=objective.metric, evals_result=found, early_stopping_rounds=5,
    )  # fmt: skip
    curves = found["test"]
    np.testing.assert_allclose(curves["cross_entropy"], curves["mlogloss"], rtol=1e-5)
    assert model.best_iteration == int(np.argmin(curves["cross_entropy"])) < 150


def test_metric_with_weights():
    X, y = made(2000, 5)
    v = np.random.default_rng(3).random(len(y))
    data = xgb.DMatrix(X, y, weight=v)
    objective = ce.boosting.xgboost(ce.CrossEntropyLoss())
    found = {}
    xgb.train(
        DEPTH | softprob(5) | {"eval_metric": "mlogloss"}, data, 5, evals=[(data, "it")],
        obj=objective, custom_metric=objective.metric, evals_result=found, verbose_eval=False,
    )  # fmt: skip
    np.testing.assert_allclose(found["it"]["cross_entropy"], found["it"]["mlogloss"], rtol=1e-5)


def test_cross_validation():
    X, y = made(2000, 5)
    objective = ce.boosting.xgboost(ce.CrossEntropyLoss())
    table = xgb.cv(
        DEPTH | softprob(5), xgb.DMatrix(X, y), 5, nfold=3, obj=objective, as_pandas=False,
        custom_metric=objective.metric, seed=0,
    )  # fmt: skip
    curve = table["test-cross_entropy-mean"]
    assert curve[0] > curve[-1] > 0


def classifier(objective, **more):
    return xgb.XGBClassifier(
        objective=objective, n_estimators=ROUNDS, max_depth=4, learning_rate=0.3, n_jobs=2, **more
    )


def test_the_classifier():
    X, y = digits()
    y = y.astype(int)
    objective = ce.boosting.xgboost(ce.CrossEntropyLoss())
    ours = classifier(objective, base_score=[0.1] * 10, eval_metric=objective.eval_metric)
    built_in = classifier("multi:softprob", base_score=[0.1] * 10)
    weight = np.random.default_rng(0).random(len(y))
    ours.fit(X, y, sample_weight=weight, eval_set=[(X, y)], verbose=False)
    built_in.fit(X, y, sample_weight=weight, eval_set=[(X, y)], verbose=False)
    np.testing.assert_allclose(ours.predict_proba(X), built_in.predict_proba(X), atol=2e-6)
    assert (ours.predict(X) == built_in.predict(X)).all()
    curve = ours.evals_result()["validation_0"]
    np.testing.assert_allclose(
        curve["cross_entropy"], built_in.evals_result()["validation_0"]["mlogloss"], rtol=1e-5
    )


def test_clones_and_searches():
    X, y = digits()
    y = y.astype(int)
    model = classifier(ce.boosting.xgboost(ce.FocalLoss(gamma=1.0)))
    assert clone(model).get_params()["objective"] == model.get_params()["objective"]
    grid = {"objective": [ce.boosting.xgboost(ce.FocalLoss(gamma=g)) for g in (0.0, 2.0)]}
    search = GridSearchCV(model.set_params(n_estimators=3, n_jobs=1), grid, cv=2, n_jobs=2)
    search.fit(X[:600], y[:600])
    assert search.best_score_ > 0.6


def test_the_regressor():
    X, y = datasets.load_diabetes(return_X_y=True)
    objective = ce.boosting.xgboost(ce.HuberLoss(delta=50.0))
    model = xgb.XGBRegressor(objective=objective, n_estimators=100, max_depth=3, n_jobs=2)
    model.fit(X, y, sample_weight=np.ones(len(y)))
    assert abs(model.predict(X) - y).mean() < 30


def test_focal_loss_trains():
    X, y = made(5000, 5)
    data = xgb.DMatrix(X, y)
    for criterion in (ce.FocalLoss(gamma=2.0), ce.FocalLoss(gamma=0.5, alpha=np.ones(5))):
        model = xgb.train(DEPTH | softprob(5), data, 20, obj=ce.boosting.xgboost(criterion))
        right = (model.predict(data).argmax(1) == y).mean()
        assert right > 0.55
    plain = ce.boosting.xgboost(ce.FocalLoss(gamma=0.0))
    assert_same_models(*both(softprob(5), data, plain), data)


def test_a_saved_model_reloads(tmp_path):
    X, y = made(1000, 5)
    data = xgb.DMatrix(X, y)
    objective = ce.boosting.xgboost(ce.CrossEntropyLoss())
    model = xgb.train(DEPTH | softprob(5), data, 3, obj=objective)
    model.save_model(tmp_path / "model.json")
    again = xgb.Booster(model_file=tmp_path / "model.json")
    np.testing.assert_array_equal(again.predict(data), model.predict(data))
    raw = model.predict(data, output_margin=True)
    np.testing.assert_allclose(objective.predict_proba(raw), model.predict(data), atol=1e-6)


def test_mistakes_are_named():
    X, y = made(500, 5)
    objective = ce.boosting.xgboost(ce.CrossEntropyLoss())
    with pytest.raises(ValueError, match="num_class"):
        xgb.train({"base_score": 0.5}, xgb.DMatrix(X, y), 1, obj=objective)
    with pytest.raises(IndexError, match="is 4, not in"):
        xgb.train(softprob(4), xgb.DMatrix(X, y), 1, obj=objective)
    y[3] = 1.5
    with pytest.raises(ValueError, match=r"target\[3\] is 1.5, not a whole number"):
        xgb.train(softprob(5), xgb.DMatrix(X, y), 1, obj=objective)


def test_objects_are_values():
    a, b = (ce.boosting.xgboost(ce.FocalLoss(gamma=2.0, alpha=[1.0, 2.0])) for _ in range(2))
    assert a == b == pickle.loads(pickle.dumps(a)) == copy.deepcopy(a)
    assert hash(a) == hash(b)
    assert a != ce.boosting.xgboost(ce.FocalLoss(gamma=2.0, alpha=[1.0, 2.5]))
    assert a != ce.boosting.lightgbm(ce.FocalLoss(gamma=2.0, alpha=[1.0, 2.0]))
    assert a.metric == pickle.loads(pickle.dumps(a.metric)) == b.eval_metric
