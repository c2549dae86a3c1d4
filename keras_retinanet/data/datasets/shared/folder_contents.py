"""Lists folders once for all readers, which look into the same large folders one after the other."""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path
from typing import NamedTuple

_FRESH = 2_000_000_000  # ns; what was just changed might change again within the resolution of its time stamp


class Contents(NamedTuple):
    """Names in a folder, sorted, hidden ones left out; links are what they lead to.

    Attributes:
        folders: Names of folders.
        files: Names of all else.
    """

    folders: tuple[str, ...]
    files: tuple[str, ...]


def list_contents(folder: str | os.PathLike[str]) -> Contents:
    """List a folder; its contents are kept until it changes.

    Args:
        folder: Its path.

    Returns:
        The names; none if it is not there or cannot be read.
    """
    try:
        state = os.stat(folder)
        path = os.fspath(folder)
        if state.st_mtime_ns > time.time_ns() - _FRESH:
            return _scan(path)
        return _scan_unchanged(path, state.st_dev, state.st_ino, state.st_mtime_ns)
    except (OSError, ValueError):
        return Contents((), ())


def subfolders(folder: Path) -> list[Path]:
    """Paths of the folders in a folder, sorted, without links that lead back to it or to a folder above."""
    found = (folder / name for name in list_contents(folder).folders)
    return [inner for inner in found if not (inner.is_symlink() and folder.resolve().is_relative_to(inner.resolve()))]


def files_ending(folder: Path, *endings: str) -> list[Path]:
    """Paths of the files in a folder whose names have one of some endings, in lower or upper case, sorted."""
    return [folder / name for name in list_contents(folder).files if name.lower().endswith(endings)]


@functools.lru_cache(maxsize=64)
def _scan_unchanged(folder: str, device: int, inode: int, changed: int) -> Contents:
    del device, inode, changed  # part of the key
    return _scan(folder)


def _scan(folder: str) -> Contents:
    folders: list[str] = []
    files: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                (folders if entry.is_dir() else files).append(entry.name)
    return Contents(tuple(sorted(folders)), tuple(sorted(files)))
