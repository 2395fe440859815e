"""Time per element of cross-entropy over the sizes of a problem: ``python -m bench.scaling``.

A smooth curve has no cliff: a fixed cost per item or call lets the time per element fall at most in
proportion to the size, and nothing lets it rise but leaving a cache. Every point is the best of
many visits, with the whole list of points between two visits, since shared machines change speed
within minutes; what looks like a cliff is visited again. What other programs take away they take
from single visits, so that the best is what the loss takes: medians of a busy machine zigzag.
Times of sizes that leave a part of a cache line over lie a little above those of their neighbours.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count, pairwise
from math import inf
from pathlib import Path
from typing import Any

import cpuinfo
import numpy as np

import ce
from bench import plots
from bench.cases import FORWARD, FUSED_OUT, IN_PLACE, MODE_LABELS, spaced

SIZE = 2**22  # elements, where the number of classes varies
HUGE = 10**9
STEEP = 1.5  # of a cliff
UNEVEN = 1.15  # of what is visited again
MOST = 30  # cliffs listed
CLASSES = [2, 3, 4, 5, 7, 8, 9, 10, 12, 15, 16, 17, 24, 31, 32, 33, 34, 48, 63, 64, 65, 100, 127]
CLASSES += [128, 129, 255, 256, 257, 511, 512, 513, 1000, 1024, 2000, 2048, 4095, 4096, 4097]
CLASSES += [8191, 8192, 8193, 16384, 32000, 32768, 50257, 65536, 131072, 262144, 524288, 2**20]
OFFSETS = [10, 21, 64, 100, 1000, 1001, 1024, 4096, 4097, 10000, 32000, 50257, 131072]
INNER = [7, 16, 49, 64, 65, 255, 256, 257, 1023, 1024, 1025, 4095, 4096, 4097]
INNER += [16383, 16384, 16385, 65535, 65536, 65537, 2**18 - 1, 2**18, 2**18 + 1]
LINE = 16  # elements in a cache line


@dataclass(frozen=True)
class Sweep:
    """A panel: what grows, and the bytes of a row, or of all rows, for each step of it.

    `whole`: whether sizes that leave a part of a cache line over are drawn as dots.
    """

    title: str
    label: str
    bytes: int = 0
    whole: bool = False

    def awkward(self, size: int) -> bool:
        return self.whole and size > LINE and size % LINE > 0


ROWS = f"{spaced(SIZE)} logits in rows of K"
SWEEPS = {
    "classes": Sweep(ROWS, "classes K", 4, whole=True),
    "offset": Sweep(f"{ROWS}, one off the alignment", "classes K", 4, whole=True),
    "inner": Sweep(
        "(N, 21, M) logits, classes on axis 1", "elements M behind the classes", whole=True
    ),
    "rows of 10": Sweep("rows of 10 classes", "rows", 4 * 10),
    "rows of 1000": Sweep("rows of 1 000 classes", "rows", 4 * 1000),
    "rows of 32000": Sweep("rows of 32 000 classes", "rows", 4 * 32_000),
}


@dataclass
class Point:
    """A size of a sweep in a mode with so many threads, and the best time so far."""

    sweep: str
    size: int
    shape: tuple[int, ...]
    mode: str
    threads: int
    seconds: float = inf

    @property
    def elements(self) -> int:
        return int(np.prod(self.shape))

    @property
    def each(self) -> float:
        """Nanoseconds per element."""
        return self.seconds / self.elements * 1e9

    @property
    def line(self) -> tuple[str, str, int]:
        return self.sweep, self.mode, self.threads


def points(quick: bool, huge: bool) -> Iterator[Point]:
    """All points; the huge ones last, since working in place destroys the logits."""
    sizes = [("classes", k, (max(1, SIZE // k), k)) for k in CLASSES]
    sizes += [("offset", k, (max(1, SIZE // k), k)) for k in OFFSETS]
    sizes += [("inner", n, (max(1, SIZE // (21 * n)), 21, n)) for n in INNER]
    for k in (10, 1000, 32_000):
        rows = [4**i for i in range(14) if 4**i * k <= (SIZE if quick else 2**26)]
        sizes += [(f"rows of {k}", n, (n, k)) for n in rows]
    counts = {ce.get_num_threads()} if quick else sorted({1, ce.get_num_threads()})
    for sweep, size, shape in sizes:
        for threads in counts:
            for mode in (FORWARD, FUSED_OUT):
                yield Point(sweep, size, shape, mode, threads)
    for k in (10, 1000, 32_000) if huge else ():
        for threads in counts:
            for mode in (FORWARD, IN_PLACE):
                yield Point(f"rows of {k}", HUGE // k, (HUGE // k, k), mode, threads)


def best(call, seconds: float) -> float:
    """The shortest time of a call, of as many as fit; short ones are timed several at once."""
    start = time.perf_counter()
    call()
    once = max(time.perf_counter() - start, 1e-7)
    number = max(1, int(5e-5 / once))
    samples = []
    end = time.perf_counter() + seconds
    while len(samples) < 2 or time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(number):
            call()
        samples.append((time.perf_counter() - start) / number)
    return min(samples)


def visit(point: Point, buffer: np.ndarray, out: np.ndarray, seconds: float) -> None:
    """Time a point once more."""
    start = int(point.sweep == "offset")
    logits = buffer[start : start + point.elements].reshape(point.shape)
    items = point.shape[:1] + point.shape[2:]
    few = np.random.default_rng(0).integers(point.shape[1], size=min(2**20, int(np.prod(items))))
    target = np.resize(few, items)
    with ce.threads(point.threads):
        if point.mode == FORWARD:
            found = best(partial(ce.cross_entropy, logits, target), seconds)
        elif point.mode == FUSED_OUT:
            into = out[start : start + point.elements].reshape(point.shape)
            fused = ce.CrossEntropyLoss().value_and_grad
            found = best(partial(fused, logits, target, out=into), seconds)
        else:
            began = time.perf_counter()
            ce.CrossEntropyLoss().value_and_grad(logits, target, out=logits)
            found = time.perf_counter() - began
            fill(buffer)
    point.seconds = min(point.seconds, found)


def fill(buffer: np.ndarray) -> None:
    """Write the same million normal numbers again and again."""
    tile = np.random.default_rng(0).standard_normal(2**20, dtype=np.float32)
    for i in range(0, buffer.size, tile.size):
        buffer[i : i + tile.size] = tile[: buffer.size - i]


def available() -> int:
    """Bytes of memory that are free (0 if unknown)."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def machine() -> dict[str, Any]:
    """The name of the processor, and the bytes of its data caches as one core sees them."""
    caches = {}
    for cache in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind, level, size = ((cache / n).read_text().strip() for n in ("type", "level", "size"))
        if kind != "Instruction":
            caches[f"L{level}"] = int(size.removesuffix("K")) * 1024
    return {"name": cpuinfo.get_cpu_info().get("brand_raw", "unknown processor"), "caches": caches}


