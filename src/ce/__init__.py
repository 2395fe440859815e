"""Losses for NumPy arrays: value and gradient in one visit to memory.

``ce.cross_entropy(logits, target)`` and its kin are the values, with the names and options of
``torch.nn.functional`` and the conventions of NumPy. ``ce.CrossEntropyLoss(...)`` and its kin hold
the options once and give derivatives by name: ``value_and_grad``, ``grad``, ``grad_and_hess``.
"""

from importlib.metadata import version as _version

from ce._process import get_num_threads, set_num_threads, show_config, threads
from ce.functional import (
    cross_entropy,
    log_softmax,
    log_softmax_backward,
    logsumexp,
    logsumexp_backward,
    softmax,
    softmax_backward,
)
from ce.losses import CrossEntropyLoss

__version__ = _version("ce")

__all__ = [
    "CrossEntropyLoss",
    "__version__",
    "cross_entropy",
    "get_num_threads",
    "log_softmax",
    "log_softmax_backward",
    "logsumexp",
    "logsumexp_backward",
    "set_num_threads",
    "show_config",
    "softmax",
    "softmax_backward",
    "threads",
]
