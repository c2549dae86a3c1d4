"""Images are selected, classes changed and data sets joined; a collector of errors follows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.data.datasets import AnnotatedImages, Annotations, BoxRow
from keras_retinanet.data.error_collector import ErrorCollector
from keras_retinanet.data.index_operations import change_classes, join, select_images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in "abc":
        Image.new("RGB", (40, 20)).save(tmp_path / f"{name}.png")
    return tmp_path


def read(folder: Path, collector: ErrorCollector | None = None, *, relative: bool = False) -> AnnotatedImages:
    """Image a: one cat, one ignored dog; b: none; c: two dogs, the second without area."""
    scale = np.array([40, 20, 40, 20]) if relative else np.ones(4)
    boxes = [(0, (0, 0, 10, 10), "cat", False), (0, (5, 5, 15, 15), "dog", True), (2, (1, 2, 3, 4), "dog", False)]
    boxes.append((2, (8, 8, 8, 9), "dog", False))
    rows = [
        BoxRow(image, list(np.array(box) / scale), name, f"line {n}", ignore)
        for n, (image, box, name, ignore) in enumerate(boxes, 1)
    ]
    annotations = Annotations(
        str(folder),
        ["cat", "dog"],
        [str(folder / f"{name}.png") for name in "abc"],
        [1, 2, 3],
        [(20, 40)] * 3,
        boxes=rows,
        is_relative=relative,
        category_ids={"cat": 7, "dog": 9},
    )
    return AnnotatedImages(annotations, on_error=collector or "skip")


def test_selected_images_keep_their_boxes(folder: Path) -> None:
    collector = ErrorCollector()
    index = select_images(read(folder, collector).contents, [1, 2], collector)
    samples = list(AnnotatedImages.from_index(index))
    assert [Path(sample["image"]).name for sample in samples] == ["b.png", "c.png"]
    assert [sample["boxes"].tolist() for sample in samples] == [[], [[1, 2, 3, 4]]]
    assert index.report.num_boxes == 1
    assert collector.columns is not None
    assert collector.columns.image.tolist() == [1, 1]
    assert [collector.columns.name(row) for row in (0, 1)] == ["line 3", "line 4"]
    assert collector.annotated_sizes == [(20, 40)] * 2


def test_no_image_selected(folder: Path) -> None:
    index = select_images(read(folder).contents, [])
    assert (index.images, index.splits.tolist(), index.boxes.shape) == ([], [0], (0, 4))


def test_classes_left_out_lose_their_boxes_but_not_their_images(folder: Path) -> None:
    collector = ErrorCollector()
    index = change_classes(read(folder, collector).contents, ["animal"], [-1, 0], collector)
    samples = list(AnnotatedImages.from_index(index))
    assert [sample["boxes"].tolist() for sample in samples] == [[[5, 5, 15, 15]], [], [[1, 2, 3, 4]]]
    assert [sample["ignore"].tolist() for sample in samples] == [[True], [], [False]]
    assert (index.class_names, index.category_ids, index.labels.tolist()) == (("animal",), (9,), [0, 0])
    assert collector.columns is not None
    assert collector.columns.labels.tolist() == [0, 0, 0]
    assert collector.columns.name(0) == "line 2"


def test_merged_classes_have_the_first_category_id(folder: Path) -> None:
    index = change_classes(read(folder).contents, ["x", "pet"], [1, 1])
    assert (index.labels.tolist(), index.category_ids) == ([1, 1, 1], (None, 7))


def test_joined_sets_share_classes_of_one_name(folder: Path) -> None:
    collectors = [ErrorCollector(), ErrorCollector()]
    first, second = read(folder, collectors[0]), read(folder, collectors[1], relative=True)
    other = change_classes(second.contents, ["dog", "bird"], [1, 0], collectors[1])
    collector = ErrorCollector()
    index = join([first.contents, other], collectors, collector)
    assert index.class_names == ("cat", "dog", "bird")
    assert index.labels.tolist() == [0, 1, 1, 2, 1, 1]
    assert index.splits.tolist() == [0, 2, 2, 3, 5, 5, 6]
    assert index.image_ids == [0, 1, 2, 3, 4, 5]  # 1, 2, 3 occur twice
    assert index.boxes[3:].tolist() == index.boxes[:3].tolist()
    assert index.report.num_dropped == 2
    assert collector.columns is not None
    assert collector.columns.image.tolist() == [0, 0, 2, 2, 3, 3, 5, 5]
    assert collector.columns.boxes[4:].tolist() == collector.columns.boxes[:4].tolist()  # shares became pixels
    assert [collector.columns.name(row) for row in (0, 3, 4, 7)] == ["line 1", "line 4", "line 1", "line 4"]
    assert len(collector.annotated_sizes) == 6


def test_ids_that_are_unique_stay(folder: Path) -> None:
    first = read(folder).contents
    second = select_images(read(folder).contents, [0])
    second.image_ids = ["a"]
    assert join([first, second], [None, None]).image_ids == [1, 2, 3, "a"]
