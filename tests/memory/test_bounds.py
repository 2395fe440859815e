"""No access outside the arrays: they lie against pages that must not be touched.

Each check runs in a process of its own, which an access out of bounds would kill.
"""

import os
import subprocess
import sys

import pytest
from helpers.interpreter import TESTS

import ce

GUARDED = """
import ctypes, mmap
import numpy as np
import ce

libc = ctypes.CDLL(None, use_errno=True)
PAGE = mmap.PAGESIZE
kept = []

def guarded(values, at_end):
    '''A copy of the values that ends where a forbidden page begins, or begins where one ends.'''
    size = -(-max(values.nbytes, 1) // PAGE) * PAGE
    memory = mmap.mmap(-1, size + 2 * PAGE)
    kept.append(memory)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for page in (address, address + PAGE + size):
        assert libc.mprotect(ctypes.c_void_p(page), PAGE, 0) == 0
    start = PAGE + (size - values.nbytes if at_end else 0)
    array = np.frombuffer(memory, values.dtype, values.size, start).reshape(values.shape)
    array[...] = values
    return array
"""

CALLS = """
ce._core.use_isa({isa!r})
from oracle import FUNCTIONS, LOSSES
from helpers.problems import DTYPES, criterion_of, problem

SMALL = (1, 3, 9, 17, 33, 65)
LARGE = [(1, 513), (2, 4097), (1, 45, 70), (1, 513, 19), (1, 2049, 36)]
STREAMED = (1, 5, 2**21 + 1)  # a gradient so large that it goes past the caches

def shapes():
    for n in SMALL:
        yield from ((3, n), (37, n), (1, n, 1), (2, n, 19))
    yield from LARGE

def guard(x, at_end):
    return guarded(x, at_end) if np.ndim(x) else x

for shape in shapes():
    for loss in LOSSES:
        for dtype in DTYPES if shape[0] == 3 else DTYPES[::2]:
            p = problem(loss, shape, None, dtype, loss.sweeps[-1], "none")
            for at_end in (False, True):
                kept.clear()
                z, t = guard(p.x, at_end), guard(p.target, at_end)
                out, pair = guarded(p.x, at_end), guarded(p.x, at_end)
                call = {{k: guard(v, at_end) for k, v in p.call.items()}}
                options = {{k: guard(v, at_end) for k, v in p.options.items()}}
                criterion = getattr(ce, loss.criterion)(**options)
                criterion(z, t, **call)
                criterion.value_and_grad(z, t, out=out)
                criterion.grad_and_hess(z, t, out=(out, pair), **call)
                sum_of = criterion_of(loss, p, reduction="mean")
                sum_of(z, t)
                sum_of.grad(z, t, out=z)

rng = np.random.default_rng(0)
for at_end in (False, True):
    kept.clear()
    z, out = (guarded(np.full(STREAMED, 0.5, np.float32), at_end) for _ in range(2))
    t = guarded(np.zeros((1, STREAMED[2]), np.int8), at_end)
    ce.CrossEntropyLoss().grad(z, t, out=out)
    ce.softmax(z, axis=1, out=out)
for dtype in DTYPES:
    for shape in shapes():
        for at_end in (False, True):
            kept.clear()
            for function in FUNCTIONS:
                arrays = function.arrays(rng, shape, 1, dtype)
                arrays = [guarded(x, at_end) for x in arrays]
                call = getattr(ce, function.name)
                result = call(*arrays, axis=1)
                if function.out:
                    call(*arrays, axis=1, out=guarded(result, at_end))
            z = guarded(rng.normal(size=shape).astype(dtype), at_end)
            t = rng.integers(0, shape[1], shape[:1] + shape[2:])
            z = np.moveaxis(z, 1, -1) if z.ndim > 2 else z[::-1, ::-1]
            ce.CrossEntropyLoss(axis=-1).grad(z, t, out=z)
print("all inside")
"""

RACE = """
import os, signal, time
rng = np.random.default_rng(0)

def normal(*shape):
    return guarded(rng.normal(size=shape).astype(np.float32), True)

def full(n, value, dtype=np.float32):
    return guarded(np.full(n, value, dtype), True)

{setup}
first, other = array.copy(), np.broadcast_to(np.asarray(other, array.dtype), array.shape)
parent, meddler = os.getpid(), os.fork()  # a thread would wait for the interpreter
if meddler == 0:
    while os.getppid() == parent:
        np.copyto(array, other)
        np.copyto(array, first)
    os._exit(0)
end = time.monotonic() + 2
try:
    while time.monotonic() < end:
        try:
            call()
        except (IndexError, ValueError):
            pass
finally:
    os.kill(meddler, signal.SIGKILL)
print("all inside")
"""

# What changes meanwhile, and into what.
RACES = {
    "few classes": """
array, other, logits = full(500, 0, np.int64), 10**13, normal(500, 3)
call = lambda: ce.CrossEntropyLoss().grad(logits, array)""",
    "lanes": """
array, other, logits = full(500, 0, np.int64), 10**13, normal(500, 40)
call = lambda: ce.CrossEntropyLoss().grad(logits, array)""",
    "logits by lanes": """
array, other, target = normal(100, 40), rng.normal(size=(100, 40)), np.zeros(100, int)
call = lambda: ce.CrossEntropyLoss().grad(array, target)""",
    "logits by rows": """
array, other, target = normal(4, 700), rng.normal(size=(4, 700)), np.zeros(4, int)
call = lambda: ce.CrossEntropyLoss().grad(array, target)""",
    "logits of split rows": """
ce.set_num_threads(2)
array, other, target = normal(2, 70000), rng.normal(size=(2, 70000)), np.zeros(2, int)
call = lambda: ce.CrossEntropyLoss().grad(array, target)""",
    "class probabilities": """
array, other, logits = normal(4, 700), np.nan, normal(4, 700)
call = lambda: ce.CrossEntropyLoss().grad(logits, array)""",
    "weights": """
array, other, logits, target = normal(40), np.nan, normal(400, 40), np.zeros(400, int)
call = lambda: ce.CrossEntropyLoss(weight=array).grad(logits, target)""",
    "weights of items": """
array, other, logits, target = normal(40), 0, normal(40, 400), np.zeros(40, int)
call = lambda: ce.CrossEntropyLoss().grad(logits, target, sample_weight=array)""",
    "probabilities": """
array, other = full(400, 0.5), [0.5] * 399 + [2]
call = lambda: ce.binary_cross_entropy(array, 1)""",
    "labels": """
array, other, probs = full(400, 0.5), [0.5] * 399 + [2], full(400, 0.5)
call = lambda: ce.binary_cross_entropy(probs, array)""",
}

posix = pytest.mark.skipif(sys.platform != "linux", reason="the guard pages are made for Linux")


def survives(code):
    """The code runs to its end in a fresh interpreter."""
    result = subprocess.run(
        [sys.executable, "-c", GUARDED + code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([TESTS, *sys.path])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, f"ended with {result.returncode}: {result.stderr[-2000:]}"
    assert result.stdout.strip() == "all inside"


@posix
@pytest.mark.parametrize("name", ce._core.isas())
def test_arrays_against_forbidden_pages(name):
    survives(CALLS.format(isa=name))


@posix
@pytest.mark.parametrize("name", RACES)
def test_arrays_that_change_during_the_call(name):
    """The result may be wrong then, or an error; memory stays safe."""
    survives(RACE.format(setup=RACES[name]))
