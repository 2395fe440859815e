/* check.h - the pass over targets and weights before anything is written: are they in range, and what is Z? */
#ifndef CE_CHECK_H
#define CE_CHECK_H

#include "real/real.h"
#include "targets.h"
#include "weights.h"

/* Items that have weights: Z, and whether all class indices are in range but for those of weight 0. */
static void check_weighted(const ce_grid *grid, const ce_plan *plan, int64_t first, int64_t last, ce_block *block)
{
    const ce_job *job = plan->job;
    const real   *w = ce_loss_row(job->loss)->mean == CE_BY_COUNT ? NULL : job->w;
    double        sum = 0, lost = 0, v_sum = 0, v_lost = 0;

    block->bad = -1;
    block->z = block->v = 0;
    for (int64_t i = first; i < last; i++) {
        const double v = grid->data[CE_V] ? sample_weight_at(begin_of(grid, CE_V, i), plan) : plan->scale;
        int64_t      t = 0;
        if (v == 0)
            continue;
        if (grid->data[CE_TARGET])
            t = load_index(begin_of(grid, CE_TARGET, i), job);
        if (grid->data[CE_TARGET] && !is_in_range(t, job, grid->classes)) {
            block->bad = i;
            return;
        }
        if (grid->data[CE_TARGET] && t == job->ignore_index)
            continue;
        add_exactly(&sum, &lost, w ? v * w[t] : v);
        add_exactly(&v_sum, &v_lost, v);
    }
    block->z = with_lost(sum, lost);
    block->v = with_lost(v_sum, v_lost);
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
