"""The interface behind which every artefact detects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from keras_retinanet.config import FilterConfig, ResizeConfig
from keras_retinanet.schema import Detections, RawOutputs


class Runtime(Protocol):
    """An opened artefact."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the labels `0 … K-1`."""

    @property
    def filter(self) -> FilterConfig:
        """The thresholds that are built in: nothing below them is answered."""

    @property
    def resize(self) -> ResizeConfig:
        """How it makes network input of an image: what may be grouped into one batch can be told from it."""

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width of the only canvas that it takes; `None` where any will do."""

    def detect(self, images: Sequence[Any]) -> list[Detections]:
        """Detections in one batch.

        Args:
            images: Each `(h, w, 3)` uint8 RGB, of any sizes. Best of one aspect ratio, as all are padded to one canvas.

        Returns:
            One entry an image, boxes in its own pixels.
        """

    def raw_outputs(self, images: Any) -> RawOutputs:
        """What the network itself answers.

        Args:
            images: `(B, H, W, 3)` float32, resized and padded; of the artefact's size where that is fixed.

        Returns:
            Deltas and logits.
        """
