"""The table of calls: every public function and method, called rightly and in each wrong way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from oracle import FUNCTIONS, LOSSES, Loss
from oracle.exact import BFLOAT16

import ce

# What is wrong with the options that the rows do not have; theirs are in the rows.
WRONG_FIELDS = {"axis": (5, 1.0), "reduction": ("average", None)}


@dataclass(frozen=True, eq=False)
class Call:
    """One call: error is what it must raise; make is called with fields, for the function."""

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)
    error: tuple[type[Exception], ...] = ()
    method: str = ""
    fields: dict[str, Any] = field(default_factory=dict)

    def __call__(self, lend=lambda x: x) -> None:
        """Call it; arguments, but for outputs, pass through `lend` first."""
        args = [lend(x) for x in self.args]
        options = {k: v if k == "out" else lend(v) for k, v in self.options.items()}
        fields = {k: lend(v) for k, v in self.fields.items()}
        try:
            function = self.function
            if self.method:
                function = getattr(function(**fields), self.method)
            function(*args, **options)
        except self.error:
            return
        assert not self.error, "there is no error"

    @property
    def arguments(self) -> list[Any]:
        """All that is passed in."""
        passed = [*self.args, *self.options.values(), *self.fields.values()]
        return [y for x in passed for y in (x if isinstance(x, tuple) else (x,))]


class Unreadable:
    """It promises to be an array."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("unreadable")


def released():
    view = memoryview(np.zeros(3, np.float32))
    view.release()
    return view


def no_arrays():
    return {
        "complex": np.zeros((4, 3), complex), "text": np.full((4, 3), "a"), "None": None,
        "objects": np.zeros((4, 3), object), "dates": np.zeros((4, 3), "M8[s]"),
        "record": np.zeros((4, 3), "f4,f4"), "unreadable": Unreadable(), "released": released(),
    }  # fmt: skip


def problem(loss: Loss, dtype=np.float32):
    """Arguments in (0, 1), which every loss takes."""
    x = np.linspace(0.125, 0.875, 12).reshape(4, 3).astype(dtype)
    return x, np.array([0, 1, 2, 0]) if loss.indices else x[::-1, ::-1].copy()


def right(loss: Loss):
    """(method, arguments, options of the call, fields)."""
    for dtype in (np.float32, np.float64, np.float16, BFLOAT16.type):
        x, t = problem(loss, dtype)
        yield "value_and_grad", (x, t), {}, {}
        yield "value_and_grad", (x, t), {"out": np.empty_like(x)}, {"reduction": "none"}
        yield "grad_and_hess", (x, t), {"out": (np.empty_like(x), np.empty_like(x))}, {}
    x, t = problem(loss)
    yield "__call__", (x, t), {}, {"reduction": "none"}
    yield "grad", (x, t), {"grad_output": 2.0}, {}
    yield "grad_and_hess", (x, t), {}, {}
    yield "value_and_grad", (x.astype(">f4"), t.astype(t.dtype.newbyteorder())), {}, {}
    yield "grad", (x, t), {"out": np.empty((4, 6), np.float32)[:, ::2]}, {}
    yield "grad", (x, t), {"out": np.empty((4, 3), np.float32, "F")}, {}
    yield "grad", (x, t), {"out": np.empty((4, 3), np.float32)[::-1]}, {}
    yield "__call__", (x.tolist(), t.tolist()), {}, {}
    if not loss.domain:  # or else a gradient is no input
        yield "grad", (x, t), {"out": x}, {}
    g = np.ones(4 if loss.classes else (4, 3), np.float32)
    yield "grad", (x, t), {"grad_output": g}, {"reduction": "none"}
    for v in (g, g.astype(int), g.astype(bool), g.astype(float)):
        yield "grad", (x, t), {"sample_weight": v}, {}
    yield "grad_and_hess", (x, t), {"sample_weight": 0 * g, "normalizer": 2.0}, {}
    yield "value_and_grad", (x, t), {"sample_weight": g}, {"reduction": "none"}
    w = np.ones(3, np.float32)
    if not loss.classes:
        for v in (w, np.repeat(w, 2)[::2], g[:, :1], 1.0):
            yield "grad", (x, t), {"sample_weight": v}, {}
    yield from wide(loss, x, t)
    yield from curved(loss, x, t)
    for weight in loss.weights:
        for v in (w, w.astype(int), np.repeat(w, 2)[::2], w.tolist()):
            yield "value_and_grad", (x, t), {}, {weight: v}
    large = np.full((20, 1000) if loss.classes else (60, 3000), 0.5, np.float32)
    v = np.arange(20) % 3 if loss.classes else np.arange(3000) % 3
    labels = np.zeros(20, int)
    for more in ({}, {"sample_weight": v}):
        target = labels if loss.indices else large
        yield "grad", (large, target), {"out": np.empty_like(large)} | more, {}


