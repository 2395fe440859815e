/* grid.c - makes the grid of a job: which axes merge, how long a block is, by rows or by lanes. */
#include "grid.h"

#include <stdlib.h>

enum {
    ROW_MIN = 161,          /* shorter rows do better side by side */
    LANES_ELEMENTS = 32768, /* by lanes: so many that where the first line of memory begins does not matter */
    BLOCK_ITEMS = 1024,     /* the most items in a block, unless they are single numbers */
    TILE_ITEMS = 16,        /* the fewest, by lanes */
};

int64_t ce_block_items(int64_t classes, int by_rows)
{
    const int64_t fit = quotient(by_rows ? CE_BLOCK_ELEMENTS : LANES_ELEMENTS, classes > 0 ? classes : 1);

    if (by_rows)
        return fit > 1 ? fit : 1;
    if (fit > BLOCK_ITEMS)
        return BLOCK_ITEMS;
    return fit > TILE_ITEMS ? fit - fit % TILE_ITEMS : TILE_ITEMS;
}

/* Has an array the axis of the classes? */
static int has_classes(int array)
{
    return array < CE_TARGET || array >= CE_VECTOR;
}

/* Appends an axis, or merges it into the one before it where every array steps alike. */
static void add_axis(ce_grid *grid, const ce_job *job, int axis)
{
    const int64_t n = job->shape[axis];
    const int     last = grid->axes - 1, after_class = !ce_is_element_wise(job) && axis > job->class_axis;
    int64_t       stride[CE_ARRAYS];
    int           mergeable = last >= 0;

    for (int a = 0; a < CE_ARRAYS; a++) {
        if (!grid->data[a])
            continue;
        stride[a] = job->array[a].strides[after_class && !has_classes(a) ? axis - 1 : axis];
        mergeable = mergeable && grid->stride[a][last] == stride[a] * n;
    }
    const int into = mergeable ? last : grid->axes++;
    for (int a = 0; a < CE_ARRAYS; a++)
        if (grid->data[a])
            grid->stride[a][into] = stride[a];
    grid->size[into] = mergeable ? grid->size[into] * n : n;
}

/* Puts axis into the first n axes, which are in order of falling stride. */
static void insert_by_stride(int *axes, int n, int axis, const int64_t *stride)
{
    int place = n;

    while (place > 0 && llabs(stride[axes[place - 1]]) < llabs(stride[axis])) {
        axes[place] = axes[place - 1];
        place--;
    }
    axes[place] = axis;
}

/* Axes longer than 1 but for that of the classes. */
static int axes_of_items(const ce_job *job, ce_order order, int *axes)
{
    int n = 0;

    for (int axis = 0; axis < job->axes; axis++) {
        if (axis == job->class_axis || job->shape[axis] == 1)
            continue;
        if (order == CE_BY_STRIDE)
            insert_by_stride(axes, n, axis, job->array[CE_Z].strides);
        else
            axes[n] = axis;
        n++;
    }
    return n;
}

/* Does the class axis of an array lie side by side? */
static int is_row(const ce_job *job, int array)
{
    const ce_array *a = &job->array[array];
    return !a->data || a->strides[job->class_axis] == size_of(a->type);
}

int ce_is_by_rows(const ce_job *job)
{
    return job->shard || (!ce_is_element_wise(job) && job->shape[job->class_axis] >= ROW_MIN && is_row(job, CE_Z) &&
                          is_row(job, CE_OTHER) && is_row(job, CE_VECTOR));
}

void ce_make_grid(ce_grid *grid, const ce_job *job, ce_order order)
{
    int       axes[CE_MAX_AXES];
    const int n = axes_of_items(job, order, axes);

    grid->axes = 0;
    grid->items = 1;
    grid->classes = ce_is_element_wise(job) ? 1 : job->shape[job->class_axis];
    for (int a = 0; a < CE_ARRAYS; a++) {
        grid->data[a] = job->array[a].data;
        grid->type[a] = job->array[a].type;
        const int by_class = grid->data[a] && has_classes(a) && !ce_is_element_wise(job);
        grid->class_stride[a] = by_class ? job->array[a].strides[job->class_axis] : 0;
    }
    for (int i = 0; i < n; i++) {
        grid->items *= job->shape[axes[i]];
        add_axis(grid, job, axes[i]);
    }
    if (grid->axes == 0) { /* one item */
        grid->axes = 1;
        grid->size[0] = 1;
        for (int a = 0; a < CE_ARRAYS; a++) grid->stride[a][0] = 0;
    }
    grid->by_rows = ce_is_by_rows(job);
    grid->block = ce_is_element_wise(job) ? CE_BLOCK_ELEMENTS : ce_block_items(grid->classes, grid->by_rows);
    grid->blocks = quotient(grid->items + grid->block - 1, grid->block);
}

int ce_is_same_grid(const ce_grid *a, const ce_grid *b)
{
    if (a->axes != b->axes)
        return 0;
    for (int axis = 0; axis < a->axes; axis++) {
        if (a->size[axis] != b->size[axis])
            return 0;
        for (int array = 0; array < CE_ARRAYS; array++)
            if (a->data[array] && a->stride[array][axis] != b->stride[array][axis])
                return 0;
    }
    return 1;
}
