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
 *
 * K and W are those of the classes that can be. The z-loss, with L = m + log1p(s), adds to both
 *     loss    + v lambda L^2
 *     grad_k  + v 2 lambda L p_k          hess_k + v 2 lambda (p_k^2 + L p_k (1 - p_k)), without L: Gauss-Newton
 */
#ifndef CE_LINKS_CROSS_ENTROPY_H
#define CE_LINKS_CROSS_ENTROPY_H

#include "softmax/factors.h"

/* With the z-loss; A: what p_k - q_k is times without it, v apart. */
INLINE void add_z_losses(const ce_plan *plan, tile *x, int n, const double *A)
{
    const double twice = 2 * plan->z_loss;
    const bool   apart = plan->job->stats && plan->job->stats->z_losses;

    for (int l = 0; l < n && !apart; l++) x->loss[l] += z_loss_of(plan, x, l);
    if (plan->derives)
        for (int l = 0; l < n; l++) {
            const double more = x->upstream[l] * x->v[l] * twice * (x->m[l] + x->log_S[l]) * x->inv_S[l];
            x->per_e[l] += more;
            x->grad_t[l] += more * x->e_t[l];
        }
    if (plan->curves)
        for (int l = 0; l < n; l++) {
            const double r = x->inv_S[l], scale = x->upstream[l] * x->v[l] * r;
            const double L = plan->job->hessian == CE_GAUSS_NEWTON ? 0 : x->m[l] + x->log_S[l];
            const double most = fabs(A[l]) + twice * (fabs(L) + 1), rest = (A[l] + twice * L) / most;
            x->hess_scale[l] = scale * most;
            x->hess_rest[l] = rest * r;
            x->hess_e[l] = plan->multiplies ? 0 : twice / most * r;
            x->pull[l] = scale * twice;
            x->hess_t[l] = x->hess_scale[l] * x->e_t[l] *
                           ((x->s[l] + (1 - x->e_t[l])) * x->hess_rest[l] + x->e_t[l] * x->hess_e[l]);
        }
}

INLINE void answer_cross_entropy(const ce_plan *plan, tile *x, int n)
{
    const double eps = plan->job->label_smoothing;
    const bool   counts = counts_classes(plan);
    double       A[ITEMS];

    for (int l = 0; l < n; l++) {
        const double log_S = x->log_S[l], a = (1 - eps) * x->w_t[l];
        x->loss[l] = a == 0 ? 0 : x->v[l] * a * ((x->m[l] - x->z_t[l]) + log_S); /* of an infinite nll, too */
        A[l] = a;
        if (eps != 0) {
            const double W = counts ? x->share_sum[l] : plan->w_sum, b = eps / (counts ? x->classes[l] : plan->classes);
            x->loss[l] += x->v[l] * b * (W * log_S + x->gap_sum[l]);
            A[l] = a + b * W;
        }
    }
    if (plan->derives)
        for (int l = 0; l < n; l++) {
            const double a = (1 - eps) * x->w_t[l], r = x->inv_S[l], scale = x->upstream[l] * x->v[l];
            const double W = counts ? x->share_sum[l] : plan->w_sum, b = eps / (counts ? x->classes[l] : plan->classes);
            x->per_e[l] = scale * a * r;
            x->grad_t[l] = -x->per_e[l] * (x->s[l] + (1 - x->e_t[l]));
            x->subtract[l] = scale * b;
            if (eps != 0) {
                x->per_e[l] = scale * A[l] * r;
                x->grad_t[l] += scale * b * (W * x->e_t[l] * r - x->w_t[l]);
            }
        }
    if (plan->curves)
        for (int l = 0; l < n; l++) {
            x->hess_scale[l] = x->per_e[l];
            x->hess_rest[l] = x->inv_S[l];
            x->hess_e[l] = x->pull[l] = 0;
            x->hess_t[l] = x->hess_scale[l] * x->e_t[l] * ((x->s[l] + (1 - x->e_t[l])) * x->hess_rest[l]);
        }
    if (plan->z_loss != 0)
        add_z_losses(plan, x, n, A);
}

static void fill_cross_entropy(const ce_plan *plan, tile *x)
{
    fill_tile(answer_cross_entropy, plan, x);
}

/* With the z-loss: p_k is times the sum of the shares and more. */
INLINE void add_z_losses_of_shares(const ce_plan *plan, tile *x, int n)
{
    double U[ITEMS];

    for (int l = 0; l < n; l++) U[l] = x->share_sum[l], x->e_t[l] = x->grad_t[l] = 0;
    add_z_losses(plan, x, n, U);
    for (int l = 0; l < n && plan->derives; l++) {
        const double all = U[l] + 2 * plan->z_loss * (x->m[l] + x->log_S[l]);
        x->share_sum[l] = fabs(all) < 0x1p-80 ? 0x1p-80 : all; /* what shares are held against: not 0 */
        x->per_e[l] = x->upstream[l] * x->v[l] * x->inv_S[l] * x->share_sum[l];
    }
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
            x->hess_e[l] = x->pull[l] = 0;
        }
    if (plan->z_loss != 0 && plan->classes > 0)
        add_z_losses_of_shares(plan, x, n);
}

static void fill_cross_entropy_probabilities(const ce_plan *plan, tile *x)
{
    fill_tile(answer_cross_entropy_probabilities, plan, x);
}

#endif
