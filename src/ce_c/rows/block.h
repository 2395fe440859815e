/* block.h - a block of a row on its way, in steps: whole ones, and one more for what follows them. */
#ifndef CE_ROWS_BLOCK_H
#define CE_ROWS_BLOCK_H

#include "softmax/steps.h"

/* n numbers, of which so many are in whole steps, and their maximum m, or 0; w: the weights of their classes, or NULL.
 * kept: where the exponentials go, maybe in place of z. claimed: where results will go, or nowhere. end: the last STEP
 * numbers, but for those of whole steps and those that are none, which are -inf. */
typedef struct {
    const real *z;
    real       *kept;
    int64_t     n, whole;
    real        m;
    ahead_of    ahead, claimed;
    real        end[STEP];
    const real *w;
} exp_block;

static inline void open_end(exp_block *b)
{
    const int done = STEP - (int)(b->n - b->whole);

    if (b->n >= STEP) {
        const real *const last = b->z + b->n - STEP;
        STEPS(l) b->end[l] = l < done ? -INFINITY : last[l];
        return;
    }
    STEPS(l) b->end[l] = -INFINITY;
    memcpy(b->end + done, b->z, (size_t)b->n * sizeof(real));
}

/* How many steps there are, the numbers of one of them, and the place of its first in the block. */
static inline int64_t steps_of(const exp_block *b)
{
    return (b->n + STEP - 1) / STEP;
}

static inline const real *step_at(const exp_block *b, int64_t step)
{
    return step * STEP < b->whole ? b->z + step * STEP : b->end;
}

static inline int64_t place_of_step(const exp_block *b, int64_t step)
{
    return step * STEP < b->whole ? step * STEP : b->n - STEP;
}

#endif
