/* places.h - where the items of a grid lie in memory. */
#ifndef CE_PLACES_H
#define CE_PLACES_H

#include <stdbool.h>

#include "grid.h"

/* Where an item begins in one array. */
static inline char *begin_of(const ce_grid *grid, int array, int64_t item)
{
    char *p = grid->data[array];

    for (int axis = grid->axes - 1; axis > 0; axis--) {
        const int64_t rest = quotient(item, grid->size[axis]);
        p += (item - rest * grid->size[axis]) * grid->stride[array][axis];
        item = rest;
    }
    return p + item * grid->stride[array][0];
}

/* Sets p to where an item begins in every array; what is left of its run along the last axis, itself included. */
static inline int64_t begin_all(const ce_grid *grid, int64_t item, char **p)
{
    int64_t left = 0;

    for (int a = 0; a < CE_ARRAYS; a++) p[a] = grid->data[a];
    for (int axis = grid->axes - 1; axis >= 0; axis--) {
        const int64_t size = grid->size[axis], rest = axis > 0 ? quotient(item, size) : 0, i = item - rest * size;
        for (int a = 0; a < CE_ARRAYS; a++)
            if (p[a])
                p[a] += i * grid->stride[a][axis];
        left = axis == grid->axes - 1 ? size - i : left;
        item = rest;
    }
    return left;
}

#endif
