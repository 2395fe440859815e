/* maximum.h - the maximum of a block of a row, and where it stands. */
#ifndef CE_ROWS_MAXIMUM_H
#define CE_ROWS_MAXIMUM_H

#include "softmax/steps.h"

/* The maxima of n numbers, at least LANES, by lanes: of each chunk, which follow each other in `top`, and of all.
 * Memory brings meanwhile what stands so many bytes ahead, unless that is 0. */
static void find_maxima(real *top, real *all, const real *z, int64_t n, uintptr_t ahead)
{
    LANE(l) all[l] = -INFINITY;
    for (int64_t c = 0; c < n; c += CHUNK, top += LANES) {
        const int64_t end = smaller(c + CHUNK, n);
        real          a[STEP];
        int64_t       i = c;

        STEPS(l) a[l] = -INFINITY;
        for (; i + STEP <= end; i += STEP) {
            if (ahead > 0)
                fetch_four((uintptr_t)(z + i) + ahead, LINE);
            STEPS(l) a[l] = z[i + l] > a[l] ? z[i + l] : a[l];
        }
        for (; i < end; i += LANES) {
            const real *x = z + vector_at(i, n);
            LANE(l) a[l] = x[l] > a[l] ? x[l] : a[l];
        }
        LANE(l) a[l] = a[LANES + l] > a[l] ? a[LANES + l] : a[l];
        LANE(l) a[2 * LANES + l] = a[3 * LANES + l] > a[2 * LANES + l] ? a[3 * LANES + l] : a[2 * LANES + l];
        LANE(l) top[l] = a[2 * LANES + l] > a[l] ? a[2 * LANES + l] : a[l];
        LANE(l) all[l] = top[l] > all[l] ? top[l] : all[l];
    }
}

/* The largest of LANES numbers. */
static inline real largest(const real *x)
{
    real a[4];

    SIMD
    for (int l = 0; l < 4; l++) {
        const real low = x[l] > x[LANES / 2 + l] ? x[l] : x[LANES / 2 + l], at = x[LANES / 4 + l],
                   high = at > x[LANES - 4 + l] ? at : x[LANES - 4 + l];
        a[l] = low > high ? low : high;
    }
    const real even = a[0] > a[2] ? a[0] : a[2], odd = a[1] > a[3] ? a[1] : a[3];
    return even > odd ? even : odd;
}

/* A bit for each of STEP numbers that is m. */
static inline uint64_t places_in_step(const real *z, real m)
{
    const uint64_t low = EQUAL(z, m) | (uint64_t)EQUAL(z + LANES, m) << LANES;
    return low | (EQUAL(z + 2 * LANES, m) | (uint64_t)EQUAL(z + 3 * LANES, m) << LANES) << 2 * LANES;
}

/* Where the maximum m stands first. It may have gone meanwhile, if another thread writes: then any place will do. */
static int64_t place_of_maximum(const real *top, const real *z, int64_t n, real m)
{
    uint64_t here = 0;
    int64_t  i = 0;

    for (; i + CHUNK < n && !EQUAL(top, m); i += CHUNK) top += LANES;
    for (; i + STEP <= n && !here; i += STEP) here = places_in_step(z + i, m);
    if (here)
        return i - STEP + __builtin_ctzll(here);
    for (; i < n && !here; i += LANES) here = EQUAL(z + vector_at(i, n), m);
    return vector_at(i - LANES, n) + (here ? __builtin_ctzll(here) : 0);
}

#endif
