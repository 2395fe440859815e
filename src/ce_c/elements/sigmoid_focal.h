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

/* Q; where it is small, times RAISED, and `unit` takes that back after the last product. */
typedef struct {
    real Q, unit;
} focal_weight;

INLINE focal_weight raised_weight(real a, real R, real gamma, bool squared)
{
    const real root = R * ROOT_RAISED, Q = a * (squared ? root * root : POW_RAISED(R, gamma));
    const bool small = Q < 1;
    return (focal_weight){ small ? Q : Q * (1 / RAISED), small ? 1 / RAISED : 1 };
}

/* far: e may be 0 or Q subnormal, while ce is large, even infinite. */
INLINE point focal_by(element in, point_options o, bool squared, bool far)
{
    const sigmoid      s = sigmoid_of(in);
    const real         no = 1 - in.y, u = BY_SIGN(in.x, no, in.y), v = BY_SIGN(in.x, in.y, no), e = s.e, S = s.share;
    const real         mix = FMA(v, e, u), R = S * mix, a = FMA(o.weight_of_yes, in.y, o.weight_of_no * no);
    const focal_weight w =
        far ? raised_weight(a, R, o.gamma, squared) : (focal_weight){ a * (squared ? R * R : POW(R, o.gamma)), 1 };
    const bool no_e = far & (e == 0);
    const real Q = w.Q, ce = ZERO_IF(far & (u == 0), u * ABS(in.x)) + s.rest;
    const real d = odd(in.x, 1 - 2 * in.y), slope = S * FMA(-v, e, u), V = ZERO_IF(no_e, e * S / mix);
    const real V_ce = o.gamma * ZERO_IF(no_e, V * ce);
    const real grad = odd(in.x, Q * FMA(d, V_ce, slope) * w.unit), hits = S * FMA(u, e, v);
    const real exact =
        Q * (e * S * S + 2 * o.gamma * d * V * slope + V_ce * ((o.gamma - 1) * d * d * V + d * S * (e - 1)));

    return (point){ ZERO_IF(far & (Q == 0), Q * ce) * w.unit, grad,
                    o.hessian == CE_EXACT ? exact * w.unit : ABS(grad) * hits };
}

INLINE point sigmoid_focal_any(element in, point_options o)
{
    return focal_by(in, o, false, false);
}

INLINE point sigmoid_focal_2(element in, point_options o)
{
    return focal_by(in, o, true, false);
}

INLINE point sigmoid_focal_far(element in, point_options o)
{
    return focal_by(in, o, false, true);
}

INLINE point sigmoid_focal_far_2(element in, point_options o)
{
    return focal_by(in, o, true, true);
}

/* Up to this |x| neither e nor Q is subnormal: R is at least e / 2, and a, here, 2^-10 or e^-6.94. */
static inline real near_of(point_options o)
{
    const real least_a = o.weight_of_no < o.weight_of_yes ? o.weight_of_no : o.weight_of_yes;
    return least_a < (real)0x1p-10 ? -1 : (-7 - EXP_LO) / (o.gamma < 1 ? 1 : o.gamma) - 1;
}

/* Finds e^-|x| of n numbers, and the largest |x|, in one visit to memory. */
static inline real exps_of_sizes(const real *x, int64_t n, real *e)
{
    real    top[LANES] = { 0 };
    int64_t i = 0;

    for (; i + LANES <= n; i += LANES)
        LANE(l) {
            const real size = ABS(x[i + l]);
            e[i + l] = EXP(-size);
            top[l] = size > top[l] ? size : top[l];
        }
    for (int l = 0; i + l < n; l++) {
        const real size = ABS(x[i + l]);
        e[i + l] = EXP(-size);
        top[l] = size > top[l] ? size : top[l];
    }
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) top[l] = top[half + l] > top[l] ? top[half + l] : top[l];
    return top[0];
}

/* gamma = 2, the usual one, needs no power. */
static void sigmoid_focal_loop(const span *given, int64_t n, point_options o)
{
    real       e[SPAN];
    span       s = *given;
    const bool near = exps_of_sizes(s.x, n, e) <= near_of(o);

    s.e = e;
    if (o.gamma == 2 && near)
        run_span(sigmoid_focal_2, OF_GIVEN, &s, n, o);
    else if (o.gamma == 2)
        run_span(sigmoid_focal_far_2, OF_GIVEN, &s, n, o);
    else if (near)
        run_span(sigmoid_focal_any, OF_GIVEN, &s, n, o);
    else
        run_span(sigmoid_focal_far, OF_GIVEN, &s, n, o);
}

#endif
