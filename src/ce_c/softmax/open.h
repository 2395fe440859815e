/* open.h - a tile is opened: where its items lie, their targets and weights. */
#ifndef CE_SOFTMAX_OPEN_H
#define CE_SOFTMAX_OPEN_H

#include "real/numbers.h"
#include "softmax/bend.h"
#include "softmax/factors.h"
#include "softmax/tile.h"
#include "targets.h"
#include "weights.h"

/* Items of one vector of lanes that do not lie evenly, or are fewer: run by run along the last axis of the grid. p is
 * where item `first` begins, left what is left of its run. */
static void locate_singly(const ce_grid *grid, int64_t first, int64_t left, char **p, tile *x)
{
    for (int l = 0; l < x->width; l++, left--) {
        if (left == 0 && l < x->count)
            left = begin_all(grid, first + l, p);
        for (int a = 0; a < CE_ARRAYS; a++) {
            if (!p[a])
                continue;
            x->at[a][l] = l < x->count ? p[a] : x->at[a][0];
            p[a] += grid->stride[a][grid->axes - 1];
        }
    }
}

/* Where items first, first + 1, ... before last begin: evenly spaced, up to `most` times `lanes` of them; or else run
 * by run, in one vector of lanes. */
static void locate(const ce_grid *grid, int64_t first, int64_t last, int lanes, int64_t most, tile *x)
{
    char         *p[CE_ARRAYS];
    int64_t       left = begin_all(grid, first, p);
    const int64_t whole = smaller(left, last - first) / lanes, vectors = smaller(whole, most);

    x->even = whole > 0;
    x->width = lanes * (x->even ? (int)vectors : 1);
    x->count = (int)smaller(last - first, x->width);
    x->item = first;
    for (int a = 0; a < CE_ARRAYS; a++) x->at[a][0] = p[a];
    if (x->even)
        return;
    if (left < x->count) {
        locate_singly(grid, first, left, p, x);
        return;
    }
    for (int a = 0; a < CE_ARRAYS; a++) { /* in one run */
        if (!p[a])
            continue;
        for (int l = 0; l < lanes; l++) x->at[a][l] = p[a];
        for (int l = 1; l < x->count; l++) x->at[a][l] += l * grid->stride[a][grid->axes - 1];
    }
}

/* Class indices of n items of the tile from item `first` on. */
INLINE void load_targets(const ce_grid *grid, const ce_job *job, const tile *x, int first, int n, int64_t *t)
{
    const ce_type type = grid->type[CE_TARGET];
    char         *at[ITEMS];

    if (x->even && type != CE_UINT64 && grid->stride[CE_TARGET][grid->axes - 1] == size_of(type)) {
        load_index_run(item_at(grid, x, CE_TARGET, first), n, type, t);
        return;
    }
    for (int l = 0; l < n; l++) at[l] = item_at(grid, x, CE_TARGET, first + l);
    load_indices(at, n, job, t);
}

/* Class indices; an item whose index is ignored, or no class, is not live, and points to class 0. */
INLINE void open_targets(const ce_grid *grid, const ce_job *job, tile *x, int n)
{
    load_targets(grid, job, x, 0, n, x->t);
    for (int l = 0; l < n; l++)
        x->live[l] = (x->t[l] != job->ignore_index) & ((uint64_t)x->t[l] < (uint64_t)grid->classes);
    for (int l = 0; l < n; l++) x->t[l] &= -x->live[l];
}

/* While no other option is in use, all of an item's loss is times w_t, and an item of weight 0 counts for nothing. */
enum { TIMES_W_T = CE_CLASS_WEIGHT | CE_CLASS_ALPHA | CE_PER_CALL | CE_IGNORE_INDEX | CE_GAMMA | CE_BENDS | CE_MASK };

