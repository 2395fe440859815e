/* steps.h - exponentials stage by stage, a step of a few vectors at a time, and blocks of a row that are gone through
 * so. */
#ifndef CE_SOFTMAX_STEPS_H
#define CE_SOFTMAX_STEPS_H

#include "real/memory.h"
#include "real/real.h"

enum {
    CHUNK = 512,                  /* classes whose sum is kept in the computing type */
    STEP = 4 * LANES,             /* four accumulators hide the latency of an addition */
    BLOCK = 16384 / sizeof(real), /* classes between two merges: 16 KiB, half of a small L1 */
    KEPT = 32 * BLOCK,            /* the longest row whose exponentials are kept: 512 KiB, in L2 */
};

#define STEPS(l)                                                                                                       \
    SIMD                                                                                                               \
    for (int l = 0; l < STEP; l++)

static inline int64_t up_to_step(int64_t n)
{
    return (n + STEP - 1) / STEP * STEP;
}

/* In place of two steps of a block stand copies: of the last, if it is short, filled up with what exp turns into 0; and
 * of that with the maximum, which is left out. */
typedef struct {
    const real *z;
    int64_t     n, last, top; /* where the copies belong; top -1: none */
    _Alignas(LINE) real filled[STEP], others[STEP];
} steps;

INLINE const real *step_at(const steps *b, int64_t i)
{
    return i == b->top ? b->others : i == b->last ? b->filled : b->z + i;
}

/* n numbers, at most STEP, filled up with what exp turns into 0. */
static const real *step_filled(real *copy, const real *z, int64_t n)
{
    STEPS(l) copy[l] = -INFINITY;
    memcpy(copy, z, (size_t)n * sizeof(real));
    return copy;
}

static void steps_of(steps *b, const real *z, int64_t n)
{
    b->z = z, b->n = n, b->top = -1;
    b->last = n / STEP * STEP;
    if (b->last < n)
        step_filled(b->filled, z + b->last, n - b->last);
}

/* Leaves the number at that place out. */
static void leave_out(steps *b, int64_t at)
{
    const int64_t top = at / STEP * STEP;

    memcpy(b->others, step_at(b, top), sizeof b->others);
    b->others[at - top] = -INFINITY;
    b->top = top;
}

/* exp(x) times 2^64 of n numbers, at most STEP, as exp_f32 and exp_f64, but stage by stage: each is a chain of
 * operations that wait for one another, and only so many wait at a time. This is all but the last stage, EXP_SCALED(q,
 * t, x, lo). */
INLINE void exp_stages(real *q, real *t, const real *x, int n)
{
    real r[STEP];

    SIMD
    for (int l = 0; l < n; l++) t[l] = EXP_WHOLE(x[l], BY_2_64);
    SIMD
    for (int l = 0; l < n; l++) r[l] = EXP_REST(x[l], t[l], BY_2_64);
    SIMD
    for (int l = 0; l < n; l++) q[l] = EXP_HIGH(r[l]);
    SIMD
    for (int l = 0; l < n; l++) q[l] = EXP_LOW(q[l], r[l]);
}

/* exp(z - m) times 2^64 of STEP numbers; also in place of z. */
static void exp_step(real *e, const real *z, real m)
{
    real q[STEP], t[STEP], x[STEP];

    STEPS(l) x[l] = z[l] - m;
    exp_stages(q, t, x, STEP);
    STEPS(l) e[l] = EXP_SCALED(q[l], t[l], x[l], EXP_LO_2_64);
}

/* Of n numbers. */
static inline void exp_steps(real *e, const real *z, int64_t n, real m)
{
    int64_t i = 0;

    for (; i + STEP <= n; i += STEP) exp_step(e + i, z + i, m);
    if (i < n) {
        real copy[STEP];
        exp_step(copy, step_filled(copy, z + i, n - i), m);
        memcpy(e + i, copy, (size_t)(n - i) * sizeof(real));
    }
}

#endif
