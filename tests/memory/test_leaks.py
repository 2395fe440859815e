"""No leaks: after many calls, right and wrong, references, objects and memory are as before.

More than 10^5 calls. An array's bytes, and the memory for intermediate results, come from
malloc; all other objects of Python are blocks.
"""

import ctypes
import gc
import os
import sys

import numpy as np
import pytest
from helpers.calls import CALLS
from helpers.interpreter import printed

import ce

TIMES, ROUNDS = 60, 24
# References, objects, objects in cycles, bytes: of all calls of a round. A leak is one object a
# call, or the 512 bytes or more that ce asks malloc for.
ALLOWED = (0, TIMES // 6, TIMES // 6, 100 * TIMES)

every_call = pytest.mark.parametrize(
    "call", CALLS, ids=lambda call: f"{call.function.__name__}, {call.name}"
)
TYPES = [np.ndarray, np.float32, np.float64, *ce._check.FOREIGN.values(), *map(np.dtype, "efdlLi")]


class Mallinfo(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = tuple((name, ctypes.c_size_t) for name in names.split())


mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None) if sys.platform == "linux" else None
if mallinfo:
    mallinfo.restype = Mallinfo


def bytes_in_use():
    """What malloc has given and not got back; 0 where the C library does not tell."""
    info = mallinfo() if mallinfo else Mallinfo()
    return info.uordblks + info.hblkhd


@pytest.fixture(autouse=True, scope="module")
def alone():
    """One thread; no collection but ours, which shall have little to look through."""
    gc.disable()
    gc.freeze()
    with ce.threads(1):
        yield
    gc.unfreeze()
    gc.enable()


def growth(call, watched):
    """Of TIMES calls: references to what is watched, objects, objects in cycles, bytes."""
    gc.collect()  # it empties Python's lists of free objects, too
    references = [sys.getrefcount(x) for x in watched]
    blocks, used = sys.getallocatedblocks(), bytes_in_use()
    for _ in range(TIMES):
        call()
    cycles = gc.collect()
    blocks, used = sys.getallocatedblocks() - blocks, bytes_in_use() - used
    after = [sys.getrefcount(x) for x in watched]
    lost = max(abs(a - b) for a, b in zip(after, references, strict=True))
    return lost, blocks, cycles, used


@every_call
def test_references_objects_and_bytes(call):
    """What fills a cache of Python's or NumPy's ends to grow; a leak grows with every round.

    A Python without the GIL may take a dozen rounds.
    """
    watched = [*TYPES, call.function, *call.arguments]
    watched = [x for x in watched if not isinstance(x, int | float | str | None)]
    for _ in range(ROUNDS):
        grown = growth(call, watched)
        if all(a <= b for a, b in zip(grown, ALLOWED, strict=True)):
            return
    pytest.fail(
        "{} references, {} objects, {} objects in cycles, {} bytes".format(*grown)
        + f" more after {TIMES} calls, and in each of {ROUNDS} rounds"
    )


@pytest.mark.skipif(not mallinfo, reason="this C library does not tell how many bytes are in use")
@pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""), reason="malloc is the sanitizer's"
)
def test_bytes_are_counted():
    before = bytes_in_use()
    kept = np.empty(10_000, np.uint8), np.empty(10_000_000, np.uint8)
    assert bytes_in_use() - before >= sum(x.nbytes for x in kept)


@every_call
def test_buffers_are_given_back(call):
    """A view that someone holds cannot be released."""
    views = []

    def lend(x):
        if not isinstance(x, np.ndarray):
            return x
        try:
            views.append(memoryview(x))
        except (TypeError, ValueError):  # dates have none
            return x
        return views[-1]

    for _ in range(3):
        call(lend)
    for view in views:
        view.release()


def test_references_where_memory_runs_out():
    """Each allocation of a call fails in turn. NumPy allocates for buffers of more than 8 axes."""
    testcapi = pytest.importorskip("_testcapi", reason="this Python cannot let allocations fail")
    z = np.zeros((2, 3) + (1,) * 9)
    target = np.zeros((2,) + (1,) * 9, np.dtype(np.int64).newbyteorder())
    grown, failed = [], 0
    for at in range(1, 100):
        references = sys.getrefcount(z), sys.getrefcount(target)
        for _ in range(10):
            testcapi.set_nomemory(at, at + 1)
            try:
                ce.cross_entropy(z, target)
            except MemoryError:
                failed += 1
            finally:
                testcapi.remove_mem_hooks()
        gc.collect()
        if references != (sys.getrefcount(z), sys.getrefcount(target)):
            grown.append(at)
    assert failed > 100
    assert not grown


FAILING = """
import gc
import _testcapi
import numpy as np
import ce

z, dates = np.ones((4, 5)), np.zeros(4, "M8[s]")
calls = [
    lambda: ce.cross_entropy(z, np.zeros(3, int)),
    lambda: ce.cross_entropy(z, np.full(4, 9)),
    lambda: ce.cross_entropy(z, dates),
    lambda: ce.softmax(z, axis=7),
    lambda: ce.softmax(z, axis=(0, 1), out=dates),
    lambda: ce.CrossEntropyLoss().grad(z, np.zeros(4, int), out=dates),
    lambda: ce.mse_loss(z, z, normalizer=-1.0),
]
outcomes = {}
for call in calls:
    for at in range(1, 80):
        gc.collect()  # it empties the lists of objects that are kept to be used again
        _testcapi.set_nomemory(at, at + 1)
        try:
            call()
        except Exception as error:
            _testcapi.remove_mem_hooks()
            outcomes[type(error).__name__] = outcomes.get(type(error).__name__, 0) + 1
        finally:
            _testcapi.remove_mem_hooks()
assert outcomes["MemoryError"] > 50 and outcomes["ValueError"] > 50, outcomes
"""


def test_errors_where_memory_runs_out():
    """One allocation fails while an error is on its way: that one, or another, never a crash."""
    pytest.importorskip("_testcapi", reason="this Python cannot let allocations fail")
    printed(FAILING)
