"""conftest.py - one library per pytest process: ``pytest bench --library ce|torch|numpy``."""

import importlib
from pathlib import Path

from bench import cpus
from bench.cases import CASES

LIBRARIES = "ce", "torch", "numpy"


def pytest_addoption(parser):
    group = parser.getgroup("bench")
    group.addoption("--library", choices=LIBRARIES, default="ce", help="what to time")
    group.addoption("--threads", type=int, default=cpus())
    group.addoption("--case", action="append", choices=[c.name for c in CASES])


def pytest_generate_tests(metafunc):
    """Every chosen case in every mode that the library has; the inputs of one case at a time."""
    chosen = metafunc.config.getoption("--case")
    library = importlib.import_module(f"bench.lib_{metafunc.config.getoption('--library')}")
    cases = [case for case in CASES if not chosen or case.name in chosen]
    metafunc.parametrize(
        ("case", "mode"),
        [(case, mode) for case in cases for mode in library.MODES],
        ids=lambda value: getattr(value, "name", value),
    )


def pytest_benchmark_update_machine_info(config, machine_info):
    """Leave out the host's name; add the setting that decides what fresh memory costs."""
    machine_info.pop("node", None)
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if setting.exists():
        machine_info["transparent_hugepage"] = setting.read_text().split("[")[1].split("]")[0]
