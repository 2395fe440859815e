# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True
# cython: autotestdict=False
"""Pointers and strides: from Python objects to a ce_job, one C call, and back.

Every check that the common call passes is made here, on raw buffers; whatever fails one goes to
`ce._check`, which either turns it into an array that passes or raises the error. No mathematics.
"""

from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_IsContiguous, PyBuffer_Release,
    PyObject_CheckBuffer, PyObject_GetBuffer,
)
from cpython.long cimport PyLong_AsLongAndOverflow
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.tuple cimport PyTuple_Pack
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

import numpy as np

from ce import _check

cdef extern from "ce.h":
    ctypedef enum ce_type:
        CE_FLOAT32, CE_FLOAT64, CE_FLOAT16, CE_BFLOAT16, CE_INT8, CE_UINT8, CE_UINT16
    ctypedef enum ce_reduction: CE_NONE, CE_SUM, CE_MEAN, CE_BATCHMEAN, CE_PERPLEXITY
    ctypedef enum ce_hessian: CE_EXACT, CE_GAUSS_NEWTON, CE_ABS
    enum: CE_Z, CE_GRAD, CE_HESS, CE_OTHER, CE_TARGET, CE_V, CE_POS, CE_UPSTREAM, CE_VALUE
    ctypedef struct ce_array:
        char *data
        const int64_t *strides
        ce_type type
    ctypedef struct ce_job:
        int loss
        ce_type real
        ce_reduction reduction
        ce_hessian hessian
        int axes, class_axis
        const int64_t *shape
        ce_array array[9]
        const void *w
        int64_t ignore_index
        double smoothing, gamma
        double alpha[2]
        double delta
        double grad_output
        int valued
        int threads
        int (*stop)() noexcept nogil
        void *scratch
        double value
        double z
        int64_t bad
        int stopped
    size_t ce_scratch_bytes(ce_job *) nogil
    void ce_run(ce_job *) nogil
    int ce_find_loss(const char *)
    int ce_isa_count()
    const char *ce_isa_name(int)
    bint ce_isa_runs_here(int)
    int ce_isa_current()
    void ce_isa_use(int)
    const char *ce_threads_runtime()
    int ce_threads_team(int)
    void ce_threads_before_fork()
    void ce_threads_after_fork()
    void ce_threads_set_cpus(int)

cdef extern from "internal.h":
    Py_ssize_t size_of(ce_type)

cdef extern from *:
    """
    _Static_assert(sizeof(Py_ssize_t) == sizeof(int64_t), "ce needs a 64-bit machine");
    #if defined(__clang__)
    #define CE_COMPILER "Clang " __clang_version__
    #elif defined(__GNUC__)
    #define CE_COMPILER "GCC " __VERSION__
    #else
    #define CE_COMPILER "unknown"
    #endif
    """
    const char *CE_COMPILER

cdef enum:
    WANTS_VALUE = 1
    WANTS_GRAD = 2
    WANTS_HESS = 4
    WEIGHT = 9           # one view more than the job has arrays
    VIEWS = 10
    FEW = 64             # numbers of 8 bytes of scratch that need no allocation
    AXES = 64            # NumPy's limit
    FEW_AXES = 8         # of arrays that are looked into
    TINY = 4096          # logits below which the GIL is kept

# What a call asks for: a sum of these.
VALUE, GRAD, HESS = WANTS_VALUE, WANTS_GRAD, WANTS_HESS
# The reduction that is no public one: exp of the mean.
PERPLEXITY = object()

cdef object perplexity = PERPLEXITY

cdef object float32 = np.float32, float64 = np.float64, empty = np.empty, empty_like = np.empty_like
cdef object ndarray = np.ndarray, Bfloat16 = _check.Bfloat16

cdef enum Hold:
    NOTHING, A_BUFFER, AN_ARRAY

