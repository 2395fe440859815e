/* vecmath.h - exp, log and powers as straight-line code that compilers vectorise: no branch, no table, no libm.
 *
 *     exp_f32(x, by, lo), exp_f64(...)  e^x times 2^0 or 2^64; exactly 0 where x < lo; NaN where x is NaN
 *     exp_wide_f32(x), exp_wide_f64(x)  e^x up to x = EXP_HI_*, a little slower
 *     log_f32(x), log_f64(x)            log x; -inf at 0, NaN below
 *     log1p_f32(x), log1p_f64(x)        log(1 + x) for 0 <= x <= 2^126 (float64: 2^1022)
 *     pow_f32(x, g), pow_f64(x, g)      x^g for x <= 1 and finite g >= 0; 0^0 = 1; NaN below 0; 0 where it would be
 * subnormal
 *
 * exp:   x = n ln 2 + r, |r| <= ln 2 / 2, with n from adding and taking away `by`, 1.5 * 2^23 (or 2^52) and some, ln 2
 *        in two parts; e^r = 1 + r + r^2 q(r). The sum's low bits are n + 127 (or 1023), the exponent of 2^n, plus 64
 *        if `by` is BY_2_64_*, not BY_1_*, which costs nothing and lets sums of exponentials below the least normal
 *        number keep their digits. lo is at least EXP_LO_*, or EXP_LO_2_64_* for that factor: below it the result
 *        would be subnormal. x <= 88 (709), or 44 (665) with the factor. exp_wide adds n to the exponent of e^r
 *        instead, since 2^128 is no float32.
 * log:   x = 2^k (1 + f), 1/sqrt 2 <= 1 + f < sqrt 2, for log1p f by one fma, so that tiny x loses nothing;
 *        log(1 + f) = f - f^2/2 + a (f^2/2 + R(a^2)) with a = f / (2 + f). Subnormal numbers are read as integers.
 *        From 0 to 1 in float32: x + x^2 p(x).
 * pow:   2^(g k) e^(g log(1 + f)), the whole part of g k going into the exponent: large powers lose nothing.
 *
 * Every operation is correctly rounded, fma is explicit: the same bits on every processor that has fma.
 * The coefficients of q (degrees 4 and 9), R (degrees 2 and 6) and p (degree 8) are weighted minimax and least-squares
 * fits; errors of the polynomials: 3.1e-9, 4.4e-18, relative; 9.9e-10, 9.3e-18, relative to f; 5.3e-9, relative.
 */
#ifndef CE_VECMATH_H
#define CE_VECMATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define BY_0_F32        0x1.8p23F
#define BY_0_F64        0x1.8p52
#define BY_1_F32        (BY_0_F32 + 127)
#define BY_1_F64        (BY_0_F64 + 1023)
#define BY_2_64_F32     (BY_1_F32 + 64)
#define BY_2_64_F64     (BY_1_F64 + 64)
#define EXP_HI_F32      88.72283F /* beyond, e^x overflows */
#define EXP_HI_F64      709.782712893384
#define EXP_LO_F32      (-87.33654F) /* e^lo = 2^-126, the least normal number */
#define EXP_LO_F64      (-708.3964185322641)
#define EXP_LO_2_64_F32 (-131.69795F)     /* 2^-190 */
#define EXP_LO_2_64_F64 (-752.7578380879) /* 2^-1086 */

#define EXP_WHOLE_F32(x, by) FMA_F32(x, 0x1.715476p0F, by) /* 1 / ln 2 */
#define EXP_WHOLE_F64(x, by) FMA_F64(x, 0x1.71547652b82fep0, by)

/* Loops around these functions vectorise only if they melt into them. */
#define INLINE static inline __attribute__((always_inline))

/* Of functions with large frames one is on the stack at a time. */
#define OUTLINE static __attribute__((noinline))

/* A pragma of the language, so that it can stand in a macro: no iteration depends on another. */
#define SIMD _Pragma("omp simd")

INLINE uint32_t bits_f32(float x)
{
    uint32_t b;
    memcpy(&b, &x, sizeof b);
    return b;
}

INLINE float f32_bits(uint32_t b)
{
    float x;
    memcpy(&x, &b, sizeof x);
    return x;
}

INLINE uint64_t bits_f64(double x)
{
    uint64_t b;
    memcpy(&b, &x, sizeof b);
    return b;
}

INLINE double f64_bits(uint64_t b)
{
    double x;
    memcpy(&x, &b, sizeof x);
    return x;
}

