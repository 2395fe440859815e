"""The losses of `torch.nn.functional` and `torch.nn`, on a CPU by `ce`, with autograd.

``import ce.torch as F`` stands where ``import torch.nn.functional as F`` did, or ``as nn`` where
``import torch.nn as nn``: the losses have the same names, signatures and order of arguments, the
classes are subclasses of torch's, and what is no loss (``F.relu``, ``nn.Linear``) is torch's own.
The value is computed in the forward pass, the gradient in the backward pass, each in one visit to
memory. ``inplace=True`` writes the gradient over the input, which saves another array.

What `ce` does not serve goes to torch's own functions: other devices, subclasses of tensors,
`torch.func` transforms, sparse tensors, targets that require a gradient, shapes that broadcast.
Code that `torch.compile` and `torch.export` trace gets operators of `ce`.

Examples
--------
>>> import torch
>>> import ce.torch
>>> logits = torch.zeros(2, 3, requires_grad=True)
>>> ce.torch.cross_entropy(logits, torch.tensor([0, 1])).backward()
>>> logits.grad.round(decimals=3)
tensor([[-0.3330,  0.1670,  0.1670],
        [ 0.1670, -0.3330,  0.1670]])
"""

from __future__ import annotations

import ctypes
import inspect
import mmap
import sys
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ce._core import GRAD, VALUE, Prepared, call

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "FocalLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "NLLLoss",
    "SigmoidFocalLoss",
    "SmoothL1Loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "focal_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "linear_cross_entropy",
    "mse_loss",
    "nll_loss",
    "sigmoid_focal_loss",
    "smooth_l1_loss",
]

_FLOATS = frozenset((torch.float32, torch.float64, torch.float16, torch.bfloat16))
_INDICES = frozenset(
    (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32)
)
_PLAIN = frozenset((Tensor, torch.nn.Parameter))
# Of the two numbers that a loss may have, beside tensors: its options by keyword. All that a loss
# is told goes through torch's dispatcher as (name, input, target, weight, pos_weight, ignore_index,
# first, second, reduction).
_NUMBERS: dict[str, tuple[str, ...]] = {
    "cross_entropy": ("label_smoothing",),
    "nll": (),
    "focal": ("gamma",),
    "bce": (),
    "bce_with_logits": (),
    "sigmoid_focal": ("gamma", "alpha"),
    "mse": (),
    "l1": (),
    "huber": ("delta",),
    "smooth_l1": ("beta",),
    "kl_div": (),
    "kl_div_log": (),
}
_OF_CLASSES = frozenset(("cross_entropy", "nll", "focal"))
_BINARY = frozenset(("bce", "bce_with_logits", "sigmoid_focal"))
_WEIGHT = {"focal": "alpha"}
_NUMERIC = frozenset((int, float))
_AT_ONCE = 1024  # classes whose products are added up at a time
_PAGE, _LARGE = mmap.PAGESIZE, 1 << 22  # bytes
_HUGE = getattr(mmap, "MADV_HUGEPAGE", None)
_madvise = None if _HUGE is None else ctypes.CDLL(None).madvise
_SMALL = 1 << 14  # numbers of an input whose gradient comes with the value


# -- torch's own formulas: for what is not served, and for second derivatives ---------------------


def _reduced(loss: Tensor, reduction: str, count: Any = None) -> Tensor:
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    return loss.sum() / (loss.numel() if count is None else count)


def _focal(
    input: Tensor, target: Tensor, weight: Any, ignore: int, gamma: float, how: str
) -> Tensor:
    axis = min(1, input.ndim - 1)
    target = target.long()
    nll = nn.functional.nll_loss if input.ndim > 1 else _single_nll
    log_p = -nll(
        nn.functional.log_softmax(input, axis), target, ignore_index=ignore, reduction="none"
    )
    loss = -((-torch.expm1(log_p)) ** gamma) * log_p
    counted = target != ignore
    if weight is not None:
        loss = loss * weight[torch.where(counted, target, 0)]
    return _reduced(torch.where(counted, loss, 0), how, counted.sum())


def _single_nll(log_p: Tensor, target: Tensor, **options: Any) -> Tensor:
    return nn.functional.nll_loss(log_p[None], target[None], **options)[0]


def _sigmoid_focal(
    input: Tensor, target: Tensor, weight: Any, gamma: float, alpha: float, how: str
) -> Tensor:
    ce = nn.functional.binary_cross_entropy_with_logits(input, target, reduction="none")
    p = torch.sigmoid(input)
    loss = ce * (p * (1 - target) + (1 - p) * target) ** gamma
    if alpha >= 0:
        loss = loss * (alpha * target + (1 - alpha) * (1 - target))
    if weight is not None:
        loss = loss * weight
    return _reduced(loss, how)


def _formula(
    x: Tensor, name: str, y: Tensor, weight: Any, pos_weight: Any, ignore_index: int,
    first: float, second: float, reduction: str,
) -> Tensor:  # fmt: skip
    """The loss by torch's own functions, of dtypes that they take together."""
    if name in _OF_CLASSES:
        y = y if y.is_floating_point() or y.dtype is torch.uint64 else y.long()
        weight = None if weight is None else weight.to(x.dtype)
    elif x.dtype is not y.dtype and x.dtype in _FLOATS and y.dtype in _FLOATS:
        dtype = torch.promote_types(x.dtype, y.dtype)
        x, y = x.to(dtype), y.to(dtype)
    elif name in _BINARY and not y.is_floating_point() and not y.is_complex():
        y = y.to(x.dtype)
    if name == "cross_entropy":
        return nn.functional.cross_entropy(
            x, y, weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=first
        )
    if name == "nll":
        return nn.functional.nll_loss(x, y, weight, ignore_index=ignore_index, reduction=reduction)
    if name == "focal":
        return _focal(x, y, weight, ignore_index, first, reduction)
    if name == "bce":
        return nn.functional.binary_cross_entropy(x, y, weight, reduction=reduction)
    if name == "bce_with_logits":
        return nn.functional.binary_cross_entropy_with_logits(
            x, y, weight, reduction=reduction, pos_weight=pos_weight
        )
    if name == "sigmoid_focal":
        return _sigmoid_focal(x, y, weight, first, second, reduction)
    weighted = {} if weight is None else {"weight": weight}  # which older ones do not have
    if name == "mse":
        return nn.functional.mse_loss(x, y, reduction=reduction, **weighted)
    if name == "l1":
        return nn.functional.l1_loss(x, y, reduction=reduction, **weighted)
    if name == "huber":
        return nn.functional.huber_loss(x, y, reduction=reduction, delta=first, **weighted)
    if name == "smooth_l1":
        return nn.functional.smooth_l1_loss(x, y, reduction=reduction, beta=first)
    return nn.functional.kl_div(x, y, reduction=reduction, log_target=name == "kl_div_log")


# -- what is served -------------------------------------------------------------------------------


def _is_plain(x: Any) -> bool:
    return type(x) in _PLAIN and x.is_cpu and x.layout is torch.strided and not x.is_neg()


