"""plots.py - the plots, in one style."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

from bench.cases import FORWARD, FORWARD_OUT, FUSED, FUSED_OUT, IN_PLACE, MODE_LABELS

mpl.use("Agg")
import matplotlib.pyplot as plt

COLOURS = {FORWARD: "#8a8f98", FUSED: "#e08a1e", FUSED_OUT: "#1f6fb4", IN_PLACE: "#5fae8b"}
COLOURS[FORWARD_OUT] = COLOURS[FUSED_OUT]
STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.edgecolor": "#9aa0a8",
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


def _dots(rows: list[Any], value: Any, path: Path, xlabel: str, log: bool) -> None:
    """One line per case, one dot per mode."""
    rows = [row for row in rows if value(row)]
    if not rows:
        return
    labels = list(dict.fromkeys(row.case.label for row in rows))
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(8.6, 1.4 + 0.31 * len(labels)))
        for y, label in enumerate(labels):
            own = [row for row in rows if row.case.label == label]
            found = [value(row) for row in own]
            axes.plot([min(log, *found), max(found)], [y, y], color="#dfe2e7", lw=2, zorder=1)
            text = f"{max(found):.{0 if max(found) >= 10 else 1}f}x" if log else f"{max(found):.0%}"
            axes.annotate(text, (max(found), y), (8, 0), textcoords="offset points", va="center")
        for mode in dict.fromkeys(row.mode for row in rows):
            of = [row for row in rows if row.mode == mode]
            ys = [labels.index(row.case.label) for row in of]
            name = None if mode == FORWARD_OUT else MODE_LABELS[mode].replace("`", "")
            kind = {"color": COLOURS[mode], "label": name, "edgecolors": "white", "lw": 0.6}
            axes.scatter([value(row) for row in of], ys, s=58, zorder=3, **kind)
        values = [value(row) for row in rows]
        if log:
            low, high = min(1, *values) / 1.15, max(values) * 1.6
            axes.axvline(1, color="#444444", lw=1)
            axes.set_xscale("log")
            ticks = [t for t in TICKS if low <= t <= high]
            axes.set_xticks(ticks, [f"{t}x" for t in ticks])
            axes.minorticks_off()
            axes.set_xlim(low, high)
        else:
            axes.axvline(1, color="#444444", lw=1)
            axes.set_xlim(0, max(1.02, *values) * 1.08)
            axes.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1))
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(xlabel)
        figure.legend(loc="outside upper left", ncols=5, columnspacing=1.2, handletextpad=0.1)
        figure.savefig(path)
        plt.close(figure)


def ratios(rows: list[Any], path: Path) -> None:
    """How many times faster than torch."""
    _dots(
        rows,
        lambda row: row.torch and row.torch / row.ce,
        path,
        "times faster than torch, eager (logarithmic)",
        log=True,
    )


def fractions(rows: list[Any], path: Path) -> None:
    """The fraction of what the memory allows."""
    _dots(
        rows,
        lambda row: row.fraction,
        path,
        "fraction of the memory's bandwidth, measured beside it",
        log=False,
    )


def scaling(records: list[dict], titles: dict[str, str], path: Path) -> None:
    """Time per element over a size, a panel per sweep."""
    sweeps = {
        name: title for name, title in titles.items() if any(r["sweep"] == name for r in records)
    }
    with plt.rc_context(STYLE):
        columns = 2
        lines = -(-len(sweeps) // columns)
        figure, grid = plt.subplots(lines, columns, figsize=(10, 0.6 + 2.9 * lines), squeeze=False)
        for axes, (sweep, title) in zip(grid.flat, sweeps.items(), strict=False):
            own = [r for r in records if r["sweep"] == sweep]
            for key in sorted({(r["mode"], r["threads"]) for r in own}):
                line = [r for r in own if (r["mode"], r["threads"]) == key]
                mode, threads = key
                count = "1 thread" if threads == 1 else f"{threads} threads"
                axes.plot(
                    [r["size"] for r in line],
                    [r["seconds"] / r["elements"] * 1e9 for r in line],
                    color=COLOURS[mode],
                    ls="-" if threads > 1 else (0, (4, 1.5)),
                    marker="o",
                    ms=2.6,
                    lw=1.2,
                    label=f"{MODE_LABELS[mode].replace('`', '')}, {count}",
                )
            axes.set(xscale="log", yscale="log", title=title)
            axes.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())
            axes.set_ylabel("ns per element")
        for axes in list(grid.flat)[len(sweeps) :]:
            axes.set_visible(False)
        handles = {
            label: h
            for axes in grid.flat
            for h, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=2)
        figure.savefig(path)
        plt.close(figure)
