"""cases.py - what is measured: one row per problem."""

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
NORMALISED = "softmax", "log_softmax"  # as large as their input
SIZES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}


def spaced(n: int) -> str:
    """Write a number with spaces between the thousands."""
    return f"{n:,}".replace(",", " ")


@dataclass(frozen=True, eq=False)
class Case:
    """One problem: a loss, reduction "mean", or a normaliser, on inputs of a shape, class axis 1.

    `one_thread`: `ce` is timed with one thread, too. The speed that is wanted of the cases stands
    in targets.toml, by their names.
    """

    loss: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    target: str = "index"  # or "probabilities", "label", "real", "none"
    options: Mapping[str, float] = field(default_factory=dict)
    quick: bool = False
    one_thread: bool = False

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
            return (FORWARD, FORWARD_OUT) if self.loss in NORMALISED else (FORWARD,)
        large = self.size * SIZES[self.dtype] >= 2**24
        return (FORWARD, FUSED, FUSED_OUT, IN_PLACE)[: 4 if large else 3]

    def pattern(self, mode: str) -> str:
        """How memory is used: "copy" where an array as large as the input is written."""
        return "copy" if mode != FORWARD or self.loss in NORMALISED else "read"

    def bytes_moved(self, mode: str) -> int:
        """What must cross the memory bus: inputs read once, and the array written once."""
        array = self.size * SIZES[self.dtype]
        target = {"index": self.items * 8, "none": 0}.get(self.target, array)
        return array + target + array * (self.pattern(mode) == "copy")

    @property
    def rooflined(self) -> bool:
        """Whether the memory can be what limits it."""
        return self.bytes_moved(FORWARD) >= 2**24


CE, BCE = "cross_entropy", "binary_cross_entropy_with_logits"
SHAPES = [(1_000_000, 2), (1_000_000, 10), (400_000, 21), (300_000, 33)]
SHAPES += [(2000, 100), (8192, 1000), (512, 32_000), (64, 1000), (256, 1000), (64, 128_256)]
SMOOTHING, WORDS, MANY = {"label_smoothing": 0.1}, (512, 32_000), (10_000_000,)

CASES = [
    Case(CE, (1, 10), quick=True),
    Case(CE, (4096, 10), quick=True),
    Case(CE, (1_000_000, 2)),
    Case(CE, (1_000_000, 10), quick=True),
    Case(CE, (8192, 1000), quick=True),
    Case(CE, (8192, 1000), "float64"),
    Case(CE, WORDS, quick=True, one_thread=True),
    Case(CE, WORDS, options=SMOOTHING),
    Case(CE, WORDS, target="probabilities"),
    Case(CE, (1024, 50_257)),
    Case(CE, (256, 128_256)),
    Case(CE, (256, 128_256), "bfloat16"),
    Case(CE, (256, 128_256), "float16"),
    Case(CE, (1, 262_144), quick=True, one_thread=True),
    Case(CE, (8, 21, 512, 512)),
    Case("focal_loss", (8192, 1000)),
    Case("sigmoid_focal_loss", MANY, target="label"),
    Case(BCE, MANY, target="label", quick=True),
    Case("mse_loss", MANY, target="real"),
    Case("huber_loss", MANY, target="real"),
    Case("logsumexp", WORDS, target="none"),
    *(Case("softmax", shape, target="none") for shape in SHAPES),
    *(Case("log_softmax", shape, target="none") for shape in SHAPES[4:7]),
]
