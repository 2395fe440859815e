"""Losses of classes that exclude each other; perplexity, one-hot rows."""

from __future__ import annotations

import math
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ce import _check, shards
from ce._core import GRAD, HESS, PERPLEXITY, PRODUCT, STATS, SUMS, TERMS, VALUE, Prepared, call
from ce._criterion import Array, Curvature, Hessian, ItemLoss, R, Reduced, Scalar, criterion
from ce.language import TokenStats
from ce.shards import MergedPartials

_CROSS_ENTROPY = Prepared("cross_entropy")


@overload
def cross_entropy(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    where: ArrayLike | None = ...,
    terms: Literal[False] = ...,
    ignore_index: int = ...,
    label_smoothing: float = ...,
    z_loss: float = ...,
    logit_scale: float = ...,
    softcap: float | None = ...,
    temperature: float = ...,
    reduction: Literal["none"],
    axis: int | None = ...,
) -> Array: ...
@overload
def cross_entropy(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    where: ArrayLike | None = ...,
    terms: Literal[False] = ...,
    ignore_index: int = ...,
    label_smoothing: float = ...,
    z_loss: float = ...,
    logit_scale: float = ...,
    softcap: float | None = ...,
    temperature: float = ...,
    reduction: Reduced = ...,
    axis: int | None = ...,
) -> Scalar: ...
@overload
def cross_entropy(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    where: ArrayLike | None = ...,
    terms: Literal[True],
    ignore_index: int = ...,
    label_smoothing: float = ...,
    z_loss: float = ...,
    logit_scale: float = ...,
    softcap: float | None = ...,
    temperature: float = ...,
    reduction: Literal["none"],
    axis: int | None = ...,
) -> tuple[Array, Array]: ...
@overload
def cross_entropy(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    where: ArrayLike | None = ...,
    terms: Literal[True],
    ignore_index: int = ...,
    label_smoothing: float = ...,
    z_loss: float = ...,
    logit_scale: float = ...,
    softcap: float | None = ...,
    temperature: float = ...,
    reduction: Reduced = ...,
    axis: int | None = ...,
) -> tuple[Scalar, Scalar]: ...
def cross_entropy(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    normalizer: float | None = None,
    where: ArrayLike | None = None,
    terms: bool = False,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    logit_scale: float = 1.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    reduction: Reduced | Literal["none"] = "mean",
    axis: int | None = None,
) -> Any:
    r"""Cross-entropy between the softmax of logits and class indices or probabilities, in nats.

    For an item with logits :math:`z_1 \dots z_K`, target :math:`t`, class weights :math:`w` and
    sample weight :math:`v`, with :math:`\varepsilon` the label smoothing:

    .. math::
        \ell = v \Big[ (1 - \varepsilon)\, w_t\, (\mathrm{lse}(z) - z_t)
               + \frac{\varepsilon}{K} \sum_k w_k (\mathrm{lse}(z) - z_k) \Big],
        \qquad \mathrm{lse}(z) = \log \sum_k e^{z_k}.

    For an item with class probabilities :math:`q_1 \dots q_K` instead of a target:

    .. math::
        \ell = v \sum_k w_k q'_k (\mathrm{lse}(z) - z_k), \qquad
        q'_k = (1 - \varepsilon)\, q_k + \varepsilon / K,

    where a term with :math:`w_k q'_k = 0` is 0, even at a logit of -inf.

    With `logit_scale`, `softcap` or `temperature` the logits are those of `token_stats`, u in the
    place of z. With `z_loss`, :math:`\lambda`, each item that counts has :math:`v \lambda\,
    \mathrm{lse}(z)^2` added.

    Small losses are exact: they come from the sum of the other exponentials, not from the
    difference lse(z) - z_t, which is 0 from a margin of 17 on in float32.

    Parameters
    ----------
    logits : array_like, shape (C,), (N, C) or (N, C, d1, ..., dk)
        Unnormalised log-probabilities in float16, bfloat16, float32 or float64; integers and
        booleans count as float64. -inf is a class that cannot be.
    target : array_like
        Of the shape of `logits` less the class axis: class indices in [0, C), or `ignore_index`,
        in any integer dtype or as whole floating numbers. Of a floating dtype and the shape of
        `logits`: class probabilities, which are taken as they are, whatever their sum, in the
        dtype that is computed with.
    weight : array_like, shape (C,), optional
        One number per class.
    sample_weight : array_like, shape of `logits` less the class axis, optional
        One number v per item, or a mask: an item of weight 0 (or False) is not read, not checked
        and not counted.
    normalizer : float, optional
        What the mean divides by instead, above 0. The mean over nothing is then 0.
    where : array_like of booleans, shape (C,) or that of `logits`, optional
        Which classes can be. What stands at the others does not matter; they have probability 0
        and no part in the smoothing. A target among them has the loss inf.
    terms : bool, optional
        Whether the z-loss is returned apart: ``(loss without it, z-loss)``.
    ignore_index : int, optional
        Items with this target have loss 0 and do not count; their logits are never read. Class
        probabilities have no index to ignore: with them it must be negative.
    label_smoothing : float in [0, 1], optional
        The share of the target that is spread evenly over all classes.
    z_loss : float, optional
        At least 0: the factor of the squared log-sum-exp, which keeps logits from drifting.
    logit_scale, softcap, temperature : float, optional
        As in `token_stats`.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the sum of v w_t over counted items; with class probabilities by the
        sum of v, which is the number of items where there is no `sample_weight`. That of z-losses
        always divides by the latter.
    axis : int, optional
        The class axis; by default axis 1, or 0 for a single item of shape (C,).

    Returns
    -------
    NumPy scalar, or array of the shape of `logits` less the class axis for reduction "none"
        float64 for float64 logits, else float32; a pair of them with ``terms=True``.

        NaN for an item that holds a NaN or +inf, or only -inf; inf where a logit of the target is
        -inf and others are not; the mean over nothing is NaN.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If shapes do not fit, an option is out of its range, or a class index is a fraction or NaN.
    IndexError
        If a class index is out of range; the message names its position.

    See Also
    --------
    CrossEntropyLoss : the same with its gradient and Hessian.

    References
    ----------
    ``torch.nn.functional.cross_entropy``; Szegedy et al., "Rethinking the Inception architecture
    for computer vision", CVPR 2016, section 7 (label smoothing); Chowdhery et al., "PaLM", JMLR 24
    (2023), section 5 (z-loss).

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> logits = np.array([[2.0, 1.0, 0.1], [0.5, 2.0, 0.3]], dtype=np.float32)
    >>> ce.cross_entropy(logits, np.array([0, 1])).round(5)
    np.float32(0.37882)
    >>> ce.cross_entropy(logits, np.array([0, -100]), reduction="none").round(5)
    array([0.41703, 0.     ], dtype=float32)
    >>> print(f"{ce.cross_entropy(np.float32([30, 0]), 0):.6g}")
    9.35762e-14

    With a mask, and with a mean over another number of items, as of a batch in parts:

    >>> ce.cross_entropy(logits, np.array([0, 255]), sample_weight=[True, False]).round(5)
    np.float32(0.41703)
    >>> ce.cross_entropy(logits, np.array([0, 1]), normalizer=8).round(5)
    np.float32(0.09471)

    With class probabilities:

    >>> logits = np.array([[4.0, 2.0, 1.0], [0.0, 5.0, 1.0]])
    >>> probs = np.array([[1.0, 0.0, 0.0], [0.0, 0.8, 0.2]])
    >>> ce.cross_entropy(logits, probs, reduction="none").round(5)
    array([0.16985, 0.82474])

    Of a language model: capped logits, the z-loss apart, a token that must not be:

    >>> logits = np.array([[30.0, 2.0, 99.0], [0.0, 40.0, 1.0]])
    >>> nll, z = ce.cross_entropy(
    ...     logits, [0, 1], softcap=20.0, z_loss=1e-4, where=[True, True, False], terms=True
    ... )
    >>> print(f"{nll:.4g} {z:.5f}")
    5.254e-08 0.03497
    """
    what = VALUE if terms is False or not _check.flag("terms", terms) else VALUE | TERMS
    return call(
        _CROSS_ENTROPY, what, logits, target, sample_weight, normalizer,
        label_smoothing=label_smoothing, logit_scale=logit_scale, softcap=softcap,
        temperature=temperature, z_loss=z_loss, weight=weight, where=where,
        ignore_index=ignore_index, reduction=reduction, axis=axis,
    )  # fmt: skip


