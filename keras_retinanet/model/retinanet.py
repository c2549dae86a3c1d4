"""RetinaNet: backbone, feature pyramid and two heads; the model that `fit` trains (paper §4, figure 3)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from keras_retinanet.assigners.iou_threshold import match_batch
from keras_retinanet.backbones import BACKBONES, pad_value
from keras_retinanet.config import (
    AnchorConfig,
    FilterConfig,
    LossConfig,
    MatchConfig,
    ModelConfig,
    ResizeConfig,
    to_dict,
)
from keras_retinanet.geometry.anchors import Anchors
from keras_retinanet.geometry.boxes import RegressBoxes
from keras_retinanet.losses import BOX_LOSSES, CLASSIFICATION_LOSSES, replicas
from keras_retinanet.model.fpn import FeaturePyramid
from keras_retinanet.model.heads import Head
from keras_retinanet.schema import Predictions, Targets, Tensor

NAMED_IMAGES = 64
"""Images of a failed batch that are remembered by index."""

_PARTS = ("backbone", "neck", "class_head", "box_head", "anchors", "regress_boxes")
_SETTINGS = {"matching": MatchConfig, "loss": LossConfig, "resize": ResizeConfig, "filter": FilterConfig}


@keras.saving.register_keras_serializable(package="keras_retinanet")
class RetinaNet(keras.Model):
    """The detector as it is trained: images in, deltas and logits of every anchor out.

    `model(images)` answers `schema.Predictions`; `predict` leaves the anchors out. `fit` takes batches of
    `(images, schema.Targets)` and logs `loss`, `classification_loss` and `box_loss`. Detections come from
    `inference.DetectionModel(model)`.

    Args:
        backbone: Model from RGB images `(B, H, W, 3)` in 0–255 to `{"C3": …, "C4": …, "C5": …}`.
        neck: From the backbone's maps to the pyramid, for example a `FeaturePyramid`.
        class_head: `Head` with one value a class.
        box_head: `Head` with four values.
        anchors: `Anchors` layer.
        regress_boxes: `RegressBoxes` layer: the box coder.
        class_names: Names of the labels `0 … K-1`.
        matching: Which anchor learns what.
        loss: Names and constants of the losses.
        resize: How images become network input; data pipelines and detection read it here.
        filter: Defaults of the inference model.
        metadata: Free, JSON-serialisable notes that travel with the snapshot.

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
        regress_boxes: RegressBoxes,
        *,
        class_names: Sequence[str],
        matching: MatchConfig | None = None,
        loss: LossConfig | None = None,
        resize: ResizeConfig | None = None,
        filter: FilterConfig | None = None,
        metadata: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        images = keras.Input((None, None, 3), name="images")
        pyramid = neck(backbone(images))
        outputs = {
            "deltas": box_head(pyramid),
            "logits": class_head(pyramid),
            "anchors": anchors(pyramid, images),
        }
        super().__init__(inputs=images, outputs=outputs, **kwargs)
        self.backbone = backbone
        self.neck = neck
        self.class_head = class_head
        self.box_head = box_head
        self.anchors = anchors
        self.regress_boxes = regress_boxes
        self.class_names = tuple(str(name) for name in class_names)
        if len(self.class_names) != class_head.values:
            raise ValueError(f"{len(self.class_names)} class names for a head of {class_head.values} classes.")
        if broken := [name for name in self.class_names if len(f"{name}.".splitlines()) > 1]:
            raise ValueError(f"The class {broken[0]!r} has a line break in its name; label files hold a name a line.")
        self.matching = matching or MatchConfig()
        self.loss_settings = loss or LossConfig()
        self.resize = resize or ResizeConfig()
        self.filter = filter or FilterConfig()
        self.metadata = dict(metadata or {})
        self.classification_loss_tracker = keras.metrics.Mean(name="classification_loss")
        self.box_loss_tracker = keras.metrics.Mean(name="box_loss")
        self.failed_images = self.add_weight(
            shape=(NAMED_IMAGES,),
            dtype="int32",
            initializer=keras.initializers.Constant(-1),
            trainable=False,
            name="failed_images",
        )

    @property
    def pad_value(self) -> tuple[float, float, float]:
        """RGB colour that normalisation maps to zero; images are padded with it."""
        return pad_value(self.backbone)

    @property
    def num_classes(self) -> int:
        """`K`."""
        return len(self.class_names)

    def map_shapes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Shapes of the pyramid's feature maps, from the layers; nothing is computed on pixels.

        Args:
            height: int. Rows of the padded image.
            width: int. Columns of the padded image.

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
            jit_compile: Defaults to `False` on the TensorFlow backend, where XLA compiles anew for every image
                shape, and to Keras' own choice elsewhere.
            **kwargs: As in Keras.
        """
        if jit_compile is None:
            jit_compile = False if keras.backend.backend() == "tensorflow" else "auto"
        super().compile(*args, jit_compile=jit_compile, **kwargs)
        if not self.optimizer.built:  # inside `fit` it would make its variables while tracing, and trace a second time
            self.optimizer.build(self.trainable_variables)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as it was when saved, and gives the optimizer its variables; Keras calls it while loading."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def compute_loss(
        self,
        x: Tensor = None,
        y: Targets | None = None,
        y_pred: Predictions | None = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """Focal and box loss, each summed over the global batch and divided by its positives (at least 1).

        Args:
            x: `(B, H, W, 3)` images; not read.
            y: Targets of the batch.
            y_pred: What the model answered for it.
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
        anchors = ops.concatenate(list(y_pred["anchors"].values()), axis=1)[0]  # (A, 4)
        state, labels, matched = self._targets(anchors, y)
        count, everywhere = replicas()
        positives = everywhere(ops.sum(ops.cast(state == 1, "float32")))
        scale = 1.0 / ops.maximum(positives, 1.0)
        settings = self.loss_settings
        classify = CLASSIFICATION_LOSSES[settings.classification]
        class_sum = classify(y_pred["logits"], labels, state, alpha=settings.alpha, gamma=settings.gamma)
        class_loss = class_sum * scale
        box_loss = self._box_loss(y_pred["deltas"], anchors, matched, state) * scale * settings.box_weight
        self.classification_loss_tracker.update_state(class_loss * count)
        self.box_loss_tracker.update_state(box_loss * count)
        loss = class_loss + box_loss
        self._remember_failure(loss, y["image_index"])
        for penalty in self.losses:
            loss = loss + ops.sum(penalty) / count
        return loss

    def _targets(self, anchors: Tensor, y: Targets) -> tuple[Tensor, Tensor, Tensor]:
        """State `(B, A)`, label `(B, A)` and box `(B, A, 4)` of every anchor; background owns itself as box."""
        boxes, labels, ignore = (ops.convert_to_tensor(y[name]) for name in ("boxes", "labels", "ignore"))
        if boxes.shape[1] == 0:  # a batch without any box: one row of padding, so that there is something to point at
            boxes = ops.pad(boxes, [[0, 0], [0, 1], [0, 0]])
            labels = ops.pad(labels, [[0, 0], [0, 1]], constant_values=-1)
            ignore = ops.zeros_like(labels)
        thresholds = dataclasses.asdict(self.matching)
        state, index = match_batch(anchors, boxes, labels, ignore, y["size"], **thresholds)
        state, index = ops.stop_gradient(state), ops.stop_gradient(index)
        labels = ops.take_along_axis(labels, index, axis=1)
        own = ops.take_along_axis(boxes, index[..., None], axis=1)  # (B, A, 4)
        matched = ops.where((state == 1)[..., None], own, anchors[None])
        return state, labels, matched

    def _box_loss(self, deltas: Tensor, anchors: Tensor, matched: Tensor, state: Tensor) -> Tensor:
        settings = self.loss_settings
        loss = BOX_LOSSES[settings.box]
        deltas = ops.cast(deltas, "float32")
        if loss.is_on_boxes:
            predicted, target = self.regress_boxes(deltas, anchors[None]), matched
        else:
            predicted, target = deltas, self.regress_boxes.encode(matched, anchors[None])
        values = loss.function(predicted, target, settings.beta)
        return ops.sum(ops.where(state == 1, values, 0.0))

    def _remember_failure(self, loss: Tensor, image_index: Tensor) -> None:
        """Keeps the images of the first batch whose loss is not finite."""
        index = ops.cast(ops.reshape(image_index, (-1,)), "int32")[:NAMED_IMAGES]
        row = ops.concatenate([index, ops.full((NAMED_IMAGES,), -1, dtype="int32")])[:NAMED_IMAGES]
        kept = self.failed_images.value
        is_new = ops.logical_and(ops.logical_not(ops.isfinite(loss)), kept[0] < 0)
        self.failed_images.assign(ops.where(is_new, row, kept))

    def predict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Raw answers `{"deltas": (B, A, 4), "logits": (B, A, K)}` as NumPy arrays; arguments as in Keras."""
        return _without_anchors(super().predict(*args, **kwargs))

    def predict_on_batch(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """`predict` for one batch."""
        return _without_anchors(super().predict_on_batch(*args, **kwargs))

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments: the parts as serialised Keras objects, the settings as plain values."""
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable}
        for part in _PARTS:
            config[part] = keras.saving.serialize_keras_object(getattr(self, part))
        config["class_names"] = list(self.class_names)
        config["matching"] = to_dict(self.matching)
        config["loss"] = to_dict(self.loss_settings)
        config["resize"] = to_dict(self.resize)
        config["filter"] = to_dict(self.filter)
        config["metadata"] = self.metadata
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> RetinaNet:
        """The model of a `get_config`."""
        config = dict(config)
        for part in _PARTS:
            config[part] = keras.saving.deserialize_keras_object(config[part], custom_objects=custom_objects)
        for name, settings in _SETTINGS.items():
            config[name] = settings(**config[name])
        return cls(**config)


