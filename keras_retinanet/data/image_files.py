"""Image files before they are decoded: finds them, checks that they exist, reads their sizes.

An image is a path, or a reference to bytes inside a larger file, `train.tfrecord#bytes=4711+23456` (start and length);
`a.json#bytes=815+31276:base64` if they are encoded.
Both are strings, so that lists, messages and graphs treat them alike.
"""

from __future__ import annotations

import base64
import functools
import glob
import io
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from keras_retinanet.data.errors import DataError
from keras_retinanet.data.image_headers import size_in_header
from keras_retinanet.data.pillow_files import HEIF_HEADS, opened, stored_size, unsupported_reason

SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".heic", ".heif", ".avif",
)  # fmt: skip
"""Suffixes of the files that `keras_retinanet.data.decode_file` can read, some with the extra `heif`."""

_RANGE = re.compile(r"(.*)#bytes=(\d{1,18})\+(\d{1,18})(:base64)?", re.DOTALL)
_CHUNK = 64  # images per task of a reader: handing over a task takes as long as reading a header
_READERS = 16  # header reads wait for the disk, not for a core


class ByteRange(NamedTuple):
    """Bytes of a file.

    Attributes:
        file: Path of the file.
        start: Position of the first byte.
        length: Number of bytes.
        is_base64: Whether they are the image in base64. Defaults to `False`.
    """

    file: str
    start: int
    length: int
    is_base64: bool = False


def image_reference(file: str, start: int, length: int, *, is_base64: bool = False) -> str:
    """Reference to an image inside a larger file.

    Args:
        file: Path of the file.
        start: Position of the image's first byte.
        length: Number of its bytes.
        is_base64: Whether these are the image in base64. Defaults to `False`.

    Returns:
        A string that can be used like the path of an image file.
    """
    return f"{file}#bytes={start}+{length}{':base64' if is_base64 else ''}"


def byte_range(image: str) -> ByteRange | None:
    """File and bytes of a reference, or `None` if the image is a file of its own."""
    found = _RANGE.fullmatch(image)
    return None if found is None else ByteRange(found[1], int(found[2]), int(found[3]), bool(found[4]))


def read_bytes(image: str) -> bytes:
    """The encoded bytes of an image.

    Args:
        image: A path or a reference.

    Returns:
        The bytes, as stored; those in base64 are decoded.

    Raises:
        OSError: The file cannot be read, or ends before the image does, or base64 is broken.
    """
    part = byte_range(image)
    if part is None:
        return Path(image).read_bytes()
    with open(part.file, "rb") as file:
        file.seek(part.start)
        content = file.read(part.length)
    if len(content) < part.length:
        raise OSError(f"{part.file} ends inside of this image")
    return _decode_base64(content) if part.is_base64 else content


def _decode_base64(content: bytes) -> bytes:
    try:
        return base64.b64decode(content.replace(b"\\/", b"/"), validate=True)  # JSON may escape slashes
    except ValueError as error:
        raise OSError(f"base64 is broken: {error}") from None


def file_size(image: str) -> int:
    """Number of encoded bytes of an image, a path or a reference (approximate for base64)."""
    part = byte_range(image)
    if part is None:
        return os.path.getsize(image)
    return part.length * 3 // 4 if part.is_base64 else part.length


