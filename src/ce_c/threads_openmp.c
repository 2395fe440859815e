/* threads_openmp.c - teams of OpenMP, on Linux. The runtime is GCC's (libgomp) or LLVM's (libomp, Intel's libiomp5),
 * which can stand in for GCC's where another library has loaded it before.
 */
#define _GNU_SOURCE 1 /* dladdr, sched_getaffinity */
#include <dlfcn.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "threads.h"

#pragma weak omp_pause_resource_all /* GCC 8's runtime, which the wheels for manylinux_2_28 take along, lacks it */
#pragma weak kmp_get_blocktime      /* LLVM's alone has it */
int kmp_get_blocktime(void);

#define STRING_OF(x) #x
#define STRING(x)    STRING_OF(x)

const char *ce_threads_runtime(void)
{
    return "OpenMP " STRING(_OPENMP);
}

/* Where OpenMP binds threads to places (OMP_PROC_BIND, OMP_PLACES, GOMP_CPU_AFFINITY), the thread that loaded it is
 * bound, too: its mask says nothing of the process, but the runtime knows what it found. */
int ce_threads_cpus(void)
{
    cpu_set_t mask;

    if (omp_get_proc_bind() != omp_proc_bind_false)
        return omp_get_num_procs();
    return sched_getaffinity(0, sizeof mask, &mask) ? 0 : CPU_COUNT(&mask);
}

/* omp_get_max_threads is read at every call, so that threadpoolctl, joblib and dask are obeyed. */
int ce_system_allowed(int cpus)
{
    (void)cpus;
    return omp_in_parallel() ? 1 : omp_get_max_threads();
}

static _Thread_local int pool = 1; /* threads that OpenMP has for this thread, itself included */

typedef void function(void);

/* Is that function of the library that runs our teams? */
static int is_of_runtime(function *f)
{
    Dl_info ours, its;
    return f && dladdr((void *)omp_get_max_threads, &ours) && dladdr((void *)f, &its) &&
           ours.dli_fbase == its.dli_fbase;
}

static int pauses, survives;

/* A forked child has none of the pool's threads and would wait for them for ever. LLVM's runtime sees the fork and
 * begins anew in the child, unless told not to (scikit-learn sets KMP_INIT_AT_FORK=FALSE). GCC's, which has a pool for
 * each thread that calls, must be told to give up that of this one. (LLVM's must not be: it gives up those of all
 * threads, at work or not, and cannot begin anew.) */
static void before_fork(void)
{
    if (pauses && !omp_in_parallel()) {
        omp_pause_resource_all(omp_pause_hard);
        pool = 1;
    }
}

static void after_fork(void)
{
    pool = 1;
    ce_threads_forked(survives);
}

void ce_threads_watch_forks(void)
{
    const int         is_llvm = is_of_runtime((function *)kmp_get_blocktime);
    const char *const sees = getenv("KMP_INIT_AT_FORK");

    pauses = !is_llvm && is_of_runtime((function *)omp_pause_resource_all);
    survives = is_llvm ? !sees || strchr("1tTyY", *sees) : pauses;
    pthread_atfork(before_fork, NULL, after_fork);
}

/* A chain of threads, each of which starts the next and waits for its end. */
typedef struct {
    pthread_attr_t attr;
    int            more;
} chain;

static void *start_next(void *all)
{
    chain    *c = all;
    pthread_t next;

    if (--c->more > 0 && !pthread_create(&next, &c->attr, start_next, c))
        pthread_join(next, NULL);
    return NULL;
}

/* OpenMP ends the process where the system refuses it a thread, so those that it is about to start are tried before,
 * all of them alive at once. Their stacks are larger by a little, as LLVM's runtime makes them: it takes them over. */
static int granted(int team)
{
    enum { ABOVE_DEFAULT = 1 << 16 };
    chain  refused = { .more = team - pool + 1 };
    size_t stack;

    if (team > pool) {
        pthread_attr_init(&refused.attr);
        pthread_attr_getstacksize(&refused.attr, &stack);
        pthread_attr_setstacksize(&refused.attr, stack + ABOVE_DEFAULT);
        start_next(&refused);
        pthread_attr_destroy(&refused.attr);
        team -= refused.more;
    }
    return pool = team;
}

void ce_system_run_team(ce_loop *l, int team)
{
    team = granted(team);
#pragma omp parallel num_threads(team)
    ce_take_pieces(l, omp_get_thread_num(), omp_get_thread_num() == 0);
}
