/* terms.h - the terms of divergences of two distributions p and q, class by class, none of them negative.
 *
 * With d = log q - log p, phi(x) = e^x - 1 - x, m = beta p + (1 - beta) q:
 *     FORWARD   D(p || q) = sum p phi(d)                               gradient of q's logits   p (e^d - 1)
 *     REVERSE   D(q || p) = sum q phi(-d)                                                       q (d - D)
 *     BETWEEN   beta D(p || m) + (1 - beta) D(q || m),
 *               D(p || m) = sum p phi(log m/p)                            (1 - beta) q (log q/m - D(q || m))
 * Since p, q and m add up to 1, e^x - 1 adds up to nothing; but no term cancels.
 *
 * d is known but for a constant, what rounding took of the two log-sum-exps; the terms hardly mind it, and the sum of
 * p (e^d - 1), the excess, tells it.
 */
#ifndef CE_DIVERGENCES_TERMS_H
#define CE_DIVERGENCES_TERMS_H

#include "real/real.h"

/* Of one class: p phi(d) and p (e^d - 1), given q, too. */
typedef struct {
    real term, excess;
} divergence_term;

INLINE divergence_term term_of(real p, real q, real d)
{
    const bool near = ABS(d) <= 1;
    const real series = p * (d * d * PHI_SERIES(d)), change = q - p, far = change - p * d;
    const real term = near ? series : far, excess = near ? FMA(p, d, series) : change;

    /* Of nothing nothing remains, whatever d is. */
    return (divergence_term){ p == 0 ? q : term, p == 0 ? q : excess };
}

/* Of one class: p phi(log m/p) and q phi(log m/q); log q/m; p (e^d - 1). */
typedef struct {
    real of_p, of_q, log_q_m, excess;
} between_term;

/* Of the two the larger, g, and the smaller, h = g e^-|d|, of weight b: m = g u, u = 1 + x, x = b (e^-|d| - 1), and
 * log m/h = log u + |d|. In three stages, as each of them is a long chain: this is the first, LOG_BELOW(x, u) next. */
typedef struct {
    real less_1, x, u; /* the first e^-|d| - 1 */
} between_ratio;

INLINE between_ratio ratio_of(real d, real beta, real other)
{
    const real       b = d > 0 ? beta : other, rest = d > 0 ? other : beta;
    const decay_pair decay = DECAY(-ABS(d));

    return (between_ratio){ decay.less_1, b * decay.less_1, FMA(b, decay.e, rest) };
}

INLINE between_term between_of(real p, real q, real d, between_ratio r, log_pair l)
{
    const real g = d > 0 ? q : p, h = d > 0 ? p : q, less = FMA(g, r.x, g) - h; /* m - h */
    const real s = l.log + ABS(d), near = h * (s * s * PHI_SERIES(s)), far = less - ZERO_IF(h == 0, h * s);
    const real of_g = g * l.gap, of_h = s <= 1 ? near : far, change = g * r.less_1;

    return (between_term){ d > 0 ? of_h : of_g, d > 0 ? of_g : of_h, d > 0 ? -l.log : -s, d > 0 ? -change : change };
}

#endif
