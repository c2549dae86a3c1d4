"""What a metric needs of each image, matched once: its numbers follow for the images as they are, or resampled."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.evaluation.detections import pair_detections
from keras_retinanet.evaluation.matching import Matches, Rule, match_images
from keras_retinanet.evaluation.metric import MetricSettings
from keras_retinanet.schema import Detections, Sample

Array = NDArray[Any]
Numbers = Callable[[Array], dict[str, float]]
"""`(I,)` how often each image is in a set → the numbers of a metric over all classes, by the names of its `stats`."""


class BoxLabels(NamedTuple):
    """The boxes to find of all images.

    Attributes:
        image: `(N,)` position of the image.
        label: `(N,)`.
        num_classes: int, `K`.
    """

    image: Array
    label: Array
    num_classes: int

    def by_class(self, counts: Array | None = None) -> Array:
        """Counts the boxes of each class.

        Args:
            counts: `(I,)` how often each image is in the set. Defaults to once.

        Returns:
            `(K,)` int64.
        """
        label = self.label if counts is None else np.repeat(self.label, counts[self.image])
        return np.bincount(label, minlength=self.num_classes).astype(np.int64)


@dataclass(frozen=True)
class ImageResults:
    """The detections of each class, matched at one IoU threshold or several.

    Attributes:
        classes: By IoU threshold, the detections of each class, right or wrong, best first.
        num_boxes: `(K,)` boxes to find.
        boxes: The boxes of all images.
    """

    classes: Mapping[float, tuple[Matches, ...]]
    num_boxes: Array
    boxes: BoxLabels

    def resample(self, counts: Array) -> ImageResults:
        """The results of a set of images in which some occur several times, others never.

        Args:
            counts: `(I,)` how often.

        Returns:
            They; copies of an image are next to each other.
        """
        classes = {iou: tuple(part.repeat(counts) for part in parts) for iou, parts in self.classes.items()}
        return dataclasses.replace(self, classes=classes, num_boxes=self.boxes.by_class(counts))


def match_classes(
    samples: Sequence[Sample],
    detections: Sequence[Detections],
    num_classes: int,
    rule: Rule,
    settings: MetricSettings,
) -> ImageResults:
    """Matches the detections of all images within each class.

    Args:
        samples: Annotated images.
        detections: Their detections.
        num_classes: int, `K`.
        rule: `match_by_coco` or `match_by_voc`.
        settings: IoU thresholds, score threshold and limit on the detections of an image.

    Returns:
        Results of each class.

    Raises:
        ValueError: Detections of an unknown image, or a label outside `0 … K-1`.
    """
    pairs = pair_detections(samples, detections, num_classes)
    return gather_results(match_at_thresholds(pairs, rule, settings), list_boxes(samples, num_classes))


def match_at_thresholds(
    pairs: Sequence[tuple[Sample, Detections]], rule: Rule, settings: MetricSettings
) -> dict[float, Matches]:
    """Matches the detections of all images at the IoU thresholds of the settings, 0.5 where they have none.

    Args:
        pairs: Annotations and detections of each image.
        rule: `match_by_coco` or `match_by_voc`.
        settings: IoU thresholds, score threshold and limit on the detections of an image.

    Returns:
        By IoU threshold, one row per detection that counts.
    """
    return {iou: match_images(pairs, rule, iou, settings) for iou in settings.iou_thresholds or (0.5,)}


def gather_results(matches: Mapping[float, Matches], boxes: BoxLabels) -> ImageResults:
    """Sorts the detections of all images by class.

    Args:
        matches: They, by IoU threshold.
        boxes: The boxes of all images.

    Returns:
        Results of each class.
    """
    labels = range(boxes.num_classes)
    classes = {iou: tuple(own.of_class(label) for label in labels) for iou, own in matches.items()}
    return ImageResults(classes, boxes.by_class(), boxes)


def list_boxes(samples: Sequence[Sample], num_classes: int, *, with_ignored: bool = False) -> BoxLabels:
    """Lists the labels of all boxes to find.

    Args:
        samples: Annotated images.
        num_classes: int, `K`.
        with_ignored: Ignore regions, too.

    Returns:
        One row per box.
    """
    labels = [
        np.asarray(sample["labels"], np.int64)[with_ignored | ~np.asarray(sample["ignore"], bool)] for sample in samples
    ]
    image = np.repeat(np.arange(len(samples)), [len(own) for own in labels])
    return BoxLabels(image, np.concatenate([np.zeros(0, np.int64), *labels]), num_classes)
