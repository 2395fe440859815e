/* regression.h - losses of the residual r = x - y, as element-wise losses.
 *
 *     mse         r^2                                          2 r              2           bound 2
 *     l1          |r|                                          sign r           0                 1, by convention
 *     huber       r^2 / 2 where |r| <= delta,                  r                1                 1
 *                 else delta (|r| - delta / 2)                 delta sign r     0                 1
 *     smooth_l1   r^2 / (2 beta) where |r| < beta,             r / beta         1 / beta          1 / beta
 *                 else |r| - beta / 2                          sign r           0                 1 / beta, 1 if beta =
 * 0
 *
 * Squares are taken of what is inside the limit only: no r is too large. Subnormal numbers count as 0. A limit that is
 * subnormal or infinite, or would be in float32, takes a loop of its own, in float64.
 */
#ifndef CE_ELEMENTS_REGRESSION_H
#define CE_ELEMENTS_REGRESSION_H

#include "elements/point.h"

INLINE real residual(element in)
{
    return normal(normal(in.x) - normal(in.y));
}

INLINE point mse(element in, point_options o)
{
    const real r = residual(in);

    (void)o;
    return (point){ r * r, 2 * r, 2 };
}

static void mse_loop(const span *s, int64_t n, point_options o)
{
    run_span(mse, OF_NUMBERS, s, n, o);
}

INLINE point l1(element in, point_options o)
{
    const real r = residual(in);

    return (point){ ABS(r), r > 0 ? 1 : r < 0 ? -1 : r, o.hessian == CE_BOUND };
}

static void l1_loop(const span *s, int64_t n, point_options o)
{
    run_span(l1, OF_NUMBERS, s, n, o);
}

INLINE point huber(element in, point_options o)
{
    const real r = residual(in), size = ABS(r), inside = size < o.delta ? size : o.delta;

    return (point){ inside * (size - (real)0.5 * inside),
                    r > o.delta    ? o.delta
                    : r < -o.delta ? -o.delta
                                   : r,
                    (size <= o.delta) | (o.hessian == CE_BOUND) };
}

INLINE point huber_whole(element in, point_options o)
{
    const double r = (double)residual(in), size = fabs(r), delta = o.whole_delta;
    const bool   inside = size <= delta;

    return (point){ (real)(inside ? 0.5 * size * size : delta * (size - 0.5 * delta)),
                    (real)(r > delta    ? delta
                           : r < -delta ? -delta
                                        : r),
                    inside | (o.hessian == CE_BOUND) };
}

/* Is a limit a number to compute with? */
static inline bool is_real(double limit)
{
    return limit >= (double)MIN_NORMAL && limit <= (double)MAX_FINITE;
}

static void huber_loop(const span *s, int64_t n, point_options o)
{
    if (is_real(o.whole_delta))
        run_span(huber, OF_NUMBERS, s, n, o);
    else
        run_span(huber_whole, OF_NUMBERS, s, n, o);
}

INLINE point smooth_l1(element in, point_options o)
{
    const real r = residual(in), size = ABS(r), part = r / o.beta, half = (real)0.5;
    const bool inside = size < o.beta, bound = o.hessian == CE_BOUND;

    return (point){ inside ? half * r * part : size - half * o.beta,
                    inside  ? part
                    : r > 0 ? 1
                    : r < 0 ? -1
                            : r,
                    (bound & (o.beta == 0)) ? 1
                    : (inside | bound)      ? 1 / o.beta
                                            : 0 };
}

INLINE point smooth_l1_whole(element in, point_options o)
{
    const double r = (double)residual(in), size = fabs(r), beta = o.whole_beta, part = r / beta;
    const bool   inside = size < beta;

    return (point){ (real)(inside ? 0.5 * r * part : size - 0.5 * beta),
                    inside  ? (real)part
                    : r > 0 ? 1
                    : r < 0 ? -1
                            : (real)r,
                    (inside | (o.hessian == CE_BOUND)) ? (real)(1 / beta) : 0 };
}

static void smooth_l1_loop(const span *s, int64_t n, point_options o)
{
    if (o.whole_beta == 0 || is_real(o.whole_beta))
        run_span(smooth_l1, OF_NUMBERS, s, n, o);
    else
        run_span(smooth_l1_whole, OF_NUMBERS, s, n, o);
}

#endif
