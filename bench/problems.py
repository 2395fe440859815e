"""problems.py - the inputs of a case and its results in float64, computed once, read by everyone.

Every library runs in a process of its own; they find inputs and reference as files in a folder.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from bench.cases import CASES, Case

CHUNK = 2**18  # elements compared at a time: they stay in the second-level cache
TOLERANCES = {  # of value and gradient; of a half type's small gradients nothing is asked
    "float32": (2e-4, 2e-4, 1e-6),
    "float64": (1e-11, 1e-11, 1e-14),
    "bfloat16": (1e-2, 0.1, 1e-6),
    "float16": (1e-2, 0.02, 2e-5),
}


def small(case: Case) -> Case:
    """The case with at most about a million inputs, for a run that only checks the results."""
    first, *rest = case.shape
    return replace(case, shape=(max(1, min(first, 2**20 * first // case.size)), *rest))


def dtype(name: str) -> np.dtype:
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def _draw(case: Case) -> dict[str, np.ndarray]:
    """Draw logits (or inputs), and the target if there is one."""
    rng = np.random.default_rng(20240613)
    wide = "float64" if case.dtype == "float64" else "float32"

    def normal() -> np.ndarray:
        return rng.standard_normal(case.shape, dtype=wide).astype(dtype(case.dtype), copy=False)

    arrays = {"logits": normal()}
    if case.target == "index":
        arrays["target"] = rng.integers(case.shape[1], size=case.shape[:1] + case.shape[2:])
    elif case.target == "probabilities":
        p = np.exp(normal())
        arrays["target"] = p / p.sum(axis=1, keepdims=True)
    elif case.target == "label":
        arrays["target"] = rng.integers(2, size=case.shape).astype(wide)
    elif case.target == "real":
        arrays["target"] = normal()
    return arrays


# --- the references: losses of the items and the gradient of their sum, float64 ------------------


def _logsumexp(z: np.ndarray) -> np.ndarray:
    m = z.max(axis=1, keepdims=True)
    return m + np.log(np.exp(z - m).sum(axis=1, keepdims=True))


def _cross_entropy(z: np.ndarray, t: np.ndarray, label_smoothing: float = 0.0):
    if t.ndim < z.ndim:
        eps = label_smoothing
        q = np.full_like(z, eps / z.shape[1])
        np.put_along_axis(q, t[:, None], 1 - eps + eps / z.shape[1], axis=1)
    else:
        q = t.astype(np.float64)
    log_p = z - _logsumexp(z)
    return -(q * log_p).sum(axis=1), np.exp(log_p) * q.sum(axis=1, keepdims=True) - q


def _focal(z: np.ndarray, t: np.ndarray, gamma: float = 2.0):
    """With L = -(1-p)^gamma log p and p that of the target: dL/dz_k = p dL/dp (delta_kt - p_k)."""
    log_all = z - _logsumexp(z)
    log_p = np.take_along_axis(log_all, t[:, None], axis=1)
    p = np.exp(log_p)
    outer = gamma * (1 - p) ** (gamma - 1) * p * log_p - (1 - p) ** gamma
    grad = -np.exp(log_all) * outer
    at_target = np.take_along_axis(grad, t[:, None], axis=1) + outer
    np.put_along_axis(grad, t[:, None], at_target, axis=1)
    return -((1 - p) ** gamma * log_p)[:, 0], grad


def _bce(z: np.ndarray, t: np.ndarray):
    return np.logaddexp(0, z) - t * z, 1 / (1 + np.exp(-z)) - t


def _sigmoid_focal(z: np.ndarray, t: np.ndarray, gamma: float = 2.0, alpha: float = 0.25):
    """Labels are 0 or 1, so y = +-z is the logit of the label and p its probability."""
    sign = 2 * t - 1
    log_p = -np.logaddexp(0, -sign * z)
    p = np.exp(log_p)
    weight = (alpha * t + (1 - alpha) * (1 - t)) * (1 - p) ** gamma
    return -weight * log_p, sign * weight * (gamma * p * log_p - (1 - p))


def _mse(x: np.ndarray, t: np.ndarray):
    return (x - t) ** 2, 2 * (x - t)


def _huber(x: np.ndarray, t: np.ndarray, delta: float = 1.0):
    d, a = x - t, np.abs(x - t)
    return np.where(a <= delta, d * d / 2, delta * (a - delta / 2)), np.clip(d, -delta, delta)


REFERENCES = {
    "cross_entropy": _cross_entropy,
    "focal_loss": _focal,
    "binary_cross_entropy_with_logits": _bce,
    "sigmoid_focal_loss": _sigmoid_focal,
    "mse_loss": _mse,
    "huber_loss": _huber,
    "logsumexp": lambda z: (_logsumexp(z)[:, 0], None),
    "softmax": lambda z: (np.exp(z - _logsumexp(z)), None),
    "log_softmax": lambda z: (z - _logsumexp(z), None),
}


def _reference(case: Case, logits: np.ndarray, *target: np.ndarray) -> dict[str, np.ndarray]:
    """The mean loss and the gradient of the sum; of a normaliser, its values."""
    wide = np.float64 if case.dtype == "float64" else np.float32
    step = max(1, 2**20 * case.shape[0] // case.size)
    grad = np.empty(case.shape if case.is_loss else 0, wide)

    def slab(start: int) -> np.ndarray:
        part = slice(start, start + step)
        z, t = logits[part].astype(np.float64), [t[part] for t in target]
        values, slopes = REFERENCES[case.loss](z, *t, **case.options)
        if case.is_loss:
            grad[part] = slopes
            return values
        return values.astype(wide)

    with ThreadPoolExecutor(2) as pool:
        values = np.concatenate(list(pool.map(slab, range(0, case.shape[0], step))))
    return {"value": values.mean(), "grad": grad} if case.is_loss else {"value": values}


# --- the files ----------------------------------------------------------------------------------


def create(case: Case, folder: Path) -> None:
    """Write inputs and reference of a case as .npy files, in the place of those of another."""
    for path in folder.glob("*.npy"):
        path.unlink()
    arrays = _draw(case)
    for name, array in (arrays | _reference(case, *arrays.values())).items():
        bits = array.view(np.uint16) if array.dtype.itemsize == 2 else array  # bfloat16, too
        np.save(folder / f"{case.name}-{name}.npy", bits)


@lru_cache(maxsize=1)
def inputs(case: Case, folder: Path) -> tuple[np.ndarray, ...]:
    """Logits and target, read (not mapped) into arrays as NumPy allocates them."""
    if not (folder / f"{case.name}-value.npy").exists():
        create(case, folder)
    names = ("logits", "target") if case.is_loss else ("logits",)
    logits, *target = (np.load(folder / f"{case.name}-{name}.npy") for name in names)
    return logits.view(dtype(case.dtype)), *target


def _chunks(array: np.ndarray) -> Iterator[np.ndarray]:
    flat = array.reshape(-1)
    return (flat[i : i + CHUNK] for i in range(0, flat.size, CHUNK))


def assert_agrees(case: Case, folder: Path, value: np.ndarray, grad: np.ndarray | None) -> None:
    """Compare a value, and the gradient of a mean if there is one, with the reference."""
    of_value, rtol, atol = TOLERANCES[case.dtype]
    compared = [("value", np.asarray(value), of_value, 1)]
    compared += [("grad", grad, rtol, case.items)] if grad is not None else []
    for name, got, relative, scale in compared:
        expected = np.load(folder / f"{case.name}-{name}.npy", mmap_mode="r")
        assert got.shape == expected.shape, f"{case.name} {name}: {got.shape}"
        for a, b in zip(_chunks(got), _chunks(expected), strict=True):
            off = np.abs(a.astype(b.dtype) * scale - b) > atol + relative * np.abs(b)
            assert not off.any(), f"{case.name} {name}: {a[off][:4] * scale}, not {b[off][:4]}"


assert len({case.name for case in CASES}) == len(CASES)
