/* row_scan.h - (m, s) of one long, contiguous row.
 *
 * Per BLOCK a loop for the maximum, then, out of L1, one for the sum of exponentials; each block is a
 * pair (m, s), and the pairs are merged at the end (rows.h):
 *     s = s_a + sum over the others of (s_b + 1) exp(m_b - m),   a the first block with m_a = m.
 */

#define STEPS(l)                                                                                                       \
    SIMD                                                                                                               \
    for (int l = 0; l < NAME(STEP); l++)

/* A block of a row, to be gone through in steps of STEP numbers. In place of two of them stand copies: of the last, if
 * it is short, filled up with what exp turns into 0; and of that with the maximum, which is left out. */
typedef struct {
    const REAL *z;
    int64_t     n, last, top; /* where the copies belong; top -1: none */
    _Alignas(LINE) REAL filled[NAME(STEP)], others[NAME(STEP)];
} NAME(steps);

INLINE const REAL *NAME(step_at)(const NAME(steps) * b, int64_t i)
{
    return i == b->top ? b->others : i == b->last ? b->filled : b->z + i;
}

/* n numbers, at most STEP, filled up with what exp turns into 0. */
static const REAL *NAME(step_filled)(REAL *copy, const REAL *z, int64_t n)
{
    STEPS(l) copy[l] = -INFINITY;
    memcpy(copy, z, (size_t)n * sizeof(REAL));
    return copy;
}

static void NAME(steps_of)(NAME(steps) * b, const REAL *z, int64_t n)
{
    b->z = z, b->n = n, b->top = -1;
    b->last = n / NAME(STEP) * NAME(STEP);
    if (b->last < n)
        NAME(step_filled)(b->filled, z + b->last, n - b->last);
}

/* How many numbers of z lie before the first line of memory: loads that reach into two lines take twice the time. Of
 * few numbers it does not matter. */
static int64_t NAME(to_first_line)(const REAL *z, int64_t n)
{
    const uintptr_t past = (uintptr_t)z % LINE;
    return past == 0 || past % sizeof(REAL) != 0 || n < NAME(CHUNK) ? 0 : (int64_t)((LINE - past) / sizeof(REAL));
}

/* The maxima by lanes: of each chunk from number `first` on, of all of them, and of the numbers before and after, maybe
 * with some of the others. */
static void NAME(row_max)(REAL (*top)[LANES], REAL *all, REAL *ends, const NAME(steps) * b, int64_t first)
{
    const REAL *const z = b->z, *const tail = b->n < NAME(STEP) ? b->filled : z + b->n - NAME(STEP);

    LANE(l) all[l] = -INFINITY;
    for (int64_t c = first; c + NAME(STEP) <= b->n; c += NAME(CHUNK), top++) {
        const int64_t end = c + NAME(CHUNK) < b->n ? c + NAME(CHUNK) : b->n;
        REAL          a[NAME(STEP)];

        STEPS(l) a[l] = -INFINITY;
        for (int64_t i = c; i + NAME(STEP) <= end; i += NAME(STEP)) STEPS(l) a[l] = z[i + l] > a[l] ? z[i + l] : a[l];
        LANE(l) a[l] = a[LANES + l] > a[l] ? a[LANES + l] : a[l];
        LANE(l) a[2 * LANES + l] = a[3 * LANES + l] > a[2 * LANES + l] ? a[3 * LANES + l] : a[2 * LANES + l];
        LANE(l) (*top)[l] = a[2 * LANES + l] > a[l] ? a[2 * LANES + l] : a[l];
        LANE(l) all[l] = (*top)[l] > all[l] ? (*top)[l] : all[l];
    }
    LANE(l) ends[l] = -INFINITY;
    for (int i = 0; i < NAME(STEP); i += LANES)
        LANE(l) ends[l] = tail[i + l] > ends[l] ? tail[i + l] : ends[l];
    if (first > 0)
        LANE(l) ends[l] = z[l] > ends[l] ? z[l] : ends[l];
}

