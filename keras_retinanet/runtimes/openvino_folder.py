"""A folder with an OpenVINO model, run by OpenVINO on the CPU."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from keras_retinanet.config import ExportDtype
from keras_retinanet.extras import install_hint
from keras_retinanet.runtimes.description import DESCRIPTION_KEY, Description, undescribed
from keras_retinanet.runtimes.runtime import DETECTIONS, BatchRuntime

MODEL = "model.xml"
"""The graph."""
WEIGHTS = "model.bin"
"""Its weights, in the same folder."""
HINTS: dict[ExportDtype, str] = {"float32": "f32", "float16": "f32", "bfloat16": "bf16"}
"""What OpenVINO computes in. By default it takes bfloat16 where the processor supports it."""


@functools.cache
def shared_core() -> Any:
    """The one `openvino.Core` of this process.

    Where the processor has AMX, a core gives the thread a stack for signal handlers and takes it back when it goes. Of
    two cores the second brings back the stack of the first, even if that is gone: the next Ctrl-C kills the process
    (OpenVINO 2026.4).

    Raises:
        ImportError: OpenVINO is not installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise ImportError(f"OpenVINO models need OpenVINO: {install_hint('openvino')}") from error
    return openvino.Core()


class OpenVinoRuntime(BatchRuntime):
    """Detects through OpenVINO.

    Args:
        path: The folder.

    Raises:
        ValueError: It is not an OpenVINO model, or was not written by this package.
        ImportError: OpenVINO is not installed.
    """

    def __init__(self, path: Path) -> None:
        core = shared_core()
        try:
            model = core.read_model(path / MODEL)
        except RuntimeError as error:
            raise ValueError(f"{str(path)!r} cannot be opened by OpenVINO: {error}") from error
        if not model.has_rt_info(DESCRIPTION_KEY):
            raise undescribed(path)
        super().__init__(Description.from_json(model.get_rt_info(DESCRIPTION_KEY).value, str(path)))
        hint = HINTS[self.description.dtype]
        self._model = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint})

    def run(self, images: Any, sizes: Any) -> dict[str, Any]:
        """Runs the graph; see `BatchRuntime`."""
        outputs = self._model({"images": images, "sizes": sizes})
        return {name: outputs[name] for name in (*DETECTIONS, "deltas", "logits")}
