"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def copy_whole(source: Path, target: Path) -> None:
    """Copies a file so that the target is never seen half written.

    Args:
        source: The file.
        target: Its copy, in any folder.
    """
    write_whole(target, lambda path: shutil.copyfile(source, path))


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file under a temporary name in the same folder and renames it: readers see the old file or the new one.

    Args:
        path: Where the file belongs.
        write: Gets the temporary path (of the same suffix) and writes the file there.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