static REAL NAME(largest)(const REAL *top)
{
    REAL x[LANES];

    LANE(l) x[l] = top[l];
    for (int l = 0; l < LANES / 2; l++) x[l] = x[l + LANES / 2] > x[l] ? x[l + LANES / 2] : x[l];
    for (int l = 0; l < LANES / 4; l++) x[l] = x[l + LANES / 4] > x[l] ? x[l + LANES / 4] : x[l];
    for (int l = 0; l < LANES / 8; l++) x[l] = x[l + LANES / 8] > x[l] ? x[l + LANES / 8] : x[l];
    return x[LANES / 16] > x[0] ? x[LANES / 16] : x[0]; /* of 8 lanes, one is left */
}

/* Where the maximum m stands first. It may have gone meanwhile, if another thread writes: then any place will do. */
static int64_t NAME(row_argmax)(const REAL (*top)[LANES], const REAL *all, const REAL *z, int64_t n, int64_t first,
                                REAL m)
{
    const int64_t rest = first + (n - first) / NAME(STEP) * NAME(STEP);
    int64_t       at = rest;

    for (int64_t i = 0; i < first; i++)
        if (z[i] == m)
            return i;
    for (int l = 0; l < LANES; l++) {
        int64_t chunk = 0, i;
        if (all[l] != m)
            continue;
        while (top[chunk][l] != m) chunk++;
        for (i = first + chunk * NAME(CHUNK) + l; i < rest && z[i] != m;) i += LANES;
        at = i < at ? i : at;
    }
    while (at >= rest && at < n - 1 && z[at] != m) at++;
    return at < n ? at : n - 1;
}

/* Leaves the maximum out. */
static void NAME(row_leave_out)(NAME(steps) * b, int64_t at)
{
    const int64_t top = at / NAME(STEP) * NAME(STEP);

    memcpy(b->others, NAME(step_at)(b, top), sizeof b->others);
    b->others[at - top] = -INFINITY;
    b->top = top;
}

/* exp(x) times 2^64 of n numbers, at most STEP, as exp_f32 and exp_f64, but stage by stage: each is a chain of
 * operations that wait for one another, and only so many wait at a time. This is all but the last stage, EXP_SCALED(q,
 * t, x, lo). */
INLINE void NAME(exp_stages)(REAL *q, REAL *t, const REAL *x, int n)
{
    REAL r[NAME(STEP)];

    SIMD
    for (int l = 0; l < n; l++) t[l] = EXP_WHOLE(x[l], BY_2_64);
    SIMD
    for (int l = 0; l < n; l++) r[l] = EXP_REST(x[l], t[l], BY_2_64);
    SIMD
    for (int l = 0; l < n; l++) q[l] = EXP_HIGH(r[l]);
    SIMD
    for (int l = 0; l < n; l++) q[l] = EXP_LOW(q[l], r[l]);
}

/* Sums, by lanes, of exp(z - m) times 2^64, which are kept, if asked for, also in place of z. Meanwhile memory brings
 * what comes next: with each step four lines or halves of them; and takes the gradient that is due. */
INLINE void NAME(row_sum)(double *sums, const NAME(slot) * slot, const NAME(steps) * b, REAL m, uintptr_t next,
                          uintptr_t apart, bool keeps, bool due, bool shifts)
{
    REAL *const kept = slot->kept, *const grad = slot->due;
    const NAME(scale) f = slot->f;
    const REAL shift = slot->shift;
    REAL       spill[NAME(STEP)];

    for (int64_t c = 0; c < b->n; c += NAME(CHUNK)) {
        const int64_t end = c + NAME(CHUNK) < b->n ? c + NAME(CHUNK) : b->n;
        REAL          a[NAME(STEP)] = { 0 };

        for (int64_t i = c; i < end; i += NAME(STEP), next += 4 * apart) {
            REAL q[NAME(STEP)], t[NAME(STEP)], x[NAME(STEP)];

            fetch_four(next, apart);
            const REAL *z = NAME(step_at)(b, i);
            REAL *const to = !due || i == b->last ? spill : grad + i;
            STEPS(l) x[l] = z[l] - m;
            if (due)
                STEPS(l) to[l] = NAME(late_grad)(kept[i + l], f, shift, shifts);
            NAME(exp_stages)(q, t, x, NAME(STEP));
            STEPS(l)
            {
                const REAL e = EXP_SCALED(q[l], t[l], x[l], EXP_LO_2_64);
                a[l] += e;
                if (keeps)
                    kept[i + l] = e;
            }
        }
        LANE(l) sums[l] += (double)((a[l] + a[LANES + l]) + (a[2 * LANES + l] + a[3 * LANES + l]));
    }
}