def wide(loss: Loss, x, t):
    """What is computed with in float64: integers, and targets wider than the input."""
    whole = np.zeros(x.shape, int)
    for given in (whole, whole.astype(bool), whole.tolist()):
        yield "grad", (given, t), {"out": np.empty(x.shape)}, {}
    for dtype in (np.float32, np.float16, BFLOAT16.type):
        z, out = x.astype(dtype), np.empty(x.shape, dtype)
        yield "value_and_grad", (z, t.astype(np.float64)), {"out": out}, {}
    if not loss.domain:
        yield "grad", (z, t.astype(np.float64)), {"out": z}, {}
    v = np.ones(4 if loss.classes else (4, 3))
    yield "grad_and_hess", (x, t.astype(np.float64)), {"sample_weight": v}, {}


def curved(loss: Loss, x, t):
    """Hessians and what is made of them; sums."""
    g, wide_x = np.ones(4 if loss.classes else (4, 3), np.float32), x.astype(np.float64)
    yield "grad_and_hess", (x, t), {"hessian": "abs", "hess_scale": 2.0, "hess_floor": 0}, {}
    out = np.empty((4, 3), np.float32), np.empty((4, 3), ">f4")
    yield "grad_and_hess", (wide_x, t), {"out": out, "hessian": "gauss_newton"}, {}
    yield "grad", (wide_x, t), {"out": out[1]}, {}
    yield "sums", (x, t), {"sample_weight": g}, {"reduction": "none"}
    yield "sums", (np.asfortranarray(x), t), {}, {}
    for vector in (x, x.astype(">f4"), np.asfortranarray(x), x.astype(int), x.tolist(), wide_x):
        yield "hess_vec", (x, t, vector), {"sample_weight": g, "grad_output": 2.0}, {}
    for dtype in (np.float64, np.float16, BFLOAT16.type):
        z = np.asfortranarray(x.astype(dtype))
        yield "hess_vec", (z, t, x), {"out": np.empty_like(z)}, {}
    yield "hess_vec", (wide_x, t, x), {"out": np.empty((4, 3), np.float32)}, {}
    into = x.copy()
    yield "hess_vec", (x, t, into), {"out": into, "hessian": "gauss_newton"}, {}
    large = np.full((20, 1000) if loss.classes else (60, 3000), 0.5, np.float32)
    target = np.zeros(20, int) if loss.indices else large
    yield "hess_vec", (large, target, large.copy()), {}, {}
    yield "sums", (large, target), {}, {}


