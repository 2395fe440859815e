"""conftest.py - fixtures of all tests; the map of the folders.

oracle/     what is right: a row per loss with definition, inputs and options; bench reads it, too
helpers/    problems made from rows, comparisons, a table of calls, fresh interpreters (no tests)

values/     values, gradients and Hessians within a few units in the last place, at any margin
edges/      infinities, NaN, ignored items, weights of 0, no items; by family
bits/       the same bits for any threads, batch, place, instruction set, mode; golden.txt proves it
process/    threads, their limits, fork, interrupts, other libraries, Python without the GIL
arguments/  what is taken in which layout, what is refused with which words, what is written where
memory/     hostile objects, forbidden pages, leaks, arrays beyond 2^31 elements
integrations/  XGBoost, LightGBM, CatBoost, scikit-learn, SciPy, torch; the pages about them
public/     the names, docstrings, README, examples and pictures; paperwork that no loss may lack
c/          the engine without Python: golden hashes, the fuzzer

A further loss is one row in its family's file of oracle/: everything here walks the rows.
"""

import numpy as np
import pytest

import ce


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc):
    """Of all parameters the instruction set turns fastest: one truth serves all of them."""
    if "isa" in metafunc.fixturenames:
        metafunc.parametrize("isa", ce._core.isas(), indirect=True)


@pytest.fixture
def isa(request):
    """Each instruction set that this machine can run, in turn."""
    before = ce._core.isa()
    ce._core.use_isa(request.param)
    yield request.param
    ce._core.use_isa(before)


@pytest.fixture
def rng():
    """The same random numbers in every run."""
    return np.random.default_rng(20240607)
