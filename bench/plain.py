"""One thread of `ce` beside the plain loop: ``python -m bench.plain``.

The plain loop (plain.c) is softmax of float32 as intrinsics allow without further thought: of rows
the maximum, the exponentials straight into the output, then the row scaled; and items side by side,
class by class. It leaves nothing out of a sum and has no targets, so it is a yardstick that can
hardly be beaten in the caches. What is written in place is put there anew each time, which is not
counted. Both are measured in turns, each in a process of its own; the figures are medians over the
turns.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

import ce
from bench import roofline

LENGTHS = [33, 64, 100, 160, 256, 500, 1000, 2000, 4096, 32_000, 128_256]
SIZES = {"in L2": 2**18, "out of the caches": 33_000_000}  # numbers
PLANES = [(8, 21, 512, 512), (8, 21, 513, 513), (16, 150, 160, 160), (8, 1000, 1023)]
PLANES += [(8, 1000, 1024), (2, 2000, 4096), (2, 32_000, 512)]
FEW = [(1_000_000, 2), (1_000_000, 3), (1_000_000, 10), (400_000, 21), (300_000, 33)]
YARDSTICKS = {  # what is measured, and the mode of the plain loop that it stands beside
    "value": "value", "out=": "out", "in place": "in_place", "softmax": "out", "log_softmax": "out",
}  # fmt: skip
NAMES = list(YARDSTICKS)


@dataclass(frozen=True)
class Problem:
    """Logits of a shape (outer, classes, inner), inner 1 for rows; `beside`: that of the loop."""

    place: str
    shape: tuple[int, int, int]
    beside: tuple[int, int, int]
    names: tuple[str, ...] = tuple(NAMES)

    @property
    def items(self) -> int:
        return self.shape[0] * self.shape[2]


def problems() -> Iterator[Problem]:
    for place, numbers in SIZES.items():
        for classes in LENGTHS:
            rows = (max(1, numbers // classes), classes, 1)
            yield Problem(f"rows, {place}", rows, rows)
    for outer, classes, *plane in PLANES:
        shape = (outer, classes, int(np.prod(plane)))
        yield Problem("class axis not last", shape, shape, ("value", "out=", "softmax"))
    for items, classes in FEW:
        beside = (1, classes, items)  # which need no transposing
        yield Problem("few classes, beside the loop by lanes", (items, classes, 1), beside)


Call = Callable[[], object]


def calls(problem: Problem) -> dict[str, tuple[Call, Call | None]]:
    """What is timed, by name, and what comes before each time."""
    rng = np.random.default_rng(0)
    shape = problem.shape if problem.shape[2] > 1 else problem.shape[:2]
    z = rng.standard_normal(shape, dtype=np.float32)
    target = rng.integers(0, shape[1], shape[:1] + shape[2:])
    out, place = np.zeros_like(z), z.copy()
    criterion = ce.CrossEntropyLoss()
    anew = partial(np.copyto, place, z)
    return {
        "value": (partial(criterion, z, target), None),
        "out=": (partial(criterion.value_and_grad, z, target, out=out), None),
        "in place": (partial(criterion.value_and_grad, place, target, out=place), anew),
        "softmax": (partial(ce.softmax, z, axis=1, out=out), None),
        "log_softmax": (partial(ce.log_softmax, z, axis=1, out=out), None),
    }


def median(call: Call, before: Call | None, seconds: float) -> float:
    """The median of at least five rounds; what comes before each of them is not counted."""
    call()
    took: list[float] = []
    end = time.perf_counter() + seconds
    while len(took) < 5 or (time.perf_counter() < end and len(took) < 2000):
        if before:
            before()
        start = time.perf_counter()
        call()
        took.append(time.perf_counter() - start)
    return statistics.median(took)


def build(folder: Path) -> Path:
    program, flags = folder / "plain", [*roofline.FLAGS, "-mprefer-vector-width=512"]
    if ce.show_config(mode="dicts")["instruction set"] == "x86-64-v3":
        flags = [flag.replace("native", "x86-64-v3") for flag in flags]
    source = Path(__file__).with_suffix(".c")
    subprocess.run([os.environ.get("CC", "cc"), *flags, str(source), "-o", program], check=True)
    return program


def measure(problem: Problem, program: Path, turns: int, seconds: float) -> dict[str, list[float]]:
    """By name: the time of `ce`, and of the plain loop, for an item, in ns."""
    found: dict[str, list[list[float]]] = {name: [[], []] for name in problem.names}
    ours = calls(problem)
    for _ in range(turns):
        loops = {}
        for mode in {YARDSTICKS[name] for name in problem.names}:
            command = [str(program), mode, *map(str, problem.beside), str(seconds)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            loops[mode] = float(done.stdout)
        for name in problem.names:
            found[name][0].append(median(*ours[name], seconds))
            found[name][1].append(loops[YARDSTICKS[name]])
    nanoseconds = 1e9 / problem.items
    return {
        name: [statistics.median(times) * nanoseconds for times in both]
        for name, both in found.items()
    }


def table(found: list[tuple[Problem, dict[str, list[float]]]]) -> str:
    """The figures in Markdown: ns for an item, and how many times as long as the plain loop."""
    lines = []
    for place in dict.fromkeys(problem.place for problem, _ in found):
        here = [(p, times) for p, times in found if p.place == place]
        names = here[0][0].names
        lines += [f"**{place[:1].upper()}{place[1:]}**", ""]
        lines += ["| shape | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
        for problem, times in here:
            shape = " x ".join(f"{n:,}".replace(",", " ") for n in problem.shape if n > 1)
            cells = [f"{ours:.4g} ({ours / loop:.2f})" for ours, loop in times.values()]
            lines.append("| " + " | ".join([shape, *cells]) + " |")
        lines.append("")
    return "\n".join(lines)


EXPLANATION = """
One thread, float32, ns for an item; in brackets how many times as long as the plain loop: value,
value and gradient into another array or in place, softmax and log_softmax into another array.
""".strip()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.plain",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="one turn, a few shapes")
    parser.add_argument("--only", metavar="WORD", default="", help="places that contain it")
    parser.add_argument("--classes", type=int, action="append", metavar="N")
    parser.add_argument("--output", type=Path, default=Path("bench/results"), metavar="DIR")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    if platform.machine() not in ("x86_64", "AMD64"):
        (options.output / "plain.md").write_text("It is written for x86-64.\n", encoding="utf-8")
        return
    ce.set_num_threads(1)
    chosen = [p for p in problems() if options.only in p.place]
    chosen = [p for p in chosen if not options.classes or p.shape[1] in options.classes]
    chosen = chosen[::4] if options.quick else chosen
    found = []
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        for step, problem in enumerate(chosen, start=1):
            times = measure(problem, program, *((1, 0.05) if options.quick else (3, 0.25)))
            ratios = "  ".join(f"{name} {a / b:.2f}" for name, (a, b) in times.items())
            print(f"[{step}/{len(chosen)}] {problem.place}, {problem.shape}: {ratios}", flush=True)
            found.append((problem, times))
    text = f"{EXPLANATION}\n\n{table(found)}"
    print("", text, sep="\n")
    records = [{"place": p.place, "shape": p.shape, "ns": times} for p, times in found]
    (options.output / "plain.json").write_text(json.dumps(records, indent=1) + "\n")
    (options.output / "plain.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
