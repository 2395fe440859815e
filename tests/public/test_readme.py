"""The README's code runs and prints what it says."""

import contextlib
import io
import re
from pathlib import Path

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


def test_files_that_it_names_exist():
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for name in re.findall(r"!\[.*?\]\((.*?)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / name).is_file(), f"{page.name}: {name}"


def test_it_stays_short():
    assert README.count("\n") <= MOST
