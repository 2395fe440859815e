"""fork: a child computes with threads of its own, gets the right bits, and never hangs."""

import os

import pytest
from helpers.interpreter import printed

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

# Up to two threads work, whatever the machine has; a child that hangs is killed, and its parent
# tells. The parent itself has used no threads of ours until it calls.
FAMILY = """
import os, signal, sys, threading
import numpy as np, ce

ce._core.set_cpus(2)
ce.set_num_threads(2)
TEAM = ce._core.threads_team(2)
logits = np.random.default_rng(0).standard_normal((4000, 50), np.float32)
target = np.arange(4000) % 50
criterion = ce.CrossEntropyLoss()
with ce.threads(1):
    loss, grad = criterion.value_and_grad(logits, target)

def call():
    got = criterion.value_and_grad(logits, target)
    assert got[0].tobytes() == loss.tobytes(), "the loss has other bits"
    assert got[1].tobytes() == grad.tobytes(), "the gradient has other bits"

def call_in_child():
    call()
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/task")) == TEAM, "the child does not use two threads"

def fork(work=call_in_child):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == 0, f"a child ended with {code}"

def in_thread(work):
    done = []
    thread = threading.Thread(target=lambda: done.append(work()), daemon=True)
    thread.start()
    thread.join(60)
    assert len(done) == 1, "the thread failed, or hangs"
"""


def family(code):
    """The code ends, and without an exception."""
    said = printed(FAMILY + code + "\nprint('all well')", OMP_NUM_THREADS="2")
    assert said == "all well"


def test_a_hundred_children():
    """One after the other, their parent computing before, between and after."""
    family("for i in range(100): i % 10 or call(); fork()\ncall()")


def test_the_first_call_is_a_childs():
    family("fork(); call(); fork()")


def test_children_at_once():
    family("""
children = []
for _ in range(8):
    call()
    if (child := os.fork()) == 0:
        signal.alarm(60)
        for _ in range(10): call_in_child()
        os._exit(0)
    children.append(child)
assert [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children] == [0] * 8
""")


def test_grandchildren():
    family("""
def generations(n):
    call_in_child()
    if n: fork(lambda: generations(n - 1))
    call()
call()
fork(lambda: generations(3))
call()
""")


@pytest.mark.parametrize("before", ["", "call()", "in_thread(call)"])
def test_fork_from_another_thread(before):
    """Each Python thread has a pool of its own, the main one perhaps, too."""
    family(f"{before}\nfor _ in range(10): in_thread(fork)\ncall()")
    family(f"{before}\ndef work(): call(); fork(); call()\nfor _ in range(5): in_thread(work)")


def test_fork_while_another_thread_is_inside_a_call():
    family("""
import time
wide, inside, stop = np.tile(logits, (25, 1)), threading.Event(), threading.Event()
many = np.tile(target, 25)
def work():
    while not stop.is_set():
        inside.set()
        criterion(wide, many)
thread = threading.Thread(target=work, daemon=True)
thread.start()
for i in range(20):
    inside.clear()
    assert inside.wait(60)
    time.sleep(0.001 * (i % 3))
    fork()
    call()
stop.set()
thread.join(60)
assert not thread.is_alive()
""")


def test_fork_inside_a_scope():
    """The scope holds in the child, ends there, and ends in the parent."""
    family("""
def work():
    assert ce.get_num_threads() == 1
    call()
    with ce.threads(2):
        call_in_child()
    assert ce.get_num_threads() == 1
call()
with ce.threads(1):
    fork(work)
    assert ce.get_num_threads() == 1
assert ce.get_num_threads() == 2
call()

scope = ce.threads(1)
scope.__enter__()
def leave():
    scope.__exit__(None, None, None)
    assert ce.get_num_threads() == 2
    call_in_child()
fork(leave)
assert ce.get_num_threads() == 1
""")


def test_an_exception_in_a_call_before_fork():
    family("""
target[3999] = 50
try:
    criterion(logits, target)
except IndexError:
    target[3999] = 49
else:
    raise AssertionError
fork()
call()
""")
