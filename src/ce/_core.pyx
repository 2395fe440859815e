# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True
# cython: autotestdict=False
"""Pointers and strides: from Python objects to a ce_job, one C call, and back.

Every check that the common call passes is made here, on raw buffers; whatever fails one goes to
`ce._check`, which either turns it into an array that passes or raises the error. No mathematics.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_RECORDS_RO, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_IsContiguous, PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid, PyCapsule_SetName
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.tuple cimport PyTuple_Pack
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset, strchr, strcmp

from ce.ce cimport *

import sys

import numpy as np

from ce import _arrays, _check

cdef extern from *:
    """
    /* Where memory runs out while a traceback is made, Cython's own code goes on with NULL. */
    #define PyException_SetTraceback(x, tb) ((x) ? (PyException_SetTraceback)(x, tb) : 0)
    #define PyDict_SetItemString(dict, key, x) \\
        ((dict) ? (PyDict_SetItemString)(dict, key, x) : -1)
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
    WANTS_SUMS = 8       # of the losses, and what their mean divides by: alone, or with a gradient
    WANTS_PRODUCT = 16   # of the Hessian and a vector: alone
    WANTS_STATS = 32     # of the items: alone, or with value and gradient
    WANTS_LOG_PROBS = 64  # of some classes of each item: alone
    WANTS_TERMS = 128    # the loss without its z-loss, and that apart: with the value
    # Views beyond those of the job's arrays: the class weights; the caller's own outputs (gradient,
    # Hessian, value) where a job fills other views of them, or stand-ins.
    WEIGHT = CE_ARRAYS
    BEHIND = CE_ARRAYS + 1
    VIEWS = BEHIND + 3
    # What a call can be given by keyword: the options at their places in losses.def, and these.
    AXIS = CE_OPTION_COUNT
    GRAD_OUTPUT = CE_OPTION_COUNT + 1
    OUT = CE_OPTION_COUNT + 2
    VECTOR = CE_OPTION_COUNT + 3
    TOP_K = CE_OPTION_COUNT + 4
    EXTRA = CE_OPTION_COUNT + 5
    KEYWORDS = CE_OPTION_COUNT + 6
    FEW = 64             # numbers of 8 bytes of scratch that need no allocation
    AXES = 64            # NumPy's limit
    FEW_AXES = 8         # of arrays that are looked into
    TINY = 4096          # logits below which the GIL is kept

cdef str result_name = "the result"

# What a call asks for: a sum of the first three, or one of the others; STATS also with the first
# two, TERMS with the first alone or the first two, SUMS with the second.
VALUE, GRAD, HESS = WANTS_VALUE, WANTS_GRAD, WANTS_HESS
SUMS, PRODUCT, STATS, LOG_PROBS = WANTS_SUMS, WANTS_PRODUCT, WANTS_STATS, WANTS_LOG_PROBS
TERMS = WANTS_TERMS
# The reduction that is no public one: exp of the mean.
PERPLEXITY = object()

cdef object perplexity = PERPLEXITY

cdef object float32 = np.float32, float64 = np.float64, empty = np.empty, empty_like = np.empty_like
cdef object ndarray = np.ndarray, Bits = _arrays.Bits

cdef enum Hold:
    NOTHING, A_BUFFER, AN_ARRAY

cdef struct Start:
    ce_job job
    PyObject *given[KEYWORDS]  # by keyword; borrowed

# A variable: for a constant GCC copies with `rep movs`, which takes longer.
cdef size_t start_bytes = sizeof(Start)

cdef struct Call:
    ce_job job           # as Start, and then as it is run
    PyObject *given[KEYWORDS]
    # From here on all is 0 at first.
    PyObject *prepared   # borrowed: the caller holds it
    unsigned views       # bits of those that are held
    int item_axes
    bint other_may_be_out
    # Up to here.
    Hold held[VIEWS]
    PyObject *shared[VIEWS]  # the array that has the caller's memory, where the view is of a copy
    Py_ssize_t items[64]  # the shape of the items: the logits' less the class axis
    PyObject *name[VIEWS]  # what the argument is called; borrowed
    Py_buffer view[VIEWS]
    int type[VIEWS]      # of what is held: a ce_type, or -1 for none
    PyObject *kept[VIEWS]  # of which the view is
    int flags[VIEWS]     # of an array that is kept, and the type of its elements
    int met[VIEWS]
    PyObject *base[VIEWS]  # of what is kept; only its address counts
    const Ndarray *owner[VIEWS]  # the one in whose memory that lies, NULL for none; an address
    char *owner_data[VIEWS]
    PyObject *owner_base[VIEWS]
    Py_ssize_t owner_bytes[VIEWS]
    Py_ssize_t axes[VIEWS][2 * FEW_AXES]  # shape and strides of arrays that are kept


cdef inline void clear(Call *c) noexcept:
    memset(&c.prepared, 0, <size_t>(<char *>&c.held - <char *>&c.prepared))


# -- the rows of losses.def and dtypes.def --------------------------------------------------------

cdef dict contents = {
    CE_NOTHING: "nothing", CE_LOGITS: "logits", CE_LOG_PROBS: "log_probs", CE_PROBS: "probs",
    CE_UNIT: "unit", CE_NUMBERS: "numbers", CE_CLASSES: "classes", CE_UPSTREAMS: "upstreams",
    CE_UPSTREAM_ITEMS: "upstream_items",
}


