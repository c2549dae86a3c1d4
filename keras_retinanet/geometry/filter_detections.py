"""From scored boxes to detections: score threshold, best of each level, non-maximum suppression, fixed output size.

The first step, in `keras.ops`, reduces up to 16 million (anchor, class) scores to a few thousand candidates in
descending order. The second, `nms.py`, picks greedily among them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import keras
from keras import ops

from keras_retinanet.config import FilterConfig, NmsMode, QualityScore
from keras_retinanet.geometry.boxes import area, clip
from keras_retinanet.geometry.candidates import Candidates, best_of_classes, best_of_levels, masked
from keras_retinanet.geometry.nms import Kernel, Suppression, batched_nms, take_rows, uses_tensorflow_kernel
from keras_retinanet.geometry.rated_scores import RatedScores
from keras_retinanet.geometry.score_scale import ScoreScale
from keras_retinanet.schema import BatchDetections, Tensor

_SETTINGS = (
    "score_threshold",
    "nms_threshold",
    "max_detections",
    "top_k",
    "nms",
    "class_thresholds",
    "top_k_scope",
    "max_per_class",
    "temperature",
    "score_bias",
    "quality_score",
    "from_logits",
    "kernel",
)


def filter_detections(
    boxes: Tensor,
    scores: Tensor,
    quality: Tensor | None = None,
    *,
    window: Tensor | None = None,
    level_sizes: Sequence[int | Tensor] | None = None,
    score_threshold: float = FilterConfig.score_threshold,
    nms_threshold: float = FilterConfig.nms_threshold,
    max_detections: int = FilterConfig.max_detections,
    top_k: int | None = FilterConfig.top_k,
    nms: NmsMode = FilterConfig.nms,
    class_thresholds: Sequence[float] = FilterConfig.class_thresholds,
    top_k_scope: Literal["level", "class"] = FilterConfig.top_k_scope,
    max_per_class: int | None = FilterConfig.max_per_class,
    temperature: float = FilterConfig.temperature,
    score_bias: float = FilterConfig.score_bias,
    quality_score: QualityScore = FilterConfig.quality_score,
    from_logits: bool = False,
    kernel: Kernel = "auto",
) -> BatchDetections:
    """Keeps the best boxes of each image and drops those that overlap a better one.

    Equal scores are ordered by anchor, then by class, on every backend. Computes in float32 and passes no gradient.

    Args:
        boxes: `(B, A, 4)`. Corners `x1, y1, x2, y2` in pixels, already decoded and clipped.
        scores: `(B, A, K)`. Probabilities, or logits with `from_logits`.
        quality: `(B, A)`. Predicted IoU of each box, or its logit with `from_logits`. Defaults to `None`.
        window: `(B, 2)` or `(1, 2)`. Height and width outside which a box is suppressed and suppresses as any other and
            counts in `max_per_class`, but neither in `max_detections` nor in the output: what the Object Detection API
            makes of boxes that are empty once clipped. Defaults to `None`: all boxes count.
        level_sizes: ints or scalar tensors, summing to `A`. Anchors of each pyramid level, to which `top_k` applies.
            Defaults to `None`, all anchors as one level.
        score_threshold: Only scores strictly above it are kept.
        nms_threshold: A box is dropped when its IoU with a better kept one is strictly above it.
        max_detections: `D`, the size of the output; the best over all classes are kept.
        top_k: Most candidates (anchor and class) per level that enter the suppression. `None` takes all of them, which
            takes memory in proportion to `A * K * K`: for small inputs.
        nms: `"per_class"`; `"agnostic"`: one label per anchor, boxes of any class suppress each other; `"none"`.
        class_thresholds: `K` floats in place of `score_threshold`. Scores below the
            threshold of their class do not count: with one label per anchor, it is the best of the remaining classes.
            Defaults to `()`, the same for all.
        top_k_scope: `"level"`; or `"class"`: `top_k` anchors of each class over all levels enter the suppression, up
            to `K * top_k` pairs. One label per anchor is always by level.
        max_per_class: Most detections of each class. Defaults to `None`, no limit.
        temperature: The score of a logit z is `sigmoid(z / temperature + score_bias)`; thresholds apply to this score.
        score_bias: float.
        quality_score: How a score becomes one with `quality`, before the threshold: `"sqrt"` of their product,
            `"product"`, or `"none"`, the score alone.
        from_logits: `scores` are logits: they are compared as they are, and only the kept ones become probabilities.
            Defaults to `False`.
        kernel: `"ops"`, plain `keras.ops`; `"tensorflow"`, TensorFlow's fused CPU kernel, which XLA and LiteRT do not
            have; `"auto"`, the faster one, which is TensorFlow's wherever the backend is TensorFlow.

    Returns:
        `BatchDetections`: boxes `(B, D, 4)`, scores `(B, D)` descending, labels `(B, D)`, all padded with -1, and
        num_detections `(B,)`.

    Raises:
        ValueError: If a mode, kernel, threshold or size is not one of those above.

    Reference: Lin et al. 2017, §4.1; torchvision and Detectron2 (`per_class` with `level_sizes`), fizyr/keras-retinanet
        (`top_k=None`, all three modes).
    """
    _check_settings(nms, kernel, nms_threshold, max_detections, top_k, temperature)
    rated = RatedScores(scores, quality, quality_score, ScoreScale(from_logits, temperature, score_bias))
    threshold = rated.scale.thresholds(score_threshold, class_thresholds, scores.shape[-1])
    boxes = ops.stop_gradient(ops.cast(boxes, "float32"))
    if top_k_scope == "class" and nms != "agnostic":
        candidates = best_of_classes(boxes, masked(rated.all(), threshold), top_k)
    else:
        candidates = best_of_levels(boxes, rated, level_sizes, threshold, top_k, nms == "agnostic")
    best_boxes, best_scores, labels = candidates
    is_valid = best_scores > -math.inf
    is_inside = None if window is None else area(clip(best_boxes, window[:, None, 0], window[:, None, 1])) > 0
    suppression = Suppression(nms, nms_threshold, max_detections, kernel, max_per_class)
    picks = batched_nms(best_boxes, is_valid, labels, suppression, is_inside)
    return _gather_detections(candidates, picks, rated.scale)


@keras.saving.register_keras_serializable(package="keras_retinanet")
class FilterDetections(keras.layers.Layer):
    """Layer around `filter_detections`; float32 whatever the dtype policy.

    Args:
        score_threshold: See `filter_detections`, as for the others.
        nms_threshold: float.
        max_detections: int.
        top_k: int or `None`.
        nms: string.
        class_thresholds: `K` floats, or none.
        top_k_scope: string.
        max_per_class: int or `None`.
        temperature: float.
        score_bias: float.
        quality_score: string.
        from_logits: bool.
        kernel: string. With TensorFlow's kernel `supports_jit` is `False`: XLA has no such kernel.
        **kwargs: Keras' own, such as `name`; `dtype` is always float32: bfloat16 turns 1001.3 px into 1000.

    Example:
        >>> boxes, scores = [[[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 9.0]]], [[[0.9], [0.8]]]
        >>> int(FilterDetections()(boxes, scores)["num_detections"][0])
        1
    """

    def __init__(
        self,
        score_threshold: float = FilterConfig.score_threshold,
        nms_threshold: float = FilterConfig.nms_threshold,
        max_detections: int = FilterConfig.max_detections,
        top_k: int | None = FilterConfig.top_k,
        nms: NmsMode = FilterConfig.nms,
        class_thresholds: Sequence[float] = FilterConfig.class_thresholds,
        top_k_scope: Literal["level", "class"] = FilterConfig.top_k_scope,
        max_per_class: int | None = FilterConfig.max_per_class,
        temperature: float = FilterConfig.temperature,
        score_bias: float = FilterConfig.score_bias,
        quality_score: QualityScore = FilterConfig.quality_score,
        from_logits: bool = False,
        kernel: Kernel = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        _check_settings(nms, kernel, nms_threshold, max_detections, top_k, temperature)
        self.score_threshold = score_threshold
        self.nms_threshold = nms_threshold
        self.max_detections = max_detections
        self.top_k = top_k
        self.nms = nms
        self.class_thresholds = tuple(float(value) for value in class_thresholds)
        self.top_k_scope = top_k_scope
        self.max_per_class = max_per_class
        self.temperature = temperature
        self.score_bias = score_bias
        self.quality_score = quality_score
        self.from_logits = from_logits
        self.kernel = kernel
        self.supports_jit = not uses_tensorflow_kernel(kernel)

    def call(
        self,
        boxes: Tensor,
        scores: Tensor,
        levels: Mapping[str, Tensor] | None = None,
        quality: Tensor | None = None,
        window: Tensor | None = None,
    ) -> BatchDetections:
        """Filters one batch.

        Args:
            boxes: `(B, A, 4)`. Pixels.
            scores: `(B, A, K)`. Probabilities, or logits with `from_logits`.
            levels: dict of `(..., A_level, 4)`, such as the model's `anchors`. Only their lengths are used.
            quality: `(B, A)`. Predicted IoU, in the form of the scores.
            window: `(B, 2)` or `(1, 2)`. See `filter_detections`.

        Returns:
            `BatchDetections`.
        """
        return filter_detections(
            boxes,
            scores,
            quality,
            window=window,
            level_sizes=None if levels is None else [ops.shape(level)[-2] for level in levels.values()],
            **self._settings(),
        )

    def compute_output_spec(
        self, boxes: Tensor, scores: Tensor, levels: Any = None, quality: Any = None, window: Any = None
    ) -> BatchDetections:
        """Shapes and dtypes of the output, known without running."""
        del scores, levels, quality, window
        batch, D = boxes.shape[0], self.max_detections
        return {
            "boxes": keras.KerasTensor((batch, D, 4), "float32"),
            "scores": keras.KerasTensor((batch, D), "float32"),
            "labels": keras.KerasTensor((batch, D), "int32"),
            "num_detections": keras.KerasTensor((batch,), "int32"),
        }

    def get_config(self) -> dict[str, Any]:
        """Every argument under its own name."""
        return {**super().get_config(), **self._settings()}

    def _settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _SETTINGS}


def _check_settings(
    nms: str, kernel: str, nms_threshold: float, max_detections: int, top_k: int | None, temperature: float
) -> None:
    for name, value, allowed in (("nms", nms, get_args(NmsMode)), ("kernel", kernel, get_args(Kernel))):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}.")
    if not 0 <= nms_threshold <= 1:
        raise ValueError(f"nms_threshold is an IoU from 0 to 1, not {nms_threshold!r}.")
    for name, count in (("max_detections", max_detections), ("top_k", 1 if top_k is None else top_k)):
        if count < 1:
            raise ValueError(f"{name} must be at least 1, not {count!r}.")
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be above 0, not {temperature!r}.")
    if kernel == "tensorflow" and keras.backend.backend() != "tensorflow":
        raise ValueError(f'kernel="tensorflow" needs that backend, not {keras.backend.backend()!r}: use "auto".')


def _gather_detections(candidates: Candidates, picks: Tensor, scale: ScoreScale) -> BatchDetections:
    boxes, scores, labels = candidates
    is_kept = picks >= 0
    index = ops.minimum(ops.maximum(picks, 0), ops.shape(scores)[1] - 1)
    scores = take_rows(scores, index)
    return {
        "boxes": ops.where(is_kept[..., None], take_rows(boxes, index), -1.0),
        "scores": ops.where(is_kept, scale.final_scores(scores), -1.0),
        "labels": ops.where(is_kept, take_rows(labels, index), -1),
        "num_detections": ops.sum(ops.cast(is_kept, "int32"), axis=1),
    }