def find_images(source: str | os.PathLike[str], *, is_recursive: bool = False) -> list[Path]:
    """List the image files of a path or pattern.

    Args:
        source: A file, which need not exist; a folder; or a pattern with `*`, `?`, `[…]` and, for any depth of folders,
            `**`.
        is_recursive: Search subfolders, too. Defaults to `False`.

    Returns:
        The files; those of folders and patterns are sorted by name.

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
    found = (path for path in folder.glob(pattern) if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted(found, key=lambda path: path.parts)  # on POSIX the order of paths, in a third of the time


def first_missing(paths: Sequence[str]) -> int | None:
    """Position of the first path that does not exist."""
    return next(missing_positions(paths), None)


def missing_positions(paths: Sequence[str]) -> Iterator[int]:
    """Positions of the paths that do not exist; lists each folder once instead of looking up each file."""
    listings: dict[str, set[str]] = {}
    for position, image in enumerate(paths):
        path = image if "#bytes=" not in image else (byte_range(image) or (image,))[0]
        folder, name = os.path.split(path)
        if folder not in listings:
            listings[folder] = _names_in(folder)
        # The second check is for file systems that ignore case or fold accents, and runs only for missing names.
        if name not in listings[folder] and not _is_file(path):
            yield position


def first_unsupported(paths: Sequence[str]) -> DataError | None:
    """An error about the HEIC or AVIF files among images, if a package that reads them is missing."""
    for suffix, head in HEIF_HEADS.items():
        if (reason := unsupported_reason(head)) is not None:
            found = [path for path in paths if path.lower().endswith(suffix)]
            if found:
                more = {1: "", 2: ", as is 1 more"}.get(len(found), f", as are {len(found) - 1} more")
                return DataError(
                    found[0], f"{reason}{more}", "images that are read", "install it, or save them as JPEG"
                )
    return None


def find_near_name(path: str | os.PathLike[str]) -> str | None:
    """Find a similar name for a missing file or folder, in the lowest folder of its path that exists.

    Args:
        path: The missing file.

    Returns:
        A path whose name differs only in case, in the Unicode form of accents, or in the image suffix; or `None`.
    """
    missing = Path(path)
    while not _is_folder(missing.parent) and missing.parent != missing:
        missing = missing.parent
    try:
        whole, stems = _folded_names(str(missing.parent), os.stat(missing.parent).st_mtime_ns)
    except (OSError, ValueError):
        return None
    name = _folded(missing.name)
    near = whole.get(name) or stems.get(_stem(name) or "")
    return None if near in (None, missing.name) else str(missing.parent / near)


def near_name_hint(path: str | os.PathLike[str]) -> str:
    """The result of `find_near_name` as advice that precedes other advice in a message; `""` if there is none."""
    near = find_near_name(path)
    return "" if near is None else f"there is {near!r}: give both the same name; "


@functools.lru_cache(maxsize=4)
def _folded_names(folder: str, changed: int) -> tuple[dict[str, str], dict[str, str]]:
    """Names in a folder by their folded form, and names of images by their folded stem."""
    del changed  # part of the cache key: a folder that has changed is listed again
    names = sorted(os.listdir(folder), reverse=True)  # the first of several wins
    stems = {stem: name for name in names if (stem := _stem(_folded(name))) is not None}
    return {_folded(name): name for name in names}, stems


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _stem(folded: str) -> str | None:
    """A name without its suffix, if that is an image's."""
    stem, suffix = os.path.splitext(folded)
    return stem if suffix in SUFFIXES else None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


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


def read_sizes(paths: Sequence[str], fallback: tuple[int, int] | None = None) -> list[tuple[int, int]]:
    """Read the sizes of image files from their headers, without decoding.

    Args:
        paths: Image files, or references.
        fallback: Height and width for unreadable files. Defaults to `None`: they are errors.

    Returns:
        `(height, width)` of each, as stored (an EXIF orientation is not applied).

    Raises:
        DataError: A file cannot be opened, or is not an image.
    """

    def read(start: int) -> list[tuple[int, int]]:
        sizes = []
        for path in paths[start : start + _CHUNK]:
            try:
                sizes.append(_read_size(path))
            except DataError:
                if fallback is None:
                    raise
                sizes.append(fallback)
        return sizes

    with ThreadPoolExecutor(_READERS) as readers:
        return [size for sizes in readers.map(read, range(0, len(paths), _CHUNK)) for size in sizes]


def _read_size(path: str) -> tuple[int, int]:
    if (size := size_in_header(path)) is not None:
        return size
    try:
        with opened(path if byte_range(path) is None else io.BytesIO(read_bytes(path))) as image:
            return stored_size(image)
    except Exception as error:  # Pillow's plug-ins raise a dozen kinds on damaged headers, struct.error to KeyError
        reason = _unsupported_reason(path) or str(error).replace(path, Path(path).name) or type(error).__name__
        raise DataError(
            path,
            f"cannot be read as an image ({reason})",
            f"an image file ({', '.join(SUFFIXES)})",
            "replace or re-export the file, or take it out of the annotations",
        ) from None


def _unsupported_reason(image: str) -> str | None:
    try:
        return unsupported_reason(read_bytes(image))
    except OSError:
        return None
