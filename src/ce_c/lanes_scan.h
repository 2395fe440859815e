/* lanes_scan.h - (m, s) of LANES items side by side, one in each lane.
 *
 * It serves class axes that are not contiguous, and short rows. The classes go through a panel of PANEL classes
 * by LANES items in L1, whatever their layout in memory: with K up to PANEL, memory is read once. Longer items
 * are scanned panel by panel, merged lane by lane as in row_scan.h.
 */

enum { NAME(GROUP) = 32 }; /* classes summed in the computing type */

/* n classes from memory to the panel. unit: the items are neighbours in memory. */
static void NAME(load)(REAL *restrict panel, char *const *at, int64_t step, int64_t n, bool unit)
{
    int64_t done = 0;

    for (int64_t k = 0; unit && k < n; k++) {
        const ELEM *p = (const ELEM *)(at[0] + k * step);
        LANE(l) panel[k * LANES + l] = LOAD(p[l]);
    }
    if (!unit && step == sizeof(ELEM))
        done = NAME(transpose)(panel, at, n, true);
    for (int l = 0; !unit && l < LANES; l++)
        for (int64_t k = done; k < n; k++) panel[k * LANES + l] = LOAD(*(const ELEM *)(at[l] + k * step));
}

/* True: the lanes' elements of one class are neighbours in memory, in order. */
static bool NAME(is_unit)(const ce_grid *grid, int array, const tile *x)
{
    return x->even && x->count == LANES && grid->stride[array][grid->axes - 1] == (int64_t)sizeof(ELEM);
}

/* Ignored items become zeros. */
static void NAME(load_live)(REAL *restrict panel, const ce_grid *grid, const tile *x, int64_t first, int64_t n)
{
    const int64_t step = grid->class_stride[CE_Z];
    char         *at[TILE];

    for (int l = 0; l < LANES; l++) at[l] = x->at[CE_Z][l] + first * step;
    NAME(load)(panel, at, step, n, NAME(is_unit)(grid, CE_Z, x));
    for (int64_t k = 0; !x->all_live && k < n; k++)
        LANE(l) panel[k * LANES + l] = x->live[l] ? panel[k * LANES + l] : 0;
}

/* Terms of one class: exp(z - m) times 2^64, but 0 where z = m, which is counted. */
static inline void NAME(add_class)(const REAL *restrict z, const REAL *restrict m, REAL *restrict sum,
                                   REAL *restrict hits)
{
    LANE(l) {
        const int hit = z[l] == m[l];
        sum[l] += ZERO_IF(hit, EXP_2_64(z[l] - m[l]));
        hits[l] += ZERO_IF(!hit, 1);
    }
}

/* sum += exp(z - m), times 2^64, over at most GROUP classes, leaving out and counting those equal to m. */
static void NAME(group_sum)(const REAL *z, int64_t n, const REAL *m, double *sum, REAL *hits)
{
    REAL    a[LANES] = { 0 }, b[LANES] = { 0 }, c[LANES] = { 0 }, d[LANES] = { 0 }, count[LANES];
    int64_t k = 0;

    LANE(l) count[l] = hits[l];
    for (; k + 4 <= n; k += 4) {
        NAME(add_class)(z + k * LANES, m, a, count);
        NAME(add_class)(z + (k + 1) * LANES, m, b, count);
        NAME(add_class)(z + (k + 2) * LANES, m, c, count);
        NAME(add_class)(z + (k + 3) * LANES, m, d, count);
    }
    if (k < n)
        NAME(add_class)(z + k * LANES, m, a, count);
    if (k + 1 < n)
        NAME(add_class)(z + (k + 1) * LANES, m, b, count);
    if (k + 2 < n)
        NAME(add_class)(z + (k + 2) * LANES, m, c, count);
    LANE(l) sum[l] += (double)((a[l] + b[l]) + (c[l] + d[l]));
    LANE(l) hits[l] = count[l];
}

/* sum += w (m - z) over at most GROUP classes. */
static void NAME(group_tilt)(const REAL *z, const REAL *w, int64_t n, const REAL *m, double *sum)
{
    REAL a[LANES] = { 0 }, b[LANES] = { 0 };

    for (int64_t k = 0; k < n; k += 2) {
        const REAL w_a = w ? w[k] : 1, w_b = k + 1 == n ? 0 : w ? w[k + 1] : 1;
        if (w_a != 0)
            LANE(l) a[l] += w_a * NAME(gap)(z[k * LANES + l], m[l]);
        if (w_b != 0)
            LANE(l) b[l] += w_b * NAME(gap)(z[(k + 1) * LANES + l], m[l]);
    }
    LANE(l) sum[l] += 0x1p16 * (double)(a[l] + b[l]);
}

