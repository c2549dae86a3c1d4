"""The largest micro-batch that fits into memory, and what follows where one does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.schema import Targets
from keras_retinanet.training.trial import restored

MAX_BATCH = 64
"""Largest batch that `--batch-size auto` proposes: beyond it the linear rule for the learning rate is not proven."""

HOST_SHARE = 0.8
"""Share of the free memory of the machine that a step on the CPU may take."""

_MARKS = ("RESOURCE_EXHAUSTED", "ResourceExhausted", "out of memory", "OOM when allocating")


TOO_SMALL = (
    "One image does not fit into memory, or an evaluation does not: lower --image-min-side and --image-max-side or "
    "--batch-size, or choose a smaller --backbone or --mixed-precision bfloat16."
)


class OutOfMemoryError(ValueError):
    """Not even one image fits into memory."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of a backend says that memory is used up.

    Args:
        error: Any error.

    Returns:
        True for those of TensorFlow, JAX and PyTorch that do.
    """
    return any(mark in f"{type(error).__name__}: {error}" for mark in _MARKS)


def largest_batch(fits: Callable[[int], bool], limit: int) -> int:
    """Searches for the largest batch that fits: doubles, then bisects.

    Args:
        fits: Whether a batch of this number of images fits.
        limit: Largest number of images to try.

    Returns:
        The number.

    Raises:
        OutOfMemoryError: Not even one image fits.
    """
    low, high = 0, 1
    while high <= limit and fits(high):
        low, high = high, 2 * high
    if low == 0:
        raise OutOfMemoryError(TOO_SMALL)
    high = min(high, limit + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def next_parts(batch: int, parts: int) -> int | None:
    """The next number of micro-batches that is larger than the one so far.

    Args:
        batch: Images of the batch.
        parts: Micro-batches so far.

    Returns:
        The smallest larger divisor of `batch`; `None` if there is none.
    """
    return next((number for number in range(parts + 1, batch + 1) if batch % number == 0), None)


class MemoryTrial:
    """Tries training steps on noise at the largest shape of a run; the model is as before.

    Args:
        model: Compiled.
        shape: Height and width of the batches.
        boxes: Boxes of every image.
    """

    def __init__(self, model: RetinaNet, shape: tuple[int, int], boxes: int) -> None:
        self.model, self.shape, self.boxes = model, shape, boxes
        self._per_image = 0.0
        self._is_on_host = all("cpu" in name.lower() for name in keras.distribution.list_devices())

    def __call__(self, count: int) -> bool:
        """Whether a step fits.

        Args:
            count: Images of the batch.

        Returns:
            False if memory was used up, or, on the CPU, would be by what smaller batches took.
        """
        free = _read_memory("/proc/meminfo", "MemAvailable")
        if self._is_on_host and free is not None and count * self._per_image > HOST_SHARE * free:
            return False
        before = _reset_peak()
        try:
            with restored(self.model):
                self.model.train_on_batch(*noise_batch(count, self.shape, self.boxes))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return False
        peak = _read_memory("/proc/self/status", "VmHWM")
        if before is not None and peak is not None:
            self._per_image = max(self._per_image, (peak - before) / count)
        return True


def noise_batch(count: int, shape: tuple[int, int], boxes: int) -> tuple[np.ndarray, Targets]:
    """A batch of noise whose images are full of boxes.

    Args:
        count: Images.
        shape: Height and width.
        boxes: Boxes of every image.

    Returns:
        Images `(B, H, W, 3)` float32, and their targets.
    """
    rng = np.random.default_rng(0)
    height, width = shape
    corners = rng.uniform(0, 0.5, (count, boxes, 2, 2)) + np.array([[0.0], [0.5]])  # (B, N, corner, x y)
    targets: Targets = {
        "boxes": (corners * (width, height)).reshape(count, boxes, 4).astype(np.float32),
        "labels": np.zeros((count, boxes), np.int32),
        "ignore": np.zeros((count, boxes), np.int32),
        "size": np.tile(np.array(shape, np.float32), (count, 1)),
        "image_index": np.full(count, -1, np.int32),
    }
    return rng.uniform(0, 255, (count, height, width, 3)).astype(np.float32), targets


def _read_memory(file: str, name: str) -> float | None:
    """A line of Linux' tables in bytes; `None` on other systems."""
    try:
        lines = Path(file).read_text(encoding="ascii", errors="replace").splitlines()
        return next(float(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
    except (OSError, StopIteration):
        return None


def _reset_peak() -> float | None:
    """Sets the peak of this process' memory to what it has now, and returns it."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return None
    return _read_memory("/proc/self/status", "VmRSS")
