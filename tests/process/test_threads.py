"""Thread counts: their scopes, their sources, and concurrent callers."""

import asyncio
import contextvars
import os
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers.interpreter import printed, run
from helpers.problems import assert_same_bits

import ce


@pytest.fixture(autouse=True)
def restored():
    """Whatever a test sets, the others find the default."""
    before = ce.get_num_threads()
    yield
    ce.set_num_threads(before)


def test_default_is_positive():
    assert isinstance(ce.get_num_threads(), int)
    assert ce.get_num_threads() >= 1


def test_set_is_get():
    for count in (1, 2, 3):
        ce.set_num_threads(count)
        assert ce.get_num_threads() == count


@pytest.mark.parametrize("count", [0, -1, -(2**40)])
@pytest.mark.parametrize("function", [ce.set_num_threads, ce.threads])
def test_counts_below_one(function, count):
    before = ce.get_num_threads()
    with pytest.raises(ValueError, match=str(count)):
        enter(function(count))
    assert ce.get_num_threads() == before


@pytest.mark.parametrize("count", [1.5, 2.0, "2", None, [1]])
@pytest.mark.parametrize("function", [ce.set_num_threads, ce.threads])
def test_counts_that_are_no_integers(function, count):
    before = ce.get_num_threads()
    with pytest.raises(TypeError, match=re.escape(repr(count))):
        enter(function(count))
    assert ce.get_num_threads() == before


def enter(scope):
    """A scope may check its argument when it is made or when it is entered."""
    with scope:
        pass


def test_numpy_integers_count():
    ce.set_num_threads(np.int32(2))
    assert ce.get_num_threads() == 2


def test_scopes_nest():
    ce.set_num_threads(2)
    with ce.threads(1):
        assert ce.get_num_threads() == 1
        with ce.threads(3):
            assert ce.get_num_threads() == 3
        assert ce.get_num_threads() == 1
    assert ce.get_num_threads() == 2


def test_scopes_end_with_an_exception():
    ce.set_num_threads(2)
    with pytest.raises(KeyError), ce.threads(1):
        raise KeyError
    assert ce.get_num_threads() == 2


def test_scopes_do_not_reach_other_threads():
    ce.set_num_threads(2)
    seen = []
    with ce.threads(1):
        other = threading.Thread(target=lambda: seen.append(ce.get_num_threads()), **own_context())
        other.start()
        other.join()
    assert seen == [2]


def own_context():
    """A free-threaded Python lets threads inherit the context, unless they are given one."""
    return {"context": contextvars.Context()} if sys.version_info >= (3, 14) else {}


def test_scopes_follow_the_context():
    ce.set_num_threads(2)
    with ce.threads(1):
        context = contextvars.copy_context()
    assert ce.get_num_threads() == 2
    assert context.run(ce.get_num_threads) == 1


@pytest.mark.parametrize("count", [0, -1, -(2**31)])
def test_a_scope_that_someone_else_sets(count, rng):
    """A ContextVar can be found, and set, by anyone: too few threads are one."""
    z, t = rng.normal(size=(5000, 300)), np.zeros(5000, int)
    expected = ce.CrossEntropyLoss().grad(z, t)
    with ce.threads(2):
        (scope,) = (var for var in contextvars.copy_context() if var.name == "ce.threads")
        scope.set(count)
        assert_same_bits(ce.CrossEntropyLoss().grad(z, t), expected)


def test_scopes_of_tasks_are_separate():
    async def task(count, turn, other):
        with ce.threads(count):
            turn.set()
            await other.wait()
            return ce.get_num_threads()

    async def both():
        a, b = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(task(1, a, b), task(3, b, a))

    assert asyncio.run(both()) == [1, 3]


SHOW = "import ce; print(ce.get_num_threads())"


def test_environment():
    assert printed(SHOW, CE_NUM_THREADS="1") == "1"
    assert printed(SHOW, CE_NUM_THREADS="3") == "3"
    assert printed(SHOW, OMP_NUM_THREADS="1") == "1"
    assert printed(SHOW, CE_NUM_THREADS="1", OMP_NUM_THREADS="2") == "1"
    assert printed(SHOW, OMP_NUM_THREADS="3,2") == "3"


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_environment_that_is_no_count(text):
    result = run("import ce", CE_NUM_THREADS=text)
    message = result.stderr.strip().splitlines()[-1]
    assert result.returncode != 0
    assert message.startswith("ImportError")
    assert "CE_NUM_THREADS" in message
    assert text in message


def test_default_is_no_more_than_the_processors():
    assert 1 <= int(printed(SHOW)) <= os.cpu_count()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_default_follows_the_affinity_mask():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n" + SHOW
    assert printed(code) == "1"


@pytest.mark.parametrize("name", ce._core.isas())
def test_environment_chooses_the_instruction_set(name):
    code = (
        "import ce, numpy as np; print(ce._core.isa());"
        "print(ce.cross_entropy(np.zeros((5, 4)), np.array([0, 1, 2, 3, 0])))"
    )
    chosen, loss = printed(code, CE_ISA=name).split()
    assert chosen == name
    np.testing.assert_allclose(float(loss), np.log(4), rtol=1e-15)


def test_unknown_instruction_set_is_an_error_at_import():
    result = run("import ce", CE_ISA="nonesuch")
    assert result.returncode != 0
    message = result.stderr.strip().splitlines()[-1]
    assert message.startswith("ImportError")
    for word in ("CE_ISA", "nonesuch", *ce._core.isas()):
        assert word in message


def large(seed):
    """A problem large enough for several threads, with its seed's own values."""
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((4000, 70), np.float32)
    return logits, rng.integers(0, 70, 4000)


def test_concurrent_callers_do_not_disturb_each_other(isa):
    problems = [large(seed) for seed in range(8)]
    criterion = ce.CrossEntropyLoss()
    expected = [criterion.value_and_grad(*problem) for problem in problems]
    barrier = threading.Barrier(8)

    def caller(i):
        barrier.wait(60)
        return [criterion.value_and_grad(*problems[(i + k) % 8]) for k in range(8)]

    with ThreadPoolExecutor(8) as pool:
        for i, results in enumerate(pool.map(caller, range(8))):
            for k, (loss, grad) in enumerate(results):
                assert_same_bits(loss, expected[(i + k) % 8][0])
                assert_same_bits(grad, expected[(i + k) % 8][1])
