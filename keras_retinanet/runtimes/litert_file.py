"""A LiteRT (TensorFlow Lite) file, run by its interpreter on the CPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from keras_retinanet.extras import install_hint
from keras_retinanet.runtimes.description import DESCRIPTION_KEY, Description, undescribed
from keras_retinanet.runtimes.runtime import BatchRuntime


class LiteRtRuntime(BatchRuntime):
    """Detects with LiteRT, one image at a time as the graph requires.

    Args:
        path: The file.

    Raises:
        ValueError: It is not a LiteRT file, or was not written by this package.
        ImportError: LiteRT is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise ImportError(f"LiteRT files need LiteRT: {install_hint('litert')}") from error
        contents = path.read_bytes()
        try:
            interpreter = Interpreter(model_content=contents, num_threads=_cores())  # its default is one
            self._detect = interpreter.get_signature_runner()
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"{str(path)!r} cannot be run by LiteRT: {error}") from error
        text = _metadata(contents, DESCRIPTION_KEY)
        if text is None:
            raise undescribed(path)
        super().__init__(Description.from_json(text, str(path)))

    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Runs the graph; see `BatchRuntime`."""
        count = len(inputs["images"])
        rows = [self._detect(**{name: value[row : row + 1] for name, value in inputs.items()}) for row in range(count)]
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _metadata(contents: bytes, name: str) -> str | None:
    """Reads an entry of a file's metadata."""
    from ai_edge_litert.schema_py_generated import Model

    model = Model.GetRootAs(contents)
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == name.encode():
            return bytes(model.Buffers(entry.Buffer()).DataAsNumpy()).decode()
    return None
