"""``python -m ce``: the configuration, a check of the installation, and how fast it is here."""

from __future__ import annotations

import argparse
import os

import ce
from ce import _demo


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m ce", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--rows", type=_positive, default=512, metavar="N", help="items (default 512)"
    )
    parser.add_argument(
        "--classes", type=_positive, default=32000, metavar="C", help="classes (default 32000)"
    )
    parser.add_argument("--threads", type=_positive, metavar="T", help="threads for all libraries")
    options = parser.parse_args()
    if options.threads:
        os.environ["CE_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(options.threads)
        ce.set_num_threads(options.threads)

    ce.show_config()
    _demo.check_installation()
    print("\nThe results on a small problem are those of plain NumPy.\n")

    rows, classes = options.rows, options.classes
    print(
        f"Mean cross-entropy of {rows} x {classes} float32 logits, {ce.get_num_threads()} threads, "
        f"median of {_demo.ROUNDS};\n"
        "errors against NumPy in float64; each library in its own process."
    )
    print("\n" + _demo.table(_demo.time_libraries(rows, classes)))


if __name__ == "__main__":
    main()
