"""Sample weights and normalizers of every loss, against the losses of single items by definition.

The truth of an item is that of its row in the oracle, unreduced. What becomes of them is written
out here: they are multiplied by sample weights, added up, and divided by what the table of divisors
says.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from helpers.problems import COMPARED_DTYPES, DTYPES, HALVES, assert_same_bits, assert_within
from oracle import LOSSES, Loss
from oracle.exact import HALF, UNIT, WIDE, Derivatives, Exact, class_axis, real, reduced, scaled
from oracle.exact import times as product
from threadpoolctl import threadpool_limits

import ce

ROW = {loss.label: loss for loss in LOSSES}
OF_CLASSES = [loss for loss in LOSSES if loss.name in ("cross_entropy", "nll_loss", "focal_loss")]
OF_ELEMENTS = [loss for loss in LOSSES if loss not in OF_CLASSES]
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.label)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
compared_dtypes = pytest.mark.parametrize("dtype", COMPARED_DTYPES)
of_classes = pytest.mark.parametrize("loss", OF_CLASSES, ids=lambda loss: loss.label)
of_indices = pytest.mark.parametrize(
    "loss", [loss for loss in LOSSES if loss.indices], ids=lambda loss: loss.label
)
of_elements = pytest.mark.parametrize("loss", OF_ELEMENTS, ids=lambda loss: loss.label)

# What a mean divides by, with weights of both kinds: the sum of their products, of which those that
# are absent are 1, or the sum of the sample weights alone.
PRODUCTS = {"cross_entropy", "nll_loss", "mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss"}
DOUBLE = UNIT[np.dtype(np.float64)]


@dataclass(eq=False)
class Case:
    """Arguments of a loss, with weights of classes or elements, or without."""

    loss: Loss
    x: np.ndarray
    t: np.ndarray
    fields: dict[str, Any]

    @property
    def of_classes(self) -> bool:
        return self.loss in OF_CLASSES

    @property
    def axis(self) -> int:
        return class_axis(self.x.ndim, None)

    @property
    def items(self) -> tuple[int, ...]:
        """The shape of sample weights."""
        kept = self.x.shape[: self.axis] + self.x.shape[self.axis + 1 :]
        return kept if self.of_classes else self.x.shape

    def counted(self) -> np.ndarray:
        """1 for what is not ignored."""
        one = self.t != self.ignored if self.loss.indices else np.ones(self.items)
        return np.asarray(one).astype(WIDE)

    @property
    def ignored(self) -> int:
        return int(self.fields.get("ignore_index", -100))

    def weight(self) -> np.ndarray:
        """What stands beside sample weights in products: that of the target's class, or 1."""
        w = self.fields.get("weight")
        if w is None or self.loss.label not in PRODUCTS:
            return np.ones(self.items, WIDE)
        w = np.asarray(w).astype(WIDE)
        return w[np.where(self.t < 0, 0, self.t)] if self.of_classes else np.broadcast_to(
            w, self.items
        )  # fmt: skip

    @functools.cached_property
    def single(self) -> Derivatives:
        """Of items alone. Half types are computed with in float32, so theirs are that.

        Weights that are given, if only ones, make room for the roundings that they cost, which are
        relative to the terms: 4 u.
        """
        x, t = (
            a.astype(np.float32) if a.dtype in HALF else a for a in (self.x, np.asarray(self.t))
        )
        ones = {"sample_weight" if self.of_classes else "weight": np.ones(self.items)}
        return self.loss.define(x, t, **ones | self.fields, reduction="none")

    def call(self, method="__call__", reduction="mean", x=None, t=None, **call):
        criterion = getattr(ce, self.loss.criterion)(**self.fields, reduction=reduction)
        arguments = self.x if x is None else x, self.t if t is None else t
        return getattr(criterion, method)(*arguments, **call)

    def function(self, **call):
        return getattr(ce, self.loss.name)(self.x, self.t, **self.fields, **call)


@functools.lru_cache(maxsize=32)
def fixed_case(loss, dtype, shape, weighted=False) -> Case:
    """One whose truth is computed once for all instruction sets."""
    return case(loss, dtype, shape, weighted)


