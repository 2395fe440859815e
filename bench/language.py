"""Statistics and divergences of logits beside torch's ways: ``python -m bench.language``.

Medians of one thread: calls of `ce` in turns in one process, torch's lines in one of their own. Two
tables: milliseconds, and ratios with what must be reached and what is aimed at. The logits are
512 x 32 000 of float32, for divergences two such arrays; shards and the whole that they stand
beside have arrays of their own, since those that other calls use, too, may be in a cache. But for
gradients of `ce`, results are new arrays on both sides.
"""

import json
import os
import statistics
import subprocess
import sys
import time

from bench.worker import ROOT, limited

OURS = {
    "cross_entropy": "ce.cross_entropy(z, t, reduction='none')",
    "token_stats": "ce.token_stats(z, t)",
    "token_stats, top_k=5": "ce.token_stats(z, t, top_k=5)",
    "token_stats, top_k=20": "ce.token_stats(z, t, top_k=20)",
    "token_stats, temperature": "ce.token_stats(z, t, temperature=0.7)",
    "token_stats, softcap": "ce.token_stats(z, t, softcap=30.0)",
    "cross_entropy, bfloat16": "ce.cross_entropy(b, t, reduction='none')",
    "token_stats, bfloat16": "ce.token_stats(b, t)",
    "five calls": "five(z, t)",
    "value_and_grad": "CE.value_and_grad(z, t, out=g)",
    "value_and_grad, stats": "CE.value_and_grad(z, t, out=g, stats=True)",
    "normalizer": "ce.cross_entropy(z, t, normalizer=512.0)",
    "z_loss": "ce.cross_entropy(z, t, z_loss=1e-4)",
    "z_loss, gradient": "Z.value_and_grad(z, t, out=g)",
    "logit_scale": "ce.cross_entropy(z, t, logit_scale=0.5)",
    "logit_scale, gradient": "S.value_and_grad(z, t, out=g)",
    "temperature": "ce.cross_entropy(z, t, temperature=0.7)",
    "temperature, gradient": "T.value_and_grad(z, t, out=g)",
    "softcap": "ce.cross_entropy(z, t, softcap=30.0)",
    "softcap, gradient": "C.value_and_grad(z, t, out=g)",
    "where": "ce.cross_entropy(z, t, where=w)",
    "where, gradient": "CE.value_and_grad(z, t, where=w, out=g)",
    "entropy": "ce.entropy_from_logits(z)",
    "entropy, gradient": "H.value_and_grad(z, out=g)",
    "logsumexp": "ce.logsumexp(z)",
    "kl": "ce.kl_div_with_logits(y, z)",
    "kl, gradient": "KL.value_and_grad(y, z, out=g)",
    "js": "ce.js_div_with_logits(y, z)",
    "js, gradient": "JS.value_and_grad(y, z, out=g)",
    "whole": "ce.cross_entropy(x, t, reduction='none')",
    "whole, gradient": "CE.value_and_grad(x, t, out=gx)",
    "whole, gradient, new": "CE.value_and_grad(x, t)",
    "shards": "CE.shard_loss(t, merged(t))",
    "shards, gradient": "in_shards(t, gs)",
    "shards, gradient, new": "in_shards(t, new)",
}
TORCHS = {
    "five lines": "five(z, t)",
    "three lines": "three(z, t)",
    "softcap": "capped(z, t)",
    "softcap, gradient": "capped_grad(z, t)",
    "entropy, gradient": "entropy_grad(z)",
    "kl": "kl(y, z)",
    "kl, gradient": "kl_grad(y, z)",
}
# What: the time of the first over that of the second; must, aim; whether less is wanted.
RATIOS = {
    "token_stats / cross_entropy": ("token_stats", "cross_entropy", 1.35, 1.18, True),
    "the same, bfloat16": ("token_stats, bfloat16", "cross_entropy, bfloat16", 1.45, 1.25, True),
    "torch's five lines / token_stats": ("torch: five lines", "token_stats", 20, 35, False),
    "an evaluation harness's three / token_stats": (
        "torch: three lines", "token_stats", 7, 10, False,
    ),
    "five calls of ce and NumPy / token_stats": ("five calls", "token_stats", 7, 9, False),
    "top_k=5 / without": ("token_stats, top_k=5", "token_stats", 1.25, 1.1, True),
    "top_k=20 / without": ("token_stats, top_k=20", "token_stats", 1.8, 1.4, True),
    "temperature / without": ("token_stats, temperature", "token_stats", 1.12, 1.05, True),
    "softcap / without": ("token_stats, softcap", "token_stats", 2.6, 2, True),
    "value_and_grad, stats / without": ("value_and_grad, stats", "value_and_grad", 1.2, 1.1, True),
    "normalizer / without": ("normalizer", "cross_entropy", 1.0, 1.0, True),
    "z_loss / without": ("z_loss", "cross_entropy", 1.03, 1.0, True),
    "z_loss / without, gradient": ("z_loss, gradient", "value_and_grad", 1.03, 1.0, True),
    "logit_scale / without": ("logit_scale", "cross_entropy", 1.12, 1.05, True),
    "logit_scale / without, gradient": (
        "logit_scale, gradient", "value_and_grad", 1.12, 1.05, True,
    ),
    "cross_entropy, temperature / without": ("temperature", "cross_entropy", 1.12, 1.05, True),
    "temperature / without, gradient": (
        "temperature, gradient", "value_and_grad", 1.12, 1.05, True,
    ),
    "cross_entropy, softcap / without": ("softcap", "cross_entropy", 2.6, 2, True),
    "softcap / without, gradient": ("softcap, gradient", "value_and_grad", 2.6, 2, True),
    "torch / softcap": ("torch: softcap", "softcap", 14, 18, False),
    "torch / softcap, gradient": ("torch: softcap, gradient", "softcap, gradient", 14, 18, False),
    "torch / kl": ("torch: kl", "kl", 8, 13, False),
    "torch / kl, gradient": ("torch: kl, gradient", "kl, gradient", 9, 14, False),
    "js / kl": ("js", "kl", 1.6, 1.3, True),
    "four shards / whole": ("shards", "whole", 1.05, 1.0, True),
    "four shards / whole, gradient": ("shards, gradient", "whole, gradient", 1.3, 1.0, True),
    "the same, new arrays": ("shards, gradient, new", "whole, gradient, new", 1.3, 1.0, True),
}  # fmt: skip
TURNS = 9


