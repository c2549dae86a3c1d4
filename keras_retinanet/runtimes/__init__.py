"""Opens snapshots and exported artefacts behind one interface; one file per format.

Importing it loads no framework: Keras is imported with the first snapshot, TensorFlow with the first SavedModel.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from keras_retinanet.config import ExportFormat
from keras_retinanet.runtimes.description import Description
from keras_retinanet.runtimes.litert_file import LiteRtRuntime
from keras_retinanet.runtimes.onnx_file import OnnxRuntime
from keras_retinanet.runtimes.openvino_folder import MODEL, OpenVinoRuntime
from keras_retinanet.runtimes.runtime import BatchRuntime, Runtime, raw_outputs
from keras_retinanet.runtimes.saved_model import GRAPH, SavedModelRuntime, is_described, versions_of


def _open_snapshot(path: Path) -> Runtime:
    runtime: Runtime = importlib.import_module("keras_retinanet.runtimes.keras_file").KerasRuntime.open(path)
    return runtime


RUNTIMES: dict[ExportFormat, Callable[[Path], Runtime]] = {
    "keras": _open_snapshot,
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
    "LiteRtRuntime",
    "OnnxRuntime",
    "OpenVinoRuntime",
    "Runtime",
    "SavedModelRuntime",
    "format_of",
    "is_artefact",
    "needs_tensorflow",
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


def is_artefact(path: Path) -> bool:
    """Whether a path is an exported artefact of this package that no other library's checkpoint can be taken for.

    Args:
        path: File or folder.

    Returns:
        False for snapshots, and for a SavedModel of another program.
    """
    if path.is_file():
        return SUFFIXES.get(path.suffix, "keras") != "keras"
    return (path / MODEL).is_file() or is_described(path)


def needs_tensorflow(path: Path) -> bool:
    """Whether the model at a path runs in TensorFlow or Keras: all but the artefacts of other runtimes.

    Args:
        path: File or folder.

    Returns:
        True for snapshots, SavedModels and what is not a model of this package.
    """
    return not is_artefact(path) or is_described(path)


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
        "of an OpenVINO model. The model comes before the images."
    )