def losses():
    """The rows of losses.def; the options by their keywords."""
    cdef const ce_loss *row
    result = []
    for i in range(ce_loss_count()):
        row = ce_loss_row(i)
        result.append({
            "name": row.name.decode(),
            "has_classes": bool(row.has_classes),
            "first": contents[row.first],
            "second": contents[row.second],
            "outputs": row.outputs.decode(),
            "mean": "weight" if row.mean == CE_BY_WEIGHT else "count",
            "options": tuple([keyword_of(j) for j in range(CE_OPTION_COUNT)
                              if row.options >> j & 1]),
        })
    return tuple(result)


def options():
    """The options; of one that is a number also what stands for "not given", bounds and rule."""
    cdef const ce_option *row
    result = []
    for i in range(CE_OPTION_COUNT):
        row = ce_option_row(i)
        result.append({"keyword": keyword_of(i)})
        if row.field:
            result[i].update(absent=row.absent, least=row.least, most=row.most,
                             rule=row.rule.decode())
    return tuple(result)


def dtypes():
    """The rows of dtypes.def."""
    cdef const ce_dtype *row
    result = []
    for i in range(CE_TYPES):
        row = ce_dtype_row(<ce_type>i)
        result.append({"name": row.name.decode(), "size": row.size, "digits": row.digits,
                       "least": row.least, "most": row.most, "number": row.number})
    return tuple(result)


cdef str keyword_of(int place):
    return sys.intern(ce_option_row(place).keyword.decode())


def find_loss(str name):
    cdef bytes encoded = name.encode()
    cdef int loss = ce_find_loss(encoded)
    if loss < 0:
        raise LookupError(name)
    return loss


_arrays.know_dtypes(dtypes())
_check.know_dtypes(dtypes())


include "_numpy.pxi"
include "_buffers.pxi"
include "_dlpack.pxi"


# -- the call -----------------------------------------------------------------------------------

cdef object start(Call *c, str name, object x):
    """The logits or the input: dtype and shape."""
    x = take_floats(c, CE_Z, name, x)
    c.job.real = CE_FLOAT64 if c.job.array[CE_Z].type == CE_FLOAT64 else CE_FLOAT32
    c.job.axes = c.view[CE_Z].ndim
    c.job.shape = <const int64_t *>c.view[CE_Z].shape
    return x


cdef object begin(Call *c, str name, object x, object axis):
    """The same with a class axis."""
    cdef int i, rank, chosen
    x = start(c, name, x)
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
    confirm(c)  # after this no code runs that could change an array, but in other threads
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
    if c.job.stopped == CE_FORKED:
        raise RuntimeError(
            "the process was forked inside this call, by a signal handler: the call's other "
            "threads are in the parent alone, and its outputs are half written"
        )
    return ce_raise() if c.job.stopped else 0


cdef int fill(Call *c) except -1:
    """The same where all that is wanted is an array like the input, which may be empty."""
    cdef int i
    for i in range(c.job.axes):
        if c.job.shape[i] == 0:
            return 0
    return execute(c)


# -- options --------------------------------------------------------------------------------------

# Reads, checks and stores one option; returns it as a Prepared keeps it. Those that take an array
# need the shape of the logits.
ctypedef object (*Setter)(Call *c, int place, object x)

cdef Setter setter[KEYWORDS]
cdef bint takes_array[KEYWORDS]
cdef bint may_be_none[KEYWORDS]  # which is as if it had not been given
cdef tuple keyword = tuple([keyword_of(i) for i in range(CE_OPTION_COUNT)])
keyword += ("axis", "grad_output", "out", "vector", "top_k", "extra")
cdef tuple reductions = ("none", "sum", "mean", "batchmean", "perplexity")  # by ce_reduction
cdef object none = reductions[0], total = reductions[1], mean = reductions[2]
cdef object exact = _check.HESSIANS[0]
cdef const ce_option *number_row[KEYWORDS]


cdef object set_number(Call *c, int place, object x):
    cdef const ce_option *row = number_row[place]
    cdef double *field = <double *>(<char *>&c.job + row.field)
    if type(x) is not float or not row.least <= <double>x <= row.most or <double>x == 0:
        x = _check.number(keyword[place], x, row.absent, row.least, row.most, row.rule.decode())
    field[0] = row.absent if x is None else <double>x
    return x


cdef object set_logit_scale(Call *c, int place, object x):
    x = set_number(c, place, x)
    if c.job.logit_scale == 0:
        _check.bad_number("logit_scale", x, number_row[place].rule.decode())
    return x


cdef object set_reduction(Call *c, int place, object x):
    cdef bint has_batchmean
    if x is mean:
        c.job.reduction = CE_MEAN
    elif x is none:
        c.job.reduction = CE_NONE
    elif x is total:
        c.job.reduction = CE_SUM
    elif x is perplexity:
        c.job.reduction = CE_PERPLEXITY
    else:
        has_batchmean = ce_loss_row(c.job.loss).options >> place & 1
        names = reductions[:4 if has_batchmean else 3]
        c.job.reduction = <ce_reduction><int>_check.reduction(x, names)
        return reductions[c.job.reduction]
    return x


cdef object set_hessian(Call *c, int place, object x):
    cdef bint is_bounded = ce_loss_row(c.job.loss).options & CE_BOUNDED and (
        c.job.softcap == 0 and c.job.z_loss == 0)
    cdef int count = CE_BOUND + 1 if is_bounded else CE_BOUND
    if c.given[VECTOR] != NULL:
        count = CE_ABS  # the others are diagonals alone
    c.job.hessian = CE_EXACT if x is exact else <ce_hessian><int>_check.hessian(x, count)
    return _check.HESSIANS[c.job.hessian]


