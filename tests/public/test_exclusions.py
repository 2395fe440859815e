"""SECURITY.md and docs/promises.md exclude the same, in the same words."""

from pathlib import Path

ROOT = next(folder for folder in Path(__file__).parents if (folder / "README.md").exists())


def exclusions(page, before):
    """The list that follows the first line with these words."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return text[text.index(before) :].split("\n\n")[1]


def test_one_list():
    ours = exclusions("SECURITY.md", "docs/promises.md#excluded")
    assert ours == exclusions("docs/promises.md", "is a vulnerability")
    for word in ("frees", "truncated", "falsely", "vfork"):
        assert word in ours
