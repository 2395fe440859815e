"""Losses over dask arrays, in chunks of rows, of classes, or both: ``import ce.dask``.

Most need none of this: one call reads a memory map as the system pages it in, and `out=` may be a
map, too. It is for what is in pieces anyway, on several machines, or in a store that no map reads.
All is lazy: nothing is computed before ``compute()``.
"""

from __future__ import annotations

import operator
import os
from dataclasses import dataclass, replace
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.delayed import delayed

import ce
from ce import _check, _core, shards
from ce._core import GRAD, SUMS, call
from ce._criterion import Loss

__all__ = ["from_npy", "token_stats", "value", "value_and_grad"]

_ROWS = {row["name"]: row for row in _core.losses()}
_TOGETHER = 64  # sums of chunks that one task adds up: they are small
_BENDS = ("logit_scale", "softcap", "temperature")


# -- arguments ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Arrays:
    """Arrays whose chunks fit each other, and their axes as `da.blockwise` numbers them."""

    logits: da.Array
    target: da.Array | None
    weight: da.Array | None
    axis: int | None  # of the classes
    full: bool  # the target has the axes of the logits

    @property
    def all(self) -> tuple[int, ...]:
        return tuple(range(self.logits.ndim))

    @property
    def items(self) -> tuple[int, ...]:
        return tuple(i for i in self.all if i != self.axis)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.logits.shape[i] for i in self.items)

    @property
    def chunks(self) -> tuple[tuple[int, ...], ...]:
        return tuple(self.logits.chunks[i] for i in self.items)

    @property
    def dtype(self) -> np.dtype[Any]:
        """What gradients come in."""
        dtype = self.logits.dtype
        native = dtype.newbyteorder("=") if dtype.byteorder in "<>" else dtype
        return np.dtype(np.float64) if dtype.kind in "iub" else native

    @property
    def real(self) -> np.dtype[Any]:
        """What losses come in."""
        return np.dtype(np.float64 if self.dtype == np.float64 else np.float32)

    @property
    def in_shards(self) -> bool:
        return self.axis is not None and self.logits.numblocks[self.axis] > 1

    def by_block(self, function: Any, out: tuple[int, ...], *more: Any, **options: Any) -> da.Array:
        """function(logits, target, weight, *more, **options) of each block of rows."""
        target: tuple[Any, Any] = (None, None)
        if self.target is not None:
            target = (self.target, self.all if self.full else self.items)
        weight = (None, None) if self.weight is None else (self.weight, self.items)
        pairs = [x for pair in more for x in pair]
        return da.blockwise(
            _of_blocks, out, self.logits, self.all, *target, *weight, *pairs, function=function,
            **options,
        )  # fmt: skip


def _one(block: Any) -> Any:
    """Where an axis is summed over, its one block comes in a list."""
    while isinstance(block, list):
        block = block[0]
    return block


def _of_blocks(z: Any, t: Any, *more: Any, function: Any, **options: Any) -> Any:
    return function(_one(z), _one(t), *more, **options)


def _known(name: str, x: da.Array) -> None:
    if any(np.isnan(n) for n in x.shape):
        raise ValueError(
            f"{name} has chunks of unknown size; {name}.compute_chunk_sizes() finds them"
        )


def _fitted(name: str, x: Any, shape: tuple[int, ...], chunks: Any) -> da.Array:
    array = da.asarray(x)
    _known(name, array)
    try:
        return da.broadcast_to(array, shape).rechunk(chunks)
    except ValueError:
        raise ValueError(f"{name} has shape {array.shape}; it must broadcast to {shape}") from None