cdef object set_ignore_index(Call *c, int place, object x):
    cdef int overflow = 1
    if type(x) is int:
        c.job.ignore_index = PyLong_AsLongLongAndOverflow(x, &overflow)
    if overflow:
        x = _check.ignore_index(x)
        c.job.ignore_index = x
    return x


cdef object set_class_weight(Call *c, int place, object x):
    return take_weight(c, "weight", x)


cdef object set_class_alpha(Call *c, int place, object x):
    x = _check.alpha(x)
    if type(x) is float:
        x = np.full(c.job.shape[c.job.class_axis], x)
    return take_weight(c, "alpha", x)


cdef object set_sample_weight(Call *c, int place, object x):
    if c.job.class_axis < 0:
        return take_elements(c, CE_V, "sample_weight", x)
    return take_items(c, CE_V, "sample_weight", x, True)


cdef object set_mask(Call *c, int place, object x):
    """Of classes, or of the classes of each item: bytes of the shape of the logits."""
    x = hold(c, CE_WHERE, "where", x)
    replace(c, CE_WHERE, x, _check.mask("where", bits(x), c_shape(c), c.job.class_axis))
    if c.type[CE_WHERE] != CE_UINT8 or not fits(c, &c.view[CE_WHERE], CE_WHERE):
        _check.changed("where")
    point_to(c, CE_WHERE, CE_UINT8)
    return x


cdef object set_element_weight(Call *c, int place, object x):
    return take_elements(c, CE_WEIGHT, "weight", x)


cdef object set_pos_weight(Call *c, int place, object x):
    return take_elements(c, CE_POS, "pos_weight", x)


cdef int fill_setters() except -1:
    cdef int i
    for i in range(CE_OPTION_COUNT):
        number_row[i] = ce_option_row(i)
        if number_row[i].field:
            setter[i] = set_number
    setter[CE_CLASS_WEIGHT_PLACE] = set_class_weight
    setter[CE_CLASS_ALPHA_PLACE] = set_class_alpha
    setter[CE_SAMPLE_WEIGHT_PLACE] = set_sample_weight
    setter[CE_ELEMENT_WEIGHT_PLACE] = set_element_weight
    setter[CE_POS_WEIGHT_PLACE] = set_pos_weight
    setter[CE_IGNORE_INDEX_PLACE] = set_ignore_index
    setter[CE_HESSIAN_PLACE] = set_hessian
    setter[CE_BATCH_MEAN_PLACE] = set_reduction
    setter[CE_LOGIT_SCALE_PLACE] = set_logit_scale
    setter[CE_MASK_PLACE] = set_mask
    for i in (CE_CLASS_WEIGHT_PLACE, CE_CLASS_ALPHA_PLACE, CE_SAMPLE_WEIGHT_PLACE,
              CE_ELEMENT_WEIGHT_PLACE, CE_POS_WEIGHT_PLACE, CE_MASK_PLACE, GRAD_OUTPUT):
        takes_array[i] = True
    for i in range(KEYWORDS):
        may_be_none[i] = takes_array[i] or i >= AXIS or (number_row[i].field and _check.may_be_none(
            number_row[i].absent, number_row[i].least, number_row[i].most))
    for i in range(CE_OPTION_COUNT):
        if setter[i] == NULL:
            raise ImportError(f"_core.pyx has no setter for the option {keyword[i]!r}")
    return 0


fill_setters()


@cython.final
@cython.auto_pickle(False)
cdef class Prepared:
    """A loss by its name in losses.def, and options for all its calls, checked and frozen."""
    cdef Start start                   # how a call begins; what is given is held by `owned`
    cdef tuple owned                   # which nobody can change
    cdef dict kept
    cdef int with_probabilities        # the loss to take when the target holds class probabilities
    cdef bint has_classes, takes_indices
    cdef str first                     # what the first argument is called
    cdef int count                     # of keywords
    cdef int place[KEYWORDS]
    cdef PyObject *name[KEYWORDS]      # interned; `keyword` holds them

    def __cinit__(self, str loss, /, **options):
        cdef const ce_loss *row
        cdef Call c
        cdef int i, place
        ce_start(&c.job, find_loss(loss))
        self.start.job = c.job
        row = ce_loss_row(c.job.loss)
        if row.outputs != b"vgh" and row.outputs != b"vg" and row.outputs != b"":
            raise LookupError(loss)
        c.job.reduction = CE_MEAN
        self.has_classes = row.has_classes
        self.takes_indices = row.second == CE_CLASSES
        self.with_probabilities = ce_find_loss(f"{loss}_probabilities".encode())
        self.first = "probs" if row.first == CE_UNIT else contents[row.first] if (
            row.has_classes or row.first == CE_LOGITS) else "input"
        for i in range(KEYWORDS):
            if i == CE_BATCH_MEAN_PLACE or i > AXIS or (
                    row.has_classes if i == AXIS else row.options >> i & 1):
                self.place[self.count] = i
                self.name[self.count] = <PyObject *>keyword[i]
                self.count += 1
        self.kept, self.owned = {}, ()
        for name, value in options.items():
            place = self.place[find_keyword(self, <PyObject *>name, 0)]
            if keyword[place] in self.kept:
                raise TypeError(f"{keyword[place]} is given twice")
            if place == AXIS:
                value = _check.axis_or_none(value)
            elif place < AXIS and takes_array[place]:
                value = _check.frozen(name, value)
            elif place < AXIS:
                value = setter[place](&c, place, value)
            else:
                raise TypeError(f"{name} is no option")
            self.kept[keyword[place]] = value
            if value is not None and (place == AXIS or takes_array[place]):
                self.start.given[place] = <PyObject *>value
                self.owned += (value,)
        if c.job.reduction == CE_PERPLEXITY:
            self.with_probabilities = -1
        self.start.job = c.job

    @property
    def options(self):
        """The options as they were frozen; arrays as others on the same bytes."""
        return {name: ndarray(value.shape, value.dtype, value.base)
                if type(value) is ndarray else value for name, value in self.kept.items()}

    @property
    def keywords(self):
        """The options that there are."""
        return tuple([keyword[self.place[i]] for i in range(self.count)
                      if self.place[i] <= AXIS])


