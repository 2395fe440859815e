"""Arrays of more than 2^31 elements, in place: offsets are right at both ends and around 2^31.

Equal items have equal results, to the bit. So a small problem is repeated all over the memory, a
prime number of times apart from every power of two, and so must its results be.
"""

from pathlib import Path

import numpy as np
import pytest

import ce

NEEDED = 8 * 2**30  # bytes: the array has 4.6e9, beside it there are targets and losses
EDGE = 2**31
SIZE = EDGE + 2**27 + 12345  # so far beyond that shares of threads begin there


def available():
    """Bytes that the machine, and the control group of a container, still have; 0 if not told."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        left = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    except OSError:
        return 0
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            texts = [Path("/sys/fs/cgroup", name).read_text() for name in (limit, used)]
            left.append(int(texts[0]) - int(texts[1]))
        except (OSError, ValueError):
            continue
    return min(left, default=0)


@pytest.fixture(scope="module")
def memory():
    if available() < NEEDED:
        pytest.skip(f"needs {NEEDED / 1e9:.1f} GB of memory, has {available() / 1e9:.1f}")
    return np.empty(SIZE, np.float16)


def repeat(small, into):
    """Fill along the last axis."""
    n = small.shape[-1]
    for start in range(0, into.shape[-1], n):
        part = into[..., start : start + n]
        part[...] = small[..., : part.shape[-1]]


def assert_repeats(small, within):
    """It is that small array, to the bit, repeated along the last axis."""
    n, small = small.shape[-1], small.view(np.uint16)
    for start in range(0, within.shape[-1], n):
        part = within[..., start : start + n].view(np.uint16)
        assert (part == small[..., : part.shape[-1]]).all(), f"wrong from {start} on"


def normal(shape, scale=4):
    return (scale * np.random.default_rng(7).standard_normal(shape)).astype(np.float16)


def total(losses, count):
    """The sum of `count` numbers, which are those of `losses` again and again."""
    losses = np.asarray(losses, np.float64)
    times, rest = divmod(count, len(losses))
    return times * losses.sum() + losses[:rest].sum()


@pytest.mark.parametrize("name", ["MSELoss", "BCEWithLogitsLoss"])
def test_elements(memory, name):
    x, small = memory, normal(1_000_003)
    repeat(small, x)
    losses, grad = getattr(ce, name)(reduction="none").value_and_grad(small, np.float16(0.75))
    criterion = getattr(ce, name)(reduction="sum")
    value, out = criterion.value_and_grad(x, np.float16(0.75), out=x)
    assert out is x
    assert_repeats(grad, x)
    np.testing.assert_allclose(value, total(losses, x.size), rtol=1e-6)


def test_one_row_of_cross_entropy(memory):
    """The gradient is scaled, for probabilities of 1e-10 have no float16."""
    row, small, scale, target = memory, normal(1_000_003), 2.0**20, EDGE + 5
    repeat(small, row)
    z_t = float(row[target])
    lse = np.log(total(np.exp(small, dtype=np.float64), row.size))
    value, out = ce.CrossEntropyLoss().value_and_grad(
        row, np.array(target), grad_output=scale, out=row
    )
    assert out is row
    np.testing.assert_allclose(value, lse - z_t, rtol=1e-6)
    first = row[: len(small)].copy()
    p = np.exp(small.astype(np.float64) - lse)
    np.testing.assert_allclose(first, p * scale, rtol=1e-3, atol=2.0**-24)
    assert row[target] == -np.inf  # -1e6, in float16
    row[target] = first[target % len(small)]
    assert_repeats(first, row)


def test_index_beyond_one_row(memory):
    row = memory
    row[...] = 0
    for bad in (row.size, row.size - 2**32, -EDGE):
        with pytest.raises(IndexError, match=rf"target is {bad}, not in \[0, {row.size}\)"):
            ce.cross_entropy(row, np.array(bad))
    np.testing.assert_allclose(
        ce.cross_entropy(row, np.array(row.size - 1)), np.log(row.size), 1e-7
    )


def test_one_row_of_softmax(memory):
    """Few numbers count: they stand at the ends and around 2^31."""
    row = memory
    row[...] = -30
    places = [0, 1, EDGE - 1, EDGE, EDGE + 1, row.size - 1]
    peaks = np.array([0, -1, 1, -2, 0.5, 2], np.float16)
    row[places] = peaks
    rest = (row.size - len(peaks)) * np.exp(-30.0)
    p = np.exp(peaks, dtype=np.float64)
    assert ce.softmax(row, out=row) is row
    np.testing.assert_allclose(row[places], p / (p.sum() + rest), rtol=1e-3)
    row[places] = 0
    assert not row.any()


def test_rows(memory):
    items, K, n = SIZE // 1000, 1000, 1009
    x, small = memory[: items * K].reshape(items, K), normal((n, K))
    t = np.arange(n) * 7 % K
    repeat(small.reshape(-1), x.reshape(-1))
    target = np.resize(t, items)
    criterion = ce.CrossEntropyLoss(reduction="none")
    losses, grad = criterion.value_and_grad(small, t)
    got, out = criterion.value_and_grad(x, target, out=x)
    assert out is x
    assert_repeats(losses.view(np.uint16), got.view(np.uint16))
    assert_repeats(grad.reshape(-1), x.reshape(-1))
    target[-1] = K
    with pytest.raises(IndexError, match=rf"target\[{items - 1}\] is {K}"):
        criterion(x, target)


def test_class_axis_in_the_middle(memory):
    """(1, K, items): a class lies up to 2^31 elements from the first."""
    K, n = 1000, 1009
    items = SIZE // K
    x, small = memory[: items * K].reshape(1, K, items), normal((1, K, n))
    t = np.arange(n)[None] * 7 % K
    repeat(small, x)
    criterion = ce.CrossEntropyLoss(reduction="sum")
    grad = criterion.grad(small, t)
    losses = ce.cross_entropy(small, t, reduction="none")[0]
    value, out = criterion.value_and_grad(x, np.resize(t, (1, items)), out=x)
    assert out is x
    np.testing.assert_allclose(value, total(losses, items), rtol=1e-6)
    assert_repeats(grad, x)
