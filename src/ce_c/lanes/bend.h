/* bend.h - items side by side whose logits are capped, or of which some classes cannot be: see softmax/bend.h. */
#ifndef CE_LANES_BEND_H
#define CE_LANES_BEND_H

#include "lanes/panel.h"
#include "softmax/bend.h"
#include "softmax/factors.h"

/* What stands in the tile's panel for classes that cannot be becomes x. */
OUTLINE void set_hidden(const softmax_call *call, const tile *t, real *panel, class_range classes, real x)
{
    const tile_numbers of = { call->grid, t, CE_WHERE, classes };
    const int64_t      step = call->grid->class_stride[CE_WHERE], n = classes.n;

    for (int l = 0; l < t->width; l++) {
        const char *const where = numbers_at(&of, l);
        real *const       to = panel + l / LANES * n * LANES + l % LANES;
        for (int64_t k = 0; k < n; k++) to[k * LANES] = where[k * step] ? to[k * LANES] : x;
    }
}

/* The tile's logits as the loss sees them. */
OUTLINE void view_panel(const softmax_call *call, const tile *x, real *panel, class_range classes)
{
    if (call->plan->bends)
        bend(call->plan, panel, panel, classes.n * x->width);
    if (call->plan->hides)
        set_hidden(call, x, panel, classes, -INFINITY);
}

/* The shares of LANES items, where some of their classes cannot be: these have no part in the smoothing. */
OUTLINE void prepare_open_shares(const softmax_call *call, const tile *x, int at, real *other, class_range classes)
{
    const ce_grid     *grid = call->grid;
    const tile_numbers of = { grid, x, CE_WHERE, classes };
    const real        *w = call->plan->job->w;
    const bool         shares = call->link->emits == SHARES;

    for (int l = 0; l < LANES; l++) {
        const smoother to = smoother_of(call->plan, x->classes[at + l]);
        for (int64_t k = 0; k < classes.n; k++) {
            const bool open = numbers_at(&of, at + l)[k * grid->class_stride[CE_WHERE]];
            const real u = shares ? FMA(other[k * LANES + l], to.scale, open ? to.base : 0) : (real)open;
            other[k * LANES + l] = x->live[at + l] ? normal(u * (w ? w[classes.first + k] : 1)) : 0;
        }
    }
}

/* A panel that receives the sizes of gradients, times a factor; memory brings where the next ones go. */
static void panel_sizes(real *panel, const real *grads, int64_t n, double by, ahead_of writes)
{
    for (int64_t k = 0; k < n; k++, panel += LANES, grads += LANES, writes.next += writes.apart) {
        claim(writes.next);
        LANE(l) panel[l] = normal((real)(fabs((double)grads[l]) * by));
    }
}

/* The logits of n classes of LANES items from item `at` on, from class k of those in the panel on, as they are. */
static void read_panel(const softmax_call *call, const tile *x, int at, class_range classes, real *to)
{
    const ce_grid     *grid = call->grid;
    const tile_numbers of = { grid, x, CE_Z, classes };

    for (int l = 0; l < LANES; l++) {
        const char *const z = numbers_at(&of, at + l);
        for (int64_t k = 0; k < classes.n; k++)
            to[k * LANES + l] = x->live[at + l] ? read_number(z + k * grid->class_stride[CE_Z], grid->type[CE_Z]) : 0;
    }
}

/* The derivatives of logits that are capped: these are read once more. */
OUTLINE void bend_panels(const softmax_call *call, panels *p, real *grad, const tile *x, class_range classes)
{
    const ce_plan *plan = call->plan;
    const ce_job  *job = plan->job;
    const bool     curves = plan->curves && job->hessian != CE_ABS;
    const double   by = job->hessian == CE_GAUSS_NEWTON ? 0 : hess_factor_of(job);
    real           raw[CHUNK];

    for (int at = 0; at < x->width; at += LANES)
        for (int64_t k = 0, n; k < classes.n; k += n) {
            n = smaller(classes.n - k, CHUNK / LANES);
            const int64_t i = (at / LANES * classes.n + k) * LANES;
            read_panel(call, x, at, (class_range){ classes.first + k, n }, raw);
            bend_derivatives(plan, raw, n * LANES, by, grad + i, curves ? p->z + i : NULL);
            if (plan->curves && !curves)
                panel_sizes(p->z + i, grad + i, n, hess_factor_of(job), (ahead_of){ (uintptr_t)p, 0 });
        }
}

#endif
