"""Several axes at once, for the functions along an axis: `_core` knows one.

The axes are seen as one where their strides allow it, and copied into one where not. A call with
one `int` does not come here. Whatever can run a user's code (`__index__`, `__array__`) is asked
first; what follows looks at views of plain arrays, whose shapes nobody else can change.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ce import _arrays, _check, _core
from ce._arrays import Bits

Axes: TypeAlias = SupportsIndex | tuple[SupportsIndex, ...] | None
Shape = tuple[int, ...]


# -- the axes -------------------------------------------------------------------------------------


def _chosen(axis: Any) -> int | Shape | None:
    """The axis, the axes, or None for all of them."""
    if axis is None:
        return None
    if not isinstance(axis, tuple):
        return _index(axis)
    several = tuple([_index(one) for one in axis])
    return several[0] if len(several) == 1 else several


def _index(axis: Any) -> int:
    if not isinstance(axis, bool | np.bool_):
        try:
            return int(operator.index(axis))
        except TypeError:
            pass
    raise TypeError(
        f"axis is {_check.shown(axis)}; it must be an integer, a tuple of integers, or None"
    )


class _Merger:
    """The axes of arrays of one shape, of which some are to become the last, and one."""

    def __init__(self, name: str, x: NDArray[Any], axis: Shape | None) -> None:
        rank = x.ndim
        for one in axis or ():
            if not -rank <= one < rank:
                _check.bad_axis(name, one, rank)
        axes = list(range(rank)) if axis is None else [one % rank for one in axis]
        if len(set(axes)) < len(axes):
            twice = next(one for one in axes if axes.count(one) > 1)
            raise ValueError(f"axis is {axis}; it names axis {twice} more than once")
        # As they lie in memory, so that those of an array in F order merge as well.
        axes.sort(key=lambda one: (-abs(x.strides[one]), one))
        self.axes = tuple(axes)
        self.rest = tuple([one for one in range(rank) if one not in axes])
        self.shape = x.shape

    def reduced(self, keepdims: bool) -> Shape:
        """The shape of a result with one number for each place along the other axes."""
        lengths = enumerate(self.shape)
        return tuple([1 if i in self.axes else n for i, n in lengths if keepdims or i in self.rest])

    def merge(self, x: NDArray[Any]) -> NDArray[Any]:
        """The axes as one, at the end: a view, or a copy where there is none."""
        x = x.transpose(self.rest + self.axes)
        cut = len(self.rest)
        return x.reshape((*x.shape[:cut], math.prod(x.shape[cut:])))

    def write(self, merged: NDArray[Any], out: NDArray[Any]) -> None:
        """Copy what was merged to where it belongs."""
        place = out.transpose(self.rest + self.axes)
        place[...] = merged.reshape(place.shape)


# -- arrays ---------------------------------------------------------------------------------------


def _plain(out: Any, **given: Any) -> list[Any]:
    """Views of `out` (or None) and the rest as plain arrays; all are asked before one is seen."""
    watch = _core.Watch()
    arrays: list[Any] = []
    if out is None:
        arrays.append(None)
    else:
        arrays.append(_arrays.as_out("out", out))
        watch.add("out", arrays[-1])
    for name, x in given.items():
        arrays.append(_arrays.as_array(name, x))
        watch.add(name, arrays[-1])
    watch.confirm()
    return [None if array is None else array.view() for array in arrays]


def _fit(name: str, x: NDArray[Any], shape: Shape) -> None:
    if x.shape != shape:
        _check.bad_shape(name, x.shape, shape)


def _filled(
    merger: _Merger,
    z: NDArray[Any],
    out: Any,
    inputs: tuple[tuple[str, NDArray[Any], bool], ...],
    run: Callable[[NDArray[Any], NDArray[Any]], Any],
) -> NDArray[Any]:
    """An array like z: `out`, or a new one. `run` gets z merged, and what to fill for it.

    Inputs: name, array, and whether `out` may be it.
    """
    code = z.code if isinstance(z, Bits) else _check.NAMES.index(z.dtype.name)
    place = result = np.empty_like(z, subok=False) if out is None else out
    if out is not None:
        _check.out("out", place, z.shape, code)
        _check.overlaps("out", place, inputs)
        if isinstance(z, Bits):
            place = np.asarray(place).view(np.uint16)
    elif isinstance(z, Bits):
        result = _arrays.numbers_of_bits(place, code)
    merged = merger.merge(z)
    is_copy = merged.size > 0 and not np.may_share_memory(merged, z)
    filled = np.asarray(merged) if is_copy else merger.merge(place)
    run(merged, filled)
    if not np.may_share_memory(filled, place):
        merger.write(filled, place)
    return result


# -- the functions --------------------------------------------------------------------------------


def axis_sum(loss: int, axis: Axes, **given: Any) -> Any:
    """Sums of a function of p, or of p and q."""
    several = _chosen(axis)
    if isinstance(several, int):
        return _core.axis_sum(loss, given["p"], given.get("q"), several)
    _, p, *others = _plain(None, **given)
    merger = _Merger("p", p, several)
    for q in others:
        _fit("q", q, p.shape)
    merged = [merger.merge(x) for x in (p, *others)]
    return _core.axis_sum(loss, merged[0], merged[1] if others else None, -1)


def normalise(loss: int, x: Any, axis: Axes, out: Any) -> NDArray[Any]:
    """softmax or log_softmax."""
    several = _chosen(axis)
    if isinstance(several, int):
        return _core.normalise(loss, x, several, out)
    place, x = _plain(out, x=x)
    z = _check.floats("x", x)
    result = _filled(
        _Merger("x", z, several), z, place, (("x", x, True),),
        lambda z, place: _core.normalise(loss, z, -1, place),
    )  # fmt: skip
    return result if out is None else out


def normalise_backward(
    loss: int, grad_output: Any, output: Any, axis: Axes, out: Any
) -> NDArray[Any]:
    """The backward pass of softmax or log_softmax, from its output."""
    several = _chosen(axis)
    if isinstance(several, int):
        return _core.normalise_backward(loss, grad_output, output, several, out)
    place, grad_output, output = _plain(out, grad_output=grad_output, output=output)
    y, g = _check.floats("output", output), _check.floats("grad_output", grad_output)
    merger = _Merger("output", y, several)
    if type(g) is not type(y) or g.dtype != y.dtype:
        _check.bad_match("grad_output", "output", g, y)
    _fit("grad_output", g, y.shape)
    inputs = (("output", output, True), ("grad_output", grad_output, True))
    result = _filled(
        merger, y, place, inputs,
        lambda y, place: _core.normalise_backward(loss, merger.merge(g), y, -1, place),
    )  # fmt: skip
    return result if out is None else out


def logsumexp(loss: int, x: Any, axis: Axes, keepdims: Any, out: Any) -> Any:
    several, keepdims = _chosen(axis), _check.flag("keepdims", keepdims)
    if isinstance(several, int):
        return _core.logsumexp(loss, x, several, keepdims, out)
    place, x = _plain(out, x=x)
    merger = _Merger("x", x, several)
    shape = merger.reduced(keepdims)
    if out is not None:
        _fit("out", place, shape)
        _check.overlaps("out", place, (("x", x, False),))
        place = place.squeeze(merger.axes) if keepdims else place
    values = _core.logsumexp(loss, merger.merge(x), -1, False, place)
    if out is not None:
        return out
    return values.reshape(shape) if keepdims else values


def logsumexp_backward(
    loss: int, grad_output: Any, x: Any, axis: Axes, keepdims: Any, out: Any
) -> NDArray[Any]:
    several, keepdims = _chosen(axis), _check.flag("keepdims", keepdims)
    if isinstance(several, int):
        return _core.logsumexp_backward(loss, grad_output, x, several, keepdims, out)
    place, grad_output, x = _plain(out, grad_output=grad_output, x=x)
    z = _check.floats("x", x)
    merger = _Merger("x", z, several)
    _fit("grad_output", grad_output, merger.reduced(keepdims))
    g = grad_output.squeeze(merger.axes) if keepdims else grad_output
    inputs = (("x", x, True), ("grad_output", grad_output, False))
    result = _filled(
        merger, z, place, inputs,
        lambda z, place: _core.logsumexp_backward(loss, g, z, -1, False, place),
    )  # fmt: skip
    return result if out is None else out