@criterion
class CrossEntropyLoss(ItemLoss[R]):
    r"""Cross-entropy of logits and classes, with gradient and diagonal Hessian.

    With :math:`p = \mathrm{softmax}(z)`, W the sum of the class weights, and the other letters of
    `cross_entropy`, for class indices:

    .. math::
        \frac{\partial \ell}{\partial z_k} &= v \Big[ (1 - \varepsilon)\, w_t (p_k - [k = t])
            + \frac{\varepsilon}{K} (W p_k - w_k) \Big] \\
        \frac{\partial^2 \ell}{\partial z_k^2} &= v\, p_k (1 - p_k) \Big[ (1 - \varepsilon)\, w_t
            + \frac{\varepsilon}{K} W \Big]

    and for class probabilities, with :math:`Q = \sum_j w_j q'_j`:

    .. math::
        \frac{\partial \ell}{\partial z_k} = v\, (Q\, p_k - w_k q'_k), \qquad
        \frac{\partial^2 \ell}{\partial z_k^2} = v\, Q\, p_k (1 - p_k)

    The z-loss adds :math:`2 v \lambda\, \mathrm{lse}\, p_k` to the gradient and :math:`2 v \lambda
    (p_k^2 + \mathrm{lse}\, p_k (1 - p_k))` to the Hessian; "gauss_newton" leaves out the term with
    lse. Where logits are scaled or capped, u in the place of z above,

    .. math::
        \frac{\partial \ell}{\partial z_k} = \frac{\partial \ell}{\partial u_k} u_k', \qquad
        \frac{\partial^2 \ell}{\partial z_k^2} =
            \frac{\partial^2 \ell}{\partial u_k^2} u_k'^2 + \frac{\partial \ell}{\partial u_k} u_k'',

    of which "gauss_newton" leaves out the last. With `softcap` or `z_loss` there is no "bound",
    with `softcap` no `hess_vec`, and with `z_loss` and `weight` of class indices no `sums`, which
    has one divisor. Derivatives are 0 for classes that cannot be.

    Small gradients are exact: 1 - p_t comes from the sum of the other exponentials.

    Parameters
    ----------
    weight, ignore_index, label_smoothing, z_loss, logit_scale, softcap, temperature, reduction, axis
        As in `cross_entropy`. `where` and `terms` are given to the methods.

    References
    ----------
    ``torch.nn.CrossEntropyLoss``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> criterion = ce.CrossEntropyLoss()
    >>> logits = np.array([[2.0, 1.0, 0.1], [0.5, 2.0, 0.3]], dtype=np.float32)
    >>> loss, grad = criterion.value_and_grad(logits, np.array([0, 1]))
    >>> loss.round(5)
    np.float32(0.37882)
    >>> grad.round(4)
    array([[-0.1705,  0.1212,  0.0493],
           [ 0.0794, -0.1443,  0.065 ]], dtype=float32)
    >>> criterion = ce.CrossEntropyLoss(softcap=30.0, z_loss=1e-4)
    >>> (nll, z), grad = criterion.value_and_grad(logits, np.array([0, 1]), terms=True)
    >>> nll.round(5), z.round(6)
    (np.float32(0.37971), np.float32(0.000565))
    """  # noqa: E501

    _loss = "cross_entropy"
    _function = "cross_entropy"

    weight: ArrayLike | None = None
    ignore_index: int = -100
    label_smoothing: float = 0.0
    z_loss: float = 0.0
    logit_scale: float = 1.0
    softcap: float | None = None
    temperature: float = 1.0
    reduction: R = "mean"  # type: ignore[assignment]
    axis: int | None = None

    @overload
    def __call__(
        self: CrossEntropyLoss[Literal["none"]],
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
        where: ArrayLike | None = ...,
        terms: Literal[False] = ...,
    ) -> Array: ...
    @overload
    def __call__(
        self: CrossEntropyLoss[Reduced],
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
        where: ArrayLike | None = ...,
        terms: Literal[False] = ...,
    ) -> Scalar: ...
    @overload
    def __call__(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
        where: ArrayLike | None = ...,
        terms: Literal[False] = ...,
    ) -> Scalar | Array: ...
    @overload
    def __call__(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
        where: ArrayLike | None = ...,
        terms: Literal[True],
    ) -> tuple[Scalar | Array, Scalar | Array]: ...
    def __call__(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        normalizer: float | None = None,
        where: ArrayLike | None = None,
        terms: bool = False,
    ) -> Any:
        what = VALUE if terms is False or not _check.flag("terms", terms) else VALUE | TERMS
        return call(self._prepared, what, logits, target, sample_weight, normalizer, where=where)

    @overload
    def value_and_grad(
        self: CrossEntropyLoss[Literal["none"]],
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
        where: ArrayLike | None = ...,
        terms: Literal[False] = ...,
        grad_output: ArrayLike | None = ...,
        out: Array | None = ...,
        stats: Literal[False] = ...,
    ) -> tuple[Array, Array]: ...
    @overload
    def value_and_grad(
        self: CrossEntropyLoss[Reduced],
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
        where: ArrayLike | None = ...,
        terms: Literal[False] = ...,
        grad_output: ArrayLike | None = ...,
        out: Array | None = ...,
        stats: Literal[False] = ...,
    ) -> tuple[Scalar, Array]: ...
    @overload
    def value_and_grad(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
        where: ArrayLike | None = ...,
        terms: Literal[False] = ...,
        grad_output: ArrayLike | None = ...,
        out: Array | None = ...,
        stats: Literal[False] = ...,
    ) -> tuple[Scalar | Array, Array]: ...
    @overload
    def value_and_grad(
        self: CrossEntropyLoss[Literal["none"]],
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
        where: ArrayLike | None = ...,
        terms: Literal[False] = ...,
        grad_output: ArrayLike | None = ...,
        out: Array | None = ...,
        stats: Literal[True],
    ) -> tuple[Array, Array, TokenStats]: ...
    @overload
    def value_and_grad(
        self: CrossEntropyLoss[Reduced],
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
        where: ArrayLike | None = ...,
        terms: Literal[False] = ...,
        grad_output: ArrayLike | None = ...,
        out: Array | None = ...,
        stats: Literal[True],
    ) -> tuple[Scalar, Array, TokenStats]: ...
    @overload
    def value_and_grad(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
        where: ArrayLike | None = ...,
        terms: Literal[False] = ...,
        grad_output: ArrayLike | None = ...,
        out: Array | None = ...,
        stats: Literal[True],
    ) -> tuple[Scalar | Array, Array, TokenStats]: ...
    @overload
    def value_and_grad(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
        where: ArrayLike | None = ...,
        terms: Literal[True],
        grad_output: ArrayLike | None = ...,
        out: Array | None = ...,
        stats: Literal[False] = ...,
    ) -> tuple[tuple[Scalar | Array, Scalar | Array], Array]: ...
    @overload
    def value_and_grad(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
        where: ArrayLike | None = ...,
        terms: Literal[True],
        grad_output: ArrayLike | None = ...,
        out: Array | None = ...,
        stats: Literal[True],
    ) -> tuple[tuple[Scalar | Array, Scalar | Array], Array, TokenStats]: ...
    def value_and_grad(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        normalizer: float | None = None,
        where: ArrayLike | None = None,
        terms: bool = False,
        grad_output: ArrayLike | None = None,
        out: Array | None = None,
        stats: bool = False,
    ) -> Any:
        what = VALUE | GRAD
        if terms is not False and _check.flag("terms", terms):
            what |= TERMS
        if stats is not False and _check.flag("stats", stats):
            what |= STATS
        result = call(
            self._prepared, what, logits, target, sample_weight, normalizer, grad_output, out,
            where=where,
        )  # fmt: skip
        return (*result[:2], TokenStats(*result[2])) if what & STATS else result

    def grad(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        normalizer: float | None = None,
        where: ArrayLike | None = None,
        grad_output: ArrayLike | None = None,
        out: Array | None = None,
    ) -> Array:
        return call(  # type: ignore[no-any-return]
            self._prepared, GRAD, logits, target, sample_weight, normalizer, grad_output, out,
            where=where,
        )  # fmt: skip

    def grad_and_hess(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        normalizer: float | None = None,
        where: ArrayLike | None = None,
        grad_output: ArrayLike | None = None,
        hessian: Hessian = "exact",
        hess_scale: float = 1.0,
        hess_floor: float | None = None,
        out: tuple[Array, Array] | None = None,
    ) -> tuple[Array, Array]:
        return call(  # type: ignore[no-any-return]
            self._prepared, GRAD | HESS, logits, target, sample_weight, normalizer, grad_output,
            out, hessian=hessian, hess_scale=hess_scale, hess_floor=hess_floor, where=where,
        )  # fmt: skip

    def hess_vec(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        vector: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        normalizer: float | None = None,
        where: ArrayLike | None = None,
        grad_output: ArrayLike | None = None,
        hessian: Curvature = "exact",
        out: Array | None = None,
    ) -> Array:
        return call(  # type: ignore[no-any-return]
            self._prepared, PRODUCT, logits, target, sample_weight, normalizer, grad_output, out,
            hessian=hessian, vector=vector, where=where,
        )  # fmt: skip

    def sums(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        where: ArrayLike | None = None,
    ) -> tuple[np.float64, np.float64]:
        return call(  # type: ignore[no-any-return]
            self._prepared, SUMS, logits, target, sample_weight, where=where
        )

    def shard_loss(
        self,
        target: ArrayLike,
        merged: MergedPartials,
        *,
        sample_weight: ArrayLike | None = None,
        normalizer: float | None = None,
    ) -> Any:
        """Return the loss of items whose classes were in shards.

        Parameters
        ----------
        target : array_like of integers
            That of the partials.
        merged : MergedPartials
            What `merge_partials` made of the partials of all shards.
        sample_weight, normalizer
            As in `cross_entropy`.

        Returns
        -------
        NumPy scalar, or array of the shape of `target` for reduction "none"
            As that of `cross_entropy`, with its bits where those of `merge_partials` are
            `token_stats`'.

        Raises
        ------
        TypeError, ValueError
            If options or target are not those of the partials.

        Examples
        --------
        >>> import numpy as np
        >>> import ce
        >>> logits, target = np.array([[2.0, 1.0, 0.1], [0.5, 2.0, 0.3]]), [0, 1]
        >>> parts = [
        ...     ce.partials(logits[:, k : k + 1], target, first=k, classes=3) for k in range(3)
        ... ]
        >>> criterion = ce.CrossEntropyLoss()
        >>> criterion.shard_loss(target, ce.merge_partials(parts)).round(5)
        np.float64(0.37882)
        """
        return shards.shard_loss(self, target, merged, sample_weight, normalizer)

    def shard_grad(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        merged: MergedPartials,
        *,
        first: int = 0,
        sample_weight: ArrayLike | None = None,
        normalizer: float | None = None,
        grad_output: ArrayLike | None = None,
        out: Array | None = None,
    ) -> Array:
        """Return the gradient with respect to one shard's logits.

        Parameters
        ----------
        logits : array_like
            Those of the shard whose first class is `first`, the class axis as in `partials`.
        target, merged, sample_weight, normalizer
            As in `shard_loss`.
        grad_output, out
            As in `value_and_grad`; `out` may be `logits`.

        Returns
        -------
        ndarray of the shape and dtype of `logits`, or of `out`

        Raises
        ------
        TypeError, ValueError
            As `shard_loss`; and if the shard does not lie within the classes.

        Examples
        --------
        >>> import numpy as np
        >>> import ce
        >>> logits, target = np.zeros((1, 4)), [3]
        >>> merged = ce.merge_partials([ce.partials(logits, target)])
        >>> ce.CrossEntropyLoss().shard_grad(logits[:, 2:], target, merged, first=2)
        array([[ 0.25, -0.75]])
        """
        return shards.shard_grad(  # type: ignore[no-any-return]
            self, logits, target, merged, first, sample_weight=sample_weight,
            normalizer=normalizer, grad_output=grad_output, out=out,
        )  # fmt: skip


