"""The inference model as one TensorFlow function of prepared images: what the converters of other runtimes take."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_retinanet.config import ExportConfig
from keras_retinanet.export.folding import fold_batch_norm
from keras_retinanet.export.precision import Floating, in_precision
from keras_retinanet.geometry.nms import Kernel
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.runtimes import Description
from keras_retinanet.schema import Tensor
from keras_retinanet.version import __version__


def prepared(
    detector: DetectionModel, settings: ExportConfig, *, folds: bool = True, precision: Floating = "float32"
) -> DetectionModel:
    """The model as it shall be written.

    Args:
        detector: DetectionModel. Left as it is.
        settings: ExportConfig. What is wanted.
        folds: Whether batch normalisation is folded where `settings` leave it open.
        precision: What the Keras model shall compute in; some formats round the weights themselves.

    Returns:
        A model for inference; the same one where there is nothing to do.
    """
    network = detector.network
    if has_folded(settings, folds):
        network = fold_batch_norm(network)
    network = in_precision(network, precision)
    return detector if network is detector.network else DetectionModel(network, detector.filter, detector.kernel)


def floating(settings: ExportConfig) -> Floating:
    """What the Keras model computes in, where that is what the artefact computes in."""
    return "float32" if settings.precision == "int8" else settings.precision


def has_folded(settings: ExportConfig, folds: bool = True) -> bool:
    """Whether batch normalisation is folded, given the default of the format."""
    return folds if settings.fold_batch_norm is None else settings.fold_batch_norm


def describe(detector: DetectionModel, settings: ExportConfig, *, folds: bool = True) -> Description:
    """What an artefact tells about itself.

    Args:
        detector: DetectionModel. The model that is written.
        settings: ExportConfig. How it is written.
        folds: Whether the format folds batch normalisation unless told otherwise.

    Returns:
        The description.
    """
    network = detector.network
    return Description(
        class_names=detector.class_names,
        resize=network.resize,
        pad_value=network.pad_value,
        filter=detector.filter,
        image_size=settings.image_size,
        precision=settings.precision,
        has_folded_batch_norm=has_folded(settings, folds),
        keras_retinanet=__version__,
        tensorflow=tf.__version__,
        metadata=network.metadata,
    )


def detection_graph(
    detector: DetectionModel, kernel: Kernel, image_size: tuple[int, int] | None, batch: int | None = None
) -> Any:
    """From network input to detections.

    Args:
        detector: DetectionModel. Its weights and thresholds become part of the function.
        kernel: What picks boxes: not every runtime has TensorFlow's own.
        image_size: Height and width of the input; any where `None`.
        batch: Images of a batch; any where `None`.

    Returns:
        A `tf.function` of `images (B, H, W, 3)` and `sizes (B, 2)`, both float32, the latter the height and width
        before padding. Answers `schema.Detections`, `deltas` and `logits`.
    """
    model = DetectionModel(detector.network, detector.filter, kernel)
    height, width = image_size or (None, None)

    def detect(images: Tensor, sizes: Tensor) -> dict[str, Tensor]:
        predictions = model.network(images, training=False)
        found = model.from_predictions(predictions, sizes)
        return {**found, "deltas": predictions["deltas"], "logits": predictions["logits"]}

    images = tf.TensorSpec((batch, height, width, 3), tf.float32, "images")
    sizes = tf.TensorSpec((batch, 2), tf.float32, "sizes")
    return tf.function(detect, input_signature=[images, sizes], autograph=False)


def save_graph(function: Any, detector: DetectionModel, folder: str) -> None:
    """Writes a graph as a SavedModel with one signature, which converters read.

    Args:
        function: What `detection_graph` answers.
        detector: DetectionModel. Holds the weights that it uses.
        folder: str. Where to write.
    """
    module = tf.Module()
    module.weights = [variable.value for variable in detector.variables]
    tf.saved_model.save(module, folder, signatures={"serving_default": function})
