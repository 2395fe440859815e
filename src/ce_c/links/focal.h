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

INLINE void answer_focal(const ce_plan *plan, tile *x, int n)
{
    const double gamma = plan->job->gamma;

    for (int l = 0; l < n; l++) {
        const double r = x->inv_S[l], R = x->s[l] + (1 - x->e_t[l]), p = x->e_t[l] * r, q = R * r;
        const double L = (x->m[l] - x->z_t[l]) + x->log_S[l], Q = pow_f64(q, gamma);
        const double pr = p == 0 ? 0 : q == 0 ? p : p * (L / q), pL = p == 0 ? 0 : p * L;
        const double scale = x->v[l] * x->w_t[l], B = 1 + gamma * pr, D = gamma * ((2 * p - pL) + (gamma - 1) * p * pr);
        const double A = scale * x->upstream[l] * Q * B, C = scale * x->upstream[l] * Q * q;

        x->loss[l] = scale * Q * L;
        x->per_e[l] = A * r;
        x->subtract[l] = 0;
        x->grad_t[l] = -x->per_e[l] * R;
        if (plan->job->hessian == CE_EXACT) {
            x->hess_scale[l] = R == 0 ? 0 : C / R;
            x->hess_rest[l] = B * r;
            x->hess_e[l] = R == 0 ? 0 : D / R;
            x->hess_t[l] = C * (D + p * B);
        } else {
            x->hess_scale[l] = A * r;
            x->hess_rest[l] = r;
            x->hess_e[l] = 0;
            x->hess_t[l] = A * p * q;
        }
        x->pull[l] = 0;
    }
}

static void fill_focal(const ce_plan *plan, tile *x)
{
    fill_tile(answer_focal, plan, x);
}

#endif
