"""Code in a fresh interpreter, with a time limit for it and all of its children."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = str(Path(__file__).parents[1])  # where `oracle` and `helpers` are
SETTINGS = ("CE_", "OMP_", "GOMP_", "KMP_")  # scikit-learn, too, leaves some in the environment


def run(code, seconds=120, **environment):
    """Run the code in a fresh interpreter with these settings and no others of ours."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [TESTS, env.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=env | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        kill_all(process)
        pytest.fail(f"the interpreter hangs: not done in {seconds} s")
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def kill_all(process):
    """The process and its children; none keeps a pipe open."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()


def printed(code, seconds=120, **environment):
    """What the code prints; it must not fail."""
    result = run(code, seconds, **environment)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()
