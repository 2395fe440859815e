"""report.py - the tables, from the merged reports of pytest-benchmark, and plots of the tables."""

import math
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import LABELS, page, plots
from bench.cases import CASES, FORWARD, FORWARD_OUT, FUSED, FUSED_OUT, IN_PLACE, MODE_LABELS, Case

INSTEAD = {FORWARD_OUT: FORWARD, FUSED_OUT: FUSED, IN_PLACE: FUSED_OUT}  # of a mode a rival lacks


def significant(x: float | None, digits: int = 3) -> str:
    """A number with that many significant digits, and never an exponent; `None` is empty."""
    if not x:
        return ""
    return f"{x:.{max(0, digits - 1 - math.floor(math.log10(x)))}f}"


@dataclass
class Row:
    """A case in a mode: seconds, bytes per second, and the fraction of the roofline."""

    case: Case
    mode: str
    ce: float
    torch: float | None
    rival: str | None
    other: float | None
    rate: float
    fraction: float | None

    @property
    def label(self) -> str:
        return f"{self.case.label}, {MODE_LABELS[self.mode]}"


class Report:
    """The measurements by case, mode, library and thread count."""

    def __init__(self, measured: dict) -> None:
        self.measured, self.seconds, self.limits = measured, {}, {}
        for b in measured["benchmarks"]:
            info, median = b["extra_info"], b["stats"]["median"]
            key = info["case"], info["mode"], info["library"], info["threads"]
            self.seconds[key] = min(median, self.seconds.get(key, math.inf))
        for limit in measured["roofline"]:
            key = limit["case"], limit["pattern"]
            self.limits[key] = max(limit["bytes_per_s"], self.limits.get(key, 0))
        self.threads = max((key[3] for key in self.seconds), default=1)
        self.libraries = sorted({key[2] for key in self.seconds} - {"ce", "torch"})

    def get(self, case: str, mode: str, library: str, threads: int | None = None) -> float | None:
        """The lowest median; a fresh array stands in for `out=` where a library has none."""
        found = self.seconds.get((case, mode, library, threads or self.threads))
        if found or library == "ce" or mode not in INSTEAD:
            return found
        return self.get(case, INSTEAD[mode], library, threads)

    def rows(self) -> Iterator[Row]:
        for case in CASES:
            for mode in case.modes:
                if self.get(case.name, mode, "ce"):
                    yield self.row(case, mode)

    def row(self, case: Case, mode: str) -> Row:
        name = case.name
        ours, torch = self.get(name, mode, "ce"), self.get(name, mode, "torch")
        times = [(self.get(name, mode, library), library) for library in self.libraries]
        other, rival = min((pair for pair in times if pair[0]), default=(None, None))
        rate = case.bytes_moved(mode) / ours
        limit = self.limits.get((name, case.pattern(mode)))
        fraction = limit and rate / limit
        return Row(case, mode, ours, torch, rival, other, rate, fraction)

    def about(self) -> str:
        """Name the machine, the thread count, the versions, and what disturbed the measurement."""
        infos = [b["extra_info"] for b in self.measured["benchmarks"]]
        versions = {name: v for info in infos for name, v in info["versions"].items()}
        isa = next((i["instruction_set"] for i in infos if i["library"] == "ce"), "unknown")
        machine = self.measured["machine_info"]
        parts = [machine["cpu"].get("brand_raw", "unknown processor"), f"{self.threads} threads"]
        parts += [" ".join(pair) for pair in sorted(versions.items())]
        parts += [f"instruction set of ce {isa}"]
        if "transparent_hugepage" in machine:
            parts += [f"transparent huge pages {machine['transparent_hugepage']}"]
        others = self.measured["cpus_used_by_others"]
        busy = f" **Disturbed: other programs kept {others:.1f} CPUs busy.**" * (others > 0.1)
        return ", ".join(parts) + "." + busy

    def table(self) -> str:
        """The report in Markdown."""
        lines = [self.about(), "", EXPLANATION, ""]
        head = ["case", "result", "ce ms", "GB/s", "of the limit", "torch ms", "torch / ce"]
        head += ["best rival / ce"]
        lines += ["| " + " | ".join(head) + " |", "|---|---|" + "---:|" * 6]
        for row in self.rows():
            cells = [row.case.label, MODE_LABELS[row.mode], significant(row.ce * 1e3)]
            cells += [significant(row.rate / 1e9, 2)]
            cells += [f"{row.fraction:.2f}" if row.fraction else ""]
            cells += [significant(row.torch and row.torch * 1e3)]
            cells += [significant(row.torch and row.torch / row.ce, 2)]
            ratio = significant(row.other and row.other / row.ce, 2)
            cells += [f"{ratio} {LABELS[row.rival]}" if row.rival else ""]
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines) + "\n"


