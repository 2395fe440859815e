"""The mode of a thread's arithmetic, which any library may change.

It is set as C's <fenv.h> does; what fenv_t looks like is known for glibc.
"""

import ctypes
import ctypes.util
import platform

# By machine: where in fenv_t the control word lies, and the words.
WORDS = {
    "x86_64": (28, {"flush": 0x9FC0, "up": 0x5F80, "down": 0x3F80, "cut": 0x7F80, "traps": 0x1900}),
    "aarch64": (0, {"flush": 1 << 24, "up": 1 << 22, "down": 2 << 22, "cut": 3 << 22}),
}
OFFSET, MODES = WORDS.get(platform.machine(), (0, {}))


def in_mode(mode, function, *args, **options):
    """The result of the function while the thread's arithmetic is in that mode."""
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    before, changed = ((ctypes.c_uint32 * 16)() for _ in range(2))
    libm.fegetenv(before)
    libm.fegetenv(changed)
    changed[OFFSET // 4] = MODES[mode]
    libm.fesetenv(changed)
    try:
        return function(*args, **options)
    finally:
        libm.fesetenv(before)
