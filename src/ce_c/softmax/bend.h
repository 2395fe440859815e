/* bend.h - logits as the loss sees them, where they are scaled, capped or cooled:
 *
 *     u = outer tanh(inner z)      outer = softcap / temperature,  inner = logit_scale / softcap
 *     u = outer z                  outer = logit_scale / temperature
 *
 * A logit of -inf stays what it is; +inf becomes NaN, but where it stays the largest. Those of classes that cannot be
 * are hidden: they become -inf, whatever they hold. What that makes of derivatives:
 *
 *     g_z = g_u u'      h_z = u' (h_u u' + g_u c)      u' = outer inner sech^2(inner z),  c = -2 inner tanh(inner z)
 */
#ifndef CE_SOFTMAX_BEND_H
#define CE_SOFTMAX_BEND_H

#include "kernel.h"
#include "softmax/steps.h"

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

/* The derivatives u' of n numbers that are capped: sech^2 x = 4 E / (1 + E)^2, E = e^(-2|x|). */
static void bend_slopes(const ce_plan *plan, const real *z, real *slopes, int64_t n)
{
    const real inner = (real)plan->inner, factor = (real)(4 * plan->outer * plan->inner);

    SIMD
    for (int64_t i = 0; i < n; i++) {
        const real E = EXP(-2 * ABS(inner * z[i])), by = 1 / (1 + E);
        slopes[i] = normal(factor * E * by * by);
    }
}

/* n numbers of classes of which some cannot be; where: a byte for each, step bytes apart. */
static void hide(const char *where, int64_t step, real *z, int64_t n)
{
    if (step == 1)
        for (int64_t k = 0; k < n; k++) z[k] = where[k] ? z[k] : -INFINITY;
    else
        for (int64_t k = 0; k < n; k++) z[k] = where[k * step] ? z[k] : -INFINITY;
}

/* n numbers of classes of which some cannot be become 0. */
static void clear_hidden(const char *where, int64_t step, real *x, int64_t n)
{
    for (int64_t k = 0; k < n; k++) x[k] = where[k * step] ? x[k] : 0;
}

/* n numbers, bent and hidden, to u; also in place. */
static void view_logits(const ce_plan *plan, const char *where, int64_t step, const real *z, real *u, int64_t n)
{
    if (plan->bends)
        bend(plan, z, u, n);
    else if (u != z)
        memcpy(u, z, (size_t)n * sizeof(real));
    if (plan->hides)
        hide(where, step, u, n);
}

/* n gradients of logits that are capped, and Hessians, or NULL: by is the factor of the latter. */
static void bend_derivatives(const ce_plan *plan, const real *z, int64_t n, double by, real *grad, real *hess)
{
    const real inner = (real)plan->inner, factor = (real)(-2 * plan->inner * by);
    real       slopes[CHUNK];

    bend_slopes(plan, z, slopes, n);
    if (hess) {
        SIMD
        for (int64_t i = 0; i < n; i++)
            hess[i] = normal(slopes[i] * FMA(hess[i], slopes[i], grad[i] * (factor * TANH(inner * z[i]))));
    }
    SIMD
    for (int64_t i = 0; i < n; i++) grad[i] = normal(grad[i] * slopes[i]);
}

#endif
