"""RetinaNet object detection on Keras 3: train, evaluate, ship.

Names are resolved on first use, so that `import keras_retinanet` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from keras_retinanet.version import __version__

if TYPE_CHECKING:
    from keras_retinanet.detection.detector import Detector, detect
    from keras_retinanet.inference import DetectionModel, load_model
    from keras_retinanet.model.build import build
    from keras_retinanet.model.retinanet import RetinaNet

_HOMES = {
    "Detector": "keras_retinanet.detection.detector",
    "detect": "keras_retinanet.detection.detector",
    "RetinaNet": "keras_retinanet.model.retinanet",
    "build": "keras_retinanet.model.build",
    "DetectionModel": "keras_retinanet.inference",
    "load_model": "keras_retinanet.inference",
}

__all__ = ["DetectionModel", "Detector", "RetinaNet", "__version__", "build", "detect", "load_model"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
