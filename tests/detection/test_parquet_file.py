"""Parquet files of detections, read back by pyarrow."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from keras_retinanet.detection import parquet_file
from keras_retinanet.detection.parquet_file import ParquetFile
from keras_retinanet.schema import DetectedImage

NAMES = ("ant", "bee")


def found(boxes: list[list[float]], scores: list[float], labels: list[int]) -> DetectedImage:
    arrays = np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(labels, np.int32)
    return DetectedImage("a.jpg", (100, 200), *arrays, tuple(NAMES[label] for label in labels))


def test_a_row_per_image_with_its_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra `parquet`)")
    monkeypatch.setattr(parquet_file, "_ROWS", 2)
    file = ParquetFile(tmp_path / "new" / "found.parquet", NAMES)
    file.add("a.jpg", found([[10, 20, 30.5, 60], [0, 0, 200, 100]], [0.75, 0.25], [1, 0]))
    file.add("deep/b.jpg", found([], [], []))
    file.add("照片.jpg", found([[1, 2, 3, 4]], [0.5], [0]))
    assert file.close() == [tmp_path / "new" / "found.parquet"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["found.parquet"]
    read = parquet.ParquetFile(tmp_path / "new" / "found.parquet")
    assert read.num_row_groups == 2
    rows = read.read().to_pylist()
    assert [row["image"] for row in rows] == ["a.jpg", "deep/b.jpg", "照片.jpg"]
    assert (rows[0]["width"], rows[0]["height"]) == (200, 100)
    assert rows[0]["objects"] == [
        {"x1": 10, "y1": 20, "x2": 30.5, "y2": 60, "label": 1, "class": "bee", "score": 0.75},
        {"x1": 0, "y1": 0, "x2": 200, "y2": 100, "label": 0, "class": "ant", "score": 0.25},
    ]
    assert rows[1]["objects"] == []


def test_a_file_that_is_discarded_leaves_what_was_there(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra `parquet`)")
    (tmp_path / "found.parquet").write_text("old")
    file = ParquetFile(tmp_path / "found.parquet", NAMES)
    file.add("a.jpg", found([[1, 2, 3, 4]], [0.5], [0]))
    file.discard()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"found.parquet": "old"}


def test_without_pyarrow_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"--parquet needs pyarrow .*pip install '\.\[parquet\]'"):
        ParquetFile(tmp_path / "found.parquet", NAMES)
    assert list(tmp_path.iterdir()) == []
