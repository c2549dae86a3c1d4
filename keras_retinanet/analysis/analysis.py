"""All analyses of one set of detections, from one matching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keras_retinanet.analysis.calibration import Calibration, calibrate
from keras_retinanet.analysis.confusion_matrix import ConfusionMatrix, count_confusions
from keras_retinanet.analysis.curves import ScoreCurves, compute_curves
from keras_retinanet.analysis.label_errors import LabelError, find_label_errors
from keras_retinanet.analysis.matches import match
from keras_retinanet.analysis.slices import Slice, compute_slices
from keras_retinanet.analysis.tide import TideErrors, find_errors
from keras_retinanet.analysis.worst_images import WorstImages, find_worst
from keras_retinanet.schema import Detections, Sample


@dataclass(frozen=True)
class AnalysisSettings:
    """What the analyses count.

    Attributes:
        iou_threshold: IoU from which a detection is right.
        background_iou: Detections that overlap boxes at most this much are background.
        score_threshold: Detections that score above it count in the confusion matrix and in the list of images.
        num_bins: Bins of the calibration.
        num_worst: Misses, wrong detections and images listed.
        num_label_errors: Label errors listed.
        brightness: Mean brightness of each image, 0 … 255, by id; `None` leaves that division out.
        training_boxes: `(K,)` boxes of each class in training; `None` leaves that division out.
    """

    iou_threshold: float = 0.5
    background_iou: float = 0.1
    score_threshold: float = 0.3
    num_bins: int = 10
    num_worst: int = 50
    num_label_errors: int = 1000
    brightness: Mapping[int | str, float] | None = None
    training_boxes: Sequence[int] | None = None


@dataclass(frozen=True)
class Analysis:
    """Where a detector fails.

    Attributes:
        class_names: Names of the labels `0 … K-1`.
        errors: TIDE's kinds of error.
        confusion: Which class is taken for which.
        curves: Precision, recall and F1 against the score.
        calibration: Score against precision.
        slices: AP of parts of the data set.
        worst: Misses and confident wrong detections.
        label_errors: Annotations that look wrong.
    """

    class_names: tuple[str, ...]
    errors: TideErrors
    confusion: ConfusionMatrix
    curves: ScoreCurves
    calibration: Calibration
    slices: tuple[Slice, ...]
    worst: WorstImages
    label_errors: tuple[LabelError, ...]


def analyse(
    samples: Sequence[Sample],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    settings: AnalysisSettings | None = None,
) -> Analysis:
    """Computes all analyses.

    Args:
        samples: Annotated images.
        detections: Detections with boxes in pixels of the image files; images without any may be left out.
        class_names: Names of the labels `0 … K-1`.
        settings: What counts. Defaults to `AnalysisSettings()`.

    Returns:
        The results.

    Raises:
        ValueError: Detections of an unknown image, or a label outside `0 … K-1`.
    """
    settings = settings or AnalysisSettings()
    matches = match(samples, detections, class_names, settings.iou_threshold, settings.background_iou)
    errors = find_errors(matches, settings.background_iou)
    return Analysis(
        class_names=tuple(class_names),
        errors=errors,
        confusion=count_confusions(matches, settings.score_threshold),
        curves=compute_curves(matches),
        calibration=calibrate(matches, num_bins=settings.num_bins),
        slices=compute_slices(matches, settings.brightness, settings.training_boxes),
        worst=find_worst(matches, errors, settings.score_threshold, settings.num_worst),
        label_errors=find_label_errors(matches, settings.num_label_errors),
    )
