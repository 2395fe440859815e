"""What an objective of `ce.boosting` costs: ``python -m bench.boosting`` in the repository.

    python -m bench.boosting [--threads N] [--rounds 20]

First the objectives alone: softmax cross-entropy as XGBoost asks for it (float32 scores in C order)
and as LightGBM does (float64 in F order, float32 results), beside NumPy written as most write it
("simple") and without spare temporaries ("careful"), in alternation; medians, with what a call
allocates. Then whole rounds of both libraries with the built-in objective and with ours, in turns,
and the share of a round that our objective takes. Also the log loss of scikit-learn beside that of
`ce.sklearn`.
"""

import argparse
import statistics
import time
from functools import partial

import numpy as np

import ce
import ce.boosting
from bench import cpus

SHAPES = ((200_000, 10), (20_000, 100))
TURNS = 9


def simple(scores, labels, factor, floor):
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    grad = p.copy()
    grad[np.arange(len(labels)), labels] -= 1
    return grad, np.maximum(factor * p * (1 - p), floor)


def careful(scores, labels, factor, floor):
    p = np.subtract(scores, scores.max(axis=1, keepdims=True))
    np.exp(p, out=p)
    p /= p.sum(axis=1, keepdims=True)
    hess = np.subtract(1, p)
    hess *= p
    hess *= scores.dtype.type(factor)
    if floor:
        np.maximum(hess, scores.dtype.type(floor), out=hess)
    p[np.arange(len(labels)), labels] -= 1
    if scores.dtype == np.float64:
        return p.astype(np.float32, order="F"), hess.astype(np.float32, order="F")
    return p, hess


def medians(calls, turns=TURNS):
    """Milliseconds of each call, all of them in turns."""
    times = {name: [] for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(t) * 1e3 for name, t in times.items()}


def alone():
    """Objectives without their library."""
    print("| objective | scores | simple NumPy ms | careful NumPy ms | ce ms | simple / ce |")
    print("|---|---|---:|---:|---:|---:|")
    for n, K in SHAPES:
        rng = np.random.default_rng(0)
        scores, labels = rng.normal(size=(n, K)), rng.integers(0, K, n)
        for library, z, factor, floor in (
            ("xgboost", scores.astype(np.float32), 2.0, 1e-16),
            ("lightgbm", np.asfortranarray(scores), K / (K - 1), 0.0),
        ):
            objective = getattr(ce.boosting, library)(ce.CrossEntropyLoss())
            handed = labels.astype(np.float32)
            numpy = {f.__name__: partial(f, z, labels, factor, floor) for f in (simple, careful)}
            found = medians(numpy | {"ce": partial(objective, handed, z)})
            cells = " | ".join(f"{t:.1f}" for t in found.values())
            ratio = found["simple"] / found["ce"]
            print(f"| {library} | {n:,} x {K} | {cells} | {ratio:.1f} |".replace(",", " "))


class Timed:
    """An objective that counts its seconds."""

    def __init__(self, objective):
        self.objective, self.seconds = objective, 0.0

    def __call__(self, y_true, y_pred, sample_weight=None):
        began = time.perf_counter()
        result = self.objective(y_true, y_pred, sample_weight)
        self.seconds += time.perf_counter() - began
        return result

    def __deepcopy__(self, memo):
        return self


def rounds(threads, count):
    """Whole rounds: seconds of training less those of making the data set."""
    import lightgbm as lgb
    import xgboost as xgb

    print("\n| round | scores | built-in ms | ce ms | of it the objective |")
    print("|---|---|---:|---:|---:|")
    for n, K in SHAPES:
        rng = np.random.default_rng(1)
        X = rng.normal(size=(n, 20)).astype(np.float32)
        y = (
            X[:, : min(K, 20)] @ rng.normal(size=(min(K, 20), K)) + rng.gumbel(size=(n, K))
        ).argmax(1)
        matrix = xgb.DMatrix(X, y)
        boosted = {"num_class": K, "max_depth": 6, "nthread": threads, "base_score": [1 / K] * K}
        leaves = {"num_class": K, "num_threads": threads, "verbosity": -1, "metric": "None"}

        def by_xgboost(objective, matrix=matrix, params=boosted):
            xgb.train(params | {"objective": "multi:softprob"}, matrix, count, obj=objective)

        def by_lightgbm(objective, X=X, y=y, params=leaves):
            data = lgb.Dataset(X, y, params={"verbosity": -1, "num_threads": threads}).construct()
            began = time.perf_counter()
            lgb.train(params | {"objective": objective or "multiclass"}, data, count)
            return time.perf_counter() - began

        for library, train in (("xgboost", by_xgboost), ("lightgbm", by_lightgbm)):
            ours = Timed(getattr(ce.boosting, library)(ce.CrossEntropyLoss()))
            seconds = {"built-in": [], "ce": []}
            for _ in range(3):
                for name, objective in (("built-in", None), ("ce", ours)):
                    ours.seconds, began = 0.0, time.perf_counter()
                    taken = train(objective) or time.perf_counter() - began
                    seconds[name].append((taken, ours.seconds))
            built_in, (whole, part) = min(seconds["built-in"])[0], min(seconds["ce"])
            cells = f"{built_in / count * 1e3:.1f} | {whole / count * 1e3:.1f}"
            print(f"| {library} | {n:,} x {K} | {cells} | {part / whole:.1%} |".replace(",", " "))


def log_losses():
    from sklearn.metrics import log_loss

    import ce.sklearn

    n, K = SHAPES[0]
    rng = np.random.default_rng(0)
    raw, y = rng.normal(size=(n, K)), rng.integers(0, K, n)
    proba = ce.softmax(raw)
    found = medians(
        {"scikit-learn": lambda: log_loss(y, proba), "ce": lambda: ce.sklearn.log_loss(y, raw)}
    )
    print(f"\nlog_loss of {n} x {K}: scikit-learn {found['scikit-learn']:.1f} ms, ", end="")
    print(f"ce {found['ce']:.2f} ms, {found['scikit-learn'] / found['ce']:.0f} times")


def main():
    parser = argparse.ArgumentParser(prog="python -m bench.boosting", description=__doc__)
    parser.add_argument("--threads", type=int, default=cpus())
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    print(f"{options.threads} threads")
    with ce.threads(options.threads):
        alone()
        rounds(options.threads, options.rounds)
        log_losses()


if __name__ == "__main__":
    main()
