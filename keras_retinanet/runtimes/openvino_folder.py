"""A folder with an OpenVINO model, run on the CPU."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

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

MAX_SHAPES = 2
"""Shapes for which a model in half precision is compiled; each takes memory of its own, 350 MB at 800 x 1344."""


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
        self._settings = {HINT: hint or HINTS[self.description.dtype]}
        self._source = model
        self._compiled: dict[tuple[int, ...] | None, Any] = {}

    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Runs the graph; see `BatchRuntime`."""
        return self._values_of((*DETECTIONS, *RAW_OUTPUTS), inputs)

    def run_for_detections(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Runs the graph without copies of its raw outputs; see `BatchRuntime`."""
        return self._values_of(DETECTIONS, inputs)

    def _values_of(self, names: Sequence[str], inputs: dict[str, Any]) -> dict[str, Any]:
        compiled = self._compiled_for(inputs)
        outputs = compiled(inputs, share_outputs=True)  # overwritten by the next call
        known = {name for output in compiled.outputs for name in output.names}
        return {name: np.array(outputs[name]) for name in names if name in known}

    def _compiled_for(self, inputs: dict[str, Any]) -> Any:
        """The graph for these shapes: compiled for the first ones alone, and for all once too many others come.

        For one shape it takes two thirds of the memory, as OpenVINO keeps some weights twice to adapt to others. In
        half precision a graph for any shape also takes a quarter to a half more time, so that photos and turned photos
        have a graph each (`findings/openvino_dynamic_layouts.sh`).
        """
        shape = None if None in self._compiled else inputs["images"].shape
        if shape not in self._compiled:
            if len(self._compiled) == (1 if self._settings[HINT] == "f32" else MAX_SHAPES):
                self._compiled.clear()
                shape = None
            own = self._source.clone()
            if shape is not None:
                own.reshape({name: list(value.shape) for name, value in inputs.items()})
            self._compiled[shape] = shared_core().compile_model(own, "CPU", self._settings)
        return self._compiled[shape]
