/* grid.h - the arrays of a job seen as a grid of items, and the sums that go through them. */
#ifndef CE_GRID_H
#define CE_GRID_H

#include "ce.h"

/* The class axis is set apart, axes of length 1 are dropped, neighbours that step alike in every array are merged. Item
 * i counts in C order of the grid's axes, which are those of the arrays or, to run element-wise losses, those by
 * falling stride of the input. */
typedef struct {
    int     axes;
    int64_t size[CE_MAX_AXES];
    int64_t stride[CE_ARRAYS][CE_MAX_AXES]; /* bytes */
    int64_t class_stride[CE_ARRAYS];        /* bytes */
    char   *data[CE_ARRAYS];
    ce_type type[CE_ARRAYS];
    int64_t items, classes;
    int64_t block, blocks; /* items are worked on, and summed, in blocks of fixed size */
    int     by_rows;       /* the traversal: rows, or lanes */
} ce_grid;

typedef enum { CE_BY_AXIS, CE_BY_STRIDE } ce_order;

void ce_make_grid(ce_grid *grid, const ce_job *job, ce_order order);
int  ce_is_same_grid(const ce_grid *a, const ce_grid *b); /* of one job */

/* Is the job of items that are rows of classes, contiguous and long, to be worked on one after the other? */
int ce_is_by_rows(const ce_job *job);

/* How many items a block has. The order of float64 sums over items hangs on this number: it depends on K and the
 * traversal alone. */
int64_t ce_block_items(int64_t classes, int by_rows);

enum { CE_BLOCK_ELEMENTS = 8192 }; /* numbers in a block, element-wise or by rows: a few microseconds of work */

static inline int ce_is_element_wise(const ce_job *job)
{
    return job->class_axis < 0;
}

/* Is an item two rows of logits, which are gone through one after the other whatever their layout? */
static inline int ce_is_of_two_rows(const ce_job *job)
{
    return ce_loss_row(job->loss)->second == CE_LOGITS;
}

#define CE_SIZE_OF_REAL(type, c, ...)    sizeof(c),
#define CE_SIZE_OF_HALF(...)             2,
#define CE_SIZE_OF_INTEGER(type, c, ...) sizeof(c),

static inline int64_t size_of(ce_type type)
{
    static const char size[] = { CE_DTYPES(CE_SIZE_OF_REAL, CE_SIZE_OF_HALF, CE_SIZE_OF_INTEGER) };
    return size[type];
}

/* a / b for numbers that are not negative: small ones, the rule, are divided in a third of the time. */
static inline int64_t quotient(int64_t a, int64_t b)
{
    return (a | b) >> 32 ? a / b : (int64_t)((uint32_t)a / (uint32_t)b);
}

static inline int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif
