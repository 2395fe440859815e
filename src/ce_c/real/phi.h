/* phi.h - e^x - 1 - x and its kin, where x is small as exact as where it is large: straight-line code.
 *
 *     phi_series_f32(x), ..._f64      (e^x - 1 - x) / x^2 for |x| <= 1
 *     decay_from_f32(...), ..._f64    e^x and e^x - 1 for x <= -0: 2^n (e^r - 1) + (2^n - 1), n and r as in exp.h
 *     log_from_f32(x, ...), ..._f64   log u and x - log u for u = 1 + x, -1 <= x <= 0: also where u, given with all its
 *                                     digits, is so small that x is -1
 *
 * The last two are in two parts, each a chain of operations that wait for one another: processors work on more numbers
 * at a time where a loop goes through the first part, another through the second. For the same reason choices that
 * would keep the units that multiply are made of bits.
 */
#ifndef CE_REAL_PHI_H
#define CE_REAL_PHI_H

#include "real/exp.h"
#include "real/log.h"

INLINE float phi_series_f32(float x)
{
    float p = 1.0F / 479001600;

    p = FMA_F32(p, x, 1.0F / 39916800);
    p = FMA_F32(p, x, 1.0F / 3628800);
    p = FMA_F32(p, x, 1.0F / 362880);
    p = FMA_F32(p, x, 1.0F / 40320);
    p = FMA_F32(p, x, 1.0F / 5040);
    p = FMA_F32(p, x, 1.0F / 720);
    p = FMA_F32(p, x, 1.0F / 120);
    p = FMA_F32(p, x, 1.0F / 24);
    p = FMA_F32(p, x, 1.0F / 6);
    return FMA_F32(p, x, 0.5F);
}

INLINE double phi_series_f64(double x)
{
    double p = 1.0 / 2432902008176640000;

    p = FMA_F64(p, x, 1.0 / 121645100408832000);
    p = FMA_F64(p, x, 1.0 / 6402373705728000);
    p = FMA_F64(p, x, 1.0 / 355687428096000);
    p = FMA_F64(p, x, 1.0 / 20922789888000);
    p = FMA_F64(p, x, 1.0 / 1307674368000);
    p = FMA_F64(p, x, 1.0 / 87178291200);
    p = FMA_F64(p, x, 1.0 / 6227020800);
    p = FMA_F64(p, x, 1.0 / 479001600);
    p = FMA_F64(p, x, 1.0 / 39916800);
    p = FMA_F64(p, x, 1.0 / 3628800);
    p = FMA_F64(p, x, 1.0 / 362880);
    p = FMA_F64(p, x, 1.0 / 40320);
    p = FMA_F64(p, x, 1.0 / 5040);
    p = FMA_F64(p, x, 1.0 / 720);
    p = FMA_F64(p, x, 1.0 / 120);
    p = FMA_F64(p, x, 1.0 / 24);
    p = FMA_F64(p, x, 1.0 / 6);
    return FMA_F64(p, x, 0.5);
}

/* e^r less 1 is q r, but for q's last terms. */
typedef struct {
    float t, r, q;
} decay_start_f32;

typedef struct {
    float e, less_1;
} decay_pair_f32;

/* As integers numbers below 0 rise while they fall. A NaN may become a number. */
INLINE decay_start_f32 start_decay_f32(float x)
{
    const int32_t b = (int32_t)bits_f32(x), lo = (int32_t)bits_f32(EXP_LO_F32);
    const float   low = f32_bits((uint32_t)(b < lo ? b : lo)), t = EXP_WHOLE_F32(low, BY_1_F32),
                  r = exp_rest_f32(low, t, BY_1_F32);

    return (decay_start_f32){ t, r, exp_high_f32(r) };
}

