"""The same bits, proven: the results of golden.txt, by the public interface.

tests/c/golden.c runs the same lines without Python, on arm64, too. Every number of an input is an
integer from a hash of its position, times a power of two (tests/c/golden_numbers.h): change both.
Instruction sets without fused multiply-add are left out: they have other bits.
"""

from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pytest
from oracle import FUNCTIONS, LOSSES
from oracle.exact import BFLOAT16
from threadpoolctl import threadpool_limits

import ce

FUSED = [name for name in ce._core.isas() if ce._core.isa_facts(name)["fused"]]
THREADS = [1, 2, 3, 8]
MANY = 10_000  # elements; fewer are not shared among threads
# Digits, exponent of the smallest subnormal number, and that of infinity.
FLOATS = {
    row["name"]: (row["digits"], row["least"], row["most"])
    for row in ce._core.dtypes()
    if row["digits"]
}
NUMBERS = {row["keyword"]: row for row in ce._core.options() if "least" in row}
PER_CALL = ("normalizer", "hess_scale", "hess_floor")
ROWS = {row["name"]: row for row in ce._core.losses()}
# What arrays hold: z logits, l log-probabilities, p probabilities, t class indices.
KINDS = {
    "logits": "z", "log_probs": "l", "probs": "p", "unit": "p", "numbers": "z", "classes": "t",
    "upstreams": "z",
}  # fmt: skip
# The class with what tells its rows apart, or the function.
CALLEES = {row.core: getattr(ce, row.name) for row in FUNCTIONS}
CALLEES["token_stats"] = ce.token_stats
CALLEES["kl_div_with_logits"] = partial(ce.KLDivWithLogitsLoss, axis=1)
CALLEES["reverse_kl_div_with_logits"] = partial(ce.KLDivWithLogitsLoss, axis=1, reverse=True)
CALLEES["js_div_with_logits"] = partial(ce.JSDivWithLogitsLoss, axis=1)
CALLEES["entropy_from_logits"] = partial(ce.EntropyFromLogitsLoss, axis=1)
CALLEES |= {row.core: partial(getattr(ce, row.criterion), **row.fixed) for row in LOSSES}
# The arrays of a job in ce.h.
Z, OTHER, TARGET, V, POS, UPSTREAM, WEIGHT, VECTOR, WHERE = 0, 3, 4, 5, 6, 7, 9, 10, 11
EXTRA = 11