def _serves(name: str, x: Any, y: Any, weight: Any, pos_weight: Any) -> bool:
    """Whether `ce` computes it: plain tensors on the CPU, in no transform of torch's."""
    return (
        torch._C._functorch.peek_interpreter_stack() is None
        and not torch._C._len_torch_dispatch_stack()
        and torch._C._get_tracing_state() is None
        and _is_plain(x)
        and _is_plain(y)
        and (weight is None or _is_plain(weight))
        and (pos_weight is None or _is_plain(pos_weight))
        and _fits(name, x, y, weight, pos_weight)
    )


def _fits(name: str, x: Tensor, y: Tensor, weight: Any, pos_weight: Any) -> bool:
    if torch.autograd.forward_ad._current_level >= 0 or (
        torch.is_grad_enabled()
        and (
            y.requires_grad
            or (weight is not None and weight.requires_grad)
            or (pos_weight is not None and pos_weight.requires_grad)
        )
    ):
        return False
    if name in _OF_CLASSES:
        fits = x.ndim > 1 or (x.ndim == 1 and (y.ndim == 0 or y.is_floating_point()))
        return fits and x.dtype in _FLOATS and not y.dtype.is_complex
    return x.dtype in _FLOATS and y.dtype in _FLOATS and x.shape == y.shape


def _prepare(name: str, ignore_index: Any, first: Any, second: Any, reduction: Any) -> Prepared:
    """The loss with its options."""
    options: dict[str, Any] = {"reduction": reduction}
    for keyword, number in zip(_NUMBERS[name], (first, second), strict=False):
        options[keyword] = None if keyword == "alpha" and number < 0 else number
    if name in _OF_CLASSES:
        options["ignore_index"] = ignore_index
    return Prepared(name, **options)


_prepared_once = lru_cache(256)(_prepare)


def _prepared(name: str, ignore_index: Any, first: Any, second: Any, reduction: Any) -> Prepared:
    """The same; what has been made is kept, of numbers and names that cannot change."""
    plain = type(ignore_index) is int and type(reduction) is str
    if plain and type(first) in _NUMERIC and type(second) in _NUMERIC:
        return _prepared_once(name, ignore_index, first, second, reduction)
    return _prepare(name, ignore_index, first, second, reduction)


def _of_losses(x: Tensor) -> torch.dtype:
    """The dtype of the losses of an input."""
    return torch.float64 if x.dtype is torch.float64 else torch.float32


def _call(
    what: int, x: Tensor, y: Tensor, upstream: Any, out: Any, name: str, weight: Any,
    pos_weight: Any, *options: Any,
) -> Any:  # fmt: skip
    """One visit of the engine to x, from which no gradient is to flow."""
    prepared = _prepared(name, *options)
    normalizer = None  # torch's weighted mean of this one loss divides by the number of elements
    if name == "huber" and weight is not None and options[-1] == "mean" and x.numel():
        normalizer = float(x.numel())
    if y.requires_grad:
        y = y.detach()
    weights = {}
    if weight is not None:
        weights[_WEIGHT.get(name, "weight")] = weight.detach()
    if pos_weight is not None:
        weights["pos_weight"] = pos_weight.detach()
    try:
        return call(prepared, what, x, y, None, normalizer, upstream, out, **weights)
    except ValueError as error:
        if name in _OF_CLASSES and x.ndim > 2 and y.shape == x.shape[:-1] != x.shape[:1]:
            raise ValueError(
                f"input has shape {tuple(x.shape)}, target {tuple(y.shape)}: the classes are axis "
                "1; pass input.transpose(1, -1) or input.flatten(0, -2) and target.flatten()"
            ) from None
        if name == "bce" and "not in [0, 1]" in str(error):
            raise ValueError(f"{error}; of logits take binary_cross_entropy_with_logits") from None
        raise


def _value(x: Tensor, name: str, y: Tensor, *rest: Any) -> Tensor:
    found = _call(VALUE, x.detach(), y, None, None, name, *rest)
    return torch.from_numpy(np.asarray(found))


