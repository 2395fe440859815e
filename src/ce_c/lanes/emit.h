/* emit.h - what is written of LANES items side by side: in place in L1. */
#ifndef CE_LANES_EMIT_H
#define CE_LANES_EMIT_H

#include "lanes/scan.h"

/* Where the panels of LANES items begin: z holds exponentials times 2^64, or logits, and takes the Hessians; to takes
 * the gradients. */
typedef struct {
    real       *z;
    const real *other;
    real       *to;
} panel_places;

/* The numbers of n classes in a panel, vector by vector: lane l of number i. */
#define PANEL_EACH(i, l, n)                                                                                            \
    for (int64_t i = 0; i < (n) * LANES; i += LANES)                                                                   \
        LANE(l)

/* The factor of e, which stands in the panel times 2^64, in two numbers: (e a) b. */
typedef struct {
    real a[LANES], b[LANES];
} lane_scales;

static void lane_scales_of(const double *factor, lane_scales *to)
{
    int64_t huge = 0;

    LANE(l) {
        const bool large = fabs(factor[l]) >= 0x1p-60;
        to->a[l] = (real)(large ? factor[l] * 0x1p-64 : 0x1p-64);
        to->b[l] = (real)(large ? 1 : factor[l]);
    }
    LANE(l) huge |= fabs(factor[l]) >= 0x1p60;
    for (int l = 0; huge && l < LANES; l++) split_factor(factor[l], &to->a[l], &to->b[l]);
}

INLINE real scaled_lane(real e, const lane_scales *f, int l)
{
    return normal((e * f->a[l]) * f->b[l]);
}

/* Turns a panel of exponentials into Hessians, see hess_of; memory brings where the next ones go. */
static void panel_hessians(real *panel, int64_t n, emission emits, const tile *x, int at, ahead_of writes)
{
    lane_scales f;
    real        s[LANES], rest[LANES], by_e[LANES], unit[LANES];

    if (emits == ONE_HOT) {
        memset(panel, 0, (size_t)n * LANES * sizeof(real));
        return;
    }
    lane_scales_of(x->hess_scale + at, &f);
    for (int l = 0; l < LANES; l++) {
        const e_factor e = e_factor_of(x->hess_e[at + l], (real)0x1p-64);
        s[l] = normal((real)x->s[at + l]), rest[l] = (real)x->hess_rest[at + l];
        by_e[l] = e.factor, unit[l] = e.unit;
    }
    for (int64_t k = 0; k < n; k++, panel += LANES) {
        claim(place_ahead(&writes, k));
        LANE(l) {
            const real e = panel[l], others = (s[l] + (1 - e * (real)0x1p-64)) * rest[l];
            panel[l] = normal(scaled_lane(e, &f, l) * FMA(by_e[l], e * unit[l], others));
        }
    }
}

/* The gradient of the entropy. */
static void panel_heat(const real *z, int64_t n, const tile *x, int at, real *to)
{
    real        m[LANES], mean[LANES];
    lane_scales f;

    lane_scales_of(x->per_e + at, &f);
    LANE(l) m[l] = (real)x->m[at + l], mean[l] = normal((real)x->subtract[at + l]);
    PANEL_EACH(i, l, n) to[i + l] = scaled_lane(heat_of(z[i + l], m[l], mean[l]), &f, l);
}

/* Without exponentials: z holds logits, or y. */
static void panel_linear(const panel_places *p, int64_t n, emission emits, const tile *x, int at)
{
    const real *z = p->z, *other = p->other;
    real       *to = p->to, m[LANES], subtract[LANES], sum[LANES], low[LANES];

    LANE(l) m[l] = (real)x->m[at + l], subtract[l] = normal((real)x->subtract[at + l]);
    LANE(l) sum[l] = (real)x->class_sum[at + l];
    LANE(l) low[l] = low_of(x->class_sum[at + l], sum[l]);
    if (emits == ONE_HOT)
        PANEL_EACH(i, l, n) to[i + l] = 0;
    else if (emits == HEAT)
        panel_heat(z, n, x, at, to);
    else if (emits == LOG_PROBS)
        PANEL_EACH(i, l, n) to[i + l] = (z[i + l] - m[l]) - subtract[l];
    else if (emits == DOT)
        PANEL_EACH(i, l, n) to[i + l] = normal(z[i + l] * (other[i + l] - sum[l] - low[l]));
    else
        PANEL_EACH(i, l, n) to[i + l] = normal(other[i + l] - exp_any(z[i + l]) * sum[l]);
}

