/* tanh.h - the hyperbolic tangent as straight-line code that compilers vectorise, to 3 ulp.
 *
 *     tanh_f32(x), tanh_f64(x)   tanh |x| = -y / (2 + y),  y = e^(-2|x|) - 1,  with the sign of x
 *
 * y is that of decay_f32 or decay_f64: nothing cancels.
 */
#ifndef CE_REAL_TANH_H
#define CE_REAL_TANH_H

#include "real/phi.h"

INLINE float tanh_f32(float x)
{
    const float    y = decay_f32(-2.0F * fabsf(x)).less_1;
    const uint32_t sign = bits_f32(x) & 0x80000000u;

    return f32_bits(bits_f32(-y / (2.0F + y)) | sign);
}

INLINE double tanh_f64(double x)
{
    const double   y = decay_f64(-2.0 * fabs(x)).less_1;
    const uint64_t sign = bits_f64(x) & 0x8000000000000000u;

    return f64_bits(bits_f64(-y / (2.0 + y)) | sign);
}

#endif
