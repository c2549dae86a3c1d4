"""The mean average precision of Open Images: boxes of groups, and classes above others in a hierarchy.

Where image-level labels say which classes a person has looked for in an image, detections of others do not count there;
otherwise every image counts as completely annotated.

Reference: https://storage.googleapis.com/openimages/web/evaluation.html, numerics of `OpenImagesChallengeEvaluator` and
`OpenImagesDetectionEvaluator` of the TensorFlow Object Detection API.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_retinanet.box_overlap import areas, intersections
from keras_retinanet.evaluation.average_precision import (
    area_under_curve,
    class_precisions,
    mean_precisions,
    summarize,
)
from keras_retinanet.evaluation.detections import pair_detections
from keras_retinanet.evaluation.image_results import ImageResults, Numbers, gather_results, list_boxes
from keras_retinanet.evaluation.matching import IGNORED, RIGHT, Matches, match_by_voc, overlap_matrix
from keras_retinanet.evaluation.metric import OWN, EvaluationResult, MetricSettings, keep_counted
from keras_retinanet.schema import Detections, Sample

Array = NDArray[Any]
CHALLENGE, V2 = "Open Images Challenge", "Open Images V2 metric"
_UNVERIFIED = "no image-level labels: every image counts as completely annotated, which the challenge does not assume"


def evaluate(
    samples: Sequence[Sample],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    settings: MetricSettings | None = None,
) -> EvaluationResult:
    """Computes the mean over classes of the average precision at IoU 0.5, with boxes of groups.

    `ignore` marks a box of a group. Of the detections of a class that no box of one object takes and half of whose
    area lies in a group, the best counts as right and the others do not count; a group in which nothing is found
    counts as missed. A box of a class counts for all classes above it in `settings.parents`, too; detections do not.

    Args:
        samples: Annotated images.
        detections: Detections with boxes in pixels of the image files; images without any may be left out.
        class_names: Names of the labels `0 … K-1`.
        settings: The hierarchy; other IoU thresholds, a score threshold, a limit on detections. Defaults to none.

    Returns:
        See `average_precision.summarize`; `"mAP_V2"` and `"AP_V2"` leave the groups out, as the metric of before 2018.

    Raises:
        ValueError: Detections of an unknown image, or a label outside `0 … K-1`.
    """
    settings = settings or MetricSettings()
    results, single = _match_classes(samples, detections, class_names, settings)
    ap, without_groups = (class_precisions(own, area_under_curve) for own in (results, single))
    is_changed = settings.iou_thresholds not in (None, (0.5,)) or settings.max_detections is not None
    comparable = (OWN, OWN) if is_changed else (OWN, V2) if settings.verified is None else (CHALLENGE, OWN)
    result = summarize(samples, detections, class_names, ap, results.num_boxes, comparable[0])
    return dataclasses.replace(
        result,
        stats=result.stats | _without_groups(without_groups, single),
        captions=result.captions | {"mAP_V2": "mean AP without boxes of groups"},
        per_class=result.per_class | {"AP_V2": np.mean(list(without_groups.values()), axis=0)},
        comparable_with=result.comparable_with | {"mAP_V2": comparable[1]},
        notes=() if settings.verified is not None else (_UNVERIFIED,),
    )


def match_once(
    samples: Sequence[Sample],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    settings: MetricSettings | None = None,
) -> Numbers:
    """Matches the detections once, for numbers of resampled sets of images; see `Metric.match_once`."""
    both = _match_classes(samples, detections, class_names, settings or MetricSettings())

    def numbers(counts: Array) -> dict[str, float]:
        results, single = (own.resample(counts) for own in both)
        means = mean_precisions(class_precisions(results, area_under_curve), results.num_boxes)
        return means | _without_groups(class_precisions(single, area_under_curve), single)

    return numbers


def _match_classes(
    samples: Sequence[Sample], detections: Sequence[Detections], class_names: Sequence[str], settings: MetricSettings
) -> tuple[ImageResults, ImageResults]:
    """The results with boxes of groups, and without."""
    labels, count = {name: label for label, name in enumerate(class_names)}, len(class_names)
    above = [sorted(labels[name] for name in settings.parents.get(own, ()) if name in labels) for own in class_names]
    expanded = [_expand(sample, above) for sample in samples]
    pairs = [
        (sample, keep_counted(found, settings.score_threshold, settings.max_detections))
        for sample, found in pair_detections(expanded, detections, count)
    ]
    if settings.verified is not None:
        pairs = [
            (sample, _keep_verified(sample, found, labels, settings.verified.get(str(sample["image_id"]), ())))
            for sample, found in pairs
        ]
    with_groups, without_groups = {}, {}
    for threshold in settings.iou_thresholds or (0.5,):
        matches, is_group_hit = _match(pairs, threshold)
        with_groups[threshold] = matches
        without_groups[threshold] = matches._replace(verdict=np.where(is_group_hit, IGNORED, matches.verdict))
    return (
        gather_results(with_groups, list_boxes(expanded, count, with_ignored=True)),
        gather_results(without_groups, list_boxes(expanded, count)),
    )


def _without_groups(ap: Mapping[float, Array], single: ImageResults) -> dict[str, float]:
    return {"mAP_V2": mean_precisions(ap, single.num_boxes)["mAP"]}


def _keep_verified(sample: Sample, found: Detections, labels: Mapping[str, int], verified: Iterable[str]) -> Detections:
    """The detections of classes that have a box in the image, or were looked for."""
    known = {*np.asarray(sample["labels"]).tolist(), *(labels[name] for name in verified if name in labels)}
    is_kept = np.isin(np.asarray(found["labels"], np.int64), sorted(known))
    return {**found, **{name: np.asarray(found[name])[is_kept] for name in ("boxes", "scores", "labels")}}  # type: ignore[typeddict-item]


def _expand(sample: Sample, above: Sequence[Sequence[int]]) -> Sample:
    """Repeats each box for all classes above its own."""
    labels = np.asarray(sample["labels"], np.int64)
    rows = np.array([row for row, label in enumerate(labels) for _ in above[label]], np.int64)
    parents = np.array([parent for label in labels for parent in above[label]], np.int64)
    return {
        **sample,
        "boxes": np.concatenate([np.asarray(sample["boxes"]).reshape(-1, 4), np.asarray(sample["boxes"])[rows]]),
        "labels": np.concatenate([labels, parents]),
        "ignore": np.concatenate([sample["ignore"], np.asarray(sample["ignore"], bool)[rows]]).astype(bool),
    }


def _match(pairs: Sequence[tuple[Sample, Detections]], threshold: float) -> tuple[Matches, Array]:
    """The detections of all images, and which of them are right because of a group."""
    parts = [_match_image(sample, found, threshold) for sample, found in pairs]
    image = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    columns = [np.concatenate([np.zeros(0), *column]) for column in zip(*parts, strict=True)] or [np.zeros(0)] * 5
    label, score, verdict, overlap, is_group_hit = columns
    matches = Matches(image, label.astype(np.int64), score, verdict.astype(np.int64), overlap)
    return matches, is_group_hit.astype(bool)


def _match_image(sample: Sample, found: Detections, threshold: float) -> tuple[Array, ...]:
    """Label, score, verdict, overlap, and whether the verdict is due to a group, of one image's detections."""
    labels, truth, is_group = np.asarray(found["labels"], np.int64), sample["labels"], sample["ignore"]
    overlaps = overlap_matrix(found["boxes"], sample["boxes"])
    overlaps[(labels[:, None] != truth) | is_group] = -1
    matched = match_by_voc(overlaps, np.zeros(len(truth), bool), threshold)
    is_matched = matched >= 0
    overlap = np.zeros(len(labels))
    overlap[is_matched] = overlaps[np.flatnonzero(is_matched), matched[is_matched]]
    verdict, is_group_hit = is_matched.astype(np.int64), np.zeros(len(labels), bool)
    inside = _shares_inside(found["boxes"], sample["boxes"])
    inside[(labels[:, None] != truth) | ~is_group] = -1
    reached: set[int] = set()
    for row in np.flatnonzero(~is_matched & (inside >= threshold).any(axis=1)):
        group = int(inside[row].argmax())
        is_group_hit[row] = group not in reached
        verdict[row] = RIGHT if is_group_hit[row] else IGNORED
        reached.add(group)
    return labels, np.asarray(found["scores"], np.float64), verdict, overlap, is_group_hit


def _shares_inside(found: Any, truth: Any) -> Array:
    """`(D, N)` share of each detection's area inside each box."""
    left, right = (np.asarray(boxes, np.float64).reshape(-1, 4) for boxes in (found, truth))
    shares: Array = intersections(left[:, None], right[None]) / np.maximum(areas(left), 1e-12)[:, None]
    return shares
