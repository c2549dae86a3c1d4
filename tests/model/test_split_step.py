"""Micro-batches have the gradient of their whole batch; replicas are in `test_distribution.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_retinanet.backbones import freeze_batch_norm


def batch(rng: np.random.Generator) -> tuple[Any, dict[str, Any]]:
    """Four images: two with boxes of unlike numbers, one without, one of crowd and padding."""
    boxes = np.zeros((4, 3, 4), np.float32)
    boxes[0] = [[0, 0, 30, 30], [10, 20, 40, 60], [30, 30, 62, 62]]
    boxes[1, 0] = boxes[3, 0] = [5, 5, 40, 44]
    labels = np.full((4, 3), -1, np.int32)
    labels[0], labels[1, 0], labels[3, 0] = [0, 1, 1], 1, 0
    ignore = np.zeros((4, 3), np.int32)
    ignore[3, 0] = 1
    return rng.uniform(0, 255, (4, 64, 64, 3)).astype(np.float32), {
        "boxes": boxes, "labels": labels, "ignore": ignore, "size": np.array([[64, 64]] * 3 + [[40, 64]], np.float32),
        "image_index": np.arange(4, dtype=np.int32),
    }  # fmt: skip


def trained(make: Callable[..., Any], parts: int) -> tuple[list[Any], dict[str, float]]:
    """Changes of the variables after one step of gradient descent, and the logged losses."""
    model = make(0.02)
    freeze_batch_norm(model.backbone)  # its statistics would be those of a part
    model.micro_batches = parts
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0)))
    before = [variable.numpy() for variable in model.trainable_variables]
    data = tf.data.Dataset.from_tensors(batch(np.random.default_rng(3)))
    logs = model.fit(data, verbose=0, shuffle=False).history
    after = [variable.numpy() for variable in model.trainable_variables]
    return [b - a for a, b in zip(before, after, strict=True)], {name: value[0] for name, value in logs.items()}


def test_parts_add_up_to_the_batch(small_network: Callable[..., Any]) -> None:
    """Parts of one image; the one without an object counts like the others. The loss is scaled as with float16."""
    whole, logs = trained(small_network, 1)
    found, found_logs = trained(small_network, 4)
    assert max(np.abs(change).max() for change in whole) > 1e-3
    assert found_logs == pytest.approx(logs, rel=1e-5)
    for ours, theirs in zip(found, whole, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-6 * max(np.abs(theirs).max(), 1))
