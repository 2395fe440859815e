/* nll.h - the negative of one number an item, a log-probability, as a softmax link that gathers.
 *
 *     loss = -v w_t z_t        grad_t = -v w_t,  else 0        hess = 0
 */
#ifndef CE_LINKS_NLL_H
#define CE_LINKS_NLL_H

#include "softmax/tile.h"

INLINE void answer_nll(const ce_plan *plan, tile *x, int n)
{
    for (int l = 0; l < n; l++) {
        const double weight = x->v[l] * x->w_t[l];
        x->loss[l] = -weight * x->z_t[l];
        x->grad_t[l] = -weight * x->upstream[l];
        x->per_e[l] = x->subtract[l] = x->hess_scale[l] = x->hess_rest[l] = x->hess_e[l] = x->hess_t[l] = 0;
    }
    (void)plan;
}

static void fill_nll(const ce_plan *plan, tile *x)
{
    fill_tile(answer_nll, plan, x);
}

#endif
