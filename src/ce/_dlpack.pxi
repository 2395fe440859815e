"""The part of _core.pyx that reads DLPack, by which libraries lend each other the memory of arrays.

That a capsule holds what its name says cannot be verified. What it holds is checked as far as it
can be: that the memory is there and as large as it says, the lender answers for.
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
    /* By code, and by the size of 1, 2, 4 or 8 bytes: the format of Python's buffers. */
    static const char *const ce_formats[] = {"bhiq", "BHIQ", " efd", "    ", " H  ", "    ", "?   "};
    #define CE_FORMAT_CODES (int)(sizeof ce_formats / sizeof *ce_formats)
    """
    const char *const *ce_formats
    int CE_FORMAT_CODES

cdef dict device_names = {
    2: "cuda", 4: "opencl", 7: "vulkan", 8: "metal", 10: "rocm", 13: "cuda (managed)",
    14: "oneapi", 15: "webgpu", 16: "hexagon", 17: "maia", 18: "trainium",
}
cdef char nowhere = 0      # empty tensors may have no address


def device_name(int device, int number):
    """Of a device that is not the machine's own memory, else None."""
    if device == IN_MEMORY or device == PINNED_BY_CUDA or device == PINNED_BY_ROCM:
        return None
    return f"{device_names.get(device, f'of type {device}')}:{number}"


# -- loans --------------------------------------------------------------------------------------

@cython.final
@cython.auto_pickle(False)
cdef class Loan:
    """Memory of another library, as a buffer. It is given back when the last array on it is gone."""
    cdef Managed *managed
    cdef Versioned *versioned  # one of the two is NULL
    cdef Tensor *tensor
    cdef bint read_only
    cdef char format[2]
    cdef Py_ssize_t size       # of an element
    cdef Py_ssize_t strides[AXES]

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        cdef Tensor *t = self.tensor
        cdef int i
        if self.read_only and flags & PyBUF_WRITABLE:
            raise BufferError("the memory is read-only")
        if t == NULL or flags & PyBUF_RECORDS_RO != PyBUF_RECORDS_RO:
            raise BufferError("strides and format must be asked for")
        buffer.buf = &nowhere if t.data == NULL else <char *>t.data + t.byte_offset
        buffer.obj = self
        buffer.itemsize = buffer.len = self.size
        for i in range(t.ndim):
            buffer.len *= t.shape[i]
        buffer.readonly = self.read_only
        buffer.ndim = t.ndim
        buffer.format = self.format
        buffer.shape = <Py_ssize_t *>t.shape
        buffer.strides = self.strides
        buffer.suboffsets = NULL
        buffer.internal = NULL

    def __dealloc__(self):
        if self.versioned != NULL and self.versioned.deleter != NULL:
            self.versioned.deleter(self.versioned)
        if self.managed != NULL and self.managed.deleter != NULL:
            self.managed.deleter(self.managed)


cdef int check_loan(Loan loan) except -1:
    """Raises a BufferError where NumPy could not hold what is lent."""
    cdef Tensor *t = loan.tensor
    cdef Py_ssize_t n, step
    cdef int i
    device = device_name(t.device, t.device_number)
    if device is not None:
        raise BufferError(f"its memory is on device {device}")
    i = 0 if t.bits == 8 else 1 if t.bits == 16 else 2 if t.bits == 32 else 3
    loan.size = 1 << i
    if t.code < CE_FORMAT_CODES and t.lanes == 1 and t.bits == 8 << i:
        loan.format[0] = ce_formats[t.code][i]
    if loan.format[0] in (0, c' '):
        raise BufferError(f"its numbers are of DLPack's type {t.code}, {t.bits} bits, {t.lanes} lanes")
    if not 0 <= t.ndim <= AXES or (t.ndim and t.shape == NULL):
        raise BufferError(f"DLPack tells of {t.ndim} axes")
    step = loan.size
    for i in range(t.ndim - 1, -1, -1):
        n = t.shape[i]
        if n < 0 or (n and step > <Py_ssize_t>(<size_t>-1 >> 1) // n):
            raise BufferError("DLPack tells of an impossible shape")
        loan.strides[i] = step if t.strides == NULL else <Py_ssize_t>(
            <size_t>t.strides[i] * <size_t>loan.size)
        step *= n
    if step and t.data == NULL:
        raise BufferError("it has no memory")
    return 0


cdef object array_of(Loan loan):
    """An ndarray, or of bfloat16 its bits."""
    check_loan(loan)
    array = np.asarray(loan)
    return array.view(Bfloat16) if loan.tensor.code == BFLOAT else array


cdef int take_versioned(Loan loan, Versioned *v) except -1:
    loan.versioned = v
    if v.major != 1:
        raise BufferError(f"DLPack of version {v.major}.{v.minor} is not known")
    loan.tensor = &v.tensor
    loan.read_only = v.flags & READ_ONLY
    return 0


def from_dlpack(capsule):
    """What a capsule lends, as an ndarray (of bfloat16, its bits); the capsule is used up.

    Read-only where the lender does not say that it may be written to.
    """
    cdef Loan loan = Loan()
    if PyCapsule_IsValid(capsule, "dltensor_versioned"):
        v = <Versioned *>PyCapsule_GetPointer(capsule, "dltensor_versioned")
        PyCapsule_SetName(capsule, "used_dltensor_versioned")
        take_versioned(loan, v)
        loan.read_only = v.flags & (READ_ONLY | A_COPY)  # what is written to a copy is lost
    elif PyCapsule_IsValid(capsule, "dltensor"):
        loan.managed = <Managed *>PyCapsule_GetPointer(capsule, "dltensor")
        PyCapsule_SetName(capsule, "used_dltensor")
        loan.tensor = &loan.managed.tensor
        loan.read_only = True
    else:
        raise BufferError("its __dlpack__ gives no capsule of DLPack, or one that is used up")
    return array_of(loan)


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
    """The same of a torch.Tensor proper, in a tenth of the time.

    It must not be negated nor require grad: torch does not look at that here.
    """
    cdef Loan loan = Loan()
    cdef Versioned *v = NULL
    exchange.lend(<PyObject *>x, &v)
    take_versioned(loan, v)
    return array_of(loan)


cdef object array_from(str name, object x):
    """_check.as_array(name, x), which the common tensor reaches sooner."""
    if type(x) is tensor_type and not x.requires_grad and not x.is_neg():
        try:
            return from_tensor(x)
        except (BufferError, RuntimeError):
            pass  # there the error is put in words
    return _arrays.as_array(name, x)
