/* binary.h - binary cross-entropy, from probabilities and from logits, as element-wise losses.
 *
 *     bce              -y max(log x, -100) - (1 - y) max(log(1 - x), -100)
 *                      (x - y) / max(x (1 - x), 1e-12)
 *                      y / x^2 + (1 - y) / (1 - x)^2, x and 1 - x no less than 1e-12
 *     bce_with_logits  (1 - y) log(1 + e^x) + pos y log(1 + e^-x), 0 times infinity being 0
 *                      (1 - y) sigma(x) - pos y sigma(-x)
 *                      (1 - y + pos y) sigma(x) sigma(-x)
 */
#ifndef CE_ELEMENTS_BINARY_H
#define CE_ELEMENTS_BINARY_H

#include "elements/point.h"

/* log(1 - x), to the last digits of small x: what 1 - x loses is added. */
INLINE real log_of_rest(real x)
{
    const real rest = 1 - x, lost = (1 - rest) - x;
    return LOG(rest) + lost / (rest + ZERO_IF(rest != 0, 1));
}

INLINE point bce(element in, point_options o)
{
    const real least = (real)1e-12, p = normal(in.x), rest = 1 - p, yes = normal(in.y), no = 1 - yes;
    const real log_x = LOG(in.x), log_rest = log_of_rest(p), both = p * rest;
    const real a = log_x < -100 ? -100 : log_x, b = log_rest < -100 ? -100 : log_rest;
    const real p_low = p < least ? least : p, rest_low = rest < least ? least : rest;

    (void)o;
    return (point){ -(yes * a + no * b), (p - yes) / (both < least ? least : both),
                    yes / (p_low * p_low) + no / (rest_low * rest_low) };
}

static void bce_loop(const span *s, int64_t n, point_options o)
{
    run_span(bce, OF_NUMBERS, s, n, o);
}

/* With the weights a of log(1 + e^|x|) and b of log(1 + e^-|x|): 1 - y and pos y, or swapped where x < 0. */
INLINE point bce_with_logits(element in, point_options o)
{
    const sigmoid s = sigmoid_of(in);
    const real    no = 1 - in.y, yes = in.pos * in.y, a = BY_SIGN(in.x, no, yes), b = BY_SIGN(in.x, yes, no);

    (void)o;
    return (point){ FMA(no + yes, s.rest, times(a, ABS(in.x))), odd(in.x, s.share * FMA(-s.e, b, a)),
                    (no + yes) * (s.e * s.share * s.share) };
}

static void bce_with_logits_loop(const span *s, int64_t n, point_options o)
{
    run_span(bce_with_logits, OF_LOGITS, s, n, o);
}

#endif
