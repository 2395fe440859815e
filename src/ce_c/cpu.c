/* cpu.c - which instruction sets this machine, and its operating system, can run. */
#include "internal.h"

#if defined(__x86_64__) || defined(_M_X64)

#include <cpuid.h>

static unsigned long long enabled_state(void) /* register state that the operating system saves */
{
    unsigned low, high;
    __asm__ volatile(".byte 0x0f, 0x01, 0xd0" : "=a"(low), "=d"(high) : "c"(0)); /* xgetbv */
    return (unsigned long long)high << 32 | low;
}

#define ALL(word, mask) (((word) & (mask)) == (mask))

/* The feature bits are those of the x86-64 psABI's micro-architecture levels 3 and 4. */
int ce_cpu_has_level(int level)
{
    const unsigned fma = 1u << 12, sse3_to_42 = 1u | 1u << 9 | 1u << 13 | 1u << 19 | 1u << 20;
    const unsigned movbe = 1u << 22, popcnt = 1u << 23, osxsave = 1u << 27, avx = 1u << 28, f16c = 1u << 29;
    const unsigned bmi1 = 1u << 3, avx2 = 1u << 5, bmi2 = 1u << 8;
    const unsigned avx512 = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31; /* f, dq, cd, bw, vl */
    const unsigned lahf = 1u, lzcnt = 1u << 5;
    unsigned       a, b, c, d;

    if (level <= 1)
        return 1;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !ALL(c, fma | sse3_to_42 | movbe | popcnt | osxsave | avx | f16c))
        return 0;
    if (!ALL(enabled_state(), 0x6)) /* xmm, ymm */
        return 0;
    if (!__get_cpuid(0x80000001, &a, &b, &c, &d) || !ALL(c, lahf | lzcnt))
        return 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !ALL(b, bmi1 | avx2 | bmi2))
        return 0;
    return level <= 3 || (level == 4 && ALL(b, avx512) && ALL(enabled_state(), 0xe6));
}

#else

int ce_cpu_has_level(int level)
{
    return level <= 1;
}

#endif
