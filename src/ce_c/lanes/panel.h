/* panel.h - the classes of a tile close by: to and from memory, whatever their layout there.
 *
 * Of vector j of the tile's items, class k stands at (j n + k) LANES, n the classes in the panel. Where neighbouring
 * items are neighbours in memory they come and go in whole stretches of a few lines, however far apart the classes lie.
 */
#ifndef CE_LANES_PANEL_H
#define CE_LANES_PANEL_H

#include "lanes/transpose.h"
#include "real/numbers.h"
#include "softmax/tile.h"

enum {
    PANEL = 10240 / (LANES * sizeof(real)), /* classes of one vector of items: three panels of 10 KiB fit a small L1 */
    SMALL = PANEL / WIDE,                   /* of the widest tile */
    WHOLE = (1 << 19) / (WIDE * 64),        /* the most classes that are there at once: of that tile 512 KiB, in L2 */
};

typedef struct {
    real *z;      /* logits, then exponentials, then Hessians or gradients */
    real *staged; /* what does not lie in memory as numbers to compute with */
    real *other;  /* the second input, then gradients */
    real *raw;    /* logits that are capped, as they are, then their slopes */
} panels;

/* Numbers in each panel of a tile of items with K classes. */
static int64_t numbers_in_panel(int64_t K)
{
    return (K <= SMALL ? SMALL : K <= WHOLE ? K : PANEL) * WIDE * LANES;
}

/* Numbers in all of them, where they are too large for a stack. */
static int64_t numbers_in_panels(int64_t K, int caps)
{
    return K <= SMALL ? 0 : (caps ? 4 : 3) * numbers_in_panel(K);
}

/* n classes from class `first` on. */
typedef struct {
    int64_t first, n;
} class_range;

/* Those of a tile's items in one array. */
typedef struct {
    const ce_grid *grid;
    const tile    *x;
    int            array;
    class_range    classes;
} tile_numbers;

/* Bytes between two items that are neighbours. */
static inline int64_t item_step(const tile_numbers *of)
{
    return of->grid->stride[of->array][of->grid->axes - 1];
}

/* Where the classes of item l begin. */
static inline char *numbers_at(const tile_numbers *of, int l)
{
    return item_at(of->grid, of->x, of->array, l) + of->classes.first * of->grid->class_stride[of->array];
}

/* Do the items of one class lie side by side? */
static bool is_unit(const tile_numbers *of)
{
    return of->x->even && item_step(of) == size_of(of->grid->type[of->array]);
}

/* Are the classes of each item rows that follow each other? */
static bool is_solid(const tile_numbers *of)
{
    const int64_t size = size_of(of->grid->type[of->array]);
    return of->x->even && of->grid->class_stride[of->array] == size && item_step(of) == of->classes.n * size;
}

/* Are they rows of numbers to compute with, evenly spaced? */
static bool is_plain(const tile_numbers *of)
{
    return of->x->even && of->grid->type[of->array] == REAL_TYPE && of->grid->class_stride[of->array] == sizeof(real);
}

/* Bytes from the numbers of a class in the panel to those that are read there next: of the next tile's items, or, where
 * not all classes are in the panel, of a class behind them. */
static int64_t bytes_to_next(const tile_numbers *of)
{
    if (of->classes.n == of->grid->classes)
        return of->x->width * item_step(of);
    return of->classes.n * of->grid->class_stride[of->array];
}

/* Places by which memory can bring numbers of the tile's items: the first vector's, and from vector to vector. */
typedef struct {
    ahead_of  first;
    uintptr_t step;
} tile_ahead;

/* Those of the numbers `further` bytes on: where the items of a vector end in each class. (Where they do not begin with
 * a line, the first line of all has been there for the tile before.) With each vector of the widest tile all lines of
 * some classes are brought, one class after the other, since classes may lie in pages of their own. Where no one can
 * say where they are, it is a place that is there already. */
