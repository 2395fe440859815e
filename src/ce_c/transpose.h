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

static inline void NAME(transpose4)(char *const to[4], const char *const from[4])
{
    NAME(quad) a, b, c, d;

    memcpy(&a, from[0], sizeof a), memcpy(&b, from[1], sizeof b);
    memcpy(&c, from[2], sizeof c), memcpy(&d, from[3], sizeof d);
    const NAME(quad) ab = SHUFFLE(a, b, 0, 4, 1, 5), AB = SHUFFLE(a, b, 2, 6, 3, 7);
    const NAME(quad) cd = SHUFFLE(c, d, 0, 4, 1, 5), CD = SHUFFLE(c, d, 2, 6, 3, 7);
    a = SHUFFLE(ab, cd, 0, 1, 4, 5), b = SHUFFLE(ab, cd, 2, 3, 6, 7);
    c = SHUFFLE(AB, CD, 0, 1, 4, 5), d = SHUFFLE(AB, CD, 2, 3, 6, 7);
    memcpy(to[0], &a, sizeof a), memcpy(to[1], &b, sizeof b);
    memcpy(to[2], &c, sizeof c), memcpy(to[3], &d, sizeof d);
}

#undef SHUFFLE

/* LANES rows of n classes each to the panel, or back. */
static void NAME(transpose)(REAL *panel, char *const *rows, int64_t n, bool to_panel)
{
    const int64_t fours = n / 4 * 4;

    for (int l = 0; l < LANES; l += 4)
        for (int64_t k = 0; k < fours; k += 4) {
            char *in_rows[4], *in_panel[4];
            for (int i = 0; i < 4; i++) {
                in_rows[i] = rows[l + i] + k * (int64_t)sizeof(REAL);
                in_panel[i] = (char *)(panel + (k + i) * LANES + l);
            }
            if (to_panel)
                NAME(transpose4)(in_panel, (const char *const *)in_rows);
            else
                NAME(transpose4)(in_rows, (const char *const *)in_panel);
        }
    for (int l = 0; l < LANES; l++)
        for (int64_t k = fours; k < n; k++) {
            REAL *const in_row = (REAL *)rows[l] + k, *const in_panel = panel + k * LANES + l;
            *(to_panel ? in_panel : in_row) = *(to_panel ? in_row : in_panel);
        }
}
