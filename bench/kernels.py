"""kernels.py - the errors of the functions of src/ce_c/real, by vecmath.c, compiled where it runs.

float32 is compared with libm in double, at every step-th number of the range (of exp: from 2^-30 up
in size), float64 with long double, at random numbers. The truth of the worst case is taken once
more from mpmath.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mpmath
import numpy as np

SOURCE = Path(__file__).with_name("vecmath.c")
HEADERS = SOURCE.parents[1] / "src" / "ce_c"
FLAGS = ["-O3", "-std=c11", "-shared", "-fPIC", "-fopenmp-simd", f"-I{HEADERS}"]
FLAGS += ["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]  # as CMake builds them
REALS = {"f32": np.float32, "f64": np.float64}
CHUNK = 1 << 20
LEAST_SIZE = 0x30800000  # the bits of 2^-30: e^x is 1 below, in either type


@dataclass(frozen=True)
class Kernel:
    """A function of src/ce_c/real: its range in either type, its truth, and that of NumPy."""

    name: str
    ranges: dict[str, tuple[float, float]]
    truth: str
    scale: int = 0  # times 2^scale
    numpy: str = ""


POSITIVE = {"f32": (0.0, 3.4028235e38), "f64": (0.0, 1.7976931348623157e308)}
SUMS = {"f32": (0.0, 1e38), "f64": (0.0, 6e307)}  # of exponentials: far beyond what rows can hold
UNIT = {"f32": (0.0, 1.0), "f64": (0.0, 1.0)}
KERNELS = [
    Kernel("exp", {"f32": (-110, 88), "f64": (-760, 709)}, "exp", numpy="exp"),
    Kernel("exp_2_64", {"f32": (-150, 44), "f64": (-800, 665)}, "exp", scale=64),
    Kernel("exp_wide", {"f32": (-110, 88.72283), "f64": (-760, 709.782712893384)}, "exp"),
    Kernel("log", POSITIVE, "log", numpy="log"),
    Kernel("log1p", SUMS, "log1p", numpy="log1p"),
    Kernel("log1p_unit", {"f32": (0.0, 1.0)}, "log1p"),
    Kernel("pow", UNIT, "power", numpy="power"),
    Kernel("tanh", {"f32": (-12, 12), "f64": (-24, 24)}, "tanh", numpy="tanh"),
]


class Worst(ctypes.Structure):
    _fields_ = [("error", ctypes.c_double), ("at", ctypes.c_int64)]


@dataclass
class Errors:
    """In units in the last place: the largest error, the mean, and where the largest is."""

    largest: float
    mean: float
    at: tuple[float, ...]
    count: int


def level_of(isa: str) -> list[str]:
    """The compiler's flags for an instruction set of ce."""
    if platform.machine().lower() in ("x86_64", "amd64") and isa.startswith("x86-64"):
        return ["-march=" + isa.replace("-v1", "")]
    return []


def build(folder: Path, isa: str) -> ctypes.CDLL | None:
    """Compile the functions for an instruction set; None without a C compiler."""
    library = folder / f"vecmath-{isa}.so"
    compiler = shlex.split(os.environ.get("CC", "cc"))
    command = [*compiler, *FLAGS, *level_of(isa), str(SOURCE), "-o", str(library), "-lm"]
    try:
        subprocess.run(command, check=True)
    except OSError:
        return None
    return ctypes.CDLL(str(library))


def types(library: ctypes.CDLL, kernel: Kernel) -> list[str]:
    """The types it has, but float64 where long double is no wider."""
    wider = ctypes.c_int.in_dll(library, "wide_bits").value >= 64
    return [real for real in kernel.ranges if real == "f32" or wider]


def _strided(low: np.float32, high: np.float32, step: int) -> Iterator[np.ndarray]:
    """Every step-th float32 from low to high, both of the same sign."""
    first, last = sorted((int(np.float32(low).view("u4")), int(np.float32(high).view("u4"))))
    for start in range(first, last + 1, CHUNK * step):
        bits = np.arange(start, min(last + 1, start + CHUNK * step), step, dtype=np.uint32)
        yield bits.view(np.float32)


