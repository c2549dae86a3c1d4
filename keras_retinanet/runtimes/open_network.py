"""Opens a network as a Keras model: a snapshot, a run folder, or the checkpoint of another library."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_retinanet.importers import Overrides, WeightFile, find_foreign, open_foreign
from keras_retinanet.inference import load_model
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.runtimes import Runtime, format_of, open_runtime
from keras_retinanet.runtimes.keras_file import KerasRuntime
from keras_retinanet.snapshots.run_folder import SNAPSHOTS, find_snapshot


def print_note(line: str) -> None:
    """Prints a note about a checkpoint on stderr, separate from results on stdout.

    Args:
        line: One note.
    """
    print(line, file=sys.stderr)


def open_network(
    path: str | os.PathLike[str] | WeightFile,
    overrides: Overrides | None = None,
    log: Callable[[str], object] = print_note,
) -> RetinaNet | DetectionModel:
    """Opens a Keras model: a snapshot, an inference model, or the checkpoint of another library.

    Args:
        path: A file, the folder of a run (its `best.keras`, else its `last.keras`), KerasHub's folder; or a checkpoint
            that `importers.find_foreign` has opened.
        overrides: Settings that replace or complete those of a checkpoint; not used for snapshots. Defaults to none.
        log: Receives one line per assumption about a checkpoint. Defaults to `print_note`.

    Returns:
        The model, not compiled.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: It is not a model, or a checkpoint that cannot be imported completely.
    """
    if isinstance(path, WeightFile):
        return open_foreign(path, overrides, log)
    snapshot = find_snapshot(Path(path))
    checkpoint = find_foreign(snapshot)
    if checkpoint is not None:
        return open_foreign(checkpoint, overrides, log)
    return load_model(snapshot, compile=False)


def open_path(path: Path) -> Runtime:
    """Opens a path for detection, whatever it is.

    Args:
        path: As for `open_network`, or an exported artefact.

    Returns:
        The runtime.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: It is not a model of this package or of a library that can be imported.
    """
    is_run = any((path / name).is_file() for name in SNAPSHOTS)
    checkpoint = None if is_run else find_foreign(path)
    if checkpoint is None and not is_run and format_of(path) != "keras":
        return open_runtime(path)
    return open_in_memory(open_network(checkpoint or path))


def open_in_memory(model: Any) -> Runtime:
    """Makes a runtime of a model in memory.

    Args:
        model: A `RetinaNet` or `DetectionModel`.

    Returns:
        The runtime.

    Raises:
        ValueError: It is neither of the two.
    """
    if isinstance(model, RetinaNet):
        model = DetectionModel(model)
    if isinstance(model, DetectionModel):
        return KerasRuntime(model)
    allowed = "a path, a RetinaNet, a DetectionModel or a Runtime"
    raise ValueError(f"A {type(model).__name__} cannot detect; allowed is {allowed}.")
