/* threads_windows.c - teams of the system's thread pool, on Windows: Clang's OpenMP runtime beside torch's aborts the
 * process.
 */
#include <windows.h>

#include "threads.h"

const char *ce_threads_runtime(void)
{
    return "Windows thread pool";
}

int ce_threads_cpus(void)
{
    return 0;
}

int ce_system_allowed(int cpus)
{
    return cpus;
}

void ce_threads_watch_forks(void)
{
}

typedef struct {
    ce_loop   *work;
    atomic_int workers;
} team_work;

static VOID CALLBACK run_worker(PTP_CALLBACK_INSTANCE instance, PVOID context, PTP_WORK work)
{
    team_work *w = context;

    (void)instance, (void)work;
    ce_take_pieces(w->work, ++w->workers, 0);
}

void ce_system_run_team(ce_loop *l, int team)
{
    team_work      w = { l, 0 };
    const PTP_WORK others = CreateThreadpoolWork(run_worker, &w, NULL); /* NULL: no memory, the caller works alone */

    if (others)
        for (int i = 1; i < team; i++) SubmitThreadpoolWork(others);
    ce_take_pieces(l, 0, 1);
    if (others) {
        WaitForThreadpoolWorkCallbacks(others, TRUE); /* those that have not begun need not */
        CloseThreadpoolWork(others);
    }
}
