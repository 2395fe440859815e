/* tanh.h - the hyperbolic tangent, to 3 ulp, and its slope as straight-line code that compilers vectorise.
 *
 *     tanh_both_f32(x), ..._f64   tanh |x| = -y / (2 + y),  y = e^(-2|x|) - 1,  with the sign of x;
 *                                 sech^2 x = (1 - tanh |x|) (1 + tanh |x|) = e^(-2|x|) (1 + tanh |x|)^2
 *
 * e^(-2|x|) and y are those of decay_from_f32 or decay_from_f64: nothing cancels; tanh_from_... takes them. Of a NaN
 * both may be any number.
 */
#ifndef CE_REAL_TANH_H
#define CE_REAL_TANH_H

#include "real/phi.h"

typedef struct {
    float tanh, sech2;
} tanh_pair_f32;

INLINE tanh_pair_f32 tanh_from_f32(float x, decay_pair_f32 decay)
{
    const float    t = -decay.less_1 / (2.0F + decay.less_1), one = 1.0F + t;
    const uint32_t sign = bits_f32(x) & 0x80000000u;

    return (tanh_pair_f32){ f32_bits(bits_f32(t) | sign), -2.0F * fabsf(x) < EXP_LO_F32 ? 0.0F : decay.e * one * one };
}

INLINE tanh_pair_f32 tanh_both_f32(float x)
{
    return tanh_from_f32(x, decay_from_f32(start_decay_f32(-2.0F * fabsf(x))));
}

typedef struct {
    double tanh, sech2;
} tanh_pair_f64;

INLINE tanh_pair_f64 tanh_from_f64(double x, decay_pair_f64 decay)
{
    const double   t = -decay.less_1 / (2.0 + decay.less_1), one = 1.0 + t;
    const uint64_t sign = bits_f64(x) & 0x8000000000000000u;

    return (tanh_pair_f64){ f64_bits(bits_f64(t) | sign), -2.0 * fabs(x) < EXP_LO_F64 ? 0.0 : decay.e * one * one };
}

INLINE tanh_pair_f64 tanh_both_f64(double x)
{
    return tanh_from_f64(x, decay_from_f64(start_decay_f64(-2.0 * fabs(x))));
}

#endif
