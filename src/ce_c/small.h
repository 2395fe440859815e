/* small.h - cross-entropy of few classes with class indices and no further option, the most common of the short calls.
 * What lanes_*.h and cross_entropy.h do, to the bit, in one go: nothing between scan and emission leaves the registers.
 */

static bool NAME(is_small)(const ce_grid *grid, const ce_plan *plan, const ce_link *link)
{
    const ce_job *job = plan->job;

    return link == &cross_entropy_link && grid->classes >= 2 && grid->classes <= NAME(GROUP) && job->smoothing == 0 &&
           !job->w && !grid->data[CE_V] && !grid->data[CE_UPSTREAM] && !plan->curves && fabs(plan->c) > 0x1p-50 &&
           fabs(plan->c) < 0x1p60;
}

/* LANES items after the scan: exponentials are times 2^64, sum is NaN where m is not finite. */
typedef struct {
    REAL m[LANES], z_t[LANES], e_t[LANES], sum[LANES];
    BITS hits[LANES];
} NAME(scanned);

/* Two classes: one of the exponentials is 1. Leaves that of the class that is not the target. */
INLINE void NAME(scan_two)(REAL *z, const int32_t *spot, NAME(scanned) * x)
{
    LANE(l) {
        const REAL a = z[l], b = z[LANES + l], e = EXP_2_64(-ABS(a - b)), one = (REAL)0x1p64;
        const int  first = spot[l] < LANES, hit = first == (a >= b);
        x->m[l] = a >= b ? a : b;
        x->z_t[l] = first ? a : b;
        x->sum[l] = e + (x->m[l] - x->m[l]);
        x->hits[l] = 1;
        x->e_t[l] = hit ? one : e;
        z[l] = hit ? e : one;
    }
}

INLINE void NAME(scan_few)(REAL *z, int64_t n, const int32_t *spot, NAME(scanned) * x)
{
    REAL from[LANES];

    NAME(panel_max)(z, n, x->m);
    LANE(l) from[l] = x->m[l] > -INFINITY ? x->m[l] : 0;
    LANE(l) x->z_t[l] = z[spot[l]];
    LANE(l) x->hits[l] = 0;
    NAME(group_sum)(z, n, from, x->sum, x->hits, false);
    LANE(l) x->sum[l] += x->m[l] - x->m[l];
    LANE(l) x->e_t[l] = z[spot[l]];
}

/* Losses and, in the panel, gradients of LANES items; those that are not live have neither. */
INLINE void NAME(small_items)(REAL *z, int64_t n, const int32_t *spot, const int64_t *live, double c, bool derives,
                              double *loss)
{
    NAME(scanned) x;
    REAL   S[LANES], log_S[LANES], inv_S[LANES], a[LANES], put[LANES];
    double s[LANES], per_e[LANES];

    if (n == 2)
        NAME(scan_two)(z, spot, &x);
    else
        NAME(scan_few)(z, n, spot, &x);
    LANE(l) s[l] = unscaled((double)x.sum[l]) + (x.hits[l] > 0 ? (double)x.hits[l] - 1 : 0);
    LANE(l) S[l] = NAME(normal)((REAL)s[l]);
    LANE(l) log_S[l] = LOG1P(S[l]);
    LANE(l) {
        const double gap = (double)NAME(normal)(x.m[l]) - (double)NAME(normal)(x.z_t[l]);
        loss[l] = live[l] ? gap + (s[l] < 0x1p-60 ? s[l] : (double)log_S[l]) : 0;
    }
    if (!derives)
        return;
    LANE(l) inv_S[l] = 1 / (1 + S[l]);
    LANE(l) per_e[l] = live[l] ? c * (double)inv_S[l] : 0;
    LANE(l) a[l] = (REAL)(per_e[l] * 0x1p-64);
    LANE(l) put[l] = NAME(normal)((REAL)(-per_e[l] * (s[l] + (1 - (double)x.e_t[l] * 0x1p-64))));
    if (n == 2) {
        LANE(l) {
            const REAL other = NAME(normal)(z[l] * a[l]);
            z[l] = spot[l] < LANES ? put[l] : other;
            z[LANES + l] = spot[l] < LANES ? other : put[l];
        }
        return;
    }
    for (int64_t i = 0; i < n * LANES; i += LANES)
        LANE(l) z[i + l] = NAME(normal)(z[i + l] * a[l]);
    LANE(l) z[spot[l]] = put[l];
}

static void NAME(small)(const ce_grid *grid, const ce_plan *plan, int64_t first, int64_t last, double *sums)
{
    const ce_job *job = plan->job;
    const int64_t n = grid->classes, fit = NAME(PANEL) / n;
    NAME(panels) p;
    tile x;

    for (int64_t i = first; i < last; i += x.width) {
        double  loss[ITEMS];
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
                NAME(small_items)(z, 2, x.spot + at, x.live + at, plan->c, plan->derives, loss + at);
            else
                NAME(small_items)(z, n, x.spot + at, x.live + at, plan->c, plan->derives, loss + at);
        }
        if (plan->derives)
            NAME(store_panels)(&p, p.z, grid, &x, 0, n);
        for (int l = x.count; l < x.width; l++) loss[l] = 0;
        for (int at = 0; at < x.width; at += LANES)
            LANE(l) sums[l] += loss[at + l];
        for (int l = 0; grid->data[CE_VALUE] && l < x.count; l++)
            *(REAL *)item_at(grid, &x, CE_VALUE, l) = NAME(normal)((REAL)loss[l]);
    }
}