def case(loss, dtype, shape, weighted=False) -> Case:
    """A third of the items ignored, where that can be; or weighted, with other options, too."""
    rng = np.random.default_rng(shape)
    x, t = (np.asarray(a) for a in loss.arrays(rng, shape, None, dtype))
    p = Case(loss, x, t, dict(loss.fixed))
    if weighted:
        options = {option.name: option for option in loss.sweeps[-1]}
        options |= {name: loss.options[name] for name in loss.weights[:1] if name not in options}
        classes = shape[p.axis] if p.of_classes else 1
        for name in options.keys() & loss.options.keys():
            p.fields[name] = options[name].make(rng, classes, p.items, dtype)
    if loss.indices:
        p.t = np.where(rng.random(t.shape) < 0.3, p.ignored, t)
    return p


def sample_weights(p: Case, seed=1) -> np.ndarray:
    """In float64, of which float32 would lose digits; a sixth are 0."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0.25, 2, p.items) * (rng.random(p.items) < 0.83)


def divisor(p: Case, v) -> Any:
    """Of a mean."""
    return (v * p.counted() * p.weight()).sum()


def truth(p: Case, v=None, reduction="mean", normalizer=None) -> Derivatives:
    """The items' losses times v, and what the reduction makes of them.

    The sum of n weights is n / 2 roundings in float64, relative to the sum of their sizes.
    """
    single, v = p.single, np.broadcast_to(1 if v is None else v, p.items).astype(WIDE)
    if normalizer is not None:
        size, off = WIDE(normalizer), 0.0
    elif reduction == "batchmean":
        size, off = WIDE(p.x.shape[0]), 0.0
    else:
        size = divisor(p, v)
        off = abs(v).size / 2 * DOUBLE * divisor(p, abs(v)) / abs(size)
    loss = Exact(product(v, single.loss.value), product(abs(v), single.loss.error))
    value = reduced(loss, size, reduction, real(p.x.dtype), p.items)
    scale = v if reduction in ("sum", "none") else v / size
    if reduction in ("sum", "none"):
        off = 0.0
    scale = np.expand_dims(scale, p.axis) if p.of_classes else scale
    grad, hess = (
        scaled(Exact(t.value, t.error + off * abs(t.value)), scale, p.x.dtype)
        for t in (single.grad, single.hess)
    )
    return Derivatives(Exact(value.value, value.error + off * abs(value.value)), grad, hess)


def check(p: Case, v=None, reduction="mean", normalizer=None) -> None:
    """The value and both derivatives, by function and by every method."""
    call = {"sample_weight": v, "normalizer": normalizer}
    call = {name: x for name, x in call.items() if x is not None}
    exact, of = truth(p, v, reduction, normalizer), f"{reduction} with {[*p.fields, *call]}: "
    value = p.call(reduction=reduction, **call)
    assert_within(value, exact.loss, f"{of}value")
    assert value.dtype == real(p.x.dtype)
    grad, hess = p.call("grad_and_hess", reduction, **call)
    assert_within(grad, exact.grad, f"{of}gradient")
    assert_within(hess, exact.hess, f"{of}Hessian")
    assert grad.dtype == hess.dtype == p.x.dtype
    assert_same_bits(p.function(reduction=reduction, **call), value, "function")
    assert_same_bits(p.call("grad", reduction, **call), grad, "grad")
    both = p.call("value_and_grad", reduction, **call)
    assert_same_bits(both[0], value, "value of value_and_grad")
    assert_same_bits(both[1], grad, "gradient of value_and_grad")
    place = p.x.copy()
    p.call("grad", reduction, x=place, **call, out=place)
    assert_same_bits(place, grad, "gradient in place")


def shapes_of(loss):
    """Rows; classes between items; few items of many classes; or elements, of several blocks."""
    return ((37, 11), (3, 7, 29), (3, 530)) if loss in OF_CLASSES else ((37, 11), (1, 8200))


@every_loss
@compared_dtypes
def test_every_reduction(loss, dtype, isa):
    for shape in shapes_of(loss):
        for weighted in (False, True):
            p = fixed_case(loss, dtype, shape, weighted)
            v = sample_weights(p)
            for reduction in loss.reductions:
                check(p, v, reduction)
                if reduction.endswith("mean"):
                    check(p, v, reduction, normalizer=3.7)
                    check(p, None, reduction, normalizer=0.3)


@every_loss
@compared_dtypes
def test_negative_weights(loss, dtype, isa):
    p = fixed_case(loss, dtype, (37, 11))
    v = sample_weights(p)
    v.flat[::5] *= -1
    for reduction in loss.reductions:
        check(p, v, reduction)
        check(p, -sample_weights(p), reduction)


@compared_dtypes
def test_perplexity(dtype, isa):
    """exp(m) of a mean m: its error as it is, and 4 u of e^x."""
    for shape in ((37, 11), (3, 7, 29)):
        p = fixed_case(ROW["cross_entropy"], dtype, shape)
        for v in (None, sample_weights(p)):
            for normalizer in (None, 50.0):
                mean = truth(p, v, normalizer=normalizer).loss
                value = np.exp(mean.value)
                error = value * (np.expm1(mean.error) + 4 * UNIT[np.dtype(real(dtype))])
                got = ce.perplexity(p.x, p.t, sample_weight=v, normalizer=normalizer)
                assert_within(got, Exact(value, error), "perplexity")
                assert got.dtype == real(dtype)


def results(p: Case, reduction="mean", **call):
    """Value, gradient and Hessian."""
    return p.call(reduction=reduction, **call), *p.call("grad_and_hess", reduction, **call)


def assert_same_results(a, b, what: str) -> None:
    for name, x, y in zip(("value", "gradient", "Hessian"), a, b, strict=True):
        assert_same_bits(x, y, f"{name} {what}")


WEIGHT_DTYPES = [np.dtype(code) for code in "?bBhHiIlLqQefdg"] + [DTYPES[-1]]


@every_loss
@every_dtype
def test_weights_of_every_dtype(loss, dtype):
    """What all dtypes hold is one and the same."""
    p = case(loss, dtype, (9, 6))
    v = np.random.default_rng(2).integers(0, 2, p.items)
    for reduction in loss.reductions:
        expected = results(p, reduction, sample_weight=v.astype(np.float64))
        for given in [v.astype(code) for code in WEIGHT_DTYPES] + [v.tolist(), v.astype(">f4")]:
            got = results(p, reduction, sample_weight=given)
            what = getattr(given, "dtype", "list")
            assert_same_results(got, expected, f"{reduction}, {what}")


@of_elements
@every_dtype
def test_weights_of_elements_broadcast(loss, dtype):
    p = case(loss, dtype, (5, 6), weighted=True)
    rng = np.random.default_rng(3)
    for shape in ((6,), (5, 1), (1, 6), (1,), ()):
        v = rng.integers(0, 64, shape) / 32
        for reduction in loss.reductions:
            got = results(p, reduction, sample_weight=v)
            full = results(p, reduction, sample_weight=np.broadcast_to(v, (5, 6)).copy())
            assert_same_results(got, full, f"{reduction}, {shape}")
    for shape in ((5,), (6, 1), (2, 5, 6), (0,)):
        words = rf"sample_weight has shape \({str(shape)[1:-1]}\); it must broadcast to shape"
        with pytest.raises(ValueError, match=words):
            p.call(sample_weight=np.ones(shape))


@every_loss
@every_dtype
def test_strided_weights(loss, dtype):
    p = case(loss, dtype, (9, 6), weighted=True)
    v = sample_weights(p)
    expected = results(p, sample_weight=v)
    wide = np.zeros(tuple(2 * n for n in v.shape))
    spread = wide[tuple(slice(None, None, 2) for _ in v.shape)]
    spread[...] = v
    for given in (spread, np.ascontiguousarray(v[::-1])[::-1], np.asfortranarray(v)):
        assert_same_results(results(p, sample_weight=given), expected, "strided")


# -- what is masked -------------------------------------------------------------------------------

NO_NUMBERS = (np.nan, np.inf, -np.inf, 2.0, -3.0)
NO_CLASSES = (255, -1, 10**6, -(2**62))


def masked_case(loss, dtype, shape, weighted):
    """A case, a mask, and the same with what is no logit, probability or class under the mask."""
    p = case(loss, dtype, shape, weighted)
    rng = np.random.default_rng(5)
    mask = rng.random(p.items) < 0.7
    mask.flat[0], mask.flat[-1] = False, False
    over = np.broadcast_to(np.expand_dims(~mask, p.axis) if p.of_classes else ~mask, shape)
    x, t = p.x.copy(), p.t.copy()
    x[over] = rng.choice(NO_NUMBERS, int(over.sum())).astype(dtype)
    if loss.indices:
        t[~mask] = rng.choice(NO_CLASSES, int((~mask).sum()))
    else:
        t[over] = rng.choice(NO_NUMBERS, int(over.sum())).astype(dtype)
    return p, mask, x, t


@every_loss
@every_dtype
def test_what_is_masked_is_not_read(loss, dtype, isa):
    for shape in shapes_of(loss):
        for weighted in (False, True):
            p, mask, x, t = masked_case(loss, dtype, shape, weighted)
            bad = Case(loss, x, t, p.fields)
            zero = np.expand_dims(~mask, p.axis) if p.of_classes else ~mask
            zero = np.broadcast_to(zero, shape)
            for v in (mask, mask.astype(np.float32), sample_weights(p) * mask):
                for reduction in loss.reductions:
                    expected = results(p, reduction, sample_weight=v)
                    got = results(bad, reduction, sample_weight=v)
                    assert_same_results(got, expected, f"{reduction}, {v.dtype}")
                    assert not (got[1][zero] != 0).any()
                    assert not (got[2][zero] != 0).any()
                    if reduction == "none":
                        assert not (got[0][~mask] != 0).any()
                    place = x.copy()
                    value, grad = bad.call("value_and_grad", reduction, x=place, out=place,
                                           sample_weight=v)  # fmt: skip
                    assert_same_bits(value, expected[0], "value in place")
                    assert_same_bits(grad, expected[1], "gradient in place")


@every_loss
@every_dtype
def test_what_is_masked_might_as_well_not_be_there(loss, dtype, isa):
    """Without the masked items the others, all of weight 1, have the same bits.

    Their sum is taken in another order, in float64: n / 2 roundings on either side, and the last
    one. Without weights the divisor enters elsewhere: 4 u of weights and mean on either side.
    """
    shape = (40, 11) if loss in OF_CLASSES else (440,)
    p, mask, x, t = masked_case(loss, dtype, shape, False)
    some = Case(loss, p.x[mask], p.t[mask], p.fields)
    bad = Case(loss, x, t, p.fields)
    for reduction in ("sum", "mean"):
        got = results(bad, reduction, sample_weight=mask)
        alike = results(some, reduction, sample_weight=np.ones(int(mask.sum())))
        plain = results(some, reduction)
        u, least = UNIT[np.dtype(real(dtype))], 2.0**-24 if dtype is np.float16 else 0
        order = mask.size * DOUBLE
        np.testing.assert_allclose(got[0], alike[0], rtol=2 * u + order)
        np.testing.assert_allclose(got[0], plain[0], rtol=8 * u + order)
        for a, b, c in zip(got[1:], alike[1:], plain[1:], strict=True):
            assert_same_bits(a[mask], b, "derivative")
            last = 2.0 ** (1 - HALF[np.dtype(dtype)][0]) if dtype in HALVES else 0
            near = {"rtol": 8 * u + last, "atol": least}
            np.testing.assert_allclose(b.astype(float), c.astype(float), **near)


@of_indices
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_an_index_that_is_not_masked_is_refused(loss, dtype, isa):
    """The first one is named, whatever lies masked before it."""
    for n in (40, 5000):
        p = case(loss, dtype, (n, 4))
        p.t[:] = 0
        p.t[3], p.t[n // 2], p.t[-1] = 255, 256, 257
        v = np.ones(n)
        v[3] = 0
        for weight in (v, v.astype(bool), v.astype(np.float32)):
            out = np.full_like(p.x, 7)
            for method, more in (("__call__", {}), ("grad", {"out": out}), ("grad_and_hess", {})):
                with pytest.raises(IndexError, match=rf"^target\[{n // 2}\] is 256, not in"):
                    p.call(method, sample_weight=weight, **more)
            assert (out == 7).all()
            with pytest.raises(IndexError, match=r"^target\[3\] is 255, not in"):
                p.call(sample_weight=weight == 0)
            with pytest.raises(IndexError, match=r"^target\[3\] is 255, not in"):
                p.call()


@of_indices
def test_a_class_weight_of_0_hides_no_index(loss):
    p = case(loss, np.float32, (4, 3))
    p.t = np.array([0, 0, 3, 0])
    with pytest.raises(IndexError, match=r"target\[2\] is 3"):
        Case(loss, p.x, p.t, {loss.weights[0]: [0, 0, 0]}).call()


@pytest.mark.parametrize(
    "loss", [loss for loss in LOSSES if loss.domain], ids=lambda loss: loss.label
)
@pytest.mark.parametrize("value", [2.0, -0.5, np.nan, np.inf])
def test_a_probability_that_is_not_masked_is_refused(loss, value, isa):
    for n in (40, 30000):
        p = case(loss, np.float32, (n,))
        for name in ("input", "target"):
            x, t = p.x.copy(), p.t.copy()
            bad = x if name == "input" else t
            named = loss.input if name == "input" else name
            bad[3] = bad[n // 2] = bad[-1] = value
            v = np.ones(n, bool)
            v[3] = False
            for weight in (v, v.astype(np.float32), v * 0.25):
                out = np.full_like(x, 7)
                for method, more in (("__call__", {}), ("grad", {}), ("grad", {"out": out})):
                    with pytest.raises(ValueError, match=rf"^{named}\[{n // 2}\] is .*, not in"):
                        p.call(method, x=x, t=t, sample_weight=weight, **more)
                assert (out == 7).all()
            with pytest.raises(ValueError, match=rf"^{named}\[3\] is .*, not in"):
                p.call(x=x, t=t)
            with pytest.raises(ValueError, match=rf"^{named}\[3\] is .*, not in"):
                p.call(x=x, t=t, sample_weight=~v)


def test_labels_of_the_sigmoid_focal_loss_are_checked(isa):
    x = np.zeros((2, 3), np.float32)
    for bad in (2.0, -1.0, np.nan, 255):
        y = np.zeros((2, 3), np.float32)
        y[1, 2] = bad
        for method in ("__call__", "grad", "value_and_grad", "grad_and_hess"):
            with pytest.raises(ValueError, match=r"^target\[1, 2\] is .*, not in \[0, 1\]"):
                getattr(ce.SigmoidFocalLoss(), method)(x, y)
        with pytest.raises(ValueError, match=r"^target\[1, 2\] is .*, not in \[0, 1\]"):
            ce.sigmoid_focal_loss(x, y, reduction="none")


@every_loss
@every_dtype
def test_nan_stays_in_its_item(loss, dtype, isa):
    p = case(loss, dtype, (9, 6))
    v = np.ones(p.items)
    plain = results(p, "none", sample_weight=v)
    if loss.indices:
        p.t[4] = 2
        plain = results(p, "none", sample_weight=v)
    v[4] = np.nan
    got = results(p, "none", sample_weight=v)
    rest = np.arange(9) != 4
    for a, b, name in zip(got, plain, ("value", "gradient", "Hessian"), strict=True):
        assert_same_bits(a[rest], b[rest], name)
    assert np.isnan(got[0][4]).all()
    if loss.label != "nll_loss":  # whose gradient is 0 beside the target
        assert np.isnan(got[1][4]).all()
    assert np.isnan(p.call(sample_weight=v))
    assert np.isnan(p.call(reduction="sum", sample_weight=v))


@of_classes
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_that_threads_share(loss, dtype, isa):
    """Two rows so long that each is cut: one of them is masked."""
    p = case(loss, dtype, (2, 2**18))
    if loss.indices:
        p.t = np.array([5, 7])
    x, t = p.x.copy(), p.t.copy()
    x[1, ::1000] = np.nan
    if loss.indices:
        t[1] = 2**40
    else:
        t[1] = np.nan
    with threadpool_limits(2, user_api="openmp"):
        ce._core.set_cpus(2)
        for threads in (1, 2):
            with ce.threads(threads):
                for reduction in loss.reductions:
                    v = {"sample_weight": np.array([1.0, 0.0])}
                    expected = results(p, reduction, **v)
                    got = results(Case(loss, x, t, p.fields), reduction, **v)
                    assert_same_results(got, expected, f"{reduction}, {threads} threads")
                    assert not (got[1][1] != 0).any()
        ce._core.set_cpus(ce._process.available_cpus())


@every_loss
def test_a_single_item(loss):
    """Without axes of items a sample weight is one number; 0 of either sign masks."""
    p = case(loss, np.float64, (4,))
    x, t = (p.x, p.t) if loss in OF_CLASSES else (p.x[0], p.t[0])
    t = np.array(1) if loss.indices else t
    p = Case(loss, x, t, p.fields)
    one = p.call()
    for v in (2.5, np.float32(2.5), np.array(2.5), True, 3):
        np.testing.assert_allclose(p.call(sample_weight=v), one, rtol=8 * DOUBLE)
        total = p.call(reduction="sum", sample_weight=v)
        np.testing.assert_allclose(total, one * float(v), rtol=8 * DOUBLE)
    bad = Case(loss, x * np.nan, np.array(-7) if loss.indices else t * np.nan, p.fields)
    for v in (0, -0.0, False, np.array(0)):
        assert np.isnan(bad.call(sample_weight=v))
        assert bad.call(sample_weight=v, normalizer=2) == 0
        assert bad.call(reduction="sum", sample_weight=v) == 0
        assert bad.call(reduction="none", sample_weight=v) == 0
        assert not bad.call("grad", sample_weight=v).any()


def test_perplexity_does_not_read_what_is_masked():
    z, t = np.random.default_rng(7).normal(size=(6, 5)), np.array([0, 1, 2, 3, 4, 0])
    expected = ce.perplexity(z[:4], t[:4])
    z[4:], t[4:] = np.nan, 99
    mask = np.arange(6) < 4
    np.testing.assert_allclose(ce.perplexity(z, t, sample_weight=mask), expected, rtol=1e-15)
    assert np.isnan(ce.perplexity(z, t, sample_weight=mask & False))
    assert ce.perplexity(z, t, sample_weight=mask & False, normalizer=2) == 1  # e^0
    with pytest.raises(IndexError, match=r"target\[4\] is 99"):
        ce.perplexity(z, t)


@of_indices
def test_fractions_under_a_mask(loss):
    p = case(loss, np.float64, (3, 4))
    expected = p.call(t=np.array([1, 2, 0]), sample_weight=[1, 1, 0])
    for bad in (0.5, np.nan, np.inf, 1e300):
        target = np.array([1, 2, bad])
        assert p.call(t=target, sample_weight=[1, 1, 0]) == expected
        with pytest.raises((ValueError, IndexError), match=r"^target\[2\] is"):
            p.call(t=target, sample_weight=[1, 0, 1])


@pytest.mark.parametrize("loss", [x for x in LOSSES if x.domain], ids=lambda loss: loss.label)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_a_weight_that_is_0_in_float32_only_masks_nothing(loss, reduction):
    p = case(loss, np.float32, (4,))
    for size in (1e-60, 1e-310):
        with pytest.raises(ValueError, match=r"^target\[2\] is 2\.0, not in"):
            p.call(reduction=reduction, t=np.float32([1, 1, 2, 1]), sample_weight=np.full(4, size))


@every_loss
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("code", ["f4", "f8", "?", "i8"])
def test_gradients_do_not_go_where_weights_are(loss, dtype, code):
    p = case(loss, dtype, (4, 3))
    memory = np.ones(256, np.uint8)
    v = memory.view(code)[: int(np.prod(p.items))].reshape(p.items)
    v[...] = 1
    out = memory[: p.x.nbytes].view(dtype).reshape(p.x.shape)
    before = memory.tobytes()
    for method in ("grad", "value_and_grad"):
        with pytest.raises(ValueError, match="out overlaps sample_weight"):
            p.call(method, sample_weight=v, out=out)
    with pytest.raises(ValueError, match=r"out\[0\] overlaps sample_weight"):
        p.call("grad_and_hess", sample_weight=v, out=(out, np.empty_like(out)))
    assert memory.tobytes() == before


# -- normalizer -----------------------------------------------------------------------------------


@every_loss
@every_dtype
def test_the_mean_over_nothing(loss, dtype):
    empty = case(loss, dtype, (3, 4))
    full = Case(loss, empty.x, empty.t, empty.fields)
    empty = Case(loss, empty.x[:0], empty.t[:0], empty.fields)
    masked = {"sample_weight": np.zeros(full.items, bool)}
    nothing = [(empty, {}), (full, masked), (empty, {"sample_weight": np.ones(empty.items)})]
    if loss.indices:
        nothing.append((Case(loss, full.x, np.full(3, -100), full.fields), {}))
    for p, call in nothing:
        assert np.isnan(p.call(**call))
        assert p.call(reduction="sum", **call) == 0
        for normalizer in (1.0, 0.25, 1e300, 1e-300):
            value, grad = p.call("value_and_grad", normalizer=normalizer, **call)
            assert_same_bits(value, value.dtype.type(0), "value")
            assert grad.shape == p.x.shape
            assert not (grad != 0).any()
            assert_same_bits(p.call(normalizer=normalizer, **call), value, "value alone")


NORMALIZE_NOTHING = [
    *((x, ValueError) for x in (0, 0.0, -0.0, -1, -1e-300, np.inf, -np.inf, np.nan, 10**400)),
    *((x, TypeError) for x in (True, False, np.True_, "1", b"1", [1.0], np.ones(1), 1j)),
]


@every_loss
def test_numbers_that_normalize_nothing(loss):
    p = case(loss, np.float32, (4, 3))
    calls = [
        functools.partial(p.call, method)
        for method in ("__call__", "grad", "value_and_grad", "grad_and_hess")
    ]
    calls.append(p.function)
    if loss.label == "cross_entropy":
        calls.append(functools.partial(ce.perplexity, p.x, p.t))
    for value, error in NORMALIZE_NOTHING:
        for call in calls:
            with pytest.raises(error, match="normalizer"):
                call(normalizer=value)


@every_loss
@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_only_a_mean_is_normalized(loss, reduction):
    p = case(loss, np.float32, (4, 3))
    for method in ("__call__", "grad", "value_and_grad", "grad_and_hess"):
        with pytest.raises(ValueError, match=rf"normalizer is 2\.0; .*'{reduction}'"):
            p.call(method, reduction, normalizer=2)
    with pytest.raises(ValueError, match="normalizer"):
        p.function(reduction=reduction, normalizer=2)
    assert np.ndim(p.call(reduction=reduction, normalizer=None)) == (reduction == "none") * len(
        p.items
    )


@every_loss
def test_every_real_number_normalizes(loss):
    p = case(loss, np.float64, (4, 3))
    expected = p.call(normalizer=2.0)
    for number in (2, np.int8(2), np.float16(2), np.array(2), np.longdouble(2)):
        assert_same_bits(p.call(normalizer=number), expected, repr(number))


# -- weights as large and small as there are ------------------------------------------------------

EXTREMES = [1e308, 1.7e308, 1e300, 1e160, 1e-160, 1e-300, 1e-310, 1e-320, 5e-324]
EXTREMES_OF_FLOAT32 = [1e39, 1e60, 1e38, 1e-38, 1e-44, 1e-60]
PAIRS_OF_EXTREMES = [
    (None, 1e308), (None, 1e-320), (None, 1e39), (None, 1e-60), (1e300, 1e300), (1e-200, 1e-200),
    (1e-320, 1e-320), (1e308, 1e-308), (1e30, 1e30), (1e-30, 1e-30),
]  # fmt: skip


def assert_close(got, exact: Exact, dtype, what: str) -> None:
    """Scaled weights cost a rounding or two more: 4 u."""
    error = exact.error + 4 * UNIT[np.dtype(real(dtype))] * abs(exact.value)
    assert_within(got, Exact(exact.value, error), what)


@every_loss
@compared_dtypes
def test_extreme_sample_weights(loss, dtype, isa):
    """Of equal ones the mean is the plain mean of what is counted."""
    for shape in ((2, 4), (37, 11)):
        p = fixed_case(loss, dtype, shape)
        exact = truth(p)
        for size in EXTREMES + EXTREMES_OF_FLOAT32:
            v = np.full(p.items, size)
            assert_close(p.call(sample_weight=v), exact.loss, dtype, f"mean with {size}")
            grad, hess = p.call("grad_and_hess", sample_weight=v)
            assert_close(grad, exact.grad, dtype, f"gradient with {size}")
            assert_close(hess, exact.hess, dtype, f"Hessian with {size}")


@pytest.mark.parametrize(
    "loss", [loss for loss in LOSSES if loss.label in PRODUCTS], ids=lambda loss: loss.label
)
@compared_dtypes
@pytest.mark.parametrize(("v", "w"), PAIRS_OF_EXTREMES)
def test_extreme_products_of_weights(loss, dtype, v, w, isa):
    """Weights of classes are of the computing type: those that it does not hold are left out."""
    info = np.finfo(real(dtype))
    if loss in OF_CLASSES and not float(info.tiny) <= w <= float(info.max):
        return
    for shape in ((2, 4), (37, 11)):
        exact = truth(fixed_case(loss, dtype, shape))
        p = case(loss, dtype, shape)
        p.fields["weight"] = np.full(shape[1] if loss in OF_CLASSES else shape, w)
        call = {} if v is None else {"sample_weight": np.full(p.items, v)}
        assert_close(p.call(**call), exact.loss, dtype, "mean")
        grad, hess = p.call("grad_and_hess", **call)
        assert_close(grad, exact.grad, dtype, "gradient")
        assert_close(hess, exact.hess, dtype, "Hessian")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_that_add_up_to_infinity(dtype):
    """By hand: log(1 + e^-1) and log(1 + e^-2), their mean."""
    z = np.array([[0, 1], [0, 2]], dtype)
    mean = (np.log1p(np.exp(WIDE(-1))) + np.log1p(np.exp(WIDE(-2)))) / 2
    for size in EXTREMES + EXTREMES_OF_FLOAT32:
        got = ce.cross_entropy(z, [1, 1], sample_weight=[size, size])
        assert abs(got - mean) <= 8 * UNIT[np.dtype(dtype)] * mean, size
    assert ce.cross_entropy(z, [1, 1], sample_weight=[1e308, 0]) == ce.cross_entropy(z[0], 1)
    both = [1e308, -1e308] * 15 + [0, 1]  # sums of either sign are infinite, that of all is not
    criterion = ce.CrossEntropyLoss()
    assert criterion.sums(np.resize(z, (32, 2)), [1] * 32, sample_weight=both)[1] == 1
    both[3] = np.inf
    assert criterion.sums(np.resize(z, (32, 2)), [1] * 32, sample_weight=both)[1] == np.inf


@compared_dtypes
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("classes", [50, 300, 3000])
def test_small_class_weights_with_label_smoothing(dtype, order, classes, isa, rng):
    """The mean stays what it is when all weights are times one number, by rows and by lanes.

    The smoothing adds up as many terms as there are classes, each of them rounded.
    """
    eps, wide = WIDE(0.1), real(dtype)
    z = np.array(rng.normal(size=(3, classes)), dtype, order=order)
    t = rng.integers(0, classes, 3)
    for exponent in (0, -85, -108, -120) if wide == np.float32 else (0, -960, -1000, -1015):
        w = (rng.random(classes) + 0.5).astype(wide) * wide(2.0**exponent)
        x, u = z.astype(WIDE), w.astype(WIDE)
        losses = np.log(np.exp(x).sum(1))[:, None] - x
        terms = (1 - eps) * u[t] * losses[np.arange(3), t] + eps / classes * (losses @ u)
        got = ce.cross_entropy(z, t, weight=w, label_smoothing=0.1)
        mean = terms.sum() / u[t].sum()
        assert abs(got - mean) <= 16 * UNIT[np.dtype(wide)] * mean, exponent
        for v in (1e-300, 1e-60, 1e300) if exponent == 0 else ():
            got = ce.cross_entropy(z, t, weight=w, label_smoothing=0.1, sample_weight=[v] * 3)
            assert abs(got - mean) <= 16 * UNIT[np.dtype(wide)] * mean, v


# -- shapes and dtypes ----------------------------------------------------------------------------


@every_loss
def test_what_no_sample_weight_is(loss):
    p = case(loss, np.float32, (4, 3))
    bad = [np.zeros(p.items, code) for code in ("c16", "O", "U1", "M8[s]", "m8[s]")]
    for v in bad:
        for method in ("__call__", "grad", "grad_and_hess"):
            with pytest.raises(TypeError, match="sample_weight"):
                p.call(method, sample_weight=v)
    shapes = [(3,), (4, 1), (4, 3), ()] if p.of_classes else [(4,), (3, 4), (2, 4, 3)]
    for shape in shapes:
        for method in ("__call__", "grad", "grad_and_hess"):
            with pytest.raises(ValueError, match="sample_weight has shape"):
                p.call(method, sample_weight=np.ones(shape))