/* Targets and weights of the tile's first n items. Nothing of an ignored item's logits is used. */
INLINE void open_items(const softmax_call *call, tile *x, int n)
{
    const ce_grid *grid = call->grid;
    const ce_job  *job = call->plan->job;
    const real    *w = grid->data[CE_TARGET] ? job->w : NULL;
    const int64_t  has_more = (call->plan->in_use & ~(unsigned)TIMES_W_T) != 0;
    int64_t        live = 1;

    for (int l = 0; l < n; l++) x->v[l] = call->plan->scale, x->w_t[l] = 1;
    for (int l = 0; l < n; l++) x->upstream[l] = call->plan->c;
    for (int l = 0; l < n; l++) x->live[l] = 1;
    if (grid->data[CE_UPSTREAM])
        for (int l = 0; l < n; l++) x->upstream[l] *= (double)*(const real *)item_at(grid, x, CE_UPSTREAM, l);
    if (grid->data[CE_TARGET])
        open_targets(grid, job, x, n);
    if (w)
        for (int l = 0; l < n; l++) x->w_t[l] = x->live[l] ? (double)w[x->t[l]] : 1;
    if (grid->data[CE_V] && x->even)
        load_sample_weights(x->at[CE_V][0], grid->stride[CE_V][grid->axes - 1], call->plan, n, x->v);
    else if (grid->data[CE_V])
        for (int l = 0; l < n; l++) x->v[l] = sample_weight_at(x->at[CE_V][l], call->plan);
    if (grid->data[CE_V] || w)
        for (int l = 0; l < n; l++) x->live[l] &= (x->v[l] != 0) & ((x->w_t[l] != 0) | has_more);
    for (int l = 0; l < n; l++) live &= x->live[l];
    x->all_live = live;
}

/* How many classes each item has, where some cannot be. */
OUTLINE void count_classes(const softmax_call *call, tile *x)
{
    const ce_grid *grid = call->grid;
    const int64_t  step = grid->class_stride[CE_WHERE];

    for (int l = 0; l < x->width; l++) {
        const char *const where = item_at(grid, x, CE_WHERE, l);
        int64_t           open = 0;
        for (int64_t k = 0; x->live[l] && k < grid->classes; k++) open += where[k * step] != 0;
        x->classes[l] = (double)open;
    }
}

static void open_tile(const softmax_call *call, tile *x)
{
    OF_ITEMS(x, open_items, call, x);
    if (counts_classes(call->plan))
        count_classes(call, x);
}

/* The exponentials of the targets' logits. */
static void raise_targets(tile *x)
{
    real e_t[ITEMS];

    SIMD
    for (int l = 0; l < x->width; l++) e_t[l] = EXP((real)x->z_t[l] - (real)x->m[l]);
    for (int l = 0; l < x->width; l++) x->e_t[l] = (double)e_t[l];
}

/* n numbers of item l from class k on, from memory, as the loss sees them. */
static void logits_at(const softmax_call *call, const tile *x, int l, int64_t k, int64_t n, real *to)
{
    const ce_grid *grid = call->grid;
    const int64_t  step = grid->class_stride[CE_Z], where_step = grid->class_stride[CE_WHERE];

    read_numbers(to, item_at(grid, x, CE_Z, l) + k * step, grid->type[CE_Z], step, n);
    if (call->plan->views) {
        const char *const where = call->plan->hides ? item_at(grid, x, CE_WHERE, l) + k * where_step : NULL;
        view_logits(call->plan, (logit_view){ where, where_step, NULL }, to, to, n);
    }
}

/* Number k alone. */
static real logit_at(const softmax_call *call, const tile *x, int l, int64_t k)
{
    const ce_grid *grid = call->grid;
    real           z;

    if (!call->plan->views)
        return read_number(item_at(grid, x, CE_Z, l) + k * grid->class_stride[CE_Z], grid->type[CE_Z]);
    logits_at(call, x, l, k, 1, &z);
    return z;
}

/* The targets' logits, from memory. */
static void read_target_logits(const softmax_call *call, tile *x)
{
    const bool aims = call->grid->data[CE_TARGET];

    for (int l = 0; l < x->width; l++)
        x->z_t[l] = aims && x->live[l] ? (double)normal(logit_at(call, x, l, x->t[l])) : 0;
}

#endif
