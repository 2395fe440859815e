"""``python -m ce``: what it prints, and how it answers to what is typed."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import ce
from ce import _demo, _plot
from ce.__main__ import main

COMMAND = [sys.executable, "-m", "ce"]


def complaint(capsys, *arguments):
    """What is printed as the command ends with status 2, but for the usage."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert end.value.code == 2
    return capsys.readouterr().err.rpartition("error: ")[2]


@pytest.fixture
def demo(monkeypatch, capsys):
    """Run the command beside NumPy alone; return the problems that were timed, and the output."""
    own = {name: _demo.LIBRARIES[name] for name in ("ce", "numpy")}
    monkeypatch.setattr(_demo, "LIBRARIES", own)
    monkeypatch.setattr(_demo, "ROUNDS", 5)
    timed = []

    def in_process(library, rows, classes):
        timed.append((rows, classes))
        return _demo._measure(library, rows, classes)

    monkeypatch.setattr(_demo, "_in_process", in_process)

    def run(*arguments):
        timed.clear()
        main(list(arguments))
        return timed[0], capsys.readouterr().out

    return run


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"ce {ce.__version__}\n"


@pytest.mark.parametrize("typed", ["20", "2e1", "2E+1", "20.0", "2_0"])
def test_whole_numbers_as_one_types_them(typed, demo):
    shape, printed = demo("--rows", typed, "--classes", typed, "--threads", "1e0")
    assert shape == (20, 20)
    assert all(type(number) is int for number in shape)
    assert "20 x 20 float32 logits, 1 threads" in printed


@pytest.mark.parametrize("option", ["--rows", "--classes", "--threads"])
@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("1.5", "1.5 is not a whole number"),
        ("1e-3", "1e-3 is not a whole number"),
        ("inf", "inf is not a whole number"),
        ("nan", "nan is not a whole number"),
        ("1e3.5", "invalid whole number value: '1e3.5'"),
        ("many", "invalid whole number value: 'many'"),
        ("0", "0 is not at least 1"),
        ("-3", "-3 is not at least 1"),
        ("-1e3", "-1e3 is not at least 1"),
    ],
)
def test_numbers_that_are_not_whole(option, typed, words, capsys):
    assert complaint(capsys, option, typed) == f"argument {option}: {words}\n"


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("plto", "unknown command 'plto', did you mean plot? (there is plot)"),
        ("zebra", "unknown command 'zebra' (there is plot)"),
        ("mse_loss", "unknown command 'mse_loss', did you mean plot mse_loss?"),
        ("--rows 5 plot mse_loss", "plot comes first: python -m ce plot"),
        ("--rwos 5", "unknown argument --rwos, did you mean --rows?"),
        ("plot mse_los", "unknown loss 'mse_los', did you mean mse_loss? (choose from mse_loss,"),
        ("plot zebra", "unknown loss 'zebra' (choose from mse_loss,"),
        ("plot focal_loss --gama 2", "unknown argument --gama, did you mean --gamma?"),
        ("plot mse_loss --xyzzy", "unknown argument --xyzzy\n"),
    ],
)
def test_misspelled_words_get_a_suggestion(typed, words, capsys):
    assert words in complaint(capsys, *typed.split())


def test_every_number_may_be_negative_and_have_an_exponent(capsys):
    """It reaches the check of its option, or there is none: the picture may not be drawn then."""
    for name in _plot.LOSSES:
        for option in _plot.options_of(name):
            flag = "--" + option.replace("_", "-")
            for typed in ("-1e-1", "-.5e+0", "-2"):
                arguments = [name, flag, typed, "--range", "7e0", "-1e1"]
                words = complaint(capsys, "plot", *arguments)
                assert words.startswith("argument --range: LO must be below HI"), (name, flag)


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="the system does not tell its memory")
@pytest.mark.parametrize("rows", ["1e8", "1e13", "1e17", "1e20", "1e300"])
def test_problems_larger_than_the_memory(rows, capsys):
    with pytest.raises(SystemExit) as end:
        main(["--rows", rows])
    assert re.fullmatch(
        r"python -m ce: \d+ x 32000 logits need \S+ GB, more memory than there is: "
        "choose fewer --rows or --classes",
        end.value.code,
    )
    assert capsys.readouterr().out == ""


def test_processes_that_find_no_memory(monkeypatch):
    monkeypatch.setattr(_demo, "check_memory", lambda rows, classes: None)
    with pytest.raises(SystemExit, match=r"more memory than there is"):
        main(["--rows", "1e12"])


def test_a_thread_for_each_cpu_at_most(demo):
    before = ce.get_num_threads(), dict(os.environ)
    try:
        _, printed = demo("--rows", "2", "--classes", "2", "--threads", "1e6")
    finally:
        ce.set_num_threads(before[0])
        os.environ.clear()
        os.environ.update(before[1])
    assert f"{ce._process.available_cpus()} threads" in printed


def test_errors_are_relative():
    true = np.array([1e-30, -2.0, 0.0, 0.0])
    assert _demo.relative_error(true, true) == 0
    np.testing.assert_allclose(_demo.relative_error(true * [1.5, 1.25, 1, 1], true), 0.5)
    assert _demo.relative_error(true + np.eye(4)[2] * 1e-300, true) == np.inf
    assert _demo.relative_error(np.float32(0.5), np.float64(1)) == 0.5


def test_times_have_their_spread():
    """Quartiles of 1 to 5 ms are 2 and 4: half of their distance is 1."""
    assert _demo.Measured([5e-3, 1e-3, 4e-3, 2e-3, 3e-3], 0, 0).time == "3.00 ± 1.00"
    assert _demo.Measured([0.1, 0.1, 0.1], 0, 0).time == "100 ± 0"


def test_table(demo):
    """Of what NumPy gets wrong, the relative error tells: gradients of classes that vanish."""
    _, printed = demo("--rows", "50", "--classes", "20")
    assert "relative to NumPy in float64" in printed
    rows = re.findall(r"(ce|numpy) +([\d.]+) ± ([\d.]+)(.*)", printed)
    assert [row[0] for row in rows] == ["ce", "numpy", "ce", "numpy", "ce"]
    for library, *_, rest in rows:
        assert (library == "ce") != bool(re.search(r"[\d.]+ x (faster|slower)", rest))
        assert all(float(error) < 1e-4 for error in re.findall(r"\d\.\de-\d+", rest))


def test_slower_is_not_called_faster():
    assert _demo._beside(2.0, 1.0) == "2.0 x faster"
    assert _demo._beside(1.0, 4.0) == "4.0 x slower"
    assert _demo._beside(30.0, 2.0) == "15 x faster"


def test_ends_with_success():
    """With each library in a process of its own."""
    done = subprocess.run(
        [*COMMAND, "--rows", "4", "--classes", "50"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "value and gradient, out=" in done.stdout


def is_closed(pipe):
    """Whether nobody is left who could read from it."""
    try:
        os.write(pipe.fileno(), b"-")
    except BrokenPipeError:
        return True
    return False


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_ends_it_without_a_traceback():
    """Also the process that times a library: it holds the other end of a pipe as long as it is."""
    process = subprocess.Popen(
        [*COMMAND, "--rows", "2e3", "--classes", "2e4"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's jobs ignore it
    )  # fmt: skip
    with process:
        assert any(line.startswith(b"Errors") for line in process.stdout)
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGINT)
        assert process.stderr.read() == b""
        assert process.wait(30) == 130
        assert any(is_closed(process.stdin) or time.sleep(0.1) for _ in range(100))
