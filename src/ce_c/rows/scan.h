/* scan.h - one long, contiguous row in memory, and (m, s) of one of its blocks.
 *
 * A loop for the maximum, then, out of L1, one for the sum of exponentials; each block is a pair (m, s).
 */
#ifndef CE_ROWS_SCAN_H
#define CE_ROWS_SCAN_H

#include "real/numbers.h"
#include "rows/maximum.h"
#include "softmax/class_sums.h"
#include "softmax/factors.h"

/* A long row in memory; q: its class probabilities, or another second input. */
typedef struct {
    const char    *z, *q;
    ce_type        type, q_type;
    const ce_plan *plan;
} long_row;

static inline long_row row_at(const softmax_call *call, const tile *x, int l)
{
    const ce_grid *grid = call->grid;
    return (long_row){ item_at(grid, x, CE_Z, l), grid->data[CE_OTHER] ? item_at(grid, x, CE_OTHER, l) : NULL,
                       grid->type[CE_Z], grid->type[CE_OTHER], call->plan };
}

/* n numbers of the first input, or of the second, from class i on. */
static inline const real *z_from(const long_row *row, int64_t i, int64_t n, real *copy)
{
    return view_numbers(row->z + i * size_of(row->type), row->type, n, copy);
}

static inline const real *q_from(const long_row *row, int64_t i, int64_t n, real *copy)
{
    return row->q ? view_numbers(row->q + i * size_of(row->q_type), row->q_type, n, copy) : NULL;
}

/* u of n classes from class i on, n at most CHUNK: the shares of the classes, or else their weights. */
static const real *shares_from(const long_row *row, int64_t i, int64_t n, real *copy)
{
    const real *w = row->plan->job->w ? (const real *)row->plan->job->w + i : NULL;

    if (!row->q)
        return w;
    const smoother to = smoother_of(row->plan);
    const real    *q = q_from(row, i, n, copy);
    if (!w && row->plan->job->label_smoothing == 0)
        return q;
    SIMD
    for (int64_t k = 0; k < n; k++) copy[k] = FMA(q[k], to.scale, to.base) * (w ? w[k] : 1);
    return copy;
}

/* Sum of u (m - z) / 2^16, u = 1 if absent; n is a multiple of STEP, at most CHUNK. */
static double gap_sum_of_steps(const real *z, const real *u, int64_t n, real m)
{
    real a[LANES] = { 0 }, b[LANES] = { 0 }, c[LANES] = { 0 }, d[LANES] = { 0 };

    if (!u)
        for (int64_t i = 0; i < n; i += STEP) {
            LANE(l) a[l] += gap(z[i + l], m);
            LANE(l) b[l] += gap(z[i + LANES + l], m);
            LANE(l) c[l] += gap(z[i + 2 * LANES + l], m);
            LANE(l) d[l] += gap(z[i + 3 * LANES + l], m);
        }
    else
        for (int64_t i = 0; i < n; i += STEP) {
            LANE(l) a[l] += weighted_gap(z[i + l], u[i + l], m);
            LANE(l) b[l] += weighted_gap(z[i + LANES + l], u[i + LANES + l], m);
            LANE(l) c[l] += weighted_gap(z[i + 2 * LANES + l], u[i + 2 * LANES + l], m);
            LANE(l) d[l] += weighted_gap(z[i + 3 * LANES + l], u[i + 3 * LANES + l], m);
        }
    return add_four(a, b, c, d);
}

/* The same for any n up to CHUNK. */
static double gap_sum_of(const real *z, const real *u, int64_t n, real m)
{
    real          copy[CHUNK], u_copy[CHUNK];
    const int64_t full = up_to_step(n);

    if (n == full)
        return gap_sum_of_steps(z, u, n, m);
    for (int64_t i = 0; i < full; i++) {
        copy[i] = i < n ? z[i] : m;
        u_copy[i] = i >= n ? 0 : u ? u[i] : 1;
    }
    return gap_sum_of_steps(copy, u ? u_copy : NULL, full, m);
}

