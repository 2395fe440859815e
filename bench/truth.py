"""truth.py - the rows of tests/oracle, which tests and bench share."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from oracle import FUNCTIONS, LOSSES, ROWS

__all__ = ["FUNCTIONS", "LOSSES", "ROWS", "TRUTHS"]

TRUTHS = {row.label: row.truth for row in ROWS}