def _arrays(
    logits: Any, target: Any, weight: Any, axis: Any, classes: bool, indices: bool
) -> _Arrays:
    x = da.asarray(logits)
    _known("logits", x)
    _check.floats("logits", np.empty(0, x.dtype))
    at = None
    if classes:
        at = min(1, x.ndim - 1) if axis is None else _check.axis(axis, x.ndim)
        at += x.ndim if at < 0 else 0
        if not 0 <= at < x.ndim:
            _check.bad_axis("logits", axis, x.ndim)
        if not isinstance(logits, da.Array):  # it is cut along the classes for no reason
            x = x.rechunk({at: -1})
    if any(0 in sizes and len(sizes) > 1 for sizes in x.chunks):
        # dask broadcasts axes of length 1, though they have an empty chunk, too.
        x = x.rechunk(tuple(tuple(n for n in sizes if n) or (0,) for sizes in x.chunks))
    one = _Arrays(x, None, None, at, False)
    y, full = target, False
    if target is not None:
        y = da.asarray(target)
        full = not indices or (y.dtype.kind not in "iub" and y.shape == x.shape)
        if not full and y.dtype.kind not in "iub" and y.ndim == x.ndim and y.ndim > len(one.shape):
            raise ValueError(
                f"target has shape {y.shape}; class probabilities must have shape {x.shape}, class "
                f"indices broadcast to {one.shape}"
            )
        shape, chunks = (x.shape, x.chunks) if full else (one.shape, one.chunks)
        y = _fitted("target", y, shape, chunks)
    v = None if weight is None else _fitted("sample_weight", weight, one.shape, one.chunks)
    return replace(one, target=y, weight=v, full=full)


def _has_two_means(criterion: Any) -> bool:
    return getattr(criterion, "weight", None) is not None and getattr(criterion, "z_loss", 0) != 0


def _rehearse(criterion: Any, of: _Arrays) -> None:
    """What a call refuses by shapes, dtypes and options alone: one without items."""
    if not of.items or _has_two_means(criterion):
        return

    def none(x: Any, full: bool) -> Any:
        if x is None:
            return None
        sizes = [n if i == of.axis else 0 for i, n in enumerate(of.logits.shape)]
        return np.empty(sizes if full else (0,) * len(of.items), x.dtype)

    given = _given(none(of.logits, True), none(of.target, of.full))
    criterion.sums(*given, sample_weight=none(of.weight, False))


def _shared(criterion: Any) -> Any:
    """One for all tasks, where it holds arrays."""
    arrays = [x for x in vars(criterion).values() if isinstance(x, np.ndarray) and x.size > 100]
    return delayed(criterion) if arrays else criterion


def _of_criterion(criterion: Any, logits: Any, target: Any, sample_weight: Any) -> _Arrays:
    if not isinstance(criterion, Loss):
        raise TypeError(f"criterion is a {type(criterion).__name__}; it must be a loss of ce")
    row = _ROWS[criterion._loss]
    if row["second"] == "nothing" and target is not None:
        raise TypeError(f"{type(criterion).__name__} has no target")
    if row["second"] != "nothing" and target is None:
        raise TypeError(f"{type(criterion).__name__} needs a target")
    if not row["has_classes"]:
        for name in ("weight", "pos_weight"):
            given: Any = getattr(criterion, name, None)
            if np.size(given) > 1:
                raise ValueError(
                    f"the criterion has an array of {name}, which no chunk knows its part of; "
                    "sample_weight= is in chunks, as the input is"
                )
    if _has_two_means(criterion) and getattr(criterion, "reduction", "") == "mean":
        raise ValueError(
            "z_loss and weight together have two divisors, which no chunk knows; reduction 'sum' "
            "has none"
        )
    of = _arrays(
        logits, target, sample_weight, getattr(criterion, "axis", None), row["has_classes"],
        row["second"] == "classes",
    )  # fmt: skip
    if of.in_shards and (not isinstance(criterion, ce.CrossEntropyLoss) or of.full):
        raise ValueError(
            f"logits are in chunks along the classes, axis {of.axis}, which only CrossEntropyLoss "
            f"of class indices takes; logits.rechunk({{{of.axis}: -1}}) joins them"
        )
    _rehearse(criterion, of)
    return of


