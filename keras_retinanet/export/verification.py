"""Compares an artefact, run by its own runtime, with its snapshot on sample images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from keras_retinanet.box_overlap import areas, iou
from keras_retinanet.config import ExportConfig, ExportDtype, ExportFormat
from keras_retinanet.data.preparation import prepare_batch, restore_by_fit
from keras_retinanet.export.detection_graph import prepare_model
from keras_retinanet.export.run_data import ValidationData
from keras_retinanet.export.tolerances import (
    COUNTED_ABOVE,
    FEWEST_VALIDATED,
    LEAST_AP,
    REMEDIES,
    RESIZED_RAW,
    TOLERANCES,
    Tolerance,
)
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.runtimes import OpenVinoRuntime, Runtime, open_runtime, raw_outputs
from keras_retinanet.runtimes.keras_file import KerasRuntime
from keras_retinanet.runtimes.openvino_folder import HINTS, default_hint
from keras_retinanet.schema import Detections

BEST_ANCHORS = 100
"""Anchors per image that are compared if the snapshot detects nothing above `COUNTED_ABOVE`."""


class VerificationError(ValueError):
    """An artefact does not detect what its snapshot detects."""


@dataclass
class Agreement:
    """Result of a comparison.

    Attributes:
        raw: Largest difference of raw outputs, as a share of their largest magnitude.
        detections: Number of detections above `COUNTED_ABOVE` of the snapshot and of the artefact.
        agreeing: Number of these that have a partner in the other model.
        anchors: Number of anchors that were compared instead of detections.
        agreeing_anchors: Number of these with the same box and score.
        score: Largest difference between the scores of partners.
        average_precisions: COCO's AP of the snapshot and of the artefact on `num_validated` images.
        num_validated: Number of annotated images.
        default_hint: Dtype in which OpenVINO computes on this processor if it is not given one; `""` if the same.
        default_raw: `raw` of that computation, for the first image.
    """

    raw: float = 0.0
    detections: int = 0
    agreeing: int = 0
    anchors: int = 0
    agreeing_anchors: int = 0
    score: float = 0.0
    average_precisions: tuple[float, float] | None = None
    num_validated: int = 0
    default_hint: str = ""
    default_raw: float = 0.0

    @property
    def share(self) -> float:
        """Share of the compared detections or anchors that agree."""
        if self.detections:
            return self.agreeing / self.detections
        return self.agreeing_anchors / max(self.anchors, 1)

    def is_within(self, limit: Tolerance) -> bool:
        """Whether the differences are allowed.

        Args:
            limit: The allowed differences.

        Returns:
            True if they are.
        """
        if limit.raw is not None and self.raw > limit.raw:
            return False
        if self.share >= limit.share:
            return True
        if limit.average_precision is None or self.average_precisions is None:
            return False
        ours, theirs = self.average_precisions
        is_measured = self.num_validated >= FEWEST_VALIDATED and ours >= LEAST_AP
        return is_measured and ours - theirs <= limit.average_precision

    def __str__(self) -> str:
        if self.detections:
            counted = f"{self.agreeing} of {self.detections} detections above {COUNTED_ABOVE} have a partner"
        else:
            counted = (
                f"no detection scores above {COUNTED_ABOVE}, so the best anchors were compared before suppression: "
                f"{self.agreeing_anchors} of {self.anchors} agree"
            )
        text = f"raw outputs differ by {self.raw:.1e} of their largest, {counted}, scores within {self.score:.1e}"
        if self.average_precisions is not None:
            ours, theirs = self.average_precisions
            text += f"; AP on {self.num_validated} validation images: snapshot {ours:.4f}, artefact {theirs:.4f}"
        if self.default_hint:
            text += f". Without INFERENCE_PRECISION_HINT, OpenVINO computes in {self.default_hint} on this processor: "
            text += f"raw outputs then differ by {self.default_raw:.1e}"
        return text


class Verification:
    """Compares artefacts with the model they were converted from.

    Args:
        name: Format of the artefacts.
        model: The snapshot, which runs in float32 whatever its dtype policy.
        dtype: Dtype of the artefacts.
        images: Sample images, each `(h, w, 3)` uint8 RGB.
        validation: Annotated images on which the AP of both is measured. Defaults to none.

    Example:
        >>> check = Verification("onnx", model, "float32", images)
        >>> export_onnx(model, Path("insects.onnx"), check=check)
        >>> print(check.agreement)
    """

    def __init__(
        self,
        name: ExportFormat,
        model: DetectionModel,
        dtype: ExportDtype,
        images: Sequence[Any],
        validation: ValidationData | None = None,
    ) -> None:
        self.tolerance, self._remedy = TOLERANCES[name, dtype], REMEDIES[dtype]
        self.agreement = Agreement()
        plain = ExportConfig(fold_batch_norm=False)
        self._model, self._images, self._validation = prepare_model(model, plain), images, validation

    def __call__(self, path: Path) -> None:
        """Opens an artefact and compares it with the model.

        Args:
            path: Path of the artefact.

        Raises:
            VerificationError: A difference exceeds the tolerance.
        """
        self.agreement = Agreement()
        runtime = open_runtime(path)
        for image in self._images:
            self._compare(runtime, image)
        self._compare_default_hint(path, runtime)
        if self._validation is not None:
            measured = [self._validation.average_precision(one) for one in (KerasRuntime(self._model), runtime)]
            self.agreement.average_precisions = (measured[0], measured[1])
            self.agreement.num_validated = len(self._validation.samples)
        agreement, limit = self.agreement, self.tolerance
        if limit.raw is not None and runtime.description.has_resize:
            limit = dataclasses.replace(limit, raw=max(limit.raw, RESIZED_RAW))
        if not agreement.is_within(limit):
            raise VerificationError(
                f"The artefact differs from its snapshot and was not kept: {agreement}. Allowed are {limit}. "
                f"{self._remedy}"
            )

    def _compare_default_hint(self, path: Path, runtime: Runtime) -> None:
        """What users get who open a float32 model of OpenVINO and do not say so."""
        if not isinstance(runtime, OpenVinoRuntime) or runtime.description.dtype != "float32":
            return
        if (hint := default_hint()) == HINTS["float32"]:
            return
        (image, *_), network = self._images, self._model.network
        batch, _ = prepare_batch([image], [runtime.fit(*image.shape[:2])], network.resize_config, network.pad_value)
        given = image[None] if runtime.description.has_resize else batch
        raw: Any = OpenVinoRuntime(path, hint).raw_outputs(given)
        wanted: Any = runtime.raw_outputs(given)
        self.agreement.default_hint = hint
        self.agreement.default_raw = max(_distance(raw[name], wanted[name]) for name in wanted)

    def _compare(self, runtime: Runtime, image: Any) -> None:
        network, agreement, limit = self._model.network, self.agreement, self.tolerance
        fit = runtime.fit(*image.shape[:2])
        batch, sizes = prepare_batch([image], [fit], network.resize_config, network.pad_value)
        predictions = network(batch, training=False)
        wanted = {name: ops.convert_to_numpy(value) for name, value in raw_outputs(predictions).items()}
        raw: Any = runtime.raw_outputs(image[None] if runtime.description.has_resize else batch)
        agreement.raw = max(agreement.raw, *(_distance(raw[name], value) for name, value in wanted.items()))
        detections: Any = self._model.from_predictions(predictions, ops.convert_to_tensor(sizes))
        batch_detections = {name: ops.convert_to_numpy(value) for name, value in detections.items()}
        expected = restore_by_fit(batch_detections, 0, fit, network.resize_config)
        (found,) = runtime.detect([image])
        for one, other in ((expected, found), (found, expected)):
            count, score = partners(one, other, limit)
            agreement.detections += int(np.sum(one["scores"] > COUNTED_ABOVE))
            agreement.agreeing += count
            agreement.score = max(agreement.score, score)
        anchors = np.concatenate([ops.convert_to_numpy(level)[0] for level in predictions["anchors"].values()])
        self._compare_anchors(raw, wanted, anchors)

    def _compare_anchors(self, raw: Any, wanted: Any, anchors: Any) -> None:
        """Compares boxes and scores of the best anchors and classes, before NMS."""
        logits, own = (
            ops.convert_to_numpy(self._model.network.class_logits(side["logits"]))[0] for side in (wanted, raw)
        )
        best = np.argsort(-logits.ravel(), kind="stable")[:BEST_ANCHORS]
        rows, labels = np.divmod(best, logits.shape[1])
        decode = self._model.network.box_coder
        boxes = [ops.convert_to_numpy(decode(side["deltas"][0, rows], anchors[rows])) for side in (raw, wanted)]
        scores = [1 / (1 + np.exp(-np.asarray(side[rows, labels], np.float64))) for side in (own, logits)]
        is_same = _overlap(boxes[0], boxes[1]) >= self.tolerance.iou
        is_same &= np.abs(scores[0] - scores[1]) <= self.tolerance.score
        self.agreement.anchors += len(best)
        self.agreement.agreeing_anchors += int(is_same.sum())


def partners(one: Detections, other: Detections, limit: Tolerance) -> tuple[int, float]:
    """Counts the detections above `COUNTED_ABOVE` that have a partner with the same label, box and score.

    Args:
        one: The detections to count.
        other: The possible partners, of any score.
        limit: Allowed differences between partners.

    Returns:
        Number of detections with a partner, and the largest difference between the scores of partners.
    """
    count, largest = 0, 0.0
    for box, score, label in zip(one["boxes"], one["scores"], one["labels"], strict=True):
        if score <= COUNTED_ABOVE:
            continue
        distance = np.abs(other["scores"] - score)
        is_partner = (other["labels"] == label) & (_overlap(other["boxes"], box[None]) >= limit.iou)
        is_partner &= distance <= limit.score
        if is_partner.any():
            count += 1
            largest = max(largest, float(distance[is_partner].min()))
    return count, largest


def _distance(given: Any, wanted: Any) -> float:
    """Largest difference as a share of the largest magnitude; infinite if a value is not finite."""
    if given.shape != wanted.shape:
        return float("inf")
    distance = float(np.max(np.abs(np.asarray(given, np.float32) - wanted)) / max(np.max(np.abs(wanted)), 1e-30))
    return distance if np.isfinite(distance) else float("inf")


def _overlap(a: Any, b: Any) -> Any:
    """IoU of boxes row by row; for two boxes without area, 1 if they are less than a pixel apart."""
    is_near = np.abs(a - b).max(axis=1) < 1
    return np.where(areas(a) + areas(b) > 0, iou(a, b), is_near)
