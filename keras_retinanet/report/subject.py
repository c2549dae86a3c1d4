"""What a report is about, as its callers give it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_retinanet.analysis import Analysis, AnalysisSettings, analyse
from keras_retinanet.analysis.comparison import Comparison
from keras_retinanet.analysis.goals import Goal
from keras_retinanet.analysis.thresholds import ThresholdChoice, choose_thresholds
from keras_retinanet.evaluation import EvaluationResult
from keras_retinanet.evaluation.detections import pair_detections
from keras_retinanet.evaluation.matching import match_by_coco, match_images
from keras_retinanet.evaluation.metric import count_boxes
from keras_retinanet.schema import Detections, Sample

IOU, REPLICATES = 0.5, 200
"""IoU from which a detection is right, and resampled sets of images, where thresholds are chosen."""
MAX_ANALYSED = 10_000
"""Images whose errors are analysed, which takes some kilobytes of memory each."""


@dataclass(frozen=True)
class Subject:
    """A model, or a file of detections, on annotated images.

    Attributes:
        title: What was evaluated, such as `"best.keras on bccd val"`.
        class_names: Names of the labels `0 … K-1`.
        samples: The annotated images; none if nothing was measured.
        detections: Their detections.
        result: The numbers of the chosen metric; `None` if nothing was measured.
        analysis: Where the detector fails; `None` if that was not computed.
        thresholds: Score thresholds to deploy; `None` if none were chosen.
        comparison: Several models side by side; `None` for one.
        compared: The detections of each of them; none to show no pictures.
        main: Name in its `stats` of the number that ranks models.
        training_boxes: `(K,)` training boxes of each class; `None` if they are not known.
        rows: Rows of the run's `metrics.csv`; none if the report does not belong to a run.
        best_epoch: Epoch of `best.keras`; `None` if there is none.
        about: Further facts by name: data, command, speed …
        notes: Sentences that a reader of the numbers must know, besides those of `result`.
    """

    title: str
    class_names: Sequence[str]
    samples: Sequence[Sample] = ()
    detections: Sequence[Detections] = ()
    result: EvaluationResult | None = None
    analysis: Analysis | None = None
    thresholds: ThresholdChoice | None = None
    comparison: Comparison | None = None
    compared: Sequence[Sequence[Detections]] = ()
    main: str = "AP"
    training_boxes: Any = None
    rows: Sequence[Mapping[str, str]] = ()
    best_epoch: int | None = None
    about: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


def with_analysis(subject: Subject, brightness: Mapping[int | str, float] | None = None) -> Subject:
    """Computes where the detector fails and the thresholds of best F1, on `MAX_ANALYSED` images at most.

    Args:
        subject: With a result; its detections are those of its samples, in their order.
        brightness: Mean brightness of the images by id. Defaults to `None`: it was not measured.

    Returns:
        The subject of these images, with both. Thresholds that the subject has are kept.
    """
    samples, detections, notes = subject.samples, subject.detections, list(subject.notes)
    if len(samples) > MAX_ANALYSED:
        chosen = choose_images(len(samples))
        notes.append(f"plots and pictures are of {MAX_ANALYSED:,} of {len(samples):,} images, chosen by chance")
        samples, detections = [samples[k] for k in chosen], [detections[k] for k in chosen]
    settings = AnalysisSettings(brightness=brightness, training_boxes=subject.training_boxes)
    analysis = analyse(samples, detections, subject.class_names, settings)
    thresholds = subject.thresholds or _choose_thresholds(samples, detections, subject.class_names)
    return dataclasses.replace(
        subject, samples=samples, detections=detections, analysis=analysis, thresholds=thresholds, notes=notes
    )


def choose_images(count: int) -> list[int]:
    """Chooses the images that are analysed.

    Args:
        count: Images of the data set.

    Returns:
        Their positions, ascending: all, or `MAX_ANALYSED` by chance.
    """
    if count <= MAX_ANALYSED:
        return list(range(count))
    chosen: list[int] = np.sort(np.random.default_rng(0).choice(count, MAX_ANALYSED, replace=False)).tolist()
    return chosen


def _choose_thresholds(
    samples: Sequence[Sample], detections: Sequence[Detections], class_names: Sequence[str]
) -> ThresholdChoice:
    """The thresholds of best F1 of each class."""
    count = len(class_names)
    boxes = [
        count_boxes(np.asarray(each["labels"], np.int64), np.asarray(each["ignore"], bool), count) for each in samples
    ]
    return choose_thresholds(
        match_images(pair_detections(samples, detections, count), match_by_coco, IOU),
        np.array(boxes, np.int64).reshape(-1, count),
        class_names,
        Goal("f", 1.0),
        replicates=REPLICATES,
    )