cdef int find_keyword(Prepared p, PyObject *name, int first) except -1:
    """Where that keyword stands among those of the loss, most likely at `first`."""
    cdef int i
    for i in range(first, p.count):
        if p.name[i] == name:
            return i
    for i in range(first):
        if p.name[i] == name:
            return i
    for i in range(p.count):  # not every caller's strings are interned
        if <object>p.name[i] == <object>name:
            return i
    raise TypeError(f"{ce_loss_row(p.start.job.loss).name.decode()} has no option {<object>name}")


cdef int read_keywords(Call *c, Prepared p, PyObject **values, PyObject *names) except -1:
    cdef int i, at = 0
    if names != NULL:
        for i in range(PyTuple_Size(names)):
            at = find_keyword(p, PyTuple_GetItem(names, i), at)
            if values[i] != <PyObject *>None or not may_be_none[p.place[at]]:
                c.given[p.place[at]] = values[i]
            at += 1
    return 0


cdef inline object option(const Call *c, int place):
    return None if c.given[place] == NULL else <object>c.given[place]


cdef int set_options(Call *c, Prepared p) except -1:
    cdef const ce_loss *row = ce_loss_row(c.job.loss)
    cdef int i, place
    cdef const ce_option *number
    for i in range(p.count):
        place = p.place[i]
        if c.given[place] == NULL or place >= AXIS:
            continue
        number = number_row[place]
        if number.field and not may_be_none[place] and type(<object>c.given[place]) is float and (
                <double><object>c.given[place] == number.absent):
            (<double *>(<char *>&c.job + number.field))[0] = number.absent  # most often
        else:
            setter[place](c, place, <object>c.given[place])
    if c.given[VECTOR] != NULL and c.job.softcap > 0:
        _check.no_product()
    if c.job.softcap != 0 or c.job.logit_scale != 1 or c.job.temperature != 1:
        _check.bends(c.job.logit_scale, c.job.softcap, c.job.temperature, c.job.real == CE_FLOAT32)
    if c.job.normalizer > 0 and c.job.reduction < CE_MEAN:
        _check.bad_normalizer(c.job.normalizer, reductions[c.job.reduction])
    if row.has_classes and row.second != CE_CLASSES and c.job.ignore_index >= 0:
        _check.bad_ignored(c.job.ignore_index)
    if c.job.loss != p.start.job.loss:
        refuse_unmeant(c, p.start.job.loss)
    return 0


cdef int refuse_unmeant(Call *c, int indices) except -1:
    """Options that the loss has with class indices, but not with class probabilities."""
    cdef int i, loss = c.job.loss
    c.job.loss = indices
    cdef unsigned unmeant = ce_options_in_use(&c.job) & ~ce_loss_row(loss).options
    c.job.loss = loss
    for i in range(CE_OPTION_COUNT):
        if unmeant >> i & 1:
            _check.bad_with_probabilities(keyword[i])
    return 0


cdef bint fits_items(const Call *c, const Py_buffer *t) noexcept:
    cdef int i
    if t.ndim != c.item_axes:
        return False
    for i in range(t.ndim):
        if t.shape[i] != c.items[i]:
            return False
    return True


cdef object take_target_logits(Call *c, object x):
    """The other model's: the shape of the logits."""
    x = take_numbers(c, CE_OTHER, "target_logits", x, True, False)
    if not fits(c, &c.view[CE_OTHER], CE_OTHER):
        _check.bad_shape("target_logits", shape_of(&c.view[CE_OTHER]), c_shape(c))
    return x


cdef object take_probabilities(Call *c, object x):
    """Class probabilities: floating numbers, the shape of the logits."""
    let_go(c, CE_TARGET)
    x = take_numbers(c, CE_OTHER, "target", x, True, False)
    if not fits(c, &c.view[CE_OTHER], CE_OTHER):
        _check.bad_shape("target", shape_of(&c.view[CE_OTHER]), c_shape(c))
    return x


