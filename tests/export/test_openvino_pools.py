"""Zeros around a ReLU become padding of OpenVINO's max pooling, wherever that is the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from keras_retinanet.export.openvino_rules import convert
from keras_retinanet.runtimes.openvino_folder import shared_core

pytest.importorskip("openvino", reason="OpenVINO is not installed")

CHANNELS = 3


def converted(folder: Path, graph: Callable[[Any], Any]) -> Any:
    """A graph behind a convolution that changes nothing, which gives OpenVINO maps of channels first."""
    kernel = np.eye(CHANNELS, dtype=np.float32)[None, None]
    run = tf.function(
        lambda x: {"y": graph(tf.nn.conv2d(x, kernel, 1, "VALID"))},
        input_signature=[tf.TensorSpec((None, None, None, CHANNELS), tf.float32, "x")],
        autograph=False,
    )
    tf.saved_model.save(tf.Module(), str(folder), signatures={"serving_default": run})
    return convert(str(folder))


def padded(x: Any, above: int = 1, below: int = 1, value: float = 0.0) -> Any:
    return tf.pad(x, [[0, 0], [above, below], [above, below], [0, 0]], constant_values=value)


def pooled(x: Any, padding: str = "VALID") -> Any:
    return tf.nn.max_pool2d(x, 3, 2, padding)


def kinds(model: Any) -> list[str]:
    return [node.get_type_name() for node in model.get_ordered_ops()]


@pytest.mark.parametrize(("above", "below"), [(1, 1), (0, 1), (2, 2)])
def test_values_are_those_of_tensorflow(above: int, below: int, tmp_path: Path) -> None:
    """Negative values are 0 after the ReLU, as are the zeros around it; whole windows have nothing else."""
    x = np.random.default_rng(0).normal(size=(2, 6, 9, CHANNELS)).astype(np.float32)
    x[:, :4, :4] = -1
    model = converted(tmp_path, lambda maps: pooled(padded(tf.nn.relu(maps), above, below)))
    assert "Pad" not in kinds(model)
    found = shared_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"x": x})["y"]
    wanted = pooled(padded(np.maximum(x, 0), above, below)).numpy()
    assert wanted.min() == 0
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    "graph",
    [
        lambda x: pooled(padded(x)),  # the largest of negative numbers and the zeros is 0
        lambda x: pooled(padded(tf.nn.relu(x), value=5.0)),
        lambda x: pooled(padded(tf.nn.relu(x), 3, 0)),  # a window of zeros alone
        lambda x: pooled(padded(tf.nn.relu(x)), "SAME"),
    ],
    ids=["no ReLU", "other value", "wide", "same"],
)
def test_other_padding_stays(graph: Callable[[Any], Any], tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(1, 6, 9, CHANNELS)).astype(np.float32)
    model = converted(tmp_path, graph)
    assert "Pad" in kinds(model)
    found = shared_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"x": x})["y"]
    np.testing.assert_array_equal(found, graph(x))
