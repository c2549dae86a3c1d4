"""Thresholds to deploy and comparisons of models, as the page shows them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from keras_retinanet.analysis.comparison import compare
from keras_retinanet.report import Subject, write_report
from keras_retinanet.report.decision import describe_comparison, describe_thresholds


def test_thresholds(subject: Subject) -> None:
    assert subject.thresholds is not None
    found = describe_thresholds(subject.thresholds)
    assert found["thresholds"] == [0.8, 1.0, None], "0.9 is right and 0.7 wrong; no bee is right; nothing is unused"
    assert (found["right"], found["found"]) == ([1, 0, 0], [1, 0, 0])
    columns = {column["title"]: column["values"] for column in found["columns"]}
    assert columns["recall"] == [1.0, 0.0, None]
    assert columns["precision elsewhere"][2] == ""
    assert found["explanation"].startswith(
        "One threshold per class for the goal f1, chosen on these 2 images: together "
    )
    assert found["explanation"].endswith("There are no boxes of </script><b>unused: the threshold stays.")


def test_two_models(subject: Subject, tmp_path: Path) -> None:
    """The second model finds the bee of the second image, too."""
    first, second = subject.detections
    better = [first, {**second, "labels": second["labels"] + 1}]
    names = "old", "<b>new"
    comparison = compare(subject.samples, [subject.detections, better], names, subject.class_names, replicates=50)
    found = describe_comparison(comparison)
    numbers, classes, images = found["tables"]
    values = {row[0]: row[1:3] for row in numbers["rows"]}
    assert values["AP, old"] == [0.5, None]
    assert values["AP, <b>new"] == pytest.approx([0.5 + 0.5 * 51 / 101 * 0.5, 0.5 * 51 / 101 * 0.5], abs=1e-3)
    assert [row[0] for row in classes["rows"]] == list(subject.class_names[:2])
    assert [head["title"] for head in classes["heads"]] == ["class", "difference", "95 % range", "better in"]
    # F1 is best from 0.9 on for the old one, from 0.7 on for the new one, which then has the wrong detection of 0.8.
    assert images["rows"] == [["b.png", 1, 1], ["<b>a.png", 2, -1]]
    assert "fewer errors (missed boxes and wrong detections) in 1 images and more in 1 of 2." in images["explanation"]
    write_report(dataclasses.replace(subject, comparison=comparison), tmp_path / "report.html")
    assert "<b>new" not in (tmp_path / "report.html").read_text(encoding="utf-8")
