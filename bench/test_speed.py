"""test_speed.py - check a call against the reference, then time it."""

import importlib
import time

import numpy as np
import pytest

from bench.cases import IN_PLACE
from bench.problems import assert_agrees, inputs

SHORT = 2e-4  # seconds of a round; calls that are shorter are timed several at once


@pytest.fixture(scope="session")
def library(pytestconfig):
    """The module of the library under test, its versions and its instruction set."""
    module = importlib.import_module(f"bench.lib_{pytestconfig.getoption('--library')}")
    return module, *module.configure(pytestconfig.getoption("--threads"))


@pytest.fixture(scope="session")
def folder(pytestconfig, tmp_path_factory):
    return pytestconfig.getoption("--inputs") or tmp_path_factory.mktemp("inputs")


def as_arrays(case, output):
    """Value and gradient of the mean, the latter None where there is none."""
    return map(np.asarray, output) if isinstance(output, tuple) else (np.asarray(output), None)


def plan(call, seconds: float) -> dict[str, int]:
    """Rounds, and calls in each, that take about so long; at least three rounds."""
    start = time.perf_counter()
    call()
    once = max(time.perf_counter() - start, 1e-7)
    iterations = max(1, int(SHORT / once))
    rounds = max(3, min(1000, int(seconds / (once * iterations))))
    return {"rounds": rounds, "iterations": iterations}


def test_speed(benchmark, pytestconfig, library, folder, case, turn, mode):
    module, versions, instruction_set = library
    arrays = inputs(case, folder)
    call = module.prepare(case, mode, *arrays)
    logits = arrays[0].copy() if mode == IN_PLACE else None  # what the calls overwrite
    output = call()
    if turn == 0:
        assert_agrees(case, folder, *getattr(module, "as_arrays", as_arrays)(case, output))
    del output

    benchmark.group = f"{case.name} {mode}"
    if benchmark.disabled:
        benchmark(lambda: None)  # the results were checked
        return
    options = plan(call, pytestconfig.getoption("--seconds"))
    if logits is not None:
        options |= {"setup": lambda: np.copyto(arrays[0], logits), "iterations": 1}
    benchmark.pedantic(call, **options)
    if logits is not None:
        np.copyto(arrays[0], logits)

    moved = case.bytes_moved(mode)
    benchmark.extra_info |= {
        "library": pytestconfig.getoption("--library"),
        "case": case.name,
        "mode": mode,
        "dtype": case.dtype,
        "threads": pytestconfig.getoption("--threads"),
        "bytes": moved,
        "gb_per_s": moved / benchmark.stats.stats.median / 1e9,
        "instruction_set": instruction_set,
        "versions": {"numpy": np.__version__} | versions,
    }
