"""A LiteRT (TensorFlow Lite) file of built-in operators for one image of one size."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_retinanet.config import ExportConfig
from keras_retinanet.export.artefact import Check, write_file
from keras_retinanet.export.detection_graph import describe, detection_graph, prepare_model, save_graph
from keras_retinanet.export.input_size import default_input_size
from keras_retinanet.export.int8 import quantize_litert
from keras_retinanet.export.resize_graph import check_rule
from keras_retinanet.framework_internals import litert_converter_error, litert_format
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.runtimes.description import DESCRIPTION_KEY


def export_litert(
    model: DetectionModel, out: Path, settings: ExportConfig | None = None, check: Check | None = None
) -> Path:
    """Write the inference model for phones and embedded boards.

    float16 stores the weights in half precision; the CPU computes in float32.

    Args:
        model: The model; its thresholds are built in.
        out: A path that ends in `.tflite`; an existing file is replaced.
        settings: Dtype, input size and folding. Defaults to float32 and `default_input_size`, folded.
        check: See `Check`. Defaults to no check.

    Returns:
        The file.

    Raises:
        ValueError: The name does not end in `.tflite`.
    """
    settings = settings or ExportConfig()
    if settings.image_size is None:
        settings = dataclasses.replace(settings, image_size=default_input_size(model.network).size)
    return write_file("litert", out, settings, lambda path: _write(model, path, settings), check)


def _write(model: DetectionModel, path: Path, settings: ExportConfig) -> None:
    if settings.has_resize:
        check_rule("litert", model.network.resize_config)
    prepared = prepare_model(model, settings)
    with tempfile.TemporaryDirectory() as graph:
        save_graph(detection_graph(prepared, "ops", settings, batch=1), prepared, graph)
        converter = tf.lite.TFLiteConverter.from_saved_model(graph, signature_keys=["serving_default"])
        if settings.dtype == "float16":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        contents = converted(converter)
    if settings.dtype == "int8":
        contents = quantize_litert(contents, prepared, settings)
    path.write_bytes(with_metadata(contents, DESCRIPTION_KEY, describe(model, settings).to_json()))


def converted(converter: Any) -> bytes:
    """Runs a converter.

    Args:
        converter: A configured `tf.lite.TFLiteConverter`.

    Returns:
        Contents of the file.

    Raises:
        ValueError: LiteRT cannot run an operation of the graph.
    """
    converter_error = litert_converter_error()
    try:
        contents: bytes = converter.convert()
    except converter_error as error:
        what = next(iter(str(error).strip().splitlines()), "")
        raise ValueError(f"LiteRT cannot run this model: {what[:300]} Use --format onnx or openvino.") from error
    return contents


def with_metadata(contents: bytes, name: str, text: str) -> bytes:
    """Adds an entry to the metadata of a file.

    Args:
        contents: Contents of the file.
        name: Name of the entry.
        text: Text of the entry.

    Returns:
        Contents of the new file.
    """
    schema, utils = litert_format()
    model = utils.read_model_from_bytearray(bytearray(contents))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(text.encode())
    entry.name, entry.buffer = name, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    return bytes(utils.convert_object_to_bytearray(model))
