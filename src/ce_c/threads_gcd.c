/* threads_gcd.c - teams of Grand Central Dispatch, on macOS: Clang's OpenMP runtime beside torch's aborts the process.
 * It does not work in a forked child.
 */
#include <dispatch/dispatch.h>
#include <pthread.h>

#include "threads.h"

const char *ce_threads_runtime(void)
{
    return "Grand Central Dispatch";
}

int ce_threads_cpus(void)
{
    return 0;
}

int ce_system_allowed(int cpus)
{
    return cpus;
}

static void after_fork(void)
{
    ce_threads_forked(0);
}

void ce_threads_watch_forks(void)
{
    pthread_atfork(NULL, NULL, after_fork);
}

typedef struct {
    ce_loop  *work;
    pthread_t caller;
} team_work;

static void run_worker(void *context, size_t worker)
{
    team_work *w = context;

    ce_take_pieces(w->work, (int)worker, pthread_equal(pthread_self(), w->caller) != 0);
}

void ce_system_run_team(ce_loop *l, int team)
{
    team_work w = { l, pthread_self() };
    dispatch_apply_f((size_t)team, DISPATCH_APPLY_AUTO, &w, run_worker);
}
