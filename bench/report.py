"""report.py - the table and the plot, from the merged reports of pytest-benchmark."""

import math
from pathlib import Path

from bench.cases import CASES, FORWARD, FUSED, FUSED_OUT, MODE_LABELS, MODES

COLOURS = {FORWARD: "#8a8f98", FUSED: "#e08a1e", FUSED_OUT: "#1f6fb4"}


def significant(x: float | None, digits: int = 3) -> str:
    """A number with that many significant digits, and never an exponent; `None` is empty."""
    if x is None:
        return ""
    return f"{x:.{max(0, digits - 1 - math.floor(math.log10(x)))}f}"


def medians(report: dict) -> dict[tuple[str, str, str], float]:
    """Return seconds by (case, mode, library), the lowest median where there are several.

    The fresh gradient of torch stands for its `out=` too.
    """
    found: dict[tuple[str, str, str], float] = {}
    for b in report["benchmarks"]:
        info, seconds = b["extra_info"], b["stats"]["median"]
        fresh_is_all = info["library"] == "torch" and info["mode"] == FUSED
        for mode in (FUSED, FUSED_OUT) if fresh_is_all else (info["mode"],):
            key = info["case"], mode, info["library"]
            found[key] = min(seconds, found.get(key, math.inf))
    return found


def rows(report: dict):
    """Yield (case, mode, seconds by library, GB/s) wherever `ce` was timed."""
    seconds = medians(report)
    for case in CASES:
        for mode in MODES:
            times = {lib: seconds.get((case.name, mode, lib)) for lib in ("ce", "torch", "numpy")}
            if times["ce"]:
                yield case, mode, times, case.bytes_moved(mode) / times["ce"] / 1e9


def about(report: dict) -> str:
    """Name the machine, the thread count, the versions, and what disturbed the measurement."""
    infos = [b["extra_info"] for b in report["benchmarks"]]
    versions = {name: v for info in infos for name, v in info["versions"].items()}
    isa = next((i["instruction_set"] for i in infos if i["library"] == "ce"), "unknown")
    machine = report["machine_info"]
    parts = [machine["cpu"].get("brand_raw", "unknown processor"), f"threads {infos[0]['threads']}"]
    parts += [" ".join(pair) for pair in sorted(versions.items())]
    parts += [f"instruction set of ce {isa}"]
    if "transparent_hugepage" in machine:
        parts += [f"transparent huge pages {machine['transparent_hugepage']}"]
    sentence = ", ".join(parts) + "."
    if report["cpus_used_by_others"] > 0.1:
        others = f"{report['cpus_used_by_others']:.1f}"
        sentence += f" **Disturbed: other programs kept {others} CPUs busy meanwhile.**"
    return sentence


def table(report: dict) -> str:
    """The report in Markdown: times in milliseconds, ratios of medians, misses named below."""
    head = "case", "result", "ce", "torch", "NumPy", "torch / ce", "at least", "NumPy / ce", "GB/s"
    lines = [about(report) + " Medians in milliseconds.", ""]
    lines += ["| " + " | ".join(head) + " |", "|---|---|" + "---:|" * (len(head) - 2)]
    misses = []
    for case, mode, times, rate in rows(report):
        ratio = {lib: times[lib] and times[lib] / times["ce"] for lib in ("torch", "numpy")}
        must = case.must.get(mode)
        if must and ratio["torch"] and ratio["torch"] < must:
            misses.append(f"{case.label}, {MODE_LABELS[mode]}: {ratio['torch']:.1f} of {must}")
        cells = [case.label, MODE_LABELS[mode]]
        cells += [significant(t and t * 1e3) for t in times.values()]
        cells += [significant(ratio["torch"], 2), f"{must or ''}", significant(ratio["numpy"], 2)]
        lines.append("| " + " | ".join([*cells, significant(rate, 2)]) + " |")
    if misses:
        lines += ["", "Short of the ratio to torch that is wanted:", ""]
        lines += [f"- {miss}" for miss in misses]
    return "\n".join(lines) + "\n"


def draw(report: dict, path: Path) -> None:
    """Plot how many times faster than torch `ce` is, if torch was timed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    ratios: dict[str, dict[str, float]] = {}
    for case, mode, times, _ in rows(report):
        if times["torch"]:
            ratios.setdefault(case.label, {})[mode] = times["torch"] / times["ce"]
    if not ratios:
        return

    figure, axes = plt.subplots(figsize=(8.4, 1.6 + 0.38 * len(ratios)), layout="constrained")
    for y, by_mode in enumerate(ratios.values()):
        best = max(by_mode.values())
        axes.plot([1, best], [y, y], color="#d8dbe0", linewidth=2, zorder=1)
        axes.annotate(
            f"{significant(best, 2)}x",
            (best, y),
            (9, 0),
            textcoords="offset points",
            va="center_baseline",
        )
    for mode in MODES:
        points = [
            (by_mode[mode], y) for y, by_mode in enumerate(ratios.values()) if mode in by_mode
        ]
        label = MODE_LABELS[mode].replace("`", "")
        axes.scatter(*zip(*points, strict=True), s=52, color=COLOURS[mode], label=label, zorder=2)

    axes.axvline(1, color="#444444", linewidth=1)
    axes.set_xscale("log")
    low = min(1, *(r for by_mode in ratios.values() for r in by_mode.values()))
    high = max(r for by_mode in ratios.values() for r in by_mode.values())
    ticks = [
        t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if low <= t <= high * 1.2
    ]
    axes.set_xticks(ticks, [f"{t}x" for t in ticks])
    axes.minorticks_off()
    axes.set_xlim(low / 1.15, high * 1.9)
    axes.set_yticks(range(len(ratios)), list(ratios))
    axes.invert_yaxis()
    axes.grid(axis="x", color="#eceef1")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel("times faster than torch, eager (logarithmic; ratio of median times)")
    figure.legend(loc="outside upper left", ncols=len(MODES), frameon=False)
    figure.savefig(path, dpi=180, facecolor="white")
    plt.close(figure)
