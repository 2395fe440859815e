/* pow.h - powers as straight-line code that compilers vectorise: no branch, no table, no libm.
 *
 *     pow_f32(x, g), pow_f64(x, g)    x^g for x <= 1 and finite g >= 0; 0^0 = 1; NaN below 0; 0 where it would be
 *                                     subnormal
 *     pow_raised_f32(x, g), ..._f64   the same times RAISED_*: a factor of something large may be that small
 *
 * With x = 2^k (1 + f) it is 2^(g k) e^(g log(1 + f)), the whole part of g k going into the exponent: large powers lose
 * nothing.
 */
#ifndef CE_REAL_POW_H
#define CE_REAL_POW_H

#include "real/exp.h"
#include "real/log.h"

#define RAISED_F32 0x1p120F
#define RAISED_F64 0x1p1000

/* x^g times 2^raise, an even number. */
INLINE float pow_times_f32(float x, float g, float raise)
{
    const split_f32 s = split_of_f32(x);
    const float     by = BY_1_F32 + raise, whole = FMA_F32(g, s.k, by), n = whole - by; /* |g k| up to 2^22 */
    const float     part = FMA_F32(g, s.k, -n);
    const float     y = FMA_F32(part, 0x1.62e430p-1F, g * log_core_f32(s.f, 0.0F));
    const float     e = exp_f32(y, by + n, EXP_LO_F32 - (n + raise) * 0x1.62e430p-1F);

    return f32_bits(bits_f32(zero_if_f32((x == 0.0F) & (g != 0.0F), e) + (x - x)) | -(uint32_t)(x < 0.0F));
}

INLINE double pow_times_f64(double x, double g, double raise)
{
    const split_f64 s = split_of_f64(x);
    const double    by = BY_1_F64 + raise, whole = FMA_F64(g, s.k, by), n = whole - by;
    const double    part = FMA_F64(g, s.k, -n);
    const double    y = FMA_F64(part, 0x1.62e42fefa39efp-1, g * log_core_f64(s.f, 0.0));
    const double    e = exp_f64(y, by + n, EXP_LO_F64 - (n + raise) * 0x1.62e42fefa39efp-1);

    return f64_bits(bits_f64(zero_if_f64((x == 0.0) & (g != 0.0), e) + (x - x)) | -(uint64_t)(x < 0.0));
}

INLINE float pow_f32(float x, float g)
{
    return pow_times_f32(x, g, 0.0F);
}

INLINE double pow_f64(double x, double g)
{
    return pow_times_f64(x, g, 0.0);
}

INLINE float pow_raised_f32(float x, float g)
{
    return pow_times_f32(x, g, 120.0F);
}

INLINE double pow_raised_f64(double x, double g)
{
    return pow_times_f64(x, g, 1000.0);
}

#endif