_NLL = Prepared("nll")


@overload
def nll_loss(
    log_probs: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    ignore_index: int = ...,
    reduction: Literal["none"],
    axis: int | None = ...,
) -> Array: ...
@overload
def nll_loss(
    log_probs: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    ignore_index: int = ...,
    reduction: Reduced = ...,
    axis: int | None = ...,
) -> Scalar: ...
def nll_loss(
    log_probs: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    normalizer: float | None = None,
    ignore_index: int = -100,
    reduction: Reduced | Literal["none"] = "mean",
    axis: int | None = None,
) -> Any:
    r"""Negative log-likelihood of class indices under given log-probabilities, in nats.

    For an item with log-probabilities :math:`x_1 \dots x_K`, target :math:`t`, class weights
    :math:`w` and sample weight :math:`v`:

    .. math::
        \ell = -v\, w_t\, x_t.

    After `log_softmax` this is `cross_entropy`, which is faster from logits.

    Parameters
    ----------
    log_probs : array_like, shape (C,), (N, C) or (N, C, d1, ..., dk)
        Log-probabilities in float16, bfloat16, float32 or float64; integers count as float64.
    target : array_like of integers, shape of `log_probs` less the class axis
        Class indices in [0, C), or `ignore_index`; floating numbers that are whole, too.
    weight : array_like, shape (C,), optional
        One number per class.
    sample_weight : array_like, shape of `target`, optional
        One number v per item, or a mask: an item of weight 0 (or False) is not read, not checked
        and not counted.
    normalizer : float, optional
        What the mean divides by instead, above 0. The mean over nothing is then 0.
    ignore_index : int, optional
        Items with this target have loss 0 and do not count.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the sum of v w_t over counted items.
    axis : int, optional
        The class axis; by default axis 1, or 0 for a single item of shape (C,).

    Returns
    -------
    NumPy scalar, or array of the shape of `target` for reduction "none"
        float64 for float64 log-probabilities, else float32.

        Only x_t matters: the loss is NaN where it is NaN, inf where it is -inf; the mean over
        nothing is NaN.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If shapes do not fit, an option is out of its range, or a class index is a fraction or NaN.
    IndexError
        If a class index is out of range; the message names its position.

    See Also
    --------
    NLLLoss : the same with its gradient and Hessian.

    References
    ----------
    ``torch.nn.functional.nll_loss``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> ce.nll_loss(np.log([0.1, 0.2, 0.7]), 2).round(5)
    np.float64(0.35667)
    """
    return call(
        _NLL, VALUE, log_probs, target, sample_weight, normalizer,
        weight=weight, ignore_index=ignore_index, reduction=reduction, axis=axis,
    )  # fmt: skip


