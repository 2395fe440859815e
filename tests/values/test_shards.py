"""Classes in shards: the bits of the undivided row at block boundaries, right elsewhere."""

import pickle
from itertools import pairwise, product

import mpmath
import numpy as np
import pytest
from helpers.problems import DTYPES, assert_same_bits
from oracle.exact import UNIT
from oracle.inputs import random_logits

import ce

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
FIELDS = ("log_prob", "max", "log_sum", "entropy", "argmax", "rank")
OPTIONS = [
    {}, {"label_smoothing": 0.1}, {"temperature": 0.7, "z_loss": 0.01},
    {"softcap": 5.0, "label_smoothing": 0.2, "logit_scale": -1.5},
]  # fmt: skip
every_set = pytest.mark.parametrize("options", OPTIONS, ids=str)


def problem(V, dtype, n=7):
    rng = np.random.default_rng(V)
    z = random_logits(rng, (n, V), np.dtype(dtype))
    t = rng.integers(0, V, n)
    t[2] = -100
    return z, t


def target_logits(z, t):
    return np.where(t >= 0, np.take_along_axis(z, np.maximum(t, 0)[:, None], 1)[:, 0], 0)


def in_shards(z, t, cuts, target_logit=None, **options):
    """The partials of the classes between cuts."""
    options = {name: v for name, v in options.items() if name not in ("z_loss", "reduction")}
    return [
        ce.partials(z[:, a:b], t, first=a, classes=z.shape[1], target_logit=target_logit, **options)
        for a, b in pairwise(cuts)
    ]


def cuts_of(V, step):
    return [*range(0, V, step), V]


def gradients(criterion, z, t, merged, cuts, **call):
    parts = [criterion.shard_grad(z[:, a:b], t, merged, first=a, **call) for a, b in pairwise(cuts)]
    return np.concatenate(parts, axis=1)


@every_dtype
@every_set
@pytest.mark.parametrize("V", [300, 4097, 20000, 530_000])
def test_the_bits_of_the_undivided_row(dtype, options, V, isa):
    """In any order, with any number of threads, also where rows of one call are split."""
    z, t = problem(V, dtype, 3 if V > 100_000 else 7)
    w = np.random.default_rng(1).random(V).astype(np.float32) + 0.5
    v = np.linspace(0.5, 2, len(z))
    B = ce.block_length(dtype)
    for step, weight, reduction in product((B, 3 * B), (None, w), ("mean", "none")):
        made = options | {"weight": weight, "axis": -1}
        criterion = ce.CrossEntropyLoss(**made, reduction=reduction)
        loss, grad, stats = criterion.value_and_grad(z, t, sample_weight=v, stats=True)
        cuts = cuts_of(V, step)
        parts = in_shards(z, t, cuts, target_logits(z, t), **made)
        parts = [pickle.loads(pickle.dumps(part)) for part in parts]
        with ce.threads(1 + step % 3):
            merged = ce.merge_partials(parts[::-1])
            for name in FIELDS:
                assert_same_bits(getattr(merged, name), getattr(stats, name), name)
            assert_same_bits(criterion.shard_loss(t, merged, sample_weight=v), loss, "loss")
            assert_same_bits(
                gradients(criterion, z, t, merged, cuts, sample_weight=v), grad, "gradient"
            )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("grad_output", [1.0, 0.0, 1e30, -1e-30, 1e200])
def test_factors_and_logits_of_any_size(dtype, grad_output, isa):
    """Too small is 0 and too large infinite where the undivided row's is, to the bit."""
    rng = np.random.default_rng(2)
    B, V = ce.block_length(dtype), 3 * ce.block_length(dtype) + 77
    z = (-np.sort(rng.uniform(0, 160 if dtype == np.float32 else 800, (9, V)))).astype(dtype)
    z[:4] = rng.permuted(z[:4], axis=1)
    z[5, ::3], z[6, 11], z[7, 12] = -np.inf, np.inf, np.nan
    t = rng.integers(0, V, 9)
    v = np.array([1, 1e-38, 1e-60, 1e38, 1e-19, 1e19, 1, 1, np.inf])
    criterion = ce.CrossEntropyLoss(axis=-1, reduction="sum")
    call = {"sample_weight": v, "grad_output": grad_output}
    merged = ce.merge_partials(in_shards(z, t, cuts_of(V, B)))
    got = gradients(criterion, z, t, merged, cuts_of(V, B), **call)
    assert_same_bits(got, criterion.grad(z, t, **call), "gradient")