def _given(z: Any, t: Any) -> tuple[Any, ...]:
    """A block's first arguments."""
    return (z,) if t is None else (z, t)


# -- files ----------------------------------------------------------------------------------------


def _read_block(path: str, block_info: Any = None) -> Any:
    location = block_info[None]["array-location"]
    return np.array(np.load(path, mmap_mode="r")[tuple(slice(*bounds) for bounds in location)])


def from_npy(path: str | os.PathLike[str], chunks: Any = "auto") -> da.Array:
    """A .npy file as a dask array, of which each task reads its own chunk.

    Unlike a memory map that is given to `dask.array.from_array`, nothing of the file travels to the
    processes of a cluster, which must be able to open `path`.

    Parameters
    ----------
    path : path of the file
    chunks : as in `dask.array.from_array`, optional

    Returns
    -------
    dask array

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import ce.dask
    >>> with tempfile.NamedTemporaryFile(suffix=".npy") as file:
    ...     np.save(file.name, np.arange(12.0).reshape(4, 3))
    ...     float(ce.dask.from_npy(file.name, chunks=(2, -1)).sum().compute())
    66.0
    """
    path = os.path.abspath(os.fspath(path))
    mapped, file = np.load(path, mmap_mode="r"), os.stat(path)
    sizes = da.core.normalize_chunks(chunks, mapped.shape, dtype=mapped.dtype)
    name = "from-npy-" + tokenize(path, sizes, file.st_mtime_ns, file.st_size, file.st_ino)
    return da.map_blocks(
        _read_block, path, chunks=sizes, dtype=mapped.dtype, name=name,
        meta=np.empty((0,) * mapped.ndim, mapped.dtype),
    )  # fmt: skip


# -- what a mean divides by -----------------------------------------------------------------------


def _divisor_block(
    sizes: Any, t: Any, v: Any, *, full: bool, criterion: Any, by_weight: bool, rank: int
) -> Any:
    """The items that count, or the sum of their weights: from what is no logit."""
    counted = np.ones(np.shape(sizes)) if v is None else np.asarray(v, np.float64)
    weight = getattr(criterion, "weight", None)
    if t is not None and not full:
        live = t != criterion.ignore_index
        counted = np.where(live, counted, 0)
        if by_weight and weight is not None:
            places = np.where(live, t, 0).astype(np.int64)
            places = np.clip(places, 0, len(weight) - 1)  # those out of range are found later
            counted = counted * np.asarray(weight, np.float64)[places]
    elif by_weight and weight is not None and rank == counted.ndim:
        counted = counted * float(np.reshape(weight, ()))
    return np.reshape(counted.sum(dtype=np.float64), (1,) * counted.ndim)


def _sizes(chunks: tuple[tuple[int, ...], ...]) -> da.Array:
    """An array without memory, of which only the shape counts."""
    shape = tuple(sum(sizes) for sizes in chunks)
    return da.broadcast_to(da.zeros((), dtype=np.int8), shape, chunks=chunks)


def _divisor(criterion: Any, of: _Arrays, normalizer: Any) -> da.Array:
    """What the gradient of a mean is divided by, without a look at the logits."""
    if criterion.reduction == "sum":
        return da.from_array(np.float64(1.0))
    if normalizer is not None:
        return da.from_array(np.float64(normalizer))
    if criterion.reduction == "batchmean":
        return da.from_array(np.float64(of.logits.shape[0] if of.logits.ndim else 1))
    items = tuple(range(len(of.items)))
    target = (of.target, items) if of.target is not None and not of.full else (None, None)
    weight = (None, None) if of.weight is None else (of.weight, items)
    row = _ROWS[criterion._loss]
    divisors = da.blockwise(
        _divisor_block, items, _sizes(of.chunks), items, *target, *weight,
        dtype=np.float64, meta=np.empty((0,) * len(items)), adjust_chunks=dict.fromkeys(items, 1),
        full=target[0] is None, criterion=_shared(criterion), by_weight=row["mean"] == "weight",
        rank=-1 if row["has_classes"] else len(items),
    )  # fmt: skip
    return divisors.sum(split_every=_TOGETHER)


