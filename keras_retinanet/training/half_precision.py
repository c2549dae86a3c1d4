"""Which half precision the machine computes faster than float32."""

from __future__ import annotations

import keras

from keras_retinanet.config.names import MixedPrecision
from keras_retinanet.config.presets import computes_bfloat16

FIRST_WITH_BFLOAT16 = (8, 0)
"""Compute capability of Ampere, the first NVIDIA GPUs with bfloat16 on their tensor cores."""


def has_accelerator() -> bool:
    """Whether the backend sees a GPU or TPU."""
    return any("cpu" not in device.lower() for device in keras.distribution.list_devices())


def fast_half_precision() -> MixedPrecision:
    """Chooses the half precision of a run.

    Returns:
        `"bfloat16"` on TPUs, on GPUs that have it and on processors that have it; `"float16"` on other GPUs; else
        `"none"`.
    """
    if not has_accelerator():
        return "bfloat16" if computes_bfloat16() else "none"
    capability = gpu_capability()
    return "float16" if capability is not None and capability < FIRST_WITH_BFLOAT16 else "bfloat16"


def gpu_capability() -> tuple[int, ...] | None:
    """Reads the compute capability of the first GPU that TensorFlow sees; `None` for other backends and devices."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpu)
        return tuple(details["compute_capability"]) if "compute_capability" in details else None
    return None
