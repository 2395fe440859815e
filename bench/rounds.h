/* rounds.h - memory for an instrument, and the median of its rounds. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { HUGE_PAGE = 1 << 21, MAX_ROUNDS = 2000 };

/* Bytes at the begin of a page. */
static void *allocate(size_t bytes)
{
    const size_t whole = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void        *p = aligned_alloc(HUGE_PAGE, whole);

    if (!p)
        exit(2);
#ifdef MADV_HUGEPAGE
    madvise(p, whole, MADV_HUGEPAGE); /* as NumPy does for its arrays */
#endif
    return p;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

/* Calls `round` again and again, at least five times, for some seconds: the median of what it takes, in seconds. What
 * comes `before` each of them is not counted; it may be NULL. */
static double median_of_rounds(void (*before)(void *), void (*round)(void *), void *given, double seconds)
{
    static double took[MAX_ROUNDS];
    int           n = 0;

    for (const double end = now() + seconds; n < MAX_ROUNDS && (n < 5 || now() < end); n++) {
        if (before)
            before(given);
        const double start = now();
        round(given);
        took[n] = now() - start;
    }
    qsort(took, (size_t)n, sizeof *took, ascending);
    return took[n / 2];
}
