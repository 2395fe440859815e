/* panel.h - the classes of LANES items side by side, in L1: to and from memory, whatever their layout there. */

typedef struct {
    _Alignas(64) REAL z[NAME(PANEL) * LANES];      /* logits, then Hessians */
    _Alignas(64) REAL other[NAME(PANEL) * LANES];  /* the second input, then gradients */
    _Alignas(64) REAL staged[NAME(PANEL) * LANES]; /* rows that do not lie in memory as numbers to compute with */
} NAME(panels);

/* The lanes' elements of one class are neighbours in memory, in order; and where each lane begins, at class first. */
static bool NAME(is_unit)(const ce_grid *grid, int array, const tile *x, int64_t first, char **at)
{
    for (int l = 0; l < LANES; l++) at[l] = x->at[array][l] + first * grid->class_stride[array];
    return x->even && x->count == LANES && grid->stride[array][grid->axes - 1] == size_of(grid->type[array]);
}

/* n classes from memory to the panel, from class first on. */
static void NAME(load)(NAME(panels) * p, REAL *restrict panel, const ce_grid *grid, int array, const tile *x,
                       int64_t first, int64_t n)
{
    const int64_t step = grid->class_stride[array];
    const ce_type type = grid->type[array];
    char         *at[TILE];
    const bool    unit = NAME(is_unit)(grid, array, x, first, at);

    if (unit && type == TYPE) {
        for (int64_t k = 0; k < n; k++) {
            const REAL *from = (const REAL *)(at[0] + k * step);
            LANE(l) panel[k * LANES + l] = from[l];
        }
    } else if (unit) {
        for (int64_t k = 0; k < n; k++) NAME(read)(panel + k * LANES, at[0] + k * step, type, size_of(type), LANES);
    } else {
        for (int l = 0; (type != TYPE || step != sizeof(REAL)) && l < LANES; l++) {
            REAL *const row = p->staged + l * NAME(PANEL);
            NAME(read)(row, at[l], type, step, n);
            at[l] = (char *)row;
        }
        NAME(transpose)(panel, at, n, true);
    }
}

/* The inverse, for the items that there are. */
static void NAME(store)(NAME(panels) * p, REAL *restrict panel, const ce_grid *grid, int array, const tile *x,
                        int64_t first, int64_t n)
{
    const int64_t step = grid->class_stride[array];
    const ce_type type = grid->type[array];
    char         *at[TILE], *rows[TILE];
    const bool    unit = NAME(is_unit)(grid, array, x, first, at), whole = type == TYPE && step == sizeof(REAL);

    if (unit && type == TYPE) {
        for (int64_t k = 0; k < n; k++) {
            REAL *to = (REAL *)(at[0] + k * step);
            LANE(l) to[l] = panel[k * LANES + l];
        }
    } else if (unit) {
        for (int64_t k = 0; k < n; k++) NAME(write)(at[0] + k * step, type, size_of(type), panel + k * LANES, LANES);
    } else {
        for (int l = 0; l < LANES; l++) rows[l] = whole && l < x->count ? at[l] : (char *)(p->staged + l * NAME(PANEL));
        NAME(transpose)(panel, rows, n, false);
        for (int l = 0; !whole && l < x->count; l++) NAME(write)(at[l], type, step, (const REAL *)rows[l], n);
    }
}
