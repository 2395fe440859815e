"""No more threads than allowed: environment, OpenMP, threadpoolctl, affinity, control groups."""

import os
import subprocess
from pathlib import Path

import pytest
from helpers.interpreter import printed

import ce
from ce import _process

# Threads that calls really use, counted by the system. Up to eight could work on any machine.
COUNT = """
import os, time
{first}
import numpy as np, ce
from threadpoolctl import threadpool_limits
{cpus}

def tasks():
    return len(os.listdir("/proc/self/task"))

start = tasks()
x = np.zeros((8000, 50), np.float32)

def used():
    most = 0
    for _ in range(5):
        ce.softmax(x, out=x)
        time.sleep(0.01)  # threads that have ended are gone
        most = max(most, tasks() - start + 1)
    return most
"""
EIGHT = "ce._core.set_cpus(8)"
AFFINITY = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
counts = pytest.mark.skipif(
    not os.path.exists("/proc/self/task"), reason="there is no /proc/self/task to count threads in"
)
openmp = pytest.mark.skipif(
    not ce._core.threads_runtime().startswith("OpenMP"), reason="built without OpenMP"
)


def counted(code, cpus=EIGHT, first="", **environment):
    """The numbers that the code prints."""
    said = printed(COUNT.format(first=first, cpus=cpus) + code, **environment)
    return [int(word) for word in said.split()]


@counts
@openmp
@pytest.mark.parametrize(
    ("environment", "allowed"),
    [
        ({"OMP_NUM_THREADS": "4"}, 4),
        ({"OMP_NUM_THREADS": "1"}, 1),
        ({"CE_NUM_THREADS": "3", "OMP_NUM_THREADS": "8"}, 3),
        ({"CE_NUM_THREADS": "1", "OMP_NUM_THREADS": "8"}, 1),
        ({"CE_NUM_THREADS": "8", "OMP_NUM_THREADS": "3"}, 3),
        ({"CE_NUM_THREADS": "8", "OMP_NUM_THREADS": "1"}, 1),
        ({"OMP_NUM_THREADS": "8", "OMP_THREAD_LIMIT": "2"}, 2),
        ({"OMP_NUM_THREADS": "8", "OMP_THREAD_LIMIT": "1"}, 1),
    ],
)
def test_environment(environment, allowed):
    assert counted("print(used())", **environment) == [allowed]


@counts
@openmp
def test_scopes_and_set_num_threads():
    code = """
with ce.threads(1): print(used())
with ce.threads(2): print(used())
ce.set_num_threads(3)
print(used())
"""
    assert counted(code, OMP_NUM_THREADS="8") == [1, 2, 3]


@counts
@openmp
@pytest.mark.parametrize(
    ("limits", "allowed"), [(1, 1), (2, 2), ({"openmp": 1}, 1), ({"openmp": 3}, 3)]
)
def test_threadpoolctl(limits, allowed):
    code = f"""
team = ce._core.threads_team
with threadpool_limits({limits}):
    print(team(8), used())
print(team(8), used())
"""
    assert counted(code, OMP_NUM_THREADS="8") == [allowed, allowed, 8, 8]


@counts
@openmp
@pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer needs the address space"
)
def test_threads_that_the_system_refuses():
    """There is room for no stack, or for some. OpenMP alone would end the process."""
    code = """
import resource
with open("/proc/self/statm") as file:
    now = int(file.read().split()[0]) * resource.getpagesize()
for limit in (now + 2**19, now + 24 * 2**20, resource.RLIM_INFINITY):
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    print(used())
"""
    few, some, all_of_them = counted(code, CE_NUM_THREADS="8", OMP_NUM_THREADS="8")
    assert 1 <= few < 8
    assert few <= some <= 8
    assert all_of_them == 8


@counts
def test_default_is_no_more_than_the_cpus():
    threads, cpus = counted("print(used(), ce._process.available_cpus())", cpus="")
    assert 1 <= threads <= cpus <= os.cpu_count()


@counts
@openmp
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_affinity_is_stronger_than_the_environment():
    first = "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
    code = "print(used(), ce._core.threads_team(8))"
    assert counted(code, cpus="", first=first, CE_NUM_THREADS="8", OMP_NUM_THREADS="8") == [1, 1]
    assert counted(code, cpus="", first=first) == [1, 1]


