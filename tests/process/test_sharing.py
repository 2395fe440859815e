"""Calls from several Python threads at once share the CPUs, instead of each taking them all."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers.problems import assert_same_bits
from threadpoolctl import threadpool_limits

import ce


@pytest.fixture(autouse=True)
def eight_cpus():
    """As on a machine with eight processors, whatever the OpenMP runtime would allow."""
    if ce._core.threads_runtime() == "serial":
        pytest.skip("built without threads")
    ce._core.set_cpus(8)
    with threadpool_limits(8, user_api="openmp"):
        yield
    ce._core.set_cpus(ce._process.available_cpus())


def wait_for(condition):
    """Until it is true; a minute is far more than it needs."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.001)


def long_call(done, threads):
    """Calls until told to end, each of some milliseconds; results are the same for all."""
    x = np.broadcast_to(np.float32(0.5), 2**25)
    results = set()
    with threadpool_limits(8, user_api="openmp"), ce.threads(threads):
        while not done.is_set():
            results.add(float(ce.mse_loss(x, 1.0)))
    return results


@pytest.mark.parametrize("threads", [1, 3, 5])
def test_what_others_use_is_not_there(threads):
    assert ce._core.threads_team(8) == 8
    done = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(long_call, done, threads)
        try:
            wait_for(lambda: ce._core.threads_team(8) == 8 - threads)
            assert ce._core.threads_team(2) == 2
        finally:
            done.set()
        assert result.result() == {0.25}
    assert ce._core.threads_team(8) == 8


def test_the_caller_always_works():
    """All the CPUs taken: a call still has its own thread, and ends."""
    done = threading.Event()
    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(long_call, done, 8) for _ in range(4)]
        try:
            wait_for(lambda: ce._core.threads_team(8) == 1)
            logits = np.random.default_rng(0).normal(size=(20_000, 30))
            target = np.arange(20_000) % 30
            loss, grad = ce.CrossEntropyLoss().value_and_grad(logits, target)
        finally:
            done.set()
        assert set().union(*(result.result() for result in results)) == {0.25}  # one may come late
    with ce.threads(1):
        alone = ce.CrossEntropyLoss().value_and_grad(logits, target)
    assert_same_bits(loss, alone[0])
    assert_same_bits(grad, alone[1])
    assert ce._core.threads_team(8) == 8


def test_errors_give_threads_back():
    z = np.zeros((100_000, 3))
    target = np.full(100_000, 3)
    for _ in range(20):
        with pytest.raises(IndexError):
            ce.cross_entropy(z, target)
    assert ce._core.threads_team(8) == 8
