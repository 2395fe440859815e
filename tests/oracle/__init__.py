"""The oracle: one row per loss, what it is by definition, and what it is tested and measured with.

A row has the definition in long double, the formula in mpmath, inputs for the sweeps, tails, where
accuracy is measured, wrong values of its options, and facts that tests ask. A further loss is one
row more in the file of its family; tests and bench walk `ROWS`.
"""

from oracle import binary, classification, information, normalisers, regression
from oracle.rows import Function, Loss, Row

ROWS: list[Row] = [
    *classification.ROWS,
    *binary.ROWS,
    *regression.ROWS,
    *information.ROWS,
    *normalisers.ROWS,
]
LOSSES = [row for row in ROWS if isinstance(row, Loss)]
FUNCTIONS = [row for row in ROWS if isinstance(row, Function)]
