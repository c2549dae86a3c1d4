"""The inference model as one Keras file, from network input to detections in its pixels."""

from __future__ import annotations

from pathlib import Path

from keras_retinanet.config import ExportConfig
from keras_retinanet.export.artefact import Check, write_file
from keras_retinanet.export.detection_graph import floating, prepare_model
from keras_retinanet.model.detection_model import DetectionModel


def export_keras(
    model: DetectionModel, out: Path, settings: ExportConfig | None = None, check: Check | None = None
) -> Path:
    """Write the inference model as a file for `keras_retinanet.load_model`.

    Args:
        model: The model with its thresholds.
        out: A path that ends in `.keras`; an existing file is replaced.
        settings: Dtype and folding. Defaults to float32, not folded.
        check: See `Check`. Defaults to no check.

    Returns:
        The file.

    Raises:
        ValueError: The name does not end in `.keras`.
    """
    settings = settings or ExportConfig()

    def write(path: Path) -> None:
        prepare_model(model, settings, fold_by_default=False, dtype=floating(settings)).save(path)

    return write_file("keras", out, settings, write, check)
