"""Cuts images into shards, and reads the images of a shard: parts of a list of files, tar archives, TFRecord files."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from keras_retinanet.data.errors import DataError
from keras_retinanet.data.image_archives import read_archive
from keras_retinanet.data.image_names import own_name
from keras_retinanet.snapshots.atomic_files import write_whole

LIST_NAME = "images.jsonl"
"""File of a job's folder that lists the image files; a shard is a range of its bytes."""


class Shard(NamedTuple):
    """Some images, as they travel to a worker: a few words, however many images.

    Attributes:
        number: Position among the shards of the job, from 0.
        source: An archive; or the list of image files.
        start: First byte of the shard's part of the list; 0 for an archive.
        length: Bytes of that part; 0 for an archive.
        name: Of an archive, what precedes the names of its images.
        digest: Changes with the images' names, or with the archive.
    """

    number: int
    source: str
    start: int
    length: int
    name: str
    digest: str

    @property
    def file_name(self) -> str:
        """Name of the file of its results."""
        return f"{self.number:06d}-{self.digest}.npz"


class Inputs(NamedTuple):
    """Images as a command line names them.

    Attributes:
        images: Path and name of each image file.
        archives: Path and name of each archive.
    """

    images: Sequence[tuple[str, str]]
    archives: Sequence[tuple[str, str]] = ()


class ShardImage(NamedTuple):
    """An image of a shard.

    Attributes:
        name: Relative name, unique in the job even without its suffix.
        reference: Its path, or its place in an archive.
        content: Path of the file, or the encoded bytes.
    """

    name: str
    reference: str
    content: str | bytes


def cut_into_shards(inputs: Inputs, folder: Path, size: int) -> list[Shard]:
    """Cuts images into shards: `size` image files each, then one archive each.

    Args:
        inputs: The images.
        folder: Gets the list of image files.
        size: Images per shard.

    Returns:
        The shards.
    """
    images, place = inputs.images, folder / LIST_NAME
    shards: list[Shard] = []

    def write(path: Path) -> None:
        with path.open("wb") as file:
            for first in range(0, len(images), size):
                part = b"".join(_line(*image) for image in images[first : first + size])
                shards.append(Shard(len(shards), str(place), file.tell(), len(part), "", _digest(part)))
                file.write(part)

    write_whole(place, write)
    for path, name in inputs.archives:
        state = os.stat(path)
        digest = _digest(repr((path, state.st_size, state.st_mtime_ns)).encode())
        shards.append(Shard(len(shards), path, 0, 0, name, digest))
    return shards


def _line(path: str, name: str) -> bytes:
    return json.dumps([path, name]).encode() + b"\n"


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def read_shard(shard: Shard, damage: list[DataError]) -> Iterator[ShardImage]:
    """Reads the images of a shard one by one.

    Args:
        shard: The shard.
        damage: Gets the error of an archive that is damaged, and of records without an image.

    Yields:
        The images up to the damage.
    """
    if shard.length:
        yield from (ShardImage(name, path, path) for path, name in _read_list(shard))
        return
    taken: Counter[str] = Counter()
    try:
        for image in read_archive(shard.source):
            if image.content is None:
                allowed = "the bytes of an image file"
                damage.append(
                    DataError(f"{shard.source}, {image.name}", "has no image/encoded", allowed, "leave it out")
                )
            else:
                name = own_name(_below(shard.name, image.name), taken)
                yield ShardImage(name, image.reference, image.content)
    except DataError as error:
        damage.append(error)


def _read_list(shard: Shard) -> Iterable[tuple[str, str]]:
    with open(shard.source, "rb") as file:
        file.seek(shard.start)
        lines = file.read(shard.length).splitlines()
    return [(path, name) for path, name in map(json.loads, lines)]


def _below(folder: str, name: str) -> PurePosixPath:
    """The name of a member, which may be any text, as a relative path below its archive's name."""
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..", ".")]
    return PurePosixPath(folder, *parts)
