/* information.h - entropy, relative entropy and cross-entropy of distributions: sums over one axis.
 *
 *     entropy                -p log p
 *     relative_entropy        p log(p / q)
 *     cross_entropy_between  -p log q
 *
 * Each is 0 where p = 0; NaN where p or q is negative. Computed in float64.
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

#endif
