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

#if defined(_OPENMP) || defined(__APPLE__)

/* Contiguous ranges for one thread after the other to take: on a busy machine a thread that is held up does not
 * hold up the rest. */
static int64_t piece_count(int64_t n, int team)
{
    return n < 16 * (int64_t)team ? n : 16 * (int64_t)team;
}

#endif

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
    const int64_t pieces = piece_count(n, team);

#pragma omp parallel for schedule(dynamic, 1) num_threads(team)
    for (int64_t i = 0; i < pieces; i++) fn(context, omp_get_thread_num(), n * i / pieces, n * (i + 1) / pieces);
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
    int64_t         n, pieces;
    _Atomic int64_t next;
    ce_range_fn     fn;
    void           *context;
} share;

static void run_share(void *context, size_t worker)
{
    share *s = context;

    for (int64_t i; (i = s->next++) < s->pieces;)
        s->fn(s->context, (int)worker, s->n * i / s->pieces, s->n * (i + 1) / s->pieces);
}

static void run_team(int64_t n, int team, ce_range_fn fn, void *context)
{
    share s = { n, piece_count(n, team), 0, fn, context };
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
    fn(context, 0, 0, n);
}

#endif

void ce_parallel_for(int64_t n, int threads, ce_range_fn fn, void *context)
{
    const int team = ce_threads_team(n < threads ? (int)n : threads);

    if (team > 1)
        run_team(n, team, fn, context);
    else
        fn(context, 0, 0, n);
}
