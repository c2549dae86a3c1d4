"""A snapshot, or the inference model as a Keras file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_retinanet.config import FilterConfig, ResizeConfig
from keras_retinanet.data.image import network_scale, pad, padded_size, resize_by_rule, resized_size
from keras_retinanet.inference import load_model
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.schema import Detections, RawOutputs


class KerasRuntime:
    """Detects with a Keras model in this process.

    Args:
        model: DetectionModel. Its own thresholds hold.
        image_size: Height and width to which every image is brought, see `on_one_canvas`. Defaults to any.
    """

    def __init__(self, model: DetectionModel, image_size: tuple[int, int] | None = None) -> None:
        self.model = model
        self.image_size = image_size

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
        return self.model.class_names

    @property
    def filter(self) -> FilterConfig:
        """The model's thresholds."""
        return self.model.filter_config

    @property
    def compiles_shapes(self) -> bool:
        """Whether each new shape of the input costs time: TensorFlow goes over to open shapes after a few."""
        return keras.backend.backend() != "tensorflow"

    @property
    def resize(self) -> ResizeConfig:
        """The snapshot's rule."""
        return self.model.network.resize_config

    def detect(
        self, images: Sequence[Any], canvas: tuple[int, int] | None = None, full: int | None = None
    ) -> list[Detections]:
        """Detections of a batch; see `Runtime`.

        Args:
            images: As in `Runtime`.
            canvas: Height and width of the network input. Defaults to `image_size`, else the smallest that holds all.
            full: Images of a full batch, to which a smaller one is filled up with copies where `compiles_shapes`.
                Defaults to no filling.

        Returns:
            As in `Runtime`.
        """
        batch, sizes = on_one_canvas(images, self.resize, self.model.network.pad_value, canvas or self.image_size)
        if full is not None and self.compiles_shapes:
            rows = np.minimum(np.arange(full), len(images) - 1)
            batch, sizes = batch[rows], sizes[rows]
        answer = self.model.predict_on_batch({"images": batch, "sizes": sizes})
        return [
            in_own_pixels(answer, row, network=sizes[row], given=image.shape[:2], resize=self.resize)
            for row, image in enumerate(images)
        ]

    def raw_outputs(self, images: Any) -> RawOutputs:
        """Deltas and logits of network input; see `Runtime`."""
        answer = self.model.network.predict_on_batch(images)
        return {"deltas": answer["deltas"], "logits": answer["logits"]}


def on_one_canvas(
    images: Sequence[Any],
    resize: ResizeConfig,
    pad_value: Sequence[float],
    image_size: tuple[int, int] | None = None,
) -> tuple[Any, Any]:
    """Network input of a batch.

    Args:
        images: Each `(h, w, 3)` uint8.
        resize: ResizeConfig. The rule.
        pad_value: Three floats, R, G, B.
        image_size: `(H, W)` of the canvas. An image that the rule makes larger than that is made smaller, until it
            fits. Defaults to the smallest canvas of the rule that holds all.

    Returns:
        `(B, H, W, 3)` float32, and `(B, 2)` float32 height and width of each image before padding.
    """
    sizes = [resized_size(image.shape[0], image.shape[1], resize) for image in images]
    if image_size is None:
        height, width = np.max(sizes, axis=0)
        canvas = padded_size(int(height), int(width), resize)
    else:
        sizes = [fitting(size, image.shape[:2], image_size) for size, image in zip(sizes, images, strict=True)]
        canvas = image_size
    batch = [
        pad(resize_by_rule(tf.convert_to_tensor(image), size, resize), tf.constant(canvas), pad_value)
        for image, size in zip(images, sizes, strict=True)
    ]
    return np.stack([np.asarray(image) for image in batch]), np.asarray(sizes, np.float32)


def fitting(size: tuple[int, int], given: Sequence[int], canvas: tuple[int, int]) -> tuple[int, int]:
    """The size of an image on a fixed canvas.

    Args:
        size: Height and width that the resize rule gives it.
        given: Height and width that it has.
        canvas: Height and width of the canvas.

    Returns:
        The same size where the canvas holds it; else the largest of the given proportions that it holds.
    """
    if size[0] <= canvas[0] and size[1] <= canvas[1]:
        return size
    axis = 0 if canvas[0] * given[1] <= canvas[1] * given[0] else 1  # the side that decides
    sides = [
        min(max((2 * side * canvas[axis] + given[axis]) // (2 * given[axis]), 1), most)
        for side, most in zip(given, canvas, strict=True)
    ]
    return int(sides[0]), int(sides[1])


def in_own_pixels(answer: dict[str, Any], row: int, *, network: Any, given: Any, resize: ResizeConfig) -> Detections:
    """One image's detections without padding, in the pixels of the image as it was given.

    Args:
        answer: `schema.BatchDetections` as NumPy arrays.
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
