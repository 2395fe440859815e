/* cross_entropy.h - cross-entropy with label smoothing and class weights, as two softmax links.
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
INLINE void fill_cross_entropy(const ce_plan *plan, tile *x, int n)
{
    const double eps = plan->job->label_smoothing, W = plan->w_sum, b = eps / plan->classes;

    for (int l = 0; l < n; l++) {
        const double log_S = x->log_S[l], a = (1 - eps) * x->w_t[l];
        x->loss[l] = x->v[l] * a * ((x->m[l] - x->z_t[l]) + log_S);
        if (eps != 0) /* a = 0 takes nothing of an infinite nll */
            x->loss[l] = (a == 0 ? 0 : x->loss[l]) + x->v[l] * b * (W * log_S + x->tilt[l]);
    }
    for (int l = 0; plan->derives && l < n; l++) {
        const double a = (1 - eps) * x->w_t[l], r = x->inv_S[l], scale = x->upstream[l] * x->v[l];
        x->per_e[l] = scale * a * r;
        x->grad_t[l] = -x->per_e[l] * (x->s[l] + (1 - x->e_t[l]));
        x->shift[l] = scale * b;
        if (eps != 0) {
            x->per_e[l] = scale * (a + b * W) * r;
            x->grad_t[l] += scale * b * (W * x->e_t[l] * r - x->w_t[l]);
        }
    }
    for (int l = 0; plan->curves && l < n; l++) {
        x->curve[l] = x->per_e[l];
        x->part[l] = x->inv_S[l];
        x->bend[l] = 0;
        x->hess_t[l] = x->curve[l] * x->e_t[l] * ((x->s[l] + (1 - x->e_t[l])) * x->part[l]);
    }
}

INLINE void fill_cross_entropy_probabilities(const ce_plan *plan, tile *x, int n)
{
    for (int l = 0; l < n; l++) {
        const double U = x->u_sum[l];
        x->loss[l] = plan->classes == 0 ? 0 : x->v[l] * (U * x->log_S[l] + x->tilt[l]);
    }
    for (int l = 0; plan->derives && l < n; l++) {
        const double share = x->upstream[l] * x->v[l] * x->inv_S[l];
        x->per_e[l] = share * x->u_sum[l];
        x->shift[l] = share;
    }
    for (int l = 0; plan->curves && l < n; l++) {
        x->curve[l] = x->per_e[l];
        x->part[l] = x->inv_S[l];
        x->bend[l] = 0;
    }
}

FILL(cross_entropy)
FILL(cross_entropy_probabilities)

static const ce_link cross_entropy_link = { .name = "cross_entropy",
                                            .emits = PROBABILITIES,
                                            .fill = cross_entropy_fill };
static const ce_link cross_entropy_probabilities_link = { .name = "cross_entropy_probabilities",
                                                          .emits = SHARES,
                                                          .fill = cross_entropy_probabilities_fill };