CPUS = _process.available_cpus()
several = pytest.mark.skipif(CPUS < 2, reason="one CPU: nothing is bound or narrowed")


@counts
@openmp
@several
@pytest.mark.parametrize(
    "settings",
    [
        {"OMP_PROC_BIND": "true"},
        {"OMP_PROC_BIND": "spread"},
        {"OMP_PLACES": "cores", "OMP_PROC_BIND": "close"},
        {"OMP_PLACES": "threads"},
        {"GOMP_CPU_AFFINITY": " ".join(map(str, sorted(AFFINITY)))},
    ],
    ids=lambda settings: ",".join(settings),
)
@pytest.mark.parametrize("first", ["", "import torch"])
def test_a_runtime_that_binds_the_importing_thread(settings, first):
    """Its mask is then one place, but the process has all the CPUs that it had."""
    if first:
        pytest.importorskip("torch", reason="torch is not installed")
        if ce._core.compiler().startswith("Clang"):
            pytest.skip("a second runtime finds the CPUs that the first, torch's, has left")
    code = """
print(ce._process.available_cpus(), ce.get_num_threads(), ce._core.threads_team(4096))
with ce.threads(2):
    print(used())
"""
    assert counted(code, cpus="", first=first, **settings) == [CPUS, CPUS, CPUS, 2]


@counts
@openmp
@several
def test_an_affinity_that_is_narrowed_after_import():
    """Of one of the process's threads (which is itself counted), then of its first; then widened.

    LLVM's runtime would itself undo it for a thread that calls the first time.
    """
    code = """
import threading
team, every = ce._core.threads_team, os.sched_getaffinity(0)
one = {min(every)}
def narrow():
    os.sched_setaffinity(0, one)
    print(team(8), used())
print(team(2))
thread = threading.Thread(target=narrow)
thread.start()
thread.join()
print(team(2))
narrow()
os.sched_setaffinity(0, every)
print(team(2), int(used() > 1))
"""
    assert counted(code, cpus="", KMP_AFFINITY="disabled") == [2, 1, 2, 2, 1, 1, 2, 1]


# -- control groups -------------------------------------------------------------------------------


@pytest.fixture
def tree(monkeypatch, tmp_path):
    """A function that makes up /proc/self/cgroup and files below /sys/fs/cgroup."""
    monkeypatch.setattr(_process, "Path", lambda path: tmp_path / path.lstrip("/"))
    monkeypatch.setattr(_process._core, "cpus", lambda: 16)

    def make(membership, files):
        for name, text in {"/proc/self/cgroup": membership, **files}.items():
            path = tmp_path / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return _process.available_cpus()

    return make


def v2(limits):
    """cpu.max of groups, by their paths."""
    return {f"/sys/fs/cgroup{path}/cpu.max": text for path, text in limits.items()}


@pytest.mark.parametrize(
    ("limits", "cpus"),
    [
        ({}, 16),
        ({"/a/b": "max 100000\n"}, 16),
        ({"/a/b": "200000 100000\n"}, 2),
        ({"/a/b": "150000 100000\n"}, 2),
        ({"/a/b": "100001 100000\n"}, 2),
        ({"/a/b": "50000 100000\n"}, 1),
        ({"/a/b": "1000 1000000\n"}, 1),
        ({"/a/b": "6400000 100000\n"}, 16),
        ({"/a/b": "max 100000\n", "/a": "300000 100000\n"}, 3),
        ({"/a/b": "500000 100000\n", "/a": "300000 100000\n"}, 3),
        ({"/a/b": "300000 100000\n", "/a": "500000 100000\n"}, 3),
        ({"/a": "70000 10000\n"}, 7),
        ({"/": "400000 100000\n"}, 4),  # a container's own group, whose path it cannot see
        ({"/a/c": "100000 100000\n"}, 16),
        ({"/a/b": ""}, 16),
        ({"/a/b": "much 100000\n", "/a": "300000 100000\n"}, 3),
        ({"/a/b": "200000\n"}, 16),
    ],
)
def test_quota_of_version_2(tree, limits, cpus):
    assert tree("0::/a/b\n", v2(limits)) == cpus


