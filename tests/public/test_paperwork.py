"""Forgotten paperwork fails: every loss has its row in the oracle, and every row its loss."""

import inspect

import pytest
from oracle import LOSSES, ROWS

import ce

every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.label)
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.label)
NO_ROWS = {"perplexity", "one_hot"}  # nothing of their own is computed: worked examples test them


def test_labels_tell_rows_apart():
    labels = [row.label_of(measured) for row in ROWS for measured in row.measured]
    assert len(set(labels)) == len(labels)
    assert {row.label for row in ROWS} <= set(labels)


@every_row
def test_the_engine_knows_it(row):
    assert isinstance(ce._core.find_loss(row.core), int)


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
    assert classes - {"Loss"} == {loss.criterion for loss in LOSSES}  # Loss is their base


def test_every_function_of_arrays_has_a_row():
    functions = {
        name
        for name in ce.__all__
        if inspect.isfunction(getattr(ce, name))
        and {"target", "axis"} & set(inspect.signature(getattr(ce, name)).parameters)
    }
    assert functions - NO_ROWS == {row.name for row in ROWS}
