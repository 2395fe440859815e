"""cases.py - what is measured: one row per problem, and the speed that is wanted of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

FORWARD, FUSED, FUSED_OUT, IN_PLACE = "forward", "fused", "fused_out", "in_place"
FORWARD_OUT = "forward_out"  # a normaliser as large as its input, into `out=`
MODE_LABELS = {
    FORWARD: "value",
    FORWARD_OUT: "value, `out=`",
    FUSED: "value and gradient",
    FUSED_OUT: "value and gradient, `out=`",
    IN_PLACE: "value and gradient, in place",
}
LOSS_LABELS = {
    "cross_entropy": "CE",
    "focal_loss": "softmax focal",
    "sigmoid_focal_loss": "sigmoid focal",
    "binary_cross_entropy_with_logits": "BCE with logits",
    "mse_loss": "MSE",
    "huber_loss": "Huber",
}
SIZES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}

Goal = tuple[float, float]  # what it must reach, and what it aims at
RIVAL: Goal = (1.5, 3)  # times faster than the best rival that is not torch (eager), in every row
LIMIT: dict[str, Goal] = {FORWARD: (0.60, 0.85), FUSED_OUT: (0.55, 0.80), IN_PLACE: (0.55, 0.80)}


def spaced(n: int) -> str:
    """Write a number with spaces between the thousands."""
    return f"{n:,}".replace(",", " ")


@dataclass(frozen=True, eq=False)
class Case:
    """One problem: a loss, reduction "mean", or a normaliser, on inputs of a shape, class axis 1.

    What is wanted, each as (must, aim): `torch`, the time of torch over ours, by mode; `plain`, our
    time over our own with plain class indices, with a gradient; `micro`, microseconds, by mode;
    `threads`, the time with one thread over that with all. `LIMIT` and `RIVAL` hold by rule.
    Nothing is asserted: the table shows what was met.
    """

    loss: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    target: str = "index"  # or "probabilities", "label", "real", "none"
    options: Mapping[str, float] = field(default_factory=dict)
    quick: bool = False
    torch: Mapping[str, Goal] = field(default_factory=dict)
    plain: Goal | None = None
    micro: Mapping[str, Goal] = field(default_factory=dict)
    threads: Goal | None = None

    @property
    def name(self) -> str:
        """The name on the command line, such as ``cross_entropy-8192x1000-float64``."""
        parts = [self.loss, "x".join(map(str, self.shape)), *self.options]
        parts += ["probabilities"] if self.target == "probabilities" else []
        return "-".join(parts if self.dtype == "float32" else [*parts, self.dtype])

    @property
    def label(self) -> str:
        """The name in tables and plots."""
        shape = " x ".join(map(spaced, self.shape))
        parts = [f"{LOSS_LABELS.get(self.loss, self.loss)} {shape}"]
        parts += [] if self.dtype == "float32" else [self.dtype]
        parts += [f"{option.replace('_', ' ')} {value}" for option, value in self.options.items()]
        parts += ["probabilities"] if self.target == "probabilities" else []
        return ", ".join(parts)

    @property
    def is_loss(self) -> bool:
        return self.target != "none"

    @property
    def size(self) -> int:
        """How many logits (or inputs) there are."""
        return prod(self.shape)

    @property
    def items(self) -> int:
        return self.size // (self.shape[1] if len(self.shape) > 1 else 1)

    @property
    def modes(self) -> tuple[str, ...]:
        """In place is measured where memory matters: from 16 MB on."""
        if not self.is_loss:
            return (FORWARD, FORWARD_OUT) if self.loss == "softmax" else (FORWARD,)
        large = self.size * SIZES[self.dtype] >= 2**24
        return (FORWARD, FUSED, FUSED_OUT, IN_PLACE)[: 4 if large else 3]

    def pattern(self, mode: str) -> str:
        """How memory is used: "copy" where an array as large as the input is written."""
        return "copy" if mode != FORWARD or self.loss == "softmax" else "read"

    def bytes_moved(self, mode: str) -> int:
        """What must cross the memory bus: inputs read once, and the array written once."""
        array = self.size * SIZES[self.dtype]
        target = {"index": self.items * 8, "none": 0}.get(self.target, array)
        return array + target + array * (self.pattern(mode) == "copy")

    def limit(self, mode: str) -> Goal | None:
        """The wanted fraction of the roofline: plain cross-entropy, long rows, out of cache."""
        plain = self.loss == "cross_entropy" and self.target == "index" and not self.options
        long = len(self.shape) == 2 and self.shape[1] >= 1000 and self.size >= 2**22
        return LIMIT.get(mode) if plain and long and self.dtype == "float32" else None

    @property
    def rooflined(self) -> bool:
        """Whether the memory can be what limits it."""
        return self.bytes_moved(FORWARD) >= 2**24


def _torch(forward: Goal | None, fused: Goal | None, out: Goal | None = None) -> dict[str, Goal]:
    goals = {FORWARD: forward, FUSED: fused, FUSED_OUT: out or fused}
    return {mode: goal for mode, goal in goals.items() if goal}


LARGE = _torch((7, 12), (6, 10), (12, 20))
PLAIN = "cross_entropy-512x32000"  # what `plain` compares with

CE, BCE = "cross_entropy", "binary_cross_entropy_with_logits"
FEW = {FORWARD: (2.7, 1.5), FUSED: (4, 2), FUSED_OUT: (4, 2)}
SMOOTHING, WORDS, MANY = {"label_smoothing": 0.1}, (512, 32_000), (10_000_000,)

CASES = [
    Case(CE, (1, 10), micro=FEW, quick=True),
    Case(CE, (4096, 10), quick=True),
    Case(CE, (1_000_000, 2), torch=_torch((10, 30), (10, 30))),
    Case(CE, (1_000_000, 10), torch=_torch((20, 40), (20, 40)), quick=True),
    Case(CE, (8192, 1000), torch=_torch((1.8, 4), (3.5, 6), (5, 9)), quick=True),
    Case(CE, (8192, 1000), "float64", torch={FUSED_OUT: (8, 15)}),
    Case(CE, WORDS, torch=_torch(None, (6, 10), (12, 20)), threads=(1.7, 1.9), quick=True),
    Case(CE, WORDS, options=SMOOTHING, torch=_torch(None, (6, 10)), plain=(1.4, 1.2)),
    Case(CE, WORDS, target="probabilities", torch=_torch(None, (6, 10)), plain=(2.2, 1.8)),
    Case(CE, (1024, 50_257), torch=LARGE),
    Case(CE, (256, 128_256), torch=LARGE),
    Case(CE, (256, 128_256), "bfloat16", torch=_torch((5, 8), None, (7, 12))),
    Case(CE, (256, 128_256), "float16", torch=_torch((5, 8), None, (7, 12))),
    Case(CE, (1, 262_144), threads=(1.6, 1.9), quick=True),
    Case(CE, (8, 21, 512, 512), torch=_torch((10, 20), (10, 20))),
    Case("focal_loss", (8192, 1000), torch=_torch(None, (8, 15))),
    Case("sigmoid_focal_loss", MANY, target="label", torch=_torch(None, (25, 50))),
    Case(BCE, MANY, target="label", torch=_torch(None, (4, 8)), quick=True),
    Case("mse_loss", MANY, target="real", torch=_torch(None, (2, 4))),
    Case("huber_loss", MANY, target="real", torch=_torch(None, (2, 4))),
    Case("logsumexp", WORDS, target="none", torch={FORWARD: (6, 12)}),
    Case("softmax", WORDS, target="none", torch=dict.fromkeys((FORWARD, FORWARD_OUT), (2.5, 5))),
]
