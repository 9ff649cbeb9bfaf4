"""Settings of the C library's allocator. By default it keeps so much freed memory that a process grows by a fifth."""

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt`."""


def give_back() -> None:
    """Return large pieces to the system as soon as they are freed, and what is free at the end of the heap.

    Left alone, glibc keeps pieces of up to 32 MB for later once one so large was freed, for every thread apart.
    Elsewhere than on glibc nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, 1 << 18)
        mallopt(TRIM_THRESHOLD, 1 << 20)
