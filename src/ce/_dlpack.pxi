"""The part of _core.pyx that reads DLPack, by which libraries lend each other the memory of arrays.

That a capsule holds what its name says cannot be verified, nor that the memory is there: for that
the lender answers. All else is checked.
"""

# -- dmlc/dlpack: what capsules hold ------------------------------------------------------------

cdef struct Tensor:
    void *data
    int32_t device, device_number, ndim
    uint8_t code, bits
    uint16_t lanes
    int64_t *shape
    int64_t *strides       # in elements; NULL: C order
    uint64_t byte_offset

cdef struct Managed:       # in a capsule "dltensor"
    Tensor tensor
    void *context
    void (*deleter)(Managed *) noexcept

cdef struct Versioned:     # in a capsule "dltensor_versioned"
    uint32_t major, minor  # of another major, what stands from `flags` on is not known
    void *context
    void (*deleter)(Versioned *) noexcept
    uint64_t flags
    Tensor tensor

cdef struct Exchange:      # in a capsule "dlpack_exchange_api", an attribute of a type
    uint32_t major, minor
    void *previous
    void *allocate
    int (*lend)(PyObject *x, Versioned **loan) except -1  # x: of that type

cdef enum:
    IN_MEMORY = 1, PINNED_BY_CUDA = 3, PINNED_BY_ROCM = 11  # devices
    BFLOAT = 4                                              # a code
    READ_ONLY = 1, A_COPY = 2                               # flags

cdef extern from *:
    """
    /* By DLPack's code and the size (1, 2, 4, 8 bytes): the format of Python's buffers, and NumPy's
     * number of the dtype. Of bfloat16 it is that of its bits. */
    enum { CODES = 7, LONG_IS_8 = sizeof(long) == 8 };
    static const char format_of[CODES][5] = {
        "bhiq", "BHIQ", " efd", "    ", " H  ", "    ", "?   ",
    };
    static const char number_of[CODES][4] = {
        {1, 3, 5, LONG_IS_8 ? 7 : 9}, {2, 4, 6, LONG_IS_8 ? 8 : 10}, {0, 23, 11, 12}, {0}, {0, 4},
    };

    enum { DTYPE_OF_NUMBER = 45, NEW_ARRAY = 94, SET_BASE = 282 };

    /* Takes the reference to the dtype. */
    #define array_on_memory(api, type, dtype, axes, shape, strides, data, writeable) \\
        ((PyObject *(*)(PyObject *, PyObject *, int, Py_ssize_t *, Py_ssize_t *, void *, int, \\
                        PyObject *))(api)[NEW_ARRAY])( \\
            type, dtype, axes, shape, strides, data, (writeable) ? (int)WRITEABLE : 0, NULL)
    #define dtype_of_number(api, number) \\
        ((PyObject *(*)(int))(api)[DTYPE_OF_NUMBER])(number)
    #define set_base(api, array, base) \\
        ((int (*)(PyObject *, PyObject *))(api)[SET_BASE])(array, base)
    """
    int CODES
    const char format_of[7][5]
    const char number_of[7][4]
    PyObject *dtype_of_number(void **, int)
    object array_on_memory(void **, object, PyObject *, int, int64_t *, Py_ssize_t *, void *, bint)
    int set_base(void **, object, PyObject *) except -1

cdef dict device_names = {
    2: "cuda", 4: "opencl", 7: "vulkan", 8: "metal", 10: "rocm", 13: "cuda (managed)",
    14: "oneapi", 15: "webgpu", 16: "hexagon", 17: "maia", 18: "trainium",
}
cdef char nowhere = 0      # empty tensors may have no address


cdef inline bint is_memory(int device) noexcept:
    """True for the machine's own."""
    return device == IN_MEMORY or device == PINNED_BY_CUDA or device == PINNED_BY_ROCM


def device_name(int device, int number):
    """Of a device that is not the machine's own memory, else None."""
    if is_memory(device):
        return None
    return f"{device_names.get(device, f'of type {device}')}:{number}"


# -- loans --------------------------------------------------------------------------------------

@cython.final
@cython.auto_pickle(False)
cdef class Loan:
    """Memory of another library, as a buffer; given back when the last array on it is gone."""
    cdef Managed *managed      # one of the two is NULL
    cdef Versioned *versioned
    cdef Tensor *tensor
    cdef void *data
    cdef bint read_only
    cdef int number            # NumPy's, of the dtype
    cdef char format[2]
    cdef Py_ssize_t size       # of an element
    cdef Py_ssize_t strides[AXES]

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        cdef int i
        if self.data == NULL or flags & PyBUF_RECORDS_RO != PyBUF_RECORDS_RO:
            raise BufferError("strides and format must be asked for")
        if self.read_only and flags & PyBUF_WRITABLE:
            raise BufferError("the memory is read-only")
        buffer.buf = self.data
        buffer.obj = self
        buffer.itemsize = buffer.len = self.size
        for i in range(self.tensor.ndim):
            buffer.len *= self.tensor.shape[i]
        buffer.readonly = self.read_only
        buffer.ndim = self.tensor.ndim
        buffer.format = self.format
        buffer.shape = <Py_ssize_t *>self.tensor.shape
        buffer.strides = self.strides
        buffer.suboffsets = NULL
        buffer.internal = NULL

    def __dealloc__(self):
        if self.versioned != NULL and self.versioned.deleter != NULL:
            self.versioned.deleter(self.versioned)
        if self.managed != NULL and self.managed.deleter != NULL:
            self.managed.deleter(self.managed)


