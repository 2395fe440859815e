"""The part of _core.pyx that knows how ndarrays lie in memory.

All that stands here is what every extension compiled for NumPy 1 or 2 is built upon, so it cannot
change before NumPy 3; with an unknown NumPy `numpy_api` is NULL, and buffers serve for everything.
"""

cdef extern from *:
    """
    typedef struct {
        PyObject_HEAD
        PyTypeObject *typeobj;
        char kind, type, byteorder, flags;
        int type_num;
    } ce_descr;

    typedef struct {
        PyObject_HEAD
        char *data;
        int nd;
        Py_ssize_t *dimensions, *strides;
        PyObject *base;
        ce_descr *dtype;
        int flags;
    } ce_ndarray;

    #define OWNS_DATA     0x4u
    #define WRITEABLE     0x400u
    #define WRITES_BACK   0x2000u /* to its base, when it is gone: its memory is another */
    #define WARN_ON_WRITE 0x80000000u
    enum { C_VERSION = 0, SCALAR = 60, NEW_LIKE_ARRAY = 277, KEEP_ORDER = 2 };

    /* By NumPy's type numbers: 1 + the ce_type, or 0. (Number 0 is bool.) The rows of dtypes.def
     * tell the numbers of the floating types. */
    static char ce_type_of_number[64] = {
        0, 1 + CE_INT8, 1 + CE_UINT8, 1 + CE_INT16, 1 + CE_UINT16, 1 + CE_INT32, 1 + CE_UINT32,
        1 + (sizeof(long) == 8 ? CE_INT64 : CE_INT32),
        1 + (sizeof(long) == 8 ? CE_UINT64 : CE_UINT32), 1 + CE_INT64, 1 + CE_UINT64,
    };

    /* Of 16-bit types that another package has registered, once an array of them was met. */
    static int ce_foreign_number[CE_TYPES];

    static inline int type_of_ndarray(const ce_ndarray *x)
    {
        const unsigned n = (unsigned)x->dtype->type_num;
        const char order = x->dtype->byteorder;
        if (order != '=' && order != '|')
            return -1;
        if (n < sizeof ce_type_of_number)
            return ce_type_of_number[n] - 1;
        for (int i = CE_REALS; i < CE_INT8; i++)
            if (ce_foreign_number[i] == (int)n)
                return i;
        return -1;
    }

    /* Is an array as it was when the view was taken? */
    static inline int ce_is_as_viewed(const ce_ndarray *x, const Py_buffer *v, int flags, int type)
    {
        if (x->data != v->buf || x->nd != v->ndim || x->flags != flags
            || type_of_ndarray(x) != type)
            return 0;
        for (int i = 0; i < v->ndim; i++)
            if (x->dimensions[i] != v->shape[i]
                || (x->strides[i] != v->strides[i] && v->shape[i] != 1))
                return 0;
        return 1;
    }

    /* The ndarray in whose memory x lies, if it is another one: it can be made to free it. */
    static PyTypeObject *ce_ndarray_type;

    static inline const ce_ndarray *ce_owner_of(const ce_ndarray *x)
    {
        const ce_ndarray *owner = NULL;
        while (x->base && !((unsigned)x->flags & WRITES_BACK)
               && PyObject_TypeCheck(x->base, ce_ndarray_type))
            owner = x = (const ce_ndarray *)x->base;
        return owner;
    }

    /* The bytes of its elements, of whatever dtype. */
    static inline Py_ssize_t ce_bytes(const ce_ndarray *x, int is_numpy_1)
    {
        const char *after = (const char *)(x->dtype + 1);
        Py_ssize_t n = is_numpy_1 ? *(const int *)after : ((const Py_ssize_t *)after)[1];
        for (int i = 0; i < x->nd; i++)
            n *= x->dimensions[i];
        return n;
    }

    /* Does a view lie in the memory of its owner? One that does not was made before the owner was
     * given other memory. */
    static inline int ce_lies_in(const Py_buffer *v, const ce_ndarray *owner, Py_ssize_t bytes)
    {
        const char *low[2] = { v->buf, owner->data }, *high[2] = { low[0] + v->itemsize, low[1] };
        if (v->len == 0)
            return 1;
        for (int i = 0; i < v->ndim; i++) {
            const Py_ssize_t reach = v->strides[i] * (v->shape[i] - 1);
            *(reach > 0 ? &high[0] : &low[0]) += reach;
        }
        if ((unsigned)owner->flags & OWNS_DATA)
            return low[0] >= low[1] && high[0] <= low[1] + bytes;
        Py_ssize_t size = bytes; /* of an element */
        for (int i = 0; i < owner->nd; i++) {
            const Py_ssize_t n = owner->dimensions[i], reach = owner->strides[i] * (n - 1);
            if (n == 0)
                return 0;
            size /= n;
            *(reach > 0 ? &high[1] : &low[1]) += reach;
        }
        return low[0] >= low[1] && high[0] <= high[1] + size;
    }

    static inline int is_writeable(const ce_ndarray *x)
    {
        return ((unsigned)x->flags & (WRITEABLE | WARN_ON_WRITE)) == WRITEABLE;
    }

    /* A view of an array of elements of that size. Shape and strides are copied: another thread may
     * give the array a new shape. Strides of axes of length 1 mean nothing. False: not aligned. */
    static inline int ce_view_ndarray(const ce_ndarray *x, Py_ssize_t size, Py_buffer *v,
                                      Py_ssize_t *shape, Py_ssize_t *strides)
    {
        size_t bits = (size_t)x->data;
        v->buf = x->data;
        v->itemsize = v->len = size;
        v->readonly = !is_writeable(x);
        v->ndim = x->nd;
        v->shape = shape;
        v->strides = strides;
        v->suboffsets = NULL;
        for (int i = 0; i < x->nd; i++) {
            shape[i] = x->dimensions[i];
            strides[i] = shape[i] != 1 ? x->strides[i] : size;
            v->len *= shape[i];
            bits |= (size_t)strides[i];
        }
        return !(bits & (size_t)(size - 1));
    }

    #define c_version(api) ((unsigned (*)(void))(api)[C_VERSION])()
    #define scalar_of(api, x, dtype) \\
        ((PyObject *(*)(void *, PyObject *, PyObject *))(api)[SCALAR])(x, dtype, NULL)
    #define new_like_of(api, x) \\
        ((PyObject *(*)(PyObject *, int, PyObject *, int))(api)[NEW_LIKE_ARRAY])( \\
            x, KEEP_ORDER, NULL, 0)
    """
    ctypedef struct Ndarray "ce_ndarray":
        char *data
        int nd
        Py_ssize_t *dimensions
        Py_ssize_t *strides
        PyObject *base
        int flags
    int type_of_ndarray(const Ndarray *) noexcept
    char ce_type_of_number[64]
    bint is_writeable(const Ndarray *) noexcept
    bint view_ndarray "ce_view_ndarray"(
        const Ndarray *, Py_ssize_t, Py_buffer *, Py_ssize_t *, Py_ssize_t *) noexcept
    bint is_as_viewed "ce_is_as_viewed"(
        const Ndarray *, const Py_buffer *, int flags, int type) noexcept
    void *ndarray_type "ce_ndarray_type"
    const Ndarray *owner_of "ce_owner_of"(const Ndarray *) noexcept
    Py_ssize_t bytes_of "ce_bytes"(const Ndarray *, bint is_numpy_1) noexcept
    bint lies_in "ce_lies_in"(const Py_buffer *, const Ndarray *, Py_ssize_t) noexcept
    int foreign_number "ce_foreign_number"[CE_TYPES]
    unsigned c_version(void **)
    object scalar_of(void **, void *, object)
    object new_like_of(void **, object)

