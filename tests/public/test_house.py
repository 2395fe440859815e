"""Rules of the C part: names, parameters, sizes, and which room knows which."""

import re
from pathlib import Path

import pytest

import ce

ROOT = Path(__file__).parents[2] / "src" / "ce_c"
SOURCES = {str(p.relative_to(ROOT)): p for p in sorted(ROOT.rglob("*.[ch]"))}
HEADERS = [name for name in SOURCES if name.endswith(".h")]
DEFINITION = re.compile(r"^(?!#)[\w][\w *]*?\b(\w+)\(([^;{}]*?)\)\n\{\n(.*?)^\}", re.M | re.S)
# What each room may include beside itself.
ROOMS = {
    "real": {"", "real"},
    "softmax": {"", "real", "softmax"},
    "rows": {"", "real", "softmax", "rows"},
    "lanes": {"", "real", "softmax", "lanes"},
    "links": {"softmax"},
    "divergences": {"", "real", "softmax", "rows", "divergences"},
    "elements": {"", "real", "elements"},
}

pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason="the C sources are not here")


def text_of(name):
    return SOURCES[name].read_text()


def code_of(name):
    """Without comments."""
    return re.sub(r"/\*.*?\*/", "", text_of(name), flags=re.S)


def room_of(name):
    return name.rpartition("/")[0]


def test_no_name_is_pasted_or_undefined():
    for name in SOURCES:
        pasted = [line for line in code_of(name).splitlines() if "##" in line]
        # Places and bits of the options, which are constants.
        assert len(pasted) == (2 if name == "ce.h" else 0), name
        assert "#undef" not in code_of(name), name


@pytest.mark.parametrize("name", HEADERS)
def test_headers_have_guards_and_a_first_line(name):
    text = text_of(name)
    assert text.startswith(f"/* {Path(name).name} - ")
    guard = re.search(r"#ifndef (\w+_H)\n#define (\w+_H)\n", text)
    assert guard
    assert guard[1] == guard[2]
    assert sum(f"#ifndef {guard[1]}\n" in text_of(other) for other in HEADERS) == 1


@pytest.mark.parametrize("name", SOURCES)
def test_functions_are_small(name):
    assert text_of(name).count("\n") <= 300
    found = 0
    for function, parameters, body in DEFINITION.findall(text_of(name)):
        found += 1
        assert parameters.count(",") < 6, f"{function} has more than six parameters"
        assert body.count("\n") <= 50, f"{function} is long"
    if name.endswith(".c") and name != "kernels.c":
        assert found


@pytest.mark.parametrize("name", [name for name in SOURCES if room_of(name)])
def test_rooms_know_only_those_below(name):
    included = re.findall(r'#include "([^"]+)"', text_of(name))
    assert {room_of(other) for other in included} <= ROOMS[room_of(name)]


@pytest.mark.parametrize(
    "name", [n for n in SOURCES if room_of(n) in ("softmax", "rows", "lanes", "divergences")]
)
def test_engines_know_no_loss(name):
    words = set(re.findall(r"\w+", code_of(name).lower()))
    losses = {row["name"] for row in ce._core.losses()}
    losses -= {"softmax", "entropy"}  # their own name; a statistic, too
    assert not words & losses
    links = [Path(other).stem for other in SOURCES if room_of(other) == "links"]
    assert not words & set(links)
