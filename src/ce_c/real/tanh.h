/* tanh.h - the hyperbolic tangent as straight-line code that compilers vectorise, to 2 ulp.
 *
 *     tanh_f32(x), tanh_f64(x)   tanh |x| = -y / (2 + y),  y = e^(-2|x|) - 1,  with the sign of x
 *
 * y = 2^n (e^r - 1) + (2^n - 1), with n and r as in exp.h: for small x, n is 0 and nothing cancels.
 */
#ifndef CE_REAL_TANH_H
#define CE_REAL_TANH_H

#include "real/exp.h"

#define TANH_LO_F32 (-40.0F) /* where e^x is less than half an ulp of 1 */
#define TANH_LO_F64 (-80.0)

INLINE float tanh_f32(float x)
{
    const float    twice = -2.0F * fabsf(x), low = twice < TANH_LO_F32 ? TANH_LO_F32 : twice;
    const float    t = EXP_WHOLE_F32(low, BY_1_F32), r = exp_rest_f32(low, t, BY_1_F32), q = exp_high_f32(r);
    const float    scale = f32_bits(bits_f32(t) << 23), less_1 = exp_less_1_f32(q, r);
    const float    y = FMA_F32(scale, less_1, scale - 1.0F);
    const uint32_t sign = bits_f32(x) & 0x80000000u;

    return f32_bits(bits_f32(-y / (2.0F + y)) | sign);
}

INLINE double tanh_f64(double x)
{
    const double   twice = -2.0 * fabs(x), low = twice < TANH_LO_F64 ? TANH_LO_F64 : twice;
    const double   t = EXP_WHOLE_F64(low, BY_1_F64), r = exp_rest_f64(low, t, BY_1_F64), q = exp_high_f64(r);
    const double   scale = f64_bits(bits_f64(t) << 52), less_1 = exp_less_1_f64(q, r);
    const double   y = FMA_F64(scale, less_1, scale - 1.0);
    const uint64_t sign = bits_f64(x) & 0x8000000000000000u;

    return f64_bits(bits_f64(-y / (2.0 + y)) | sign);
}

#endif
