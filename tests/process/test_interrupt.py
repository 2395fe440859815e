"""Ctrl-C and other signals end a long call at once, and leave the process healthy.

The calls would take minutes: their arrays are one number or one row, repeated without memory. How
fast they end is not asserted here, `python tests/helpers/endless.py` measures it.
"""

import textwrap

import pytest
from helpers.interpreter import printed

PRELUDE = """
import os, signal, threading, time
import numpy as np
import ce
from helpers.endless import ENDLESS, interrupted

signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs us may ignore it

rng = np.random.default_rng(0)
logits, target = rng.normal(size=(3000, 70)).astype("f4"), rng.integers(0, 70, 3000)
criterion = ce.CrossEntropyLoss()
expected = criterion.value_and_grad(logits, target)

def check():
    ce._core.set_cpus(8)
    assert ce._core.threads_team(8) == min(8, FREE), "threads are still counted as at work"
    loss, grad = criterion.value_and_grad(logits, target)
    assert loss == expected[0] and (grad == expected[1]).all()

ce._core.set_cpus(8)
FREE = ce._core.threads_team(8)
"""


def run(code):
    """The code runs to its end in a fresh interpreter, within a time far below that of a call."""
    said = printed(
        PRELUDE + textwrap.dedent(code) + "\nprint('all well')",
        seconds=60,
        OMP_NUM_THREADS="3",
    )
    assert said.endswith("all well")


@pytest.mark.parametrize("threads", [1, 3])
def test_keyboard_interrupt(threads):
    run(f"""
    ce.set_num_threads({threads})
    for name, call in ENDLESS.items():
        interrupted(call)
        check()
    """)


def test_the_exception_of_a_handler():
    run("""
    class TooLate(Exception):
        pass

    def handler(*_):
        raise TooLate

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        ENDLESS["squared error"]()
        raise SystemExit("it ended")
    except TooLate:
        check()
    """)


def test_a_handler_that_raises_nothing():
    """The call goes on and comes to its result; the handler may itself call the library."""
    run("""
    inner = []
    signal.signal(signal.SIGALRM, lambda *_: inner.append(criterion.value_and_grad(logits, target)))
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    long = np.broadcast_to(logits[:1], (2**20, 70))
    at = np.broadcast_to(target[:1], 2**20)
    start = time.monotonic()
    while len(inner) < 3 and time.monotonic() < start + 30:
        loss = ce.cross_entropy(long, at)
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert len(inner) >= 3
    assert all(i[0] == expected[0] and (i[1] == expected[1]).all() for i in inner)
    np.testing.assert_allclose(loss, ce.cross_entropy(logits[:1], target[:1]), rtol=1e-6)
    check()
    """)


def test_a_call_in_another_thread_goes_on():
    run("""
    results = []
    big, classes = np.tile(logits, (100, 1)), np.tile(target, 100)
    done = threading.Event()

    def work():
        while not done.is_set():
            results.append(ce.cross_entropy(big, classes))

    worker = threading.Thread(target=work)
    worker.start()
    for _ in range(20):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
            raise SystemExit("no KeyboardInterrupt")
        except KeyboardInterrupt:
            pass
    before = len(results)
    while len(results) < before + 3 and worker.is_alive():
        time.sleep(0.01)
    done.set()
    worker.join()
    assert len(set(results)) == 1 and len(results) >= before + 3
    check()
    """)
