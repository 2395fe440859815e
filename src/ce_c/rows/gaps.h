/* gaps.h - a long, contiguous row in memory, and sums of u (m - z) and of u over a part of it. */
#ifndef CE_ROWS_GAPS_H
#define CE_ROWS_GAPS_H

#include "real/numbers.h"
#include "softmax/bend.h"
#include "softmax/factors.h"
#include "softmax/steps.h"

/* A row in memory, step: bytes from class to class; q: its class probabilities, or another second input, side by side;
 * where: which of its classes can be, or NULL; classes: how many, for label smoothing; slopes: where those of capped
 * logits go, from class `first` on, or NULL. */
typedef struct {
    const char    *z, *q;
    ce_type        type, q_type;
    int64_t        step;
    const ce_plan *plan;
    const char    *where;
    int64_t        where_step;
    double         classes;
    real          *slopes;
    int64_t        first;
} long_row;

/* What is the same for all the rows of a call. */
static inline long_row row_of(const softmax_call *call)
{
    const ce_grid *grid = call->grid;
    return (long_row){ .type = grid->type[CE_Z],
                       .q_type = grid->type[CE_OTHER],
                       .step = size_of(grid->type[CE_Z]),
                       .plan = call->plan,
                       .where_step = grid->class_stride[CE_WHERE],
                       .classes = call->plan->classes };
}

/* Item l's own. */
static inline void place_row(const softmax_call *call, const tile *x, int l, long_row *row)
{
    const ce_grid *grid = call->grid;

    row->z = item_at(grid, x, CE_Z, l);
    if (grid->data[CE_OTHER])
        row->q = item_at(grid, x, CE_OTHER, l);
    if (call->plan->hides)
        row->where = item_at(grid, x, CE_WHERE, l);
    if (counts_classes(call->plan))
        row->classes = x->classes[l];
}

static inline long_row row_at(const softmax_call *call, const tile *x, int l)
{
    long_row row = row_of(call);

    place_row(call, x, l, &row);
    return row;
}

/* n numbers of the first input from class i on, as they are; as the loss sees them; and n of the second. */
static inline const real *raw_from(const long_row *row, int64_t i, int64_t n, real *copy)
{
    const char *const z = row->z + i * row->step;

    if (row->type == REAL_TYPE && row->step == sizeof(real))
        return (const real *)z;
    read_numbers(copy, z, row->type, row->step, n);
    return copy;
}

OUTLINE const real *viewed_from(const long_row *row, int64_t i, int64_t n, real *copy)
{
    const real *const raw = raw_from(row, i, n, copy);

    if (!row->plan->views)
        return raw;
    const logit_view view = { row->where ? row->where + i * row->where_step : NULL, row->where_step,
                              row->slopes ? row->slopes + (i - row->first) : NULL };
    view_logits(row->plan, view, raw, copy, n);
    return copy;
}

static inline const real *z_from(const long_row *row, int64_t i, int64_t n, real *copy)
{
    if (row->type == REAL_TYPE && row->step == sizeof(real) && !row->plan->views)
        return (const real *)row->z + i;
    return viewed_from(row, i, n, copy);
}

static inline const real *q_from(const long_row *row, int64_t i, int64_t n, real *copy)
{
    return row->q ? view_numbers(row->q + i * size_of(row->q_type), row->q_type, n, copy) : NULL;
}

/* The same where some of the classes cannot be: these have no part in the smoothing. */
OUTLINE const real *open_shares_from(const long_row *row, int64_t i, int64_t n, real *copy)
{
    const real       *w = row->plan->job->w ? (const real *)row->plan->job->w + i : NULL, *q = q_from(row, i, n, copy);
    const smoother    to = smoother_of(row->plan, row->classes);
    const char *const where = row->where + i * row->where_step;

    for (int64_t k = 0; k < n; k++) {
        const bool open = where[k * row->where_step];
        copy[k] = (q ? FMA(q[k], to.scale, open ? to.base : 0) : (real)open) * (w ? w[k] : 1);
    }
    return copy;
}

