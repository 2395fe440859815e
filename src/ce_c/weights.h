/* weights.h - sample weights as they are read: float32 or float64, whatever is computed with, and scaled. */
#ifndef CE_WEIGHTS_H
#define CE_WEIGHTS_H

#include "kernel.h"

static inline double wide_at(const char *p, ce_type type)
{
    return type == CE_FLOAT64 ? *(const double *)p : (double)*(const float *)p;
}

/* An item's sample weight, which begins at p, as it counts in sums. */
static inline double sample_weight_at(const char *p, const ce_plan *plan)
{
    return wide_at(p, plan->job->array[CE_V].type) * plan->scale;
}

#endif
