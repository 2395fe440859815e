"""``python -m ce plot``: the losses and their gradients as pictures."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import ce
from ce import _core

Array = NDArray[np.float64]
Options = Mapping[str, Sequence[Any]]  # the values of each option; every one is a curve


class Axis(NamedTuple):
    """What the losses of one kind are drawn over."""

    name: str
    label: str
    letter: str
    range: tuple[float, float]
    loss: str = "loss (nats)"
    per_letter: str = ""  # the unit of the gradient
    poles: bool = False  # at 0 and 1, between which it lies
    log: bool = False  # whether inputs are logarithms of what they are drawn over
    target: str = ""  # its letter, where curves have one
    targets: tuple[float, ...] = (0,)

    def check_range(self, low: float, high: float) -> None:
        """Raise ValueError for ends between which nothing can be drawn."""
        if not (low < high and high - low < math.inf):
            raise ValueError("argument --range: LO must be below HI, both finite")
        for end in (low, high) if self.poles else ():
            if not 0 <= end <= 1:
                raise ValueError(f"argument --range: {end:g} is not in [0, 1]")


class Loss(NamedTuple):
    """A loss that can be drawn."""

    criterion: Any
    axis: Axis
    has_classes: bool


PROBABILITY = Axis(
    "probability", "probability $x$", "x", (0, 1), per_letter=" (nats)", poles=True, target="y",
    targets=(0, 1),
)  # fmt: skip
LOGIT = Axis("logit", "logit $x$ (nats)", "x", (-6, 6), target="y", targets=(0, 1))
# By what the inputs of a loss hold, see losses.def.
AXES = {
    ("numbers", "numbers"): Axis("residual", "residual $r$ = input − target", "r", (-2, 2), "loss"),
    ("logits", "classes"): Axis(
        "margin", r"margin $z_t - z_\mathrm{other}$ of two classes (nats)", "z_t", (-4, 6)
    ),
    ("logits", "probs"): LOGIT,
    ("logits", "unit"): LOGIT,
    ("unit", "unit"): PROBABILITY,
    ("log_probs", "classes"): PROBABILITY._replace(log=True, target="", targets=(0,)),
    ("log_probs", "probs"): PROBABILITY._replace(log=True, target="p", targets=(0.2, 0.5, 1)),
}
# What is drawn by default, where that is not the loss's own default.
DEFAULTS: dict[str, Options] = {"focal_loss": {"gamma": (0.5, 1, 2, 5)}}


def _losses() -> dict[str, Loss]:
    """Every public loss by its function, in the order of the axes, then of their definition."""
    rows = {row["name"]: row for row in _core.losses()}
    classes = [getattr(ce, name) for name in ce.__all__ if name.endswith("Loss") and name != "Loss"]
    families = dict.fromkeys(criterion.__module__ for criterion in classes)
    found = [x for family in families for x in vars(sys.modules[family]).values() if x in classes]
    losses = {}
    for axis in AXES:
        for criterion in found:
            row = rows[criterion._loss]
            if (row["first"], row["second"]) == axis:
                losses[criterion._function] = Loss(criterion, AXES[axis], row["has_classes"])
    return losses


LOSSES = _losses()
PICTURES = (
    ("mse_loss", "l1_loss", "huber_loss"),
    ("cross_entropy", "focal_loss"),
    ("binary_cross_entropy_with_logits", "sigmoid_focal_loss"),
)
# Options that a curve can have: all that are one number, and these weights.
CURVED = {option["keyword"] for option in _core.options() if "rule" in option} | {"pos_weight"}
LETTERS = {"delta": "δ", "beta": "β", "gamma": "γ", "alpha": "α", "label_smoothing": "ε"}
LETTERS |= {"z_loss": "λ", "temperature": "T"}
UNMARKED = {"logit_scale": 1.0, "temperature": 1.0}  # what no label names, unless it is asked for

# Okabe and Ito's palette, which the colour-blind can tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#777777")
DASHES = ("-", "--", ":", "-.")
DPI = 160
NEAR = 1e-9  # so far from 0, a gradient that jumps there has jumped
FILE_BACKENDS = ("agg", "cairo", "pdf", "pgf", "ps", "svg", "template")


class Curve(NamedTuple):
    """A loss with its options, of one target, and its style as matplotlib's options."""

    criterion: Any
    has_classes: bool
    log: bool
    target: float
    style: dict[str, Any]


