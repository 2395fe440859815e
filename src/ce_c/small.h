/* small.h - cross-entropy of few classes with class indices and no further option, the most common of the short calls.
 * What lanes_*.h and cross_entropy.h do, to the bit, without what they need for all else.
 */

static bool NAME(is_small)(const ce_grid *grid, const ce_plan *plan)
{
    return (ce_loss_row(plan->job->loss)->options & CE_FEW_CLASSES) && !(plan->in_use & ~(unsigned)CE_IGNORE_INDEX) &&
           grid->classes >= 2 && grid->classes <= NAME(GROUP) && !grid->data[CE_UPSTREAM] && !plan->curves &&
           fabs(plan->c) > 0x1p-50 && fabs(plan->c) < 0x1p60;
}

enum { NAME(FEW) = 8 * LANES, NAME(FEW_PANEL) = 105 }; /* items in a tile; vectors in its panel */

/* A tile. Each of the loops below goes through all of it: the chains of operations are long, and a processor works on
 * several at a time only where they follow each other closely. Exponentials are times 2^64. */
typedef struct {
    BITS   t[NAME(FEW)];                 /* -1 where the item is ignored */
    REAL   m[NAME(FEW)], z_t[NAME(FEW)]; /* as in `tile` */
    REAL   e_t[NAME(FEW)];               /* then what the target's place receives */
    REAL   sum[NAME(FEW)];               /* then S, then the factor of the exponentials */
    BITS   hits[NAME(FEW)];              /* exponentials that are 1 */
    REAL   log_S[NAME(FEW)];
    double s[NAME(FEW)]; /* then the loss */

    uintptr_t next; /* where the next tile's items begin, if neighbours are, for memory to bring them meanwhile */
    uintptr_t apart, size; /* bytes between classes; of a number */
} NAME(few);

/* Class indices; true if no item is ignored. */
static bool NAME(few_targets)(const ce_grid *grid, const ce_job *job, const tile *x, BITS *t)
{
    const bool direct =
        x->even && grid->type[CE_TARGET] == CE_INT64 && grid->stride[CE_TARGET][grid->axes - 1] == sizeof(int64_t);
    const int64_t n = grid->classes, ignore = job->ignore_index;
    BITS          ignored = 0;

    for (int j = 0; j < x->width; j += LANES) {
        int64_t        given[LANES];
        const int64_t *from = direct ? (const int64_t *)item_at(grid, x, CE_TARGET, j) : given;
        char          *at[LANES];
        for (int l = 0; !direct && l < LANES; l++) at[l] = item_at(grid, x, CE_TARGET, j + l);
        if (!direct)
            load_indices(at, LANES, job, given);
        LANE(l) {
            const int64_t index = from[l];
            t[j + l] = (BITS)index | -(BITS)((index == ignore) | ((uint64_t)index >= (uint64_t)n));
        }
        LANE(l) ignored |= t[j + l];
    }
    return ignored >= 0;
}

/* Two classes: one of the exponentials is 1. Leaves that of the class that is not the target. */
static void NAME(scan_two)(REAL *panel, int width, NAME(few) * x)
{
    for (int at = 0; at < width; at += LANES) {
        REAL *const z = panel + 2 * at;
        LANE(l) {
            const REAL a = z[l], b = z[LANES + l], e = EXP_2_64(-ABS(a - b)), one = (REAL)0x1p64, m = a >= b ? a : b;
            const int  first = x->t[at + l] <= 0, hit = first == (a >= b);
            x->m[at + l] = m;
            x->z_t[at + l] = first ? a : b;
            x->sum[at + l] = e + (m - m);
            x->hits[at + l] = 1;
            x->e_t[at + l] = hit ? one : e;
            z[l] = hit ? e : one;
        }
    }
}

/* What class k adds to the maxima and to the targets' logits; it goes to the panel. */
#define TAKE(m, from, k)                                                                                               \
    LANE(l) {                                                                                                          \
        const REAL z = ((const REAL *)(from))[l];                                                                      \
        m[l] = z > m[l] ? z : m[l];                                                                                    \
        panel[(k) * LANES + l] = z;                                                                                    \
        aim[l] = t[l] == (BITS)(k) ? z : aim[l];                                                                       \
    }

