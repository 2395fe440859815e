/* sum.h - the sum of exponentials of a block of a row, out of L1. */
#ifndef CE_ROWS_SUM_H
#define CE_ROWS_SUM_H

#include "rows/block.h"
#include "rows/gaps.h"
#include "rows/rank.h"

/* What the loops over it do beside adding up exponentials: keep them, 0 in the place of maxima, or all of them; add up
 * e (m - z), too, and count; add up the gaps. */
typedef enum { KEEPS_NONE, KEEPS_OTHERS, KEEPS_ALL } exp_keeping;

typedef struct {
    exp_keeping keeps;
    bool        tells;
    gap_way     gaps;
} exp_task;

/* The sums of exponentials by lanes; and, if they are asked for, those of e (m - z), of gaps, and a count. */
typedef struct {
    double     sums[LANES], heat[LANES], gaps[LANES];
    rank_count rank;
} block_facts;

/* e, and 2^64 where x is 0. */
INLINE packed with_ones(packed e, packed x)
{
    const packed one = (packed){ 0 } + (real)0x1p64;

    return (packed)((packed_bits)e | ((packed_bits)one & (packed_bits)(x == 0)));
}

/* Adds up n exponentials, and e (m - z), x = z - m, and keeps them. */
INLINE void add_exps(packed *sums, packed *heat, real *to, const staged_step *s, int n, exp_task task)
{
    for (int j = 0; j < n / WIDTH; j++) {
        const packed x = PART(s->x + j * WIDTH), e = others_part(s->q + j * WIDTH, s->t + j * WIDTH, s->x + j * WIDTH);
        sums[j] += e;
        if (task.tells)
            heat[j] = with_heat(heat[j], e, x);
        if (task.keeps == KEEPS_OTHERS)
            PART(to + j * WIDTH) = e;
        if (task.keeps == KEEPS_ALL)
            PART(to + j * WIDTH) = with_ones(e, x);
    }
}

/* Exponentials of what follows the last whole step go where they belong. */
static inline void keep_end(const exp_block *b, const real *e)
{
    const int done = STEP - (int)(b->n - b->whole);

    if (b->n < STEP) {
        memcpy(b->kept, e + done, (size_t)b->n * sizeof(real));
        return;
    }
    real *const last = b->kept + b->n - STEP;
    STEPS(l) last[l] = l < done ? last[l] : e[l];
}

/* The sums of a chunk's four vectors are added, by lanes, or NaN where one was met. */
INLINE void add_chunk(double *to, const packed *a, const real *met, bool is_first)
{
    real some[LANES];

    for (int j = 0; j < PARTS / 4; j++)
        PART(some + j * WIDTH) = (a[j] + a[j + PARTS / 4]) + (a[j + PARTS / 2] + a[j + PARTS * 3 / 4]);
    LANE(l) some[l] = met[l] != met[l] ? met[l] : some[l];
    if (is_first)
        LANE(l) to[l] = (double)some[l];
    else
        LANE(l) to[l] += (double)some[l];
}

/* The gaps of the last step, but for those that fill it up. */
INLINE void add_end_gaps(real *met, real *x, const exp_block *b, gap_way way)
{
    const int done = STEP - (int)(b->n - b->whole);
    real      w[STEP] = { 0 };

    for (int l = 0; l < done; l++) x[l] = 0;
    if (way == EVEN_GAP_SUM) {
        add_step_gaps(met, x);
        return;
    }
    memcpy(w + done, b->w + b->whole, (size_t)(b->n - b->whole) * sizeof(real));
    add_weighted_step_gaps(met, x, w);
}

/* Sums, by lanes, of exp(z - m) times 2^64 of all numbers but maxima, by chunks in the computing type; NaN if one was
 * met. Of the maxima 0 is kept. */
INLINE void sum_exps(const exp_block *b, block_facts *facts, exp_task task)
{
    const real *const z = b->z;
    const real        m = b->m;
    const int64_t     whole = b->whole, n = b->n;
    const uintptr_t   apart = b->ahead.apart, on = b->ahead.step;
    uintptr_t         next = b->ahead.next;
    real              met[LANES] = { 0 };
    const int         held = task.gaps ? STEP : HELD; /* gaps are added up by steps */

    for (int64_t c = 0; c < n; c += CHUNK) {
        packed  a[PARTS] = { 0 }, heat[PARTS] = { 0 };
        int64_t i = c;
        for (const int64_t end = smaller(c + CHUNK, whole); i < end; i += STEP, next += on) {
            fetch_four(next, apart);
            if (b->claimed.next)
                claim_four(b->claimed.next + (uintptr_t)(i / STEP) * b->claimed.step, b->claimed.apart);
            if (task.tells)
                count_step(&facts->rank, z + i, i);
            for (int h = 0; h < STEP; h += held) {
                staged_step s;
                begin_others(&s, z + i + h, m, task.gaps ? NULL : met, held);
                if (task.gaps == EVEN_GAP_SUM)
                    add_step_gaps(met, s.x);
                else if (task.gaps)
                    add_weighted_step_gaps(met, s.x, b->w + i);
                add_exps(a + h / WIDTH, heat + h / WIDTH, b->kept + i + h, &s, held, task);
            }
        }
        if (c + CHUNK >= n && whole < n) {
            real e[STEP];
            fetch_four(next, apart);
            if (task.tells)
                count_step(&facts->rank, b->end, whole);
            for (int h = 0; h < STEP; h += held) {
                staged_step s;
                begin_others(&s, b->end + h, m, task.gaps ? NULL : met, held);
                if (task.gaps)
                    add_end_gaps(met, s.x, b, task.gaps);
                add_exps(a + h / WIDTH, heat + h / WIDTH, e + h, &s, held, task);
            }
            if (task.keeps)
                keep_end(b, e);
        }
        add_chunk(facts->sums, a, met, c == 0);
        if (task.tells)
            add_chunk(facts->heat, heat, met, c == 0);
        if (task.gaps)
            LANE(l) facts->gaps[l] = (c == 0 ? 0 : facts->gaps[l]) + (double)met[l], met[l] = 0;
    }
}

/* The same for each task. */
#define SUM_EXPS(k, t, g)                                                                                              \
    if (task.keeps == (k) && task.tells == (t) && task.gaps == (g))                                                    \
    sum_exps(b, facts, (exp_task){ k, t, g })

static void sum_exps_of(const exp_block *b, block_facts *facts, exp_task task)
{
    SUM_EXPS(KEEPS_NONE, false, NO_GAPS);
    SUM_EXPS(KEEPS_NONE, true, NO_GAPS);
    SUM_EXPS(KEEPS_OTHERS, false, NO_GAPS);
    SUM_EXPS(KEEPS_OTHERS, true, NO_GAPS);
    SUM_EXPS(KEEPS_ALL, false, NO_GAPS);
    SUM_EXPS(KEEPS_ALL, true, NO_GAPS);
    SUM_EXPS(KEEPS_NONE, false, EVEN_GAP_SUM);
    SUM_EXPS(KEEPS_OTHERS, false, EVEN_GAP_SUM);
    SUM_EXPS(KEEPS_ALL, false, EVEN_GAP_SUM);
    SUM_EXPS(KEEPS_NONE, false, WEIGHTED_GAP_SUM);
    SUM_EXPS(KEEPS_OTHERS, false, WEIGHTED_GAP_SUM);
    SUM_EXPS(KEEPS_ALL, false, WEIGHTED_GAP_SUM);
}

#endif
