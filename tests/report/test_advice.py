"""Each sentence appears where its numbers call for it, and only there."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from keras_retinanet.analysis import Analysis
from keras_retinanet.analysis.slices import Slice
from keras_retinanet.report import Subject
from keras_retinanet.report.advice import advise


def sentences(subject: Subject, analysis: Analysis, threshold: float = 0.8) -> list[str]:
    return [entry.text for entry in advise(subject, analysis, threshold)]


@pytest.fixture
def analysis(subject: Subject) -> Analysis:
    assert subject.analysis is not None
    return subject.analysis


def with_losses(analysis: Analysis, **losses: float) -> Analysis:
    delta = {**dict.fromkeys(analysis.errors.delta_ap, 0.0), "FalsePos": 0.9, **losses}
    return dataclasses.replace(analysis, errors=dataclasses.replace(analysis.errors, delta_ap=delta))


def test_the_threshold(subject: Subject, analysis: Analysis) -> None:
    assert sentences(subject, analysis)[-1] == (
        "For use, F1 is best at --score-threshold 0.80: 100.0% of the detections are right, and 33.3% of the boxes are "
        "found. Move the slider for another balance."
    )


def test_the_largest_loss(subject: Subject, analysis: Analysis) -> None:
    first = sentences(subject, with_losses(analysis, Cls=0.2, Miss=0.1))[0]
    name = subject.class_names[0]
    assert first.startswith(
        f"Most AP is lost to objects found with the wrong class (most often bee as {name}, 1 time): 0.200, 1 case."
    )
    assert "--nms-threshold" in sentences(subject, with_losses(analysis, Dupe=0.2, Bkg=0.1))[0]
    assert not any("Most AP" in text for text in sentences(subject, with_losses(analysis, Miss=0.009)))


def test_weak_parts(subject: Subject, analysis: Analysis) -> None:
    def part(name: str, ap: float, boxes: int) -> Slice:
        return Slice("size", name, boxes, ap, ap, ap)

    parts = part("small", 0.1, 40), part("medium", 0.4, 50), part("large", 0.0, 9)
    found = sentences(subject, dataclasses.replace(with_losses(analysis), slices=parts))
    assert found[0].startswith("By size, AP is 0.100 for “small” (40 boxes) against 0.400 for “medium”. Larger input")
    parts = part("small", 0.3, 40), part("medium", 0.4, 50)
    assert not any("By size" in text for text in sentences(subject, dataclasses.replace(analysis, slices=parts)))


def test_classes(subject: Subject, analysis: Analysis) -> None:
    assert subject.result is not None
    changes: dict[str, Any] = {"num_boxes": np.array([30, 20, 0]), "per_class": {"AP": np.array([0.75, 0.25, np.nan])}}
    known = dataclasses.replace(subject, result=dataclasses.replace(subject.result, **changes))
    first = subject.class_names[0]
    found = sentences(known, analysis)
    weakest = "The weakest class is bee (AP 0.250, 2,000 training boxes)."
    assert weakest in found
    assert f"Few training boxes, below 50: {first} (7). More of them help most." in found
    assert not any("depend on chance" in text for text in found)
    assert "2 of the classes have fewer than 10 boxes here: their numbers depend on chance." in sentences(
        subject, analysis
    )
    unknown = sentences(dataclasses.replace(known, training_boxes=None), analysis)
    assert "The weakest class is bee (AP 0.250)." in unknown
    assert not any("Few training boxes" in text for text in unknown)


@pytest.mark.parametrize(
    ("best", "last", "said"),
    [
        (1, 1, "The last epoch, 1, is the best"),
        (3, 3, "The last epoch, 3, is the best"),
        (1, 3, "Epoch 1 of 3 is the best"),
        (2, 3, None),
        (None, 3, None),
    ],
)
def test_the_length_of_a_run(
    subject: Subject, analysis: Analysis, best: int | None, last: int, said: str | None
) -> None:
    run = dataclasses.replace(subject, best_epoch=best, rows=[{"epoch": str(k + 1)} for k in range(last)])
    found = [text for text in sentences(run, analysis) if "epoch" in text.lower()]
    assert [text.startswith(said) for text in found] == [True] if said else found == []
    if said and last < 3:
        assert sentences(run, analysis)[0] == found[0], "the first advice about a short run"


def test_no_detection_is_right(subject: Subject, analysis: Analysis) -> None:
    curves = dataclasses.replace(analysis.curves, hits=np.zeros_like(analysis.curves.hits))
    (only,) = sentences(subject, dataclasses.replace(analysis, curves=curves))
    assert only.startswith("No detection is right.")


def test_a_detector_that_is_hardly_trained(subject: Subject, analysis: Analysis) -> None:
    def said_at(ap: float) -> list[str]:
        low = with_losses(analysis, Bkg=0.2)
        return sentences(run, dataclasses.replace(low, errors=dataclasses.replace(low.errors, ap=ap)))

    run = dataclasses.replace(subject, best_epoch=3, rows=[{"epoch": str(k + 1)} for k in range(3)])
    first, second = said_at(0.049)
    assert first.startswith("The detector is hardly trained: AP at IoU 0.5 is 0.049. Check that")
    assert second.startswith("The last epoch, 3, is the best")
    assert not any("hardly" in text for text in said_at(0.05))
