/* sum.h - the sum of exponentials of a block of a row, out of L1. */
#ifndef CE_ROWS_SUM_H
#define CE_ROWS_SUM_H

#include "rows/rank.h"

/* A block of a row on its way: n numbers, at least LANES, their maximum m, or 0, and where it stands, -1 if it is not
 * to be left out; others: the whole step around it, where there is one, without it. kept: where the exponentials go,
 * maybe in place of z. */
typedef struct {
    const real *z, *others;
    real       *kept;
    int64_t     n, at;
    real        m;
    ahead_of    ahead;
} exp_block;

/* What the loops over it do beside adding up exponentials: keep them; add up e (m - z), too, and count. */
typedef struct {
    bool keeps, tells;
} exp_task;

/* What is found beside the sums of exponentials, if it is asked for. */
typedef struct {
    double     heat[LANES];
    rank_count rank;
} block_facts;

/* The numbers behind the last whole step are added vector by vector to a, but for those of the last vector, a copy of
 * which is `last`, that were added before. */
INLINE void end_of_block(const exp_block *b, const real *last, real *a, real *heat, real *met, exp_task task)
{
    for (int64_t i = b->n / STEP * STEP; i < b->n; i += LANES) {
        const int64_t from = vector_at(i, b->n);
        const int     done = (int)(i - from), top = (int)(b->at - from);
        real          e[LANES], x[LANES], fresh[LANES];

        exps_and_gaps(e, x, from == i ? b->z + i : last, b->m, LANES, met);
        LANE(l) a[l] += ZERO_IF((l < done) | (l == top), e[l]);
        if (task.tells)
            LANE(l) fresh[l] = ZERO_IF(l < done, e[l]);
        if (task.tells)
            for (int j = 0; j < LANES; j += WIDTH)
                PART(heat + j) = with_heat(PART(heat + j), PART(fresh + j), PART(x + j));
        if (task.keeps)
            LANE(l) b->kept[from + l] = e[l];
    }
}

/* From the four vectors of a step that follows the first, which may have gone on: what each lane adds up to. */
INLINE void add_up(real *first, const packed *a)
{
    for (int j = 0; j < PARTS / 4; j++) {
        const packed pair = PART(first + j * WIDTH) + a[j + PARTS / 4];
        PART(first + j * WIDTH) = pair + (a[j + PARTS / 2] + a[j + PARTS * 3 / 4]);
    }
}

/* Sums, by lanes, of exp(z - m) times 2^64 of all numbers but the maximum, by chunks in the computing type. A NaN that
 * was met is the sum. */
INLINE void sum_exps(const exp_block *b, double *sums, block_facts *facts, exp_task task)
{
    const int64_t     n = b->n, whole = n / STEP * STEP, top = b->others ? b->at / STEP * STEP : -1;
    const real *const z = b->z;
    real *const       kept = b->kept;
    const real        m = b->m;
    const uintptr_t   apart = b->ahead.apart;
    uintptr_t         next = b->ahead.next;
    real              last[LANES], met[LANES] = { 0 };
    /* From the step with the maximum to what takes its place: branches would be mispredicted. */
    const uintptr_t aside = top >= 0 ? (uintptr_t)b->others - (uintptr_t)(z + top) : 0;

    if (n % LANES)
        LANE(l) last[l] = z[n - LANES + l];
    LANE(l) sums[l] = 0;
    if (task.tells)
        LANE(l) facts->heat[l] = 0;
    for (int64_t c = 0; c < n; c += CHUNK) {
        const int64_t end = smaller(c + CHUNK, whole);
        packed        a[PARTS] = { 0 }, h[PARTS] = { 0 };
        real          some[LANES], heat[LANES] = { 0 };

        for (int64_t i = c; i < end; i += STEP, next += 4 * apart) {
            real              e[STEP], x[STEP];
            const real *const from = (const real *)((uintptr_t)(z + i) + (aside & -(uintptr_t)(i == top)));
            fetch_four(next, apart);
            if (task.tells)
                count_step(&facts->rank, from, i);
            exps_and_gaps(e, x, from, m, STEP, met);
            EACH_PART(j) a[j] += PART(e + j * WIDTH);
            if (task.tells)
                EACH_PART(j) h[j] = with_heat(h[j], PART(e + j * WIDTH), PART(x + j * WIDTH));
            if (task.keeps)
                EACH_PART(j) PART(kept + i + j * WIDTH) = PART(e + j * WIDTH);
        }
        for (int j = 0; j < PARTS / 4; j++) PART(some + j * WIDTH) = a[j], PART(heat + j * WIDTH) = h[j];
        if (c + CHUNK >= n)
            end_of_block(b, last, some, heat, met, task);
        add_up(some, a);
        LANE(l) sums[l] += (double)some[l];
        add_up(heat, h);
        if (task.tells)
            LANE(l) facts->heat[l] += (double)heat[l];
    }
    LANE(l) sums[l] = met[l] != met[l] ? NAN : sums[l];
    if (n % STEP)
        fetch_four(next, apart);
    if (task.keeps && b->at >= 0)
        kept[b->at] = (real)0x1p64;
}

/* The same for each task. */
static void sum_exps_of(const exp_block *b, double *sums, block_facts *facts, exp_task task)
{
    if (task.tells && task.keeps)
        sum_exps(b, sums, facts, (exp_task){ true, true });
    else if (task.tells)
        sum_exps(b, sums, facts, (exp_task){ false, true });
    else if (task.keeps)
        sum_exps(b, sums, facts, (exp_task){ true, false });
    else
        sum_exps(b, sums, facts, (exp_task){ false, false });
}

#endif
