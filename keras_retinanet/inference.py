"""The inference model: RetinaNet, then box decoding, clipping and filtered NMS as Keras layers.

Importing this module makes every class of a snapshot known to `keras.models.load_model`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
from keras import ops

from keras_retinanet.boxes import ClipBoxes
from keras_retinanet.config import FilterConfig, to_dict
from keras_retinanet.filter_detections import FilterDetections
from keras_retinanet.muon import ConvolutionMuon
from keras_retinanet.nms import Kernel
from keras_retinanet.retinanet import RetinaNet
from keras_retinanet.schedules import WarmupSchedule
from keras_retinanet.schema import Detections, Predictions, Tensor

OPTIMIZER_PARTS = (ConvolutionMuon, WarmupSchedule)
"""What a snapshot of a run holds beside the model: imported here, so that Keras finds these classes too."""


@keras.saving.register_keras_serializable(package="keras_retinanet")
class DetectionModel(keras.Model):
    """Images in, detections out: boxes in pixels of the images that went in.

    Args:
        detector: A RetinaNet.
        filter: Thresholds; those stored in the detector by default.
        kernel: What picks boxes, see `nms.Kernel`; by default the fastest of this backend.

    Example:
        >>> model = DetectionModel(keras_retinanet.load_model("best.keras"))
        >>> detections = model.predict(images)   # {"boxes", "scores", "labels", "num_detections"}
    """

    def __init__(
        self, detector: RetinaNet, filter: FilterConfig | None = None, kernel: Kernel = "auto", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.detector = detector
        self.filter = filter or detector.filter
        self.kernel = kernel
        self.clip_boxes = ClipBoxes(name="clip_boxes")
        self.filter_detections = FilterDetections(
            **dataclasses.asdict(self.filter), from_logits=True, kernel=kernel, name="filter_detections"
        )
        self.build()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the labels `0 … K-1`."""
        return self.detector.class_names

    def build(self, input_shape: Any = None) -> None:
        """Nothing to build: the detector is, and the other layers have no weights."""
        del input_shape
        self.clip_boxes.built = self.filter_detections.built = self.built = True

    def call(self, inputs: Tensor | Mapping[str, Tensor]) -> Detections:
        """Detections of a batch, padded with -1.

        Args:
            inputs: Images `(B, H, W, 3)`, RGB 0–255; or `{"images": …, "sizes": (B, 2)}` with the height and width of
                each image before padding, to which its boxes are then clipped.

        Returns:
            `schema.Detections`.
        """
        images = inputs["images"] if isinstance(inputs, Mapping) else inputs
        if isinstance(inputs, Mapping):
            sizes = ops.cast(inputs["sizes"], "float32")
        else:
            sizes = ops.cast(ops.stack(ops.shape(images)[1:3]), "float32")[None]  # (1, 2)
        return self.from_predictions(self.detector(images), sizes)

    def from_predictions(self, predictions: Predictions, sizes: Tensor) -> Detections:
        """Detections of what the detector answered.

        Args:
            predictions: `schema.Predictions`.
            sizes: `(B, 2)` or `(1, 2)` float32. Height and width of the images before padding.

        Returns:
            `schema.Detections`.
        """
        anchors = list(predictions["anchors"].values())
        boxes = self.detector.regress_boxes(predictions["deltas"], ops.concatenate(anchors, axis=1))
        boxes = self.clip_boxes(boxes, sizes)
        return self.filter_detections(boxes, predictions["logits"], levels=predictions["anchors"])

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        detector = keras.saving.serialize_keras_object(self.detector)
        return {"name": self.name, "detector": detector, "filter": to_dict(self.filter), "kernel": self.kernel}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> DetectionModel:
        """The model of a `get_config`."""
        detector = keras.saving.deserialize_keras_object(config["detector"], custom_objects=custom_objects)
        return cls(detector, FilterConfig(**config["filter"]), config.get("kernel", "auto"), name=config["name"])


def load_model(path: str | Path, compile: bool = True) -> RetinaNet | DetectionModel:
    """Opens a snapshot in any process.

    Args:
        path: A `.keras` file written by training or by `model.save`.
        compile: Restore the optimizer too. Defaults to `True`.

    Returns:
        The model as it was saved.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no snapshot of this package.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no snapshot {str(path)!r}.")
    try:
        model = keras.models.load_model(path, compile=compile)
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise ValueError(f"{str(path)!r} cannot be opened as a snapshot: {error}") from error
    if not isinstance(model, (RetinaNet, DetectionModel)):
        raise ValueError(f"{str(path)!r} holds a {type(model).__name__}, not a RetinaNet.")
    return model
