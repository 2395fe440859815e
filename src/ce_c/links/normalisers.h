/* normalisers.h - softmax, log_softmax, logsumexp and their backward passes, as softmax links (softmax/tile.h).
 *
 *     softmax      p_k = e_k / S                  backward   y_k (g_k - sum_j g_j y_j),       y = softmax
 *     log_softmax  (z_k - m) - log1p(s)           backward   g_k - exp(y_k) sum_j g_j,        y = log_softmax
 *     logsumexp    m + log1p(s)                   backward   g p_k: softmax with g upstream
 */
#ifndef CE_LINKS_NORMALISERS_H
#define CE_LINKS_NORMALISERS_H

#include "softmax/tile.h"

INLINE void answer_softmax(const ce_plan *plan, tile *x, int n)
{
    (void)plan;
    for (int l = 0; l < n; l++) {
        x->per_e[l] = x->upstream[l] * x->inv_S[l];
        x->loss[l] = x->subtract[l] = 0;
    }
}

static void fill_softmax(const ce_plan *plan, tile *x)
{
    fill_tile(answer_softmax, plan, x);
}

INLINE void answer_log_softmax(const ce_plan *plan, tile *x, int n)
{
    (void)plan;
    for (int l = 0; l < n; l++) {
        x->subtract[l] = x->log_S[l];
        x->loss[l] = x->per_e[l] = 0;
    }
}

static void fill_log_softmax(const ce_plan *plan, tile *x)
{
    fill_tile(answer_log_softmax, plan, x);
}

INLINE void answer_logsumexp(const ce_plan *plan, tile *x, int n)
{
    (void)plan;
    for (int l = 0; l < n; l++) {
        const bool finite = fabs(x->m[l]) < INFINITY;
        x->loss[l] = finite ? x->m[l] + x->log_S[l] : x->has_nan[l] ? NAN : x->m[l];
    }
}

static void fill_logsumexp(const ce_plan *plan, tile *x)
{
    fill_tile(answer_logsumexp, plan, x);
}

INLINE void answer_backward(const ce_plan *plan, tile *x, int n)
{
    (void)plan;
    for (int l = 0; l < n; l++) x->loss[l] = x->per_e[l] = x->subtract[l] = 0;
}

static void fill_backward(const ce_plan *plan, tile *x)
{
    fill_tile(answer_backward, plan, x);
}

#endif
