"""``python -m ce``: the configuration, a check of the installation, and how fast it is here."""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import sys
from collections.abc import Sequence
from typing import Any

import ce
from ce import _demo, _plot


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def _loss(name: str) -> str:
    if name not in _plot.LOSSES:
        known = ", ".join(_plot.LOSSES)
        raise argparse.ArgumentTypeError(f"unknown loss {name!r} (choose from {known})")
    return name


def _number_or_none(text: str) -> float | None:
    return None if text == "none" else float(text)


def _flags(name: str) -> dict[str, str]:
    """The options of a loss as they are typed, and the values that are drawn without them."""
    return {
        "--" + option.replace("_", "-"): ", ".join(map(str, values)).lower()
        for option, values in _plot.options_of(name).items()
    }


def _declare_plot(parser: argparse.ArgumentParser) -> None:
    text = "function such as mse_loss; several share an axis (default: three classic pictures)"
    parser.add_argument("names", nargs="*", type=_loss, metavar="LOSS", help=text)
    text = "file to write, in the format of its suffix (default: a window)"
    parser.add_argument("-o", "--output", metavar="FILE", help=text)
    text = "ends of the horizontal axis"
    parser.add_argument("--range", nargs=2, type=float, metavar=("LO", "HI"), help=text)
    text = "print the losses, their axes and options"
    parser.add_argument("--list", action="store_true", help=text)

    text = "Repeat one for several curves. In brackets: what is drawn without it."
    group = parser.add_argument_group("options of the losses", text)
    flags = {name: _flags(name) for name in _plot.LOSSES}
    for flag in dict.fromkeys(flag for of_loss in flags.values() for flag in of_loss):
        text = "; ".join(f"{name} [{own[flag]}]" for name, own in flags.items() if flag in own)
        kind = _number_or_none if "[none]" in text else float
        group.add_argument(flag, action="append", type=kind, metavar="X", help=text)


def _check_plot(options: argparse.Namespace) -> tuple[Sequence[Sequence[str]], dict[str, Any]]:
    """Return pictures and options; raise ValueError for what does not go together."""
    names = list(dict.fromkeys(options.names))
    axes = {_plot.LOSSES[name].axis.name: name for name in names}
    if len(axes) > 1:
        over = ", ".join(f"{name} over the {axis}" for axis, name in axes.items())
        raise ValueError(f"losses of one picture share an axis, but these are drawn: {over}")
    if options.range and not names:
        raise ValueError("argument --range: needs the name of a loss")
    if options.range and not -math.inf < options.range[0] < options.range[1] < math.inf:
        raise ValueError("argument --range: LO must be below HI, both finite")
    pictures = [names] if names else _plot.PICTURES
    drawn = [name for picture in pictures for name in picture]
    takers = {option for name in _plot.LOSSES for option in _plot.options_of(name)}
    given = {o: v for o, v in vars(options).items() if o in takers and v is not None}
    for option in given:
        if not any(option in _plot.options_of(name) for name in drawn):
            flag = "--" + option.replace("_", "-")
            raise ValueError(f"argument {flag}: not an option of {', '.join(drawn)}")
    return pictures, given


def _run_plot(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.list:
        for name, loss in _plot.LOSSES.items():
            print(f"{name:34}{loss.axis.name:17}{' '.join(_flags(name))}".rstrip())
        return
    try:
        pictures, given = _check_plot(options)
        if importlib.util.find_spec("matplotlib") is None:
            sys.exit(f'{parser.prog}: matplotlib is missing: pip install "matplotlib>=3.8"')
        _plot.show(pictures, given, options.range, options.output)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    except ImportError as error:
        if options.output:
            raise
        sys.exit(f"{parser.prog}: cannot open a window ({error}): write a file with -o FILE")


def main(arguments: Sequence[str] | None = None) -> None:
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
    commands = parser.add_subparsers(title="command", dest="command")
    text = "draw losses and their gradients"
    plot = commands.add_parser("plot", help=text, description=(_plot.__doc__ or "").splitlines()[0])
    _declare_plot(plot)
    options = parser.parse_args(arguments)
    if options.command == "plot":
        _run_plot(plot, options)
        return
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
