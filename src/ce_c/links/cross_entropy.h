/* cross_entropy.h - cross-entropy with label smoothing and class weights, as two softmax links (softmax/tile.h).
 *
 * Class indices:
 *     nll     = (m - z_t) + log1p(s)                                  q = (s + 1 - e_t) / S = 1 - p_t
 *     loss    = v [ a nll + b (W log1p(s) + sum_k w_k (m - z_k)) ]    a = (1 - eps) w_t,  b = eps / K
 *     grad_k  = v [ (a + b W) p_k - b w_k ]                           grad_t = v [ -a q + b (W p_t - w_t) ]
 *     hess_k  = v (a + b W) p_k (1 - p_k)
 *
 * Class probabilities q, with u_k = w_k (q_k (1 - eps) + eps / K) and U = sum_k u_k:
 *     loss    = v [ U log1p(s) + sum_k u_k (m - z_k) ]
 *     grad_k  = v [ p_k (U - u_k) - u_k (1 - p_k) ]                   hess_k = v U p_k (1 - p_k)
 */
#ifndef CE_LINKS_CROSS_ENTROPY_H
#define CE_LINKS_CROSS_ENTROPY_H

#include "softmax/tile.h"

INLINE void answer_cross_entropy(const ce_plan *plan, tile *x, int n)
{
    const double eps = plan->job->label_smoothing, W = plan->w_sum, b = eps / plan->classes;

    for (int l = 0; l < n; l++) {
        const double log_S = x->log_S[l], a = (1 - eps) * x->w_t[l];
        x->loss[l] = x->v[l] * a * ((x->m[l] - x->z_t[l]) + log_S);
        if (eps != 0) /* a = 0 takes nothing of an infinite nll */
            x->loss[l] = (a == 0 ? 0 : x->loss[l]) + x->v[l] * b * (W * log_S + x->gap_sum[l]);
    }
    if (plan->derives)
        for (int l = 0; l < n; l++) {
            const double a = (1 - eps) * x->w_t[l], r = x->inv_S[l], scale = x->upstream[l] * x->v[l];
            x->per_e[l] = scale * a * r;
            x->grad_t[l] = -x->per_e[l] * (x->s[l] + (1 - x->e_t[l]));
            x->subtract[l] = scale * b;
            if (eps != 0) {
                x->per_e[l] = scale * (a + b * W) * r;
                x->grad_t[l] += scale * b * (W * x->e_t[l] * r - x->w_t[l]);
            }
        }
    if (plan->curves)
        for (int l = 0; l < n; l++) {
            x->hess_scale[l] = x->per_e[l];
            x->hess_rest[l] = x->inv_S[l];
            x->hess_e[l] = 0;
            x->hess_t[l] = x->hess_scale[l] * x->e_t[l] * ((x->s[l] + (1 - x->e_t[l])) * x->hess_rest[l]);
        }
}

static void fill_cross_entropy(const ce_plan *plan, tile *x)
{
    fill_tile(answer_cross_entropy, plan, x);
}

INLINE void answer_cross_entropy_probabilities(const ce_plan *plan, tile *x, int n)
{
    for (int l = 0; l < n; l++) {
        const double U = x->share_sum[l];
        x->loss[l] = plan->classes == 0 ? 0 : x->v[l] * (U * x->log_S[l] + x->gap_sum[l]);
    }
    if (plan->derives)
        for (int l = 0; l < n; l++) {
            const double share = x->upstream[l] * x->v[l] * x->inv_S[l];
            x->per_e[l] = share * x->share_sum[l];
            x->subtract[l] = share;
        }
    if (plan->curves)
        for (int l = 0; l < n; l++) {
            x->hess_scale[l] = x->per_e[l];
            x->hess_rest[l] = x->inv_S[l];
            x->hess_e[l] = 0;
        }
}

static void fill_cross_entropy_probabilities(const ce_plan *plan, tile *x)
{
    fill_tile(answer_cross_entropy_probabilities, plan, x);
}

#endif
