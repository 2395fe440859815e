/* real.h - the computing type of a translation unit, float or double by CE_REAL (32 or 64), and its arithmetic. */
#ifndef CE_REAL_REAL_H
#define CE_REAL_REAL_H

#include <stdbool.h>

#include "kernel.h"
#include "real/exp.h"
#include "real/log.h"
#include "real/memory.h"
#include "real/phi.h"
#include "real/pow.h"
#include "real/tanh.h"

#if CE_REAL == 32
typedef float    real;
typedef int32_t  real_bits;
typedef uint32_t real_word;
#define REAL_TYPE    CE_FLOAT32
#define MIN_NORMAL   0x1p-126F
#define MAX_FINITE   0x1.fffffep127F
#define ABS          fabsf
#define BITS         bits_f32
#define EQUAL        EQUAL_32
#define ABOVE        ABOVE_32
#define LESS_PRODUCT LESS_PRODUCT_32
#define FROM_BITS    f32_bits
#define MAX          MAX_32
#define ABOVE_OR     ABOVE_OR_32
#define BELOW_BITS   BELOW_BITS_32
#define FMA          FMA_F32
#define ZERO_IF      zero_if_f32
#define BY_SIGN      by_sign_f32
#define WIDEN        widen_f32
#define EXP(x)       exp_f32(x, BY_1_F32, EXP_LO_F32)
#define EXP_2_64(x)  exp_f32(x, BY_2_64_F32, EXP_LO_2_64_F32) /* times 2^64 */
#define EXP_WIDE     exp_wide_f32                             /* any x up to EXP_HI */
#define EXP_HI       EXP_HI_F32
#define EXP_LO       EXP_LO_F32
#define EXP_LO_2_64  EXP_LO_2_64_F32
#define BY_2_64      BY_2_64_F32
#define EXP_WHOLE    EXP_WHOLE_F32
#define EXP_REST     exp_rest_f32
#define EXP_HIGH     exp_high_f32
#define EXP_LOW      exp_low_f32
#define EXP_SCALED   exp_scaled_f32
#define EXP_RAISED   exp_raised_f32
#define EXP_JOINED   exp_joined_f32
#define BY_RAISED    BY_RAISED_F32
#define LOG          log_f32
#define LOG1P        log1p_f32
#define LOG1P_UNIT   log1p_unit_f32
#define POW          pow_f32
#define POW_RAISED   pow_raised_f32
#define TANH_FROM    tanh_from_f32
#define TANH_BOTH    tanh_both_f32
#define tanh_pair    tanh_pair_f32
#define PHI_SERIES   phi_series_f32
#define START_DECAY  start_decay_f32
#define DECAY_FROM   decay_from_f32
#define START_LOG    start_log_f32
#define LOG_FROM     log_from_f32
#define CHOSEN_BY    chosen_f32
typedef decay_start_f32 decay_start;
typedef decay_pair_f32  decay_pair;
typedef log_start_f32   log_start;
typedef log_pair_f32    log_pair;
#define RAISED      RAISED_F32
#define ROOT_RAISED 0x1p60F
#elif CE_REAL == 64
typedef double          real;
typedef int64_t         real_bits;
typedef uint64_t        real_word;
#define REAL_TYPE    CE_FLOAT64
#define MIN_NORMAL   0x1p-1022
#define MAX_FINITE   0x1.fffffffffffffp1023
#define ABS          fabs
#define BITS         bits_f64
#define EQUAL        EQUAL_64
#define ABOVE        ABOVE_64
#define LESS_PRODUCT LESS_PRODUCT_64
#define FROM_BITS    f64_bits
#define MAX          MAX_64
#define ABOVE_OR     ABOVE_OR_64
#define BELOW_BITS   BELOW_BITS_64
#define FMA          FMA_F64
#define ZERO_IF      zero_if_f64
#define BY_SIGN      by_sign_f64
#define WIDEN        (double)
#define EXP(x)       exp_f64(x, BY_1_F64, EXP_LO_F64)
#define EXP_2_64(x)  exp_f64(x, BY_2_64_F64, EXP_LO_2_64_F64) /* times 2^64 */
#define EXP_WIDE     exp_wide_f64                             /* any x up to EXP_HI */
#define EXP_HI       EXP_HI_F64
#define EXP_LO       EXP_LO_F64
#define EXP_LO_2_64  EXP_LO_2_64_F64
#define BY_2_64      BY_2_64_F64
#define EXP_WHOLE    EXP_WHOLE_F64
#define EXP_REST     exp_rest_f64
#define EXP_HIGH     exp_high_f64
#define EXP_LOW      exp_low_f64
#define EXP_SCALED   exp_scaled_f64
#define EXP_RAISED   exp_raised_f64
#define EXP_JOINED   exp_joined_f64
#define BY_RAISED    BY_RAISED_F64
#define LOG          log_f64
#define LOG1P        log1p_f64
#define LOG1P_UNIT   log1p_f64
#define POW          pow_f64
#define POW_RAISED   pow_raised_f64
#define TANH_FROM    tanh_from_f64
#define TANH_BOTH    tanh_both_f64
#define tanh_pair    tanh_pair_f64
#define PHI_SERIES   phi_series_f64
#define START_DECAY  start_decay_f64
#define DECAY_FROM   decay_from_f64
#define START_LOG    start_log_f64
#define LOG_FROM     log_from_f64
#define CHOSEN_BY    chosen_f64
typedef decay_start_f64 decay_start;
typedef decay_pair_f64  decay_pair;
typedef log_start_f64   log_start;
typedef log_pair_f64    log_pair;
#define RAISED       RAISED_F64
#define ROOT_RAISED  0x1p500
#else
#error "CE_REAL must be 32 or 64"
#endif

