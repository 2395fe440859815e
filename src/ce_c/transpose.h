/* transpose.h - between rows in memory and the panel of the lanes, as many items by as many classes at a time as fill
 * 16 bytes, in vectors of several such places.
 *
 * A shuffle or two for each vector, where a loop over numbers takes a load and a store for each.
 */
enum { NAME(QUAD) = 16 / sizeof(REAL), NAME(BESIDE) = VECTOR / sizeof(REAL) }; /* numbers in 16 bytes, in a vector */

/* QUAD vectors: in each place of 16 bytes rows become columns. */
INLINE void NAME(turn)(vector *v)
{
    if (NAME(QUAD) == 4) {
        const vector a = LOW_32(v[0], v[1]), b = HIGH_32(v[0], v[1]), c = LOW_32(v[2], v[3]), d = HIGH_32(v[2], v[3]);
        v[0] = LOW_64(a, c), v[1] = HIGH_64(a, c), v[2] = LOW_64(b, d), v[3] = HIGH_64(b, d);
    } else {
        const vector a = v[0];
        v[0] = LOW_64(a, v[1]), v[1] = HIGH_64(a, v[1]);
    }
}

/* LANES rows of n classes each, row_step bytes apart, to the panel. */
static void NAME(to_panel)(REAL *panel, const char *rows, int64_t row_step, int64_t n)
{
    const REAL *solid = (const REAL *)rows;

    if (n == 2 && row_step == 2 * sizeof(REAL))
        LANE(l) panel[l] = solid[2 * l], panel[LANES + l] = solid[2 * l + 1];
    else if (n == 3 && row_step == 3 * sizeof(REAL))
        LANE(l) panel[l] = solid[3 * l], panel[LANES + l] = solid[3 * l + 1], panel[2 * LANES + l] = solid[3 * l + 2];
    else if (n < NAME(QUAD))
        for (int l = 0; l < LANES; l++)
            for (int64_t k = 0; k < n; k++) panel[k * LANES + l] = ((const REAL *)(rows + l * row_step))[k];
    else
        for (int64_t i = 0; i < n; i += NAME(QUAD)) {
            const int64_t k = i + NAME(QUAD) <= n ? i : n - NAME(QUAD); /* the last may overlap those before */
            for (int l = 0; l < LANES; l += NAME(BESIDE)) {
                vector v[NAME(QUAD)];
                for (int r = 0; r < NAME(QUAD); r++)
                    v[r] = vector_from(rows + (l + r) * row_step + k * (int64_t)sizeof(REAL), NAME(QUAD) * row_step);
                NAME(turn)(v);
                for (int r = 0; r < NAME(QUAD); r++) memcpy(panel + (k + r) * LANES + l, &v[r], VECTOR);
            }
        }
}

/* And back. */
static void NAME(from_panel)(const REAL *panel, char *rows, int64_t row_step, int64_t n)
{
    REAL *solid = (REAL *)rows;

    if (n == 2 && row_step == 2 * sizeof(REAL))
        LANE(l) solid[2 * l] = panel[l], solid[2 * l + 1] = panel[LANES + l];
    else if (n == 3 && row_step == 3 * sizeof(REAL))
        LANE(l) solid[3 * l] = panel[l], solid[3 * l + 1] = panel[LANES + l], solid[3 * l + 2] = panel[2 * LANES + l];
    else if (n < NAME(QUAD))
        for (int l = 0; l < LANES; l++)
            for (int64_t k = 0; k < n; k++) ((REAL *)(rows + l * row_step))[k] = panel[k * LANES + l];
    else
        for (int64_t i = 0; i < n; i += NAME(QUAD)) {
            const int64_t k = i + NAME(QUAD) <= n ? i : n - NAME(QUAD);
            for (int l = 0; l < LANES; l += NAME(BESIDE)) {
                vector v[NAME(QUAD)];
                for (int r = 0; r < NAME(QUAD); r++) memcpy(&v[r], panel + (k + r) * LANES + l, VECTOR);
                NAME(turn)(v);
                for (int r = 0; r < NAME(QUAD); r++)
                    vector_to(rows + (l + r) * row_step + k * (int64_t)sizeof(REAL), NAME(QUAD) * row_step, v[r]);
            }
        }
}