/* Of n classes from class first on, whose logits are z; all of them from the maximum m. */
static void add_gaps(const long_row *row, const real *z, int64_t first, int64_t n, real m, ce_pair *sums)
{
    const double by = row->q ? 1 : row->plan->scale; /* of weights so small or large that products were none */
    double       gap_lost = 0, share_lost = 0;

    for (int64_t i = 0; i < n; i += CHUNK) {
        const int64_t some = smaller(n - i, CHUNK);
        real          copy[CHUNK];
        const real   *u = shares_from(row, first + i, some, copy);
        add_exactly(&sums->share_sum, &share_lost, u ? total(u, some) : (double)some);
        for (int64_t k = 0; by != 1 && u && k < some; k++) copy[k] = (real)((double)u[k] * by);
        u = u && by != 1 ? copy : u;
        add_exactly(&sums->gap_sum, &gap_lost, 0x1p16 * gap_sum_of(z + i, u, some, m) / (u ? by : 1));
    }
    sums->gap_sum = with_lost(sums->gap_sum, gap_lost);
    sums->share_sum = with_lost(sums->share_sum, share_lost);
}

/* A block of a row on its way: n numbers, at least LANES, their maximum m, or 0, and where it stands, -1 if it is not
 * to be left out; others: the whole step around it, where there is one, without it. kept: where the exponentials go,
 * maybe in place of z. */
typedef struct {
    const real *z, *others;
    real       *kept;
    int64_t     n, at;
    real        m;
    ahead_of    ahead;
} exp_block;

/* The numbers behind the last whole step are added vector by vector to a, but for those of the last vector, a copy of
 * which is `last`, that were added before. A NaN that was met is the sum. */
INLINE void end_of_block(const exp_block *b, const real *last, real *a, real *met, bool keeps)
{
    for (int64_t i = b->n / STEP * STEP; i < b->n; i += LANES) {
        const int64_t from = vector_at(i, b->n);
        const int     done = (int)(i - from), top = (int)(b->at - from);
        real          e[LANES];

        exps_of(e, from == i ? b->z + i : last, b->m, LANES, met);
        LANE(l) a[l] += ZERO_IF((l < done) | (l == top), e[l]);
        if (keeps)
            LANE(l) b->kept[from + l] = e[l];
    }
    LANE(l) a[l] = met[l] != met[l] ? met[l] : a[l];
}

/* Sums, by lanes, of exp(z - m) times 2^64 of all numbers but the maximum, by chunks in the computing type. */
INLINE void sum_exps(const exp_block *b, double *to, bool keeps)
{
    const int64_t     n = b->n, whole = n / STEP * STEP, top = b->others ? b->at / STEP * STEP : -1;
    const real *const z = b->z;
    real *const       kept = b->kept;
    const real        m = b->m;
    const uintptr_t   apart = b->ahead.apart;
    uintptr_t         next = b->ahead.next;
    double            sums[LANES] = { 0 };
    real              last[LANES], met[LANES] = { 0 };
    /* From the step with the maximum to what takes its place: branches would be mispredicted. */
    const uintptr_t aside = top >= 0 ? (uintptr_t)b->others - (uintptr_t)(z + top) : 0;

    if (n % LANES)
        LANE(l) last[l] = z[n - LANES + l];
    for (int64_t c = 0; c < n; c += CHUNK) {
        const int64_t end = smaller(c + CHUNK, whole);
        packed        a[PARTS] = { 0 };
        real          some[STEP];

        for (int64_t i = c; i < end; i += STEP, next += 4 * apart) {
            real e[STEP];
            fetch_four(next, apart);
            exps_of(e, (const real *)((uintptr_t)(z + i) + (aside & -(uintptr_t)(i == top))), m, STEP, met);
            EACH_PART(j) a[j] += PART(e + j * WIDTH);
            if (keeps)
                EACH_PART(j) PART(kept + i + j * WIDTH) = PART(e + j * WIDTH);
        }
        EACH_PART(j) PART(some + j * WIDTH) = a[j];
        if (c + CHUNK >= n)
            end_of_block(b, last, some, met, keeps);
        LANE(l) sums[l] += (double)((some[l] + some[LANES + l]) + (some[2 * LANES + l] + some[3 * LANES + l]));
    }
    if (n % STEP)
        fetch_four(next, apart);
    if (keeps && b->at >= 0)
        kept[b->at] = (real)0x1p64;
    LANE(l) to[l] = sums[l];
}

/* Classes of some rows: n of them, at most BLOCK, from `first` on. room: that of each row for its exponentials, if they
 * are kept, or else for copies of its logits. */
typedef struct {
    int64_t  first, n;
    int      rows;
    long_row row[LANES];
    int64_t  t[LANES];   /* the target's class, or -1 */
    real     z_t[LANES]; /* its logit, once it was met */
    real    *room[LANES];
    bool     keeps, gaps;
} row_parts;

enum { TOPS = LANES + BLOCK / CHUNK }; /* chunks of all rows */

