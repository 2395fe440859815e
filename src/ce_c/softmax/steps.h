/* steps.h - exponentials stage by stage, a step of a few vectors at a time, and gaps. */
#ifndef CE_SOFTMAX_STEPS_H
#define CE_SOFTMAX_STEPS_H

#include "real/real.h"

enum {
    CHUNK = 512,                                       /* classes whose sum is kept in the computing type */
    STEP = 4 * LANES,                                  /* four accumulators hide the latency of an addition */
    HELD = sizeof(real) == 4 ? AT_ONCE * LANES : STEP, /* numbers whose exponentials go side by side, see exp_stages */
    BLOCK = 16384 / sizeof(real),                      /* classes between two merges: 16 KiB, half of a small L1 */
    KEPT = 128 * BLOCK,                                /* the longest row whose exponentials are kept: 2 MiB */
};

/* What gaps m - z are taken times: sums of these do not overflow. Up to the maximum m = EVEN_GAPS no gap itself does.
 */
#define GAP_SCALE 0x1p-16
#define EVEN_GAPS 0x1p100

#define STEPS(l)                                                                                                       \
    SIMD                                                                                                               \
    for (int l = 0; l < STEP; l++)

/* A loop over the registers of a step. */
enum { PARTS = STEP / WIDTH };
#define EACH_PART(j) for (int j = 0; j < PARTS; j++)

static inline int64_t up_to_step(int64_t n)
{
    return (n + STEP - 1) / STEP * STEP;
}

/* n numbers, at most STEP, filled up with what exp turns into 0. */
static const real *step_filled(real *copy, const real *z, int64_t n)
{
    STEPS(l) copy[l] = -INFINITY;
    memcpy(copy, z, (size_t)n * sizeof(real));
    return copy;
}

/* A bit for each of STEP numbers that is m. */
static inline uint64_t places_in_step(const real *z, real m)
{
    const uint64_t low = EQUAL(z, m) | (uint64_t)EQUAL(z + LANES, m) << LANES;
    return low | (EQUAL(z + 2 * LANES, m) | (uint64_t)EQUAL(z + 3 * LANES, m) << LANES) << 2 * LANES;
}

/* A bit for each of STEP numbers that is larger than x. */
static inline uint64_t above_in_step(const real *z, real x)
{
    const uint64_t low = ABOVE(z, x) | (uint64_t)ABOVE(z + LANES, x) << LANES;
    return low | (ABOVE(z + 2 * LANES, x) | (uint64_t)ABOVE(z + 3 * LANES, x) << LANES) << 2 * LANES;
}

/* e^x of n numbers, at most STEP, as exp_f32 and exp_f64, but stage by stage: each is a chain of operations that wait
 * for one another, and only so many wait at a time. HELD of them are as many as registers hold; of float64, whose
 * chains are longer, twice as many are faster. This is all but the last stage, EXP_SCALED or EXP_RAISED. */
INLINE void exp_stages(real *q, real *t, const real *x, real by, int n)
{
    real r[STEP];

    SIMD
    for (int l = 0; l < n; l++) t[l] = EXP_WHOLE(x[l], by);
    SIMD
    for (int l = 0; l < n; l++) r[l] = EXP_REST(x[l], t[l], by);
    SIMD
    for (int l = 0; l < n; l++) q[l] = EXP_HIGH(r[l]);
    SIMD
    for (int l = 0; l < n; l++) q[l] = EXP_LOW(q[l], r[l]);
}

/* At most STEP numbers x = z - m, and what exp_stages makes of them. */
typedef struct {
    real x[STEP], q[STEP], t[STEP];
} staged_step;

/* exp(z - m) times 2^64 of n numbers, whole vectors, but for the last stage, see others_part. What comes of a NaN is
 * any number: `met`, unless it is NULL, adds up what becomes NaN then. */
INLINE void begin_others(staged_step *s, const real *z, real m, real *met, int n)
{
    SIMD
    for (int l = 0; l < n; l++) s->x[l] = z[l] - m;
    for (int i = 0; i < n && met; i += LANES)
        LANE(l) met[l] += s->x[i + l];
    exp_stages(s->q, s->t, s->x, BY_RAISED, n);
}

/* The last stage of a register's numbers: n goes to the exponent of q. */
INLINE packed_words joined_part(const real *q, const real *t)
{
    return (packed_words)PART(q) + ((packed_words)PART(t) << SHIFT);
}

/* The same, 0 where x is below the least, or 0: of the maximum. As integers numbers below 0 rise while they fall, and
 * lie below all others, so this takes one comparison. */
INLINE packed others_part(const real *q, const real *t, const real *x)
{
    const packed lo = (packed){ 0 } + (real)EXP_LO_2_64;

    return (packed)BELOW_BITS((packed_bits)PART(x), (packed_bits)lo + 1, joined_part(q, t));
}

/* All bits of those of a register's numbers that have a sign. */
INLINE packed_bits signs_of(packed x)
{
    return (packed_bits)x >> (8 * (int)sizeof(real) - 1);
}

/* How are gaps added up where exponentials are: not at all, evenly, or times the weights of the classes? The latter are
 * positive then, and usual, see ce_plan, so that no sum of gaps is NaN unless a logit is. */
typedef enum { NO_GAPS, EVEN_GAP_SUM, WEIGHTED_GAP_SUM } gap_way;

static inline gap_way gap_way_of(const real *w, int usual)
{
    return !w ? EVEN_GAP_SUM : usual ? WEIGHTED_GAP_SUM : NO_GAPS;
}

/* m - z, scaled; also where m - z overflows. */
static inline real gap(real z, real m)
{
    return FMA(z, (real)-GAP_SCALE, m * (real)GAP_SCALE);
}

/* That of a class of weight w; one of weight 0 counts for nothing, whatever its gap is. */
static inline real gap_that_counts(real z, real w, real m)
{
    return w == 0 ? 0 : gap(z, m);
}

/* Adds the gaps of a step, of which x = z - m, to their sums by lanes. */
INLINE void add_step_gaps(real *met, const real *x)
{
    const real by = (real)-GAP_SCALE;

    LANE(l) met[l] += FMA(x[LANES + l], by, x[l] * by) + FMA(x[3 * LANES + l], by, x[2 * LANES + l] * by);
}

/* The same times the weights of the classes. */
INLINE void add_weighted_step_gaps(real *met, const real *x, const real *w)
{
    const real by = (real)-GAP_SCALE;

    LANE(l)
        met[l] += FMA(x[LANES + l] * by, w[LANES + l], (x[l] * by) * w[l]) +
                  FMA(x[3 * LANES + l] * by, w[3 * LANES + l], (x[2 * LANES + l] * by) * w[2 * LANES + l]);
}

/* sums + e (m - z) of a register's numbers, x = z - m; e is 0 where x is below the least of which it is not. */
INLINE packed with_heat(packed sums, packed e, packed x)
{
    real lo[WIDTH];

    for (int l = 0; l < WIDTH; l++) lo[l] = EXP_LO_2_64;
    return LESS_PRODUCT(sums, e, MAX(x, PART(lo)));
}

/* Of STEP numbers, the maximum among them; also in place of z. */
static void exp_step(real *e, const real *z, real m)
{
    for (int h = 0; h < STEP; h += HELD) {
        staged_step s;

        begin_others(&s, z + h, m, NULL, HELD);
        SIMD
        for (int l = 0; l < HELD; l++) e[h + l] = EXP_RAISED(s.q[l], s.t[l], s.x[l], EXP_LO_2_64);
    }
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
