/* span.h - through the numbers of an array, item by item in the order of the grid, one run of neighbours after the
 * other; spans of them as numbers to compute with, where they are or as copies.
 */
#ifndef CE_ELEMENTS_SPAN_H
#define CE_ELEMENTS_SPAN_H

#include "elements/point.h"
#include "places.h"
#include "real/numbers.h"

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
    const int64_t some = smaller(w->size - w->done, n);
    *p = w->run + w->done * w->step;
    w->done += some;
    return some;
}

/* Do the next n numbers lie side by side, as numbers to compute with? */
static inline bool lies_ready(const walk *w, int64_t n)
{
    const int64_t left = w->done == w->size ? w->size : w->size - w->done;
    return w->type == REAL_TYPE && w->step == sizeof(real) && left >= n;
}

OUTLINE const real *gather_copy(walk *w, int64_t n, real *copy)
{
    for (int64_t i = 0, some; i < n; i += some) {
        char *p;
        some = walk_on(w, n - i, &p);
        if (w->type != REAL_TYPE)
            read_numbers(copy + i, p, w->type, w->step, some);
        else
            for (int64_t j = 0; j < some; j++) copy[i + j] = *(const real *)(p + j * w->step);
    }
    return copy;
}

/* The next n numbers of an array: themselves, a copy, or NULL where there is no array. */
static const real *gather_span(walk *w, int64_t n, real *copy)
{
    char *p;

    if (!w->run)
        return NULL;
    if (!lies_ready(w, n))
        return gather_copy(w, n, copy);
    walk_on(w, n, &p);
    return (const real *)p;
}

/* Where the next n numbers of an output are to be put: there, or into the copy that scatter then takes. */
static real *place_span(walk *w, int64_t n, real *copy)
{
    char *p;

    if (!w->run)
        return NULL;
    if (!lies_ready(w, n))
        return copy;
    walk_on(w, n, &p);
    return (real *)p;
}

static void scatter_span(walk *w, int64_t n, const real *copy)
{
    if (!w->run)
        return;
    for (int64_t i = 0, some; i < n; i += some) {
        char *p;
        some = walk_on(w, n - i, &p);
        if (w->type == REAL_TYPE && some < LANES)
            for (int64_t j = 0; j < some; j++) *(real *)(p + j * w->step) = copy[i + j];
        else
            write_numbers(p, w->type, w->step, copy + i, some);
    }
}

#endif