cdef object take_class_target(Call *c, Prepared p, object given):
    """Class indices, or class probabilities where there is a loss for them."""
    cdef PyObject *ignored = c.given[CE_IGNORE_INDEX_PLACE]
    if ce_loss_row(c.job.loss).second == CE_LOGITS:
        return take_target_logits(c, given)
    if ignored != NULL:  # first: what is no index becomes another number
        c.given[CE_IGNORE_INDEX_PLACE] = NULL
        set_ignore_index(c, CE_IGNORE_INDEX_PLACE, <object>ignored)
    x = hold(c, CE_TARGET, "target", given)
    if not p.takes_indices:
        return take_probabilities(c, x)
    if c.type[CE_TARGET] < CE_INT8:
        x = bits(x)
        if p.with_probabilities >= 0 and _check.is_probabilities(x, c_shape(c)):
            c.job.loss = p.with_probabilities
            return take_probabilities(c, x)
        array = _check.indices("target", x, type(given) in (list, tuple), c.job.ignore_index)
        replace(c, CE_TARGET, x, array)
        if c.type[CE_TARGET] < CE_INT8:
            _check.changed("target")
        x = array
    if not fits_items(c, &c.view[CE_TARGET]):
        _check.bad_target(original(c, CE_Z), original(c, CE_TARGET), c_shape(c), c.job.class_axis,
                          option(c, AXIS), p.with_probabilities >= 0)
    point_to(c, CE_TARGET, c.type[CE_TARGET])
    return x


cdef object original(const Call *c, int which):
    """An argument as an array, before it was copied."""
    if c.shared[which] == NULL:
        return bits(<object>c.kept[which])
    watch, array = Watch(), <object>c.shared[which]
    watch.add(<object>c.name[which], array)  # it may have lost its memory since
    if array.shape != (<object>c.kept[which]).shape or array.dtype.kind == "O":
        _check.changed(<object>c.name[which])
    return bits(array)


cdef object take_element_target(Call *c, object given):
    """The target of an element-wise loss. What is wider than the input is not rounded first.

    Python's numbers are of any width, as in NumPy; so are integers that are labels.
    """
    cdef int type_met
    x = hold(c, CE_OTHER, "target", given)
    type_met = c.type[CE_OTHER]
    if c.job.real == CE_FLOAT32 and type_met != CE_FLOAT32 and (
            type_met < CE_REALS or type_met >= CE_INT8) and (
            type(given) is not float and type(given) is not int and type(given) is not bool):
        if type_met == CE_FLOAT64 or _check.is_wide(
                bits(x), ce_loss_row(c.job.loss).second == CE_NUMBERS):
            c.job.real = CE_FLOAT64
    return take_elements(c, CE_OTHER, "target", x)


cdef int take_grad_output(Call *c, object grad_output) except -1:
    if type(grad_output) is not float:
        grad_output = _check.grad_output(grad_output, reductions[c.job.reduction])
    if type(grad_output) is float:
        c.job.grad_output = grad_output
    elif c.job.class_axis >= 0:
        take_items(c, CE_UPSTREAM, "grad_output", grad_output, False)
    else:
        take_elements(c, CE_UPSTREAM, "grad_output", grad_output)
    return 0


cdef int take_rows(Call *c, int which) except -1:
    """The classes of an array side by side: in a copy, where they are not."""
    cdef Py_buffer *v = &c.view[which]
    cdef int64_t shape[AXES]
    cdef int i, type = c.job.array[which].type, axis = c.job.class_axis
    cdef bint alike
    if c.job.array[which].data == NULL or v.len == 0 or v.shape[axis] < 2 or (
            v.strides[axis] == v.itemsize):
        return 0
    for i in range(c.job.axes):
        shape[i] = c.job.shape[i]
    confirm_view(c, which)
    x = <object>c.kept[which]
    replace(c, which, x, _check.rows(bits(x), axis))
    alike = v.ndim == c.job.axes and c.type[which] == type and v.strides[axis] == v.itemsize
    for i in range(v.ndim if alike else 0):
        alike = alike and v.shape[i] == shape[i]
    if not alike:
        _check.changed(<object>c.name[which])
    if which == CE_Z:
        c.job.shape = <const int64_t *>v.shape
    point_to(c, which, type)
    return 0


cdef int take_vector(Call *c) except -1:
    """What the Hessian is multiplied by: the shape of the input. Long rows must be contiguous."""
    cdef int which
    if c.job.class_axis < 0:
        take_elements(c, CE_VECTOR, "vector", option(c, VECTOR))
        return 0
    take_numbers(c, CE_VECTOR, "vector", option(c, VECTOR), True, False)
    if not fits(c, &c.view[CE_VECTOR], CE_VECTOR):
        _check.bad_shape("vector", shape_of(&c.view[CE_VECTOR]), c_shape(c))
    if c.job.shape[c.job.class_axis] > CE_PANEL_CLASSES:
        for which in (CE_Z, CE_OTHER, CE_VECTOR):
            take_rows(c, which)
    return 0


