"""An ONNX file: network, box decoding and NMS in one graph of standard operators, for any batch size and image size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_retinanet.config import ExportConfig
from keras_retinanet.export.artefact import Check, write_file
from keras_retinanet.export.detection_graph import describe, detection_graph, floating, prepare_model
from keras_retinanet.export.int8 import quantize_onnx
from keras_retinanet.extras import install_hint
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.runtimes.description import DESCRIPTION_KEY
from keras_retinanet.runtimes.runtime import RAW_OUTPUTS

OPSET = 18
"""Version of the operator set; ONNX Runtime 1.14 (2023) and later support it."""
_LIMITS = (2, 3, 4)  # inputs of NonMaxSuppression: boxes per class, IoU, score


def export_onnx(
    model: DetectionModel, out: Path, settings: ExportConfig | None = None, check: Check | None = None
) -> Path:
    """Write the inference model for ONNX Runtime and other programs that read ONNX.

    Args:
        model: The model; its thresholds are built in.
        out: A path that ends in `.onnx`; an existing file is replaced.
        settings: Dtype, input size and folding. Defaults to float32 and any size, folded.
        check: See `Check`. Defaults to no check.

    Returns:
        The file.

    Raises:
        ValueError: The name does not end in `.onnx`.
        ImportError: The converter is not installed.
    """
    settings = settings or ExportConfig()
    return write_file("onnx", out, settings, lambda path: _write(model, path, settings), check)


def _write(model: DetectionModel, path: Path, settings: ExportConfig) -> None:
    try:
        import onnx
        import tf2onnx
    except ImportError as error:
        raise ImportError(f"The onnx format needs onnx and tf2onnx: {install_hint('onnx')}") from error
    prepared = prepare_model(model, settings, dtype=floating(settings))
    function = detection_graph(prepared, "tensorflow", settings)
    converted, _ = tf2onnx.convert.from_function(function, input_signature=function.input_signature, opset=OPSET)
    _name_axes(converted)
    set_limits_as_vectors(converted)
    if settings.dtype == "int8":
        quantize_onnx(converted, prepared, settings, path)
        converted = onnx.load(path)
    onnx.helper.set_model_props(converted, {DESCRIPTION_KEY: describe(model, settings).to_json()})
    onnx.save(converted, path)


def _name_axes(model: Any) -> None:
    """Gives dynamic axes meaningful names; the converter only numbers them."""
    names = {"images": ("batch", "height", "width", ""), "sizes": ("batch", "")}
    for value in (*model.graph.input, *model.graph.output):
        axes = names.get(value.name, ("batch", "anchors" if value.name in RAW_OUTPUTS else ""))
        for axis, name in zip(value.type.tensor_type.shape.dim, axes, strict=False):
            if name and not axis.dim_value:
                axis.dim_param = name


def set_limits_as_vectors(model: Any) -> None:
    """Gives the limits of `NonMaxSuppression` the shape `(1,)` of the standard; the converter writes scalars.

    Args:
        model: An `onnx.ModelProto`, which is changed.
    """
    from onnx import helper, numpy_helper

    graph, nodes = model.graph, []
    one = numpy_helper.from_array(np.array([1], np.int64), "shape_of_a_limit")
    for node in graph.node:
        if node.op_type == "NonMaxSuppression":
            for place in _LIMITS:
                if len(node.input) > place and node.input[place]:
                    name = f"{node.name}_limit_{place}"
                    nodes.append(helper.make_node("Reshape", [node.input[place], one.name], [name], name))
                    node.input[place] = name
        nodes.append(node)
    if len(nodes) > len(graph.node):
        graph.initializer.append(one)
        del graph.node[:]
        graph.node.extend(nodes)
