"""Quantises the convolutions of the network to int8, except for the last ones of the heads.

Each feature map has one range, which covers all of its values on representative images; kernels have one scale per
channel. All other operations, such as anchors, group normalisation and the upsampling of the pyramid, run in float32.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from keras_retinanet.config import ExportConfig
from keras_retinanet.data.image_files import read_bytes
from keras_retinanet.data.preparation import fit_image, prepare_batch
from keras_retinanet.export.sample_images import MAX_CALIBRATION_IMAGES, decode_image, folder_images
from keras_retinanet.extras import install_hint
from keras_retinanet.model.detection_model import DetectionModel

Ranges = dict[str, dict[str, Any]]
"""Name of a feature map → `min` and `max`, arrays of one number each."""
ONNX_OPERATORS = ("Conv", "Relu", "Clip", "MaxPool", "Add")
LITERT_OPERATORS = ("CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "PAD", "ADD")


def network_scope(model: DetectionModel) -> str:
    """Regular expression of the operators to quantise, by the names that TensorFlow gave them.

    Args:
        model: The model that is written.

    Returns:
        The expression. It matches operators of the network, except for anchors, whose coordinates need more than 256
        steps, normalisation of pixels and groups, and the last convolutions.
    """
    return rf"{re.escape(model.network.name)}(_\d+)?/(?!(.*/)?(anchors|normalize|norm\d+|final|quality)(_\d+)?/).*"


def representative_inputs(model: DetectionModel, settings: ExportConfig) -> Iterator[dict[str, Any]]:
    """Prepares the representative images, from which the ranges are measured.

    Args:
        model: The model with the resize rule.
        settings: The folder or files, and the input size if it is fixed.

    Yields:
        `images (1, H, W, 3)` and `sizes (1, 2)`, float32; `images` as they are, uint8, if the artefact resizes.
    """
    network, given = model.network, settings.representative or ""
    images: Iterator[Any]
    if isinstance(given, tuple):
        images = (decode_image(read_bytes(name), name) for name in given)
    else:
        images = iter(folder_images(given, MAX_CALIBRATION_IMAGES))
    for image in images:
        if settings.has_resize:
            yield {"images": image[None]}
            continue
        height, width = image.shape[:2]
        fit = fit_image(height, width, network.resize_config, fixed_shape=settings.image_size)
        batch, sizes = prepare_batch([image], [fit], network.resize_config, network.pad_value)
        yield {"images": batch, "sizes": sizes}


def quantize_onnx(converted: Any, model: DetectionModel, settings: ExportConfig, path: Path) -> None:
    """Writes an ONNX model whose network computes in int8.

    Args:
        converted: The model in float32, an `onnx.ModelProto`.
        model: The Keras model it was converted from.
        settings: The representative images.
        path: Path of the new file.
    """
    from onnxruntime import quantization

    scope = re.compile(network_scope(model))
    nodes = [
        node.name  # the converter renames a convolution that takes in its padding; only the network has such
        for node in converted.graph.node
        if node.op_type in ONNX_OPERATORS and (scope.match(node.name) or node.name.startswith("Conv__"))
    ]

    class Reader(quantization.CalibrationDataReader):
        """The representative images, one by one."""

        inputs = representative_inputs(model, settings)

        def get_next(self) -> dict[str, Any] | None:
            """The next image, or `None` at the end."""
            return next(self.inputs, None)

    with _no_advice():
        quantization.quantize_static(
            converted,
            path,
            Reader(),
            op_types_to_quantize=list(ONNX_OPERATORS),
            nodes_to_quantize=nodes,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )


@contextlib.contextmanager
def _no_advice() -> Iterator[None]:
    """Suppresses the advice of ONNX Runtime's quantizer to optimise the model first, which folding has done."""

    def is_other(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("Please consider")

    logging.getLogger().addFilter(is_other)
    try:
        yield
    finally:
        logging.getLogger().removeFilter(is_other)


def quantize_litert(contents: bytes, model: DetectionModel, settings: ExportConfig) -> bytes:
    """Quantises a LiteRT model.

    Args:
        contents: The model in float32.
        model: The Keras model it was converted from.
        settings: The representative images.

    Returns:
        The model whose network computes in int8.

    Raises:
        ImportError: The quantizer is not installed.
    """
    try:
        from ai_edge_quantizer import qtyping
        from ai_edge_quantizer.calibrator import CalibrationMode
        from ai_edge_quantizer.quantizer import Quantizer
    except ImportError as error:
        raise ImportError(f"int8 for litert needs its quantizer: {install_hint('litert')}") from error
    quantizer = Quantizer(bytearray(contents))
    for operator in LITERT_OPERATORS:
        quantizer.add_static_config(network_scope(model), qtyping.TFLOperationName(operator), 8, 8)
    # Its other mode reads every tensor, but those inside the loop of NMS cannot be read.
    mode = CalibrationMode.CALIBRATION_PROFILER_BASED
    ranges: Ranges = {}
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors")  # which it sets itself
        for inputs in representative_inputs(model, settings):  # one at a time: it would list them all
            ranges = widest(ranges, quantizer.calibrate({"serving_default": [inputs]}, mode=mode))
        return bytes(quantizer.quantize(ranges).quantized_model)


def widest(known: Ranges, seen: Ranges) -> Ranges:
    """Merges ranges so that they cover all images.

    The quantizer's default is a moving average over the images: it depends on their order, and cuts off the largest
    values, which belong to objects.

    Args:
        known: Ranges of the images so far.
        seen: Ranges of another image.

    Returns:
        The smaller `min` and the larger `max` of each map.
    """
    merged = dict(known)
    for name, one in seen.items():
        if other := known.get(name):
            one = {"min": np.minimum(one["min"], other["min"]), "max": np.maximum(one["max"], other["max"])}
        merged[name] = one
    return merged
