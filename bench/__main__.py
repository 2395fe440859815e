"""Time `ce` beside torch and NumPy: ``python -m bench`` from the root of the repository.

Every problem of `cases.py` is run by `ce`, by torch (eager) and by NumPy written by hand, one after
the other, each in a process of its own and with the same number of threads: the threads of one
OpenMP runtime go on spinning after their work is done and would slow the other library down.
Before a call is timed, its result is compared with a float64 reference. The figures are medians;
without `--quick` the libraries take two turns at every problem, and the better turn counts.

    python -m bench                  everything, about ten minutes
    python -m bench --quick          fewer problems and rounds, under two minutes
    python -m bench --case NAME      that problem only; may be repeated
    pytest bench --library torch     one library, with all the figures of pytest-benchmark

Needs the `bench` extra (pytest-benchmark and matplotlib); torch is left out where it is missing.
Writes `speed.json` (the format of pytest-benchmark), `speed.md` and `speed.png`.

How to read the table: "GB/s" is the traffic that cannot be avoided (inputs read once, the gradient
written once) divided by the time of `ce`. torch cannot write into an array it is given, so its time
with a fresh gradient stands in the rows with `out=` too. Leave the machine alone while it runs: one
busy core makes two threads wait for each other and can slow a short call a hundredfold. Fresh
outputs cost page faults, which on Linux depend on the setting named above the table: where
transparent huge pages are at "madvise", NumPy's arrays get them (and so the gradients of `ce`), the
tensors of torch do not.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import cpus
from bench.cases import CASES
from bench.report import draw, table

ROOT = Path(__file__).parents[1]
FULL = "--benchmark-min-rounds=7", "--benchmark-max-time=1"
QUICK = "--benchmark-min-rounds=4", "--benchmark-max-time=0.2"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer problems and rounds")
    parser.add_argument("--threads", type=int, default=cpus())
    parser.add_argument("--case", action="append", metavar="NAME", choices=[c.name for c in CASES])
    parser.add_argument("--output", type=Path, default=ROOT / "bench" / "results", metavar="DIR")
    return parser.parse_args()


def run(library: str, case: str, threads: int, precision: tuple[str, ...]) -> dict:
    """Time one library on one problem in a new process; return pytest-benchmark's report."""
    names = "OMP_NUM_THREADS", "MKL_NUM_THREADS", "CE_NUM_THREADS"
    environment = os.environ | dict.fromkeys(names, str(threads))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pytest", "bench", "-q", "-p", "no:cacheprovider"]
        command += ["--library", library, "--case", case, "--threads", str(threads)]
        command += ["--benchmark-json", str(report), "--benchmark-disable-gc", *precision]
        command += ["--benchmark-min-time=0.0001", "--benchmark-quiet"]
        command += ["--benchmark-warmup=on", "--benchmark-warmup-iterations=2"]
        command += ["--benchmark-storage", folder]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{done.stdout[-4000:]}{done.stderr[-4000:]}")
        result = json.loads(report.read_text())
    for benchmark in result["benchmarks"]:
        benchmark["stats"].pop("data", None)  # every single round: megabytes
    return result


def used_by_others() -> float:
    """Return the CPU seconds since boot of everything but us and our children (0 if unknown)."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return 0.0
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, fields)
    ticks = user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])


def main() -> int:
    options = arguments()
    if importlib.util.find_spec("ce") is None:
        sys.exit("ce is not installed for this Python: pip install .")
    libraries = ["ce", "torch", "numpy"]
    if importlib.util.find_spec("torch") is None:
        libraries.remove("torch")
        print("torch is not installed: its columns stay empty")
    cases = [c for c in CASES if c.quick or not options.quick]
    if options.case:
        cases = [c for c in CASES if c.name in options.case]
    passes = range(1 if options.quick else 2)
    work = [(case, library) for case in cases for _ in passes for library in libraries]

    merged: dict = {}
    failed = False
    began, others = time.perf_counter(), used_by_others()
    for step, (case, library) in enumerate(work, start=1):
        print(f"[{step:2}/{len(work)}] {case.name:44} {library:6}", end="", flush=True)
        start = time.perf_counter()
        try:
            report = run(library, case.name, options.threads, QUICK if options.quick else FULL)
        except RuntimeError as error:
            failed = True
            print(f" FAILED\n{error}")
            continue
        medians = [f"{b['stats']['median'] * 1e3:9.3f}" for b in report["benchmarks"]]
        print(*medians, f"ms   ({time.perf_counter() - start:.1f} s)")
        merged.setdefault("benchmarks", []).extend(report.pop("benchmarks"))
        merged = report | merged

    others = (used_by_others() - others) / (time.perf_counter() - began)
    if merged:
        merged["cpus_used_by_others"] = others
        options.output.mkdir(parents=True, exist_ok=True)
        text = table(merged)
        print("", text, sep="\n")
        (options.output / "speed.json").write_text(json.dumps(merged, indent=1) + "\n")
        (options.output / "speed.md").write_text(text, encoding="utf-8")
        draw(merged, options.output / "speed.png")
        print("written to", options.output)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