def _huge(x: Tensor) -> Tensor:
    """New memory, for which huge pages are asked: to fill them takes less than half the time."""
    first, end = -(-x.data_ptr() // _PAGE) * _PAGE, x.data_ptr() + x.numel() * x.itemsize
    if _madvise is not None and end - first >= _LARGE:
        _madvise(ctypes.c_void_p(first), ctypes.c_size_t(end - first), _HUGE)
    return x


def _room(x: Tensor) -> Tensor | None:
    """Memory for a gradient; None where it is small, and the engine makes it sooner."""
    if x.numel() * x.itemsize < _LARGE and x.dtype is not torch.bfloat16:
        return None
    return _huge(torch.empty_like(x))


def _gradient(out: Any, upstream: Tensor, x: Tensor, name: str, y: Tensor, *rest: Any) -> Tensor:
    """The gradient times what comes from upstream, into `out`, which may be x, or new memory."""
    by = upstream.item() if upstream.ndim == 0 else upstream.detach()
    out = _room(x) if out is None else out
    found = _call(GRAD, x.detach(), y, by, out, name, *rest)
    return torch.from_numpy(found) if out is None else out


Given = tuple[Any, ...]  # name, target, weight, pos_weight, ignore_index, first, second, reduction


def _keep(ctx: Any, given: Given, *inputs: Tensor) -> None:
    """For the backward pass, which finds out if one of the tensors has changed."""
    ctx.save_for_backward(*inputs, *given[1:4])
    ctx.name, ctx.rest = given[0], given[4:]


def _kept(ctx: Any) -> tuple[Any, ...]:
    """The inputs, then what is given."""
    *inputs, y, weight, pos_weight = ctx.saved_tensors
    return *inputs, (ctx.name, y, weight, pos_weight, *ctx.rest)


def _transforms(upstream: Tensor) -> bool:
    """Whether a backward pass is itself transformed by torch."""
    return (
        torch.autograd.forward_ad._current_level >= 0
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch._C._functorch.is_legacy_batchedtensor(upstream)  # many at a time
    )


def _torchs_gradient(x: Tensor, upstream: Tensor, given: Given) -> Tensor:
    """The same by torch's formula; with a graph of its own if there is to be one."""
    graph = torch.is_grad_enabled()
    with torch.enable_grad():
        loss = _formula(x, *given)
        return torch.autograd.grad(loss, x, upstream.to(loss.dtype), create_graph=graph)[0]


class _Loss(torch.autograd.Function):
    """Value forward, gradient backward: right for any upstream, again and again.

    Of small inputs the gradient comes with the value, in one call, and serves where upstream is 1.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, given: Given) -> Tensor:
        _keep(ctx, given, x)
        ctx.ready = None
        if x.numel() > _SMALL or given[-1] == "none":
            return _value(x, *given)
        name, y, *rest = given
        out = _room(x)
        found, grad = _call(VALUE | GRAD, x.detach(), y, None, out, name, *rest)
        ctx.ready = torch.from_numpy(grad) if out is None else out
        return torch.from_numpy(np.asarray(found))

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        x, given = _kept(ctx)
        if _transforms(upstream):
            return _torchs_gradient(x, upstream, given), None
        if torch.is_grad_enabled():  # to be differentiated once more
            return _Gradient.apply(upstream, x, given), None  # type: ignore[no-untyped-call]
        ready, ctx.ready = ctx.ready, None
        if ready is not None and upstream.item() == 1:
            return ready, None
        return _gradient(None, upstream, x, *given), None


# Without what `Function.apply` does for transforms of torch.func, in none of which it is called.
_apply_loss: Any = super(torch.autograd.Function, _Loss).apply


class _Gradient(torch.autograd.Function):
    """The gradient, whose own gradients are those of torch's formula."""

    @staticmethod
    def forward(ctx: Any, upstream: Tensor, x: Tensor, given: Given) -> Tensor:
        _keep(ctx, given, upstream, x)
        return _gradient(None, upstream, x, *given)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> Any:
        upstream, x, given = _kept(ctx)
        graph = torch.is_grad_enabled()
        needed = [i for i in (0, 1) if ctx.needs_input_grad[i]]
        with torch.enable_grad():
            by = upstream if upstream.requires_grad else upstream.detach().requires_grad_()
            loss = _formula(x, *given)
            (grad,) = torch.autograd.grad(loss, x, by.to(loss.dtype), create_graph=True)
            found = torch.autograd.grad(
                grad, [(by, x)[i] for i in needed], v, create_graph=graph, materialize_grads=True
            )
        results: list[Any] = [None, None, None]
        for i, result in zip(needed, found, strict=True):
            results[i] = result
        return tuple(results)


class _InPlace(torch.autograd.Function):
    """The gradient over the input: in the forward pass, then times what comes from upstream.

    Of float16, which would lose what is small before it is scaled, in the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, given: Given) -> Tensor:
        ctx.over = x.detach()
        ctx.late = x.dtype is torch.float16
        if ctx.late:
            _keep(ctx, given, x)
            return _value(x, *given)
        name, y, *rest = given
        try:
            found, _ = _call(VALUE | GRAD, ctx.over, y, None, ctx.over, name, *rest)
        finally:  # a signal may have stopped it half-way
            torch.autograd.graph.increment_version(x)
        ctx.version = x._version
        return torch.from_numpy(np.asarray(found))

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        grad = ctx.over
        if grad is None:
            raise RuntimeError("a loss in place has one backward pass, and this is a second one")
        if torch.is_grad_enabled() or _transforms(upstream):
            raise RuntimeError("a loss in place has no second derivative; pass inplace=False")
        if ctx.late:
            x, given = _kept(ctx)
            ctx.over = None
            _gradient(grad, upstream, x, *given)
            torch.autograd.graph.increment_version(x)
            return grad, None
        if grad._version != ctx.version:
            raise RuntimeError(
                "the input of a loss in place, which holds its gradient, has been modified by an "
                "inplace operation since; pass inplace=False"
            )
        ctx.over = None
        if upstream.ndim:
            per_item = upstream.ndim < grad.ndim
            grad.mul_(upstream.unsqueeze(min(1, upstream.ndim)) if per_item else upstream)
        elif upstream.item() != 1:
            grad.mul_(upstream)
        return grad, None


# -- compiled: operators that torch.compile and torch.export know ---------------------------------


@torch.library.custom_op("ce::loss", mutates_args=(), device_types="cpu")
def _value_op(
    x: Tensor, name: str, y: Tensor, weight: Tensor | None, pos_weight: Tensor | None,
    ignore_index: int, first: float, second: float, reduction: str,
) -> Tensor:  # fmt: skip
    given = name, y, weight, pos_weight, ignore_index, first, second, reduction
    return _value(x, *given).contiguous()


@_value_op.register_fake
def _value_like(
    x: Tensor, name: str, y: Tensor, weight: Tensor | None, pos_weight: Tensor | None,
    ignore_index: int, first: float, second: float, reduction: str,
) -> Tensor:  # fmt: skip
    shape = x.shape
    if reduction != "none":
        shape = torch.Size(())
    elif name in _OF_CLASSES:
        axis = min(1, x.ndim - 1)
        shape = x.shape[:axis] + x.shape[axis + 1 :]
    return x.new_empty(shape, dtype=_of_losses(x))


@torch.library.custom_op("ce::loss_backward_", mutates_args=("x",), device_types="cpu")
def _gradient_op(
    x: Tensor, upstream: Tensor, name: str, y: Tensor, weight: Tensor | None,
    pos_weight: Tensor | None, ignore_index: int, first: float, second: float, reduction: str,
) -> None:  # fmt: skip
    """The gradient in the place of x."""
    given = name, y, weight, pos_weight, ignore_index, first, second, reduction
    here = x.untyped_storage().data_ptr()
    if any(t is not None and t.untyped_storage().data_ptr() == here for t in given[1:4]):
        x.copy_(_gradient(None, upstream, x, *given))  # the copy of x has been left out
    else:
        _gradient(x, upstream, x, *given)


class _Compiled(torch.autograd.Function):
    """The same as `_Loss`. Its gradient takes the place of a copy of the input, which compilers
    leave out where the input is not needed any more."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, name: str, y: Tensor, weight: Any, pos_weight: Any, *rest: Any
    ) -> Tensor:
        ctx.save_for_backward(x, y, weight, pos_weight)
        ctx.name, ctx.rest = name, rest
        loss: Tensor = _value_op(x, name, y, weight, pos_weight, *rest)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        x, y, weight, pos_weight = ctx.saved_tensors
        grad = x.clone()
        _gradient_op(grad, upstream, ctx.name, y, weight, pos_weight, *ctx.rest)
        return grad, *(None,) * 8


def _is_compiled(name: str, x: Any, y: Any, weight: Any, pos_weight: Any) -> bool:
    """Whether the operators serve what is traced."""
    if torch._C._are_functorch_transforms_active():
        return False
    given = [t for t in (x, y, weight, pos_weight) if t is not None]
    return all(t.device.type == "cpu" and t.layout is torch.strided for t in given) and _fits(
        name, x, y, weight, pos_weight
    )


def _loss(
    name: str, x: Any, y: Any, weight: Any = None, pos_weight: Any = None, ignore_index: int = -100,
    first: float = 0.0, second: float = 0.0, reduction: str = "mean", inplace: bool = False,
) -> Tensor:  # fmt: skip
    if isinstance(first, Tensor):  # it may change later
        first = first.item()
    given = name, y, weight, pos_weight, ignore_index, first, second, reduction
    if torch.compiler.is_compiling():
        if _is_compiled(name, x, y, weight, pos_weight):
            return _Compiled.apply(x, *given)  # type: ignore[no-any-return,no-untyped-call]
        return _formula(x, *given)
    if not _serves(name, x, y, weight, pos_weight):
        return _formula(x, *given)
    if not (x.requires_grad and torch.is_grad_enabled()):
        return _value(x, *given)
    if not inplace:
        return _apply_loss(torch._C._functorch.unwrap_if_dead(x), given)  # type: ignore[no-any-return]
    if x.is_leaf or (x._is_view() and x._base is not None and x._base.is_leaf):
        raise ValueError("input is a leaf, whose values would be lost; pass inplace=False")
    return _InPlace.apply(x, given)  # type: ignore[no-any-return,no-untyped-call]