@criterion
class NLLLoss(ItemLoss[R]):
    r"""Negative log-likelihood of class indices, with its gradient.

    The derivatives are those with respect to the log-probabilities :math:`x`, the first argument
    of the methods. With the letters of `nll_loss`:

    .. math::
        \frac{\partial \ell}{\partial x_k} = -v\, w_t\, [k = t], \qquad
        \frac{\partial^2 \ell}{\partial x_k^2} = 0

    Parameters
    ----------
    weight, ignore_index, reduction, axis
        As in `nll_loss`.

    References
    ----------
    ``torch.nn.NLLLoss``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> loss, grad = ce.NLLLoss().value_and_grad(np.log([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]]), [2, 0])
    >>> loss.round(5)
    np.float64(0.52491)
    >>> grad
    array([[ 0. ,  0. , -0.5],
           [-0.5,  0. ,  0. ]])
    """

    _loss = "nll"
    _function = "nll_loss"

    weight: ArrayLike | None = None
    ignore_index: int = -100
    reduction: R = "mean"  # type: ignore[assignment]
    axis: int | None = None


_FOCAL = Prepared("focal")


@overload
def focal_loss(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    gamma: float = ...,
    alpha: ArrayLike | None = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    ignore_index: int = ...,
    reduction: Literal["none"],
    axis: int | None = ...,
) -> Array: ...
@overload
def focal_loss(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    gamma: float = ...,
    alpha: ArrayLike | None = ...,
    sample_weight: ArrayLike | None = ...,
    normalizer: float | None = ...,
    ignore_index: int = ...,
    reduction: Reduced = ...,
    axis: int | None = ...,
) -> Scalar: ...
def focal_loss(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    gamma: float = 2.0,
    alpha: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    normalizer: float | None = None,
    ignore_index: int = -100,
    reduction: Reduced | Literal["none"] = "mean",
    axis: int | None = None,
) -> Any:
    r"""Focal loss of the softmax of logits: cross-entropy with easy items faded out, in nats.

    For an item whose target has probability :math:`p = \mathrm{softmax}(z)_t` and class weight
    :math:`\alpha_t`, with sample weight :math:`v`:

    .. math::
        \ell = -v\, \alpha_t\, (1 - p)^\gamma \log p.

    Small losses are exact: 1 - p comes from the sum of the other exponentials.

    Parameters
    ----------
    logits : array_like, shape (C,), (N, C) or (N, C, d1, ..., dk)
        Unnormalised log-probabilities in float16, bfloat16, float32 or float64; integers and
        booleans count as float64. -inf is a class that cannot be.
    target : array_like of integers, shape of `logits` less the class axis
        Class indices in [0, C), or `ignore_index`; floating numbers that are whole, too.
    gamma : float, optional
        How fast easy items fade, in [0, 1e6]; at 0 the loss is cross-entropy.
    alpha : array_like, shape (C,) or a scalar, optional
        One number per class; or one for all, at least 0.
    sample_weight : array_like, shape of `target`, optional
        One number v per item, or a mask: an item of weight 0 (or False) is not read, not checked
        and not counted.
    normalizer : float, optional
        What the mean divides by instead, above 0. The mean over nothing is then 0.
    ignore_index : int, optional
        Items with this target have loss 0 and do not count; their logits are never read.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the number of counted items, or by the sum of their v; never by
        `alpha`.
    axis : int, optional
        The class axis; by default axis 1, or 0 for a single item of shape (C,).

    Returns
    -------
    NumPy scalar, or array of the shape of `target` for reduction "none"
        float64 for float64 logits, else float32.

        NaN for an item that holds a NaN or +inf, or only -inf; inf where the target's logit is
        -inf and others are not; the mean over nothing is NaN.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If shapes do not fit, an option is out of its range, or a class index is a fraction or NaN.
    IndexError
        If a class index is out of range; the message names its position.

    See Also
    --------
    FocalLoss : the same with its gradient and Hessian.
    sigmoid_focal_loss : for labels that do not exclude each other.

    References
    ----------
    Lin, Goyal, Girshick, He and Dollár, "Focal loss for dense object detection", ICCV 2017,
    section 3.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> logits = np.array([[2.0, 1.0, 0.1], [0.5, 2.0, 0.3]])
    >>> ce.focal_loss(logits, [0, 1], reduction="none").round(5)
    array([0.04849, 0.02838])
    >>> print(f"{ce.focal_loss(np.float32([10, 0]), 0, gamma=0.5):.4g}")
    3.059e-07
    """
    return call(
        _FOCAL, VALUE, logits, target, sample_weight, normalizer,
        gamma=gamma, alpha=alpha, ignore_index=ignore_index, reduction=reduction, axis=axis,
    )  # fmt: skip


