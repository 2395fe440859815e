"""Find a rare digit with XGBoost and LightGBM: cross-entropy, weights of classes, focal losses.

    python examples/boosting.py [--rounds 60] [--splits 10] [--seed 0] [--plot boosting.png]

The 1797 images of handwritten digits that come with scikit-learn; an 8 is to be found, and three of
four of those in the training half are taken away, so that some 2.6 % are left. What counts is how
many of the held-out 8s are found where nine of ten finds are right: recall at precision 0.9. The
loss is all that differs; `ce.boosting` makes an objective of it. Curves are means over the splits.
"""

import argparse
import sys

import lightgbm as lgb
import numpy as np
import xgboost as xgb
from sklearn.datasets import load_digits
from sklearn.metrics import precision_recall_curve
from sklearn.model_selection import train_test_split

import ce
import ce.boosting

PRECISION, STEP = 0.9, 5
LOSSES = {
    "cross-entropy": ce.BCEWithLogitsLoss(),
    "cross-entropy, 8s weigh 10": ce.BCEWithLogitsLoss(pos_weight=10.0),
    "focal, gamma 1": ce.SigmoidFocalLoss(gamma=1.0, alpha=None),
    "focal, gamma 2": ce.SigmoidFocalLoss(gamma=2.0, alpha=None),
    "focal, gamma 2, alpha 0.9": ce.SigmoidFocalLoss(gamma=2.0, alpha=0.9),
}


def split(seed: int):
    """Halves of the images; in the first most 8s are missing."""
    x, digit = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(
        x, (digit == 8).astype(float), test_size=0.5, random_state=seed, stratify=digit
    )
    kept = (y == 0) | (np.random.default_rng(seed).random(len(y)) < 0.25)
    return x[kept], x_test, y[kept], y_test


def xgboost_scores(criterion, x, y, x_test, rounds: int):
    """Train; yield the raw scores of the held-out rows after some rounds, and after more."""
    params = {
        "objective": "binary:logistic", "base_score": 0.5, "max_depth": 4, "eta": 0.2,
        "min_child_weight": 0.0,
    }  # fmt: skip
    objective = ce.boosting.xgboost(criterion)
    model = xgb.train(params, xgb.DMatrix(x, y), rounds, obj=objective)
    test = xgb.DMatrix(x_test)
    for n in range(STEP, rounds + 1, STEP):
        yield model.predict(test, output_margin=True, iteration_range=(0, n))


def lightgbm_scores(criterion, x, y, x_test, rounds: int):
    """The same by LightGBM."""
    params = {
        "objective": ce.boosting.lightgbm(criterion), "num_leaves": 15, "learning_rate": 0.2,
        "min_data_in_leaf": 5, "verbosity": -1,
    }  # fmt: skip
    model = lgb.train(params, lgb.Dataset(x, y), rounds)
    for n in range(STEP, rounds + 1, STEP):
        yield model.predict(x_test, raw_score=True, num_iteration=n)


LIBRARIES = {"XGBoost": xgboost_scores, "LightGBM": lightgbm_scores}


def recall(y, scores) -> float:
    """The largest share of the 8s that is found with that precision."""
    precision, found, _ = precision_recall_curve(y, scores)
    return float(found[precision >= PRECISION].max(initial=0.0))


def learn(rounds: int, splits: int, seed: int):
    """Recalls by library and loss: (splits, rounds / STEP)."""
    curves = {(library, loss): [] for library in LIBRARIES for loss in LOSSES}
    for i in range(splits):
        x, x_test, y, y_test = split(seed + i)
        for j, (library, loss) in enumerate(curves):
            scores = LIBRARIES[library](LOSSES[loss], x, y, x_test, rounds)
            curves[library, loss].append([recall(y_test, s) for s in scores])
            if sys.stderr.isatty():
                done = (i * len(curves) + j + 1) / (splits * len(curves))
                print(f"\r{done:4.0%} trained", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return {key: np.array(runs) for key, runs in curves.items()}


def draw(curves, rounds: int, path: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    figure.suptitle("The rare digit: mean over the splits")
    axes = figure.subplots(1, len(LIBRARIES), sharey=True)
    at = np.arange(STEP, rounds + 1, STEP)
    for ax, library in zip(axes, LIBRARIES, strict=True):
        for loss in LOSSES:
            ax.plot(at, curves[library, loss].mean(axis=0), label=loss)
        ax.set(title=library, xlabel="rounds")
        ax.grid(alpha=0.3)
    axes[0].set_ylabel(f"recall at precision {PRECISION}")
    axes[-1].legend(fontsize="small")
    figure.savefig(path, dpi=150)


def main(arguments: list[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", default="boosting.png", help="where to save the curves")
    options = parser.parse_args(arguments)
    if options.rounds < STEP:
        parser.error(f"argument --rounds: {options.rounds} is not at least {STEP}")
    if options.splits < 1:
        parser.error(f"argument --splits: {options.splits} is not at least 1")
    curves = learn(options.rounds, options.splits, options.seed)
    print(f"recall at precision {PRECISION} after {options.rounds} rounds: mean, standard error of")
    print("the difference from cross-entropy")
    for (library, loss), runs in curves.items():
        last = runs[:, -1]
        apart = last - curves[library, "cross-entropy"][:, -1]
        error = apart.std() / max(len(apart) - 1, 1) ** 0.5
        print(f"    {library:9} {loss:27} {last.mean():.3f}  {error:.3f}")
    draw(curves, options.rounds, options.plot)
    print(f"curves: {options.plot}")
    return curves


if __name__ == "__main__":
    main()
