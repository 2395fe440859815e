/* targets.h - the pass over the class indices before anything is written: are all of them in range, how many
 * count, and what do their weights v w_t add up to (the Z of the mean)?
 */

/* All of a run of n evenly spaced items, for one type of index; compilers vectorise what lies side by side. */
#define COUNT(TYPE, index)                                                                                             \
    for (int64_t j = 0; j < n; j++) {                                                                                  \
        const TYPE t = index;                                                                                          \
        const bool ignored = ignorable && t == (TYPE)ignore;                                                           \
        counted += !ignored;                                                                                           \
        bad += !ignored && ((uint64_t)t >= classes);                                                                   \
    }
#define COUNT_RUN(TYPE)                                                                                                \
    if (step == sizeof(TYPE))                                                                                          \
        COUNT(TYPE, ((const TYPE *)p)[j])                                                                              \
    else                                                                                                               \
        COUNT(TYPE, *(const TYPE *)(p + j * step))                                                                     \
    break

/* Adds to *counted; true if all is well. A negative index is, as a 64-bit unsigned number, beyond any K. */
static bool count_run(const char *p, int64_t step, int64_t n, ce_type type, int64_t ignore, uint64_t classes,
                      int64_t *all_counted)
{
    static const int64_t least[] = { INT8_MIN, INT16_MIN, INT32_MIN, INT64_MIN, 0, 0, 0, 0 };
    static const int64_t most[] = { INT8_MAX,  INT16_MAX,  INT32_MAX,  INT64_MAX,
                                    UINT8_MAX, UINT16_MAX, UINT32_MAX, INT64_MAX };
    const bool           ignorable = ignore >= least[type - CE_INT8] && ignore <= most[type - CE_INT8];
    int64_t              counted = 0, bad = 0;

    switch (type) {
    case CE_INT8: COUNT_RUN(int8_t);
    case CE_INT16: COUNT_RUN(int16_t);
    case CE_INT32: COUNT_RUN(int32_t);
    case CE_INT64: COUNT_RUN(int64_t);
    case CE_UINT8: COUNT_RUN(uint8_t);
    case CE_UINT16: COUNT_RUN(uint16_t);
    case CE_UINT32: COUNT_RUN(uint32_t);
    default: COUNT_RUN(uint64_t);
    }
    *all_counted += counted;
    return bad == 0;
}

static int64_t first_bad(const ce_grid *grid, const ce_job *job, int64_t first, int64_t last)
{
    for (int64_t i = first; i < last; i++) {
        const int64_t t = load_index(begin_of(grid, CE_TARGET, i), job);
        if (t != job->ignore_index && (t < 0 || t >= grid->classes))
            return i;
    }
    return -1;
}
