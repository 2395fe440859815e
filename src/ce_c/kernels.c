/* kernels.c - all kernels for all dtypes; compiled once per instruction set into one const table.
 *
 * CE_ISA_SYMBOL, CE_ISA_NAME and CE_ISA_LEVEL come from the build.
 */
#include "memory.h"
#include "tile.h"
#include "walk.h"

#include "dtype_bf16.h"
#include "dtype_f16.h"

#include "cross_entropy.h"
#include "focal.h"
#include "information.h"
#include "nll.h"
#include "normalisers.h"
#include "targets.h"

static const ce_link *const links[] = {
    &cross_entropy_link,
    &cross_entropy_probabilities_link,
    &nll_link,
    &focal_link,
    &softmax_link,
    &log_softmax_link,
    &logsumexp_link,
    &softmax_backward_link,
    &entropy_link,
    &log_softmax_backward_link,
    &relative_entropy_link,
    &cross_entropy_between_link,
};

/* The element-wise losses: does the mean divide by the sum of the weights; must all numbers be in [0, 1]? */
#define POINTS(X)                                                                                                      \
    X(mse, true, false)                                                                                                \
    X(l1, true, false)                                                                                                 \
    X(huber, true, false)                                                                                              \
    X(smooth_l1, true, false)                                                                                          \
    X(bce, false, true)                                                                                                \
    X(bce_with_logits, false, false)                                                                                   \
    X(sigmoid_focal, false, false)                                                                                     \
    X(kl_div, false, false)                                                                                            \
    X(kl_div_log, false, false)

#define POINT_NAME(loss, by_weight, in_unit) #loss,
static const char *const point_names[] = { POINTS(POINT_NAME) };

/* A loss is known by its place among the links and, after them, the element-wise losses. */
enum { LINKS = sizeof links / sizeof *links, LOSSES = LINKS + sizeof point_names / sizeof *point_names };

static int find_loss(const char *name)
{
    for (int i = 0; i < LOSSES; i++)
        if (strcmp(i < LINKS ? links[i]->name : point_names[i - LINKS], name) == 0)
            return i;
    return -1;
}

#include "dtype_f32.h"
#include "engine.h"

#include "dtype_f64.h"
#include "engine.h"

#define COLUMN(d)                                                                                                      \
    { .min_normal = least_##d,                                                                                         \
      .check = check_##d,                                                                                              \
      .run = run_##d,                                                                                                  \
      .scan = scan_##d,                                                                                                \
      .merge = merge_##d,                                                                                              \
      .emit = emit_##d,                                                                                                \
      .part = BLOCK_##d,                                                                                               \
      .row_numbers = row_numbers_##d,                                                                                  \
      .sum = total_##d }

extern const ce_kernels CE_ISA_SYMBOL;
const ce_kernels        CE_ISA_SYMBOL = {
    .name = CE_ISA_NAME,
    .level = CE_ISA_LEVEL,
    .real = { [CE_FLOAT32] = COLUMN(f32), [CE_FLOAT64] = COLUMN(f64) },
    .streams = STREAMS,
    .find_loss = find_loss,
};
