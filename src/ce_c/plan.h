/* plan.h - how a job is carried out: its scratch memory, and whether rows are split among threads. */
#ifndef CE_PLAN_H
#define CE_PLAN_H

#include "kernel.h"

size_t  ce_plan_bytes(ce_job *job); /* of scratch memory; notes where its parts begin */
void    ce_make_plan(ce_plan *plan, const ce_grid *grid, const ce_job *job);
int     ce_splits_rows(const ce_grid *grid, const ce_job *job);
int64_t ce_work_of(const ce_grid *grid, const ce_job *job); /* in classes of a row */

enum { CE_WORK_ALONE = 65536 }; /* about 20 us of work: not worth a second thread */

#endif