# -- a linear layer and its loss, in chunks -------------------------------------------------------


class _Head:
    """A linear layer and cross-entropy of its results, some rows at a time: logits are never whole.

    Rows that are ignored are dropped before the products.
    """

    def __init__(self, h: Tensor, W: Tensor, bias: Any, given: Given, chunk: int) -> None:
        target, self.weight, ignored, self.smoothing, self.reduction = given
        self.W, self.bias = W.detach(), None if bias is None else bias.detach()
        target = target.long()  # 8 bits cannot tell -100 from a class
        _refuse_index(target, len(W), ignored)
        self.kept = (
            torch.nonzero(target != ignored).squeeze(1) if (target == ignored).any() else None
        )
        self.h = h.detach() if self.kept is None else h.detach()[self.kept]
        self.target = target if self.kept is None else target[self.kept]
        self.rows, self.chunk = h.shape, chunk
        self.divisor = float(len(self.target))
        if self.weight is not None:
            self.divisor = self.weight.double()[self.target].sum().item()

    def chunks(self) -> Any:
        """The rows of each chunk, as slices, and room for its logits."""
        n = len(self.h)
        room = _huge(self.h.new_empty((min(self.chunk, n), len(self.W))))
        for first in range(0, n, self.chunk):
            part = slice(first, min(first + self.chunk, n))
            z = room[: part.stop - first]
            if self.bias is None:
                torch.mm(self.h[part], self.W.t(), out=z)
            else:
                torch.addmm(self.bias, self.h[part], self.W.t(), out=z)
            yield part, z

    def call(self, what: int, part: slice, z: Tensor, how: str, by: Any = None) -> Any:
        out = z if what & GRAD else None
        given = self.weight, None, -100, self.smoothing, 0.0, how  # what is ignored is gone
        return _call(what, z, self.target[part], by, out, "cross_entropy", *given)

    def value(self) -> Tensor:
        """The loss alone."""
        if self.reduction == "none":
            losses: Tensor = self.h.new_zeros(self.rows[0], dtype=_of_losses(self.h))
            for part, z in self.chunks():
                found = torch.from_numpy(self.call(VALUE, part, z, "none"))
                losses[part if self.kept is None else self.kept[part]] = found
            return losses
        total = sum(float(self.call(VALUE, part, z, "sum")) for part, z in self.chunks())
        return self.reduced(total)

    def reduced(self, total: float) -> Tensor:
        if self.reduction == "mean":
            total = total / self.divisor if self.divisor else float("nan")
        return torch.tensor(total, dtype=_of_losses(self.h), device=self.h.device)

    def gradients(self, needs: Any, upstream: Tensor | None = None) -> tuple[Tensor, list[Any]]:
        """The loss, and the gradients of input, weight and bias that are needed."""
        wide = self.W.dtype if self.W.dtype in (torch.float32, torch.float64) else torch.float32
        dh = torch.empty_like(self.h) if needs[0] else None
        dW = _huge(torch.empty_like(self.W, dtype=wide)) if needs[1] else None
        if dW is not None and not len(self.h):
            dW.zero_()
        db = self.W.new_zeros(len(self.W), dtype=wide) if needs[2] else None
        by: Any = 1.0
        if self.reduction == "mean":
            by = 1 / self.divisor if self.divisor else 0.0
        if upstream is not None and upstream.ndim == 0:
            by *= upstream.item()
        elif upstream is not None:
            upstream = upstream if self.kept is None else upstream[self.kept]
        how, total = ("none" if self.reduction == "none" else "sum"), 0.0
        for part, z in self.chunks():
            per_row = upstream[part] if upstream is not None and upstream.ndim else by
            if how == "sum":
                total += float(self.call(VALUE | GRAD, part, z, how, per_row)[0])
            else:
                self.call(GRAD, part, z, how, per_row)
            if dh is not None:
                torch.mm(z, self.W, out=dh[part])
            if dW is not None:
                _add_product(dW, z, self.h[part], part.start == 0)
            if db is not None:
                db += z.sum(0, dtype=wide)
        if dh is not None and self.kept is not None:
            dh = dh.new_zeros(self.rows).index_copy_(0, self.kept, dh)
        if dW is not None and wide is not self.W.dtype:
            dW = _huge(torch.empty_like(self.W)).copy_(dW)
        return self.reduced(total), [dh, dW, None if db is None else db.to(self.W.dtype)]


def _add_product(total: Tensor, z: Tensor, h: Tensor, begins: bool) -> None:
    """Adds the product of transposed z and h; or begins with it. Products of half types are rounded
    to them, and added in float32: some classes at a time, which stay in the caches meanwhile."""
    if total.dtype is z.dtype:
        torch.mm(z.t(), h, out=total) if begins else total.addmm_(z.t(), h)
        return
    for first in range(0, len(total), _AT_ONCE):
        part = total[first : first + _AT_ONCE]
        product = z[:, first : first + _AT_ONCE].t() @ h
        part.copy_(product) if begins else part.add_(product.to(total.dtype))


def _refuse_index(target: Tensor, classes: int, ignored: int) -> None:
    """Before anything is computed, and with the place in the whole target."""
    bad = ((target < 0) | (target >= classes)) & (target != ignored)
    if bad.any():
        place = int(torch.nonzero(bad)[0, 0])
        rule = f"not in [0, {classes}) (ignore_index={ignored})"
        raise IndexError(f"target[{place}] is {int(target[place])}, {rule}")


