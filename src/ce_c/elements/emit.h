/* emit.h - what is written of a span beside the losses: derivatives, or a Hessian times a vector.
 */
#ifndef CE_ELEMENTS_EMIT_H
#define CE_ELEMENTS_EMIT_H

#include "elements/span.h"
#include "real/memory.h"

/* Where a worker is: one walk for each array, and room for what must be copied. */
typedef struct {
    walk w[CE_ARRAYS];
    _Alignas(LINE) real ones[SPAN], copy[6][SPAN], value[SPAN], grad[SPAN], hess[SPAN];
} element_worker;

/* Derivatives times c, weight and upstream gradient, in float64; 0 where the weight is. */
static void scale_span(real *x, double c, const real *weight, const real *upstream, int64_t n)
{
    SIMD
    for (int64_t i = 0; i < n; i++) {
        const double factor = c * (double)weight[i] * (double)upstream[i];
        x[i] = ZERO_IF(weight[i] == 0, normal((real)((double)x[i] * factor)));
    }
}

/* Hessians below the floor are raised to it, but where the weight is 0 */
static void raise_span(real *hess, real floor, const real *weight, int64_t n)
{
    SIMD
    for (int64_t i = 0; i < n; i++) hess[i] = ((hess[i] < floor) & (weight[i] != 0)) ? floor : hess[i];
}

/* What multiplies the derivatives of a span, unless the loss has done that. */
typedef struct {
    double      c;
    bool        grad_done, hess_done;
    const real *weight, *upstream;
} span_scale;

static void write_derivatives(const ce_job *job, element_worker *at, const span *s, int64_t n, const span_scale *scale)
{
    const real floor = normal((real)job->hess_floor);

    if (s->grad && !scale->grad_done)
        scale_span(s->grad, scale->c, scale->weight, scale->upstream, n);
    if (s->hess && job->hessian == CE_ABS) /* the gradient's size, weights included */
        for (int64_t j = 0; j < n; j++) s->hess[j] = normal((real)(fabs((double)s->grad[j]) * job->hess_scale));
    else if (s->hess && !scale->hess_done)
        scale_span(s->hess, scale->c * job->hess_scale, scale->weight, scale->upstream, n);
    if (s->hess && floor >= 0)
        raise_span(s->hess, floor, scale->weight, n);
    if (s->grad == at->grad)
        scatter_span(&at->w[CE_GRAD], n, at->grad);
    if (s->hess == at->hess)
        scatter_span(&at->w[CE_HESS], n, at->hess);
}

/* Hessians times the numbers of a vector, to where the gradient would go: only then, as it may be the vector. */
static void write_products(element_worker *at, const real *by, int64_t n, const span_scale *scale)
{
    const real *weight = scale->weight, *upstream = scale->upstream;
    real *const to = place_span(&at->w[CE_GRAD], n, at->grad);

    SIMD
    for (int64_t i = 0; i < n; i++) {
        const double factor = scale->c * (double)weight[i] * (double)upstream[i] * (double)by[i];
        to[i] = ZERO_IF(weight[i] == 0, normal((real)((double)at->hess[i] * factor)));
    }
    if (to == at->grad)
        scatter_span(&at->w[CE_GRAD], n, to);
}

/* All that is asked for. */
INLINE void write_span(const ce_plan *plan, element_worker *at, const span *s, int64_t n, const span_scale *scale)
{
    if (plan->multiplies)
        write_products(at, gather_span(&at->w[CE_VECTOR], n, at->copy[5]), n, scale);
    else
        write_derivatives(plan->job, at, s, n, scale);
}

#endif
