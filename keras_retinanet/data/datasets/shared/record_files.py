"""TFRecord files: which belong to a set, and the byte positions of their records."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from keras_retinanet.data.datasets.shared.folder_contents import list_contents, subfolders
from keras_retinanet.data.error_collector import OnError, report_or_raise
from keras_retinanet.data.errors import DataError, short_repr

_KINDS = (".tfrecord", ".record", ".tfrec")
_SHARD = re.compile(r"(.*)-(\d{1,9})-of-(\d{1,9})(.*)")
_HEAD, _TAIL = 12, 4  # bytes around a record: its length and the checksum of that; the checksum of the record
_GZIP = b"\x1f\x8b"
_PEEK = 1 << 16  # bytes of a record in which a key should occur
_MAX_PROBED = 20  # files that are opened


def record_files(path: str | os.PathLike[str], set_name: str | None = None) -> list[str]:
    """The files of a set, in order.

    Args:
        path: A folder, a file, or a pattern such as `data/train.record-*`.
        set_name: In a folder, a word of the file names (`train` of `coco_train.record-00000-of-00010`) or a folder.
            `None` or `"."`: all files.

    Returns:
        Paths.

    Raises:
        DataError: There are none, or a shard is missing.
    """
    if not os.path.isdir(path):
        files = [os.fspath(path)] if os.path.isfile(path) else sorted(glob.glob(os.fspath(path)))
    else:
        names = _names(Path(path))
        files = [str(Path(path) / name) for name in names if set_name in (None, ".") or set_name in _words(name)]
        if not files and set_name and os.path.isdir(Path(path) / set_name):
            files = [str(Path(path) / set_name / name) for name in _names(Path(path) / set_name)]
    if not files:
        where, kinds = str(path), ", ".join(_KINDS)
        wanted = f" of set {short_repr(set_name)}" if set_name not in (None, ".") else ""
        raise DataError(where, f"has no record files{wanted}", f"files with {kinds} in their names", "check the path")
    _require_all_shards(files)
    return files


def has_set(path: str | os.PathLike[str], set_name: str) -> bool:
    """Whether a folder has record files of a set."""
    folder = Path(path)
    return folder.is_dir() and (
        any(set_name in _words(name) for name in _names(folder))
        or ((folder / set_name).is_dir() and bool(_names(folder / set_name)))
    )


def _names(folder: Path) -> list[str]:
    """Record files of a folder: by their names, or, of shards such as `train-00000-of-00010`, by their contents."""
    names = list_contents(folder).files
    shards = (name for name in names if _SHARD.fullmatch(name) and is_record_file(folder / name))
    return sorted({*filter(has_record_name, names), *shards})


def has_record_name(name: str) -> bool:
    """Whether a name is that of a record file."""
    return any(kind in name.lower() for kind in _KINDS)


def _words(name: str) -> list[str]:
    """Words of a name, those that end in a year (`train2017`) without it, too."""
    words = re.split(r"[-_.]", name)
    return [*words, *(re.sub(r"20\d\d$", "", word) for word in words)]


def is_record_file(file: Path) -> bool:
    """Whether a file begins with a record whose length and checksum agree; never raises."""
    try:
        with file.open("rb") as content:
            head = content.read(_HEAD)
            size = os.fstat(content.fileno()).st_size
    except (OSError, ValueError):
        return False
    length, checksum = int.from_bytes(head[:8], "little"), int.from_bytes(head[8:], "little")
    return len(head) == _HEAD and _HEAD + length + _TAIL <= size and _masked_checksum(head[:8]) == checksum


def _masked_checksum(content: bytes) -> int:
    """The masked CRC-32C that TFRecords store: rotated right by 15 bits, plus a constant."""
    checksum = 0xFFFFFFFF
    for byte in content:
        checksum ^= byte
        for _ in range(8):
            checksum = (checksum >> 1) ^ (0x82F63B78 * (checksum & 1))
    checksum ^= 0xFFFFFFFF
    return (((checksum >> 15) | (checksum << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def find_evidence(path: Path) -> tuple[str, int] | None:
    """Find record files in a folder or its sub-folders; never raises.

    Args:
        path: A folder or file, which need not exist.

    Returns:
        The first file, and 3 if its first record is an example with an image, 1 if only its name is that of a record
        file. `None` if there is none, or if it is a data set of TensorFlow Datasets.
    """
    try:
        if not path.is_dir():
            return _describe_file(path, path.name)
        if any(next(path.glob(f"{depth}features.json"), None) for depth in ("", "*/", "*/*/")):
            return None
        homes = [path, *subfolders(path)[:_MAX_PROBED]]
        files = [home / name for home in homes for name in _names(home)[:_MAX_PROBED]]
        found = (_describe_file(file, str(file.relative_to(path))) for file in files[:_MAX_PROBED])
        return next((evidence for evidence in found if evidence is not None), None)
    except (OSError, ValueError):
        return None


def _describe_file(file: Path, name: str) -> tuple[str, int] | None:
    if is_record_file(file):
        with file.open("rb") as content:
            is_example = b"image/" in content.read(_PEEK)
        return name, 3 if is_example else 1
    try:
        with file.open("rb") as content:
            is_odd = content.read(2) not in (b"", _GZIP)
    except OSError:
        is_odd = False
    return None if is_odd or not has_record_name(file.name) else (name, 1)


def _require_all_shards(files: Sequence[str]) -> None:
    shards: dict[tuple[str, str, str], set[int]] = {}
    for file in files:
        if found := _SHARD.fullmatch(file):
            shards.setdefault((found[1], found[3], found[4]), set()).add(int(found[2]))
    for (stem, count, ending), numbers in shards.items():
        missing = next((number for number in range(int(count)) if number not in numbers), None)
        if missing is not None and len(files) > 1:
            name = f"{stem}-{missing:0{len(count)}}-of-{count}{ending}"
            raise DataError(name, "is not there", f"all {int(count)} shards", "put it there, or name the files wanted")


def read_records(file: str, on_error: OnError = "error") -> Iterator[tuple[int, bytes]]:
    """Read the records of a file and check their checksums.

    Args:
        file: Its path.
        on_error: What to do about damage. Defaults to `"error"`. With a collector, the records before it are used.

    Yields:
        Position of the record's first byte in the file, and the record.

    Raises:
        DataError: The file is truncated, damaged, compressed, or not a TFRecord file, and there is no collector.
    """
    import tensorflow as tf

    position, number = _HEAD, 0
    try:
        for record in _iterate(file):
            yield position, record
            position += len(record) + _TAIL + _HEAD
            number += 1
    except tf.errors.OpError as error:
        report_or_raise(on_error, _damage(file, number + 1, position - _HEAD, str(error)))
        return
    if position - _HEAD != os.path.getsize(file):  # TensorFlow takes some truncated records for the end of the file
        report_or_raise(on_error, _damage(file, number + 1, position - _HEAD, "truncated"))


def _iterate(file: str) -> Iterator[bytes]:
    """Records in C++: a `TFRecordDataset` takes a hundred times as long to hand one over.

    It replaces this iterator, as TensorFlow logs, in what TensorFlow trains on; it is not wanted here.
    """
    import tensorflow as tf

    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        records: Iterator[bytes] = tf.compat.v1.io.tf_record_iterator(file)
    finally:
        logger.setLevel(level)
    return records


def _damage(file: str, number: int, position: int, error: str) -> DataError:
    where = f"{file}, record {number}"
    try:
        with open(file, "rb") as content:
            head = content.read(2)
    except OSError as problem:
        return DataError(file, f"cannot be read ({problem.strerror})", "a TFRecord file", "check the path")
    if number == 1 and head == _GZIP:
        fix = "unpack it (gzip): images are read from their place in the file"
        return DataError(file, "is compressed", "TFRecord files without compression", fix)
    reason = "is cut off" if "truncated" in error else "is damaged"
    return DataError(where, f"{reason} (at byte {position})", "whole records with right checksums", "copy it again")