INLINE decay_pair_f32 decay_from_f32(decay_start_f32 x)
{
    const float scale = f32_bits(bits_f32(x.t) << 23), less_1 = exp_less_1_f32(x.q, x.r);

    return (decay_pair_f32){ FMA_F32(scale, less_1, scale), FMA_F32(scale, less_1, scale - 1.0F) };
}

typedef struct {
    double t, r, q;
} decay_start_f64;

typedef struct {
    double e, less_1;
} decay_pair_f64;

INLINE decay_start_f64 start_decay_f64(double x)
{
    const int64_t b = (int64_t)bits_f64(x), lo = (int64_t)bits_f64(EXP_LO_F64);
    const double  low = f64_bits((uint64_t)(b < lo ? b : lo)), t = EXP_WHOLE_F64(low, BY_1_F64),
                  r = exp_rest_f64(low, t, BY_1_F64);

    return (decay_start_f64){ t, r, exp_high_f64(r) };
}

INLINE decay_pair_f64 decay_from_f64(decay_start_f64 x)
{
    const double scale = f64_bits(bits_f64(x.t) << 52), less_1 = exp_less_1_f64(x.q, x.r);

    return (decay_pair_f64){ FMA_F64(scale, less_1, scale), FMA_F64(scale, less_1, scale - 1.0) };
}

/* u = 2^n (1 + f), near 1 x itself is f. */
typedef struct {
    float f, n;
} log_start_f32;

typedef struct {
    float log, gap;
} log_pair_f32;

INLINE log_start_f32 start_log_f32(float x, float u)
{
    const uint32_t near = -(uint32_t)(x >= -0x1.2bec34p-2F);
    const uint32_t k = (bits_f32(u) - 0x3f3504f3u + (128u << 23)) >> 23; /* less the bits of 1/sqrt 2 */
    const float    n = f32_bits(k | 0x4b000000u) - (0x1p23F + 128.0F);
    const float    f = f32_bits(bits_f32(u) - ((k - 128u) << 23)) - 1.0F;

    return (log_start_f32){ chosen_f32(near, x, f), chosen_f32(near, 0, n) };
}

/* Near 1 the gap is what log(1 + f) lacks to f. */
INLINE log_pair_f32 log_from_f32(float x, log_start_f32 of)
{
    const int   near = x >= -0x1.2bec34p-2F;
    const float f = of.f, n = of.n, a = f / (2.0F + f), z = a * a, half = 0.5F * f * f;
    const float rest = half - a * FMA_F32(log_series_f32(z), z, half);
    const float log = FMA_F32(n, 0x1.62e4p-1F, f - (rest - n * 0x1.7f7d1cp-20F));

    return (log_pair_f32){ log, near ? rest : x - log };
}

typedef struct {
    double f, n;
} log_start_f64;

typedef struct {
    double log, gap;
} log_pair_f64;

INLINE log_start_f64 start_log_f64(double x, double u)
{
    const uint64_t near = -(uint64_t)(x >= -0x1.2bec333018867p-2);
    const uint64_t k = (bits_f64(u) - 0x3fe6a09e667f3bcdu + ((uint64_t)1024 << 52)) >> 52; /* as above */
    const double   n = f64_bits(k | 0x4330000000000000u) - (0x1p52 + 1024.0);
    const double   f = f64_bits(bits_f64(u) - ((k - 1024u) << 52)) - 1.0;

    return (log_start_f64){ chosen_f64(near, x, f), chosen_f64(near, 0, n) };
}

INLINE log_pair_f64 log_from_f64(double x, log_start_f64 of)
{
    const int    near = x >= -0x1.2bec333018867p-2;
    const double f = of.f, n = of.n, a = f / (2.0 + f), z = a * a, half = 0.5 * f * f;
    const double rest = half - a * FMA_F64(log_series_f64(z), z, half);
    const double log = FMA_F64(n, 0x1.62e42fefa38p-1, f - (rest - n * 0x1.ef35793c7673p-45));

    return (log_pair_f64){ log, near ? rest : x - log };
}

#endif
