/* scale.h - the exponentials of a row times a factor: where they are kept, elsewhere, past the caches, or anew. */
#ifndef CE_ROWS_SCALE_H
#define CE_ROWS_SCALE_H

#include "softmax/factors.h"
#include "softmax/steps.h"

/* n numbers e times a factor, less subtract times u (1 if absent); also in place of e. */
static void scale_exps(const real *e, const real *u, real *to, int64_t n, e_scale f, real subtract)
{
    if (subtract == 0 && f.b == 1) {
        const int64_t whole = n & -(int64_t)STEP;
        for (int64_t i = 0; i < whole; i += STEP)
            STEPS(l) to[i + l] = e[i + l] < f.least ? 0 : e[i + l] * f.a;
        SIMD
        for (int64_t i = whole; i < n; i++) to[i] = e[i] < f.least ? 0 : e[i] * f.a;
    } else if (subtract == 0) {
        SIMD
        for (int64_t i = 0; i < n; i++) to[i] = scaled(e[i], f);
    } else if (f.b == 1 && u) {
        SIMD
        for (int64_t i = 0; i < n; i++) to[i] = normal(FMA(e[i], f.a, -normal(subtract * u[i])));
    } else if (f.b == 1) {
        SIMD
        for (int64_t i = 0; i < n; i++) to[i] = normal(FMA(e[i], f.a, -subtract));
    } else if (u) {
        SIMD
        for (int64_t i = 0; i < n; i++) to[i] = normal(scaled(e[i], f) - normal(subtract * u[i]));
    } else {
        SIMD
        for (int64_t i = 0; i < n; i++) to[i] = normal(scaled(e[i], f) - subtract);
    }
}

/* What exponentials become, see scale_exps; but for number t, if it is one of them. */
typedef struct {
    e_scale     f;
    const real *u;
    real        subtract;
    int64_t     t;
    real        grad_t;
} one_hot_gradient;

/* x, or 0 where it is subnormal; a NaN stays. */
INLINE packed normal_part(packed x)
{
    const packed least = (packed){ 0 } + MIN_NORMAL;
    return (packed)((packed_bits)x & ~((packed_bits)(x < least) & (packed_bits)(x > -least)));
}

/* n numbers e times a factor, whole lines of memory, past the caches. */
static void stream_scaled(const real *e, char *to, int64_t n, e_scale f)
{
    for (int64_t i = 0; i < n; i += WIDTH) {
        const packed x = PART(e + i), y = (packed)((packed_bits)((x * f.a) * f.b) & ~(packed_bits)(x < f.least));
        STREAM_PART(to + i * (int64_t)sizeof(real), y);
    }
}

/* The same, less subtract times u (1 if absent); f.b is 1. */
static void stream_less(const real *e, const real *u, char *to, int64_t n, e_scale f, real subtract)
{
    const packed minus_a = (packed){ 0 } - f.a, less = (packed){ 0 } + subtract;

    for (int64_t i = 0; i < n; i += WIDTH) {
        const packed by = u ? normal_part(less * PART(u + i)) : less;
        const packed y = normal_part(LESS_PRODUCT(-by, PART(e + i), minus_a));
        STREAM_PART(to + i * (int64_t)sizeof(real), y);
    }
}

/* n numbers: lines but for t's go where they belong right away. */
static void stream_gradients(const real *e, char *to, int64_t n, const one_hot_gradient *of, line_writer *lines)
{
    const int64_t t = of->t;
    const bool    simple = of->subtract == 0 || of->f.b == 1;

    for (int64_t i = 0, some; i < n; i += some) {
        real *const   room = room_for(lines, to + i * (int64_t)sizeof(real));
        const int64_t before = (t >= i && t < n ? t : n) - i, whole = simple && lines->to == 0 ? before / LANES : 0;

        some = whole > 0 ? whole * LANES : smaller(n - i, LANES - (int64_t)(lines->to / sizeof(real)));
        if (whole > 0) {
            if (of->subtract == 0)
                stream_scaled(e + i, lines->line, some, of->f);
            else
                stream_less(e + i, of->u ? of->u + i : NULL, lines->line, some, of->f, of->subtract);
            lines->line += some * (int64_t)sizeof(real);
            continue;
        }
        scale_exps(e + i, of->u ? of->u + i : NULL, room, some, of->f, of->subtract);
        if (t >= i && t < i + some)
            room[t - i] = of->grad_t;
        add_to_lines(lines, (size_t)some * sizeof(real));
    }
}

/* exp(z - m) times a factor of n numbers, at most STEP. */
static inline void scale_few_exps(const real *z, real m, real *to, int64_t n, e_scale f)
{
    real copy[STEP];

    exp_step(copy, step_filled(copy, z, n), m);
    for (int64_t i = 0; i < n; i++) to[i] = scaled(copy[i], f);
}

/* The same of HELD numbers. Whatever lies below the least exponent becomes 0 by the factor anyway, see scale_new_exps:
 * so z - m is taken no lower than that, which is cheaper than to look for what is. */
INLINE void scale_new_held(real *y, const real *z, real m, e_scale f)
{
    const packed lo = (packed){ 0 } + (real)EXP_LO_2_64;
    real         x[HELD], q[HELD], t[HELD];

    for (int j = 0; j < HELD; j += WIDTH) PART(x + j) = MAX(lo, PART(z + j) - m);
    exp_stages(q, t, x, BY_RAISED, HELD);
    SIMD
    for (int l = 0; l < HELD; l++) y[l] = EXP_JOINED(q[l], t[l]);
    SIMD
    for (int l = 0; l < HELD; l++) y[l] = ZERO_IF(y[l] < f.least, y[l] * f.a);
}

/* Numbers on their way to their gradients, also in their place, or past the caches, if these are not that; what is read
 * a block after them. */
typedef struct {
    const real *z;
    real       *to;
    bool        past;
    ahead_of    ahead;
} new_exps;

/* exp(z - m) times a factor of n numbers. */
static void scale_new_exps(const new_exps *of, real m, int64_t n, e_scale f)
{
    const real *const z = of->z;
    real *const       to = of->to;
    const bool        past = of->past;
    uintptr_t         ahead = of->ahead.next;
    const int64_t     before = past ? (int64_t)(-(uintptr_t)to % LINE / sizeof(real)) : 0;
    const bool        simple = f.b == 1 && f.least > 2 * MIN_NORMAL;
    int64_t           i = smaller(before, n);

    if (i > 0)
        scale_few_exps(z, m, to, i, f);
    for (; simple && i + STEP <= n; i += STEP, ahead += of->ahead.step) {
        real y[STEP];
        fetch_four(ahead, of->ahead.apart);
        for (int h = 0; h < STEP; h += HELD) scale_new_held(y + h, z + i + h, m, f);
        for (int j = 0; j < STEP; j += WIDTH) {
            if (past)
                STREAM_PART(to + i + j, PART(y + j));
            else
                PART(to + i + j) = PART(y + j);
        }
    }
    for (int64_t some; i < n; i += some) {
        some = smaller(n - i, STEP);
        scale_few_exps(z + i, m, to + i, some, f);
    }
}

#endif
