/* transpose.h - between rows in memory and the panel of the lanes, four items by four classes at a time; with vectors
 * of 64 bytes, 16 items on the way to the panel. (On the way back that would leave lines of memory half written.)
 *
 * One shuffle and half a load and a store per number, where a loop over numbers takes a load and a store for each.
 */
typedef REAL NAME(quad) __attribute__((vector_size(4 * sizeof(REAL))));

#if defined(__clang__)
#define SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
typedef BITS NAME(quad_bits) __attribute__((vector_size(4 * sizeof(BITS))));
#define SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, (NAME(quad_bits)){ i, j, k, l })
#endif

static inline void NAME(transpose4)(char *to, int64_t to_step, const char *from, int64_t from_step)
{
    NAME(quad) a, b, c, d;

    memcpy(&a, from, sizeof a), memcpy(&b, from + from_step, sizeof b);
    memcpy(&c, from + 2 * from_step, sizeof c), memcpy(&d, from + 3 * from_step, sizeof d);
    const NAME(quad) ab = SHUFFLE(a, b, 0, 4, 1, 5), AB = SHUFFLE(a, b, 2, 6, 3, 7);
    const NAME(quad) cd = SHUFFLE(c, d, 0, 4, 1, 5), CD = SHUFFLE(c, d, 2, 6, 3, 7);
    a = SHUFFLE(ab, cd, 0, 1, 4, 5), b = SHUFFLE(ab, cd, 2, 3, 6, 7);
    c = SHUFFLE(AB, CD, 0, 1, 4, 5), d = SHUFFLE(AB, CD, 2, 3, 6, 7);
    memcpy(to, &a, sizeof a), memcpy(to + to_step, &b, sizeof b);
    memcpy(to + 2 * to_step, &c, sizeof c), memcpy(to + 3 * to_step, &d, sizeof d);
}

#undef SHUFFLE

/* All items, four classes of float32 or two of float64. */
#if defined(VECTOR)
enum { NAME(BESIDE) = 16 / sizeof(REAL) };

INLINE void NAME(turn)(REAL *panel, const char *rows, int64_t row_step)
{
    for (int l = 0; l < LANES; l += 4 * NAME(BESIDE)) {
        vector v[4], t[4];
        for (int r = 0; r < NAME(BESIDE); r++) v[r] = vector_from(rows + (l + r) * row_step, NAME(BESIDE) * row_step);
        if (NAME(BESIDE) == 4) {
            t[0] = LOW_32(v[0], v[1]), t[1] = HIGH_32(v[0], v[1]);
            t[2] = LOW_32(v[2], v[3]), t[3] = HIGH_32(v[2], v[3]);
            v[0] = LOW_64(t[0], t[2]), v[1] = HIGH_64(t[0], t[2]);
            v[2] = LOW_64(t[1], t[3]), v[3] = HIGH_64(t[1], t[3]);
        } else {
            t[0] = v[0];
            v[0] = LOW_64(t[0], v[1]), v[1] = HIGH_64(t[0], v[1]);
        }
        for (int r = 0; r < NAME(BESIDE); r++) memcpy(panel + r * LANES + l, &v[r], VECTOR);
    }
}
#else
enum { NAME(BESIDE) = 4 };

INLINE void NAME(turn)(REAL *panel, const char *rows, int64_t row_step)
{
    for (int l = 0; l < LANES; l += 4)
        NAME(transpose4)((char *)(panel + l), LANES * sizeof(REAL), rows + l * row_step, row_step);
}
#endif

/* LANES rows of n classes each, row_step bytes apart, to the panel. */
static void NAME(to_panel)(REAL *panel, const char *rows, int64_t row_step, int64_t n)
{
    if (n == 2 && row_step == 2 * sizeof(REAL)) {
        const REAL *pairs = (const REAL *)rows;
        LANE(l) panel[l] = pairs[2 * l], panel[LANES + l] = pairs[2 * l + 1];
    } else if (n == 3 && row_step == 3 * sizeof(REAL)) {
        const REAL *triples = (const REAL *)rows;
        LANE(l)
            panel[l] = triples[3 * l], panel[LANES + l] = triples[3 * l + 1], panel[2 * LANES + l] = triples[3 * l + 2];
    } else if (n < 4) {
        for (int l = 0; l < LANES; l++)
            for (int64_t k = 0; k < n; k++) panel[k * LANES + l] = ((const REAL *)(rows + l * row_step))[k];
    } else {
        for (int64_t i = 0; i < n; i += NAME(BESIDE)) {
            const int64_t k = i + NAME(BESIDE) <= n ? i : n - NAME(BESIDE); /* the last may overlap those before */
            NAME(turn)(panel + k * LANES, rows + k * (int64_t)sizeof(REAL), row_step);
        }
    }
}

/* And back. */
static void NAME(from_panel)(const REAL *panel, char *rows, int64_t row_step, int64_t n)
{
    if (n == 2 && row_step == 2 * sizeof(REAL)) {
        REAL *pairs = (REAL *)rows;
        LANE(l) pairs[2 * l] = panel[l], pairs[2 * l + 1] = panel[LANES + l];
    } else if (n == 3 && row_step == 3 * sizeof(REAL)) {
        REAL *triples = (REAL *)rows;
        LANE(l)
            triples[3 * l] = panel[l], triples[3 * l + 1] = panel[LANES + l], triples[3 * l + 2] = panel[2 * LANES + l];
    } else if (n < 4) {
        for (int l = 0; l < LANES; l++)
            for (int64_t k = 0; k < n; k++) ((REAL *)(rows + l * row_step))[k] = panel[k * LANES + l];
    } else {
        for (int l = 0; l < LANES; l += 4)
            for (int64_t i = 0; i < n; i += 4) {
                const int64_t k = i + 4 <= n ? i : n - 4;
                char *const   to = rows + l * row_step + k * (int64_t)sizeof(REAL);
                const REAL   *from = panel + k * LANES + l;
                NAME(transpose4)(to, row_step, (const char *)from, LANES * sizeof(REAL));
            }
    }
}
