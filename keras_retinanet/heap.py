"""Fewer heaps of the C library: each keeps memory that was freed."""

from __future__ import annotations

import contextlib
import ctypes
import os

M_ARENA_MAX = -8
"""Number of the option in glibc's `malloc.h`."""

CORES_PER_HEAP = 4


def use_few_heaps() -> None:
    """Limits glibc's heaps to one for four cores; its default is eight for each core.

    Threads of TensorFlow free what others allocated, so that freed maps of a training step or of an image lie in every
    heap and are not used again by the next one; and maps of 64 MiB fit into the first heap only. The system then gives
    new memory page by page for each image, a tenth of all CPU time. Call it before the framework starts its threads.
    The variable `MALLOC_ARENA_MAX` of the environment has precedence; other C libraries are left alone.
    """
    if "MALLOC_ARENA_MAX" in os.environ:
        return
    heaps = -(-(os.cpu_count() or 1) // CORES_PER_HEAP)
    with contextlib.suppress(OSError, AttributeError, TypeError):  # TypeError: Windows has no library of that name
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, heaps)
