"""The part of _core.pyx that knows buffers: inputs, outputs, which of them share memory."""

# -- buffers ------------------------------------------------------------------------------------

cdef void release(Call *c) noexcept:
    cdef int i
    for i in range(VIEWS):
        let_go(c, i)


cdef inline void let_go(Call *c, int which) noexcept:
    if c.held[which] == A_BUFFER:
        PyBuffer_Release(&c.view[which])
    elif c.held[which] == AN_ARRAY:
        Py_DECREF(<object>c.kept[which])
    c.held[which] = NOTHING


cdef Py_buffer *view_of(Call *c, int which, object x, int flags) except NULL:
    """Take a view of x, and note of what type its numbers are: a ce_type, or -1."""
    cdef Py_buffer *v = &c.view[which]
    let_go(c, which)
    if not see(c, which, x):
        PyObject_GetBuffer(x, v, PyBUF_STRIDES | PyBUF_FORMAT | flags)
        c.held[which] = A_BUFFER
        c.type[which] = type_of(v)
    return v


cdef bint see(Call *c, int which, object x) noexcept:
    """The same of an ndarray, in a tenth of the time; False: ask the buffer."""
    cdef Py_buffer *v = &c.view[which]
    cdef const Ndarray *array = <const Ndarray *><PyObject *>x
    cdef int i, rank, type_met
    if type(x) is not ndarray or numpy_api == NULL:
        return False
    rank = array.nd
    if rank > FEW_AXES:
        return False
    type_met = type_of_ndarray(array)
    if type_met < 0:
        return False
    let_go(c, which)
    v.buf = array.data
    v.itemsize = v.len = size_of[type_met]
    v.readonly = not is_writeable(array)
    v.ndim = rank
    v.shape = &c.axes[which][0]
    v.strides = &c.axes[which][FEW_AXES]
    v.suboffsets = NULL
    for i in range(rank):  # copied: another thread may give the array a new shape
        v.shape[i] = array.dimensions[i]
        v.strides[i] = array.strides[i] if v.shape[i] != 1 else v.itemsize  # those mean nothing
        v.len *= v.shape[i]
    Py_INCREF(x)
    c.kept[which] = <PyObject *>x
    c.held[which] = AN_ARRAY
    c.type[which] = type_met if aligned(v) else -1
    return True


cdef bint viewable(Call *c, int which, object x):
    """Take a view of x if it has one: dates, records and the like do not."""
    if see(c, which, x):
        return True
    if not PyObject_CheckBuffer(x):
        return False
    try:
        view_of(c, which, x, 0)
    except (BufferError, TypeError, ValueError):
        return False
    return True


cdef extern from *:
    """
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    #define CE_NATIVE '>'
    #else
    #define CE_NATIVE '<'
    #endif
    """
    char LITTLE "CE_NATIVE"


cdef int type_of(const Py_buffer *v) noexcept:
    """A ce_type; -1 for anything compound, of foreign byte order, or not aligned."""
    cdef const char *f = v.format
    cdef int size = 0 if v.itemsize == 1 else 1 if v.itemsize == 2 else 2 if v.itemsize == 4 else 3
    cdef int i
    if v.ndim > AXES or (v.ndim and v.strides == NULL):
        return -1  # ctypes arrays
    if f == NULL:
        return CE_UINT8
    if f[0] == c'@' or f[0] == c'=' or f[0] == LITTLE:
        f += 1
    if not f[0] or f[1] or not aligned(v):
        return -1
    for i in range(CE_INT8):  # the floating types
        if f[0] == ce_dtype_row(<ce_type>i).format:
            return i
    if f[0] == c'q' or f[0] == c'l' or f[0] == c'i' or f[0] == c'h' or f[0] == c'b':
        return CE_INT8 + size
    if f[0] == c'Q' or f[0] == c'L' or f[0] == c'I' or f[0] == c'H' or f[0] == c'B':
        return CE_UINT8 + size
    return -1


cdef inline bint aligned(const Py_buffer *v) noexcept:
    """For items of 1, 2, 4 or 8 bytes."""
    cdef int i
    cdef size_t bits = <uintptr_t>v.buf
    for i in range(v.ndim):
        bits |= <size_t>v.strides[i]
    return not bits & <size_t>(v.itemsize - 1)


cdef inline int float_code(const Call *c, int which) noexcept:
    """The ce_type of floating numbers that NumPy knows, or -1."""
    return c.type[which] if c.type[which] < CE_INT8 else -1


cdef inline bint computes(const Call *c, int code) noexcept:
    """True if numbers of that type need no copy to be computed with."""
    return code == c.job.real or (CE_REALS <= code < CE_INT8 and c.job.real == CE_FLOAT32)


