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
from libc.stdint cimport int64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

import numpy as np

from ce import _check

cdef extern from "ce.h":
    ctypedef enum ce_dtype: CE_FLOAT32, CE_FLOAT64
    ctypedef enum ce_index: CE_INT8, CE_UINT8
    ctypedef enum ce_reduction: CE_NONE, CE_SUM, CE_MEAN
    enum: CE_Z, CE_GRAD, CE_HESS, CE_OTHER, CE_TARGET, CE_V, CE_UPSTREAM, CE_VALUE, CE_ARRAYS
    ctypedef struct ce_array:
        char *data
        const int64_t *strides
    ctypedef struct ce_job:
        int loss
        ce_dtype dtype
        ce_index index
        ce_reduction reduction
        int axes, class_axis
        const int64_t *shape
        ce_array array[8]
        const void *w
        int64_t ignore_index
        double smoothing
        double grad_output
        int fresh
        int threads
        void *scratch
        double value
        double z
        int64_t bad
    size_t ce_scratch_bytes(const ce_job *) nogil
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
    void ce_threads_set_cpus(int)

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
    WEIGHT = 8           # one view more than the job has arrays
    VIEWS = 9
    FEW = 64             # numbers of 8 bytes of scratch that need no allocation
    AXES = 64            # NumPy's limit
    TINY = 4096          # logits below which the GIL is kept

# What a call asks for: a sum of these.
VALUE, GRAD, HESS = WANTS_VALUE, WANTS_GRAD, WANTS_HESS

cdef object float32 = np.float32, float64 = np.float64, empty = np.empty, empty_like = np.empty_like
cdef object ndarray = np.ndarray

cdef struct Call:
    ce_job job
    Py_buffer view[VIEWS]
    bint held[VIEWS]
    bint converted       # some input was copied: overlap must be looked for on the originals


# -- buffers ------------------------------------------------------------------------------------

cdef void release(Call *c) noexcept:
    cdef int i
    for i in range(VIEWS):
        if c.held[i]:
            PyBuffer_Release(&c.view[i])


cdef Py_buffer *view_of(Call *c, int which, object x, int flags) except NULL:
    if c.held[which]:
        PyBuffer_Release(&c.view[which])
        c.held[which] = False
    PyObject_GetBuffer(x, &c.view[which], PyBUF_STRIDES | PyBUF_FORMAT | flags)
    c.held[which] = True
    return &c.view[which]


cdef bint viewable(Call *c, int which, object x):
    """Take a view of x if it has one: dates, records and the like do not."""
    if not PyObject_CheckBuffer(x):
        return False
    try:
        view_of(c, which, x, 0)
    except (BufferError, TypeError, ValueError):
        return False
    # ctypes arrays have no strides, and any number of axes.
    return c.view[which].ndim <= AXES and (c.view[which].strides != NULL or not c.view[which].ndim)


cdef inline int type_code(const Py_buffer *v) noexcept:
    """The format character, or 0 for anything compound or of foreign byte order."""
    cdef const char *f = v.format
    if f == NULL:
        return c'B'
    if f[0] == c'@' or f[0] == c'=' or f[0] == LITTLE:
        f += 1
    return f[0] if f[0] and not f[1] else 0


cdef extern from *:
    """
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    #define CE_NATIVE '>'
    #else
    #define CE_NATIVE '<'
    #endif
    """
    char LITTLE "CE_NATIVE"


cdef inline bint aligned(const Py_buffer *v) noexcept:
    cdef int i
    cdef size_t bits = <uintptr_t>v.buf
    for i in range(v.ndim):
        bits |= <size_t>v.strides[i]
    return bits % <size_t>v.itemsize == 0


cdef inline int float_code(const Py_buffer *v) noexcept:
    cdef int code = type_code(v)
    if not aligned(v):
        return -1
    return CE_FLOAT32 if code == c'f' else CE_FLOAT64 if code == c'd' else -1


