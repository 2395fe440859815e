/* bend.h - logits as the loss sees them, where they are scaled, capped or cooled:
 *
 *     u = outer tanh(inner z)      outer = softcap / temperature,  inner = logit_scale / softcap
 *     u = outer z                  outer = logit_scale / temperature
 *
 * A logit of -inf stays what it is; +inf becomes NaN, but where it stays the largest.
 */
#ifndef CE_SOFTMAX_BEND_H
#define CE_SOFTMAX_BEND_H

#include "kernel.h"
#include "real/real.h"

/* n numbers; also in place. */
static void bend(const ce_plan *plan, const real *z, real *u, int64_t n)
{
    const real outer = (real)plan->outer, inner = (real)plan->inner;

    if (plan->inner != 0) {
        SIMD
        for (int64_t i = 0; i < n; i++) {
            const real x = z[i], y = outer * TANH(inner * x), gone = x - x; /* NaN where x is infinite */
            u[i] = x == -INFINITY ? x : y + gone;
        }
    } else if (outer < 0) {
        SIMD
        for (int64_t i = 0; i < n; i++) {
            const real x = z[i], gone = x - x;
            u[i] = x == -INFINITY ? x : outer * x + gone;
        }
    } else {
        SIMD
        for (int64_t i = 0; i < n; i++) u[i] = outer * z[i];
    }
}

/* The derivatives du/dz of n numbers that are capped: outer inner sech^2(inner z); sech^2 x = 4 E / (1 + E)^2,
 * E = e^(-2|x|). */
static void bend_slopes(const ce_plan *plan, const real *z, real *slopes, int64_t n)
{
    const real inner = (real)plan->inner, factor = (real)(4 * plan->outer * plan->inner);

    SIMD
    for (int64_t i = 0; i < n; i++) {
        const real E = EXP(-2 * ABS(inner * z[i])), by = 1 / (1 + E);
        slopes[i] = normal(factor * E * by * by);
    }
}

/* n numbers that may be copies already. */
static inline const real *bent(const ce_plan *plan, const real *z, int64_t n, real *copy)
{
    if (!plan->bends)
        return z;
    bend(plan, z, copy, n);
    return copy;
}

#endif
