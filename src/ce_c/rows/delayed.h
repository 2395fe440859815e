/* delayed.h - from kept exponentials to the gradient of a long, contiguous row, which waits for the scan of the next
 * one: so memory writes the one while it reads the other.
 */
#ifndef CE_ROWS_DELAYED_H
#define CE_ROWS_DELAYED_H

#include "kernel.h"
#include "softmax/steps.h"

/* How results come of exponentials e that stand times 2^64 and are those of z - m_b, m_b the maximum of their block:
 * exp(z - m) = e unit; (factor) exp(z - m) = (e a) b, or 0 where that would be subnormal: for e < least. */
typedef struct {
    real a, b, least, unit;
} e_scale;

static e_scale e_scale_of(double factor, double fade)
{
    const double by = factor * fade, size = fabs(by);
    const bool   large = size >= 0x1p-60;

    return (e_scale){ (real)(large ? by * 0x1p-64 : 0x1p-64), (real)(large ? 1 : by),
                      normal((real)((double)MIN_NORMAL * 0x1p64 * (1 + 0x1p-20) / size)),
                      normal((real)(0x1p-64 * fade)) };
}

INLINE real scaled(real e, e_scale f)
{
    const real y = (e * f.a) * f.b;
    return e < f.least ? 0 : y;
}

/* exp(m - all) for the maxima of a block and of its row. */
static inline double fade_of(double m, double all)
{
    return m == all ? 1 : exp_f64(m - all, BY_1_F64, EXP_LO_F64);
}

/* A gradient that waits. */
typedef struct {
    real   *to; /* NULL: none does */
    double  per_e, m;
    real    subtract; /* from each number */
    int64_t t;        /* where the target's number belongs; -1: nowhere */
    real    grad_t;
} delayed_grad;

/* What the scan of one block does with its exponentials, and with those of the row before, which still stand there. */
typedef struct {
    real   *kept;    /* room for those of the block, or for copies of its logits */
    bool    keeps;   /* the exponentials */
    real   *delayed; /* where the gradient of the row before goes, or NULL */
    e_scale f;
    real    subtract;
} block_task;

/* For the block that begins with class k; pairs tell the maxima of the blocks of the row before; NULL: it has but one.
 */
static inline block_task block_task_of(real *kept, bool keeps, const delayed_grad *grad, const ce_pair *pairs,
                                       int64_t k)
{
    block_task task = { kept, keeps, NULL, { 0, 0, 0, 0 }, grad->subtract };

    if (grad->to) {
        task.delayed = grad->to + k;
        task.f = e_scale_of(grad->per_e, fade_of(pairs ? pairs[k / BLOCK].m : grad->m, grad->m));
    }
    return task;
}

INLINE real delayed_number(real e, e_scale f, real subtract, bool subtracts)
{
    const real y = scaled(e, f);
    return subtracts ? normal(y - subtract) : y;
}

/* n numbers of the gradient, from number `first` of the block on. */
static void write_delayed_block(const block_task *task, int64_t first, int64_t n)
{
    const real *const e = task->kept;
    real *const       to = task->delayed;
    const e_scale     f = task->f;

    if (task->subtract == 0) {
        SIMD
        for (int64_t i = first; i < first + n; i++) to[i] = delayed_number(e[i], f, 0, false);
    } else {
        SIMD
        for (int64_t i = first; i < first + n; i++) to[i] = delayed_number(e[i], f, task->subtract, true);
    }
}

/* After its last block. */
static void end_delayed(delayed_grad *grad)
{
    if (grad->to && grad->t >= 0)
        grad->to[grad->t] = grad->grad_t;
    grad->to = NULL;
}

#endif
