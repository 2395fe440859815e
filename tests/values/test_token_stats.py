"""Statistics of items: definitions in long double and mpmath, places as NumPy's sorts have them.

Yardsticks, with u the unit roundoff: of the log-probability of the largest class, of `log_sum` and
of the entropy (D + 8) u, D the distance of the runner-up; of other log-probabilities 8 u. Logits
that are scaled are rounded once more, which costs 2 |u| u, capped ones 2 softcap u.
"""

from functools import partial

import ml_dtypes
import mpmath
import numpy as np
import pytest
from helpers.problems import assert_same_bits
from hypothesis import given
from hypothesis import strategies as st
from oracle.exact import FLOOR, HALF, UNIT, WIDE, real
from oracle.inputs import far_rows, random_logits, random_target, with_confidence

import ce

BFLOAT16 = ml_dtypes.bfloat16
DTYPES = [np.float32, np.float64, np.float16, BFLOAT16]
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
BENDS = [
    {}, {"temperature": 0.7}, {"logit_scale": -1.5, "temperature": 2}, {"logit_scale": 0.0625},
    {"softcap": 30.0}, {"softcap": 5.0, "logit_scale": 2.0, "temperature": 0.5},
    {"softcap": 8.0, "logit_scale": -1.0},
]  # fmt: skip
every_bend = pytest.mark.parametrize("bends", BENDS, ids=str)
NUMBERS = ("log_prob", "max", "log_sum", "entropy")


def bent(z, logit_scale=1.0, softcap=None, temperature=1.0):
    """The logits that count, in long double; -inf stays what it is."""
    x = np.asarray(z).astype(WIDE)
    u = logit_scale * x if softcap is None else softcap * np.tanh(logit_scale * x / softcap)
    return np.where(x == -np.inf, -np.inf, u / WIDE(temperature))


def slack_of(u, dtype, bends):
    """What rounding the logits that count may cost, in nats."""
    if not bends:
        return 0.0
    finite = abs(u[np.isfinite(u)])
    largest = finite.max() if finite.size else 0.0
    cap = bends.get("softcap", 0.0) / bends.get("temperature", 1.0)
    return 4 * UNIT[np.dtype(dtype)] * float(max(2 * cap, 2 * largest))


def defined(z, t, bends):
    """Fields and their errors, of rows (N, K)."""
    u, eps = bent(z, **bends), UNIT[np.dtype(z.dtype)]
    rows = np.arange(len(u))
    top, m = u.argmax(1), u.max(1)
    gap = m[:, None] - u
    e = np.exp(-gap)
    rest = np.where(np.arange(u.shape[1]) == top[:, None], 0, e).sum(1)
    others = np.where(np.arange(u.shape[1]) == top[:, None], np.inf, gap).min(1)
    near = np.where(np.isfinite(others), others, 0) + 8
    with np.errstate(invalid="ignore"):
        heat = np.where(e == 0, 0, e * gap).sum(1)
    log_sum, slack = np.log1p(rest), slack_of(u, z.dtype, bends)
    entropy = log_sum + heat / (1 + rest)
    log_prob = -(gap[rows, t] + log_sum)
    at_top = gap[rows, t] == 0
    floor = FLOOR[np.dtype(z.dtype)] * 2
    near_zero = (near * eps + slack) * log_sum + floor
    return {
        "log_prob": (log_prob, np.where(at_top, near_zero, 8 * eps * abs(log_prob) + slack)),
        "max": (m, eps * abs(m) * bool(bends) + slack),
        "log_sum": (log_sum, near_zero),
        # The terms e (m - z) of a class carry what its distance and its exponential lose.
        "entropy": (entropy, (near * eps + 2 * slack) * entropy + floor + slack * heat),
    }


def order_of(z, bends):
    """Classes in the order of a stable sort of the logits that count, the largest first."""
    key = bent(z, **bends).astype(real(z.dtype)) if "softcap" in bends else np.asarray(z, WIDE)
    key = key if "softcap" in bends else key * np.sign(bends.get("logit_scale", 1.0))
    return np.argsort(-key.astype(WIDE), axis=1, kind="stable")


