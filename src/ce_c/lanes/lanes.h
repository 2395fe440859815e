/* lanes.h - items side by side, up to four vectors of them in a tile, walking the classes: load, scan, link, emission.
 */
#ifndef CE_LANES_LANES_H
#define CE_LANES_LANES_H

#include "lanes/emit.h"
#include "softmax/close.h"

/* Runs items first to last, and adds up their losses by lanes. Where all classes fit a panel (`whole`), memory is read
 * once; where nothing else needs it, gradients take the place of the exponentials. */
OUTLINE void run_lanes(const softmax_call *call, int64_t first, int64_t last, double *sums)
{
    const ce_grid *grid = call->grid;
    const int64_t  K = grid->classes, fit = K > 0 ? PANEL / K : 1;
    const bool     whole = K <= PANEL, reuses = !grid->data[CE_OTHER] && !call->plan->curves;
    panels         p;
    real *const    grads = reuses ? p.z : p.other;
    tile           x;

    for (int64_t i = first; i < last; i += x.width) {
        locate(grid, i, last, LANES, whole ? smaller(fit, WIDE) : 1, &x);
        open_tile(call, &x);
        if (whole && call->link->emits != ONE_HOT)
            load_panels(&p, call, &x, (class_range){ 0, K });
        (whole ? scan_whole : scan_long)(call, &p, &x);
        answer_items(call, &x);
        if (call->plan->derives)
            (whole ? emit_whole : emit_long)(call, &p, grads, &x);
        close_tile(grid, &x, sums);
    }
}

#endif