cdef inline int index_code(const Py_buffer *v) noexcept:
    cdef int code = type_code(v)
    cdef int size = 0 if v.itemsize == 1 else 1 if v.itemsize == 2 else 2 if v.itemsize == 4 else 3
    if not aligned(v):
        return -1
    if code == c'q' or code == c'l' or code == c'i' or code == c'h' or code == c'b':
        return CE_INT8 + size
    if code == c'Q' or code == c'L' or code == c'I' or code == c'H' or code == c'B':
        return CE_UINT8 + size
    return -1


cdef object take_floats(Call *c, int which, str name, object x):
    """The logits, or an array like them: float32 or float64. Sets the view, returns the array."""
    if not viewable(c, which, x) or float_code(&c.view[which]) < 0:
        c.converted = True
        x = _check.floats(name, x)
        view_of(c, which, x, 0)
    c.job.array[which].data = <char *>c.view[which].buf
    c.job.array[which].strides = <const int64_t *>c.view[which].strides
    return x


cdef object take_target(Call *c, object x):
    if not viewable(c, CE_TARGET, x) or index_code(&c.view[CE_TARGET]) < 0:
        c.converted = True
        x = _check.indices("target", x)
        view_of(c, CE_TARGET, x, 0)
    c.job.index = <ce_index>index_code(&c.view[CE_TARGET])
    c.job.array[CE_TARGET].data = <char *>c.view[CE_TARGET].buf
    c.job.array[CE_TARGET].strides = <const int64_t *>c.view[CE_TARGET].strides
    return x


cdef object take_items(Call *c, int which, str name, object x, int axes, const Py_ssize_t *shape):
    """One number per item, of the computing type."""
    cdef int i
    if not viewable(c, which, x) or float_code(&c.view[which]) != c.job.dtype:
        c.converted = True
        x = _check.numbers(name, x, real_type(c))
        view_of(c, which, x, 0)
    cdef bint alike = c.view[which].ndim == axes
    for i in range(axes):
        alike = alike and c.view[which].shape[i] == shape[i]
    if not alike:
        expected = tuple([shape[i] for i in range(axes)])
        _check.bad_items_shape(name, shape_of(&c.view[which]), expected)
    c.job.array[which].data = <char *>c.view[which].buf
    c.job.array[which].strides = <const int64_t *>c.view[which].strides
    return x


cdef object take_weight(Call *c, str name, object x):
    """One number per class, contiguous, of the computing type."""
    cdef Py_ssize_t classes = c.job.shape[c.job.class_axis]
    cdef Py_buffer *v = &c.view[WEIGHT]
    if not viewable(c, WEIGHT, x) or float_code(v) != c.job.dtype:
        c.converted = True
        x = _check.numbers(name, x, real_type(c))
        view_of(c, WEIGHT, x, 0)
    if v.ndim != 1 or v.shape[0] != classes:
        _check.bad_weight_shape(name, shape_of(v), classes)
    if v.strides[0] != v.itemsize:
        c.converted = True
        x = np.ascontiguousarray(x)
        v = view_of(c, WEIGHT, x, 0)
    c.job.w = v.buf
    return x


cdef inline object real_type(const Call *c):
    return float32 if c.job.dtype == CE_FLOAT32 else float64


cdef inline tuple shape_of(const Py_buffer *v):
    return tuple([v.shape[i] for i in range(v.ndim)])


cdef inline object scalar(const Call *c, double x):
    return float32(<double><float>x) if c.job.dtype == CE_FLOAT32 else float64(x)


# -- outputs ------------------------------------------------------------------------------------

cdef bint apart(const Py_buffer *a, const Py_buffer *b) noexcept:
    """True if the two cannot share a byte. (False: the ranges of addresses meet.)"""
    cdef char *low[2]
    cdef char *high[2]
    cdef const Py_buffer *v
    cdef int i, j
    for i in range(2):
        v = b if i else a
        low[i] = high[i] = <char *>v.buf
        for j in range(v.ndim):
            if v.shape[j] == 0:
                return True
            if v.strides[j] > 0:
                high[i] += v.strides[j] * (v.shape[j] - 1)
            else:
                low[i] += v.strides[j] * (v.shape[j] - 1)
        high[i] += v.itemsize
    return high[0] <= low[1] or high[1] <= low[0]


