"""What the pictures of a report are about, and the boxes in them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from keras_retinanet.analysis.label_errors import LabelError
from keras_retinanet.report import Subject
from keras_retinanet.report.galleries import Gallery, Pick, draw_galleries, enclose, match_image
from keras_retinanet.report.picks import pick_galleries, pick_random
from keras_retinanet.report.pictures import Pictures


def by_id(subject: Subject) -> dict[int | str, Any]:
    return {entry["image_id"]: entry for entry in subject.detections}


def test_picks(subject: Subject) -> None:
    first, box = subject.class_names[0], (20.0, 20.0, 220.0, 220.0)
    assert subject.analysis is not None
    suspects = (
        LabelError("missing", "a", 0, -1, -1, None, 1, (300.0, 230.0, 390.0, 290.0), 0.8, 0.0, 0.9),
        LabelError("wrong_class", "b", 1, 0, 1, box, 0, box, 0.7, 1.0, 0.8),
        LabelError(
            "misplaced", "a", 0, 0, 0, (10.0, 10.0, 110.0, 110.0), 0, (10.0, 10.0, 110.0, 110.0), 0.9, 0.45, 0.7
        ),
    )
    analysis = dataclasses.replace(subject.analysis, label_errors=suspects)
    found = {gallery.title: gallery.picks for gallery in pick_galleries(analysis, subject.samples, by_id(subject))}
    assert found["Worst misses"] == [Pick(0, "missed bee", truth=1)]
    assert found["Confident errors"] == [
        Pick(0, "bee 0.80: nothing annotated", found=1),
        Pick(1, f"{first} 0.70: annotated as bee", truth=0, found=0),
    ]
    assert found["Likely label errors"] == [
        Pick(0, "not annotated? bee 0.80", found=1),
        Pick(1, f"annotated as bee; {first} 0.70?", truth=0, found=0),
        Pick(0, f"misplaced? {first} 0.90, IoU 0.45", truth=0, found=0),
    ]
    assert sorted(pick.image for pick in found["Random images"]) == [0, 1]
    assert {pick.caption for pick in found["Most errors"]} == {"1 missed, 1 wrong"}


def test_without_an_analysis_images_are_chosen_by_chance(subject: Subject) -> None:
    assert [gallery.title for gallery in pick_galleries(None, subject.samples, {})] == ["Random images"]
    assert pick_random(subject.samples, 1).picks == pick_random(subject.samples, 2).picks[:1]


def test_boxes_of_a_picture(subject: Subject) -> None:
    galleries = [Gallery("A", "of one kind", [Pick(0, "both", truth=1, found=1)]), Gallery("B", "empty")]
    (drawn,) = draw_galleries(galleries, subject.samples, by_id(subject), Pictures())
    assert (drawn["title"], drawn["explanation"]) == ("A", "of one kind")
    (item,) = drawn["items"]
    assert (item["caption"], item["name"], item["width"], item["height"]) == ("both", "<b>a.png", 400, 300)
    assert item["labels"] == [1]
    assert item["truth"] == [
        {"box": [10, 10, 110, 110], "label": 0, "isFocus": False, "score": 0.9, "isIgnored": False},
        {"box": [150, 60, 350, 200], "label": 1, "isFocus": True, "score": 0.0, "isIgnored": False},
    ]
    assert item["found"] == [
        {"box": [10, 10, 110, 110], "label": 0, "isFocus": False, "score": 0.9, "verdict": "right"},
        {"box": [300, 230, 390, 290], "label": 1, "isFocus": True, "score": 0.8, "verdict": "wrong"},
    ]


def test_each_box_is_found_once_and_regions_count_for_nothing() -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 0, 60, 40]], float)
    sample: Any = {"boxes": boxes, "labels": np.array([0, 0]), "ignore": np.array([False, True])}
    found: Any = {
        "boxes": np.array([[0, 0, 10, 9], [0, 0, 10, 10], [22, 2, 30, 10], [70, 70, 80, 80]], float),
        "scores": np.array([0.5, 0.9, 0.4, 0.3]),
        "labels": np.array([0, 0, 0, 0]),
    }
    assert match_image(sample, found) == ([0.9, 0.4], ["wrong", "right", "ignored", "wrong"])


def test_galleries_take_turns(subject: Subject) -> None:
    """A limit on the pictures leaves every gallery its first ones."""
    galleries = [Gallery(name, "", [Pick(0, "a"), Pick(1, "b", truth=0)]) for name in "AB"]
    drawn = draw_galleries(galleries, subject.samples, {}, Pictures(max_bytes=1))
    assert [[item["caption"] for item in gallery["items"]] for gallery in drawn] == [["a"], ["a"]]
    assert drawn[0]["items"][0]["found"] == []


def test_the_smallest_box_around_two() -> None:
    assert enclose([[0, 5, 10, 15], [3, 2, 8, 20]]).tolist() == [0, 2, 10, 20]
