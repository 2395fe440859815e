/* maximum.h - the maximum of a block of a row, how often it is there, and where. */
#ifndef CE_ROWS_MAXIMUM_H
#define CE_ROWS_MAXIMUM_H

#include "rows/block.h"

/* The maxima of a block by lanes, and the steps in which each is met first and last; the maxima of each chunk. */
typedef struct {
    real all[LANES], first[LANES], last[LANES], chunks[BLOCK / CHUNK][LANES];
} block_maxima;

/* Goes on by a step's numbers, which is number `step`. */
INLINE void take_step(const real *z, packed step, packed *all, packed *first, packed *last, packed *here)
{
    for (int j = 0; j < PARTS / 4; j++) {
        const real *const from = z + j * WIDTH;
        const packed      one = MAX(PART(from), PART(from + LANES));
        const packed      two = MAX(one, MAX(PART(from + 2 * LANES), PART(from + 3 * LANES)));
        first[j] = ABOVE_OR(two, all[j], step, first[j]);
        last[j] = ABOVE_OR(all[j], two, last[j], step);
        all[j] = MAX(two, all[j]);
        here[j] = MAX(two, here[j]);
    }
}

/* raw: unless it is NULL, the numbers as they are; those of whole steps are taken times `by` on the way, and go where
 * the block stands. */
INLINE void maxima_of(const exp_block *b, const real *raw, real by, block_maxima *to)
{
    const real *const z = raw ? b->kept : b->z;
    packed            least, all[PARTS / 4], first[PARTS / 4], last[PARTS / 4], step = { 0 };
    int64_t           i = 0;

    LANE(l) to->all[l] = -INFINITY;
    least = PART(to->all);
    for (int j = 0; j < PARTS / 4; j++) all[j] = least, first[j] = last[j] = (packed){ 0 };
    for (int64_t c = 0; c < b->n; c += CHUNK) {
        packed here[PARTS / 4];
        for (int j = 0; j < PARTS / 4; j++) here[j] = least;
        for (const int64_t end = smaller(c + CHUNK, b->whole); i < end; i += STEP, step += (real)1) {
            if (raw)
                EACH_PART(j) PART(b->kept + i + j * WIDTH) = PART(raw + i + j * WIDTH) * by;
            take_step(z + i, step, all, first, last, here);
        }
        if (c + CHUNK >= b->n && b->whole < b->n)
            take_step(b->end, step, all, first, last, here);
        for (int j = 0; j < PARTS / 4; j++) PART(to->chunks[c / CHUNK] + j * WIDTH) = here[j];
    }
    for (int j = 0; j < PARTS / 4; j++) {
        PART(to->all + j * WIDTH) = all[j];
        PART(to->first + j * WIDTH) = first[j];
        PART(to->last + j * WIDTH) = last[j];
    }
}

static void find_maxima(const exp_block *b, block_maxima *to)
{
    maxima_of(b, NULL, 1, to);
}

OUTLINE void scale_to_maxima(const exp_block *b, const real *raw, real by, block_maxima *to)
{
    maxima_of(b, raw, by, to);
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

/* How often the maximum of a block is there, and where it is first. */
typedef struct {
    int64_t count, first;
} maximum_places;

OUTLINE void count_places(const exp_block *b, real m, maximum_places *to)
{
    packed_bits counts[PARTS] = { 0 };
    uint64_t    here = 0;
    int64_t     at = 0;

    for (int64_t i = 0; i < steps_of(b); i++) {
        const real *const z = step_at(b, i);
        EACH_PART(j) counts[j] -= PART(z + j * WIDTH) == m;
    }
    to->count = 0;
    EACH_PART(j) for (int l = 0; l < WIDTH; l++) to->count += counts[j][l];
    for (int64_t i = 0; i < steps_of(b) && !here; i++)
        here = places_in_step(step_at(b, i), m), at = place_of_step(b, i);
    to->first = here ? at + __builtin_ctzll(here) : 0;
}

/* As a rule it is there once. No branch hangs on where, which could not be foreseen. It may have gone meanwhile, if
 * another thread writes: then any place will do. */
static void find_places(const exp_block *b, const block_maxima *maxima, real m, maximum_places *to)
{
    const unsigned lanes = EQUAL(maxima->all, m);
    const int      lane = lanes ? __builtin_ctz(lanes) : 0;
    const int64_t  step = (int64_t)maxima->first[lane];
    const uint64_t here = places_in_step(step_at(b, step), m);

    if ((lanes & (lanes - 1)) || maxima->last[lane] != maxima->first[lane] || !here || (here & (here - 1))) {
        count_places(b, m, to);
        return;
    }
    to->count = 1;
    to->first = place_of_step(b, step) + __builtin_ctzll(here);
}

#endif
