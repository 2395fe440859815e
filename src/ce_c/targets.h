/* targets.h - class indices of any integer type: reading them, and the pass over them before anything is written. */
#ifndef CE_TARGETS_H
#define CE_TARGETS_H

#include <string.h>

#include "places.h"

#define LOAD_INDICES(type, c, name)                                                                                    \
    case type:                                                                                                         \
        for (int l = 0; l < n; l++) t[l] = (int64_t)*(const c *)at[l];                                                 \
        break;
#define LOAD_RUN(type, c, name)                                                                                        \
    case type:                                                                                                         \
        for (int l = 0; l < n; l++) t[l] = (int64_t)((const c *)p)[l];                                                 \
        break;
#define NO_INDICES(...)

/* Those above the largest int64 read as a number that is neither a class nor the ignored one. */
static inline void load_indices(char *const *at, int n, const ce_job *job, int64_t *t)
{
    if (job->array[CE_TARGET].type == CE_UINT64) {
        for (int l = 0; l < n; l++) {
            const uint64_t u = *(const uint64_t *)at[l];
            t[l] = u <= INT64_MAX ? (int64_t)u : job->ignore_index == INT64_MIN ? -1 : INT64_MIN;
        }
        return;
    }
    switch (job->array[CE_TARGET].type) {
        CE_DTYPES(NO_INDICES, NO_INDICES, LOAD_INDICES)
    default: break;
    }
}

/* The same of n that lie side by side, of any type but uint64. */
static inline void load_index_run(const char *p, int n, ce_type type, int64_t *t)
{
    switch (type) {
        CE_DTYPES(NO_INDICES, NO_INDICES, LOAD_RUN)
    default: break;
    }
}

static inline int64_t load_index(char *p, const ce_job *job)
{
    int64_t t = 0;
    load_indices(&p, 1, job, &t);
    return t;
}

/* Is that a class, or the number that is ignored? */
static inline bool is_in_range(int64_t t, const ce_job *job, int64_t classes)
{
    return t == job->ignore_index || (t >= 0 && t < classes);
}

/* A run of evenly spaced class indices. */
typedef struct {
    const char *p;
    int64_t     step, n; /* bytes, indices */
} index_run;

/* What such a run is held against. */
typedef struct {
    ce_type  type;
    int64_t  ignore;
    bool     ignorable; /* a number of that type can be `ignore` */
    uint64_t classes;
} index_rule;

static inline index_rule index_rule_of(const ce_job *job, int64_t classes)
{
    const ce_type type = job->array[CE_TARGET].type;
    const int     bits = (int)size_of(type) * 8;
    const int64_t ignore = job->ignore_index,
                  half = (int64_t)((uint64_t)1 << (bits - 2)) - 1 + ((int64_t)1 << (bits - 2));
    const bool    is_signed = type <= CE_INT64;
    const int64_t least = is_signed ? -half - 1 : 0, most = is_signed || bits == 64 ? half : 2 * half + 1;

    return (index_rule){ type, ignore, ignore >= least && ignore <= most, (uint64_t)classes };
}

/* All of a run of n evenly spaced items, for one type of index; compilers vectorise what lies side by side. A negative
 * index is, as a 64-bit unsigned number, beyond any K. */
#define COUNT(type, run, rule, index, counted, bad)                                                                    \
    for (int64_t j = 0; j < (run)->n; j++) {                                                                           \
        const type t = index;                                                                                          \
        const bool ignored = (rule)->ignorable && t == (type)(rule)->ignore;                                           \
        counted += !ignored;                                                                                           \
        bad += !ignored && ((uint64_t)t >= (rule)->classes);                                                           \
    }
#define COUNT_RUN(type, c, name)                                                                                       \
    case type:                                                                                                         \
        if (run->step == sizeof(c))                                                                                    \
            COUNT(c, run, rule, ((const c *)run->p)[j], counted, bad)                                                  \
        else                                                                                                           \
            COUNT(c, run, rule, *(const c *)(run->p + j * run->step), counted, bad)                                    \
        break;

/* Adds to *all_counted; true if all is well. */
static inline bool count_run(const index_run *run, const index_rule *rule, int64_t *all_counted)
{
    int64_t counted = 0, bad = 0;

    switch (rule->type) {
        CE_DTYPES(NO_INDICES, NO_INDICES, COUNT_RUN)
    default: break;
    }
    *all_counted += counted;
    return bad == 0;
}

static inline int64_t first_bad(const ce_grid *grid, const ce_job *job, int64_t first, int64_t last)
{
    for (int64_t i = first; i < last; i++)
        if (!is_in_range(load_index(begin_of(grid, CE_TARGET, i), job), job, grid->classes))
            return i;
    return -1;
}

#endif
