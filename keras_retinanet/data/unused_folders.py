"""Names the folders of a data set whose images no split uses, so that none is lost without a word."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from keras_retinanet.config import DataConfig
from keras_retinanet.data.datasets.shared.folder_contents import list_contents
from keras_retinanet.data.datasets.shared.text_files import is_image
from keras_retinanet.data.open_dataset import list_parts
from keras_retinanet.schema import Sample

_MAX_DEPTH = 4
_MAX_FOLDERS = 500  # that are looked into
_MAX_NAMED = 5
_MASKS = ("segmentationclass", "segmentationobject", "masks")


def describe_unused_folders(data: DataConfig, samples: Iterable[Sample]) -> list[str]:
    """Describe folders of images, such as `test/`, none of whose images is used.

    Args:
        data: Which dataset. Nothing is said of a data set whose splits the user chose.
        samples: The images of all splits that are used.

    Returns:
        One sentence for each path that has such folders. Hidden folders, masks of segmentation, and folders more than
        four levels down do not count.
    """
    if data.train_set or data.val_set:
        return []
    used = {os.path.realpath(folder) for folder in {os.path.dirname(sample["image"]) for sample in samples}}
    notes = []
    for path in [part.path for part in list_parts(data) if part.path and os.path.isdir(part.path)]:
        unused = [
            (folder, count) for folder, count in _image_folders(Path(path)) if os.path.realpath(folder) not in used
        ]
        if unused:
            named = [f"{folder.relative_to(path).as_posix()} ({count:,})" for folder, count in unused[:_MAX_NAMED]]
            more = f" and {len(unused) - _MAX_NAMED} more" if len(unused) > _MAX_NAMED else ""
            notes.append(f"{path}: images in these folders are not used: {', '.join(named)}{more}")
    return notes


def _image_folders(root: Path) -> Iterator[tuple[Path, int]]:
    """A folder and those below it, and the number of images in each that has any."""
    if count := sum(is_image(name) for name in list_contents(root).files):
        yield root, count
    level = [root]
    num_folders = 0
    for _ in range(_MAX_DEPTH):
        level = [
            folder / name for folder in level for name in list_contents(folder).folders if name.lower() not in _MASKS
        ]
        num_folders += len(level)
        if num_folders > _MAX_FOLDERS:
            return
        for folder in level:
            if count := sum(is_image(name) for name in list_contents(folder).files):
                yield folder, count