@every_dtype
@every_set
def test_shards_of_any_length(dtype, options, isa):
    u = UNIT[np.dtype(dtype)]
    for V, step in ((10, 3), (33, 1), (300, 7), (5000, 4095), (9000, 5000)):
        z, t = problem(V, dtype)
        criterion = ce.CrossEntropyLoss(axis=-1, **options)
        loss, grad = criterion.value_and_grad(z, t)
        stats = ce.token_stats(z, t, **{
            k: v for k, v in options.items() if k not in ("label_smoothing", "z_loss")
        })  # fmt: skip
        cuts = cuts_of(V, step)
        merged = ce.merge_partials(in_shards(z, t, cuts, target_logits(z, t), **options))
        np.testing.assert_allclose(criterion.shard_loss(t, merged), loss, rtol=8 * u)
        got = gradients(criterion, z, t, merged, cuts).astype(float)
        rtol = {2: 2e-2 if dtype != np.float16 else 2e-3}.get(z.itemsize, 64 * u)
        np.testing.assert_allclose(got, grad.astype(float), rtol=rtol, atol=1e-7)
        np.testing.assert_array_equal(merged.rank, stats.rank)
        np.testing.assert_array_equal(merged.argmax, stats.argmax)
        np.testing.assert_allclose(merged.entropy, stats.entropy, rtol=64 * u, atol=1e-30)
        np.testing.assert_allclose(merged.log_prob, stats.log_prob, rtol=64 * u, atol=1e-30)


def test_layouts():
    """Shards along another axis, of any strides, in place, or written elsewhere."""
    rng = np.random.default_rng(0)
    z, t = rng.normal(size=(4, 5000, 3)), rng.integers(0, 5000, (4, 3))
    criterion = ce.CrossEntropyLoss(axis=1, z_loss=0.1)
    loss, grad = criterion.value_and_grad(z, t)
    for shards in (
        [(0, z[:, :2048]), (2048, z[:, 2048:])],
        [(0, np.asfortranarray(z[:, :2048])), (2048, z[:, 2048:].copy())],
        [(0, z[:, :2048][::-1][::-1]), (2048, z[:, 2048:])],
    ):
        parts = [ce.partials(x, t, first=k, classes=5000, axis=1) for k, x in shards]
        merged = ce.merge_partials(parts)
        assert merged.rank is None
        assert merged.greedy is None
        np.testing.assert_allclose(criterion.shard_loss(t, merged), loss, rtol=1e-14)
        for k, x in shards:
            wanted = grad[:, k : k + x.shape[1]]
            got = criterion.shard_grad(x, t, merged, first=k)
            np.testing.assert_allclose(got, wanted, rtol=1e-12)
            place = x.copy(order="K")
            assert criterion.shard_grad(place, t, merged, first=k, out=place) is place
            assert_same_bits(place, got, "in place")
            narrow = np.empty(x.shape, np.float32)
            criterion.shard_grad(x, t, merged, first=k, out=narrow)
            np.testing.assert_allclose(narrow, wanted, rtol=1e-6, atol=1e-30)


def test_one_item_and_none():
    z = np.array([2.0, 1.0, 0.1])
    parts = [ce.partials(z[k : k + 1], 0, first=k, classes=3) for k in range(3)]
    merged = ce.merge_partials(parts)
    np.testing.assert_allclose(ce.CrossEntropyLoss().shard_loss(0, merged), ce.cross_entropy(z, 0))
    np.testing.assert_allclose(merged.entropy, ce.token_stats(z).entropy)
    empty = np.zeros((0, 3))
    none = np.zeros(0, int)
    merged = ce.merge_partials([ce.partials(empty, none)])
    assert np.isnan(ce.CrossEntropyLoss().shard_loss(none, merged))
    assert ce.CrossEntropyLoss().shard_grad(empty[:, :2], none, merged).shape == (0, 2)
    parts = [ce.partials(z[:0], 0, classes=3), ce.partials(z, 0)]  # a shard without classes
    assert ce.merge_partials(parts).argmax == 0


