"""cases.py - what is measured: one row per problem, with its inputs, its bytes and its targets."""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

FORWARD, FUSED, FUSED_OUT = MODES = "forward", "fused", "fused_out"
MODE_LABELS = {
    FORWARD: "value",
    FUSED: "value and gradient",
    FUSED_OUT: "value and gradient, `out=`",
}
LOSS_LABELS = {"cross_entropy": "CE"}


@dataclass(frozen=True, eq=False)
class Case:
    """One problem: a loss on logits of a shape, class axis 1, reduction "mean".

    `must` is the speed that torch's time divided by ours should reach, by mode; the table
    shows it beside what was measured, and nothing is asserted.
    """

    loss: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    options: dict[str, float] = field(default_factory=dict)
    quick: bool = False
    must: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name on the command line, such as ``cross_entropy-8192x1000-float64``."""
        parts = [self.loss, "x".join(map(str, self.shape)), *self.options]
        return "-".join(parts if self.dtype == "float32" else [*parts, self.dtype])

    @property
    def label(self) -> str:
        """The name in tables and plots."""
        parts = [LOSS_LABELS[self.loss], " x ".join(f"{n:,}".replace(",", " ") for n in self.shape)]
        parts += [] if self.dtype == "float32" else [self.dtype]
        parts += [f"{option.replace('_', ' ')} {value}" for option, value in self.options.items()]
        return ", ".join([" ".join(parts[:2]), *parts[2:]])

    def bytes_moved(self, mode: str) -> int:
        """What must cross the memory bus: inputs read once and, if there is one, the gradient."""
        logits, target = inputs(self)
        return target.nbytes + logits.nbytes * (1 if mode == FORWARD else 2)


@lru_cache(maxsize=1)
def inputs(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Logits and class indices; every library draws the same ones from the same seed."""
    rng = np.random.default_rng(20240613)
    logits = rng.standard_normal(case.shape, dtype=case.dtype)
    target = rng.integers(case.shape[1], size=case.shape[:1] + case.shape[2:])
    return logits, target


def _must(forward: float, fused: float, fused_out: float) -> dict[str, float]:
    return {FORWARD: forward, FUSED: fused, FUSED_OUT: fused_out}


CASES = [
    Case("cross_entropy", (1, 10), quick=True),
    Case("cross_entropy", (4096, 10), quick=True),
    Case("cross_entropy", (1_000_000, 2), must=_must(10, 10, 10)),
    Case("cross_entropy", (1_000_000, 10), quick=True, must=_must(20, 20, 20)),
    Case("cross_entropy", (8192, 1000), quick=True, must=_must(1.8, 3.5, 5)),
    Case("cross_entropy", (8192, 1000), "float64", must={FUSED_OUT: 8}),
    Case("cross_entropy", (512, 32_000), quick=True, must={FUSED: 6, FUSED_OUT: 12}),
    Case(
        "cross_entropy",
        (512, 32_000),
        options={"label_smoothing": 0.1},
        must={FUSED: 6, FUSED_OUT: 6},
    ),
    Case("cross_entropy", (1024, 50_257), must=_must(7, 6, 12)),
    Case("cross_entropy", (256, 128_256), must=_must(7, 6, 12)),
    Case("cross_entropy", (1, 262_144), quick=True),
    Case("cross_entropy", (8, 21, 512, 512), quick=True, must=_must(10, 10, 10)),
]


# --- the references: float64, a slab of items at a time ----------------------------------------


def _cross_entropy(z: np.ndarray, t: np.ndarray, label_smoothing: float = 0.0):
    """Return the losses of the items, and the gradient of their sum."""
    eps = label_smoothing
    q = np.full_like(z, eps / z.shape[1])
    np.put_along_axis(q, t[:, None], 1 - eps + eps / z.shape[1], axis=1)
    shifted = z - z.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -(q * log_p).sum(axis=1), np.exp(log_p) - q


REFERENCES = {"cross_entropy": _cross_entropy}


def slabs(case: Case) -> list[slice]:
    """Cut the first axis so that a slab has about two million logits."""
    step = max(1, 2**21 * case.shape[0] // inputs(case)[0].size)
    return [slice(start, start + step) for start in range(0, case.shape[0], step)]


@lru_cache(maxsize=1)
def reference(case: Case) -> tuple[float, np.ndarray]:
    """Return the mean loss and the gradient of the sum, rounded to the dtype of the logits."""
    logits, target = inputs(case)
    total, grad = 0.0, np.empty_like(logits)
    for slab in slabs(case):
        z = logits[slab].astype(np.float64)
        losses, grad[slab] = REFERENCES[case.loss](z, target[slab], **case.options)
        total += losses.sum()
    return total / target.size, grad


def assert_agrees(case: Case, value: float, grad: np.ndarray | None) -> None:
    """Compare a mean loss, and its gradient if there is one, with the reference."""
    rtol, atol = {"float32": (2e-4, 1e-6), "float64": (1e-11, 1e-14)}[case.dtype]
    expected, expected_grad = reference(case)
    np.testing.assert_allclose(value, expected, rtol, err_msg=case.name)
    if grad is not None:
        items = inputs(case)[1].size
        for slab in slabs(case):
            np.testing.assert_allclose(grad[slab] * items, expected_grad[slab], rtol, atol)
