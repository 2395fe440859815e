"""Python without the GIL: it stays off, and settings may change while other threads compute."""

import sysconfig
from functools import partial

import pytest
from helpers import interpreter

# A warning is what a module that is not safe brings; an empty PYTHON_GIL is none.
printed = partial(
    interpreter.printed, seconds=300, PYTHONWARNINGS="error", PYTHONFAULTHANDLER="1", PYTHON_GIL=""
)


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="a Python with a GIL")
def test_import_leaves_the_gil_off():
    assert printed("import sys, ce; print(sys._is_gil_enabled())") == "False"


SETTINGS = """
import threading
import numpy as np, ce

x, target = np.zeros((2, 4)), np.array([0, 1])
expected = ce.cross_entropy(x, target)
barrier = threading.Barrier(8)
done = []

def caller():
    barrier.wait()
    for i in range(4_000):
        ce.set_num_threads(1 + i % 3)
        assert 1 <= ce.get_num_threads() <= 3
    for _ in range(100):
        ce.set_num_threads(2)
        assert ce.cross_entropy(x, target) == expected
    done.append(True)

ce.set_num_threads(1)
threads = [threading.Thread(target=caller) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(done))
"""


def test_settings_change_while_others_compute():
    assert printed(SETTINGS) == "8"