def test_confident_items_keep_their_digits():
    """1e-19 and below, where adding up log-sum-exps gives 0."""
    for dtype, V in ((np.float32, 10), (np.float32, 9000), (np.float64, 5000)):
        z = np.full((1, V), -np.inf, dtype)
        z[0, 1], z[0, V - 2], z[0, V - 1] = 50, 6.5, -3
        t, cut = np.array([1]), ce.block_length(dtype) if V > 10 else 5
        parts = [ce.partials(z[:, :cut], t, classes=V), ce.partials(z[:, cut:], t, first=cut)]
        merged, criterion = ce.merge_partials(parts), ce.CrossEntropyLoss(axis=-1)
        with mpmath.workdps(60):
            e = [mpmath.exp(mpmath.mpf(x) - 50) for x in (6.5, -3)]
            truth = float(mpmath.log1p(e[0] + e[1]))
        np.testing.assert_allclose(criterion.shard_loss(t, merged), truth, rtol=1e-5)
        grad = criterion.shard_grad(z[:, cut:], t, merged, first=cut)
        np.testing.assert_allclose(grad[0, -2:], [float(x) for x in e], rtol=1e-5)
        assert truth < 2e-19


def test_rows_with_no_numbers():
    z = np.zeros((4, 9000), np.float32)
    z[0, 5], z[1, 8000], z[2] = np.nan, np.inf, -np.inf
    t = np.array([1, 2, 3, 8999])
    stats = ce.token_stats(z, t)
    cuts = [0, 4096, 9000]
    merged = ce.merge_partials(in_shards(z, t, cuts, target_logits(z, t)))
    for name in FIELDS:
        assert_same_bits(getattr(merged, name), getattr(stats, name), name)
    loss, grad = ce.CrossEntropyLoss(reduction="none").value_and_grad(z, t)
    criterion = ce.CrossEntropyLoss(reduction="none")
    assert_same_bits(criterion.shard_loss(t, merged), loss, "loss")
    assert_same_bits(gradients(criterion, z, t, merged, cuts), grad, "gradient")


