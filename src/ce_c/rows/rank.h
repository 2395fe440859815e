/* rank.h - how many numbers of a block of a row come before a certain one, step by step; where the first NaN is. */
#ifndef CE_ROWS_RANK_H
#define CE_ROWS_RANK_H

#include "softmax/steps.h"

/* The number below x that is nearest to it. */
static inline real below(real x)
{
    const real_word bits = BITS(x);
    return x == 0 ? -FROM_BITS(1) : FROM_BITS(x > 0 ? bits - 1 : bits + 1);
}

/* What the steps of a block are held against: those that begin before `near` against `low`, the others against `edge`.
 */
typedef struct {
    real    low, edge;
    int64_t near;
    int64_t count; /* how many numbers are larger */
} rank_count;

/* A step's numbers. */
INLINE void count_step(rank_count *count, const real *z, int64_t i)
{
    count->count += __builtin_popcountll(above_in_step(z, i < count->near ? count->low : count->edge));
}

/* Counted are numbers that are larger than the edge, or as large and before number t of the block (which may lie
 * outside of it): here those that `low` does not tell. */
static rank_count begin_count(const real *z, int64_t n, real edge, int64_t t)
{
    const int64_t inside = t < 0 ? 0 : smaller(t, n), near = inside / STEP * STEP;
    const bool    lowest = edge == -INFINITY;
    rank_count    count = { lowest ? (real)INFINITY : below(edge), edge, near, lowest ? near : 0 };
    real          copy[STEP];

    if (near < inside) {
        const real    *some = near + STEP <= n ? z + near : step_filled(copy, z + near, n - near);
        const uint64_t before = ((uint64_t)1 << (inside - near)) - 1;
        count.count += __builtin_popcountll(places_in_step(some, edge) & before);
    }
    return count;
}

/* Where the first NaN of n numbers stands; -1 for nowhere. */
static int64_t place_of_nan(const real *z, int64_t n)
{
    real    sums[LANES] = { 0 }, rest = 0;
    int64_t i = 0, k = 0;

    for (; i + LANES <= n; i += LANES)
        LANE(l) sums[l] += z[i + l]; /* infinities of both signs may look like one */
    for (; i < n; i++) rest += z[i];
    for (int l = 0; l < LANES; l++) rest += sums[l];
    while (rest != rest && k < n && z[k] == z[k]) k++;
    return rest != rest && k < n ? k : -1;
}

#endif
