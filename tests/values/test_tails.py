"""Confident predictions: relative accuracy where 1 - p and log p nearly vanish.

The promise: with u the unit roundoff and D = m - z_k (at the maximum: to the largest other
logit), the relative error of the loss and of every element of the gradient is at most (D + 8) u,
down to 1e-36 in float32 and 1e-290 in float64, at any margin and any common offset.
"""

from functools import cache

import ml_dtypes
import numpy as np
import pytest
from helpers.problems import COMPARED_FLOATS, FLOATS, assert_within
from oracle.classification import CROSS_ENTROPY, precise_row
from oracle.exact import FLOOR, HALF, UNIT, WIDE, WIDE_IS_WIDER, Exact

import ce

MARGINS = {
    np.float32: [0.0, 0.3, 1, 5, 10, 16, 17, 18, 24, 40, 60, 80],
    np.float64: [0.0, 0.3, 1, 5, 16, 36, 37, 38, 80, 200, 400, 600],
}
COUNTS = [2, 3, 10, 16, 17, 32, 33, 64, 100, 513, 1000, 4097, 50000]
both_floats = pytest.mark.parametrize("dtype", FLOATS)
layouts = pytest.mark.parametrize("layout", ["rows", "middle"])


@cache
def truth(dtype, row: bytes, t: int):
    """The loss, gradient and Hessian of a row with the errors allowed."""
    z = np.frombuffer(row, dtype)
    u, floor = UNIT[np.dtype(dtype)], FLOOR[np.dtype(dtype)]
    loss, grad, hess = precise_row(z, t)
    gap = (z.max() - z).astype(WIDE)
    top = int(z.argmax())
    gap[top] = np.delete(gap, top).min()
    u_of = (gap + 8) * u
    error = np.where(abs(grad) < floor, floor, abs(grad) * u_of)
    if t != top:  # no cancellation in 1 - p_t, nor in the largest p
        error[t] = abs(grad[t]) * 8 * u + np.exp(-gap[t]) * gap[t] * u
        error[top] = abs(grad[top]) * 8 * u
    loss_error = floor if loss < floor else loss * (u_of[t] if t == top else 8 * u)
    # p (1 - p): the errors of both factors and one product
    hess_error = np.where(hess < floor, floor, hess * (u_of + 9 * u))
    return Exact(loss, loss_error), Exact(grad, error), Exact(hess, hess_error)


def placed(rows, layout):
    """Rows as (N, K), or with the class axis in the middle and the items contiguous."""
    z = np.stack(rows)
    return z if layout == "rows" else np.ascontiguousarray(z.T)[None]


def check_rows(rows, targets, layout):
    """Every row against mpmath, in one batch."""
    dtype, target = rows[0].dtype.type, np.array(targets)
    logits = placed(rows, layout)
    target = target if layout == "rows" else target[None]
    criterion = ce.CrossEntropyLoss(reduction="none")
    loss, grad = criterion.value_and_grad(logits, target)
    _, hess = criterion.grad_and_hess(logits, target)
    if layout == "middle":
        loss, grad, hess = loss[0], grad[0].T, hess[0].T
    for i, (row, t) in enumerate(zip(rows, targets, strict=True)):
        exact = truth(dtype, row.tobytes(), t)
        assert_within(loss[i], exact[0], f"loss of row {i}")
        assert_within(grad[i], exact[1], f"grad of row {i}")
        assert_within(hess[i], exact[2], f"hess of row {i}")


def two_levels(dtype, classes, margin, top, offset=0):
    """One logit above all the others, which are equal."""
    row = np.full(classes, dtype(offset) - dtype(margin), dtype)
    row[top] = dtype(offset)
    return row


