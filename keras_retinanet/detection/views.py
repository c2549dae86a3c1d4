"""Test-time augmentation: several views of each image, mirrored and at other sizes, whose boxes are fused."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_retinanet.config import ResizeConfig, ViewConfig
from keras_retinanet.data.preparation import ImageFit
from keras_retinanet.detection.weighted_boxes_fusion import fuse_boxes
from keras_retinanet.runtimes.runtime import BatchRuntime, Runtime
from keras_retinanet.schema import Detections, RawOutputs


class ViewsRuntime(Runtime):
    """Detects in several views of each image, with another runtime.

    Args:
        runtime: What detects in a view.
        views: Which views.

    Raises:
        ValueError: A scale is not positive, or there are no others: the runtime resizes images inside of a graph, or
            to one shape.
    """

    def __init__(self, runtime: Runtime, views: ViewConfig) -> None:
        if not views.scales or min(views.scales) <= 0:
            raise ValueError(f"Scales of views must be greater than 0, got {views.scales!r}.")
        if runtime.resize.shape and tuple(views.scales) != (1.0,):
            raise ValueError(
                f"Images are {runtime.resize}, so views of other sizes are not possible: --tta 1 only mirrors them."
            )
        is_fixed = runtime.image_size is not None or not isinstance(runtime, BatchRuntime)
        if is_fixed and tuple(views.scales) != (1.0,):
            raise ValueError(
                "This exported model resizes images itself, so views of other sizes are not possible: --tta 1 only "
                "mirrors them; or detect with the snapshot."
            )
        super().__init__(runtime.description)
        self._runtimes = [_at_scale(runtime, scale) for scale in views.scales]
        self._flips = (False, True) if views.has_flip else (False,)

    @property
    def compiles_shapes(self) -> bool:
        """Whether each new input shape costs seconds."""
        return self._runtimes[0].compiles_shapes

    def with_filter(self, filter: Any) -> Runtime | None:
        """Not possible for views: set the thresholds of the runtime before."""
        del filter
        return None

    def raw_outputs(self, images: Any) -> RawOutputs:
        """Deltas and logits of network input, which has one view; see `Runtime`."""
        return self._runtimes[0].raw_outputs(images)

    def detect(
        self, images: Sequence[Any], fits: Sequence[ImageFit] | None = None, *, batch_size: int | None = None
    ) -> list[Detections]:
        """Detects in all views of each image; see `Runtime`."""
        del fits  # those of each scale are others
        views: list[list[Detections]] = [[] for _ in images]
        for runtime in self._runtimes:
            for is_flipped in self._flips:
                seen = [np.ascontiguousarray(image[:, ::-1]) for image in images] if is_flipped else images
                for own, image, found in zip(views, images, runtime.detect(seen, batch_size=batch_size), strict=True):
                    own.append(_mirror(found, image.shape[1]) if is_flipped else found)
        return [fuse_boxes(own) for own in views]


def _at_scale(runtime: Runtime, scale: float) -> Runtime:
    """The same network with a resize rule for larger or smaller images."""
    if scale == 1:
        return runtime
    other = copy.copy(runtime)
    other.description = dataclasses.replace(runtime.description, resize=scaled_rule(runtime.resize, scale))
    return other


def scaled_rule(rule: ResizeConfig, scale: float) -> ResizeConfig:
    """A resize rule for images whose sides are `scale` times as long.

    Args:
        rule: The rule.
        scale: Factor.

    Returns:
        The rule with both of its sides multiplied and rounded.
    """
    sides = {name: max(1, round(getattr(rule, name) * scale)) for name in ("min_side", "max_side")}
    return dataclasses.replace(rule, **sides)


def _mirror(found: Detections, width: int) -> Detections:
    boxes = np.asarray(found["boxes"], np.float32).reshape(-1, 4)
    x1, y1, x2, y2 = boxes.T
    return {**found, "boxes": np.stack([width - x2, y1, width - x1, y2], axis=1)}
