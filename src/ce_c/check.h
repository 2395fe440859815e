/* check.h - the pass over targets and weights before anything is written: are they in range, and what is Z? */
#ifndef CE_CHECK_H
#define CE_CHECK_H

#include "real/real.h"
#include "targets.h"
#include "weights.h"

enum { FEW_ITEMS = 16 }; /* that are looked at side by side */

/* Items side by side: v is 0 of those that do not count. */
typedef struct {
    double  v[FEW_ITEMS];
    int64_t t[FEW_ITEMS];
} weighted_items;

/* Sums by lanes, and what roundings take from them. */
typedef struct {
    double sum[FEW_ITEMS], lost[FEW_ITEMS];
} lane_totals;

static void add_to_lanes(lane_totals *to, const double *x)
{
    SIMD
    for (int l = 0; l < FEW_ITEMS; l++) add_exactly(&to->sum[l], &to->lost[l], x[l]);
}

static double total_of_lanes(const lane_totals *x)
{
    double sum = 0, lost = 0;

    for (int l = 0; l < FEW_ITEMS; l++) add_exactly(&sum, &lost, x->sum[l]);
    for (int l = 0; l < FEW_ITEMS; l++) lost += x->lost[l];
    return with_lost(sum, lost);
}

/* The next items from item `first` on, before `last`: how many, no more than are evenly spaced. */
static int64_t load_items(const ce_grid *grid, const ce_plan *plan, int64_t first, int64_t last, weighted_items *to)
{
    const int         inner = grid->axes - 1;
    const int64_t     size = grid->size[inner], left = size - (first - quotient(first, size) * size);
    const int64_t     n = smaller(smaller(left, last - first), FEW_ITEMS);
    const int64_t     v_step = grid->stride[CE_V][inner], t_step = grid->stride[CE_TARGET][inner];
    const ce_type     type = plan->job->array[CE_TARGET].type;
    const char *const v = grid->data[CE_V] ? begin_of(grid, CE_V, first) : NULL;
    char *const       t = grid->data[CE_TARGET] ? begin_of(grid, CE_TARGET, first) : NULL;

    for (int64_t l = 0; l < FEW_ITEMS; l++) to->v[l] = v || l >= n ? 0 : plan->scale, to->t[l] = 0;
    if (v && n == FEW_ITEMS)
        load_sample_weights(v, v_step, plan, FEW_ITEMS, to->v);
    else if (v)
        load_sample_weights(v, v_step, plan, (int)n, to->v);
    if (t && type != CE_UINT64 && t_step == size_of(type)) {
        load_index_run(t, (int)n, type, to->t);
    } else if (t) {
        char *at[FEW_ITEMS];
        for (int64_t l = 0; l < n; l++) at[l] = t + l * t_step;
        load_indices(at, (int)n, plan->job, to->t);
    }
    return n;
}

/* Those that are ignored do not count; the class of what does not count is 0. The first whose class index is out of
 * range and whose weight is not 0; or -1. */
static int64_t drop_ignored(const ce_job *job, int64_t classes, weighted_items *x)
{
    int64_t refused[FEW_ITEMS], any = 0;

    SIMD
    for (int l = 0; l < FEW_ITEMS; l++) {
        const int64_t ignored = x->t[l] == job->ignore_index, outside = (uint64_t)x->t[l] >= (uint64_t)classes;
        refused[l] = outside & !ignored & (x->v[l] != 0);
        x->v[l] = ignored ? 0 : x->v[l];
        x->t[l] &= -(int64_t)(x->v[l] != 0);
    }
    for (int l = 0; l < FEW_ITEMS; l++) any |= refused[l];
    for (int l = 0; any; l++)
        if (refused[l])
            return l;
    return -1;
}

/* What counts is times its class's weight. */
static void weigh_by_class(weighted_items *x, const real *w)
{
    double w_t[FEW_ITEMS];

    for (int l = 0; l < FEW_ITEMS; l++) w_t[l] = (double)w[x->t[l]];
    SIMD
    for (int l = 0; l < FEW_ITEMS; l++) x->v[l] = x->v[l] != 0 ? x->v[l] * w_t[l] : 0;
}

/* The sum of the weights, one after the other: huge ones of either sign, whose sums by lanes are infinite, may cancel.
 */
static double sum_in_order(const ce_grid *grid, const ce_plan *plan, int64_t first, int64_t last, const real *w)
{
    double sum = 0, lost = 0;

    for (int64_t i = first, n; i < last; i += n) {
        weighted_items x;
        n = load_items(grid, plan, i, last, &x);
        if (grid->data[CE_TARGET])
            drop_ignored(plan->job, grid->classes, &x);
        for (int64_t l = 0; l < n; l++)
            if (x.v[l] != 0)
                add_exactly(&sum, &lost, w ? x.v[l] * (double)w[x.t[l]] : x.v[l]);
    }
    return with_lost(sum, lost);
}

/* Items that have weights: Z, and whether all class indices are in range but for those of weight 0. */
static void check_weighted(const ce_grid *grid, const ce_plan *plan, int64_t first, int64_t last, ce_block *block)
{
    const ce_job *job = plan->job;
    const real   *w = ce_loss_row(job->loss)->mean == CE_BY_COUNT ? NULL : job->w;
    lane_totals   all = { { 0 }, { 0 } }, all_v = { { 0 }, { 0 } };

    block->bad = -1;
    block->z = block->v = 0;
    for (int64_t i = first, n; i < last; i += n) {
        weighted_items x;
        n = load_items(grid, plan, i, last, &x);
        const int64_t refused = grid->data[CE_TARGET] ? drop_ignored(job, grid->classes, &x) : -1;
        if (refused >= 0) {
            block->bad = i + refused;
            return;
        }
        if (ce_has_two_means(job))
            add_to_lanes(&all_v, x.v);
        if (w && grid->classes > 0)
            weigh_by_class(&x, w);
        add_to_lanes(&all, x.v);
    }
    block->z = total_of_lanes(&all);
    if (block->z != block->z)
        block->z = sum_in_order(grid, plan, first, last, w);
    block->v = total_of_lanes(&all_v);
}

/* How many items first to last count; -1: one of them has a class index that is out of range. */
static int64_t count_items(const ce_grid *grid, const ce_job *job, int64_t first, int64_t last)
{
    const int        inner = grid->axes - 1;
    const int64_t    size = grid->size[inner], step = grid->stride[CE_TARGET][inner];
    const index_rule rule = index_rule_of(job, grid->classes);
    int64_t          counted = 0;
    bool             good = true;

    for (int64_t i = first, n; i < last; i += n) {
        n = smaller(size - i % size, last - i);
        const index_run run = { begin_of(grid, CE_TARGET, i), step, n };
        good &= count_run(&run, &rule, &counted);
    }
    return good ? counted : -1;
}

/* Items that are rows of classes. */
static void check_items(const ce_grid *grid, const ce_plan *plan, int64_t first, int64_t last, ce_block *block)
{
    const ce_job *job = plan->job;

    if (grid->data[CE_V] || (grid->data[CE_TARGET] && job->w)) {
        check_weighted(grid, plan, first, last, block);
        return;
    }
    const int64_t counted = grid->data[CE_TARGET] ? count_items(grid, job, first, last) : last - first;
    block->bad = counted < 0 ? first_bad(grid, job, first, last) : -1;
    block->z = (double)counted;
}

#endif
