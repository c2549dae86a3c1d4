"""A folder with an OpenVINO model, run on the CPU."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from keras_retinanet.config import ExportDtype
from keras_retinanet.extras import install_hint
from keras_retinanet.runtimes.description import DESCRIPTION_KEY, Description, undescribed
from keras_retinanet.runtimes.runtime import DETECTIONS, RAW_OUTPUTS, BatchRuntime

MODEL = "model.xml"
"""File of the graph."""
WEIGHTS = "model.bin"
"""File of the weights, in the same folder."""
HINT = "INFERENCE_PRECISION_HINT"
"""OpenVINO's property with the dtype of its computation, which cannot be stored in a model."""
HINTS: dict[ExportDtype, str] = {"float32": "f32", "float16": "f32", "bfloat16": "bf16", "int8": "bf16"}
"""Dtype of the artefact → dtype of OpenVINO's computation. Its default is bfloat16 if the processor supports it."""


@functools.cache
def shared_core() -> Any:
    """The only `openvino.Core` of this process.

    On processors with AMX, a core sets the thread's stack for signal handlers and restores the former one when it is
    deleted. The second of two cores then restores the stack of the first, which may be freed already: the next Ctrl-C
    is a segmentation fault (OpenVINO 2026.4).

    Raises:
        ImportError: OpenVINO is not installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise ImportError(f"OpenVINO models need OpenVINO: {install_hint('openvino')}") from error
    return openvino.Core()


def default_hint() -> str:
    """The dtype in which OpenVINO computes on this processor if it is not given one: `"bf16"`, `"f16"` or `"f32"`."""
    name: str = shared_core().get_property("CPU", HINT).get_type_name()
    return name


class OpenVinoRuntime(BatchRuntime):
    """Detects with OpenVINO.

    Args:
        path: The folder.
        hint: OpenVINO's `INFERENCE_PRECISION_HINT`. Defaults to that of the artefact's dtype.

    Raises:
        ValueError: It is not an OpenVINO model, or was not written by this package.
        ImportError: OpenVINO is not installed.
    """

    def __init__(self, path: Path, hint: str | None = None) -> None:
        core = shared_core()
        try:
            model = core.read_model(path / MODEL)
        except RuntimeError as error:
            raise ValueError(f"{str(path)!r} cannot be opened by OpenVINO: {error}") from error
        if not model.has_rt_info(DESCRIPTION_KEY):
            raise undescribed(path)
        super().__init__(Description.from_json(model.get_rt_info(DESCRIPTION_KEY).value, str(path)))
        hint = hint or HINTS[self.description.dtype]
        self._model = core.compile_model(model, "CPU", {HINT: hint})

    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Runs the graph; see `BatchRuntime`."""
        outputs = self._model(inputs)
        known = {name for output in self._model.outputs for name in output.names}
        return {name: outputs[name] for name in (*DETECTIONS, *RAW_OUTPUTS) if name in known}