def wrong(loss: Loss):
    """The same, with what is wrong."""
    x, t = problem(loss)
    for name, no_array in no_arrays().items():
        yield "input: " + name, "grad", (no_array, t), {}, {}
        yield "target: " + name, "grad", (x, no_array), {}, {}
        if no_array is not None:
            yield "sample_weight: " + name, "grad", (x, t), {"sample_weight": no_array}, {}
        for weight in loss.weights if no_array is not None else ():
            yield f"{weight}: {name}", "grad", (x, t), {}, {weight: no_array}
        if no_array is not None:
            options = {"grad_output": no_array}
            yield "grad_output: " + name, "grad", (x, t), options, {"reduction": "none"}
    for name, no_array in no_arrays().items():
        yield "vector: " + name, "hess_vec", (x, t, no_array), {}, {}
    for vector in (x[:3], x[:, 0], x[None]):
        yield "shape of the vector", "hess_vec", (x, t, vector), {}, {}
    for hessian in ("abs", "bound", "newton", None):
        yield f"hessian: {hessian}", "hess_vec", (x, t, x), {"hessian": hessian}, {}
    for hessian in ("newton", None, b"abs"):
        yield f"hessian: {hessian}", "grad_and_hess", (x, t), {"hessian": hessian}, {}
    for number in (0, -1.0, np.inf, np.nan, True, "1", None):
        yield f"hess_scale: {number}", "grad_and_hess", (x, t), {"hess_scale": number}, {}
    for number in (-1.0, np.inf, np.nan, True, "1"):
        yield f"hess_floor: {number}", "grad_and_hess", (x, t), {"hess_floor": number}, {}
    yield "sums: normalizer", "sums", (x, t), {"normalizer": 1.0}, {}
    for number in (0, -1.0, np.inf, np.nan, True, "1"):
        yield f"normalizer: {number}", "grad", (x, t), {"normalizer": number}, {}
    for reduction in ("sum", "none"):
        yield "normalizer", "grad", (x, t), {"normalizer": 1.0}, {"reduction": reduction}
    if loss.indices:
        yield "fraction", "value_and_grad", (x, t + 0.5), {"out": np.empty_like(x)}, {}
        yield "NaN", "value_and_grad", (x, t + np.nan), {"out": np.empty_like(x)}, {}
        bad = t.copy()
        bad[-1] = 3
        yield "index", "value_and_grad", (x, bad), {"out": np.empty_like(x)}, {}
        large, labels = np.zeros((20, 1000), np.float32), np.zeros(20, int)
        labels[19] = 1000
        yield "index of many", "grad", (large, labels), {"out": large}, {}
    if loss.domain:
        low, high = loss.domain
        for args in ((x, t + high), (x + high, t), (x, t + low - 1), (x + low - 1, t)):
            yield "outside", "value_and_grad", args, {"out": np.empty_like(x)}, {}
    yield "shape of the target", "grad", (x, t[:3]), {}, {}
    whole = np.zeros((4, 3), int)
    yield "integers in place", "grad", (whole, t), {"out": whole}, {}
    yield "shape of grad_output", "grad", (x, t), {"grad_output": t[:3]}, {"reduction": "none"}
    yield "grad_output of the mean", "grad", (x, t), {"grad_output": x}, {}
    yield "unknown option", "grad", (x, t), {"nonesuch": x}, {}
    for v in (x, x[:3, 0]) if loss.classes else (x[:3], x[:, 0], x[None, None]):
        yield "shape of sample_weight", "grad", (x, t), {"sample_weight": v}, {}
    if loss.classes:
        yield "no class axis", "grad", (x[0, 0], t), {}, {}
    read_only = np.empty_like(x)
    read_only.flags.writeable = False
    memory = np.full(24, 0.5, np.float32)
    low = memory[:12].reshape(4, 3)
    for name, z, out in (
        ("shape", x, np.empty((3, 4), np.float32)), ("dtype", x, np.empty((4, 3))),
        ("read-only", x, read_only), ("no array", x, x.tolist()), ("other", x, memoryview(x)),
        ("meets itself", x, np.broadcast_to(x[:1], (4, 3))),
        ("meets the input", low, memory[3:15].reshape(4, 3)), ("reversed", low, low[::-1]),
    ):  # fmt: skip
        for method in ("grad", "value_and_grad"):
            yield "out: " + name, method, (z, t), {"out": out}, {}
        yield "out[0]: " + name, "grad_and_hess", (z, t), {"out": (out, np.empty_like(x))}, {}
        yield "out[1]: " + name, "grad_and_hess", (z, t), {"out": (np.empty_like(x), out)}, {}
    yield "out: no pair", "grad_and_hess", (x, t), {"out": x}, {}
    yield "out: twice", "grad_and_hess", (x, t), {"out": (low, low)}, {}
    rows = [row for row in LOSSES if row.criterion == loss.criterion]
    options = {name: option for row in rows for name, option in row.options.items()}
    values = {name: [wrong.value for wrong in o.wrong] for name, o in options.items()}
    fields = getattr(ce, loss.criterion).__dataclass_fields__
    values |= {name: WRONG_FIELDS[name] for name in sorted(fields.keys() & WRONG_FIELDS.keys())}
    for name in values:
        for value in values[name]:
            what = f"of shape {value.shape}" if isinstance(value, np.ndarray) else repr(value)[:9]
            yield f"{name}: {what}", "value_and_grad", (x, t), {}, {name: value}


