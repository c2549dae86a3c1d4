"""Caches the annotations of a large data set until one of its files changes.

Arrays and JSON in the user's cache folder, no pickles: a manipulated file can be wrong, but cannot run code.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_retinanet.data.box_columns import BoxReport
from keras_retinanet.data.datasets.shared.annotated_images import AnnotatedImages, Index
from keras_retinanet.data.image_files import first_missing

MIN_SECONDS = 1.0
"""Data sets that are read faster than this are not cached."""

_ARRAYS = ("sizes", "boxes", "labels", "ignore", "areas", "orientations", "bit_depths", "splits")
_FRESH = 2_000_000_000  # ns; a file that was just changed might change again within the resolution of its time stamp


def cache_folder() -> Path:
    """Folder of the cached indexes: `keras_retinanet` in `$XDG_CACHE_HOME`, by default `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "keras_retinanet"


def read_cached(
    read: Callable[[], AnnotatedImages],
    key: Sequence[object],
    *,
    folder: Path | None = None,
    min_seconds: float = MIN_SECONDS,
) -> AnnotatedImages:
    """Read a data set, or load it from the cache if none of its files has changed.

    Size and modification time of every file are compared, and every image must exist, as when reading.

    Args:
        read: Reads the data set.
        key: Everything that determines what is read: format, paths, options.
        folder: Folder of the cached indexes. Defaults to `cache_folder()`.
        min_seconds: The result is cached if reading took at least this long. Defaults to `MIN_SECONDS`.

    Returns:
        The data set.
    """
    digest = hashlib.blake2b(repr([_code_state(), *key]).encode(), digest_size=16).hexdigest()
    file = (folder or cache_folder()) / f"{digest}.npz"
    found = _load(file)
    if found is not None:
        return AnnotatedImages.from_index(found)
    began, clock = time.time_ns(), time.perf_counter()
    dataset = read()
    if time.perf_counter() - clock >= min_seconds and dataset.contents.sources:
        _store(file, dataset.contents, began)
    return dataset


def _code_state() -> list[tuple[int, int]]:
    """Size and modification time of the readers' own code: another version reads the files again."""
    here = Path(sys.modules[AnnotatedImages.__module__].__file__ or "").parents[1]  # of all formats
    states = file_states([str(file) for file in sorted(here.rglob("*.py"))])
    return [(int(size), int(changed)) for size, changed, _ in states]


def file_states(paths: Sequence[str]) -> Any:
    """States of files or folders, by which a change is noticed.

    Args:
        paths: The files.

    Returns:
        `(S, 3)` int64: size, mtime and ctime in ns, -1 if it does not exist. The ctime belongs to the file system: no
        program can set it back.
    """
    states = np.full((len(paths), 3), -1, np.int64)
    for row, path in enumerate(paths):
        with contextlib.suppress(OSError, ValueError):
            state = os.stat(path)
            states[row] = state.st_size, state.st_mtime_ns, state.st_ctime_ns
    return states


def _load(file: Path) -> Index | None:
    try:
        with file.open("rb") as content, np.load(content, allow_pickle=False) as stored:
            texts = json.loads(stored["texts"].tobytes())
            if not np.array_equal(file_states(texts["sources"]), stored["states"]):
                return None
            arrays = {name: stored[name] for name in _ARRAYS if name in stored}
        texts["report"] = BoxReport(**texts["report"])
        for name in ("class_names", "category_ids"):
            texts[name] = None if texts[name] is None else tuple(texts[name])
        index = Index(**{"areas": None, **arrays, **texts})
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, EOFError):
        return None  # missing or truncated
    return index if first_missing(index.images) is None else None


def _store(file: Path, index: Index, began: int) -> None:
    states = file_states(index.sources)
    if states[:, 1].max() > began - _FRESH:
        return
    fields = {field.name: getattr(index, field.name) for field in dataclasses.fields(index)}
    arrays = {name: fields.pop(name) for name in _ARRAYS}
    fields["report"] = dataclasses.asdict(index.report)
    texts = np.frombuffer(json.dumps(fields).encode(), np.uint8)
    arrays = {name: value for name, value in arrays.items() if value is not None}
    with contextlib.suppress(OSError):  # a full or read-only disk must not stop the run
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=file.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as out:
                np.savez(out, allow_pickle=False, texts=texts, states=states, **arrays)
            os.replace(temporary, file)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
