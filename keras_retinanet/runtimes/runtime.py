"""The common interface of snapshots and artefacts."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_retinanet.config import FilterConfig, ResizeConfig
from keras_retinanet.data.preparation import ImageFit, cut_padding, fill_batch, fit_image, prepare_batch, restore_by_fit
from keras_retinanet.runtimes.description import Description
from keras_retinanet.schema import Detections, RawOutputs

DETECTIONS = ("boxes", "scores", "labels", "num_detections")
"""Outputs of an artefact's graph, those of `schema.BatchDetections`; the graph also returns `RAW_OUTPUTS`."""
RAW_OUTPUTS = ("deltas", "logits", "quality")
"""Outputs of the network, those of `schema.RawOutputs`; not every network predicts the last one."""


def raw_outputs(outputs: Mapping[str, Any]) -> Any:
    """Those of the outputs that are `schema.RawOutputs`, as they are.

    Args:
        outputs: Output of a network or of an artefact's graph by name.

    Returns:
        A part of them.
    """
    return {name: outputs[name] for name in RAW_OUTPUTS if name in outputs}


class Runtime(ABC):
    """An opened snapshot or artefact.

    `detect` may be called in several threads: images are resized at the same time, but one batch at a time is in the
    network, which takes all cores and the memory of its maps.

    Args:
        description: Read from the file.
    """

    def __init__(self, description: Description) -> None:
        self.description = description
        self._in_network = threading.Lock()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the labels `0 … K-1`."""
        return self.description.class_names

    @property
    def filter(self) -> FilterConfig:
        """The applied thresholds: boxes below them are never returned."""
        return self.description.filter

    @property
    def resize(self) -> ResizeConfig:
        """How an image becomes network input."""
        return self.description.resize

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width of the only batch shape; `None` if any is accepted."""
        return self.description.image_size

    @property
    def compiles_shapes(self) -> bool:
        """Whether each new input shape costs seconds. Images then share a few batch shapes."""
        return False

    def fit(self, height: int, width: int) -> ImageFit:
        """Computes the sizes of an image on its way into the network.

        Args:
            height: Height of the image in pixels.
            width: Width of the image in pixels.

        Returns:
            The sizes. Images of one `batch_shape` can share a batch, with the same results as alone.
        """
        return fit_image(height, width, self.resize, fixed_shape=self.image_size, is_bucketed=self.compiles_shapes)

    def with_filter(self, filter: FilterConfig) -> Runtime | None:
        """The same network with other thresholds.

        Args:
            filter: The thresholds.

        Returns:
            A runtime; `None` if the thresholds are part of a graph and cannot be changed.
        """
        del filter
        return None

    def with_winograd(self) -> Runtime:
        """The same network with Winograd's convolutions; see `winograd.use_winograd`.

        Returns:
            Another runtime, so that this one detects as before; an artefact, whose graph is fixed, returns itself.
        """
        return self

    @abstractmethod
    def detect(
        self, images: Sequence[Any], fits: Sequence[ImageFit] | None = None, *, batch_size: int | None = None
    ) -> list[Detections]:
        """Detects in one batch.

        Args:
            images: Each `(h, w, 3)` uint8 RGB, of any sizes; all are padded to the largest of their batch shapes.
            fits: Result of `fit` for each image. Defaults to `None`: computed here.
            batch_size: Size of a full batch, to which runtimes that compile each shape pad. Defaults to `None`.

        Returns:
            One entry per image, boxes in its own pixels.
        """

    @abstractmethod
    def raw_outputs(self, images: Any) -> RawOutputs:
        """The outputs of the network before box decoding and NMS.

        Args:
            images: `(B, H, W, 3)` float32, resized and padded, to `image_size` if that is fixed; uint8 as given if the
                artefact itself resizes (`description.has_resize`).

        Returns:
            Deltas `(B, A, P)`, logits `(B, A, K)` and, where the network predicts it, quality `(B, A, 1)`.
        """


class BatchRuntime(Runtime):
    """A runtime whose graph takes resized and padded images; or images of one size, if the artefact itself resizes.

    Args:
        description: Read from the file.
    """

    @abstractmethod
    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Runs the network with box decoding and NMS.

        Args:
            inputs: `images (B, H, W, 3)` float32 and `sizes (B, 2)` float32, height and width before padding; of an
                artefact that resizes, `images (B, h, w, 3)` uint8 alone.

        Returns:
            `DETECTIONS` and `RAW_OUTPUTS` as NumPy arrays.
        """

    def detect(
        self, images: Sequence[Any], fits: Sequence[ImageFit] | None = None, *, batch_size: int | None = None
    ) -> list[Detections]:
        """Detects in one batch; see `Runtime`."""
        if self.description.has_resize:
            return [cut_padding(self._run_alone({"images": image[None]}), 0) for image in images]
        if fits is None:
            fits = [self.fit(*image.shape[:2]) for image in images]
        batch, sizes = prepare_batch(images, fits, self.resize, self.description.pad_value)
        full = batch_size if batch_size is not None and self.compiles_shapes else len(images)
        found = self._run_alone({"images": fill_batch(batch, full), "sizes": fill_batch(sizes, full)})
        return [restore_by_fit(found, row, fit, self.resize) for row, fit in enumerate(fits)]

    def run_for_detections(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """`run` for callers that do not read `RAW_OUTPUTS`, which take 65 MB for an image of 800 × 1333 and 80 classes.

        Args:
            inputs: As for `run`.

        Returns:
            At least `DETECTIONS`; here all that `run` returns.
        """
        return self.run(inputs)

    def _run_alone(self, inputs: dict[str, Any]) -> dict[str, Any]:
        with self._in_network:
            return self.run_for_detections(inputs)

    def raw_outputs(self, images: Any) -> RawOutputs:
        """The outputs of the network; see `Runtime`."""
        inputs = {"images": images}
        if not self.description.has_resize:
            inputs["sizes"] = np.tile(np.array(images.shape[1:3], np.float32), (len(images), 1))
        found = self.run(inputs)
        found_raw: RawOutputs = raw_outputs(found)
        return found_raw
