"""Which of several detectors is better on the same images: differences with intervals, and the images that changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.analysis.bootstrap import Interval, draw_counts, interval, mean_ap, resampled_ap
from keras_retinanet.evaluation import coco
from keras_retinanet.evaluation.coco_engine import IOU_THRESHOLDS, MAX_DETECTIONS
from keras_retinanet.evaluation.coco_matches import match_by_coco_at
from keras_retinanet.evaluation.detections import pair_detections
from keras_retinanet.evaluation.f1 import best_f1
from keras_retinanet.evaluation.matching import RIGHT, WRONG, Matches, match_by_coco, match_images
from keras_retinanet.evaluation.metric import EvaluationResult, MetricSettings, count_all_boxes, keep_counted
from keras_retinanet.schema import Detections, Sample

Array = NDArray[Any]
Pairs = Sequence[tuple[Sample, Detections]]

REPLICATES = 1000
"""Sets of images that are drawn."""
_COUNT_IOU = 0.5  # for the counts of each image


@dataclass(frozen=True)
class Difference:
    """By how much a number of a model exceeds that of the first model, on the same images.

    Attributes:
        value: On the images as they are.
        deviation: Standard deviation over resampled images.
        interval: That holds 95 % of the resampled differences.
        share_better: Share of the resampled sets on which the model is better than the first.
        share_worse: Share on which it is worse.
    """

    value: float
    deviation: float
    interval: Interval
    share_better: float
    share_worse: float


@dataclass(frozen=True)
class ComparedModel:
    """One of the models.

    Attributes:
        name: Short name, unique among the models.
        result: Its numbers by COCO's metric.
        intervals: Of `"AP"` and others in `result.stats`, over resampled images.
        score: Detections of this score and above are counted in `ImageCounts`: where its F1 is best.
    """

    name: str
    result: EvaluationResult
    intervals: dict[str, Interval]
    score: float


@dataclass(frozen=True)
class ImageCounts:
    """What each model found in an image, at IoU 0.5 and each model's own score threshold.

    Attributes:
        image: Path of the image.
        image_id: Its id in the data set.
        boxes: Boxes to find.
        right: Right detections of each model.
        wrong: Wrong detections of each model.
    """

    image: str
    image_id: int | str
    boxes: int
    right: tuple[int, ...]
    wrong: tuple[int, ...]

    @property
    def errors(self) -> tuple[int, ...]:
        """Missed boxes plus wrong detections of each model."""
        return tuple(self.boxes - right + wrong for right, wrong in zip(self.right, self.wrong, strict=True))

    def gain(self, model: int) -> int:
        """By how many errors a model is better than the first; negative if it is worse."""
        return self.errors[0] - self.errors[model]


@dataclass(frozen=True)
class Comparison:
    """Several models on the same images.

    Attributes:
        models: The models; the others are compared with the first.
        differences: For each other model, the difference of `"AP"`, `"AP50"`, … from the first.
        class_differences: For each other model, the difference of the AP of each class; `None` for a class without
            boxes.
        images: Counts of every image, in the order of the data set.
        replicates: Sets of images drawn.
        seed: Seed of the draw.
        notes: Sentences that a reader of the numbers must know.
    """

    models: tuple[ComparedModel, ...]
    differences: tuple[dict[str, Difference], ...]
    class_differences: tuple[dict[str, Difference | None], ...]
    images: tuple[ImageCounts, ...]
    replicates: int
    seed: int
    notes: tuple[str, ...] = ()

    def changed_images(self, model: int) -> list[ImageCounts]:
        """Images with more or fewer errors than by the first model, the most improved first.

        Args:
            model: Position of the model in `models`, from 1.

        Returns:
            Their counts.
        """
        changed = [counts for counts in self.images if counts.gain(model)]
        return sorted(changed, key=lambda counts: -counts.gain(model))


def compare(
    samples: Sequence[Sample],
    detections: Sequence[Sequence[Detections]],
    names: Sequence[str],
    class_names: Sequence[str],
    settings: MetricSettings | None = None,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Comparison:
    """Compares the detections of several models by COCO's AP.

    Detections are matched once. Every model is evaluated on the same resampled sets of images, so what makes a set easy
    or hard for all models cancels in their difference.

    Args:
        samples: Annotated images.
        detections: The detections of each model.
        names: Name of each model.
        class_names: Names of the labels `0 … K-1`.
        settings: Other IoU thresholds, score threshold or limit on detections. Defaults to COCO's.
        replicates: int, `R`.
        seed: Seed of the draw.

    Returns:
        The comparison.

    Raises:
        ValueError: Detections of an unknown image, or a label outside `0 … K-1`.
    """
    settings = settings or MetricSettings()
    counts = draw_counts(len(samples), replicates, seed)
    every = np.concatenate([np.ones((1, len(samples)), np.int32), counts])  # first the images as they are
    pairs = [pair_detections(samples, found, len(class_names)) for found in detections]
    ap = [_resample(own, len(class_names), settings, every) for own in pairs]
    operating = [_operate(own, samples, len(class_names), settings) for own in pairs]
    thresholds = settings.iou_thresholds or IOU_THRESHOLDS
    numbers = [_name_numbers(values, thresholds) for values in ap]
    models = [
        ComparedModel(
            name,
            coco.evaluate(samples, found, class_names, settings),
            {key: interval(column[1:], column[0]) for key, column in own.items()},
            score,
        )
        for name, found, own, (score, _) in zip(names, detections, numbers, operating, strict=True)
    ]
    means = [values.mean(axis=2) for values in ap]  # (R + 1, K)
    return Comparison(
        models=tuple(models),
        differences=tuple({key: difference_of(own[key] - numbers[0][key]) for key in own} for own in numbers[1:]),
        class_differences=tuple(
            {name: _class_difference(own[:, k] - means[0][:, k]) for k, name in enumerate(class_names)}
            for own in means[1:]
        ),
        images=tuple(_count_images(samples, [found for _, found in operating])),
        replicates=replicates,
        seed=seed,
        notes=_notes(pairs, names, class_names),
    )


def _resample(pairs: Pairs, num_classes: int, settings: MetricSettings, counts: Array) -> Array:
    """`(R, K, T)` AP of a model in resampled sets of images."""
    kept = [(sample, keep_counted(found, settings.score_threshold, None)) for sample, found in pairs]
    matches = match_by_coco_at(
        kept,
        num_classes,
        iou_thresholds=settings.iou_thresholds or IOU_THRESHOLDS,
        max_detections=settings.max_detections or MAX_DETECTIONS[-1],
    )
    return resampled_ap(matches, counts)


def _name_numbers(ap: Array, thresholds: Sequence[float]) -> dict[str, Array]:
    """`(R,)` replicates of AP, and of AP at single IoU thresholds, by COCO's names."""
    shown = [0, 5] if tuple(thresholds) == IOU_THRESHOLDS else range(len(thresholds))
    at = {f"AP{100 * thresholds[level]:g}": mean_ap(ap[:, :, level : level + 1]) for level in shown}
    return {"AP": mean_ap(ap), **at}


