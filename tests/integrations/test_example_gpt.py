"""The example of torch learns the same with torch's loss and with ours, and draws its curves."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

for library in ("torch", "matplotlib"):
    pytest.importorskip(library)
EXAMPLE = Path(__file__).parents[2] / "examples" / "gpt.py"


@pytest.fixture(scope="module")
def gpt():
    """The example, imported by its path."""
    spec = importlib.util.spec_from_file_location("gpt", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_gpt_learns_the_same_with_both(gpt, tmp_path, capsys):
    plot = tmp_path / "curves.png"
    runs = gpt.main(["--steps", "15", "--batch", "4", "--plot", str(plot)])
    ours, theirs = (np.array(runs[name]["losses"]) for name in ("ce", "torch"))
    assert ours[-1] < 0.8 * ours[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)  # rounding, amplified by the training
    assert plot.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert capsys.readouterr().out.count("ms a step") == 2


def test_gpt_wants_steps(gpt, capsys):
    with pytest.raises(SystemExit) as end:
        gpt.main(["--steps", "5"])
    assert end.value.code == 2
    assert "argument --steps: 5 is not at least 6" in capsys.readouterr().err
