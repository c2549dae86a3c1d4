"""Two detectors on four images of one box each, by metrics other than COCO's."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from keras_retinanet.analysis.metric_comparison import compare_numbers, describe_numbers
from keras_retinanet.evaluation import METRICS

SAMPLES: Any = [
    {"image": f"{k}.png", "image_id": k, "boxes": [[0, 0, 10, 10]], "labels": [0], "ignore": [False]} for k in range(4)
]


def detections(found: dict[int, float]) -> list[Any]:
    """By image the width of the box that is found."""
    return [
        {"image_id": k, "boxes": [[0, 0, width, 10]], "scores": [0.9 - 0.1 * k], "labels": [0]}
        for k, width in found.items()
    ]


FOUND = [detections({0: 10, 1: 10, 2: 10}), detections({0: 10, 1: 10, 2: 10, 3: 10})]
"""The first misses a box of four: it is in 1 - .75⁴ = 68 % of the resampled sets."""


@pytest.mark.parametrize(
    ("name", "number", "value"),
    [("voc", "mAP", 0.25), ("lrp", "oLRP", -0.25), ("f1", "F1", 1 - 6 / 7), ("counts", "exact", 0.25),
     ("counts", "MAE", -0.25), ("voc2007", "mAP", 1 - 8 / 11), ("open_images", "mAP_V2", 0.25), ("fizyr", "mAP", 0.25)],
)  # fmt: skip
def test_a_box_that_only_the_second_finds(name, number, value):
    (own,) = compare_numbers(METRICS[name], SAMPLES, FOUND, ["ant"], replicates=400)
    assert own[number].value == pytest.approx(value)
    assert own[number].share_better == pytest.approx(1 - 0.75**4, abs=0.06)
    assert own[number].share_worse == 0
    low, high = own[number].interval
    assert low <= value <= high
    assert own[number].deviation > 0.1


def test_the_text_says_what_is_better():
    results = [METRICS["lrp"](SAMPLES, found, ["ant"]) for found in FOUND]
    differences = compare_numbers(METRICS["lrp"], SAMPLES, FOUND, ["ant"], replicates=50)
    lines = describe_numbers(["a", "b"], results, differences, 50).splitlines()
    assert "b against a: difference ± standard deviation, from 50 resamplings of the 4 images" in lines
    row = next(line for line in lines if line.startswith("oLRP ") and "±" in line)
    assert row.split()[:3] == ["oLRP", "-0.250", "±"]
    assert row.endswith("worse in 0 %")


def test_sets_without_boxes_have_no_numbers():
    empty = {"boxes": np.zeros((0, 4)), "labels": [], "ignore": []}
    (own,) = compare_numbers(METRICS["voc"], [SAMPLES[0] | empty], [[], []], ["ant"], replicates=5)
    assert np.isnan([own["mAP"].value, own["mAP"].share_better]).all()
    result = METRICS["voc"]([SAMPLES[0] | empty], [], ["ant"])
    assert "none" in describe_numbers(["a", "b"], [result] * 2, (own,), 5)


def test_a_metric_that_cannot_resample_has_no_intervals():
    without = dataclasses.replace(METRICS["voc"], match_once=None)
    assert compare_numbers(without, SAMPLES, FOUND, ["ant"]) == ()
    result = METRICS["voc"](SAMPLES, FOUND[0], ["ant"])
    assert "against" not in describe_numbers(["a", "b"], [result] * 2, ())
