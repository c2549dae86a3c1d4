"""Two images whose numbers are worked by hand: one box is found, one has another class, one is missed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.evaluation import METRICS
from keras_retinanet.report import Subject, with_analysis

MARKUP = '<img src=x onerror="document.title=1">'
NAMES = (MARKUP, "bee", "</script><b>unused")
ROWS = [
    {"epoch": "1", "loss": "2.5", "box_loss": "1.5", "val_AP": "0.25", "learning_rate": "0.001"},
    {"epoch": "2", "loss": "1.25", "box_loss": "0.5", "val_AP": "", "learning_rate": "0.0001"},
    {"epoch": "3", "loss": "1.0", "box_loss": "0.25", "val_AP": "0.5", "learning_rate": "0.0001"},
]


def make_samples(folder: Path) -> list[Any]:
    Image.new("RGB", (400, 300), (250, 250, 250)).save(folder / "<b>a.png")
    Image.new("RGB", (300, 400), (90, 120, 90)).save(folder / "b.png")
    boxes = [[10, 10, 110, 110], [150, 60, 350, 200]], [[20, 20, 220, 220]]
    labels, sizes, names = ([0, 1], [1]), ((300, 400), (400, 300)), ("<b>a.png", "b.png")
    return [
        {
            "image": str(folder / name),
            "image_id": row,
            "boxes": np.array(boxes[row], np.float32),
            "labels": np.array(labels[row], np.int32),
            "ignore": np.zeros(len(labels[row]), bool),
            "size": sizes[row],
        }
        for row, name in enumerate(names)
    ]


def make_detections() -> list[Any]:
    """The first box; nothing is at the second; the third with the wrong class."""
    found = [[10, 10, 110, 110], [300, 230, 390, 290]], [[20, 20, 220, 220]]
    scores, labels = ([0.9, 0.8], [0.7]), ([0, 1], [0])
    return [
        {
            "image_id": row,
            "boxes": np.array(found[row], np.float32),
            "scores": np.array(scores[row]),
            "labels": np.array(labels[row], np.int32),
        }
        for row in (0, 1)
    ]


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    samples, detections = make_samples(tmp_path_factory.mktemp("images")), make_detections()
    subject = Subject(
        title=f"{MARKUP} on val",
        class_names=NAMES,
        samples=samples,
        detections=detections,
        result=METRICS["coco"](samples, detections, NAMES),
        training_boxes=np.array([7, 2000, 0]),
        rows=ROWS,
        best_epoch=3,
        about={"command": f"retinanet-evaluate {MARKUP}", "data": "somewhere"},
    )
    return with_analysis(subject, {0: 10.0, 1: 200.0})
