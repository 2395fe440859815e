"""conftest.py - one library per pytest process: ``pytest bench --library NAME``."""

import importlib
from pathlib import Path

from bench import LIBRARIES, cpus
from bench.cases import CASES
from bench.problems import small


def pytest_addoption(parser):
    group = parser.getgroup("bench")
    group.addoption("--library", choices=LIBRARIES, default="ce", help="what to time")
    group.addoption("--threads", type=int, default=cpus())
    group.addoption("--case", action="append", choices=[c.name for c in CASES])
    group.addoption("--turns", type=int, default=1, help="how often each case is timed")
    group.addoption("--seconds", type=float, default=0.4, help="time for one case and mode")
    group.addoption("--inputs", type=Path, help="folder of the inputs (else a temporary one)")


def pytest_configure(config):
    """Let other libraries warn as they like; the settings make an error of every warning."""
    if config.getoption("--library") != "ce":
        config.addinivalue_line("filterwarnings", "ignore")


def pytest_generate_tests(metafunc):
    """Every chosen case in every mode that the library has; cases are small where none is timed."""
    option = metafunc.config.getoption
    library = importlib.import_module(f"bench.lib_{option('--library')}")
    cases = [c for c in CASES if not option("--case") or c.name in option("--case")]
    if option("--benchmark-disable"):
        cases = [small(c) for c in cases]
    metafunc.parametrize(
        ("case", "turn", "mode"),
        [
            (c, turn, m)
            for c in cases
            for turn in range(option("--turns"))
            for m in library.modes(c)
        ],
        ids=lambda value: getattr(value, "name", str(value)),
    )


def pytest_benchmark_update_machine_info(config, machine_info):
    """Leave out the host's name; add the setting that decides what fresh memory costs."""
    machine_info.pop("node", None)
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if setting.exists():
        machine_info["transparent_hugepage"] = setting.read_text().split("[")[1].split("]")[0]
