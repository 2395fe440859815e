/* binary.h - binary cross-entropy, from probabilities and from logits, as element-wise losses.
 *
 *     bce              -y max(log x, -100) - (1 - y) max(log(1 - x), -100)
 *                      (x - y) / max(x (1 - x), 1e-12)
 *                      y / x^2 + (1 - y) / (1 - x)^2, x and 1 - x no less than 1e-12
 *     bce_with_logits  (1 - y) log(1 + e^x) + pos y log(1 + e^-x), 0 times infinity being 0
 *                      (1 - y) sigma(x) - pos y sigma(-x)
 *                      (1 + (pos - 1) y) sigma(x) sigma(-x)
 */

/* log(1 - x), to the last digits of small x: what 1 - x loses is added. */
INLINE REAL NAME(log_rest)(REAL x)
{
    const REAL rest = 1 - x, lost = (1 - rest) - x;
    return LOG(rest) + lost / (rest + ZERO_IF(rest != 0, 1));
}

INLINE NAME(point) NAME(bce)(NAME(input) in, NAME(options) o)
{
    const REAL least = (REAL)1e-12, p = NAME(normal)(in.x), rest = 1 - p, yes = NAME(normal)(in.y), no = 1 - yes;
    const REAL log_x = LOG(in.x), log_rest = NAME(log_rest)(p), both = p * rest;
    const REAL a = log_x < -100 ? -100 : log_x, b = log_rest < -100 ? -100 : log_rest;
    const REAL p_low = p < least ? least : p, rest_low = rest < least ? least : rest;

    (void)o;
    return (NAME(point)){ -(yes * a + no * b), (p - yes) / (both < least ? least : both),
                          yes / (p_low * p_low) + no / (rest_low * rest_low) };
}

/* With the weights a of log(1 + e^|x|) and b of log(1 + e^-|x|): 1 - y and pos y, or swapped where x < 0. */
INLINE NAME(point) NAME(bce_with_logits)(NAME(input) in, NAME(options) o)
{
    const NAME(sigmoid) s = NAME(sigmoid_of)(in);
    const REAL no = 1 - in.y, yes = in.pos * in.y, a = BY_SIGN(in.x, no, yes), b = BY_SIGN(in.x, yes, no);

    (void)o;
    return (NAME(point)){ FMA(no + yes, s.rest, NAME(times)(a, ABS(in.x))), NAME(odd)(in.x, s.share * FMA(-s.e, b, a)),
                          (1 + (in.pos - 1) * in.y) * (s.e * s.share * s.share) };
}

POINTWISE(bce, false)
POINTWISE(bce_with_logits, true)
