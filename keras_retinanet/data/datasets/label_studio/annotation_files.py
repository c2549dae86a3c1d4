"""Files of Label Studio's cloud storage: one per annotation, named by its number.

Reference: https://labelstud.io/guide/storage, "Target storage"; `label_studio/io_storages/serializers.py`
(`StorageAnnotationSerializer`), which writes the annotation with its task.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

from keras_retinanet.data.datasets.shared.folder_contents import list_contents
from keras_retinanet.data.datasets.shared.json_files import read_ends, read_json
from keras_retinanet.data.errors import DataError

_KIND = "an annotation of Label Studio's cloud storage: {'result': […], 'task': {'data': …}}"
_REMAKE = "synchronise the target storage again, or remove the file"
_NAME = re.compile(r"\d+(?:\.json)?", re.IGNORECASE)
_MAX_PROBED = 20  # files that are opened


def find_annotation_files(folder: Path) -> list[Path]:
    """The files of a folder that are named by a number, with or without `.json`, in the order of the numbers."""
    names = [name for name in list_contents(folder).files if _NAME.fullmatch(name)]
    return [folder / name for name in sorted(names, key=lambda name: int(name.partition(".")[0]))]


def has_annotation_files(folder: Path) -> bool:
    """Whether one of the first of these files is an annotation with its task."""
    return any(_is_annotation(file) for file in itertools.islice(find_annotation_files(folder), _MAX_PROBED))


def _is_annotation(file: Path) -> bool:
    ends = read_ends(file)
    return ends.startswith(b"{") and re.search(rb'"result"\s*:\s*\[', ends) is not None and b'"task"' in ends


def read_annotation(file: Path) -> dict[str, Any]:
    """Read a file as a task with one annotation.

    Raises:
        DataError: It is not an annotation with its task.
    """
    content = read_json(file, _KIND, _REMAKE)
    task = content.get("task") if isinstance(content, dict) else None
    if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
        raise DataError(str(file), "has no 'task' with 'data'", _KIND, _REMAKE)
    return {"data": task["data"], "annotations": [content]}
