/* rows.h - long, contiguous rows one after the other: scan, link, emission, which may wait for the scan of the next row
 * (delayed.h).
 */
#ifndef CE_ROWS_ROWS_H
#define CE_ROWS_ROWS_H

#include "rows/emit.h"
#include "rows/pairs.h"
#include "softmax/close.h"
#include "softmax/open.h"

/* Opens a tile of items that are neighbours, as many as there are up to `most`. */
static void open_rows(const softmax_call *call, int64_t item, int64_t last, int64_t most, tile *x)
{
    locate(call->grid, item, last, 1, most, x);
    open_tile(call, x);
    read_target_logits(call->grid, x);
}

static void set_sums(tile *x, int l, ce_pair all)
{
    x->m[l] = all.m;
    x->s[l] = x->class_sum[l] = all.s;
    x->gap_sum[l] = all.gap_sum;
    x->share_sum[l] = all.share_sum;
}

static void answer_rows(const softmax_call *call, tile *x)
{
    real e_t[ITEMS];

    SIMD
    for (int l = 0; l < x->width; l++) e_t[l] = EXP((real)x->z_t[l] - (real)x->m[l]);
    if (call->grid->data[CE_TARGET])
        for (int l = 0; l < x->width; l++) x->e_t[l] = (double)e_t[l];
    answer_items(call, x);
}

/* The items' losses go into the sums, that of item i of the block to lane i modulo LANES, and to their array. */
static void close_rows(const ce_grid *grid, const tile *x, int64_t item, double *sums)
{
    for (int l = 0; l < x->width; l++) sums[(item + l) % LANES] += x->loss[l];
    write_losses(grid, x->loss, x, 0);
}

/* Of K classes: how many numbers the worker's buffer takes, to keep the exponentials or else to convert one block, and
 * for an emission to work in. */
static int64_t buffer_numbers(int64_t K, int derives)
{
    const bool keeps = derives && K > BLOCK && K <= KEPT;
    return (keeps ? up_to_step(K) : BLOCK) + 4 * CHUNK;
}

/* May a row's gradient wait for the scan of the next row? It may where the scan reads nothing that it writes. */
static bool can_delay(const softmax_call *call)
{
    const ce_grid *grid = call->grid;
    const ce_job  *job = call->plan->job;

    return call->link->emits == PROBABILITIES && grid->classes <= KEPT && grid->type[CE_Z] == REAL_TYPE &&
           grid->data[CE_GRAD] && grid->type[CE_GRAD] == REAL_TYPE && grid->class_stride[CE_GRAD] == sizeof(real) &&
           !call->plan->curves && (job->label_smoothing == 0 || !job->w);
}

/* What a worker takes along from row to row. */
typedef struct {
    real        *work, *kept;
    bool         keeps, delays;
    delayed_grad delayed[LANES]; /* of the row at place l of the tile before */
    pair_list    all;            /* pairs of the row, and, until they are overwritten, of the row before */
} row_worker;

static inline real *kept_of(const row_worker *worker, int l, int64_t K)
{
    return worker->kept + (worker->keeps ? l * up_to_step(K) : 0);
}

/* The maxima of a row's blocks, if it has more than one. */
static inline const ce_pair *block_maxima(const row_worker *worker, int64_t K)
{
    return K > BLOCK ? worker->all.pairs : NULL;
}

/* Writes the gradient of the row at place l of the tile before, if it was delayed. */
static void write_delayed(row_worker *worker, int l, int64_t K)
{
    delayed_grad *const grad = &worker->delayed[l];

    if (grad->to)
        for (int64_t k = 0; k < K; k += BLOCK) {
            const block_task task = block_task_of(kept_of(worker, l, K) + k, true, grad, block_maxima(worker, K), k);
            write_delayed_block(&task, 0, smaller(K - k, BLOCK));
        }
    end_delayed(grad);
}

/* Scans row l of the tile; more: another row follows in memory. */
static void scan_row(const softmax_call *call, row_worker *worker, tile *x, int l, bool more)
{
    const int64_t  K = call->grid->classes;
    const emission emits = call->link->emits;
    real *const    kept = kept_of(worker, l, K);

    worker->all.n = 0;
    for (int64_t k = 0; k < K; k += BLOCK) {
        const block_task task = block_task_of(kept + (worker->keeps ? k : 0), worker->keeps, &worker->delayed[l],
                                              block_maxima(worker, K), k);
        add_pair(&worker->all, emits, scan_part(call, x, l, more, k, &task));
    }
    end_delayed(&worker->delayed[l]);
    set_sums(x, l, merged_pairs(&worker->all, emits));
}

static void finish_row(const softmax_call *call, row_worker *worker, const tile *x, int l)
{
    const ce_grid *grid = call->grid;
    const int64_t  K = grid->classes;

    if (!x->live[l]) {
        write_zeros(grid, x, l, 0, K);
    } else if (worker->delays) {
        worker->delayed[l] = (delayed_grad){ .to = (real *)item_at(grid, x, CE_GRAD, l),
                                             .per_e = x->per_e[l],
                                             .m = x->m[l],
                                             .subtract = normal((real)x->subtract[l]),
                                             .t = grid->data[CE_TARGET] ? x->t[l] : -1,
                                             .grad_t = normal((real)x->grad_t[l]) };
    } else {
        const row_source from = { worker->keeps ? kept_of(worker, l, K) : NULL,
                                  worker->keeps ? block_maxima(worker, K) : NULL, worker->work };
        emit_row(call, x, l, &from, 0, K);
    }
}

/* Runs items first to last, and adds up their losses by lanes. Of short rows several go through the link together: as
 * many as fit a block. */
static void run_rows_of_block(const softmax_call *call, row_worker *worker, int64_t first, int64_t last, double *sums)
{
    const int64_t K = call->grid->classes, fit = BLOCK / up_to_step(K);
    tile          x;

    for (int64_t i = first; i < last; i += x.width) {
        open_rows(call, i, last, fit > LANES ? LANES : fit > 1 ? fit : 1, &x);
        for (int l = 0; l < x.width; l++) {
            if (x.live[l]) {
                scan_row(call, worker, &x, l, i + l + 1 < call->grid->items);
            } else {
                write_delayed(worker, l, K);
                set_sums(&x, l, (ce_pair){ 0, 0, 0, 0 });
            }
        }
        answer_rows(call, &x);
        if (call->plan->derives)
            for (int l = 0; l < x.width; l++) finish_row(call, worker, &x, l);
        close_rows(call->grid, &x, i - first, sums);
    }
}

OUTLINE void run_rows(const softmax_call *call, real *buffer, int64_t first, int64_t last)
{
    const ce_grid *grid = call->grid;
    row_worker     worker;

    worker.work = buffer, worker.kept = buffer + 4 * CHUNK;
    for (int l = 0; l < LANES; l++) worker.delayed[l].to = NULL, worker.delayed[l].subtract = 0;
    worker.keeps = call->plan->derives && is_by_e(call->link->emits) && grid->classes <= KEPT;
    worker.delays = can_delay(call);
    for (int64_t b = first; b < last; b++) {
        const int64_t from = b * grid->block;
        double        sums[LANES] = { 0 };

        run_rows_of_block(call, &worker, from, smaller(from + grid->block, grid->items), sums);
        call->plan->blocks[b].loss = tree_sum(sums, LANES);
    }
    if (worker.delays)
        for (int l = 0; l < LANES; l++) write_delayed(&worker, l, grid->classes);
}

#endif