def options_of(name: str) -> dict[str, Sequence[Any]]:
    """The options with which the loss can be drawn, and their default values."""
    criterion, axis, _ = LOSSES[name]
    own = {f.name: [f.default] for f in fields(criterion) if f.name in CURVED}
    targets = {"target": axis.targets} if axis.target else {}
    return {**own, **targets, **DEFAULTS.get(name, {})}


def _criteria(name: str, given: Options) -> Iterator[tuple[str, Any]]:
    """The loss with every combination of its options, labelled with their values."""
    choices = {o: given.get(o, values) for o, values in options_of(name).items() if o in CURVED}
    for values in product(*choices.values()):
        options = dict(zip(choices, values, strict=True))
        shown = {
            o: v
            for o, v in options.items()
            if v is not None and (o in given or v not in (0, UNMARKED.get(o)))
        }
        label = ", ".join([name, *(f"{LETTERS.get(o, o)} = {v:g}" for o, v in shown.items())])
        yield label, LOSSES[name].criterion(**options, reduction="none")


def curves(names: Sequence[str], given: Options) -> list[Curve]:
    """The curves of one picture: colours tell losses apart, or the targets of a single one."""
    import matplotlib

    losses = [(name, *pair) for name in names for pair in _criteria(name, given)]
    single = len(losses) == 1
    # Every curve is thinner than the one before, which so remains in sight where both run together.
    widths = np.linspace(min(1.2 + 0.6 * len(losses), 3.4), 1.8, len(losses))
    result = []
    for i, (name, label, criterion) in enumerate(losses):
        axis, labels = LOSSES[name].axis, [label]
        targets: Sequence[float] = axis.targets
        if axis.target:
            targets = given.get("target", targets)
            labels = [f"{label}, {axis.target} = {target:g}" for target in targets]
        count = len(targets) if single else len(losses)
        colours: Any = COLOURS
        if count > len(COLOURS):
            colours = matplotlib.colormaps["cividis"](np.linspace(0, 0.9, count))
        for j, (text, target) in enumerate(zip(labels, targets, strict=True)):
            style = {
                "label": text,
                "color": colours[j if single else i],
                "linestyle": "-" if single else DASHES[j % len(DASHES)],
                "linewidth": widths[i],
            }
            result.append(Curve(criterion, LOSSES[name].has_classes, axis.log, target, style))
    return result


def value_and_grad(curve: Curve, x: Array) -> tuple[Array, Array]:
    """Loss and derivative at every x: an input, or the logit of the target beside another of 0."""
    if curve.log:
        return _of_outcomes(curve, x)
    if not curve.has_classes:
        return curve.criterion.value_and_grad(x, curve.target)  # type: ignore[no-any-return]
    logits = np.stack([x, np.zeros_like(x)], axis=1)
    value, grad = curve.criterion.value_and_grad(logits, np.zeros(len(x), int))
    return value, grad[:, 0]


def _of_outcomes(curve: Curve, x: Array) -> tuple[Array, Array]:
    """Loss and derivative by the probability x of the first of two outcomes.

    The target is the first outcome, or has the probabilities p and 1 - p of both.
    """
    q = np.stack([x, 1 - x], axis=1)
    p = [curve.target, 1 - curve.target]
    target = np.zeros(len(x), int) if curve.has_classes else np.tile(p, (len(x), 1))
    value, grad = curve.criterion.value_and_grad(np.log(q), target)
    slopes = grad / q
    return value.reshape(len(x), -1).sum(axis=1), slopes[:, 0] - slopes[:, 1]


