/* close.h - a tile is closed: after the scan the link answers, and the losses go where they belong. */
#ifndef CE_SOFTMAX_CLOSE_H
#define CE_SOFTMAX_CLOSE_H

#if defined(CE_CHECKED)
#include <stdio.h>
#include <stdlib.h>
#endif

#include "real/numbers.h"
#include "softmax/factors.h"
#include "softmax/tile.h"

/* Does an item hold a NaN? */
static bool any_nan(const char *z, ce_type type, int64_t step, int64_t n)
{
    for (int64_t k = 0; k < n; k++) {
        const real x = read_number(z + k * step, type);
        if (x != x)
            return true;
    }
    return false;
}

/* A maximum that is not finite leaves no s; is there a NaN among the logits, which nothing has overwritten? */
static void note_not_finite(const softmax_call *call, tile *x)
{
    const ce_grid *grid = call->grid;
    const bool     asked = !grid->data[CE_TARGET] && !call->plan->derives && grid->data[CE_Z];

    for (int l = 0; l < x->width; l++) {
        if (fabs(x->m[l]) < INFINITY || !x->live[l])
            continue;
        x->has_nan[l] =
            asked && any_nan(item_at(grid, x, CE_Z, l), grid->type[CE_Z], grid->class_stride[CE_Z], grid->classes);
        x->s[l] = NAN;
    }
}

/* log1p(s) and 1 / (1 + s). An s that is too small for the computing type is its own logarithm; of two classes it is at
 * most 1. */
INLINE void fill_logs(tile *x, int64_t classes, int n)
{
    real s[ITEMS], log_S[ITEMS], inv_S[ITEMS];

    SIMD
    for (int l = 0; l < n; l++) s[l] = normal((real)x->s[l]);
    if (classes == 2) {
        SIMD
        for (int l = 0; l < n; l++) log_S[l] = LOG1P_UNIT(s[l]);
    } else {
        SIMD
        for (int l = 0; l < n; l++) log_S[l] = LOG1P(s[l]);
    }
    SIMD
    for (int l = 0; l < n; l++) inv_S[l] = 1 / (1 + s[l]);
    SIMD
    for (int l = 0; l < n; l++) {
        x->log_S[l] = x->s[l] < 0x1p-60 ? x->s[l] : (double)log_S[l];
        x->inv_S[l] = (double)inv_S[l];
    }
}

#if defined(CE_CHECKED)
/* Test programs see to it that a link keeps the contract of tile.h: answers begin as a NaN that no arithmetic makes. */
static const uint64_t unset = 0x7ff8000dead0000du;

static void unset_answers(tile *x)
{
    double *const all[] = { x->loss,      x->per_e,  x->subtract, x->grad_t, x->hess_scale,
                            x->hess_rest, x->hess_e, x->hess_t,   x->pull };

    for (int a = 0; a < 9; a++)
        for (int l = 0; l < ITEMS; l++) all[a][l] = f64_bits(unset);
}

static void expect_set(const softmax_call *call, const tile *x, const double *answers, const char *name)
{
    for (int l = 0; l < x->width; l++)
        if (x->live[l] && bits_f64(answers[l]) == unset) {
            fprintf(stderr, "the link of %s leaves %s unset\n", ce_loss_row(call->plan->job->loss)->name, name);
            abort();
        }
}

static void expect_answers(const softmax_call *call, const tile *x)
{
    const emission emits = call->link->emits;
    const bool     derives = call->plan->derives, curves = call->plan->curves, aims = call->grid->data[CE_TARGET];
    const bool     by_e = is_by_e(emits);
    const struct {
        const double *answers;
        bool          is_due;
        const char   *name;
    } all[] = {
        { x->loss, true, "loss" },
        { x->per_e, derives && (by_e || emits == HEAT || is_divergence(emits)), "per_e" },
        { x->subtract, (derives && (by_e || emits == HEAT)) || emits == LOG_PROBS, "subtract" },
        { x->grad_t, derives && aims, "grad_t" },
        { x->hess_scale, curves && by_e, "hess_scale" },
        { x->hess_rest, curves && by_e, "hess_rest" },
        { x->hess_e, curves && by_e, "hess_e" },
        { x->hess_t, curves && aims, "hess_t" },
        { x->pull, call->plan->multiplies && by_e, "pull" },
    };

    for (int a = 0; a < 9; a++)
        if (all[a].is_due)
            expect_set(call, x, all[a].answers, all[a].name);
}
#else
static inline void unset_answers(tile *x)
{
    (void)x;
}

