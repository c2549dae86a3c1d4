"""The settings that turn scored boxes into detections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from keras_retinanet.config.names import ClipFrame, ClipTime, NmsMode, QualityScore


@dataclass(frozen=True)
class FilterConfig:
    """From scored boxes to detections (paper §4.1: score 0.05, 1,000 a level, NMS 0.5).

    Attributes:
        score_threshold: Boxes with this score or a lower one are dropped.
        nms_threshold: IoU above which the lower scored of two boxes is removed.
        max_detections: Maximum number of detections per image.
        top_k: Maximum number of (anchor, class) pairs per pyramid level that enter NMS.
        nms: Suppress boxes within their class, across classes, or not at all.
        clip: When boxes are clipped to the image: before NMS, after it (Detectron2), or never (KerasHub).
        clip_margin: Pixels by which boxes end before the image's right and lower edge: 1 in fizyr.
        clip_frame: What boxes are clipped to: the resized image, or the `shape` that it was resized for (Model Garden).
        drop_empty: Drop boxes without area: before NMS (MMDetection), or once clipped after it (Detectron2).
        class_thresholds: One score threshold per class, in the order of the labels; replaces `score_threshold`.
        top_k_scope: Whether `top_k` applies to each pyramid level, or to each class over all levels (Model Garden).
        max_per_class: Maximum number of detections of each class per image. Defaults to no limit.
        temperature: The logit of a score is divided by this, so that scores are probabilities (Guo et al. 2017).
        score_bias: Added to the logit after that. All thresholds apply to the resulting score.
        quality_score: Score of a box whose IoU is predicted: square root of score times IoU (PAA), their product
            (FCOS, ATSS), or the score alone.
        counts_empty: Whether boxes that are dropped once clipped after NMS count among `max_detections` (Detectron2) or
            not (Object Detection API). They always count in `max_per_class`.
    """

    score_threshold: float = 0.05
    nms_threshold: float = 0.5
    max_detections: int = 300
    top_k: int = 1000
    nms: NmsMode = "per_class"
    clip: ClipTime = "before_nms"
    clip_margin: int = 0
    drop_empty: bool = False
    class_thresholds: tuple[float, ...] = ()
    clip_frame: ClipFrame = "image"
    top_k_scope: Literal["level", "class"] = "level"
    max_per_class: int | None = None
    temperature: float = 1.0
    score_bias: float = 0.0
    quality_score: QualityScore = "sqrt"
    counts_empty: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_thresholds", tuple(self.class_thresholds))  # JSON has lists
