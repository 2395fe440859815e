/* roofline.c - how fast memory can be read, or copied with stores that bypass the caches.
 *
 *     roofline read|copy BYTES THREADS SECONDS
 *
 * A copy of BYTES reads one half of them and writes the other. Prints the median over the rounds, in 1e9 bytes per
 * second. Threads take contiguous parts and touch them first.
 */
#include "rounds.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { LINE = 64 };

typedef uint64_t line __attribute__((vector_size(LINE)));

static uint64_t read_lines(const line *x, int64_t n)
{
    line     a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 }; /* enough additions under way to wait for memory alone */
    uint64_t total = 0;
    int64_t  i = 0;

    for (; i + 4 <= n; i += 4) {
        a += x[i];
        b += x[i + 1];
        c += x[i + 2];
        d += x[i + 3];
    }
    for (; i < n; i++) a += x[i];
    a += b + c + d;
    for (int k = 0; k < LINE / 8; k++) total += a[k];
    return total;
}

static void copy_lines(line *out, const line *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
#if defined(__AVX512F__)
        _mm512_stream_si512((void *)(out + i), _mm512_load_si512((const void *)(x + i)));
#elif defined(__AVX__)
        for (int k = 0; k < 2; k++)
            _mm256_stream_si256((__m256i *)(out + i) + k, _mm256_load_si256((const __m256i *)(x + i) + k));
#elif defined(__x86_64__)
        for (int k = 0; k < 4; k++)
            _mm_stream_si128((__m128i *)(out + i) + k, _mm_load_si128((const __m128i *)(x + i) + k));
#else
        out[i] = x[i];
#endif
    }
#if defined(__x86_64__)
    _mm_sfence();
#endif
}

static uint64_t visit(line *out, line *x, int64_t n, int threads, int first)
{
    uint64_t sum = 0;

#pragma omp parallel for num_threads(threads) schedule(static) reduction(+ : sum)
    for (int part = 0; part < threads; part++) {
        const int64_t begin = n * part / threads, size = n * (part + 1) / threads - begin;

        if (first) {
            memset(x + begin, 1, (size_t)size * LINE);
            if (out)
                memset(out + begin, 1, (size_t)size * LINE);
        } else if (out) {
            copy_lines(out + begin, x + begin, size);
        } else {
            sum += read_lines(x + begin, size);
        }
    }
    return sum;
}

typedef struct {
    line    *x, *out;
    int64_t  lines;
    int      threads;
    uint64_t sum; /* it is used, or the reads are left out */
} problem;

static void once(void *given)
{
    problem *p = given;

    p->sum += visit(p->out, p->x, p->lines, p->threads, 0);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 1;
    const int     copy = !strcmp(argv[1], "copy"), threads = atoi(argv[3]);
    const int64_t lines = atoll(argv[2]) / LINE / (copy ? 2 : 1);
    const size_t  bytes = (size_t)lines * LINE;
    problem       p = { allocate(bytes), copy ? allocate(bytes) : NULL, lines, threads, 0 };

    p.sum = visit(p.out, p.x, lines, threads, 1);
    once(&p);
    printf("%.3f\n", (double)bytes * (copy ? 2 : 1) / median_of_rounds(NULL, once, &p, atof(argv[4])) / 1e9);
    return p.sum == 42;
}
