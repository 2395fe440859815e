/* kl_div.h - Kullback-Leibler divergence of a target p from exp(input), as two element-wise losses.
 *
 *     kl_div       p (log p - x)        -p          0      p = y
 *     kl_div_log                                           p = e^y
 *
 * p = 0 gives 0, whatever x is.
 */
#ifndef CE_ELEMENTS_KL_DIV_H
#define CE_ELEMENTS_KL_DIV_H

#include "elements/point.h"

INLINE point kl_div(element in, point_options o)
{
    const real p = normal(in.y);

    (void)o;
    return (point){ times(p, LOG(p) - in.x), -p, 0 };
}

static void kl_div_loop(const span *s, int64_t n, point_options o)
{
    run_span(kl_div, OF_NUMBERS, s, n, o);
}

INLINE point kl_div_log(element in, point_options o)
{
    const real p = exp_any(in.y);

    (void)o;
    return (point){ times(p, in.y - in.x), -p, 0 };
}

static void kl_div_log_loop(const span *s, int64_t n, point_options o)
{
    run_span(kl_div_log, OF_NUMBERS, s, n, o);
}

#endif
