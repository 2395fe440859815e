"""The part of _core.pyx that knows shards of classes, see ce_shard in ce.h."""

# As ce_pair.
PAIR = np.dtype([("m", "f8"), ("s", "f8"), ("gap_sum", "f8"), ("share_sum", "f8"), ("heat", "f8"),
                 ("above", "i8"), ("at", "i8")])


def block_length(dtype):
    """Classes in a block of a row, of logits that are computed with in float32 or float64."""
    return ce_block_length(CE_FLOAT64 if dtype == float64 else CE_FLOAT32)


@cython.final
@cython.auto_pickle(False)
cdef class Shard:
    """What a shard's job is told, and the memory of that."""
    cdef ce_shard shard
    cdef int64_t shape[AXES]  # of all classes
    cdef Py_buffer view[4]
    cdef int views

    cdef char *memory(self, object array, Py_ssize_t count, Py_ssize_t size) except? NULL:
        """Where that many numbers of that size lie side by side."""
        PyObject_GetBuffer(array, &self.view[self.views], PyBUF_STRIDES)
        self.views += 1
        cdef Py_buffer *v = &self.view[self.views - 1]
        if v.len != count * size or v.itemsize != size or not PyBuffer_IsContiguous(v, c'C'):
            raise ValueError("these partials have been changed")
        return <char *>v.buf

    cdef int point(self, Call *c, Py_ssize_t first, Py_ssize_t stop, Py_ssize_t classes) except -1:
        """The shape has all classes; logits and gradient are where class 0 would be."""
        cdef int i, axis = c.job.class_axis
        for i in range(c.job.axes):
            self.shape[i] = c.job.shape[i]
        self.shape[axis] = classes
        self.shard.first, self.shard.stop = first, stop
        c.job.shape = self.shape
        c.job.shard = &self.shard
        if c.job.array[CE_Z].data != NULL:  # whose classes lie side by side
            c.job.array[CE_Z].data -= first * c.view[CE_Z].itemsize
        if c.job.array[CE_GRAD].data != NULL:
            c.job.array[CE_GRAD].data -= first * c.job.array[CE_GRAD].strides[axis]
        return 0

    def __dealloc__(self):
        while self.views:
            self.views -= 1
            PyBuffer_Release(&self.view[self.views])


cdef Py_ssize_t items_of(const Call *c) noexcept:
    cdef Py_ssize_t n = 1
    cdef int i
    for i in range(c.item_axes):
        n *= c.items[i]
    return n


cdef int size_of_real(const Call *c) noexcept:
    return 4 if c.job.real == CE_FLOAT32 else 8


cdef int run_shard(Call *c, Prepared p, target) except -1:
    if target is not None:
        if target.shape != items_shape(c):
            _check.bad_shape("target", target.shape, items_shape(c))
        take_class_target(c, p, target)
    set_options(c, p)
    if c.given[GRAD_OUTPUT] != NULL:
        take_grad_output(c, option(c, GRAD_OUTPUT))
    return 0


cdef int check_run(Call *c, Py_ssize_t classes) except -1:
    execute(c)
    if c.job.bad >= 0:
        _check.bad_index(original(c, CE_TARGET), c.job.bad, classes, c.job.ignore_index)
    return 0


cdef object rows_of_logits(Call *c, Prepared p, object x):
    """The classes of a shard side by side."""
    memcpy(c, &p.start, start_bytes)
    c.prepared = <PyObject *>p
    z = begin(c, "logits", x, option(c, AXIS))
    take_rows(c, CE_Z)
    return z


