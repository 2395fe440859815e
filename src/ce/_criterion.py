"""What all losses share: options, checked and frozen once; value and derivatives by name."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Generic, Literal, dataclass_transform, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ce import _check
from ce._core import GRAD, HESS, PRODUCT, STATS, SUMS, VALUE, Prepared, call
from ce.language import TokenStats

Array = NDArray[Any]
Scalar = np.floating[Any]
Reduced = Literal["mean"] | Literal["sum"]
Curvature = Literal["exact"] | Literal["gauss_newton"]
Hessian = Curvature | Literal["abs"] | Literal["bound"]

# The reduction of a criterion is part of its type: so its loss is known as a scalar or an array.
if TYPE_CHECKING:
    from typing_extensions import TypeVar

    R = TypeVar("R", bound=Reduced | Literal["none"], default=Literal["mean"], covariant=True)
    B = TypeVar(
        "B",
        bound=Reduced | Literal["none", "batchmean"],
        default=Literal["mean"],
        covariant=True,
    )
else:
    from typing import TypeVar

    R, B = TypeVar("R"), TypeVar("B")


L = TypeVar("L")  # of a criterion class


class Loss(Generic[B]):
    """A loss with its options: what the classes of all losses have in common.

    A criterion is a frozen dataclass. Its options are checked when it is made and kept so that
    nothing changes them: numbers as numbers, arrays as read-only copies. Criteria are equal, and
    have equal hashes, if they are of one class and their options are equal.

    ``criterion(input, target)`` is the loss. Losses of classes call their first argument `logits`.
    What belongs to the data and not to the loss is given to every method: ``sample_weight`` and
    ``normalizer``.

    A subclass that defines ``__post_init__`` must call that of its base.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> criterion = ce.FocalLoss(gamma=np.array(2), alpha=[1.0, 3.0])
    >>> isinstance(criterion, ce.Loss), criterion.gamma, criterion.alpha.flags.writeable
    (True, 2.0, False)
    >>> criterion == ce.FocalLoss(alpha=np.array([1, 3]))
    True
    """

    _loss: str  # its name in losses.def
    _function: str  # the public function beside it
    _prepared: Prepared

    def __init__(self) -> None:
        raise TypeError("Loss is what all losses have in common; one of them is needed")

    def __post_init__(self) -> None:
        self._prepare()

    def _prepare(self) -> None:
        known = Prepared(self._loss).keywords
        given = {name: getattr(self, name) for name in self._fields() if name in known}
        prepared = Prepared(self._loss, **given)
        _set(self, _prepared=prepared, **prepared.options)

    def _fields(self) -> list[str]:
        return [field.name for field in fields(self)]  # type: ignore[arg-type]

    def __reduce__(self) -> tuple[Any, ...]:
        state = self.__dict__ | {name: getattr(self, name) for name in self._fields()}
        state.pop("_prepared", None)
        return _rebuilt, (type(self), state)

    def _values(self) -> tuple[Any, ...]:
        return tuple(_by_value(getattr(self, name)) for name in self._fields())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Loss):
            return NotImplemented
        return type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    @overload
    def __call__(
        self: Loss[Literal["none"]],
        input: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
    ) -> Array: ...
    @overload
    def __call__(
        self: Loss[Literal["mean", "sum", "batchmean"]],
        input: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
    ) -> Scalar: ...
    @overload
    def __call__(
        self,
        input: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
    ) -> Scalar | Array: ...
    def __call__(
        self,
        input: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        normalizer: float | None = None,
    ) -> Any:
        """Return the loss, as the function does that the class names (`mse_loss`, say)."""
        return call(self._prepared, VALUE, input, target, sample_weight, normalizer)

    @overload
    def value_and_grad(
        self: Loss[Literal["none"]],
        input: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
        grad_output: ArrayLike | None = ...,
        out: Array | None = ...,
    ) -> tuple[Array, Array]: ...
    @overload
    def value_and_grad(
        self: Loss[Literal["mean", "sum", "batchmean"]],
        input: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
        grad_output: ArrayLike | None = ...,
        out: Array | None = ...,
    ) -> tuple[Scalar, Array]: ...
    @overload
    def value_and_grad(
        self,
        input: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
        grad_output: ArrayLike | None = ...,
        out: Array | None = ...,
    ) -> tuple[Scalar | Array, Array]: ...
    def value_and_grad(
        self,
        input: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        normalizer: float | None = None,
        grad_output: ArrayLike | None = None,
        out: Array | None = None,
    ) -> Any:
        """Return the loss and its gradient with respect to the input, in one visit to memory.

        Parameters
        ----------
        input, target
            The first two arguments of the function that the class names.
        sample_weight, normalizer
            As in that function.
        grad_output : scalar, or array of the shape of the loss for reduction "none", optional
            The gradient is that of ``sum(grad_output * loss)``; by default of ``sum(loss)``.
        out : ndarray, optional
            Receives the gradient: shape and dtype of `input`, any strides. It may be `input`
            itself, which is then overwritten and needs no further memory. Any other overlap is a
            ValueError. For a float64 `input` it may be float32: each number is rounded once.
        stats : bool, optional
            Of losses of logits and classes: whether statistics of the items (their entropy, their
            largest class, the target's rank and more) are wanted, too, from the same visit.

        Returns
        -------
        loss : as the function
        grad : ndarray of the shape and dtype of `input`, or of `out`
            That of half types is computed in float32 and rounded once. Exactly 0 for ignored
            items, whatever their logits hold, and for elements of weight 0.
        stats : TokenStats
            Only with ``stats=True``.

        Raises
        ------
        TypeError, ValueError, IndexError
            As the function, before anything is written.

        Examples
        --------
        >>> import numpy as np
        >>> import ce
        >>> logits = np.array([0.0, 0.0])
        >>> loss, grad = ce.CrossEntropyLoss().value_and_grad(logits, 1, out=logits)
        >>> loss, grad is logits, logits
        (np.float64(0.6931471805599453), True, array([ 0.5, -0.5]))
        >>> ce.MSELoss().value_and_grad(np.array([1.0, 4.0]), [1.0, 2.0])
        (np.float64(2.0), array([0., 2.]))
        >>> logits = np.array([[2.0, 1.0], [0.5, 3.0]])
        >>> *_, stats = ce.CrossEntropyLoss().value_and_grad(logits, [0, 0], stats=True)
        >>> stats.greedy.mean(), stats.entropy.round(3)
        (np.float64(0.5), array([0.582, 0.269]))
        """
        return call(
            self._prepared, VALUE | GRAD, input, target, sample_weight, normalizer, grad_output, out
        )

    def grad(
        self,
        input: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        normalizer: float | None = None,
        grad_output: ArrayLike | None = None,
        out: Array | None = None,
    ) -> Array:
        """Return the gradient with respect to the input: the backward pass.

        Parameters, result and errors are those of `value_and_grad`.

        Examples
        --------
        >>> import numpy as np
        >>> import ce
        >>> ce.CrossEntropyLoss(reduction="sum").grad(np.zeros((2, 2)), [0, 1], grad_output=2.0)
        array([[-1.,  1.],
               [ 1., -1.]])
        >>> ce.MSELoss(reduction="none").grad(np.ones(2), [0.0, 3.0], grad_output=[1.0, 0.5])
        array([ 2., -2.])
        """
        return call(  # type: ignore[no-any-return]
            self._prepared, GRAD, input, target, sample_weight, normalizer, grad_output, out
        )

    def grad_and_hess(
        self,
        input: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        normalizer: float | None = None,
        grad_output: ArrayLike | None = None,
        hessian: Hessian = "exact",
        hess_scale: float = 1.0,
        hess_floor: float | None = None,
        out: tuple[Array, Array] | None = None,
    ) -> tuple[Array, Array]:
        r"""Return the gradient and the diagonal of a Hessian, for boosting and Newton steps.

        Parameters
        ----------
        input, target, sample_weight, normalizer, grad_output
            As in `value_and_grad`.
        hessian : {"exact", "gauss_newton", "abs", "bound"}, optional
            "exact" is the second derivative. "gauss_newton" is never negative where weights are
            not: of `FocalLoss` its term :math:`v \alpha_t A\, p_k (1 - p_k)`, of
            `SigmoidFocalLoss` the size of the gradient times 1 - R, of all others the exact one.
            "abs" is the size of the gradient. "bound" is a diagonal that the whole Hessian never
            exceeds, so that steps by it do not overshoot: of `CrossEntropyLoss` twice the exact
            one, of `BCEWithLogitsLoss` and `MSELoss` the exact one, of `HuberLoss` w, of
            `SmoothL1Loss` w / beta, of `L1Loss` by convention w; other losses have none.
        hess_scale : float, optional
            What the Hessian is multiplied by, in [1e-30, 1e30].
        hess_floor : float, optional
            No element of the Hessian is less, at least 0; but those of items that are ignored or
            of weight 0, and of classes that cannot be, which are 0.
        out : pair of ndarrays, optional
            Receive gradient and Hessian: as in `value_and_grad`, apart from each other; either may
            be `input` itself.

        Returns
        -------
        grad, hess : ndarrays of the shape and dtype of `input`, or of `out`

        Raises
        ------
        TypeError, ValueError, IndexError
            As the function, before anything is written.

        Examples
        --------
        >>> import numpy as np
        >>> import ce
        >>> ce.CrossEntropyLoss().grad_and_hess(np.zeros(2), 0)
        (array([-0.5,  0.5]), array([0.25, 0.25]))
        >>> criterion = ce.HuberLoss(reduction="sum")
        >>> criterion.grad_and_hess(np.array([0.5, 3.0]), 0)
        (array([0.5, 1. ]), array([1., 0.]))
        >>> criterion.grad_and_hess(np.array([0.5, 3.0]), 0, hessian="bound")[1]
        array([1., 1.])
        >>> logits, focal = np.array([0.0, 4.0]), ce.FocalLoss()
        >>> focal.grad_and_hess(logits, 0)[1].round(3)
        array([-0.047, -0.047])
        >>> focal.grad_and_hess(logits, 0, hessian="gauss_newton", hess_scale=2)[1].round(3)
        array([0.039, 0.039])
        """
        return call(  # type: ignore[no-any-return]
            self._prepared, GRAD | HESS, input, target, sample_weight, normalizer, grad_output, out,
            hessian=hessian, hess_scale=hess_scale, hess_floor=hess_floor,
        )  # fmt: skip

    def hess_vec(
        self,
        input: ArrayLike,
        target: ArrayLike,
        vector: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        normalizer: float | None = None,
        grad_output: ArrayLike | None = None,
        hessian: Curvature = "exact",
        out: Array | None = None,
    ) -> Array:
        r"""Return the product of the whole Hessian and a vector: for Newton's method by products.

        The Hessian is that of the loss with respect to the input. Where items are rows of classes,
        it has a block for each item: with :math:`p = \mathrm{softmax}(z)` that of cross-entropy
        is :math:`\mathrm{diag}(p) - p p^T` times the weights of the item. Products are exact where
        p is all but 1, too.

        Parameters
        ----------
        input, target, sample_weight, normalizer, grad_output
            As in `value_and_grad`.
        vector : array_like of any real dtype, shape of `input`
            What the Hessian is multiplied by.
        hessian : {"exact", "gauss_newton"}, optional
            As in `grad_and_hess`: the latter is never negative, so conjugate gradients go through.
        out : ndarray, optional
            Receives the product, as in `value_and_grad`; it may be `vector` itself, too.

        Returns
        -------
        ndarray of the shape and dtype of `input`, or of `out`
            Exactly 0 for ignored items and for elements of weight 0.

        Raises
        ------
        TypeError, ValueError, IndexError
            As the function, before anything is written.

        References
        ----------
        Pearlmutter, "Fast exact multiplication by the Hessian", Neural Computation 6 (1994).

        Examples
        --------
        >>> import numpy as np
        >>> import ce
        >>> ce.CrossEntropyLoss().hess_vec(np.zeros(2), 0, [1.0, 0.0])
        array([ 0.25, -0.25])
        >>> ce.MSELoss(reduction="sum").hess_vec(np.zeros(2), [1.0, 2.0], [1.0, 3.0])
        array([2., 6.])
        """
        return call(  # type: ignore[no-any-return]
            self._prepared, PRODUCT, input, target, sample_weight, normalizer, grad_output, out,
            hessian=hessian, vector=vector,
        )  # fmt: skip

    def sums(
        self, input: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> tuple[np.float64, np.float64]:
        """Return the sum of the losses and what their mean divides by, for sums over many calls.

        Parameters
        ----------
        input, target, sample_weight
            As in the function that the class names.

        Returns
        -------
        total : float64, whatever the input
            The sum over the items, for every `reduction`.
        divisor : float64
            What `reduction` "mean" divides by (or "batchmean", where the criterion has that): the
            number of items that count, or the sum of their weights.

        Raises
        ------
        TypeError, ValueError, IndexError
            As the function.

        Examples
        --------
        >>> import numpy as np
        >>> import ce
        >>> criterion, logits, target = ce.CrossEntropyLoss(), np.eye(4), np.array([0, 1, -100, 3])
        >>> halves = [criterion.sums(logits[i : i + 2], target[i : i + 2]) for i in (0, 2)]
        >>> total, divisor = np.sum(halves, axis=0)
        >>> divisor, bool(np.isclose(total / divisor, criterion(logits, target)))
        (np.float64(3.0), True)
        """
        return call(self._prepared, SUMS, input, target, sample_weight)  # type: ignore[no-any-return]


@dataclass_transform(frozen_default=True, eq_default=False, kw_only_default=True)
def criterion(loss: type[L]) -> type[L]:
    """Make a frozen dataclass of it.

    The class itself has no `reduction`, only its instances have: the type is that of each instance.
    """
    made = dataclass(frozen=True, eq=False, kw_only=True)(loss)
    del made.reduction  # type: ignore[attr-defined]
    return made


def _set(loss: Loss[Any], **attributes: Any) -> None:
    """Set attributes of a frozen object."""
    for name, value in attributes.items():
        object.__setattr__(loss, name, value)


def _rebuilt(kind: type[Loss[Any]], state: dict[str, Any]) -> Loss[Any]:
    """A copy, with arrays of its own that are read-only."""
    loss = object.__new__(kind)
    _set(loss, **state)
    loss._prepare()
    return loss


def _by_value(option: Any) -> Any:
    is_array = isinstance(option, np.ndarray)
    return (option.shape, tuple(option.ravel().tolist())) if is_array else option


class ItemLoss(Loss[R]):
    """A loss of classes: each item is the logits along the class axis, with one target."""

    @overload
    def __call__(
        self: ItemLoss[Literal["none"]],
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
    ) -> Array: ...
    @overload
    def __call__(
        self: ItemLoss[Reduced],
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
    ) -> Scalar: ...
    @overload
    def __call__(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
    ) -> Scalar | Array: ...
    def __call__(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        normalizer: float | None = None,
    ) -> Any:
        return call(self._prepared, VALUE, logits, target, sample_weight, normalizer)

    @overload
    def value_and_grad(
        self: ItemLoss[Literal["none"]],
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
        grad_output: ArrayLike | None = ...,
        out: Array | None = ...,
        stats: Literal[False] = ...,
    ) -> tuple[Array, Array]: ...
    @overload
    def value_and_grad(
        self: ItemLoss[Literal["none"]],
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
        grad_output: ArrayLike | None = ...,
        out: Array | None = ...,
        stats: Literal[True],
    ) -> tuple[Array, Array, TokenStats]: ...
    @overload
    def value_and_grad(
        self: ItemLoss[Reduced],
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
        grad_output: ArrayLike | None = ...,
        out: Array | None = ...,
        stats: Literal[False] = ...,
    ) -> tuple[Scalar, Array]: ...
    @overload
    def value_and_grad(
        self: ItemLoss[Reduced],
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
        grad_output: ArrayLike | None = ...,
        out: Array | None = ...,
        stats: Literal[True],
    ) -> tuple[Scalar, Array, TokenStats]: ...
    @overload
    def value_and_grad(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
        grad_output: ArrayLike | None = ...,
        out: Array | None = ...,
        stats: Literal[False] = ...,
    ) -> tuple[Scalar | Array, Array]: ...
    @overload
    def value_and_grad(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = ...,
        normalizer: float | None = ...,
        grad_output: ArrayLike | None = ...,
        out: Array | None = ...,
        stats: Literal[True],
    ) -> tuple[Scalar | Array, Array, TokenStats]: ...
    def value_and_grad(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        normalizer: float | None = None,
        grad_output: ArrayLike | None = None,
        out: Array | None = None,
        stats: bool = False,
    ) -> Any:
        if stats is False:
            return call(
                self._prepared, VALUE | GRAD, logits, target, sample_weight, normalizer,
                grad_output, out,
            )  # fmt: skip
        what = VALUE | GRAD | STATS if _check.flag("stats", stats) else VALUE | GRAD
        value, grad, *told = call(
            self._prepared, what, logits, target, sample_weight, normalizer, grad_output, out
        )
        return (value, grad, TokenStats(*told[0])) if told else (value, grad)

    def grad(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        normalizer: float | None = None,
        grad_output: ArrayLike | None = None,
        out: Array | None = None,
    ) -> Array:
        return call(  # type: ignore[no-any-return]
            self._prepared, GRAD, logits, target, sample_weight, normalizer, grad_output, out
        )

    def grad_and_hess(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        normalizer: float | None = None,
        grad_output: ArrayLike | None = None,
        hessian: Hessian = "exact",
        hess_scale: float = 1.0,
        hess_floor: float | None = None,
        out: tuple[Array, Array] | None = None,
    ) -> tuple[Array, Array]:
        return call(  # type: ignore[no-any-return]
            self._prepared, GRAD | HESS, logits, target, sample_weight, normalizer, grad_output,
            out, hessian=hessian, hess_scale=hess_scale, hess_floor=hess_floor,
        )  # fmt: skip

    def hess_vec(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        vector: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        normalizer: float | None = None,
        grad_output: ArrayLike | None = None,
        hessian: Curvature = "exact",
        out: Array | None = None,
    ) -> Array:
        return call(  # type: ignore[no-any-return]
            self._prepared, PRODUCT, logits, target, sample_weight, normalizer, grad_output, out,
            hessian=hessian, vector=vector,
        )  # fmt: skip

    def sums(
        self, logits: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> tuple[np.float64, np.float64]:
        return call(self._prepared, SUMS, logits, target, sample_weight)  # type: ignore[no-any-return]


for _name, _method in list(vars(ItemLoss).items()):
    if callable(_method) and hasattr(Loss, _name):
        _method.__qualname__ = f"Loss.{_name}"  # as Python's errors call it