static tile_ahead tile_further(const tile_numbers *of, int64_t further)
{
    const int64_t   bytes = LANES * size_of(of->grid->type[of->array]);
    const uintptr_t step = (uintptr_t)of->grid->class_stride[of->array], line = (uintptr_t)bytes;
    const uintptr_t end = (uintptr_t)numbers_at(of, 0) + (uintptr_t)(further + bytes - 1);

    if (is_unit(of) && of->x->width == WIDE * LANES)
        return (tile_ahead){ { end, line, step }, (uintptr_t)((of->classes.n + WIDE - 1) / WIDE) * step };
    if (is_unit(of))
        return (tile_ahead){ { end, step, 4 * step }, line };
    if (is_solid(of))
        return (tile_ahead){ { end, line, 4 * line }, (uintptr_t)of->classes.n * line };
    return (tile_ahead){ { (uintptr_t)of->x, 0, 0 }, 0 };
}

static inline ahead_of of_vector(const tile_ahead *all, int j)
{
    ahead_of of = all->first;

    of.next += (uintptr_t)j * all->step;
    return of;
}

/* Place number k. */
static inline uintptr_t place_ahead(const ahead_of *all, int64_t k)
{
    return all->next + (uintptr_t)(k / 4) * all->step + (uintptr_t)(k % 4) * all->apart;
}

/* Items that are neighbours, class by class. Of what is read next memory brings all, if asked to, or else, where it
 * follows far behind, the lines that tile_further leaves out. */
static void load_units(const tile_numbers *of, real *staged, real *panel, bool fetches)
{
    const int64_t   step = of->grid->class_stride[of->array], n = of->classes.n, width = of->x->width;
    const ce_type   type = of->grid->type[of->array];
    const uintptr_t further = (uintptr_t)bytes_to_next(of);
    const size_t    fetched = fetches ? (size_t)(width * size_of(type)) : n < of->grid->classes;
    const char     *at = numbers_at(of, 0);

    for (int64_t k = 0; k < n; k++, at += step) {
        const real *from = view_numbers(at, type, width, staged);
        fetch((uintptr_t)at + further, fetched);
        for (int64_t j = 0; j < width / LANES; j++)
            LANE(l) panel[(j * n + k) * LANES + l] = from[j * LANES + l];
    }
}

/* Rows of LANES items, from item `first` on, that must be converted or gathered. */
static void stage_rows(const tile_numbers *of, int first, real *staged)
{
    const int64_t step = of->grid->class_stride[of->array], n = of->classes.n;
    const ce_type type = of->grid->type[of->array];
    const int     count = of->x->count;

    if (is_solid(of)) {
        read_numbers(staged, numbers_at(of, first), type, step, n * LANES);
        return;
    }
    for (int l = 0; l < LANES && l < count; l++) read_numbers(staged + l * n, numbers_at(of, first + l), type, step, n);
    if (count < LANES)
        memset(staged + count * n, 0, (size_t)((LANES - count) * n) * sizeof(real));
}

/* One item, which is repeated. */
static void load_one(const tile_numbers *of, real *staged, real *panel)
{
    const int64_t n = of->classes.n;

    read_numbers(staged, numbers_at(of, 0), of->grid->type[of->array], of->grid->class_stride[of->array], n);
    for (int64_t k = 0; k < n; k++)
        LANE(l) panel[k * LANES + l] = staged[k];
}

/* From memory to the panel; fetches the numbers of the next tile, if asked to. */
static void load_panel(const tile_numbers *of, real *staged, real *panel, bool fetches)
{
    const int64_t n = of->classes.n;

    if (of->x->count == 1) {
        load_one(of, staged, panel);
        return;
    }
    if (is_unit(of)) {
        load_units(of, staged, panel, fetches);
        return;
    }
    for (int64_t j = 0; j < of->x->width / LANES; j++) {
        const char *rows = (const char *)staged;
        int64_t     row_step = n * (int64_t)sizeof(real);
        if (is_plain(of)) {
            rows = numbers_at(of, (int)j * LANES);
            row_step = item_step(of);
            if (fetches && row_step == n * (int64_t)sizeof(real))
                fetch((uintptr_t)rows + (uintptr_t)(of->x->width * row_step), (size_t)(LANES * row_step));
        } else {
            stage_rows(of, (int)j * LANES, staged);
        }
        to_panel(panel + j * n * LANES, rows, row_step, n);
    }
}