/* (m, s) of one panel joins that of the classes before it. */
static void NAME(lanes_merge)(tile *x, const double *m, const double *s)
{
    for (int l = 0; l < LANES; l++) {
        const bool   grows = m[l] > x->m[l];
        const double high = grows ? m[l] : x->m[l], low = grows ? x->m[l] : m[l];
        const double s_high = grows ? s[l] : x->s[l], s_low = grows ? x->s[l] : s[l];
        const double e = exp_f64(low - high, BY_1_F64, EXP_LO_F64), faded = low == -INFINITY ? 0 : e;
        double       sum = s_high, lost = grows ? x->lost[l] * faded : x->lost[l];
        add_exactly(&sum, &lost, low == -INFINITY ? s_low : (s_low + 1) * e);
        x->s[l] = sum;
        x->lost[l] = lost;
        x->m[l] = high;
    }
}

static void NAME(panel_scan)(const REAL *panel, const REAL *w, int64_t n, double w_before, bool tilted, bool first,
                             tile *x)
{
    REAL   top[LANES], from[LANES], hits[LANES] = { 0 };
    double m[LANES], s[LANES] = { 0 }, tilt[LANES] = { 0 };

    LANE(l) top[l] = -INFINITY;
    for (int64_t k = 0; k < n; k++)
        LANE(l) top[l] = panel[k * LANES + l] > top[l] ? panel[k * LANES + l] : top[l];
    LANE(l) from[l] = top[l] > -INFINITY ? top[l] : 0;
    for (int64_t k = 0; k < n; k += NAME(GROUP)) {
        const int64_t some = n - k < NAME(GROUP) ? n - k : NAME(GROUP);
        NAME(group_sum)(panel + k * LANES, some, from, s, hits);
        if (tilted)
            NAME(group_tilt)(panel + k * LANES, w ? w + k : NULL, some, from, tilt);
    }
    LANE(l) s[l] = unscaled(s[l]) + (hits[l] > 0 ? (double)hits[l] - 1 : 0);
    LANE(l) m[l] = top[l];
    if (first) {
        LANE(l) x->m[l] = m[l];
        LANE(l) x->s[l] = s[l];
        LANE(l) x->tilt[l] = tilt[l];
        return;
    }
    const double w_here = !tilted ? 0 : w ? NAME(total)(w, n) : (double)n;
    for (int l = 0; tilted && l < LANES; l++) {
        if (m[l] > x->m[l])
            x->tilt[l] += tilt[l] + (w_before == 0 ? 0 : w_before * (m[l] - x->m[l]));
        else
            x->tilt[l] += tilt[l] + (w_here == 0 || m[l] == x->m[l] ? 0 : w_here * (x->m[l] - m[l]));
    }
    NAME(lanes_merge)(x, m, s);
}

/* g and y in their panels; the sum of g y, or of g. */
static void NAME(panel_dot)(const REAL *y, const REAL *g, int64_t n, bool with_y, tile *x)
{
    double dot[LANES] = { 0 };

    for (int64_t k = 0; k < n; k++)
        LANE(l) dot[l] += (double)g[k * LANES + l] * (with_y ? (double)y[k * LANES + l] : 1);
    for (int l = 0; l < LANES; l++) add_exactly(&x->dot[l], &x->lost[l], dot[l]);
}

typedef struct {
    _Alignas(64) REAL z[NAME(PANEL) * LANES];     /* logits, then gradients */
    _Alignas(64) REAL other[NAME(PANEL) * LANES]; /* the second input, or Hessians */
} NAME(panels);

static void NAME(load_panels)(NAME(panels) * p, const ce_grid *grid, const tile *x, int64_t first, int64_t n)
{
    NAME(load_live)(p->z, grid, x, first, n);
    if (grid->data[CE_OTHER]) {
        const int64_t step = grid->class_stride[CE_OTHER];
        char         *at[TILE];
        for (int l = 0; l < LANES; l++) at[l] = x->at[CE_OTHER][l] + first * step;
        NAME(load)(p->other, at, step, n, NAME(is_unit)(grid, CE_OTHER, x));
    }
}

static void NAME(lanes_scan)(const ce_grid *grid, const ce_plan *plan, emission emits, NAME(panels) * p, tile *x)
{
    const REAL *w = plan->job->w;
    const bool  tilted = plan->job->smoothing != 0;
    double      w_before = 0;

    LANE(l) x->m[l] = -INFINITY, x->s[l] = x->tilt[l] = x->dot[l] = x->lost[l] = 0;
    for (int64_t k = 0; k < grid->classes; k += NAME(PANEL)) {
        const int64_t n = grid->classes - k < NAME(PANEL) ? grid->classes - k : NAME(PANEL);
        NAME(load_panels)(p, grid, x, k, n);
        if (emits == DOT || emits == DOT_EXP)
            NAME(panel_dot)(p->z, p->other, n, emits == DOT, x);
        else
            NAME(panel_scan)(p->z, w ? w + k : NULL, n, w_before, tilted, k == 0, x);
        if (tilted)
            w_before += w ? NAME(total)(w + k, n) : (double)n;
    }
    if (emits == DOT || emits == DOT_EXP)
        LANE(l) x->dot[l] = with_lost(x->dot[l], x->lost[l]);
    else
        LANE(l) x->s[l] = with_lost(x->s[l], x->lost[l]);
}
