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

/* The links, and after them, in the order of losses.def, the element-wise losses. */
#define LINK_ADDRESS(name, ...) &name##_link,
#define NO_LINK(...)
static const ce_link *const links[] = { CE_LOSSES(LINK_ADDRESS, LINK_ADDRESS, NO_LINK) };
enum { LINKS = sizeof links / sizeof *links };

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
    .isa = { CE_ISA_NAME, CE_ISA_LEVEL, FUSED },
    .real = { [CE_FLOAT32] = COLUMN(f32), [CE_FLOAT64] = COLUMN(f64) },
    .streams = STREAMS,
};
