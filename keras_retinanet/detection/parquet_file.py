"""Writes detections as Parquet, the tables of Spark, DuckDB, pandas and Ray Data."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_retinanet.extras import install_hint
from keras_retinanet.schema import DetectedImage
from keras_retinanet.snapshots.atomic_files import naming, remove

_ROWS = 20_000  # images per row group, which readers take at once


class ParquetFile:
    """One row per image: `image`, `width`, `height`, and `objects`, a list of `{x1, y1, x2, y2, label, class, score}`.

    Args:
        path: Path of the file; its folder is created if absent.
        class_names: Names of the labels.

    Raises:
        ImportError: pyarrow is not installed.
    """

    def __init__(self, path: Path, class_names: Sequence[str]) -> None:
        pyarrow = import_pyarrow()
        self._arrow, self._path, self._class_names = pyarrow, path, class_names
        sides = [(side, pyarrow.float32()) for side in ("x1", "y1", "x2", "y2")]
        thing = [*sides, ("label", pyarrow.int32()), ("class", pyarrow.string()), ("score", pyarrow.float32())]
        columns = [("image", pyarrow.string()), ("width", pyarrow.int32()), ("height", pyarrow.int32())]
        self._schema = pyarrow.schema([*columns, ("objects", pyarrow.list_(pyarrow.struct(thing)))])
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        with naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = pyarrow.parquet.ParquetWriter(self._temporary, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def add(self, name: str, found: DetectedImage) -> None:
        """Writes one image; see `Writer`."""
        height, width = found.size or (0, 0)
        rows = zip(found.boxes.tolist(), found.labels.tolist(), found.names, found.scores.tolist(), strict=True)
        objects = [
            {"x1": box[0], "y1": box[1], "x2": box[2], "y2": box[3], "label": label, "class": word, "score": score}
            for box, label, word, score in rows
        ]
        self._rows.append({"image": name, "width": width, "height": height, "objects": objects})
        if len(self._rows) == _ROWS:
            self._flush()

    def _flush(self) -> None:
        with naming(self._path):
            self._file.write_table(self._arrow.Table.from_pylist(self._rows, self._schema))
        self._rows = []

    def close(self) -> list[Path]:
        """Completes the file; see `Writer`."""
        try:
            with naming(self._path):
                with self._file:
                    self._flush()
                os.replace(self._temporary, self._path)
        finally:
            remove(self._temporary)
        return [self._path]

    def discard(self) -> None:
        """Ends without the file; see `ResultFile`."""
        with contextlib.suppress(OSError):  # it writes the end of the file
            self._file.close()
        remove(self._temporary)


def import_pyarrow() -> Any:
    """Imports pyarrow.

    Returns:
        The package, with `pyarrow.parquet`.

    Raises:
        ImportError: It is not installed; the message says how to.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(f"--parquet needs pyarrow ({error}): {install_hint('parquet')}.") from None
    return pyarrow
