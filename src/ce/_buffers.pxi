"""The part of _core.pyx that knows buffers: inputs, outputs, which of them share memory."""

# -- views ----------------------------------------------------------------------------------------

cdef extern from *:
    """
    /* 1: a view is taken; 0: x has none that can be described, as dates and records; -1: an error.
     * In C, since Cython's `except` does not bear a traceback that could not be had. */
    static int take_view(PyObject *x, Py_buffer *view)
    {
        if (PyObject_GetBuffer(x, view, PyBUF_STRIDES | PyBUF_FORMAT) == 0)
            return 1;
        if (!PyErr_ExceptionMatches(PyExc_BufferError) && !PyErr_ExceptionMatches(PyExc_TypeError)
            && !PyErr_ExceptionMatches(PyExc_ValueError))
            return -1;
        PyErr_Clear();
        return 0;
    }
    """
    int take_view(PyObject *x, Py_buffer *view) except -1

# What is held of a view stands in `held`, `kept` and `shared` where its bit in `views` is set.

cdef void release(Call *c) noexcept:
    cdef int i = 0
    while c.views >> i:
        let_go(c, i)
        i += 1


cdef inline bint is_held(const Call *c, int which) noexcept:
    return c.views >> which & 1


cdef inline void take_hold(Call *c, int which, Hold how, PyObject *x) noexcept:
    c.views |= <unsigned>1 << which
    c.held[which] = how
    c.kept[which] = x
    c.shared[which] = NULL
    if x != NULL:
        Py_INCREF(<object>x)


cdef inline void let_go(Call *c, int which) noexcept:
    if is_held(c, which):
        if c.held[which] == A_BUFFER:
            PyBuffer_Release(&c.view[which])
        if c.held[which] != NOTHING:
            Py_DECREF(<object>c.kept[which])
        if c.shared[which] != NULL:
            Py_DECREF(<object>c.shared[which])
        c.views &= ~(<unsigned>1 << which)


cdef object hold(Call *c, int which, str name, object x):
    """x as an ndarray, of which a view is taken.

    All code of an argument's own runs here, and only once. What comes back is an ndarray proper or
    Bits: of these nothing is believed but how they lie in memory.
    """
    c.name[which] = <PyObject *>name
    if is_held(c, which) and c.held[which] == AN_ARRAY and c.kept[which] == <PyObject *>x:
        return x
    if not see(c, which, x):
        array = array_from(name, x)
        look(c, which, array)
        if type(x) is ndarray and isinstance(array, Bits):  # next time it is seen at once
            foreign_number[<int>array.code] = _arrays.number_of_code[array.code]
        return array
    check_owner(c, which)
    return x


cdef int look(Call *c, int which, object x) except -1:
    """Take a view of an ndarray, and note of what type its numbers are: a ce_type, or -1."""
    if see(c, which, x):
        return check_owner(c, which)
    let_go(c, which)
    c.type[which] = -1
    c.owner[which] = NULL
    if not take_view(<PyObject *>x, &c.view[which]):
        take_hold(c, which, NOTHING, NULL)
        return 0
    note_owner(c, which, x)
    take_hold(c, which, A_BUFFER, <PyObject *>x)
    check_owner(c, which)
    c.type[which] = type_of(&c.view[which])
    if isinstance(x, Bits) and c.type[which] == CE_UINT16:
        c.type[which] = x.code
    return 0


cdef int replace(Call *c, int which, object x, object copy) except -1:
    """The view becomes that of a copy of x, which can be computed with."""
    cdef object shared = x
    if is_held(c, which) and c.shared[which] != NULL:
        shared = <object>c.shared[which]
    look(c, which, copy)
    Py_INCREF(shared)
    c.shared[which] = <PyObject *>shared
    if c.type[which] < 0:
        raise TypeError(f"{<object>c.name[which]} cannot be read as numbers")
    return 0