cdef struct Call:
    ce_job job
    Hold held[VIEWS]
    int item_axes
    bint converted       # some input was copied: overlap must be looked for on the originals
    bint other_may_be_out
    # All above is 0 at first.
    Py_ssize_t items[64]  # the shape of the items: the logits' less the class axis
    Py_buffer view[VIEWS]
    int type[VIEWS]      # of what is held: a ce_type, or -1 for none
    PyObject *kept[VIEWS]
    Py_ssize_t axes[VIEWS][2 * FEW_AXES]  # shape and strides of arrays that are kept


cdef inline void clear(Call *c) noexcept:
    memset(c, 0, <size_t>(<char *>&c.items - <char *>c))


include "_numpy.pxi"
include "_buffers.pxi"


# -- the call -----------------------------------------------------------------------------------

cdef object start(Call *c, int loss, str name, object x):
    """The logits or the input: dtype and shape."""
    c.job.loss = loss
    x = take_floats(c, CE_Z, name, x)
    c.job.real = CE_FLOAT64 if c.job.array[CE_Z].type == CE_FLOAT64 else CE_FLOAT32
    c.job.axes = c.view[CE_Z].ndim
    c.job.shape = <const int64_t *>c.view[CE_Z].shape
    c.job.class_axis = -1
    c.job.grad_output = 1
    return x


cdef object begin(Call *c, int loss, str name, object x, object axis):
    """The same with a class axis."""
    cdef int i, rank, chosen
    x = start(c, loss, name, x)
    rank = c.job.axes
    if axis is None:
        chosen = 1 if rank > 1 else 0
    else:
        chosen = axis if type(axis) is int and -64 <= axis < 64 else _check.axis(axis, rank)
        if chosen < 0:
            chosen += rank
    if chosen < 0 or chosen >= rank:
        _check.bad_axis(name, axis, rank)
    c.job.class_axis = chosen
    for i in range(rank):
        if i != chosen:
            c.items[c.item_axes] = c.job.shape[i]
            c.item_axes += 1
    return x


cdef extern from *:
    """
    static inline int ce_raise(void) { return -1; }
    """
    int ce_raise() except -1  # the exception that a C function left set

cdef extern from "Python.h":
    int PyErr_CheckSignals()


cdef int interrupted() noexcept nogil:
    """Let signal handlers run, in the main thread; true if one raised an exception."""
    with gil:
        return PyErr_CheckSignals() < 0


cdef int execute(Call *c) except -1:
    cdef int64_t few[FEW]
    cdef size_t bytes
    cdef int64_t work = 1
    cdef int i
    c.job.threads = _threads_asked()
    bytes = ce_scratch_bytes(&c.job)
    c.job.scratch = few
    if bytes > sizeof(few):
        c.job.scratch = malloc(bytes)
        if c.job.scratch == NULL:
            raise MemoryError()
    for i in range(c.job.axes):
        work *= max(c.job.shape[i], 1)
    if work < TINY:
        ce_run(&c.job)
    else:
        c.job.stop = interrupted
        with nogil:
            ce_run(&c.job)
    if bytes > sizeof(few):
        free(c.job.scratch)
    return ce_raise() if c.job.stopped else 0


cdef int fill(Call *c) except -1:
    """The same where all that is wanted is an array like the input, which may be empty."""
    cdef int i
    for i in range(c.job.axes):
        if c.job.shape[i] == 0:
            return 0
    return execute(c)


cdef int reduction_code(object reduction, bint has_batchmean) except -1:
    if isinstance(reduction, str):
        if reduction == "mean":
            return CE_MEAN
        if reduction == "sum":
            return CE_SUM
        if reduction == "none":
            return CE_NONE
        if reduction == "batchmean" and has_batchmean:
            return CE_BATCHMEAN
    elif reduction is perplexity:
        return CE_PERPLEXITY
    return _check.bad_reduction(reduction, has_batchmean)


cdef int hessian_code(object hessian) except -1:
    if type(hessian) is str and hessian == "exact":
        return CE_EXACT
    return _check.hessian(hessian)


cdef inline bint is_zero(object x) except -1:
    return type(x) is float and <double>x == 0