/* Class k of the tile's items, from the panel of n classes to numbers side by side. */
static void store_class(const tile_numbers *of, const real *panel, int64_t k, real *restrict to)
{
    for (int64_t j = 0; j < of->x->width / LANES; j++)
        LANE(l) to[j * LANES + l] = panel[(j * of->classes.n + k) * LANES + l];
}

static void store_units(const tile_numbers *of, real *staged, const real *panel)
{
    const int64_t step = of->grid->class_stride[of->array], n = of->classes.n, width = of->x->width;
    const ce_type type = of->grid->type[of->array];
    char         *at = numbers_at(of, 0);

    for (int64_t k = 0; k < n; k++, at += step) {
        if (type == REAL_TYPE) {
            store_class(of, panel, k, (real *)at);
        } else if (type == CE_FLOAT32) {
            for (int64_t j = 0; j < width; j += LANES)
                write_numbers(at + j * (int64_t)sizeof(float), type, sizeof(float), panel + j * n + k * LANES, LANES);
        } else {
            store_class(of, panel, k, staged);
            write_numbers(at, type, size_of(type), staged, width);
        }
    }
}

static void unstage_rows(const tile_numbers *of, int first, const real *staged)
{
    const int64_t step = of->grid->class_stride[of->array], n = of->classes.n;
    const ce_type type = of->grid->type[of->array];

    if (is_solid(of)) {
        write_numbers(numbers_at(of, first), type, step, staged, n * LANES);
        return;
    }
    for (int l = 0; l < LANES && l < of->x->count; l++)
        write_numbers(numbers_at(of, first + l), type, step, staged + l * n, n);
}

static void store_one(const tile_numbers *of, real *staged, const real *panel)
{
    const int64_t n = of->classes.n;

    for (int64_t k = 0; k < n; k++) staged[k] = panel[k * LANES];
    write_numbers(numbers_at(of, 0), of->grid->type[of->array], of->grid->class_stride[of->array], staged, n);
}

/* From the panel to memory, of the items that there are. */
static void store_panel(const tile_numbers *of, real *staged, const real *panel)
{
    const int64_t n = of->classes.n;

    if (of->x->count == 1) {
        store_one(of, staged, panel);
        return;
    }
    if (is_unit(of)) {
        store_units(of, staged, panel);
        return;
    }
    for (int64_t j = 0; j < of->x->width / LANES; j++) {
        const real *from = panel + j * n * LANES;
        if (is_plain(of)) {
            from_panel(from, numbers_at(of, (int)j * LANES), item_step(of), n);
        } else {
            from_panel(from, (char *)staged, n * (int64_t)sizeof(real), n);
            unstage_rows(of, (int)j * LANES, staged);
        }
    }
}

/* Can vectors of items go to whole lines of memory in each class, past the caches? Then: how many items lie before the
 * first line that begins with one; else -1. */
static int items_to_line(const tile_numbers *of)
{
    const uintptr_t past = (uintptr_t)of->x->at[of->array][0] % LINE;

    if (!is_unit(of) || of->grid->type[of->array] != REAL_TYPE || of->grid->class_stride[of->array] % LINE != 0 ||
        past % sizeof(real) != 0)
        return -1;
    return past ? (int)((LINE - past) / sizeof(real)) : 0;
}

/* Items from to end of each class: whole lines, past the caches, or a few. */
static void store_lines(const tile_numbers *of, const real *panel, int from, int end)
{
    const int64_t n = of->classes.n, width = of->x->width;

    for (int64_t k = 0; k < n; k++) {
        real *const to = (real *)(of->x->at[of->array][0] + k * of->grid->class_stride[of->array]);
        if (from == 0 && end == width)
            for (int64_t j = 0; j < width / LANES; j++) STREAM_LINE(to + j * LANES, panel + (j * n + k) * LANES);
        else
            for (int l = from; l < end; l++) to[l] = panel[k * LANES + l];
    }
}

#endif
