/* focal.h - the softmax focal loss, as a softmax link.
 *
 *     p = p_t,  q = 1 - p = R / S with R = s + 1 - e_t,  L = -log p,  Q = q^gamma,  rho = L / q (1 where q = 0)
 *     loss    = v alpha_t Q L
 *     grad_t  = -A q      grad_k = A p_k            A = v alpha_t Q B,  B = 1 + gamma p rho
 *     D       = gamma [ p (2 - L) + (gamma - 1) p^2 rho ]
 *     hess_t  = v alpha_t Q q (D + p B)
 *     hess_k  = v alpha_t Q q (pi_k^2 D + pi_k (1 - p_k) B),  pi_k = e_k / R
 *     Gauss-Newton:  A p_k (1 - p_k)
 *
 * No power of q is negative, so all of it is good for gamma in (0, 1), too.
 */
#ifndef CE_LINKS_FOCAL_H
#define CE_LINKS_FOCAL_H

#include "softmax/tile.h"

/* q^2, 0 where that is subnormal. */
INLINE double square_of(double q)
{
    const double Q = q * q;
    return zero_if_f64(Q < 0x1p-1022, Q);
}

/* What Hessians are made of, from Q, p rho, and 1 - p = R / S. */
INLINE void answer_focal_hessians(const ce_plan *plan, tile *x, int n, const double *Q, const double *pr)
{
    const double gamma = plan->job->gamma;

    for (int l = 0; l < n; l++) {
        const double r = x->inv_S[l], R = x->s[l] + (1 - x->e_t[l]), p = x->e_t[l] * r, q = R * r;
        const double L = (x->m[l] - x->z_t[l]) + x->log_S[l], pL = p == 0 ? 0 : p * L;
        const double B = 1 + gamma * pr[l], D = gamma * ((2 * p - pL) + (gamma - 1) * p * pr[l]);
        const double scale = x->v[l] * x->w_t[l], C = scale * x->upstream[l] * Q[l] * q;

        if (plan->job->hessian == CE_EXACT) {
            x->hess_scale[l] = R == 0 ? 0 : C / R;
            x->hess_rest[l] = B * r;
            x->hess_e[l] = R == 0 ? 0 : D / R;
            x->hess_t[l] = C * (D + p * B);
        } else {
            x->hess_scale[l] = x->per_e[l];
            x->hess_rest[l] = r;
            x->hess_e[l] = 0;
            x->hess_t[l] = scale * x->upstream[l] * Q[l] * B * p * q;
        }
        x->pull[l] = 0;
    }
}

INLINE void answer_focal_by(const ce_plan *plan, tile *x, int n, bool squared)
{
    const double gamma = plan->job->gamma;
    double       Q[ITEMS], pr[ITEMS];

    for (int l = 0; l < n; l++) {
        const double q = (x->s[l] + (1 - x->e_t[l])) * x->inv_S[l], L = (x->m[l] - x->z_t[l]) + x->log_S[l];
        Q[l] = squared ? square_of(q) : pow_f64(q, gamma);
        x->loss[l] = x->v[l] * x->w_t[l] * Q[l] * L;
    }
    if (!plan->derives)
        return;
    for (int l = 0; l < n; l++) {
        const double r = x->inv_S[l], R = x->s[l] + (1 - x->e_t[l]), p = x->e_t[l] * r, q = R * r;
        const double L = (x->m[l] - x->z_t[l]) + x->log_S[l];
        pr[l] = p == 0 ? 0 : q == 0 ? p : p * (L / q);
        x->per_e[l] = x->v[l] * x->w_t[l] * x->upstream[l] * Q[l] * (1 + gamma * pr[l]) * r;
        x->subtract[l] = 0;
        x->grad_t[l] = -x->per_e[l] * R;
    }
    if (plan->curves)
        answer_focal_hessians(plan, x, n, Q, pr);
}

INLINE void answer_focal(const ce_plan *plan, tile *x, int n)
{
    answer_focal_by(plan, x, n, false);
}

INLINE void answer_focal_2(const ce_plan *plan, tile *x, int n)
{
    answer_focal_by(plan, x, n, true);
}

/* gamma = 2, the usual one, needs no power. */
static void fill_focal(const ce_plan *plan, tile *x)
{
    if (plan->job->gamma == 2)
        fill_tile(answer_focal_2, plan, x);
    else
        fill_tile(answer_focal, plan, x);
}

#endif