cdef inline bint is_default_index(object x) except -1:
    cdef int overflow
    return type(x) is int and PyLong_AsLongAndOverflow(x, &overflow) == -100


cdef int check_target_shape(const Call *c, object axis) except -1:
    cdef const Py_buffer *t = &c.view[CE_TARGET]
    cdef bint alike = t.ndim == c.item_axes
    cdef int i
    for i in range(t.ndim):
        alike = alike and t.shape[i] == c.items[i]
    if not alike:
        _check.bad_target_shape(c_shape(c), shape_of(t), c.job.class_axis, axis)
    return 0


cdef object take_probabilities(Call *c, object x):
    """Class probabilities: floating numbers, the shape of the logits."""
    let_go(c, CE_TARGET)
    x = take_numbers(c, CE_OTHER, "target", x, True)
    if not fits(c, &c.view[CE_OTHER], CE_OTHER):
        _check.bad_shape("target", shape_of(&c.view[CE_OTHER]), c_shape(c))
    return x


cdef int take_grad_output(Call *c, object grad_output, object reduction) except -1:
    if type(grad_output) is not float:
        grad_output = _check.grad_output(grad_output, reduction)
    if type(grad_output) is float:
        c.job.grad_output = grad_output
    elif c.job.class_axis >= 0:
        take_items(c, CE_UPSTREAM, "grad_output", grad_output)
    else:
        take_elements(c, CE_UPSTREAM, "grad_output", grad_output, False)
    return 0


cdef object answer(Call *c, int what, object z, object out, tuple names, tuple inputs,
                   object target):
    """Outputs, the call, and what the caller gets of `what`."""
    cdef int items = c.item_axes if c.job.class_axis >= 0 else c.job.axes
    grad = hess = losses = None
    if what & WANTS_HESS:
        grad_out, hess_out = (None, None) if out is None else _check.pair(out)
        grad = take_out(c, CE_GRAD, "out[0]", grad_out, z, names, inputs)
        if out is not None:
            names, inputs = names + ("out[0]",), inputs + (grad_out,)
        hess = take_out(c, CE_HESS, "out[1]", hess_out, z, names, inputs)
    elif what & WANTS_GRAD:
        grad = take_out(c, CE_GRAD, "out", out, z, names, inputs)
    if what & WANTS_VALUE and c.job.reduction == CE_NONE and items > 0:
        losses = fresh(c, CE_VALUE, z)
    c.job.valued = what & WANTS_VALUE
    execute(c)
    if c.job.bad >= 0:
        if c.job.class_axis < 0:
            _check.bad_probability(z, target, c.job.bad)
        _check.bad_index(target, c.job.bad, c.job.shape[c.job.class_axis], c.job.ignore_index)
    if what & WANTS_HESS:
        return settle(grad), settle(hess)
    if what & WANTS_GRAD:
        grad = settle(grad)
    if what == WANTS_GRAD:
        return grad
    value = scalar(c, c.job.value) if losses is None else losses
    return value if what == WANTS_VALUE else PyTuple_Pack(
        2, <PyObject *>value, <PyObject *>grad)