def ours() -> dict[str, object]:
    import ml_dtypes
    import numpy as np

    import ce

    rng = np.random.default_rng(0)
    z = (rng.standard_normal((512, 32_000)) * 3).astype(np.float32)
    y = (z + rng.standard_normal(z.shape) / 4).astype(np.float32)

    def five(z, t):
        log_prob = -ce.cross_entropy(z, t, reduction="none")
        lse, entropy = ce.logsumexp(z), ce.entropy(ce.softmax(z))
        return log_prob, lse, entropy, z.argmax(1), (z > z[np.arange(len(z)), t, None]).sum(1)

    parts = [np.ascontiguousarray(z[:, k : k + 8192]) for k in range(0, 32_000, 8192)]
    CE = ce.CrossEntropyLoss()

    def merged(t):
        shards = enumerate(parts)
        return ce.merge_partials(
            [ce.partials(p, t, first=8192 * k, classes=32_000, stats=False) for k, p in shards]
        )

    def in_shards(t, out):
        all = merged(t)
        return [CE.shard_grad(p, t, all, first=8192 * k, out=out[k]) for k, p in enumerate(parts)]

    return {
        "ce": ce, "z": z, "x": z.copy(), "gx": np.zeros_like(z), "y": y,
        "b": z.astype(ml_dtypes.bfloat16), "g": np.empty_like(z),
        "t": rng.integers(0, 32_000, 512), "five": five, "CE": CE,
        "KL": ce.KLDivWithLogitsLoss(), "JS": ce.JSDivWithLogitsLoss(),
        "Z": ce.CrossEntropyLoss(z_loss=1e-4), "S": ce.CrossEntropyLoss(logit_scale=0.5),
        "T": ce.CrossEntropyLoss(temperature=0.7), "C": ce.CrossEntropyLoss(softcap=30.0),
        "H": ce.EntropyFromLogitsLoss(), "w": np.arange(32_000) < 31_000,
        "merged": merged, "in_shards": in_shards, "gs": [np.zeros_like(p) for p in parts],
        "new": [None] * len(parts),
    }  # fmt: skip


