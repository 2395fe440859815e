"""one_hot: shapes, dtypes, errors."""

import numpy as np
import pytest
from oracle.exact import BFLOAT16

import ce


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


def test_one_hot_errors():
    for bad in (3, -1):
        with pytest.raises(IndexError, match=rf"target\[1, 0\] is {bad}, not in \[0, 3\)"):
            ce.one_hot(np.array([[0], [bad]]), 3)
    with pytest.raises(TypeError, match=r"target.*float64"):
        ce.one_hot(np.array([0.0]), 3)
    with pytest.raises(ValueError, match=r"num_classes.*-1"):
        ce.one_hot(np.array([0]), -1)
    with pytest.raises(TypeError, match="num_classes"):
        ce.one_hot(np.array([0]), 2.5)
    with pytest.raises(ValueError, match="axis"):
        ce.one_hot(np.array([0]), 3, axis=5)
