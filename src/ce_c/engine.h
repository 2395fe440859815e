/* engine.h - both traversals of the softmax engine for one dtype, and the kernels made of them. */
#include "softmax.h"
#include "row_scan.h"
#include "row_emit.h"
#include "transpose.h"
#include "lanes_scan.h"
#include "lanes_emit.h"

typedef ELEM        NAME(elem);
static const double NAME(least) = MIN_NORMAL;

static void NAME(run)(const ce_grid *grid, const ce_plan *plan, int64_t first, int64_t last)
{
    const ce_link *link = links[plan->job->loss];

    for (int64_t b = first; b < last; b++) {
        const int64_t from = b * grid->block, to = from + grid->block;
        double        sums[LANES] = { 0 };

        (grid->by_rows ? NAME(rows) : NAME(lanes))(grid, plan, link, from, to < grid->items ? to : grid->items, sums);
        plan->blocks[b].loss = tree_sum(sums, LANES);
    }
}

static double NAME(weights)(const ce_grid *grid, const ce_job *job, int64_t first, int64_t last)
{
    const REAL *w = job->w;
    double      sum = 0, lost = 0;

    for (int64_t i = first; i < last; i++) {
        const int64_t t = load_index(begin_of(grid, CE_TARGET, i), job);
        const double  v = grid->data[CE_V] ? *(const REAL *)begin_of(grid, CE_V, i) : 1;
        if (t != job->ignore_index && t >= 0 && t < grid->classes)
            add_exactly(&sum, &lost, w ? v * w[t] : v);
    }
    return with_lost(sum, lost);
}

static void NAME(check)(const ce_grid *grid, const ce_plan *plan, int64_t first, int64_t last)
{
    const ce_job *job = plan->job;
    const int     inner = grid->axes - 1;
    const int64_t size = grid->size[inner], step = grid->stride[CE_TARGET][inner];

    for (int64_t b = first; b < last; b++) {
        const int64_t from = b * grid->block, end = from + grid->block, to = end < grid->items ? end : grid->items;
        ce_block     *block = &plan->blocks[b];
        int64_t       counted = 0;
        bool          good = true;

        for (int64_t i = from, n; i < to; i += n) {
            n = size - i % size < to - i ? size - i % size : to - i;
            good &= count_run(begin_of(grid, CE_TARGET, i), step, n, job->index, job->ignore_index,
                              (uint64_t)grid->classes, &counted);
        }
        block->bad = good ? -1 : first_bad(grid, job, from, to);
        block->z = grid->data[CE_V] || job->w ? NAME(weights)(grid, job, from, to) : (double)counted;
    }
}

#undef ELEM
#undef REAL
#undef LANES
#undef NAME
#undef LOAD
#undef STORE
#undef EXP
#undef EXP_2_64
#undef EXP_BY
#undef BY_1
#undef BY_2_64
#undef EXP_HI
#undef MIN_NORMAL
#undef MIN_EXPONENT
#undef ABS
#undef BITS
#undef FMA
#undef ZERO_IF
#undef LANE
