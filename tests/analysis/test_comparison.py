"""Two detectors on four images of one box each."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from keras_retinanet.analysis import comparison_report
from keras_retinanet.analysis.comparison import Comparison, compare
from keras_retinanet.evaluation.metric import MetricSettings

SAMPLES = [
    {"image": f"{k}.png", "image_id": k, "boxes": [[0, 0, 10, 10]], "labels": [k % 2], "ignore": [False]}
    for k in range(4)
]


def detections(found: dict[int, list[float]], label: int | None = None) -> list[Any]:
    """By image the width of the box that is found, the scores falling with the image's number."""
    return [
        {"image_id": k, "boxes": [[0, 0, width, 10] for width in widths],
         "scores": [0.9 - 0.1 * k - 0.01 * j for j in range(len(widths))],
         "labels": [k % 2 if label is None else label] * len(widths)}
        for k, widths in found.items()
    ]  # fmt: skip


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    """The first finds three of four boxes, the second all and one wrong box."""
    first = detections({0: [10], 1: [10], 2: [10]})
    second = detections({0: [10], 1: [10, 2], 2: [10], 3: [10]})
    return compare(SAMPLES, [first, second, first], ["a", "b", "c"], ["ant", "bee"], replicates=400)


def test_differences(comparison):
    """Of two bees the first misses one: 51 of 101 recalls; the second finds it after a wrong box: 50 more at 2/3."""
    bees = np.array([51, 51 + 50 * 2 / 3, 51]) / 101
    stats = [model.result.stats["AP"] for model in comparison.models]
    assert stats == pytest.approx((1 + bees) / 2)
    assert comparison.class_differences[0]["ant"].value == 0
    assert comparison.class_differences[0]["bee"].value == pytest.approx(100 / 303)
    assert comparison.differences[0]["AP"].value == pytest.approx(50 / 303)
    drawn = 1 - (3 / 4) ** 4  # sets that have the image which the first misses: 68.4 %
    assert comparison.differences[0]["AP"].share_better == pytest.approx(drawn, abs=0.06)
    assert comparison.differences[0]["AP"].share_worse == 0
    same = comparison.differences[1]["AP"]
    assert (same.value, same.deviation, *same.interval, same.share_better, same.share_worse) == (0, 0, 0, 0, 0, 0)


def test_images_that_changed(comparison):
    """At its best F1 the second counts from 0.6 on: its wrong box scores 0.79."""
    assert [model.score for model in comparison.models[:2]] == pytest.approx([0.7, 0.6])
    assert [(row.image, row.gain(1)) for row in comparison.changed_images(1)] == [("3.png", 1), ("1.png", -1)]
    assert comparison.images[3].errors == (1, 0, 1)
    assert comparison.images[1].wrong == (0, 1, 0)
    assert comparison.changed_images(2) == []


def test_what_a_model_lacks(comparison):
    lacking = "{} has no detections in 1 images in which another model has some"
    assert comparison.notes == (lacking.format("a"), lacking.format("c"))
    notes = compare(SAMPLES, [detections({0: [10]}), detections({0: [10]}, label=1)], "ab", ["x", "y"]).notes
    assert notes == (
        "a has no detections of 'y', of which another model has some",
        "b has no detections of 'x', of which another model has some",
    )


def test_settings_reach_the_intervals():
    """A box of IoU .6: right at .5, wrong at .7."""
    settings = MetricSettings(iou_thresholds=(0.5, 0.7))
    found = compare(SAMPLES, [detections({}), detections({0: [6]})], "ab", ["x", "y"], settings, replicates=5)
    assert {name: each.value for name, each in found.differences[0].items()} == pytest.approx(
        {"AP": 51 / 404, "AP50": 51 / 202, "AP70": 0}
    )


def test_text_and_json(comparison):
    text = comparison_report.comparison_text(comparison)
    lines = text.splitlines()
    assert lines[0].split() == ["number", "a", "b", "c", "meaning"]
    assert lines[1].startswith("AP      0.752  0.917  0.752")
    assert next(line for line in lines if line.startswith("AP    +16.5 ± "))
    assert "images: 1 with fewer errors, 1 with more, 2 with as many (IoU 0.5, score from 0.700 and 0.600" in text
    assert "  3.png: 1 → 0 errors (1 boxes: right 0 → 1, wrong 0 → 0)" in lines
    content = json.loads(json.dumps(comparison_report.to_dict(comparison), allow_nan=False))
    assert [row["fewer_errors"] for row in content["models"][1]["images"]] == [1, -1]
    assert content["models"][1]["differences"]["AP"]["value"] == pytest.approx(50 / 303)
    assert "differences" not in content["models"][0]
    assert not np.isnan(content["models"][0]["intervals"]["AP"]).any()
