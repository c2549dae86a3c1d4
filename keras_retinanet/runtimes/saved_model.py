"""A SavedModel, run by TensorFlow in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_retinanet.data.preparation import ImageFit
from keras_retinanet.runtimes.description import Description
from keras_retinanet.runtimes.runtime import Runtime, raw_outputs
from keras_retinanet.schema import Detections, RawOutputs

DESCRIPTION_FILE = "assets.extra/keras_retinanet.json"
"""File with the description, relative to the SavedModel."""
GRAPH = "saved_model.pb"
"""File of the graph, which every SavedModel has."""


def versions_of(path: Path) -> dict[int, Path]:
    """Lists the versions in a model's folder.

    Args:
        path: The folder.

    Returns:
        Version → folder of the SavedModel. Folders without a number as name, or without a model, are left out.
    """
    return {int(found.parent.name): found.parent for found in path.glob(f"*/{GRAPH}") if found.parent.name.isdecimal()}


def is_described(path: Path) -> bool:
    """Whether a folder is a SavedModel of this package, or holds versions of one.

    Args:
        path: The folder.

    Returns:
        False for a SavedModel of another program.
    """
    return (_newest(path) / DESCRIPTION_FILE).is_file()


def _newest(path: Path) -> Path:
    """The SavedModel itself, or the highest of its versions."""
    return path if (path / GRAPH).is_file() else max(versions_of(path).items(), default=(0, path))[1]


class SavedModelRuntime(Runtime):
    """Detects with the signature `image_tensor`.

    Args:
        path: A SavedModel, or the folder of its versions; the highest version is opened.

    Raises:
        ValueError: The model is damaged, or was not written by this package.
    """

    def __init__(self, path: Path) -> None:
        path = _newest(path)
        description = path / DESCRIPTION_FILE
        if not description.is_file():
            raise ValueError(f"{str(path)!r} has no {DESCRIPTION_FILE}: it was not written by retinanet-convert-model.")
        super().__init__(Description.from_json(description.read_text(encoding="utf-8"), str(path)))
        import tensorflow as tf  # takes seconds, which the other artefacts do not need

        self._tensor = tf.convert_to_tensor
        try:
            self._loaded = tf.saved_model.load(str(path))
        except Exception as error:  # OpError, OSError, IndexError …: it depends on which file is damaged, and how
            raise ValueError(f"{str(path)!r} cannot be opened by TensorFlow: {error}") from error

    def detect(
        self, images: Sequence[Any], fits: Sequence[ImageFit] | None = None, *, batch_size: int | None = None
    ) -> list[Detections]:
        """Detects in one image after the other; see `Runtime`. The graph itself resizes and pads."""
        del fits, batch_size
        return [self._detect_one(image) for image in images]

    def raw_outputs(self, images: Any) -> RawOutputs:
        """The outputs of the network; see `Runtime`."""
        answer = self._loaded.signatures["raw_outputs"](images=self._tensor(images))
        found: RawOutputs = raw_outputs({name: value.numpy() for name, value in answer.items()})
        return found

    def _detect_one(self, image: Any) -> Detections:
        with self._in_network:
            answer = self._loaded.signatures["image_tensor"](images=self._tensor(image[None]))
        count = int(answer["num_detections"][0])
        return {
            "boxes": np.asarray(answer["boxes"][0, :count]),
            "scores": np.asarray(answer["scores"][0, :count]),
            "labels": np.asarray(answer["labels"][0, :count]),
        }
