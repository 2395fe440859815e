"""Score more logits than the workers' memory holds, with dask: perplexity, entropy, greedy tokens.

    python examples/cluster.py [--tokens 4096] [--classes 128256] [--workers 2] [--memory 400MiB]
                               [--rows 128] [--shard 0] [--folder DIR] [--seed 0]

Writes a .npy file of tokens x classes float32 logits, 2.1 GB by default, and scores it on a cluster
of processes on this machine, each of which may use so much memory, in chunks of so many rows and,
with `--shard`, of so many classes. Prints what comes out, how long it took and how much memory the
largest chunk is; the file is removed at the end.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import dask
import dask.array as da
import distributed
import numpy as np

import ce.dask


def write_logits(path: Path, tokens: int, classes: int, rows: int, seed: int):
    """A model that is right more often the larger a token's logit: the file, and the tokens."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, classes, tokens)
    shape = (tokens, classes)
    logits = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    for i in range(0, tokens, rows):
        block = rng.standard_normal((min(rows, tokens - i), classes), dtype=np.float32)
        block[np.arange(len(block)), target[i : i + rows]] += rng.exponential(9, len(block))
        logits[i : i + rows] = block
    logits.flush()
    return target


def score(path: Path, target, rows: int, shard: int):
    """Mean loss and statistics, none of them computed yet."""
    logits = ce.dask.from_npy(path, chunks=(rows, shard or -1))
    stats = ce.dask.token_stats(logits, da.from_array(target, chunks=rows))
    return {
        "perplexity": da.exp(stats.nll.mean(dtype=np.float64)),
        "mean entropy": stats.entropy.mean(dtype=np.float64),
        "greedy": stats.greedy.mean(),
        "in the top 5": (stats.rank < 5).mean(),
    }


def arguments(given):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (
        ("tokens", 4096), ("classes", 128256), ("workers", 2), ("rows", 128), ("shard", 0),
        ("seed", 0),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--memory", default="400MiB", help="of each worker, such as 400MiB")
    parser.add_argument("--folder", type=Path, help="where the file goes")
    options = parser.parse_args(given)
    for name in ("tokens", "classes", "workers", "rows"):
        if getattr(options, name) < 1:
            parser.error(f"argument --{name}: {getattr(options, name)} is not at least 1")
    if options.shard < 0:
        parser.error(f"argument --shard: {options.shard} is below 0")
    return options


def main(given=None):
    options = arguments(given)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "logits.npy"
        target = write_logits(path, options.tokens, options.classes, options.rows, options.seed)
        size = path.stat().st_size
        chunk = 4 * options.rows * (options.shard or options.classes)
        print(f"{size / 1e6:.0f} MB of logits, chunks of {chunk / 1e6:.0f} MB, "
              f"{options.workers} workers of {options.memory}")  # fmt: skip
        with (
            dask.config.set({"distributed.logging.distributed": "error"}),
            distributed.LocalCluster(
                n_workers=options.workers, threads_per_worker=1, memory_limit=options.memory,
                dashboard_address=None,
            ) as cluster,
            distributed.Client(cluster) as client,
        ):  # fmt: skip
            began = time.perf_counter()
            asked = score(path, target, options.rows, options.shard)
            futures = client.compute(list(asked.values()))
            if sys.stderr.isatty():
                distributed.progress(futures, notebook=False)
            found = dict(zip(asked, client.gather(futures), strict=True))
            seconds = time.perf_counter() - began
    for name, x in found.items():
        print(f"{name:>14}  {x:.4f}")
    print(f"{seconds:.1f} s, {size / seconds / 1e9:.1f} GB/s")
    return found


if __name__ == "__main__":
    main()