RNG = np.random.default_rng(0)
REFUSED = (TypeError, ValueError, IndexError)


def of_losses():
    for loss in LOSSES:
        make = getattr(ce, loss.criterion)
        for method, args, options, fields in right(loss):
            name = f"{loss.label}, {method}"
            yield Call(name, make, args, options, (), method, loss.fixed | fields)
        for what, method, args, options, fields in wrong(loss):
            name = f"{loss.label}, {what}"
            yield Call(name, make, args, options, REFUSED, method, loss.fixed | fields)
        x, t = problem(loss)
        yield Call(loss.label, getattr(ce, loss.name), (x, t), loss.fixed)
        yield Call(loss.label, getattr(ce, loss.name), (x, None), loss.fixed, REFUSED)


def of_functions():
    """Those that are no losses: along an axis, and the others."""
    x, t = np.full((4, 3), 0.5, np.float32), np.array([0, 1, 2, 0])
    large, labels = np.full((20, 1000), 0.5, np.float32), np.full(20, 999)
    into = {}
    for row in FUNCTIONS:
        function = getattr(ce, row.name)
        args, many = (
            tuple(np.full(z.shape, 0.5, np.float32) for z in row.arrays(RNG, shape, 1, np.float32))
            for shape in ((4, 3), (20, 1000))
        )
        into[function] = args
        yield Call("right", function, args)
        yield Call("foreign", function, tuple(z.astype(">f4") for z in args))
        yield Call("large", function, many)
        for axis in (5, 0.5, (0, 0)):
            yield Call("axis", function, args, {"axis": axis}, REFUSED)
        if row.out:
            fit = np.zeros(4 if row.drops else (4, 3), np.float32)
            yield Call("out", function, args, {"out": fit})
            met = np.full(20, 0.5, np.float32)
            shared = met[2 : 2 + fit.size].reshape(fit.shape)
            args = (*args[:-1], met[:12].reshape(4, 3))
            for out in (np.empty((2, 2), np.float32), fit.astype(int), fit.tolist(), shared):
                yield Call("wrong out", function, args, {"out": out}, REFUSED)
    into |= {ce.perplexity: (x, t), ce.one_hot: (t, 3)}
    for function, args in into.items():
        for name, no_array in no_arrays().items():
            for i in range(1 if function is ce.one_hot else len(args)):
                given = (*args[:i], no_array, *args[i + 1 :])
                yield Call(f"{name} for {i}", function, given, {}, REFUSED)
    for function, args in into.items():
        if len(args) > 1 and function is not ce.one_hot:
            yield Call("shape", function, (args[0][:3], args[1]), {}, REFUSED)
    yield Call("right", ce.perplexity, (x, t))
    yield Call("right", ce.perplexity, (x, t), {"sample_weight": t % 2 == 0})
    yield Call("right", ce.perplexity, (x, t), {"sample_weight": t / 2, "normalizer": 2})
    yield Call("wrong", ce.perplexity, (x, t), {"normalizer": True}, REFUSED)
    yield Call("wrong", ce.perplexity, (x, t), {"sample_weight": x}, REFUSED)
    yield Call("large", ce.perplexity, (large, labels))
    yield Call("index", ce.perplexity, (large, labels + 1), {}, REFUSED)
    yield Call("right", ce.one_hot, (t, 3))
    yield Call("whole", ce.one_hot, (t.astype(float), 3))
    for args in ((t, 2), (-t, 3), (t, 2.5), (t + 0.5, 3), (t + np.nan, 3)):
        yield Call("wrong", ce.one_hot, args, {}, REFUSED)
    yield Call("axis", ce.one_hot, (t, 3), {"axis": 5}, REFUSED)
    for count in (0, 1.5):
        yield Call("wrong", ce.set_num_threads, (count,), {}, REFUSED)
    yield Call("wrong", ce.show_config, ("nonesuch",), {}, REFUSED)


