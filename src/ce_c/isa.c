/* isa.c - the tables of kernels that were compiled in, and which of them is in use. */
#include "isa.h"

#include <stdatomic.h>

/* From the build: of each instruction set, in rising order, the table for float and that for double. */
extern const ce_kernels CE_ISA_TABLES;

static const ce_kernels *const tables[][CE_REALS] = { CE_ISA_ADDRESSES };

static atomic_int current;

int ce_isa_count(void)
{
    return sizeof tables / sizeof *tables;
}

const ce_isa *ce_isa_row(int isa)
{
    return &tables[isa][CE_FLOAT32]->isa;
}

int ce_isa_runs_here(int isa)
{
    return ce_cpu_has_level(ce_isa_row(isa)->level);
}

int ce_isa_current(void)
{
    return current;
}

void ce_isa_use(int isa)
{
    current = isa;
}

const ce_kernels *ce_kernels_of(const ce_job *job)
{
    return tables[job->isa][job->real];
}

int64_t ce_block_length(ce_type real)
{
    return tables[0][real]->part;
}
