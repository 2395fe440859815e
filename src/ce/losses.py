"""The losses as objects: options once, derivatives by name."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ce import _core

Gradient = NDArray[Any]


class Loss:
    """What all losses share: comparison of options, arrays among them, by value."""

    def _options(self) -> tuple[Any, ...]:
        values = (getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]
        return tuple(
            v if np.isscalar(v) or v is None else tuple(np.asarray(v).ravel().tolist())
            for v in values
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Loss):
            return NotImplemented
        return type(self) is type(other) and self._options() == other._options()

    def __hash__(self) -> int:
        return hash((type(self), self._options()))


@dataclass(frozen=True, eq=False, kw_only=True)
class CrossEntropyLoss(Loss):
    r"""Cross-entropy of logits and class indices, with gradient and diagonal Hessian.

    With :math:`p = \mathrm{softmax}(z)`, W the sum of the class weights, and the other letters of
    `cross_entropy`:

    .. math::
        \frac{\partial \ell}{\partial z_k} &= v \Big[ (1 - \varepsilon)\, w_t (p_k - [k = t])
            + \frac{\varepsilon}{K} (W p_k - w_k) \Big] \\
        \frac{\partial^2 \ell}{\partial z_k^2} &= v\, p_k (1 - p_k) \Big[ (1 - \varepsilon)\, w_t
            + \frac{\varepsilon}{K} W \Big]

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
            self.label_smoothing, self.reduction, self.axis, grad_output, out,
        )  # fmt: skip

    def __call__(
        self, logits: ArrayLike, target: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Any:
        """Return the loss, as `cross_entropy` does."""
        return self._run(_core.VALUE, logits, target, sample_weight, None, None)

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
            As in `cross_entropy`.
        grad_output : scalar, or array of the shape of `target` for reduction "none", optional
            The gradient is that of ``sum(grad_output * loss)``; by default of ``sum(loss)``.
        out : ndarray, optional
            Receives the gradient: shape and dtype of `logits`, any strides. It may be `logits`
            itself, which is then overwritten and needs no further memory. Any other overlap is a
            ValueError.

        Returns
        -------
        loss : as `cross_entropy`
        grad : ndarray of the shape and dtype of `logits`
            Exactly 0 for ignored items, whatever their logits hold.

        Raises
        ------
        TypeError, ValueError, IndexError
            As `cross_entropy`, before anything is written.

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
            _core.VALUE | _core.GRAD, logits, target, sample_weight, grad_output, out
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
            _core.GRAD, logits, target, sample_weight, grad_output, out
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
            _core.GRAD | _core.HESS, logits, target, sample_weight, grad_output, out
        )


_CROSS_ENTROPY = _core.find_loss("cross_entropy")
