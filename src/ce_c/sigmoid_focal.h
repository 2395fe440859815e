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
INLINE NAME(point) NAME(focal_by)(NAME(input) in, NAME(options) o, bool squared)
{
    const NAME(sigmoid) s = NAME(sigmoid_of)(in);
    const REAL no = 1 - in.y, u = BY_SIGN(in.x, no, in.y), v = BY_SIGN(in.x, in.y, no), e = s.e, S = s.share;
    const REAL mix = FMA(v, e, u), R = S * mix, power = squared ? NAME(normal)(R * R) : POW(R, o.gamma);
    const REAL Q = FMA(o.alpha[1], in.y, o.alpha[0] * no) * power, ce = NAME(times)(u, ABS(in.x)) + s.rest;
    const REAL d = NAME(odd)(in.x, 1 - 2 * in.y), slope = S * FMA(-v, e, u), V = ZERO_IF(e == 0, e * S / mix);
    const REAL V_ce = o.gamma * ZERO_IF(e == 0, V * ce);
    const REAL grad = NAME(odd)(in.x, Q * FMA(d, V_ce, slope)), hits = S * FMA(u, e, v);
    const REAL exact =
        Q * (e * S * S + 2 * o.gamma * d * V * slope + V_ce * ((o.gamma - 1) * d * d * V + d * S * (e - 1)));

    return (NAME(point)){ NAME(times)(Q, ce), grad, o.hessian == CE_EXACT ? exact : ABS(grad) * hits };
}

INLINE NAME(point) NAME(sigmoid_focal_any)(NAME(input) in, NAME(options) o)
{
    return NAME(focal_by)(in, o, false);
}

INLINE NAME(point) NAME(sigmoid_focal_2)(NAME(input) in, NAME(options) o)
{
    return NAME(focal_by)(in, o, true);
}

POINTWISE(sigmoid_focal_any, true)
POINTWISE(sigmoid_focal_2, true)

/* gamma = 2, the usual one, needs no power. */
static void NAME(sigmoid_focal_loop)(const NAME(span) * s, int64_t n, NAME(options) o)
{
    (o.gamma == 2 ? NAME(sigmoid_focal_2_loop) : NAME(sigmoid_focal_any_loop))(s, n, o);
}
