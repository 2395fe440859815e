"""lib_onnxruntime.py - ONNX Runtime, which has no losses here: softmax and log_softmax.

The input is bound to its buffer, and so is the output, where one is given.
"""

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from bench.cases import FORWARD_OUT, Case

OPERATORS = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}
_threads = 1


def modes(case: Case) -> tuple[str, ...]:
    return case.modes if case.loss in OPERATORS and case.dtype == "float32" else ()


def configure(threads: int) -> tuple[dict[str, str], str]:
    """Keep the thread count, which is an option of a session."""
    global _threads
    _threads = threads
    return {"onnxruntime": onnxruntime.__version__}, "MLAS's choice"


def prepare(case: Case, mode: str, logits):
    """A call without arguments that returns the values."""
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, case.shape) for end in "zy"]
    node = helper.make_node(OPERATORS[case.loss], ["z"], ["y"], axis=1)
    graph = helper.make_graph([node], case.loss, ends[:1], ends[1:])
    opset = [helper.make_opsetid("", 13)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    bound = session.io_binding()
    place = ("cpu", 0, np.float32, logits.shape)
    bound.bind_input("z", *place, logits.ctypes.data)
    out = np.empty_like(logits)
    if mode == FORWARD_OUT:
        bound.bind_output("y", *place, out.ctypes.data)
    else:
        bound.bind_output("y")

    def run():
        session.run_with_iobinding(bound)
        return out if mode == FORWARD_OUT else bound.copy_outputs_to_cpu()[0]

    return run
