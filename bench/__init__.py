"""The speed of `ce` beside other libraries: ``python -m bench``."""

import importlib.util
import os
import shutil

LIBRARIES = {  # what is timed, and the package it needs
    "ce": "ce",
    "torch": "torch",
    "compile": "torch",
    "jax": "jax",
    "onnxruntime": "onnxruntime",
    "sklearn": "sklearn",
    "scipy": "scipy",
    "numpy": "numpy",
}
LABELS = {"compile": "torch.compile", "jax": "JAX", "sklearn": "scikit-learn"}
LABELS |= {"onnxruntime": "ONNX Runtime"}
LABELS |= {"scipy": "SciPy", "numpy": "NumPy"}


def cpus() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def missing(library: str) -> str | None:
    """Say what a library lacks here, if anything."""
    package = LIBRARIES[library]
    if importlib.util.find_spec(package) is None:
        return f"{package} is not installed"
    if library == "compile" and not any(map(shutil.which, ("g++", "clang++", "c++"))):
        return "there is no C++ compiler"
    if library == "onnxruntime" and importlib.util.find_spec("onnx") is None:
        return "onnx, which makes its models, is not installed"
    return None