def measure(quick: bool, lasting: float) -> tuple[list[Point], int]:
    """Visit all points many times, then the slower ends of what look like cliffs, if time lasts.

    Return the points, and how often all were visited (of 10^9 elements: thrice).
    """
    huge = not quick and available() > 6 * HUGE
    if not quick and not huge:
        print("there is too little memory for 10^9 elements: left out")
    measured = todo = list(points(quick, huge))
    out = np.zeros(2**26 + 1, np.float32)
    buffer = np.empty(HUGE if huge else out.size, np.float32)
    fill(buffer)
    visits, seconds = (1, 0.004) if quick else (8, 0.004)
    deadline = time.perf_counter() + lasting
    for i in count(1):
        print(f"scaling: visit {i}, {len(todo)} points", flush=True)
        for point in todo:
            if i == 1 or time.perf_counter() < deadline:
                visit(point, buffer, out, seconds)
        slower = {id(max(pair, key=lambda p: p.each)) for pair in cliffs(measured, UNEVEN)}
        small = [p for p in measured if p.elements < HUGE // 2]
        todo = (
            measured if i < min(3, visits) else [p for p in small if i < visits or id(p) in slower]
        )
        if not todo or time.perf_counter() > deadline:
            return measured, min(i, visits)


def steepness(a: Point, b: Point) -> float:
    """By how much the time per element rises, or falls beyond what fixed costs explain."""
    return max(b.each / a.each, a.each / b.each * a.size / b.size)


def cliffs(measured: list[Point], steep: float = STEEP) -> list[tuple[Point, Point]]:
    """Neighbours on a line, and one thread and all, and on and off the alignment, that differ."""
    found = []
    for line in dict.fromkeys(p.line for p in measured if p.sweep != "offset"):
        own = sorted((p for p in measured if p.line == line), key=lambda p: p.size)
        for a, b in pairwise(own):
            if steepness(a, b) > steep:
                found.append((a, b))
    at = {(*p.line, p.size): p for p in measured}
    for p in measured:
        aligned = at.get(("classes", p.mode, p.threads, p.size)) if p.sweep == "offset" else None
        alone = at.get((p.sweep, p.mode, 1, p.size))
        found += [(q, p) for q in (aligned, alone) if q and p.each > steep * q.each]
    return sorted(found, key=lambda pair: -steepness(*pair))


CAPTION = """
Cross-entropy of float32 logits, mean over the rows. A line joins the sizes that fill whole lines of
a cache (64 bytes), and those of less than one; dots are the others, whose rows leave a part over.
Dotted: where a row of K, or all rows of 10, 1 000 or 32 000, fill a cache of the machine.
""".strip()


def table(measured: list[Point]) -> str:
    """The cliffs in Markdown."""
    found = cliffs(measured)
    text = f"Neighbouring sizes whose time per element differs by more than {STEEP}x, beyond what "
    text += "fixed costs per item or call explain, also off the alignment or with more threads: "
    lines = [
        CAPTION,
        "",
        f"{text}{len(found) or 'none'}{f', the {MOST} steepest' * (len(found) > MOST)}.",
    ]
    if found:
        lines += ["", "| sweep | result | from | to | ns per element | ratio |"]
        lines += ["|---|---|---:|---:|---:|---:|"]
    for a, b in found[:MOST]:
        ends = [f"{spaced(p.size)} ({p.threads} thr.)" for p in (a, b)]
        cells = [SWEEPS[b.sweep].title, MODE_LABELS[b.mode], *ends]
        cells += [f"{a.each:.3g} to {b.each:.3g}", f"{b.each / a.each:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer visits, no huge arrays")
    text = "how long points are visited (default 300, quick 15; all are visited once)"
    parser.add_argument("--seconds", type=float, metavar="S", help=text)
    parser.add_argument("--output", type=Path, default=Path("bench/results"), metavar="DIR")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    lasting = options.seconds or (15 if options.quick else 300)
    measured, visits = measure(options.quick, lasting)
    text = table(measured)
    print("", text, sep="\n")
    records = [asdict(p) | {"elements": p.elements} for p in measured]
    found = {"machine": machine(), "visits": visits, "points": records}
    (options.output / "scaling.json").write_text(json.dumps(found) + "\n")
    (options.output / "scaling.md").write_text(text, encoding="utf-8")
    plots.scaling(found, SWEEPS, options.output / "scaling.png")


if __name__ == "__main__":
    main()
