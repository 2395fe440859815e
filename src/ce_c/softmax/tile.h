/* tile.h - a tile of items on their way through the softmax engine, and the contract of the links.
 *
 * A link is a loss of the softmax family. Of each item the engine finds the facts that stand in `tile` as "filled by
 * the engine"; the link's function turns them into answers, the loss and a few factors; of these the engine makes the
 * gradient and the Hessian of every class. A link knows no layout, no dtype and no thread: all that it reads and writes
 * is float64, one number per item. It need not look after items that are not live: the engine sets their answers to 0.
 * Nothing multiplies its answers any more: v, upstream and what else belongs to the item must be in them. No answer may
 * be 0 times infinity. Where a Hessian is asked for, a gradient is, too (plan->curves implies plan->derives).
 *
 * What a link may read, and what it must fill, depends on what it emits, which its row in losses.def says. Below,
 * e_k = exp(z_k - m), and u_k is the share of class k. Every link must fill `loss`; every link may read v, w_t and
 * upstream. The factors of gradients are asked for where plan->derives is true, those of Hessians where plan->curves
 * is.
 *
 * PROBABILITIES, gradients made of probabilities
 *     may read    m, s, log_S, inv_S; with a target z_t, e_t; with label smoothing gap_sum, of u = w; with neither a
 *                 target nor a gradient has_nan
 *     gradient    must fill per_e, subtract and, with a target, grad_t:
 *                     grad_k = per_e e_k - subtract w_k, where label smoothing is in use (w_k = 1 without weights),
 *                     grad_k = per_e e_k, where it is not; and grad_t at the target
 *     Hessian     must fill hess_scale, hess_rest, hess_e and, with a target, hess_t:
 *                     hess_k = hess_scale e_k (hess_rest (s + 1 - e_k) + hess_e e_k), and hess_t at the target;
 *                     hess_rest is rounded to the computing type, so what may be huge or tiny belongs to hess_scale
 *     product     with a vector: must fill pull, too: what e_k sum_j p_j x_j is times beside that (rows/product.h)
 * SHARES, the same with class probabilities q as the target
 *     may read    m, s, log_S, inv_S; gap_sum, share_sum, of u = w (q (1 - eps) + eps / K)
 *     gradient    must fill per_e, subtract:
 *                     grad_k = per_e e_k (1 - u_k / share_sum) - subtract u_k (s + 1 - e_k)
 *     Hessian     must fill hess_scale, hess_rest, hess_e, as above, and pull
 * ONE_HOT, of nothing but the target's number
 *     may read    z_t
 *     gradient    must fill grad_t, Hessian hess_t; both are 0 for all other classes
 * HEAT, the gradient of the entropy
 *     may read    m, s, log_S, inv_S, heat, of all but -inf
 *     gradient    must fill per_e, subtract:   grad_k = per_e e_k ((m - z_k) - subtract)
 * LOG_PROBS, the logits themselves, shifted
 *     may read    m, s, log_S, inv_S
 *     gradient    must fill subtract:   grad_k = (z_k - m) - subtract
 * DOT, DOT_EXP, backward passes, where z_k is the output y_k, and g_k its gradient
 *     may read    class_sum: sum_k g_k y_k, or sum_k g_k
 *     gradient    needs nothing more:   grad_k = y_k (g_k - class_sum), or g_k - exp(y_k) class_sum
 * TERMS, sums over the classes
 *     may read    class_sum, the sum of the terms; there is no gradient
 * FORWARD, REVERSE, BETWEEN, divergences of two rows of logits (divergences/)
 *     may read    class_sum, the divergence
 *     gradient    must fill per_e, which the gradient is times
 *
 * Where CE_CHECKED is defined, as it is in the test programs with sanitizers, the engine aborts for an answer that was
 * left unset.
 */
#ifndef CE_SOFTMAX_TILE_H
#define CE_SOFTMAX_TILE_H

#include "kernel.h"
#include "real/real.h"

enum {
    TILE = 16, /* the lanes of the widest virtual vector, that of float32 */
    WIDE = 4,  /* the most vectors of items in a tile: while one waits for its results, another can work */
    ITEMS = WIDE * TILE
};

