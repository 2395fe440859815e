/* maximum.h - the maximum of a block of a row, and where it stands. */
#ifndef CE_ROWS_MAXIMUM_H
#define CE_ROWS_MAXIMUM_H

#include "softmax/steps.h"

/* The maxima by lanes: of each chunk from number `first` on, of all of them, and of the numbers before and after, maybe
 * with some of the others. */
typedef struct {
    real    top[BLOCK / CHUNK][LANES], all[LANES], ends[LANES];
    int64_t first;
} maxima;

/* How many numbers of z lie before the first line of memory: loads that reach into two lines take twice the time. Of
 * few numbers it does not matter. */
static int64_t to_first_line(const real *z, int64_t n)
{
    const uintptr_t past = (uintptr_t)z % LINE;
    return past == 0 || past % sizeof(real) != 0 || n < CHUNK ? 0 : (int64_t)((LINE - past) / sizeof(real));
}

static void find_maxima(maxima *found, const steps *b)
{
    const real *const z = b->z, *const tail = b->n < STEP ? b->filled : z + b->n - STEP;
    real          all[LANES], ends[LANES];
    const int64_t first = to_first_line(z, b->n);
    real(*top)[LANES] = found->top;

    found->first = first;
    LANE(l) all[l] = -INFINITY;
    for (int64_t c = first; c + STEP <= b->n; c += CHUNK, top++) {
        const int64_t end = c + CHUNK < b->n ? c + CHUNK : b->n;
        real          a[STEP];

        STEPS(l) a[l] = -INFINITY;
        for (int64_t i = c; i + STEP <= end; i += STEP)
            STEPS(l) a[l] = z[i + l] > a[l] ? z[i + l] : a[l];
        LANE(l) a[l] = a[LANES + l] > a[l] ? a[LANES + l] : a[l];
        LANE(l) a[2 * LANES + l] = a[3 * LANES + l] > a[2 * LANES + l] ? a[3 * LANES + l] : a[2 * LANES + l];
        LANE(l) (*top)[l] = a[2 * LANES + l] > a[l] ? a[2 * LANES + l] : a[l];
        LANE(l) all[l] = (*top)[l] > all[l] ? (*top)[l] : all[l];
    }
    LANE(l) ends[l] = -INFINITY;
    for (int i = 0; i < STEP; i += LANES)
        LANE(l) ends[l] = tail[i + l] > ends[l] ? tail[i + l] : ends[l];
    if (first > 0)
        LANE(l) ends[l] = z[l] > ends[l] ? z[l] : ends[l];
    LANE(l) found->all[l] = all[l];
    LANE(l) found->ends[l] = ends[l];
}

/* The largest of them. */
static real largest(const maxima *found)
{
    real x[LANES];

    LANE(l) x[l] = found->all[l] > found->ends[l] ? found->all[l] : found->ends[l];
    for (int l = 0; l < LANES / 2; l++) x[l] = x[l + LANES / 2] > x[l] ? x[l + LANES / 2] : x[l];
    for (int l = 0; l < LANES / 4; l++) x[l] = x[l + LANES / 4] > x[l] ? x[l + LANES / 4] : x[l];
    for (int l = 0; l < LANES / 8; l++) x[l] = x[l + LANES / 8] > x[l] ? x[l + LANES / 8] : x[l];
    return x[LANES / 16] > x[0] ? x[LANES / 16] : x[0]; /* of 8 lanes, one is left */
}

/* Where the maximum m stands first. It may have gone meanwhile, if another thread writes: then any place will do. */
static int64_t place_of_maximum(const maxima *found, const real *z, int64_t n, real m)
{
    const int64_t first = found->first, rest = first + (n - first) / STEP * STEP;
    int64_t       at = rest;

    for (int64_t i = 0; i < first; i++)
        if (z[i] == m)
            return i;
    for (int l = 0; l < LANES; l++) {
        int64_t chunk = 0, i;
        if (found->all[l] != m)
            continue;
        while (found->top[chunk][l] != m) chunk++;
        for (i = first + chunk * CHUNK + l; i < rest && z[i] != m;) i += LANES;
        at = i < at ? i : at;
    }
    while (at >= rest && at < n - 1 && z[at] != m) at++;
    return at < n ? at : n - 1;
}

#endif
