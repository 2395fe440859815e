/* walk.h - through the numbers of an array, item by item in the order of the grid, one run of neighbours after the
 * other.
 */
#ifndef CE_WALK_H
#define CE_WALK_H

#include "tile.h"

typedef struct {
    const ce_grid *grid;
    int            array;
    ce_type        type;
    char          *run;        /* where the present run begins; NULL: there is no such array */
    int64_t        size, step; /* of every run: numbers along the last axis of the grid, and the bytes between them */
    int64_t        done, end;  /* numbers of the run that lie behind, and the item after it */
    int64_t        row, rows;
} walk;

static inline walk walk_from(const ce_grid *grid, int array, int64_t item)
{
    const int     inner = grid->axes - 1;
    const int64_t size = grid->size[inner];
    walk          w = { grid, array, grid->type[array], NULL, size, 0, 0, 0, 0, 1 };

    if (!grid->data[array])
        return w;
    w.step = grid->stride[array][inner];
    w.done = item % size;
    w.end = item - w.done + size;
    if (inner > 0) {
        w.rows = grid->size[inner - 1];
        w.row = item / size % w.rows;
    }
    w.run = begin_of(grid, array, item - w.done);
    return w;
}

/* The next numbers that are neighbours, at most n: how many, and where. They lie behind then. */
static inline int64_t walk_on(walk *w, int64_t n, char **p)
{
    if (w->done == w->size) { /* on to the next run */
        w->done = 0;
        if (++w->row < w->rows) {
            w->run += w->grid->stride[w->array][w->grid->axes - 2];
        } else {
            w->row = 0;
            w->run = begin_of(w->grid, w->array, w->end);
        }
        w->end += w->size;
    }
    const int64_t some = w->size - w->done < n ? w->size - w->done : n;
    *p = w->run + w->done * w->step;
    w->done += some;
    return some;
}

#endif