def torchs() -> dict[str, object]:
    import torch
    from torch.nn.functional import cross_entropy, kl_div, log_softmax

    torch.set_num_threads(1)
    torch.manual_seed(0)
    z = torch.randn(512, 32_000) * 3
    y = z + torch.randn(z.shape) / 4

    def three(z, t):
        logs = log_softmax(z, -1)
        return logs.gather(1, t[:, None]), logs.argmax(1) == t

    def five(z, t):
        logs = log_softmax(z, -1)
        log_prob = logs.gather(1, t[:, None])
        entropy = -(logs.exp() * logs).sum(-1)
        return log_prob, entropy, z.logsumexp(-1), z.argmax(-1), (logs > log_prob).sum(-1)

    def capped(z, t):
        return cross_entropy(30 * torch.tanh(z / 30), t)

    def grad_of(function, z):
        z = z.detach().requires_grad_()
        function(z).backward()
        return z.grad

    def entropy(z):
        logs = log_softmax(z, -1)
        return -(logs.exp() * logs).sum(-1).mean()

    def kl(y, z):
        logs = log_softmax(y, -1), log_softmax(z, -1)
        return kl_div(*logs, log_target=True, reduction="none").sum(-1)

    return {
        "z": z, "y": y, "t": torch.randint(32_000, (512,)), "three": three, "five": five, "kl": kl,
        "kl_grad": lambda y, z: grad_of(lambda y: kl(y, z).mean(), y), "capped": capped,
        "capped_grad": lambda z, t: grad_of(lambda z: capped(z, t), z),
        "entropy_grad": lambda z: grad_of(entropy, z),
    }  # fmt: skip


def measure(calls: dict[str, str], names: dict[str, object]) -> dict[str, float]:
    """Medians in milliseconds, in turns."""
    codes = {name: compile(call, name, "eval") for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(TURNS + 1):
        for name, code in codes.items():
            began = time.perf_counter()
            eval(code, dict(names))
            if turn:
                times[name].append((time.perf_counter() - began) * 1e3)
    return {name: statistics.median(all_times) for name, all_times in times.items()}


def of_process(which: str) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.language", which]
    environment = os.environ | limited(1)
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main():
    if len(sys.argv) > 1:
        calls, make = (OURS, ours) if sys.argv[1] == "ours" else (TORCHS, torchs)
        print(json.dumps(measure(calls, make())))
        return
    times = of_process("ours")
    try:
        times |= {f"torch: {name}": x for name, x in of_process("torch").items()}
    except subprocess.CalledProcessError as error:
        print(f"Without torch: {error.stderr.splitlines()[-1]}", file=sys.stderr)
    print("| 512 x 32 000, one thread | ms |\n|---|---:|")
    for name, x in times.items():
        print(f"| {name} | {x:.1f} |")
    print("\n| ratio | is | must | aim | |\n|---|---:|---:|---:|---|")
    for name, (first, second, must, aim, less) in RATIOS.items():
        if first not in times:
            continue
        is_ = times[first] / times[second]
        met = ["short", "must", "aim"][
            sum(is_ <= goal if less else is_ >= goal for goal in (must, aim))
        ]
        print(f"| {name} | {is_:.2f} | {must:g} | {aim:g} | {met} |")


if __name__ == "__main__":
    main()
