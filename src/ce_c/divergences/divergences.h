/* divergences.h - items of two rows of logits: both are scanned as rows are, then their terms are added up, then
 * gradients are written, chunk by chunk.
 */
#ifndef CE_DIVERGENCES_DIVERGENCES_H
#define CE_DIVERGENCES_DIVERGENCES_H

#include "divergences/sums.h"
#include "rows/rows.h"

/* The longest rows whose exponentials are kept. */
enum { BOTH_KEPT = KEPT / 2 };

/* How many numbers a worker's buffer takes for items of K classes. */
static int64_t numbers_for_pairs(int64_t K)
{
    return 2 * (K > BLOCK && K <= BOTH_KEPT ? up_to_step(K) : BLOCK);
}

static long_row row_in(const softmax_call *call, const tile *x, int array, int l)
{
    const ce_grid *grid = call->grid;
    return (long_row){ .z = item_at(grid, x, array, l),
                       .type = grid->type[array],
                       .q_type = CE_FLOAT32,
                       .step = grid->class_stride[array],
                       .plan = call->plan };
}

/* The pairs of a tile's items: of item at[j] that of the target's row in pair[2 j], that of its logits behind it. */
typedef struct {
    real     *buffer;
    pair_list lists[2]; /* of long rows' blocks */
    ce_pair   pair[LANES];
    int       at[LANES / 2], count;
    bool      keeps;
} pair_worker;

static void scan_pairs(const softmax_call *call, pair_worker *w, const tile *x)
{
    const int64_t K = call->grid->classes, room = K > BLOCK && w->keeps ? up_to_step(K) : smaller(up_to_step(K), BLOCK);
    row_part      p[2];

    w->count = 0;
    for (int l = 0; l < x->width; l++) {
        if (!x->live[l])
            continue;
        for (int side = 0; side < 2; side++) {
            const int      array = side ? CE_Z : CE_OTHER;
            const long_row row = row_in(call, x, array, l);
            begin_part(&row, &p[side]);
            look_on(call->grid, array, K, &p[side]);
            p[side].room = w->buffer + (2 * w->count + side) * room;
            p[side].keeps = w->keeps;
        }
        scan_together(call->link, p, 2, K, w->lists);
        for (int side = 0; side < 2; side++) w->pair[2 * w->count + side] = p[side].pair;
        w->at[w->count++] = l;
    }
}

/* The two rows of the tile's item that is number j of those that were scanned. */
static row_pair pair_of(const softmax_call *call, const pair_worker *w, const tile *x, int j)
{
    const int64_t K = call->grid->classes, room = K > BLOCK ? up_to_step(K) : smaller(up_to_step(K), BLOCK);
    one_row       rows[2];

    for (int side = 0; side < 2; side++) {
        rows[side].row = row_in(call, x, side ? CE_Z : CE_OTHER, w->at[j]);
        rows[side].kept = w->keeps ? w->buffer + (2 * j + side) * room : NULL;
        rows[side].pairs = w->keeps && K > BLOCK ? w->lists[side].pairs : NULL;
        rows[side].all = w->pair[2 * j + side];
        rows[side].inv_S = 1 / (1 + rows[side].all.s);
    }
    const ce_pair *p = &rows[0].all, *q = &rows[1].all;
    const double   beta = call->plan->job->beta;
    double         shift = q->m, lost = 0;
    add_exactly(&shift, &lost, -p->m);
    return (row_pair){ .p = rows[0],
                       .q = rows[1],
                       .shift = shift,
                       .rest = lost + (log1p_f64(q->s) - log1p_f64(p->s)),
                       .beta = (real)beta,
                       .other = (real)(1 - beta),
                       .bases = w->keeps && call->plan->derives ? w->buffer + 2 * j * room : NULL };
}

/* Of n classes: bases as in chunk_sums, of which it is known by now what they are short of; also in their place. */
static void chunk_gradients(const row_pair *pair, emission emits, const real *bases, const real *q, int64_t n, real *to)
{
    const double late = pair->late;
    const real   other = pair->other;

    if (emits == FORWARD) {
        const real more = (real)(late * (1 + 0.5 * late)); /* e^late - 1, to the digits that matter */
        SIMD
        for (int64_t k = 0; k < n; k++) to[k] = FMA(q[k], more, bases[k]);
    } else if (emits == REVERSE) {
        const real less = (real)(pair->sums.first - late);
        SIMD
        for (int64_t k = 0; k < n; k++) to[k] = ZERO_IF(q[k] == 0, q[k] * (bases[k] - less));
    } else { /* log q/m rises by the share of p in m, 1 - (1 - beta) q/m, for each that d does */
        const real less = (real)(pair->sums.second - late), q_less = (real)late * other;
        SIMD
        for (int64_t k = 0; k < n; k++) {
            const real e = EXP(bases[k]);
            to[k] = ZERO_IF(q[k] == 0, other * (q[k] * ((bases[k] - less) - q_less * e)));
        }
    }
}

