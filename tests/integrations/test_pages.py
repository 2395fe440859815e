"""The programs on the pages about other libraries run, and print what stands below them."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = next(folder for folder in Path(__file__).parents if (folder / "README.md").exists())
PAGES = {"boosting": ("xgboost", "lightgbm", "sklearn"), "scipy": ("scipy", "sklearn")}
PAGES |= {"torch": ("torch",), "dask": ("dask", "distributed", "xarray")}
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.filterwarnings("default")  # those of other libraries are theirs
def test_the_programs_run(page):
    """From top to bottom, one namespace for the page."""
    for library in PAGES[page]:
        pytest.importorskip(library)
    blocks = BLOCK.findall((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8"))
    printed, expected, names = io.StringIO(), "", {}
    with np.printoptions(), contextlib.redirect_stdout(printed):
        for language, text in blocks:
            if language == "python":
                exec(text, names)
            else:
                expected += text
    assert expected
    assert printed.getvalue() == expected
