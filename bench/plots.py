"""plots.py - the plots, in one style."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl

from bench.cases import FORWARD, FORWARD_OUT, FUSED, FUSED_OUT, IN_PLACE, MODE_LABELS

mpl.use("Agg")
import matplotlib.pyplot as plt

# Okabe and Ito's colours, and shapes, for those who do not see them.
COLOURS = {FORWARD: "#777777", FUSED: "#d55e00", FUSED_OUT: "#0072b2", IN_PLACE: "#009e73"}
COLOURS[FORWARD_OUT] = COLOURS[FUSED_OUT]
MARKERS = {FORWARD: "o", FUSED: "s", FUSED_OUT: "D", FORWARD_OUT: "D", IN_PLACE: "^"}
STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.edgecolor": "#9aa0a8",
    "axes.titlesize": 10.5,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "font.size": 9.5,
    "grid.color": "#eceef1",
    "legend.frameon": False,
    "savefig.dpi": 170,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
}
TICKS = 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500
GREY = "#444444"

Value = Callable[[Any], float | None]  # of a report.Line


def _times(x: float) -> str:
    return f"{x:.{0 if x >= 9.95 else 1}f}x"


def _panel(axes: Any, rows: list[Any], labels: list[str], value: Value) -> None:
    """One line per case, one mark per mode."""
    for y, label in enumerate(labels):
        found = [x for row in rows if row.case == label and (x := value(row))]
        if found:
            axes.plot([min(1, *found), max(found)], [y, y], color="#dfe2e7", lw=2, zorder=1)
    for mode in dict.fromkeys(row.mode for row in rows):
        name = None if mode == FORWARD_OUT else MODE_LABELS[mode].replace("`", "")
        name = f"{name} (the plain call)" if mode == FUSED else name
        places = [
            (x, labels.index(row.case)) for row in rows if row.mode == mode if (x := value(row))
        ]
        if places:
            kind = {"color": COLOURS[mode], "label": name, "edgecolors": "white", "lw": 0.6}
            axes.scatter(*zip(*places, strict=True), s=46, zorder=3, marker=MARKERS[mode], **kind)
    axes.axvline(1, color=GREY, lw=1, zorder=2)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)


def _words(axes: Any, words: list[str]) -> None:
    """Words right of a panel, for each case."""
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(len(words)), words, color=GREY, fontsize=9)
    right.tick_params(length=0)
    right.spines["right"].set_visible(False)


def _legend(figure: Any, axes: Any, title: str) -> None:
    """Above all: the title, and what the marks are."""
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside upper left", ncols=4, title=title,
        title_fontsize=11, alignment="left", handletextpad=0.2, columnspacing=1.4,
    )  # fmt: skip


def _logarithmic(axes: Any, values: list[float]) -> None:
    low, high = min(1, *values) / 1.15, max(values) * 1.25
    axes.set_xscale("log")
    ticks = [t for t in TICKS if low <= t <= high]
    axes.set_xticks(ticks, [f"{t}x" for t in ticks])
    axes.minorticks_off()
    axes.set_xlim(low, high)


def _by_torch(row: Any) -> float | None:
    return row.torch and row.torch / row.ce


def _by_other(row: Any) -> float | None:
    return row.other and row.other / row.ce


def _plain_and_best(rows: list[Any], value: Value) -> str:
    """Of the modes of a case: the plain call, and the best of those with the same results."""
    modes = [row.mode for row in rows]
    chosen = [row for row in rows if row.mode != FORWARD or FUSED not in modes]
    found = [x for row in chosen if (x := value(row))]
    plain = [x for row in chosen if row.mode in (FORWARD, FUSED) if (x := value(row))]
    return " to ".join(dict.fromkeys(_times(x) for x in (*plain, max(found, default=0)) if x))


def ratios(rows: list[Any], about: str, path: Path) -> None:
    """How many times faster than torch, and than the best of the other libraries."""
    labels = list(dict.fromkeys(row.case for row in rows))
    panels = [("torch (eager)", _by_torch), ("the fastest other library", _by_other)]
    panels = [(name, value) for name, value in panels if any(map(value, rows))]
    if not panels:
        return
    with plt.rc_context(STYLE):
        size = 2.4 + 3.9 * len(panels), 2.1 + 0.29 * len(labels)
        figure, grid = plt.subplots(1, len(panels), figsize=size, sharey=True, squeeze=False)
        for axes, (name, value) in zip(grid[0], panels, strict=True):
            _panel(axes, rows, labels, value)
            _logarithmic(axes, [x for row in rows if (x := value(row))])
            axes.set(title=f"beside {name}", xlabel="its time / that of ce (logarithmic)")
            words = []
            for label in labels:
                own = [row for row in rows if row.case == label]
                names = sorted({row.rival for row in own if row.rival and value is _by_other})
                words.append(f"{_plain_and_best(own, value)}  {', '.join(names)}".rstrip())
            _words(axes, words)
        title = f"How many times faster ce is: {about}\n"
        _legend(figure, grid[0, 0], f"{title}numbers: the plain call to the best way of calling")
        figure.savefig(path)
        plt.close(figure)


def fractions(rows: list[Any], about: str, path: Path) -> None:
    """The fraction of what the memory allows."""
    rows = [row for row in rows if row.fraction]
    if not rows:
        return
    labels = list(dict.fromkeys(row.case for row in rows))
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(8.6, 2.0 + 0.29 * len(labels)))
        _panel(axes, rows, labels, lambda row: row.fraction)
        best = [max(row.fraction for row in rows if row.case == label) for label in labels]
        _words(axes, [f"{x:.0%}" for x in best])
        axes.set_xlim(0, max(1.02, *best) * 1.04)
        axes.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1))
        label = "bytes per second, of those of a loop that only reads, or copies past the caches\n"
        label += "(in place can be above: to write where one has read costs less than to copy)"
        axes.set_xlabel(label)
        _legend(figure, axes, f"How near to the memory's limit: {about}")
        figure.savefig(path)
        plt.close(figure)


def _marked(axes: Any, caches: dict[str, int], per_size: int, sizes: list[int]) -> None:
    """Mark where the bytes of what grows with the size fill a cache."""
    for name, capacity in caches.items() if per_size else ():
        at = capacity / per_size
        if min(sizes) < at < max(sizes):
            axes.axvline(at, color="#b9bec6", lw=1, ls=":", zorder=1)
            kind = {"color": "#7b818a", "fontsize": 8, "ha": "right", "va": "top"}
            axes.annotate(f"{name} ", (at, 0.99), xycoords=("data", "axes fraction"), **kind)


def scaling(measured: dict[str, Any], sweeps: dict[str, Any], path: Path) -> None:
    """Time per element over a size, a panel per sweep.

    A line joins the sizes that fill whole cache lines, and those below one; others are dots.
    """
    records, machine = measured["points"], measured["machine"]
    sweeps = {name: s for name, s in sweeps.items() if any(r["sweep"] == name for r in records)}
    with plt.rc_context(STYLE):
        lines = -(-len(sweeps) // 2)
        figure, grid = plt.subplots(lines, 2, figsize=(10, 1.2 + 2.9 * lines), squeeze=False)
        for axes, (name, sweep) in zip(grid.flat, sweeps.items(), strict=False):
            own = [r for r in records if r["sweep"] == name]
            for mode, threads in sorted({(r["mode"], r["threads"]) for r in own}):
                of = [r for r in own if (r["mode"], r["threads"]) == (mode, threads)]
                of.sort(key=lambda r: r["size"])
                count = "1 thread" if threads == 1 else f"{threads} threads"
                kind = {"color": COLOURS[mode], "marker": MARKERS[mode], "ms": 3, "lw": 1.3}
                label = f"{MODE_LABELS[mode].replace('`', '')}, {count}"
                dashes = "-" if threads > 1 else (0, (4, 1.5))
                on = [r for r in of if not sweep.awkward(r["size"])]
                off = [r for r in of if sweep.awkward(r["size"])]
                axes.plot(*_per_element(on), ls=dashes, label=label, **kind)
                fill = kind["color"] if threads > 1 else "white"
                axes.plot(*_per_element(off), ls="", **kind, mfc=fill, alpha=0.6, zorder=1)
            axes.set(xscale="log", yscale="log", title=sweep.title, xlabel=sweep.label)
            axes.xaxis.set_major_locator(mpl.ticker.LogLocator(numticks=12))
            axes.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())
            axes.set_ylabel("ns per logit")
            _marked(axes, machine["caches"], sweep.bytes, [r["size"] for r in own])
        for axes in list(grid.flat)[len(sweeps) :]:
            axes.set_visible(False)
        handles = {
            label: h
            for axes in grid.flat
            for h, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        title = f"Cross-entropy of float32 logits, time per logit: {machine['name']}, the best of "
        title += f"{measured['visits']} visits or more"
        figure.legend(
            handles.values(), handles.keys(), loc="outside upper left", title=title,
            title_fontsize=11, alignment="left", ncols=-(-len(handles) // 2),
        )  # fmt: skip
        figure.savefig(path)
        plt.close(figure)


def _per_element(records: list[dict[str, Any]]) -> tuple[list[int], list[float]]:
    """Sizes, and nanoseconds per element."""
    return [r["size"] for r in records], [r["seconds"] / r["elements"] * 1e9 for r in records]
