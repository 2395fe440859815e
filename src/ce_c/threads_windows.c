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
    ce_loop        *work;
    _Atomic int64_t next;
    atomic_int      workers;
} share;

static void take_all(share *s, int worker)
{
    for (int64_t i; (i = s->next++) < s->work->pieces;) ce_take_piece(s->work, i, worker, worker == 0);
}

static VOID CALLBACK run_share(PTP_CALLBACK_INSTANCE instance, PVOID context, PTP_WORK work)
{
    share *s = context;

    (void)instance, (void)work;
    take_all(s, ++s->workers);
}

void ce_system_run_team(ce_loop *l, int team)
{
    share          s = { l, 0, 0 };
    const PTP_WORK others = CreateThreadpoolWork(run_share, &s, NULL); /* NULL: no memory, the caller works alone */

    if (others)
        for (int i = 1; i < team; i++) SubmitThreadpoolWork(others);
    take_all(&s, 0);
    if (others) {
        WaitForThreadpoolWorkCallbacks(others, TRUE); /* those that have not begun need not */
        CloseThreadpoolWork(others);
    }
}
