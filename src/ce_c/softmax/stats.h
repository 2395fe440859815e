/* stats.h - what the scan tells of items beside their losses: statistics (ce.h), written before anything else is.
 *
 *     log_prob = (z_t - m) - log1p(s)      max = m,  log_sum = log1p(s)      entropy = log1p(s) + heat / (1 + s)
 *
 * Ranks and places are those of a stable sort, the largest first. Rows with a NaN, or with a logit of +inf, have no
 * numbers; of rows of nothing but -inf log_sum is 0 and max is -inf, so that their log-sum-exp is -inf.
 */
#ifndef CE_SOFTMAX_STATS_H
#define CE_SOFTMAX_STATS_H

#include "softmax/open.h"
#include "softmax/top.h"

/* Items that are scanned side by side do not tell where a NaN is. The logits are still there. */
static void find_nan(const softmax_call *call, tile *x, int l)
{
    for (int64_t k = 0; k < call->grid->classes; k++) {
        const real z = logit_at(call, x, l, k);
        if (z != z) {
            x->above[l] = -1, x->argmax[l] = k;
            return;
        }
    }
}

/* The list of item l's largest numbers. */
static void open_top(const softmax_call *call, const tile *x, int l, bool may_be_short, top_list *list)
{
    const ce_stats *stats = call->plan->job->stats;
    const int64_t   at = (x->item + l) * stats->top;

    if (stats->top > 0)
        begin_top(list, stats->top, may_be_short && stats->top <= PLACES, (real *)stats->top_log_prob + at,
                  stats->top_index + at);
}

/* An item's numbers, from memory. */
static void list_top(const softmax_call *call, const tile *x, int l, bool has_nan)
{
    real     copy[CHUNK], all[LANES];
    top_list list;

    open_top(call, x, l, !has_nan, &list);
    for (int64_t k = 0, n; k < call->grid->classes; k += n) {
        n = smaller(call->grid->classes - k, CHUNK);
        logits_at(call, x, l, k, n, copy);
        if (has_nan) {
            for (int64_t i = 0; i < n; i++) add_number(&list, copy[i], k + i);
        } else {
            lane_maxima(all, copy, k == 0 ? n : 0);
            add_numbers(&list, copy, n, k, bar_of_vectors(&list, all, 1));
        }
    }
    end_top(&list);
}

/* An item's own numbers; m and log_sum: NaN where it has none. */
typedef struct {
    double m, log_sum;
} item_scale;

static inline real log_prob_of(double z, item_scale scale)
{
    return normal((real)((z - scale.m) - scale.log_sum));
}

/* Of rows the scan has listed the largest numbers, unless there is a NaN. */
static void write_top(const softmax_call *call, const tile *x, int l, item_scale scale, bool is_listed)
{
    const ce_stats *stats = call->plan->job->stats;
    const int64_t   at = (x->item + l) * stats->top;
    real *const     z = (real *)stats->top_log_prob + at;

    if (x->live[l] && !is_listed)
        list_top(call, x, l, x->above[l] < 0);
    for (int64_t i = 0; i < stats->top; i++) {
        z[i] = x->live[l] ? log_prob_of((double)z[i], scale) : 0;
        stats->top_index[at + i] = x->live[l] ? stats->top_index[at + i] : -1;
    }
}

static void write_extra(const softmax_call *call, const tile *x, int l, item_scale scale)
{
    const ce_stats *stats = call->plan->job->stats;

    for (int64_t i = 0; i < stats->extras; i++) {
        const int64_t at = (x->item + l) * stats->extras + i;
        const real    z = x->live[l] ? logit_at(call, x, l, stats->extra[at]) : 0;
        ((real *)stats->extra_log_prob)[at] = x->live[l] ? log_prob_of((double)z, scale) : 0;
    }
}

/* What the tile's item l is; m and log_sum: NaN where it has none. */
static void write_item(const softmax_call *call, const tile *x, int l, item_scale scale)
{
    const ce_stats *stats = call->plan->job->stats;
    const int64_t   at = x->item + l, live = x->live[l];
    const double    entropy = scale.log_sum + x->heat[l] / (1 + x->s[l]); /* s is NaN where m is not finite */

    ((real *)stats->max)[at] = live ? (real)scale.m : 0;
    ((real *)stats->log_sum)[at] = live ? normal((real)scale.log_sum) : 0;
    ((real *)stats->entropy)[at] = live ? normal((real)entropy) : 0;
    stats->argmax[at] = live ? x->argmax[l] : -1;
    if (stats->rank) {
        stats->rank[at] = live ? x->above[l] : -1;
        ((real *)stats->log_prob)[at] = live ? log_prob_of(x->z_t[l], scale) : 0;
    }
}

/* Statistics of the tile's items. by_rows: the scan found NaN, and the largest numbers where there is none. */
OUTLINE void write_stats(const softmax_call *call, tile *x, bool by_rows)
{
    const ce_stats *stats = call->plan->job->stats;

    for (int l = 0; l < x->count; l++) {
        if (call->plan->tells && !by_rows && x->live[l] && !(x->s[l] < INFINITY))
            find_nan(call, x, l);
        const bool       has_nan = call->plan->tells && x->above[l] < 0, counts = !has_nan && x->m[l] < INFINITY;
        const item_scale scale = { counts ? x->m[l] : NAN, !counts ? NAN : x->m[l] == -INFINITY ? 0 : x->log_S[l] };
        if (call->plan->tells)
            write_item(call, x, l, scale);
        if (stats->top > 0)
            write_top(call, x, l, scale, by_rows && !has_nan);
        write_extra(call, x, l, scale);
        if (stats->z_losses)
            ((real *)stats->z_losses)[x->item + l] = x->live[l] ? normal((real)z_loss_of(call->plan, x, l)) : 0;
    }
}

/* What the target's logit is held against while classes are counted: no class is above infinity. */
static inline real edge_of(const softmax_call *call, const tile *x, int l)
{
    return call->grid->data[CE_TARGET] && x->live[l] ? logit_at(call, x, l, x->t[l]) : (real)INFINITY;
}

#endif
