/* tile.h - a handful of items on their way through the softmax engine, and the link that a loss is.
 *
 * Included once per instruction set. Everything a link reads and writes is float64, one number per item.
 */
#ifndef CE_TILE_H
#define CE_TILE_H

#include <stdbool.h>

#include "internal.h"
#include "vecmath.h"

enum {
    TILE = 16, /* the lanes of the widest virtual vector */
    WIDE = 4,  /* the most vectors of items in a tile: while one waits for its results, another can work */
    ITEMS = WIDE * TILE
};

typedef struct {
    int  width; /* lanes in use: 1 by rows, some LANES by lanes */
    int  count; /* items among them; further lanes repeat the first item and are dropped */
    bool even;  /* they are evenly spaced along the last axis of the grid, item 0 at at[array][0]; otherwise width is
                   LANES and item l at at[array][l] */
    char *at[CE_ARRAYS][TILE];

    bool    all_live;
    int64_t live[ITEMS]; /* 0: ignored, the logits do not matter, loss and gradient are 0 */
    int64_t t[ITEMS];    /* class index */
    int32_t spot[ITEMS]; /* by lanes, with all classes in a panel: where in it the target's number stands */

    /* filled by the engine */
    double v[ITEMS];        /* sample weight */
    double upstream[ITEMS]; /* item's part of grad_output, times c */
    double w_t[ITEMS];      /* class weight of the target */
    double m[ITEMS];        /* maximum of the logits */
    double s[ITEMS];        /* sum of exp(z_k - m) over all k but one argmax; NaN if m is not finite */
    double log_S[ITEMS];    /* log1p(s), to the digits of the computing type */
    double inv_S[ITEMS];    /* 1 / (1 + s), to the same */
    double z_t[ITEMS];      /* logit of the target */
    double e_t[ITEMS];      /* exp(z_t - m) */
    double tilt[ITEMS];     /* sum of u_k (m - z_k), for label smoothing (u = w) or class probabilities (u = w q') */
    double u_sum[ITEMS];    /* sum of u_k */
    double lost[ITEMS];     /* by lanes: what roundings took from the running s or dot */
    double dot[ITEMS];      /* DOT: sum of g_k y_k; DOT_EXP: sum of g_k; TERMS: the sum */
    bool   has_nan[ITEMS];  /* looked for only where m is not finite */

    /* filled by the link: with e_k = exp(z_k - m), for k other than t
     *     grad_k = per_e e_k - shift w_k     hess_k = curve e_k (part (s + 1 - e_k) + bend e_k)
     * and at t */
    double loss[ITEMS];
    double per_e[ITEMS], shift[ITEMS], grad_t[ITEMS];
    double curve[ITEMS], part[ITEMS], bend[ITEMS], hess_t[ITEMS];
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

/* Sums over the classes that are no softmax. */
static inline bool is_dot(emission emits)
{
    return emits == DOT || emits == DOT_EXP || emits == TERMS;
}

/* What is made of the exponentials. */
static inline bool is_by_e(emission emits)
{
    return emits == PROBABILITIES || emits == SHARES;
}

typedef void (*ce_term)(const double *p, const double *q, double *terms); /* of TILE numbers */

typedef struct {
    const char *name;
    emission    emits;
    void (*fill)(const ce_plan *plan, tile *x); /* see FILL */
    ce_term term;                               /* TERMS */
} ce_link;

/* From a function fill_link(plan, x, n) of the first n lanes: link_fill(plan, x), for a row and for lanes. */
#define FILL(link)                                                                                                     \
    static void link##_fill(const ce_plan *plan, tile *x)                                                              \
    {                                                                                                                  \
        if (x->width == 1)                                                                                             \
            fill_##link(plan, x, 1);                                                                                   \
        else                                                                                                           \
            fill_##link(plan, x, x->width);                                                                            \
    }

/* Adds 8 or 16 numbers in a fixed tree, whatever the vector width of the machine. */
static inline double tree_sum(double *x, int n)
{
    for (int l = 0; n > 8 && l < 8; l++) x[l] += x[l + 8];
    for (int l = 0; l < 4; l++) x[l] += x[l + 4];
    for (int l = 0; l < 2; l++) x[l] += x[l + 2];
    return x[0] + x[1];
}

/* Takes back the factor 2^64 of EXP_2_64; 0 where that would be subnormal. */
static inline double unscaled(double sum)
{
    return sum < 0x1p-958 ? 0 : sum * 0x1p-64;
}

/* Where item l of the tile begins. */
static inline char *item_at(const ce_grid *grid, const tile *x, int array, int l)
{
    return x->even ? x->at[array][0] + l * grid->stride[array][grid->axes - 1] : x->at[array][l];
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

static inline void load_targets(const ce_grid *grid, const ce_job *job, tile *x, int n)
{
    char *at[ITEMS];

    if (x->even && grid->type[CE_TARGET] == CE_INT64 && grid->stride[CE_TARGET][grid->axes - 1] == sizeof(int64_t)) {
        memcpy(x->t, item_at(grid, x, CE_TARGET, 0), (size_t)n * sizeof(int64_t));
        return;
    }
    for (int l = 0; l < n; l++) at[l] = item_at(grid, x, CE_TARGET, l);
    load_indices(at, n, job, x->t);
}

/* Sets p to where an item begins in every array; what is left of its run along the last axis, itself included. */
static inline int64_t begin_all(const ce_grid *grid, int64_t item, char **p)
{
    int64_t left = 0;

    for (int a = 0; a < CE_ARRAYS; a++) p[a] = grid->data[a];
    for (int axis = grid->axes - 1; axis >= 0; axis--) {
        const int64_t size = grid->size[axis], rest = axis > 0 ? quotient(item, size) : 0, i = item - rest * size;
        for (int a = 0; a < CE_ARRAYS; a++)
            if (p[a])
                p[a] += i * grid->stride[a][axis];
        left = axis == grid->axes - 1 ? size - i : left;
        item = rest;
    }
    return left;
}

static inline char *begin_of(const ce_grid *grid, int array, int64_t item)
{
    char *p = grid->data[array];

    for (int axis = grid->axes - 1; axis > 0; axis--) {
        const int64_t rest = quotient(item, grid->size[axis]);
        p += (item - rest * grid->size[axis]) * grid->stride[array][axis];
        item = rest;
    }
    return p + item * grid->stride[array][0];
}

/* Where items first, first + 1, ... before last begin: evenly spaced, up to `most` times `lanes` of them; or else run
 * by run, in one vector of lanes. */
static void locate(const ce_grid *grid, int64_t first, int64_t last, int lanes, int64_t most, tile *x)
{
    char         *p[CE_ARRAYS];
    int64_t       left = begin_all(grid, first, p);
    const int64_t whole = (left < last - first ? left : last - first) / lanes, vectors = whole < most ? whole : most;

    x->even = whole > 0;
    x->width = lanes * (x->even ? (int)vectors : 1);
    x->count = last - first < x->width ? (int)(last - first) : x->width;
    for (int a = 0; a < CE_ARRAYS; a++) x->at[a][0] = p[a];
    if (!x->even && left >= x->count) { /* in one run */
        for (int a = 0; a < CE_ARRAYS; a++)
            for (int l = 0; p[a] && l < lanes; l++)
                x->at[a][l] = p[a] + (l < x->count ? l * grid->stride[a][grid->axes - 1] : 0);
        return;
    }
    for (int l = 0; !x->even && l < lanes; l++, left--) {
        if (left == 0 && l < x->count)
            left = begin_all(grid, first + l, p);
        for (int a = 0; a < CE_ARRAYS; a++) {
            if (!p[a])
                continue;
            x->at[a][l] = l < x->count ? p[a] : x->at[a][0];
            p[a] += grid->stride[a][grid->axes - 1];
        }
    }
}

#endif
