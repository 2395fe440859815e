/* parallel.c - the only file with threads.
 *
 * OpenMP where the compiler has it, Grand Central Dispatch on macOS (a second OpenMP runtime beside
 * torch's aborts the process there), serial elsewhere.
 */
#include "internal.h"

static int cpus = 1;

void ce_threads_set_cpus(int n)
{
    cpus = n;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

#if defined(_OPENMP)

#include <omp.h>

#define STRING_OF(x) #x
#define STRING(x)    STRING_OF(x)

const char *ce_threads_runtime(void)
{
    return "OpenMP " STRING(_OPENMP);
}

/* omp_get_max_threads is read at every call, so that threadpoolctl, joblib and dask are obeyed. */
int ce_threads_team(int asked)
{
    return omp_in_parallel() ? 1 : smaller(smaller(asked, cpus), omp_get_max_threads());
}

/* A forked child has none of the pool's threads and would wait for them for ever: give them back. */
void ce_threads_before_fork(void)
{
    if (!omp_in_parallel())
        omp_pause_resource_all(omp_pause_hard);
}

static void run_team(int64_t n, int team, ce_range_fn fn, void *context)
{
#pragma omp parallel num_threads(team)
    {
        const int64_t i = omp_get_thread_num(), of = omp_get_num_threads();
        fn(context, n * i / of, n * (i + 1) / of);
    }
}

#elif defined(__APPLE__)

#include <dispatch/dispatch.h>

const char *ce_threads_runtime(void)
{
    return "Grand Central Dispatch";
}

int ce_threads_team(int asked)
{
    return smaller(asked, cpus);
}

void ce_threads_before_fork(void)
{
}

typedef struct {
    int64_t     n;
    int         team;
    ce_range_fn fn;
    void       *context;
} share;

static void run_share(void *context, size_t i)
{
    const share *s = context;
    s->fn(s->context, s->n * (int64_t)i / s->team, s->n * ((int64_t)i + 1) / s->team);
}

static void run_team(int64_t n, int team, ce_range_fn fn, void *context)
{
    share s = { n, team, fn, context };
    dispatch_apply_f((size_t)team, DISPATCH_APPLY_AUTO, &s, run_share);
}

#else

const char *ce_threads_runtime(void)
{
    return "serial";
}

int ce_threads_team(int asked)
{
    return smaller(asked, 1);
}

void ce_threads_before_fork(void)
{
}

static void run_team(int64_t n, int team, ce_range_fn fn, void *context)
{
    (void)team;
    fn(context, 0, n);
}

#endif

void ce_parallel_for(int64_t n, int threads, ce_range_fn fn, void *context)
{
    const int team = ce_threads_team(n < threads ? (int)n : threads);

    if (team > 1)
        run_team(n, team, fn, context);
    else
        fn(context, 0, n);
}
