/* split.h - rows so few that several threads share one: in three phases, over blocks of rows, rows, blocks of rows. */
#ifndef CE_ROWS_SPLIT_H
#define CE_ROWS_SPLIT_H

#include "rows/rows.h"

/* Where statistics are asked for, each row's target's logit stands with the item's sums from the start: exponentials
 * may take its place before all classes are held against it. */
static void open_parts(const softmax_call *call, int64_t first, int64_t last)
{
    for (int64_t i = first; i < last; i++) {
        tile x;
        open_rows(call, i, i + 1, 1, &x);
        call->plan->blocks[i].loss = (double)edge_of(call, &x, 0);
    }
}

/* First each block of a row becomes a pair, and the exponentials may be kept where the gradient goes: maybe in place of
 * the logits, so that of the target is noted. Blocks first to last, of all rows, one after the other. Each phase asks
 * anew whether an item is live, and another thread may have changed that since: what one of them leaves out is 0. */
static void scan_split(const softmax_call *call, real *buffer, int64_t first, int64_t last)
{
    const ce_plan *plan = call->plan;
    const bool     keeps = keeps_in_place(call), tells = plan->tells;
    const bool     aims = (keeps || tells) && call->grid->data[CE_TARGET];

    for (int64_t i = first; i < last; i++) {
        const int64_t item = i / plan->parts, k = i % plan->parts * BLOCK;
        tile          x;
        row_part      p;

        open_rows(call, item, item + 1, 1, &x);
        plan->pairs[i + item] = (ce_pair){ 0 };
        if (!x.all_live)
            continue;
        const long_row row = row_at(call, &x, 0);
        begin_part(&row, &p);
        p.first = k, p.n = smaller(call->grid->classes - k, BLOCK);
        p.keeps = keeps, p.gaps = sums_gaps(call), p.tells = tells;
        p.edge = (real)plan->blocks[item].loss;
        p.t = aims ? x.t[0] : -1;
        p.room = keeps ? (real *)item_at(call->grid, &x, CE_GRAD, 0) + k : buffer;
        scan_parts(call->link, &p, 1);
        plan->pairs[i + item] = p.pair;
        if (p.t >= k && p.t < k + p.n)
            plan->blocks[item].z = (double)p.z_t;
    }
}

/* Then the pairs of each row are merged, into one behind them. The target's logit stays with the item's sums: it may be
 * overwritten. */
static void merge_parts(const softmax_call *call, int64_t first, int64_t last)
{
    const ce_plan *plan = call->plan;
    const bool     noted = keeps_in_place(call) && call->grid->data[CE_TARGET];

    for (int64_t i = first; i < last; i++) {
        ce_pair *const pairs = plan->pairs + i * (plan->parts + 1);
        tile           x;
        pair_list      all;

        open_rows(call, i, i + 1, 1, &x);
        if (noted)
            x.z_t[0] = plan->blocks[i].z;
        else
            read_target_logits(call, &x);
        x.loss[0] = 0;
        pairs[plan->parts] = (ce_pair){ 0 };
        if (x.all_live) {
            all.n = 0;
            for (int64_t k = 0; k < plan->parts; k++) add_pair(&all, call->link->emits, pairs[k]);
            pairs[plan->parts] = merged_pairs(&all, call->link->emits);
            set_sums(call, &x, 0, &pairs[plan->parts]);
            answer_rows(call, &x);
        }
        if (plan->job->stats)
            write_stats(call, &x, true);
        write_losses(call->grid, x.loss, &x, 0);
        plan->blocks[i].loss = x.loss[0];
        plan->blocks[i].z = x.all_live ? x.z_t[0] : 0;
    }
}

/* Then the blocks are written, those of one row at a time. */
static void emit_parts(const softmax_call *call, real *buffer, int64_t first, int64_t last)
{
    const ce_grid *grid = call->grid;
    const int64_t  parts = call->plan->parts;
    const bool     kept = keeps_in_place(call);
    line_writer    lines = { NULL, 0, 0, (char *)buffer };

    for (int64_t i = first, n; i < last; i += n) {
        const int64_t        item = i / parts, from = i % parts * BLOCK;
        const ce_pair *const pairs = call->plan->pairs + item * (parts + 1);
        tile                 x;

        n = smaller(parts - i % parts, last - i);
        const int64_t to = smaller(from + n * BLOCK, grid->classes);
        open_rows(call, item, item + 1, 1, &x);
        const row_source source = { kept ? (const real *)item_at(grid, &x, CE_GRAD, 0) : NULL,
                                    grid->classes <= KEPT ? pairs : NULL, buffer + LINES,
                                    call->plan->streams ? &lines : NULL, NULL };
        if (!x.all_live) {
            write_zeros(grid, &x, 0, from, to);
            continue;
        }
        x.z_t[0] = call->plan->blocks[item].z;
        set_sums(call, &x, 0, &pairs[parts]);
        answer_rows(call, &x);
        emit_row(call, &x, 0, &source, from, to);
    }
    if (call->plan->streams) {
        end_lines(&lines);
        STREAM_END();
    }
}

#endif
