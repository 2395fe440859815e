/* rows.h - long, contiguous rows, a few at a time: scan, link, emission. */
#ifndef CE_ROWS_ROWS_H
#define CE_ROWS_ROWS_H

#include "rows/emit.h"
#include "rows/pairs.h"
#include "rows/product.h"
#include "softmax/close.h"
#include "softmax/open.h"
#include "softmax/stats.h"

/* Opens a tile of items that are neighbours, as many as there are up to `most`. */
static void open_rows(const softmax_call *call, int64_t item, int64_t last, int64_t most, tile *x)
{
    locate(call->grid, item, last, 1, most, x);
    open_tile(call, x);
}

static inline void set_sums(const softmax_call *call, tile *x, int l, const ce_pair *all)
{
    x->m[l] = all->m;
    x->s[l] = x->class_sum[l] = all->s;
    if (sums_gaps(call))
        x->gap_sum[l] = all->gap_sum, x->share_sum[l] = all->share_sum;
    if (call->plan->tells)
        x->heat[l] = all->heat, x->above[l] = all->above, x->argmax[l] = all->at;
}

static void answer_rows(const softmax_call *call, tile *x)
{
    if (call->grid->data[CE_TARGET])
        raise_targets(x);
    answer_items(call, x);
}

/* To keep exponentials of K classes, or else to convert one block. */
static inline int64_t numbers_to_keep(int64_t K, int derives)
{
    return derives && K > BLOCK && K <= KEPT ? up_to_step(K) : BLOCK;
}

/* Of K classes: how many numbers the worker's buffer takes, for an emission to work in, too, and to keep the slopes of
 * logits that are capped. */
static int64_t numbers_for_rows(int64_t K, int derives, int caps)
{
    return numbers_to_keep(K, derives) * (derives && caps ? 2 : 1) + WORK;
}

/* Are exponentials kept where the gradient goes? */
static bool keeps_in_place(const softmax_call *call)
{
    const ce_grid *grid = call->grid;

    return call->plan->derives && !call->plan->multiplies && call->link->emits == PROBABILITIES &&
           grid->classes <= KEPT && is_row_of_real(grid, CE_Z) && is_row_of_real(grid, CE_GRAD) &&
           !call->plan->streams && !call->plan->finishes;
}

/* How many rows of K classes fit a block: at least one, which may be longer. */
static inline int64_t rows_that_fit(int64_t K)
{
    const int64_t fit = K > 0 ? BLOCK / up_to_step(K) : 0;
    return fit > 1 ? fit : 1;
}

/* Tells parts of rows of K numbers where the next rows are. */
static inline void look_on(const ce_grid *grid, int array, int64_t K, row_part *p)
{
    p->jump = rows_that_fit(K) * jump_from_row(grid, array, K);
    p->hops = p->jump != 0 && K <= 4 * BLOCK;
}

/* What a worker takes along from row to row. */
typedef struct {
    real     *work, *kept, *slopes;   /* the last: kept, too, or NULL */
    bool      keeps, direct, streams; /* the exponentials; where the gradient goes; of nothing else, past the caches */
    pair_list all;
    double    w_sums[PAIRS];
    line_writer lines;
    row_part    parts[TOGETHER];
} row_worker;

/* Where the exponentials of row l of the tile are kept, or one block is converted. */
static inline real *kept_of(const softmax_call *call, const row_worker *worker, const tile *x, int l)
{
    if (worker->direct)
        return (real *)item_at(call->grid, x, CE_GRAD, l);
    return worker->kept + l * up_to_step(call->grid->classes);
}

/* The slopes of the same. */
static inline real *slopes_of(const softmax_call *call, const row_worker *worker, int l)
{
    return worker->slopes ? worker->slopes + l * up_to_step(call->grid->classes) : NULL;
}

/* The pairs of some rows of K classes; `all`: of each row those of its blocks, where it has several. */
static void scan_together(const ce_link *link, row_part *p, int rows, int64_t K, pair_list *all)
{
    for (int r = 0; r < rows && K > BLOCK; r++) all[r].n = 0;
    for (int r = 0; r < rows && K == 0; r++) p[r].pair = (ce_pair){ 0 };
    for (int64_t first = 0; first < K; first += BLOCK) {
        for (int r = 0; r < rows; r++) {
            p[r].first = first, p[r].n = smaller(K - first, BLOCK);
            p[r].next = first + BLOCK < K ? 0 : next_row(&p[r], 0);
        }
        scan_parts(link, p, rows);
        for (int r = 0; r < rows && K > BLOCK; r++) {
            add_pair(&all[r], link->emits, p[r].pair);
            p[r].room += p[r].keeps ? BLOCK : 0;
        }
    }
    for (int r = 0; r < rows && K > BLOCK; r++) p[r].pair = merged_pairs(&all[r], link->emits);
}

/* What is the same for all the rows of a call. */
static void prepare_part(const softmax_call *call, bool keeps, row_part *p)
{
    const long_row row = row_of(call);

    begin_part(&row, p);
    look_on(call->grid, CE_Z, call->grid->classes, p);
    p->keeps = keeps, p->gaps = sums_gaps(call), p->tells = call->plan->tells;
}

