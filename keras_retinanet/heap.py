"""How glibc keeps memory that was freed: in fewer heaps, and for the next step of a training run."""

from __future__ import annotations

import contextlib
import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
"""Numbers of options in glibc's `malloc.h`."""

NEVER_TRIM = 2**31 - 1

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
    _set_option(M_ARENA_MAX, -(-(os.cpu_count() or 1) // CORES_PER_HEAP))


def keep_freed_memory() -> None:
    """Lets glibc keep what a step or an image frees for the next one, in commands that need it until they end.

    Otherwise each map of more than 32 MiB gets new memory from the system, page by page, and is given back: an eighth
    of the CPU time of ResNet-50. The peak grows by up to 8 % where batches have several shapes. The variables
    `MALLOC_MMAP_MAX_` and `MALLOC_TRIM_THRESHOLD_` of the environment have precedence; other C libraries are left
    alone.
    """
    for variable, option, value in (
        ("MALLOC_MMAP_MAX_", M_MMAP_MAX, 0),
        ("MALLOC_TRIM_THRESHOLD_", M_TRIM_THRESHOLD, NEVER_TRIM),
    ):
        if variable not in os.environ:
            _set_option(option, value)


def _set_option(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError, TypeError):  # TypeError: Windows has no library of that name
        ctypes.CDLL(None).mallopt(option, value)
