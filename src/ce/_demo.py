"""What ``python -m ce`` does: a check of the installation, and how fast it is on this machine.

Every library is timed in a process of its own, ``python -m ce._demo LIBRARY ROWS CLASSES``: the
idle threads of one runtime would burn the other's time.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import ce

ROUNDS = 15
WIDTHS = (9, 20, 15, 14, 14)
BYTES = 40  # of memory for each logit, while a library is compared with NumPy in float64
MODES = {
    "value": "value",
    "fresh": "value and gradient",
    "reused": "value and gradient, out=",
}

Work = Callable[[], tuple[Any, Any]]


class TooLargeError(Exception):
    """The problem does not fit into the memory."""

    def __init__(self, rows: int, classes: int) -> None:
        gigabytes = rows * classes * BYTES / 1e9
        super().__init__(
            f"{rows} x {classes} logits need {gigabytes:.3g} GB, more memory than there is: "
            "choose fewer --rows or --classes"
        )


class Measured(NamedTuple):
    """The times of a mode, and the largest relative errors of value and gradient."""

    seconds: list[float]
    value_error: float
    grad_error: float | None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def time(self) -> str:
        """The median in milliseconds, of three digits, and half the distance of the quartiles."""
        low, median, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        digits = max(0, 2 - math.floor(math.log10(median * 1e3)))
        return f"{median * 1e3:.{digits}f} ± {(high - low) / 2 * 1e3:.{digits}f}"


Results = dict[str, dict[str, Measured]]  # by library and mode


def _problem(rows: int, classes: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((rows, classes), dtype=np.float32)
    return logits, rng.integers(0, classes, rows)


def _by_numpy(z: NDArray[Any], t: NDArray[np.int64], gradient: bool) -> tuple[Any, Any]:
    """Mean cross-entropy and its gradient as one writes them by hand."""
    rows = np.arange(len(t))
    shifted = z - z.max(axis=1, keepdims=True)
    exps = np.exp(shifted)
    sums = exps.sum(axis=1, keepdims=True)
    value = np.mean(np.log(sums[:, 0]) - shifted[rows, t])
    if not gradient:
        return value, None
    exps /= sums
    exps[rows, t] -= 1
    exps /= len(t)
    return value, exps


def _numpy_work(z: NDArray[Any], t: NDArray[np.int64]) -> dict[str, Work]:
    return {
        "value": lambda: _by_numpy(z, t, gradient=False),
        "fresh": lambda: _by_numpy(z, t, gradient=True),
    }


def _ce_work(z: NDArray[Any], t: NDArray[np.int64]) -> dict[str, Work]:
    criterion = ce.CrossEntropyLoss()
    out = np.empty_like(z)
    return {
        "value": lambda: (criterion(z, t), None),
        "fresh": lambda: criterion.value_and_grad(z, t),
        "reused": lambda: criterion.value_and_grad(z, t, out=out),
    }


def _torch_work(z: NDArray[Any], t: NDArray[np.int64]) -> dict[str, Work]:
    import torch

    torch.set_num_threads(ce.get_num_threads())
    logits, target = torch.from_numpy(z), torch.from_numpy(t)

    def value() -> tuple[Any, Any]:
        with torch.no_grad():
            return torch.nn.functional.cross_entropy(logits, target).numpy(), None

    def fresh() -> tuple[Any, Any]:
        leaf = logits.detach().requires_grad_()
        loss = torch.nn.functional.cross_entropy(leaf, target)
        (grad,) = torch.autograd.grad(loss, leaf)
        return loss.detach().numpy(), grad.numpy()

    return {"value": value, "fresh": fresh}


LIBRARIES = {"ce": _ce_work, "numpy": _numpy_work, "torch": _torch_work}


def relative_error(got: Any, true: Any) -> float:
    """The largest |got - true| / |true|; where the truth is 0, any other answer is off by inf."""
    off = np.asarray(np.abs(np.subtract(got, true, dtype=np.float64)))
    with np.errstate(divide="ignore"):
        np.divide(off, np.abs(true), out=off, where=off > 0)
    return float(off.max())


def _measure(library: str, rows: int, classes: int) -> dict[str, Measured]:
    """Time every mode of a library in this process."""
    z, t = _problem(rows, classes)
    value, grad = _by_numpy(z.astype(np.float64), t, gradient=True)
    measured = {}
    for mode, work in LIBRARIES[library](z, t).items():
        got_value, got_grad = work()
        error = None if got_grad is None else relative_error(got_grad, grad)
        del got_grad
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        measured[mode] = Measured(times, relative_error(got_value, value), error)
    return measured


def check_installation() -> None:
    """A small problem against plain NumPy in float64; raises where they differ."""
    z32, t = _problem(5, 37)
    z = z32.astype(np.float64)
    value, grad = _by_numpy(z, t, gradient=True)
    exps = np.exp(z)
    softmax = exps / exps.sum(axis=1, keepdims=True)
    criterion = ce.CrossEntropyLoss()
    hess = softmax * (1 - softmax) / len(t)
    for name, got, expected in (
        ("cross_entropy", ce.cross_entropy(z, t), value),
        ("cross_entropy in float32", ce.cross_entropy(z32, t), value),
        ("value_and_grad", criterion.value_and_grad(z, t)[1], grad),
        (
            "value_and_grad along axis 1",
            criterion.value_and_grad(z[..., None], t[:, None])[1][..., 0],
            grad,
        ),
        ("grad_and_hess", criterion.grad_and_hess(z, t)[1], hess),
        ("softmax", ce.softmax(z), softmax),
        ("log_softmax", ce.log_softmax(z), np.log(softmax)),
        ("logsumexp", ce.logsumexp(z), np.log(exps.sum(axis=1))),
    ):
        tolerance = 1e-6 if "float32" in name else 1e-13
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance, err_msg=name)


def _beside(seconds: float, own: float) -> str:
    """How ce compares with a library that takes so long."""
    word = "faster" if seconds >= own else "slower"
    ratio = max(seconds / own, own / seconds)
    return f"{ratio:.{int(ratio < 9.95)}f} x {word}"


def table(results: Results) -> str:
    names = ("library", "time / ms", "ce is", "value error", "grad error")
    head = " " * 26 + "".join(f"{n:>{w}}" for n, w in zip(names, WIDTHS, strict=True))
    lines = [head, "-" * len(head)]
    for mode, label in MODES.items():
        own = results["ce"][mode].median
        for library, modes in results.items():
            if mode == "reused" and library == "numpy":
                continue
            measured = modes.get(mode, modes["fresh"])
            error = measured.grad_error
            cells = (
                library,
                measured.time,
                "" if library == "ce" else _beside(measured.median, own),
                f"{measured.value_error:.1e}",
                "" if error is None else f"{error:.1e}",
            )
            first = label if library == "ce" else ""
            row = "".join(f"{c:>{w}}" for c, w in zip(cells, WIDTHS, strict=True))
            lines.append(f"{first:26}{row}")
    return "\n".join(lines)


def check_memory(rows: int, classes: int) -> None:
    """Raise TooLargeError for more than the memory of the machine, where the system tells that."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return
    if rows * classes * BYTES > memory > 0:
        raise TooLargeError(rows, classes)


def _in_process(library: str, rows: int, classes: int) -> dict[str, Measured]:
    """Time a library in a process of its own."""
    command = [sys.executable, "-m", "ce._demo", library, str(rows), str(classes)]
    done = subprocess.run(command, capture_output=True, text=True)
    killed = done.returncode == -9  # as the system does, when memory has run out
    if killed or re.search("MemoryError|allocate memory", done.stderr):
        raise TooLargeError(rows, classes)
    if done.returncode:
        sys.exit(f"{done.stderr}timing {library} failed with status {done.returncode}")
    return {mode: Measured(*numbers) for mode, numbers in json.loads(done.stdout).items()}


def time_libraries(rows: int, classes: int) -> Results:
    """Time each library that is installed, one after the other."""
    results = {}
    for library in LIBRARIES:
        if importlib.util.find_spec(library) is None:
            print(f"({library} is not installed: left out)")
            continue
        if sys.stdout.isatty():
            print(f"timing {library} ...", end="\r", flush=True)
        results[library] = _in_process(library, rows, classes)
    return results


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
