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

static void NAME(panel_hess)(const REAL *panel, REAL *hess, int64_t n, const tile *x)
{
    NAME(factors) f;
    REAL   m[LANES], s[LANES], r[LANES];
    double per_e[LANES];

    for (int l = 0; l < LANES; l++) {
        m[l] = (REAL)x->m[l], s[l] = NAME(normal)((REAL)x->s[l]), r[l] = (REAL)(1 / (1 + x->s[l]));
        per_e[l] = x->curve[l] / (1 + x->s[l]);
    }
    NAME(factors_of)(per_e, &f);
    for (int64_t k = 0; k < n; k++)
        LANE(l) {
            const NAME(factor) one = { f.per_e[l], f.unit[l], f.by[l], f.lo[l] };
            hess[k * LANES + l] = NAME(hess_of)(panel[k * LANES + l] - m[l], s[l], r[l], one);
        }
}

/* Turns a panel of logits into gradients. */
static void NAME(panel_grad)(REAL *panel, const REAL *w, int64_t n, const tile *x)
{
    NAME(factors) f;
    REAL m[LANES], shift[LANES];

    for (int l = 0; l < LANES; l++) m[l] = (REAL)x->m[l], shift[l] = NAME(normal)((REAL)x->shift[l]);
    NAME(factors_of)(x->per_e, &f);
    for (int64_t k = 0; k < n; k++) {
        const REAL w_k = w ? w[k] : 1;
        LANE(l) {
            const REAL e = EXP_BY(panel[k * LANES + l] - m[l], f.by[l], f.lo[l]);
            panel[k * LANES + l] = f.per_e[l] * e - shift[l] * w_k;
        }
    }
}

static void NAME(panel_log_probs)(REAL *panel, int64_t n, const tile *x)
{
    REAL m[LANES], shift[LANES];

    LANE(l) m[l] = (REAL)x->m[l], shift[l] = NAME(normal)((REAL)x->shift[l]);
    for (int64_t k = 0; k < n; k++)
        LANE(l) panel[k * LANES + l] = (panel[k * LANES + l] - m[l]) - shift[l];
}

static void NAME(panel_backward)(REAL *y, const REAL *g, int64_t n, bool with_y, const tile *x)
{
    REAL dot[LANES];

    LANE(l) dot[l] = (REAL)x->dot[l];
    for (int64_t i = 0; with_y && i < n * LANES; i += LANES)
        LANE(l) y[i + l] = NAME(normal)(y[i + l] * (g[i + l] - dot[l]));
    for (int64_t i = 0; !with_y && i < n * LANES; i += LANES)
        LANE(l) y[i + l] = NAME(normal)(g[i + l] - NAME(exp_any)(y[i + l]) * dot[l]);
}

static void NAME(store)(REAL *restrict panel, char *const *at, int64_t step, int64_t n, bool unit, int count)
{
    int64_t done = 0;

    for (int64_t k = 0; unit && k < n; k++) {
        ELEM *p = (ELEM *)(at[0] + k * step);
        LANE(l) p[l] = STORE(panel[k * LANES + l]);
    }
    if (!unit && step == sizeof(ELEM) && count == LANES)
        done = NAME(transpose)(panel, at, n, false);
    for (int l = 0; !unit && l < count; l++)
        for (int64_t k = done; k < n; k++) *(ELEM *)(at[l] + k * step) = STORE(panel[k * LANES + l]);
}

static void NAME(store_panel)(REAL *panel, const ce_grid *grid, int array, const tile *x, int64_t first, int64_t n)
{
    const int64_t step = grid->class_stride[array];
    char         *at[TILE];

    for (int l = 0; l < LANES; l++) at[l] = x->at[array][l] + first * step;
    NAME(store)(panel, at, step, n, NAME(is_unit)(grid, array, x), x->count);
}

static void NAME(lanes_emit)(const ce_grid *grid, const ce_plan *plan, emission emits, NAME(panels) * p, const tile *x)
{
    const REAL *w = plan->job->smoothing != 0 ? plan->job->w : NULL;

    for (int64_t k = 0; k < grid->classes; k += NAME(PANEL)) {
        const int64_t n = grid->classes - k < NAME(PANEL) ? grid->classes - k : NAME(PANEL);
        if (grid->classes > NAME(PANEL))
            NAME(load_panels)(p, grid, x, k, n);
        if (grid->data[CE_HESS])
            NAME(panel_hess)(p->z, p->other, n, x);
        if (emits == LOG_PROBS)
            NAME(panel_log_probs)(p->z, n, x);
        else if (emits == PROBABILITIES)
            NAME(panel_grad)(p->z, w ? w + k : NULL, n, x);
        else
            NAME(panel_backward)(p->z, p->other, n, emits == DOT, x);
        for (int l = 0; grid->data[CE_TARGET] && l < x->count; l++)
            if (x->live[l] && x->t[l] >= k && x->t[l] < k + n)
                p->z[(x->t[l] - k) * LANES + l] = NAME(normal)((REAL)x->at_t[l]);
        if (grid->data[CE_GRAD])
            NAME(store_panel)(p->z, grid, CE_GRAD, x, k, n);
        if (grid->data[CE_HESS])
            NAME(store_panel)(p->other, grid, CE_HESS, x, k, n);
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
        NAME(lanes_scan)(grid, plan, link->emits, &p, &x);
        NAME(link)(grid, plan, link, &x);
        if (grid->data[CE_GRAD] || grid->data[CE_HESS])
            NAME(lanes_emit)(grid, plan, link->emits, &p, &x);
        NAME(close)(grid, &x, sums);
    }
}
