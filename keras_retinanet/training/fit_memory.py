"""Batch and micro-batches that fit into memory: `--batch-size auto`, `--accumulate auto`, and after an error."""

from __future__ import annotations

import keras

from keras_retinanet.backbones.batch_norm import batch_norm_layers
from keras_retinanet.config import TrainConfig
from keras_retinanet.config.settings import AUTO
from keras_retinanet.config.tree import changed
from keras_retinanet.data.pipeline import TrainingBatches
from keras_retinanet.framework_internals import nested_layers
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.training.devices import Devices
from keras_retinanet.training.memory import MAX_BATCH, MemoryTrial, largest_batch, next_parts


def provisional(config: TrainConfig, devices: Devices) -> TrainConfig:
    """Settings with which a model can be compiled and tried before batch and parts are known.

    Args:
        config: All settings.
        devices: Those that train together.

    Returns:
        `config` itself where both are known.
    """
    if AUTO not in (config.batch_size, config.accumulate):
        return config
    batch = config.batch_size or devices.count
    return changed(config, {"batch_size": batch, "accumulate": 1, "data.use_cache": False})


def bound_by_memory(config: TrainConfig) -> TrainConfig:
    """Lets memory decide about the parts of a batch that a recipe chose.

    Args:
        config: All settings.

    Returns:
        The settings; unchanged on a CPU, where a recipe chooses small batches.
    """
    has_accelerator = any("cpu" not in device.lower() for device in keras.distribution.list_devices())
    is_possible = has_accelerator and keras.backend.backend() == "tensorflow"
    return changed(config, {"accumulate": AUTO}) if is_possible else config


def fit_to_memory(
    config: TrainConfig, model: RetinaNet, batches: TrainingBatches, devices: Devices, num_images: int
) -> tuple[TrainConfig, str]:
    """Chooses the batch, or its parts, by trying steps at the largest shape; the model is as before.

    Args:
        config: The settings, with `batch_size` or `accumulate` or both left to memory.
        model: Compiled.
        batches: Batches of the run's shapes.
        devices: Those that train together.
        num_images: Training images.

    Returns:
        The settings, and a line that says what was found.

    Raises:
        OutOfMemoryError: Not even one image fits.
    """
    shape = max(batches.batch_shapes, key=lambda sides: sides[0] * sides[1])
    trial, count = MemoryTrial(model, shape, batches.box_counts[-1]), devices.count
    limit = config.batch_size // count if config.batch_size else min(MAX_BATCH, max(num_images // count, 1))
    micro = largest_batch(lambda images: trial(images * count), limit)
    values = {"batch_size": config.batch_size or micro * count * max(config.accumulate, 1), "accumulate": 1}
    values["accumulate"] = config.accumulate or _fewest_parts(values["batch_size"] // count, micro)
    found = f"{micro} images of {shape[0]}×{shape[1]} fit into the memory of a device"
    return changed(config, values), f"memory: {found}: batch {values['batch_size']}, in {values['accumulate']} parts"


def _fewest_parts(batch: int, micro: int) -> int:
    """The smallest divisor of a batch that makes parts of at most this size."""
    return next(parts for parts in range(1, batch + 1) if batch % parts == 0 and batch // parts <= micro)


def smaller_parts(config: TrainConfig, devices: Devices) -> TrainConfig | None:
    """Settings of the same batch in more parts, after memory was used up.

    Args:
        config: All settings.
        devices: Those that train together.

    Returns:
        The settings; `None` if the parts are single images, or the backend has no parts.
    """
    parts = next_parts(config.batch_size // devices.count, config.accumulate)
    is_possible = parts is not None and keras.backend.backend() == "tensorflow"
    return changed(config, {"accumulate": parts}) if is_possible else None


def check_parts(config: TrainConfig, model: RetinaNet, devices: Devices) -> None:
    """Checks that a batch can be divided among devices and into parts.

    Args:
        config: All settings.
        model: The network.
        devices: Those that train together.

    Raises:
        ValueError: It cannot.
    """
    if devices.processes.count > 1:
        _check_processes(config, model, devices)
    elif config.batch_size % (devices.count * config.accumulate):
        into = f"into {config.accumulate} parts" if config.accumulate > 1 else ""
        among = f"among {devices.count} devices" if devices.count > 1 else ""
        how = " and ".join(filter(None, (among, into)))
        raise ValueError(f"--batch-size {config.batch_size} cannot be divided {how} without a rest.")
    if config.accumulate == 1:
        return
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"--accumulate {config.accumulate} needs the TensorFlow backend, not {keras.backend.backend()}."
        )
    if devices.count > 1 and _trains_batch_norm(model):
        raise ValueError(
            f"--accumulate {config.accumulate} with {devices.count} devices cannot train batch normalisation, whose "
            "statistics are those of a whole step: start from weights, which freezes it, or use --head-norm group."
        )


def _trains_batch_norm(model: RetinaNet) -> bool:
    layers = [*batch_norm_layers(model.backbone), *nested_layers(model)]
    return any(isinstance(layer, keras.layers.BatchNormalization) and layer.trainable for layer in layers)


def _check_processes(config: TrainConfig, model: RetinaNet, devices: Devices) -> None:
    """Checks that every process has an image of each batch, and that what fills it up cannot be seen."""
    count, batch = devices.processes.count, config.batch_size
    if batch < count:
        raise ValueError(f"--batch-size {batch} is that of all {count} processes, and each needs at least one image.")
    if batch % devices.count and _trains_batch_norm(model):
        raise ValueError(
            f"--batch-size {batch} cannot be divided among {devices.count} devices without a rest, and batch "
            "normalisation that is trained would see the images that fill it up."
        )
