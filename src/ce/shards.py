"""Classes in shards: what each of them tells, merged to what one call over all would tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ce import _check, _core
from ce._arrays import Bits
from ce._core import STATS, SUMS, VALUE, Prepared
from ce.language import TokenStats

_BENDS = ("logit_scale", "softcap", "temperature")
_OPTIONS = (*_BENDS, "ignore_index", "axis")


@dataclass(frozen=True, eq=False)
class Partials:
    """What `partials` tells of a shard of classes: some numbers for each of its blocks.

    It can be pickled, and is small: 56 bytes for each block of an item, whose logits are 16 KiB of
    float32. `merge_partials` takes those of all classes.

    Attributes
    ----------
    first, stop, classes : int
        The shard's classes are first to stop, of so many.
    target : ndarray of int64, or None
        As it was given.
    counted : bool
        Whether `target_logit` was given, so that ranks are known.
    stats : bool
        As it was given.
    """

    first: int
    stop: int
    classes: int
    target: Any
    counted: bool
    stats: bool
    _pairs: Any
    _target_logit: Any
    _options: dict[str, Any]


@dataclass(frozen=True, eq=False)
class MergedPartials(TokenStats):
    """The statistics of items whose classes were in shards, as `merge_partials` returns them.

    Those of `TokenStats`, and what `CrossEntropyLoss.shard_loss` and `shard_grad` need. `rank` and
    `greedy` are None unless every shard was told `target_logit`; `entropy` and `argmax` are, too,
    with ``stats=False``.
    """

    _partials: Any = None
    _whole: Any = None
    _whole_blocks: bool = False


def block_length(dtype: DTypeLike) -> int:
    """Return how many classes a block of a row has: 4096, for float64 logits 2048.

    Shards that begin at multiples of it give the bits of the undivided row.

    Parameters
    ----------
    dtype : data type of the logits

    Examples
    --------
    >>> import ce
    >>> ce.block_length("float32")
    4096
    """
    return _core.block_length(np.dtype(dtype))


def partials(
    logits: ArrayLike,
    target: ArrayLike | None = None,
    *,
    first: int = 0,
    classes: int | None = None,
    target_logit: ArrayLike | None = None,
    stats: bool = True,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    logit_scale: float = 1.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    axis: int = -1,
) -> Partials:
    r"""What a shard of the classes tells of each item, to be merged with that of the others.

    For each block of the shard's classes the maximum m, the sum of the other :math:`e^{z_k - m}`,
    and what entropy, label smoothing and ranks need. Unlike log-sum-exps these lose nothing: the
    loss of a confident item keeps its digits.

    Parameters
    ----------
    logits : array_like, shape (..., n)
        Those of classes first to first + n, as `token_stats` takes them.
    target : array_like of integers, shape of `logits` less the class axis, optional
        The indices among all classes, in [0, classes), or `ignore_index`: the same for all shards.
    first, classes : int, optional
        The first class of the shard, and how many there are in all; by default the shard is the
        last one.
    target_logit : array_like, shape of `target`, optional
        The logits of the targets, whichever shard they are in; the target's rank is told with them
        only.
    stats : bool, optional
        False, where the loss is all that is wanted, leaves out what only the statistics need.
    weight, label_smoothing
        Those of the criterion, where it has a label smoothing; `weight` of all classes.
    ignore_index, logit_scale, softcap, temperature, axis
        As in `token_stats`, and in the criterion.

    Returns
    -------
    Partials

    Raises
    ------
    TypeError, ValueError, IndexError
        As `token_stats`; and if the shard does not lie within the classes.

    See Also
    --------
    merge_partials : what they are for.
    block_length : shards that begin at its multiples give the bits of the undivided row.

    References
    ----------
    Shoeybi et al., "Megatron-LM", 2019 (cross-entropy of a vocabulary in shards).

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> logits, target = np.array([[90.0, 1.0, 2.0, 0.0]]), np.array([0])
    >>> halves = [ce.partials(logits[:, k : k + 2], target, first=k, classes=4) for k in (0, 2)]
    >>> merged, criterion = ce.merge_partials(halves), ce.CrossEntropyLoss(axis=-1)
    >>> print(f"{criterion.shard_loss(target, merged):.6e} {criterion(logits, target):.6e}")
    9.101367e-39 9.101367e-39
    >>> print(criterion.shard_grad(logits[:, 2:], target, merged, first=2))
    [[6.05460190e-39 8.19401262e-40]]
    """
    given = {
        "logit_scale": logit_scale, "softcap": softcap, "temperature": temperature, "axis": axis,
        "ignore_index": ignore_index, "label_smoothing": label_smoothing, "weight": weight,
    }  # fmt: skip
    prepared = Prepared("cross_entropy", **given)
    indices = None if target is None else _indices(target)
    start, stop, count, pairs, target_logit_here = _core.scan_shard(
        prepared, logits, indices, partial(_check.shard_bounds, first, classes), target_logit,
        _check.flag("stats", stats),
    )  # fmt: skip
    counted = stats and target is not None and target_logit is not None
    return Partials(
        start, stop, count, indices, counted, stats, pairs, target_logit_here, prepared.options
    )


def _indices(target: ArrayLike) -> Any:
    """The indices of a target, none of which can be changed any more."""
    array, found = _check.class_indices("target", target)
    if array.dtype.kind not in "iu" or isinstance(array, Bits):
        x = _check.widened(array)
        with np.errstate(all="ignore"):
            wrong = ~np.isfinite(x) | (np.trunc(x) != x) | (abs(x) >= 2.0**63)
        if wrong.any():
            _check.bad_index(array, int(np.flatnonzero(wrong)[0]), 2**63)
    if found.dtype == np.uint64 and (found > np.uint64(2**63 - 1)).any():
        _check.bad_index(found, int(np.argmax(found > np.uint64(2**63 - 1))), 2**63)
    copy = np.array(found, np.int64, order="C")
    copy.flags.writeable = False
    return copy


def merge_partials(parts: Iterable[Partials]) -> MergedPartials:
    """Merge what the shards of all classes tell into the statistics of the items.

    Parameters
    ----------
    parts : iterable of Partials, in any order
        Of the same items, target and options; together they have every class once.

    Returns
    -------
    MergedPartials
        Fields as those of `token_stats`, but for the largest and further classes; with the bits of
        one call over all classes where shards begin at multiples of `block_length` and classes are
        161 or more.

    Raises
    ------
    TypeError
        If one of them is no Partials.
    ValueError
        If classes are missing or twice, or items, targets or options differ.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> logits = np.array([[2.0, 1.0, 0.1], [0.5, 2.0, 0.3]])
    >>> parts = [ce.partials(logits[:, :1], classes=3), ce.partials(logits[:, 1:], first=1)]
    >>> ce.merge_partials(parts).entropy.round(4), ce.token_stats(logits).entropy.round(4)
    (array([0.8467, 0.7996]), array([0.8467, 0.7996]))
    """
    listed = sorted(_all_partials(parts), key=lambda part: (part.first, part.stop))
    at = 0
    for part in listed:
        if part.first != at:
            what = "missing" if part.first > at else "there twice"
            low, high = sorted((at, part.first))
            raise ValueError(f"classes {low} to {high - 1} are {what}")
        _check_alike(listed[0], part)
        at = part.stop
    if at != listed[0].classes:
        raise ValueError(f"classes {at} to {listed[0].classes - 1} are missing")
    target_logit = sum((part._target_logit for part in listed[1:]), start=listed[0]._target_logit)
    # As bytes: NumPy copies structures one by one.
    in_bytes = np.concatenate([part._pairs.view(np.uint8) for part in listed], axis=-1)
    pairs = in_bytes.view(listed[0]._pairs.dtype)
    one = replace(
        listed[0], stop=at, counted=all(part.counted for part in listed), _pairs=pairs,
        stats=all(part.stats for part in listed), _target_logit=target_logit,
    )  # fmt: skip
    length = _core.block_length(target_logit.dtype)
    prepared = Prepared("token_stats", **{name: one._options[name] for name in _OPTIONS})
    whole, fields = _core.merge_shards(
        prepared, STATS, one.target, target_logit.shape, at, pairs, target_logit, None, None
    )
    log_prob, largest, log_sum, entropy, argmax, rank, *_ = fields
    if not one.stats:  # then no NaN was looked for
        largest = np.where(np.isnan(log_sum), log_sum, largest)[()]
    return MergedPartials(
        log_prob, largest, log_sum, entropy if one.stats else None,
        argmax if one.stats else None, rank if one.counted else None,
        _partials=one, _whole=whole,
        _whole_blocks=all(part.first % length == 0 for part in listed),
    )  # fmt: skip


def _all_partials(parts: Iterable[Partials]) -> list[Partials]:
    try:
        listed = list(parts)
    except (TypeError, NotImplementedError):
        raise TypeError(f"parts is a {type(parts).__name__}; it must be of Partials") from None
    for part in listed:
        if not isinstance(part, Partials):
            raise TypeError(f"parts has a {type(part).__name__}; it must be of Partials")
    if not listed:
        raise ValueError("parts is empty; it must have those of all classes")
    return listed


def _check_alike(a: Partials, b: Partials) -> None:
    if b.classes != a.classes:
        raise ValueError(f"some partials are of {a.classes} classes, others of {b.classes}")
    if b._target_logit.shape != a._target_logit.shape:
        raise ValueError(
            f"some partials have items of shape {a._target_logit.shape}, others "
            f"{b._target_logit.shape}"
        )
    if b._target_logit.dtype != a._target_logit.dtype:
        raise TypeError(
            f"some partials were computed in {a._target_logit.dtype}, others in "
            f"{b._target_logit.dtype}"
        )
    if (a.target is None) != (b.target is None) or (
        a.target is not None and not np.array_equal(a.target, b.target)
    ):
        raise ValueError("partials have different targets")
    differing = [name for name in a._options if not _equal(a._options[name], b._options[name])]
    if differing:
        raise ValueError(f"partials differ in {', '.join(differing)}")


def _equal(a: Any, b: Any) -> bool:
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else bool(a is b or a == b)


def _checked(criterion: Any, target: ArrayLike, merged: MergedPartials) -> tuple[Partials, Any]:
    """What was merged, for a criterion with the same options, and the target."""
    if not isinstance(merged, MergedPartials):
        raise TypeError(
            f"merged is a {type(merged).__name__}; it must be what merge_partials returned"
        )
    one = merged._partials
    names = [*_BENDS, "ignore_index"]
    if criterion.label_smoothing != 0:
        names += ["label_smoothing", "weight"]
    for name in names:
        if not _equal(getattr(criterion, name), one._options[name]):
            raise ValueError(
                f"{name} of the criterion is {getattr(criterion, name)}, that of the partials "
                f"{one._options[name]}"
            )
    indices = _indices(target)
    if one.target is None:
        raise ValueError("the partials were made without a target")
    if not np.array_equal(indices, one.target):
        raise ValueError("target is another one than that of the partials")
    return one, indices


def shard_loss(
    criterion: Any,
    target: ArrayLike,
    merged: MergedPartials,
    sample_weight: ArrayLike | None,
    normalizer: float | None,
) -> Any:
    one, indices = _checked(criterion, target, merged)
    return _core.merge_shards(
        criterion._prepared, VALUE, indices, one._target_logit.shape, one.classes, one._pairs,
        one._target_logit, sample_weight, normalizer,
    )  # fmt: skip


def shard_sums(
    criterion: Any, target: ArrayLike, merged: MergedPartials, sample_weight: ArrayLike | None
) -> Any:
    """The sum of the losses in float64, and what their mean divides by."""
    one, indices = _checked(criterion, target, merged)
    return _core.merge_shards(
        criterion._prepared, SUMS, indices, one._target_logit.shape, one.classes, one._pairs,
        one._target_logit, sample_weight, None,
    )  # fmt: skip


def shard_grad(
    criterion: Any, logits: ArrayLike, target: ArrayLike, merged: MergedPartials, first: int,
    **call: Any,
) -> Any:  # fmt: skip
    one, indices = _checked(criterion, target, merged)
    parts = (one._pairs, merged._whole_blocks, merged._whole, one._target_logit)
    return _core.emit_shard(
        criterion._prepared, logits, indices, first, one.classes, parts,
        *(call[name] for name in ("sample_weight", "normalizer", "grad_output", "out")),
    )  # fmt: skip
