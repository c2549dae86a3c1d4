"""An OpenVINO model, converted directly from TensorFlow's graph: two files in a folder."""

from __future__ import annotations

import tempfile
from pathlib import Path

from keras_retinanet.config import ExportConfig
from keras_retinanet.export.artefact import Check, check_settings, write_folder
from keras_retinanet.export.detection_graph import describe, detection_graph, prepare_model, save_graph
from keras_retinanet.export.openvino_int8 import quantize_openvino
from keras_retinanet.export.openvino_rules import convert
from keras_retinanet.export.resize_graph import check_rule
from keras_retinanet.extras import install_hint
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.runtimes.description import DESCRIPTION_KEY
from keras_retinanet.runtimes.openvino_folder import MODEL, WEIGHTS


def export_openvino(
    model: DetectionModel, out: Path, settings: ExportConfig | None = None, check: Check | None = None
) -> Path:
    """Write the inference model for OpenVINO.

    Weights of float16 and bfloat16 are stored as float16; the runtime chooses the dtype of the computation. What is not
    int8 in an int8 model computes in bfloat16 on processors that have it.

    Args:
        model: The model; its thresholds are built in.
        out: A folder, created if absent; an existing model in it is replaced.
        settings: Dtype, input size and folding. Defaults to float32 and any size, folded.
        check: See `Check`. Defaults to no check.

    Returns:
        The folder.

    Raises:
        ValueError: `out` is not a folder, or contains files that do not belong to an OpenVINO model.
        ImportError: OpenVINO is not installed.
    """
    settings = settings or ExportConfig()
    check_settings("openvino", settings)
    others = {path.name for path in out.iterdir()} - {MODEL, WEIGHTS} if out.is_dir() else set()
    if out.suffix or out.is_file() or others:
        has = f", which holds {min(others)!r}" if others else ""
        raise ValueError(f"The openvino format is a folder of its own, without an ending; got {str(out)!r}{has}.")
    return write_folder(out, lambda folder: _write(model, folder, settings), check)


def _write(model: DetectionModel, folder: Path, settings: ExportConfig) -> None:
    try:
        import openvino
    except ImportError as error:
        raise ImportError(f"The openvino format needs OpenVINO: {install_hint('openvino')}") from error
    if settings.has_resize:
        check_rule("openvino", model.network.resize_config)
    prepared = prepare_model(model, settings)
    with tempfile.TemporaryDirectory() as graph:
        save_graph(detection_graph(prepared, "tensorflow", settings), prepared, graph)
        converted = convert(graph)
        if settings.dtype == "int8":
            converted = quantize_openvino(converted, prepared, settings)
        converted.set_rt_info(describe(model, settings).to_json(), DESCRIPTION_KEY)
        openvino.save_model(converted, folder / MODEL, compress_to_fp16=settings.dtype != "float32")