/* Where the numbers of row r are. Fewer than LANES, at a long row's end, are filled up in `few`. */
static exp_block block_of(const row_parts *p, int r, real *few)
{
    const uintptr_t   size = (uintptr_t)size_of(p->row[r].type);
    const char *const memory = p->row[r].z + (uintptr_t)p->first * size;
    exp_block         b = { view_numbers(memory, p->row[r].type, p->n, p->room[r]), NULL, p->room[r], p->n, -1, 0,
                            { (uintptr_t)memory + BLOCK * size, STEP * size / 4 } };

    if (p->n < LANES) {
        LANE(l) few[l] = -INFINITY;
        memcpy(few, b.z, (size_t)p->n * sizeof(real));
        b.z = b.kept = few, b.n = LANES;
    }
    return b;
}

/* Finds where the maximum of a block stands, and copies the step around it but for it. */
static void leave_out_maximum(exp_block *b, const real *top, real *others)
{
    b->at = place_of_maximum(top, b->z, b->n, b->m);
    if (b->at >= b->n / STEP * STEP)
        return;
    memcpy(others, b->z + b->at / STEP * STEP, STEP * sizeof(real));
    others[b->at % STEP] = -INFINITY;
    b->others = others;
}

/* The pairs of some rows. Each stage goes through all of them: in one row every stage waits for the one before. */
static void softmax_parts(row_parts *p, ce_pair *pairs)
{
    const int64_t chunks = (p->n + CHUNK - 1) / CHUNK;
    real          top[TOPS][LANES], all[LANES][LANES], others[LANES][STEP], few[LANES], m[LANES];
    double        sums[LANES][LANES];
    exp_block     blocks[LANES];

    for (int r = 0; r < p->rows; r++) {
        blocks[r] = block_of(p, r, few);
        find_maxima(top[r * chunks], all[r], blocks[r].z, blocks[r].n);
    }
    for (int r = 0; r < p->rows; r++) {
        m[r] = largest(all[r]);
        blocks[r].m = m[r] > -INFINITY ? m[r] : 0; /* all -inf: sums to 0, or to NaN if one is there */
        pairs[r] = (ce_pair){ normal(m[r]), 0, 0, 0 };
    }
    for (int r = 0; r < p->rows; r++)
        if (ABS(m[r]) < INFINITY)
            leave_out_maximum(&blocks[r], top[r * chunks], others[r]);
    for (int r = 0; r < p->rows; r++) /* now that it is in a cache */
        if (p->t[r] >= p->first && p->t[r] < p->first + p->n)
            p->z_t[r] = normal(blocks[r].z[p->t[r] - p->first]);
    for (int r = 0; r < p->rows && p->gaps; r++)
        add_gaps(&p->row[r], blocks[r].z, p->first, p->n, blocks[r].m, &pairs[r]);
    for (int r = 0; r < p->rows; r++)
        if (p->keeps)
            sum_exps(&blocks[r], sums[r], true);
        else
            sum_exps(&blocks[r], sums[r], false);
    for (int r = 0; r < p->rows; r++) pairs[r].s = unscaled(tree_sum(sums[r], LANES));
    if (p->keeps && p->n < LANES)
        memcpy(p->room[0], few, (size_t)p->n * sizeof(real));
}

/* The sum of a part that is no softmax. */
static ce_pair class_sum_of_part(const long_row *row, const ce_link *link, int64_t first, int64_t n)
{
    double sum = 0, lost = 0;

    for (int64_t i = first, end = first + n, some; i < end; i += some) {
        real z_copy[VIEWED(CHUNK)], q_copy[VIEWED(CHUNK)];
        some = smaller(end - i, CHUNK);
        const real *z = z_from(row, i, some, z_copy), *q = q_from(row, i, some, q_copy);
        add_exactly(&sum, &lost,
                    link->emits == TERMS ? chunk_terms(link->term, z, q, some)
                                         : chunk_products(q, link->emits == DOT ? z : NULL, some));
    }
    return (ce_pair){ 0, with_lost(sum, lost), 0, 0 };
}

/* The pairs of some rows' parts. */
static void scan_parts_of_rows(const ce_link *link, row_parts *p, ce_pair *pairs)
{
    if (!is_class_sum(link->emits) && link->emits != ONE_HOT) {
        softmax_parts(p, pairs);
        return;
    }
    for (int r = 0; r < p->rows; r++)
        pairs[r] =
            link->emits == ONE_HOT ? (ce_pair){ 0, 0, 0, 0 } : class_sum_of_part(&p->row[r], link, p->first, p->n);
}

#endif
