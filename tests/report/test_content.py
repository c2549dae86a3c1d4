"""The numbers on the page, worked by hand; and reports that lack some of them."""

from __future__ import annotations

import dataclasses
import json
import platform
from pathlib import Path

import numpy as np
import pytest

from keras_retinanet.analysis import analyse
from keras_retinanet.evaluation import METRICS
from keras_retinanet.report import Subject, describe_versions, write_report
from keras_retinanet.report.content import describe_subject, finite_or_none
from keras_retinanet.report.page import embed_json
from keras_retinanet.version import __version__


def test_headline_and_classes(subject: Subject) -> None:
    content = describe_subject(subject)
    assert content["subtitle"] == "2 images, 3 annotated boxes of 3 classes, 3 detections"
    names, values = zip(*((entry["name"], entry["value"]) for entry in content["headline"]), strict=True)
    assert names == ("AP", "AP50", "AP75", "best F1", "precision", "recall")
    assert values == pytest.approx((0.5, 0.5, 0.5, 0.5, 1, 1 / 3), abs=1e-6)
    assert content["headline"][0]["comparable"] == "COCO leaderboard"
    assert len(content["numbers"]) == 12
    assert content["threshold"] == 0.8
    columns = {column["title"]: column["values"] for column in content["classes"]["columns"]}
    assert columns == {"boxes": [1, 2, 0], "training boxes": [7, 2000, 0], "AP": [1, 0, None], "AP50": [1, 0, None]}


def test_counts_by_score(subject: Subject) -> None:
    curves = describe_subject(subject)["curves"]
    everything, first, bee, unused = curves["groups"]
    at = [curves["thresholds"].index(score) for score in (0.0, 0.69, 0.7, 0.79, 0.8, 0.9)]
    assert [everything["hits"][k] for k in at] == [1, 1, 1, 1, 1, 0]
    assert [everything["wrong"][k] for k in at] == [2, 2, 1, 1, 0, 0]
    assert [first["wrong"][k] for k in at] == [1, 1, 0, 0, 0, 0]
    assert [group["boxes"] for group in curves["groups"]] == [3, 1, 2, 0]
    assert first["precision"] == [1] * 101
    assert bee["precision"] == [0] * 101
    assert unused["precision"] is None
    assert everything["precision"] == [1] * 34 + [0] * 67


def test_sections_of_the_analysis(subject: Subject) -> None:
    content = describe_subject(subject)
    counts = {row["name"]: row["text"] for row in content["errors"]["rows"]}
    assert counts == {
        "Wrong class": "1 case", "Background": "1 case", "Missed": "1 case", "Loose box": "0 cases",
        "Class and box": "0 cases", "Duplicate": "0 cases",
    }  # fmt: skip
    assert content["confusion"]["cells"] == [[0, 0, 1], [1, 0, 1], [1, 3, 1], [3, 1, 1]]
    assert content["confusion"]["names"][-1] == "background"
    assert [(row["name"], row["count"], row["precision"]) for row in content["calibration"]["bins"]] == [
        ("0.60 to 0.70", 1, 0), ("0.70 to 0.80", 1, 0), ("0.80 to 0.90", 1, 1),
    ]  # fmt: skip
    training = next(part for part in content["slices"] if part["title"] == "Training boxes")
    assert [(row["name"], row["value"], row["boxes"]) for row in training["rows"]] == [
        ("below 100", pytest.approx(1), 1), ("1,000 and more", 0, 2),
    ]  # fmt: skip


@pytest.mark.parametrize("missing", ["analysis", "thresholds", "training_boxes", "best_epoch", "rows", "about"])
def test_any_entry_may_be_missing(subject: Subject, missing: str, tmp_path: Path) -> None:
    lacking = dataclasses.replace(subject, **{missing: {"rows": (), "about": {}}.get(missing)})
    write_report(lacking, tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size > 40_000


def test_a_run_without_validation_images(subject: Subject, tmp_path: Path) -> None:
    bare = Subject("a run", subject.class_names, training_boxes=subject.training_boxes, rows=subject.rows)
    content = describe_subject(bare)
    assert content["headline"] == content["advice"] == []
    assert content["curves"] is None
    assert [column["title"] for column in content["classes"]["columns"]] == ["training boxes"]
    write_report(bare, tmp_path / "report.html")


def test_no_boxes_and_no_detections(subject: Subject, tmp_path: Path) -> None:
    empty = [
        {**sample, "boxes": np.zeros((0, 4)), "labels": np.zeros(0, int), "ignore": np.zeros(0, bool)}
        for sample in subject.samples
    ]
    names = subject.class_names
    result, analysis = METRICS["coco"](empty, [], names), analyse(empty, [], names)
    nothing = dataclasses.replace(subject, samples=empty, detections=[], result=result, analysis=analysis)
    content = describe_subject(nothing)
    assert json.loads(embed_json(content))["headline"][0]["value"] is None
    assert content["threshold"] == 0
    assert content["calibration"] is None
    write_report(nothing, tmp_path / "report.html")


def test_numbers_that_do_not_exist() -> None:
    assert [finite_or_none(value) for value in (-1.0, float("nan"), 0.0, 0.1234567)] == [None, None, 0.0, 0.123457]


def test_versions_of_what_computed_the_numbers() -> None:
    found = describe_versions()
    assert found.startswith(f"keras_retinanet {__version__}, keras 3.")
    assert f"numpy {np.__version__}" in found
    assert f"Python {platform.python_version()}" in found
