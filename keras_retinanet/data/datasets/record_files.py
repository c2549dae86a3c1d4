"""TFRecord files: which belong to a set, and the byte positions of their records."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from keras_retinanet.data.error_collector import OnError, report_or_raise
from keras_retinanet.data.errors import DataError, short_repr

_KINDS = (".tfrecord", ".record", ".tfrec")
_SHARD = re.compile(r"(.*)-(\d{1,9})-of-(\d{1,9})(.*)")
_HEAD, _TAIL = 12, 4  # bytes around a record: its length and the checksum of that; the checksum of the record
_GZIP = b"\x1f\x8b"


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
    return sorted(name for name in os.listdir(folder) if any(kind in name for kind in _KINDS) and name[0] != ".")


def _words(name: str) -> list[str]:
    return re.split(r"[-_.]", name)


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
    records = iter(tf.data.TFRecordDataset(file))
    while True:
        try:
            record = next(records).numpy()
        except StopIteration:
            if position - _HEAD != os.path.getsize(
                file
            ):  # TensorFlow takes some truncated records for the end of the file
                report_or_raise(on_error, _damage(file, number + 1, position - _HEAD, "truncated"))
            return
        except tf.errors.OpError as error:
            report_or_raise(on_error, _damage(file, number + 1, position - _HEAD, str(error)))
            return
        yield position, record
        position += len(record) + _TAIL + _HEAD
        number += 1


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