static inline void expect_answers(const softmax_call *call, const tile *x)
{
    (void)call, (void)x;
}
#endif

/* What no link knows: logits are scaled. */
static void bend_answers(const ce_plan *plan, bool by_e, tile *x)
{
    const double by = plan->outer;

    for (int l = 0; l < x->width; l++) x->per_e[l] *= by, x->grad_t[l] *= by;
    for (int l = 0; l < x->width && by_e; l++) x->subtract[l] *= by;
    for (int l = 0; l < x->width && plan->curves; l++)
        x->hess_scale[l] *= by * by, x->hess_t[l] *= by * by, x->pull[l] *= by * by;
}

/* What no link knows of Hessians: that of CE_ABS is the size of the gradient, at the target; factors. */
static void scale_hessians(const ce_job *job, tile *x)
{
    const double by = hess_factor_of(job);

    for (int l = 0; l < x->width && job->hessian == CE_ABS; l++) x->hess_t[l] = fabs(x->grad_t[l]);
    for (int l = 0; l < x->width && by != 1; l++) x->hess_scale[l] *= by, x->hess_t[l] *= by;
}

/* After the scan: the link. */
static void answer_items(const softmax_call *call, tile *x)
{
    const emission emits = call->link->emits;
    int64_t        finite = 1;

    for (int l = 0; l < x->width; l++) finite &= fabs(x->m[l]) < INFINITY ? 1 : 0;
    if (!finite && (is_by_e(emits) || emits == LOG_PROBS || emits == HEAT))
        note_not_finite(call, x);
    OF_ITEMS(x, fill_logs, x, call->grid->classes);
    unset_answers(x);
    call->link->fill(call->plan, x);
    expect_answers(call, x);
    if (call->plan->bends && call->plan->inner == 0 && call->plan->derives)
        bend_answers(call->plan, is_by_e(emits), x);
    if (call->plan->curves)
        scale_hessians(call->plan->job, x);
    if (x->all_live)
        return;
    for (int l = 0; l < x->width; l++)
        if (!x->live[l]) {
            x->loss[l] = x->per_e[l] = x->subtract[l] = x->grad_t[l] = 0;
            x->hess_scale[l] = x->hess_rest[l] = x->hess_e[l] = x->hess_t[l] = x->pull[l] = 0;
        }
}

/* The items' losses go to their array. */
static inline void write_losses(const ce_grid *grid, const double *loss, const tile *x, int first)
{
    if (!grid->data[CE_VALUE])
        return;
    for (int l = first; l < x->count; l++) *(real *)item_at(grid, x, CE_VALUE, l) = normal((real)loss[l]);
}

/* The losses of n items go into their block's sums, that of item i of the block to lane i modulo LANES. */
static void add_losses(const double *loss, int64_t n, int64_t item, double *sums)
{
    int64_t i = 0;

    for (; i < n && (item + i) % LANES != 0; i++) sums[(item + i) % LANES] += loss[i];
    for (; i + LANES <= n; i += LANES)
        LANE(l) sums[l] += loss[i + l];
    for (int l = 0; i + l < n; l++) sums[l] += loss[i + l];
}

/* The losses of a tile from item `item` on go into the sums of their blocks, and to their array. sums: of the block
 * that is not complete. */
static void close_tile(const softmax_call *call, const tile *x, int64_t item, double *sums)
{
    const ce_grid *grid = call->grid;

    for (int64_t l = 0, n; l < x->count; l += n) {
        const int64_t b = quotient(item + l, grid->block), from = item + l - b * grid->block;
        const int64_t left = smaller(grid->block, grid->items - b * grid->block) - from;
        n = smaller(x->count - l, left);
        add_losses(x->loss + l, n, from, sums);
        if (n < left)
            continue;
        call->plan->blocks[b].loss = tree_sum(sums, LANES);
        memset(sums, 0, LANES * sizeof *sums);
    }
    write_losses(grid, x->loss, x, 0);
}

#endif
