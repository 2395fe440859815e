"""Types of the compiled module; what it does stands in _core.pyx."""

from contextvars import ContextVar
from typing import Any

from numpy.typing import NDArray

VALUE: int
GRAD: int
HESS: int
PERPLEXITY: object

def softmax_loss(
    loss: int,
    what: int,
    logits: Any,
    target: Any,
    weight: Any,
    sample_weight: Any,
    ignore_index: Any,
    label_smoothing: Any,
    gamma: Any,
    hessian: Any,
    reduction: Any,
    axis: Any,
    grad_output: Any,
    out: Any,
) -> Any: ...
def pointwise_loss(
    loss: int,
    what: int,
    input: Any,
    target: Any,
    weight: Any,
    pos_weight: Any,
    gamma: Any,
    alpha: Any,
    delta: Any,
    hessian: Any,
    reduction: Any,
    grad_output: Any,
    out: Any,
) -> Any: ...
def axis_sum(loss: int, p: Any, q: Any, axis: Any) -> Any: ...
def normalise(loss: int, x: Any, axis: Any, out: Any) -> NDArray[Any]: ...
def normalise_backward(
    loss: int, grad_output: Any, output: Any, axis: Any, out: Any
) -> NDArray[Any]: ...
def logsumexp(loss: int, x: Any, axis: Any, keepdims: Any, out: Any) -> Any: ...
def logsumexp_backward(
    loss: int, grad_output: Any, x: Any, axis: Any, keepdims: Any, out: Any
) -> NDArray[Any]: ...
def bfloat16_of_dlpack(x: Any) -> Any: ...
def set_threads(scope: ContextVar[int | None], default: int) -> None: ...
def threads_asked() -> int: ...
def threads_team(asked: int) -> int: ...
def threads_runtime() -> str: ...
def set_cpus(cpus: int) -> None: ...
def before_fork() -> None: ...
def find_loss(name: str) -> int: ...
def isas() -> tuple[str, ...]: ...
def isa() -> str: ...
def use_isa(name: str) -> None: ...
def compiler() -> str: ...
