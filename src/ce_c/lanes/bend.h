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

/* The tile's logits as the loss sees them: of capped ones slopes stand in the third panel, unless their Hessian is
 * asked for. */
OUTLINE void view_panel(const softmax_call *call, const tile *x, panels *p, class_range classes)
{
    const int64_t n = classes.n * x->width;

    if (call->plan->inner != 0)
        cap(call->plan, p->raw, p->z, call->plan->derives && !bends_hessians(call->plan) ? p->raw : NULL, n);
    else if (call->plan->bends)
        scale(call->plan, p->z, p->z, n);
    if (call->plan->hides)
        set_hidden(call, x, p->z, classes, -INFINITY);
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
    for (int64_t k = 0; k < n; k++, panel += LANES, grads += LANES) {
        claim(place_ahead(&writes, k));
        LANE(l) panel[l] = normal((real)(fabs((double)grads[l]) * by));
    }
}

/* The derivatives of logits that are capped. */
OUTLINE void bend_panels(const softmax_call *call, panels *p, real *grad, const tile *x, int64_t classes)
{
    const ce_plan *plan = call->plan;
    const bool     curves = bends_hessians(plan);

    if (curves)
        bend_hessians(plan, p->raw, grad, p->z, classes * x->width);
    else
        bend_gradients(p->raw, grad, classes * x->width);
    for (int at = 0; at < x->width; at += LANES) {
        real *const g = grad + at * classes, *const h = p->z + at * classes;
        if (!x->all_live) /* the logits may be NaN */
            for (int64_t k = 0; k < classes; k++)
                LANE(l) g[k * LANES + l] = x->live[at + l] ? g[k * LANES + l] : 0;
        if (!x->all_live && curves)
            for (int64_t k = 0; k < classes; k++)
                LANE(l) h[k * LANES + l] = x->live[at + l] ? h[k * LANES + l] : 0;
        if (plan->curves && !curves)
            panel_sizes(h, g, classes, hess_factor_of(plan->job), (ahead_of){ (uintptr_t)p, 0, 0 });
    }
}

#endif
