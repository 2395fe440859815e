"""Forgotten paperwork fails: every loss has its row in the oracle, and every row its loss."""

import inspect
from pathlib import Path

import pytest
from oracle import LOSSES, ROWS

import ce
from ce import _plot

ROOT = Path(__file__).parents[2]
ENGINE = {row["name"]: row for row in ce._core.losses()}
every_engine_row = pytest.mark.parametrize("row", ENGINE.values(), ids=ENGINE)

every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.label)
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.label)
# Nothing of their own is computed: worked examples test them. Statistics of items are no function
# along an axis, nor are divergences of two arrays of logits, and entropy has no target:
# test_token_stats.py, test_divergences.py and test_logit_options.py have their definitions. Those
# of shards are the whole's: test_shards.py.
NO_ROWS = {"perplexity", "one_hot", "token_stats", "log_prob", "compare_logits"}
NO_ROWS |= {"kl_div_with_logits", "js_div_with_logits", "reverse_kl_div_with_logits"}
NO_ROWS |= {"entropy_from_logits", "partials"}


def test_labels_tell_rows_apart():
    labels = [row.label_of(measured) for row in ROWS for measured in row.measured]
    assert len(set(labels)) == len(labels)
    assert {row.label for row in ROWS} <= set(labels)


@every_engine_row
def test_every_loss_of_the_engine_has_an_oracle(row):
    known = {row.core for row in ROWS} | NO_ROWS
    assert row["name"] in known, "tests/oracle has no row with that `core`"


@every_engine_row
def test_every_loss_of_the_engine_has_golden_lines(row):
    """Of every dtype; of each option that it takes, at least one line is of another value."""
    text = (ROOT / "tests" / "golden.txt").read_text()
    lines = [line.split() for line in text.splitlines() if line.startswith(row["name"] + " ")]
    floats = {dtype["name"] for dtype in ce._core.dtypes() if dtype["digits"]}
    assert {line[1] for line in lines} == floats, "golden.txt lacks lines, or a dtype"
    asked = ["v", "g", "h"]
    for line in lines:
        for hashed, output in zip(line[6:], asked, strict=True):
            words = line[5].split(",")
            only = "v" if line[4] == "perplexity" else "g" if "vector" in words else "vgh"
            due = output in row["outputs"] and output in only
            due |= output == "h" and "stats" in words  # they stand at that place
            assert hashed != "-" or not due, (
                "a hash is not filled in: golden tests/golden.txt --write"
            )
    met = {word.partition("=")[0] for line in lines for word in line[5].split(",")}
    met |= {line[4] for line in lines}  # reductions
    names = {
        "label_smoothing": {"smoothing"}, "beta": {"delta"}, "sample_weight": {"v"},
        "ignore_index": {"ignore"}, "weight": {"w"},
        "pos_weight": {"pos"}, "reduction": {"batchmean"},
        "hessian": {"gauss_newton", "abs", "bound"},
    }  # fmt: skip
    if row["has_classes"]:
        names["alpha"] = {"w"}
    for option in set(row["options"]) - {"ignore_index" if row["second"] == "probs" else ""}:
        assert met & names.get(option, {option}), f"golden.txt has no line with {option}"


@every_engine_row
def test_every_loss_of_the_engine_is_fuzzed(row):
    """The first byte of an input is the row's number."""
    number = list(ENGINE).index(row["name"])
    inputs = (path.read_bytes() for path in (ROOT / "tests" / "c" / "corpus").iterdir())
    words = f"tests/c/corpus has no file that begins with the byte {number}"
    assert any(data[:1] == bytes([number]) for data in inputs), words


@every_row
def test_the_engine_knows_it(row):
    assert row.core in ENGINE


HESSIANS = {"hessian", "hess_scale", "hess_floor"}  # of `grad_and_hess`, of every loss


@every_loss
def test_its_options_are_those_of_the_engine(loss):
    """But for those that every loss has."""
    names = set(inspect.signature(getattr(ce, loss.name)).parameters)
    rows = [ENGINE[row.core] for row in LOSSES if row.name == loss.name]
    options = {option for row in rows for option in row["options"]} - HESSIANS
    common = {"axis", "reduction", "log_target", "terms"}
    arrays = set(list(inspect.signature(getattr(ce, loss.name)).parameters)[:2])
    assert names - common - arrays == options - common


@every_row
def test_the_pages_have_it(row):
    assert f"`{row.name}`" in (ROOT / "README.md").read_text(), "the README has no row for it"


@every_loss
def test_the_pages_have_its_options(loss):
    text = (ROOT / "README.md").read_text()
    names = set(inspect.signature(getattr(ce, loss.criterion)).parameters)
    lacking = {name for name in names if f"`{name}`" not in text}
    assert not lacking, "the README names all options"


@every_loss
def test_it_can_be_drawn(loss):
    assert loss.name in _plot.LOSSES


@every_row
def test_the_function_is_public(row):
    assert row.name in ce.__all__
    assert inspect.isfunction(getattr(ce, row.name))


@every_loss
def test_the_class_is_public(loss):
    assert loss.criterion in ce.__all__
    assert inspect.isclass(getattr(ce, loss.criterion))


@every_row
def test_what_it_assumes_is_written(row):
    assert row.assumes.endswith((".", ")"))


@every_loss
def test_every_option_is_swept(loss):
    """All but those that every loss has, and what tells its rows apart."""
    common = {"axis", "reduction"} | set(loss.fixed)
    rows = [row for row in LOSSES if row.name == loss.name]
    swept = {name for row in rows for name in row.options} | {n for row in rows for n in row.fixed}
    assert swept | common >= set(inspect.signature(getattr(ce, loss.criterion)).parameters)


@every_loss
def test_every_option_has_wrong_values(loss):
    for name, option in loss.options.items():
        assert option.wrong, name


def test_every_class_has_a_row():
    """The methods of a criterion are what makes it one."""
    classes = {name for name in ce.__all__ if hasattr(getattr(ce, name), "value_and_grad")}
    classes -= {"Loss", "KLDivWithLogitsLoss", "JSDivWithLogitsLoss", "EntropyFromLogitsLoss"}
    assert classes == {loss.criterion for loss in LOSSES}


def test_every_function_of_arrays_has_a_row():
    functions = {
        name
        for name in ce.__all__
        if inspect.isfunction(getattr(ce, name))
        and {"target", "axis"} & set(inspect.signature(getattr(ce, name)).parameters)
    }
    assert functions - NO_ROWS == {row.name for row in ROWS}
