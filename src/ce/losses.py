"""The losses as objects: options once, derivatives by name."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ce import _check, _core
from ce.functional import (
    _BCE,
    _BCE_WITH_LOGITS,
    _CROSS_ENTROPY,
    _FOCAL,
    _HUBER,
    _KL_DIV,
    _KL_DIV_LOG,
    _L1,
    _MSE,
    _NLL,
    _SIGMOID_FOCAL,
    _SMOOTH_L1,
    _VALUE,
)

Gradient = NDArray[Any]

_GRAD = _core.GRAD
_VALUE_AND_GRAD = _core.VALUE | _core.GRAD
_GRAD_AND_HESS = _core.GRAD | _core.HESS


# -- what losses share ----------------------------------------------------------------------------


class Loss:
    """What all losses share: comparison of options, arrays among them, by value."""

    def _options(self) -> tuple[Any, ...]:
        values = (getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]
        return tuple(v if np.isscalar(v) or v is None else _frozen(v) for v in values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Loss):
            return NotImplemented
        return type(self) is type(other) and self._options() == other._options()

    def __hash__(self) -> int:
        return hash((type(self), self._options()))


def _frozen(option: Any) -> tuple[Any, ...]:
    array = _check.as_array("option", option)
    return array.shape, tuple(array.ravel().tolist())


class ItemLoss(Loss):
    """A loss of items: each is the logits along the class axis, with one target and one weight."""

    def _run(
        self, what: int, logits: Any, target: Any, sample_weight: Any, grad_output: Any, out: Any
    ) -> Any:
        raise NotImplementedError

    def __call__(
        self, logits: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Any:
        """Return the loss, as the function does that the class names (`cross_entropy`, say)."""
        return self._run(_VALUE, logits, target, sample_weight, None, None)

    def value_and_grad(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        grad_output: ArrayLike | None = None,
        out: Gradient | None = None,
    ) -> tuple[Any, Gradient]:
        """Return the loss and its gradient with respect to the logits, in one visit to memory.

        Parameters
        ----------
        logits, target, sample_weight
            As in the function that the class names; for `NLLLoss`, `logits` are log-probabilities.
        grad_output : scalar, or array of the shape of the loss for reduction "none", optional
            The gradient is that of ``sum(grad_output * loss)``; by default of ``sum(loss)``.
        out : ndarray, optional
            Receives the gradient: shape and dtype of `logits`, any strides. It may be `logits`
            itself, which is then overwritten and needs no further memory. Any other overlap is a
            ValueError.

        Returns
        -------
        loss : as the function
        grad : ndarray of the shape and dtype of `logits`
            That of half types is computed in float32 and rounded once. Exactly 0 for ignored
            items, whatever their logits hold.

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
        """
        return self._run(  # type: ignore[no-any-return]
            _VALUE_AND_GRAD, logits, target, sample_weight, grad_output, out
        )

    def grad(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        grad_output: ArrayLike | None = None,
        out: Gradient | None = None,
    ) -> Gradient:
        """Return the gradient with respect to the logits: the backward pass.

        Parameters, result and errors are those of `value_and_grad`.

        Examples
        --------
        >>> import numpy as np
        >>> import ce
        >>> ce.CrossEntropyLoss(reduction="sum").grad(np.zeros((2, 2)), [0, 1], grad_output=2.0)
        array([[-1.,  1.],
               [ 1., -1.]])
        """
        return self._run(  # type: ignore[no-any-return]
            _GRAD, logits, target, sample_weight, grad_output, out
        )

    def grad_and_hess(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        grad_output: ArrayLike | None = None,
        out: tuple[Gradient, Gradient] | None = None,
    ) -> tuple[Gradient, Gradient]:
        """Return the gradient and the diagonal of the Hessian, for boosting and Newton steps.

        Parameters and errors are those of `value_and_grad`; `out` is a pair of arrays, apart from
        each other, either of which may be `logits` itself.

        Returns
        -------
        grad, hess : ndarrays of the shape and dtype of `logits`

        Examples
        --------
        >>> import numpy as np
        >>> import ce
        >>> ce.CrossEntropyLoss().grad_and_hess(np.zeros(2), 0)
        (array([-0.5,  0.5]), array([0.25, 0.25]))
        """
        return self._run(  # type: ignore[no-any-return]
            _GRAD_AND_HESS, logits, target, sample_weight, grad_output, out
        )


class ElementLoss(Loss):
    """A loss of elements: each of the input has a target of its own."""

    def _run(self, what: int, input: Any, target: Any, grad_output: Any, out: Any) -> Any:
        raise NotImplementedError

    def __call__(self, input: ArrayLike, target: ArrayLike) -> Any:
        """Return the loss, as the function does that the class names (`mse_loss`, say)."""
        return self._run(_VALUE, input, target, None, None)

    def value_and_grad(
        self,
        input: ArrayLike,
        target: ArrayLike,
        *,
        grad_output: ArrayLike | None = None,
        out: Gradient | None = None,
    ) -> tuple[Any, Gradient]:
        """Return the loss and its gradient with respect to the input, in one visit to memory.

        Parameters
        ----------
        input, target
            The first two arguments of the function that the class names.
        grad_output : scalar, or array of the shape of `input` for reduction "none", optional
            The gradient is that of ``sum(grad_output * loss)``; by default of ``sum(loss)``.
        out : ndarray, optional
            Receives the gradient: shape and dtype of `input`, any strides. It may be `input`
            itself, which is then overwritten and needs no further memory. Any other overlap is a
            ValueError.

        Returns
        -------
        loss : as the function
        grad : ndarray of the shape and dtype of `input`
            That of half types is computed in float32 and rounded once. Exactly 0 for elements of
            weight 0, whatever they hold.

        Raises
        ------
        TypeError, ValueError
            As the function, before anything is written.

        Examples
        --------
        >>> import numpy as np
        >>> import ce
        >>> x = np.array([1.0, 4.0])
        >>> loss, grad = ce.MSELoss().value_and_grad(x, [1.0, 2.0], out=x)
        >>> loss, grad is x, x
        (np.float64(2.0), True, array([0., 2.]))
        """
        return self._run(  # type: ignore[no-any-return]
            _VALUE_AND_GRAD, input, target, grad_output, out
        )

    def grad(
        self,
        input: ArrayLike,
        target: ArrayLike,
        *,
        grad_output: ArrayLike | None = None,
        out: Gradient | None = None,
    ) -> Gradient:
        """Return the gradient with respect to the input: the backward pass.

        Parameters, result and errors are those of `value_and_grad`.

        Examples
        --------
        >>> import numpy as np
        >>> import ce
        >>> ce.MSELoss(reduction="none").grad(np.ones(2), [0.0, 3.0], grad_output=[1.0, 0.5])
        array([ 2., -2.])
        """
        return self._run(  # type: ignore[no-any-return]
            _GRAD, input, target, grad_output, out
        )

    def grad_and_hess(
        self,
        input: ArrayLike,
        target: ArrayLike,
        *,
        grad_output: ArrayLike | None = None,
        out: tuple[Gradient, Gradient] | None = None,
    ) -> tuple[Gradient, Gradient]:
        """Return the gradient and the diagonal of the Hessian, for boosting and Newton steps.

        Parameters and errors are those of `value_and_grad`; `out` is a pair of arrays, apart from
        each other, either of which may be `input` itself.

        Returns
        -------
        grad, hess : ndarrays of the shape and dtype of `input`

        Examples
        --------
        >>> import numpy as np
        >>> import ce
        >>> ce.MSELoss(reduction="sum").grad_and_hess(np.ones(2), [0.0, 3.0])
        (array([ 2., -4.]), array([2., 2.]))
        """
        return self._run(  # type: ignore[no-any-return]
            _GRAD_AND_HESS, input, target, grad_output, out
        )


# -- classification -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True)
class CrossEntropyLoss(ItemLoss):
    r"""Cross-entropy of logits and classes, with gradient and diagonal Hessian.

    With :math:`p = \mathrm{softmax}(z)`, W the sum of the class weights, and the other letters of
    `cross_entropy`, for class indices:

    .. math::
        \frac{\partial \ell}{\partial z_k} &= v \Big[ (1 - \varepsilon)\, w_t (p_k - [k = t])
            + \frac{\varepsilon}{K} (W p_k - w_k) \Big] \\
        \frac{\partial^2 \ell}{\partial z_k^2} &= v\, p_k (1 - p_k) \Big[ (1 - \varepsilon)\, w_t
            + \frac{\varepsilon}{K} W \Big]

    and for class probabilities, with :math:`Q = \sum_j w_j q'_j`:

    .. math::
        \frac{\partial \ell}{\partial z_k} = v\, (Q\, p_k - w_k q'_k), \qquad
        \frac{\partial^2 \ell}{\partial z_k^2} = v\, Q\, p_k (1 - p_k)

    Small gradients are exact: 1 - p_t comes from the sum of the other exponentials.

    Parameters
    ----------
    weight, ignore_index, label_smoothing, reduction, axis
        As in `cross_entropy`.

    References
    ----------
    ``torch.nn.CrossEntropyLoss``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> criterion = ce.CrossEntropyLoss()
    >>> logits = np.array([[2.0, 1.0, 0.1], [0.5, 2.0, 0.3]], dtype=np.float32)
    >>> loss, grad = criterion.value_and_grad(logits, np.array([0, 1]))
    >>> loss.round(5)
    np.float32(0.37882)
    >>> grad.round(4)
    array([[-0.1705,  0.1212,  0.0493],
           [ 0.0794, -0.1443,  0.065 ]], dtype=float32)
    """

    weight: ArrayLike | None = None
    ignore_index: int = -100
    label_smoothing: float = 0.0
    reduction: str = "mean"
    axis: int | None = None

    def _run(
        self, what: int, logits: Any, target: Any, sample_weight: Any, grad_output: Any, out: Any
    ) -> Any:
        return _core.softmax_loss(
            _CROSS_ENTROPY, what, logits, target, self.weight, sample_weight, self.ignore_index,
            self.label_smoothing, 0.0, "exact", self.reduction, self.axis, grad_output, out,
        )  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class NLLLoss(ItemLoss):
    r"""Negative log-likelihood of class indices, with its gradient.

    The derivatives are those with respect to the log-probabilities :math:`x`, the first argument
    of the methods. With the letters of `nll_loss`:

    .. math::
        \frac{\partial \ell}{\partial x_k} = -v\, w_t\, [k = t], \qquad
        \frac{\partial^2 \ell}{\partial x_k^2} = 0

    Parameters
    ----------
    weight, ignore_index, reduction, axis
        As in `nll_loss`.

    References
    ----------
    ``torch.nn.NLLLoss``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> loss, grad = ce.NLLLoss().value_and_grad(np.log([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]]), [2, 0])
    >>> loss.round(5)
    np.float64(0.52491)
    >>> grad
    array([[ 0. ,  0. , -0.5],
           [-0.5,  0. ,  0. ]])
    """

    weight: ArrayLike | None = None
    ignore_index: int = -100
    reduction: str = "mean"
    axis: int | None = None

    def _run(
        self, what: int, logits: Any, target: Any, sample_weight: Any, grad_output: Any, out: Any
    ) -> Any:
        return _core.softmax_loss(
            _NLL, what, logits, target, self.weight, sample_weight, self.ignore_index,
            0.0, 0.0, "exact", self.reduction, self.axis, grad_output, out,
        )  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class FocalLoss(ItemLoss):
    r"""Focal loss of the softmax of logits, with gradient and diagonal Hessian.

    With :math:`p_k = \mathrm{softmax}(z)_k`, :math:`p = p_t`, :math:`q = 1 - p`,
    :math:`L = -\log p`, and the other letters of `focal_loss`:

    .. math::
        A &= q^\gamma \Big( 1 + \gamma\, \frac{p L}{q} \Big), \qquad
        D = \gamma\, q^{\gamma - 1} \Big[ p\, (2 - L) + (\gamma - 1)\, \frac{p^2 L}{q} \Big] \\
        \frac{\partial \ell}{\partial z_k} &= v\, \alpha_t\, A\, (p_k - [k = t]) \\
        \frac{\partial^2 \ell}{\partial z_k^2} &= v\, \alpha_t \big[ A\, p_k (1 - p_k)
            + D\, (p_k - [k = t])^2 \big]

    The Hessian is negative on hard items; `grad_and_hess` has two others that are not. Small
    gradients are exact, and finite for every gamma: all tend to 0 as p tends to 1.

    Parameters
    ----------
    gamma, alpha, ignore_index, reduction, axis
        As in `focal_loss`.

    References
    ----------
    Lin, Goyal, Girshick, He and Dollár, "Focal loss for dense object detection", ICCV 2017,
    section 3.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> logits = np.array([[2.0, 1.0, 0.1], [0.5, 2.0, 0.3]])
    >>> loss, grad = ce.FocalLoss().value_and_grad(logits, [0, 1])
    >>> loss.round(5)
    np.float64(0.03844)
    >>> grad.round(4)
    array([[-0.0518,  0.0368,  0.015 ],
           [ 0.0177, -0.0322,  0.0145]])
    """

    gamma: float = 2.0
    alpha: ArrayLike | None = None
    ignore_index: int = -100
    reduction: str = "mean"
    axis: int | None = None

    def _run(
        self, what: int, logits: Any, target: Any, sample_weight: Any, grad_output: Any, out: Any,
        hessian: str = "exact",
    ) -> Any:  # fmt: skip
        return _core.softmax_loss(
            _FOCAL, what, logits, target, self.alpha, sample_weight, self.ignore_index,
            0.0, self.gamma, hessian, self.reduction, self.axis, grad_output, out,
        )  # fmt: skip

    def grad_and_hess(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        grad_output: ArrayLike | None = None,
        hessian: str = "exact",
        out: tuple[Gradient, Gradient] | None = None,
    ) -> tuple[Gradient, Gradient]:
        r"""Return the gradient and the diagonal of a Hessian, for boosting and Newton steps.

        Parameters
        ----------
        logits, target, sample_weight, grad_output
            As in `value_and_grad`.
        hessian : {"exact", "gauss_newton", "abs"}, optional
            "exact" is the second derivative, negative on hard items. "gauss_newton" is its first
            term, :math:`v \alpha_t A p_k (1 - p_k)`, and "abs" the absolute gradient: neither is
            negative where weights are not.
        out : pair of ndarrays, optional
            Receive gradient and Hessian: apart from each other, either may be `logits` itself.

        Returns
        -------
        grad, hess : ndarrays of the shape and dtype of `logits`

        Examples
        --------
        >>> import numpy as np
        >>> import ce
        >>> logits, criterion = np.array([0.0, 4.0]), ce.FocalLoss()
        >>> criterion.grad_and_hess(logits, 0)[1].round(3)
        array([-0.047, -0.047])
        >>> criterion.grad_and_hess(logits, 0, hessian="gauss_newton")[1].round(3)
        array([0.02, 0.02])
        """
        return self._run(  # type: ignore[no-any-return]
            _GRAD_AND_HESS, logits, target, sample_weight, grad_output, out, hessian
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class BCELoss(ElementLoss):
    r"""Cross-entropy of yes-or-no labels and probabilities, with gradient and diagonal Hessian.

    With the letters of `binary_cross_entropy`:

    .. math::
        \frac{\partial \ell}{\partial x} = w\, \frac{x - y}{x (1 - x)}, \qquad
        \frac{\partial^2 \ell}{\partial x^2}
            = w \Big[ \frac{y}{x^2} + \frac{1 - y}{(1 - x)^2} \Big]

    The gradient's denominator is at least 1e-12, and the Hessian takes x no closer than 1e-12 to
    0 and 1, so both are finite there in float32 and float64.

    Parameters
    ----------
    weight, reduction
        As in `binary_cross_entropy`.

    References
    ----------
    ``torch.nn.BCELoss``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> loss, grad = ce.BCELoss().value_and_grad(np.array([0.8, 0.1]), [1, 0])
    >>> loss.round(5)
    np.float64(0.16425)
    >>> grad.round(4)
    array([-0.625 ,  0.5556])
    """

    weight: ArrayLike | None = None
    reduction: str = "mean"

    def _run(self, what: int, input: Any, target: Any, grad_output: Any, out: Any) -> Any:
        return _core.pointwise_loss(
            _BCE, what, input, target, self.weight, None, 0.0, None, 0.0, "exact",
            self.reduction, grad_output, out,
        )  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class BCEWithLogitsLoss(ElementLoss):
    r"""Cross-entropy of yes-or-no labels and logits, with gradient and diagonal Hessian.

    With :math:`\sigma(x) = 1 / (1 + e^{-x})` and the letters of `binary_cross_entropy_with_logits`:

    .. math::
        \frac{\partial \ell}{\partial x} &= w\, [\, (1 - y)\, \sigma(x) - u\, y\, \sigma(-x) \,] \\
        \frac{\partial^2 \ell}{\partial x^2} &= w\, (1 - y + u y)\, \sigma(x)\, \sigma(-x)

    Small gradients are exact: 1 - sigma(x) is computed as sigma(-x).

    Parameters
    ----------
    weight, pos_weight, reduction
        As in `binary_cross_entropy_with_logits`.

    References
    ----------
    ``torch.nn.BCEWithLogitsLoss``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> criterion = ce.BCEWithLogitsLoss(reduction="sum")
    >>> loss, grad = criterion.value_and_grad(np.array([1.5, -0.5]), [1, 0])
    >>> loss.round(5)
    np.float64(0.67549)
    >>> grad.round(4)
    array([-0.1824,  0.3775])
    """

    weight: ArrayLike | None = None
    pos_weight: ArrayLike | None = None
    reduction: str = "mean"

    def _run(self, what: int, input: Any, target: Any, grad_output: Any, out: Any) -> Any:
        return _core.pointwise_loss(
            _BCE_WITH_LOGITS, what, input, target, self.weight, self.pos_weight, 0.0, None, 0.0,
            "exact", self.reduction, grad_output, out,
        )  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class SigmoidFocalLoss(ElementLoss):
    r"""Focal loss of the sigmoid of logits, with gradient and diagonal Hessian.

    With :math:`s = \sigma(x)`, :math:`n = \sigma(-x)`, and the letters of `sigmoid_focal_loss`:

    .. math::
        E &= (1 - 2 y)\, s\, n / R \quad (0 / 0 = 0) \\
        \frac{\partial \ell}{\partial x} &= w\, a\, R^\gamma [\, s - y + \gamma\, E\, c \,] \\
        \frac{\partial^2 \ell}{\partial x^2} &= w\, a\, R^\gamma \big[\, s n
            + 2 \gamma\, E\, (s - y)
            + \gamma\, c\, \big( (\gamma - 1) E^2 + E\, (n - s) \big) \big]

    The Hessian is negative on hard elements; `grad_and_hess` has two others that are not. Small
    gradients are exact, and finite for every gamma.

    Parameters
    ----------
    gamma, alpha, weight, reduction
        As in `sigmoid_focal_loss`.

    References
    ----------
    Lin, Goyal, Girshick, He and Dollár, "Focal loss for dense object detection", ICCV 2017,
    section 3.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> criterion = ce.SigmoidFocalLoss(reduction="sum")
    >>> loss, grad = criterion.value_and_grad(np.array([1.5, -1.0, 0.0]), [1, 1, 0])
    >>> loss.round(5)
    np.float64(0.30711)
    >>> grad.round(4)
    array([-0.0043, -0.1921,  0.2237])
    """

    gamma: float = 2.0
    alpha: float | None = 0.25
    weight: ArrayLike | None = None
    reduction: str = "mean"

    def _run(
        self, what: int, input: Any, target: Any, grad_output: Any, out: Any,
        hessian: str = "exact",
    ) -> Any:  # fmt: skip
        return _core.pointwise_loss(
            _SIGMOID_FOCAL, what, input, target, self.weight, None, self.gamma, self.alpha, 0.0,
            hessian, self.reduction, grad_output, out,
        )  # fmt: skip

    def grad_and_hess(
        self,
        input: ArrayLike,
        target: ArrayLike,
        *,
        grad_output: ArrayLike | None = None,
        hessian: str = "exact",
        out: tuple[Gradient, Gradient] | None = None,
    ) -> tuple[Gradient, Gradient]:
        r"""Return the gradient and the diagonal of a Hessian, for boosting and Newton steps.

        Parameters
        ----------
        input, target, grad_output
            As in `value_and_grad`.
        hessian : {"exact", "gauss_newton", "abs"}, optional
            "exact" is the second derivative, negative on hard elements. "gauss_newton" is the
            absolute gradient times 1 - R, not negative where weights are not, and "abs" the
            absolute gradient.
        out : pair of ndarrays, optional
            Receive gradient and Hessian: apart from each other, either may be `input` itself.

        Returns
        -------
        grad, hess : ndarrays of the shape and dtype of `input`

        Examples
        --------
        >>> import numpy as np
        >>> import ce
        >>> x, criterion = np.array([-4.0, 1.0]), ce.SigmoidFocalLoss(alpha=None, reduction="sum")
        >>> criterion.grad_and_hess(x, 1)[1].round(3)
        array([-0.047,  0.111])
        >>> criterion.grad_and_hess(x, 1, hessian="gauss_newton")[1].round(3)
        array([0.02 , 0.038])
        """
        return self._run(  # type: ignore[no-any-return]
            _GRAD_AND_HESS, input, target, grad_output, out, hessian
        )


# -- regression -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True)
class MSELoss(ElementLoss):
    r"""Squared error, with gradient and diagonal Hessian.

    With the residual r = input - target and the weight w of an element, and x its input:

    .. math::
        \frac{\partial \ell}{\partial x} = 2\, w\, r, \qquad
        \frac{\partial^2 \ell}{\partial x^2} = 2\, w

    Parameters
    ----------
    weight, reduction
        As in `mse_loss`.

    References
    ----------
    ``torch.nn.MSELoss``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> criterion = ce.MSELoss(weight=[1, 3, 0])
    >>> loss, grad = criterion.value_and_grad(np.array([1.0, 2.0, np.nan]), [1.0, 4.0, 2.0])
    >>> loss, grad
    (np.float64(3.0), array([ 0., -3.,  0.]))
    """

    weight: ArrayLike | None = None
    reduction: str = "mean"

    def _run(self, what: int, input: Any, target: Any, grad_output: Any, out: Any) -> Any:
        return _core.pointwise_loss(
            _MSE, what, input, target, self.weight, None, 0.0, None, 0.0, "exact",
            self.reduction, grad_output, out,
        )  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class L1Loss(ElementLoss):
    r"""Absolute error, with its gradient.

    With the residual r = input - target and the weight w of an element, and x its input:

    .. math::
        \frac{\partial \ell}{\partial x} = w\, \mathrm{sign}(r), \quad \mathrm{sign}(0) = 0, \qquad
        \frac{\partial^2 \ell}{\partial x^2} = 0

    Parameters
    ----------
    weight, reduction
        As in `l1_loss`.

    References
    ----------
    ``torch.nn.L1Loss``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> criterion = ce.L1Loss(reduction="sum")
    >>> loss, grad = criterion.value_and_grad(np.array([1.0, 2.0, 5.0]), [1.0, 4.0, 2.0])
    >>> loss, grad
    (np.float64(5.0), array([ 0., -1.,  1.]))
    """

    weight: ArrayLike | None = None
    reduction: str = "mean"

    def _run(self, what: int, input: Any, target: Any, grad_output: Any, out: Any) -> Any:
        return _core.pointwise_loss(
            _L1, what, input, target, self.weight, None, 0.0, None, 0.0, "exact",
            self.reduction, grad_output, out,
        )  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class HuberLoss(ElementLoss):
    r"""Huber's loss, with gradient and diagonal Hessian.

    With the residual r = input - target and the weight w of an element, and x its input:

    .. math::
        \frac{\partial \ell}{\partial x} = w\, \mathrm{clip}(r, -\delta, \delta), \qquad
        \frac{\partial^2 \ell}{\partial x^2} = w\, [\, |r| \le \delta \,]

    Parameters
    ----------
    delta, weight, reduction
        As in `huber_loss`.

    References
    ----------
    Huber, "Robust estimation of a location parameter", Ann. Math. Statist. 35 (1964);
    ``torch.nn.HuberLoss``, whose weighted mean divides by the number of elements.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> criterion = ce.HuberLoss(delta=2.0, reduction="sum")
    >>> loss, grad = criterion.value_and_grad(np.array([0.5, -1.0, 4.0]), 0.0)
    >>> loss, grad
    (np.float64(6.625), array([ 0.5, -1. ,  2. ]))
    """

    delta: float = 1.0
    weight: ArrayLike | None = None
    reduction: str = "mean"

    def _run(self, what: int, input: Any, target: Any, grad_output: Any, out: Any) -> Any:
        return _core.pointwise_loss(
            _HUBER, what, input, target, self.weight, None, 0.0, None, self.delta, "exact",
            self.reduction, grad_output, out,
        )  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class SmoothL1Loss(ElementLoss):
    r"""Absolute error with a smooth minimum, with gradient and diagonal Hessian.

    With the residual r = input - target and the weight w of an element, and x its input:

    .. math::
        \frac{\partial \ell}{\partial x} = w \begin{cases} r / \beta & |r| < \beta \\
                                           \mathrm{sign}(r) & |r| \ge \beta, \end{cases} \qquad
        \frac{\partial^2 \ell}{\partial x^2} = \frac{w}{\beta}\, [\, |r| < \beta \,]

    Parameters
    ----------
    beta, weight, reduction
        As in `smooth_l1_loss`. A `beta` of 0 is `L1Loss`.

    References
    ----------
    Girshick, "Fast R-CNN", ICCV 2015, section 2.3; ``torch.nn.SmoothL1Loss``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> criterion = ce.SmoothL1Loss(beta=2.0, reduction="sum")
    >>> loss, grad = criterion.value_and_grad(np.array([0.5, -1.0, 4.0]), 0.0)
    >>> loss, grad
    (np.float64(3.3125), array([ 0.25, -0.5 ,  1.  ]))
    """

    beta: float = 1.0
    weight: ArrayLike | None = None
    reduction: str = "mean"

    def _run(self, what: int, input: Any, target: Any, grad_output: Any, out: Any) -> Any:
        return _core.pointwise_loss(
            _SMOOTH_L1, what, input, target, self.weight, None, 0.0, None, self.beta, "exact",
            self.reduction, grad_output, out,
        )  # fmt: skip


# -- information theory ---------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True)
class KLDivLoss(ElementLoss):
    r"""Kullback-Leibler divergence of log-probabilities from a target, with its gradient.

    The derivatives are those with respect to the log-probabilities :math:`x`, the first argument
    of the methods. With the letters of `kl_div`, p being e^t if `log_target`:

    .. math::
        \frac{\partial \ell}{\partial x} = -p, \qquad
        \frac{\partial^2 \ell}{\partial x^2} = 0

    Parameters
    ----------
    log_target, reduction
        As in `kl_div`; "batchmean" is the mean divergence of the rows of a batch.

    References
    ----------
    Kullback and Leibler, "On information and sufficiency", Ann. Math. Statist. 22 (1951);
    ``torch.nn.KLDivLoss``.

    Examples
    --------
    >>> import numpy as np
    >>> import ce
    >>> criterion = ce.KLDivLoss(reduction="batchmean")
    >>> log_q, p = np.log([[0.5, 0.25, 0.25]]), np.array([[0.25, 0.5, 0.25]])
    >>> loss, grad = criterion.value_and_grad(log_q, p)
    >>> loss.round(5)
    np.float64(0.17329)
    >>> grad
    array([[-0.25, -0.5 , -0.25]])
    """

    log_target: bool = False
    reduction: str = "mean"

    def _run(self, what: int, input: Any, target: Any, grad_output: Any, out: Any) -> Any:
        return _core.pointwise_loss(
            _KL_DIV_LOG if self.log_target else _KL_DIV, what, input, target, None, None, 0.0,
            None, 0.0, "exact", self.reduction, grad_output, out,
        )  # fmt: skip