def of_statistics():
    """Statistics of items, and log-probabilities of some classes."""
    x, t = np.full((4, 3), 0.5, np.float32), np.array([0, 1, 2, -100])
    large, labels = np.full((20, 1000), 0.5, np.float32), np.full(20, 999)
    some, many = np.array([[0, 2]] * 4), np.full((20, 7), 999)
    for dtype in (np.float32, np.float64, np.float16, BFLOAT16.type):
        yield Call("right", ce.token_stats, (x.astype(dtype), t), {"top_k": 2, "extra": some})
        yield Call("right", ce.log_prob, (x.astype(dtype), some), {"temperature": 2.0})
        yield Call("large", ce.token_stats, (large.astype(dtype), labels), {"top_k": 40})
        yield Call("columns", ce.token_stats, (large.astype(dtype), many[0, :1].repeat(1000)),
                   {"axis": 0, "ignore_index": 999})  # fmt: skip
    yield Call("right", ce.token_stats, (x,))
    yield Call("foreign", ce.token_stats, (x.astype(">f4"), t.astype(">i8")), {"softcap": 30.0})
    yield Call("large", ce.token_stats, (large, labels), {"top_k": 3, "extra": many})
    yield Call("large", ce.log_prob, (large, labels), {"softcap": 3.0, "logit_scale": -1})
    for wrong in (
        {"top_k": 4}, {"top_k": -1}, {"top_k": 0.5}, {"extra": some + 1}, {"extra": t}, {"axis": 5},
        {"softcap": 0}, {"softcap": np.nan}, {"temperature": 0}, {"logit_scale": 0},
        {"logit_scale": "a"}, {"ignore_index": 0.5},
    ):  # fmt: skip
        yield Call("wrong", ce.token_stats, (x, t), wrong, REFUSED)
    yield Call("index", ce.token_stats, (large, labels + 1), {}, REFUSED)
    yield Call("index", ce.log_prob, (large, many + 1), {}, REFUSED)
    yield Call("shape", ce.log_prob, (large, labels[:5]), {}, REFUSED)
    for name, no_array in no_arrays().items():
        yield Call(f"{name} for 0", ce.token_stats, (no_array, t), {}, REFUSED)
        if no_array is not None:
            yield Call(f"{name} for 1", ce.token_stats, (x, no_array), {}, REFUSED)
        yield Call(f"{name} for 1", ce.log_prob, (x, no_array), {}, REFUSED)
    for out in (None, large.copy()):
        options = {"out": out, "stats": True}
        yield Call("statistics", ce.CrossEntropyLoss, (large, labels), options, (),
                   "value_and_grad")  # fmt: skip
    yield Call("none", ce.NLLLoss, (x, t), {"stats": True}, REFUSED, "value_and_grad")