cdef inline void note_owner(Call *c, int which, object x) noexcept:
    cdef const Ndarray *owner
    c.owner[which] = NULL
    if numpy_api == NULL:
        return
    c.base[which] = (<const Ndarray *><PyObject *>x).base
    c.owner[which] = owner = owner_of(<const Ndarray *><PyObject *>x)
    if owner != NULL:
        c.owner_data[which] = owner.data
        c.owner_base[which] = owner.base
        c.owner_bytes[which] = bytes_of(owner, is_numpy_1)
        if not lies_in(&c.view[which], owner, c.owner_bytes[which]):
            c.owner_bytes[which] = -1


cdef inline int check_owner(Call *c, int which) except -1:
    """Of a view that does not lie in its owner's memory nothing is read."""
    if c.owner[which] != NULL and c.owner_bytes[which] < 0:
        _check.changed(<object>c.name[which])
    return 0


cdef inline bint has_its_owner(const Call *c, int which) noexcept:
    """True if an array has the base that it had, and that the memory."""
    cdef const Ndarray *x = <const Ndarray *>c.kept[which]
    cdef const Ndarray *owner = c.owner[which]
    if numpy_api == NULL:
        return True
    if x.base != c.base[which] or owner_of(x) != owner:
        return False
    return owner == NULL or (
        owner.data == c.owner_data[which] and owner.base == c.owner_base[which]
        and bytes_of(owner, is_numpy_1) == c.owner_bytes[which])


cdef inline int type_seen(object x) noexcept:
    """The ce_type of the numbers of an ndarray proper or Bits; -1 of others, and of all else."""
    cdef int i
    if numpy_api == NULL:
        return -1
    if type(x) is ndarray:
        return type_of_ndarray(<const Ndarray *><PyObject *>x)
    kind = type(x)
    for i in range(CE_REALS, CE_INT8):
        if <PyObject *>kind == kind_of_bits[i]:
            return i if type_of_ndarray(<const Ndarray *><PyObject *>x) == CE_UINT16 else -1
    return -1


cdef bint see(Call *c, int which, object x) noexcept:
    """Take a view as `look` does, in a tenth of the time; False: that is not possible."""
    cdef const Ndarray *array = <const Ndarray *><PyObject *>x
    cdef int type_met = type_seen(x)
    if type_met < 0 or array.nd > FEW_AXES:
        return False
    Py_INCREF(x)
    let_go(c, which)
    take_hold(c, which, AN_ARRAY, <PyObject *>x)
    Py_DECREF(x)
    if not view_ndarray(array, size_of[type_met], &c.view[which], &c.axes[which][0],
                        &c.axes[which][FEW_AXES]):
        type_met = -1
    note_owner(c, which, x)
    c.flags[which] = array.flags
    c.met[which] = type_of_ndarray(array)
    c.type[which] = type_met
    return True


cdef bint same_buffer(const Py_buffer *a, const Py_buffer *b) noexcept:
    return same(a, b) and strcmp(a.format, b.format) == 0 and a.readonly == b.readonly


cdef int confirm_view(Call *c, int which) except -1:
    """Nothing may have changed an array since its view was taken: no other argument's code.

    Nor may the array in whose memory it lies have been made to free that.
    """
    cdef Py_buffer now
    cdef bint alike = c.held[which] == NOTHING or has_its_owner(c, which)
    if not alike:
        pass
    elif c.held[which] == AN_ARRAY:
        alike = is_as_viewed(<const Ndarray *>c.kept[which], &c.view[which], c.flags[which],
                             c.met[which])
    elif c.held[which] == A_BUFFER:
        alike = take_view(c.kept[which], &now)  # if not, it has a dtype by now that has no format
        if alike:
            alike = same_buffer(&now, &c.view[which])
            PyBuffer_Release(&now)
    if not alike:
        _check.changed(<object>c.name[which])
    return 0


cdef int confirm(Call *c) except -1:
    cdef int i = 0
    while c.views >> i:
        if is_held(c, i):
            confirm_view(c, i)
        i += 1
    return 0


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


