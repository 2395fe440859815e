/* threads_openmp.c - teams of OpenMP, on Linux. */
#include <omp.h>
#include <pthread.h>

#include "threads.h"

#pragma weak omp_pause_resource_all /* GCC 8's runtime, which the wheels for manylinux_2_28 take along, lacks it */

#define STRING_OF(x) #x
#define STRING(x)    STRING_OF(x)

const char *ce_threads_runtime(void)
{
    return "OpenMP " STRING(_OPENMP);
}

/* omp_get_max_threads is read at every call, so that threadpoolctl, joblib and dask are obeyed. */
int ce_system_allowed(int cpus)
{
    (void)cpus;
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

/* Only if it can be told to begin anew: a pool without its threads would be waited for. */
int ce_system_survives_fork(void)
{
    return omp_pause_resource_all != NULL;
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

void ce_system_run_team(ce_loop *l, int team)
{
    team = granted(team);
#pragma omp parallel for schedule(dynamic, 1) num_threads(team)
    for (int64_t i = 0; i < l->pieces; i++) ce_take_piece(l, i, omp_get_thread_num(), omp_get_thread_num() == 0);
}
