"""Beside torch, which brings a thread runtime of its own, in either order of import."""

import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="torch is not installed")
PROGRAM = """
import os
import sys

import FIRST
import SECOND
import ce
import numpy as np
import torch

ce.set_num_threads(2)
torch.set_num_threads(2)
rng = np.random.default_rng(0)
z, t = rng.standard_normal((4096, 256), np.float32), rng.integers(0, 256, 4096)


def ours():
    return ce.CrossEntropyLoss().value_and_grad(z, t)


def theirs():
    x = torch.from_numpy(z).requires_grad_()
    loss = torch.nn.functional.cross_entropy(x, torch.from_numpy(t))
    loss.backward()
    return loss.item(), x.grad.numpy()


with ce.threads(1):
    loss, grad = ours()
for _ in range(3):
    for x, y in (ours(), theirs()):
        np.testing.assert_allclose(x, loss, rtol=1e-5)
        np.testing.assert_allclose(y, grad, rtol=1e-4, atol=1e-9)
np.testing.assert_array_equal(ours()[1], grad)
config = ce.show_config(mode="dicts")
if config["thread runtime"] != "serial":
    assert config["threads of a large call"] == min(2, ce._process.available_cpus())
if sys.platform == "linux":
    child = os.fork()
    if child == 0:
        os._exit(not np.array_equal(ours()[1], grad))
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(ours()[1], grad)
print("well")
"""


@pytest.mark.parametrize(("first", "second"), [("torch", "ce"), ("ce", "torch")])
def test_both_work_in_one_process(first, second):
    program = PROGRAM.replace("FIRST", first).replace("SECOND", second)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=600, check=False
    )
    assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr
