/* panel.h - the classes of a tile in L1: to and from memory, whatever their layout there.
 *
 * Of vector j of the tile's items, class k stands at (j n + k) LANES, n the classes in the panel. Where neighbouring
 * items are neighbours in memory they come and go in whole stretches of a few lines, however far apart the classes lie.
 */

typedef struct {
    _Alignas(64) REAL z[NAME(PANEL) * LANES];      /* logits, then exponentials, then Hessians or gradients */
    _Alignas(64) REAL other[NAME(PANEL) * LANES];  /* the second input, then gradients */
    _Alignas(64) REAL staged[NAME(PANEL) * LANES]; /* what does not lie in memory as numbers to compute with */
} NAME(panels);

/* Do the items of one class lie side by side? */
static bool NAME(is_unit)(const ce_grid *grid, int array, const tile *x)
{
    return x->even && grid->stride[array][grid->axes - 1] == size_of(grid->type[array]);
}

/* Are n classes of each item rows that follow each other? */
static bool NAME(is_solid)(const ce_grid *grid, int array, const tile *x, int64_t n)
{
    const int64_t size = size_of(grid->type[array]);
    return x->even && grid->class_stride[array] == size && grid->stride[array][grid->axes - 1] == n * size;
}

/* Are they rows of numbers to compute with, evenly spaced? */
static bool NAME(is_plain)(const ce_grid *grid, int array, const tile *x)
{
    return x->even && grid->type[array] == TYPE && grid->class_stride[array] == sizeof(REAL);
}

/* n classes from memory to the panel, from class first on. Where items are neighbours it fetches those of the next
 * tile, if asked to. */
static void NAME(load)(REAL *staged, REAL *panel, const ce_grid *grid, int array, const tile *x, int64_t first,
                       int64_t n, bool fetches)
{
    const int64_t step = grid->class_stride[array], offset = first * step;
    const ce_type type = grid->type[array];

    if (NAME(is_unit)(grid, array, x)) {
        for (int64_t k = 0; k < n; k++) {
            const char *const at = x->at[array][0] + offset + k * step;
            const REAL       *from = NAME(view)(at, type, x->width, staged);
            if (fetches)
                fetch((uintptr_t)at + (uintptr_t)(x->width * size_of(type)), (size_t)(x->width * size_of(type)));
            for (int64_t j = 0; j < x->width / LANES; j++)
                LANE(l) panel[(j * n + k) * LANES + l] = from[j * LANES + l];
        }
        return;
    }
    for (int64_t j = 0; j < x->width / LANES; j++) {
        const char *rows = (const char *)staged;
        int64_t     row_step = n * (int64_t)sizeof(REAL);
        if (NAME(is_plain)(grid, array, x)) {
            rows = item_at(grid, x, array, (int)j * LANES) + offset;
            row_step = grid->stride[array][grid->axes - 1];
            if (row_step == n * (int64_t)sizeof(REAL))
                fetch((uintptr_t)rows + (uintptr_t)(x->width * row_step), (size_t)(LANES * row_step));
        } else if (NAME(is_solid)(grid, array, x, n)) {
            NAME(read)(staged, item_at(grid, x, array, (int)j * LANES), type, step, n * LANES);
        } else {
            for (int l = 0; l < LANES && l < x->count; l++)
                NAME(read)(staged + l * n, item_at(grid, x, array, (int)j * LANES + l) + offset, type, step, n);
            if (x->count < LANES)
                memset(staged + x->count * n, 0, (size_t)((LANES - x->count) * n) * sizeof(REAL));
        }
        NAME(to_panel)(panel + j * n * LANES, rows, row_step, n);
    }
}

/* The inverse, for the items that there are. */
static void NAME(store)(REAL *staged, const REAL *panel, const ce_grid *grid, int array, const tile *x, int64_t first,
                        int64_t n)
{
    const int64_t step = grid->class_stride[array], offset = first * step;
    const ce_type type = grid->type[array];

    if (NAME(is_unit)(grid, array, x)) {
        for (int64_t k = 0; k < n; k++) {
            char *const at = x->at[array][0] + offset + k * step;
            REAL *const to = type == TYPE ? (REAL *)at : staged;
            for (int64_t j = 0; j < x->width / LANES; j++)
                LANE(l) to[j * LANES + l] = panel[(j * n + k) * LANES + l];
            if (type != TYPE)
                NAME(write)(at, type, size_of(type), to, x->width);
        }
        return;
    }
    for (int64_t j = 0; j < x->width / LANES; j++) {
        const bool    plain = NAME(is_plain)(grid, array, x);
        char *const   rows = plain ? item_at(grid, x, array, (int)j * LANES) + offset : (char *)staged;
        const int64_t row_step = plain ? grid->stride[array][grid->axes - 1] : n * (int64_t)sizeof(REAL);
        NAME(from_panel)(panel + j * n * LANES, rows, row_step, n);
        if (!plain && NAME(is_solid)(grid, array, x, n))
            NAME(write)(item_at(grid, x, array, (int)j * LANES), type, step, staged, n * LANES);
        else
            for (int l = 0; !plain && l < LANES && l < x->count; l++)
                NAME(write)(item_at(grid, x, array, (int)j * LANES + l) + offset, type, step, staged + l * n, n);
    }
}

/* Can vectors of items go to whole lines of memory in each class, past the caches? Then: how many items lie before the
 * first line that begins with one; else -1. */
static int NAME(to_line)(const ce_grid *grid, int array, const tile *x)
{
    const uintptr_t past = (uintptr_t)x->at[array][0] % LINE;

    if (!NAME(is_unit)(grid, array, x) || grid->type[array] != TYPE || grid->class_stride[array] % LINE != 0 ||
        past % sizeof(REAL) != 0)
        return -1;
    return past ? (int)((LINE - past) / sizeof(REAL)) : 0;
}

/* Items from to end of each class: whole lines, past the caches, or a few. */
static void NAME(store_lines)(const REAL *panel, const ce_grid *grid, int array, const tile *x, int from, int end,
                              int64_t n)
{
    for (int64_t k = 0; k < n; k++) {
        REAL *const to = (REAL *)(x->at[array][0] + k * grid->class_stride[array]);
        if (from == 0 && end == x->width)
            for (int64_t j = 0; j < x->width / LANES; j++) stream(to + j * LANES, panel + (j * n + k) * LANES, LINE);
        else
            for (int l = from; l < end; l++) to[l] = panel[k * LANES + l];
    }
}