cdef bint same(const Py_buffer *a, const Py_buffer *b) noexcept:
    """True if both are the same elements in the same order."""
    cdef int i
    if a.buf != b.buf or a.ndim != b.ndim or a.itemsize != b.itemsize:
        return False
    for i in range(a.ndim):
        if a.shape[i] != b.shape[i] or (a.strides[i] != b.strides[i] and a.shape[i] > 1):
            return False
    return True


cdef bint fits(const Call *c, const Py_buffer *v, int which) noexcept:
    """True if an output has its shape: the logits', for the values that less the class axis."""
    cdef int i, skip = c.job.class_axis if which == CE_VALUE else c.job.axes
    if v.ndim != c.job.axes - (which == CE_VALUE):
        return False
    for i in range(v.ndim):
        if v.shape[i] != c.job.shape[i if i < skip else i + 1]:
            return False
    return True


cdef inline object plain(object x):
    """As an ndarray proper: subclasses may make of empty_like what they like."""
    return x if type(x) is ndarray else np.asarray(x)


cdef object take_out(Call *c, int which, str name, object out, object z, tuple shape, tuple inputs):
    """Where results go: fresh, the caller's, or a stand-in for a caller's array of foreign layout.

    A shape of None is that of the logits. `inputs` are (name, array, may_be_out) triples. Returns
    (what the kernel writes, what the caller gets).
    """
    cdef Py_buffer *v
    cdef bint simple = True
    cdef int i
    if out is None:
        c.job.fresh = c.job.fresh or which == CE_GRAD
        result = empty_like(plain(z)) if shape is None else empty(shape, real_type(c))
        v = view_of(c, which, result, PyBUF_WRITABLE)
    else:
        result = out
        if not isinstance(out, ndarray):
            _check.bad_out_type(name, out)
        v = &c.view[which]
        if not (viewable(c, which, out) and not v.readonly and float_code(v) == c.job.dtype
                and fits(c, v, which) and PyBuffer_IsContiguous(v, c'A')):
            _check.out(name, out, c_shape(c) if shape is None else shape, real_type(c))
        for i in range(VIEWS):
            if i != which and c.held[i] and not apart(v, &c.view[i]) and not (
                    (i == CE_Z or i == CE_OTHER) and same(v, &c.view[i])):
                simple = False
        if not simple or c.converted:
            _check.overlaps(name, out, inputs)
        if float_code(v) != c.job.dtype:
            c.converted = True  # what is compared with this view is a stand-in
            out = empty_like(plain(out), dtype=real_type(c))
            v = view_of(c, which, out, PyBUF_WRITABLE)
            c.job.array[which].data = <char *>v.buf
            c.job.array[which].strides = <const int64_t *>v.strides
            return out, result
    c.job.array[which].data = <char *>v.buf
    c.job.array[which].strides = <const int64_t *>v.strides
    return result, result


cdef inline tuple c_shape(const Call *c):
    return tuple([c.job.shape[i] for i in range(c.job.axes)])


cdef inline object settle(tuple pair):
    """A stand-in's numbers go where the caller wants them."""
    if pair[0] is not pair[1]:
        pair[1][...] = pair[0]
    return pair[1]


# -- the call -----------------------------------------------------------------------------------

