/* regression.h - losses of the residual r = x - y, as element-wise losses.
 *
 *     mse         r^2                                          2 r              2
 *     l1          |r|                                          sign r           0
 *     huber       r^2 / 2 where |r| <= delta,                  r                1
 *                 else delta (|r| - delta / 2)                 delta sign r     0
 *     smooth_l1   r^2 / (2 beta) where |r| < beta,             r / beta         1 / beta
 *                 else |r| - beta / 2                          sign r           0
 *
 * Squares are taken of what is inside the limit only: no r is too large. Subnormal numbers count as 0.
 */
INLINE REAL NAME(residual)(NAME(input) in)
{
    return NAME(normal)(NAME(normal)(in.x) - NAME(normal)(in.y));
}

INLINE NAME(point) NAME(mse)(NAME(input) in, NAME(options) o)
{
    const REAL r = NAME(residual)(in);

    (void)o;
    return (NAME(point)){ r * r, 2 * r, 2 };
}

INLINE NAME(point) NAME(l1)(NAME(input) in, NAME(options) o)
{
    const REAL r = NAME(residual)(in);

    (void)o;
    return (NAME(point)){ ABS(r), r > 0 ? 1 : r < 0 ? -1 : r, 0 };
}

INLINE NAME(point) NAME(huber)(NAME(input) in, NAME(options) o)
{
    const REAL r = NAME(residual)(in), size = ABS(r), inside = size < o.delta ? size : o.delta;

    return (NAME(point)){ inside * (size - (REAL)0.5 * inside),
                          r > o.delta    ? o.delta
                          : r < -o.delta ? -o.delta
                                         : r,
                          size <= o.delta ? 1 : 0 };
}

INLINE NAME(point) NAME(smooth_l1)(NAME(input) in, NAME(options) o)
{
    const REAL r = NAME(residual)(in), size = ABS(r), part = r / o.beta, half = (REAL)0.5;
    const bool inside = size < o.beta;

    return (NAME(point)){ inside ? half * r * part : size - half * o.beta,
                          inside  ? part
                          : r > 0 ? 1
                          : r < 0 ? -1
                                  : r,
                          inside ? 1 / o.beta : 0 };
}

POINTWISE(mse, false)
POINTWISE(l1, false)
POINTWISE(huber, false)
POINTWISE(smooth_l1, false)
