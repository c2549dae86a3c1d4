"""The doctor's reading of image files as the task of a shard."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_retinanet.doctor.image_scan import ImageFacts, scan_images
from keras_retinanet.shards.image_shards import Shard, read_shard
from keras_retinanet.shards.task import Arrays, Task, load_arrays


@dataclass(frozen=True)
class ScanTask(Task):
    """Scans the image files of a shard.

    Attributes:
        workers: Threads per process, as for `scan_images`.
    """

    workers: int | None = None

    def open(self) -> Callable[[Shard], Arrays]:
        """Nothing has to be loaded; see `Task`."""
        return self._scan

    def _scan(self, shard: Shard) -> Arrays:
        facts = scan_images([image.reference for image in read_shard(shard, [])], workers=self.workers)
        plain = [dataclasses.asdict(one) | {"thumbnail": one.thumbnail and one.thumbnail.hex()} for one in facts]
        return {"facts": np.frombuffer(json.dumps(plain).encode(), np.uint8)}


def read_facts(path: Path) -> list[ImageFacts]:
    """Reads the facts of a shard's images.

    Args:
        path: File of the shard.

    Returns:
        The facts, in the order of the images.

    Raises:
        ValueError: The file is damaged.
    """
    facts = []
    for fields in json.loads(load_arrays(path, ["facts"])["facts"].tobytes()):
        size, thumbnail = fields["size"], fields["thumbnail"]
        fields["size"] = None if size is None else (size[0], size[1])
        fields["thumbnail"] = None if thumbnail is None else bytes.fromhex(thumbnail)
        facts.append(ImageFacts(**fields))
    return facts