@criterion
class FocalLoss(ItemLoss[R]):
    r"""Focal loss of the softmax of logits, with gradient and diagonal Hessian.

    With :math:`p_k = \mathrm{softmax}(z)_k`, :math:`p = p_t`, :math:`q = 1 - p`,
    :math:`L = -\log p`, and the other letters of `focal_loss`:

    .. math::
        A &= q^\gamma \Big( 1 + \gamma\, \frac{p L}{q} \Big), \qquad
        D = \gamma\, q^{\gamma - 1} \Big[ p\, (2 - L) + (\gamma - 1)\, \frac{p^2 L}{q} \Big] \\
        \frac{\partial \ell}{\partial z_k} &= v\, \alpha_t\, A\, (p_k - [k = t]) \\
        \frac{\partial^2 \ell}{\partial z_k^2} &= v\, \alpha_t \big[ A\, p_k (1 - p_k)
            + D\, (p_k - [k = t])^2 \big]

    The Hessian is negative on hard items; `grad_and_hess` has others that are not. Small
    gradients are exact, and finite for every gamma: all tend to 0 as p tends to 1.

    Parameters
    ----------
    gamma, alpha, ignore_index, reduction, axis
        As in `focal_loss`.

    References
    ----------
    Lin, Goyal, Girshick, He and Dollár, "Focal loss for dense object detection", ICCV 2017,
    section 3.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> logits = np.array([[2.0, 1.0, 0.1], [0.5, 2.0, 0.3]])
    >>> loss, grad = ce.FocalLoss().value_and_grad(logits, [0, 1])
    >>> loss.round(5)
    np.float64(0.03844)
    >>> grad.round(4)
    array([[-0.0518,  0.0368,  0.015 ],
           [ 0.0177, -0.0322,  0.0145]])
    """

    _loss = "focal"
    _function = "focal_loss"

    gamma: float = 2.0
    alpha: ArrayLike | None = None
    ignore_index: int = -100
    reduction: R = "mean"  # type: ignore[assignment]
    axis: int | None = None