class _LinearLoss(torch.autograd.Function):
    """Gradients with the value where it is one number; a row at a time from upstream where not, and
    of float16, which would lose what is small before it is scaled."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, W: Tensor, bias: Any, given: Given, chunk: int) -> Tensor:
        ctx.save_for_backward(h, W, bias, *given[:2])
        ctx.rest, ctx.chunk, ctx.ready = given[2:], chunk, None
        head = _Head(h, W, bias, given, chunk)
        if given[-1] == "none" or h.dtype is torch.float16:
            return head.value()
        loss, ctx.ready = head.gradients(ctx.needs_input_grad)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        h, W, bias, *tensors = ctx.saved_tensors
        given, needs = (*tensors, *ctx.rest), ctx.needs_input_grad
        if torch.is_grad_enabled() or _transforms(upstream):
            graph = torch.is_grad_enabled()
            with torch.enable_grad():
                loss = _linear_formula(h, W, bias, *given)
            wanted = [x for x, n in zip((h, W, bias), needs, strict=False) if n]
            by = upstream.to(loss.dtype)
            grads = iter(torch.autograd.grad(loss, wanted, by, create_graph=graph))
            return *(next(grads) if n else None for n in needs[:3]), None, None
        found, ctx.ready = ctx.ready, None
        if found is None:  # not yet, or no more
            _, found = _Head(h, W, bias, given, ctx.chunk).gradients(needs, upstream)
        elif upstream.item() != 1:
            for grad in found:
                if grad is not None:
                    grad.mul_(upstream)
        return *found, None, None


def _linear_formula(
    h: Tensor, W: Tensor, bias: Any, target: Tensor, weight: Any, ignore_index: int,
    smoothing: float, reduction: str,
) -> Tensor:  # fmt: skip
    logits = nn.functional.linear(h, W, bias)
    given = target, weight, None, ignore_index, smoothing, 0.0, reduction
    return _formula(logits, "cross_entropy", *given)


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
    chunk: int = 256,
) -> Tensor:
    r"""Cross-entropy of a linear layer's results, which are never whole, in nats.

    It is ``cross_entropy(linear(input, linear_weight, linear_bias), target)``, some rows at a time:
    beside the gradients it takes the memory of `chunk` rows of logits; where rows are ignored, that
    of a copy of the others; of half types, that of the weights in float32.

    Parameters
    ----------
    input : Tensor, shape (N, D)
        What goes into the layer, in float32, float64, float16 or bfloat16.
    linear_weight : Tensor, shape (C, D)
        The layer's weights, of the same dtype.
    target : Tensor, shape (N,)
        Class indices.
    linear_bias : Tensor, shape (C,), optional
        The layer's bias.
    weight : Tensor, shape (C,), optional
        One number per class.
    reduction : {"mean", "sum", "none"}, optional
        As in ``ce.cross_entropy``.
    ignore_index : int, optional
        Rows with this target, -100 by default, have loss and gradient 0 and do not count; no
        product is made of them.
    label_smoothing : float, optional
        In [0, 1].
    options : optional
        torch's options of chunks, which matter where torch's own function is called.
    chunk : int, optional
        Rows at a time, at least 1.

    Returns
    -------
    Tensor
        A scalar, or shape (N,) for reduction "none"; float64 of float64, else float32.

    Raises
    ------
    ValueError, IndexError
        As ``ce.cross_entropy``; or if `chunk` is below 1.

    References
    ----------
    ``torch.nn.functional.linear_cross_entropy``, which is called for other shapes and where the
    target holds probabilities.

    Examples
    --------
    >>> import torch
    >>> import ce.torch
    >>> hidden, head = torch.zeros(2, 3), torch.ones(4, 3, requires_grad=True)
    >>> ce.torch.linear_cross_entropy(hidden, head, torch.tensor([0, 3])).detach()
    tensor(1.3863)
    """
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; it must be at least 1")
    if input.is_cpu and torch.is_autocast_enabled("cpu") and input.dtype is not torch.float64:
        dtype = torch.get_autocast_dtype("cpu")
        input, linear_weight = input.to(dtype), linear_weight.to(dtype)
        linear_bias = None if linear_bias is None else linear_bias.to(dtype)
    ignored = -100 if ignore_index is None else ignore_index
    tensors = input, linear_weight, linear_bias
    fits = (
        input.ndim == linear_weight.ndim == 2 and target.ndim == 1 and len(target) == len(input)
        and (linear_bias is None or linear_bias.shape == linear_weight.shape[:1])
        and all(x is None or x.dtype is input.dtype for x in tensors)
        and target.dtype in _INDICES and input.shape[1] == linear_weight.shape[1]
        and not torch.compiler.is_compiling()
        and _serves("cross_entropy", input, target, weight, None)
        and all(x is None or _is_plain(x) for x in tensors)
    )  # fmt: skip
    if not fits:
        return nn.functional.linear_cross_entropy(
            input, linear_weight, target, linear_bias=linear_bias, weight=weight,
            reduction=reduction, ignore_index=ignore_index, label_smoothing=label_smoothing,
            options=options,
        )  # fmt: skip
    _prepared("cross_entropy", ignored, label_smoothing, 0.0, reduction)  # or an error
    given = target, weight, ignored, label_smoothing, reduction
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in tensors):
        return _LinearLoss.apply(*tensors, given, chunk)  # type: ignore[no-any-return,no-untyped-call]
    return _Head(*tensors, given, chunk).value()


# -- the functions: torch's names and order of arguments ------------------------------------------


class _InPlaceOption:
    """What the classes take beside torch's options."""

    inplace = False
    __signature__: ClassVar[inspect.Signature]

    def __init__(self, *args: Any, inplace: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        self.inplace = inplace

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" not in cls.__dict__:  # torch's options, and ours
            of_torch = inspect.signature(cls.__mro__[2])
            ours = inspect.Parameter("inplace", inspect.Parameter.KEYWORD_ONLY, default=False)
            parameters = [*of_torch.parameters.values(), ours]
            cls.__signature__ = of_torch.replace(parameters=parameters)

    def extra_repr(self) -> str:
        names = [x for x in ("gamma", "alpha") if hasattr(self, x)] + ["inplace"] * self.inplace
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)


def _how(reduction: str, size_average: Any, reduce: Any) -> str:
    """The reduction, which torch's oldest two options may say, too."""
    if size_average is None and reduce is None:
        return reduction
    if torch.compiler.is_compiling():  # what warns cannot be traced
        sums = "sum" if size_average is False else "mean"
        return "none" if reduce is False else sums
    return torch.nn._reduction.legacy_get_string(size_average, reduce)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    inplace: bool = False,
) -> Tensor:
    r"""Cross-entropy of logits and classes, in nats: :math:`\log \sum_k e^{z_k} - z_t`.

    Parameters
    ----------
    input : Tensor, shape (C,), (N, C) or (N, C, d1, ..., dk)
        Logits in float32, float64, float16 or bfloat16.
    target : Tensor
        Class indices, the shape of `input` less the class axis; or probabilities of its shape.
    weight : Tensor, shape (C,), optional
        One number per class.
    size_average, reduce : bool, optional
        What torch had before `reduction`.
    ignore_index : int, optional
        Items with this target have loss and gradient 0 and do not count; they are not read.
    reduction : {"mean", "sum", "none"}, optional
        As in ``ce.cross_entropy``.
    label_smoothing : float, optional
        In [0, 1].
    inplace : bool, optional
        Write the gradient over `input`, which saves its memory. It must not be a leaf, nor be read
        afterwards, and there is one backward pass.

    Returns
    -------
    Tensor
        A scalar, or one number an item for reduction "none"; float64 of float64, else float32.

    Raises
    ------
    TypeError, ValueError, IndexError
        As ``ce.cross_entropy``; a leaf with ``inplace=True`` is a ValueError.

    References
    ----------
    ``torch.nn.functional.cross_entropy``.

    Examples
    --------
    >>> import torch
    >>> import ce.torch
    >>> logits = torch.zeros(2, 2, requires_grad=True)
    >>> ce.torch.cross_entropy(logits, torch.tensor([0, 1])).backward()
    >>> logits.grad
    tensor([[-0.2500,  0.2500],
            [ 0.2500, -0.2500]])
    """
    return _loss(
        "cross_entropy", input, target, weight, None, ignore_index, label_smoothing,
        reduction=_how(reduction, size_average, reduce), inplace=inplace,
    )  # fmt: skip


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    inplace: bool = False,
) -> Tensor:
    r"""Negative log-likelihood of log-probabilities and classes: :math:`-\ell_t`.

    Parameters
    ----------
    input : Tensor, shape (C,), (N, C) or (N, C, d1, ..., dk)
        Log-probabilities in float32, float64, float16 or bfloat16.
    target : Tensor
        Class indices, the shape of `input` less the class axis.
    weight : Tensor, shape (C,), optional
        One number per class.
    size_average, reduce : bool, optional
        What torch had before `reduction`.
    ignore_index : int, optional
        Items with this target have loss and gradient 0 and do not count; they are not read.
    reduction : {"mean", "sum", "none"}, optional
        As in ``ce.nll_loss``.
    inplace : bool, optional
        Write the gradient over `input`, which saves its memory. It must not be a leaf, nor be read
        afterwards, and there is one backward pass.

    Returns
    -------
    Tensor
        A scalar, or the shape of `target` for reduction "none"; float64 of float64, else
        float32.

    Raises
    ------
    TypeError, ValueError, IndexError
        As ``ce.nll_loss``; a leaf with ``inplace=True`` is a ValueError.

    References
    ----------
    ``torch.nn.functional.nll_loss``.

    Examples
    --------
    >>> import torch
    >>> import ce.torch
    >>> ce.torch.nll_loss(torch.tensor([[-0.5, -1.0]]), torch.tensor([1]))
    tensor(1.)
    """
    return _loss(
        "nll", input, target, weight, None, ignore_index,
        reduction=_how(reduction, size_average, reduce), inplace=inplace,
    )  # fmt: skip