@cython.final
@cython.auto_pickle(False)
cdef class Statistics:
    """Arrays for the statistics of a call's items, and where they lie."""
    cdef ce_stats stats
    cdef Py_buffer view[7]
    cdef int views
    cdef bint aims
    cdef object numbers, places, top_index, top_log_prob, extra_log_prob, z_losses

    @staticmethod
    cdef Statistics of(Call *c, int what):
        """Of all that there is, of the log-probabilities of some classes, or of z-losses."""
        cdef Statistics s = Statistics()
        cdef bint all = what & WANTS_STATS
        cdef tuple items = items_shape(c)
        cdef int64_t classes = c.job.shape[c.job.class_axis]
        real = real_type(c)
        s.aims = c.job.array[CE_TARGET].data != NULL
        if c.given[TOP_K] != NULL:
            s.stats.top = _check.top_k(<object>c.given[TOP_K], classes)
        if classes == 0 and all and not s.aims:
            _check.no_classes(c_shape(c), items)
        if c.given[EXTRA] != NULL:
            extra = _check.extra("extra" if all else "index", <object>c.given[EXTRA], items,
                                 classes, not all)
            s.extra_log_prob = empty(extra.shape, real)
            s.stats.extras = extra.shape[len(items)] if extra.ndim > len(items) else 1
            s.stats.extra = <const int64_t *>s.memory(extra)
            s.stats.extra_log_prob = s.memory(s.extra_log_prob)
        if s.stats.top > 0:
            s.top_index = empty((*items, s.stats.top), np.int64)
            s.top_log_prob = empty((*items, s.stats.top), real)
            s.stats.top_index = <int64_t *>s.memory(s.top_index)
            s.stats.top_log_prob = s.memory(s.top_log_prob)
        if all:
            s.point_to_numbers(c, real, items)
        if what & WANTS_TERMS:
            s.z_losses = empty(items, real)
            s.stats.z_losses = s.memory(s.z_losses)
        c.job.stats = &s.stats
        return s

    cdef int point_to_numbers(self, Call *c, object real, tuple items) except -1:
        cdef Py_ssize_t count = 1, size = 4 if c.job.real == CE_FLOAT32 else 8
        cdef char *first
        cdef int64_t *place
        cdef int i
        for i in range(c.item_axes):
            count *= c.items[i]
        self.numbers, self.places = empty((4, *items), real), empty((2, *items), np.int64)
        first, place = self.memory(self.numbers), <int64_t *>self.memory(self.places)
        self.stats.max, self.stats.log_sum = first, first + count * size
        self.stats.entropy, self.stats.argmax = first + 2 * count * size, place
        if self.aims:
            self.stats.log_prob, self.stats.rank = first + 3 * count * size, place + count
        return 0

    cdef char *memory(self, object array) except NULL:
        PyObject_GetBuffer(array, &self.view[self.views], PyBUF_STRIDES)
        self.views += 1
        return <char *>self.view[self.views - 1].buf

    cdef tuple fields(self):
        """As TokenStats takes them."""
        cdef object log_prob = self.numbers[3] if self.aims else None
        cdef object rank = self.places[1] if self.aims else None
        return (log_prob, self.numbers[0], self.numbers[1], self.numbers[2], self.places[0], rank,
                self.top_index, self.top_log_prob, self.extra_log_prob)

    def __dealloc__(self):
        while self.views:
            self.views -= 1
            PyBuffer_Release(&self.view[self.views])


cdef object answer(Call *c, int what, object z, object out, object target):
    """Outputs, the call, and what the caller gets of `what`."""
    cdef const ce_loss *row
    cdef Statistics stats = None
    cdef int items = c.item_axes if c.job.class_axis >= 0 else c.job.axes
    grad = hess = losses = None
    if what & WANTS_HESS:
        grad_out, hess_out = (None, None) if out is None else _check.pair(out)
        grad = take_out(c, CE_GRAD, "out[0]", grad_out, z)
        hess = take_out(c, CE_HESS, "out[1]", hess_out, z)
        c.job.fresh = grad_out is None and hess_out is None
    elif what & (WANTS_GRAD | WANTS_PRODUCT):
        grad = take_out(c, CE_GRAD, "out", out, z)
        c.job.fresh = out is None
    if what & WANTS_VALUE and c.job.reduction == CE_NONE and items > 0:
        losses = fresh(c, CE_VALUE, z)
    c.job.valued = what & (WANTS_VALUE | WANTS_SUMS)
    if what & WANTS_SUMS:
        c.job.whole = True
        c.job.reduction = max(c.job.reduction, CE_MEAN)
    if what & WANTS_SUMS and c.job.w != NULL and c.job.z_loss != 0 and (
            ce_loss_row(c.job.loss).mean == CE_BY_WEIGHT):
        _check.no_sums()
    if what & (WANTS_STATS | WANTS_LOG_PROBS | WANTS_TERMS):
        if ce_loss_row(c.job.loss).first != CE_LOGITS or (
                ce_loss_row(c.job.loss).second == CE_LOGITS):
            _check.no_stats((<Prepared>c.prepared).first)
        stats = Statistics.of(c, what)
    if not what & (WANTS_GRAD | WANTS_HESS | WANTS_PRODUCT):
        c.job.fresh = True
    execute(c)
    if c.job.bad >= 0 and c.job.class_axis < 0:
        row = ce_loss_row(c.job.loss)
        inputs = [("target", bits(target))] if row.second == CE_UNIT else []
        if row.first == CE_UNIT:
            inputs.insert(0, ((<Prepared>c.prepared).first, bits(z)))
        _check.bad_probability(inputs, c_shape(c), c.job.bad)
    if c.job.bad >= 0:
        _check.bad_index(original(c, CE_TARGET), c.job.bad, c.job.shape[c.job.class_axis],
                         c.job.ignore_index)
    if what == WANTS_STATS:
        return stats.fields()
    if what == WANTS_LOG_PROBS:
        return stats.extra_log_prob[()]
    if what & WANTS_HESS:
        return deliver(c, CE_GRAD, grad), deliver(c, CE_HESS, hess)
    if what & (WANTS_GRAD | WANTS_PRODUCT):
        grad = deliver(c, CE_GRAD, grad)
    if what == WANTS_GRAD or what == WANTS_PRODUCT:
        return grad
    if what & WANTS_SUMS:
        sums = float64(c.job.value), float64(c.job.z)
        return sums if what == WANTS_SUMS else (sums, grad)
    value = scalar(c, c.job.value) if losses is None else losses
    if what & WANTS_TERMS:
        value = value, stats.z_losses if losses is not None else scalar(c, c.job.z_value)
    if what & WANTS_STATS:
        return value, grad, stats.fields()
    return PyTuple_Pack(2, <PyObject *>value, <PyObject *>grad) if what & WANTS_GRAD else value


