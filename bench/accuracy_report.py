"""accuracy_report.py - the tables and the plot of python -m bench.accuracy."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

import ce
from bench import LABELS, lib_numpy, page, plots, rivals, truth
from bench.ulps import Exact, ulps

NAMES = {"ce": "ce", "torch": "torch", **LABELS}
# in docs/accuracy.md: of each library the dtypes that it is used with
COLUMNS = [("ce", "float32"), ("ce", "float64"), ("ce", "float16"), ("ce", "bfloat16")]
COLUMNS += [("torch", "float32"), ("torch", "float64"), ("torch", "bfloat16")]
COLUMNS += [("scipy", "float32"), ("sklearn", "float32")]
SHOWN = "loss", "gradient", "Hessian", "value"
ROUNDED = 0.5  # ulps, of a correctly rounded number

Rows = list[Any]  # of accuracy.Row
Functions = list[tuple]  # name, type, instruction set or NumPy, kernels.Errors


def about(isas: list[str]) -> str:
    """Versions and instruction sets."""
    modules = ["ce", "mpmath", "numpy", *rivals.LIBRARIES]
    found = [importlib.import_module(m) for m in modules if importlib.util.find_spec(m)]
    versions = ", ".join(f"{m.__name__} {m.__version__}" for m in found)
    return f"{versions}; instruction sets of ce: {', '.join(isas)}"


def _label(row: Any) -> str:
    label = row.label.replace("-", ", ").replace("smoothing", "smoothing 0.1")
    return label.replace("softcap", "softcap 30").replace("z_loss", "z-loss 0.001")


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def full(rows: Rows, isas: list[str]) -> str:
    """All quantities in all dtypes, a table per instruction set."""
    others = [name for name in rivals.LIBRARIES if any(name in row.others for row in rows)]
    lines = []
    for isa in isas:
        head = ["loss", "quantity", "dtype", "ce", "of the bound", "worst answer", "truth there"]
        lines += [f"### {isa}", "", "Ulps, largest / mean.", ""]
        lines += [_line(head + [NAMES[name] for name in others])]
        lines += ["|---|---|---|" + "---:|" * (4 + len(others))]
        for row in rows:
            own = row.ours[isa]
            cells = [_label(row), row.quantity, row.dtype, str(own), f"{row.used[isa]:.2f}"]
            cells += [f"{own.got:.6g}", f"{own.true:.6g}"]
            lines.append(_line(cells + [str(row.others.get(name, "")) for name in others]))
        lines.append("")
    return "\n".join(lines)


def of_functions(functions: Functions) -> str:
    """The functions of src/ce_c/real."""
    columns = list(dict.fromkeys((real, name) for _, real, name, _ in functions))
    columns.sort(key=lambda column: (column[0], column[1] == "NumPy"))
    found = {(f, real, name): errors for f, real, name, errors in functions}
    heads = [f"{name}, float{real[1:]}" for real, name in columns]
    lines = [_line(["function", *heads]), "|---|" + "---:|" * len(columns)]
    for function in dict.fromkeys(f for f, *_ in functions):
        errors = [found.get((function, *column)) for column in columns]
        cells = [f"{e.largest:.2f} / {e.mean:.2f}" if e else "" for e in errors]
        lines.append(_line([f"`{function}`", *cells]))
    return "\n".join(lines) + "\n"


def short(rows: Rows) -> str:
    """A row per loss and quantity, and what is correctly rounded throughout, in words."""
    found = {(row.label, row.quantity, row.dtype): row for row in rows}
    names = {name for row in rows for name in row.others} | {"ce"}
    columns = [column for column in COLUMNS if column[0] in names]
    heads = [f"{NAMES[library]} {dtype}" for library, dtype in columns]
    lines = [_line(["", "", *heads]), "|---|---|" + "---:|" * len(columns)]
    exact: dict[str, list[str]] = {}
    for row in (row for row in rows if row.dtype == "float32" and row.quantity in SHOWN):
        cells = []
        for library, dtype in columns:
            of = found[row.label, row.quantity, dtype]
            errors = of.worst if library == "ce" else of.others.get(library)
            cells.append(str(errors or ""))
        ours = [found[row.label, row.quantity, d].worst.largest for x, d in columns if x == "ce"]
        if max(ours) <= ROUNDED:
            exact.setdefault(_label(row), []).append(row.quantity)
        else:
            lines.append(_line([_label(row), row.quantity, *cells]))
    rest = "; ".join(f"{label} ({', '.join(parts)})" for label, parts in exact.items())
    return "\n".join([*lines, "", f"Correctly rounded in all of these dtypes: {rest}."]) + "\n"


def bound(rows: Rows) -> str:
    """How much of what the tests allow is used."""
    used = max(
        ((max(row.used.values()), row) for row in rows if row.dtype in ("float32", "float64")),
        key=lambda pair: pair[0],
    )
    return f"{used[0]:.2f} ({_label(used[1])}, {used[1].quantity}, {used[1].dtype})"


# -- the plot -------------------------------------------------------------------------------------

LINES = {  # Okabe and Ito's colours, and dashes, for those who do not see them
    "ce": ("#0072b2", "-"),
    "torch": ("#d55e00", "-"),
    "scipy": ("#009e73", (0, (5, 2))),
    "sklearn": ("#cc79a7", (0, (2, 1))),
    "numpy": ("#555555", (0, (1, 1.2))),
}
LOSSES = {"cross_entropy": "cross-entropy", "binary_cross_entropy_with_logits": "BCE with logits"}


def _by_hand(label: str, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """NumPy's way of bench/lib_numpy.py, item by item."""
    value, grad = (getattr(lib_numpy, label + suffix) for suffix in ("", "_grad"))
    parts = [(x[i : i + 1], y[i : i + 1]) for i in range(len(x))]
    losses = np.array([value(*part) for part in parts])
    return {"loss": losses, "gradient": np.concatenate([grad(*part)[1] for part in parts])}


