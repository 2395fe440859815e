/* exp.h - the exponential as straight-line code that compilers vectorise: no branch, no table, no libm.
 *
 *     exp_f32(x, by, lo), exp_f64(...)  e^x times 2^0 or 2^64; exactly 0 where x < lo; NaN where x is NaN
 *     exp_wide_f32(x), exp_wide_f64(x)  e^x up to x = EXP_HI_*, a little slower
 *
 * x = n ln 2 + r, |r| <= ln 2 / 2, with n from adding and taking away `by`, 1.5 * 2^23 (or 2^52) and some, ln 2 in two
 * parts; e^r = 1 + r + r^2 q(r). The sum's low bits are n + 127 (or 1023), the exponent of 2^n, plus 64 if `by` is
 * BY_2_64_*, not BY_1_*, which costs nothing and lets sums of exponentials below the least normal number keep their
 * digits. lo is at least EXP_LO_*, or EXP_LO_2_64_* for that factor: below it the result would be subnormal. x <= 88
 * (709), or 44 (665) with the factor. exp_wide adds n to the exponent of e^r instead, since 2^128 is no float32.
 *
 * Every operation is correctly rounded, fma is explicit: the same bits on every processor that has fma. The
 * coefficients of q (degrees 4 and 9) are weighted minimax fits; relative errors of the polynomials: 3.1e-9, 4.4e-18.
 */
#ifndef CE_REAL_EXP_H
#define CE_REAL_EXP_H

#include "real/bits.h"

#define BY_0_F32        0x1.8p23F
#define BY_0_F64        0x1.8p52
#define BY_1_F32        (BY_0_F32 + 127)
#define BY_1_F64        (BY_0_F64 + 1023)
#define BY_2_64_F32     (BY_1_F32 + 64)
#define BY_2_64_F64     (BY_1_F64 + 64)
#define BY_RAISED_F32   (BY_0_F32 + 64)
#define BY_RAISED_F64   (BY_0_F64 + 64)
#define EXP_HI_F32      88.72283F /* beyond, e^x overflows */
#define EXP_HI_F64      709.782712893384
#define EXP_LO_F32      (-87.33654F) /* e^lo = 2^-126, the least normal number */
#define EXP_LO_F64      (-708.3964185322641)
#define EXP_LO_2_64_F32 (-131.69795F)     /* 2^-190 */
#define EXP_LO_2_64_F64 (-752.7578380879) /* 2^-1086 */

#define EXP_WHOLE_F32(x, by) FMA_F32(x, 0x1.715476p0F, by) /* 1 / ln 2 */
#define EXP_WHOLE_F64(x, by) FMA_F64(x, 0x1.71547652b82fep0, by)

/* x - n ln 2, n = t - by. */
INLINE float exp_rest_f32(float x, float t, float by)
{
    const float n = t - by;
    return FMA_F32(n, -0x1.7f7d1cp-20F, FMA_F32(n, -0x1.62e4p-1F, x));
}

/* e^r in two parts: a few terms of q, the rest. */
INLINE float exp_high_f32(float r)
{
    float q = 1.38144639e-3F;

    q = FMA_F32(q, r, 8.36878038e-3F);
    return FMA_F32(q, r, 4.16683943e-2F);
}

/* (e^r - 1) / r */
INLINE float exp_slope_f32(float q, float r)
{
    q = FMA_F32(q, r, 1.66665201e-1F);
    q = FMA_F32(q, r, 0.499999934F);
    return FMA_F32(q, r, 1.0F);
}

INLINE float exp_low_f32(float q, float r)
{
    return FMA_F32(exp_slope_f32(q, r), r, 1.0F);
}

INLINE float exp_less_1_f32(float q, float r)
{
    return exp_slope_f32(q, r) * r;
}

/* From e^r = q and t. */
INLINE float exp_scaled_f32(float q, float t, float x, float lo)
{
    const float y = q * f32_bits(bits_f32(t) << 23);
    return x < lo ? 0.0F : y;
}