def focal_loss(
    input: Tensor,
    target: Tensor,
    *,
    gamma: float = 2.0,
    alpha: Tensor | float | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    inplace: bool = False,
) -> Tensor:
    r"""Focal loss of the softmax of logits, in nats: :math:`-\alpha_t (1 - p_t)^\gamma \log p_t`.

    Parameters
    ----------
    input : Tensor, shape (C,), (N, C) or (N, C, d1, ..., dk)
        Logits in float32, float64, float16 or bfloat16.
    target : Tensor
        Class indices, the shape of `input` less the class axis.
    gamma : float, optional
        How fast easy items fade, in [0, 1e6]; at 0 the loss is cross-entropy.
    alpha : Tensor, shape (C,), or float, optional
        One number per class, or one for all.
    ignore_index : int, optional
        Items with this target have loss and gradient 0 and do not count; they are not read.
    reduction : {"mean", "sum", "none"}, optional
        As in ``ce.focal_loss``: the mean divides by the number of items.
    inplace : bool, optional
        Write the gradient over `input`, which saves its memory. It must not be a leaf, nor be read
        afterwards, and there is one backward pass.

    Returns
    -------
    Tensor
        A scalar, or the shape of `target` for reduction "none"; float64 of float64, else
        float32.

    Raises
    ------
    TypeError, ValueError, IndexError
        As ``ce.focal_loss``; a leaf with ``inplace=True`` is a ValueError.

    References
    ----------
    Lin et al., "Focal loss for dense object detection", ICCV 2017, section 3.

    Examples
    --------
    >>> import torch
    >>> import ce.torch
    >>> round(ce.torch.focal_loss(torch.zeros(1, 2), torch.tensor([0])).item(), 4)
    0.1733
    """
    if alpha is not None and (not isinstance(alpha, Tensor) or alpha.ndim == 0):
        classes = input.shape[min(1, input.ndim - 1)]
        alpha = torch.as_tensor(alpha, dtype=torch.float64, device=input.device).expand(classes)
    return _loss(
        "focal", input, target, alpha, None, ignore_index, gamma,
        reduction=reduction, inplace=inplace,
    )  # fmt: skip


