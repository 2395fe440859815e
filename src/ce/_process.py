"""The process: threads, instruction set, configuration."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal, overload

from ce import _check, _core

_scope: ContextVar[int | None] = ContextVar("ce.threads", default=None)


def _cgroup_quota() -> float:
    """CPUs that the control groups of this process grant; infinity without a limit."""
    quota = math.inf
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return quota
    for line in lines:
        _, controllers, path = line.split(":", 2)
        root = Path("/sys/fs/cgroup")
        if controllers and "cpu" not in controllers.split(","):
            continue
        here = (root / controllers if controllers else root) / path.lstrip("/")
        for folder in (here, *here.parents):
            if not folder.is_relative_to(root):
                break
            try:
                if controllers:
                    limit = (folder / "cpu.cfs_quota_us").read_text()
                    period = (folder / "cpu.cfs_period_us").read_text()
                else:
                    limit, period = (folder / "cpu.max").read_text().split()
                if limit.strip() not in ("max", "-1"):
                    quota = min(quota, int(limit) / int(period))
            except (OSError, ValueError):
                continue
    return quota


def available_cpus() -> int:
    """CPUs that affinity mask and control groups grant to this process."""
    affinity = getattr(os, "sched_getaffinity", None)
    cpus = _core.cpus() or (len(affinity(0)) if affinity else os.cpu_count() or 1)
    return max(1, min(cpus, math.ceil(min(_cgroup_quota(), cpus))))


def _number_of_threads(variable: str) -> int | None:
    text = os.environ.get(variable, "").split(",")[0].strip()
    if not text or (variable == "OMP_NUM_THREADS" and not (text.isdecimal() and int(text) > 0)):
        return None  # OpenMP itself passes over what it cannot read
    if not (text.isdecimal() and int(text) > 0):
        raise ImportError(f"{variable} is {text!r}; it must be a whole number, at least 1")
    return _check.threads(int(text))


def set_num_threads(n: int) -> None:
    """Set how many threads a large call may use, for the whole process.

    A call uses fewer where `n` exceeds the CPUs that the process may run on (affinity mask, cgroup
    quota), less those that calls of other Python threads work on, or the limit of the OpenMP
    runtime (``OMP_NUM_THREADS``, threadpoolctl, joblib); and one where there is little to do.
    Results do not depend on it, to the bit.

    Parameters
    ----------
    n : int
        At least 1.

    Raises
    ------
    TypeError, ValueError
        If `n` is not an integer, or less than 1.

    Examples
    --------
    >>> import ce
    >>> before = ce.get_num_threads()
    >>> ce.set_num_threads(1)
    >>> ce.get_num_threads()
    1
    >>> ce.set_num_threads(before)
    """
    _core.set_threads(_check.threads(n))


def get_num_threads() -> int:
    """Return the number of threads asked for, in the innermost `threads` scope or the process.

    The process starts with ``CE_NUM_THREADS``, else ``OMP_NUM_THREADS``, else the CPUs of its
    affinity mask and cgroup quota.

    Examples
    --------
    >>> import ce
    >>> with ce.threads(1):
    ...     ce.get_num_threads()
    1
    """
    return _core.threads_asked()


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Set the number of threads within a ``with`` block.

    The setting is a context variable: it holds for the calls of this thread (or asynchronous task)
    alone.

    Parameters
    ----------
    n : int
        At least 1.

    Raises
    ------
    TypeError, ValueError
        If `n` is not an integer, or less than 1.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> with ce.threads(1):
    ...     ce.softmax(np.array([3.0, 1.0, -3.0]))
    array([0.87887824, 0.11894324, 0.00217852])
    """
    token = _scope.set(_check.threads(n))
    try:
        yield
    finally:
        _scope.reset(token)


def _configuration() -> dict[str, Any]:
    import numpy as np

    import ce

    return {
        "version": ce.__version__,
        "instruction set": _core.isa(),
        "instruction sets available": list(_core.isas()),
        "threads": get_num_threads(),
        "threads of a large call": _core.threads_team(get_num_threads()),
        "thread runtime": _core.threads_runtime(),
        "compiler": _core.compiler(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...
def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Print version, instruction sets (in use, available), threads, thread runtime and compiler.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, optional
        As for `numpy.show_config`: print, or return a dictionary.

    Raises
    ------
    ValueError
        If `mode` is neither.

    Examples
    --------
    >>> import ce
    >>> ce.show_config(mode="dicts")["version"] == ce.__version__
    True
    """
    if not isinstance(mode, str) or mode not in ("stdout", "dicts"):
        raise ValueError(f"mode is {mode!r}; it must be 'stdout' or 'dicts'")
    configuration = _configuration()
    if mode == "dicts":
        return configuration
    for key, value in configuration.items():
        print(f"{key + ':':28}{', '.join(value) if isinstance(value, list) else value}")
    return None


def _start() -> None:
    """What happens once, at import."""
    available = _core.isas()
    wanted = os.environ.get("CE_ISA") or available[-1]
    if wanted not in available:
        raise ImportError(f"CE_ISA is {wanted!r}; available here: {', '.join(available)}")
    _core.use_isa(wanted)
    cpus = available_cpus()
    _core.set_cpus(cpus)
    asked = _number_of_threads("CE_NUM_THREADS") or _number_of_threads("OMP_NUM_THREADS") or cpus
    _core.set_scope(_scope)
    _core.set_threads(asked)
    _core.watch_forks()


_start()