_PERPLEXITY = Prepared("cross_entropy", reduction=PERPLEXITY)


def perplexity(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    normalizer: float | None = None,
    ignore_index: int = -100,
    axis: int | None = None,
) -> Scalar:
    r"""Perplexity: the exponential of the mean cross-entropy of logits and class indices.

    .. math::
        \exp \Big( \sum_i v_i\, (\mathrm{lse}(z_i) - z_{i t_i}) \Big/ \sum_i v_i \Big)
        \quad \text{over the items that are not ignored, v being 1 without sample weights.}

    It is the number of classes among which an even guess would do as well.

    Parameters
    ----------
    logits : array_like, shape (C,), (N, C) or (N, C, d1, ..., dk)
        Unnormalised log-probabilities in float16, bfloat16, float32 or float64; integers and
        booleans count as float64.
    target : array_like of integers, shape of `logits` less the class axis
        Class indices in [0, C), or `ignore_index`; floating numbers that are whole, too.
    sample_weight : array_like, shape of `target`, optional
        One number v per item, or a mask: an item of weight 0 (or False) is not read, not checked
        and not counted.
    normalizer : float, optional
        What the mean divides by instead, above 0; the perplexity of nothing is then 1.
    ignore_index : int, optional
        Items with this target do not count; their logits are never read.
    axis : int, optional
        The class axis; by default axis 1, or 0 for a single item of shape (C,).

    Returns
    -------
    NumPy scalar
        float64 for float64 logits, else float32. NaN and inf where the mean cross-entropy is, and
        inf where the exponential overflows; the perplexity of nothing is NaN.

    Raises
    ------
    TypeError
        If a dtype is not one of those above.
    ValueError
        If shapes do not fit, an option is out of its range, or a class index is a fraction or NaN.
    IndexError
        If a class index is out of range; the message names its position.

    See Also
    --------
    cross_entropy : its logarithm.

    References
    ----------
    Jelinek, Mercer, Bahl and Baker, "Perplexity - a measure of the difficulty of speech
    recognition tasks", J. Acoust. Soc. Am. 62 (1977).

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> ce.perplexity(np.zeros((3, 10)), [4, 7, -100]).round(5)
    np.float64(10.0)
    """
    return call(  # type: ignore[no-any-return]
        _PERPLEXITY, VALUE, logits, target, sample_weight, normalizer,
        ignore_index=ignore_index, axis=axis,
    )  # fmt: skip


