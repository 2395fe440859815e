/* scan.h - one long, contiguous row in memory, and (m, s) of one of its blocks.
 *
 * A loop for the maximum, then, out of L1, one for the sum of exponentials; each block is a pair (m, s).
 */
#ifndef CE_ROWS_SCAN_H
#define CE_ROWS_SCAN_H

#include "real/numbers.h"
#include "rows/delayed.h"
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

/* What memory brings meanwhile: from `next` on, with each step four lines or halves of them. */
typedef struct {
    uintptr_t next, apart;
} ahead_of;

/* Sums, by lanes, of exp(z - m) times 2^64, which are kept, if asked for, also in place of z. Memory takes the gradient
 * that was delayed. */
INLINE void sum_exps(double *sums, const block_task *task, const steps *b, real m, ahead_of ahead, int mode)
{
    const bool  keeps = mode & 1, delayed = mode & 2, subtracts = mode & 4;
    real *const kept = task->kept, *const grad = task->delayed;
    const e_scale   f = task->f;
    const real      subtract = task->subtract;
    const uintptr_t apart = ahead.apart;
    uintptr_t       next = ahead.next;
    real            spill[STEP];

    for (int64_t c = 0; c < b->n; c += CHUNK) {
        const int64_t end = c + CHUNK < b->n ? c + CHUNK : b->n;
        real          a[STEP] = { 0 };

        for (int64_t i = c; i < end; i += STEP, next += 4 * apart) {
            real q[STEP], t[STEP], x[STEP];

            fetch_four(next, apart);
            const real *z = step_at(b, i);
            real *const to = !delayed || i == b->last ? spill : grad + i;
            STEPS(l) x[l] = z[l] - m;
            if (delayed)
                STEPS(l) to[l] = delayed_number(kept[i + l], f, subtract, subtracts);
            exp_stages(q, t, x, STEP);
            STEPS(l) {
                const real e = EXP_SCALED(q[l], t[l], x[l], EXP_LO_2_64);
                a[l] += e;
                if (keeps)
                    kept[i + l] = e;
            }
        }
        LANE(l) sums[l] += (double)((a[l] + a[LANES + l]) + (a[2 * LANES + l] + a[3 * LANES + l]));
    }
}

/* The same, once for each way of working. */
INLINE void sum_exps_by_task(double *sums, const block_task *task, const steps *b, real m, ahead_of ahead)
{
    enum { KEEPS = 1, DELAYED = 2, SUBTRACTS = 4 };

    if (task->delayed && task->subtract != 0)
        sum_exps(sums, task, b, m, ahead, KEEPS | DELAYED | SUBTRACTS);
    else if (task->delayed)
        sum_exps(sums, task, b, m, ahead, KEEPS | DELAYED);
    else if (task->keeps)
        sum_exps(sums, task, b, m, ahead, KEEPS);
    else
        sum_exps(sums, task, b, m, ahead, 0);
}

/* Classes of a row: n of them, at most BLOCK, from `first` on; do more numbers follow in memory? */
typedef struct {
    int64_t first, n;
    bool    more;
} row_part;

static ce_pair softmax_part(const long_row *row, const row_part *part, bool gaps, const block_task *task)
{
    const uintptr_t   size = (uintptr_t)size_of(row->type);
    const char *const memory = row->z + (uintptr_t)part->first * size;
    const int64_t     n = part->n;
    const real *const z = view_numbers(memory, row->type, n, task->kept);
    const ahead_of    ahead = { (uintptr_t)memory + (part->more ? BLOCK * size : 0), STEP * size / 4 };
    double            s[LANES] = { 0 };
    int64_t           at = -1;
    ce_pair           sums = { 0, 0, 0, 0 };
    maxima            found;
    steps             b;

    steps_of(&b, z, n);
    find_maxima(&found, &b);
    const real m = largest(&found), from = m > -INFINITY ? m : 0; /* all -inf: sums to 0, or to NaN if one is there */
    if (ABS(m) < INFINITY) {
        at = place_of_maximum(&found, z, n, m);
        leave_out(&b, at);
    }
    if (gaps)
        add_gaps(row, z, part->first, n, from, &sums);
    if (task->delayed)
        write_delayed_block(task, b.last, n - b.last);
    sum_exps_by_task(s, task, &b, from, ahead);
    if (task->keeps && at >= 0)
        task->kept[at] = (real)0x1p64;
    sums.m = normal(m);
    sums.s = unscaled(tree_sum(s, LANES));
    return sums;
}

/* The sum of a part that is no softmax. */
static ce_pair class_sum_of_part(const long_row *row, const ce_link *link, const row_part *part)
{
    double sum = 0, lost = 0;

    for (int64_t i = part->first, end = i + part->n, some; i < end; i += some) {
        real z_copy[VIEWED(CHUNK)], q_copy[VIEWED(CHUNK)];
        some = smaller(end - i, CHUNK);
        const real *z = z_from(row, i, some, z_copy), *q = q_from(row, i, some, q_copy);
        add_exactly(&sum, &lost,
                    link->emits == TERMS ? chunk_terms(link->term, z, q, some)
                                         : chunk_products(q, link->emits == DOT ? z : NULL, some));
    }
    return (ce_pair){ 0, with_lost(sum, lost), 0, 0 };
}

/* One block of row l of the tile, from class first on; more: another row follows. */
static ce_pair scan_part(const softmax_call *call, const tile *x, int l, bool more, int64_t first,
                         const block_task *task)
{
    const long_row row = row_at(call, x, l);
    const int64_t  left = call->grid->classes - first, n = smaller(left, BLOCK);
    const row_part part = { first, n, more || n < left };

    if (call->link->emits == ONE_HOT)
        return (ce_pair){ 0, 0, 0, 0 };
    return is_class_sum(call->link->emits) ? class_sum_of_part(&row, call->link, &part)
                                           : softmax_part(&row, &part, sums_gaps(call), task);
}

#endif
