"""Image files of a new data set: copied, linked, or left where they are."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from keras_retinanet.data.image_files import byte_range, read_bytes
from keras_retinanet.data.writers.chunks import Chunk, Progress


def place_images(chunk: Chunk, folder: Path, progress: Progress) -> None:
    """Put the images of a chunk into a folder; with `images="none"` only count them.

    Args:
        chunk: The images.
        folder: Where they go; made if absent.
        progress: Called with 1 after each image.
    """
    if chunk.images != "none":
        folder.mkdir(parents=True, exist_ok=True)
    for sample, name in zip(chunk.part.samples, chunk.part.names, strict=True):
        if chunk.images != "none":
            _place(sample["image"], folder / name, is_link=chunk.images == "link")
        progress(1)


def _place(image: str, target: Path, *, is_link: bool) -> None:
    if byte_range(image) is not None:
        target.write_bytes(read_bytes(image))
        return
    if is_link:
        with contextlib.suppress(OSError):  # another disk, or a file system without links: copy
            os.link(os.path.realpath(image), target)
            return
    shutil.copyfile(image, target)