def difference_of(values: Array, *, lower_is_better: bool = False) -> Difference:
    """Summarizes a difference over resampled sets of images.

    Args:
        values: `(R + 1,)`, of which the first is on the images as they are; nan where a set does not have the number.
        lower_is_better: The number is an error.

    Returns:
        The difference with its spread.
    """
    drawn = values[1:][~np.isnan(values[1:])]
    if not len(drawn):
        return Difference(float(values[0]), np.nan, Interval(np.nan, np.nan), np.nan, np.nan)
    above, below = float((drawn > 0).mean()), float((drawn < 0).mean())
    better, worse = (below, above) if lower_is_better else (above, below)
    return Difference(float(values[0]), float(drawn.std()), interval(drawn, values[0]), better, worse)


def _class_difference(values: Array) -> Difference | None:
    return None if np.isnan(values[0]) else difference_of(values)


def _operate(
    pairs: Pairs, samples: Sequence[Sample], num_classes: int, settings: MetricSettings
) -> tuple[float, Matches]:
    """The score at which F1 over all classes is best, and the detections from there on."""
    counting = MetricSettings(score_threshold=settings.score_threshold)
    matches = match_images(pairs, match_by_coco, _COUNT_IOU, counting)
    num_boxes = int(count_all_boxes(samples, num_classes).sum())
    score = best_f1(matches.at(np.ones(len(matches.label), bool)), num_boxes).score
    kept = matches.score >= score  # none where the score is nan
    return score, Matches(*(column[kept] for column in matches))


def _count_images(samples: Sequence[Sample], found: Sequence[Matches]) -> list[ImageCounts]:
    tables = [
        [np.bincount(matches.image[matches.verdict == verdict], minlength=len(samples)) for matches in found]
        for verdict in (RIGHT, WRONG)
    ]
    right, wrong = (np.array(table).T.tolist() for table in tables)
    return [
        ImageCounts(sample["image"], sample["image_id"], int((~np.asarray(sample["ignore"], bool)).sum()),
                    tuple(right[row]), tuple(wrong[row]))
        for row, sample in enumerate(samples)
    ]  # fmt: skip


def _notes(pairs: Sequence[Pairs], names: Sequence[str], class_names: Sequence[str]) -> tuple[str, ...]:
    """Images and classes in which one model has no detection at all, and another has."""
    images = np.array([[bool(len(found["labels"])) for _, found in own] for own in pairs])  # (M, I)
    classes = np.zeros((len(pairs), len(class_names)), bool)
    for row, own in enumerate(pairs):
        for _, found in own:
            classes[row, np.asarray(found["labels"], np.int64)] = True
    notes = []
    for row, name in enumerate(names):
        lacking = int((~images[row] & images.any(axis=0)).sum())
        if lacking:
            notes.append(f"{name} has no detections in {lacking} images in which another model has some")
        missing = np.flatnonzero(~classes[row] & classes.any(axis=0))
        if len(missing):
            listed = ", ".join(repr(class_names[label]) for label in missing[:5])
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            notes.append(f"{name} has no detections of {listed}{more}, of which another model has some")
    return tuple(notes)