# -- rows -----------------------------------------------------------------------------------------


def _losses_block(z: Any, t: Any, v: Any, *, criterion: Any) -> Any:
    return np.asarray(criterion(*_given(z, t), sample_weight=v))


def _sums_block(z: Any, t: Any, v: Any, *, criterion: Any, items: int) -> Any:
    if _has_two_means(criterion):  # only a sum is asked for
        total = float(criterion(*_given(z, t), sample_weight=v))
        return np.reshape([total, 1.0], (1,) * items + (2,))
    return np.reshape(criterion.sums(*_given(z, t), sample_weight=v), (1,) * items + (2,))


def _normalizer_of(divisor: Any, g: Any) -> tuple[float, float]:
    """A divisor, and what gradients are times; that of a mean over nothing is 0."""
    by, upstream = np.float64(divisor), np.float64(g)
    if by > 0:
        return float(by), float(upstream)
    with np.errstate(all="ignore"):
        return 1.0, float(upstream / by)


def _both_block(z: Any, t: Any, v: Any, divisor: Any, g: Any, *, criterion: Any) -> Any:
    """Losses or their sum, and the gradient."""
    if criterion.reduction == "none" or _has_two_means(criterion):
        return criterion.value_and_grad(*_given(z, t), sample_weight=v, grad_output=g)
    by, upstream = _normalizer_of(divisor, g)
    mean = replace(criterion, reduction="mean")
    (total, _), grad = call(mean._prepared, SUMS | GRAD, z, t, v, by, upstream)
    return total, grad


def _first_of(both: Any, *, items: int, sums: bool) -> Any:
    first = _one(both)[0]
    return np.reshape(first, (1,) * items) if sums else np.asarray(first)


def _objects(ndim: int) -> Any:
    return np.empty((0,) * ndim, object)


