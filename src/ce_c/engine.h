/* engine.h - both engines for one computing type, and the kernels made of them. */
#include "storage.h"

#include "softmax.h"
#include "row_due.h"
#include "row_scan.h"
#include "transpose.h"
#include "panel.h"
#include "dots.h"
#include "lanes_scan.h"
#include "row_emit.h"
#include "rows.h"
#include "lanes_emit.h"
#include "small.h"

#include "pointwise.h"

static const double NAME(least) = MIN_NORMAL;

static void NAME(run)(const ce_grid *grid, const ce_plan *plan, void *buffer, int64_t first, int64_t last)
{
    const int loss = plan->job->loss;

    if (loss < LINKS && grid->by_rows) {
        NAME(rows)(grid, plan, links[loss], buffer, first, last);
        return;
    }
    for (int64_t b = first; b < last; b++) {
        const int64_t from = b * grid->block, end = from + grid->block, to = end < grid->items ? end : grid->items;
        double        sums[LANES] = { 0 };

        if (loss >= LINKS)
            NAME(run_points)(grid, plan, from, to, sums);
        else if (NAME(is_small)(grid, plan))
            NAME(small)(grid, plan, from, to, sums);
        else
            NAME(lanes)(grid, plan, links[loss], from, to, sums);
        plan->blocks[b].loss = tree_sum(sums, LANES);
    }
}

/* Z of items that have weights. */
static double NAME(weights)(const ce_grid *grid, const ce_job *job, int64_t first, int64_t last)
{
    const REAL *w = ce_loss_row(job->loss)->mean == CE_BY_COUNT ? NULL : job->w;
    double      sum = 0, lost = 0;

    for (int64_t i = first; i < last; i++) {
        const double v = grid->data[CE_V] ? *(const REAL *)begin_of(grid, CE_V, i) : 1;
        if (!grid->data[CE_TARGET]) {
            add_exactly(&sum, &lost, v);
            continue;
        }
        const int64_t t = load_index(begin_of(grid, CE_TARGET, i), job);
        if (t != job->ignore_index && t >= 0 && t < grid->classes)
            add_exactly(&sum, &lost, w ? v * w[t] : v);
    }
    return with_lost(sum, lost);
}

static void NAME(check_items)(const ce_grid *grid, const ce_job *job, int64_t first, int64_t last, ce_block *block)
{
    const int     inner = grid->axes - 1;
    const int64_t size = grid->size[inner], step = grid->stride[CE_TARGET][inner];
    int64_t       counted = 0;
    bool          good = true;

    for (int64_t i = first, n; grid->data[CE_TARGET] && i < last; i += n) {
        n = size - i % size < last - i ? size - i % size : last - i;
        good &= count_run(begin_of(grid, CE_TARGET, i), step, n, job->array[CE_TARGET].type, job->ignore_index,
                          (uint64_t)grid->classes, &counted);
    }
    block->bad = good ? -1 : first_bad(grid, job, first, last);
    block->z = grid->data[CE_TARGET] ? (double)counted : (double)(last - first);
    if (grid->data[CE_V] || (grid->data[CE_TARGET] && job->w))
        block->z = NAME(weights)(grid, job, first, last);
}

static void NAME(check)(const ce_grid *grid, const ce_plan *plan, void *buffer, int64_t first, int64_t last)
{
    (void)buffer;
    for (int64_t b = first; b < last; b++) {
        const int64_t from = b * grid->block, end = from + grid->block, to = end < grid->items ? end : grid->items;

        if (plan->job->loss >= LINKS)
            NAME(check_points)(grid, plan, from, to, &plan->blocks[b]);
        else
            NAME(check_items)(grid, plan->job, from, to, &plan->blocks[b]);
    }
}

#undef TYPE
#undef REAL
#undef LANES
#undef NAME
#undef EXP
#undef EXP_2_64
#undef EXP_WIDE
#undef EXP_LO_2_64
#undef EXP_WHOLE
#undef EXP_REST
#undef EXP_HIGH
#undef EXP_LOW
#undef EXP_SCALED
#undef BY_2_64
#undef EXP_HI
#undef MIN_NORMAL
#undef MAX_FINITE
#undef ABS
#undef BITS
#undef FMA
#undef ZERO_IF
#undef LANE
#undef STEPS
#undef LOG
#undef LOG1P
#undef LOG1P_UNIT
#undef BY_SIGN
#undef POW
#undef WIDEN
#undef HALVES
#undef VIEWED
#undef POINTWISE
