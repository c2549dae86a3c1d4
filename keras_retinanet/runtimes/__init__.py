"""Opens snapshots and exported artefacts behind one interface; one file per format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from keras_retinanet.config import ExportFormat
from keras_retinanet.runtimes.description import Description
from keras_retinanet.runtimes.keras_file import KerasRuntime
from keras_retinanet.runtimes.litert_file import LiteRtRuntime
from keras_retinanet.runtimes.onnx_file import OnnxRuntime
from keras_retinanet.runtimes.openvino_folder import MODEL, OpenVinoRuntime
from keras_retinanet.runtimes.runtime import BatchRuntime, Runtime, raw_outputs
from keras_retinanet.runtimes.saved_model import GRAPH, SavedModelRuntime, versions_of

RUNTIMES: dict[ExportFormat, Callable[[Path], Runtime]] = {
    "keras": KerasRuntime.open,
    "saved_model": SavedModelRuntime,
    "onnx": OnnxRuntime,
    "openvino": OpenVinoRuntime,
    "litert": LiteRtRuntime,
}
"""Format → the function that opens it."""

SUFFIXES: dict[str, ExportFormat] = {".keras": "keras", ".onnx": "onnx", ".tflite": "litert"}
"""Suffix → format, for formats of one file."""

__all__ = [
    "RUNTIMES",
    "BatchRuntime",
    "Description",
    "KerasRuntime",
    "LiteRtRuntime",
    "OnnxRuntime",
    "OpenVinoRuntime",
    "Runtime",
    "SavedModelRuntime",
    "format_of",
    "open_runtime",
    "raw_outputs",
    "versions_of",
]


def open_runtime(path: str | Path) -> Runtime:
    """Opens a snapshot or an exported artefact.

    Args:
        path: A `.keras`, `.onnx` or `.tflite` file, the folder of an OpenVINO model, a SavedModel or the folder of its
            versions; the highest version is opened.

    Returns:
        The runtime.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: It is not an artefact of this package.
        ImportError: The library that runs it is not installed; the message names the extra to install.
    """
    path = Path(path)
    return RUNTIMES[format_of(path)](path)


def format_of(path: Path) -> ExportFormat:
    """The format of a file or folder.

    Args:
        path: File or folder.

    Returns:
        Name of the format.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: It is not an artefact.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no snapshot or exported model {str(path)!r}.")
    if path.suffix in SUFFIXES and path.is_file():
        return SUFFIXES[path.suffix]
    if (path / MODEL).is_file():
        return "openvino"
    if (path / GRAPH).is_file() or versions_of(path):
        return "saved_model"
    raise ValueError(
        f"{str(path)!r} is neither a file that ends in {', '.join(SUFFIXES)} nor the folder of a SavedModel or "
        "of an OpenVINO model."
    )
