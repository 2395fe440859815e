"""roofline.py - the memory bandwidth of the moment, by roofline.c, compiled where it runs."""

import os
import shlex
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("roofline.c")
FLAGS = "-O3", "-march=native", "-std=c11"


def build(folder: Path) -> Path | None:
    """Compile the program, with OpenMP where that works; None without a C compiler."""
    program = folder / "roofline"
    compiler = shlex.split(os.environ.get("CC", "cc"))
    for flags in ([*FLAGS, "-fopenmp"], [*FLAGS, "-Wno-unknown-pragmas"]):
        command = [*compiler, *flags, str(SOURCE), "-o", str(program)]
        try:
            if subprocess.run(command, capture_output=True).returncode == 0:
                return program
        except OSError:
            return None
    return None


def bandwidth(program: Path, pattern: str, size: int, threads: int, seconds: float) -> float:
    """Bytes per second of a "read" or a "copy" of so many bytes."""
    command = [str(program), pattern, str(size), str(threads), str(seconds)]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout) * 1e9
