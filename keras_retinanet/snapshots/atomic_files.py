"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

_PART = re.compile(r"\..+\.\d+\.part(\..+)?")
"""Name of a file that `write_whole` has not renamed yet."""


class WriteError(OSError):
    """A file could not be written; the message names it, what is wrong, and what helps."""


def copy_whole(source: Path, target: Path) -> None:
    """Copies a file so that the target is never seen half written, not even after a power failure.

    Args:
        source: The file.
        target: Its copy, in any folder.

    Raises:
        WriteError: It cannot be written.
    """
    write_durably(target, lambda path: shutil.copyfile(source, path))


def write_durably(path: Path, write: Callable[[Path], object], check: Callable[[Path], object] | None = None) -> None:
    """As `write_whole`; the content is on the disk before the file gets its name, and the name before this returns.

    Otherwise a machine that loses power within the next half minute may keep the name and lose the content.

    Args:
        path: Where the file belongs.
        write: Gets the temporary path and writes the file there.
        check: Gets the temporary path when the content is on the disk, and raises an `OSError` if it is wrong.
            Defaults to no check.

    Raises:
        WriteError: It cannot be written; an older file is as it was.
    """

    def write_flush_and_check(temporary: Path) -> None:
        write(temporary)
        flush_to_disk(temporary)
        if check is not None:
            check(temporary)

    write_whole(path, write_flush_and_check)
    with contextlib.suppress(OSError):  # Windows and some network file systems open or flush no folders
        flush_to_disk(path.parent, os.O_RDONLY)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file under a temporary name in the same folder and renames it: readers see the old file or the new one.

    Args:
        path: Where the file belongs.
        write: Gets the temporary path (of the same suffix) and writes the file there.

    Raises:
        WriteError: It cannot be written; an older file is as it was.
    """
    own = f"{os.getpid()}{secrets.randbelow(10**9):09}"  # containers on several machines share process ids
    temporary = path.with_name(f".{path.stem}.{own}.part{path.suffix}")
    try:
        with naming(path):
            write(temporary)
            os.replace(temporary, path)
    finally:
        remove(temporary)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turns an error of the system into one that names the file, and what helps.

    Args:
        path: The file that is written.

    Yields:
        Nothing.

    Raises:
        WriteError: It cannot be written. One that names another file already is raised as it is.
    """
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        raise WriteError(_explain(path, error)) from error


def flush_to_disk(path: Path, access: int = os.O_RDWR) -> None:
    """Waits until a file is on its disk, so that it also survives a machine that loses power.

    Args:
        path: The file, or a folder, whose names are flushed.
        access: How it is opened. Defaults to reading and writing, which Windows demands; a folder is read.
    """
    descriptor = os.open(path, access)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_parts(folder: Path) -> list[str]:
    """Removes what a killed process had begun to write.

    Args:
        folder: A folder into which no other process writes now.

    Returns:
        Names of the files.
    """
    parts = [path for path in folder.iterdir() if _PART.fullmatch(path.name)]
    for path in parts:
        path.unlink(missing_ok=True)
    return sorted(path.name for path in parts)


def remove(path: Path) -> None:
    """Removes a file, if it and its disk are there.

    Args:
        path: The file.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError:  # the disk is gone, and the file with it
        return


def _explain(path: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    if not path.parent.is_dir():
        return f"{path} cannot be written: its folder does not exist (is its disk still mounted?)"
    if error.errno == errno.EROFS:
        return f"{path} cannot be written: its disk is read-only; mount it for writing"
    if not os.access(path.parent, os.W_OK):
        return f"{path} cannot be written: no permission to write in {path.parent}"
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError:
        return f"{path} cannot be written: {reason}"
    return f"{path} cannot be written: {reason} ({free / 1e6:,.0f} MB are free on its disk)"