enum { LANES = 64 / sizeof(real) }; /* of a virtual vector of 64 bytes */

/* A loop over the lanes of one vector. */
#define LANE(l)                                                                                                        \
    SIMD                                                                                                               \
    for (int l = 0; l < LANES; l++)

/* A register's numbers, from or to any place in memory. Sums held as arrays of these stay in registers from step to
 * step of a loop; arrays of numbers are kept in memory. */
typedef real      packed __attribute__((vector_size(REGISTER), aligned(sizeof(real)), may_alias));
typedef real_bits packed_bits __attribute__((vector_size(REGISTER), aligned(sizeof(real)), may_alias));
typedef real_word packed_words __attribute__((vector_size(REGISTER), aligned(sizeof(real)), may_alias));
enum { WIDTH = REGISTER / sizeof(real), SHIFT = REAL_TYPE == CE_FLOAT32 ? 23 : 52 };
#define PART(x) (*(packed *)(x))

/* No subnormal number leaves: x, or 0. So flush-to-zero mode changes nothing. */
INLINE real normal(real x)
{
    return ZERO_IF(ABS(x) < MIN_NORMAL, x);
}

/* exp of a number that may be positive, too. */
INLINE real exp_any(real x)
{
    const real e = EXP_WIDE(x);
    return x > EXP_HI ? (real)INFINITY : e;
}

static inline double smaller_of(double a, double b)
{
    return a < b ? a : b;
}

/* Adds 8 or 16 numbers in a fixed tree, whatever the vector width of the machine. */
static inline double tree_sum(const double *x, int n)
{
    double a[4];

    if (n > 8) {
        SIMD
        for (int l = 0; l < 4; l++) a[l] = (x[l] + x[8 + l]) + (x[4 + l] + x[12 + l]);
    } else {
        SIMD
        for (int l = 0; l < 4; l++) a[l] = x[l] + x[4 + l];
    }
    return (a[0] + a[2]) + (a[1] + a[3]);
}

/* Of one lane, from four vectors. */
INLINE double sum_of_four(const real *x)
{
    return (double)((x[0] + x[LANES]) + (x[2 * LANES] + x[3 * LANES]));
}

/* A vector of lanes, summed pairwise with three others. */
static inline double add_four(const real *a, const real *b, const real *c, const real *d)
{
    double x[LANES];

    LANE(l) x[l] = (double)((a[l] + b[l]) + (c[l] + d[l]));
    return tree_sum(x, LANES);
}

/* Sum of n numbers. Those of float32 leave room in float64; of others what roundings take is kept: that of a sum of
 * four is no more than that of one number. */
OUTLINE double total(const void *numbers, int64_t n)
{
    const real *x = numbers;
    double      a[LANES] = { 0 }, lost[LANES] = { 0 };
    int64_t     i = 0;

    if (REAL_TYPE == CE_FLOAT64)
        for (; i + 4 * LANES <= n; i += 4 * LANES)
            LANE(l) add_exactly(&a[l], &lost[l], sum_of_four(x + i + l));
    for (; i + LANES <= n; i += LANES)
        LANE(l) a[l] += (double)x[i + l];
    for (int l = 0; i + l < n; l++) a[l] += (double)x[i + l];
    return REAL_TYPE == CE_FLOAT64 ? with_lost(tree_sum(a, LANES), tree_sum(lost, LANES)) : tree_sum(a, LANES);
}

/* What rounding x to `high` left. Where terms all but cancel, it is what remains. */
static inline real low_of(double x, real high)
{
    return fabs((double)high) < INFINITY ? (real)(x - (double)high) : 0;
}

/* Takes back the factor 2^64 of EXP_2_64; 0 where that would be subnormal. */
static inline double unscaled(double sum)
{
    return sum < 0x1p-958 ? 0 : sum * 0x1p-64;
}

#endif
