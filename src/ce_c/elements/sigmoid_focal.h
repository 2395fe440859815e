/* sigmoid_focal.h - the focal loss of independent labels 0 <= y <= 1, as an element-wise loss.
 *
 *     p = sigma(x),  n = sigma(-x),  R = y n + (1 - y) p,  a = alpha_1 y + alpha_0 (1 - y),  Q = R^gamma
 *     ce = y log(1 + e^-x) + (1 - y) log(1 + e^x),  ce' = (1 - y) p - y n,  d = 1 - 2 y,  V = p n / R (0/0 = 0)
 *     value  a Q ce
 *     grad   a Q [ce' + gamma d V ce]
 *     hess   a Q [p n + 2 gamma d V ce' + gamma V ce ((gamma - 1) d^2 V + d (n - p))]
 *            Gauss-Newton: |grad| (1 - R)
 *
 * With e = e^-|x|, S = sigma(|x|), and u, v for 1 - y, y, or, where x < 0, for y, 1 - y:
 *     R = S (u + v e),  V = e S / (u + v e),  ce = u |x| + log(1 + e);  where x < 0, ce', d and n - p change sign:
 *     ce' = S (u - v e),  n - p = S (e - 1)
 */
#ifndef CE_ELEMENTS_SIGMOID_FOCAL_H
#define CE_ELEMENTS_SIGMOID_FOCAL_H

#include "elements/point.h"

INLINE point focal_by(element in, point_options o, bool squared)
{
    const sigmoid s = sigmoid_of(in);
    const real    no = 1 - in.y, u = BY_SIGN(in.x, no, in.y), v = BY_SIGN(in.x, in.y, no), e = s.e, S = s.share;
    const real    mix = FMA(v, e, u), R = S * mix, power = squared ? normal(R * R) : POW(R, o.gamma);
    const real    Q = FMA(o.weight_of_yes, in.y, o.weight_of_no * no) * power, ce = times(u, ABS(in.x)) + s.rest;
    const real    d = odd(in.x, 1 - 2 * in.y), slope = S * FMA(-v, e, u), V = ZERO_IF(e == 0, e * S / mix);
    const real    V_ce = o.gamma * ZERO_IF(e == 0, V * ce);
    const real    grad = odd(in.x, Q * FMA(d, V_ce, slope)), hits = S * FMA(u, e, v);
    const real    exact =
        Q * (e * S * S + 2 * o.gamma * d * V * slope + V_ce * ((o.gamma - 1) * d * d * V + d * S * (e - 1)));

    return (point){ times(Q, ce), grad, o.hessian == CE_EXACT ? exact : ABS(grad) * hits };
}

INLINE point sigmoid_focal_any(element in, point_options o)
{
    return focal_by(in, o, false);
}

INLINE point sigmoid_focal_2(element in, point_options o)
{
    return focal_by(in, o, true);
}

/* gamma = 2, the usual one, needs no power. */
static void sigmoid_focal_loop(const span *s, int64_t n, point_options o)
{
    if (o.gamma == 2)
        run_span(sigmoid_focal_2, OF_LOGITS, s, n, o);
    else
        run_span(sigmoid_focal_any, OF_LOGITS, s, n, o);
}

#endif