/* Makes item l of the tile ready to be scanned; top: for a list of its largest numbers, if one is asked for. */
static inline void open_part(const softmax_call *call, const row_worker *worker, const tile *x, int l, top_list *top,
                             row_part *p)
{
    const ce_stats *stats = call->plan->job->stats;

    place_row(call, x, l, &p->row);
    p->row.slopes = slopes_of(call, worker, l);
    p->room = kept_of(call, worker, x, worker->keeps ? l : (int)(p - worker->parts));
    p->z_t = 0;
    if (call->plan->claims)
        p->claimed = (uintptr_t)item_at(call->grid, x, CE_GRAD, l),
        p->claimed_size = (uintptr_t)size_of(call->grid->type[CE_GRAD]);
    if (call->grid->data[CE_TARGET])
        p->t = x->t[l];
    if (!p->tells)
        return;
    if (call->grid->classes > BLOCK) /* else it is read when it is in a cache */
        p->edge = edge_of(call, x, l);
    p->top = stats && stats->top > 0 ? top : NULL;
    if (p->top)
        open_top(call, x, l, true, top);
}

/* Scans the rows of a tile, as many side by side as fit a block. */
static void scan_rows(const softmax_call *call, row_worker *worker, tile *x)
{
    row_part *const p = worker->parts;
    top_list        top[TOGETHER];
    int             at[TOGETHER];
    const int64_t   fit = rows_that_fit(call->grid->classes);
    const int       most = fit > TOGETHER ? TOGETHER : (int)fit;

    for (int l = 0, rows; l < x->width;) {
        for (rows = 0; l < x->width && rows < most; l++) {
            if (x->live[l]) {
                open_part(call, worker, x, l, &top[rows], &p[rows]);
                at[rows++] = l;
            } else {
                set_sums(call, x, l, &(ce_pair){ 0 });
                x->z_t[l] = 0;
            }
        }
        scan_together(call->link, p, rows, call->grid->classes, &worker->all);
        for (int r = 0; r < rows; r++) {
            set_sums(call, x, at[r], &p[r].pair);
            x->z_t[at[r]] = (double)p[r].z_t;
            if (p[r].top)
                end_top(p[r].top);
        }
    }
    if (call->link->emits == ONE_HOT)
        read_target_logits(call, x);
}

static void finish_row(const softmax_call *call, row_worker *worker, const tile *x, int l)
{
    const int64_t    K = call->grid->classes;
    const ce_pair   *pairs = worker->keeps && K > BLOCK ? worker->all.pairs : NULL;
    const row_source from = { worker->keeps ? kept_of(call, worker, x, l) : NULL, pairs, worker->work,
                              call->plan->streams ? &worker->lines : NULL, slopes_of(call, worker, l) };

    if (!x->live[l] || (call->plan->multiplies && !is_by_e(call->link->emits)))
        write_zeros(call->grid, x, l, 0, K);
    else if (call->plan->multiplies)
        multiply_row(call, x, l, from.kept, worker->work);
    else if (worker->direct && !call->plan->curves)
        scale_row(call, x, l, pairs);
    else if (worker->streams)
        stream_row(call, x, l, &from);
    else
        emit_row(call, x, l, &from, 0, K);
}

/* Runs items first to last, and adds up their losses by lanes. Several rows go through the link together: as many as
 * fit a block, so that what is kept of them is in a cache still; any number where nothing is. */
static void run_rows_of_block(const softmax_call *call, row_worker *worker, int64_t first, int64_t last, double *sums)
{
    const int64_t fit = rows_that_fit(call->grid->classes), most = fit > LANES || !call->plan->derives ? LANES : fit;
    tile          x;

    for (int64_t i = first; i < last; i += x.width) {
        open_rows(call, i, last, most, &x);
        scan_rows(call, worker, &x);
        answer_rows(call, &x);
        if (call->plan->job->stats)
            write_stats(call, &x, true);
        if (call->plan->derives)
            for (int l = 0; l < x.width; l++) finish_row(call, worker, &x, l);
        add_losses(x.loss, x.width, i - first, sums);
        write_losses(call->grid, x.loss, &x, 0);
    }
}

OUTLINE void run_rows(const softmax_call *call, real *buffer, int64_t first, int64_t last)
{
    const ce_grid *grid = call->grid;
    row_worker     worker;

    worker.lines = (line_writer){ NULL, 0, 0, (char *)buffer };
    worker.work = buffer + LINES, worker.kept = buffer + WORK;
    worker.keeps =
        call->plan->derives && is_by_e(call->link->emits) && grid->classes <= (call->plan->multiplies ? BLOCK : KEPT);
    worker.direct = keeps_in_place(call);
    worker.slopes = worker.keeps && call->plan->inner != 0 && !call->plan->multiplies && !bends_hessians(call->plan)
                        ? worker.kept + numbers_to_keep(grid->classes, true)
                        : NULL;
    worker.streams = worker.keeps && call->link->emits == PROBABILITIES && call->plan->streams && !call->plan->curves &&
                     !call->plan->finishes && is_row_of_real(grid, CE_GRAD);
    const bool sums_weights = call->plan->w_usual && grid->classes <= KEPT;
    for (int64_t k = 0; sums_weights && k < grid->classes; k += BLOCK)
        worker.w_sums[k / BLOCK] = total((const real *)call->plan->job->w + k, smaller(grid->classes - k, BLOCK));
    for (int r = 0; r < TOGETHER; r++) {
        prepare_part(call, worker.keeps, &worker.parts[r]);
        worker.parts[r].w_sums = sums_weights ? worker.w_sums : NULL;
    }
    for (int64_t b = first; b < last; b++) {
        const int64_t from = b * grid->block;
        double        sums[LANES] = { 0 };

        run_rows_of_block(call, &worker, from, smaller(from + grid->block, grid->items), sums);
        call->plan->blocks[b].loss = tree_sum(sums, LANES);
    }
    if (call->plan->streams) {
        end_lines(&worker.lines);
        STREAM_END();
    }
}

#endif
