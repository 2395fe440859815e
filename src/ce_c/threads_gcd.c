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
    ce_loop        *work;
    pthread_t       caller;
    _Atomic int64_t next;
} share;

static void run_share(void *context, size_t worker)
{
    share    *s = context;
    const int calling = pthread_equal(pthread_self(), s->caller) != 0;

    for (int64_t i; (i = s->next++) < s->work->pieces;) ce_take_piece(s->work, i, (int)worker, calling);
}

void ce_system_run_team(ce_loop *l, int team)
{
    share s = { l, pthread_self(), 0 };
    dispatch_apply_f((size_t)team, DISPATCH_APPLY_AUTO, &s, run_share);
}
