"""What a report is about, as its callers give it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keras_retinanet.analysis import Analysis
from keras_retinanet.evaluation import EvaluationResult
from keras_retinanet.schema import Detections, Sample


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
