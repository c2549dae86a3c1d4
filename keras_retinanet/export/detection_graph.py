"""The inference model as one TensorFlow function of prepared images, which converters to other formats read."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_retinanet.config import ExportConfig, ResizeConfig
from keras_retinanet.conv_gradients import direct_convolutions
from keras_retinanet.data.resized_sizes import padded_size
from keras_retinanet.export.dtypes import FloatDtype, with_dtype
from keras_retinanet.export.folding import fold_batch_norm
from keras_retinanet.export.resize_graph import ResizedImages, resize_in_graph
from keras_retinanet.geometry.nms import Kernel
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.runtimes import Description, raw_outputs
from keras_retinanet.schema import Tensor
from keras_retinanet.version import __version__


def prepare_model(
    model: DetectionModel, settings: ExportConfig, *, fold_by_default: bool = True, dtype: FloatDtype = "float32"
) -> DetectionModel:
    """Folds batch normalisation and sets the dtype of a model before it is written.

    Args:
        model: The model, which is not changed.
        settings: Dtype and folding.
        fold_by_default: Whether batch normalisation is folded if `settings` do not say.
        dtype: Dtype in which the Keras model computes; some formats round the weights themselves.

    Returns:
        A model for inference; the same one if there is nothing to do.
    """
    network = model.network
    if has_folded(settings, fold_by_default):
        network = fold_batch_norm(network)
    network = with_dtype(network, dtype)
    return model if network is model.network else DetectionModel(network, model.filter_config, model.kernel)


def floating(settings: ExportConfig) -> FloatDtype:
    """Dtype in which the Keras model computes, for formats that take it from the model."""
    return "float32" if settings.dtype == "int8" else settings.dtype


def has_folded(settings: ExportConfig, fold_by_default: bool = True) -> bool:
    """Whether batch normalisation is folded, given the default of the format."""
    return fold_by_default if settings.fold_batch_norm is None else settings.fold_batch_norm


def describe(model: DetectionModel, settings: ExportConfig, *, fold_by_default: bool = True) -> Description:
    """Describes an artefact.

    Args:
        model: The model that is written.
        settings: Dtype, input size and folding.
        fold_by_default: Whether the format folds batch normalisation by default.

    Returns:
        The description.
    """
    network = model.network
    return Description(
        class_names=model.class_names,
        resize=network.resize_config,
        pad_value=network.pad_value,
        filter=model.filter_config,
        image_size=settings.image_size,
        has_resize=settings.has_resize,
        dtype=settings.dtype,
        has_folded_batch_norm=has_folded(settings, fold_by_default),
        keras_retinanet=__version__,
        tensorflow=tf.__version__,
        metadata=network.metadata,
    )


def detection_graph(model: DetectionModel, kernel: Kernel, settings: ExportConfig, batch: int | None = None) -> Any:
    """Makes a function from images to detections.

    Args:
        model: The model, whose weights and thresholds become part of the function.
        kernel: Implementation of NMS; not every runtime has TensorFlow's.
        settings: Input size, and whether the function resizes.
        batch: Batch size; `None` for any.

    Returns:
        A `tf.function` of `images (B, H, W, 3)` and `sizes (B, 2)`, both float32; `sizes` are height and width before
        padding. With `has_resize` it takes `images (B, h, w, 3)` uint8 of any one size alone, and returns boxes in
        their pixels. It returns `schema.BatchDetections` and `schema.RawOutputs`.

    Raises:
        ValueError: Images are stretched to one shape, and the input size is another.
    """
    _require_stretched_shape(model.network.resize_config, settings.image_size)
    model = DetectionModel(model.network, model.filter_config, kernel)
    network, image_size = model.network, settings.image_size

    def detect(images: Tensor, sizes: Tensor) -> dict[str, Tensor]:
        with direct_convolutions():
            predictions = network(images, training=False)
        found = model.from_predictions(predictions, sizes)
        return {**found, **raw_outputs(predictions)}

    def detect_any_size(images: Tensor) -> dict[str, Tensor]:
        resized = resize_in_graph(images, network.resize_config, image_size, network.pad_value)
        found = detect(resized.images, resized.sizes)
        return {**found, "boxes": _restored(found, resized)}

    if settings.has_resize:
        given = tf.TensorSpec((batch, None, None, 3), tf.uint8, "images")
        return tf.function(detect_any_size, input_signature=[given], autograph=False)
    images = tf.TensorSpec((batch, *(image_size or (None, None)), 3), tf.float32, "images")
    sizes = tf.TensorSpec((batch, 2), tf.float32, "sizes")
    return tf.function(detect, input_signature=[images, sizes], autograph=False)


def _require_stretched_shape(resize: ResizeConfig, image_size: tuple[int, int] | None) -> None:
    if image_size is None or not resize.shape or resize.shape_mode != "stretch":
        return
    height, width = resize.shape
    if image_size != padded_size(height, width, resize):
        raise ValueError(
            f"Images are {resize}, which is the only input size of this network; got --image-size {image_size[0]} "
            f"{image_size[1]}. Leave it out."
        )


def _restored(found: dict[str, Tensor], resized: ResizedImages) -> Tensor:
    """Boxes `(B, D, 4)` in the pixels of the images as given, and -1 in the padding; see `restore_detections`."""
    boxes = found["boxes"] / tf.tile(tf.reverse(resized.scale, [0]), (2,))
    boxes = tf.minimum(tf.maximum(boxes, 0.0), tf.tile(tf.reverse(resized.given, [0]), (2,)))
    return tf.where((found["labels"] >= 0)[..., None], boxes, -1.0)


def save_graph(function: Any, model: DetectionModel, folder: str) -> None:
    """Writes a graph as a SavedModel with one signature, which converters read.

    Args:
        function: From `detection_graph`.
        model: The model whose weights the function uses.
        folder: Folder of the SavedModel.
    """
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    tf.saved_model.save(module, folder, signatures={"serving_default": function})
