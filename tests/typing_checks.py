"""What mypy and pyright know of the types; checked, not run:

mypy --strict tests/typing_checks.py && pyright tests/typing_checks.py
"""

from typing import Any, Literal, assert_type

import numpy as np
from numpy.typing import NDArray

import ce
import ce.boosting

Scalar = np.floating[Any]
Array = NDArray[Any]

logits = np.zeros((2, 3))
target = np.array([0, 1])

# A function gives a scalar, unless its reduction is "none".
assert_type(ce.cross_entropy(logits, target), Scalar)
assert_type(ce.cross_entropy(logits, target, reduction="sum"), Scalar)
assert_type(ce.cross_entropy(logits, target, weight=[1, 2, 3], reduction="none"), Array)
assert_type(ce.nll_loss(logits, target), Scalar)
assert_type(ce.nll_loss(logits, target, reduction="none"), Array)
assert_type(ce.focal_loss(logits, target, gamma=1), Scalar)
assert_type(ce.focal_loss(logits, target, alpha=0.5, reduction="none"), Array)
assert_type(ce.binary_cross_entropy(logits, 1), Scalar)
assert_type(ce.binary_cross_entropy(logits, 1, reduction="none"), Array)
assert_type(ce.binary_cross_entropy_with_logits(logits, 1), Scalar)
assert_type(ce.binary_cross_entropy_with_logits(logits, 1, reduction="none"), Array)
assert_type(ce.sigmoid_focal_loss(logits, 1, alpha=None), Scalar)
assert_type(ce.sigmoid_focal_loss(logits, 1, reduction="none"), Array)
assert_type(ce.mse_loss(logits, 0.0), Scalar)
assert_type(ce.mse_loss(logits, 0.0, reduction="none"), Array)
assert_type(ce.l1_loss(logits, 0.0), Scalar)
assert_type(ce.l1_loss(logits, 0.0, reduction="none"), Array)
assert_type(ce.huber_loss(logits, 0.0, delta=2), Scalar)
assert_type(ce.huber_loss(logits, 0.0, reduction="none"), Array)
assert_type(ce.smooth_l1_loss(logits, 0.0, beta=2), Scalar)
assert_type(ce.smooth_l1_loss(logits, 0.0, reduction="none"), Array)
assert_type(ce.kl_div(logits, logits, reduction="batchmean"), Scalar)
assert_type(ce.kl_div(logits, logits, log_target=True, reduction="none"), Array)
assert_type(ce.perplexity(logits, target), Scalar)
assert_type(ce.softmax(logits), Array)
assert_type(ce.softmax(logits, axis=None), Array)
assert_type(ce.log_softmax(logits, (0, np.int64(1)), out=logits), Array)
assert_type(ce.softmax_backward(logits, logits, axis=()), Array)
assert_type(ce.logsumexp_backward(1.0, logits, None, keepdims=False), Array)
assert_type(ce.logsumexp(logits, (0, 1), keepdims=True), Any)
assert_type(ce.relative_entropy(logits, logits, axis=(-1, 0)), Any)