# What belongs to the data and not to the loss, in the order in which it is passed.
cdef int per_call[4]
per_call[:] = [CE_SAMPLE_WEIGHT_PLACE, CE_NORMALIZER_PLACE, GRAD_OUTPUT, OUT]


cdef object run_loss(Prepared p, int what, object x, object target, PyObject **values,
                     Py_ssize_t count, PyObject *names):
    cdef Call c
    cdef int i
    clear(&c)
    memcpy(&c, &p.start, start_bytes)
    c.prepared = <PyObject *>p
    if what & (WANTS_HESS | WANTS_PRODUCT) and strchr(
            ce_loss_row(c.job.loss).outputs, c'h') == NULL:
        _check.no_hessian()
    for i in range(count):
        if values[i] != <PyObject *>None:
            c.given[per_call[i]] = values[i]
    read_keywords(&c, p, values + count, names)
    try:
        if p.has_classes:
            z = begin(&c, p.first, x, option(&c, AXIS))
            if target is None and (ce_loss_row(c.job.loss).second == CE_NOTHING or (
                    what & (WANTS_STATS | WANTS_LOG_PROBS) and not what & WANTS_VALUE)):
                y = None
            else:
                y = take_class_target(&c, p, target)
        else:
            z = start(&c, p.first, x)
            y = take_element_target(&c, target)
        set_options(&c, p)
        if c.given[GRAD_OUTPUT] != NULL:
            take_grad_output(&c, option(&c, GRAD_OUTPUT))
        if what == WANTS_PRODUCT:
            take_vector(&c)
        return answer(&c, what, z, option(&c, OUT), y)
    finally:
        release(&c)


# Under the stable ABI of Python 3.11 Cython's own functions take a tuple of their arguments, which
# costs 100 ns. This one takes an array.
cdef extern from "Python.h":
    ctypedef void *PyCFunction
    ctypedef struct PyMethodDef:
        const char *ml_name
        PyCFunction ml_meth
        int ml_flags
        const char *ml_doc
    int METH_FASTCALL, METH_KEYWORDS
    object PyCFunction_NewEx(PyMethodDef *, PyObject *, PyObject *)
    Py_ssize_t PyTuple_Size(PyObject *)
    PyObject *PyTuple_GetItem(PyObject *, Py_ssize_t)
    long long PyLong_AsLongLongAndOverflow(object, int *) except? -1


cdef object call_loss(object module, PyObject **x, Py_ssize_t n, PyObject *names):
    if not 4 <= n <= 8 or type(<object>x[0]) is not Prepared:
        raise TypeError("call takes a Prepared, what, x, target and more, and options by keyword")
    return run_loss(<Prepared>x[0], <int><object>x[1], <object>x[2], <object>x[3], x + 4, n - 4,
                    names)


cdef PyMethodDef call_method = PyMethodDef(
    "call", <PyCFunction>call_loss, METH_FASTCALL | METH_KEYWORDS,
    b"call(prepared, what, x, target, sample_weight=None, normalizer=None, grad_output=None, "
    b"out=None, /, **options)\n--\n\n"
    b"Value, gradient, Hessian (`what`: a sum of VALUE, GRAD, HESS) of a loss; SUMS or PRODUCT.")

call = PyCFunction_NewEx(&call_method, NULL, NULL)


include "_shards.pxi"


@cython.final
@cython.auto_pickle(False)
cdef class Watch:
    """Arrays, and how they were when they were added."""
    cdef Call c
    cdef int count
    cdef list names

    def __cinit__(self):
        clear(&self.c)
        self.names = []

    def add(self, str name, array):
        self.names.append(name)
        self.c.name[self.count] = <PyObject *>name
        look(&self.c, self.count, array)
        self.count += 1

    def confirm(self):
        """Raises an error if one has changed, or been made to free its memory."""
        confirm(&self.c)

    def __dealloc__(self):
        release(&self.c)


def axis_sum(int loss, p, q, axis):
    """Sums over one axis of a function of p, or of p and q."""
    cdef Call c
    cdef bint narrow
    clear(&c)
    ce_start(&c.job, loss)
    try:
        x = begin(&c, "p", p, axis)
        narrow = c.job.real == CE_FLOAT32
        if ce_loss_row(loss).second != CE_NOTHING:
            q = hold(&c, CE_OTHER, "q", q)
            if narrow and (c.type[CE_OTHER] == CE_FLOAT64 or _check.is_wide(bits(q), True)):
                widen_logits(&c, x)
            take_numbers(&c, CE_OTHER, "q", q, True, False)
            if not fits(&c, &c.view[CE_OTHER], CE_OTHER):
                _check.bad_shape("q", shape_of(&c.view[CE_OTHER]), c_shape(&c))
        values = fresh(&c, CE_VALUE, x) if c.item_axes else None
        execute(&c)
        values = scalar(&c, c.job.value) if values is None else values
        return _check.cast(values, float32) if narrow and c.job.real == CE_FLOAT64 else values
    finally:
        release(&c)