def mix(x):
    """splitmix64."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return x ^ x >> np.uint64(31)


def hashes(array, count):
    """What the numbers of an array are made of."""
    return mix(mix(np.full(1, array, np.uint64)) + np.arange(count, dtype=np.uint64))


def top(h, digits):
    return (h >> np.uint64(64 - digits)).astype(np.int64)


def signed(h, digits, exponent):
    whole = (top(h, digits) - (1 << (digits - 1))).astype(np.float64)
    return np.ldexp(whole, exponent + 1 - digits)


def logits(h, item, dtype, options):
    digits, least, most = FLOATS[dtype]
    kind, low = item % 8, h % np.uint64(16)
    if "extreme" in options:
        largest = np.ldexp(1 - 2.0**-digits, most)
        z = np.where(kind == 7, signed(h, digits, 9), signed(h, digits, 2))
        z[(kind == 2) | ((kind == 1) & (low % 4 == 0))] = -np.inf
        z[(kind == 3) & (low == 0)] = np.nan
        z[(kind == 4) & (low == 0)] = np.inf
        return np.where(kind == 5, np.where(top(h, 1) == 1, largest, -largest), z)
    z = signed(h, digits, np.array([2, 2, 4, 7, 0, 0, -12, -3])[kind])
    z = np.where(kind == 4, top(h, 3) - 4.0, z)
    z = np.where(kind == 5, 96 + signed(h, digits - 1, 5), z)
    if "subnormal" in options:
        z = np.where(kind == 6, signed(h, digits, least + digits - 1), z)
    return z


def probabilities(h, item, dtype, options):
    digits, least, _ = FLOATS[dtype]
    tiny = (item % 8 == 6) & ("subnormal" in options)
    p = np.ldexp(top(h, digits).astype(np.float64), np.where(tiny, least, -digits))
    return np.where(h % np.uint64(8) < 2, (h % np.uint64(8)).astype(np.float64), p)


def weights(h):
    return np.where(h % np.uint64(16) == 0, 0, (top(h, 6) + 32) / 64)


def is_numpys(dtype):
    """Whether NumPy, or ml_dtypes, has it; golden.c runs the lines of others."""
    try:
        np.dtype(dtype)
    except TypeError:
        return False
    return True


def in_order(x, order):
    if order == "F":
        return np.asfortranarray(x)
    if order == "S":
        memory = np.empty((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
        memory[..., ::2] = x
        return memory[..., ::2]
    return x


@dataclass
class Line:
    """One line of golden.txt."""

    loss: str
    dtype: str
    shape: str
    order: str
    reduction: str
    listed: str
    value: str
    gradient: str
    hessian: str

    @cached_property
    def options(self):
        return dict(x.partition("=")[::2] for x in self.listed.split(","))

    @cached_property
    def by_class(self):
        return ROWS[self.loss]["has_classes"]

    @cached_property
    def dims(self):
        return tuple(map(int, self.shape.split("x")))

    @cached_property
    def items(self):
        return self.dims[:1] + self.dims[2:] if self.by_class else self.dims

    def numbers(self, array, kind):
        """An array of the shape of the logits.

        Weights of elements were at the place of sample weights once, and are made of its hashes.
        """
        position = np.arange(np.prod(self.items)).reshape(self.items)
        item = np.expand_dims(position, 1) if self.by_class else position
        item = np.broadcast_to(item, self.dims).ravel()
        h = hashes({V: WEIGHT, WEIGHT: V}.get(array, array), item.size)
        if kind == "p":
            x = probabilities(h, item, self.dtype, self.options)
        elif kind == "w":
            x = weights(h)
        elif kind == "u":
            x = signed(h, 8, 0)
        else:
            x = logits(h, item, self.dtype, self.options)
            x = -abs(x) if kind == "l" else x
        dtype = self.real if array == V else self.dtype
        return in_order(x.astype(dtype).reshape(self.dims), self.order)

    def of_items(self, array, make):
        """One number for each item, of the computing type; element-wise in the input's layout."""
        if not self.by_class:
            return self.numbers(array, "u" if array == UPSTREAM else "w")
        x = make(hashes(array, int(np.prod(self.items))))
        return x.astype(self.real).reshape(self.items)

    @cached_property
    def real(self):
        return np.float64 if self.dtype == "float64" else np.float32

    def target(self):
        h = hashes(TARGET, int(np.prod(self.items)))
        t = (h % np.uint64(self.dims[1])).astype(np.int64)
        return np.where(("ignore" in self.options) & (top(h, 3) == 0), -100, t).reshape(self.items)

    def arrays(self):
        """Input, target (or second input, or None), and what else a method takes."""
        first, second = (KINDS.get(ROWS[self.loss][which]) for which in ("first", "second"))
        x, y, more = self.numbers(Z, first), None, {}
        if second == "t":
            y = self.target()
        elif second:
            y = self.numbers(OTHER, second)
        if "v" in self.options:
            more["sample_weight"] = self.of_items(V, weights)
        if "where" in self.options:
            open_ = hashes(WHERE, int(np.prod(self.dims))) >> np.uint64(61) != 0
            more["where"] = in_order(open_.reshape(self.dims), self.order)
        if "normalizer" in self.options:
            more["normalizer"] = self.number("normalizer")
        if "vector" in self.options:
            more["vector"] = self.numbers(VECTOR, "z")
        if self.has_upstream:
            more["grad_output"] = self.of_items(UPSTREAM, lambda h: signed(h, 8, 0))
        return x, y, more

    @cached_property
    def has_upstream(self):
        return "upstream" in self.options or ROWS[self.loss]["second"] == "upstream_items"

    def number(self, keyword):
        """An option, which may have another name in the file; None where it is not given."""
        row = NUMBERS[keyword]
        short = {"label_smoothing": "smoothing", "beta": "delta"}.get(keyword, keyword)
        value = float(self.options.get(short, row["absent"]))
        return value if row["least"] <= value <= row["most"] else None

    def criterion(self):
        keywords = ROWS[self.loss]["options"]
        made = {"reduction": self.reduction}
        numbers = (k for k in keywords if k in NUMBERS and k not in PER_CALL)
        made |= {k: self.number(k) for k in numbers if not self.is_array(k)}
        if "w" in self.options:
            made["weight" if "weight" in keywords else "alpha"] = self.weights()
        if "pos" in self.options:
            made["pos_weight"] = self.numbers(POS, "w")
        return CALLEES[self.loss](**made)

    def weights(self):
        """Of classes, or of elements."""
        if not self.by_class:
            return self.numbers(WEIGHT, "w")
        return weights(hashes(WEIGHT, self.dims[1])).astype(self.real)

    def is_array(self, keyword):
        """The alpha of losses of classes is one number for each."""
        return keyword == "alpha" and self.by_class