def sigmoid_focal_loss(
    inputs: Tensor,
    targets: Tensor,
    alpha: float = 0.25,
    gamma: float = 2.0,
    reduction: str = "none",
    *,
    inplace: bool = False,
) -> Tensor:
    r"""Focal loss of the sigmoid of logits, for labels that do not exclude each other, in nats.

    Parameters
    ----------
    inputs : Tensor, any shape
        Logits in float32, float64, float16 or bfloat16.
    targets : Tensor, shape of `inputs`
        Labels in [0, 1].
    alpha : float, optional
        The weight of label 1, that of label 0 being ``1 - alpha``; if negative, both weigh 1.
    gamma : float, optional
        How fast easy elements fade, in [0, 1e6].
    reduction : {"none", "mean", "sum"}, optional
        As in torchvision, whose default is "none".
    inplace : bool, optional
        Write the gradient over `inputs`, which saves its memory. It must not be a leaf, nor be read
        afterwards, and there is one backward pass.

    Returns
    -------
    Tensor
        A scalar, or the shape of `inputs` for reduction "none"; float64 of float64, else
        float32.

    Raises
    ------
    TypeError, ValueError, IndexError
        As ``ce.sigmoid_focal_loss``; a leaf with ``inplace=True`` is a ValueError.

    References
    ----------
    ``torchvision.ops.sigmoid_focal_loss``; the formula is that of ``ce.sigmoid_focal_loss``.

    Examples
    --------
    >>> import torch
    >>> import ce.torch
    >>> ce.torch.sigmoid_focal_loss(torch.tensor([1.5, 0.0]), torch.tensor([1.0, 0.0]))
    tensor([0.0017, 0.1300])
    """
    return _loss(
        "sigmoid_focal", inputs, targets, first=gamma, second=alpha,
        reduction=reduction, inplace=inplace,
    )  # fmt: skip


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    *,
    inplace: bool = False,
) -> Tensor:
    r"""Cross-entropy of probabilities and labels, in nats: :math:`-y \log x - (1 - y) \log(1 - x)`.

    Parameters
    ----------
    input : Tensor, any shape
        Probabilities in [0, 1], in float32, float64, float16 or bfloat16.
    target : Tensor, shape of `input`
        Labels in [0, 1].
    weight : Tensor that broadcasts to `input`, optional
        One number per element.
    size_average, reduce : bool, optional
        What torch had before `reduction`.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the number of elements.
    inplace : bool, optional
        Write the gradient over `input`, which saves its memory. It must not be a leaf, nor be read
        afterwards, and there is one backward pass.

    Returns
    -------
    Tensor
        A scalar, or the shape of `input` for reduction "none"; float64 of float64, else
        float32.

    Raises
    ------
    TypeError, ValueError, IndexError
        As ``ce.binary_cross_entropy``; a leaf with ``inplace=True`` is a ValueError.

    References
    ----------
    ``torch.nn.functional.binary_cross_entropy``.

    Examples
    --------
    >>> import torch
    >>> import ce.torch
    >>> ce.torch.binary_cross_entropy(torch.tensor([0.5]), torch.tensor([1.0]))
    tensor(0.6931)
    """
    return _loss(
        "bce", input, target, weight,
        reduction=_how(reduction, size_average, reduce), inplace=inplace,
    )  # fmt: skip


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
    *,
    inplace: bool = False,
) -> Tensor:
    r"""Cross-entropy of logits x and labels y, in nats.

    The loss is :math:`(1 - y) \log(1 + e^x) + u y \log(1 + e^{-x})`.

    Parameters
    ----------
    input : Tensor, any shape
        Logits in float32, float64, float16 or bfloat16.
    target : Tensor, shape of `input`
        Labels.
    weight : Tensor that broadcasts to `input`, optional
        One number per element.
    size_average, reduce : bool, optional
        What torch had before `reduction`.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the number of elements.
    pos_weight : Tensor that broadcasts to `input`, optional
        The weight u of positive labels.
    inplace : bool, optional
        Write the gradient over `input`, which saves its memory. It must not be a leaf, nor be read
        afterwards, and there is one backward pass.

    Returns
    -------
    Tensor
        A scalar, or the shape of `input` for reduction "none"; float64 of float64, else
        float32.

    Raises
    ------
    TypeError, ValueError, IndexError
        As ``ce.binary_cross_entropy_with_logits``; a leaf with ``inplace=True`` is a ValueError.

    References
    ----------
    ``torch.nn.functional.binary_cross_entropy_with_logits``.

    Examples
    --------
    >>> import torch
    >>> import ce.torch
    >>> ce.torch.binary_cross_entropy_with_logits(torch.tensor([1.5]), torch.tensor([1.0]))
    tensor(0.2014)
    """
    return _loss(
        "bce_with_logits", input, target, weight, pos_weight,
        reduction=_how(reduction, size_average, reduce), inplace=inplace,
    )  # fmt: skip


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
    *,
    inplace: bool = False,
) -> Tensor:
    r"""Squared error of the residual :math:`r = x - y`: :math:`r^2`.

    Parameters
    ----------
    input : Tensor, any shape
        Predictions in float32, float64, float16 or bfloat16.
    target : Tensor, shape of `input`
        What is to be predicted; other shapes broadcast as in torch, with its warning.
    size_average, reduce : bool, optional
        What torch had before `reduction`.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the number of elements.
    weight : Tensor that broadcasts to `input`, optional
        One number per element; the mean divides by their sum.
    inplace : bool, optional
        Write the gradient over `input`, which saves its memory. It must not be a leaf, nor be read
        afterwards, and there is one backward pass.

    Returns
    -------
    Tensor
        A scalar, or the shape of `input` for reduction "none"; float64 of float64, else
        float32.

    Raises
    ------
    TypeError, ValueError, IndexError
        As ``ce.mse_loss``; a leaf with ``inplace=True`` is a ValueError.

    References
    ----------
    ``torch.nn.functional.mse_loss``.

    Examples
    --------
    >>> import torch
    >>> import ce.torch
    >>> ce.torch.mse_loss(torch.tensor([3.0]), torch.tensor([1.0]))
    tensor(4.)
    """
    return _loss(
        "mse", input, target, weight,
        reduction=_how(reduction, size_average, reduce), inplace=inplace,
    )  # fmt: skip


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
    *,
    inplace: bool = False,
) -> Tensor:
    r"""Absolute error of the residual :math:`r = x - y`: :math:`|r|`.

    Parameters
    ----------
    input : Tensor, any shape
        Predictions in float32, float64, float16 or bfloat16.
    target : Tensor, shape of `input`
        What is to be predicted; other shapes broadcast as in torch, with its warning.
    size_average, reduce : bool, optional
        What torch had before `reduction`.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the number of elements.
    weight : Tensor that broadcasts to `input`, optional
        One number per element; the mean divides by their sum.
    inplace : bool, optional
        Write the gradient over `input`, which saves its memory. It must not be a leaf, nor be read
        afterwards, and there is one backward pass.

    Returns
    -------
    Tensor
        A scalar, or the shape of `input` for reduction "none"; float64 of float64, else
        float32.

    Raises
    ------
    TypeError, ValueError, IndexError
        As ``ce.l1_loss``; a leaf with ``inplace=True`` is a ValueError.

    References
    ----------
    ``torch.nn.functional.l1_loss``.

    Examples
    --------
    >>> import torch
    >>> import ce.torch
    >>> ce.torch.l1_loss(torch.tensor([3.0]), torch.tensor([1.0]))
    tensor(2.)
    """
    return _loss(
        "l1", input, target, weight,
        reduction=_how(reduction, size_average, reduce), inplace=inplace,
    )  # fmt: skip


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
    *,
    inplace: bool = False,
) -> Tensor:
    r"""Huber's loss of the residual :math:`r = x - y`.

    It is :math:`r^2 / 2` up to `delta`, :math:`\delta (|r| - \delta / 2)` beyond.

    Parameters
    ----------
    input : Tensor, any shape
        Predictions in float32, float64, float16 or bfloat16.
    target : Tensor, shape of `input`
        What is to be predicted; other shapes broadcast as in torch, with its warning.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the number of elements.
    delta : float, optional
        Where the square ends, above 0.
    weight : Tensor that broadcasts to `input`, optional
        One number per element. The mean divides by the number of elements, as torch's does; that
        of ``ce.huber_loss`` divides by the sum of the weights.
    inplace : bool, optional
        Write the gradient over `input`, which saves its memory. It must not be a leaf, nor be read
        afterwards, and there is one backward pass.

    Returns
    -------
    Tensor
        A scalar, or the shape of `input` for reduction "none"; float64 of float64, else
        float32.

    Raises
    ------
    TypeError, ValueError, IndexError
        As ``ce.huber_loss``; a leaf with ``inplace=True`` is a ValueError.

    References
    ----------
    ``torch.nn.functional.huber_loss``.

    Examples
    --------
    >>> import torch
    >>> import ce.torch
    >>> ce.torch.huber_loss(torch.tensor([3.0]), torch.tensor([1.0]))
    tensor(1.5000)
    """
    return _loss(
        "huber", input, target, weight, first=delta,
        reduction=reduction, inplace=inplace,
    )  # fmt: skip


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
    *,
    inplace: bool = False,
) -> Tensor:
    r"""Smooth absolute error of the residual :math:`r = x - y`.

    It is :math:`r^2 / (2 \beta)` below `beta`, :math:`|r| - \beta / 2` beyond.

    Parameters
    ----------
    input : Tensor, any shape
        Predictions in float32, float64, float16 or bfloat16.
    target : Tensor, shape of `input`
        What is to be predicted; other shapes broadcast as in torch, with its warning.
    size_average, reduce : bool, optional
        What torch had before `reduction`.
    reduction : {"mean", "sum", "none"}, optional
        The mean divides by the number of elements.
    beta : float, optional
        Where the square ends, at least 0.
    inplace : bool, optional
        Write the gradient over `input`, which saves its memory. It must not be a leaf, nor be read
        afterwards, and there is one backward pass.

    Returns
    -------
    Tensor
        A scalar, or the shape of `input` for reduction "none"; float64 of float64, else
        float32.

    Raises
    ------
    TypeError, ValueError, IndexError
        As ``ce.smooth_l1_loss``; a leaf with ``inplace=True`` is a ValueError.

    References
    ----------
    ``torch.nn.functional.smooth_l1_loss``.

    Examples
    --------
    >>> import torch
    >>> import ce.torch
    >>> ce.torch.smooth_l1_loss(torch.tensor([3.0]), torch.tensor([1.0]))
    tensor(1.5000)
    """
    return _loss(
        "smooth_l1", input, target, first=beta,
        reduction=_how(reduction, size_average, reduce), inplace=inplace,
    )  # fmt: skip


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
    *,
    inplace: bool = False,
) -> Tensor:
    r"""Kullback-Leibler divergence of log-probabilities x and probabilities p, in nats.

    The loss is :math:`p (\log p - x)`.

    Parameters
    ----------
    input : Tensor, any shape
        Log-probabilities x in float32, float64, float16 or bfloat16.
    target : Tensor, shape of `input`
        Probabilities p, or their logarithms.
    size_average, reduce : bool, optional
        What torch had before `reduction`.
    reduction : {"mean", "batchmean", "sum", "none"}, optional
        "batchmean" is the divergence: it divides by the first axis, the mean by all elements.
    log_target : bool, optional
        Whether `target` holds logarithms.
    inplace : bool, optional
        Write the gradient over `input`, which saves its memory. It must not be a leaf, nor be read
        afterwards, and there is one backward pass.

    Returns
    -------
    Tensor
        A scalar, or the shape of `input` for reduction "none"; float64 of float64, else
        float32.

    Raises
    ------
    TypeError, ValueError, IndexError
        As ``ce.kl_div``; a leaf with ``inplace=True`` is a ValueError.

    References
    ----------
    ``torch.nn.functional.kl_div``.

    Examples
    --------
    >>> import torch
    >>> import ce.torch
    >>> ce.torch.kl_div(torch.tensor([-1.0]), torch.tensor([1.0]))
    tensor(1.)
    """
    return _loss(
        "kl_div_log" if log_target else "kl_div", input, target,
        reduction=_how(reduction, size_average, reduce), inplace=inplace,
    )  # fmt: skip