def test_what_is_refused():
    z, t = np.zeros((2, 6)), np.array([0, 5])
    a, b = (ce.partials(z[:, k : k + 3], t, first=k, classes=6) for k in (0, 3))
    merged, criterion = ce.merge_partials([a, b]), ce.CrossEntropyLoss()
    for parts, message in (
        ([], "parts is empty"),
        ([a], "classes 3 to 5 are missing"),
        ([b], "classes 0 to 2 are missing"),
        ([a, a, b], "classes 0 to 2 are there twice"),
        ([a, ce.partials(z[:, :3], t, first=3, classes=9)], "of 6 classes, others of 9"),
        ([a, ce.partials(z[:, :3], [0, 4], first=3)], "different targets"),
        ([a, ce.partials(z[:, :3], first=3)], "different targets"),
        ([a, ce.partials(z[:, :3], t, first=3, temperature=2.0)], "differ in temperature"),
        ([a, ce.partials(z[:1, :3], t[:1], first=3)], r"items of shape \(2,\), others \(1,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            ce.merge_partials(parts)
    with pytest.raises(TypeError, match="float64, others in float32"):
        ce.merge_partials([a, ce.partials(z[:, :3].astype(np.float32), t, first=3)])
    with pytest.raises(TypeError, match="parts has a ndarray"):
        ce.merge_partials([z])
    for first, classes in ((4, 6), (-1, 6), (0, 2)):
        with pytest.raises(ValueError, match=r"first is|classes is"):
            ce.partials(z[:, :3], t, first=first, classes=classes)
    with pytest.raises(IndexError, match=r"target\[1\] is 5, not in \[0, 5\)"):
        ce.partials(z[:, :3], t, classes=5)
    with pytest.raises(ValueError, match="target_logit has shape"):
        ce.partials(z, t, target_logit=z)
    with pytest.raises(ValueError, match=r"temperature of the criterion is 2\.0"):
        ce.CrossEntropyLoss(temperature=2.0).shard_loss(t, merged)
    with pytest.raises(ValueError, match=r"label_smoothing of the criterion is 0\.1"):
        ce.CrossEntropyLoss(label_smoothing=0.1).shard_loss(t, merged)
    with pytest.raises(ValueError, match="without a target"):
        criterion.shard_loss(t, ce.merge_partials([ce.partials(z)]))
    out = np.full((2, 3), 7.0)
    for target, first, x, error, message in (
        ([0, 4], 0, z[:, :3], ValueError, "target is another"),
        (t, 4, z[:, :3], ValueError, "first is 4"),
        (t, 0, z[:1, :3], ValueError, "items of shape"),
        (t, 0, z[:, :3].astype(np.float32), TypeError, "float32"),
        (t, 0.5, z[:, :3], TypeError, r"first is 0\.5"),
    ):
        with pytest.raises(error, match=message):
            criterion.shard_grad(x, target, merged, first=first, out=out)
        assert (out == 7).all()
    with pytest.raises(TypeError, match="merged is a TokenStats"):
        criterion.shard_loss(t, ce.token_stats(z, t))


@pytest.mark.parametrize("far", [60.0, np.inf])
def test_gradients_of_other_shards_than_were_scanned(far):
    """They may begin anywhere, also where the partials began at blocks."""
    for V, cut in ((8192, 4000), (20000, 4097), (9000, 1)):
        z = np.zeros((2, V), np.float32)
        z[:, :4096] = -far
        z[1, 5] = 1
        t = np.array([4500, 5])
        criterion = ce.CrossEntropyLoss(axis=-1)
        merged = ce.merge_partials([ce.partials(z, t)])
        got = np.concatenate(
            [
                criterion.shard_grad(z[:, :cut], t, merged),
                criterion.shard_grad(z[:, cut:], t, merged, first=cut),
            ],
            axis=1,
        )
        np.testing.assert_allclose(got, criterion.grad(z, t), rtol=1e-5)


def test_ranks_beside_short_shards():
    """A shard shorter than a vector, before that of a target whose logit is -inf."""
    for dtype, V in product(DTYPES, (200, 8210)):
        z = np.zeros((3, V), dtype)
        t = np.array([V - 1, V // 2, 0])
        z[0, V - 1], z[1, V // 2], z[2, 0] = -np.inf, -np.inf, -np.inf
        wanted = ce.token_stats(z, t).rank
        for cut in (1, 2, 7, 15, 17, 4097 if V > 5000 else 33):
            merged = ce.merge_partials(in_shards(z, t, [0, cut, V], target_logits(z, t)))
            np.testing.assert_array_equal(merged.rank, wanted)


def test_fractions_are_no_targets():
    z = np.zeros((2, 10))
    for dtype, wrong in product(DTYPES, (1.5, np.nan, np.inf)):
        with pytest.raises(ValueError, match=rf"target\[0\] is {wrong}, not a whole number"):
            ce.partials(z, np.array([wrong, 2.0], dtype))
    assert ce.merge_partials([ce.partials(z, [1.0, 2.0])]).log_prob.shape == (2,)
    with pytest.raises(ValueError, match=r"target has shape \(2, 10\)"):
        ce.partials(z, z)


def test_numbers_without_statistics():
    z = np.array([[1, np.nan, 2], [0, np.inf, 0], [-np.inf] * 3, [1, 2, 3]])
    wanted = ce.token_stats(z, [0, 0, 0, 0])
    merged = ce.merge_partials([ce.partials(z, [0, 0, 0, 0], stats=False)])
    for name in ("log_prob", "max", "log_sum"):
        assert_same_bits(getattr(merged, name), getattr(wanted, name), name)
    assert merged.entropy is None
    assert merged.argmax is None


def test_bounds_of_shards():
    z = np.zeros((2, 10))
    criterion, merged = ce.CrossEntropyLoss(), ce.merge_partials([ce.partials(z, [1, 2])])
    for x, options, message in (
        (z, {"first": -1}, "first is -1; it must be in"),
        (z, {"first": 2**63}, "first is 9223372036854775808; it must be in"),
        (z[:, :0], {"first": 2**62}, "first is"),
        (z[:, :0], {"classes": 2**63}, "classes is"),
        (z, {"classes": 9}, "classes is 9; it must be in .10, 2147483647., as the shard alone"),
    ):
        with pytest.raises(ValueError, match=message):
            ce.partials(x, **options)
    for first in (2**63, 2**62, -1):
        with pytest.raises(ValueError, match="first is"):
            criterion.shard_grad(z, [1, 2], merged, first=first)
