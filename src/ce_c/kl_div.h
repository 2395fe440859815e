/* kl_div.h - Kullback-Leibler divergence of a target p from exp(input), as two element-wise losses.
 *
 *     kl_div       p (log p - x)        -p          0      p = y
 *     kl_div_log                                           p = e^y
 *
 * p = 0 gives 0, whatever x is.
 */
INLINE NAME(point) NAME(kl_div)(REAL x, REAL y, REAL pos, NAME(options) o)
{
    const REAL p = NAME(normal)(y);

    (void)pos, (void)o;
    return (NAME(point)){ NAME(times)(p, LOG(p) - x), -p, 0 };
}

INLINE NAME(point) NAME(kl_div_log)(REAL x, REAL y, REAL pos, NAME(options) o)
{
    const REAL p = NAME(exp_any)(y);

    (void)pos, (void)o;
    return (NAME(point)){ NAME(times)(p, y - x), -p, 0 };
}

POINTWISE(kl_div)
POINTWISE(kl_div_log)
