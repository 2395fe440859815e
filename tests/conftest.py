"""Fixtures of all tests."""

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
