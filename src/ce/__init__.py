"""Losses for NumPy arrays: value and gradient in one visit to memory.

``ce.cross_entropy(logits, target)`` and its kin are the values, with the names and options of
``torch.nn.functional`` and the conventions of NumPy. ``ce.CrossEntropyLoss(...)`` and its kin hold
the options once and give derivatives by name: ``value_and_grad``, ``grad``, ``grad_and_hess``.
"""

from importlib.metadata import version as _version

from ce._criterion import Loss
from ce._process import get_num_threads, set_num_threads, show_config, threads
from ce.binary import (
    BCELoss,
    BCEWithLogitsLoss,
    SigmoidFocalLoss,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    sigmoid_focal_loss,
)
from ce.classification import (
    CrossEntropyLoss,
    FocalLoss,
    NLLLoss,
    cross_entropy,
    focal_loss,
    nll_loss,
    one_hot,
    perplexity,
)
from ce.divergences import (
    Comparison,
    JSDivWithLogitsLoss,
    KLDivWithLogitsLoss,
    compare_logits,
    js_div_with_logits,
    kl_div_with_logits,
)
from ce.information import (
    EntropyFromLogitsLoss,
    KLDivLoss,
    cross_entropy_between,
    entropy,
    entropy_from_logits,
    kl_div,
    relative_entropy,
)
from ce.language import TokenStats, log_prob, token_stats
from ce.normalisers import (
    log_softmax,
    log_softmax_backward,
    logsumexp,
    logsumexp_backward,
    softmax,
    softmax_backward,
)
from ce.regression import (
    HuberLoss,
    L1Loss,
    MSELoss,
    SmoothL1Loss,
    huber_loss,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from ce.shards import MergedPartials, Partials, block_length, merge_partials, partials

__version__ = _version("ce")

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "Comparison",
    "CrossEntropyLoss",
    "EntropyFromLogitsLoss",
    "FocalLoss",
    "HuberLoss",
    "JSDivWithLogitsLoss",
    "KLDivLoss",
    "KLDivWithLogitsLoss",
    "L1Loss",
    "Loss",
    "MSELoss",
    "MergedPartials",
    "NLLLoss",
    "Partials",
    "SigmoidFocalLoss",
    "SmoothL1Loss",
    "TokenStats",
    "__version__",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "block_length",
    "compare_logits",
    "cross_entropy",
    "cross_entropy_between",
    "entropy",
    "entropy_from_logits",
    "focal_loss",
    "get_num_threads",
    "huber_loss",
    "js_div_with_logits",
    "kl_div",
    "kl_div_with_logits",
    "l1_loss",
    "log_prob",
    "log_softmax",
    "log_softmax_backward",
    "logsumexp",
    "logsumexp_backward",
    "merge_partials",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "partials",
    "perplexity",
    "relative_entropy",
    "set_num_threads",
    "show_config",
    "sigmoid_focal_loss",
    "smooth_l1_loss",
    "softmax",
    "softmax_backward",
    "threads",
    "token_stats",
]
