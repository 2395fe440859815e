/* log.h - logarithms as straight-line code that compilers vectorise: no branch, no table, no libm.
 *
 *     log_f32(x), log_f64(x)      log x; -inf at 0, NaN below
 *     log1p_f32(x), log1p_f64(x)  log(1 + x) for 0 <= x <= 2^126 (float64: 2^1022)
 *     log1p_unit_f32(x)           the same for 0 <= x <= 1: x + x^2 p(x)
 *     log_ratio_f64(x, y)         log(x / y), also where x is all but y, or x / y no float64
 *
 * x = 2^k (1 + f), 1/sqrt 2 <= 1 + f < sqrt 2, for log1p f by one fma, so that tiny x loses nothing;
 * log(1 + f) = f - f^2/2 + a (f^2/2 + R(a^2)) with a = f / (2 + f). Subnormal numbers are read as integers.
 *
 * The coefficients of R (degrees 2 and 6) and p (degree 8) are weighted minimax and least-squares fits; errors of the
 * polynomials: 9.9e-10, 9.3e-18, relative to f; 5.3e-9, relative.
 */
#ifndef CE_REAL_LOG_H
#define CE_REAL_LOG_H

#include "real/bits.h"

/* R(z) / z */
INLINE float log_series_f32(float z)
{
    const float p = FMA_F32(0.29874596F, z, 0.399774432F);
    return FMA_F32(p, z, 0.666667759F);
}

/* log(1 + f) + n ln 2 */
INLINE float log_core_f32(float f, float n)
{
    const float a = f / (2.0F + f), z = a * a, half = 0.5F * f * f;
    const float p = FMA_F32(a, FMA_F32(log_series_f32(z), z, half), n * 0x1.7f7d1cp-20F);

    return FMA_F32(n, 0x1.62e4p-1F, f - (half - p));
}

INLINE double log_series_f64(double z)
{
    double p;

    p = 0x1.2b69ec12c321fp-3;
    p = FMA_F64(p, z, 0x1.39fcec6a870e0p-3);
    p = FMA_F64(p, z, 0x1.7462c01ab35fap-3);
    p = FMA_F64(p, z, 0x1.c71c62bc46627p-3);
    p = FMA_F64(p, z, 0x1.2492492e12a0ap-2);
    p = FMA_F64(p, z, 0x1.99999999951a9p-2);
    return FMA_F64(p, z, 0x1.5555555555558p-1);
}

INLINE double log_core_f64(double f, double n)
{
    const double a = f / (2.0 + f), z = a * a, half = 0.5 * f * f;
    const double p = FMA_F64(a, FMA_F64(log_series_f64(z), z, half), n * 0x1.ef35793c7673p-45);

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

/* log x where that is not finite, else 0. */
INLINE double log_special_f64(double x)
{
    const uint64_t bits = bits_f64(x);
    const uint64_t zero = -(uint64_t)(bits << 1 == 0), nan = -(uint64_t)(bits > 0x7ff0000000000000u) & ~zero,
                   inf = -(uint64_t)(bits == 0x7ff0000000000000u);

    return f64_bits((zero & 0xfff0000000000000u) | (nan & 0x7ff8000000000000u) | (inf & 0x7ff0000000000000u));
}

INLINE double log_f64(double x)
{
    const split_f64 s = split_of_f64(x);

    return log_core_f64(s.f, s.k) + log_special_f64(x);
}

/* x / y = 2^n c / d with c / d from 1/sqrt 2 to sqrt 2: then c - d is exact, and the logarithm of c / d is the sum
 * above, 2 a + a R(a^2) in other terms, with a = (c - d) / (c + d). */
INLINE double log_ratio_f64(double x, double y)
{
    const split_f64 s = split_of_f64(x), t = split_of_f64(y);
    const double    special = log_special_f64(x) - log_special_f64(y), c = 1.0 + s.f, e = 1.0 + t.f;
    const double    up = zero_if_f64(c < e * 0x1.6a09e667f3bcdp0, 1.0),
                    down = zero_if_f64(c * 0x1.6a09e667f3bcdp0 > e, 1.0);
    const double    d = FMA_F64(e, up, FMA_F64(e * -0.5, down, e)), n = (s.k - t.k) + (up - down);
    const double    a = (c - d) / (c + d), z = a * a, p = log_series_f64(z);
    const double    low = FMA_F64(a, p * z, n * 0x1.ef35793c7673p-45);

    return zero_if_f64(special != 0, FMA_F64(n, 0x1.62e42fefa38p-1, FMA_F64(2.0, a, low))) + special;
}

/* x in float64, also where flush-to-zero mode would make a subnormal x zero. */
INLINE double widen_f32(float x)
{
    const uint32_t bits = bits_f32(x), tiny = -(uint32_t)((bits & 0x7f800000u) == 0);
    const float    whole = f32_bits((bits & 0x7fffffu) | 0x4b000000u) - 0x1p23F; /* |x| 2^149 */
    const float    y = f32_bits((bits & ~tiny) | ((bits_f32(whole) | (bits & 0x80000000u)) & tiny));

    return (double)y * f64_bits(0x3ff0000000000000u - ((uint64_t)(tiny & 149u) << 52));
}

#endif
