"""What ``python -m ce`` does: a check of the installation, and how fast it is on this machine.

Every library is timed in a process of its own: the idle threads of one runtime would burn the
other's time.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ce

ROUNDS = 9
WIDTHS = (9, 11, 14, 15, 14)
MODES = {
    "value": "value",
    "fresh": "value and gradient",
    "reused": "value and gradient, out=",
}

Work = Callable[[], tuple[Any, Any]]


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


def _measure(library: str, rows: int, classes: int) -> dict[str, tuple[float, float, float]]:
    """For each mode: median seconds, and the largest differences of value and gradient."""
    z, t = _problem(rows, classes)
    value, grad = _by_numpy(z.astype(np.float64), t, gradient=True)
    measured = {}
    for mode, work in LIBRARIES[library](z, t).items():
        got_value, got_grad = work()
        error = 0.0 if got_grad is None else float(np.max(np.abs(got_grad - grad)))
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        measured[mode] = (statistics.median(times), abs(float(got_value) - float(value)), error)
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


def table(results: dict[str, dict[str, tuple[float, float, float]]]) -> str:
    names = ("library", "time / ms", "ce is", "|value error|", "|grad error|")
    head = " " * 26 + "".join(f"{n:>{w}}" for n, w in zip(names, WIDTHS, strict=True))
    lines = [head, "-" * len(head)]
    for mode, label in MODES.items():
        own = results["ce"][mode][0]
        for library, measured in results.items():
            seconds, value_error, grad_error = measured.get(mode, measured["fresh"])
            if mode == "reused" and library == "numpy":
                continue
            cells = (
                library,
                f"{seconds * 1e3:.2f}",
                "" if library == "ce" else f"{seconds / own:.1f} x faster",
                f"{value_error:.1e}",
                f"{grad_error:.1e}" if mode != "value" else "",
            )
            first = label if library == "ce" else ""
            row = "".join(f"{c:>{w}}" for c, w in zip(cells, WIDTHS, strict=True))
            lines.append(f"{first:26}{row}")
    return "\n".join(lines)


def time_libraries(rows: int, classes: int) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Time each library that is installed, one after the other."""
    results = {}
    for library in LIBRARIES:
        if importlib.util.find_spec(library) is None:
            print(f"({library} is not installed: left out)")
            continue
        if sys.stdout.isatty():
            print(f"timing {library} ...", end="\r", flush=True)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            results[library] = pool.submit(_measure, library, rows, classes).result()
    return results
