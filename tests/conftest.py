"""Fixtures of all tests."""

import numpy as np
import pytest

import ce


@pytest.fixture(params=ce._core.isas())
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