def check(z, t, bends=None, top_k=0, **call):
    """Statistics of rows (N, K) against their definitions."""
    bends = bends or {}
    stats = ce.token_stats(z, t, top_k=top_k, **bends, **call)
    for name, (value, error) in defined(z, t, bends).items():
        got = getattr(stats, name)
        assert got.dtype == real(z.dtype)
        wrong = np.flatnonzero(~(abs(got.astype(WIDE) - value) <= error))
        assert not wrong.size, (name, wrong[:3], got[wrong[:3]], value[wrong[:3]])
    if "softcap" in bends:  # equal after rounding are not equal before: places follow the logits
        assert ((stats.rank == 0) == (stats.argmax == t)).all()
        return stats
    order = order_of(z, bends)
    np.testing.assert_array_equal(stats.argmax, order[:, 0])
    np.testing.assert_array_equal(stats.rank, (order == t[:, None]).argmax(1))
    if top_k:
        np.testing.assert_array_equal(stats.top_index, order[:, :top_k])
    return stats


SIZES = (1, 2, 3, 10, 16, 33, 100, 160, 161, 511, 513, 1000, 4095, 4096, 4097, 9000)


@every_dtype
@every_bend
def test_definitions(dtype, bends, rng, isa):
    for K in SIZES:
        z = random_logits(rng, (9 if K < 2000 else 3, K), dtype)
        t = random_target(rng, z, 1)
        z = with_confidence(rng, z, t, 1)
        check(z, t, bends, top_k=min(K, 5))


@every_dtype
def test_tails(dtype, rng, isa):
    """Margins up to 80 (float64: 600), where the entropy and the log-probability nearly vanish."""
    for z, t in far_rows(rng, 200, np.float64 if dtype == np.float64 else np.float32):
        check(z.astype(dtype), t)


@every_dtype
@pytest.mark.parametrize("noise", [1e-8, 1e-3, 1.0])
def test_offsets(dtype, noise, rng, isa):
    """A common offset of 1e4 changes nothing but the maximum."""
    for K in (5, 200, 5000):
        z = (1e4 + rng.normal(0, noise, (4, K))).astype(dtype)
        check(z, random_target(rng, z, 1), top_k=2)


@pytest.mark.parametrize("K", [3, 100, 700, 5000])
def test_entropy_to_50_digits(K, rng, isa):
    """-sum p log p of peaked and of flat rows."""
    for spread, dtype in (
        (60, np.float32),
        (12, np.float32),
        (0.01, np.float32),
        (300, np.float64),
    ):
        z = (rng.normal(0, 1, (3, K)) * spread / 3).astype(dtype)
        stats = ce.token_stats(z)
        for row, got in zip(z, stats.entropy, strict=True):
            with mpmath.workdps(50 + int(spread)):  # log p of the largest class needs more than 50
                u = [mpmath.mpf(float(x)) for x in row]
                total = mpmath.fsum(map(mpmath.exp, u))
                p = [mpmath.exp(x) / total for x in u]
                exact = -mpmath.fsum(q * mpmath.log(q) for q in p)
            runner_up = float(np.sort(row)[-1] - np.sort(row)[-2])
            bound = (runner_up + 8) * UNIT[np.dtype(dtype)]
            assert abs(mpmath.mpf(float(got)) - exact) <= bound * exact + FLOOR[np.dtype(dtype)]


def test_entropy_of_equal_logits_is_the_logarithm_of_their_number(isa):
    for K in (1, 2, 7, 161, 4096, 10000):
        for offset in (0.0, 1e4, -3e38):
            stats = ce.token_stats(np.full((2, K), offset, np.float32))
            np.testing.assert_allclose(stats.entropy, np.log(K), rtol=2.0**-23)
            assert (stats.entropy <= np.float32(np.log(K)) * (1 + 2.0**-23)).all()


@every_dtype
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_layouts(dtype, axis, rng, isa):
    """Any class axis, any strides: as rows, but for the last bits of the numbers."""
    z = random_logits(rng, (6, 40, 9), dtype)
    t = random_target(rng, z, axis)
    extra = rng.integers(0, z.shape[axis], (*t.shape, 3))
    rows = np.moveaxis(z, axis, -1).reshape(-1, z.shape[axis])
    flat = ce.token_stats(rows, t.ravel(), top_k=4, extra=extra.reshape(-1, 3))
    wide = np.repeat(z, 2, 2)[:, :, ::2]
    for array in (z, np.asfortranarray(z), z[::-1][::-1], wide):
        stats = ce.token_stats(array, t, top_k=4, extra=extra, axis=axis)
        for name in ("argmax", "rank", "top_index", "max"):
            got = getattr(stats, name)
            np.testing.assert_array_equal(
                got.reshape(getattr(flat, name).shape), getattr(flat, name)
            )
        for name in ("log_prob", "log_sum", "entropy", "top_log_prob", "extra_log_prob"):
            got, want = getattr(stats, name), getattr(flat, name)
            np.testing.assert_allclose(
                got.reshape(want.shape), want, rtol=32 * UNIT[np.dtype(dtype)]
            )
        check_extra(stats, np.moveaxis(array, axis, -1), extra)


