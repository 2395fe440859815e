"""Measure `ce` beside its rivals and beside the memory: ``python -m bench`` in the repository.

    python -m bench                  everything: leave it an hour on two CPUs
    python -m bench --quick          fewer cases, libraries and rounds: below two minutes
    python -m bench --case NAME      the speed of that case only; may be repeated
    python -m bench --write          write tables and plots into docs/speed.md and beside it, too
    python -m bench --redraw         only draw the plots of docs/speed.md anew, from its table
    python -m bench --targets        say, too, which rows fall short of what we want (targets.toml)
    python -m bench.scaling          time per element over the sizes of a problem, and its cliffs
    python -m bench.memory           memory beyond the inputs
    python -m bench.plain            one thread beside the plain loop of the processor
    python -m bench.heads            a language model's head with torch's loss and ours
    python -m bench.boosting         objectives of XGBoost and LightGBM, alone and in whole rounds
    pytest bench --library torch     one library, with all the figures of pytest-benchmark

Every case is run by `ce`, torch, torch.compile, JAX, ONNX Runtime, scikit-learn, SciPy and NumPy
written by hand, as far as they are installed and know the loss, with the same number of threads.
Each library lives in a process of its own, since the threads of one go on spinning after their work
and would slow another down; the processes wait for each other. Before a call is timed, its result
is compared with a float64 reference. Figures are medians; `ce` and torch take two turns at every
case, and the better turn counts, because the speed of shared machines changes within minutes. For
the same reason the memory is measured, by roofline.c, beside every case that is large enough.

Needs the `bench` extra. Writes speed.json (the format of pytest-benchmark and the roofline),
scaling.json, memory.json, plain.json, a Markdown file for each, and the plots. Leave the machine
alone while it runs: one busy core makes two threads wait for each other and can slow a short call a
hundredfold.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import LIBRARIES, cpus, missing, problems, report, roofline, targets
from bench.cases import CASES
from bench.worker import ROOT, Worker, limited

RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "speed.md"
TWICE = "ce", "torch"  # the libraries that take two turns
SLOW = "compile", "onnxruntime", "sklearn", "scipy"  # not in a quick run


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer cases, libraries and rounds")
    parser.add_argument("--threads", type=int, default=cpus())
    parser.add_argument("--case", action="append", metavar="NAME", choices=[c.name for c in CASES])
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="DIR")
    parser.add_argument(
        "--write",
        type=Path,
        nargs="?",
        const=PAGE,
        metavar="FILE",
        help="write tables into docs/speed.md (or FILE), and plots beside it",
    )
    parser.add_argument("--redraw", action="store_true", help="draw the plots of docs/speed.md")
    parser.add_argument("--targets", action="store_true", help="print what falls short")
    options = parser.parse_args()
    if options.threads < 1:
        parser.error(f"argument --threads: {options.threads} is not at least 1")
    if options.write and options.case:
        parser.error("--write wants all cases, not --case")
    return options


def used_by_others() -> float:
    """Return the CPU seconds since boot of everything but us (0 if unknown)."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return 0.0
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, fields)
    ticks = user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])


def start(options: argparse.Namespace, folder: Path) -> list[Worker]:
    """Start a process for every library, and one more for `ce` with one thread."""
    seconds = 0.1 if options.quick else 0.5
    chosen = [c for c in CASES if c.quick or not options.quick]
    if options.case:
        chosen = [c for c in CASES if c.name in options.case]
    workers = []
    for library in LIBRARIES:
        lack = missing(library)
        if lack or (options.quick and library in SLOW):
            print(f"{library} is left out: {lack or 'quick'}")
            continue
        turns = 2 if library in TWICE and not options.quick else 1
        names = [f"--case={case.name}" for case in chosen]
        common = [f"--turns={turns}", f"--seconds={seconds}"]
        workers.append(Worker(library, options.threads, folder, [*common, *names]))
        scaled = [f"--case={case.name}" for case in chosen if case.one_thread]
        if library == "ce" and scaled and options.threads > 1:
            workers.append(Worker(library, 1, folder, [*common, *scaled]))
    for worker in workers:
        if not worker.collected():
            print(f"{worker.library} FAILED\n{worker.log.read_text()[-3000:]}")
    return workers


def speed(options: argparse.Namespace, folder: Path) -> dict:
    """Run every case by every library; return the merged reports of pytest-benchmark."""
    program = roofline.build(folder)
    if program is None:
        print("there is no C compiler: the roofline is left out")
    began, others = time.perf_counter(), used_by_others()
    workers = start(options, folder)
    limits, failures = [], []
    names = set().union(*({name for name, _ in worker.groups} for worker in workers))
    cases = [case for case in CASES if case.name in names]
    for step, case in enumerate(cases, start=1):
        print(f"[{step}/{len(cases)}] {case.label}  ({time.perf_counter() - began:.0f} s)")
        problems.create(case, folder)
        for turn in range(2):
            present = [worker for worker in workers if (case.name, turn) in worker.groups]
            sizes = {case.pattern(mode): case.bytes_moved(mode) for mode in case.modes}
            for pattern, size in sizes.items() if program and present and case.rooflined else ():
                rate = roofline.bandwidth(program, pattern, size, options.threads, 0.2)
                limits.append({"case": case.name, "pattern": pattern, "bytes_per_s": rate})
                print(f"    {f'memory: {pattern}':16} {rate / 1e9:9.1f} GB/s", flush=True)
            for worker in present:
                found = worker.run(case.name, turn)
                failures += [x for x in found if isinstance(x, str)]
                times = [f"{report.significant(x * 1e3):>9}" for x in found if x not in failures]
                name = worker.library + (", 1 thread" if worker.threads == 1 else "")
                print(f"    {name:16}", *times, "ms", flush=True)
                for error in (x for x in found if x in failures):
                    print("FAILED", error, sep="\n")
                time.sleep(0.02)  # until the threads of that library sleep

    for worker in workers:
        worker.process.join()
    others = (used_by_others() - others) / (time.perf_counter() - began)
    merged: dict = {"benchmarks": []}
    for worker in workers:
        if worker.report.exists() and worker.report.stat().st_size:
            one = json.loads(worker.report.read_text())
            merged = one | merged | {"benchmarks": merged["benchmarks"] + one["benchmarks"]}
    for benchmark in merged["benchmarks"]:
        benchmark["stats"].pop("data", None)  # every single round: megabytes
    disturbed = max(0.0, others)
    return merged | {"roofline": limits, "failures": failures, "cpus_used_by_others": disturbed}


def main() -> int:
    options = arguments()
    if options.redraw:
        report.draw(PAGE.read_text(encoding="utf-8"), PAGE.parent)
        return 0
    if lack := missing("ce"):
        sys.exit(f"{lack} for this Python: pip install .")
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        measured = speed(options, Path(folder))
    (options.output / "speed.json").write_text(json.dumps(measured, indent=1) + "\n")
    failed = report.write(measured, options.output) or bool(measured["failures"])
    if not options.case:
        common = ["--output", str(options.output), *(["--quick"] if options.quick else [])]
        environment = os.environ | limited(options.threads)
        for module in ("bench.scaling", "bench.memory", "bench.plain"):
            command = [sys.executable, "-m", module, *common]
            failed |= subprocess.run(command, cwd=ROOT, env=environment).returncode
    if options.targets:
        print(targets.shortfalls(report.Report(measured)))
    if options.write and not failed:
        report.into_page(options.output, options.write)
    print("written to", options.output)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