/* From exponentials and shares. */
static void panel_share_gradients(const panel_places *p, int64_t n, const lane_scales *f, const tile *x, int at)
{
    const real *e = p->z, *u = p->other;
    real       *to = p->to, s[LANES], subtract[LANES], sum[LANES], low[LANES], inv[LANES];

    for (int l = 0; l < LANES; l++) {
        const share_total all = share_total_of(x->share_sum[at + l]);
        s[l] = normal((real)x->s[at + l]), subtract[l] = normal((real)x->subtract[at + l]);
        sum[l] = all.sum, low[l] = all.low, inv[l] = all.inv;
    }
    PANEL_EACH(i, l, n)
        to[i + l] = normal(scaled_lane(e[i + l], f, l) * (normal(sum[l] - u[i + l] + low[l]) * inv[l]) -
                           normal(subtract[l] * u[i + l]) * (s[l] + (1 - e[i + l] * (real)0x1p-64)));
}

/* From exponentials. w: the weights of the classes, if any. */
static void panel_gradients(const softmax_call *call, const panel_places *p, class_range classes, const tile *x, int at)
{
    const real   *w = call->plan->job->w, *e = p->z;
    const int64_t n = classes.n;
    real         *to = p->to, subtract[LANES];
    lane_scales   f;

    lane_scales_of(x->per_e + at, &f);
    if (call->link->emits == SHARES) {
        panel_share_gradients(p, n, &f, x, at);
        return;
    }
    if (call->plan->job->label_smoothing == 0) {
        PANEL_EACH(i, l, n) to[i + l] = scaled_lane(e[i + l], &f, l);
        return;
    }
    LANE(l) subtract[l] = normal((real)x->subtract[at + l]);
    for (int64_t k = 0; k < n; k++) {
        const real w_k = w ? w[classes.first + k] : 1;
        LANE(l) to[k * LANES + l] = normal(scaled_lane(e[k * LANES + l], &f, l) - less_of(subtract[l], w_k));
    }
}

/* The Hessians of LANES items from item `at` of the tile on. */
static void curve_panel(const softmax_call *call, const panel_places *p, class_range classes, const tile *x, int at)
{
    const ce_job      *job = call->plan->job;
    const tile_numbers out = { call->grid, x, CE_HESS, classes };
    const tile_ahead   all = tile_further(&out, bytes_to_next(&out));
    const ahead_of     writes = of_vector(&all, at / LANES);

    if (job->hessian == CE_ABS)
        panel_sizes(p->z, p->to, classes.n, hess_factor_of(job), writes);
    else
        panel_hessians(p->z, classes.n, call->link->emits, x, at, writes);
}

/* Gradients and Hessians. */
static void emit_panel(const softmax_call *call, const panel_places *p, class_range classes, const tile *x, int at)
{
    if (is_by_e(call->link->emits))
        panel_gradients(call, p, classes, x, at);
    else
        panel_linear(p, classes.n, call->link->emits, x, at);
    if (call->plan->curves)
        curve_panel(call, p, classes, x, at);
}

/* No Hessian is less than hess_floor, but for those of items that are not live, which are 0. */
static void raise_to_floor(real *panel, int64_t n, const tile *x, double hess_floor)
{
    for (int at = 0; at < x->width; at += LANES) {
        real *const z = panel + at * n;
        real        floor[LANES];
        LANE(l) floor[l] = x->live[at + l] ? normal((real)hess_floor) : -INFINITY;
        PANEL_EACH(i, l, n) z[i + l] = z[i + l] < floor[l] ? floor[l] : z[i + l];
    }
}

