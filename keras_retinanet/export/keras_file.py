"""The inference model as one Keras file: network input in, detections in its pixels out."""

from __future__ import annotations

from pathlib import Path

from keras_retinanet.config import ExportConfig
from keras_retinanet.export.artefact import Check, write_file
from keras_retinanet.export.detection_graph import floating, prepare_model
from keras_retinanet.model.detection_model import DetectionModel


def export_keras(
    model: DetectionModel, out: Path, settings: ExportConfig | None = None, check: Check | None = None
) -> Path:
    """Write the inference model, to be opened by `keras_retinanet.load_model`.

    Args:
        model: The model, with the thresholds that it keeps.
        out: A file that ends in `.keras`; replaced if it is there.
        settings: Precision and folding. Defaults to float32, not folded.
        check: Called with the finished file before it is moved into place; raises where it is wrong.

    Returns:
        The file.

    Raises:
        ValueError: The name does not end in `.keras`.
    """
    settings = settings or ExportConfig()

    def write(path: Path) -> None:
        prepare_model(model, settings, fold_by_default=False, dtype=floating(settings)).save(path)

    return write_file("keras", out, settings, write, check)
