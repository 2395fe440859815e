/* tanh.h - the hyperbolic tangent, to 3 ulp, and its slope as straight-line code that compilers vectorise.
 *
 *     tanh_both_f32(x), ..._f64   tanh |x| = -y / (2 + y),  y = e^(-2|x|) - 1,  with the sign of x;
 *                                 sech^2 x = (1 - tanh |x|) (1 + tanh |x|) = e^(-2|x|) (1 + tanh |x|)^2
 *
 * e^(-2|x|) and y are those of decay_f32 or decay_f64: nothing cancels.
 */
#ifndef CE_REAL_TANH_H
#define CE_REAL_TANH_H

#include "real/phi.h"

typedef struct {
    float tanh, sech2;
} tanh_pair_f32;

INLINE tanh_pair_f32 tanh_both_f32(float x)
{
    const float          y = -2.0F * fabsf(x);
    const decay_pair_f32 decay = decay_f32(y);
    const float          t = -decay.less_1 / (2.0F + decay.less_1), one = 1.0F + t;
    const uint32_t       sign = bits_f32(x) & 0x80000000u;

    return (tanh_pair_f32){ f32_bits(bits_f32(t) | sign), y < EXP_LO_F32 ? 0.0F : decay.e * one * one };
}

typedef struct {
    double tanh, sech2;
} tanh_pair_f64;

INLINE tanh_pair_f64 tanh_both_f64(double x)
{
    const double         y = -2.0 * fabs(x);
    const decay_pair_f64 decay = decay_f64(y);
    const double         t = -decay.less_1 / (2.0 + decay.less_1), one = 1.0 + t;
    const uint64_t       sign = bits_f64(x) & 0x8000000000000000u;

    return (tanh_pair_f64){ f64_bits(bits_f64(t) | sign), y < EXP_LO_F64 ? 0.0 : decay.e * one * one };
}

#endif