/* Sum of u (m - z) / 2^16, u = 1 if absent; n is a multiple of STEP, at most CHUNK. */
static double NAME(row_tilt)(const REAL *z, const REAL *u, int64_t n, REAL m)
{
    REAL a[LANES] = { 0 }, b[LANES] = { 0 }, c[LANES] = { 0 }, d[LANES] = { 0 };

    for (int64_t i = 0; !u && i < n; i += NAME(STEP)) {
        LANE(l) a[l] += NAME(gap)(z[i + l], m);
        LANE(l) b[l] += NAME(gap)(z[i + LANES + l], m);
        LANE(l) c[l] += NAME(gap)(z[i + 2 * LANES + l], m);
        LANE(l) d[l] += NAME(gap)(z[i + 3 * LANES + l], m);
    }
    for (int64_t i = 0; u && i < n; i += NAME(STEP)) {
        LANE(l) a[l] += NAME(weighted_gap)(z[i + l], u[i + l], m);
        LANE(l) b[l] += NAME(weighted_gap)(z[i + LANES + l], u[i + LANES + l], m);
        LANE(l) c[l] += NAME(weighted_gap)(z[i + 2 * LANES + l], u[i + 2 * LANES + l], m);
        LANE(l) d[l] += NAME(weighted_gap)(z[i + 3 * LANES + l], u[i + 3 * LANES + l], m);
    }
    return NAME(sum4)(a, b, c, d);
}

/* The same for any n up to CHUNK. */
static double NAME(row_tilt_any)(const REAL *z, const REAL *u, int64_t n, REAL m)
{
    REAL    copy[NAME(CHUNK)], u_copy[NAME(CHUNK)];
    int64_t full = (n + NAME(STEP) - 1) / NAME(STEP) * NAME(STEP);

    if (n == full)
        return NAME(row_tilt)(z, u, n, m);
    for (int64_t i = 0; i < full; i++) {
        copy[i] = i < n ? z[i] : m;
        u_copy[i] = i >= n ? 0 : u ? u[i] : 1;
    }
    return NAME(row_tilt)(copy, u ? u_copy : NULL, full, m);
}

/* A long row in memory, from class first on; q: its class probabilities. */
typedef struct {
    const char *z, *q;
    ce_type     type, q_type;
    const REAL *w;
} NAME(row);

static inline NAME(row) NAME(row_of)(const ce_grid *grid, const ce_plan *plan, const tile *x, int l)
{
    return (NAME(row)){ item_at(grid, x, CE_Z, l), grid->data[CE_OTHER] ? item_at(grid, x, CE_OTHER, l) : NULL,
                        grid->type[CE_Z], grid->type[CE_OTHER], plan->job->w };
}

/* u of n classes from class i on, n at most CHUNK: the shares of the classes, or else their weights. */
static const REAL *NAME(row_u)(const NAME(row) * row, const ce_plan *plan, int64_t i, int64_t n, REAL *copy)
{
    const REAL *w = row->w ? row->w + i : NULL;

    if (!row->q)
        return w;
    const NAME(smoother) to = NAME(smoother_of)(plan);
    const REAL *q = NAME(view)(row->q + i * size_of(row->q_type), row->q_type, n, copy);
    if (!w && plan->job->label_smoothing == 0)
        return q;
    SIMD
    for (int64_t k = 0; k < n; k++) copy[k] = FMA(q[k], to.scale, to.base) * (w ? w[k] : 1);
    return copy;
}

