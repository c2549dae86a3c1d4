"""Artefacts that run without this package: one file a format, one function `(detector, out) -> path` each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from keras_retinanet.config import ExportFormat
from keras_retinanet.export.keras_file import export_keras
from keras_retinanet.export.saved_model import export_saved_model
from keras_retinanet.inference import DetectionModel

FORMATS: dict[ExportFormat, Callable[[DetectionModel, Path], Path]] = {
    "keras": export_keras,
    "saved_model": export_saved_model,
}
"""How a detector is written, by name of the format."""

__all__ = ["FORMATS", "export_keras", "export_saved_model"]
