"""The public face: criteria as values, docstrings with examples that run, the configuration."""

import dataclasses
import doctest
import inspect
import pickle
import sys

import numpy as np
import pytest
from oracle import LOSSES, ROWS

import ce

every_loss = pytest.mark.parametrize(
    "loss", {loss.name: loss for loss in LOSSES}.values(), ids=lambda loss: loss.name
)
CRITERIA = sorted({loss.criterion for loss in LOSSES})
WEIGHTED = {loss.criterion: loss.weights for loss in LOSSES if loss.weights}
NAMES = [*sorted({row.name for row in ROWS}), "perplexity", "one_hot"]
MODULES = sorted({getattr(ce, name).__module__ for name in ce.__all__ if name != "__version__"})
PROCESS = ["set_num_threads", "get_num_threads", "threads", "show_config"]


@pytest.mark.parametrize("name", [*NAMES, *PROCESS, *CRITERIA, "__version__"])
def test_public_names(name):
    assert name in ce.__all__
    assert hasattr(ce, name)


@pytest.mark.parametrize("name", [*NAMES, *PROCESS, *CRITERIA])
def test_docstrings_have_examples(name):
    text = inspect.getdoc(getattr(ce, name))
    assert text
    assert ">>>" in text


@pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="the examples print as NumPy 2 does"
)
@pytest.mark.parametrize("module", MODULES)
def test_examples_run(module):
    result = doctest.testmod(sys.modules[module])
    assert result.attempted > 0
    assert result.failed == 0


@every_loss
def test_fields_are_the_options_of_the_function(loss):
    fields = [field.name for field in dataclasses.fields(getattr(ce, loss.criterion))]
    parameters = inspect.signature(getattr(ce, loss.name)).parameters
    options = [p.name for p in parameters.values() if p.kind is p.KEYWORD_ONLY]
    per_call = ["sample_weight", "normalizer"]  # these stand together, behind the weights
    per_call += ["where", "terms"] if loss.name == "cross_entropy" else []
    assert fields == [name for name in options if name not in per_call]
    assert [name for name in options if name in per_call] == per_call
    defaults = {name: parameters[name].default for name in fields}
    criterion = getattr(ce, loss.criterion)()
    assert {name: getattr(criterion, name) for name in fields} == defaults


@every_loss
def test_criteria_are_frozen(loss):
    criterion = getattr(ce, loss.criterion)()
    with pytest.raises(dataclasses.FrozenInstanceError):
        criterion.reduction = "sum"
    assert criterion.reduction == "mean"


@every_loss
def test_criteria_compare_by_their_options(loss):
    make = getattr(ce, loss.criterion)
    assert make(reduction="sum") == make(reduction="sum")
    assert make(reduction="sum") != make(reduction="none")
    assert make() != "mean"


@pytest.mark.parametrize("name", WEIGHTED)
def test_criteria_with_weights_compare(name):
    for weight in WEIGHTED[name]:
        same, other, longer = (
            [getattr(ce, name)(**{weight: value}) for _ in range(2)]
            for value in (np.ones(3), np.zeros(3), np.ones(4))
        )
        assert same[0] == same[1]
        assert same[0] != other[0]
        assert same[0] != longer[0]
        assert same[0] != getattr(ce, name)()


@every_loss
def test_repr_shows_the_options(loss):
    text = repr(getattr(ce, loss.criterion)(reduction="sum"))
    assert text.startswith(f"{loss.criterion}(")
    assert "reduction='sum'" in text


@every_loss
def test_criteria_can_be_replaced_and_pickled(loss):
    criterion = getattr(ce, loss.criterion)(reduction="sum")
    assert dataclasses.replace(criterion, reduction="none").reduction == "none"
    assert pickle.loads(pickle.dumps(criterion)) == criterion


def test_options_are_keyword_only():
    logits, target = np.zeros((2, 3), np.float32), np.zeros(2, int)
    with pytest.raises(TypeError):
        ce.cross_entropy(logits, target, np.ones(3, np.float32))
    with pytest.raises(TypeError):
        ce.huber_loss(logits, logits, 2.0)
    with pytest.raises(TypeError):
        ce.HuberLoss(2.0)
    with pytest.raises(TypeError):
        ce.logsumexp(logits, -1, True)


def test_configuration(capsys):
    assert ce.show_config() is None
    printed = capsys.readouterr().out
    assert ce.__version__ in printed
    assert ce._core.isa() in printed
    config = ce.show_config(mode="dicts")
    assert isinstance(config, dict)
    assert ce.__version__ in str(config)
    assert capsys.readouterr().out == ""
    for mode in ("nonesuch", None, np.zeros(0), np.array(["stdout", "dicts"])):
        with pytest.raises(ValueError, match="it must be 'stdout' or 'dicts'"):
            ce.show_config(mode)


def test_instruction_sets_can_be_switched(isa):
    assert ce._core.isa() == isa
    assert isa in str(ce.show_config(mode="dicts"))
    with pytest.raises(ValueError, match="nonesuch"):
        ce._core.use_isa("nonesuch")
    assert ce._core.isa() == isa


def test_equal_criteria_have_equal_hashes():
    for a, b in (
        ({"label_smoothing": 0}, {"label_smoothing": 0.0}),
        ({"weight": [1, 2]}, {"weight": np.array([1.0, 2.0])}),
    ):
        first, second = ce.CrossEntropyLoss(**a), ce.CrossEntropyLoss(**b)
        assert first == second
        assert hash(first) == hash(second)
