"""Logits in a zarr store, and gradients into one; the gate does without zarr."""

import numpy as np
import pytest
from helpers.problems import assert_same_bits

zarr = pytest.importorskip("zarr")
da = pytest.importorskip("dask.array")
pytestmark = pytest.mark.filterwarnings("default")


def test_from_store_to_store(tmp_path):
    import ce.dask

    rng = np.random.default_rng(0)
    z, t = rng.normal(size=(21, 9000)).astype(np.float32), rng.integers(0, 9000, 21)
    store = zarr.open(
        str(tmp_path / "z.zarr"), mode="w", shape=z.shape, chunks=(7, 4096), dtype="f4"
    )
    store[:] = z
    chunked = da.from_zarr(str(tmp_path / "z.zarr"))
    loss, grad = ce.dask.value_and_grad(ce.CrossEntropyLoss(axis=-1), chunked, t)
    wanted = ce.CrossEntropyLoss(axis=-1).value_and_grad(z, t)
    np.testing.assert_allclose(loss.compute(), wanted[0], rtol=2e-7)
    grad.to_zarr(str(tmp_path / "g.zarr"))
    assert_same_bits(zarr.open(str(tmp_path / "g.zarr"))[:], wanted[1], "gradient")