def _random(kernel: Kernel, real: str, count: int) -> Iterator[np.ndarray]:
    """Uniform numbers, and in each chunk as many of all exponents; log's and pow's near 1, too."""
    rng, (low, high) = np.random.default_rng(5), kernel.ranges[real]
    for _ in range(max(1, count // CHUNK)):
        n = min(count, CHUNK) // 2
        if low < 0:
            uniform = rng.uniform(low, high, n)
            tiny = rng.choice([-1, 1], n) * 2 ** rng.uniform(-30, 5, n)
        else:
            top = np.log2(high)
            uniform = 1 + (rng.uniform(-0.5, 0.5 if high > 1 else 0, n))
            tiny = 2 ** rng.uniform(-125 if real == "f32" else -1020, top, n)
        yield np.concatenate([uniform, tiny]).astype(REALS[real])


def inputs(kernel: Kernel, real: str, step: int) -> Iterator[np.ndarray]:
    """Chunks of numbers: of float32 every step-th, of float64 about 2^25 / step random ones."""
    if real == "f64" or kernel.name == "pow":
        yield from _random(kernel, real, max(1 << 14, (1 << 25) // step))
        return
    low, high = map(np.float32, kernel.ranges[real])
    if low < 0:
        least = np.uint32(LEAST_SIZE).view(np.float32)
        yield from _strided(-least, low, step)
        yield from _strided(least, high, step)
    else:
        yield from _strided(np.finfo(np.float32).smallest_subnormal, high, step)


def _exact(kernel: Kernel, x: float, g: float, got: float, real: str) -> float:
    """The error at x by mpmath."""
    with mpmath.workdps(60):
        args = (x, g) if kernel.name == "pow" else (x,)
        truth = getattr(mpmath, kernel.truth)(*map(mpmath.mpf, args)) * 2**kernel.scale
        bits = np.finfo(REALS[real]).nmant + 1
        if truth == 0 or not np.isfinite(got):
            return float(abs(got))
        return float(mpmath.ldexp(abs(got - truth), bits - mpmath.frexp(abs(truth))[1]))


def measure(library: ctypes.CDLL, kernel: Kernel, real: str, step: int, numpy=False) -> Errors:
    """The errors of a kernel, or of NumPy's function of that name at as many numbers."""
    dtype, rng = REALS[real], np.random.default_rng(7)
    pointer = np.ctypeslib.ndpointer(dtype, flags="C_CONTIGUOUS")
    of, off = (getattr(library, f"{kernel.name}_{what}_{real}") for what in ("of", "off"))
    of.argtypes, of.restype = [pointer] * 3 + [ctypes.c_int64], None
    off.argtypes = [*of.argtypes, ctypes.POINTER(Worst)]
    off.restype = ctypes.c_double
    total, count, most = 0.0, 0, (-1.0, 0.0, 0.0, 0.0)
    for x in inputs(kernel, real, step):
        g = rng.choice([0.25, 0.5, 1, 1.5, 2, 3, 5, 20], x.size).astype(dtype)
        y, worst = np.empty_like(x), Worst()
        if numpy:
            with np.errstate(all="ignore"):
                y[...] = getattr(np, kernel.numpy)(*((x, g) if kernel.name == "pow" else (x,)))
        else:
            of(x, g, y, x.size)
        total += off(x, g, y, x.size, ctypes.byref(worst))
        count += x.size
        if worst.error > most[0]:
            most = (worst.error, *(float(a[worst.at]) for a in (x, g, y)))
    error, x, g, got = most
    at = (x, g) if kernel.name == "pow" else (x,)
    if np.isfinite(error):
        error = _exact(kernel, x, g, got, real)
    return Errors(error, total / count, at, count)