def check_extra(stats, z, extra):
    """Log-probabilities of extra and of the largest classes, from max and log_sum."""
    z = np.asarray(z).astype(real(z.dtype)).astype(WIDE)
    for index, got in ((extra, stats.extra_log_prob), (stats.top_index, stats.top_log_prob)):
        gap = np.take_along_axis(z, index, -1) - stats.max[..., None]
        want = gap - stats.log_sum[..., None].astype(WIDE)
        np.testing.assert_allclose(got.astype(WIDE), want, rtol=4e-7, atol=1e-37)


@every_dtype
@pytest.mark.parametrize("K", [7, 150, 161, 2500, 9000])
def test_half_types_are_those_of_the_widened_array(dtype, K, rng, isa):
    z = random_logits(rng, (5, K), dtype)
    t = random_target(rng, z, 1)
    wide = z.astype(real(dtype))
    for bends in BENDS:
        a, b = (ce.token_stats(x, t, top_k=3, **bends) for x in (z, wide))
        for name in a.__dataclass_fields__:
            if getattr(a, name) is not None:
                assert_same_bits(getattr(a, name), getattr(b, name), name)


@pytest.mark.parametrize("K", [40, 161, 511, 512, 513, 1000, 4097, 12289])
@pytest.mark.parametrize("top_k", [1, 2, 8, 9, 20, 32, 33, 40])
def test_ties(K, top_k, rng, isa):
    """Few different logits: ties at the borders of vectors, chunks and blocks."""
    for levels in (1, 2, 5, 40):
        z = rng.integers(0, levels, (6, K)).astype(np.float32)
        z[2, ::3] = -np.inf
        z[3, 5:] = -np.inf
        for t in (rng.integers(0, K, 6), np.zeros(6, int), np.full(6, K - 1)):
            stats = ce.token_stats(z, t, top_k=min(top_k, K))
            order = np.argsort(-z, axis=1, kind="stable")
            np.testing.assert_array_equal(stats.argmax, order[:, 0])
            np.testing.assert_array_equal(stats.rank, (order == t[:, None]).argmax(1))
            np.testing.assert_array_equal(stats.top_index, order[:, : min(top_k, K)])


def test_all_classes_are_the_top(rng, isa):
    """In the order of a sort; their probabilities add up to 1."""
    for K in (1, 3, 100, 400, 5000):
        z = rng.normal(0, 3, (2, K)).round(1)
        stats = ce.token_stats(z, top_k=K)
        np.testing.assert_array_equal(stats.top_index, np.argsort(-z, axis=1, kind="stable"))
        np.testing.assert_allclose(np.exp(stats.top_log_prob).sum(1), 1, rtol=1e-12)
        assert stats.log_prob is None
        assert stats.rank is None
        assert stats.greedy is None
        assert stats.nll is None


@given(data=st.data())
def test_rank_greedy_and_top_agree(data):
    """Invariants of any row."""
    K = data.draw(st.integers(1, 700))
    numbers = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.5, 1e-40, 3e38, -3e38, -np.inf])
    few = data.draw(st.lists(numbers, min_size=1, max_size=6))
    z = np.resize(np.array(few, np.float32), K)
    np.random.default_rng(data.draw(st.integers(0, 99))).shuffle(z)
    t, k = data.draw(st.integers(0, K - 1)), data.draw(st.integers(0, min(K, 40)))
    stats = ce.token_stats(z, t, top_k=k)
    assert (stats.rank == 0) == (stats.argmax == t) == stats.greedy
    assert stats.rank == (np.argsort(-z, kind="stable") == t).argmax()
    if k:
        assert (stats.rank < k) == (t in stats.top_index)
        assert list(stats.top_index) == list(np.argsort(-z, kind="stable")[:k])
    if np.isfinite(z.max()):
        assert 0 <= stats.entropy <= np.log(K) * (1 + 1e-6)


