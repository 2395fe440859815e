"""truth.py - the rows of tests/oracle, which tests and bench share."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import numpy as np
from oracle import FUNCTIONS, LOSSES, ROWS
from oracle.classification import cross_entropy
from oracle.exact import UNIT, softmax_facts
from oracle.inputs import far_rows

__all__ = ["FUNCTIONS", "LOSSES", "ROWS", "TRUTHS"]
__all__ += ["cross_entropy", "far_rows", "softmax_facts", "unit_of"]


def unit_of(dtype) -> float:
    """The unit roundoff of what is computed with."""
    return UNIT[np.dtype(dtype)]


TRUTHS = {row.label: row.truth for row in ROWS}