def _ours(label: str, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    kind = ce.CrossEntropyLoss if label == "cross_entropy" else ce.BCEWithLogitsLoss
    loss, grad = kind(reduction="none").value_and_grad(x, y)
    return {"loss": loss, "gradient": grad}


def plot(path: Path, each: int = 12) -> None:
    """Ulps over the margin in favour of the target, the worst of `each` numbers at every place."""
    libraries = {"ce": _ours, **rivals.LIBRARIES, "numpy": _by_hand}
    libraries = {k: f for k, f in libraries.items() if importlib.util.find_spec(k)}
    rng, edges = np.random.default_rng(3), np.arange(0, 82, 0.75)
    margin = (edges[:, None] + rng.uniform(0, 0.75, (edges.size, each))).ravel().astype(np.float32)
    style = plots.STYLE | {"font.size": 10}
    with plt.rc_context(style):
        figure, grid = plt.subplots(2, 2, figsize=(9.6, 6.4), sharex=True, sharey=True)
        for axes_of, (label, title) in zip(grid, LOSSES.items(), strict=True):
            y = (np.arange(margin.size) % 2).astype(np.float32)
            x = margin * (2 * y - 1)
            if label == "cross_entropy":
                x, y = np.stack([margin, 0 * margin], 1), np.zeros(margin.size, np.int64)
            true = truth.TRUTHS[label](x, y)
            for axes, quantity in zip(axes_of, ("loss", "gradient"), strict=True):
                exact = Exact.of(true[quantity])
                for library, answers in libraries.items():
                    got = answers(label, x, y)[quantity]
                    off = ulps(got, exact).reshape(edges.size, -1).max(1)
                    colour, dashes = LINES[library]
                    kind = {"color": colour, "ls": dashes, "label": NAMES.get(library, library)}
                    kind |= {"lw": 2.4, "zorder": 3} if library == "ce" else {"lw": 1.5}
                    axes.plot(edges, np.maximum(off, 0.02), **kind)
                axes.axhspan(2.0**23, 2.0**24, color="#f3dfd6", lw=0, zorder=0)
                axes.annotate("no digit is right: 0", (2, 2.0**24.6), color="#9a4a20", fontsize=8.5)
                axes.set(yscale="log", ylim=(0.1, 3e8), title=f"{title}: {quantity}")
                axes.set_xlim(0, edges[-1])
        for axes in grid[:, 0]:
            axes.set_ylabel("error in ulps of the truth")
        for axes in grid[1]:
            axes.set_xlabel("margin in favour of the target (float32)")
        handles = grid[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper left", ncols=len(libraries))
        figure.savefig(path)
        plt.close(figure)


# -- where it goes --------------------------------------------------------------------------------


def write(rows: Rows, functions: Functions, isas: list[str], folder: Path) -> None:
    """Print and write everything, and draw the plot."""
    parts = [about(isas), full(rows, isas), "### Functions", of_functions(functions)]
    parts += ["### In short: the worst of the instruction sets", short(rows)]
    parts += [f"Of what the tests allow we use at most {bound(rows)}."]
    text = "\n\n".join(part.strip() for part in parts if part) + "\n"
    (folder / "accuracy.md").write_text(text, encoding="utf-8")
    print(text)
    plot(folder / "accuracy.png")


def into_page(rows: Rows, functions: Functions, isas: list[str], folder: Path, path: Path) -> None:
    """Put the short tables between the markers of the page, and the plot beside it."""
    caption = f"Largest / mean error in ulps: {about(isas)} (the worst of them counts)."
    ends = [f for f in functions if f[2] in (isas[0], isas[-1], "NumPy")]
    parts = [caption, short(rows), of_functions(ends)]
    parts += [f"Of what the tests allow, at most {bound(rows)} is used."]
    page.rewrite(path, "accuracy", parts)
    (path.parent / "accuracy.png").write_bytes((folder / "accuracy.png").read_bytes())
