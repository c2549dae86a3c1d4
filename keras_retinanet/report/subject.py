"""What a report is about, as its callers give it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_retinanet.analysis import Analysis, AnalysisSettings, analyse
from keras_retinanet.evaluation import EvaluationResult
from keras_retinanet.schema import Detections, Sample

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
    main: str = "AP"
    training_boxes: Any = None
    rows: Sequence[Mapping[str, str]] = ()
    best_epoch: int | None = None
    about: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


def with_analysis(subject: Subject, brightness: Mapping[int | str, float] | None = None) -> Subject:
    """Computes where the detector fails, on `MAX_ANALYSED` images at most, chosen by chance.

    Args:
        subject: With a result; its detections are those of its samples, in their order.
        brightness: Mean brightness of the images by id. Defaults to `None`: it was not measured.

    Returns:
        The subject of these images, with the analysis.
    """
    samples, detections, notes = subject.samples, subject.detections, list(subject.notes)
    if len(samples) > MAX_ANALYSED:
        chosen = np.sort(np.random.default_rng(0).choice(len(samples), MAX_ANALYSED, replace=False)).tolist()
        notes.append(f"plots and pictures are of {MAX_ANALYSED:,} of {len(samples):,} images, chosen by chance")
        samples, detections = [samples[k] for k in chosen], [detections[k] for k in chosen]
    settings = AnalysisSettings(brightness=brightness, training_boxes=subject.training_boxes)
    analysis = analyse(samples, detections, subject.class_names, settings)
    return dataclasses.replace(subject, samples=samples, detections=detections, analysis=analysis, notes=notes)
