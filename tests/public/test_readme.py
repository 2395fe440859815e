"""The README's code runs and prints what it says."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np

ROOT = next(folder for folder in Path(__file__).parents if (folder / "README.md").exists())
README = (ROOT / "README.md").read_text(encoding="utf-8")
MOST = 150  # lines: what does not fit belongs into docs/


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_python_blocks_print_the_text_blocks():
    programs, outputs = blocks("python"), blocks("text")
    assert programs
    assert len(programs) == len(outputs)
    for program, expected in zip(programs, outputs, strict=True):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(program, {})
        assert printed.getvalue() == expected


def test_the_page_about_language_models(tmp_path, monkeypatch):
    """Its programs run, top to bottom; what the first prints is right."""
    rng = np.random.default_rng(1)
    logits, tokens = rng.normal(0, 3, (2, 6, 40)).astype(np.float16), rng.integers(0, 40, (2, 6))
    tokens[1, 4:] = -100
    np.save(tmp_path / "logits.npy", logits)
    np.save(tmp_path / "tokens.npy", tokens)
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    printed, names = io.StringIO(), {}
    with contextlib.redirect_stdout(printed):
        for program in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
            exec(program, names)
    z, t = logits[:, :-1].astype(np.float64), tokens[:, 1:]
    logs = z - np.log(np.exp(z).sum(-1, keepdims=True))
    picked = np.take_along_axis(logs, np.maximum(t, 0)[..., None], -1)[..., 0]
    lines = printed.getvalue().splitlines()
    perplexity = np.exp(-picked[t >= 0].mean())
    np.testing.assert_allclose(float(lines[0].split()[1]), perplexity, rtol=1e-6)
    entropy = -(np.exp(logs) * logs).sum(-1)[t >= 0].mean()
    np.testing.assert_allclose(float(lines[3].split()[2]), entropy, rtol=1e-6)
    u = 30 * np.tanh((names["hidden"] @ names["head"])[..., :900] / 30)
    lse = np.log(np.exp(u).sum(-1))
    picked = np.take_along_axis(u, names["next_tokens"][..., None], -1)[..., 0]
    np.testing.assert_allclose(names["nll"], (lse - picked).mean(), rtol=1e-12)
    np.testing.assert_allclose(names["z"], 1e-4 * (lse**2).mean(), rtol=1e-12)
    assert "the same bits True" in lines
    pieces = np.concatenate(list(names["pieces"].values()), axis=1)
    whole = names["criterion"].grad(
        np.concatenate(list(names["shards"].values()), axis=1), names["tokens"]
    )
    np.testing.assert_array_equal(pieces, whole)
    assert float(names["far"]) > 0
    assert names["both"].kl.min() > 0


def test_files_that_it_names_exist():
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for name in re.findall(r"!\[.*?\]\((.*?)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / name).is_file(), f"{page.name}: {name}"


def test_it_stays_short():
    assert README.count("\n") <= MOST