typedef struct {
    int  width; /* places in use: by rows up to LANES items; by lanes one or some LANES */
    int  count; /* items among them; further places repeat the first item and are dropped */
    bool even;  /* the items are evenly spaced along the last axis of the grid, item 0 at at[array][0]; otherwise width
                   is LANES and item l at at[array][l] */
    char   *at[CE_ARRAYS][TILE];
    int64_t item; /* the number of item 0 in the grid */

    bool    all_live;
    int64_t live[ITEMS]; /* 0: ignored or of weight 0, the logits do not matter, loss and gradient are 0 */
    int64_t t[ITEMS];    /* class index */
    int32_t spot[ITEMS]; /* by lanes, with all classes in a panel: where in it the target's number stands */

    /* filled by the engine */
    double  v[ITEMS];         /* sample weight */
    double  upstream[ITEMS];  /* the item's grad_output, times the factor c of ce_plan */
    double  w_t[ITEMS];       /* class weight of the target */
    double  m[ITEMS];         /* maximum of the logits */
    double  s[ITEMS];         /* sum of exp(z_k - m) over all k but one argmax; NaN if m is not finite */
    double  log_S[ITEMS];     /* log1p(s), to the digits of the computing type */
    double  inv_S[ITEMS];     /* 1 / (1 + s), to the same */
    double  z_t[ITEMS];       /* logit of the target; 0 without one */
    double  e_t[ITEMS];       /* exp(z_t - m) */
    double  gap_sum[ITEMS];   /* sum of u_k (m - z_k), for label smoothing (u = w) or class probabilities (u = w q') */
    double  share_sum[ITEMS]; /* sum of u_k */
    double  lost[ITEMS];      /* by lanes: what roundings took from the running s or class_sum */
    double  class_sum[ITEMS]; /* of DOT, DOT_EXP, TERMS */
    double  heat[ITEMS];      /* for statistics, as the next two, see ce_pair */
    int64_t above[ITEMS], argmax[ITEMS];
    bool    has_nan[ITEMS]; /* looked for only where m is not finite, see above */
    double  classes[ITEMS]; /* how many can be, where some cannot and labels are smoothed */

    /* answers, filled by the link */
    double loss[ITEMS];
    double per_e[ITEMS], subtract[ITEMS], grad_t[ITEMS];
    double hess_scale[ITEMS], hess_rest[ITEMS], hess_e[ITEMS], hess_t[ITEMS], pull[ITEMS];
} tile;

/* clang-format off */
typedef enum {
    PROBABILITIES, SHARES, ONE_HOT, HEAT, LOG_PROBS, DOT, DOT_EXP, TERMS, FORWARD, REVERSE, BETWEEN
} emission;
/* clang-format on */

typedef void (*ce_answer)(const ce_plan *plan, tile *x, int n);           /* the first n items */
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

/* f(..., n) of the tile's n items, compiled three times: for one, for whole vectors of lanes, and for any number. */
#define OF_ITEMS(x, f, ...)                                                                                            \
    do {                                                                                                               \
        if ((x)->width == 1)                                                                                           \
            f(__VA_ARGS__, 1);                                                                                         \
        else if ((x)->width % LANES == 0)                                                                              \
            f(__VA_ARGS__, (x)->width & -LANES);                                                                       \
        else                                                                                                           \
            f(__VA_ARGS__, (x)->width);                                                                                \
    } while (0)

/* Fills a tile by a function of its first n items. */
INLINE void fill_tile(ce_answer answer, const ce_plan *plan, tile *x)
{
    OF_ITEMS(x, answer, plan, x);
}

/* Does the link ask for a sum over the classes that is no softmax? */
static inline bool is_class_sum(emission emits)
{
    return emits == DOT || emits == DOT_EXP || emits == TERMS;
}

/* Is it a divergence of two rows of logits? */
static inline bool is_divergence(emission emits)
{
    return emits >= FORWARD;
}

/* Are its gradients made of the exponentials? */
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
