/* finish.h - a chunk of what is written of a row, and what is left to do to it once it is there but for the target. */
#ifndef CE_ROWS_FINISH_H
#define CE_ROWS_FINISH_H

#include "rows/gaps.h"

/* A chunk of a row of the tile's item `at`: n classes; t: the target's place, if it is in it; its exponentials are
 * relative to another maximum, by `fade`. */
typedef struct {
    const tile *x;
    int         at;
    int64_t     n, t;
    double      fade;
} chunk;

/* The buffers of an emission: of lines that go past the caches, and for CHUNK numbers each. bends: of capped logits the
 * slopes, or, where the Hessian is asked for, too, these as they were. */
enum { LINES = CHUNK + LANES, WORK = LINES + 5 * CHUNK };

typedef struct {
    real *grad, *hess, *z, *u, *bends;
} emit_buffers;

/* Logits as they are, before something else may take their place. */
static void keep_raw(const long_row *row, int64_t i, int64_t n, real *copy)
{
    const real *const z = raw_from(row, i, n, copy);

    if (z != copy)
        memcpy(copy, z, (size_t)n * sizeof(real));
}

/* What is left to do to the Hessians of a chunk once its gradients are there. */
static void finish_hessians(const ce_plan *plan, const emit_buffers *to, const chunk *c)
{
    const ce_job *job = plan->job;
    const real    floor = normal((real)job->hess_floor);
    const double  by = hess_factor_of(job);

    for (int64_t i = 0; job->hessian == CE_ABS && i < c->n; i++)
        to->hess[i] = normal((real)(fabs((double)to->grad[i]) * by));
    if (c->t >= 0 && c->t < c->n && plan->inner == 0)
        to->hess[c->t] = normal((real)c->x->hess_t[c->at]);
    for (int64_t i = 0; floor >= 0 && i < c->n; i++) to->hess[i] = to->hess[i] < floor ? floor : to->hess[i];
}

/* What is left to do to a chunk from class i on, once it is there but for the target. */
static void finish_chunk(const softmax_call *call, const long_row *row, int64_t i, const chunk *c,
                         const emit_buffers *to)
{
    const bool wants_grad = call->grid->data[CE_GRAD], wants_hess = call->grid->data[CE_HESS];
    const bool aims = c->t >= 0 && c->t < c->n, is_capped = call->plan->inner != 0;
    const bool curves = bends_hessians(call->plan);

    if (wants_grad && aims)
        to->grad[c->t] = normal((real)c->x->grad_t[c->at]);
    if (is_capped && wants_hess && aims)
        to->hess[c->t] = normal((real)c->x->hess_t[c->at]);
    if (is_capped && curves)
        bend_hessians(call->plan, to->bends, to->grad, to->hess, c->n);
    else if (is_capped)
        bend_gradients(to->bends, to->grad, c->n);
    if (wants_hess)
        finish_hessians(call->plan, to, c);
    if (row->where && wants_grad)
        clear_hidden(row->where + i * row->where_step, row->where_step, to->grad, c->n);
    if (row->where && wants_hess)
        clear_hidden(row->where + i * row->where_step, row->where_step, to->hess, c->n);
}

#endif
