/* exps.h - exponentials of LANES items side by side, and their sums, in groups of a few classes. */
#ifndef CE_LANES_EXPS_H
#define CE_LANES_EXPS_H

#include "softmax/steps.h"

enum { GROUP = 32 }; /* classes summed in the computing type */

/* The lanes of some vectors, side by side. */
#define EACH(l, some)                                                                                                  \
    SIMD                                                                                                               \
    for (int l = 0; l < (some) * LANES; l++)

/* Turns the logits of some classes, at most 4, into exp(z - m) times 2^64, unless they are to be kept, and adds them,
 * each to its own sum, but for those that are 1, which are counted: z is m, give or take a subnormal. */
INLINE void add_classes(real *z, int some, const real *m, real *sums, real_bits *ones, bool keep)
{
    real x[STEP], t[STEP], q[STEP];

    for (int k = 0; k < some; k++)
        LANE(l) x[k * LANES + l] = z[k * LANES + l] - m[l];
    exp_stages(q, t, x, BY_2_64, some * LANES);
    EACH(l, some) q[l] = EXP_SCALED(q[l], t[l], x[l], EXP_LO_2_64);
    if (!keep)
        EACH(l, some) z[l] = q[l];
    EACH(l, some) sums[l] += ZERO_IF(x[l] > -MIN_NORMAL, q[l]);
    for (int k = 0; k < some; k++)
        LANE(l) ones[l] += x[k * LANES + l] > -MIN_NORMAL;
}

/* Sum of the exponentials of n classes, at most GROUP, which take the place of the logits unless those are to be kept;
 * counts those left out. */
INLINE void sum_group(real *z, int64_t n, const real *m, real *sum, real_bits *ones, bool keep)
{
    real      sums[STEP] = { 0 };
    real_bits count[LANES];
    int64_t   k = 0;

    LANE(l) count[l] = ones[l];
    for (; k + 4 <= n; k += 4) {
        add_classes(z + k * LANES, AT_ONCE, m, sums, count, keep);
        if (AT_ONCE == 2)
            add_classes(z + (k + 2) * LANES, 2, m, sums + 2 * LANES, count, keep);
    }
    if (n % 4 == 1)
        add_classes(z + k * LANES, 1, m, sums, count, keep);
    else if (n % 4 == 2)
        add_classes(z + k * LANES, 2, m, sums, count, keep);
    else if (n % 4 == 3)
        add_classes(z + k * LANES, 3, m, sums, count, keep);
    LANE(l) sum[l] = (sums[l] + sums[LANES + l]) + (sums[2 * LANES + l] + sums[3 * LANES + l]);
    LANE(l) ones[l] = count[l];
}

#endif