def of_two_models():
    """Divergences of logits from a target's logits."""
    x, large = np.full((4, 3), 0.5, np.float32), np.full((20, 1000), 0.5, np.float32)
    v = np.array([1.0, 0, 2, 1])
    kinds = ((ce.kl_div_with_logits, {"reverse": True}), (ce.js_div_with_logits, {"beta": 0.25}))
    for function, more in kinds:
        for dtype in (np.float32, np.float64, np.float16, BFLOAT16.type):
            yield Call("right", function, (x.astype(dtype), x[::-1].astype(dtype)), more)
            yield Call("mixed", function, (x.astype(dtype), x[::-1]), {"softcap": 5.0})
        yield Call("foreign", function, (x.astype(">f4"), x.astype(">f8")), {"temperature": 2.0})
        yield Call("large", function, (large, large[::-1].copy()), {"reduction": "none"})
        yield Call("columns", function, (large, large[::-1].copy()), {"axis": 0})
        yield Call("right", function, (x, x.copy()), {"sample_weight": v, "normalizer": 3})
        yield Call("shape", function, (x, x[:3].copy()), {}, REFUSED)
        for wrong in (
            {"axis": 5}, {"axis": 0.5}, {"reduction": "batchmean"}, {"sample_weight": x},
            {"normalizer": 0}, {"temperature": -1}, {"softcap": 0}, {"logit_scale": 0},
            {"reverse": 1} if function is ce.kl_div_with_logits else {"beta": 1},
        ):  # fmt: skip
            yield Call("wrong", function, (x, x.copy()), wrong, REFUSED)
        for name, no_array in no_arrays().items():
            yield Call(f"{name} for 0", function, (no_array, x), {}, REFUSED)
            yield Call(f"{name} for 1", function, (x, no_array), {}, REFUSED)
    for kind in (ce.KLDivWithLogitsLoss, ce.JSDivWithLogitsLoss):
        y = x.copy()
        for z, out in ((x, None), (x, np.empty((4, 6), np.float32)[:, ::2]), (y, y)):
            yield Call("gradient", kind, (z, x[::-1].copy()), {"out": out}, (), "value_and_grad")
        yield Call("large", kind, (large, large[::-1].copy()), {}, (), "grad")
        yield Call("out", kind, (x, y), {"out": y}, REFUSED, "grad")
        yield Call("Hessian", kind, (x, y), {}, (NotImplementedError,), "grad_and_hess")
    yield Call("right", ce.compare_logits, (x, x[::-1].copy(), np.array([0, 1, -100, 2])))
    yield Call("shape", ce.compare_logits, (x, x[:3].copy()), {}, REFUSED)


def of_logit_options():
    """Cross-entropy of logits that are bent, of classes that can be, with a z-loss; entropy."""
    x, t = np.full((4, 3), 0.5, np.float32), np.array([0, 1, 2, -100])
    q, v = np.full((4, 3), 0.25, np.float32), np.array([1.0, 0, 2, 1])
    large, labels = np.full((20, 1000), 0.5, np.float32), np.full(20, 999)
    some, many = np.array([[True, False, True]] * 4), np.arange(1000) % 3 == 0
    bends = {"softcap": 5.0, "logit_scale": -1.5, "temperature": 2.0, "z_loss": 0.1}
    for dtype in (np.float32, np.float64, np.float16, BFLOAT16.type):
        for y in (t, q.astype(dtype)):
            z = x.astype(dtype)
            yield Call("right", ce.cross_entropy, (z, y), bends | {"where": some})
            yield Call("right", ce.cross_entropy, (z, y), {"where": some[0], "terms": True})
        yield Call("large", ce.cross_entropy, (large.astype(dtype), labels),
                   bends | {"where": many, "label_smoothing": 0.1})  # fmt: skip
        yield Call("right", ce.entropy_from_logits, (x.astype(dtype),), {"sample_weight": v})
    yield Call("strides", ce.cross_entropy, (x, t), {"where": np.ones((3, 8), bool).T[::2]})
    for out in (None, x.copy(), np.empty((4, 6), np.float32)[:, ::2]):
        for method in ("value_and_grad", "grad"):
            yield Call("gradient", ce.CrossEntropyLoss, (x, t), {"where": some, "out": out}, (),
                       method, bends)  # fmt: skip
        yield Call("entropy", ce.EntropyFromLogitsLoss, (x,), {"out": out}, (), "value_and_grad")
    for z, k in ((x, t), (large, labels)):
        yield Call("Hessian", ce.CrossEntropyLoss, (z, k), {"where": z > 0}, (), "grad_and_hess",
                   bends)  # fmt: skip
        yield Call("product", ce.CrossEntropyLoss, (z, k, z.copy()), {"where": z > 0}, (),
                   "hess_vec", {"z_loss": 0.1})  # fmt: skip
        yield Call("both", ce.CrossEntropyLoss, (z, k), {"terms": True, "stats": True}, (),
                   "value_and_grad", bends)  # fmt: skip
    yield Call("large", ce.EntropyFromLogitsLoss, (large,), {}, (), "grad", {"softcap": 3.0})
    for wrong in (
        {"where": some[:, :2]}, {"where": t}, {"where": x}, {"where": "a"}, {"where": some[:2]},
        {"terms": 1}, {"softcap": 0}, {"z_loss": -1}, {"temperature": 0}, {"logit_scale": 0},
    ):  # fmt: skip
        yield Call("wrong", ce.cross_entropy, (x, t), wrong, REFUSED)
    for wrong in ({"axis": 5}, {"sample_weight": x}, {"softcap": 0}, {"reduction": "batchmean"}):
        yield Call("wrong", ce.entropy_from_logits, (x,), wrong, REFUSED)
    yield Call("none", ce.CrossEntropyLoss, (x, t, x), {}, (NotImplementedError,), "hess_vec",
               {"softcap": 5.0})  # fmt: skip
    yield Call("none", ce.NLLLoss, (x, t), {"where": some}, REFUSED)
    for name, no_array in no_arrays().items():
        yield Call(f"{name} for 0", ce.entropy_from_logits, (no_array,), {}, REFUSED)
        if no_array is not None:
            yield Call(f"{name} for where", ce.cross_entropy, (x, t), {"where": no_array}, REFUSED)


