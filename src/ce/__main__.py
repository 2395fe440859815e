"""``python -m ce``: the configuration, a check of the installation, and how fast it is here."""

from __future__ import annotations

import argparse
import difflib
import importlib.util
import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import ce
from ce import _demo, _plot, _process

PROGRAM = "python -m ce"
INTERRUPTED = 130  # the exit status of what Ctrl-C has ended


def _suggestion(word: str, known: Iterable[str]) -> str:
    """What a misspelled word may have been meant to be, as the end of a message."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f", did you mean {near[0]}?" if near else ""


def _count(text: str) -> int:
    """A whole number from 1 on; 1e3 is one."""
    number = float(text)
    if not number.is_integer():
        raise argparse.ArgumentTypeError(f"{text.strip()} is not a whole number")
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text.strip()} is not at least 1")
    return int(number)


_count.__name__ = "whole number"  # argparse says: invalid whole number value: 'x'


def _loss(name: str) -> str:
    if name not in _plot.LOSSES:
        known = ", ".join(_plot.LOSSES)
        near = _suggestion(name, _plot.LOSSES)
        raise argparse.ArgumentTypeError(f"unknown loss {name!r}{near} (choose from {known})")
    return name


def _not_a_command(word: str) -> str:
    """Why a word that is not the first argument, or not a command, is refused."""
    if word == "plot":
        return f"plot comes first: {PROGRAM} plot"
    if word in _plot.LOSSES:
        return f"unknown command {word!r}, did you mean plot {word}?"
    return f"unknown command {word!r}{_suggestion(word, ['plot'])} (there is plot)"


def _number_or_none(text: str) -> float | None:
    try:
        return None if text.lower() == "none" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor none") from None


def _flag(option: str) -> str:
    return "--" + option.replace("_", "-")


def _flags(name: str) -> dict[str, str]:
    """The options of a loss as they are typed, and the values that are drawn without them."""
    return {
        _flag(option): ", ".join(map(str, values)).lower()
        for option, values in _plot.options_of(name).items()
    }


def _plot_parser() -> argparse.ArgumentParser:
    text = "The losses and their gradients as pictures."
    parser = argparse.ArgumentParser(prog=f"{PROGRAM} plot", description=text)
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
    return parser


def _parser() -> argparse.ArgumentParser:
    text = "The configuration, a check of the installation, and how fast it is here."
    parser = argparse.ArgumentParser(prog=PROGRAM, description=text)
    parser.add_argument("--version", action="version", version=f"ce {ce.__version__}")
    text = "items (default 512)"
    parser.add_argument("--rows", type=_count, default=512, metavar="N", help=text)
    text = "classes (default 32000)"
    parser.add_argument("--classes", type=_count, default=32000, metavar="C", help=text)
    text = "threads for all libraries, at most one for each CPU (default: what ce finds)"
    parser.add_argument("--threads", type=_count, metavar="T", help=text)
    text = f"draw losses and their gradients instead: {PROGRAM} plot --help"
    parser.add_argument("words", nargs="*", metavar="plot", help=text)
    return parser


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments, of which none may be left over."""
    # argparse takes -1e6 for a flag, but not what begins with a space.
    spaced = [f" {a}" if a.startswith("-") and _is_number(a) else a for a in arguments]
    options, rest = parser.parse_known_args(spaced)
    if rest:
        near = _suggestion(rest[0], re.findall(r"--[a-z-]+", parser.format_usage()))
        parser.error(f"unknown argument {rest[0].strip()}{near}")
    return options


def _check_plot(options: argparse.Namespace) -> tuple[Sequence[Sequence[str]], dict[str, Any]]:
    """Return pictures and options; raise ValueError for what does not go together."""
    names = list(dict.fromkeys(options.names))
    axes = {_plot.LOSSES[name].axis.name: name for name in names}
    if len(axes) > 1:
        over = ", ".join(f"{name} over the {axis}" for axis, name in axes.items())
        raise ValueError(f"losses of one picture share an axis, but these are drawn: {over}")
    if options.range:
        if not names:
            raise ValueError("argument --range: needs the name of a loss")
        _plot.LOSSES[names[0]].axis.check_range(*options.range)
    pictures = [names] if names else _plot.PICTURES
    drawn = [name for picture in pictures for name in picture]
    takers = {option for name in _plot.LOSSES for option in _plot.options_of(name)}
    given = {o: v for o, v in vars(options).items() if o in takers and v is not None}
    for option in given:
        if not any(option in _plot.options_of(name) for name in drawn):
            raise ValueError(f"argument {_flag(option)}: not an option of {', '.join(drawn)}")
    for target in given.get("target", ()):
        if not 0 <= target <= 1:
            raise ValueError(f"argument --target: {target:g} is not in [0, 1]")
    return pictures, given


def _run_plot(arguments: Sequence[str]) -> None:
    parser = _plot_parser()
    options = _parse(parser, arguments)
    if options.list:
        for name, loss in _plot.LOSSES.items():
            print(f"{name:34}{loss.axis.name:17}{' '.join(_flags(name))}".rstrip())
        return
    try:
        pictures, given = _check_plot(options)
        if importlib.util.find_spec("matplotlib") is None:
            sys.exit(f'{parser.prog}: matplotlib is missing: pip install "matplotlib>=3.8"')
        written = _plot.show(pictures, given, options.range, options.output)
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"argument -o/--output: {error}")
    except ImportError as error:
        if options.output:
            raise
        sys.exit(f"{parser.prog}: cannot open a window ({error}): write a file with -o FILE")
    if written:
        print(f"written to {written}")


def _run_demo(options: argparse.Namespace) -> None:
    if options.threads:
        threads = min(options.threads, _process.available_cpus())
        os.environ["CE_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(threads)
        ce.set_num_threads(threads)
    rows, classes = options.rows, options.classes
    _demo.check_memory(rows, classes)

    ce.show_config()
    _demo.check_installation()
    print("\nThe results on a small problem are those of plain NumPy.\n")

    problem = f"{rows} x {classes} float32 logits, {ce.get_num_threads()} threads"
    print(
        f"Mean cross-entropy of {problem}; each library in its own process.\n"
        f"Times: median of {_demo.ROUNDS} ± half the distance of the quartiles.\n"
        "Errors: the largest, relative to NumPy in float64."
    )
    print("\n" + _demo.table(_demo.time_libraries(rows, classes)))


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments[:1] == ["plot"]:
            _run_plot(arguments[1:])
            return
        parser = _parser()
        options = _parse(parser, arguments)
        if options.words:
            parser.error(_not_a_command(options.words[0].strip()))
        _run_demo(options)
    except _demo.TooLargeError as error:
        sys.exit(f"{PROGRAM}: {error}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
