"""Group normalisation becomes one operation of OpenVINO, with the values that Keras computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_retinanet.backbones.normalization import GroupNormalization
from keras_retinanet.export.openvino_rules import convert
from keras_retinanet.runtimes.openvino_folder import shared_core

pytest.importorskip("openvino", reason="OpenVINO is not installed")

HEIGHT, WIDTH, CHANNELS = 5, 7, 6


def converted(layer: keras.layers.Layer, folder: Path) -> Any:
    """The layer behind a convolution that changes nothing, which gives OpenVINO maps of channels first."""
    kernel = np.eye(CHANNELS, dtype=np.float32)[None, None]
    graph = tf.function(
        lambda x: {"y": layer(tf.nn.conv2d(x, kernel, 1, "VALID"))},
        input_signature=[tf.TensorSpec((None, None, None, CHANNELS), tf.float32, "x")],
        autograph=False,
    )
    tf.saved_model.save(layer, str(folder), signatures={"serving_default": graph})
    return convert(str(folder))


def kinds(model: Any) -> list[str]:
    return [node.get_type_name() for node in model.get_ordered_ops()]


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_values_are_those_of_keras(groups: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(groups)
    layer = GroupNormalization(groups, epsilon=0.5)
    x = rng.normal(3, 2, (2, HEIGHT, WIDTH, CHANNELS)).astype(np.float32)
    layer(x)
    layer.gamma.assign(rng.normal(size=CHANNELS))
    layer.beta.assign(rng.normal(size=CHANNELS))
    model = converted(layer, tmp_path)
    assert kinds(model).count("GroupNormalization") == 1
    assert "ReduceMean" not in kinds(model)
    grouped = x.reshape(2, HEIGHT, WIDTH, groups, -1)
    mean = grouped.mean(axis=(1, 2, 4), keepdims=True)
    expected = ((grouped - mean) / np.sqrt(grouped.var(axis=(1, 2, 4), keepdims=True) + 0.5)).reshape(x.shape)
    expected = expected * layer.gamma.numpy() + layer.beta.numpy()
    answer = shared_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"x": x})["y"]
    np.testing.assert_allclose(answer, expected, atol=2e-5)


def test_other_sums_stay(tmp_path: Path) -> None:
    """The variance of one map normalises another: nothing is replaced."""

    class Other(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            mean = tf.reduce_mean(x, axis=(1, 2), keepdims=True)
            variance = tf.reduce_mean(tf.square(x), axis=(1, 2), keepdims=True)
            return (x - mean) * tf.pow(variance + 0.5, -0.5) * np.ones(CHANNELS, np.float32) + np.ones(CHANNELS)

    assert "GroupNormalization" not in kinds(converted(Other(), tmp_path))