/* The maxima of n classes that lie `step` bytes apart, and the logits of the targets. */
INLINE void NAME(few_max)(REAL *panel, const char *from, int64_t step, int64_t n, const BITS *targets, REAL *m,
                          REAL *z_t)
{
    REAL    a[LANES], b[LANES], aim[LANES] = { 0 };
    BITS    t[LANES];
    int64_t k = 0;

    LANE(l) t[l] = targets[l];
    LANE(l) a[l] = b[l] = -INFINITY;
    for (; k + 2 <= n; k += 2, from += 2 * step) {
        TAKE(a, from, k)
        TAKE(b, from + step, k + 1)
    }
    if (k < n)
        TAKE(a, from, k)
    LANE(l) m[l] = b[l] > a[l] ? b[l] : a[l];
    LANE(l) z_t[l] = aim[l];
}

#undef TAKE

static void NAME(scan_few)(REAL *panel, const char *memory, int64_t apart, int64_t n, int width, bool derives,
                           NAME(few) * x)
{
    for (int at = 0; at < width; at += LANES) {
        REAL *const       z = panel + at * n;
        const char *const from = memory ? memory + at * (int64_t)sizeof(REAL) : (const char *)z;
        NAME(few_max)(z, from, memory ? apart : LANES * (int64_t)sizeof(REAL), n, x->t + at, x->m + at, x->z_t + at);
        LANE(l) x->log_S[at + l] = x->m[at + l] > -INFINITY ? x->m[at + l] : 0;
        LANE(l) x->hits[at + l] = 0;
    }
    for (int l = 0; derives && l < width; l += LANES)
        LANE(i) x->e_t[l + i] = EXP_2_64(x->z_t[l + i] - x->log_S[l + i]);
    for (int at = 0; at < width; at += LANES) {
        for (uintptr_t k = 0; x->next && k < (uintptr_t)n; k++)
            fetch(x->next + k * x->apart + (uintptr_t)at * x->size, LINE);
        if (derives)
            NAME(group_sum)(panel + at * n, n, x->log_S + at, x->sum + at, x->hits + at, false);
        else
            NAME(group_sum)(panel + at * n, n, x->log_S + at, x->sum + at, x->hits + at, true);
    }
    for (int at = 0; at < width; at += LANES)
        LANE(l) x->sum[at + l] += x->m[at + l] - x->m[at + l]; /* NaN unless m is finite */
}

/* Losses, and what the gradients are made of. */
static void NAME(link_few)(NAME(few) * x, int64_t n, int width, double c, bool derives)
{
    for (int at = 0; at < width; at += LANES)
        LANE(l) {
            const double hits = x->hits[at + l];
            x->s[at + l] = unscaled((double)x->sum[at + l]) + (hits > 0 ? hits - 1 : 0);
        }
    for (int at = 0; at < width; at += LANES)
        LANE(l) x->sum[at + l] = NAME(normal)((REAL)x->s[at + l]);
    for (int at = 0; at < width; at += LANES)
        if (n == 2)
            LANE(l) x->log_S[at + l] = LOG1P_UNIT(x->sum[at + l]);
        else
            LANE(l) x->log_S[at + l] = LOG1P(x->sum[at + l]);
    for (int at = 0; derives && at < width; at += LANES) {
        double per_e[LANES];
        LANE(l) per_e[l] = x->t[at + l] >= 0 ? c * (double)(1 / (1 + x->sum[at + l])) : 0;
        LANE(l) x->sum[at + l] = (REAL)(per_e[l] * 0x1p-64);
        LANE(l) per_e[l] *= -(x->s[at + l] + (1 - (double)x->e_t[at + l] * 0x1p-64));
        LANE(l) x->e_t[at + l] = NAME(normal)((REAL)per_e[l]);
    }
    for (int at = 0; at < width; at += LANES)
        LANE(l) {
            const double gap = (double)NAME(normal)(x->m[at + l]) - (double)NAME(normal)(x->z_t[at + l]);
            const double s = x->s[at + l], nll = gap + (s < 0x1p-60 ? s : (double)x->log_S[at + l]);
            x->s[at + l] = x->t[at + l] >= 0 ? nll : 0;
        }
}

