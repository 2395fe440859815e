/* pow.h - powers as straight-line code that compilers vectorise: no branch, no table, no libm.
 *
 *     pow_f32(x, g), pow_f64(x, g)  x^g for x <= 1 and finite g >= 0; 0^0 = 1; NaN below 0; 0 where it would be
 * subnormal
 *
 * With x = 2^k (1 + f) it is 2^(g k) e^(g log(1 + f)), the whole part of g k going into the exponent: large powers lose
 * nothing.
 */
#ifndef CE_REAL_POW_H
#define CE_REAL_POW_H

#include "real/exp.h"
#include "real/log.h"

INLINE float pow_f32(float x, float g)
{
    const split_f32 s = split_of_f32(x);
    const float     whole = FMA_F32(g, s.k, BY_1_F32), n = whole - BY_1_F32; /* |g k| up to 2^22 */
    const float     part = FMA_F32(g, s.k, -n);
    const float     y = FMA_F32(part, 0x1.62e430p-1F, g * log_core_f32(s.f, 0.0F));
    const float     e = exp_f32(y, BY_1_F32 + n, EXP_LO_F32 - n * 0x1.62e430p-1F);

    return f32_bits(bits_f32(zero_if_f32((x == 0.0F) & (g != 0.0F), e) + (x - x)) | -(uint32_t)(x < 0.0F));
}

INLINE double pow_f64(double x, double g)
{
    const split_f64 s = split_of_f64(x);
    const double    whole = FMA_F64(g, s.k, BY_1_F64), n = whole - BY_1_F64;
    const double    part = FMA_F64(g, s.k, -n);
    const double    y = FMA_F64(part, 0x1.62e42fefa39efp-1, g * log_core_f64(s.f, 0.0));
    const double    e = exp_f64(y, BY_1_F64 + n, EXP_LO_F64 - n * 0x1.62e42fefa39efp-1);

    return f64_bits(bits_f64(zero_if_f64((x == 0.0) & (g != 0.0), e) + (x - x)) | -(uint64_t)(x < 0.0));
}

#endif