@dataclass
class Line:
    """A row of the table as it is read again: seconds, the best rival's name and time."""

    case: str
    mode: str
    ce: float
    torch: float | None
    rival: str | None
    other: float | None
    fraction: float | None


def lines_of(text: str) -> list[Line]:
    """The rows of the table in a report, or in the page that it was put into."""
    modes, found = {label: mode for mode, label in MODE_LABELS.items()}, []
    for row in text.splitlines():
        cells = [cell.strip() for cell in row.split("|")[1:-1]]
        if len(cells) == COLUMNS and cells[1] in modes:
            case, label, ours, _rate, limit, torch, _ratio, best = cells
            ratio, _, rival = best.partition(" ")
            ce = float(ours) / 1e3
            other = float(ratio) * ce if rival else None
            torch_seconds = float(torch) / 1e3 if torch else None
            fraction = float(limit) if limit else None
            found.append(
                Line(case, modes[label], ce, torch_seconds, rival or None, other, fraction)
            )
    return found


def draw(text: str, folder: Path) -> None:
    """The plots of a report or page, which say what its table says."""
    about = re.search(r"^(.*?, \d+ threads), .*instruction set of ce", text, re.MULTILINE)
    if about is None:
        raise ValueError("there is no report of the speed")
    conditions = f"{about[1]}, float32 unless said"
    plots.ratios(lines_of(text), conditions, folder / "speed.png")
    plots.fractions(lines_of(text), conditions, folder / "limit.png")


COLUMNS = 8
EXPLANATION = """
Medians, in milliseconds; float32 unless said. Shapes are items x classes, or (N, C, d1, d2); CE is
cross-entropy, BCE binary cross-entropy. "GB/s" counts the bytes that cannot be avoided: inputs read
once, the gradient written once. "of the limit" divides it by what a loop without arithmetic reaches
beside it, with as many bytes and threads: reading, or copying with stores that bypass the caches.
It can be above 1: a copy, with its two streams, is not what memory is fastest at. A loop that only
adds 1 to an array in place moves 1.4 times as many bytes a second (1.3 GB on an AMD EPYC, far more
than any cache), and so can a gradient in place; a loss of two arrays writes a third of its bytes,
not a half; and of some tens of MB a part is still in the last cache when the next call comes.
torch is eager; it cannot write a gradient into an array it is given, so its one time stands for
`out=` and in place, too, as do those of the other libraries. "best rival" is the fastest of these
besides torch. Fresh arrays cost page faults, which depend on the setting of transparent huge pages:
at "madvise" NumPy's arrays get them, the tensors of torch do not.
""".strip()


def write(measured: dict, folder: Path) -> bool:
    """Write and print table and plots; return whether anything is missing."""
    report = Report(measured)
    if not report.seconds:
        return True
    text = report.table()
    (folder / "speed.md").write_text(text, encoding="utf-8")
    print("", text, sep="\n")
    draw(text, folder)
    return False


def into_page(folder: Path, path: Path) -> None:
    """Put the tables between the markers of the page, and the plots beside it."""
    speed, plain, scaling, memory = (
        (folder / f"{name}.md").read_text(encoding="utf-8")
        for name in ("speed", "plain", "scaling", "memory")
    )
    parts = [speed, "![Fraction of what the memory allows](limit.png)"]
    parts += ["## Beside the plain loop", plain]
    parts += ["## Over the sizes", "![Time per element](scaling.png)", scaling]
    parts += ["## Memory", memory]
    page.rewrite(path, "speed", parts)
    for name in ("speed.png", "limit.png", "scaling.png"):
        shutil.copy(folder / name, path.parent / name)
