"""What the runtimes share whose graph takes images that are resized and padded already."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_retinanet.config import FilterConfig, ResizeConfig
from keras_retinanet.runtimes.description import Description
from keras_retinanet.runtimes.keras_file import in_own_pixels, on_one_canvas
from keras_retinanet.schema import Detections, RawOutputs

DETECTIONS = ("boxes", "scores", "labels", "num_detections")
"""Outputs of such a graph, as in `schema.BatchDetections`; beside them `deltas` and `logits`."""


class GraphRuntime(ABC):
    """Resizes and pads as in training, and brings boxes back to the pixels of each image.

    Args:
        description: Description. Read from the artefact.
    """

    def __init__(self, description: Description) -> None:
        self.description = description

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the labels."""
        return self.description.class_names

    @property
    def filter(self) -> FilterConfig:
        """The thresholds that the graph applies."""
        return self.description.filter

    @property
    def resize(self) -> ResizeConfig:
        """The snapshot's rule."""
        return self.description.resize

    @property
    def image_size(self) -> tuple[int, int] | None:
        """The graph's own."""
        return self.description.image_size

    @abstractmethod
    def run(self, images: Any, sizes: Any) -> dict[str, Any]:
        """Runs the graph.

        Args:
            images: `(B, H, W, 3)` float32.
            sizes: `(B, 2)` float32, height and width before padding.

        Returns:
            `DETECTIONS`, `deltas` and `logits` as NumPy arrays.
        """

    def detect(self, images: Sequence[Any]) -> list[Detections]:
        """Detections of a batch; see `Runtime`."""
        about = self.description
        batch, sizes = on_one_canvas(images, about.resize, about.pad_value, about.image_size)
        answer = self.run(batch, sizes)
        return [
            in_own_pixels(answer, row, network=sizes[row], given=image.shape[:2], resize=about.resize)
            for row, image in enumerate(images)
        ]

    def raw_outputs(self, images: Any) -> RawOutputs:
        """Deltas and logits of network input; see `Runtime`."""
        sizes = np.tile(np.array(images.shape[1:3], np.float32), (len(images), 1))
        answer = self.run(images, sizes)
        return {"deltas": answer["deltas"], "logits": answer["logits"]}