def _reduced(totals: Any, divisor: Any, *, real: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.asarray(totals / divisor).astype(real)[()]


def _loss_of_sums(sums: Any, divisor: Any, *, real: Any) -> Any:
    """Of pairs of sums of losses and what their mean divides by; that, unless it is given."""
    total, count = sum(sums, start=np.zeros(2))
    return _reduced(total, count if divisor is None else divisor, real=real)


def _loss_of(totals: da.Array, divisor: da.Array, real: Any) -> da.Array:
    return da.map_blocks(_reduced, totals, divisor, real=real, dtype=real)


def value(
    criterion: Any,
    logits: Any,
    target: Any = None,
    *,
    sample_weight: Any = None,
    normalizer: float | None = None,
) -> da.Array:
    """The loss of a dask array, lazily.

    Parameters
    ----------
    criterion : a loss of ce, such as ``ce.CrossEntropyLoss()``
    logits : dask array in any chunks, or what `dask.array.asarray` takes
        Chunks along the class axis are taken by `CrossEntropyLoss` of class indices.
    target, sample_weight : dask or other arrays that broadcast to what the criterion takes
        In any chunks; but class probabilities have the shape of the logits.
    normalizer : float, optional
        As in the criterion's call.

    Returns
    -------
    dask array, without axes or, for reduction "none", of the shape of the items
        The losses of items have the bits of one call, in chunks of classes where these begin at
        multiples of `ce.block_length`. Sums are made in float64, chunk by chunk in their order;
        what a mean divides by is exact where it is a count.

    Raises
    ------
    TypeError, ValueError
        As the criterion, where shapes, dtypes and options tell; and for chunks that it cannot
        take. Wrong indices are found by ``compute()``, at their places in a chunk.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> import ce
    >>> import ce.dask
    >>> logits = da.from_array(np.eye(6), chunks=(4, 3))
    >>> loss = ce.dask.value(ce.CrossEntropyLoss(), logits, np.arange(6))
    >>> float(loss.compute().round(6)), float(ce.cross_entropy(np.eye(6), np.arange(6)).round(6))
    (1.043592, 1.043592)
    """
    of = _of_criterion(criterion, logits, target, sample_weight)
    if criterion.reduction == "none":
        if of.in_shards:
            return _Shards.for_loss(criterion, of).losses()
        meta = np.empty((0,) * len(of.items), of.real)
        return of.by_block(
            _losses_block, of.items, criterion=_shared(criterion), dtype=of.real, meta=meta
        )
    _check_normalizer(criterion, normalizer)
    divisor: Any = 1.0 if criterion.reduction == "sum" else None
    if normalizer is not None or criterion.reduction == "batchmean":
        divisor = _divisor(criterion, of, normalizer)
    if of.in_shards:
        return _Shards.for_loss(criterion, of).loss(divisor)
    given = (divisor, () if isinstance(divisor, da.Array) else None)
    return da.blockwise(
        _loss_of_sums, (), _sums_of_rows(criterion, of), (0,), *given, real=of.real, dtype=of.real,
        meta=np.empty((), of.real),
    )  # fmt: skip


def _check_normalizer(criterion: Any, normalizer: Any) -> None:
    if isinstance(normalizer, da.Array):
        raise TypeError("normalizer is a dask array; it must be a number")
    if normalizer is not None:
        row = next(x for x in _core.options() if x["keyword"] == "normalizer")
        number = _check.number(
            "normalizer", normalizer, row["absent"], row["least"], row["most"], row["rule"]
        )
        if criterion.reduction in ("sum", "none"):
            _check.bad_normalizer(float(number or 0), criterion.reduction)


def _sums_of_rows(criterion: Any, of: _Arrays) -> da.Array:
    """The sum of the losses and the divisor."""
    new = of.logits.ndim
    sums = of.by_block(
        _sums_block, (*of.items, new), new_axes={new: 2}, adjust_chunks=dict.fromkeys(of.items, 1),
        criterion=_shared(criterion), items=len(of.items), dtype=np.float64,
        meta=np.empty((0,) * (len(of.items) + 1)),
    )  # fmt: skip
    return sums.sum(axis=tuple(range(len(of.items))), split_every=_TOGETHER) if of.items else sums


def value_and_grad(
    criterion: Any,
    logits: Any,
    target: Any = None,
    *,
    sample_weight: Any = None,
    normalizer: float | None = None,
    grad_output: Any = None,
) -> tuple[da.Array, da.Array]:
    """The loss of a dask array and its gradient, lazily.

    Compute both together, ``dask.compute(loss, grad)``, or store the gradient while the loss is
    computed: each chunk of rows is then visited once. Chunks of classes are visited twice.

    Parameters
    ----------
    criterion, logits, target, sample_weight, normalizer
        As in `value`.
    grad_output : float, or array that broadcasts to the items for reduction "none", optional
        As in the criterion's ``value_and_grad``.

    Returns
    -------
    loss : dask array, as that of `value`
    grad : dask array, shape, dtype and chunks of `logits`, but for empty chunks
        With the bits of one call, where weights do not enter the mean's divisor; in chunks of
        classes where these begin at multiples of `ce.block_length`.

    Raises
    ------
    TypeError, ValueError
        As `value`.

    Examples
    --------
    >>> import dask
    >>> import dask.array as da
    >>> import numpy as np
    >>> import ce
    >>> import ce.dask
    >>> logits, target = np.eye(6), np.arange(6)
    >>> chunked = da.from_array(logits, chunks=(2, 6))
    >>> loss, grad = dask.compute(*ce.dask.value_and_grad(ce.CrossEntropyLoss(), chunked, target))
    >>> bool((grad == ce.CrossEntropyLoss().grad(logits, target)).all())
    True
    """
    of = _of_criterion(criterion, logits, target, sample_weight)
    _check_normalizer(criterion, normalizer)
    none = criterion.reduction == "none"
    g: tuple[Any, Any] = (1.0 if grad_output is None else grad_output, None)
    if none and grad_output is not None and np.ndim(grad_output):
        g = (_fitted("grad_output", grad_output, of.shape, of.chunks), of.items)
    elif np.ndim(g[0]):
        raise ValueError("grad_output must be one number where the loss is reduced")
    divisor = da.from_array(np.float64(1.0)) if none else _divisor(criterion, of, normalizer)
    if of.in_shards:
        split = _Shards.for_loss(criterion, of)
        grad = split.gradients(divisor, g)
        if none:
            return split.losses(), grad
        return split.loss(divisor), grad
    both = of.by_block(
        _both_block, of.all, (divisor, ()), g, criterion=_shared(criterion), dtype=object,
        meta=_objects(of.logits.ndim),
    )  # fmt: skip
    dtype = of.dtype
    grad = da.blockwise(
        operator.itemgetter(1), of.all, both, of.all, dtype=dtype,
        meta=np.empty((0,) * of.logits.ndim, dtype),
    )  # fmt: skip
    sums = {} if none else {"adjust_chunks": dict.fromkeys(of.items, 1)}
    totals = da.blockwise(
        _first_of, of.items, both, of.all, items=len(of.items), sums=not none,
        dtype=of.real if none else np.float64, meta=np.empty((0,) * len(of.items)), **sums,
    )  # fmt: skip
    if none:
        return totals, grad
    totals = totals.sum(split_every=_TOGETHER)
    return _loss_of(totals, divisor, of.real), grad


# -- classes in shards ----------------------------------------------------------------------------


def _partials(z: Any, t: Any, target_logit: Any, options: Any, first: int, classes: int) -> Any:
    return ce.partials(z, t, target_logit=target_logit, first=first, classes=classes, **options)


def _target_logits(z: Any, t: Any, axis: int, first: int) -> Any:
    """Those of the targets that are in the shard; 0 for the others."""
    with np.errstate(invalid="ignore"):
        t = np.asarray(t).astype(np.int64)
    here = (t >= first) & (t < first + z.shape[axis])
    places = np.where(here, t - first, 0)
    if z.shape[axis] == 0:
        return np.zeros(np.shape(t), np.float64)
    found = np.take_along_axis(z, np.expand_dims(places, axis), axis)
    return np.where(here, np.squeeze(found, axis).astype(np.float64), 0)


def _added(arrays: list[Any]) -> Any:
    return sum(arrays[1:], start=arrays[0])


def _shard_sums(criterion: Any, t: Any, merged: Any, v: Any) -> Any:
    if _has_two_means(criterion):  # only a sum is asked for
        return np.array([float(criterion.shard_loss(t, merged, sample_weight=v)), 1.0])
    return np.array(shards.shard_sums(criterion, t, merged, v))


def _shard_losses(criterion: Any, t: Any, merged: Any, v: Any) -> Any:
    return np.asarray(criterion.shard_loss(t, merged, sample_weight=v))


def _shard_grad(criterion: Any, z: Any, t: Any, merged: Any, v: Any, first: int, by: Any) -> Any:
    divisor, g = by
    if criterion.reduction == "none":
        return criterion.shard_grad(z, t, merged, first=first, sample_weight=v, grad_output=g)
    by, upstream = _normalizer_of(divisor, g)
    whole = replace(criterion, reduction="mean")
    if _has_two_means(criterion):
        whole, by = criterion, None
    return whole.shard_grad(
        z, t, merged, first=first, sample_weight=v, normalizer=by, grad_output=upstream
    )


def _field(stats: Any, *, field: str) -> Any:
    return np.asarray(getattr(_one(stats), field))


def _joined(blocks: Any, chunks: tuple[tuple[int, ...], ...]) -> da.Array:
    """An array of blocks, chunks without elements included, which dask leaves out."""
    if not blocks.ndim:
        return blocks[()]
    return da.block(blocks.tolist()).rechunk(chunks)


class _Shards:
    """Blocks of rows, each a list of blocks of classes, and what these make when they are merged.

    They are tasks of their own: as parts of a block's task all of its shards would be read by one.
    """

    def __init__(self, of: _Arrays, options: Any, ranks: bool):
        assert of.axis is not None
        self.of, self.options, self.axis = of, options, of.axis
        z = of.logits.to_delayed(optimize_graph=False)
        self.blocks = np.moveaxis(z, self.axis, -1)
        self.index = list(np.ndindex(self.blocks.shape[:-1]))
        self.firsts = [0, *np.cumsum(of.logits.chunks[self.axis])[:-1].tolist()]
        none = np.full(self.blocks.shape[:-1], None, object)
        self.t = none if of.target is None else of.target.to_delayed(optimize_graph=False)
        self.v = none if of.weight is None else of.weight.to_delayed(optimize_graph=False)
        self.merged = {i: self._merge(i, ranks) for i in self.index}

    @classmethod
    def for_loss(cls, criterion: Any, of: _Arrays) -> _Shards:
        options = {name: getattr(criterion, name) for name in (*_BENDS, "ignore_index")}
        if criterion.label_smoothing != 0:
            options |= {name: getattr(criterion, name) for name in ("label_smoothing", "weight")}
        options |= {"axis": of.axis, "stats": False}
        large = options.get("weight") is not None
        made = cls(of, delayed(options, traverse=False) if large else options, False)
        made.criterion = _shared(criterion)
        return made

    criterion: Any = None

    def _merge(self, i: tuple[int, ...], ranks: bool) -> Any:
        logits = None
        if ranks:
            one = delayed(_target_logits)
            found = [
                one(z, self.t[i], self.axis, first)
                for z, first in zip(self.blocks[i], self.firsts, strict=True)
            ]
            logits = delayed(_added)(found)
        one, classes = delayed(_partials), self.of.logits.shape[self.axis]
        parts = [
            one(z, self.t[i], logits, self.options, first, classes)
            for z, first in zip(self.blocks[i], self.firsts, strict=True)
        ]
        return delayed(ce.merge_partials)(parts)

    def items(self, make: Any, dtype: Any) -> da.Array:
        """Of the items: make(index of a block of rows) is what one block is."""
        found = np.empty(self.blocks.shape[:-1], object)
        for i in self.index:
            shape = tuple(sizes[k] for sizes, k in zip(self.of.chunks, i, strict=True))
            found[i] = da.from_delayed(make(i), shape, dtype)
        return _joined(found, self.of.chunks)

    def losses(self) -> da.Array:
        one = delayed(_shard_losses)
        return self.items(
            lambda i: one(self.criterion, self.t[i], self.merged[i], self.v[i]), self.of.real
        )

    def loss(self, divisor: Any) -> da.Array:
        """The sum of the losses over the divisor; None: what their mean divides by."""
        one = delayed(_shard_sums)
        sums = [one(self.criterion, self.t[i], self.merged[i], self.v[i]) for i in self.index]
        loss = delayed(_loss_of_sums)(sums, divisor, real=self.of.real)
        return da.from_delayed(loss, (), self.of.real)

    def gradients(self, divisor: da.Array, g: tuple[Any, Any]) -> da.Array:
        one, by = delayed(_shard_grad), divisor.to_delayed(optimize_graph=False).item()
        given = None if g[1] is None else g[0].to_delayed(optimize_graph=False)
        dtype = self.of.dtype
        found = np.empty(self.blocks.shape, object)
        for i in self.index:
            upstream = g[0] if given is None else given[i]
            for k, first in enumerate(self.firsts):
                shape = [sizes[j] for sizes, j in zip(self.of.chunks, i, strict=True)]
                shape.insert(self.axis, self.of.logits.chunks[self.axis][k])
                found[(*i, k)] = da.from_delayed(
                    one(
                        self.criterion, self.blocks[(*i, k)], self.t[i], self.merged[i],
                        self.v[i], first, (by, upstream),
                    ),
                    tuple(shape), dtype,
                )  # fmt: skip
        return _joined(np.moveaxis(found, -1, self.axis), self.of.logits.chunks)


# -- statistics -----------------------------------------------------------------------------------


def _stats_block(z: Any, t: Any, v: Any, *, options: Any) -> Any:
    return ce.token_stats(*_given(z, t), **options)


def token_stats(
    logits: Any,
    target: Any = None,
    *,
    top_k: int = 0,
    ignore_index: int = -100,
    logit_scale: float = 1.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    axis: int = -1,
) -> ce.TokenStats:
    """`ce.token_stats` of a dask array, lazily.

    Parameters
    ----------
    logits : dask array in any chunks, or what `dask.array.asarray` takes
    target : array of integers that broadcasts to the items, optional
    top_k : int, optional
        For logits that are not in chunks along the class axis.
    ignore_index, logit_scale, softcap, temperature, axis
        As in `ce.token_stats`.

    Returns
    -------
    TokenStats of dask arrays
        Compute them together, as ``dask.compute(stats.log_prob, stats.rank)``: each chunk is then
        visited once, chunks of classes twice where ranks are asked for.

    Raises
    ------
    TypeError, ValueError
        As `value`.

    Examples
    --------
    >>> import dask
    >>> import dask.array as da
    >>> import numpy as np
    >>> import ce.dask
    >>> logits = da.from_array(np.eye(6), chunks=(4, 3))
    >>> stats = ce.dask.token_stats(logits, np.arange(6))
    >>> entropy, greedy = dask.compute(stats.entropy.mean(), stats.greedy.all())
    >>> float(entropy.round(4)), bool(greedy)
    (1.6915, True)
    """
    of = _arrays(logits, target, None, axis, True, True)
    if of.full:
        raise ValueError("target has the shape of the logits; it must be class indices")
    options: dict[str, Any] = {
        "ignore_index": ignore_index, "logit_scale": logit_scale, "softcap": softcap,
        "temperature": temperature, "axis": of.axis,
    }  # fmt: skip
    _core.Prepared("token_stats", **options)  # they are checked now
    names = ["log_prob", "max", "log_sum", "entropy", "argmax", "rank"]
    kept = [name for name in names if target is not None or name not in ("log_prob", "rank")]
    dtypes = {"argmax": np.dtype(np.int64), "rank": np.dtype(np.int64)}
    fields: dict[str, Any] = dict.fromkeys(names)
    if of.in_shards:
        if top_k:
            raise ValueError(
                "top_k is for logits that are not in chunks along the classes; "
                f"logits.rechunk({{{of.axis}: -1}}) joins them"
            )
        split = _Shards(of, options, target is not None)
        one = delayed(_field)
        for name in kept:
            fields[name] = split.items(
                lambda i, name=name: one(split.merged[i], field=name), dtypes.get(name, of.real)
            )
        return ce.TokenStats(**fields)
    if top_k:
        options["top_k"] = _check.top_k(top_k, of.logits.shape[of.axis or 0])
    stats = of.by_block(
        _stats_block, of.all, options=options, dtype=object, meta=_objects(of.logits.ndim)
    )
    for name in kept:
        dtype = dtypes.get(name, of.real)
        fields[name] = da.blockwise(
            _field, of.items, stats, of.all, field=name, dtype=dtype,
            meta=np.empty((0,) * len(of.items), dtype),
        )  # fmt: skip
    new = of.logits.ndim
    for name in ("top_index", "top_log_prob") if top_k else ():
        dtype = np.dtype(np.int64) if name == "top_index" else of.real
        fields[name] = da.blockwise(
            _field, (*of.items, new), stats, of.all, new_axes={new: options["top_k"]},
            field=name, dtype=dtype, meta=np.empty((0,) * (len(of.items) + 1), dtype),
        )  # fmt: skip
    return ce.TokenStats(**fields)