cdef object begin(Call *c, int loss, str name, object x, object axis):
    """The logits: dtype, shape and class axis."""
    cdef int rank, chosen
    c.job.loss = loss
    x = take_floats(c, CE_Z, name, x)
    rank = c.view[CE_Z].ndim
    c.job.dtype = <ce_dtype>float_code(&c.view[CE_Z])
    c.job.axes = rank
    c.job.shape = <const int64_t *>c.view[CE_Z].shape
    c.job.grad_output = 1
    if axis is None:
        chosen = 1 if rank > 1 else 0
    else:
        chosen = axis if type(axis) is int and -64 <= axis < 64 else _check.axis(axis, rank)
        if chosen < 0:
            chosen += rank
    if chosen < 0 or chosen >= rank:
        _check.bad_axis(name, axis, rank)
    c.job.class_axis = chosen
    return x


cdef int execute(Call *c) except -1:
    cdef int64_t few[FEW]
    cdef size_t bytes = ce_scratch_bytes(&c.job)
    cdef int64_t work = 1
    cdef int i
    c.job.threads = _threads_asked()
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
        with nogil:
            ce_run(&c.job)
    if bytes > sizeof(few):
        free(c.job.scratch)
    return 0


cdef int reduction_code(object reduction) except -1:
    if not isinstance(reduction, str):
        return _check.bad_reduction(reduction)
    if reduction == "mean":
        return CE_MEAN
    if reduction == "sum":
        return CE_SUM
    if reduction == "none":
        return CE_NONE
    return _check.bad_reduction(reduction)


cdef int check_target_shape(const Call *c, object axis) except -1:
    cdef const Py_buffer *z = &c.view[CE_Z]
    cdef const Py_buffer *t = &c.view[CE_TARGET]
    cdef bint alike = t.ndim == z.ndim - 1
    cdef int i
    for i in range(t.ndim):
        alike = alike and t.shape[i] == z.shape[i if i < c.job.class_axis else i + 1]
    if not alike:
        _check.bad_target_shape(shape_of(z), shape_of(t), c.job.class_axis, axis)
    return 0


def softmax_loss(int loss, int what, logits, target, weight, sample_weight, ignore_index,
                 label_smoothing, reduction, axis, grad_output, out):
    """Value, gradient, Hessian (`what`: a sum of VALUE, GRAD, HESS) of a loss of index targets."""
    cdef Call c
    cdef Py_buffer *t
    memset(&c, 0, sizeof(Call))
    try:
        z = begin(&c, loss, "logits", logits, axis)
        y = take_target(&c, target)
        check_target_shape(&c, axis)
        t = &c.view[CE_TARGET]
        c.job.reduction = <ce_reduction>reduction_code(reduction)
        if type(ignore_index) is not int or ignore_index != -100:
            ignore_index = _check.ignore_index(ignore_index)
        c.job.ignore_index = ignore_index
        if type(label_smoothing) is not float or label_smoothing != 0.0:
            label_smoothing = _check.label_smoothing(label_smoothing)
        c.job.smoothing = label_smoothing
        if weight is not None:
            take_weight(&c, "weight", weight)
        if sample_weight is not None:
            take_items(&c, CE_V, "sample_weight", sample_weight, t.ndim, t.shape)
        if grad_output is not None:
            grad_output = _check.grad_output(grad_output, reduction)
            if type(grad_output) is float:
                c.job.grad_output = grad_output
            else:
                take_items(&c, CE_UPSTREAM, "grad_output", grad_output, t.ndim, t.shape)

        inputs = None if out is None else (
            ("logits", logits, True), ("target", target, False), ("weight", weight, False),
            ("sample_weight", sample_weight, False), ("grad_output", grad_output, False))
        grad = hess = losses = None
        if what & WANTS_HESS:
            grad_out, hess_out = (None, None) if out is None else _check.pair(out)
            grad = take_out(&c, CE_GRAD, "out[0]", grad_out, z, None, inputs)
            if inputs is not None:
                inputs += (("out[0]", grad_out, False),)
            hess = take_out(&c, CE_HESS, "out[1]", hess_out, z, None, inputs)
        elif what & WANTS_GRAD:
            grad = take_out(&c, CE_GRAD, "out", out, z, None, inputs)
        if what & WANTS_VALUE and c.job.reduction == CE_NONE and t.ndim > 0:
            losses = take_out(&c, CE_VALUE, "out", None, z, shape_of(t), None)

        execute(&c)
        if c.job.bad >= 0:
            _check.bad_index(y, c.job.bad, c.job.shape[c.job.class_axis], c.job.ignore_index)
        if what == WANTS_VALUE:
            return scalar(&c, c.job.value) if losses is None else losses[1]
        if what == WANTS_GRAD:
            return settle(grad)
        if what & WANTS_HESS:
            return settle(grad), settle(hess)
        return scalar(&c, c.job.value) if losses is None else losses[1], settle(grad)
    finally:
        release(&c)


