"""Image files before they are decoded: which are meant, are they there, and how large are they?"""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from keras_retinanet.data.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")
"""Endings of the files that `keras_retinanet.data.image.decode` understands."""

_READERS = 16  # header reads wait for the disk, not for a core


def find_images(source: str | os.PathLike[str], *, is_recursive: bool = False) -> list[Path]:
    """The image files that a path or pattern means.

    Args:
        source: str or Path. A file, which need not be there; a folder; or a pattern with `*`, `?`, `[…]` and, for any
            depth of folders, `**`.
        is_recursive: bool. Look into subfolders, too. Defaults to `False`.

    Returns:
        Files, those of folders and patterns by name.

    Raises:
        ValueError: A folder or pattern has no images.
    """
    path = Path(source)
    if path.is_dir():
        found = _images_in(path, "**/*" if is_recursive else "*")
        if not found:
            deeper = 0 if is_recursive else len(_images_in(path, "*/**/*"))
            below = f"; its subfolders have {deeper}: search them, too" if deeper else ""
            raise ValueError(f"{str(path)!r} has no images ({', '.join(SUFFIXES)}){below}.")
        return found
    if glob.has_magic(str(source)) and not path.exists():
        matches = (Path(match) for match in glob.glob(str(source), recursive=True))
        found = sorted(match for match in matches if match.is_file() and match.suffix.lower() in SUFFIXES)
        if not found:
            raise ValueError(f"No image ({', '.join(SUFFIXES)}) matches {str(source)!r}.")
        return found
    return [path]


def _images_in(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if path.suffix.lower() in SUFFIXES and path.is_file())


def first_missing(paths: Sequence[str]) -> int | None:
    """Position of the first path that is not there; one directory listing a folder, not one look-up a file."""
    listings: dict[str, set[str]] = {}
    for position, path in enumerate(paths):
        folder, name = os.path.split(path)
        if folder not in listings:
            listings[folder] = _names_in(folder)
        # The second look helps file systems that ignore case or fold accents, and runs for absentees only.
        if name not in listings[folder] and not _is_file(path):
            return position
    return None


def _names_in(folder: str) -> set[str]:
    try:
        with os.scandir(folder or ".") as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except (OSError, ValueError):  # ValueError: a zero byte in the name
        return set()


def _is_file(path: str) -> bool:
    try:
        return os.path.isfile(path)
    except ValueError:
        return False


def read_sizes(paths: Sequence[str]) -> list[tuple[int, int]]:
    """Sizes of image files from their headers, without decoding.

    Args:
        paths: Image files.

    Returns:
        `(height, width)` of each, as stored (an EXIF orientation is not applied).

    Raises:
        DataError: A file cannot be opened, or is no image.
    """
    with ThreadPoolExecutor(_READERS) as readers:
        return list(readers.map(_read_size, paths, chunksize=16))


def _read_size(path: str) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except Exception as error:  # Pillow's plug-ins raise a dozen kinds on damaged headers, struct.error to KeyError
        reason = str(error).replace(path, Path(path).name) or type(error).__name__
        raise DataError(
            path,
            f"cannot be read as an image ({reason})",
            f"an image file ({', '.join(SUFFIXES)})",
            "replace or re-export the file, or take it out of the annotations",
        ) from None
