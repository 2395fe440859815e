/* small.h - cross-entropy of few classes with class indices and no further option, the most common of the short calls:
 * the lanes' way through the panel, with all that an item needs in vectors of the computing type.
 */

enum { NAME(FEW) = 32 };

static bool NAME(is_small)(const ce_grid *grid, const ce_plan *plan, const ce_link *link)
{
    const ce_job *job = plan->job;

    return link == &cross_entropy_link && grid->classes >= 2 && grid->classes <= NAME(FEW) && job->smoothing == 0 &&
           !job->w && !grid->data[CE_V] && !grid->data[CE_UPSTREAM] && !plan->curves && fabs(plan->c) > 0x1p-60 &&
           fabs(plan->c) < 0x1p60;
}

/* What is left of LANES items after the scan. */
typedef struct {
    REAL s[LANES], gap[LANES]; /* gap = m - z_t */
} NAME(scanned);

/* Two classes: one of the exponentials is 1. In the place of the logits, s + 1 - e_t. */
INLINE void NAME(scan_two)(REAL *z, const int32_t *spot, NAME(scanned) * x)
{
    LANE(l) {
        const REAL a = z[l], b = z[LANES + l], gap = -ABS(a - b), e = EXP_2_64(gap) * (REAL)0x1p-64;
        const REAL s = NAME(normal)(e) + ((a - a) + (b - b)); /* NaN if one is not finite */
        const int  hit = (spot[l] < LANES) == (a >= b);
        x->s[l] = s;
        x->gap[l] = ZERO_IF(hit, -gap);
        z[l] = hit ? s : s + (1 - s);
    }
}

/* In the place of the logits, exponentials times 2^64. */
INLINE void NAME(scan_few)(REAL *z, int64_t n, const int32_t *spot, NAME(scanned) * x)
{
    REAL    m[LANES], from[LANES], z_t[LANES];
    REAL    a[LANES] = { 0 }, b[LANES] = { 0 }, c[LANES] = { 0 }, d[LANES] = { 0 }, hits[LANES] = { 0 };
    int64_t k = 0;

    NAME(panel_max)(z, n, m);
    LANE(l) from[l] = m[l] > -INFINITY ? m[l] : 0;
    LANE(l) z_t[l] = z[spot[l]];
    for (; k + 4 <= n; k += 4) {
        NAME(add_class)(z + k * LANES, from, a, hits, false);
        NAME(add_class)(z + (k + 1) * LANES, from, b, hits, false);
        NAME(add_class)(z + (k + 2) * LANES, from, c, hits, false);
        NAME(add_class)(z + (k + 3) * LANES, from, d, hits, false);
    }
    if (k < n)
        NAME(add_class)(z + k * LANES, from, a, hits, false);
    if (k + 1 < n)
        NAME(add_class)(z + (k + 1) * LANES, from, b, hits, false);
    if (k + 2 < n)
        NAME(add_class)(z + (k + 2) * LANES, from, c, hits, false);
    LANE(l) {
        const REAL sum = NAME(normal)(((a[l] + b[l]) + (c[l] + d[l])) * (REAL)0x1p-64);
        x->s[l] = (sum + ZERO_IF(!(hits[l] > 0), hits[l] - 1)) + (m[l] - m[l]); /* NaN if m is not finite */
        x->gap[l] = NAME(normal)(m[l]) - NAME(normal)(z_t[l]);
    }
}

/* Losses and, in the panel, gradients of LANES items; those that are not live have neither. */
INLINE void NAME(small_items)(REAL *z, int64_t n, const int32_t *spot, const int64_t *live, REAL c, bool derives,
                              REAL *loss)
{
    NAME(scanned) x;
    REAL r[LANES], e_t[LANES];

    if (n == 2)
        NAME(scan_two)(z, spot, &x);
    else
        NAME(scan_few)(z, n, spot, &x);
    LANE(l) loss[l] = ZERO_IF(!live[l], NAME(normal)(x.gap[l] + LOG1P(x.s[l])));
    if (!derives)
        return;
    LANE(l) r[l] = ZERO_IF(!live[l], c / (1 + x.s[l]));
    if (n == 2) {
        LANE(l) {
            const REAL at_t = -NAME(normal)(r[l] * z[l]);
            z[l] = spot[l] < LANES ? at_t : -at_t;
            z[LANES + l] = -z[l];
        }
        return;
    }
    LANE(l) e_t[l] = z[spot[l]];
    for (int64_t i = 0; i < n * LANES; i += LANES)
        LANE(l) z[i + l] = NAME(normal)(z[i + l] * (r[l] * (REAL)0x1p-64));
    LANE(l) e_t[l] = -NAME(normal)(r[l] * (x.s[l] + (1 - e_t[l] * (REAL)0x1p-64)));
    LANE(l) z[spot[l]] = e_t[l];
}

static void NAME(small)(const ce_grid *grid, const ce_plan *plan, int64_t first, int64_t last, double *sums)
{
    const ce_job *job = plan->job;
    const int64_t n = grid->classes, fit = NAME(PANEL) / n;
    NAME(panels) p;
    tile x;

    for (int64_t i = first; i < last; i += x.width) {
        REAL    loss[ITEMS];
        int64_t all_live = 1;
        locate(grid, i, last, LANES, fit < WIDE ? fit : WIDE, &x);
        load_targets(grid, job, &x, x.width);
        for (int l = 0; l < x.width; l++) {
            x.live[l] = (x.t[l] != job->ignore_index) & ((uint64_t)x.t[l] < (uint64_t)n);
            x.spot[l] = (int32_t)(x.t[l] & -x.live[l]) * LANES + l % LANES;
            all_live &= x.live[l];
        }
        NAME(load_panels)(&p, grid, &x, 0, n);
        for (int at = 0; at < x.width; at += LANES) {
            REAL *const z = p.z + at * n;
            for (int64_t k = 0; !all_live && k < n; k++)
                LANE(l) z[k * LANES + l] = x.live[at + l] ? z[k * LANES + l] : 0;
            if (n == 2)
                NAME(small_items)(z, 2, x.spot + at, x.live + at, (REAL)plan->c, plan->derives, loss + at);
            else
                NAME(small_items)(z, n, x.spot + at, x.live + at, (REAL)plan->c, plan->derives, loss + at);
        }
        if (plan->derives)
            NAME(store_panels)(&p, p.z, grid, &x, 0, n);
        for (int l = x.count; l < x.width; l++) loss[l] = 0;
        for (int at = 0; at < x.width; at += LANES)
            LANE(l) sums[l] += (double)loss[at + l];
        for (int l = 0; grid->data[CE_VALUE] && l < x.count; l++) *(REAL *)item_at(grid, &x, CE_VALUE, l) = loss[l];
    }
}
