"""What can answer detections: snapshots and every exported artefact behind one interface, one file a format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from keras_retinanet.config import ExportFormat
from keras_retinanet.runtimes.keras_file import KerasRuntime
from keras_retinanet.runtimes.runtime import Found, Runtime
from keras_retinanet.runtimes.saved_model import SavedModelRuntime

RUNTIMES: dict[ExportFormat, Callable[[Path], Runtime]] = {
    "keras": KerasRuntime.open,
    "saved_model": SavedModelRuntime,
}
"""How an artefact is opened, by name of its format."""

__all__ = ["RUNTIMES", "Found", "KerasRuntime", "Runtime", "SavedModelRuntime", "format_of", "open_runtime"]


def open_runtime(path: str | Path) -> Runtime:
    """Opens a snapshot or an exported artefact.

    Args:
        path: str or Path. A `.keras` file, a SavedModel or the folder of its versions, of which the highest is taken.

    Returns:
        What detects.

    Raises:
        FileNotFoundError: There is nothing at `path`.
        ValueError: It is no artefact of this package.
    """
    path = Path(path)
    return RUNTIMES[format_of(path)](path)


def format_of(path: Path) -> ExportFormat:
    """The format of what stands at a path.

    Args:
        path: Path. File or folder.

    Returns:
        Its name.

    Raises:
        FileNotFoundError: There is nothing at `path`.
        ValueError: It is no artefact.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no snapshot or exported model {str(path)!r}.")
    if path.suffix == ".keras" and path.is_file():
        return "keras"
    if (path / "saved_model.pb").is_file() or any(path.glob("[0-9]*/saved_model.pb")):
        return "saved_model"
    raise ValueError(f"{str(path)!r} is neither a .keras file nor the folder of a SavedModel.")