# So does a criterion; its derivatives are arrays.
assert_type(ce.CrossEntropyLoss()(logits, target), Scalar)
assert_type(ce.CrossEntropyLoss(reduction="sum")(logits, target, sample_weight=[1, 2]), Scalar)
assert_type(ce.CrossEntropyLoss(axis=1, reduction="none")(logits, target), Array)
assert_type(ce.CrossEntropyLoss().value_and_grad(logits, target), tuple[Scalar, Array])
assert_type(
    ce.CrossEntropyLoss(reduction="none").value_and_grad(logits, target, out=logits),
    tuple[Array, Array],
)
assert_type(
    ce.CrossEntropyLoss().value_and_grad(logits, target, stats=True),
    tuple[Scalar, Array, ce.TokenStats],
)
assert_type(
    ce.FocalLoss(reduction="none").value_and_grad(logits, target, stats=True),
    tuple[Array, Array, ce.TokenStats],
)
assert_type(ce.token_stats(logits, target, top_k=2), ce.TokenStats)
assert_type(ce.kl_div_with_logits(logits, logits, reverse=True), Scalar)
assert_type(ce.js_div_with_logits(logits, logits, reduction="none"), Array)
assert_type(ce.compare_logits(logits, logits).model, ce.TokenStats)
assert_type(ce.CrossEntropyLoss().grad(logits, target, grad_output=2.0), Array)
assert_type(
    ce.CrossEntropyLoss(reduction="none").grad_and_hess(logits, target), tuple[Array, Array]
)
assert_type(ce.FocalLoss(gamma=1).grad_and_hess(logits, target, hessian="abs"), tuple[Array, Array])
assert_type(ce.NLLLoss()(logits, target), Scalar)
assert_type(ce.NLLLoss(reduction="none")(logits, target), Array)
assert_type(ce.FocalLoss()(logits, target), Scalar)
assert_type(ce.FocalLoss(reduction="none")(logits, target), Array)
assert_type(ce.BCELoss()(logits, 1), Scalar)
assert_type(ce.BCELoss(reduction="none")(logits, 1), Array)
assert_type(ce.BCEWithLogitsLoss(pos_weight=2)(logits, 1), Scalar)
assert_type(ce.BCEWithLogitsLoss(reduction="none")(logits, 1), Array)
assert_type(ce.SigmoidFocalLoss()(logits, 1), Scalar)
assert_type(ce.SigmoidFocalLoss(reduction="none")(logits, 1), Array)
assert_type(ce.MSELoss()(logits, 0.0), Scalar)
assert_type(ce.MSELoss(reduction="none")(logits, 0.0), Array)
assert_type(ce.MSELoss().value_and_grad(logits, 0.0), tuple[Scalar, Array])
assert_type(ce.MSELoss(reduction="none").value_and_grad(logits, 0.0), tuple[Array, Array])
assert_type(ce.MSELoss().grad_and_hess(logits, 0.0), tuple[Array, Array])
assert_type(ce.L1Loss()(logits, 0.0), Scalar)
assert_type(ce.L1Loss(reduction="none")(logits, 0.0), Array)
assert_type(ce.HuberLoss(delta=2)(logits, 0.0), Scalar)
assert_type(ce.HuberLoss(reduction="none")(logits, 0.0), Array)
assert_type(ce.SmoothL1Loss(beta=2)(logits, 0.0), Scalar)
assert_type(ce.SmoothL1Loss(reduction="none")(logits, 0.0), Array)
assert_type(ce.KLDivLoss()(logits, logits), Scalar)
assert_type(ce.KLDivLoss(reduction="batchmean")(logits, logits), Scalar)
assert_type(ce.KLDivLoss(reduction="none")(logits, logits), Array)

# Every call takes sample weights and a normalizer.
mask = target == 1
assert_type(ce.perplexity(logits, target, sample_weight=mask, normalizer=2), Scalar)
assert_type(ce.kl_div(logits, logits, sample_weight=[1, 2, 3], reduction="none"), Array)
assert_type(ce.sigmoid_focal_loss(logits, 1, sample_weight=0.5, normalizer=2.5), Scalar)
assert_type(ce.MSELoss()(logits, 0.0, sample_weight=1, normalizer=2), Scalar)
assert_type(ce.KLDivLoss(reduction="none")(logits, logits, sample_weight=[True]), Array)
assert_type(
    ce.NLLLoss().value_and_grad(logits, target, sample_weight=mask, normalizer=2),
    tuple[Scalar, Array],
)
assert_type(ce.L1Loss().grad(logits, 0.0, sample_weight=1, normalizer=2), Array)
assert_type(ce.BCELoss().grad_and_hess(logits, 1, sample_weight=1), tuple[Array, Array])
assert_type(ce.SigmoidFocalLoss().grad_and_hess(logits, 1, normalizer=2), tuple[Array, Array])

