"""python -m bench.accuracy - loss and target gradient in float32 by the margin of the prediction.

Logits (margin, 0) with target 0: the loss is log1p(e^-margin), the gradient -1 / (1 + e^margin).
mpmath knows them; each library's figure stands with its relative error. Prints a Markdown table.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np

import ce

MARGINS = 5, 10, 16, 18, 30, 80

Result = tuple[Any, Any]


def _ce(z: np.ndarray) -> Result:
    loss, grad = ce.CrossEntropyLoss(axis=0).value_and_grad(z, 0)
    return loss, grad[0]


def _torch(z: np.ndarray) -> Result:
    import torch

    leaf = torch.from_numpy(z).requires_grad_()
    loss = torch.nn.functional.cross_entropy(leaf, torch.tensor(0))
    loss.backward()
    return loss.detach().numpy(), leaf.grad.numpy()[0]


def _scipy(z: np.ndarray) -> Result:
    from scipy.special import log_softmax, softmax

    return -log_softmax(z)[0], softmax(z)[0] - np.float32(1)


def _numpy(z: np.ndarray) -> Result:
    shifted = z - z.max()
    exps = np.exp(shifted)
    return np.log(exps.sum()) - shifted[0], exps[0] / exps.sum() - np.float32(1)


LIBRARIES: dict[str, Callable[[np.ndarray], Result]] = {
    "ce": _ce,
    "torch": _torch,
    "scipy": _scipy,
    "numpy": _numpy,
}


def _cell(got: Any, true: mpmath.mpf) -> str:
    error = abs((mpmath.mpf(float(got)) - true) / true)
    return f"{float(got) or 0.0:.3g} ({float(error):.0e})"


def main() -> None:
    mpmath.mp.dps = 60
    installed = [name for name in LIBRARIES if importlib.util.find_spec(name)]
    print("| margin | quantity | true | " + " | ".join(installed) + " |")
    print("|---:|---|---:|" + "---:|" * len(installed))
    for margin in MARGINS:
        results = {name: LIBRARIES[name](np.float32([margin, 0])) for name in installed}
        e = mpmath.exp(-margin)
        truths = {"loss": mpmath.log1p(e), "gradient": -e / (1 + e)}
        for i, (quantity, true) in enumerate(truths.items()):
            cells = " | ".join(_cell(results[name][i], true) for name in installed)
            print(f"| {margin} | {quantity} | {float(true):.3g} | {cells} |")


if __name__ == "__main__":
    main()