cdef int widen_logits(Call *c, object x) except -1:
    """The first input becomes float64, since the second is."""
    cdef Py_buffer *v = &c.view[CE_Z]
    cdef Py_ssize_t classes = c.job.shape[c.job.class_axis]
    cdef bint alike
    cdef int i
    confirm_view(c, CE_Z)
    replace(c, CE_Z, x, _check.widened(bits(x)))  # and with it what c.job.shape points to
    alike = c.type[CE_Z] == CE_FLOAT64 and v.ndim == c.job.axes
    for i in range(v.ndim if alike else 0):
        alike = alike and v.shape[i] == (
            classes if i == c.job.class_axis else c.items[i - (i > c.job.class_axis)])
    if not alike:
        _check.changed("p")
    c.job.real = CE_FLOAT64
    c.job.shape = <const int64_t *>c.view[CE_Z].shape
    point_to(c, CE_Z, CE_FLOAT64)
    return 0


def normalise(int loss, x, axis, out):
    """softmax or log_softmax."""
    cdef Call c
    clear(&c)
    ce_start(&c.job, loss)
    try:
        z = begin(&c, "x", x, axis)
        result = take_out(&c, CE_GRAD, "out", out, z)
        c.job.fresh = out is None
        fill(&c)
        return deliver(&c, CE_GRAD, result)
    finally:
        release(&c)


def normalise_backward(int loss, grad_output, output, axis, out):
    """The backward pass of softmax or log_softmax, from its output."""
    cdef Call c
    clear(&c)
    ce_start(&c.job, loss)
    try:
        y = begin(&c, "output", output, axis)
        g = take_floats(&c, CE_OTHER, "grad_output", grad_output)
        if c.job.array[CE_OTHER].type != c.job.array[CE_Z].type:
            _check.bad_match("grad_output", "output", bits(g), bits(y))
        if not fits(&c, &c.view[CE_OTHER], CE_OTHER):
            _check.bad_shape("grad_output", shape_of(&c.view[CE_OTHER]), c_shape(&c))
        c.other_may_be_out = True
        result = take_out(&c, CE_GRAD, "out", out, y)
        c.job.fresh = out is None
        fill(&c)
        return deliver(&c, CE_GRAD, result)
    finally:
        release(&c)


cdef tuple reduced_shape(const Call *c, bint keepdims):
    cdef int i
    return tuple([1 if i == c.job.class_axis else c.job.shape[i] for i in range(c.job.axes)
                  if keepdims or i != c.job.class_axis])


def logsumexp(int loss, x, axis, keepdims, out):
    cdef Call c
    clear(&c)
    ce_start(&c.job, loss)
    try:
        z = begin(&c, "x", x, axis)
        kept = c.job.class_axis if keepdims else None
        if out is not None:
            inner = _check.without_axis("out", _arrays.as_out("out", out),
                                        reduced_shape(&c, keepdims), kept)
            values = take_out(&c, CE_VALUE, "out", inner, z)
            execute(&c)
            deliver(&c, CE_VALUE, values)
            return out
        if c.job.axes > 1:
            values = fresh(&c, CE_VALUE, z)
            execute(&c)
            return np.expand_dims(values, kept) if keepdims else values
        execute(&c)
        value = scalar(&c, c.job.value)
        return value.reshape(1) if keepdims else value
    finally:
        release(&c)


def logsumexp_backward(int loss, grad_output, x, axis, keepdims, out):
    cdef Call c
    clear(&c)
    ce_start(&c.job, loss)
    try:
        z = begin(&c, "x", x, axis)
        g = _check.without_axis("grad_output", _arrays.as_array("grad_output", grad_output),
                                reduced_shape(&c, keepdims), c.job.class_axis if keepdims else None)
        take_items(&c, CE_UPSTREAM, "grad_output", g, False)
        result = take_out(&c, CE_GRAD, "out", out, z)
        c.job.fresh = out is None
        fill(&c)
        return deliver(&c, CE_GRAD, result)
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
    return _default if asked is None else max(<int>asked, 1)  # anyone can set a ContextVar


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


def cpus():
    """Those of the affinity mask, or of OpenMP where it binds threads; 0: not known."""
    return ce_threads_cpus()


def watch_forks():
    ce_threads_watch_forks()


def isas():
    """The instruction sets that are compiled in and run on this machine, in rising order."""
    return tuple([ce_isa_row(i).name.decode() for i in range(ce_isa_count())
                  if ce_isa_runs_here(i)])


def isa():
    return ce_isa_row(ce_isa_current()).name.decode()


def isa_facts(str name):
    """What an instruction set asks of the processor, and whether it has fused multiply-add."""
    cdef int i
    for i in range(ce_isa_count()):
        if ce_isa_row(i).name.decode() == name:
            return {"level": ce_isa_row(i).level, "fused": bool(ce_isa_row(i).fused)}
    raise LookupError(name)


def use_isa(str name):
    cdef int i
    for i in range(ce_isa_count()):
        if ce_isa_row(i).name.decode() == name and ce_isa_runs_here(i):
            ce_isa_use(i)
            return
    raise ValueError(f"instruction set {name!r} is not one of {', '.join(isas())}")


def compiler():
    return CE_COMPILER.decode()