/* x, or 0 where drop holds. By bits: beside the choice within exp a second ?: keeps compilers from vectorising. */
INLINE float zero_if_f32(int drop, float x)
{
    return f32_bits(bits_f32(x) & ((uint32_t)drop - 1));
}

INLINE double zero_if_f64(int drop, double x)
{
    return f64_bits(bits_f64(x) & ((uint64_t)drop - 1));
}

/* a, or b where the sign of x is set. */
INLINE float by_sign_f32(float x, float a, float b)
{
    const uint32_t set = -(bits_f32(x) >> 31);
    return f32_bits((bits_f32(a) & ~set) | (bits_f32(b) & set));
}

INLINE double by_sign_f64(double x, double a, double b)
{
    const uint64_t set = -(bits_f64(x) >> 63);
    return f64_bits((bits_f64(a) & ~set) | (bits_f64(b) & set));
}

/* Without the instruction (x86-64 baseline) two roundings, and so other bits; the sums below bear it. */
#if defined(__FMA__) || defined(__aarch64__)
#define FUSED            1
#define FMA_F32(a, b, c) fmaf(a, b, c)
#define FMA_F64(a, b, c) fma(a, b, c)
#else
#define FUSED            0
#define FMA_F32(a, b, c) ((a) * (b) + (c))
#define FMA_F64(a, b, c) ((a) * (b) + (c))
#endif

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

INLINE float exp_low_f32(float q, float r)
{
    q = FMA_F32(q, r, 1.66665201e-1F);
    q = FMA_F32(q, r, 0.499999934F);
    q = FMA_F32(q, r, 1.0F);
    return FMA_F32(q, r, 1.0F);
}