# -- the classes: torch's, with our forward -------------------------------------------------------


class CrossEntropyLoss(_InPlaceOption, torch.nn.CrossEntropyLoss):
    """``torch.nn.CrossEntropyLoss``, computed by `cross_entropy`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
            inplace=self.inplace,
        )


class NLLLoss(_InPlaceOption, torch.nn.NLLLoss):
    """``torch.nn.NLLLoss``, computed by `nll_loss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return nll_loss(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            inplace=self.inplace,
        )


class BCELoss(_InPlaceOption, torch.nn.BCELoss):
    """``torch.nn.BCELoss``, computed by `binary_cross_entropy`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return binary_cross_entropy(
            input, target, self.weight, reduction=self.reduction, inplace=self.inplace
        )


class BCEWithLogitsLoss(_InPlaceOption, torch.nn.BCEWithLogitsLoss):
    """``torch.nn.BCEWithLogitsLoss``, computed by `binary_cross_entropy_with_logits`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(
            input,
            target,
            self.weight,
            reduction=self.reduction,
            pos_weight=self.pos_weight,
            inplace=self.inplace,
        )


class FocalLoss(_InPlaceOption, torch.nn.Module):
    """Softmax focal loss, computed by `focal_loss`."""

    alpha: Tensor | None

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: Tensor | float | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        *,
        inplace: bool = False,
    ) -> None:
        super().__init__(inplace=inplace)
        self.gamma, self.ignore_index, self.reduction = gamma, ignore_index, reduction
        self.register_buffer("alpha", None if alpha is None else torch.as_tensor(alpha))

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return focal_loss(
            input,
            target,
            gamma=self.gamma,
            alpha=self.alpha,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            inplace=self.inplace,
        )


class SigmoidFocalLoss(_InPlaceOption, torch.nn.Module):
    """Sigmoid focal loss, computed by `sigmoid_focal_loss`; its mean, as the losses of torch.nn."""

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        reduction: str = "mean",
        *,
        inplace: bool = False,
    ) -> None:
        super().__init__(inplace=inplace)
        self.alpha, self.gamma, self.reduction = alpha, gamma, reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return sigmoid_focal_loss(
            input, target, self.alpha, self.gamma, self.reduction, inplace=self.inplace
        )


class MSELoss(_InPlaceOption, torch.nn.MSELoss):
    """``torch.nn.MSELoss``, computed by `mse_loss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return mse_loss(input, target, reduction=self.reduction, inplace=self.inplace)


class L1Loss(_InPlaceOption, torch.nn.L1Loss):
    """``torch.nn.L1Loss``, computed by `l1_loss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return l1_loss(input, target, reduction=self.reduction, inplace=self.inplace)


class HuberLoss(_InPlaceOption, torch.nn.HuberLoss):
    """``torch.nn.HuberLoss``, computed by `huber_loss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return huber_loss(
            input, target, reduction=self.reduction, delta=self.delta, inplace=self.inplace
        )


class SmoothL1Loss(_InPlaceOption, torch.nn.SmoothL1Loss):
    """``torch.nn.SmoothL1Loss``, computed by `smooth_l1_loss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return smooth_l1_loss(
            input, target, reduction=self.reduction, beta=self.beta, inplace=self.inplace
        )


class KLDivLoss(_InPlaceOption, torch.nn.KLDivLoss):
    """``torch.nn.KLDivLoss``, computed by `kl_div`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return kl_div(
            input,
            target,
            reduction=self.reduction,
            log_target=self.log_target,
            inplace=self.inplace,
        )


if hasattr(torch.nn, "LinearCrossEntropyLoss"):  # which older ones do not have
    __all__ += ["LinearCrossEntropyLoss"]

    class LinearCrossEntropyLoss(torch.nn.LinearCrossEntropyLoss):
        """``torch.nn.LinearCrossEntropyLoss``, computed by `linear_cross_entropy`."""

        chunk = 256

        def __init__(self, *args: Any, chunk: int = 256, **options: Any) -> None:
            super().__init__(*args, **options)
            self.chunk = chunk

        def forward(self, input: Tensor, target: Tensor) -> Tensor:
            linear, shape = self.linear, (self.num_classes, *self.out_features)
            return linear_cross_entropy(
                input, linear.weight.reshape((*shape, linear.in_features)), target,
                linear_bias=None if linear.bias is None else linear.bias.reshape(shape),
                weight=self.weight, reduction=self.reduction, ignore_index=self.ignore_index,
                label_smoothing=self.label_smoothing, options=self.options, chunk=self.chunk,
            )  # fmt: skip


# -- what is no loss of ours ----------------------------------------------------------------------


def __getattr__(name: str) -> Any:
    """It is that of `torch.nn.functional`, or of `torch.nn`."""
    if name == "functional":  # of ``import ce.torch as nn``
        return sys.modules[__name__]
    if not name.startswith("__"):
        for module in (nn.functional, nn):
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}, nor has torch.nn")