cdef object run_softmax_loss(int loss, int what, object logits, object target, object weight,
                             object sample_weight, object ignore_index, object label_smoothing,
                             object gamma, object hessian, object reduction, object axis,
                             object grad_output, object out):
    """Value, gradient, Hessian (`what`: a sum of VALUE, GRAD, HESS) of a loss of classes."""
    cdef Call c
    cdef bint indices
    cdef tuple names = _ON_LOG_PROBS if loss == _NLL else (
        _ON_ALPHA if loss == _FOCAL else _ON_CLASSES)
    clear(&c)
    try:
        z = begin(&c, loss, <str>names[0], logits, axis)
        indices = is_indices(&c, target)
        if not indices and loss == _CROSS_ENTROPY and reduction is not perplexity and (
                _check.is_probabilities(target, c_shape(&c))):
            c.job.loss = _CROSS_ENTROPY_PROBABILITIES
            y = take_probabilities(&c, target)
        else:
            y = take_target(&c, target, indices)
            check_target_shape(&c, axis)
        c.job.reduction = <ce_reduction>reduction_code(reduction, False)
        c.job.hessian = <ce_hessian>hessian_code(hessian)
        c.job.ignore_index = -100
        if not is_default_index(ignore_index):
            c.job.ignore_index = _check.ignore_index(ignore_index, c.job.loss != loss)
        if not is_zero(label_smoothing):
            c.job.smoothing = _check.label_smoothing(label_smoothing)
        if not is_zero(gamma):
            c.job.gamma = _check.gamma(gamma)
        if weight is not None:
            if loss == _FOCAL:
                weight = _check.alpha_per_class(weight, c.job.shape[c.job.class_axis])
            take_weight(&c, <str>names[2], weight)
        if sample_weight is not None:
            take_items(&c, CE_V, "sample_weight", sample_weight)
        if grad_output is not None:
            take_grad_output(&c, grad_output, reduction)
        return answer(&c, what, z, out, names, None if out is None else PyTuple_Pack(
            5, <PyObject *>logits, <PyObject *>target, <PyObject *>weight,
            <PyObject *>sample_weight, <PyObject *>grad_output), y)
    finally:
        release(&c)


cdef object run_pointwise_loss(int loss, int what, object input, object target, object weight,
                               object pos_weight, object gamma, object alpha, object delta,
                               object hessian, object reduction, object grad_output, object out):
    """The same of an element-wise loss."""
    cdef Call c
    cdef tuple names = _ON_PROBS if loss == _BCE else _ON_LOGITS if (
        loss == _BCE_WITH_LOGITS or loss == _SIGMOID_FOCAL) else _ON_INPUT
    clear(&c)
    try:
        x = start(&c, loss, <str>names[0], input)
        y = take_elements(&c, CE_OTHER, "target", target, False)
        c.job.reduction = <ce_reduction>reduction_code(reduction, loss == _KL_DIV
                                                       or loss == _KL_DIV_LOG)
        if c.job.reduction == CE_BATCHMEAN and c.job.axes == 0:
            _check.bad_batchmean()
        if loss == _SIGMOID_FOCAL:
            c.job.hessian = <ce_hessian>hessian_code(hessian)
            c.job.gamma = _check.gamma(gamma)
            c.job.alpha[0], c.job.alpha[1] = _check.alpha_per_label(alpha)
        elif loss == _HUBER:
            c.job.delta = _check.delta(delta)
        elif loss == _SMOOTH_L1:
            c.job.delta = _check.beta(delta)
        if weight is not None:
            take_elements(&c, CE_V, "weight", weight, True)
        if pos_weight is not None:
            take_elements(&c, CE_POS, "pos_weight", pos_weight, True)
        if grad_output is not None:
            take_grad_output(&c, grad_output, reduction)
        return answer(&c, what, x, out, names, None if out is None else PyTuple_Pack(
            5, <PyObject *>input, <PyObject *>target, <PyObject *>weight,
            <PyObject *>pos_weight, <PyObject *>grad_output), y)
    finally:
        release(&c)


# Under the stable ABI of Python 3.11 Cython's own functions take a tuple of their arguments, which
# costs 100 ns. These two take an array.
cdef extern from "Python.h":
    ctypedef void *PyCFunction
    ctypedef struct PyMethodDef:
        const char *ml_name
        PyCFunction ml_meth
        int ml_flags
        const char *ml_doc
    int METH_FASTCALL
    object PyCFunction_NewEx(PyMethodDef *, PyObject *, PyObject *)

cdef PyMethodDef[2] methods


cdef object method(int i, const char *name, void *function):
    methods[i] = PyMethodDef(name, <PyCFunction>function, METH_FASTCALL, NULL)
    return PyCFunction_NewEx(&methods[i], NULL, NULL)


cdef int expect(Py_ssize_t met, int expected) except -1:
    if met != expected:
        raise TypeError(f"{expected} arguments are expected, not {met}")
    return 0