/* The same with t from BY_RAISED_F32 (or _F64): n goes to the exponent of q, which is no work for the units that
 * multiply. A NaN may come out as any number; exp_joined: and what is below lo, too. */
INLINE float exp_joined_f32(float q, float t)
{
    return f32_bits(bits_f32(q) + (bits_f32(t) << 23));
}

INLINE float exp_raised_f32(float q, float t, float x, float lo)
{
    const float y = exp_joined_f32(q, t);
    return x < lo ? 0.0F : y;
}

INLINE float exp_f32(float x, float by, float lo)
{
    const float t = EXP_WHOLE_F32(x, by), r = exp_rest_f32(x, t, by);
    return exp_scaled_f32(exp_low_f32(exp_high_f32(r), r), t, x, lo);
}

INLINE float exp_wide_f32(float x)
{
    const float by = BY_0_F32, t = EXP_WHOLE_F32(x, by), r = exp_rest_f32(x, t, by);
    const float y = f32_bits(bits_f32(exp_low_f32(exp_high_f32(r), r)) + (bits_f32(t) << 23));
    const float e = FMA_F32(r, 0.0F, y); /* of a NaN the bits of t went into the exponent */
    return x < EXP_LO_F32 ? 0.0F : e;
}

/* x - n ln 2, n = t - by. */
INLINE double exp_rest_f64(double x, double t, double by)
{
    const double n = t - by;
    return FMA_F64(n, -0x1.ef35793c7673p-45, FMA_F64(n, -0x1.62e42fefa38p-1, x));
}

/* e^r in two parts: a few terms of q, the rest. */
INLINE double exp_high_f64(double r)
{
    double q = 0x1.adeb4ac14afbep-26;

    q = FMA_F64(q, r, 0x1.28b0437e9745ep-22);
    q = FMA_F64(q, r, 0x1.71dee06dbcf9dp-19);
    q = FMA_F64(q, r, 0x1.a0199698cfb78p-16);
    q = FMA_F64(q, r, 0x1.a01a0149ad5adp-13);
    return FMA_F64(q, r, 0x1.6c16c185a83adp-10);
}

INLINE double exp_slope_f64(double q, double r)
{
    q = FMA_F64(q, r, 0x1.1111111121d26p-7);
    q = FMA_F64(q, r, 0x1.5555555550006p-5);
    q = FMA_F64(q, r, 0x1.5555555555512p-3);
    q = FMA_F64(q, r, 0x1.000000000000cp-1);
    return FMA_F64(q, r, 1.0);
}

INLINE double exp_low_f64(double q, double r)
{
    return FMA_F64(exp_slope_f64(q, r), r, 1.0);
}

INLINE double exp_less_1_f64(double q, double r)
{
    return exp_slope_f64(q, r) * r;
}

/* From e^r = q and t. */
INLINE double exp_scaled_f64(double q, double t, double x, double lo)
{
    const double y = q * f64_bits(bits_f64(t) << 52);
    return x < lo ? 0.0 : y;
}

INLINE double exp_joined_f64(double q, double t)
{
    return f64_bits(bits_f64(q) + (bits_f64(t) << 52));
}

INLINE double exp_raised_f64(double q, double t, double x, double lo)
{
    const double y = exp_joined_f64(q, t);
    return x < lo ? 0.0 : y;
}

INLINE double exp_f64(double x, double by, double lo)
{
    const double t = EXP_WHOLE_F64(x, by), r = exp_rest_f64(x, t, by);
    return exp_scaled_f64(exp_low_f64(exp_high_f64(r), r), t, x, lo);
}

INLINE double exp_wide_f64(double x)
{
    const double by = BY_0_F64, t = EXP_WHOLE_F64(x, by), r = exp_rest_f64(x, t, by);
    const double y = f64_bits(bits_f64(exp_low_f64(exp_high_f64(r), r)) + (bits_f64(t) << 52));
    const double e = FMA_F64(r, 0.0, y); /* of a NaN the bits of t went into the exponent */
    return x < EXP_LO_F64 ? 0.0 : e;
}

#endif