/* The gradients, in the panel. */
static void NAME(emit_few)(REAL *panel, int64_t n, int width, const NAME(few) * x)
{
    for (int at = 0; at < width; at += LANES) {
        REAL *const z = panel + at * n;
        REAL        a[LANES], put[LANES];
        BITS        t[LANES];
        LANE(l) a[l] = x->sum[at + l], put[l] = x->e_t[at + l], t[l] = x->t[at + l];
        if (n == 2)
            LANE(l) {
                const REAL other = NAME(normal)(z[l] * a[l]), aim = put[l];
                z[l] = t[l] <= 0 ? aim : other;
                z[LANES + l] = t[l] <= 0 ? other : aim;
            }
        for (int64_t k = 0, classes = n > 2 ? n : 0; k < classes; k++)
            LANE(l) {
                const REAL e = z[k * LANES + l] * a[l], normal = ABS(e) < MIN_NORMAL ? 0 : e;
                z[k * LANES + l] = t[l] == (BITS)k ? put[l] : normal;
            }
    }
}

/* Losses of a tile whose first item is at `place` in its block. The order of the sums hangs on places in the block. */
static void NAME(add_few)(const double *loss, int width, int place, double *sums)
{
    double turned[LANES];

    LANE(l) turned[l] = sums[l];
    for (int l = 0; place % LANES != 0 && l < LANES; l++) turned[l] = sums[(place + l) % LANES];
    for (int at = 0; at < width; at += LANES)
        LANE(l) turned[l] += loss[at + l];
    LANE(l) sums[l] = turned[l];
    for (int l = 0; place % LANES != 0 && l < LANES; l++) sums[(place + l) % LANES] = turned[l];
}

OUTLINE void NAME(small)(const ce_grid *grid, const ce_plan *plan, int64_t first, int64_t last, double *sums)
{
    const int64_t     n = grid->classes, fit = NAME(FEW_PANEL) / n, most = NAME(FEW) / LANES;
    _Alignas(64) REAL panel[NAME(FEW_PANEL) * LANES], staged[NAME(GROUP) * LANES];
    const bool        pure = plan->streams || !plan->derives; /* what is read stays as it is */
    _Alignas(64) NAME(few) few;
    tile x;

    for (int64_t i = first, next; i < last; i = next) {
        const bool    ends = pure && last - i < LANES && last - first >= LANES; /* again the last LANES items */
        const int64_t from = ends ? last - LANES : i;
        locate(grid, from, last, LANES, fit < most ? fit : most, &x);
        const int line = pure ? NAME(to_line)(grid, plan->derives ? CE_GRAD : CE_Z, &x) : -1, skip = (int)(i - from);
        if (line > 0)
            x.width = LANES;
        next = line > 0 && !ends ? i + line : from + x.width;
        x.count = (int)((next < last ? next : last) - from);
        const bool all_live = NAME(few_targets)(grid, plan->job, &x, few.t);
        const bool direct = n > 2 && all_live && grid->type[CE_Z] == TYPE && NAME(is_unit)(grid, CE_Z, &x);
        if (!direct)
            NAME(load)(staged, panel, grid, CE_Z, &x, 0, n, n == 2);
        few.size = (uintptr_t)size_of(grid->type[CE_Z]);
        few.apart = (uintptr_t)grid->class_stride[CE_Z];
        few.next = NAME(is_unit)(grid, CE_Z, &x) ? (uintptr_t)x.at[CE_Z][0] + (uintptr_t)x.width * few.size : 0;
        for (int at = 0; !all_live && at < x.width; at += LANES)
            for (int64_t k = 0; k < n; k++)
                LANE(l) panel[at * n + k * LANES + l] = few.t[at + l] >= 0 ? panel[at * n + k * LANES + l] : 0;
        if (n == 2)
            NAME(scan_two)(panel, x.width, &few);
        else
            NAME(scan_few)(panel, direct ? x.at[CE_Z][0] : NULL, grid->class_stride[CE_Z], n, x.width, plan->derives,
                           &few);
        NAME(link_few)(&few, n, x.width, plan->c, plan->derives);
        if (plan->derives)
            NAME(emit_few)(panel, n, x.width, &few);
        if (line >= 0 && plan->derives)
            NAME(store_lines)(panel, grid, CE_GRAD, &x, skip, x.count, n);
        else if (plan->derives)
            NAME(store)(staged, panel, grid, CE_GRAD, &x, 0, n);
        for (int l = 0; l < skip; l++) few.s[l] = 0;
        for (int l = x.count; l < x.width; l++) few.s[l] = 0;
        NAME(add_few)(few.s, x.width, (int)(from - first), sums);
        for (int l = skip; grid->data[CE_VALUE] && l < x.count; l++)
            *(REAL *)item_at(grid, &x, CE_VALUE, l) = NAME(normal)((REAL)few.s[l]);
    }
    if (plan->streams)
        STREAM_END();
}
