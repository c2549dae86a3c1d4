"""A snapshot, or the inference model as a Keras file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.image import network_scale, pad, padded_size, resize_by_rule, resized_size
from keras_retinanet.inference import DetectionModel, load_model
from keras_retinanet.runtimes.runtime import Found


class KerasRuntime:
    """Detects with a Keras model in this process.

    Args:
        model: DetectionModel. Its own thresholds hold.
    """

    def __init__(self, model: DetectionModel) -> None:
        self._model = model

    @classmethod
    def open(cls, path: Path) -> KerasRuntime:
        """The runtime of a file.

        Args:
            path: Path. A snapshot of training, or an inference model.

        Returns:
            The runtime, with the thresholds of the file.
        """
        model = load_model(path, compile=False)
        return cls(model if isinstance(model, DetectionModel) else DetectionModel(model))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the labels."""
        return self._model.class_names

    @property
    def resize(self) -> ResizeConfig:
        """The snapshot's rule."""
        return self._model.detector.resize

    def detect(self, images: Sequence[Any]) -> list[Found]:
        """Detections of a batch; see `Runtime`."""
        batch, sizes = on_one_canvas(images, self.resize, self._model.detector.pad_value)
        answer = self._model.predict_on_batch({"images": batch, "sizes": sizes})
        return [
            in_own_pixels(answer, row, network=sizes[row], given=image.shape[:2], resize=self.resize)
            for row, image in enumerate(images)
        ]


def on_one_canvas(images: Sequence[Any], resize: ResizeConfig, pad_value: Sequence[float]) -> tuple[Any, Any]:
    """Network input of a batch.

    Args:
        images: Each `(h, w, 3)` uint8.
        resize: ResizeConfig. The rule.
        pad_value: Three floats, R, G, B.

    Returns:
        `(B, H, W, 3)` float32, and `(B, 2)` float32 height and width of each image before padding.
    """
    sizes = [resized_size(image.shape[0], image.shape[1], resize) for image in images]
    height, width = np.max(sizes, axis=0)
    canvas = padded_size(int(height), int(width), resize)
    batch = [
        pad(resize_by_rule(tf.convert_to_tensor(image), size, resize), tf.constant(canvas), pad_value)
        for image, size in zip(images, sizes, strict=True)
    ]
    return np.stack([np.asarray(image) for image in batch]), np.asarray(sizes, np.float32)


def in_own_pixels(answer: dict[str, Any], row: int, *, network: Any, given: Any, resize: ResizeConfig) -> Found:
    """One image's detections without padding, in the pixels of the image as it was given.

    Args:
        answer: `schema.Detections` as NumPy arrays.
        row: int. The image's place in the batch.
        network: Height and width in the network's pixels.
        given: Height and width of the image as it was given.
        resize: ResizeConfig. The rule that led from one to the other.

    Returns:
        Its detections.
    """
    count = int(answer["num_detections"][row])
    scale = np.tile(network_scale(network, given, resize).astype(np.float32)[::-1], 2)  # x, y, x, y
    boxes = np.asarray(answer["boxes"][row, :count], np.float32) / scale  # (D, 4)
    return {
        "boxes": np.clip(boxes, 0, np.tile(np.asarray(given, np.float32)[::-1], 2)),
        "scores": np.asarray(answer["scores"][row, :count], np.float32),
        "labels": np.asarray(answer["labels"][row, :count], np.int32),
    }
