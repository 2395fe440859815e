"""rows.py - what a row of the oracle says of a loss, or of a function along an axis."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from oracle.exact import Derivatives, Exact
from oracle.jets import Truth

Arrays = tuple[np.ndarray, ...]


# -- options --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Wrong:
    """A value that an option refuses, for arguments (4, 3): the error, and words of its message."""

    value: Any
    error: type[Exception] | tuple[type[Exception], ...]
    words: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Option:
    """An option of a loss, a maker of its value, and values that it must refuse.

    The maker is called with rng, the number of classes, the shape of the items and the dtype.
    """

    name: str
    make: Callable[..., Any]
    wrong: tuple[Wrong, ...] = ()
    array: bool = True  # of numbers, any of which are as good as others


def always(name: str, value: Any, *wrong: Wrong) -> Option:
    """The option with that value."""
    return Option(name, partial(_value, value), wrong, array=False)


def _value(value, rng, classes, items, dtype):
    return value


def per_item(rng, classes, items, dtype):
    """A weight of every item."""
    return rng.uniform(0.25, 2, items).astype(dtype)


def per_class(rng, classes, items, dtype):
    """A weight of every class; in a batch some do not count."""
    w = rng.uniform(0.25, 2, classes)
    if items:
        w *= rng.random(classes) < 0.9
    return w.astype(dtype)


def per_element(rng, classes, items, dtype):
    """A weight of every element; some do not count."""
    w = rng.uniform(0.25, 2, items) * (rng.random(items) < 0.9)
    return w.astype(dtype)


def per_column(rng, classes, items, dtype):
    """A weight of every column, to be broadcast."""
    return rng.uniform(0.25, 2, items[-1:]).astype(dtype)


_FOUR = np.ones(4, np.float32)
_COMPLEX = Wrong(np.ones(3, complex), TypeError, ("complex128",))
_TEXT = Wrong(np.array(["a"] * 3), TypeError)
OF_CLASSES = (
    Wrong(_FOUR, ValueError, (r"\(4,\)", r"\(3,\)")),
    Wrong(_FOUR[:, None], ValueError, (r"\(4, 1\)",)),
    _COMPLEX,
    _TEXT,
)
OF_ELEMENTS = (
    Wrong(_FOUR, ValueError, (r"\(4,\)", r"\(4, 3\)")),
    Wrong(np.ones((2, 4, 3)), ValueError, (r"\(2, 4, 3\)",)),
    _COMPLEX,
    _TEXT,
)
NO_NUMBERS = (
    Wrong(np.nan, ValueError, ("nan",)),
    Wrong(np.inf, ValueError, ("inf",)),
    Wrong("2", TypeError, ("'2'",)),
    Wrong("much", TypeError, ("'much'",)),
    Wrong(None, TypeError, ("None",)),
)  # fmt: skip


SAMPLE_WEIGHT = Option("sample_weight", per_item)
ELEMENT_WEIGHT = Option("weight", per_element, OF_ELEMENTS)
COLUMN_WEIGHT = Option("weight", per_column, OF_ELEMENTS)
IGNORED = always(
    "ignore_index", 0, Wrong(1.5, TypeError, (r"1\.5",)), Wrong(None, TypeError, ("None",)),
    Wrong("no", TypeError, ("no|str",)), Wrong(2**63, ValueError, (str(2**63), "int64")),
)  # fmt: skip
NEGATIVE = tuple(
    Wrong(x, ValueError, (re.escape(str(x)),)) for x in (-0.5, -1, -1.0, -1.5)
)  # fmt: skip
GAMMAS = [
    always("gamma", gamma, *NEGATIVE, *NO_NUMBERS, Wrong([1, 2], TypeError))
    for gamma in (0, 0.25, 0.5, 1, 1.5, 3, 5)
]


# -- rows -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """Inputs at which accuracy is measured: tails as well as the usual, with options if any.

    `tails` takes rng, a number of numbers and a dtype, and yields batches of arrays.
    """

    tails: Callable[..., Iterator[Arrays]]
    variant: str = ""
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class Row:
    """What losses and functions have in common.

    `core` is the engine's name of it. `define` is the mathematics in long double, and how far from
    it a result may be; `truth` are the formulas in mpmath, to as many digits as it takes. `assumes`
    says on what the bounds of `define` rely: whoever adds a row must see that it holds there.
    """

    name: str
    core: str
    define: Callable[..., Any]
    truth: Callable[..., Truth]
    measured: tuple[Measured, ...]
    assumes: str
    variant: str = ""

    @property
    def label(self) -> str:
        """The name of the function in `ce`, and the variant."""
        return _label(self.name, self.variant)

    def label_of(self, measured: Measured) -> str:
        """The label under which that measurement is reported."""
        return _label(self.label, measured.variant)


def _label(*parts: str) -> str:
    return "-".join(filter(None, parts))


@dataclass(frozen=True, eq=False, kw_only=True)
class Function(Row):
    """A function along an axis.

    `arrays` takes rng, a shape, an axis and a dtype, and makes all arguments but the axis. The
    result `drops` the axis, and holds values then; or it has shape and dtype of the last argument.
    Most can write into an `out`; `place` tells which of the arguments that may be.
    """

    define: Callable[..., Exact]
    arrays: Callable[..., Arrays]
    drops: bool = False
    out: bool = True
    place: tuple[int, ...] = ()


@dataclass(frozen=True)
class Torch:
    """The counterpart in torch: a name in torch.nn.functional, or a function of tensors.

    `rtol` must be allowed at least. `sound` takes the problem and torch's gradient, and tells where
    that has digits, or None if everywhere; if not, `slack` times as much is allowed there.
    """

    function: str | Callable[..., Any]
    rtol: float = 0.0
    sound: Callable[..., Any] | None = None
    slack: float = 1.0


@dataclass(frozen=True)
class Curve:
    """A curve of ``python -m ce plot``: its label after the name, options of the command, the call.

    The call has a number as its target; of classes 0 is, beside another with a logit of 0.
    """

    label: str = ""
    given: dict[str, Any] = field(default_factory=dict)
    target: float = 0
    options: dict[str, Any] = field(default_factory=dict)


SOFTMAX_SHAPES = (
    ((11,), None), ((37, 11), None), ((23, 2), None), ((3, 7, 29), None), ((2, 5, 3, 9), None),
    ((2, 40, 6, 5), None), ((3, 4, 21), -1), ((2, 3, 4, 130), -1), ((6, 2, 5), 0),
)  # fmt: skip
POINTWISE_SHAPES = (((), None), ((11,), None), ((37, 11), None), ((3, 7, 29), None))
POINTWISE_SHAPES += (((2, 5, 3, 9), None), ((2, 3, 700), None))


@dataclass(frozen=True, eq=False, kw_only=True)
class Loss(Row):
    """A loss: a function and a criterion class.

    What it is of: `input` is the name of the first argument in messages. `arrays` takes rng, a
    shape, an axis and a dtype, and makes input and target; of class `indices`, or of numbers in the
    shape of the input. `ends` takes rng, a number and a dtype, and makes elements from where the
    loss all but vanishes to where it overflows (for rows of classes the tests know these). Outside
    of the `domain` numbers of both are errors. It is `linear` if the gradient depends on the target
    alone; the first derivative jumps at `kinks`, distances of input and target.

    What it is told: `sweeps` are the sets of options to test together, each with all `reductions`;
    `fixed` options belong to the row, and those named in `per_call` to the methods. `hessians` are
    the names of its Hessians, if there are several: "gauss_newton" takes the factor A of a gradient
    A (p - y) as constant, "abs" is the absolute gradient.

    `axis` is what it is drawn over, `curves` are what the drawing must show.
    """

    criterion: str
    define: Callable[..., Derivatives]
    input: str
    arrays: Callable[..., tuple[np.ndarray, np.ndarray]]
    sweeps: tuple[tuple[Option, ...], ...]
    axis: str
    curves: tuple[Curve, ...] = ()
    torch: Torch | None = None
    ends: Callable[..., tuple[np.ndarray, np.ndarray]] | None = None
    indices: bool = False
    domain: tuple[float, float] | None = None
    linear: bool = False
    kinks: tuple[float, ...] = ()
    fixed: dict[str, Any] = field(default_factory=dict)
    reductions: tuple[str, ...] = ("none", "sum", "mean")
    hessians: tuple[str, ...] = ()
    per_call: tuple[str, ...] = ()

    @property
    def classes(self) -> bool:
        """Whether items are rows of classes, rather than elements."""
        return "sample_weight" in self.per_call

    @property
    def options(self) -> dict[str, Option]:
        """The options of the criterion by name, one of those that the sweeps have."""
        found = {option.name: option for sweep in self.sweeps for option in sweep}
        return {name: o for name, o in sorted(found.items()) if name not in self.per_call}

    @property
    def weights(self) -> list[str]:
        """The names of the options that are arrays; the weight of classes or elements first."""
        return sorted((n for n, o in self.options.items() if o.array), key="weight".__ne__)

    @property
    def shapes(self):
        """Shapes, each with a class axis."""
        return SOFTMAX_SHAPES if self.classes else POINTWISE_SHAPES


HESSIANS = ("exact", "gauss_newton", "abs")


def over_classes(*sweeps, **facts) -> Loss:
    """A loss of logits or log-probabilities along a class axis."""
    assumes = "Items enter by `softmax_facts`: its errors hold for z_k - m, one rounding, and e^x."
    return Loss(sweeps=((), *sweeps), per_call=("sample_weight",), **{"assumes": assumes} | facts)


def over_elements(*sweeps, **facts) -> Loss:
    """A loss of single elements."""
    assumes = (
        "No exponential has a rounded argument, so that 8 u of the terms will do; one whose "
        "argument a is rounded costs |a| u more: |a| / 8 times the term belongs to the `size`."
    )
    return Loss(sweeps=((), *sweeps), **{"assumes": assumes} | facts)
