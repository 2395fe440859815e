/* information.h - entropy, relative entropy and cross-entropy of distributions: sums over one axis.
 *
 *     entropy                -p log p
 *     relative_entropy        p log(p / q)
 *     cross_entropy_between  -p log q
 *
 * Each is 0 where p = 0; NaN where p or q is negative. Computed in float64. Beside them, of a softmax from its logits,
 * with the heat T = sum_k e_k (m - z_k),
 *
 *     entropy     v (log1p(s) + T / S)        grad_k = v p_k ((m - z_k) - T / S)
 */
#ifndef CE_LINKS_INFORMATION_H
#define CE_LINKS_INFORMATION_H

#include "softmax/tile.h"

/* x, or NaN for a p that is negative or NaN. */
INLINE double unless_negative(double x, double p)
{
    const uint64_t bits = bits_f64(p), bad = ((bits > 0x7ff0000000000000u) & (bits << 1 != 0));
    return f64_bits(bits_f64(x) | -bad);
}

static void entropy_terms(const double *p, const double *q, double *terms)
{
    (void)q;
    SIMD
    for (int l = 0; l < TILE; l++) terms[l] = zero_if_f64(p[l] == 0, -p[l] * log_f64(p[l]));
}

static void relative_entropy_terms(const double *p, const double *q, double *terms)
{
    SIMD
    for (int l = 0; l < TILE; l++)
        terms[l] = unless_negative(zero_if_f64(p[l] == 0, p[l] * log_ratio_f64(p[l], q[l])), q[l]);
}

static void cross_entropy_between_terms(const double *p, const double *q, double *terms)
{
    SIMD
    for (int l = 0; l < TILE; l++)
        terms[l] = unless_negative(unless_negative(zero_if_f64(p[l] == 0, -p[l] * log_f64(q[l])), q[l]), p[l]);
}

/* The sum of the terms is the loss. */
INLINE void answer_terms(const ce_plan *plan, tile *x, int n)
{
    (void)plan;
    for (int l = 0; l < n; l++) x->loss[l] = x->class_sum[l];
}

static void fill_terms(const ce_plan *plan, tile *x)
{
    fill_tile(answer_terms, plan, x);
}

INLINE void answer_entropy(const ce_plan *plan, tile *x, int n)
{
    for (int l = 0; l < n; l++) {
        const double mean = x->heat[l] / (1 + x->s[l]); /* s is NaN where m is not finite */
        x->loss[l] = x->v[l] * (x->log_S[l] + mean);
        x->per_e[l] = x->upstream[l] * x->v[l] * x->inv_S[l];
        x->subtract[l] = mean;
    }
    (void)plan;
}

static void fill_entropy(const ce_plan *plan, tile *x)
{
    fill_tile(answer_entropy, plan, x);
}

#endif
