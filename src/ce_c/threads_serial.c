/* threads_serial.c - where there are no threads: every team is the calling one. */
#include "threads.h"

const char *ce_threads_runtime(void)
{
    return "serial";
}

int ce_threads_cpus(void)
{
    return 0;
}

int ce_system_allowed(int cpus)
{
    (void)cpus;
    return 1;
}

void ce_threads_watch_forks(void)
{
}

void ce_system_run_team(ce_loop *l, int team)
{
    (void)l, (void)team;
}
