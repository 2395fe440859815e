"""Memory beyond the inputs, as a multiple of the logits' bytes: ``python -m bench.memory``.

Each figure comes from a process of its own: the peak of its resident memory during a call, less
what was resident before, once an earlier call has touched everything that stays. Linux only.
"""

import argparse
import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from bench import missing
from bench.cases import FORWARD, FUSED, FUSED_OUT, IN_PLACE, MODE_LABELS, SIZES, Case
from bench.problems import dtype

CASES = [Case("cross_entropy", (1024, 32_000), name) for name in SIZES]
CASES += [Case("cross_entropy", (8, 21, 512, 512), name) for name in ("float32", "bfloat16")]
CASES += [Case("cross_entropy", (1024, 32_000), target="probabilities")]
COLUMNS = [("ce", mode) for mode in (FORWARD, FUSED, FUSED_OUT, IN_PLACE)]
COLUMNS += [("torch", FORWARD), ("torch", FUSED)]
STATUS = Path("/proc/self/status")


def resident(field: str) -> int:
    """VmRSS, what is resident now, or VmHWM, its peak; in bytes."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def beyond(case: Case, library: str, mode: str) -> float:
    """The peak of a call in this process, over the bytes of the logits."""
    few = np.random.default_rng(0).standard_normal(2**20, dtype=np.float32)
    logits = np.resize(few.astype(dtype(case.dtype)), case.shape)
    if case.target == "probabilities":
        target = np.full_like(logits, 1 / case.shape[1])
    else:
        target = np.zeros(case.shape[:1] + case.shape[2:], np.int64)
    call = importlib.import_module(f"bench.lib_{library}").prepare(case, mode, logits, target)
    call()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = resident("VmRSS")
    output = call()
    del output
    return (resident("VmHWM") - before) / logits.nbytes


def table(found: dict[tuple[str, str, str], float]) -> str:
    """The figures in Markdown."""
    columns = [c for c in COLUMNS if any(key[1:] == c for key in found)]
    text = (
        "Peak of the memory that a call takes beyond its inputs (and the array given as `out=`), "
    )
    lines = [text + "in multiples of the bytes of the logits.", ""]
    head = ["cross-entropy", *(f"{library}, {MODE_LABELS[mode]}" for library, mode in columns)]
    lines += ["| " + " | ".join(head) + " |", "|---|" + "---:|" * len(columns)]
    for case in CASES:
        cells = [found.get((case.name, *column)) for column in columns]
        if any(cell is not None for cell in cells):
            texts = ["" if cell is None else f"{max(cell, 0):.2f}" for cell in cells]
            lines.append("| " + " | ".join([f"{case.label}", *texts]) + " |")
    return "\n".join(lines).replace("CE ", "") + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="float32 and bfloat16 rows only")
    parser.add_argument("--output", type=Path, default=Path("bench/results"), metavar="DIR")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)  # what a child measures
    options = parser.parse_args()
    if options.one:
        name, library, mode = options.one
        print(beyond(next(c for c in CASES if c.name == name), library, mode))
        return
    if not STATUS.exists():
        sys.exit("memory is measured on Linux only")
    found = {}
    for case in CASES if not options.quick else (CASES[1], CASES[3]):
        for library, mode in COLUMNS:
            if missing(library):
                continue
            command = [sys.executable, "-m", "bench.memory", "--one", case.name, library, mode]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[case.name, library, mode] = float(done.stdout)
        print(f"memory: {case.label}", flush=True)
    text = table(found)
    print("", text, sep="\n")
    options.output.mkdir(parents=True, exist_ok=True)
    records = [
        {"case": case, "library": library, "mode": mode, "beyond": value}
        for (case, library, mode), value in found.items()
    ]
    (options.output / "memory.json").write_text(json.dumps(records, indent=1) + "\n")
    (options.output / "memory.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