cdef object call_softmax_loss(object module, PyObject **x, Py_ssize_t n):
    expect(n, 14)
    return run_softmax_loss(
        <int><object>x[0], <int><object>x[1], <object>x[2], <object>x[3], <object>x[4],
        <object>x[5], <object>x[6], <object>x[7], <object>x[8], <object>x[9], <object>x[10],
        <object>x[11], <object>x[12], <object>x[13])


cdef object call_pointwise_loss(object module, PyObject **x, Py_ssize_t n):
    expect(n, 13)
    return run_pointwise_loss(
        <int><object>x[0], <int><object>x[1], <object>x[2], <object>x[3], <object>x[4],
        <object>x[5], <object>x[6], <object>x[7], <object>x[8], <object>x[9], <object>x[10],
        <object>x[11], <object>x[12])


softmax_loss = method(0, "softmax_loss", <void *>call_softmax_loss)
pointwise_loss = method(1, "pointwise_loss", <void *>call_pointwise_loss)


def axis_sum(int loss, p, q, axis):
    """Sums over one axis of a function of p, or of p and q."""
    cdef Call c
    clear(&c)
    try:
        x = begin(&c, loss, "p", p, _check.no_none(axis))
        if loss != _ENTROPY:
            take_numbers(&c, CE_OTHER, "q", q, True)
            if not fits(&c, &c.view[CE_OTHER], CE_OTHER):
                _check.bad_shape("q", shape_of(&c.view[CE_OTHER]), c_shape(&c))
        values = fresh(&c, CE_VALUE, x) if c.item_axes else None
        execute(&c)
        return scalar(&c, c.job.value) if values is None else values
    finally:
        release(&c)


def normalise(int loss, x, axis, out):
    """softmax or log_softmax."""
    cdef Call c
    clear(&c)
    try:
        z = begin(&c, loss, "x", x, _check.no_none(axis))
        result = take_out(&c, CE_GRAD, "out", out, z, ("x",), (x,))
        fill(&c)
        return settle(result)
    finally:
        release(&c)


def normalise_backward(int loss, grad_output, output, axis, out):
    """The backward pass of softmax or log_softmax, from its output."""
    cdef Call c
    clear(&c)
    try:
        y = begin(&c, loss, "output", output, _check.no_none(axis))
        g = take_floats(&c, CE_OTHER, "grad_output", grad_output)
        if c.job.array[CE_OTHER].type != c.job.array[CE_Z].type:
            _check.bad_match("grad_output", "output", g, y)
        if not fits(&c, &c.view[CE_OTHER], CE_OTHER):
            _check.bad_shape("grad_output", shape_of(&c.view[CE_OTHER]), c_shape(&c))
        c.other_may_be_out = True
        result = take_out(&c, CE_GRAD, "out", out, y,
                          ("output", "grad_output"), (output, grad_output))
        fill(&c)
        return settle(result)
    finally:
        release(&c)


cdef tuple reduced_shape(const Call *c, bint keepdims):
    cdef int i
    return tuple([1 if i == c.job.class_axis else c.job.shape[i] for i in range(c.job.axes)
                  if keepdims or i != c.job.class_axis])


def logsumexp(int loss, x, axis, keepdims, out):
    cdef Call c
    clear(&c)
    try:
        z = begin(&c, loss, "x", x, _check.no_none(axis))
        kept = c.job.class_axis if keepdims else None
        inner = out
        if out is not None:
            if not isinstance(out, ndarray):
                _check.bad_out_type("out", out)
            inner = _check.without_axis("out", out, reduced_shape(&c, keepdims), kept)
        if c.job.axes > 1 or out is not None:
            values = take_out(&c, CE_VALUE, "out", inner, z, ("x",), (x,))
            execute(&c)
            values = settle(values)
            if out is not None:
                return out
            return np.expand_dims(values, kept) if keepdims else values
        execute(&c)
        value = scalar(&c, c.job.value)
        return value.reshape(1) if keepdims else value
    finally:
        release(&c)


