"""Writes artefacts for production. A format is a function `(model, out, settings, check) -> path` in its own file."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from keras_retinanet.config import ExportConfig, ExportFormat
from keras_retinanet.export.artefact import Check, check_settings
from keras_retinanet.export.input_size import default_input_size
from keras_retinanet.export.keras_file import export_keras
from keras_retinanet.export.litert_file import export_litert
from keras_retinanet.export.onnx_file import export_onnx
from keras_retinanet.export.openvino_folder import export_openvino
from keras_retinanet.export.run_data import ValidationData, find_run_data, training_files
from keras_retinanet.export.sample_images import MAX_CALIBRATION_IMAGES, MAX_SAMPLES, built_in_samples, folder_images
from keras_retinanet.export.saved_model import export_saved_model
from keras_retinanet.export.torchvision_file import export_torchvision
from keras_retinanet.export.verification import Agreement, Verification, VerificationError
from keras_retinanet.model.detection_model import DetectionModel


class Export(Protocol):
    """The function that writes a format."""

    def __call__(
        self, model: DetectionModel, out: Path, settings: ExportConfig | None = None, check: Check | None = None
    ) -> Path:
        """Writes and checks an artefact, moves it into place and returns its path."""


FORMATS: dict[ExportFormat, Export] = {
    "keras": export_keras,
    "saved_model": export_saved_model,
    "onnx": export_onnx,
    "openvino": export_openvino,
    "litert": export_litert,
}
"""Format → the function that writes it."""

__all__ = [
    "FORMATS",
    "MAX_CALIBRATION_IMAGES",
    "MAX_SAMPLES",
    "Agreement",
    "Check",
    "Export",
    "ValidationData",
    "Verification",
    "VerificationError",
    "built_in_samples",
    "check_settings",
    "default_input_size",
    "export_keras",
    "export_litert",
    "export_onnx",
    "export_openvino",
    "export_saved_model",
    "export_torchvision",
    "find_run_data",
    "folder_images",
    "training_files",
]
