"""one_hot: shapes, dtypes, errors."""

import numpy as np
import pytest
from oracle.exact import BFLOAT16

import ce

MOST_AXES = 64 if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else 32


def test_one_hot():
    target = np.array([[0, 2], [1, 1]])
    got = ce.one_hot(target, 3)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, np.eye(3)[target])
    np.testing.assert_array_equal(ce.one_hot(target, 3, axis=1), np.eye(3)[target].swapaxes(1, 2))
    np.testing.assert_array_equal(
        ce.one_hot(target, 3, axis=0), np.moveaxis(np.eye(3)[target], 2, 0)
    )
    np.testing.assert_array_equal(ce.one_hot(1, 4), [0, 1, 0, 0])
    assert ce.one_hot(np.zeros((0,), int), 4).shape == (0, 4)


@pytest.mark.parametrize("dtype", ["f8", "f2", BFLOAT16, "i4", "u1", "?"])
@pytest.mark.parametrize("index", ["i1", "u8", ">i4"])
def test_one_hot_dtypes(dtype, index):
    got = ce.one_hot(np.array([2, 0], index), 3, dtype=dtype)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got.astype(float), [[0, 0, 1], [1, 0, 0]])


@pytest.mark.parametrize("rank", [0, 1, 2, 30, MOST_AXES - 2, MOST_AXES - 1])
@pytest.mark.parametrize("index", ["i8", "u8"])
def test_one_hot_of_any_rank(rank, index):
    """The new axis at every place; the longer axes come first, last, and in the middle."""
    for long in {0, rank // 2, rank - 1} if rank else {None}:
        shape = tuple(4 if i == long else 1 for i in range(rank))
        t = np.resize(np.array([2, 0, 1, 2], index), shape)
        for axis in range(-rank - 1, rank + 1):
            got = ce.one_hot(t, 3, axis=axis)
            place = axis % (rank + 1)
            assert got.shape == (*shape[:place], 3, *shape[place:])
            rows = np.moveaxis(got, place, -1).reshape(-1, 3)
            np.testing.assert_array_equal(rows, np.eye(3)[t.reshape(-1)])


def test_one_hot_of_every_axis_in_a_block(rng):
    t = rng.integers(0, 5, (2, 3, 4))
    for layout in (t, np.asfortranarray(t), t[::-1, :, ::2]):
        for axis in range(4):
            expected = np.moveaxis(np.eye(5)[layout], -1, axis)
            np.testing.assert_array_equal(ce.one_hot(layout, 5, axis=axis), expected)


def test_one_hot_beyond_numpy():
    """The error says what the result would be."""
    with pytest.raises(ValueError, match=r"the result would have shape \(1, .*, 3\)"):
        ce.one_hot(np.zeros((1,) * MOST_AXES, int), 3)
    for classes in (2**62, 2**63, 10**30):
        for target in ([1], []):
            with pytest.raises(ValueError, match=rf"the result would have shape \(\d, {classes}\)"):
                ce.one_hot(np.array(target, int), classes)


def test_one_hot_of_nothing_is_empty():
    assert ce.one_hot(np.zeros((2**40, 0), int), 3).shape == (2**40, 0, 3)
    assert ce.one_hot(np.zeros((0, 2**40), int), 0, axis=0).shape == (0, 0, 2**40)


def test_one_hot_looks_at_the_target_after_the_options():
    """What runs on behalf of an option may give the target another shape."""
    target = np.array([0, 2, 1, 0])

    class Classes:
        def __index__(self):
            target.resize((2, 2), refcheck=False)
            return 3

    got = ce.one_hot(target, Classes())
    np.testing.assert_array_equal(got, np.eye(3)[[[0, 2], [1, 0]]])


@pytest.mark.parametrize("dtype", ["V3", ("f4", (3,)), "m8[s]"])
def test_one_hot_of_no_numbers(dtype):
    if dtype == "m8[s]":  # one second
        assert ce.one_hot([1], 2, dtype=dtype)[0, 1] == np.timedelta64(1, "s")
    else:
        with pytest.raises(TypeError, match="it must be one of numbers or truth values"):
            ce.one_hot([1], 2, dtype=dtype)


@pytest.mark.parametrize("whole", [True, False])
def test_one_hot_looks_at_the_target_after_the_axis(whole):
    """Behind a view there may be no memory any more."""
    own = np.zeros(100_000, np.int64)
    target = own if whole else own[:]

    class Axis:
        def __index__(self):
            own.resize(1, refcheck=False)
            return 0

    if whole:
        np.testing.assert_array_equal(ce.one_hot(target, 2, axis=Axis()), [[1], [0]])
    else:
        with pytest.raises(ValueError, match="target was changed"):
            ce.one_hot(target, 2, axis=Axis())


def test_one_hot_errors():
    for bad in (3, -1):
        with pytest.raises(IndexError, match=rf"target\[1, 0\] is {bad}, not in \[0, 3\)"):
            ce.one_hot(np.array([[0], [bad]]), 3)
    for bad, error in ((0.5, ValueError), (np.nan, ValueError), (3.0, IndexError)):
        with pytest.raises(error, match=rf"target\[1\] is {bad:g}, not"):
            ce.one_hot(np.array([0.0, bad]), 3)
    np.testing.assert_array_equal(ce.one_hot(np.float32([2, 0]), 3), np.eye(3)[[2, 0]])
    with pytest.raises(ValueError, match=r"num_classes.*-1"):
        ce.one_hot(np.array([0]), -1)
    with pytest.raises(TypeError, match="num_classes"):
        ce.one_hot(np.array([0]), 2.5)
    for axis in (5, 2, -3):
        with pytest.raises(ValueError, match=rf"axis is {axis}; the result has 2 axes"):
            ce.one_hot(np.array([0]), 3, axis=axis)
    for target in (np.array([0], object), np.array([None]), ["0"]):
        with pytest.raises(TypeError, match="target"):
            ce.one_hot(target, 3)
