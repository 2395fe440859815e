"""test_speed.py - check a call against the reference, then time it."""

import importlib

import numpy as np
import pytest

from bench.cases import FORWARD, assert_agrees


@pytest.fixture(scope="session")
def threads(pytestconfig):
    return pytestconfig.getoption("--threads")


@pytest.fixture(scope="session")
def library(pytestconfig, threads):
    """The library under test, its versions and its instruction set."""
    name = pytestconfig.getoption("--library")
    module = importlib.import_module(f"bench.lib_{name}")
    return name, module, *module.configure(threads)


def test_speed(benchmark, library, threads, case, mode):
    name, module, versions, instruction_set = library
    call = module.prepare(case, mode)
    result = call()
    value, grad = (result, None) if mode == FORWARD else map(module.to_array, result)
    assert_agrees(case, value, grad)
    del result, value, grad

    benchmark.group = f"{case.name} {mode}"
    benchmark(call)

    moved = case.bytes_moved(mode)
    benchmark.extra_info |= {
        "library": name,
        "case": case.name,
        "mode": mode,
        "dtype": case.dtype,
        "threads": threads,
        "bytes": moved,
        "instruction_set": instruction_set,
        "versions": {"numpy": np.__version__} | versions,
    }
    if benchmark.stats is not None:
        benchmark.extra_info["gb_per_s"] = moved / benchmark.stats.stats.median / 1e9
