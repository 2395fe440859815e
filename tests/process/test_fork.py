"""fork: a child computes with threads of its own, gets the right bits, and never hangs."""

import ctypes.util
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

def end_child(work):
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)

def fork(work=call_in_child):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        end_child(work)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == 0, f"a child ended with {code}"

def in_thread(work):
    done = []
    thread = threading.Thread(target=lambda: done.append(work()), daemon=True)
    thread.start()
    thread.join(60)
    assert len(done) == 1, "the thread failed, or hangs"
"""


def family(code, **environment):
    """The code ends, and without an exception."""
    said = printed(FAMILY + code + "\nprint('all well')", OMP_NUM_THREADS="2", **environment)
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


def test_a_fork_that_python_does_not_see():
    """That of a C library; holding the GIL, so that the child may run Python."""
    family("""
import ctypes
call()
os.fork = ctypes.PyDLL(None).fork
for _ in range(3): fork(); call()
""")


def test_a_runtime_that_takes_the_place_of_the_compilers():
    """LLVM's serves what was compiled for GCC's, too, where another library has loaded it."""
    libomp = ctypes.util.find_library("omp") or ctypes.util.find_library("iomp5")
    if not libomp or "LD_PRELOAD" in os.environ:
        pytest.skip("LLVM's OpenMP runtime is not installed, or there are sanitizers")
    family("fork(); call(); fork(); fork(); call()", LD_PRELOAD=libomp)


def test_a_runtime_told_not_to_see_forks():
    """scikit-learn tells LLVM's so: a child has no pool, and must not wait for it."""
    family("fork(call); call(); fork(call); call()", KMP_INIT_AT_FORK="FALSE")


# A signal handler that forks while a call of two threads, or of one, asks whether to stop. The
# child returns from the handler into the call, and has its thread alone. On a busy machine the
# handler may run after the call's last question, and then the call has its result in the child,
# too: the child says so, and it is tried again.
IN_A_HANDLER = """
big, many = np.broadcast_to(logits[:1], (2**22, 50)), np.broadcast_to(target[:1], 2**22)
OUTSIDE = 77

def handler(*_):
    global child
    if child is None:
        child = os.fork()
        if child == 0:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(30)
            {then}

def end_of_call():
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        while child is None:
            ce.cross_entropy(big, many)
        return "a result"
    except Exception as error:
        return f"{{type(error).__name__}}: {{error}}"

def check_child(ended):
    if ended == "a result" != {expected!r} and TEAM > 1:
        os._exit(OUTSIDE)
    assert ended.startswith({expected!r}) or TEAM == 1, ended
    assert ce._core.threads_team(8) <= 2, "threads are counted that are not at work"
    call()

def status():
    global child
    child = None
    with ce.threads({threads}):
        ended = end_of_call()
    if child == 0:
        end_child(lambda: check_child(ended))
    assert ended == "a result"
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

signal.signal(signal.SIGALRM, handler)
for _ in range(20):
    code = status()
    if code != OUTSIDE:
        break
assert code == 0, code
call()
fork()
"""


@pytest.mark.parametrize(
    ("threads", "then", "expected"),
    [
        (1, "pass", "a result"),
        (2, "pass", "RuntimeError: the process was forked inside this call"),
        (2, "raise KeyError('mine')", "KeyError: 'mine'"),
    ],
)
def test_fork_inside_a_call(threads, then, expected):
    family(IN_A_HANDLER.format(threads=threads, then=then, expected=expected))