/* u of n classes from class i on, n at most CHUNK: the shares of the classes, or else their weights. */
static const real *shares_from(const long_row *row, int64_t i, int64_t n, real *copy)
{
    const real *w = row->plan->job->w ? (const real *)row->plan->job->w + i : NULL;
    const bool  smooths = row->plan->job->label_smoothing != 0;

    if (row->where && smooths)
        return open_shares_from(row, i, n, copy);
    if (!row->q)
        return w;
    const smoother to = smoother_of(row->plan, row->classes);
    const real    *q = q_from(row, i, n, copy);
    if (!w && !smooths)
        return q;
    SIMD
    for (int64_t k = 0; k < n; k++) copy[k] = FMA(q[k], to.scale, to.base) * (w ? w[k] : 1);
    return copy;
}

static inline gap_way way_of_gaps(const long_row *row)
{
    return row->q || row->where ? NO_GAPS : gap_way_of(row->plan->job->w, row->plan->w_usual);
}

/* Those of two classes, LANES apart, times u. */
INLINE real two_gaps(const real *z, const real *u, real m)
{
    return FMA(gap_that_counts(z[LANES], u[LANES], m), u[LANES], gap_that_counts(z[0], u[0], m) * u[0]);
}

/* Adds gaps times u (1 if absent) to their sums by lanes, as add_step_gaps does; n is a multiple of STEP, at most
 * CHUNK. */
static void add_gaps_of_steps(const real *z, const real *u, int64_t n, real m, double *sums)
{
    real a[LANES] = { 0 };

    if (!u)
        for (int64_t i = 0; i < n; i += STEP)
            LANE(l)
                a[l] += (gap(z[i + l], m) + gap(z[i + LANES + l], m)) +
                        (gap(z[i + 2 * LANES + l], m) + gap(z[i + 3 * LANES + l], m));
    else
        for (int64_t i = 0; i < n; i += STEP)
            LANE(l) {
                const int64_t j = i + l;
                a[l] += two_gaps(z + j, u + j, m) + two_gaps(z + j + 2 * LANES, u + j + 2 * LANES, m);
            }
    LANE(l) sums[l] += (double)a[l];
}

/* The same for any n up to CHUNK. */
static void add_gaps_of(const real *z, const real *u, int64_t n, real m, double *sums)
{
    real          copy[CHUNK], u_copy[CHUNK];
    const int64_t full = up_to_step(n), before = full - n; /* the last step is filled up from its begin, see open_end */

    if (n == full) {
        add_gaps_of_steps(z, u, n, m, sums);
        return;
    }
    for (int64_t i = 0; i < full; i++) {
        const int64_t k = i < full - STEP ? i : i - before;
        const bool    fills = i >= full - STEP && k < full - STEP;
        copy[i] = fills ? m : z[k];
        u_copy[i] = fills ? 0 : u ? u[k] : 1;
    }
    add_gaps_of_steps(copy, u ? u_copy : NULL, full, m, sums);
}

/* Of n classes from class first on, whose logits are z; all of them from the maximum m. */
static void add_gaps(const long_row *row, const real *z, int64_t first, int64_t n, real m, ce_pair *sums)
{
    const double by = row->q ? 1 : row->plan->w_scale;
    double       gaps[LANES] = { 0 }, share_lost = 0;

    for (int64_t i = 0; i < n; i += CHUNK) {
        const int64_t some = smaller(n - i, CHUNK);
        real          copy[CHUNK];
        const real   *u = shares_from(row, first + i, some, copy);
        add_exactly(&sums->share_sum, &share_lost, u ? total(u, some) : (double)some);
        for (int64_t k = 0; by != 1 && k < some; k++) copy[k] = (real)((double)u[k] * by);
        add_gaps_of(z + i, by != 1 ? copy : u, some, m, gaps);
    }
    sums->gap_sum = tree_sum(gaps, LANES) / (GAP_SCALE * by);
    sums->share_sum = with_lost(sums->share_sum, share_lost);
}

#endif
