"""Language models: statistics of tokens from their logits, in one visit to memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from ce._core import LOG_PROBS, STATS, Prepared, call

_STATS = Prepared("token_stats", axis=-1)


@dataclass(frozen=True, eq=False)
class TokenStats:
    r"""What `token_stats` and ``value_and_grad(..., stats=True)`` tell of items, in nats.

    With the logits :math:`z_1 \dots z_K` of an item, as they are scaled, capped and cooled, its
    target :math:`t`, the maximum :math:`m`, and :math:`p = \mathrm{softmax}(z)`. All fields are
    arrays of the shape of the items, the logits' less the class axis, or NumPy scalars for a single
    item; numbers are float64 for float64 logits, else float32, places ``intp``.

    Attributes
    ----------
    log_prob : :math:`\log p_t`
        None without a target. -inf where the target's logit is.
    max : :math:`m`
    log_sum : :math:`\log \sum_k e^{z_k - m}`
        Apart from `max`, so that the log-probability of any class is ``(z - max) - log_sum``, with
        all its digits.
    entropy : :math:`-\sum_k p_k \log p_k`
    argmax : the class of the largest logit, the first of several
    rank : the target's place, from 0, in a stable sort of the logits, the largest first
        None without a target. Before it are the classes of larger logits, and those of the same
        logit and a lower index, so that ``rank == 0`` where ``argmax`` is the target, and
        ``rank < k`` where it is among the first k of `top_index`.
    top_index, top_log_prob : the classes of the `top_k` largest logits, and their log-probabilities
        Of shape (..., top_k), in the order of that sort. None where `top_k` is 0.
    extra_log_prob : the log-probabilities of the classes in `extra`, of its shape
    lse, greedy, nll : ``max + log_sum``, ``rank == 0``, ``-log_prob``

    Notes
    -----
    Of ignored items, and of those of weight 0, numbers are 0 and places -1, so that sums need no
    mask: ``(rank >= 0).sum()`` is the number of the others. Of an item with a NaN numbers are NaN,
    `argmax` is the first NaN and `rank` -1. With a logit of +inf numbers are NaN. Of one with
    nothing but -inf `log_sum` is 0, `max` and `lse` are -inf, the other numbers NaN.
    """

    log_prob: Any
    max: Any
    log_sum: Any
    entropy: Any
    argmax: Any
    rank: Any
    top_index: Any = None
    top_log_prob: Any = None
    extra_log_prob: Any = None

    @property
    def lse(self) -> Any:
        """The logarithm of the sum of exponentials."""
        return self.max + self.log_sum

    @property
    def greedy(self) -> Any:
        """Whether the target is the class of the largest logit; None without a target."""
        return None if self.rank is None else self.rank == 0

    @property
    def nll(self) -> Any:
        """The negative log-likelihood of the target; None without one."""
        return None if self.log_prob is None else -self.log_prob


def token_stats(
    logits: ArrayLike,
    target: ArrayLike | None = None,
    *,
    top_k: int = 0,
    extra: ArrayLike | None = None,
    ignore_index: int = -100,
    logit_scale: float = 1.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    axis: int = -1,
) -> TokenStats:
    r"""Statistics of each token's distribution: of its target, its entropy, its largest classes.

    Log-probability, maximum, log-sum-exp, entropy, argmax and rank come of one visit to the logits,
    in little more time than one of them. They are those of

    .. math::
        u = \mathrm{softcap} \cdot \tanh(\mathrm{logit\_scale} \cdot z / \mathrm{softcap})
            \,/\, \mathrm{temperature},
        \qquad \text{without } \mathrm{softcap}: \quad
        u = \mathrm{logit\_scale} \cdot z \,/\, \mathrm{temperature}.

    Parameters
    ----------
    logits : array_like, shape (..., V), as (B, T, V)
        float16, bfloat16, float32 or float64, computed in float32 but for the last; integers and
        booleans count as float64. -inf is a class that cannot be.
    target : array_like of integers, shape of `logits` less the class axis, optional
        Class indices in [0, V), or `ignore_index`; floating numbers that are whole, too.
    top_k : int in [0, V], optional
        How many of the largest classes to list.
    extra : array_like of integers, shape (..., E), optional
        Classes of each item, in [0, V), whose log-probabilities are wanted as well.
    ignore_index : int, optional
        Items with this target are not read; see `TokenStats`.
    logit_scale : float, optional
        Finite and not 0. Below 0 it reverses the order.
    softcap : float, optional
        Above 0; by default logits are not capped.
    temperature : float, optional
        Above 0.
    axis : int, optional
        The class axis. That of `top_index` and `extra` is the last.

    Returns
    -------
    TokenStats

    Raises
    ------
    TypeError
        If a dtype is not one of those above, or an option is not of its type.
    ValueError
        If shapes do not fit, or an option is out of its range.
    IndexError
        If a class index is out of range; the message names its position.

    See Also
    --------
    log_prob : the log-probabilities of some classes alone.
    CrossEntropyLoss : ``value_and_grad(..., stats=True)`` has statistics beside the gradient.

    References
    ----------
    The rank of vLLM's ``Logprob`` counts from 1, and equal logits against the token.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> logits = np.array([[2.0, 1.0, 0.1], [0.5, 2.0, 0.3]], dtype=np.float32)
    >>> stats = ce.token_stats(logits, [0, 2], top_k=2)
    >>> stats.log_prob.round(4), stats.entropy.round(4)
    (array([-0.417 , -2.0406], dtype=float32), array([0.8467, 0.7996], dtype=float32))
    >>> stats.rank, stats.greedy, stats.argmax
    (array([0, 2]), array([ True, False]), array([0, 1]))
    >>> stats.top_index
    array([[0, 1],
           [1, 0]])
    """
    return TokenStats(
        *call(
            _STATS, STATS, logits, target, top_k=top_k, extra=extra, ignore_index=ignore_index,
            logit_scale=logit_scale, softcap=softcap, temperature=temperature, axis=axis,
        )
    )  # fmt: skip


def log_prob(
    logits: ArrayLike,
    index: ArrayLike,
    *,
    logit_scale: float = 1.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    axis: int = -1,
) -> Any:
    r"""Log-probabilities of given classes: :math:`u_k - \log \sum_j e^{u_j}`, in nats.

    With :math:`u` as in `token_stats`. They have all their digits: near 0 they come from the sum
    of the other exponentials, which the difference of a logit and a log-sum-exp does not know.

    Parameters
    ----------
    logits : array_like, shape (..., V), as (B, T, V)
        float16, bfloat16, float32 or float64; integers and booleans count as float64.
    index : array_like of integers, shape (...) or (..., K)
        The classes, in [0, V): one for each item, or several. None is ignored.
    logit_scale, softcap, temperature, axis
        As in `token_stats`.

    Returns
    -------
    ndarray of the shape of `index`, or NumPy scalar for one class of a single item
        float64 for float64 logits, else float32. NaN for an item that holds a NaN or +inf, or only
        -inf.

    Raises
    ------
    TypeError, ValueError, IndexError
        As `token_stats`.

    References
    ----------
    ``selective_log_softmax`` of TRL.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> logits = np.array([[2.0, 1.0, 0.1], [0.5, 2.0, 0.3]])
    >>> ce.log_prob(logits, [0, 1]).round(4)
    array([-0.417 , -0.3406])
    >>> ce.log_prob(logits, [[0, 2], [1, 1]]).round(4)
    array([[-0.417 , -2.317 ],
           [-0.3406, -0.3406]])
    >>> print(f"{ce.log_prob(np.float32([30, 0]), 0):.6g}")
    -9.35762e-14
    """
    return call(
        _STATS, LOG_PROBS, logits, None, extra=index, logit_scale=logit_scale, softcap=softcap,
        temperature=temperature, axis=axis,
    )  # fmt: skip