/* One block from class first on, n at most BLOCK; `more` numbers follow in memory. */
static ce_pair NAME(row_block)(const NAME(row) * row, const ce_plan *plan, int64_t first, int64_t n, bool more,
                               bool tilted, const NAME(slot) * slot)
{
    const uintptr_t   size = (uintptr_t)size_of(row->type), apart = NAME(STEP) * size / 4;
    const char *const memory = row->z + (uintptr_t)first * size;
    const REAL *const z = NAME(view)(memory, row->type, n, slot->kept);
    const uintptr_t   next = (uintptr_t)memory + (more ? NAME(BLOCK) * size : 0);
    const int64_t     line = NAME(to_first_line)(z, n);
    REAL              top[NAME(BLOCK) / NAME(CHUNK)][LANES], all[LANES], ends[LANES];
    double            s[LANES] = { 0 };
    int64_t           at = -1;
    ce_pair           sums = { 0, 0, 0, 0 };
    NAME(steps) b;

    NAME(steps_of)(&b, z, n);
    NAME(row_max)(top, all, ends, &b, line);
    LANE(l) ends[l] = all[l] > ends[l] ? all[l] : ends[l];
    const REAL m = NAME(largest)(ends),
               from = m > -INFINITY ? m : 0; /* all -inf: sums to 0, or to NaN if one is there */
    if (ABS(m) < INFINITY) {
        at = NAME(row_argmax)(top, all, z, n, line, m);
        NAME(row_leave_out)(&b, at);
    }
    for (int64_t i = 0; tilted && i < n; i += NAME(CHUNK)) {
        const int64_t some = n - i < NAME(CHUNK) ? n - i : NAME(CHUNK);
        REAL          copy[NAME(CHUNK)];
        const REAL   *u = NAME(row_u)(row, plan, first + i, some, copy);
        sums.tilt += 0x1p16 * NAME(row_tilt_any)(z + i, u, some, from);
        sums.u += u ? NAME(total)(u, some) : (double)some;
    }
    if (slot->due)
        NAME(slot_emit)(slot, b.last, n - b.last);
    if (slot->due && slot->shift != 0)
        NAME(row_sum)(s, slot, &b, from, next, apart, true, true, true);
    else if (slot->due)
        NAME(row_sum)(s, slot, &b, from, next, apart, true, true, false);
    else if (slot->keeps)
        NAME(row_sum)(s, slot, &b, from, next, apart, true, false, false);
    else
        NAME(row_sum)(s, slot, &b, from, next, apart, false, false, false);
    if (slot->keeps && at >= 0)
        slot->kept[at] = (REAL)0x1p64;
    sums.m = NAME(normal)(m);
    sums.s = unscaled(tree_sum(s, LANES));
    return sums;
}

/* Merges pairs into one; the sum is compensated, for rows of millions in float64. */
static ce_pair NAME(row_merge)(const ce_pair *p, int n)
{
    ce_pair all = { p[0].m, 0, 0, 0 };
    double  lost = 0;
    bool    owned = false;

    for (int i = 1; i < n; i++) all.m = p[i].m > all.m ? p[i].m : all.m;
    for (int i = 0; i < n; i++) {
        const bool   owner = !owned && p[i].m == all.m;
        const double x =
            owner || p[i].m == -INFINITY ? p[i].s : (p[i].s + 1) * exp_f64(p[i].m - all.m, BY_1_F64, EXP_LO_F64);
        add_exactly(&all.s, &lost, x);
        all.u += p[i].u;
        all.tilt += p[i].u == 0 || owner ? p[i].tilt : p[i].tilt + p[i].u * (all.m - p[i].m);
        owned |= owner;
    }
    all.s = with_lost(all.s, lost);
    return all;
}
