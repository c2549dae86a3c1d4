"""Images of a run for int8, and AP of a runtime on its validation images: painted rectangles, known to the pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.config import DataConfig
from keras_retinanet.export import run_data


class Scenes(list[Any]):
    """A data set in memory."""

    class_names = ("ant", "bee", "wasp")


@pytest.fixture
def scenes(tmp_path: Path, paint: Any, monkeypatch: pytest.MonkeyPatch) -> Scenes:
    """Ten images of one rectangle; the annotation of the fifth is of another class."""
    found = Scenes()
    for index in range(10):
        box = [10, 10, 40 + index, 30]
        name = tmp_path / f"{index}.png"
        Image.fromarray(paint(64, 96, [box], [1], [90])).save(name)
        boxes, labels = np.array([box], np.float32), np.array([0 if index == 4 else 1], np.int32)
        sample = {"image": str(name), "image_id": index, "boxes": boxes, "labels": labels, "ignore": np.array([False])}
        found.append(sample)
    monkeypatch.setattr(run_data, "open_dataset", lambda data, split: found)
    return found


def test_training_images_are_spread_over_the_data_set(scenes: Scenes) -> None:
    names = [Path(name).stem for name in run_data.training_files(DataConfig("demo"), 4)]
    assert names == ["0", "2", "5", "7"]
    assert len(run_data.training_files(DataConfig("demo"), 100)) == 10


def test_average_precision_of_a_runtime(scenes: Scenes, painted_runtime: Any) -> None:
    """Class bee: nine of nine found, after one false one of equal score at place 5 or later; class ant: none of one."""
    exact = run_data.ValidationData(DataConfig("demo"), 4)  # images 0, 2, 5 and 7
    assert [sample["image_id"] for sample in exact.samples] == [0, 2, 5, 7]
    assert exact.average_precision(painted_runtime()) == pytest.approx(1.0)
    every = run_data.ValidationData(DataConfig("demo"), 100).average_precision(painted_runtime())
    assert 0.4 < every < 0.5


def test_a_snapshot_alone_has_no_data(tmp_path: Path) -> None:
    assert run_data.find_run_data(tmp_path / "best.keras") is None
    (tmp_path / "config.yaml").write_text("data:\n  dataset: pascal\n  path: photos\n", encoding="utf-8")
    data = run_data.find_run_data(tmp_path / "best.keras")
    assert data is not None
    assert (data.dataset, data.path) == ("pascal", "photos")
