"""One process per run: the folder of a run is locked while the run goes on."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_IN_USE = (errno.EWOULDBLOCK, errno.EACCES)


class RunInUseError(ValueError):
    """Another process trains the run, or its folder is gone."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Locks a folder for this process; the operating system frees the lock when the process ends, however it ends.

    Disks without locks (some network mounts) and Windows are not locked.

    Args:
        folder: The folder of a run.

    Yields:
        Nothing.

    Raises:
        RunInUseError: Another process has it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        raise RunInUseError(f"{folder}: the folder of the run is gone; mount its disk again, or restore it.") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _IN_USE:
                raise RunInUseError(
                    f"{folder}: another process trains this run now; end it first, or wait for it."
                ) from None
        yield
    finally:
        os.close(descriptor)