/* From e^r = q and t. */
INLINE float exp_scaled_f32(float q, float t, float x, float lo)
{
    const float y = q * f32_bits(bits_f32(t) << 23);
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

INLINE double exp_low_f64(double q, double r)
{
    q = FMA_F64(q, r, 0x1.1111111121d26p-7);
    q = FMA_F64(q, r, 0x1.5555555550006p-5);
    q = FMA_F64(q, r, 0x1.5555555555512p-3);
    q = FMA_F64(q, r, 0x1.000000000000cp-1);
    q = FMA_F64(q, r, 1.0);
    return FMA_F64(q, r, 1.0);
}

/* From e^r = q and t. */
INLINE double exp_scaled_f64(double q, double t, double x, double lo)
{
    const double y = q * f64_bits(bits_f64(t) << 52);
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

/* log(1 + f) + n ln 2 */
INLINE float log_core_f32(float f, float n)
{
    const float a = f / (2.0F + f), z = a * a, half = 0.5F * f * f;
    float       p;

    p = 0.29874596F;
    p = FMA_F32(p, z, 0.399774432F);
    p = FMA_F32(p, z, 0.666667759F);
    p = FMA_F32(a, FMA_F32(p, z, half), n * 0x1.7f7d1cp-20F);
    return FMA_F32(n, 0x1.62e4p-1F, f - (half - p));
}

INLINE double log_core_f64(double f, double n)
{
    const double a = f / (2.0 + f), z = a * a, half = 0.5 * f * f;
    double       p;

    p = 0x1.2b69ec12c321fp-3;
    p = FMA_F64(p, z, 0x1.39fcec6a870e0p-3);
    p = FMA_F64(p, z, 0x1.7462c01ab35fap-3);
    p = FMA_F64(p, z, 0x1.c71c62bc46627p-3);
    p = FMA_F64(p, z, 0x1.2492492e12a0ap-2);
    p = FMA_F64(p, z, 0x1.99999999951a9p-2);
    p = FMA_F64(p, z, 0x1.5555555555558p-1);
    p = FMA_F64(a, FMA_F64(p, z, half), n * 0x1.ef35793c7673p-45);
    return FMA_F64(n, 0x1.62e42fefa38p-1, f - (half - p));
}

INLINE float log1p_f32(float x)
{
    const uint32_t k = (bits_f32(1.0F + x) - 0x3f3504f3u) >> 23; /* less the bits of 1/sqrt 2 */
    const float    n = f32_bits(k | 0x4b000000u) - 0x1p23F;
    const float    scale = f32_bits((127u - k) << 23);

    return log_core_f32(FMA_F32(scale, x, scale - 1.0F), n);
}

INLINE double log1p_f64(double x)
{
    const uint64_t k = (bits_f64(1.0 + x) - 0x3fe6a09e667f3bcdu) >> 52; /* less the bits of 1/sqrt 2 */
    const double   n = f64_bits(k | 0x4330000000000000u) - 0x1p52;
    const double   scale = f64_bits((1023u - k) << 52);

    return log_core_f64(FMA_F64(scale, x, scale - 1.0), n);
}

/* By pairs: operations that need not wait for each other. */
INLINE float log1p_unit_f32(float x)
{
    const float z = x * x;
    const float a = FMA_F32(x, 0.333304703F, -0.499999315F), b = FMA_F32(x, 0.196931928F, -0.24958156F);
    const float c = FMA_F32(x, 0.10670013F, -0.153490975F), d = FMA_F32(x, 2.01503336e-2F, -5.75615279e-2F);
    const float high = FMA_F32(z, FMA_F32(z, -3.3065395e-3F, d), c);

    return FMA_F32(z, FMA_F32(z * z, high, FMA_F32(z, b, a)), x);
}

/* x = 2^k (1 + f). A subnormal x is looked at as x 2^149 (or 2^1074), a whole number; 0 gives nonsense. */
typedef struct {
    float f, k;
} split_f32;

INLINE split_f32 split_of_f32(float x)
{
    const uint32_t bits = bits_f32(x), tiny = -(uint32_t)(bits < 0x00800000u);
    const uint32_t b = (bits & ~tiny) | (bits_f32(f32_bits((bits & 0x7fffffu) | 0x4b000000u) - 0x1p23F) & tiny);
    const uint32_t k = (b + (0x3f800000u - 0x3f3504f3u)) >> 23; /* biased by 127 */

    return (split_f32){ f32_bits(b - ((k - 127u) << 23)) - 1.0F,
                        f32_bits(k | 0x4b000000u) - (0x1p23F + 127.0F) - f32_bits(tiny & 0x43150000u) }; /* 149 */
}

typedef struct {
    double f, k;
} split_f64;

INLINE split_f64 split_of_f64(double x)
{
    const uint64_t bits = bits_f64(x), tiny = -(uint64_t)(bits < 0x0010000000000000u);
    const uint64_t b =
        (bits & ~tiny) | (bits_f64(f64_bits((bits & 0xfffffffffffffu) | 0x4330000000000000u) - 0x1p52) & tiny);
    const uint64_t k = (b + (0x3ff0000000000000u - 0x3fe6a09e667f3bcdu)) >> 52; /* biased by 1023 */

    return (split_f64){ f64_bits(b - ((k - 1023u) << 52)) - 1.0, f64_bits(k | 0x4330000000000000u) - (0x1p52 + 1023.0) -
                                                                     f64_bits(tiny & 0x4090c80000000000u) }; /* 1074 */
}

INLINE float log_f32(float x)
{
    const uint32_t  bits = bits_f32(x);
    const split_f32 s = split_of_f32(x);
    const uint32_t  zero = -(uint32_t)(bits << 1 == 0), nan = -(uint32_t)(bits > 0x7f800000u) & ~zero,
                    inf = -(uint32_t)(bits == 0x7f800000u);

    return log_core_f32(s.f, s.k) + f32_bits((zero & 0xff800000u) | (nan & 0x7fc00000u) | (inf & 0x7f800000u));
}

INLINE double log_f64(double x)
{
    const uint64_t  bits = bits_f64(x);
    const split_f64 s = split_of_f64(x);
    const uint64_t  zero = -(uint64_t)(bits << 1 == 0), nan = -(uint64_t)(bits > 0x7ff0000000000000u) & ~zero,
                    inf = -(uint64_t)(bits == 0x7ff0000000000000u);

    return log_core_f64(s.f, s.k) +
           f64_bits((zero & 0xfff0000000000000u) | (nan & 0x7ff8000000000000u) | (inf & 0x7ff0000000000000u));
}

/* x in float64, also where flush-to-zero mode would make a subnormal x zero. */
INLINE double widen_f32(float x)
{
    const uint32_t bits = bits_f32(x), tiny = -(uint32_t)((bits & 0x7f800000u) == 0);
    const float    whole = f32_bits((bits & 0x7fffffu) | 0x4b000000u) - 0x1p23F; /* |x| 2^149 */
    const float    y = f32_bits((bits & ~tiny) | ((bits_f32(whole) | (bits & 0x80000000u)) & tiny));

    return (double)y * f64_bits(0x3ff0000000000000u - ((uint64_t)(tiny & 149u) << 52));
}

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
