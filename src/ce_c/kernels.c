/* kernels.c - all kernels for all dtypes; compiled once per instruction set into one const table.
 *
 * CE_ISA_SYMBOL, CE_ISA_NAME and CE_ISA_LEVEL come from the build.
 */
#include "memory.h"
#include "tile.h"
#include "vecmath.h"

#include "cross_entropy.h"
#include "normalisers.h"
#include "targets.h"

static const ce_link *const links[] = {
    &cross_entropy_link, &softmax_link,          &log_softmax_link,
    &logsumexp_link,     &softmax_backward_link, &log_softmax_backward_link,
};

static int find_loss(const char *name)
{
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        if (strcmp(links[i]->name, name) == 0)
            return (int)i;
    return -1;
}

#include "dtype_f32.h"
#include "engine.h"

#include "dtype_f64.h"
#include "engine.h"

#define COLUMN(d)                                                                                                      \
    { .elem_size = sizeof(elem_##d), .min_normal = least_##d, .check = check_##d, .run = run_##d, .sum = total_##d }

extern const ce_kernels CE_ISA_SYMBOL;
const ce_kernels        CE_ISA_SYMBOL = {
    .name = CE_ISA_NAME,
    .level = CE_ISA_LEVEL,
    .dtype = { [CE_FLOAT32] = COLUMN(f32), [CE_FLOAT64] = COLUMN(f64) },
    .streams = STREAMS,
    .find_loss = find_loss,
};