def v1(limits, controllers="cpu,cpuacct"):
    """Quota and period of groups, by their paths."""
    files = {}
    for path, (quota, period) in limits.items():
        folder = f"/sys/fs/cgroup/{controllers}{path}"
        files[f"{folder}/cpu.cfs_quota_us"] = f"{quota}\n"
        files[f"{folder}/cpu.cfs_period_us"] = f"{period}\n"
    return files


@pytest.mark.parametrize("controllers", ["cpu,cpuacct", "cpu"])
@pytest.mark.parametrize(
    ("limits", "cpus"),
    [
        ({}, 16),
        ({"/a/b": (-1, 100000)}, 16),
        ({"/a/b": (250000, 100000)}, 3),
        ({"/a/b": (-1, 100000), "/a": (200000, 100000)}, 2),
        ({"/a/b": (500000, 100000), "/a": (200000, 100000)}, 2),
        ({"/": (120000, 40000)}, 3),
    ],
)
def test_quota_of_version_1(tree, limits, cpus, controllers):
    membership = f"5:memory:/m\n4:{controllers}:/a/b\n3:cpuset:/\n1:name=systemd:/x:y\n0::/\n"
    files = v1(limits, controllers) | v1({"/m": (100000, 100000)}, "memory")
    assert tree(membership, files) == cpus


def test_both_versions(tree):
    files = v1({"/a": (500000, 100000)}) | v2({"/b": "300000 100000\n"})
    assert tree("4:cpu,cpuacct:/a\n0::/b\n", files) == 3


def test_the_affinity_mask_is_stronger_than_a_larger_quota(tree, monkeypatch):
    monkeypatch.setattr(_process._core, "cpus", lambda: 2)
    assert tree("0::/\n", v2({"/": "800000 100000\n"})) == 2
    assert tree("0::/\n", v2({"/": "100000 100000\n"})) == 1


def test_files_that_cannot_be_read(tree, tmp_path):
    """Folders stand for them here: root may read every file."""
    group = tmp_path / "sys/fs/cgroup/a"
    (group / "cpu.max").mkdir(parents=True)
    assert tree("0::/a\n", {}) == 16
    assert tree("0::/a\n", v2({"/": "300000 100000\n"})) == 3
    (tmp_path / "sys/fs/cgroup/b").mkdir()
    (tmp_path / "sys/fs/cgroup/b/cpu.max").write_bytes(b"\xff\xfe 100000")
    assert tree("0::/b\n", {}) == 3
    (tmp_path / "proc/self/cgroup").unlink()
    assert _process.available_cpus() == 16
    (tmp_path / "proc/self/cgroup").mkdir()
    assert _process.available_cpus() == 16


def make_group():
    """A real control group below that of this process, of half a CPU."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            folder = Path("/sys/fs/cgroup", controllers, path.lstrip("/"), f"ce-{os.getpid()}")
            folder.mkdir()
            try:
                (folder / ("cpu.cfs_quota_us" if controllers else "cpu.max")).write_text("50000")
                join = f"echo 0 > {folder}/cgroup.procs"
                subprocess.run(["sh", "-c", join], check=True, capture_output=True)
            except (OSError, subprocess.CalledProcessError):
                folder.rmdir()
                raise
            return folder
    raise OSError("there are none of CPUs")


@pytest.fixture
def group():
    try:
        folder = make_group()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no control group can be made here: {error}")
    yield folder
    folder.rmdir()


@counts
@openmp
@pytest.mark.skipif(len(AFFINITY) < 2, reason="one CPU: a quota changes nothing")
def test_a_real_quota(group):
    """The process joins the group before it imports ce."""
    first = f"open('{group}/cgroup.procs', 'w').write('0')"
    code = "print(used(), ce._process.available_cpus(), ce._core.threads_team(8))"
    settings = {"CE_NUM_THREADS": "8", "OMP_NUM_THREADS": "8"}
    assert counted(code, cpus="", first=first, **settings) == [1, 1, 1]
