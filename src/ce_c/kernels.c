/* kernels.c - all the kernels of one instruction set and one computing type, in one const table.
 *
 * It is compiled once for each of them: CE_REAL (32 or 64), CE_TABLE, CE_ISA_NAME and CE_ISA_LEVEL come from the build.
 */
#include "check.h"
#include "divergences/divergences.h"
#include "elements/binary.h"
#include "elements/engine.h"
#include "elements/kl_div.h"
#include "elements/regression.h"
#include "elements/sigmoid_focal.h"
#include "lanes/few.h"
#include "lanes/lanes.h"
#include "links/cross_entropy.h"
#include "links/focal.h"
#include "links/information.h"
#include "links/nll.h"
#include "links/normalisers.h"
#include "links/two_rows.h"
#include "rows/rows.h"
#include "rows/shard.h"
#include "rows/split.h"

/* What a row of losses.def is carried out by: a link of the softmax engine, or an element-wise loop. */
typedef struct {
    ce_link   link;
    span_loop loop;
} loss_work;

#define WORK_OF_LINK(name, fill, emits, ...) { { emits, fill, NULL }, NULL },
#define WORK_OF_TERM(name, term, ...)        { { TERMS, fill_terms, term }, NULL },
#define WORK_OF_POINT(name, loop, ...)       { { TERMS, NULL, NULL }, loop },

static const loss_work work_of_losses[] = { CE_LOSSES(WORK_OF_LINK, WORK_OF_TERM, WORK_OF_POINT) };

static softmax_call call_of(const ce_grid *grid, const ce_plan *plan)
{
    return (softmax_call){ grid, plan, &work_of_losses[plan->job->loss].link };
}

static void check(const ce_grid *grid, const ce_plan *plan, void *buffer, int64_t first, int64_t last)
{
    (void)buffer;
    for (int64_t b = first; b < last; b++) {
        const int64_t from = b * grid->block, to = smaller(from + grid->block, grid->items);

        if (ce_is_element_wise(plan->job))
            check_elements(grid, plan, from, to, &plan->blocks[b]);
        else
            check_items(grid, plan, from, to, &plan->blocks[b]);
    }
}

static void run(const ce_grid *grid, const ce_plan *plan, void *buffer, int64_t first, int64_t last)
{
    const softmax_call call = call_of(grid, plan);
    const span_loop    loop = work_of_losses[plan->job->loss].loop;

    if (is_divergence(call.link->emits)) {
        run_divergences(&call, buffer, first, last);
        return;
    }
    if (grid->by_rows) {
        run_rows(&call, buffer, first, last);
        return;
    }
    if (!loop && !serves_few_classes(grid, plan)) {
        run_lanes(&call, buffer, first, last);
        return;
    }
    for (int64_t b = first; b < last; b++) {
        const int64_t from = b * grid->block, to = smaller(from + grid->block, grid->items);
        double        sums[LANES] = { 0 };

        if (loop && plan->checks)
            plan->blocks[b].z = (double)(to - from);
        if (loop)
            plan->blocks[b].bad = run_elements(grid, plan, loop, from, to, sums);
        else
            run_few_classes(&call, from, to, sums);
        plan->blocks[b].loss = tree_sum(sums, LANES);
    }
}

static void split_open(const ce_grid *grid, const ce_plan *plan, void *buffer, int64_t first, int64_t last)
{
    const softmax_call call = call_of(grid, plan);
    (void)buffer;
    open_parts(&call, first, last);
}

static void split_scan(const ce_grid *grid, const ce_plan *plan, void *buffer, int64_t first, int64_t last)
{
    const softmax_call call = call_of(grid, plan);
    scan_split(&call, buffer, first, last);
}

static void split_merge(const ce_grid *grid, const ce_plan *plan, void *buffer, int64_t first, int64_t last)
{
    const softmax_call call = call_of(grid, plan);
    (void)buffer;
    merge_parts(&call, first, last);
}

static void split_emit(const ce_grid *grid, const ce_plan *plan, void *buffer, int64_t first, int64_t last)
{
    const softmax_call call = call_of(grid, plan);
    emit_parts(&call, buffer, first, last);
}

static void shard_scan(const ce_grid *grid, const ce_plan *plan, void *buffer, int64_t first, int64_t last)
{
    const softmax_call call = call_of(grid, plan);
    scan_shards(&call, buffer, first, last);
}

static void shard_merge(const ce_grid *grid, const ce_plan *plan, void *buffer, int64_t first, int64_t last)
{
    const softmax_call call = call_of(grid, plan);
    (void)buffer;
    merge_shards(&call, first, last);
}

static void shard_emit(const ce_grid *grid, const ce_plan *plan, void *buffer, int64_t first, int64_t last)
{
    const softmax_call call = call_of(grid, plan);
    emit_shards(&call, buffer, first, last);
}

static double exp_of(double x)
{
    return x > EXP_HI_F64 ? INFINITY : exp_wide_f64(x);
}

extern const ce_kernels CE_TABLE;
const ce_kernels        CE_TABLE = {
    .isa = { CE_ISA_NAME, CE_ISA_LEVEL, FUSED },
    .min_normal = (double)MIN_NORMAL,
    .streams = STREAMS,
    .check = check,
    .run = run,
    .split_open = split_open,
    .split_scan = split_scan,
    .split_merge = split_merge,
    .split_emit = split_emit,
    .shard_scan = shard_scan,
    .shard_merge = shard_merge,
    .shard_emit = shard_emit,
    .part = BLOCK,
    .numbers_for_rows = numbers_for_rows,
    .numbers_for_lanes = numbers_in_panels,
    .numbers_for_pairs = numbers_for_pairs,
    .total = total,
    .exp = exp_of,
};