def logsumexp_backward(int loss, grad_output, x, axis, keepdims, out):
    cdef Call c
    clear(&c)
    try:
        z = begin(&c, loss, "x", x, _check.no_none(axis))
        g = _check.without_axis("grad_output", grad_output, reduced_shape(&c, keepdims),
                                c.job.class_axis if keepdims else None)
        take_items(&c, CE_UPSTREAM, "grad_output", g)
        result = take_out(&c, CE_GRAD, "out", out, z,
                          ("x", "grad_output"), (x, grad_output))
        fill(&c)
        return settle(result)
    finally:
        release(&c)


# -- the process --------------------------------------------------------------------------------

cdef object _get_scope = None  # of a ContextVar; its value is the scope's thread count or None
cdef extern from *:
    """
    #include <stdatomic.h>
    static atomic_int ce_default = 1;
    """
    int _default "ce_default"


cdef int _threads_asked() except -1:
    asked = _get_scope()
    return _default if asked is None else asked


def set_scope(scope):
    """Once, at import: later, a call in another thread could meet the old one on its way out."""
    global _get_scope
    _get_scope = scope.get


def set_threads(int default):
    global _default
    _default = default


def threads_asked():
    return _threads_asked()


def threads_team(int asked):
    return ce_threads_team(asked)


def threads_runtime():
    return ce_threads_runtime().decode()


def set_cpus(int cpus):
    ce_threads_set_cpus(cpus)


def before_fork():
    ce_threads_before_fork()


def after_fork():
    ce_threads_after_fork()


def find_loss(str name):
    cdef bytes encoded = name.encode()
    cdef int loss = ce_find_loss(encoded)
    if loss < 0:
        raise LookupError(name)
    return loss


def isas():
    """The instruction sets that are compiled in and run on this machine, in rising order."""
    return tuple([ce_isa_name(i).decode() for i in range(ce_isa_count()) if ce_isa_runs_here(i)])


def isa():
    return ce_isa_name(ce_isa_current()).decode()


def use_isa(str name):
    cdef int i
    for i in range(ce_isa_count()):
        if ce_isa_name(i).decode() == name and ce_isa_runs_here(i):
            ce_isa_use(i)
            return
    raise ValueError(f"instruction set {name!r} is not one of {', '.join(isas())}")


def compiler():
    return CE_COMPILER.decode()


# -- what the losses are called -------------------------------------------------------------------

cdef int _CROSS_ENTROPY = find_loss("cross_entropy")
cdef int _CROSS_ENTROPY_PROBABILITIES = find_loss("cross_entropy_probabilities")
cdef int _ENTROPY = find_loss("entropy")
cdef int _NLL = find_loss("nll")
cdef int _FOCAL = find_loss("focal")
cdef int _BCE = find_loss("bce")
cdef int _BCE_WITH_LOGITS = find_loss("bce_with_logits")
cdef int _SIGMOID_FOCAL = find_loss("sigmoid_focal")
cdef int _HUBER = find_loss("huber")
cdef int _SMOOTH_L1 = find_loss("smooth_l1")
cdef int _KL_DIV = find_loss("kl_div")
cdef int _KL_DIV_LOG = find_loss("kl_div_log")
# Names of what must not overlap with out.
cdef tuple _ON_CLASSES = ("logits", "target", "weight", "sample_weight", "grad_output")
cdef tuple _ON_LOG_PROBS = ("log_probs", *_ON_CLASSES[1:])
cdef tuple _ON_ALPHA = ("logits", "target", "alpha", "sample_weight", "grad_output")
cdef tuple _ON_INPUT = ("input", "target", "weight", "pos_weight", "grad_output")
cdef tuple _ON_LOGITS = ("logits", *_ON_INPUT[1:])
cdef tuple _ON_PROBS = ("probs", *_ON_INPUT[1:])
cdef tuple _DTYPES = (np.float32, np.float64, np.float16, np.uint16)  # of the first ce_types
