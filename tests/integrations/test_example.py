"""The example of boosting trains with both libraries, prints its table and draws its curves."""

import importlib.util
from pathlib import Path

import pytest

for library in ("xgboost", "lightgbm", "sklearn", "matplotlib"):
    pytest.importorskip(library)
EXAMPLE = Path(__file__).parents[2] / "examples" / "boosting.py"


@pytest.fixture(scope="module")
def boosting():
    """The example, imported by its path."""
    spec = importlib.util.spec_from_file_location("boosting", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("default")  # those of other libraries are theirs
def test_boosting_learns_and_plots(boosting, tmp_path, capsys):
    plot = tmp_path / "curves.png"
    curves = boosting.main(["--rounds", "30", "--splits", "2", "--plot", str(plot)])
    assert len(curves) == 10
    assert all(runs.shape == (2, 6) and runs[:, -1].mean() > 0.2 for runs in curves.values())
    assert plot.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    printed = capsys.readouterr()
    assert printed.out.count("focal, gamma") == 6
    assert not printed.err


def test_boosting_wants_rounds_and_splits(boosting, capsys):
    for option, least in (("--rounds", 5), ("--splits", 1)):
        with pytest.raises(SystemExit) as end:
            boosting.main([option, "0"])
        assert end.value.code == 2
        assert f"argument {option}: 0 is not at least {least}" in capsys.readouterr().err