cdef int check_loan(Loan loan) except -1:
    """Fill in the rest; a BufferError where NumPy could not hold what is lent."""
    cdef Tensor *t = loan.tensor
    cdef Py_ssize_t n, step
    cdef int i = 0 if t.bits == 8 else 1 if t.bits == 16 else 2 if t.bits == 32 else 3
    if not is_memory(t.device):
        raise BufferError(f"its memory is on device {device_name(t.device, t.device_number)}")
    if t.code >= CODES or t.bits != 8 << i or t.lanes != 1 or format_of[t.code][i] == c' ':
        raise BufferError(f"its numbers have DLPack's type {t.code}, {t.bits} bits, "
                          f"{t.lanes} lanes")
    if not 0 <= t.ndim <= AXES or (t.ndim and t.shape == NULL):
        raise BufferError(f"it has {t.ndim} axes")
    loan.size = step = 1 << i
    loan.format[0] = format_of[t.code][i]
    loan.number = number_of[t.code][i]
    for i in range(t.ndim - 1, -1, -1):
        n = t.shape[i]
        if n < 0 or (n and step > <Py_ssize_t>(<size_t>-1 >> 1) // n):
            raise BufferError(f"it has length {n} along axis {i}")
        loan.strides[i] = step if t.strides == NULL else <Py_ssize_t>(
            <size_t>t.strides[i] * <size_t>loan.size)
        step *= n
    if step and t.data == NULL:
        raise BufferError("it has no memory")
    loan.data = &nowhere if t.data == NULL else <char *>t.data + t.byte_offset
    return 0


cdef object array_of(Loan loan):
    """An ndarray, or of bfloat16 its bits."""
    cdef Tensor *t = loan.tensor
    check_loan(loan)
    kind = Bfloat16 if t.code == BFLOAT else ndarray
    if numpy_api == NULL:
        return np.asarray(loan).view(kind)
    array = array_on_memory(numpy_api, kind, dtype_of_number(numpy_api, loan.number), t.ndim,
                            t.shape, loan.strides, loan.data, not loan.read_only)
    Py_INCREF(loan)
    set_base(numpy_api, array, <PyObject *>loan)  # takes the reference, whatever happens
    return array


cdef int take_versioned(Loan loan, Versioned *v) except -1:
    loan.versioned = v
    if v.major != 1:
        raise BufferError(f"it speaks DLPack {v.major}.{v.minor}")
    loan.tensor = &v.tensor
    loan.read_only = v.flags & (READ_ONLY | A_COPY)  # what is written to a copy is lost
    return 0


def from_dlpack(capsule):
    """What a capsule lends, as an ndarray (of bfloat16, its bits); the capsule is used up.

    Read-only where the lender does not say that it may be written to.
    """
    cdef Loan loan = Loan.__new__(Loan)
    cdef void *lent
    if PyCapsule_IsValid(capsule, "dltensor_versioned"):
        lent = PyCapsule_GetPointer(capsule, "dltensor_versioned")
        PyCapsule_SetName(capsule, "used_dltensor_versioned")
        take_versioned(loan, <Versioned *>lent)
    elif PyCapsule_IsValid(capsule, "dltensor"):
        lent = PyCapsule_GetPointer(capsule, "dltensor")
        PyCapsule_SetName(capsule, "used_dltensor")
        loan.managed = <Managed *>lent
        loan.tensor = &loan.managed.tensor
        loan.read_only = True
    else:
        raise BufferError("its __dlpack__ gives no capsule of DLPack, or one that is used up")
    return array_of(loan)


# -- torch --------------------------------------------------------------------------------------

cdef Exchange *exchange = NULL
cdef object tensor_type = None  # torch.Tensor, if it has such a capsule
cdef object Bfloat16 = _arrays.FOREIGN["bfloat16"]


def know_tensors(kind):
    """Note that kind is torch.Tensor. Returns whether `from_tensor` can be used."""
    global exchange, tensor_type
    capsule = getattr(kind, "__dlpack_c_exchange_api__", None)
    if not PyCapsule_IsValid(capsule, "dlpack_exchange_api"):
        return False
    found = <Exchange *>PyCapsule_GetPointer(capsule, "dlpack_exchange_api")
    if found.major != 1:
        return False
    exchange = found
    tensor_type = kind
    return True


def from_tensor(x):
    """The same of a torch.Tensor proper, in half the time of its numpy().

    None of one that is not plain: what is the matter with it, its attributes tell.
    """
    cdef Loan loan
    cdef Versioned *v = NULL
    if type(x) is not tensor_type or x.requires_grad or x.is_neg():
        return None
    loan = Loan.__new__(Loan)
    try:
        exchange.lend(<PyObject *>x, &v)
        take_versioned(loan, v)
        return array_of(loan)
    except (BufferError, RuntimeError):
        return None


cdef inline object array_from(str name, object x):
    """_arrays.as_array, sooner for plain tensors."""
    array = from_tensor(x) if type(x) is tensor_type else None
    return _arrays.as_array(name, x) if array is None else array