static void store_panels(const softmax_call *call, panels *p, real *grad, const tile *x, class_range classes)
{
    const ce_grid     *grid = call->grid;
    const tile_numbers g = { grid, x, CE_GRAD, classes }, h = { grid, x, CE_HESS, classes };

    if (call->plan->inner != 0)
        bend_panels(call, p, grad, x, classes.n);
    if (call->plan->hides)
        set_hidden(call, x, grad, classes, 0);
    if (grid->data[CE_GRAD])
        store_panel(&g, p->staged, grad);
    if (!grid->data[CE_HESS])
        return;
    if (call->plan->job->hess_floor >= 0)
        raise_to_floor(p->z, classes.n, x, call->plan->job->hess_floor);
    if (call->plan->hides)
        set_hidden(call, x, p->z, classes, 0);
    store_panel(&h, p->staged, p->z);
}

/* All classes are in the panel. */
static void emit_whole(const softmax_call *call, panels *p, real *to, const tile *x)
{
    const class_range all = { 0, call->grid->classes };
    const int64_t     n = all.n;
    real              grad_t[ITEMS];

    for (int at = 0; at < x->width; at += LANES) {
        const panel_places places = { p->z + at * n, p->other + at * n, to + at * n };
        emit_panel(call, &places, all, x, at);
    }
    if (call->grid->data[CE_TARGET] && n > 0) {
        for (int l = 0; l < x->width; l++) grad_t[l] = normal((real)x->grad_t[l]);
        SIMD
        for (int l = 0; l < x->width; l++) to[x->spot[l]] = grad_t[l];
        if (call->plan->curves)
            for (int l = 0; l < x->width; l++) p->z[x->spot[l]] = normal((real)x->hess_t[l]);
    }
    store_panels(call, p, to, x, all);
}

/* What the targets' places receive, of those that are in the panel. */
static void put_targets(panels *p, real *to, const tile *x, class_range classes, bool curves)
{
    for (int l = 0; l < x->width; l++) {
        const int64_t k = x->t[l] - classes.first, spot = (l / LANES * classes.n + k) * LANES + l % LANES;
        if (k < 0 || k >= classes.n)
            continue;
        to[spot] = normal((real)x->grad_t[l]);
        if (curves)
            p->z[spot] = normal((real)x->hess_t[l]);
    }
}

/* Turns the logits of LANES items in the panel into exponentials; memory brings what is read next, and where they go.
 */
static void raise_panel(const softmax_call *call, real *z, class_range classes, const tile *x, int at)
{
    const ce_grid     *grid = call->grid;
    const tile_numbers in = { grid, x, CE_Z, classes },
                       out = { grid, x, grid->data[CE_GRAD] ? CE_GRAD : CE_Z, classes };
    real               m[LANES], sum[LANES], ones[LANES] = { 0 };
    const tile_ahead   reads = tile_further(&in, bytes_to_next(&in)), writes = tile_further(&out, 0);
    group_sums group = { sum, NULL, ones, NULL, of_vector(&reads, at / LANES), of_vector(&writes, at / LANES), NULL };

    LANE(l) m[l] = (real)x->m[at + l];
    for (int64_t k = 0; k < classes.n; k += GROUP) {
        sum_group(z + k * LANES, smaller(classes.n - k, GROUP), m, &group, (group_task){ false, false, false });
        group.reads.next += GROUP / 4 * group.reads.step;
        group.writes.next += GROUP / 4 * group.writes.step;
    }
}

/* Panel by panel: logits are read again and turned into exponentials. */
static void emit_long(const softmax_call *call, panels *p, real *to, const tile *x)
{
    const ce_grid *grid = call->grid;
    const emission emits = call->link->emits;

    for (int64_t k = 0; k < grid->classes; k += PANEL) {
        const class_range classes = { k, smaller(grid->classes - k, PANEL) };
        if (emits != ONE_HOT)
            load_panels(p, call, x, classes);
        for (int at = 0; at < x->width; at += LANES) {
            real *const z = p->z + at * classes.n, *const other = p->other + at * classes.n;
            const panel_places places = { z, other, to + at * classes.n };
            if (emits != ONE_HOT)
                prepare_panel(call, x, at, z, other, classes);
            if (is_by_e(emits))
                raise_panel(call, z, classes, x, at);
            emit_panel(call, &places, classes, x, at);
        }
        if (grid->data[CE_TARGET])
            put_targets(p, to, x, classes, call->plan->curves);
        store_panels(call, p, to, x, classes);
    }
}

#endif
