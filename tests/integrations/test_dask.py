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
    assert both[1].chunks == chunked.chunks
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
