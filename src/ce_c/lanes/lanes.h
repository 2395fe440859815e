/* lanes.h - LANES items side by side, walking the classes, tile after tile: load, scan, link, emission. */
#ifndef CE_LANES_LANES_H
#define CE_LANES_LANES_H

#include "lanes/emit.h"
#include "softmax/close.h"

/* Items first to last, and their sums by lanes. */
OUTLINE void run_lanes(const softmax_call *call, int64_t first, int64_t last, double *sums)
{
    const ce_grid *grid = call->grid;
    const int64_t  K = grid->classes, fit = K > 0 ? PANEL / K : 1;
    const bool     whole = K <= PANEL, in_place = !grid->data[CE_OTHER] && !call->plan->curves;
    panels         p;
    real *const    grads = in_place ? p.z : p.other;
    tile           x;

    for (int64_t i = first; i < last; i += x.width) {
        locate(grid, i, last, LANES, whole ? smaller(fit, WIDE) : 1, &x);
        open_tile(call, &x);
        if (whole && call->link->emits != ONE_HOT)
            load_panels(&p, grid, &x, (class_range){ 0, K });
        (whole ? scan_whole : scan_long)(call, &p, &x);
        answer_items(call, &x);
        if (call->plan->derives)
            (whole ? emit_whole : emit_long)(call, &p, grads, &x);
        close_tile(grid, &x, sums);
    }
}

#endif