def one_hot(
    target: ArrayLike, num_classes: int, *, dtype: DTypeLike = np.float32, axis: int = -1
) -> NDArray[Any]:
    """Class indices as rows of zeros with a one at the class.

    Parameters
    ----------
    target : array_like of any integer dtype, any shape of fewer axes than NumPy allows
        Class indices in [0, num_classes); floating numbers that are whole, too.
    num_classes : int
        The length of the new axis.
    dtype : data-type, optional
        The dtype of the result.
    axis : int, optional
        Where the new axis stands in the result.

    Returns
    -------
    ndarray
        The shape of `target` with an axis of length `num_classes` more.

    Raises
    ------
    TypeError
        If `target` does not hold numbers, or an option is not of its type.
    ValueError
        If `num_classes` or `axis` is out of its range, or the result has too many axes (NumPy
        allows 64, NumPy 1 half of that) or bytes.
    IndexError
        If a class index is out of range; the message names its position.

    References
    ----------
    ``torch.nn.functional.one_hot``, whose result is int64.

    Examples
    --------
    >>> import ce
    >>> ce.one_hot([2, 0], 3)
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    >>> ce.one_hot([2, 0], 3, dtype=int, axis=0)
    array([[0, 1],
           [0, 0],
           [1, 0]])
    """
    classes = _check.classes(num_classes)
    dtype = _check.dtype_of_ones(dtype)
    place = _check.index("axis", axis)
    given, t = _check.class_indices("target", target)
    if not -t.ndim - 1 <= place <= t.ndim:
        _check.bad_axis("the result", place, t.ndim + 1)
    place %= t.ndim + 1
    if t.size and not (int(t.min()) >= 0 and int(t.max()) < classes):
        _check.bad_index(given, int(np.argmax((t < 0) | (t >= classes))), classes)
    shape = (*t.shape[:place], classes, *t.shape[place:])
    try:
        result = np.zeros(shape, dtype)
    except ValueError as error:  # too many axes, or too many bytes
        raise ValueError(f"the result would have shape {shape}: {error}") from None
    if t.size:
        # By three arrays of indices, however many axes there are: NumPy takes fewer than 64.
        before, after = math.prod(shape[:place]), math.prod(shape[place + 1 :])
        ones = result.reshape(before, classes, after)
        ones[np.arange(before)[:, None], t.reshape(before, after), np.arange(after)] = 1
    return result
