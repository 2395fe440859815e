"""Calls that would take minutes, and what Ctrl-C does to them.

python tests/helpers/endless.py prints how long it takes to end them.
"""

from __future__ import annotations

import os
import signal
import statistics
import threading
import time
from collections.abc import Callable

import numpy as np

import ce

AFTER = 0.3  # seconds from the beginning of the call to the signal
TIMES = 10


def _rows(row: np.ndarray, items: int) -> tuple[np.ndarray, np.ndarray]:
    return np.broadcast_to(row, (items, row.size)), np.broadcast_to(np.int8(3), items)


_SHORT = _rows(np.ones(10, np.float32), 2**34)
_LONG = _rows(np.ones(32000, np.float32), 2**22)
_DOUBLE = _rows(np.ones(1000), 2**28)
_ENDLESS = _rows(np.ones(2**26, np.float16), 64)
_NUMBERS = np.broadcast_to(np.float32(1.5), 2**36)

# Without memory for all the numbers: rows and numbers are repeated.
ENDLESS: dict[str, Callable[[], object]] = {
    "rows of 10": lambda: ce.cross_entropy(*_SHORT),
    "rows of 10, class axis in the middle": lambda: ce.cross_entropy(
        np.moveaxis(_SHORT[0], 1, 0)[None], _SHORT[1][None]
    ),
    "rows of 32 000": lambda: ce.cross_entropy(*_LONG),
    "rows of 1000, float64, focal": lambda: ce.focal_loss(*_DOUBLE, gamma=1.3),
    "64 rows of 67 108 864, float16": lambda: [ce.cross_entropy(*_ENDLESS) for _ in range(1000)],
    "squared error": lambda: ce.mse_loss(_NUMBERS, 1.0),
    "sigmoid focal": lambda: ce.sigmoid_focal_loss(_NUMBERS, 1.0, gamma=1.3),
}


def interrupted(call: Callable[[], object], after: float = AFTER) -> float:
    """Seconds from the signal to KeyboardInterrupt."""
    sent: list[float] = []

    def send() -> None:
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(after, send)
    timer.start()
    try:
        call()
    except KeyboardInterrupt:
        return time.perf_counter() - sent[0]
    finally:
        timer.join()
    raise RuntimeError("the call ended by itself")


def main() -> None:
    print(f"| call | threads | median ms | longest of {TIMES}, ms |")
    print("|---|---:|---:|---:|")
    for name, call in ENDLESS.items():
        for threads in sorted({1, ce.get_num_threads()}):
            with ce.threads(threads):
                times = [1e3 * interrupted(call) for _ in range(TIMES)]
            print(f"| {name} | {threads} | {statistics.median(times):.0f} | {max(times):.0f} |")


if __name__ == "__main__":
    main()
