"""ce.dask: what chunks of rows, of classes, and of both give is what one call gives."""

import itertools
import pickle
from dataclasses import fields

import numpy as np
import pytest
from helpers.problems import assert_same_bits

import ce

dask = pytest.importorskip("dask")
pytest.importorskip("distributed")
import dask.array as da  # noqa: E402
import distributed  # noqa: E402

import ce.dask  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # those of other libraries are theirs
SCHEDULERS = ["synchronous", "threads"]
B = ce.block_length("float32")
rng = np.random.default_rng(0)
LOGITS = rng.normal(0, 3, (21, 9000)).astype(np.float32)
TARGET = rng.integers(0, 9000, 21)
TARGET[4] = -100
WEIGHTS = rng.random(21) + 0.5


@pytest.fixture(scope="module")
def cluster():
    """Two processes of one thread each."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("chunks", [(21, -1), (5, -1), (21, B), (4, 2 * B), ((3, 0, 18), B)])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize(
    "options", [{}, {"label_smoothing": 0.1}, {"softcap": 5.0, "z_loss": 0.01}], ids=str
)
def test_cross_entropy(scheduler, chunks, reduction, options):
    """The bits of one call: chunks of classes begin at blocks."""
    criterion = ce.CrossEntropyLoss(axis=-1, reduction=reduction, **options)
    loss, grad = criterion.value_and_grad(LOGITS, TARGET, sample_weight=TARGET % 5 != 1)
    chunked = da.from_array(LOGITS, chunks=chunks)
    call = {"sample_weight": TARGET % 5 != 1}
    both = ce.dask.value_and_grad(criterion, chunked, da.from_array(TARGET, chunks=6), **call)
    assert both[1].chunks[0] == tuple(n for n in chunked.chunks[0] if n)
    assert both[1].dtype == np.float32
    got, got_grad = dask.compute(*both, scheduler=scheduler)
    alone = ce.dask.value(criterion, chunked, TARGET, **call).compute(scheduler=scheduler)
    assert_same_bits(got_grad, grad, "gradient")
    assert_same_bits(got, alone, "loss")
    if reduction == "none":
        assert_same_bits(got, loss, "losses")
    assert got.dtype == loss.dtype
    np.testing.assert_allclose(got, loss, rtol=2e-7)  # one rounding of sums made in another order


@pytest.mark.parametrize("chunks", [(4, 1000), (7, 33)])
def test_chunks_of_any_length(chunks):
    for dtype, options in itertools.product(
        (np.float32, np.float64, np.float16), ({}, {"label_smoothing": 0.1, "temperature": 0.7})
    ):
        z = LOGITS[:, :2000].astype(dtype)
        t = TARGET % 2000
        criterion = ce.CrossEntropyLoss(axis=-1, **options)
        loss, grad = criterion.value_and_grad(z, t)
        both = ce.dask.value_and_grad(criterion, da.from_array(z, chunks=chunks), t)
        got, got_grad = dask.compute(*both)
        assert got_grad.dtype == dtype
        rtol = {np.float16: 2e-3, np.float32: 1e-5}.get(dtype, 1e-12)
        np.testing.assert_allclose(got, loss, rtol=min(rtol, 1e-6))
        np.testing.assert_allclose(got_grad, grad, rtol=rtol, atol=1e-7)


@pytest.mark.parametrize("chunks", [(5, -1), (5, 2 * B)])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_statistics(chunks, scheduler):
    chunked = da.from_array(LOGITS, chunks=chunks)
    for options in ({}, {"temperature": 0.5, "ignore_index": 7}):
        t = np.where(TARGET < 0, 7, TARGET) if options else TARGET
        wanted = ce.token_stats(LOGITS, t, **options)
        stats = ce.dask.token_stats(chunked, t, **options)
        names = ["log_prob", "max", "log_sum", "entropy", "argmax", "rank", "lse", "greedy"]
        got = dask.compute(*[getattr(stats, name) for name in names], scheduler=scheduler)
        for name, x in zip(names, got, strict=True):
            assert_same_bits(x, getattr(wanted, name), name)
            assert getattr(stats, name).dtype == x.dtype
    stats = ce.dask.token_stats(chunked)
    assert stats.rank is None
    assert_same_bits(stats.entropy.compute(), ce.token_stats(LOGITS).entropy, "without a target")
    if chunks[1] == -1:
        wanted = ce.token_stats(LOGITS, TARGET, top_k=3)
        stats = ce.dask.token_stats(chunked, TARGET, top_k=3)
        for name in (f.name for f in fields(ce.TokenStats) if f.name.startswith("top")):
            assert_same_bits(getattr(stats, name).compute(), getattr(wanted, name), name)


def test_a_cluster_of_processes(cluster, tmp_path):
    """From a memory map on disk, by rows and by classes; criteria and partials travel."""
    path = tmp_path / "logits.npy"
    np.save(path, LOGITS)
    criterion = ce.CrossEntropyLoss(axis=-1, softcap=20.0)
    loss, grad = criterion.value_and_grad(LOGITS, TARGET)
    for chunks in ((6, -1), (-1, B), (11, B)):
        chunked = ce.dask.from_npy(path, chunks=chunks)
        assert len(pickle.dumps(chunked)) < 100_000  # nothing of the file travels
        got, got_grad = cluster.gather(
            cluster.compute(ce.dask.value_and_grad(criterion, chunked, TARGET))
        )
        np.testing.assert_allclose(got, loss, rtol=2e-7)
        assert_same_bits(got_grad, grad, "gradient")
        rank = ce.dask.token_stats(chunked, TARGET).rank
        assert_same_bits(cluster.compute(rank).result(), ce.token_stats(LOGITS, TARGET).rank)


def of_other_losses():
    """A criterion, its input and target, chunks of both."""
    z, y = rng.normal(size=(2, 12, 6, 5))
    probs = ce.softmax(y, axis=1)
    labels = rng.integers(0, 6, (12, 5))
    weight = rng.random(6) + 0.5
    yield ce.CrossEntropyLoss(weight=weight), z, labels, (5, -1, 2)
    yield ce.CrossEntropyLoss(label_smoothing=0.1), z, probs, (5, -1, 2)
    yield ce.FocalLoss(alpha=weight), z, labels, (4, -1, 5)
    yield ce.NLLLoss(weight=weight), ce.log_softmax(z, axis=1), labels, (12, -1, 1)
    yield ce.MSELoss(), z, y, (5, 4, 5)
    yield ce.HuberLoss(weight=2.0), z, 0.5, (5, 4, 5)
    yield ce.BCEWithLogitsLoss(), z, probs[0], (5, 4, 5)
    yield ce.KLDivLoss(reduction="batchmean"), ce.log_softmax(z, axis=1), probs, (5, 4, 5)
    yield ce.KLDivWithLogitsLoss(axis=1), z, y, (5, -1, 2)
    yield ce.EntropyFromLogitsLoss(axis=1), z, None, (5, -1, 2)
    yield ce.CrossEntropyLoss(), z[:, :, 0], labels[:, 0], (5, 4)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean", None])
def test_every_kind_of_loss(reduction):
    for criterion, z, y, chunks in of_other_losses():
        made = {f.name: getattr(criterion, f.name) for f in fields(criterion)}
        made |= {"reduction": reduction or criterion.reduction}
        criterion = type(criterion)(**made)
        given = (z,) if y is None else (z, y)
        whole = given  # ce itself does not broadcast
        if y is not None and not hasattr(criterion, "axis"):
            whole = (z, np.broadcast_to(y, z.shape))
        items = z.shape[:1] + z.shape[2:] if hasattr(criterion, "axis") else z.shape
        for v in (None, rng.random(items) * (rng.random(items) < 0.8)):
            loss, grad = criterion.value_and_grad(*whole, sample_weight=v)
            both = ce.dask.value_and_grad(
                criterion, da.from_array(z, chunks=chunks), *given[1:], sample_weight=v
            )
            got, got_grad = dask.compute(*both)
            alone = ce.dask.value(
                criterion, da.from_array(z, chunks=chunks), *given[1:], sample_weight=v
            ).compute()
            for x in (got, alone):
                np.testing.assert_allclose(x, loss, rtol=1e-13, err_msg=str(criterion))
                assert np.shape(x) == np.shape(loss)
            np.testing.assert_allclose(got_grad, grad, rtol=1e-12, atol=1e-300)


def test_upstream_gradients_and_normalizer():
    chunked = da.from_array(LOGITS, chunks=(4, B))
    g = rng.normal(size=21).astype(np.float32)
    none = ce.CrossEntropyLoss(axis=-1, reduction="none")
    got = ce.dask.value_and_grad(none, chunked, TARGET, grad_output=g)[1].compute()
    assert_same_bits(got, none.grad(LOGITS, TARGET, grad_output=g), "array")
    mean = ce.CrossEntropyLoss(axis=-1)
    for chunks in ((4, B), (4, -1)):
        both = ce.dask.value_and_grad(
            mean, chunked.rechunk(chunks), TARGET, grad_output=2.0, normalizer=50
        )
        loss, grad = dask.compute(*both)
        wanted = mean.value_and_grad(LOGITS, TARGET, grad_output=2.0, normalizer=50)
        assert_same_bits(grad, wanted[1], "gradient")
        np.testing.assert_allclose(loss, wanted[0], rtol=2e-7)


def test_nothing_counts():
    """The mean over nothing is NaN, its gradient 0; a chunk without live rows is like others."""
    for chunks in ((4, -1), (4, B)):
        chunked = da.from_array(LOGITS, chunks=chunks)
        none = np.full(21, -100)
        loss, grad = dask.compute(
            *ce.dask.value_and_grad(ce.CrossEntropyLoss(axis=-1), chunked, none)
        )
        assert np.isnan(loss)
        assert not grad.any()
        some = np.where(np.arange(21) < 8, -100, TARGET)
        got = ce.dask.value(ce.CrossEntropyLoss(axis=-1), chunked, some).compute()
        np.testing.assert_allclose(got, ce.cross_entropy(LOGITS, some), rtol=2e-7)


def test_targets_broadcast():
    """One of (y, x) for logits of (time, band, y, x)."""
    z = rng.normal(size=(6, 4, 5, 3))
    t = rng.integers(0, 4, (5, 3))
    got = ce.dask.value(ce.CrossEntropyLoss(), da.from_array(z, chunks=(2, -1, 3, 3)), t)
    wanted = ce.cross_entropy(z, np.broadcast_to(t, (6, 5, 3)))
    np.testing.assert_allclose(got.compute(), wanted, rtol=1e-14)
    with pytest.raises(ValueError, match=r"target has shape \(4, 3\); it must broadcast to"):
        ce.dask.value(ce.CrossEntropyLoss(), z, np.zeros((4, 3), int))


def test_it_is_lazy():
    """Nothing is read before it is computed, and then every chunk of rows once."""
    reads = []

    def read(block):
        reads.append(block.shape)
        return block

    chunked = da.from_array(LOGITS, chunks=(7, -1)).map_blocks(read, dtype=np.float32)
    both = ce.dask.value_and_grad(ce.CrossEntropyLoss(axis=-1), chunked, TARGET)
    ce.dask.token_stats(chunked, TARGET)
    ce.dask.value(ce.CrossEntropyLoss(axis=-1), chunked, TARGET)
    assert not reads or all(0 in shape or 1 in shape for shape in reads)  # dask tries functions
    reads.clear()
    dask.compute(*both, scheduler="synchronous")
    assert reads == [(7, 9000)] * 3


def test_what_is_refused():
    chunked = da.from_array(LOGITS, chunks=(7, B))
    probs = np.full(LOGITS.shape, 1 / 9000, np.float32)
    for criterion, target, error, message in (
        (ce.FocalLoss(axis=-1), TARGET, ValueError, r"logits.rechunk\(\{1: -1\}\)"),
        (ce.CrossEntropyLoss(axis=-1), probs, ValueError, "in chunks along the classes"),
        (ce.CrossEntropyLoss(axis=5), TARGET, ValueError, "axis"),
        (ce.CrossEntropyLoss(axis=-1), None, TypeError, "CrossEntropyLoss needs a target"),
        (ce.EntropyFromLogitsLoss(), TARGET, TypeError, "has no target"),
        (ce.MSELoss(weight=np.ones(9000)), 0.0, ValueError, "sample_weight= is in chunks"),
        (ce.CrossEntropyLoss(weight=np.ones(9000), z_loss=0.1), TARGET, ValueError, "two divisors"),
        (ce.cross_entropy, TARGET, TypeError, "criterion is a function"),
    ):
        with pytest.raises(error, match=message):
            ce.dask.value(criterion, chunked, target)
    with pytest.raises(ValueError, match="top_k is for logits"):
        ce.dask.token_stats(chunked, TARGET, top_k=2)
    with pytest.raises(ValueError, match="softcap is 0"):
        ce.dask.token_stats(chunked, TARGET, softcap=0.0)
    with pytest.raises(ValueError, match="unknown size"):
        ce.dask.value(ce.CrossEntropyLoss(), chunked[chunked[:, 0] > 0], TARGET)
    with pytest.raises(ValueError, match="normalizer is 2"):
        ce.dask.value(ce.CrossEntropyLoss(reduction="sum"), chunked, TARGET, normalizer=2)
    for chunks in ((7, B), (7, -1)):
        wrong = ce.dask.value(
            ce.CrossEntropyLoss(axis=-1), chunked.rechunk(chunks), TARGET * 0 + 9001
        )
        with pytest.raises(IndexError, match="is 9001, not in"):
            wrong.compute()


def test_confident_items_keep_their_digits():
    """Adding up log-sum-exps would give 0."""
    z = np.full((2, 2 * B), -np.inf, np.float32)
    z[:, 0], z[:, -1] = 50, 6.5
    loss = ce.dask.value(
        ce.CrossEntropyLoss(reduction="none", axis=-1), da.from_array(z, chunks=(1, B)), [0, 0]
    )
    np.testing.assert_allclose(loss.compute(), np.exp(-43.5), rtol=1e-6)
    assert (loss.compute() < 2e-19).all()


def test_import_ce_does_not_import_dask():
    import subprocess
    import sys

    program = "import sys, ce; sys.exit('dask' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("left", [0, 1, 2])
def test_rows_that_are_left_after_a_filter(left):
    """Chunks without rows, beside one of a single row, or beside none."""
    z = rng.normal(size=(3, 6))
    keep = da.from_array(np.arange(3) >= 3 - left, chunks=1)
    weighted = ce.CrossEntropyLoss(weight=np.arange(1.0, 7))
    for chunks in ((1, 6), (1, 4)):
        some = da.from_array(z, chunks=chunks)[keep].compute_chunk_sizes()
        t = np.arange(left)
        for criterion in (ce.CrossEntropyLoss(), ce.CrossEntropyLoss(reduction="none"), weighted):
            loss, grad = criterion.value_and_grad(z[3 - left :], t, sample_weight=t + 2.0)
            lazy = ce.dask.value_and_grad(criterion, some, t, sample_weight=t + 2.0)
            got = dask.compute(*lazy)
            for x, y, announced in zip(got, (loss, grad), lazy, strict=True):
                np.testing.assert_allclose(x, y, rtol=1e-13)
                assert np.shape(x) == np.shape(y) == announced.shape
        stats = ce.dask.token_stats(some, t)
        wanted = ce.token_stats(z[3 - left :], t)
        np.testing.assert_array_equal(stats.rank.compute(), wanted.rank)
    y = da.from_array(z, chunks=(1, 4))[keep].compute_chunk_sizes()
    got = ce.dask.value(ce.MSELoss(reduction="none"), y, 0.5)
    np.testing.assert_allclose(got.compute(), (z[3 - left :] - 0.5) ** 2)


def test_dtypes_that_are_announced():
    z, t = rng.normal(size=(6, 600)), np.arange(6).astype(np.uint8)
    for dtype in (">f8", ">f4", "f2", "i4", "?"):
        x = (z > 0).astype(dtype) if dtype == "?" else z.astype(dtype)
        for chunks in ((3, 300), (3, 600)):
            chunked = da.from_array(x, chunks=chunks)
            both = ce.dask.value_and_grad(ce.CrossEntropyLoss(reduction="none"), chunked, t)
            stats = ce.dask.token_stats(chunked, t)
            for lazy in (*both, stats.rank, stats.entropy, stats.log_prob):
                assert lazy.compute().dtype == lazy.dtype
            loss = ce.dask.value(ce.CrossEntropyLoss(), chunked, t).compute()
            np.testing.assert_allclose(loss, ce.cross_entropy(x, t), rtol=1e-6)
            assert loss.dtype == ce.cross_entropy(x, t).dtype


def test_a_divisor_of_0():
    """All weights are 0, but not the gradient: NaN, as of one call."""
    criterion = ce.CrossEntropyLoss(weight=[0, 1, 1], label_smoothing=0.1)
    z, t = np.zeros((4, 3)), np.zeros(4, int)
    for chunks in ((2, 3), (2, 2)):
        both = ce.dask.value_and_grad(criterion, da.from_array(z, chunks=chunks), t)
        for got, wanted in zip(dask.compute(*both), criterion.value_and_grad(z, t), strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_sums_with_a_z_loss_and_class_weights():
    w, z, t = rng.random(6) + 0.5, rng.normal(size=(7, 6)), rng.integers(0, 6, 7)
    for reduction in ("sum", "none"):
        criterion = ce.CrossEntropyLoss(weight=w, z_loss=0.1, reduction=reduction)
        loss, grad = criterion.value_and_grad(z, t)
        for chunks in ((3, 6), (3, 4)):
            chunked = da.from_array(z, chunks=chunks)
            got = dask.compute(*ce.dask.value_and_grad(criterion, chunked, t))
            np.testing.assert_allclose(got[0], loss, rtol=1e-14)
            np.testing.assert_allclose(got[1], grad, rtol=1e-13, atol=1e-300)
            np.testing.assert_allclose(ce.dask.value(criterion, chunked, t), loss, rtol=1e-14)


def test_a_file_that_was_written_anew(tmp_path):
    path = tmp_path / "z.npy"
    np.save(path, np.zeros((4, 3)))
    first = ce.dask.from_npy(path, chunks=(2, -1))
    kept = first.persist(scheduler="synchronous")
    np.save(tmp_path / "new.npy", np.ones((4, 3)))
    (tmp_path / "new.npy").replace(path)
    second = ce.dask.from_npy(path, chunks=(2, -1))
    assert first.name != second.name
    assert type(second.compute(scheduler="synchronous")) is np.ndarray
    sums = dask.compute(kept.sum(), second.sum(), scheduler="synchronous")
    assert sums == (0, 12)


def test_sources_are_shared():
    """What another part of the same computation reads is not read again."""
    reads = []

    def read(block_info=None):
        location = block_info[None]["array-location"]
        reads.append(location)
        return np.zeros([high - low for low, high in location])

    meta = np.empty((0, 0))
    for classes in (32, 8):
        chunks = ((4,) * 4, (classes,) * (32 // classes))
        z = da.map_blocks(read, chunks=chunks, dtype=float, meta=meta)
        reads.clear()
        t = np.zeros(16, int)
        dask.compute(
            *[ce.dask.value(ce.CrossEntropyLoss(), z * by, t) for by in (0.5, 1.5)],
            scheduler="synchronous",
        )
        assert len(reads) == z.npartitions


def test_class_weights_travel_once():
    """A task has the key of the criterion, not its arrays."""
    w = np.ones(50_000)
    z = da.zeros((16, 50_000), chunks=(2, 50_000))
    loss = ce.dask.value(ce.CrossEntropyLoss(weight=w), z, np.zeros(16, int))
    tasks = [len(pickle.dumps(task)) for task in dict(loss.__dask_graph__()).values()]
    assert sum(size > 100_000 for size in tasks) <= 1


def test_errors_that_come_at_once():
    chunked = da.from_array(LOGITS[:, :600], chunks=(7, -1))
    t, unknown = TARGET % 600, chunked[:, 0][chunked[:, 0] > 0]
    for criterion, target, options, error, message in (
        (ce.CrossEntropyLoss(weight=np.ones(5)), t, {}, ValueError, r"weight has shape \(5,\)"),
        (ce.FocalLoss(alpha=np.ones(5)), t, {}, ValueError, r"alpha has shape \(5,\)"),
        (ce.CrossEntropyLoss(), np.array(["a"] * 21), {}, TypeError, "target holds text"),
        (ce.CrossEntropyLoss(), t, {"sample_weight": np.ones(21, complex)}, TypeError, "complex"),
        (ce.CrossEntropyLoss(), np.zeros((21, 5)), {}, ValueError, "class probabilities must have"),
        (ce.CrossEntropyLoss(), t, {"normalizer": da.ones(())}, TypeError, "dask array"),
        (ce.CrossEntropyLoss(), unknown, {}, ValueError, "target has chunks of unknown"),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            ce.dask.value(criterion, chunked, target, **options)
    with pytest.raises(TypeError, match="logits has dtype complex64"):
        ce.dask.value(ce.CrossEntropyLoss(), chunked.astype(np.complex64), t)
    with dask.config.set(
        {"array.chunk-size": "1kiB"}
    ):  # NumPy arrays are not cut along the classes
        got = ce.dask.value(ce.FocalLoss(), LOGITS[:, :600], t).compute()
    np.testing.assert_allclose(got, ce.focal_loss(LOGITS[:, :600], t), rtol=2e-7)
