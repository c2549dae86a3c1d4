"""Reads text files and folders, with errors that name them."""

from __future__ import annotations

import csv
import gc
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras_retinanet.data.errors import DataError, short_repr
from keras_retinanet.data.image_files import SUFFIXES, near_name_hint

_MAX_NAMED = 5  # files named in a note
_BLOCK = 1 << 20  # characters read at once
_RANKS = {suffix: rank for rank, suffix in enumerate(SUFFIXES)}


def read_text(file: Path, kind: str, fix: str = "check the path") -> str:
    """Read a text file.

    Args:
        file: Its path.
        kind: What it should be, as `"a CSV file"`.
        fix: What to do if it cannot be read. Defaults to `"check the path"`.

    Returns:
        The text, without a byte order mark.

    Raises:
        DataError: It cannot be read, or is not UTF-8.
    """
    try:
        with open(file, "rb", buffering=0) as opened:  # a third of the time of a text file, which counts for many
            text = opened.readall().decode("utf-8-sig")
        return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
    except OSError as error:
        raise DataError(str(file), f"cannot be read ({error.strerror})", kind, near_name_hint(file) + fix) from None
    except ValueError as error:  # also a zero byte in the path
        raise DataError(str(file), f"is not UTF-8 text ({error})", kind, "save it as UTF-8") from None


def text_lines(file: Path, kind: str) -> Iterator[str]:
    """Yield the lines of a long text file, which is not kept in memory.

    Args:
        file: Its path.
        kind: What it should be, for messages.

    Raises:
        DataError: It cannot be read, or is not UTF-8: before a line is yielded.
    """
    try:
        with file.open(encoding="utf-8-sig") as text:
            while text.read(_BLOCK):
                pass
    except (OSError, ValueError):
        read_text(file, kind)  # raises, with the reason
    with file.open(encoding="utf-8-sig") as text:
        for line in text:
            yield line.rstrip("\n")


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Pause garbage collection: with millions of new objects it takes as long as reading."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def numbered_lines(file: Path, kind: str, fix: str = "check the path") -> Iterator[tuple[str, list[str]]]:
    """Yield file and line number, and the words, of each line that is not blank."""
    for number, line in enumerate(read_text(file, kind, fix).splitlines(), start=1):
        if words := line.split():
            yield f"{file}, line {number}", words


def csv_records(lines: Iterable[str], file: Path, **options: Any) -> Iterator[tuple[int, list[str]]]:
    """Split lines of CSV at the commas; empty lines are skipped.

    Args:
        lines: The lines, as `csv.reader` takes them.
        file: Their file, for messages.
        options: Options of `csv.reader`.

    Yields:
        The number of the line, and its fields.

    Raises:
        DataError: A line is not CSV; or an unclosed quote continues in the next line, which would be lost.
    """
    reader, before = csv.reader(lines, **options), 0
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{file}, line {reader.line_num}", str(error), "a line of CSV", "correct it") from None
        if fields is None:
            return
        if reader.line_num > before + 1:
            where, found = f"{file}, line {before + 1}", f"opens a quote that line {reader.line_num} closes, or none"
            raise DataError(where, found, "quotes that end in their own line", "close the quote, or remove it")
        before = reader.line_num
        if fields:
            yield before, fields


def number(text: str, name: str, where: str, allowed: str) -> float:
    """Parse a number.

    Raises:
        DataError: The text is not a number.
    """
    try:
        return float(text if "_" not in text else "")  # Python takes 1_0 for 10
    except ValueError:
        raise DataError(where, f"{name} is {short_repr(text)}", allowed, "write a number") from None


def suggest_parent_folder(path: Path, markers: Sequence[str], fix: str = "check the path and the set's name") -> str:
    """Suggest a parent folder if the given path leads too deep.

    Args:
        path: The path given.
        markers: Names of files or folders, one of which is in the folder wanted.
        fix: Advice if no parent folder fits. Defaults to checking path and set.

    Returns:
        `fix`, or the folder above that has a marker.
    """
    places = [folder for folder in list(path.parents)[:2] if any((folder / name).exists() for name in markers)]
    return f"give the path of the folder above it, {places[0]}" if places else fix


