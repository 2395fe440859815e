/* isa.h - the table of the instruction set that a job runs on, and what cpu.c knows of the processor. */
#ifndef CE_ISA_H
#define CE_ISA_H

#include "kernel.h"

const ce_kernels *ce_kernels_of(const ce_job *job);

/* True: the machine can run code of that level (x86-64: 1 to 4; elsewhere: 1). */
int ce_cpu_has_level(int level);

/* Round to nearest, keep subnormal numbers, trap nothing, whatever other libraries told this thread; returns what that
 * was, to be restored. */
uint64_t ce_cpu_standard_mode(void);
void     ce_cpu_restore_mode(uint64_t before);

#endif