def of_shards():
    """Classes in shards."""
    x, t = np.full((4, 6), 0.5, np.float32), np.array([0, 5, 2, -100])
    large, labels = np.full((20, 9000), 0.5, np.float32), np.full(20, 8999)
    for dtype in (np.float32, np.float64, np.float16, BFLOAT16.type):
        for z, k in ((x, t), (large, labels)):
            V, cut = z.shape[1], 3 if z is x else 4096
            z = z.astype(dtype)
            bends = {"softcap": 5.0, "label_smoothing": 0.1}
            parts = [
                ce.partials(part, k, first=first, classes=V, **bends)
                for first, part in ((0, z[:, :cut]), (cut, z[:, cut:]))
            ]
            merged = ce.merge_partials(parts)
            yield Call("right", ce.partials, (z[:, cut:], k), {"first": cut, "classes": V})
            yield Call("right", ce.partials, (z, k), {"target_logit": z[:, 0].copy(), **bends})
            yield Call("right", ce.merge_partials, (parts,))
            call = {"sample_weight": np.arange(len(k)) % 3}
            yield Call("loss", ce.CrossEntropyLoss, (k, merged), call, (), "shard_loss", bends)
            for part in (z[:, cut:], z[:, cut:].copy(), np.asfortranarray(z[:, cut:])):
                yield Call("gradient", ce.CrossEntropyLoss, (part, k, merged),
                           call | {"first": cut, "out": None}, (), "shard_grad", bends)  # fmt: skip
            place = z[:, cut:].copy()
            yield Call("in place", ce.CrossEntropyLoss, (place, k, merged),
                       {"first": cut, "out": place}, (), "shard_grad", bends)  # fmt: skip
    yield Call("right", ce.partials, (x,), {"axis": 0})
    for wrong in (
        {"first": -1}, {"first": 0.5}, {"classes": 5}, {"target_logit": x}, {"weight": t},
        {"axis": 5}, {"softcap": 0}, {"target_logit": "a"}, {"label_smoothing": 2},
    ):  # fmt: skip
        yield Call("wrong", ce.partials, (x, t), wrong, REFUSED)
    yield Call("index", ce.partials, (x, t + 1), {}, REFUSED)
    yield Call("shape", ce.partials, (x, t[:2]), {}, REFUSED)
    for name, no_array in no_arrays().items():
        yield Call(f"{name} for 0", ce.partials, (no_array, t), {}, REFUSED)
        if no_array is not None:
            yield Call(f"{name} for 1", ce.partials, (x, no_array), {}, REFUSED)
    yield Call("none", ce.merge_partials, ([x],), {}, REFUSED)


CALLS = [*of_losses(), *of_functions(), *of_statistics(), *of_two_models(), *of_logit_options()]
CALLS += of_shards()
