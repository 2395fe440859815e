/* lanes.h - items side by side, up to four vectors of them in a tile, walking the classes: load, scan, link, emission.
 */
#ifndef CE_LANES_LANES_H
#define CE_LANES_LANES_H

#include "lanes/product.h"
#include "softmax/close.h"
#include "softmax/stats.h"

/* Vectors of items in a tile, if there are so many: where the items of a class are neighbours, as many as can be, for
 * long stretches of memory; else no more than L1 holds. */
static int64_t most_vectors(const ce_grid *grid)
{
    const bool    units = grid->stride[CE_Z][grid->axes - 1] == size_of(grid->type[CE_Z]);
    const int64_t fit = grid->classes > 0 ? PANEL / grid->classes : 1;

    return units || fit > WIDE ? WIDE : fit > 1 ? fit : 1;
}

/* Runs blocks first to last. Where all classes fit a panel (`whole`), memory is read once; where nothing else needs it,
 * gradients take the place of the exponentials. */
OUTLINE void run_lanes(const softmax_call *call, real *buffer, int64_t first, int64_t last)
{
    const ce_grid    *grid = call->grid;
    const int64_t     K = grid->classes, n = numbers_in_panel(K), most = most_vectors(grid);
    const int64_t     end = smaller(last * grid->block, grid->items);
    const bool        whole = K <= WHOLE, reuses = !grid->data[CE_OTHER] && !call->plan->curves;
    _Alignas(64) real small[4 * SMALL * WIDE * LANES];
    real *const       memory = K <= SMALL ? small : buffer;
    panels            p = { memory, memory + n, memory + 2 * n, memory + 3 * n };
    real *const       grads = reuses ? p.z : p.other;
    double            sums[LANES] = { 0 };
    tile              x;

    for (int64_t i = first * grid->block; i < end; i += x.width) {
        locate(grid, i, end, LANES, most, &x);
        open_tile(call, &x);
        if (whole && call->link->emits != ONE_HOT)
            load_panels(&p, call, &x, (class_range){ 0, K });
        (whole ? scan_whole : scan_long)(call, &p, &x);
        answer_items(call, &x);
        if (call->plan->job->stats)
            write_stats(call, &x, false);
        if (call->plan->multiplies)
            multiply_whole(call, &p, &x);
        else if (call->plan->derives)
            (whole ? emit_whole : emit_long)(call, &p, grads, &x);
        close_tile(call, &x, i, sums);
    }
}

#endif
