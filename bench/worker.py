"""worker.py - a library in a process of its own that times one case whenever it is told to.

Starting torch or JAX takes seconds, so a process stays for all cases: a pytest session that waits
before every (case, turn) for the word of the driver, and says after it what was measured.
"""

import contextlib
import multiprocessing
import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from bench import problems

ROOT = Path(__file__).parents[1]


class _Baton:
    """A pytest plugin: run the tests of a (case, turn) when the other end of a pipe says so."""

    def __init__(self, pipe: Any) -> None:
        self.pipe, self.present, self.results = pipe, None, []

    @staticmethod
    def group(item: Any) -> tuple[str, int] | None:
        return item and (item.callspec.params["case"].name, item.callspec.params["turn"])

    def pytest_collection_finish(self, session: Any) -> None:
        self.pipe.send({self.group(item) for item in session.items})

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: Any) -> None:
        while self.present != self.group(item):
            self.present = self.pipe.recv()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Any:
        report = yield
        if report.failed:
            self.results.append(report.longreprtext[-3000:])
        elif report.when == "call":
            self.results.append(item.funcargs["benchmark"].stats.stats.median)
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any, nextitem: Any) -> Any:
        done = yield
        if self.group(item) != self.group(nextitem):
            problems.inputs.cache_clear()
            self.pipe.send(self.results)
            self.results = []
        return done


def limited(threads: int) -> dict[str, str]:
    """The environment of a process with so many threads."""
    names = "OMP_NUM_THREADS", "MKL_NUM_THREADS", "CE_NUM_THREADS"
    return dict.fromkeys(names, str(threads))


def _session(pipe: Any, arguments: list[str], log: Path) -> None:
    os.chdir(ROOT)
    with log.open("w") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        pytest.main(arguments, plugins=[_Baton(pipe)])


class Worker:
    """The process as the driver sees it."""

    def __init__(self, library: str, threads: int, folder: Path, options: list[str]) -> None:
        self.library, self.threads = library, threads
        self.report = folder / f"{library}-{threads}.json"
        self.log = self.report.with_suffix(".log")
        arguments = ["bench", "-q", "-p", "no:cacheprovider", *options]
        arguments += ["--library", library, "--threads", str(threads), "--inputs", str(folder)]
        arguments += ["--benchmark-json", str(self.report), "--benchmark-storage", str(folder)]
        arguments += ["--benchmark-disable-gc", "--benchmark-quiet"]
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_session, args=(theirs, arguments, self.log))
        with mock.patch.dict(os.environ, limited(threads)):
            self.process.start()
        theirs.close()
        self.groups: set[tuple[str, int]] = set()

    def collected(self) -> bool:
        """Wait until the process knows its tests; return whether it has any."""
        try:
            self.groups = self.pipe.recv()
        except EOFError:
            self.groups = set()
        return bool(self.groups)

    def run(self, case: str, turn: int) -> list[float | str]:
        """Time the modes of a case: their medians in seconds, or what went wrong."""
        try:
            self.pipe.send((case, turn))
            return self.pipe.recv()
        except (EOFError, OSError):
            self.groups = set()
            return [f"the process died: {self.log.read_text()[-3000:]}"]