def scan_shard(Prepared p, x, target, bounds, target_logit, bint tells):
    """The pairs of a shard's blocks; bounds: tells of how many classes it has, first and all."""
    cdef Call c
    cdef Shard s = Shard()
    clear(&c)
    try:
        rows_of_logits(&c, p, x)
        n = c.job.shape[c.job.class_axis]
        first, classes = bounds(n)
        parts = -(-n // ce_block_length(c.job.real))
        items, real = items_shape(&c), real_type(&c)
        pairs, z_t = np.zeros((*items, parts), PAIR), np.zeros(items, real)
        s.shard.pairs = <ce_pair *>s.memory(pairs, items_of(&c) * parts, sizeof(ce_pair))
        s.shard.z_t = s.memory(z_t, items_of(&c), size_of_real(&c))
        if target_logit is not None:
            edges = _check.of_items("target_logit", target_logit, items, real)
            s.shard.targets = s.memory(edges, items_of(&c), size_of_real(&c))
        s.shard.phase, s.shard.parts, s.shard.tells = CE_SCAN, parts, tells
        s.point(&c, first, first + n, classes)
        run_shard(&c, p, target)
        check_run(&c, classes)
        return first, first + n, classes, pairs, z_t
    finally:
        release(&c)


def merge_shards(Prepared p, int what, target, items, Py_ssize_t classes, pairs, z_t,
                 sample_weight, normalizer):
    """The pair of each item and its statistics, or the value, or sums (STATS, VALUE, SUMS)."""
    cdef Call c
    cdef Shard s = Shard()
    cdef int i
    clear(&c)
    memcpy(&c, &p.start, start_bytes)
    c.prepared = <PyObject *>p
    try:
        c.job.real = CE_FLOAT64 if z_t.dtype == float64 else CE_FLOAT32
        c.job.array[CE_Z].type = <ce_type>c.job.real
        c.item_axes = len(items)
        c.job.axes, c.job.class_axis = c.item_axes + 1, c.item_axes
        for i in range(c.item_axes):
            c.items[i] = s.shape[i] = items[i]
        c.job.shape = s.shape
        whole = np.zeros(items, PAIR)
        s.shard.parts = pairs.shape[c.item_axes]
        s.shard.pairs = <ce_pair *>s.memory(pairs, items_of(&c) * s.shard.parts, sizeof(ce_pair))
        s.shard.whole = <ce_pair *>s.memory(whole, items_of(&c), sizeof(ce_pair))
        s.shard.z_t = s.memory(z_t, items_of(&c), size_of_real(&c))
        s.shard.phase = CE_MERGE
        s.point(&c, 0, classes, classes)
        if sample_weight is not None:
            c.given[CE_SAMPLE_WEIGHT_PLACE] = <PyObject *>sample_weight
        if normalizer is not None:
            c.given[CE_NORMALIZER_PLACE] = <PyObject *>normalizer
        run_shard(&c, p, target)
        if what == WANTS_STATS:
            stats = Statistics.of(&c, what)
            check_run(&c, classes)
            return whole, stats.fields()
        c.job.valued = True
        values = None
        if what == WANTS_SUMS:
            c.job.whole, c.job.reduction = True, max(c.job.reduction, CE_MEAN)
            check_run(&c, classes)
            return float64(c.job.value), float64(c.job.z)
        if c.job.reduction == CE_NONE and c.item_axes > 0:
            values = fresh(&c, CE_VALUE, None)
        check_run(&c, classes)
        return scalar(&c, c.job.value) if values is None else values
    finally:
        release(&c)


def emit_shard(Prepared p, x, target, object start, Py_ssize_t classes, merged, sample_weight,
               normalizer, grad_output, out):
    """The gradient of a shard; merged: pairs, are they whole blocks', those of items, z_t."""
    cdef Call c
    cdef Shard s = Shard()
    clear(&c)
    try:
        z = rows_of_logits(&c, p, x)
        n = c.job.shape[c.job.class_axis]
        pairs, whole_blocks, whole, z_t = merged
        first = _check.shard_of(items_shape(&c), n, start, classes, whole.shape, z_t.dtype,
                                real_type(&c))
        s.shard.parts = pairs.shape[c.item_axes]
        s.shard.pairs = <ce_pair *>s.memory(pairs, items_of(&c) * s.shard.parts, sizeof(ce_pair))
        s.shard.whole = <ce_pair *>s.memory(whole, items_of(&c), sizeof(ce_pair))
        s.shard.z_t = s.memory(z_t, items_of(&c), size_of_real(&c))
        s.shard.phase, s.shard.whole_blocks = CE_EMIT, whole_blocks
        for place, value in ((CE_SAMPLE_WEIGHT_PLACE, sample_weight),
                             (CE_NORMALIZER_PLACE, normalizer), (GRAD_OUTPUT, grad_output)):
            if value is not None:
                c.given[<int>place] = <PyObject *>value
        c.job.fresh = out is None
        grad = take_out(&c, CE_GRAD, "out", out, z)
        s.point(&c, first, first + n, classes)
        run_shard(&c, p, target)
        check_run(&c, classes)
        return deliver(&c, CE_GRAD, grad)
    finally:
        release(&c)