cdef inline bint computes(const Call *c, int type, bint may_be_half, bint may_be_wide) noexcept:
    """True if numbers of that type need no copy to be computed with."""
    if type == c.job.real:
        return True
    if type < 0 or type >= CE_INT8:
        return False
    if c.job.real == CE_FLOAT64:
        return may_be_half and c.job.class_axis < 0
    return may_be_wide if type == CE_FLOAT64 else may_be_half


cdef int64_t of_nothing[AXES]


cdef inline void point_to(Call *c, int which, int type) noexcept:
    """The view becomes an array of the job."""
    c.job.array[which].data = <char *>c.view[which].buf
    c.job.array[which].strides = <const int64_t *>c.view[which].strides if c.view[which].len else (
        of_nothing)  # where there are no elements strides may be any numbers
    c.job.array[which].type = <ce_type>type


cdef inline object bits(object x):
    """An array of 16-bit numbers that NumPy does not have as `_check` knows it."""
    return _arrays.as_array("", x) if is_foreign(type_seen(x)) and type(x) is ndarray else x


cdef object take_floats(Call *c, int which, str name, object x):
    """The logits, or an array like them, of any floating dtype. Returns the array."""
    x = hold(c, which, name, x)
    if not 0 <= c.type[which] < CE_INT8:
        array = _check.floats(name, bits(x))
        replace(c, which, x, array)
        if not 0 <= c.type[which] < CE_INT8:
            _check.changed(name)
        x = array
    point_to(c, which, c.type[which])
    return x


cdef object take_numbers(Call *c, int which, str name, object x, bint may_be_half,
                         bint may_be_wide):
    """Real numbers, brought to a type that can be computed with."""
    x = hold(c, which, name, x)
    if not computes(c, c.type[which], may_be_half, may_be_wide):
        real = float64 if may_be_wide and _check.is_wide(bits(x), False) else real_type(c)
        array = _check.numbers(name, bits(x), real, may_be_half)
        replace(c, which, x, array)
        if not computes(c, c.type[which], may_be_half, may_be_wide):
            _check.changed(name)
        x = array
    point_to(c, which, c.type[which])
    return x


cdef object take_items(Call *c, int which, str name, object x, bint may_be_wide):
    """One number per item, of the computing type."""
    cdef int i
    x = take_numbers(c, which, name, x, False, may_be_wide)
    cdef bint alike = c.view[which].ndim == c.item_axes
    for i in range(c.item_axes):
        alike = alike and c.view[which].shape[i] == c.items[i]
    if not alike:
        _check.bad_shape(name, shape_of(&c.view[which]), items_shape(c))
    return x


cdef object take_elements(Call *c, int which, str name, object x):
    """One number per element of the input. Weights broadcast, or else if there is only one."""
    cdef Py_buffer *v = &c.view[which]
    cdef bint alike, may_be_wide = which == CE_V or which == CE_WEIGHT
    cdef int i
    x = take_numbers(c, which, name, x, True, may_be_wide)
    alike = v.ndim == c.job.axes
    for i in range(c.job.axes):
        alike = alike and v.shape[i] == c.job.shape[i]
    if not alike:
        if which == CE_OTHER or which == CE_UPSTREAM or which == CE_VECTOR:
            if v.ndim:
                _check.bad_shape(name, shape_of(v), c_shape(c))
        array = _check.broadcast(name, bits(x), c_shape(c))
        replace(c, which, x, array)
        if not fits(c, v, which) or not computes(
                c, c.type[which], True, may_be_wide):
            _check.changed(name)
        point_to(c, which, c.type[which])
        x = array
    return x


cdef object take_weight(Call *c, str name, object x):
    """One number per class, contiguous, of the computing type."""
    cdef Py_ssize_t classes = c.job.shape[c.job.class_axis]
    cdef Py_buffer *v = &c.view[WEIGHT]
    x = hold(c, WEIGHT, name, x)
    if c.type[WEIGHT] != c.job.real:
        array = _check.numbers(name, bits(x), real_type(c), False)
        replace(c, WEIGHT, x, array)
        x = array
    if v.ndim == 1 and classes and v.strides[0] != v.itemsize:
        replace(c, WEIGHT, x, np.ascontiguousarray(x))
    if v.ndim != 1 or v.shape[0] != classes:
        _check.bad_weight_shape(name, shape_of(v), classes)
    if (classes and v.strides[0] != v.itemsize) or c.type[WEIGHT] != c.job.real:
        _check.changed(name)
    c.job.w = v.buf
    return x


