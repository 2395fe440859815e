"""A language model's head with torch's loss and with `ce.torch`: ``python -m bench.heads``.

Each way is a process of its own, with the same threads. First 512 rows of 32 000 classes (64
features): milliseconds of a step, loss and backward pass, beyond the three bare products. Then 1024
rows of 50 257 classes (768 features) with the layer: seconds of a step, and of the products alone.
Both with the peak of the memory in a second step beyond what was resident before it, the gradients
that it leaves included.
"""

import ctypes
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench import cpus
from bench.worker import ROOT

ALONE = {
    "torch": "F.cross_entropy(h @ W.T, t)",
    "torch, compiled": "compiled(F.cross_entropy, h, W, t)",
    "ce": "C.cross_entropy(h @ W.T, t)",
    "ce, in place": "C.cross_entropy(h @ W.T, t, inplace=True)",
    "ce, compiled": "compiled(C.cross_entropy, h, W, t)",
}
WITH_LAYER = {
    "torch: linear, cross_entropy": "F.cross_entropy(F.linear(h, W), t)",
    "torch: linear_cross_entropy": "F.linear_cross_entropy(h, W, t, options=options())",
} | {
    f"{name}, {rows} rows": f"{call}={rows}{end})"
    for rows in (64, 256, 1024)
    for name, call, end in (
        ("torch", "F.linear_cross_entropy(h, W, t, options=options(batch_chunk_size", ")"),
        ("ce", "C.linear_cross_entropy(h, W, t, chunk", ""),
    )
}


def resident(field: str) -> float:
    """VmRSS, what is resident now, or VmHWM, its peak, in MB; Linux with glibc only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def measure(expression: str, rows: int, features: int, classes: int, turns: int) -> dict:
    """Seconds of a step and of the products alone: the best of some, in turns."""
    import torch
    from torch.nn import functional

    import ce.torch

    torch.set_num_threads(cpus())
    torch.manual_seed(0)
    h = torch.randn(rows, features, requires_grad=True)
    W = (torch.randn(classes, features) / features**0.5).requires_grad_()
    names = {"F": functional, "C": ce.torch, "h": h, "W": W, "t": torch.randint(classes, (rows,))}
    names["options"] = torch.nn.LinearCrossEntropyOptions
    made = {}

    def compiled(loss, h, W, t):
        if loss not in made:
            made[loss] = torch.compile(lambda h, W, t: loss(h @ W.T, t))
        return made[loss](h, W, t)

    code = compile(expression, "step", "eval")

    def step():
        h.grad = W.grad = None
        eval(code, names | {"compiled": compiled}).backward()

    def products():
        z = h.detach() @ W.detach().T
        return z @ W.detach(), z.T @ h.detach()

    best = {}
    step()
    h.grad = W.grad = None
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is resident now
    before = resident("VmRSS")
    step()
    peak = resident("VmHWM") - before
    for _ in range(turns):
        for call in (step, products):
            began = time.perf_counter()
            call()
            taken = time.perf_counter() - began
            best[call.__name__] = min(best.get(call.__name__, taken), taken)
    return best | {"peak": peak}


def table(ways: dict[str, str], *shape: int) -> Iterator[tuple[str, dict]]:
    for name, expression in ways.items():
        command = [sys.executable, "-m", "bench.heads", expression, *map(str, shape)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        yield name, json.loads(done.stdout.splitlines()[-1])


def main():
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1], *map(int, sys.argv[2:]))))
        return
    print(f"{cpus()} threads")
    print("\n| loss, 512 x 32 000 | ms beyond the products | MB |")
    print("|---|---:|---:|")
    for name, x in table(ALONE, 512, 64, 32_000, 25):
        beyond = (x["step"] - x["products"]) * 1e3
        print(f"| {name} | {beyond:.1f} | {x['peak']:.0f} |", flush=True)
    print("\n| layer and loss, 1 024 x 50 257 | s | products s | ratio | MB |")
    print("|---|---:|---:|---:|---:|")
    for name, x in table(WITH_LAYER, 1024, 768, 50_257, 4):
        step, products = x["step"], x["products"]
        cells = f"{step:.2f} | {products:.2f} | {step / products:.2f} | {x['peak']:.0f}"
        print(f"| {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
