"""A SavedModel, run by TensorFlow in this process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_retinanet.config import FilterConfig, ResizeConfig
from keras_retinanet.runtimes.runtime import Found

DESCRIPTION = "assets.extra/keras_retinanet.json"
"""Where a SavedModel tells class names, thresholds and resize rule."""


class SavedModelRuntime:
    """Detects through the signature `image_tensor`.

    Args:
        path: Path. A SavedModel, or the folder of its versions, of which the highest is taken.

    Raises:
        ValueError: It was not written by this package.
    """

    def __init__(self, path: Path) -> None:
        if not (path / "saved_model.pb").is_file():
            versions = [folder for folder in path.iterdir() if folder.name.isdecimal()]
            path = max(versions, key=lambda folder: int(folder.name))
        description = path / DESCRIPTION
        if not description.is_file():
            raise ValueError(f"{str(path)!r} has no {DESCRIPTION}: it was not written by retinanet-convert-model.")
        self._description = json.loads(description.read_text(encoding="utf-8"))
        self._loaded = tf.saved_model.load(str(path))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the labels."""
        return tuple(self._description["class_names"])

    @property
    def filter(self) -> FilterConfig:
        """The thresholds that the graph applies."""
        return FilterConfig(**self._description["filter"])

    @property
    def resize(self) -> ResizeConfig:
        """The rule that the graph applies."""
        return ResizeConfig(**self._description["resize"])

    def detect(self, images: Sequence[Any]) -> list[Found]:
        """Detections of a batch; see `Runtime`."""
        return [self._detect(image) for image in images]

    def _detect(self, image: Any) -> Found:
        answer = self._loaded.signatures["image_tensor"](images=tf.convert_to_tensor(image)[None])
        count = int(answer["num_detections"][0])
        return {
            "boxes": np.asarray(answer["boxes"][0, :count]),
            "scores": np.asarray(answer["scores"][0, :count]),
            "labels": np.asarray(answer["labels"][0, :count]),
        }