cdef inline object real_type(const Call *c):
    return float32 if c.job.real == CE_FLOAT32 else float64


cdef inline int value_type(const Call *c) noexcept:
    """That of losses, where the input may be narrower than what is computed with."""
    return c.job.real if c.job.class_axis >= 0 or c.job.array[CE_Z].type == CE_FLOAT64 else (
        CE_FLOAT32)


cdef inline tuple shape_of(const Py_buffer *v):
    return tuple([v.shape[i] for i in range(v.ndim)])


cdef inline tuple c_shape(const Call *c):
    return tuple([c.job.shape[i] for i in range(c.job.axes)])


cdef inline tuple items_shape(const Call *c):
    return tuple([c.items[i] for i in range(c.item_axes)])


cdef inline object scalar(const Call *c, double x):
    cdef float single
    if value_type(c) == CE_FLOAT64:
        return float64(x) if numpy_api == NULL else scalar_of(numpy_api, &x, dtype64)
    single = <float>x  # which is one
    return float32(<double>single) if numpy_api == NULL else scalar_of(
        numpy_api, &single, dtype32)


# -- outputs ------------------------------------------------------------------------------------

cdef bint apart(const Py_buffer *a, const Py_buffer *b) noexcept:
    """True if the two cannot share a byte. (False: the ranges of addresses meet.)"""
    cdef char *low[2]
    cdef char *high[2]
    cdef const Py_buffer *v
    cdef int i, j
    if a.len == 0 or b.len == 0:
        return True
    for i in range(2):
        v = b if i else a
        low[i] = high[i] = <char *>v.buf
        for j in range(v.ndim):
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
    """True if an array has its shape: the logits', for the values the items'."""
    cdef int i
    if v.ndim != (c.item_axes if which == CE_VALUE and c.job.class_axis >= 0 else c.job.axes):
        return False
    for i in range(v.ndim):
        if v.shape[i] != (c.items[i] if which == CE_VALUE and c.job.class_axis >= 0
                          else c.job.shape[i]):
            return False
    return True


cdef inline object plain(object x):
    return x if type(x) is ndarray else np.asarray(x)


cdef inline object new_like(object z):
    """Not yet filled; in the layout of z."""
    z = plain(z)
    return empty_like(z) if numpy_api == NULL else new_like_of(numpy_api, z)


cdef inline int type_of_output(const Call *c, int which) noexcept:
    return value_type(c) if which == CE_VALUE else c.job.array[CE_Z].type


cdef inline bint holds(const Call *c, int which, int type) noexcept:
    """True if a view has numbers of that type, or their bits."""
    return c.type[which] == type or (is_foreign(type) and c.type[which] == CE_UINT16)


cdef object fresh(Call *c, int which, object z):
    """A new output: in the layout of the logits, or for values, of their items, in C order."""
    cdef int type = type_of_output(c, which)
    if which != CE_VALUE:
        result = new_like(z)
    elif c.job.class_axis >= 0:
        result = empty(items_shape(c), numpy_dtype[type])
    else:
        result = empty_like(plain(z), dtype=numpy_dtype[type])
    view_output(c, which, result, type)
    if is_foreign(type) and c.type[which] == CE_UINT16:
        return _arrays.numbers_of_bits(result, type)
    return result


cdef int view_output(Call *c, int which, object x, int type) except -1:
    """Take a view of an array that was made for the job, out of logits that may have changed."""
    c.name[which] = <PyObject *>result_name
    look(c, which, x)
    if not holds(c, which, type) or not fits(c, &c.view[which], which):
        _check.changed((<Prepared>c.prepared).first if c.prepared != NULL else "x")
    point_to(c, which, type)
    return 0