def to_local_path(path: str) -> str:
    """Convert a path written on Windows for this machine."""
    return path.replace("\\", "/") if os.sep == "/" else path


def list_names(
    folder: str | os.PathLike[str], kind: str = "a folder of images", fix: str = "check the path"
) -> list[str]:
    """Sorted names in a folder, hidden ones (macOS leaves `._a.jpg`) left out.

    Raises:
        DataError: It cannot be read.
    """
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(str(folder), f"cannot be read ({reason})", kind, fix) from None


def walk_names(
    folder: str | os.PathLike[str], kind: str = "a folder of images", fix: str = "check the path"
) -> list[str]:
    """Sorted paths of all files below a folder, relative to it, with forward slashes; hidden ones are left out.

    Symbolic links to folders are followed, except those that lead back to a folder above themselves.

    Args:
        folder: Where to look.
        kind: What the folder should be, for messages. Defaults to `"a folder of images"`.
        fix: What to do if it cannot be read. Defaults to `"check the path"`.

    Returns:
        Such as `["a.jpg", "day1/b.jpg"]`.

    Raises:
        DataError: A folder cannot be read.
    """
    try:
        return sorted(_walk(str(folder), "", frozenset()))
    except (OSError, ValueError) as error:
        reason, place = getattr(error, "strerror", None) or error, getattr(error, "filename", None) or folder
        raise DataError(str(place), f"cannot be read ({reason})", kind, fix) from None


def has_file(folder: str | os.PathLike[str], is_wanted: Callable[[str], bool]) -> bool:
    """Whether a file below a folder, hidden ones left out, has a name that is wanted; stops at the first."""
    try:
        return any(is_wanted(name) for name in _walk(str(folder), "", frozenset()))
    except (OSError, ValueError):
        return False


def _walk(folder: str, prefix: str, above: frozenset[str]) -> Iterator[str]:
    real = os.path.realpath(folder)
    if real in above:
        return
    with os.scandir(folder) as entries:
        shown = [(entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith(".")]
    for name, is_folder in shown:
        if is_folder:
            yield from _walk(os.path.join(folder, name), f"{prefix}{name}/", above | {real})
        else:
            yield prefix + name


def is_image(name: str) -> bool:
    """Whether a name has the suffix of an image file."""
    return name.lower().endswith(SUFFIXES)


def images_by_stem(folder: str | os.PathLike[str], *, is_recursive: bool = False) -> dict[str, str]:
    """Names of the image files in a folder by stem; of several, the first suffix of `SUFFIXES` wins.

    Args:
        folder: Where to look.
        is_recursive: Include sub-folders: `{"day1/b": "day1/b.jpg"}`. Defaults to `False`.

    Returns:
        Path below `folder` without the suffix → path below `folder`.
    """
    return by_stem(walk_names(folder) if is_recursive else list_names(folder))


def by_stem(names: Iterable[str]) -> dict[str, str]:
    """Image files among sorted names, by stem; of several, the first suffix of `SUFFIXES` wins."""
    stems: dict[str, str] = {}
    ranks: dict[str, int] = {}
    for name in names:
        stem, suffix = os.path.splitext(name)
        rank = _RANKS.get(suffix.lower())
        if rank is not None and rank < ranks.get(stem, len(_RANKS)):
            stems[stem], ranks[stem] = name, rank
    return stems


def describe_files(home: str | os.PathLike[str], names: Iterable[str], what: str) -> list[str]:
    """A note about files.

    Args:
        home: Their folder, or the file that does not name them.
        names: Their names.
        what: What they are and what happens to them, as `"images are left out"`.

    Returns:
        One sentence that names the first five; none if there are no files.
    """
    found = sorted(names)
    named = ", ".join(short_repr(name)[1:-1] for name in found[:_MAX_NAMED])
    return [f"{home}: {len(found)} {what} ({named}{' …' if len(found) > _MAX_NAMED else ''})"] if found else []
