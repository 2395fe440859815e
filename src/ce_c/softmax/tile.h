/* tile.h - a tile of items on their way through the softmax engine, and the contract of the links.
 *
 * A link is a loss of the softmax family. The engine finds, of each item with logits z and target t, the facts below;
 * the link's `fill` turns them into the loss and a few factors; the engine makes gradients and Hessians of these for
 * every class. A link knows no layout, no dtype and no thread: all that it reads and writes is float64, one number per
 * item.
 *
 * What a link may read, and what it must fill, hangs on what it emits (losses.def says so for each):
 *
 *   emits          may read, beside v, w_t, upstream        must fill, and what is made of it
 *   PROBABILITIES  m s log_S inv_S has_nan; with a target   loss
 *                  z_t e_t; with smoothing gap_sum          if plan->derives, per_e, subtract and, with a target,
 * grad_t: (of u = w)                                   grad_k = per_e e_k - subtract w_k      (at t: grad_t) if
 * plan->curves, hess_scale, hess_rest, hess_e, hess_t: hess_k = hess_scale e_k (hess_rest (s + 1 - e_k)
 *                                                                        + hess_e e_k)                 (at t: hess_t)
 *   SHARES         m s log_S inv_S gap_sum share_sum        loss; if plan->derives, per_e and subtract:
 *                  (of u = w q')                                grad_k = per_e e_k (1 - u_k / share_sum)
 *                                                                        - subtract u_k (s + 1 - e_k)
 *                                                           if plan->curves, hess_scale, hess_rest, hess_e: as above
 *   ONE_HOT        z_t: nothing else of the item is read    loss; if plan->derives, grad_t: 0 for all other classes
 *                                                           if plan->curves, hess_t: the same
 *   LOG_PROBS      m s log_S inv_S                          loss, subtract:  grad_k = (z_k - m) - subtract
 *   DOT            class_sum = sum g_k y_k                  loss:            grad_k = y_k (g_k - class_sum)
 *   DOT_EXP        class_sum = sum g_k                      loss:            grad_k = g_k - exp(y_k) class_sum
 *   TERMS          class_sum = sum of the terms             loss
 *
 * with e_k = exp(z_k - m). subtract w_k is taken where label smoothing is in use, and then without w it is subtract.
 * All of it is multiplied by nothing more: v, the factor `upstream` and the link's own are in what it fills. Items that
 * are not live are not the link's business: the engine sets their answers to 0. Where CE_CHECKED is defined (it is for
 * the test programs with sanitizers) the engine aborts for an answer that was left unset.
 */
#ifndef CE_SOFTMAX_TILE_H
#define CE_SOFTMAX_TILE_H

#include "kernel.h"
#include "real/real.h"

enum {
    TILE = 16, /* the lanes of the widest virtual vector */
    WIDE = 4,  /* the most vectors of items in a tile: while one waits for its results, another can work */
    ITEMS = WIDE * TILE
};

typedef struct {
    int  width; /* lanes in use: 1 by rows, some LANES by lanes */
    int  count; /* items among them; further lanes repeat the first item and are dropped */
    bool even;  /* they are evenly spaced along the last axis of the grid, item 0 at at[array][0]; otherwise width is
                   LANES and item l at at[array][l] */
    char *at[CE_ARRAYS][TILE];

    bool    all_live;
    int64_t live[ITEMS]; /* 0: ignored, the logits do not matter, loss and gradient are 0 */
    int64_t t[ITEMS];    /* class index */
    int32_t spot[ITEMS]; /* by lanes, with all classes in a panel: where in it the target's number stands */

    /* filled by the engine */
    double v[ITEMS];         /* sample weight */
    double upstream[ITEMS];  /* item's part of grad_output, times c */
    double w_t[ITEMS];       /* class weight of the target */
    double m[ITEMS];         /* maximum of the logits */
    double s[ITEMS];         /* sum of exp(z_k - m) over all k but one argmax; NaN if m is not finite */
    double log_S[ITEMS];     /* log1p(s), to the digits of the computing type */
    double inv_S[ITEMS];     /* 1 / (1 + s), to the same */
    double z_t[ITEMS];       /* logit of the target; 0 without one */
    double e_t[ITEMS];       /* exp(z_t - m) */
    double gap_sum[ITEMS];   /* sum of u_k (m - z_k), for label smoothing (u = w) or class probabilities (u = w q') */
    double share_sum[ITEMS]; /* sum of u_k */
    double lost[ITEMS];      /* by lanes: what roundings took from the running s or class_sum */
    double class_sum[ITEMS]; /* of DOT, DOT_EXP, TERMS */
    bool   has_nan[ITEMS];   /* looked for only where m is not finite */

    /* filled by the link */
    double loss[ITEMS];
    double per_e[ITEMS], subtract[ITEMS], grad_t[ITEMS];
    double hess_scale[ITEMS], hess_rest[ITEMS], hess_e[ITEMS], hess_t[ITEMS];
} tile;

typedef enum { PROBABILITIES, SHARES, ONE_HOT, LOG_PROBS, DOT, DOT_EXP, TERMS } emission;

typedef void (*ce_fill)(const ce_plan *plan, tile *x, int n);             /* the first n items */
typedef void (*ce_term)(const double *p, const double *q, double *terms); /* of TILE numbers */

typedef struct {
    emission emits;
    void (*fill)(const ce_plan *plan, tile *x);
    ce_term term; /* of TERMS */
} ce_link;

/* What stays the same for all the items of a call. */
typedef struct {
    const ce_grid *grid;
    const ce_plan *plan;
    const ce_link *link;
} softmax_call;

/* Fills a tile by a function of its first n items: once for one item, once for lanes. */
INLINE void fill_tile(ce_fill fill, const ce_plan *plan, tile *x)
{
    if (x->width == 1)
        fill(plan, x, 1);
    else
        fill(plan, x, x->width);
}

/* Sums over the classes that are no softmax. */
static inline bool is_class_sum(emission emits)
{
    return emits == DOT || emits == DOT_EXP || emits == TERMS;
}

/* What is made of the exponentials. */
static inline bool is_by_e(emission emits)
{
    return emits == PROBABILITIES || emits == SHARES;
}

/* Where item l of the tile begins. */
static inline char *item_at(const ce_grid *grid, const tile *x, int array, int l)
{
    return x->even ? x->at[array][0] + l * grid->stride[array][grid->axes - 1] : x->at[array][l];
}

#endif
