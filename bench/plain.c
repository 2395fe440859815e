/* plain.c - the plain loop: softmax of float32 as intrinsics allow without further thought, one thread.
 *
 *     plain value|out|in_place OUTER CLASSES INNER SECONDS
 *
 * An array of shape (OUTER, CLASSES, INNER). INNER 1: rows, each the maximum, then exp stored straight into the output
 * while it is summed, then the row scaled, which is in a cache. Else items side by side, four vectors of them at a
 * time, class by class. `value` sums and stores nothing. In place is written through plain stores, too, over numbers
 * that are put there anew, outside of the time. Nothing is left out of a sum, nothing is checked, there is no target
 * and no logarithm: it is a yardstick, and no loss. Prints the median over the rounds, in seconds. With AVX-512 or with
 * AVX2 and FMA, as the compiler is told.
 */
#include "rounds.h"

#include <immintrin.h>

enum { MANY = 4 }; /* vectors at once */

#define INLINE static inline __attribute__((always_inline))

#if defined(__AVX512F__)
enum { WIDTH = 16 };
typedef __m512    vec;
typedef __mmask16 mask;
#define SET(x)              _mm512_set1_ps(x)
#define LOAD(p)             _mm512_loadu_ps(p)
#define LOAD_SOME(m, p)     _mm512_maskz_loadu_ps(m, p)
#define STORE(p, x)         _mm512_storeu_ps(p, x)
#define STORE_SOME(p, m, x) _mm512_mask_storeu_ps(p, m, x)
#define SOME(m, x, rest)    _mm512_mask_blend_ps(m, rest, x)
#define MAX(a, b)           _mm512_max_ps(a, b)
#define FMA(a, b, c)        _mm512_fmadd_ps(a, b, c)
#define POWER(p, n)                                                                                                    \
    _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32(_mm512_castps_si512(n), 23)))

#define REDUCED_MAX _mm512_reduce_max_ps
#define REDUCED_ADD _mm512_reduce_add_ps

INLINE mask first(int64_t n)
{
    return (mask)(n >= WIDTH ? 0xffff : (1u << n) - 1);
}
#else
enum { WIDTH = 8 };
typedef __m256  vec;
typedef __m256i mask;
#define SET(x)              _mm256_set1_ps(x)
#define LOAD(p)             _mm256_loadu_ps(p)
#define LOAD_SOME(m, p)     _mm256_maskload_ps(p, m)
#define STORE(p, x)         _mm256_storeu_ps(p, x)
#define STORE_SOME(p, m, x) _mm256_maskstore_ps(p, m, x)
#define SOME(m, x, rest)    _mm256_blendv_ps(rest, x, _mm256_castsi256_ps(m))
#define MAX(a, b)           _mm256_max_ps(a, b)
#define FMA(a, b, c)        _mm256_fmadd_ps(a, b, c)
#define POWER(p, n)                                                                                                    \
    _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(n), 23)))

/* A vector reduced by an operation of two, half by half. */
#define REDUCED(name, of_two)                                                                                          \
    INLINE float name(vec x)                                                                                           \
    {                                                                                                                  \
        __m128 a = of_two(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));                                     \
        a = of_two(a, _mm_movehl_ps(a, a));                                                                            \
        return _mm_cvtss_f32(of_two(a, _mm_movehdup_ps(a)));                                                           \
    }
REDUCED(REDUCED_MAX, _mm_max_ps)
REDUCED(REDUCED_ADD, _mm_add_ps)

INLINE mask first(int64_t n)
{
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n >= WIDTH ? WIDTH : (int)n), lanes);
}
#endif
/* exp(x) for x <= 0: a polynomial of degree 6, ln 2 in two parts. */
INLINE vec exp_of(vec x)
{
    x = MAX(x, SET(-87.0F));
    const vec t = FMA(x, SET(1.44269504F), SET(12582912.0F)), n = t - SET(12582912.0F);
    const vec r = FMA(n, SET(2.12194440e-4F), FMA(n, SET(-0.693359375F), x));
    vec       p = SET(1.3981999e-3F);

    p = FMA(p, r, SET(8.3334519e-3F));
    p = FMA(p, r, SET(4.1665795e-2F));
    p = FMA(p, r, SET(1.6666665e-1F));
    p = FMA(p, r, SET(0.5F));
    p = FMA(p, r, SET(1.0F));
    p = FMA(p, r, SET(1.0F));
    return POWER(p, t);
}

/* The largest number of four vectors, or their sum. */
INLINE float largest(const vec *x)
{
    return REDUCED_MAX(MAX(MAX(x[0], x[1]), MAX(x[2], x[3])));
}

INLINE float total(const vec *x)
{
    return REDUCED_ADD((x[0] + x[1]) + (x[2] + x[3]));
}

