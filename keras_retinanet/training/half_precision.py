"""Which half precision the machine computes faster than float32, and what it takes to be fast."""

from __future__ import annotations

import math

import keras

from keras_retinanet.config import TrainConfig
from keras_retinanet.config.names import MixedPrecision
from keras_retinanet.config.presets import computes_bfloat16
from keras_retinanet.data.pipeline import TrainingBatches
from keras_retinanet.training.devices import Devices
from keras_retinanet.training.pointwise_clusters import clusters_pay, use_clusters

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


def join_pointwise(config: TrainConfig, model: keras.Model, batches: TrainingBatches, devices: Devices) -> bool:
    """Joins the pointwise operations of the steps where that pays; alike in a run and in what resumes it.

    Args:
        config: All settings. A run with a time is taken to be long.
        model: keras.Model. That of the run.
        batches: Its batches.
        devices: Those that train; only one has clusters.

    Returns:
        Whether its steps have clusters.
    """
    steps = math.inf if config.time is not None else config.epochs * batches.steps_per_epoch
    is_suitable = config.mixed_precision == "bfloat16" and devices.distribution is None
    pays = is_suitable and clusters_pay(model.count_params(), steps, len(batches.batch_shapes))
    return pays and use_clusters(model)
