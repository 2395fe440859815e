/* shard.h - rows of which each call has some classes: what scan and emission of split rows do, in calls of their own.
 */
#ifndef CE_ROWS_SHARD_H
#define CE_ROWS_SHARD_H

#include "rows/rows.h"

static inline int64_t blocks_of(const ce_shard *shard)
{
    return (shard->stop - shard->first + BLOCK - 1) / BLOCK;
}

/* What is the same for all blocks of the shard of the tile's item l. */
static void open_shard(const softmax_call *call, const tile *x, int l, row_part *p)
{
    const ce_shard *shard = call->plan->job->shard;

    place_row(call, x, l, &p->row);
    p->t = call->grid->data[CE_TARGET] && x->live[l] ? x->t[l] : -1;
    p->edge = INFINITY;
    if (shard->targets)
        view_logits(call->plan, (logit_view){ NULL, 0, NULL }, (const real *)shard->targets + x->item + l, &p->edge, 1);
}

/* Blocks from to end of item l's shard. */
static void scan_shard(const ce_shard *shard, const tile *x, int l, int64_t from, int64_t end, row_part *p)
{
    ce_pair *const pairs = shard->pairs + (x->item + l) * blocks_of(shard);

    for (int64_t i = from, k; i < end; i++) {
        pairs[i] = (ce_pair){ 0 };
        if (!x->live[l])
            continue;
        k = shard->first + i * BLOCK;
        p->first = k, p->n = smaller(shard->stop - k, BLOCK);
        p->next = k + BLOCK < shard->stop ? 0 : next_row(p, shard->first);
        p->pair = (ce_pair){ 0 };
        softmax_parts(p, 1);
        pairs[i] = p->pair;
        if (p->t >= k && p->t < k + p->n)
            ((real *)shard->z_t)[x->item + l] = p->z_t;
    }
}

/* Blocks first to last of all items' shards, one after the other: as scan_split, from any class on. */
static void scan_shards(const softmax_call *call, real *buffer, int64_t first, int64_t last)
{
    const ce_shard *shard = call->plan->job->shard;
    const int64_t   parts = blocks_of(shard), items = (last + parts - 1) / parts;
    tile            x;
    row_part        p;

    prepare_part(call, false, &p);
    look_on(call->grid, CE_Z, shard->stop - shard->first, &p);
    p.tells = shard->tells, p.room = buffer;
    for (int64_t item = first / parts; item < items; item += x.width) {
        open_rows(call, item, items, LANES, &x);
        for (int l = 0; l < x.width; l++) {
            const int64_t before = (item + l) * parts;
            open_shard(call, &x, l, &p);
            scan_shard(shard, &x, l, before < first ? first - before : 0, smaller(last - before, parts), &p);
        }
    }
}

/* The pairs of item l's blocks become one. */
static void merge_item(const softmax_call *call, tile *x, int l)
{
    const ce_shard *shard = call->plan->job->shard;
    const int64_t   i = x->item + l;
    pair_list       all;

    x->z_t[l] = x->live[l] ? (double)((const real *)shard->z_t)[i] : 0;
    shard->whole[i] = (ce_pair){ 0 };
    all.n = 0;
    for (int64_t k = 0; x->live[l] && k < shard->parts; k++)
        add_pair(&all, call->link->emits, shard->pairs[i * shard->parts + k]);
    if (all.n > 0)
        shard->whole[i] = merged_pairs(&all, call->link->emits);
    set_sums(call, x, l, &shard->whole[i]);
}

/* Blocks of items. */
static void merge_shards(const softmax_call *call, int64_t first, int64_t last)
{
    const ce_grid *grid = call->grid;
    tile           x;

    for (int64_t b = first; b < last; b++) {
        const int64_t from = b * grid->block, to = smaller(from + grid->block, grid->items);
        double        sums[LANES] = { 0 };

        for (int64_t i = from; i < to; i += x.width) {
            open_rows(call, i, to, LANES, &x);
            for (int l = 0; l < x.width; l++) merge_item(call, &x, l);
            answer_rows(call, &x);
            if (call->plan->job->stats)
                write_stats(call, &x, true);
            write_losses(grid, x.loss, &x, 0);
            add_losses(x.loss, x.width, i - from, sums);
        }
        call->plan->blocks[b].loss = tree_sum(sums, LANES);
    }
}

/* Blocks from to end of item l's shard. Exponentials are those of the undivided row, relative to the same maxima, where
 * the blocks are. */
static void emit_shard(const softmax_call *call, const tile *x, int l, int64_t from, int64_t end, real *buffer)
{
    const ce_shard  *shard = call->plan->job->shard;
    const bool       has_blocks = shard->whole_blocks && shard->first % BLOCK == 0 && call->grid->classes <= KEPT;
    const ce_pair   *pairs = has_blocks ? shard->pairs + (x->item + l) * shard->parts : NULL;
    const row_source source = { NULL, pairs, buffer + LINES, NULL, NULL };
    const int64_t    at = shard->first + from * BLOCK, to = smaller(shard->first + end * BLOCK, shard->stop);

    if (x->live[l])
        emit_row(call, x, l, &source, at, to);
    else
        write_zeros(call->grid, x, l, at, to);
}

/* Blocks first to last of all items' shards. */
static void emit_shards(const softmax_call *call, real *buffer, int64_t first, int64_t last)
{
    const ce_shard *shard = call->plan->job->shard;
    const int64_t   parts = blocks_of(shard), items = (last + parts - 1) / parts;
    tile            x;

    for (int64_t item = first / parts; item < items; item += x.width) {
        open_rows(call, item, items, LANES, &x);
        for (int l = 0; l < x.width; l++) {
            x.z_t[l] = x.live[l] ? (double)((const real *)shard->z_t)[item + l] : 0;
            set_sums(call, &x, l, &shard->whole[item + l]);
        }
        answer_rows(call, &x);
        for (int l = 0; l < x.width; l++) {
            const int64_t before = (item + l) * parts;
            emit_shard(call, &x, l, before < first ? first - before : 0, smaller(last - before, parts), buffer);
        }
    }
    if (call->plan->streams)
        STREAM_END();
}

#endif
