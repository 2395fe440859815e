"""The C contract, ce.h, as Cython sees it."""

from libc.stdint cimport int64_t

cdef extern from "ce.h":
    # Rows of losses.def and dtypes.def that are known by name; all others are found by counting.
    ctypedef enum ce_type: CE_FLOAT32, CE_FLOAT64, CE_INT8, CE_UINT8, CE_UINT16, CE_TYPES
    enum: CE_REALS, CE_PANEL_CLASSES
    ctypedef enum ce_reduction: CE_NONE, CE_SUM, CE_MEAN, CE_BATCHMEAN, CE_PERPLEXITY
    ctypedef enum ce_hessian: CE_EXACT, CE_ABS, CE_BOUND
    enum: CE_FORKED
    enum: CE_Z, CE_GRAD, CE_HESS, CE_OTHER, CE_TARGET, CE_V, CE_POS, CE_UPSTREAM, CE_VALUE
    enum: CE_WEIGHT, CE_VECTOR, CE_WHERE
    enum: CE_ARRAYS
    ctypedef enum ce_content:
        CE_NOTHING, CE_LOGITS, CE_LOG_PROBS, CE_PROBS, CE_UNIT, CE_NUMBERS, CE_CLASSES
        CE_UPSTREAMS, CE_UPSTREAM_ITEMS
    ctypedef enum ce_divisor: CE_BY_COUNT, CE_BY_WEIGHT
    enum:
        CE_CLASS_WEIGHT_PLACE, CE_CLASS_ALPHA_PLACE, CE_SAMPLE_WEIGHT_PLACE, CE_ELEMENT_WEIGHT_PLACE
        CE_POS_WEIGHT_PLACE, CE_IGNORE_INDEX_PLACE, CE_HESSIAN_PLACE, CE_BATCH_MEAN_PLACE
        CE_NORMALIZER_PLACE, CE_LOGIT_SCALE_PLACE, CE_MASK_PLACE, CE_OPTION_COUNT, CE_BOUNDED

    ctypedef struct ce_array:
        char *data
        const int64_t *strides
        ce_type type
    ctypedef struct ce_stats:
        void *log_prob
        void *max
        void *log_sum
        void *entropy
        int64_t *argmax
        int64_t *rank
        int64_t top, extras
        int64_t *top_index
        const int64_t *extra
        void *top_log_prob
        void *extra_log_prob
        void *z_losses
    ctypedef struct ce_pair:
        double m
    ctypedef enum ce_phase: CE_SCAN, CE_MERGE, CE_EMIT
    ctypedef struct ce_shard:
        ce_phase phase
        int64_t first, stop
        ce_pair *pairs
        int64_t parts
        int whole_blocks, tells
        ce_pair *whole
        void *z_t
        const void *targets
    ctypedef struct ce_job:
        int loss
        ce_type real
        ce_reduction reduction
        ce_hessian hessian
        int axes, class_axis
        const int64_t *shape
        ce_array *array
        const void *w
        const ce_stats *stats
        const ce_shard *shard
        int64_t ignore_index
        double grad_output, normalizer, logit_scale, softcap, temperature, z_loss
        int valued, fresh, whole
        int threads
        int (*stop)() noexcept nogil
        void *scratch
        double value, z, z_value
        int64_t bad
        int stopped
    ctypedef struct ce_loss:
        const char *name
        int has_classes
        ce_content first, second
        const char *outputs
        ce_divisor mean
        unsigned options
    ctypedef struct ce_option:
        const char *keyword
        size_t field
        double absent, least, most
        const char *rule
    ctypedef struct ce_dtype:
        const char *name
        int size, digits, least, most
        char format
        int number
    ctypedef struct ce_isa:
        const char *name
        int level, fused

    void ce_start(ce_job *, int)
    size_t ce_scratch_bytes(ce_job *) nogil
    void ce_run(ce_job *) nogil
    int ce_loss_count()
    const ce_loss *ce_loss_row(int)
    int ce_find_loss(const char *)
    const ce_option *ce_option_row(int) noexcept
    unsigned ce_options_in_use(const ce_job *)
    const ce_dtype *ce_dtype_row(ce_type) noexcept
    int64_t ce_block_length(ce_type)
    void ce_widen(ce_type, const void *, float *, int64_t)
    int ce_isa_count()
    const ce_isa *ce_isa_row(int)
    bint ce_isa_runs_here(int)
    int ce_isa_current()
    void ce_isa_use(int)
    const char *ce_threads_runtime()
    int ce_threads_team(int)
    int ce_threads_cpus()
    void ce_threads_set_cpus(int)
    void ce_threads_watch_forks()
