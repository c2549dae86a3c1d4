"""What several processes that train together must agree on before the first step."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from keras_retinanet.config import TrainConfig, to_dict
from keras_retinanet.config.settings import AUTO
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.report.versions import installed_versions
from keras_retinanet.snapshots.run_folder import Progress
from keras_retinanet.training.processes import Processes

PACKAGES = ("keras", "tensorflow", "jax", "jaxlib", "numpy")


def check_shared(config: TrainConfig, processes: Processes) -> None:
    """Refuses settings that each process would decide differently.

    Args:
        config: All settings.
        processes: Those that train together.

    Raises:
        ValueError: There is such a setting.
    """
    if processes.count == 1:
        return
    if AUTO in (config.batch_size, config.accumulate):
        flag = "--batch-size auto" if config.batch_size == AUTO else "--accumulate auto"
        raise ValueError(f"{flag} tries steps in one process; with {processes.count} processes give a number.")
    if config.time is not None:
        raise ValueError(f"--time measures steps in one process; with {processes.count} processes give --epochs.")


def describe_state(config: TrainConfig, progress: Progress, model: RetinaNet) -> dict[str, str]:
    """What all processes must have in common.

    Args:
        config: All settings.
        progress: The progress of the run, with the fingerprints of its images.
        model: The network with its weights.

    Returns:
        What it is → a text or fingerprint.
    """
    weights = hashlib.sha256()
    for variable in model.weights:
        weights.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return {
        "settings": json.dumps(to_dict(config), sort_keys=True),
        "progress": f"{progress.epoch} {progress.step}",
        "training images": progress.data.get("images", ""),
        "boxes": progress.data.get("boxes", ""),
        "weights": weights.hexdigest()[:16],
        "versions": " ".join(installed_versions(PACKAGES)),
    }
