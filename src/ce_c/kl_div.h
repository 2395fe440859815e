/* kl_div.h - Kullback-Leibler divergence of a target p from exp(input), as two element-wise losses.
 *
 *     kl_div       p (log p - x)        -p          0      p = y
 *     kl_div_log                                           p = e^y
 *
 * p = 0 gives 0, whatever x is.
 */
INLINE NAME(point) NAME(kl_div)(NAME(input) in, NAME(options) o)
{
    const REAL p = NAME(normal)(in.y);

    (void)o;
    return (NAME(point)){ NAME(times)(p, LOG(p) - in.x), -p, 0 };
}

INLINE NAME(point) NAME(kl_div_log)(NAME(input) in, NAME(options) o)
{
    const REAL p = NAME(exp_any)(in.y);

    (void)o;
    return (NAME(point)){ NAME(times)(p, in.y - in.x), -p, 0 };
}

POINTWISE(kl_div, false)
POINTWISE(kl_div_log, false)
