/* transpose.h - four items by four classes at a time, between rows in memory and the panel of the lanes.
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

/* LANES rows of n classes each, row_step bytes apart, to the panel. */
static void NAME(to_panel)(REAL *panel, const char *rows, int64_t row_step, int64_t n)
{
    if (n == 2 && row_step == 2 * sizeof(REAL)) {
        const REAL *pairs = (const REAL *)rows;
        LANE(l) panel[l] = pairs[2 * l], panel[LANES + l] = pairs[2 * l + 1];
    } else if (n < 4) {
        for (int l = 0; l < LANES; l++)
            for (int64_t k = 0; k < n; k++) panel[k * LANES + l] = ((const REAL *)(rows + l * row_step))[k];
    } else {
        for (int l = 0; l < LANES; l += 4)
            for (int64_t i = 0; i < n; i += 4) {
                const int64_t k = i + 4 <= n ? i : n - 4; /* the last quad may overlap the one before */
                const char   *from = rows + l * row_step + k * (int64_t)sizeof(REAL);
                REAL *const   to = panel + k * LANES + l;
                NAME(transpose4)((char *)to, LANES * sizeof(REAL), from, row_step);
            }
    }
}

/* And back. */
static void NAME(from_panel)(const REAL *panel, char *rows, int64_t row_step, int64_t n)
{
    if (n == 2 && row_step == 2 * sizeof(REAL)) {
        REAL *pairs = (REAL *)rows;
        LANE(l) pairs[2 * l] = panel[l], pairs[2 * l + 1] = panel[LANES + l];
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
