/* weights.h - sample weights as they are read: float32 or float64, whatever is computed with, and scaled. */
#ifndef CE_WEIGHTS_H
#define CE_WEIGHTS_H

#include "kernel.h"
#include "real/bits.h"

static inline double wide_at(const char *p, ce_type type)
{
    return type == CE_FLOAT64 ? *(const double *)p : (double)*(const float *)p;
}

/* An item's sample weight, which begins at p, as it counts in sums. */
static inline double sample_weight_at(const char *p, const ce_plan *plan)
{
    return wide_at(p, plan->job->array[CE_V].type) * plan->scale;
}

/* Those of n items whose weights lie `step` bytes apart. */
INLINE void load_sample_weights(const char *p, int64_t step, const ce_plan *plan, int n, double *to)
{
    const ce_type type = plan->job->array[CE_V].type;

    if (type == CE_FLOAT32 && step == sizeof(float))
        for (int l = 0; l < n; l++) to[l] = (double)((const float *)p)[l] * plan->scale;
    else if (type == CE_FLOAT64 && step == sizeof(double))
        for (int l = 0; l < n; l++) to[l] = ((const double *)p)[l] * plan->scale;
    else
        for (int l = 0; l < n; l++) to[l] = sample_weight_at(p + l * step, plan);
}

#endif