cdef inline bint is_foreign(int type) noexcept:
    """True for a 16-bit type that NumPy does not have."""
    return CE_REALS <= type < CE_INT8 and ce_dtype_row(<ce_type>type).number < 0


cdef bint may_be(const Call *c, int which, int input) noexcept:
    """True if an output may be that input."""
    return which != CE_VALUE and (
        input == CE_Z or input == CE_VECTOR or (input == CE_OTHER and c.other_may_be_out))


cdef inline int behind(int which) noexcept:
    """The view of the caller's own array, where an output is another view of its memory."""
    return BEHIND + (2 if which == CE_VALUE else which - CE_GRAD)


cdef list others(const Call *c, int which):
    """What an output must be apart from: names, arrays, and whether it may be one of them."""
    return [
        (<object>c.name[i], <object>(c.kept[i] if c.shared[i] == NULL else c.shared[i]),
         may_be(c, which, i))
        for i in range(VIEWS) if i != which and i != behind(which) and is_held(c, i) and (
            c.held[i] != NOTHING or c.shared[i] != NULL)]


cdef int check_overlap(Call *c, int which, str name, object out) except -1:
    """An output must be apart from all other arrays, or be one of those that it may be."""
    cdef bint simple = is_held(c, which) and c.held[which] != NOTHING
    cdef int i
    for i in range(VIEWS):
        if i == which or i == behind(which) or not is_held(c, i):
            continue
        if c.shared[i] != NULL:
            simple = False
        elif simple and not apart(&c.view[which], &c.view[i]) and not (
                may_be(c, which, i) and same(&c.view[which], &c.view[i])):
            simple = False
    if not simple:
        confirm(c)  # what is looked at closely is what was viewed
        _check.overlaps(name, out, others(c, which))
    return 0


cdef object take_out(Call *c, int which, str name, object out, object z):
    """Where results go: fresh, the caller's, or a stand-in for a caller's array of foreign layout.

    Returns what the caller gets; with a stand-in, it and where its numbers go, too.
    """
    cdef Py_buffer *v = &c.view[which]
    cdef int type = type_of_output(c, which)
    cdef bint may_be_narrow = c.prepared != NULL and which != CE_VALUE and type == CE_FLOAT64
    if out is None:
        return fresh(c, which, z)
    c.name[which] = <PyObject *>name
    array = out
    if not see(c, which, out):
        array = _arrays.as_out(name, out)
    look(c, which, array)
    if may_be_narrow and c.type[which] == CE_FLOAT32:
        type = CE_FLOAT32
    if not (c.held[which] != NOTHING and not v.readonly and holds(c, which, type)
            and fits(c, v, which) and PyBuffer_IsContiguous(v, c'A')):
        c.name[behind(which)] = <PyObject *>name
        look(c, behind(which), array)
        array = array.view()  # which nobody else can change: what is judged is what is written to
        look(c, which, array)
        type = _check.out(name, array, output_shape(c, which), type, may_be_narrow)
        if not holds(c, which, type):
            return stand_in_for(c, which, name, array, out, type)
    check_overlap(c, which, name, array)
    if v.readonly or not fits(c, v, which):
        _check.changed(name)
    point_to(c, which, type)
    return out


cdef inline tuple output_shape(const Call *c, int which):
    return items_shape(c) if which == CE_VALUE and c.job.class_axis >= 0 else c_shape(c)


cdef tuple stand_in_for(Call *c, int which, str name, object place, object out, int type):
    """An array that can be filled, where the results go afterwards, and what the caller gets."""
    confirm(c)
    _check.overlaps(name, place, others(c, which))
    place = _check.plain(place)
    stand_in = empty_like(plain(place), dtype=numpy_dtype[type])
    view_output(c, which, stand_in, type)
    return stand_in, place, out


cdef inline object deliver(Call *c, int which, object result):
    """A stand-in's numbers go where the caller wants them."""
    if type(result) is not tuple:
        return result
    stand_in, place, out = result
    confirm_view(c, behind(which))
    place[...] = stand_in
    return out


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
