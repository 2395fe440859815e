/* factors.h - what gradients and Hessians are made of beside the exponentials: shares, factors that neither overflow
 * nor underflow.
 */
#ifndef CE_SOFTMAX_FACTORS_H
#define CE_SOFTMAX_FACTORS_H

#include "softmax/tile.h"

/* How results come of exponentials e that stand times 2^64 and are those of z - m_b, m_b the maximum of their block:
 * exp(z - m) = e unit; (factor) exp(z - m) = (e a) b, or 0 where that would be subnormal: for e < least. */
typedef struct {
    real a, b, least, unit;
} e_scale;

/* A factor of exponentials times 2^64 as a product of two that do not overflow: a finite one leaves 0 what is 0. */
INLINE void split_factor(double factor, real *a, real *b)
{
    const double size = fabs(factor), most = (double)MAX_FINITE;
    const bool   huge = size >= 0x1p64 * most && size < INFINITY, large = size >= 0x1p-60;
    const double part = factor * (huge ? 0x1p-128 : large ? 0x1p-64 : 1);

    *a = !large ? (real)0x1p-64 : !huge ? (real)part : (real)(part > most ? most : part < -most ? -most : part);
    *b = huge ? (real)0x1p64 : large ? 1 : (real)factor;
}

static e_scale e_scale_of(double factor, double fade)
{
    const double by = factor * fade, least = (double)MIN_NORMAL * 0x1p64 * (1 + 0x1p-20) / fabs(by);
    e_scale      f;

    split_factor(by, &f.a, &f.b);
    f.least = least == 0 ? 0 : least < (double)MIN_NORMAL ? MIN_NORMAL : (real)least;
    f.unit = normal((real)(0x1p-64 * fade));
    return f;
}

INLINE real scaled(real e, e_scale f)
{
    const real y = (e * f.a) * f.b;
    return ZERO_IF(e < f.least, y);
}

/* exp(m - all) for the maxima of a block and of its row. */
static inline double fade_of(double m, double all)
{
    return m == all ? 1 : exp_f64(m - all, BY_1_F64, EXP_LO_F64);
}

/* A factor of e = exp(x), as (factor) (e unit) or, if large, as (factor unit) e. */
typedef struct {
    real factor, unit;
} e_factor;

/* Neither infinite nor subnormal: beyond the limit e is 0. */
static inline e_factor e_factor_of(double factor, real unit)
{
    const bool   small = fabs(factor) < 1;
    const double x = small ? factor : factor * (double)unit, most = 1 / (double)MIN_NORMAL;
    return (e_factor){ normal((real)(x > most ? most : x < -most ? -most : x)), small ? unit : 1 };
}

/* What label smoothing takes from the gradient of a class of weight w: nothing of an item that does not count, or whose
 * gradient is times 0, whatever the weight is. */
INLINE real less_of(real subtract, real w)
{
    return ZERO_IF(subtract == 0, normal(subtract * w));
}

/* What multiplies every Hessian. */
static inline double hess_factor_of(const ce_job *job)
{
    return job->hess_scale * (job->hessian == CE_BOUND ? 2 : 1);
}

/* One item's part of its Hessians. */
typedef struct {
    real     s, rest; /* hess_rest */
    e_factor by_e;    /* hess_e */
} hess_factors;

/* c p (rest (s + 1 - p) + by_e p) with p = e unit and c p given. */
INLINE real hess_of(real e, real c_p, real unit, hess_factors h)
{
    return normal(c_p * FMA(h.by_e.factor, e * h.by_e.unit, (h.s + (1 - e * unit)) * h.rest));
}

/* The sum of an item's shares u: rounded, what rounding left (u may be all of the sum but for that), and 1 / sum, 0
 * where there is nothing to share. */
typedef struct {
    real sum, low, inv;
} share_total;

static inline share_total share_total_of(double share_sum)
{
    const real sum = (real)share_sum;
    return (share_total){ sum, low_of(share_sum, sum), share_sum == 0 ? 0 : normal((real)(1 / share_sum)) };
}

/* One item's part of its gradients, where it has shares. */
typedef struct {
    real        s, subtract;
    share_total all;
} share_factors;

/* c p (share_sum - u) / share_sum - subtract u (s + 1 - p) with p = e unit and c p given: with u all of share_sum, as
 * for a hard target, the first term vanishes. */
INLINE real share_grad(real e, real c_p, real unit, real u, share_factors f)
{
    const real rest = normal(f.all.sum - u + f.all.low) * f.all.inv;
    return normal(c_p * rest - normal(f.subtract * u) * (f.s + (1 - e * unit)));
}

/* u = w (q (1 - eps) + eps / K); w = 1 if absent. */
typedef struct {
    real scale, base;
} smoother;

static inline smoother smoother_of(const ce_plan *plan, double classes)
{
    const double eps = plan->job->label_smoothing;
    return (smoother){ (real)(1 - eps), (real)(eps / classes) };
}

/* Is it to be known how many classes each item has? */
static inline bool counts_classes(const ce_plan *plan)
{
    return plan->hides && plan->job->label_smoothing != 0;
}

/* Has each class of each item a weight of its own in sums of gaps? */
static inline bool has_shares(const softmax_call *call)
{
    return call->link->emits == SHARES || counts_classes(call->plan);
}

/* What the square of an item's log-sum-exp adds to its loss. */
INLINE double z_loss_of(const ce_plan *plan, const tile *x, int l)
{
    const double lse = x->m[l] + x->log_S[l];
    return x->v[l] * plan->z_loss * lse * lse;
}

/* Are sums of u (m - z) asked for? */
static inline bool sums_gaps(const softmax_call *call)
{
    return call->plan->job->label_smoothing != 0 || call->link->emits == SHARES;
}

/* exp(z - m) ((m - z) - mean) times 2^64. */
INLINE real heat_of(real z, real m, real mean)
{
    return ZERO_IF(z == -INFINITY, EXP(z - m) * ((m - z) - mean) * (real)0x1p64);
}

#endif
