"""Image files inside of tar archives (WebDataset) and TFRecord files, read in one pass from the first to the last."""

from __future__ import annotations

import glob
import gzip
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from keras_retinanet.data.datasets.shared.record_files import has_record_name, is_record_file, read_records
from keras_retinanet.data.datasets.tfrecord import read_encoded_image
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.image_files import SUFFIXES, image_reference

_TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
_GZIP = b"\x1f\x8b"


class ArchivedImage(NamedTuple):
    """An image file inside of an archive.

    Attributes:
        name: Its name inside of the archive.
        reference: As `image_files.image_reference`, where the bytes can be read in place.
        content: The encoded bytes; `None` if the record has none.
    """

    name: str
    reference: str
    content: bytes | None


def is_archive(path: Path) -> bool:
    """Whether a file is an archive of images: by its name, or, of other names, if it begins with a TFRecord.

    Args:
        path: A file.

    Returns:
        False for image files and for files that do not exist.
    """
    name = path.name.lower()
    if name.endswith(SUFFIXES) or not path.is_file():
        return False
    return name.endswith(_TAR_SUFFIXES) or has_record_name(name) or ("-of-" in name and is_record_file(path))


def find_archives(source: str, *, is_recursive: bool = False) -> list[Path]:
    """Lists the archives of a path or pattern.

    Args:
        source: A file, a folder, or a pattern.
        is_recursive: Search subfolders, too. Defaults to `False`.

    Returns:
        The archives, sorted by name; none if there are none.
    """
    path = Path(source)
    if path.is_dir():
        found = [*path.glob("**/*" if is_recursive else "*")]
    elif glob.has_magic(source) and not path.exists():
        found = [Path(match) for match in glob.glob(source, recursive=True)]
    else:
        found = [path]
    return sorted(filter(is_archive, found))


def read_archive(path: str) -> Iterator[ArchivedImage]:
    """Reads the images of an archive; other members of a tar (labels, JSON) are skipped.

    Args:
        path: A tar, compressed by gzip or not, or a TFRecord file.

    Yields:
        Its images, in their order.

    Raises:
        DataError: The archive is damaged or cut off; the images before that have been yielded.
    """
    if path.lower().endswith(_TAR_SUFFIXES):
        yield from _read_tar(path)
    else:
        for number, (position, record) in enumerate(read_records(path), start=1):
            yield _image_of_record(path, number, position, record)


def _image_of_record(path: str, number: int, position: int, record: bytes) -> ArchivedImage:
    try:
        name, encoded = read_encoded_image(record, f"{path}, record {number}")
    except DataError:
        name, encoded = f"record {number}", b""
    reference = image_reference(path, position + record.find(encoded), len(encoded))
    return ArchivedImage(name, reference, encoded or None)


def _read_tar(path: str) -> Iterator[ArchivedImage]:
    number = 0
    try:
        with open(path, "rb") as file:
            is_compressed = file.read(len(_GZIP)) == _GZIP
        opener: Any = gzip.open if is_compressed else open
        with opener(path, "rb") as file, tarfile.open(fileobj=file) as archive:
            for member in archive:
                if member.isfile() and _is_image(member.name):
                    opened = archive.extractfile(member)
                    content = b"" if opened is None else opened.read()
                    yield ArchivedImage(member.name, _reference(path, member, is_compressed), content)
                number += 1
            file.seek(archive.offset)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):  # else Python takes damage for the end
                raise tarfile.ReadError("cut off, or damaged there")
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        found = f"cannot be read after its first {number} members ({reason})"
        raise DataError(path, found, "a whole tar", "copy it again") from None


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not PurePosixPath(name).name.startswith("._")  # of macOS' tar


def _reference(path: str, member: tarfile.TarInfo, is_compressed: bool) -> str:
    return f"{path}#{member.name}" if is_compressed else image_reference(path, member.offset_data, member.size)
