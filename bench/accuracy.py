"""Measure the errors of every loss, gradient and Hessian: ``python -m bench.accuracy``.

    python -m bench.accuracy             everything, below five minutes
    python -m bench.accuracy --quick     fewer numbers: below a minute
    python -m bench.accuracy --isa NAME  one instruction set of ce only; may be repeated
    python -m bench.accuracy --write     write into docs/accuracy.md, and the plot beside it, too

What an ulp is, and what counts as right where numbers vanish, stands in ulps.py; the truth is from
mpmath, at the inputs as they are stored (both by tests/oracle). "is 0", "is NaN" and "is inf" stand
where that is the worst answer to a number that is not; a 0 is off by 2^23 to 2^24 ulps in float32.

Where sums cancel, as in a gradient near its zero, ulps of the truth have no bound. So the full
table has our errors as a fraction of what the tests allow (by tests/oracle), too, which is
relative to the absolute terms of the sum: more than 1 would fail them.

Beside ours are the errors of torch, SciPy and scikit-learn at the same inputs, as far as they are
installed and offer the loss, and for the functions of src/ce_c/real those of NumPy. Needs the
extras `bench` and `test`. Writes accuracy.md and accuracy.png.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import mpmath
import numpy as np

import ce
from bench import accuracy_language, accuracy_report, kernels, rivals
from bench.truth import FUNCTIONS, LOSSES
from bench.ulps import Errors, Exact, ulps

ROOT = Path(__file__).parents[1]
DTYPES = list(map(np.dtype, (np.float32, np.float64, np.float16, ml_dtypes.bfloat16)))


@dataclass(frozen=True)
class Subject:
    """A loss or a function, by its row: what ce answers where, what is true, what tests allow."""

    label: str
    tails: Callable[..., Iterator[tuple[np.ndarray, ...]]]
    answers: Callable[..., dict[str, np.ndarray]]
    truth: Callable[..., dict[str, list]]
    allowed: Callable[..., dict[str, np.ndarray]]


def of_loss(loss: Any, measured: Any) -> Subject:
    options = loss.fixed | measured.options

    def answers(x, y):
        plain = getattr(ce, loss.criterion)(**options, reduction="none")
        grad, hess = plain.grad_and_hess(x, y)
        found = {"loss": plain(x, y), "gradient": grad, "Hessian": hess}
        if loss.hessians:
            found["Gauss-Newton"] = plain.grad_and_hess(x, y, hessian="gauss_newton")[1]
        mean = getattr(ce, loss.criterion)(**options, reduction="mean")
        return found | {"mean loss": np.asarray(mean(x, y))}

    def truth(x, y):
        found = loss.truth(x, y, **options)
        with mpmath.workdps(60):
            found["mean loss"] = [mpmath.fsum(found["loss"]) / len(found["loss"])]
        return found

    def allowed(x, y):
        exact = loss.define(x, y, **options, reduction="none")
        found = {"loss": exact.loss, "gradient": exact.grad, "Hessian": exact.hess}
        if loss.hessians:
            more = loss.define(x, y, **options, reduction="none", hessian="gauss_newton")
            found["Gauss-Newton"] = more.hess
        found["mean loss"] = loss.define(x, y, **options, reduction="mean").loss
        return {quantity: e.error for quantity, e in found.items()}

    return Subject(loss.label_of(measured), measured.tails, answers, truth, allowed)


def of_function(function: Any, measured: Any) -> Subject:
    return Subject(
        function.label_of(measured),
        measured.tails,
        lambda *arrays: {"value": getattr(ce, function.name)(*arrays, axis=1)},
        function.truth,
        lambda *arrays: {"value": function.define(*arrays, 1).error},
    )


def subjects() -> list[Subject]:
    """Every loss of the oracle, and the functions along an axis, wherever they are measured."""
    found = [
        make(row, measured)
        for rows, make in ((LOSSES, of_loss), (FUNCTIONS, of_function))
        for row in rows
        for measured in row.measured
    ]
    return found + accuracy_language.subjects(Subject)


@dataclass
class Row:
    """A quantity of a loss in a dtype: the errors of ce by instruction set, those of others."""

    label: str
    quantity: str
    dtype: str
    ours: dict[str, Errors] = field(default_factory=dict)
    others: dict[str, Errors] = field(default_factory=dict)
    used: dict[str, float] = field(default_factory=dict)  # of what the tests allow

    @property
    def worst(self) -> Errors:
        return max(self.ours.values(), key=lambda e: (np.isnan(e.largest), e.largest))


Answers = list[dict[str, np.ndarray]]  # by quantity, of each batch


def fraction_used(got: np.ndarray, exact: Exact, allowed: np.ndarray) -> float:
    """The largest error as a fraction of what is allowed; correctly rounded numbers use nothing."""
    off = exact.off(got)
    with np.errstate(all="ignore"):
        fine = got.reshape(off.shape) == exact.high.astype(got.dtype)
        used = off / np.broadcast_to(np.asarray(allowed, np.float64), got.shape).reshape(off.shape)
    used = np.where(fine | (ulps(got, exact) == 0), 0, np.nan_to_num(used, nan=np.inf))
    return float(used.max(initial=0))


def errors_of(answers: Answers, exact: list[dict[str, Exact]], quantity: str) -> Errors | None:
    """The errors of a quantity over the batches for which there is an answer."""
    pairs = zip(answers, exact, strict=True)
    pairs = [(got[quantity], true[quantity]) for got, true in pairs if quantity in got]
    if not pairs:
        return None
    got = np.concatenate([np.ravel(answer) for answer, _ in pairs])
    parts = [np.concatenate([getattr(e, part) for _, e in pairs]) for part in ("high", "low")]
    return Errors.of(got, Exact(*parts))


def measured(subject: Subject, dtype: np.dtype, isas: list[str], n: int) -> list[Row]:
    """The rows of a loss in a dtype."""
    rng = np.random.default_rng(20240613)
    batches = list(subject.tails(rng, n, dtype))
    found = [subject.truth(*arrays) for arrays in batches]
    exact = [{quantity: Exact.of(x) for quantity, x in numbers.items()} for numbers in found]
    allowed = [subject.allowed(*arrays) for arrays in batches]
    rows = {q: Row(subject.label, q, dtype.name) for q in exact[0]}
    before = ce._core.isa()
    try:
        for isa in isas:
            ce._core.use_isa(isa)
            answers = [subject.answers(*arrays) for arrays in batches]
            for quantity, row in rows.items():
                row.ours[isa] = errors_of(answers, exact, quantity)
                row.used[isa] = max(
                    fraction_used(np.asarray(got[quantity]), true[quantity], most[quantity])
                    for got, true, most in zip(answers, exact, allowed, strict=True)
                )
    finally:
        ce._core.use_isa(before)
    for name, library in rivals.LIBRARIES.items():
        if importlib.util.find_spec(name):
            answers = [library(subject.label, *arrays) for arrays in batches]
            found = {quantity: errors_of(answers, exact, quantity) for quantity in rows}
            for quantity, errors in found.items():
                if errors:
                    rows[quantity].others[name] = errors
    return list(rows.values())


def of_kernels(folder: Path, isas: list[str], quick: bool) -> list[tuple]:
    """Name, type, instruction set (or NumPy) and errors of the functions of src/ce_c/real."""
    found = []
    for isa in isas:
        print(f"the functions of src/ce_c/real, {isa}", flush=True)
        library = kernels.build(folder, isa)
        if library is None:
            print("there is no C compiler: the functions of src/ce_c/real are left out")
            return []
        for kernel in kernels.KERNELS:
            for real in kernels.types(library, kernel):
                every = kernel.name == "exp" and isa == isas[-1]
                step = 1009 if quick else 1 if every else 31
                found.append((kernel.name, real, isa, kernels.measure(library, kernel, real, step)))
                if kernel.numpy and isa == isas[-1]:
                    errors = kernels.measure(library, kernel, real, max(step, 31), numpy=True)
                    found.append((kernel.name, real, "NumPy", errors))
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.accuracy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known = ce._core.isas()
    parser.add_argument("--quick", action="store_true", help="fewer numbers")
    parser.add_argument("--isa", action="append", metavar="NAME", choices=known)
    parser.add_argument("--output", type=Path, default=ROOT / "bench" / "results", metavar="DIR")
    parser.add_argument("--write", action="store_true", help="write into docs/accuracy.md, too")
    options = parser.parse_args()
    options.isa = [isa for isa in known if not options.isa or isa in options.isa]
    return options


def main() -> None:
    options, began, rows = arguments(), time.perf_counter(), []
    options.output.mkdir(parents=True, exist_ok=True)
    listed = subjects()
    for step, subject in enumerate(listed, start=1):
        seconds = time.perf_counter() - began
        print(f"[{step}/{len(listed)}] {subject.label}  ({seconds:.0f} s)", flush=True)
        for dtype in DTYPES:
            rows += measured(subject, dtype, options.isa, 200 if options.quick else 1600)
    with tempfile.TemporaryDirectory() as folder:
        functions = of_kernels(Path(folder), options.isa, options.quick)
    accuracy_report.write(rows, functions, options.isa, options.output)
    if options.write:
        page = ROOT / "docs" / "accuracy.md"
        accuracy_report.into_page(rows, functions, options.isa, options.output, page)
    print(f"written to {options.output}  ({time.perf_counter() - began:.0f} s)")


if __name__ == "__main__":
    main()