def _mark_jump(axes: Any, x: Array, grad: Array, colour: Any) -> Array:
    """Where the gradient jumps at 0, mark its limits and its value; return it with a gap there."""
    limits, value = grad[abs(x) == NEAR], grad[x == 0]
    if not value.size or np.ptp([*limits, *value]) < 1e-3:
        return grad
    dots = {"color": colour, "linestyle": "", "marker": "o", "markersize": 5, "zorder": 3}
    axes.plot(0 * limits, limits, markerfacecolor=axes.get_facecolor(), **dots)
    axes.plot([0], value, **dots)
    return np.where(x == 0, np.nan, grad)


def draw(figure: Any, drawn: Sequence[Curve], axis: Axis, low: float, high: float) -> None:
    """Draw the losses on the left and their gradients on the right."""
    x = np.union1d(np.linspace(low, high, 801), np.clip((-NEAR, 0, NEAR, 1 - NEAR), low, high))
    x = x[(x > 0) & (x < 1)] if axis.poles else x
    panels = figure.subplots(1, 2)
    for curve in drawn:
        value, grad = value_and_grad(curve, x)
        if not np.isfinite(value).all():
            raise ValueError(f"argument --range: {curve.style['label']} is not finite there")
        panels[0].plot(x, value, **curve.style)
        panels[1].plot(x, _mark_jump(panels[1], x, grad, curve.style["color"]), **curve.style)
    gradient = rf"gradient $\partial$ loss / $\partial {axis.letter}${axis.per_letter}"
    for axes, label in zip(panels, (axis.loss, gradient), strict=True):
        axes.set(xlabel=axis.label, ylabel=label, xlim=(low, high))
        if axis.poles:
            inside = np.minimum(x, 1 - x) > 0.05 * (high - low)
            y = np.concatenate([line.get_ydata()[inside] for line in axes.lines])
            axes.set_ylim(y.min() - 0.05 * np.ptp(y), y.max() + 0.05 * np.ptp(y))
        axes.axhline(0, color="#888888", linewidth=0.8, zorder=1)
        axes.grid(color="#888888", alpha=0.2, linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    columns = max(1, 140 // (max(map(len, labels)) + 7))
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, frameon=False)


def _open_window(**options: Any) -> Any:
    from matplotlib import pyplot

    if pyplot.get_backend().lower() in FILE_BACKENDS:
        raise ImportError(f"the backend of matplotlib is {pyplot.get_backend()}")
    return pyplot.figure(**options)


def _save(figure: Any, output: str) -> str:
    """Write the file; a PNG in 256 colours, which look the same in a third of the bytes."""
    if Path(output).is_dir():
        raise IsADirectoryError(f"{output!r} is a folder")
    output = output if Path(output).suffix else f"{output}.png"
    if output.lower().endswith(".png"):
        from PIL import Image

        buffer = BytesIO()
        figure.savefig(buffer, dpi=DPI, format="png")
        image = Image.open(buffer).convert("RGB").quantize(256)
        image.save(output, optimize=True, dpi=(DPI, DPI))
    else:
        figure.savefig(output, dpi=DPI)
    return output


def show(
    pictures: Sequence[Sequence[str]],
    given: Options,
    ends: tuple[float, float] | None = None,
    output: str | None = None,
) -> str | None:
    """Draw the losses of each picture, one below the other; return the file that was written."""
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    new = Figure if output else _open_window
    figure: Any = new(figsize=(9.6, 3.7 * len(pictures)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.06)
    parts = figure.subfigures(len(pictures), squeeze=False).flat
    for names, part in zip(pictures, parts, strict=True):
        axis = LOSSES[names[0]].axis
        draw(part, curves(names, given), axis, *(ends or axis.range))
    if output:
        return _save(figure, output)
    pyplot.show()
    return None
