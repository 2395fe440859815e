/* two_rows.h - divergences of two rows of logits, as softmax links (softmax/tile.h); their formulas stand in
 * divergences/terms.h.
 */
#ifndef CE_LINKS_TWO_ROWS_H
#define CE_LINKS_TWO_ROWS_H

#include "softmax/tile.h"

INLINE void answer_divergence(const ce_plan *plan, tile *x, int n)
{
    (void)plan;
    for (int l = 0; l < n; l++) {
        x->loss[l] = x->v[l] * x->class_sum[l];
        x->per_e[l] = x->upstream[l] * x->v[l];
        x->subtract[l] = 0;
    }
}

static void fill_divergence(const ce_plan *plan, tile *x)
{
    fill_tile(answer_divergence, plan, x);
}

#endif