/* One row; out may be NULL or z. */
INLINE float row(const float *z, float *out, int64_t n)
{
    vec     m[MANY], s[MANY];
    int64_t i = 0;

    for (int j = 0; j < MANY; j++) m[j] = SET(-1e30F), s[j] = SET(0);
    for (; i + MANY * WIDTH <= n; i += MANY * WIDTH)
        for (int j = 0; j < MANY; j++) m[j] = MAX(m[j], LOAD(z + i + j * WIDTH));
    for (; i < n; i += WIDTH) m[0] = MAX(m[0], SOME(first(n - i), LOAD_SOME(first(n - i), z + i), m[0]));
    const vec top = SET(largest(m));
    for (i = 0; i + MANY * WIDTH <= n; i += MANY * WIDTH) {
        vec e[MANY];
        for (int j = 0; j < MANY; j++) e[j] = exp_of(LOAD(z + i + j * WIDTH) - top);
        for (int j = 0; j < MANY; j++) s[j] += e[j];
        for (int j = 0; out && j < MANY; j++) STORE(out + i + j * WIDTH, e[j]);
    }
    for (; i < n; i += WIDTH) {
        const mask some = first(n - i);
        const vec  e = exp_of(LOAD_SOME(some, z + i) - top);
        s[0] += SOME(some, e, SET(0));
        if (out)
            STORE_SOME(out + i, some, e);
    }
    const float sum = total(s);
    const vec   by = SET(1 / sum);
    for (i = 0; out && i < n; i += WIDTH) STORE_SOME(out + i, first(n - i), by * LOAD_SOME(first(n - i), out + i));
    return sum;
}

/* `wide` vectors of items, classes `step` apart; all but the first n items of the last vector are left alone. */
INLINE float tile(const float *z, float *out, int64_t classes, int64_t step, int wide, mask some)
{
    vec m[MANY], s[MANY];

    for (int j = 0; j < MANY; j++) m[j] = SET(-1e30F), s[j] = SET(0);
    for (int64_t k = 0; k < classes; k++)
        for (int j = 0; j < wide; j++)
            m[j] = MAX(m[j], wide > 1 ? LOAD(z + k * step + j * WIDTH) : LOAD_SOME(some, z + k * step));
    for (int64_t k = 0; k < classes; k++)
        for (int j = 0; j < wide; j++) {
            const vec x = wide > 1 ? LOAD(z + k * step + j * WIDTH) : LOAD_SOME(some, z + k * step);
            const vec e = exp_of(x - m[j]);
            s[j] += e;
            if (out && wide > 1)
                STORE(out + k * step + j * WIDTH, e);
            else if (out)
                STORE_SOME(out + k * step, some, e);
        }
    for (int j = 0; j < wide; j++) m[j] = SET(1) / s[j];
    for (int64_t k = 0; out && k < classes; k++)
        for (int j = 0; j < wide; j++) {
            float *const p = out + k * step + j * WIDTH;
            if (wide > 1)
                STORE(p, m[j] * LOAD(p));
            else
                STORE_SOME(p, some, m[j] * LOAD_SOME(some, p));
        }
    return total(s);
}

static float rows(const float *z, float *out, int64_t n, int64_t classes)
{
    float sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += out ? row(z + i * classes, out + i * classes, classes) : row(z + i * classes, NULL, classes);
    return sum;
}

static float lanes(const float *z, float *out, int64_t outer, int64_t classes, int64_t inner)
{
    float sum = 0;

    for (int64_t o = 0; o < outer; o++, z += classes * inner, out += out ? classes * inner : 0) {
        int64_t i = 0;
        for (; i + MANY * WIDTH <= inner; i += MANY * WIDTH)
            sum += out ? tile(z + i, out + i, classes, inner, MANY, first(WIDTH))
                       : tile(z + i, NULL, classes, inner, MANY, first(WIDTH));
        for (; i < inner; i += WIDTH)
            sum += out ? tile(z + i, out + i, classes, inner, 1, first(inner - i))
                       : tile(z + i, NULL, classes, inner, 1, first(inner - i));
    }
    return sum;
}

static float *array(size_t numbers)
{
    float *p = allocate(numbers * sizeof(float));

    for (size_t i = 0; i < numbers; i++) p[i] = (float)(i * 2654435761U % 8191) / 1024 - 4;
    return p;
}

typedef struct {
    const float *z;
    float       *out;
    int64_t      outer, classes, inner;
    float        sum; /* it is used, or the work is left out */
    const float *anew;
} problem;

static void put_anew(void *given)
{
    const problem *p = given;

    memcpy(p->out, p->anew, (size_t)(p->outer * p->classes * p->inner) * sizeof(float));
}

static void once(void *given)
{
    problem *p = given;

    p->sum +=
        p->inner == 1 ? rows(p->z, p->out, p->outer, p->classes) : lanes(p->z, p->out, p->outer, p->classes, p->inner);
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return 1;
    const int64_t outer = atoll(argv[2]), classes = atoll(argv[3]), inner = atoll(argv[4]);
    const size_t  numbers = (size_t)(outer * classes * inner);
    float *const  z = array(numbers);
    float *const  out = !strcmp(argv[1], "out") ? array(numbers) : !strcmp(argv[1], "value") ? NULL : z;
    problem       p = { z, out, outer, classes, inner, 0, out == z ? array(numbers) : NULL };

    once(&p);
    printf("%.9f\n", median_of_rounds(p.anew ? put_anew : NULL, once, &p, atof(argv[5])));
    return p.sum == 42;
}
