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

/* Of one class: p phi(d) and p (e^d - 1), given q and PHI_SERIES(d), too: that is a long chain of operations, and goes
 * through a chunk before. */
typedef struct {
    real term, excess;
} divergence_term;

INLINE divergence_term term_of(real p, real q, real d, real phi)
{
    const bool near = ABS(d) <= 1;
    const real series = p * (d * d * phi), change = q - p, far = change - p * d;
    const real term = near ? series : far, excess = near ? FMA(p, d, series) : change;

    /* Of nothing nothing remains, whatever d is. */
    return (divergence_term){ p == 0 ? q : term, p == 0 ? q : excess };
}

/* Of one class: p phi(log m/p) and q phi(log m/q); log q/m; p (e^d - 1). */
typedef struct {
    real of_p, of_q, log_q_m, excess;
} between_term;

/* Of the two the larger, g, and the smaller, h = g e^-|d|, of weight b: m = g u, u = 1 + x, x = b (e^-|d| - 1), and
 * log m/h = log u + |d| = s. It takes several stages, as each is a long chain of operations: START_DECAY(-|d|), this,
 * START_LOG(x, u), LOG_FROM, PHI_SERIES(s), and between_of. */
typedef struct {
    real less_1, x, u; /* the first e^-|d| - 1 */
} between_ratio;

/* All bits where p is the smaller. */
INLINE real_word rises(real d)
{
    return -(real_word)(d > 0);
}

INLINE between_ratio ratio_of(real d, real beta, real other, decay_start start)
{
    const decay_pair decay = DECAY_FROM(start);
    const real       b = CHOSEN_BY(rises(d), beta, other), rest = CHOSEN_BY(rises(d), other, beta);

    return (between_ratio){ decay.less_1, b * decay.less_1, FMA(b, decay.e, rest) };
}

INLINE between_term between_of(real p, real q, real d, between_ratio r, log_pair l, real phi)
{
    const real_word up = rises(d);
    const real      g = CHOSEN_BY(up, q, p), h = CHOSEN_BY(up, p, q), less = FMA(g, r.x, g) - h; /* m - h */
    const real      s = l.log + ABS(d), near = h * (s * s * phi), far = less - ZERO_IF(h == 0, h * s);
    const real      of_g = g * l.gap, of_h = s <= 1 ? near : far, change = g * r.less_1;

    return (between_term){ CHOSEN_BY(up, of_h, of_g), CHOSEN_BY(up, of_g, of_h), CHOSEN_BY(up, -l.log, -s),
                           CHOSEN_BY(up, -change, change) };
}

#endif
