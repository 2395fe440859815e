/* parallel.c - the only file with threads.
 *
 * OpenMP; Grand Central Dispatch on macOS and the system's thread pool on Windows (Clang's OpenMP runtime beside
 * torch's aborts the process there); serial elsewhere.
 *
 * The work is cut into pieces, contiguous ranges for one thread after the other to take: on a busy machine a thread
 * that is held up does not hold up the rest. Between two pieces the calling thread asks, now and then, whether to stop.
 */
#include <stdatomic.h>
#include <time.h>

#include "internal.h"

#if defined(_OPENMP)
#include <omp.h>
#include <pthread.h>
#pragma weak omp_pause_resource_all /* GCC 8's runtime, which the wheels for manylinux_2_28 take along, lacks it */
#endif

enum {
    PIECES = 16,   /* for each thread, where the work is enough */
    PATIENCE = 50, /* ms between two questions whether to stop */
};

static atomic_int cpus = 1;
static atomic_int at_work; /* threads in all the calls of the process */

/* One parallel loop. */
typedef struct {
    int64_t     n, pieces;
    ce_range_fn fn;
    void       *context;
    int (*stop)(void);
    int64_t    asked; /* when, in ms */
    atomic_int stopped;
} loop;

void ce_threads_set_cpus(int n)
{
    cpus = n;
}

/* In the child. Grand Central Dispatch does not work there, nor OpenMP with the parent's threads. */
void ce_threads_after_fork(void)
{
    at_work = 0;
#if defined(__APPLE__)
    cpus = 1;
#elif defined(_OPENMP)
    if (!omp_pause_resource_all)
        cpus = 1;
#endif
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static int64_t now(void)
{
    struct timespec t;

    timespec_get(&t, TIME_UTC);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void take(loop *l, int64_t i, int worker, int calling)
{
    if (calling && l->stop) {
        const int64_t ms = now() - l->asked;

        if (ms > PATIENCE || ms < 0) {
            if (l->stop())
                l->stopped = 1;
            l->asked = now();
        }
    }
    if (!l->stopped) {
        const uint64_t mode = ce_cpu_standard_mode();

        l->fn(l->context, worker, l->n * i / l->pieces, l->n * (i + 1) / l->pieces);
        ce_cpu_restore_mode(mode);
    }
}

#if defined(_OPENMP)

#define STRING_OF(x) #x
#define STRING(x)    STRING_OF(x)

const char *ce_threads_runtime(void)
{
    return "OpenMP " STRING(_OPENMP);
}

/* omp_get_max_threads is read at every call, so that threadpoolctl, joblib and dask are obeyed. */
static int allowed(void)
{
    return omp_in_parallel() ? 1 : omp_get_max_threads();
}

static _Thread_local int pool = 1; /* threads that OpenMP has for this thread, itself included */

/* A forked child has none of the pool's threads and would wait for them for ever: give them back. */
void ce_threads_before_fork(void)
{
    if (omp_pause_resource_all && !omp_in_parallel()) {
        omp_pause_resource_all(omp_pause_hard);
        pool = 1;
    }
}

/* A chain of threads, each of which starts the next and waits for its end. */
static void *start_next(void *left)
{
    int *const more = left;
    pthread_t  next;

    if (--*more > 0 && !pthread_create(&next, NULL, start_next, more))
        pthread_join(next, NULL);
    return NULL;
}

/* OpenMP ends the process where the system refuses it a thread, so those that it is about to start are tried before,
 * all of them alive at once. */
static int granted(int team)
{
    int refused = team - pool + 1;

    start_next(&refused);
    return pool = refused > 0 ? team - refused : team;
}

static void run_team(loop *l, int team)
{
    team = granted(team);
#pragma omp parallel for schedule(dynamic, 1) num_threads(team)
    for (int64_t i = 0; i < l->pieces; i++) take(l, i, omp_get_thread_num(), omp_get_thread_num() == 0);
}

#elif defined(__APPLE__)

#include <dispatch/dispatch.h>
#include <pthread.h>

const char *ce_threads_runtime(void)
{
    return "Grand Central Dispatch";
}

static int allowed(void)
{
    return cpus;
}

void ce_threads_before_fork(void)
{
}

typedef struct {
    loop           *work;
    pthread_t       caller;
    _Atomic int64_t next;
} share;

static void run_share(void *context, size_t worker)
{
    share    *s = context;
    const int calling = pthread_equal(pthread_self(), s->caller) != 0;

    for (int64_t i; (i = s->next++) < s->work->pieces;) take(s->work, i, (int)worker, calling);
}

static void run_team(loop *l, int team)
{
    share s = { l, pthread_self(), 0 };
    dispatch_apply_f((size_t)team, DISPATCH_APPLY_AUTO, &s, run_share);
}

#elif defined(_WIN32)

#include <windows.h>

const char *ce_threads_runtime(void)
{
    return "Windows thread pool";
}

static int allowed(void)
{
    return cpus;
}

void ce_threads_before_fork(void)
{
}

typedef struct {
    loop           *work;
    _Atomic int64_t next;
    atomic_int      workers;
} share;

static void take_all(share *s, int worker)
{
    for (int64_t i; (i = s->next++) < s->work->pieces;) take(s->work, i, worker, worker == 0);
}

static VOID CALLBACK run_share(PTP_CALLBACK_INSTANCE instance, PVOID context, PTP_WORK work)
{
    share *s = context;

    (void)instance, (void)work;
    take_all(s, ++s->workers);
}

static void run_team(loop *l, int team)
{
    share          s = { l, 0, 0 };
    const PTP_WORK others = CreateThreadpoolWork(run_share, &s, NULL); /* NULL: no memory, the caller works alone */

    for (int i = 1; others && i < team; i++) SubmitThreadpoolWork(others);
    take_all(&s, 0);
    if (others) {
        WaitForThreadpoolWorkCallbacks(others, TRUE); /* those that have not begun need not */
        CloseThreadpoolWork(others);
    }
}

#else

const char *ce_threads_runtime(void)
{
    return "serial";
}

static int allowed(void)
{
    return 1;
}

void ce_threads_before_fork(void)
{
}

static void run_team(loop *l, int team)
{
    (void)l, (void)team;
}

#endif

/* Those that others are not at work with: calls from several threads at once share the CPUs. */
static int team_beside(int others, int asked)
{
    const int idle = smaller(cpus - others, allowed());
    return idle < 1 ? 1 : smaller(asked, idle);
}

int ce_threads_team(int asked)
{
    return team_beside(at_work, asked);
}

static int join(int asked)
{
    int others = at_work, team;

    do team = team_beside(others, asked);
    while (!atomic_compare_exchange_weak(&at_work, &others, others + team));
    return team;
}

int ce_parallel_for(const ce_job *job, int64_t n, int64_t most, ce_range_fn fn, void *context)
{
    const int     team = join(n < job->threads ? (int)n : job->threads);
    const int64_t shares = team > 1 ? (n < PIECES * (int64_t)team ? n : PIECES * (int64_t)team) : 1;
    const int64_t needed = n / most + (n % most != 0);
    loop          l = { n, shares > needed ? shares : needed, fn, context, job->stop, now(), 0 };

    if (team > 1)
        run_team(&l, team);
    else
        for (int64_t i = 0; i < l.pieces && !l.stopped; i++) take(&l, i, 0, 1);
    at_work -= team;
    return l.stopped;
}