def _without_anchors(predictions: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in predictions.items() if name != "anchors"}


def build(
    model: ModelConfig | None = None,
    *,
    class_names: Sequence[str],
    anchors: AnchorConfig | None = None,
    matching: MatchConfig | None = None,
    loss: LossConfig | None = None,
    resize: ResizeConfig | None = None,
    filter: FilterConfig | None = None,
    backbone_options: Mapping[str, Any] | None = None,
    regress_boxes: RegressBoxes | None = None,
) -> RetinaNet:
    """A new RetinaNet from its settings, each of which defaults to the paper's.

    Args:
        model: Backbone, its weights, and the sizes of pyramid and heads.
        class_names: Names of the labels `0 … K-1`.
        anchors: Anchors of each level.
        matching: Which anchor learns what.
        loss: Names and constants of the losses.
        resize: How images become network input.
        filter: Defaults of the inference model.
        backbone_options: Further arguments of the backbone, such as `ResNetOptions`.
        regress_boxes: Box coder, where its settings differ from the defaults of `model.box_coder`.

    Returns:
        A built, uncompiled model.

    Raises:
        ValueError: Unknown backbone, or levels and anchor sizes that do not fit each other.

    Example:
        >>> model = build(ModelConfig(backbone="resnet18", weights="none"), class_names=["cat", "dog"])
        >>> model.class_head.values
        2
    """
    model = model or ModelConfig()
    anchors = anchors or AnchorConfig()
    if model.backbone not in BACKBONES:
        raise ValueError(f"Unknown backbone {model.backbone!r}; known are {', '.join(BACKBONES)}.")
    anchor_layer = Anchors(**dataclasses.asdict(anchors), name="anchors")
    neck = FeaturePyramid(
        model.fpn_width,
        model.min_level,
        model.max_level,
        p6_source=model.p6_source,
        stride_padding=model.stride_padding,
        has_relu_before_p7=model.has_relu_before_p7,
        name="feature_pyramid",
    )
    if len(neck.levels) != len(anchor_layer.sizes):
        raise ValueError(
            f"The pyramid has the levels {', '.join(neck.levels)}: anchors need {len(neck.levels)} sizes and "
            f"strides; received sizes {anchor_layer.sizes} and strides {anchor_layer.strides}."
        )
    counts = anchor_layer.num_anchors
    head: dict[str, Any] = {
        "num_anchors": counts[0] if len(set(counts)) == 1 else counts,
        "width": model.head_width,
        "depth": model.head_depth,
        "norm": model.head_norm,
        "norm_epsilon": model.head_norm_epsilon,
        "has_bias": model.has_head_bias,
        "is_shared": model.has_shared_heads,
    }
    return RetinaNet(
        BACKBONES[model.backbone](
            weights=None if model.weights == "none" else model.weights, **(backbone_options or {})
        ),
        neck,
        Head(len(class_names), **head, prior=0.01, name="class_head"),
        Head(4, **head, name="box_head"),
        anchor_layer,
        regress_boxes or RegressBoxes(model.box_coder, name="regress_boxes"),
        class_names=class_names,
        matching=matching,
        loss=loss,
        resize=resize,
        filter=filter,
        metadata={"model": to_dict(model)},
        name="retinanet",
    )