def normalise(int loss, x, axis, out):
    """softmax or log_softmax."""
    cdef Call c
    memset(&c, 0, sizeof(Call))
    try:
        z = begin(&c, loss, "x", x, _check.no_none(axis))
        result = take_out(&c, CE_GRAD, "out", out, z, None, (("x", x, True),))
        execute(&c)
        return settle(result)
    finally:
        release(&c)


def normalise_backward(int loss, grad_output, output, axis, out):
    """The backward pass of softmax or log_softmax, from its output."""
    cdef Call c
    memset(&c, 0, sizeof(Call))
    try:
        y = begin(&c, loss, "output", output, _check.no_none(axis))
        g = take_floats(&c, CE_OTHER, "grad_output", grad_output)
        if float_code(&c.view[CE_OTHER]) != c.job.dtype:
            _check.bad_match("grad_output", "output", np.asarray(g).dtype, np.asarray(y).dtype)
        if shape_of(&c.view[CE_OTHER]) != c_shape(&c):
            _check.bad_items_shape("grad_output", shape_of(&c.view[CE_OTHER]), c_shape(&c))
        result = take_out(&c, CE_GRAD, "out", out, y, None,
                          (("output", output, True), ("grad_output", grad_output, True)))
        execute(&c)
        return settle(result)
    finally:
        release(&c)


cdef tuple reduced_shape(const Call *c, bint keepdims):
    cdef int i
    return tuple([1 if i == c.job.class_axis else c.job.shape[i] for i in range(c.job.axes)
                  if keepdims or i != c.job.class_axis])


def logsumexp(int loss, x, axis, keepdims, out):
    cdef Call c
    memset(&c, 0, sizeof(Call))
    try:
        z = begin(&c, loss, "x", x, _check.no_none(axis))
        kept = c.job.class_axis if keepdims else None
        inner = out
        if out is not None:
            if not isinstance(out, ndarray):
                _check.bad_out_type("out", out)
            inner = _check.without_axis("out", out, reduced_shape(&c, keepdims), kept)
        if c.job.axes > 1 or out is not None:
            pair = take_out(&c, CE_VALUE, "out", inner, z, reduced_shape(&c, False),
                            (("x", x, False),))
            execute(&c)
            values = settle(pair)
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
    cdef Py_ssize_t shape[64]
    cdef int i, axes = 0
    memset(&c, 0, sizeof(Call))
    try:
        z = begin(&c, loss, "x", x, _check.no_none(axis))
        for i in range(c.job.axes):
            if i != c.job.class_axis:
                shape[axes] = c.job.shape[i]
                axes += 1
        g = _check.without_axis("grad_output", grad_output, reduced_shape(&c, keepdims),
                                c.job.class_axis if keepdims else None)
        take_items(&c, CE_UPSTREAM, "grad_output", g, axes, shape)
        result = take_out(&c, CE_GRAD, "out", out, z, None,
                          (("x", x, True), ("grad_output", grad_output, False)))
        execute(&c)
        return settle(result)
    finally:
        release(&c)


# -- the process --------------------------------------------------------------------------------

cdef object _scope = None    # a ContextVar; its value is the scope's thread count or None
cdef int _default = 1


cdef int _threads_asked() except -1:
    asked = _scope.get()
    return _default if asked is None else asked


def set_threads(scope, int default):
    global _scope, _default
    _scope, _default = scope, default


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