NAN, INF = np.nan, np.inf


@every_dtype
@pytest.mark.parametrize("K", [4, 100, 161, 1000, 5000])
@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_edges(dtype, K, layout, rng, isa):
    """NaN, infinities and nothing but -inf, of which `place` says where."""
    place = K * 2 // 3
    z = rng.normal(0, 3, (7, K)).astype(dtype)
    z[0, place], z[0, K - 1] = NAN, NAN
    z[1, place] = INF
    z[2, :] = -INF
    z[3, :place] = -INF
    z[4, [0, place]] = NAN, INF
    z[5, place] = -INF
    t = np.array([0, place - 1, place, place, 1, place, -100])
    array = z if layout == "rows" else np.asfortranarray(z)
    stats = ce.token_stats(array, t, top_k=3, extra=np.tile([0, place], (7, 1)))
    for row in (0, 1, 4):
        assert all(np.isnan(getattr(stats, name)[row]) for name in NUMBERS), row
        assert np.isnan(stats.top_log_prob[row]).all()
        assert np.isnan(stats.extra_log_prob[row]).all()
        assert np.isnan(stats.lse[row])
    assert list(stats.argmax[[0, 1, 2, 4]]) == [place, place, 0, 0]
    before = (z[1, place - 1] < z[1]).sum() + (z[1, place - 1] == z[1, : place - 1]).sum()
    assert list(stats.rank[[0, 1, 2, 4]]) == [-1, before, place, -1]
    assert list(stats.top_index[0, :2]) == [place, K - 1]  # a NaN is the largest, as in NumPy
    assert stats.top_index[1, 0] == place
    assert list(stats.top_index[2]) == [0, 1, 2]
    # Nothing but -inf.
    assert stats.max[2] == stats.lse[2] == -INF
    assert stats.log_sum[2] == 0
    assert np.isnan([stats.log_prob[2], stats.entropy[2]]).all()
    # -inf among others counts for nothing but ranks.
    some = ce.token_stats(np.ascontiguousarray(z[3:4, place:]), [0])
    np.testing.assert_allclose(stats.entropy[3], some.entropy[0], rtol=1e-6)
    np.testing.assert_allclose(stats.log_prob[3], some.log_prob[0], rtol=1e-6)
    assert stats.rank[3] == some.rank[0]
    assert stats.log_prob[5] == -INF
    assert stats.rank[5] == K - 1
    # Ignored: nothing is read, nothing counts.
    assert all(getattr(stats, name)[6] == 0 for name in NUMBERS)
    assert stats.argmax[6] == stats.rank[6] == -1
    assert (stats.top_index[6] == -1).all()
    assert (stats.top_log_prob[6] == 0).all()
    assert (stats.extra_log_prob[6] == 0).all()


@every_dtype
@pytest.mark.parametrize("K", [4, 161, 5000])
def test_infinities_that_are_bent(dtype, K, isa):
    """-inf stays a class that cannot be, under a scale below 0, too; +inf is NaN."""
    z = np.zeros((2, K), dtype)
    z[0, 1], z[1, 1] = -INF, INF
    for bends in ({"softcap": 5.0}, {"logit_scale": -2.0}, {"softcap": 5.0, "logit_scale": -2.0}):
        stats = ce.token_stats(z, [1, 1], **bends)
        assert stats.log_prob[0] == -INF
        np.testing.assert_allclose(stats.entropy[0], np.log(K - 1), rtol=1e-6)
        assert np.isnan(stats.log_prob[1])
        assert np.isnan(stats.entropy[1])


