"""targets.py - the speed that is wanted, from targets.toml, and the rows that fall short of it."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import LABELS
from bench.cases import FORWARD, FUSED_OUT, Case
from bench.report import Report, Row, significant

Goal = list[float]  # what must be reached, and what is aimed at
TARGETS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
EVERY = TARGETS.pop("every")
PLAIN = "cross_entropy-512x32000"  # what `plain` compares with


@dataclass
class Mark:
    """A measure of a row and what is wanted of it; `least` is false where less is better."""

    name: str
    got: float
    goal: Goal
    unit: str = "x"
    least: bool = True

    @property
    def met(self) -> str:
        must, aim = (self.got >= g if self.least else self.got <= g for g in self.goal)
        return "aim" if aim else "must" if must else "short"

    def missed(self, which: int) -> str:
        return f"{self.name} {significant(self.got)}, not {self.goal[which]:g}{self.unit}"


def _limited(case: Case) -> bool:
    """Whether a fraction of the bandwidth is wanted: plain cross-entropy, long rows, no cache."""
    plain = case.loss == "cross_entropy" and case.target == "index" and not case.options
    long = len(case.shape) == 2 and case.shape[1] >= 1000 and case.size >= 2**22
    return plain and long and case.dtype == "float32"


def marks(report: Report, row: Row) -> Iterator[Mark]:
    """Everything that is wanted of a row and was measured."""
    wanted, mode = TARGETS.get(row.case.name, {}), row.mode
    if row.torch and mode in wanted.get("torch", {}):
        yield Mark("torch", row.torch / row.ce, wanted["torch"][mode])
    if row.fraction and _limited(row.case) and mode in EVERY["limit"]:
        yield Mark("limit", row.fraction, EVERY["limit"][mode], "")
    if mode in wanted.get("micro", {}):
        yield Mark("time", row.ce * 1e6, wanted["micro"][mode], " us", least=False)
    plain = report.get(PLAIN, mode, "ce")
    if plain and "plain" in wanted and mode != FORWARD:
        yield Mark("plain", row.ce / plain, wanted["plain"], least=False)
    alone = report.get(row.case.name, mode, "ce", 1)
    if alone and "threads" in wanted and report.threads > 1 and mode in (FORWARD, FUSED_OUT):
        yield Mark("one thread", alone / row.ce, wanted["threads"])
    if row.other:
        yield Mark(LABELS[row.rival], row.other / row.ce, EVERY["rival"])


def shortfalls(report: Report) -> str:
    """What is short of what it must be, or of what it aims at."""
    found = [(row, mark) for row in report.rows() for mark in marks(report, row)]
    lines = []
    for which, (goal, word) in enumerate((("must", "short"), ("aim", "must"))):
        missed = [(row, mark) for row, mark in found if mark.met == word]
        lines += [f"Short of {goal}: {len(missed) or 'none'}."]
        lines += [f"- {row.label}: {mark.missed(which)}" for row, mark in missed]
    return "\n".join(lines)
