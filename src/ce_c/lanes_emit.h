/* lanes_emit.h - what is written of LANES items side by side: panel by panel, in place in L1. */

/* Factors of the lanes, side by side. */
typedef struct {
    REAL per_e[LANES], unit[LANES], by[LANES], lo[LANES];
} NAME(factors);

static void NAME(factors_of)(const double *per_e, NAME(factors) * f)
{
    for (int l = 0; l < LANES; l++) {
        const NAME(factor) one = NAME(factor_of)(per_e[l]);
        f->per_e[l] = one.per_e, f->unit[l] = one.unit, f->by[l] = one.by, f->lo[l] = one.lo;
    }
}

/* What all emissions need of the items, in lanes. */
typedef struct {
    NAME(factors) f;
    REAL m[LANES], s[LANES], shift[LANES], u_sum[LANES], r[LANES], dot[LANES];
} NAME(emitter);

static NAME(factor) NAME(factor_in)(const NAME(factors) * f, int l)
{
    return (NAME(factor)){ f->per_e[l], f->unit[l], f->by[l], f->lo[l] };
}

static void NAME(emitter_of)(const tile *x, NAME(emitter) * t)
{
    for (int l = 0; l < LANES; l++) {
        t->m[l] = (REAL)x->m[l], t->s[l] = NAME(normal)((REAL)x->s[l]), t->u_sum[l] = (REAL)x->u_sum[l];
        t->r[l] = NAME(rest_of)(x->u_sum[l]);
        t->shift[l] = NAME(normal)((REAL)x->shift[l]), t->dot[l] = (REAL)x->dot[l];
    }
    NAME(factors_of)(x->per_e, &t->f);
}

/* Turns a panel of logits into Hessians. */
static void NAME(panel_hess)(REAL *panel, int64_t n, emission emits, const tile *x)
{
    NAME(factors) f;
    REAL m[LANES], s[LANES], part[LANES], bend[LANES], unit[LANES];

    if (emits == ONE_HOT) {
        memset(panel, 0, (size_t)n * LANES * sizeof(REAL));
        return;
    }
    NAME(factors_of)(x->curve, &f);
    for (int l = 0; l < LANES; l++) {
        const NAME(bender) b = NAME(bender_of)(x->bend[l], NAME(factor_in)(&f, l));
        m[l] = (REAL)x->m[l], s[l] = NAME(normal)((REAL)x->s[l]), part[l] = (REAL)x->part[l];
        bend[l] = b.bend, unit[l] = b.unit;
    }
    for (int64_t i = 0; i < n * LANES; i += LANES)
        LANE(l) {
            const NAME(factor) one = { f.per_e[l], f.unit[l], f.by[l], f.lo[l] };
            const NAME(bender) b = { bend[l], unit[l] };
            panel[i + l] = NAME(hess_of)(panel[i + l] - m[l], s[l], part[l], b, one);
        }
}

/* From a panel of logits, or y, and what its place may hold before, the gradients. */
static void NAME(panel_grad)(const REAL *restrict z, REAL *restrict grad, const REAL *w, int64_t n, emission emits,
                             bool smooth, const tile *x)
{
    NAME(emitter) t;

    NAME(emitter_of)(x, &t);
#define EMIT(value)                                                                                                    \
    for (int64_t i = 0; i < n * LANES; i += LANES)                                                                     \
        LANE(l) grad[i + l] = value
    if (emits == ONE_HOT) {
        EMIT(0);
    } else if (emits == LOG_PROBS) {
        EMIT((z[i + l] - t.m[l]) - t.shift[l]);
    } else if (emits == DOT) {
        EMIT(NAME(normal)(z[i + l] * (grad[i + l] - t.dot[l])));
    } else if (emits == DOT_EXP) {
        EMIT(NAME(normal)(grad[i + l] - NAME(exp_any)(z[i + l]) * t.dot[l]));
    } else if (emits == SHARES) {
        for (int64_t i = 0; i < n * LANES; i += LANES)
            LANE(l) {
                const NAME(factor) one = { t.f.per_e[l], t.f.unit[l], t.f.by[l], t.f.lo[l] };
                grad[i + l] =
                    NAME(share_of)(z[i + l] - t.m[l], grad[i + l], t.u_sum[l], t.r[l], t.s[l], t.shift[l], one);
            }
    } else if (!smooth) {
        EMIT(t.f.per_e[l] * EXP_BY(z[i + l] - t.m[l], t.f.by[l], t.f.lo[l]));
    } else {
        for (int64_t k = 0; k < n; k++) {
            const REAL w_k = w ? w[k] : 1;
            LANE(l) {
                const REAL e = EXP_BY(z[k * LANES + l] - t.m[l], t.f.by[l], t.f.lo[l]);
                grad[k * LANES + l] = NAME(normal)(t.f.per_e[l] * e - NAME(normal)(t.shift[l] * w_k));
            }
        }
    }
#undef EMIT
}

/* What the link says of the targets among n classes from class first on. */
static void NAME(put_at_target)(REAL *panel, const double *at_t, const tile *x, int64_t first, int64_t n)
{
    for (int l = 0; l < x->count; l++)
        if (x->live[l] && x->t[l] >= first && x->t[l] < first + n)
            panel[(x->t[l] - first) * LANES + l] = NAME(normal)((REAL)at_t[l]);
}

/* Panel by panel: the gradient in place of the second input, the Hessian in that of the logits. */
static void NAME(lanes_emit)(const ce_grid *grid, const ce_plan *plan, emission emits, NAME(panels) * p, const tile *x)
{
    const bool  smooth = plan->job->smoothing != 0;
    const REAL *w = plan->job->w;

    for (int64_t k = 0; k < grid->classes; k += NAME(PANEL)) {
        const int64_t n = grid->classes - k < NAME(PANEL) ? grid->classes - k : NAME(PANEL);
        if (grid->classes > NAME(PANEL) && emits != ONE_HOT)
            NAME(load_panels)(p, grid, plan, emits, x, k, n);
        NAME(panel_grad)(p->z, p->other, w ? w + k : NULL, n, emits, smooth, x);
        if (grid->data[CE_HESS])
            NAME(panel_hess)(p->z, n, emits, x);
        if (grid->data[CE_TARGET])
            NAME(put_at_target)(p->other, x->grad_t, x, k, n);
        if (grid->data[CE_TARGET] && grid->data[CE_HESS])
            NAME(put_at_target)(p->z, x->hess_t, x, k, n);
        if (grid->data[CE_GRAD])
            NAME(store)(p, p->other, grid, CE_GRAD, x, k, n);
        if (grid->data[CE_HESS])
            NAME(store)(p, p->z, grid, CE_HESS, x, k, n);
    }
}

static void NAME(lanes)(const ce_grid *grid, const ce_plan *plan, const ce_link *link, int64_t first, int64_t last,
                        double *sums)
{
    NAME(panels) p;

    for (int64_t i = first; i < last; i += LANES) {
        tile x;

        x.width = LANES;
        x.count = last - i < LANES ? (int)(last - i) : LANES;
        NAME(open)(grid, plan, i, &x);
        NAME(lanes_scan)(grid, plan, link, &p, &x);
        NAME(link)(grid, plan, link, &x);
        if (plan->derives)
            NAME(lanes_emit)(grid, plan, link->emits, &p, &x);
        NAME(close)(grid, &x, sums);
    }
}