@pytest.mark.parametrize("K", [5, 100, 161, 3000, 20000])
@pytest.mark.parametrize(
    "criterion",
    [ce.CrossEntropyLoss, partial(ce.CrossEntropyLoss, label_smoothing=0.1), ce.FocalLoss],
    ids=["plain", "smoothed", "focal"],
)
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def test_with_a_loss(K, criterion, dtype, rng, isa):
    """The same bits beside value and gradient, whose bits are as ever; also in place."""
    z = random_logits(rng, (7, K), dtype)
    t = random_target(rng, z, 1)
    t[3] = -100
    z[3] = NAN
    z[4, [1, 3]] = NAN
    z[5, 2] = INF
    alone = ce.token_stats(z, t)
    loss = criterion(reduction="none")
    want = loss.value_and_grad(z, t)
    for out in (None, np.empty_like(z), z.copy()):
        x = z if out is None or out.dtype != dtype or not np.array_equal(
            out.view(np.uint8), z.view(np.uint8)
        ) else out  # fmt: skip
        value, grad, stats = loss.value_and_grad(x, t, out=out, stats=True)
        assert_same_bits(value, want[0], "value")
        assert_same_bits(grad, want[1], "gradient")
        for name in ("log_prob", "max", "log_sum", "entropy", "argmax", "rank"):
            assert_same_bits(getattr(stats, name), getattr(alone, name), name)
        assert stats.top_index is None


def test_with_class_probabilities(rng):
    """There is no class whose rank it could be."""
    z, q = rng.normal(size=(4, 9)), np.full((4, 9), 1 / 9)
    value, grad, stats = ce.CrossEntropyLoss().value_and_grad(z, q, stats=True)
    assert_same_bits(stats.entropy, ce.token_stats(z).entropy)
    assert stats.rank is None
    assert stats.log_prob is None
    assert_same_bits(grad, ce.CrossEntropyLoss().grad(z, q))
    assert value == ce.cross_entropy(z, q)


def test_items_of_weight_0_are_not_read():
    z = np.array([[1.0, 2.0], [NAN, NAN]])
    *_, stats = ce.CrossEntropyLoss().value_and_grad(z, [0, 5], sample_weight=[1, 0], stats=True)
    assert list(stats.rank) == [1, -1]
    assert stats.entropy[1] == 0


@every_dtype
def test_log_prob_is_that_of_the_statistics(dtype, rng, isa):
    for K in (3, 100, 700, 5000):
        z = random_logits(rng, (2, 4, K), dtype)
        t = random_target(rng, z, -1)
        index = rng.integers(0, K, (2, 4, 5))
        for bends in BENDS:
            stats = ce.token_stats(z, t, extra=index, **bends)
            assert_same_bits(ce.log_prob(z, t, **bends), stats.log_prob)
            assert_same_bits(ce.log_prob(z, index, **bends), stats.extra_log_prob)
    assert isinstance(ce.log_prob(z[0, 0], 2), np.floating)
    assert ce.log_prob(z[0, 0], [2]).shape == (1,)
    assert ce.log_prob(z, np.empty((2, 4, 0), int)).shape == (2, 4, 0)


def test_log_prob_over_all_classes_adds_up_to_1(rng, isa):
    z = rng.normal(0, 5, (3, 900))
    every = np.broadcast_to(np.arange(900), z.shape)
    np.testing.assert_allclose(ce.logsumexp(ce.log_prob(z, every)), 0, atol=1e-15)


def test_a_single_item_has_scalars():
    stats = ce.token_stats(np.array([1.0, 3.0, 2.0], np.float32), 2, top_k=2, extra=[0])
    for name in NUMBERS:
        assert type(getattr(stats, name)) is np.float32
    assert type(stats.rank) is type(stats.argmax) is np.int64
    assert (stats.rank, stats.argmax, stats.greedy) == (1, 1, False)
    assert list(stats.top_index) == [1, 2]
    assert stats.nll == -stats.log_prob


def test_no_items_and_no_classes():
    stats = ce.token_stats(np.empty((0, 5), np.float32), np.empty(0, int), top_k=2)
    assert stats.rank.shape == stats.entropy.shape == (0,)
    assert stats.top_index.shape == (0, 2)
    assert ce.token_stats(np.empty((0, 0))).argmax.shape == (0,)
    with pytest.raises(ValueError, match=r"logits of shape \(2, 0\) have no classes"):
        ce.token_stats(np.empty((2, 0)))
    with pytest.raises(IndexError, match="target"):
        ce.token_stats(np.empty((2, 0)), [0, 0])
    with pytest.raises(IndexError, match="index"):
        ce.log_prob(np.empty((1, 0)), [0])


