/* sigmoid_focal.h - the focal loss of independent labels 0 <= y <= 1, as an element-wise loss.
 *
 *     p = sigma(x),  n = sigma(-x),  R = y n + (1 - y) p,  a = alpha_1 y + alpha_0 (1 - y),  Q = R^gamma
 *     ce = y log(1 + e^-x) + (1 - y) log(1 + e^x),  ce' = (1 - y) p - y n,  d = 1 - 2 y,  V = p n / R (0/0 = 0)
 *     value  a Q ce
 *     grad   a Q [ce' + gamma d V ce]
 *     hess   a Q [p n + 2 gamma d V ce' + gamma V ce ((gamma - 1) d^2 V + d (n - p))]
 *            Gauss-Newton: |grad| (1 - R)
 */
INLINE NAME(point) NAME(sigmoid_focal)(REAL x, REAL y, REAL pos, NAME(options) o)
{
    const NAME(sigmoid) s = NAME(sigmoid_of)(x);
    const REAL no = 1 - y, p = s.up, n = s.down, R = y * n + no * p, d = 1 - 2 * y;
    const REAL Q = (o.alpha[1] * y + o.alpha[0] * no) * POW(R, o.gamma);
    const REAL ce = NAME(times)(y, s.soft_down) + NAME(times)(no, s.soft_up), slope = no * p - y * n;
    const REAL pn = p * n, V = ZERO_IF(pn == 0, pn / R), V_ce = o.gamma * NAME(times)(V, ce);
    const REAL grad = Q * (slope + d * V_ce), hits = y * p + no * n;
    const REAL exact = Q * (pn + 2 * o.gamma * d * V * slope + V_ce * ((o.gamma - 1) * d * d * V + d * (n - p)));

    (void)pos;
    return (NAME(point)){ NAME(times)(Q, ce), grad, NAME(pick)(o.hessian == CE_EXACT, exact, ABS(grad) * hits) };
}

POINTWISE(sigmoid_focal)