@both_floats
@layouts
@pytest.mark.parametrize("classes", COUNTS)
def test_others_equal_at_every_margin(dtype, layout, classes, isa):
    """Equal terms round alike, so their errors add up: the hardest sums."""
    rows = [two_levels(dtype, classes, margin, classes // 2) for margin in MARGINS[dtype]]
    check_rows(rows, [classes // 2] * len(rows), layout)
    check_rows(rows, [classes - 1] * len(rows), layout)


@both_floats
@layouts
@pytest.mark.parametrize("margin", [0.3, 1, 5, 0.0101, 2.718, 7.6543, 12.34])
def test_others_equal_at_every_place_of_the_maximum(dtype, layout, margin, isa):
    for classes in (17, 600, 4097, 30000):
        places = [0, 1, 15, 16, classes // 3, classes - 2, classes - 1]
        rows = [two_levels(dtype, classes, margin, top) for top in places]
        check_rows(rows, places, layout)


@both_floats
@layouts
@pytest.mark.parametrize("classes", [17, 161, 191, 192, 200, 513, 4096, 4127, 8250])
def test_maxima_that_are_several(dtype, layout, classes, rng, isa):
    """Each but one of them is one of the others, wherever they stand, zeros of either sign, too."""
    last = classes - 1
    for peak in (0.0, 2.5):
        rows, targets = [], []
        for tops in (
            [0, last],
            [last - 1, last],
            [3, 3 + 64],
            [3, 4],
            [5, last, 1],
            range(classes),
        ):
            tops = np.array([k % classes for k in tops])
            row = (peak - 12 - 2 * rng.random(classes)).astype(dtype)
            row[tops] = np.where(rng.random(len(tops)) < 0.5, -peak, peak) if peak == 0 else peak
            rows.append(row)
            targets.append(tops[-1])
        check_rows(rows, targets, layout)


@both_floats
@pytest.mark.parametrize("classes", [161, 200, 513, 4127, 530_000])
def test_what_is_several_in_place(dtype, classes, isa):
    """The exponentials take the place of the logits: all maxima are among them."""
    for tops in ([0], [classes - 1], [0, classes - 1], [70, 71, 161 - 2], range(classes)):
        z = np.full((3, classes), -700, dtype)  # most are too small to count
        z[:, list(tops)] = 1
        z[:, 100] = 0 if 100 not in tops else 1
        p = np.exp(z[0].astype(np.float64) - 1)
        p /= p.sum()
        assert ce.softmax(z, out=z) is z
        np.testing.assert_allclose(
            z, np.tile(p, (3, 1)), rtol=8 * UNIT[np.dtype(dtype)], atol=1e-280
        )


@layouts
@pytest.mark.parametrize(("classes", "margin"), [(1000, 87.5), (4097, 88), (50000, 90)])
def test_many_others_that_vanish_one_by_one(layout, classes, margin, isa):
    """Each e^-D is below the smallest normal float32; their sum, the loss, is well above 1e-36."""
    row = two_levels(np.float32, classes, margin, 5)
    check_rows([row], [5], layout)


@layouts
@pytest.mark.parametrize("classes", [2, 10, 33, 513, 1025, 4097, 5000])
def test_no_result_is_subnormal(layout, classes, isa):
    """Where e^-D leaves the normal numbers the results are 0."""
    rows = [two_levels(np.float32, classes, margin, 0) for margin in range(80, 110)]
    logits = placed(rows, layout)
    target = np.zeros(logits[:, 0].shape, int)
    criterion = ce.CrossEntropyLoss(reduction="none")
    results = [
        *criterion.value_and_grad(logits, target),
        criterion.grad_and_hess(logits, target)[1],
    ]
    results += [f(logits, axis=1) for f in (ce.softmax, ce.log_softmax, ce.logsumexp)]
    for result in results:
        size = abs(result)
        assert not ((size > 0) & (size < np.finfo(np.float32).tiny)).any()


@both_floats
@layouts
@pytest.mark.parametrize("offset", [1e4, -1e4, 1e8, -1e8])
def test_a_common_offset_changes_nothing(dtype, layout, offset, isa):
    """The logits are what they are after rounding at the offset: there the truth is taken."""
    for classes in (2, 10, 33, 1000):
        rows = [two_levels(dtype, classes, margin, 1, offset) for margin in MARGINS[dtype]]
        check_rows(rows, [1] * len(rows), layout)
        check_rows(rows, [0] * len(rows), layout)


@both_floats
@layouts
@pytest.mark.parametrize("classes", [2, 3, 16, 33, 513, 5000])
def test_ties_of_the_maximum(dtype, layout, classes, isa):
    rows, targets = [], []
    for ties in {2, min(3, classes), classes}:
        row = np.full(classes, -7, dtype)
        row[-ties:] = 1.5
        for t in (classes - 1, classes - ties, 0):
            rows.append(row)
            targets.append(t)
    check_rows(rows, targets, layout)


def quantised(rng, classes, dtype, spread=20):
    """Random logits of 8 * spread + 1 different values: mpmath visits each value once."""
    return (rng.integers(-8 * spread, 1, classes) / 8).astype(dtype)


@both_floats
@layouts
@pytest.mark.parametrize("classes", [2, 9, 33, 129, 1025, 4096, 50000])
def test_sorted_rows(dtype, layout, classes, isa, rng):
    """Ascending rows renew the maximum in every block, descending ones never do."""
    up = np.sort(quantised(rng, classes, dtype))
    sharp = up.copy()
    sharp[-1] += dtype(30)
    rows = [up, up[::-1].copy(), sharp, sharp[::-1].copy()]
    check_rows(rows, [classes - 1, 0, classes - 1, 0], layout)
    check_rows(rows, [0, classes - 1, classes // 2, classes // 2], layout)


@both_floats
@layouts
def test_far_apart_levels(dtype, layout, isa, rng):
    """A runner-up just below, and a mass of others far below, that together weigh more."""
    rows = []
    for near, far, classes in [(0.01, 5, 4000), (3, 9, 3000), (17, 19, 500), (40, 41, 40)]:
        row = np.full(classes, -far, dtype)
        row[3], row[-2] = 0, -near
        rows.append(row)
    for row in rows:
        check_rows([row], [3], layout)
        check_rows([row], [len(row) - 2], layout)
        check_rows([row], [0], layout)


@both_floats
@layouts
@pytest.mark.parametrize("classes", [3, 8, 31, 64, 200])
def test_continuous_random_rows(dtype, layout, classes, isa, rng):
    rows = [rng.normal(0, scale, classes).astype(dtype) for scale in (0.1, 1, 4, 15)]
    check_rows(rows, [int(row.argmax()) for row in rows], layout)
    check_rows(rows, [int(row.argmin()) for row in rows], layout)


@both_floats
def test_probability_and_log_probability_of_confident_rows(dtype, isa):
    """log_softmax of the maximum is the negative loss; logsumexp of [0, -D] is log(1 + s)."""
    for margin in MARGINS[dtype]:
        row = two_levels(dtype, 10, margin, 4)
        loss, grad, _ = truth(dtype, row.tobytes(), 4)
        assert_within(-ce.log_softmax(row)[4], loss, "log_softmax")
        assert_within(ce.logsumexp(row), loss, "logsumexp")
        p = np.delete(ce.softmax(row), 4)
        assert_within(p, Exact(np.delete(grad.value, 4), np.delete(grad.error, 4)), "softmax")


@both_floats
@layouts
@pytest.mark.parametrize("classes", [2, 3, 21, 40, 513, 5000])
@pytest.mark.parametrize("rest", [1e-3, 1e-7, 1e-10])
def test_probabilities_near_one_class(dtype, layout, classes, rest, isa, rng):
    """dz_k = p_k sum_{j != k} q_j - q_k sum_{j != k} p_j, where q_k is all but all of the sum.

    Allowed is, besides a few u of both terms, what adding the classes up in double rounds off.
    """
    margins = [margin for margin in MARGINS[dtype] if margin <= 40]
    z, q = np.zeros((2, len(margins), classes), dtype)
    z[:], top = rng.normal(0, 0.1, z.shape), classes // 2
    z[:, top] = margins
    q[:] = rng.uniform(0, 2 * rest / classes, q.shape)
    q[:, top] = 1 - rest
    criterion = ce.CrossEntropyLoss(reduction="sum")
    if layout == "rows":
        grad = criterion.grad(z, q)
    else:
        grad = criterion.grad(placed(z, layout), placed(q, layout))[0].T
    u, wide_q = UNIT[np.dtype(dtype)], q.astype(WIDE)
    gap = (z.max(axis=1, keepdims=True) - z).astype(WIDE)
    e = np.exp(-gap)

    def of_others(x):
        total = x.sum(axis=1, keepdims=True) - x
        total[:, top] = np.delete(x, top, axis=1).sum(axis=1)
        return total

    taken, given, total = e * of_others(wide_q), wide_q * of_others(e), e.sum(axis=1, keepdims=True)
    error = (gap + gap.max() * e + 12) * u * (taken + given)
    error += (classes + 4) * UNIT[np.dtype(np.float64)] * e * wide_q.sum(axis=1, keepdims=True)
    assert_within(grad, Exact((taken - given) / total, error / total), "grad")


@pytest.mark.parametrize("dtype", COMPARED_FLOATS)
@pytest.mark.parametrize("margin", [0.5, 17, 60])
def test_long_double_definition_agrees_with_mpmath(dtype, margin, rng):
    """The definition that the other files use, against 60 and more digits."""
    z = rng.normal(0, 3, (1, 50)).astype(dtype)
    z[0, 7] = z.max() + dtype(margin)
    for t in (7, 8):
        loss, grad, hess = precise_row(z[0], t)
        defined = CROSS_ENTROPY.define(z, np.array([t]), reduction="none")
        tolerance = 100 * np.finfo(WIDE).eps
        np.testing.assert_allclose(defined.loss.value[0], loss, rtol=tolerance)
        np.testing.assert_allclose(defined.grad.value[0], grad, rtol=tolerance)
        np.testing.assert_allclose(defined.hess.value[0], hess, rtol=tolerance)


@pytest.mark.skipif(not WIDE_IS_WIDER, reason="long double is double here")
def test_unit_roundoffs():
    """The units in which errors are counted are half the spacing at 1."""
    for dtype in FLOATS:
        u = UNIT[np.dtype(dtype)]
        assert np.finfo(dtype).eps == 2 * u
        assert np.finfo(WIDE).eps < u / 500
    for dtype, (bits, least, *_) in HALF.items():
        info = ml_dtypes.finfo(dtype)
        assert info.eps == 2.0 ** (1 - bits)
        assert info.smallest_subnormal == least
