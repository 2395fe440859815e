"""Train a small character model with torch's cross-entropy and with that of `ce.torch`.

    python examples/gpt.py [--steps 150] [--batch 16] [--seed 0] [--plot gpt.png]

The text is Python's own documentation, as it comes with the interpreter (``pydoc_data``). Both runs
start from the same weights and see the same batches: what differs is the import of the loss. Each
runs in a process of its own. Printed are the time of a step and the peak of the memory, drawn are
both curves of the loss, over the steps and over the seconds.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn

LOSSES = {"torch": "torch.nn.functional", "ce": "ce.torch"}
BLOCK, WIDTH, HEADS, LAYERS = 128, 128, 4, 2
WARM = 5  # steps that are not timed


def text() -> str:
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))


class Model(nn.Module):
    """A transformer that reads BLOCK characters and says which comes next after each."""

    def __init__(self, characters: int) -> None:
        super().__init__()
        self.characters = nn.Embedding(characters, WIDTH)
        self.places = nn.Embedding(BLOCK, WIDTH)
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 4 * WIDTH, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, characters)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(BLOCK))

    def forward(self, x):
        h = self.characters(x) + self.places.weight[: x.shape[1]]
        return self.head(self.norm(self.layers(h, mask=self.mask, is_causal=True)))


def peak() -> float:
    """The most memory that the process has had, in MB; 0 where it is not known."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def train(loss: str, steps: int, batch: int, seed: int) -> dict:
    """Losses and seconds of all steps, and the peak of the memory."""
    import importlib

    functions = importlib.import_module(LOSSES[loss])
    torch.manual_seed(seed)
    letters = sorted(set(text()))
    place = {letter: i for i, letter in enumerate(letters)}
    data = torch.tensor([place[letter] for letter in text()])
    model = Model(len(letters))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses, seconds = [], []
    for step in range(1, steps + 1):
        starts = torch.randint(len(data) - BLOCK - 1, (batch,))
        rows = torch.stack([data[i : i + BLOCK + 1] for i in starts])
        began = time.perf_counter()
        logits = model(rows[:, :-1])
        value = functions.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - began)
        losses.append(value.item())
        if sys.stderr.isatty():
            end = "\n" if step == steps else ""
            print(f"\r{loss:6} {step}/{steps}, loss {losses[-1]:.3f}", end=end, file=sys.stderr)
    return {"losses": losses, "seconds": seconds, "peak": peak(), "letters": len(letters)}


def draw(runs: dict, path: str) -> None:
    from itertools import accumulate

    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    by_step, by_second = figure.subplots(1, 2, sharey=True)
    for name, run in runs.items():
        style = "-" if name == "torch" else "--"
        by_step.plot(run["losses"], style, label=name)
        by_second.plot(list(accumulate(run["seconds"])), run["losses"], style, label=name)
    by_step.set(xlabel="step", ylabel="cross-entropy (nats)")
    by_second.set(xlabel="seconds")
    for axes in (by_step, by_second):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=150)


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", default="gpt.png", help="where to save the curves")
    parser.add_argument("--only", choices=LOSSES, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    for name, least in (("steps", WARM + 1), ("batch", 1)):
        if getattr(options, name) < least:
            parser.error(f"argument --{name}: {getattr(options, name)} is not at least {least}")
    given = options.steps, options.batch, options.seed
    if options.only:
        run = train(options.only, *given)
        print(json.dumps(run))
        return run
    runs = {}
    for name in LOSSES:
        command = [sys.executable, __file__, "--only", name]
        command += [f"--{k}={v}" for k, v in zip(("steps", "batch", "seed"), given, strict=True)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        runs[name] = json.loads(done.stdout)
    for name, run in runs.items():
        timed = sorted(run["seconds"][WARM:])
        step = timed[len(timed) // 2] * 1e3
        print(f"{name:6} {step:7.1f} ms a step, peak {run['peak']:.0f} MB, ", end="")
        print(f"loss {run['losses'][-1]:.4f}")
    draw(runs, options.plot)
    print(f"curves: {options.plot}")
    return runs


if __name__ == "__main__":
    main()
