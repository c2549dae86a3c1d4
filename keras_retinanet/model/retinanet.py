"""RetinaNet: backbone, feature pyramid and two heads; the model that `fit` trains (paper §4, figure 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_retinanet.backbones import pad_value
from keras_retinanet.config import (
    AssignerConfig,
    FilterConfig,
    LossConfig,
    ResizeConfig,
    to_dict,
)
from keras_retinanet.config.aliases import with_current_arguments
from keras_retinanet.geometry.anchors import Anchors
from keras_retinanet.geometry.background import without_background
from keras_retinanet.geometry.box_coder import BoxCoder
from keras_retinanet.model.batch_loss import MAX_NAN_BATCH_INDICES, batch_loss, track_loss
from keras_retinanet.model.filled_batches import fill_batches
from keras_retinanet.model.heads import Head
from keras_retinanet.model.image_checks import check_data, check_images
from keras_retinanet.model.part_checks import check_parts, check_settings
from keras_retinanet.model.replicas import current_replicas
from keras_retinanet.model.split_step import split_step
from keras_retinanet.model.target_checks import CheckedBatches
from keras_retinanet.schema import Predictions, Targets, Tensor

_PARTS = ("backbone", "neck", "class_head", "box_head", "anchors", "box_coder")
_SETTINGS = {
    "assigner_config": AssignerConfig,
    "loss_config": LossConfig,
    "resize_config": ResizeConfig,
    "filter_config": FilterConfig,
}


@keras.saving.register_keras_serializable(package="keras_retinanet")
class RetinaNet(keras.Model):
    """The network that is trained: images in, deltas and logits of every anchor out.

    `model(images)` returns `schema.Predictions`; `predict` leaves the anchors out. `fit` takes batches of
    `(images, schema.Targets)` and logs `loss`, `classification_loss`, `box_loss` and, where the network has them,
    `distribution_loss` and `quality_loss`. Detections come from `inference.DetectionModel(model)`.

    Args:
        backbone: Model from RGB images `(B, H, W, 3)` in 0–255 to `{"C3": …, "C4": …, "C5": …}`.
        neck: From the backbone's maps to the pyramid, for example a `FeaturePyramid`.
        class_head: `Head` with one output per class, and one for the background where the loss has a softmax over both.
        box_head: `Head` with as many outputs as the box coder decodes: four, or the bins of four distributions.
        anchors: `Anchors` layer.
        box_coder: `BoxCoder` layer.
        class_names: Names of the labels `0 … K-1`.
        assigner_config: Which anchor learns which box.
        loss_config: Names and constants of the losses.
        resize_config: How images become network input; data pipelines and detection read it here.
        filter_config: Defaults of the inference model.
        metadata: Free, JSON-serialisable notes that travel with the snapshot.

    Attributes:
        micro_batches: Parts into which a training step divides each batch, to need less memory; TensorFlow only.
        filled_rows: Rows to which `fit` fills up each batch with images that add nothing to a loss, where several
            processes must have parts of the same size; JAX only. Defaults to what the devices can divide.

    Example:
        >>> model = build(ModelConfig(backbone="resnet18", weights="none"), class_names=["cat", "dog"])
        >>> model.compile(keras.optimizers.SGD(0.01, momentum=0.9))
        >>> model.fit(batches.dataset(), steps_per_epoch=batches.steps_per_epoch)

    Reference:
        Lin et al., Focal Loss for Dense Object Detection, 2017.
    """

    def __init__(
        self,
        backbone: keras.Model,
        neck: keras.layers.Layer,
        class_head: Head,
        box_head: Head,
        anchors: Anchors,
        box_coder: BoxCoder,
        *,
        class_names: Sequence[str],
        assigner_config: AssignerConfig | None = None,
        loss_config: LossConfig | None = None,
        resize_config: ResizeConfig | None = None,
        filter_config: FilterConfig | None = None,
        metadata: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        images = keras.Input((None, None, 3), name="images")
        pyramid = neck(backbone(images))
        boxes = box_head(pyramid)
        outputs = {
            "deltas": boxes[0] if box_head.has_quality else boxes,
            "logits": class_head(pyramid),
            "anchors": anchors(pyramid, images),
        }
        if box_head.has_quality:
            outputs["quality"] = boxes[1]
        super().__init__(inputs=images, outputs=outputs, **kwargs)
        self.backbone = backbone
        self.neck = neck
        self.class_head = class_head
        self.box_head = box_head
        self.anchors = anchors
        self.box_coder = box_coder
        self.class_names = tuple(str(name) for name in class_names)
        self.assigner_config = assigner_config or AssignerConfig()
        self.loss_config = loss_config or LossConfig()
        self.resize_config = resize_config or ResizeConfig()
        self.filter_config = filter_config or FilterConfig()
        check_parts(self.class_names, class_head, box_head, box_coder, anchors.num_anchors)
        check_settings(self.loss_config, self.assigner_config, class_head)
        self.metadata = dict(metadata or {})
        self.classification_loss_tracker = keras.metrics.Mean(name="classification_loss")
        self.box_loss_tracker = keras.metrics.Mean(name="box_loss")
        if box_coder.has_distribution:
            self.distribution_loss_tracker = keras.metrics.Mean(name="distribution_loss")
        if box_head.has_quality:
            self.quality_loss_tracker = keras.metrics.Mean(name="quality_loss")
        self.micro_batches = 1
        self.filled_rows: int | None = None
        self.nan_batch_indices = self.add_weight(
            shape=(MAX_NAN_BATCH_INDICES,),
            dtype="int32",
            initializer=keras.initializers.Constant(-1),
            trainable=False,
            name="nan_batch_indices",
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Like `keras.Model.__call__`, with a check of the images' shape and dtype."""
        check_images(args[0] if args else kwargs.get("inputs"))
        return super().__call__(*args, **kwargs)

    @property
    def pad_value(self) -> tuple[float, float, float]:
        """RGB colour that normalisation maps to zero; images are padded with it."""
        return pad_value(self.backbone)

    @property
    def loss_trackers(self) -> dict[str, keras.metrics.Mean]:
        """Part of the loss → the metric that averages it, for the parts that this network has."""
        names = ("classification", "box", "distribution", "quality")
        found = {name: getattr(self, f"{name}_loss_tracker", None) for name in names}
        return {name: tracker for name, tracker in found.items() if tracker is not None}

    @property
    def num_classes(self) -> int:
        """`K`."""
        return len(self.class_names)

    def class_logits(self, logits: Tensor) -> Tensor:
        """Logits of the classes, whose sigmoid is their score.

        Args:
            logits: `(..., K)`, or `(..., K + 1)` with the background last.

        Returns:
            `(..., K)`.
        """
        return without_background(logits) if self.class_head.has_background else logits

    def map_shapes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Shapes of the pyramid's feature maps, from the layers; nothing is computed on pixels.

        Args:
            height: Rows of the padded image.
            width: Columns of the padded image.

        Returns:
            Rows and columns of each level, finest first.
        """
        image = keras.KerasTensor((1, height, width, 3), dtype="float32")
        pyramid = self.neck.compute_output_spec(self.backbone.compute_output_spec(image))
        return [(int(level.shape[1]), int(level.shape[2])) for level in pyramid.values()]

    def compile(self, *args: Any, jit_compile: str | bool | None = None, **kwargs: Any) -> None:
        """Like `keras.Model.compile`; losses belong to the model, so only an optimizer is needed.

        Args:
            *args: Optimizer first.
            jit_compile: Defaults to `False` on the TensorFlow backend, where XLA compiles again for every image
                shape, and to Keras' own choice elsewhere.
            **kwargs: As in Keras.
        """
        if jit_compile is None:
            jit_compile = False if keras.backend.backend() == "tensorflow" else "auto"
        super().compile(*args, jit_compile=jit_compile, **kwargs)
        if not self.optimizer.built:  # inside `fit` it would create them while tracing, and trace twice
            self.optimizer.build(self.trainable_variables)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as when saved and creates the optimizer's variables; Keras calls it while loading."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Like `keras.Model.fit`, with a check of the first batch; targets in memory are checked whole.

        Args:
            x: Batches of `(images, schema.Targets)`, or images `(B, H, W, 3)`.
            y: `schema.Targets` of all images, if `x` is an array.
            *args: As in Keras.
            **kwargs: As in Keras.

        Returns:
            Keras' history.

        Raises:
            ValueError: Targets are wrong: a label outside `0 … K-1`, a box without area, a missing entry, …; the
                message names sample and entry.
        """
        batches = CheckedBatches(x, y, self.class_names)
        try:
            return super().fit(fill_batches(batches.x, self.filled_rows), batches.y, *args, **kwargs)
        except Exception:
            if batches.error is not None:  # as a dataset tells it, it is buried in names of operations
                raise batches.error from None
            raise

    def compute_loss(
        self,
        x: Tensor = None,
        y: Targets | None = None,
        y_pred: Predictions | None = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """The sum of the parts that `DetectionLoss` computes, and penalties of layers.

        Args:
            x: `(B, H, W, 3)` images; not read.
            y: Targets of the batch.
            y_pred: Predictions for the batch.
            sample_weight: Not supported; leave it out.
            training: Not read; the loss is the same in evaluation.

        Returns:
            Scalar float32.
        """
        del x, training
        if sample_weight is not None:
            raise ValueError("RetinaNet takes no sample weights: mark boxes in `ignore` instead.")
        if y is None or y_pred is None:
            raise ValueError("RetinaNet is trained on batches of (images, targets); the targets are missing.")
        found = batch_loss(self, y, y_pred, current_replicas())
        track_loss(self, found, y["image_index"])
        return found.loss

    def train_step(self, *args: Any) -> Any:
        """One update of the weights, as Keras calls it.

        On the TensorFlow backend several replicas and `micro_batches` have a step of their own.

        Args:
            *args: As in Keras, by backend.

        Returns:
            As in Keras.
        """
        is_split = self.micro_batches > 1 or current_replicas().num_replicas > 1
        if keras.backend.backend() != "tensorflow" or not is_split:
            return super().train_step(*args)
        images, targets, sample_weight = keras.utils.unpack_x_y_sample_weight(*args)
        if sample_weight is not None or targets is None:
            raise ValueError("RetinaNet is trained on batches of (images, targets), without sample weights.")
        return split_step(self, images, targets, self.micro_batches)

    def replaced(self, **parts: Any) -> RetinaNet:
        """A model with some constructor arguments replaced and the others kept.

        Args:
            **parts: Constructor arguments, such as `backbone=…`. Layers that are kept are shared with this model.

        Returns:
            A new model, not compiled.

        Raises:
            TypeError: There is no such argument.
        """
        names = (*_PARTS, "class_names", *_SETTINGS, "metadata", "name")
        if unknown := set(parts) - set(names):
            raise TypeError(f"RetinaNet has no part {min(unknown)!r}; it has {', '.join(names)}.")
        return RetinaNet(**{name: getattr(self, name) for name in names} | parts)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Like `keras.Model.evaluate`, with a check of the images' shape and dtype."""
        check_data(x)
        return super().evaluate(x, y, *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Raw predictions, `schema.RawOutputs`; arguments as in Keras."""
        check_data(x)
        return _without_anchors(super().predict(x, *args, **kwargs))

    def predict_on_batch(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """`predict` for one batch."""
        return _without_anchors(super().predict_on_batch(*args, **kwargs))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments: the parts as serialised Keras objects, the settings as plain values."""
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable}
        for part in _PARTS:
            config[part] = keras.saving.serialize_keras_object(getattr(self, part))
        config["class_names"] = list(self.class_names)
        config |= {name: to_dict(getattr(self, name)) for name in _SETTINGS}
        config["metadata"] = self.metadata
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> RetinaNet:
        """The model of a `get_config`."""
        config = with_current_arguments(config)
        for part in _PARTS:
            config[part] = keras.saving.deserialize_keras_object(config[part], custom_objects=custom_objects)
        for name, settings in _SETTINGS.items():
            config[name] = settings(**config[name])
        return cls(**config)


def _without_anchors(predictions: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in predictions.items() if name != "anchors"}
