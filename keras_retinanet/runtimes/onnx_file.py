"""An ONNX file, run by ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_retinanet.extras import install_hint
from keras_retinanet.runtimes.description import DESCRIPTION_KEY, Description, undescribed
from keras_retinanet.runtimes.runtime import DETECTIONS, BatchRuntime


class OnnxRuntime(BatchRuntime):
    """Detects with ONNX Runtime.

    Args:
        path: The file.

    Raises:
        ValueError: It is not an ONNX file, or was not written by this package.
        ImportError: ONNX Runtime is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ImportError(f"ONNX files need ONNX Runtime: {install_hint('onnx')}") from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # its warnings are about what it optimises away
        options.enable_mem_pattern = False  # its second run would reserve all memory again
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # a dozen classes of its own, all without a common base
            raise ValueError(f"{str(path)!r} cannot be run by ONNX Runtime: {error}") from error
        text = self._session.get_modelmeta().custom_metadata_map.get(DESCRIPTION_KEY)
        if text is None:
            raise undescribed(path)
        super().__init__(Description.from_json(text, str(path)))
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Runs the graph; see `BatchRuntime`."""
        return self._values_of(self._outputs, inputs)

    def run_for_detections(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Runs the graph without copies of its raw outputs; see `BatchRuntime`."""
        return self._values_of(DETECTIONS, inputs)

    def _values_of(self, names: Sequence[str], inputs: dict[str, Any]) -> dict[str, Any]:
        return dict(zip(names, self._session.run(list(names), inputs), strict=True))
