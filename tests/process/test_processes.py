"""Other people's processes and threads: multiprocessing, executors, joblib, dask, 16 threads."""

import multiprocessing
import os

import pytest
from helpers.interpreter import printed

every_method = pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())

# Two threads work, whatever the machine has, but where a process starts afresh. Rows of that length
# need memory beside the arrays.
PROBLEM = """
import os
import numpy as np, ce

ce._core.set_cpus(2)
ce.set_num_threads(2)
logits = np.random.default_rng(0).standard_normal((1000, 200), np.float32)
target = np.arange(1000) % 200
criterion = ce.CrossEntropyLoss()
work = [(logits, target)] * 12
with ce.threads(1):
    loss, grad = criterion.value_and_grad(logits, target)

def check(results):
    assert len(results) == len(work)
    for got in results:
        assert got[0].tobytes() == loss.tobytes(), "the loss has other bits"
        assert got[1].tobytes() == grad.tobytes(), "the gradient has other bits"

def call():
    check([criterion.value_and_grad(*x) for x in work])
"""


def works(code):
    """The code ends, and without an exception."""
    said = printed(PROBLEM + code + "\nprint('all well')", OMP_NUM_THREADS="2")
    assert said == "all well"


@every_method
def test_multiprocessing(method):
    """Pools after, and between, parallel calls."""
    works(f"""
import multiprocessing
for _ in range(2):
    call()
    with multiprocessing.get_context({method!r}).Pool(4, ce.set_num_threads, (2,)) as pool:
        check(pool.starmap_async(criterion.value_and_grad, work, 1).get(100))
call()
""")


@every_method
def test_process_pool_executor(method):
    works(f"""
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
call()
context = multiprocessing.get_context({method!r})
with ProcessPoolExecutor(4, context, ce.set_num_threads, (2,)) as pool:
    for _ in range(2):
        check([f.result(100) for f in [pool.submit(criterion.value_and_grad, *x) for x in work]])
        call()
""")


def test_sixteen_threads_share_inputs_and_criterion():
    """Four problems, so that what calls share by mistake shows; outputs, and some in place."""
    works("""
import threading
from concurrent.futures import ThreadPoolExecutor
problems = [logits * np.float32(1 + k) for k in range(4)]
with ce.threads(1):
    right = [criterion.value_and_grad(x, target) for x in problems]
ce._core.set_cpus(8)
barrier = threading.Barrier(16)
def work_of(i):
    x, (loss, grad) = problems[i % 4], right[i % 4]
    out = np.empty_like(x)
    barrier.wait(60)
    for k in range(20):
        if i < 4: np.copyto(out, x)
        got = criterion.value_and_grad(out if i < 4 else x, target, out=out)
        assert got[1] is out
        assert got[0].tobytes() == loss.tobytes() and out.tobytes() == grad.tobytes()
        out[...] = -k
    return True
with ThreadPoolExecutor(16) as pool:
    assert all(f.result(100) for f in [pool.submit(work_of, i) for i in range(16)])
call()
""")


JOBLIB = """
import joblib
def compute(x, t):
    return criterion.value_and_grad(x, t)
for _ in range(2):
    call()
    check(joblib.Parallel(4, backend={backend!r}, timeout=100)(
        joblib.delayed({function})(*x) for x in work))
"""


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_joblib(backend):
    pytest.importorskip("joblib", reason="joblib is not installed; scikit-learn brings it")
    works(JOBLIB.format(backend=backend, function="criterion.value_and_grad"))


def test_workers_of_loky_share_the_cpus():
    """joblib tells its workers by environment variables how many threads are theirs."""
    pytest.importorskip("joblib", reason="joblib is not installed; scikit-learn brings it")
    if not os.path.exists("/proc/self/task"):
        pytest.skip("there is no /proc/self/task to count threads in")
    said = printed("""
import joblib, numpy as np

def used(i):
    import os, ce
    before = len(os.listdir("/proc/self/task"))
    for _ in range(3):
        ce.softmax(np.zeros((4000, 50), np.float32))
    return os.getpid(), len(os.listdir("/proc/self/task")) - before + 1, ce.get_num_threads()

cpus = joblib.cpu_count()
answers = joblib.Parallel(cpus, backend="loky", timeout=100)(
    joblib.delayed(used)(i) for i in range(8 * cpus))
threads = {}
for pid, count, asked in answers:
    threads[pid] = max(count, asked, threads.get(pid, 0))
print(sum(threads.values()), cpus)
""")
    total, cpus = map(int, said.split())
    assert 1 <= total <= cpus


def test_dask():
    pytest.importorskip("dask", reason="dask is not installed")
    works("""
import dask
call()
for scheduler in ("threads", "processes"):
    delayed = [dask.delayed(criterion.value_and_grad, pure=False)(*x) for x in work]
    check(dask.compute(*delayed, scheduler=scheduler, num_workers=4))
    call()
""")