cdef void **numpy_api = NULL
cdef bint is_numpy_1 = False
cdef object dtype32 = np.dtype(np.float32), dtype64 = np.dtype(np.float64)


# Of each ce_type: its bytes, and the dtype in which NumPy holds it.
cdef char size_of[CE_TYPES]
cdef tuple numpy_dtype = _arrays.numpy_dtypes(dtypes())
# The classes of Bits.
cdef PyObject *kind_of_bits[CE_TYPES]


cdef int find_numpy_api() except -1:
    global numpy_api
    cdef const ce_dtype *row
    cdef int i
    for i in range(CE_TYPES):
        row = ce_dtype_row(<ce_type>i)
        size_of[i] = row.size
        if 0 <= row.number < 64:
            ce_type_of_number[row.number] = 1 + i
    global ndarray_type
    ndarray_type = <void *><PyObject *>ndarray
    for kind in _arrays.FOREIGN.values():
        kind_of_bits[kind.code] = <PyObject *>kind
    cdef void **api = <void **>PyCapsule_GetPointer(_check.numpy_api(), NULL)
    global is_numpy_1
    if c_version(api) >> 24 in (1, 2):
        numpy_api = api
        is_numpy_1 = c_version(api) >> 24 == 1
    return 0


find_numpy_api()
