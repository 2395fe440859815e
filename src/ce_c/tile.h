/* tile.h - a handful of items on their way through the softmax engine, and the link that a loss is.
 *
 * Included once per instruction set. Everything a link reads and writes is float64, one number per item.
 */
#ifndef CE_TILE_H
#define CE_TILE_H

#include <stdbool.h>

#include "internal.h"

enum { TILE = 16 }; /* the most items in a tile: the lanes of the widest virtual vector */

typedef struct {
    int  width; /* lanes in use: 1 by rows, LANES by lanes */
    int  count; /* items among them; further lanes repeat the first item and are dropped */
    bool even;  /* they are evenly spaced along the last axis of the grid */
    bool all_live;
    bool live[TILE]; /* false: ignored, the logits do not matter, loss and gradient are 0 */

    char   *at[CE_ARRAYS][TILE]; /* where each item begins in each array */
    int64_t t[TILE];             /* class index */

    /* filled by the engine */
    double v[TILE];        /* sample weight */
    double upstream[TILE]; /* item's part of grad_output, times c */
    double w_t[TILE];      /* class weight of the target */
    double m[TILE];        /* maximum of the logits */
    double s[TILE];        /* sum of exp(z_k - m) over all k but one argmax; NaN if m is not finite */
    double z_t[TILE];      /* logit of the target */
    double e_t[TILE];      /* exp(z_t - m) */
    double tilt[TILE];     /* sum of u_k (m - z_k), for label smoothing (u = w) or class probabilities (u = w q') */
    double u_sum[TILE];    /* sum of u_k */
    double lost[TILE];     /* by lanes: what roundings took from the running s or dot */
    double dot[TILE];      /* DOT: sum of g_k y_k; DOT_EXP: sum of g_k; TERMS: the sum */
    bool   has_nan[TILE];  /* looked for only where m is not finite */

    /* filled by the link: with e_k = exp(z_k - m), for k other than t
     *     grad_k = per_e e_k - shift w_k     hess_k = curve e_k (part (s + 1 - e_k) + bend e_k)
     * and at t */
    double loss[TILE];
    double per_e[TILE], shift[TILE], grad_t[TILE];
    double curve[TILE], part[TILE], bend[TILE], hess_t[TILE];
} tile;

/* What the gradient's place receives. */
typedef enum {
    PROBABILITIES, /* per_e e_k - shift w_k */
    SHARES,        /* per_e e_k (1 - u_k / u_sum) - shift u_k (s + 1 - e_k) */
    ONE_HOT,       /* 0, but for the target; nothing else of the item is read */
    LOG_PROBS,     /* (z_k - m) - shift */
    DOT,           /* y_k (g_k - dot) */
    DOT_EXP,       /* g_k - exp(y_k) dot */
    TERMS          /* nothing: a sum over the classes of a function of one number or two */
} emission;

typedef void (*ce_term)(const double *p, const double *q, double *terms); /* of TILE numbers */

typedef struct {
    const char *name;
    emission    emits;
    void (*fill)(const ce_plan *plan, tile *x);
    bool    by_count; /* the mean divides by sum v, not by sum v w_t */
    ce_term term;     /* TERMS */
} ce_link;

/* Adds in a fixed tree, whatever the vector width of the machine. */
static inline double tree_sum(double *x, int n)
{
    for (int half = n / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) x[l] += x[l + half];
    return x[0];
}

/* Takes back the factor 2^64 of EXP_2_64; 0 where that would be subnormal. */
static inline double unscaled(double sum)
{
    return sum < 0x1p-958 ? 0 : sum * 0x1p-64;
}

#define LOAD_INDICES(TYPE)                                                                                             \
    for (int l = 0; l < n; l++) t[l] = (int64_t)*(const TYPE *)at[l];                                                  \
    break

/* Index targets of any integer type. Those above the largest int64 read as a number that is neither a class nor the
 * ignored one. */
static inline void load_indices(char *const *at, int n, const ce_job *job, int64_t *t)
{
    switch (job->array[CE_TARGET].type) {
    case CE_INT8: LOAD_INDICES(int8_t);
    case CE_INT16: LOAD_INDICES(int16_t);
    case CE_INT32: LOAD_INDICES(int32_t);
    case CE_INT64: LOAD_INDICES(int64_t);
    case CE_UINT8: LOAD_INDICES(uint8_t);
    case CE_UINT16: LOAD_INDICES(uint16_t);
    case CE_UINT32: LOAD_INDICES(uint32_t);
    default:
        for (int l = 0; l < n; l++) {
            const uint64_t u = *(const uint64_t *)at[l];
            t[l] = u <= INT64_MAX ? (int64_t)u : job->ignore_index == INT64_MIN ? -1 : INT64_MIN;
        }
    }
}

static inline int64_t load_index(char *p, const ce_job *job)
{
    int64_t t;
    load_indices(&p, 1, job, &t);
    return t;
}

static inline char *begin_of(const ce_grid *grid, int array, int64_t item)
{
    char *p = grid->data[array];

    for (int axis = grid->axes - 1; axis > 0; axis--) {
        p += item % grid->size[axis] * grid->stride[array][axis];
        item /= grid->size[axis];
    }
    return p + item * grid->stride[array][0];
}

/* Where items first, first + 1, ... begin. Within the last axis of the grid they are evenly spaced. */
static void locate(const ce_grid *grid, int64_t first, tile *x)
{
    const int last = grid->axes - 1;

    x->even = last == 0 || first % grid->size[last] + x->count <= grid->size[last];
    for (int a = 0; a < CE_ARRAYS; a++) {
        if (!grid->data[a])
            continue;
        char *const   p = begin_of(grid, a, first);
        const int64_t step = grid->stride[a][last];
        for (int l = 0; l < x->width; l++) x->at[a][l] = p + (l < x->count ? l * step : 0);
        for (int l = 0; !x->even && l < x->count; l++) x->at[a][l] = begin_of(grid, a, first + l);
    }
}

#endif
