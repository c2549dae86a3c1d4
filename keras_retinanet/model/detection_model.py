"""The inference model: RetinaNet, then box decoding, clipping and filtered NMS as Keras layers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_retinanet.config import FilterConfig, to_dict
from keras_retinanet.config.aliases import with_current_arguments
from keras_retinanet.geometry.boxes import ClipBoxes, area
from keras_retinanet.geometry.filter_detections import FilterDetections
from keras_retinanet.geometry.nms import Kernel, take_rows
from keras_retinanet.model.image_checks import check_data, check_detection_inputs
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.schema import BatchDetections, Predictions, Tensor

_CLIPPING = (
    "clip",
    "clip_margin",
    "clip_frame",
    "drop_empty",
    "counts_empty",
)  # settings of this model, the others are those of its filter


@keras.saving.register_keras_serializable(package="keras_retinanet")
class DetectionModel(keras.Model):
    """Images in, detections out: boxes in pixels of the images that went in.

    Args:
        network: A RetinaNet.
        filter_config: Defaults to those stored in the network.
        kernel: Implementation of NMS, see `nms.Kernel`. Defaults to the fastest one for this backend.

    Example:
        >>> model = DetectionModel(keras_retinanet.load_model("best.keras"))
        >>> detections = model.predict(images)   # {"boxes", "scores", "labels", "num_detections"}
    """

    def __init__(
        self,
        network: RetinaNet,
        filter_config: FilterConfig | None = None,
        kernel: Kernel = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.network = network
        self.filter_config = filter_config or network.filter_config
        self.kernel = kernel
        self.clip_boxes = ClipBoxes(self.filter_config.clip_margin, name="clip_boxes")
        settings = {name: value for name, value in vars(self.filter_config).items() if name not in _CLIPPING}
        self.filter_detections = FilterDetections(**settings, from_logits=True, kernel=kernel, name="filter_detections")
        self.build()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the labels `0 … K-1`."""
        return self.network.class_names

    @property
    def detector(self) -> RetinaNet:
        """The network under its former name, under which `.keras` files hold its weights.

        Keras names stored weights by the first attribute, in alphabetical order, that leads to them.
        """
        return self.network

    def build(self, input_shape: Any = None) -> None:
        """Marks the model as built: the network is, and the other layers have no weights."""
        del input_shape
        self.clip_boxes.built = self.filter_detections.built = self.built = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Like `keras.Model.__call__`, with a check of the shapes and the dtype of what goes in."""
        check_detection_inputs(args[0] if args else kwargs.get("inputs"))
        return super().__call__(*args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> BatchDetections:
        """Detections of all images, NumPy arrays; arguments as in Keras."""
        check_detection_inputs(x) if isinstance(x, Mapping) else check_data(x)
        return super().predict(x, *args, **kwargs)

    def call(self, inputs: Tensor | Mapping[str, Tensor]) -> BatchDetections:
        """Detections of a batch, padded with -1.

        Args:
            inputs: Images `(B, H, W, 3)`, RGB 0–255; or `{"images": …, "sizes": (B, 2)}` with the height and width of
                each image before padding, to which its boxes are then clipped.

        Returns:
            `schema.BatchDetections`.
        """
        images = inputs["images"] if isinstance(inputs, Mapping) else inputs
        if isinstance(inputs, Mapping):
            sizes = ops.cast(inputs["sizes"], "float32")
        else:
            sizes = ops.cast(ops.stack(ops.shape(images)[1:3]), "float32")[None]  # (1, 2)
        return self.from_predictions(self.network(images), sizes)

    def from_predictions(self, predictions: Predictions, sizes: Tensor) -> BatchDetections:
        """Turns the network's predictions into detections.

        Args:
            predictions: `schema.Predictions`.
            sizes: `(B, 2)` or `(1, 2)` float32. Height and width of the images before padding.

        Returns:
            `schema.BatchDetections`.
        """
        if self.filter_config.clip_frame == "shape" and self.network.resize_config.shape:
            sizes = ops.convert_to_tensor([self.network.resize_config.shape], "float32")  # (1, 2)
        anchors = list(predictions["anchors"].values())
        boxes = self.network.box_coder(predictions["deltas"], ops.concatenate(anchors, axis=1))
        logits, is_clipped_last = (
            self.network.class_logits(predictions["logits"]),
            self.filter_config.clip == "after_nms",
        )
        if self.filter_config.clip == "before_nms":
            boxes = self.clip_boxes(boxes, sizes)
        if self.filter_config.drop_empty and not is_clipped_last:
            logits = ops.where((area(boxes) > 0)[..., None], logits, -math.inf)
        is_dropped_within = is_clipped_last and self.filter_config.drop_empty and not self.filter_config.counts_empty
        window = sizes - self.filter_config.clip_margin if is_dropped_within else None
        quality = predictions["quality"][..., 0] if "quality" in predictions else None
        found = self.filter_detections(boxes, logits, levels=predictions["anchors"], quality=quality, window=window)
        return self._clipped(found, sizes) if is_clipped_last else found

    def _clipped(self, found: BatchDetections, sizes: Tensor) -> BatchDetections:
        """Clips detections to their images; with `drop_empty`, boxes outside are removed and the rest compacted."""
        is_found = found["labels"] >= 0
        boxes = ops.where(is_found[..., None], self.clip_boxes(found["boxes"], sizes), -1.0)
        if not self.filter_config.drop_empty:
            return {**found, "boxes": boxes}
        is_kept = ops.logical_and(is_found, area(boxes) > 0)  # (B, D)
        place = ops.cast(ops.arange(self.filter_config.max_detections), "int32")[None]
        order = ops.argsort(ops.where(is_kept, place, place + self.filter_config.max_detections), axis=1)
        is_kept = take_rows(is_kept, order)
        return {
            "boxes": ops.where(is_kept[..., None], take_rows(boxes, order), -1.0),
            "scores": ops.where(is_kept, take_rows(found["scores"], order), -1.0),
            "labels": ops.where(is_kept, take_rows(found["labels"], order), -1),
            "num_detections": ops.sum(ops.cast(is_kept, "int32"), axis=1),
        }

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        network = keras.saving.serialize_keras_object(self.network)
        return {
            "name": self.name,
            "network": network,
            "filter_config": to_dict(self.filter_config),
            "kernel": self.kernel,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> DetectionModel:
        """The model of a `get_config`."""
        config = with_current_arguments(config)
        config["network"] = keras.saving.deserialize_keras_object(config["network"], custom_objects=custom_objects)
        config["filter_config"] = FilterConfig(**config["filter_config"])
        return cls(**config)
