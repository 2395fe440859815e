"""Criteria: options checked and frozen when the object is made, compared and copied by value."""

import copy
import dataclasses
import pickle

import ml_dtypes
import numpy as np
import pytest
from oracle import LOSSES

import ce

every_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.label)
weighted = pytest.mark.parametrize(
    ("loss", "name"),
    [(loss, name) for loss in LOSSES for name in loss.weights],
    ids=lambda x: getattr(x, "label", x),
)


def maker(loss):
    return getattr(ce, loss.criterion)


def filled(loss, rng):
    """A criterion with all the options of its row."""
    options = {name: o.make(rng, 3, (4, 3), np.float32) for name, o in loss.options.items()}
    return maker(loss)(**loss.fixed | options)


@every_loss
def test_wrong_options_fail_in_the_constructor(loss):
    """But for what hangs on the call: shapes of arrays."""
    make = maker(loss)
    for value in ("avg", "elementwise_mean", None, 1):
        with pytest.raises(ValueError, match=r"reduction is .*; it must be one of mean, "):
            make(reduction=value)
    for name, option in loss.options.items():
        for wrong in option.wrong:
            if not isinstance(wrong.value, np.ndarray):
                with pytest.raises(wrong.error, match=name):
                    make(**{name: wrong.value})
    if "axis" in make.__dataclass_fields__:
        for value in ("x", 1.5, True):
            with pytest.raises(TypeError, match="axis"):
                make(axis=value)


def test_constructor_errors_are_those_of_the_call():
    z, t = np.zeros((2, 3)), np.zeros(2, int)
    for options in ({"reduction": "avg"}, {"label_smoothing": 7}, {"ignore_index": 1.5}):
        with pytest.raises((TypeError, ValueError)) as made:
            ce.CrossEntropyLoss(**options)
        with pytest.raises(made.type) as called:
            ce.cross_entropy(z, t, **options)
        assert str(made.value) == str(called.value)
    with pytest.raises(ValueError, match=r"gamma is -1\.0; it must be in \[0, 1e6\]"):
        ce.FocalLoss(gamma=-1)


def test_the_base_class_is_no_loss():
    assert "Loss" in ce.__all__
    with pytest.raises(TypeError, match="Loss is what all losses have in common"):
        ce.Loss()
    for loss in LOSSES:
        assert issubclass(maker(loss), ce.Loss)


@weighted
def test_arrays_are_copies_that_nothing_changes(loss, name):
    make, given = maker(loss), np.array([1.0, 2.0, 3.0])
    criterion, before = make(**loss.fixed, **{name: given}), make(**loss.fixed, **{name: [1, 2, 3]})
    kept = getattr(criterion, name)
    hashed = hash(criterion)
    given[0] = 7
    with pytest.raises(ValueError, match="read-only"):
        kept[0] = 7
    with pytest.raises(ValueError, match="WRITEABLE"):
        kept.flags.writeable = True
    assert criterion == before
    assert hash(criterion) == hashed == hash(before)
    assert criterion != make(**loss.fixed, **{name: given})


@weighted
def test_arrays_of_every_kind_are_kept(loss, name):
    make = maker(loss)
    wanted = make(**loss.fixed, **{name: [0.5, 1.0, 2.0]})
    numbers = np.array([0.5, 1, 2])
    for given in (
        (0.5, 1, 2), numbers.astype(">f4"), np.repeat(numbers, 2)[::2], memoryview(numbers),
        numbers.astype(np.float16), numbers.astype(ml_dtypes.bfloat16),
    ):  # fmt: skip
        criterion = make(**loss.fixed, **{name: given})
        assert criterion == wanted
        assert hash(criterion) == hash(wanted)


def test_numbers_become_numbers():
    for gamma in (2, np.array(2.0), np.float32(2), np.int8(2), ml_dtypes.bfloat16(2)):
        criterion = ce.FocalLoss(gamma=gamma)
        assert type(criterion.gamma) is float
        assert criterion == ce.FocalLoss(gamma=2.0)
        assert hash(criterion) == hash(ce.FocalLoss())
    assert type(ce.CrossEntropyLoss(ignore_index=np.int16(-1)).ignore_index) is int
    assert ce.SigmoidFocalLoss(alpha=None).alpha is None
    assert type(ce.CrossEntropyLoss(axis=np.int64(1)).axis) is int


@every_loss
def test_copies_are_equal_and_compute(loss, rng):
    criterion = filled(loss, rng)
    x, target = loss.arrays(rng, (4, 3), None, np.float32)
    value = criterion(x, target)
    for other in (
        copy.copy(criterion), copy.deepcopy(criterion), pickle.loads(pickle.dumps(criterion)),
        dataclasses.replace(criterion),
    ):  # fmt: skip
        assert other == criterion
        assert hash(other) == hash(criterion)
        assert other(x, target) == value
    other = dataclasses.replace(criterion, reduction="none")
    assert other != criterion
    assert np.shape(other(x, target)) == np.shape(target)[: 1 if loss.classes else 2]


@every_loss
def test_subclasses_of_users(loss, rng):
    @dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
    class Named(maker(loss)):
        name: str = "mine"

    criterion = Named(**loss.fixed, reduction="sum")
    x, target = loss.arrays(rng, (4, 3), None, np.float32)
    assert criterion(x, target) == maker(loss)(**loss.fixed, reduction="sum")(x, target)
    assert criterion == Named(**loss.fixed, reduction="sum")
    assert criterion != Named(**loss.fixed, reduction="sum", name="yours")
    assert criterion != maker(loss)(**loss.fixed, reduction="sum")
    with pytest.raises(ValueError, match="reduction"):
        Named(reduction="avg")


def test_options_that_a_loss_has_not():
    with pytest.raises(TypeError, match="gamma"):
        ce._core.Prepared("mse", gamma=2.0)
    prepared = ce._core.Prepared("mse")
    with pytest.raises(TypeError, match="mse has no option gamma"):
        ce._core.call(prepared, ce._core.VALUE, [1.0], [2.0], gamma=2.0)
    with pytest.raises(LookupError, match="nonesuch"):
        ce._core.Prepared("nonesuch")
    for wrong in ((), (prepared,), (prepared, 1, [1.0]), (None, 1, [1.0], [1.0])):
        with pytest.raises(TypeError):
            ce._core.call(*wrong)


def test_keywords_need_not_be_interned():
    """A caller may make the names of options at run time."""
    options = {"".join(["re", "duction"]): "".join(["su", "m"]), "".join(["del", "ta"]): 2.0}
    assert ce.huber_loss([4.0], [0.0], **options) == 6
    assert ce._core.call(ce._core.Prepared("huber"), ce._core.VALUE, [4.0], [0.0], **options) == 6
