/* maximum.h - the maximum of a block of a row, and where it stands. */
#ifndef CE_ROWS_MAXIMUM_H
#define CE_ROWS_MAXIMUM_H

#include "softmax/steps.h"

/* The maxima of n numbers, at least LANES, by lanes: of each chunk, which follow each other in `top`, and of all. */
static void find_maxima(real *top, real *all, const real *z, int64_t n)
{
    LANE(l) all[l] = -INFINITY;
    for (int64_t c = 0; c < n; c += CHUNK, top += LANES) {
        const int64_t end = smaller(c + CHUNK, n);
        packed        a[PARTS];
        real          max[STEP];
        int64_t       i = c;

        STEPS(l) max[l] = -INFINITY;
        EACH_PART(j) a[j] = PART(max + j * WIDTH);
        for (; i + STEP <= end; i += STEP) EACH_PART(j) a[j] = MAX(PART(z + i + j * WIDTH), a[j]);
        for (; i < end; i += LANES)
            for (int j = 0; j < PARTS / 4; j++) a[j] = MAX(PART(z + vector_at(i, n) + j * WIDTH), a[j]);
        for (int j = 0; j < PARTS / 4; j++) {
            const packed one = MAX(a[j], a[j + PARTS / 4]), other = MAX(a[j + PARTS / 2], a[j + PARTS * 3 / 4]);
            const packed two = MAX(one, other);
            PART(top + j * WIDTH) = two;
            PART(all + j * WIDTH) = MAX(two, PART(all + j * WIDTH));
        }
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
