"""The example of a cluster goes through more logits than its workers may hold."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("distributed")
EXAMPLE = Path(__file__).parents[2] / "examples" / "cluster.py"


@pytest.fixture(scope="module")
def cluster():
    """The example, imported by its path."""
    spec = importlib.util.spec_from_file_location("cluster", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("default")  # those of other libraries are theirs
@pytest.mark.parametrize("shard", ["0", "4096"])
def test_it_scores_what_memory_does_not_hold(cluster, shard, tmp_path, capsys):
    """700 MB of logits; two workers of 300 MiB, of which the libraries take more than a third."""
    found = cluster.main(
        ["--tokens", "4400", "--classes", "40000", "--memory", "300MiB", "--rows", "64",
         "--shard", shard, "--folder", str(tmp_path)]
    )  # fmt: skip
    assert not list(tmp_path.iterdir())
    assert 0 < found["greedy"] < found["in the top 5"] < 1
    assert np.isfinite(found["perplexity"])
    assert "704 MB of logits" in capsys.readouterr().out


def test_it_says_what_it_wants(cluster, capsys):
    with pytest.raises(SystemExit) as end:
        cluster.main(["--rows", "0"])
    assert end.value.code == 2
    assert "argument --rows: 0 is not at least 1" in capsys.readouterr().err