# Hessians, sums, objectives.
pair = (logits, np.empty_like(logits))
assert_type(
    ce.MSELoss().grad_and_hess(logits, 0.0, hessian="bound", hess_scale=2, hess_floor=0, out=pair),
    tuple[Array, Array],
)
assert_type(ce.FocalLoss().hess_vec(logits, target, logits, hessian="gauss_newton"), Array)
assert_type(ce.MSELoss().sums(logits, 0.0), tuple[np.float64, np.float64])
assert_type(ce.cross_entropy(logits, target, z_loss=0.1, terms=True), tuple[Scalar, Scalar])
assert_type(
    ce.cross_entropy(logits, target, softcap=5, terms=True, reduction="none"), tuple[Array, Array]
)
assert_type(ce.CrossEntropyLoss(z_loss=0.1)(logits, target, where=mask), Scalar)
assert_type(
    ce.CrossEntropyLoss().value_and_grad(logits, target, terms=True),
    tuple[tuple[Scalar | Array, Scalar | Array], Array],
)
assert_type(ce.entropy_from_logits(logits), Scalar)
assert_type(ce.entropy_from_logits(logits, reduction="none"), Array)
objective = ce.boosting.xgboost(ce.CrossEntropyLoss(), hessian="bound", scale=1)
assert_type(objective, ce.boosting.XGBoostObjective)
assert_type(objective(target, logits), tuple[Array, Array])
assert_type(ce.boosting.lightgbm(ce.L1Loss()).metric, ce.boosting.Metric)
assert_type(ce.boosting.catboost(ce.L1Loss()).predict_proba(logits), Array)

# Names of such types.
default: ce.CrossEntropyLoss = ce.CrossEntropyLoss()
by_item: ce.CrossEntropyLoss[Literal["none"]] = ce.CrossEntropyLoss(reduction="none")
several: list[ce.Loss[Any]] = [default, by_item, ce.KLDivLoss(reduction="batchmean")]


def unknown(reduction: Literal["mean", "sum", "none"], loss: ce.Loss[Any]) -> None:
    """A reduction that is known at run time only."""
    assert_type(ce.mse_loss(logits, 0.0, reduction=reduction), Scalar | Array)
    assert_type(ce.MSELoss(reduction=reduction)(logits, 0.0), Scalar | Array)
    assert_type(loss.grad(logits, 0.0), Array)


# These are errors.
ce.cross_entropy(logits, target, reduction="avg")  # type: ignore[call-overload]  # pyright: ignore
ce.mse_loss(logits, 0.0, reduction="batchmean")  # type: ignore[call-overload]  # pyright: ignore
ce.huber_loss(logits, 0.0, delta="1")  # type: ignore[call-overload]  # pyright: ignore
ce.softmax(logits, axis="all")  # type: ignore[arg-type]  # pyright: ignore
ce.softmax(logits, axis=(0, 1.0))  # type: ignore[arg-type]  # pyright: ignore
ce.logsumexp(logits, keepdims="no")  # type: ignore[arg-type]  # pyright: ignore
ce.CrossEntropyLoss(reduction="avg")  # type: ignore[type-var]  # pyright: ignore
ce.MSELoss(reduction="batchmean")  # type: ignore[type-var]  # pyright: ignore
ce.CrossEntropyLoss(smoothing=0.1)  # type: ignore[call-arg]  # pyright: ignore
ce.MSELoss()(logits, 0.0, normalizer="1")  # type: ignore[call-overload]  # pyright: ignore
ce.MSELoss().grad(logits, 0.0, normalizer="1")  # type: ignore[arg-type]  # pyright: ignore
ce.MSELoss(sample_weight=1)  # type: ignore[call-arg]  # pyright: ignore
ce.FocalLoss().grad_and_hess(logits, target, hessian="x")  # type: ignore[arg-type]  # pyright: ignore
ce.MSELoss().hess_vec(logits, 0.0, logits, hessian="abs")  # type: ignore[arg-type]  # pyright: ignore
ce.boosting.catboost(ce.MSELoss(), scale=2.0)  # type: ignore[call-arg]  # pyright: ignore
default.reduction = "mean"  # type: ignore[misc]  # pyright: ignore