cdef inline void point_to(Call *c, int which, int type) noexcept:
    """The view becomes an array of the job."""
    c.job.array[which].data = <char *>c.view[which].buf
    c.job.array[which].strides = <const int64_t *>c.view[which].strides
    c.job.array[which].type = <ce_type>type


cdef int point_to_checked(Call *c, int which, object x, int flags) except -1:
    """The same for an array of `_check`'s, the bits of a 16-bit type included."""
    view_of(c, which, x, flags)
    point_to(c, which, x.code if isinstance(x, Bits) else c.type[which])
    return 0


cdef object take_floats(Call *c, int which, str name, object x):
    """The logits, or an array like them, of any floating dtype. Returns the array."""
    cdef int code = float_code(c, which) if viewable(c, which, x) else -1
    if code >= 0:
        point_to(c, which, code)
        return x
    c.converted = True
    x = _check.floats(name, x)
    point_to_checked(c, which, x, 0)
    return x


cdef object take_numbers(Call *c, int which, str name, object x, bint may_be_half):
    """Real numbers, brought to a type that can be computed with."""
    cdef int code = float_code(c, which) if viewable(c, which, x) else -1
    if code == c.job.real or (may_be_half and computes(c, code)):
        point_to(c, which, code)
        return x
    c.converted = True
    x = _check.numbers(name, x, real_type(c), may_be_half)
    point_to_checked(c, which, x, 0)
    return x


cdef bint is_indices(Call *c, object x):
    """Take a view of x if it holds integers."""
    return viewable(c, CE_TARGET, x) and c.type[CE_TARGET] >= CE_INT8


cdef object take_target(Call *c, object x, bint viewed):
    """Class indices."""
    if not viewed:
        c.converted = True
        x = _check.indices("target", x)
        view_of(c, CE_TARGET, x, 0)
    point_to(c, CE_TARGET, c.type[CE_TARGET])
    return x


cdef object take_items(Call *c, int which, str name, object x):
    """One number per item, of the computing type."""
    cdef int i
    x = take_numbers(c, which, name, x, False)
    cdef bint alike = c.view[which].ndim == c.item_axes
    for i in range(c.item_axes):
        alike = alike and c.view[which].shape[i] == c.items[i]
    if not alike:
        _check.bad_shape(name, shape_of(&c.view[which]), items_shape(c))
    return x


cdef object take_elements(Call *c, int which, str name, object x, bint broadcasts):
    """One number per element of the input; broadcast, if allowed, or else if there is only one."""
    cdef Py_buffer *v = &c.view[which]
    cdef bint alike
    cdef int i
    x = take_numbers(c, which, name, x, True)
    alike = v.ndim == c.job.axes
    for i in range(c.job.axes):
        alike = alike and v.shape[i] == c.job.shape[i]
    if not alike:
        if not broadcasts and v.ndim:
            _check.bad_shape(name, shape_of(v), c_shape(c))
        x = _check.broadcast(name, x, c_shape(c))
        point_to_checked(c, which, x, 0)
    return x


cdef object take_weight(Call *c, str name, object x):
    """One number per class, contiguous, of the computing type."""
    cdef Py_ssize_t classes = c.job.shape[c.job.class_axis]
    cdef Py_buffer *v = &c.view[WEIGHT]
    if not viewable(c, WEIGHT, x) or c.type[WEIGHT] != c.job.real:
        c.converted = True
        x = _check.numbers(name, x, real_type(c), False)
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
    return float32 if c.job.real == CE_FLOAT32 else float64


cdef inline tuple shape_of(const Py_buffer *v):
    return tuple([v.shape[i] for i in range(v.ndim)])


cdef inline tuple c_shape(const Call *c):
    return tuple([c.job.shape[i] for i in range(c.job.axes)])


cdef inline tuple items_shape(const Call *c):
    return tuple([c.items[i] for i in range(c.item_axes)])


cdef inline object scalar(const Call *c, double x):
    cdef float single
    if numpy_api == NULL:
        return float32(<double><float>x) if c.job.real == CE_FLOAT32 else float64(x)
    if c.job.real == CE_FLOAT64:
        return scalar_of(numpy_api, &x, dtype64)
    single = <float>x
    return scalar_of(numpy_api, &single, dtype32)


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
    """True if an output has its shape: the logits', for the values the items'."""
    cdef int i
    if v.ndim != (c.item_axes if which == CE_VALUE else c.job.axes):
        return False
    for i in range(v.ndim):
        if v.shape[i] != (c.items[i] if which == CE_VALUE else c.job.shape[i]):
            return False
    return True


cdef inline object plain(object x):
    """As an ndarray proper: subclasses may make of empty_like what they like."""
    return x if type(x) is ndarray else np.asarray(x)