/* n gradients times the item's factor and the slopes of the logits that were capped. */
static void scale_gradients(const row_pair *pair, double by, int64_t i, int64_t n, real *grad)
{
    const ce_plan *plan = pair->q.row.plan;
    const real     near = (real)by;

    if (plan->inner != 0) {
        real copy[CHUNK], u[CHUNK], slopes[CHUNK];
        cap(plan, raw_from(&pair->q.row, i, n, copy), u, slopes, n);
        SIMD
        for (int64_t k = 0; k < n; k++) grad[k] = slopes[k] == 0 ? 0 : grad[k] * slopes[k];
    }
    if (by == 0 || (fabs(by) > 0x1p-100 && fabs(by) < 0x1p100)) {
        SIMD
        for (int64_t k = 0; k < n; k++) grad[k] = normal(grad[k] * near);
    } else {
        for (int64_t k = 0; k < n; k++) grad[k] = normal((real)((double)grad[k] * by));
    }
}

/* q of n classes from class i on, to c, and what else gradients are made of, which is returned; room: for a chunk of
 * it.
 */
static const real *load_bases(const row_pair *pair, emission emits, int64_t i, int64_t n, pair_chunk *c, real *room)
{
    e_scale by;

    if (!pair->bases) {
        load_chunk(pair, i, n, c);
        chunk_sums(pair, emits, c, up_to_step(n), room);
        return room;
    }
    const real *const e = exps_from(&pair->q, NULL, i, n, NULL, &by);
    SIMD
    for (int64_t k = 0; k < n; k++) c->q[k] = scaled(e[k], by);
    return pair->bases + i;
}

static void write_gradients(const softmax_call *call, const tile *x, int l, const row_pair *pair)
{
    const ce_grid *grid = call->grid;
    const emission emits = call->link->emits;
    const int64_t  K = grid->classes, step = grid->class_stride[CE_GRAD];
    char *const    to = item_at(grid, x, CE_GRAD, l);
    real           grad[CHUNK];
    pair_chunk     c;

    for (int64_t i = 0, n; i < K; i += n) {
        n = smaller(K - i, CHUNK);
        if (pair->rest == pair->rest) {
            chunk_gradients(pair, emits, load_bases(pair, emits, i, n, &c, grad), c.q, n, grad);
            scale_gradients(pair, x->per_e[l], i, n, grad);
        } else {
            for (int64_t k = 0; k < n; k++) grad[k] = NAN;
        }
        write_numbers(to + i * step, grid->type[CE_GRAD], step, grad, n);
    }
}

/* Runs items from item `first` on, as many as x holds. */
static void run_pairs(const softmax_call *call, pair_worker *w, tile *x)
{
    const emission emits = call->link->emits;
    const double   beta = call->plan->job->beta;
    row_pair       pairs[LANES / 2];

    scan_pairs(call, w, x);
    for (int l = 0; l < x->width; l++) x->m[l] = x->s[l] = x->z_t[l] = x->class_sum[l] = 0;
    for (int j = 0; j < w->count; j++) {
        pairs[j] = pair_of(call, w, x, j);
        const bool finite =
            fabs(pairs[j].p.all.m) < INFINITY && fabs(pairs[j].q.all.m) < INFINITY && pairs[j].rest == pairs[j].rest;
        if (finite)
            find_divergence(&pairs[j], emits, call->grid->classes);
        else
            pairs[j].sums = (pair_sums){ NAN, NAN, 0 }, pairs[j].rest = NAN;
        const pair_sums *sums = &pairs[j].sums;
        x->class_sum[w->at[j]] = emits == BETWEEN ? beta * sums->first + (1 - beta) * sums->second : sums->first;
    }
    answer_items(call, x);
    for (int j = 0; j < w->count && call->plan->derives; j++) write_gradients(call, x, w->at[j], &pairs[j]);
    for (int l = 0; l < x->width && call->plan->derives; l++)
        if (!x->live[l])
            write_zeros(call->grid, x, l, 0, call->grid->classes);
}

OUTLINE void run_divergences(const softmax_call *call, real *buffer, int64_t first, int64_t last)
{
    const ce_grid *grid = call->grid;
    const int64_t  K = grid->classes, fit = BLOCK / 2 / (K > 0 ? up_to_step(K) : 1);
    const int64_t  most = fit > LANES / 2 ? LANES / 2 : fit > 1 ? fit : 1;
    pair_worker    w;

    w.buffer = buffer, w.keeps = K <= BOTH_KEPT;
    for (int64_t b = first; b < last; b++) {
        const int64_t from = b * grid->block, end = smaller(from + grid->block, grid->items);
        double        sums[LANES] = { 0 };
        tile          x;

        for (int64_t i = from; i < end; i += x.width) {
            open_rows(call, i, end, most, &x);
            run_pairs(call, &w, &x);
            add_losses(x.loss, x.width, i - from, sums);
            write_losses(grid, x.loss, &x, 0);
        }
        call->plan->blocks[b].loss = tree_sum(sums, LANES);
    }
}

#endif