Z = np.zeros((2, 3), np.float32)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"top_k": 4}, ValueError, r"top_k is 4; it must be in \[0, 3\]"),
        ({"top_k": -1}, ValueError, "top_k is -1"),
        ({"top_k": 1.0}, TypeError, r"top_k is 1\.0; it must be an integer"),
        ({"top_k": True}, TypeError, "top_k is True"),
        ({"extra": [[0], [3]]}, IndexError, r"extra\[1, 0\] is 3, not in \[0, 3\)"),
        ({"extra": [[-1], [0]]}, IndexError, r"extra\[0, 0\] is -1"),
        ({"extra": [0, 1]}, ValueError, r"extra has shape \(2,\); it must have shape \(2, any"),
        ({"extra": [[0.5], [0]]}, ValueError, r"extra\[0, 0\] is 0\.5, not a whole number"),
        ({"extra": [["a"], ["b"]]}, TypeError, "extra"),
        ({"temperature": 0.0}, ValueError, r"temperature is 0\.0; it must be above 0 and finite"),
        ({"temperature": -1}, ValueError, r"temperature is -1\.0"),
        ({"temperature": np.inf}, ValueError, "temperature is inf"),
        ({"temperature": None}, TypeError, "temperature is None"),
        ({"softcap": 0}, ValueError, r"softcap is 0\.0; it must be above 0 and finite, or None"),
        ({"softcap": np.nan}, ValueError, "softcap is nan"),
        ({"logit_scale": 0}, ValueError, r"logit_scale is 0\.0; it must be finite, and not 0"),
        ({"logit_scale": np.inf}, ValueError, "logit_scale is inf"),
        ({"logit_scale": "2"}, TypeError, "logit_scale is '2'"),
        ({"ignore_index": 0.5}, TypeError, r"ignore_index is 0\.5"),
        ({"axis": 2}, ValueError, "axis is 2"),
        ({"axis": 1.0}, TypeError, r"axis is 1\.0"),
    ],
    ids=str,
)
def test_wrong_options(options, error, words):
    with pytest.raises(error, match=words):
        ce.token_stats(Z, [0, 1], **options)


def test_wrong_arguments():
    with pytest.raises(IndexError, match=r"target\[1\] is 3, not in \[0, 3\)"):
        ce.token_stats(Z, [0, 3])
    with pytest.raises(ValueError, match=r"target has shape \(3,\).*\(2,\)"):
        ce.token_stats(Z, [0, 1, 2])
    with pytest.raises(IndexError, match=r"index\[0\] is -100, not in \[0, 3\)"):
        ce.log_prob(Z, [-100, 0])
    with pytest.raises(ValueError, match=r"index has shape \(3,\); it must have shape \(2,\) or"):
        ce.log_prob(Z, [0, 1, 2])
    with pytest.raises(TypeError, match="logits has dtype"):
        ce.token_stats(Z.astype(complex))
    with pytest.raises(ValueError, match="stats is True; statistics are those of logits"):
        ce.NLLLoss().value_and_grad(Z, [0, 1], stats=True)
    with pytest.raises(TypeError, match="stats is 1; it must be True or False"):
        ce.CrossEntropyLoss().value_and_grad(Z, [0, 1], stats=1)


def test_peers(rng):
    """Their formulas in float64: TRL's and vLLM's, and an evaluation harness's pair."""
    z, t = rng.normal(0, 4, (50, 200)), rng.integers(0, 200, 50)
    stats = ce.token_stats(z, t)
    lse = np.log(np.exp(z).sum(1))
    np.testing.assert_allclose(stats.log_prob, z[np.arange(50), t] - lse, rtol=1e-12)
    p = np.exp(z - lse[:, None])
    np.testing.assert_allclose(stats.entropy, lse - (p * z).sum(1), rtol=1e-10)
    np.testing.assert_array_equal(stats.rank + 1, (z >= z[np.arange(50), t][:, None]).sum(1))
    lengths = np.array([0, 20, 35])
    log_softmax = z - lse[:, None]
    total = np.add.reduceat(log_softmax[np.arange(50), t], lengths)
    np.testing.assert_allclose(np.add.reduceat(stats.log_prob, lengths), total, rtol=1e-12)
    greedy = np.logical_and.reduceat(log_softmax.argmax(1) == t, lengths)
    np.testing.assert_array_equal(np.logical_and.reduceat(stats.greedy, lengths), greedy)


def test_halves_keep_the_dtype_of_values():
    assert set(map(np.dtype, DTYPES)) == {np.dtype(np.float32), np.dtype(np.float64), *HALF}