cdef inline object new_like(object z):
    """Not yet filled; in the layout of z."""
    z = plain(z)
    return empty_like(z) if numpy_api == NULL else new_like_of(numpy_api, z)


cdef object fresh(Call *c, int which, object z):
    """A new output: in the layout of the logits, or for values, of their items, in C order."""
    cdef int type = c.job.real if which == CE_VALUE else c.job.array[CE_Z].type
    if which != CE_VALUE:
        result = new_like(z)
    elif c.job.class_axis >= 0:
        result = empty(items_shape(c), real_type(c))
    else:
        result = empty_like(plain(z), dtype=real_type(c))
    view_of(c, which, result, PyBUF_WRITABLE)
    point_to(c, which, type)
    return _check.numbers_of_bits(result, type) if is_foreign(type) else result


cdef inline bint is_foreign(int type) noexcept:
    """True for a 16-bit type that NumPy does not have."""
    return CE_REALS <= type < CE_INT8 and ce_dtype_row(<ce_type>type).number < 0


cdef object take_out(Call *c, int which, str name, object out, object z, tuple inputs):
    """Where results go: fresh, the caller's, or a stand-in for a caller's array of foreign layout.

    `inputs`: pairs of name and object that it must be apart from; None for those of a loss.
    Returns what the caller gets; with a stand-in, the pair of both.
    """
    cdef Py_buffer *v = &c.view[which]
    cdef int i, type = c.job.real if which == CE_VALUE else c.job.array[CE_Z].type
    cdef int type_met = CE_UINT16 if is_foreign(type) else type
    cdef bint simple = True
    if out is None:
        return fresh(c, which, z)
    result = out
    if not isinstance(out, ndarray):
        _check.bad_out_type(name, out)
    if is_foreign(type):
        out = _check.bits_of_out(name, out, type)
    if not (viewable(c, which, out) and not v.readonly and c.type[which] == type_met
            and fits(c, v, which) and PyBuffer_IsContiguous(v, c'A')):
        shape = items_shape(c) if which == CE_VALUE else c_shape(c)
        _check.out(name, out, shape, numpy_dtype[type])
    for i in range(VIEWS):
        if i != which and c.held[i] and not apart(v, &c.view[i]) and not (
                (i == CE_Z or (i == CE_OTHER and c.other_may_be_out)) and same(v, &c.view[i])):
            simple = False
    if not simple or c.converted:
        _check.overlaps(name, out, inputs_of(c) if inputs is None else inputs,
                        0 if which == CE_VALUE else 2 if c.other_may_be_out else 1)
    if c.type[which] != type_met:
        c.converted = True  # what is compared with this view is a stand-in
        out = empty_like(plain(out), dtype=numpy_dtype[type])
        view_of(c, which, out, PyBUF_WRITABLE)
        point_to(c, which, type)
        return out, result
    point_to(c, which, type)
    return result


cdef inline object deliver(object result):
    """A stand-in's numbers go where the caller wants them."""
    if type(result) is not tuple:
        return result
    stand_in, out = result
    _check.copy_out(stand_in, out)
    return out


# -- DLPack -------------------------------------------------------------------------------------

cdef struct DLTensor:  # dmlc/dlpack, version 0: what a capsule "dltensor" begins with
    void *data
    int device, device_id, ndim
    uint8_t code, bits
    uint16_t lanes
    int64_t *shape
    int64_t *strides
    uint64_t byte_offset


def widen(int code, bits):
    """The bits of a 16-bit type as float32."""
    cdef Py_buffer source, target
    bits = np.array(bits, np.uint16, order="C")
    wide = empty(bits.shape, float32)
    PyObject_GetBuffer(bits, &source, PyBUF_STRIDES)
    try:
        PyObject_GetBuffer(wide, &target, PyBUF_STRIDES | PyBUF_WRITABLE)
        ce_widen(<ce_type>code, source.buf, <float *>target.buf, source.len // 2)
        PyBuffer_Release(&target)
    finally:
        PyBuffer_Release(&source)
    return wide


def bits_of_dlpack(x):
    """The bits of a CPU tensor of bfloat16, which NumPy cannot import; None of any other."""
    cdef DLTensor *t
    capsule = x.__dlpack__()
    t = <DLTensor *>PyCapsule_GetPointer(capsule, "dltensor")
    if t.device != 1 or t.code != 4 or t.bits != 16 or t.lanes != 1:
        return None
    shape = tuple([t.shape[i] for i in range(t.ndim)])
    strides = None if t.strides == NULL else tuple([2 * t.strides[i] for i in range(t.ndim)])
    # The capsule frees the tensor when the last array on this memory is gone.
    return _check.bits_of_memory(<uintptr_t>t.data + t.byte_offset, shape, strides, capsule)
