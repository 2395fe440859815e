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

#include "softmax/factors.h"
#include "softmax/steps.h"

/* n numbers that are capped, at most CHUNK, and the slopes u' if they are asked for; also in place of either. */
INLINE void cap_chunk(const ce_plan *plan, const real *z, real *u, real *slopes, int64_t n)
{
    const real outer = (real)plan->outer, inner = (real)plan->inner, both = (real)(plan->outer * plan->inner);
    real       e[CHUNK], less_1[CHUNK], q[CHUNK];

    SIMD
    for (int64_t i = 0; i < n; i++) {
        const decay_start start = START_DECAY(-2 * ABS(inner * z[i]));
        e[i] = start.t, less_1[i] = start.r, q[i] = start.q;
    }
    SIMD
    for (int64_t i = 0; i < n; i++) {
        const decay_pair decay = DECAY_FROM(((decay_start){ e[i], less_1[i], q[i] }));
        e[i] = decay.e, less_1[i] = decay.less_1;
    }
    SIMD
    for (int64_t i = 0; i < n; i++) {
        const real      x = z[i], gone = x - x; /* NaN where x is infinite */
        const tanh_pair t = TANH_FROM(inner * x, ((decay_pair){ e[i], less_1[i] }));
        u[i] = CHOSEN_BY(-(real_word)(x == -INFINITY), x, outer * t.tanh + gone);
        if (slopes)
            slopes[i] = normal(both * t.sech2);
    }
}

/* Any number of them. The loops are three, as one would be a long chain of operations. */
static void cap(const ce_plan *plan, const real *z, real *u, real *slopes, int64_t n)
{
    for (int64_t i = 0; i < n; i += CHUNK) {
        const int64_t some = smaller(n - i, CHUNK);
        if (slopes)
            cap_chunk(plan, z + i, u + i, slopes + i, some);
        else
            cap_chunk(plan, z + i, u + i, NULL, some);
    }
}

/* n numbers; also in place. */
static void scale(const ce_plan *plan, const real *z, real *u, int64_t n)
{
    const real outer = (real)plan->outer;

    if (outer < 0) {
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

static void bend(const ce_plan *plan, const real *z, real *u, real *slopes, int64_t n)
{
    if (plan->inner != 0)
        cap(plan, z, u, slopes, n);
    else
        scale(plan, z, u, n);
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

/* Logits before they are looked at: where some of their classes cannot be, a byte for each, step bytes apart; where the
 * slopes go of those that are capped, or NULL. */
typedef struct {
    const char *where;
    int64_t     step;
    real       *slopes;
} logit_view;

/* n numbers, bent and hidden, to u; also in place. */
static void view_logits(const ce_plan *plan, logit_view view, const real *z, real *u, int64_t n)
{
    if (plan->bends)
        bend(plan, z, u, view.slopes, n);
    else if (u != z)
        memcpy(u, z, (size_t)n * sizeof(real));
    if (plan->hides)
        hide(view.where, view.step, u, n);
}

/* Are Hessians of capped logits made of those with respect to these? */
static inline bool bends_hessians(const ce_plan *plan)
{
    return plan->curves && plan->job->hessian != CE_ABS;
}

/* n gradients of logits that are capped. */
static void bend_gradients(const real *slopes, real *grad, int64_t n)
{
    SIMD
    for (int64_t i = 0; i < n; i++) grad[i] = normal(grad[i] * slopes[i]);
}

/* n gradients and Hessians, from the logits as they were. */
static void bend_hessians(const ce_plan *plan, const real *z, real *grad, real *hess, int64_t n)
{
    const ce_job *job = plan->job;
    const double  by = job->hessian == CE_GAUSS_NEWTON ? 0 : hess_factor_of(job);
    const real    inner = (real)plan->inner, factor = (real)(-2 * plan->inner * by);
    const real    both = (real)(plan->outer * plan->inner);

    SIMD
    for (int64_t i = 0; i < n; i++) {
        const tanh_pair t = TANH_BOTH(inner * z[i]);
        const real      slope = normal(both * t.sech2);
        hess[i] = normal(slope * FMA(hess[i], slope, grad[i] * (factor * t.tanh)));
        grad[i] = normal(grad[i] * slope);
    }
}

#endif