def read_lines():
    text = (Path(__file__).parents[1] / "golden.txt").read_text()
    lines = [Line(*s.split()) for s in text.splitlines() if s and s[0] != "#"]
    assert BFLOAT16.name in {line.dtype for line in lines if is_numpys(line.dtype)}
    return [line for line in lines if is_numpys(line.dtype)]


LINES = read_lines()


def hash_of(x, begin=0):
    """Of the bits of each number and its position; every NaN counts as the same."""
    if isinstance(x, ce.TokenStats):
        return hash_of_stats(x)
    x = np.ascontiguousarray(x).reshape(-1)
    bits = x.view(f"u{x.dtype.itemsize}").astype(np.uint64)
    bits[np.isnan(x)] = ~np.uint64(0)
    position = mix(np.arange(x.size, dtype=np.uint64) + np.uint64(begin))
    return f"{int(mix(bits ^ position).sum(dtype=np.uint64)):016x}"


def hash_of_stats(stats):
    """Of all fields together, each at positions of its own."""
    total = 0
    for a, name in enumerate(f.name for f in fields(ce.TokenStats)):
        x = getattr(stats, name)
        if x is not None:
            total += int(hash_of(x, a << 32), 16)
    return f"{total % 2**64:016x}"


def copy_of(x):
    """In the same layout, gaps included: results hang on that."""
    last = sum((n - 1) * step for n, step in zip(x.shape, x.strides, strict=True))
    memory = np.empty(last // x.itemsize + 1, x.dtype)
    copy = np.lib.stride_tricks.as_strided(memory, x.shape, x.strides)
    copy[...] = x
    return copy


def by_function(line, x, y, more):
    """Of functions along an axis: what was asked, which result it is, the result."""
    function = CALLEES[line.loss]
    if line.loss == "token_stats":
        options = {k: line.number(k) for k in ("logit_scale", "softcap", "temperature")}
        options |= {"top_k": int(line.options.get("top", 0))}
        if "extra" in line.options:
            h = hashes(EXTRA, len(y.ravel()) * int(line.options["extra"])).reshape(*y.shape, -1)
            options["extra"] = (h % np.uint64(x.shape[1])).astype(np.int64)
        yield "statistics", "hessian", ce.token_stats(x, y, **options, axis=1)
    elif line.reduction == "perplexity":
        yield "perplexity", "value", ce.perplexity(x, y, **more)
    elif line.has_upstream:
        g = more["grad_output"]
        yield "logsumexp_backward", "gradient", ce.logsumexp_backward(g, x, axis=1)
        place = copy_of(x)
        yield "in place", "gradient", ce.logsumexp_backward(g, place, axis=1, out=place)
    elif line.value != "-":
        yield "value", "value", function(*((x,) if y is None else (x, y)), axis=1)
    else:
        inputs = (x,) if y is None else (y, x)
        yield "gradient", "gradient", function(*inputs, axis=1)
        yield "out", "gradient", function(*inputs, axis=1, out=np.full_like(x, 7))
        place = copy_of(x)
        yield "in place", "gradient", function(*inputs[:-1], place, axis=1, out=place)


def by_criterion(line, x, y, more):
    """The same of losses."""
    criterion, more = line.criterion(), dict(more)
    others = () if y is None else (y,)
    upstream = {k: more.pop(k) for k in ["grad_output"] if k in more}
    policy = next((h for h in ("gauss_newton", "abs", "bound") if h in line.options), "exact")
    if "vector" in line.options:
        vector = more.pop("vector")
        more |= upstream | {"hessian": policy}
        yield "hess_vec", "gradient", criterion.hess_vec(x, *others, vector, **more)
        place = copy_of(vector)
        yield "in place", "gradient", criterion.hess_vec(x, *others, place, **more, out=place)
        return
    curves = {name: line.number(name) for name in ("hess_scale", "hess_floor")}
    options = {"hessian": policy} | curves | upstream | more
    if "narrow" in line.options:
        out = [copy_of(x).astype(np.float32) for _ in range(2)]
        criterion.grad_and_hess(x, *others, **options, out=tuple(out))
        yield "narrow", "gradient", out[0]
        yield "narrow", "hessian", out[1]
        return
    if "stats" in line.options:
        place = copy_of(x)
        for out in (None, np.full_like(x, 7), place):
            z = place if out is place else x
            value, grad, stats = criterion.value_and_grad(z, *others, **more, out=out, stats=True)
            yield "value_and_grad, stats", "value", value
            yield "value_and_grad, stats", "gradient", grad
            yield "value_and_grad, stats", "hessian", stats
        return
    yield "value", "value", criterion(x, *others, **more)
    if line.hessian != "-":
        grad, hess = criterion.grad_and_hess(x, *others, **options)
        yield "grad_and_hess", "gradient", grad
        yield "grad_and_hess", "hessian", hess
    yield "grad", "gradient", criterion.grad(x, *others, **more, **upstream)
    place = copy_of(x)
    if upstream:
        yield (
            "grad in place",
            "gradient",
            criterion.grad(place, *others, **more, **upstream, out=place),
        )
        return
    for how, out in (("fresh", None), ("out", np.full_like(x, 7)), ("in place", place)):
        z = place if out is place else x
        value, grad = criterion.value_and_grad(z, *others, **more, out=out)
        yield f"value_and_grad, {how}", "value", value
        yield f"value_and_grad, {how}", "gradient", grad


def results(line, x, y, more):
    """All results of a line, by all the ways that lead to them."""
    functional = not isinstance(CALLEES[line.loss], partial)
    return (by_function if functional or line.reduction == "perplexity" else by_criterion)(
        line, x, y, more
    )


def pieces(line, arrays):
    """The results of a batch that was cut, joined."""
    x, y, more = arrays
    n, joined = len(x), {}
    for part in (slice(0, 1), slice(1, 1 + n // 3), slice(1 + n // 3, n)):
        if len(x[part]) == 0:
            continue
        cut = x[part], None if y is None else y[part], {k: v[part] for k, v in more.items()}
        for how, which, result in results(line, *cut):
            joined.setdefault((how, which), []).append(result)
    return [(f"{how}, in pieces", which, np.concatenate(x)) for (how, which), x in joined.items()]


@pytest.fixture(params=FUSED)
def fused(request):
    """Each instruction set with fused multiply-add that this machine can run, in turn."""
    before = ce._core.isa()
    ce._core.use_isa(request.param)
    ce._core.set_cpus(max(THREADS))
    with threadpool_limits(max(THREADS), user_api="openmp"):
        yield request.param
    ce._core.set_cpus(ce._process.available_cpus())
    ce._core.use_isa(before)


@pytest.mark.parametrize("loss", ROWS)
def test_golden(loss, fused):
    wrong = []
    for line in (line for line in LINES if line.loss == loss):
        arrays = line.arrays()
        found = []
        for threads in THREADS if arrays[0].size >= MANY else [8]:
            with ce.threads(threads):
                found += [(f"{h}, {threads} threads", w, r) for h, w, r in results(line, *arrays)]
        weighted = not line.by_class and {"w", "pos"} & line.options.keys()
        if line.reduction == "none" and not weighted and "stats" not in line.options:
            found += pieces(line, arrays)
        wrong += [
            f"{how}: {which} of {line.dtype} {line.shape} {line.order} {line.reduction} "
            f"{line.listed}"
            for how, which, result in found
            if hash_of(result) != getattr(line, which)
        ]
    assert not wrong, f"{len(wrong)} differ:\n" + "\n".join(wrong[:20])


def test_every_loss_has_lines():
    assert {line.loss for line in LINES} == set(ROWS)
    assert {line.dtype for line in LINES} == set(filter(is_numpys, FLOATS))
