"""The accelerator under Keras' backend: its name, the memory used, its matrix peak, and the work of a RetinaNet."""

from __future__ import annotations

import importlib.util
import os
import re
import resource
from typing import Any

MATRIX_PEAKS = {
    # name in the driver: dense TFLOP/s for float32 (TF32 where it exists), float16, bfloat16 (None: not in hardware)
    "H200": (494.7, 989.4, 989.4),
    "H100 PCIe": (378.0, 756.0, 756.0),
    "H100 NVL": (417.5, 835.0, 835.0),
    "H100": (494.7, 989.4, 989.4),
    "B200": (1125.0, 2250.0, 2250.0),
    "A100": (156.0, 312.0, 312.0),
    "A30": (82.5, 165.0, 165.0),
    "A10G": (35.0, 70.0, 70.0),
    "A10": (62.5, 125.0, 125.0),
    "L40S": (183.0, 366.0, 366.0),
    "L4": (60.5, 121.0, 121.0),
    "T4": (8.1, 65.0, None),
    "V100": (15.7, 125.0, None),
}
"""From the makers' data sheets, boost clock, without sparsity. The first that the device's name contains counts."""


def choose_backend(wanted: str | None) -> str:
    """The backend that Keras will use: asked for, else of the environment, else the first installed."""
    installed = [name for name in ("tensorflow", "jax", "torch") if importlib.util.find_spec(name)]
    backend = wanted or os.environ.get("KERAS_BACKEND") or installed[0]
    if backend not in installed:
        raise SystemExit(f"{backend} is not installed; installed are {', '.join(installed)}.")
    os.environ["KERAS_BACKEND"] = backend
    return backend


def device_name(backend: str) -> str | None:
    """The GPU as the driver names it, or `None` on a CPU."""
    if backend == "torch":
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else None
    if backend == "jax":
        import jax

        device = jax.devices()[0]
        return device.device_kind if device.platform == "gpu" else None
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else None


def put(array: Any, backend: str) -> Any:
    """The array on the device, so that no copy is timed."""
    if backend == "torch":
        import torch

        return torch.as_tensor(array, device="cuda" if torch.cuda.is_available() else "cpu")
    if backend == "jax":
        import jax

        return jax.device_put(array)
    import tensorflow as tf

    return tf.identity(array)


def peak_memory(backend: str, is_gpu: bool) -> float:
    """GiB: most that was allocated on the GPU, or resident in the process on a CPU."""
    if not is_gpu:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if backend == "torch":
        import torch

        return torch.cuda.max_memory_allocated() / 2**30
    if backend == "jax":
        import jax

        return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", float("nan")) / 2**30
    import tensorflow as tf

    return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**30


def matrix_peak(name: str, dtype: str) -> float | None:
    """TFLOP/s of the named device, `None` where unknown or not in hardware."""
    for known, peaks in MATRIX_PEAKS.items():
        if re.search(rf"\b{known}\b", name):
            return peaks[("float32", "float16", "bfloat16").index(dtype)]
    return None


def network_flops(height: int, width: int, num_classes: int) -> float:
    """Operations of one image in the convolutions of RetinaNet with ResNet-50; multiplying and adding count as two."""

    def area(stride: int) -> int:
        return -(-height // stride) * -(-width // stride)

    total = area(2) * 7 * 7 * 3 * 64
    inputs = 64
    for stage, (blocks, channels) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512))):
        here, before = area(4 * 2**stage), area(4 * 2 ** max(stage - 1, 0))
        for block in range(blocks):
            first = before if block == 0 else here  # the 1x1 before the 3x3 of stride 2 still sees the larger map
            total += first * inputs * channels + here * (9 * channels**2 + 4 * channels**2)
            total += here * inputs * 4 * channels if block == 0 else 0
            inputs = 4 * channels
    levels = [area(8 * 2**level) for level in range(5)]
    total += sum(levels[i] * (512 * 2**i * 256 + 9 * 256**2) for i in range(3))
    total += levels[3] * 9 * 2048 * 256 + levels[4] * 9 * 256**2
    total += sum(levels) * (8 * 9 * 256**2 + 9 * 256 * 9 * (num_classes + 4))
    return 2.0 * total
