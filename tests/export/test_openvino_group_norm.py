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


def converted(folder: Path, **layers: keras.layers.Layer) -> Any:
    """Layers behind a convolution that changes nothing, which gives OpenVINO maps of channels first."""
    kernel = np.eye(CHANNELS, dtype=np.float32)[None, None]
    graph = tf.function(
        lambda x: {name: layer(tf.nn.conv2d(x, kernel, 1, "VALID")) for name, layer in layers.items()},
        input_signature=[tf.TensorSpec((None, None, None, CHANNELS), tf.float32, "x")],
        autograph=False,
    )
    module = tf.Module()
    module.layers = layers
    tf.saved_model.save(module, str(folder), signatures={"serving_default": graph})
    return convert(str(folder))


def kinds(model: Any) -> list[str]:
    return [node.get_type_name() for node in model.get_ordered_ops()]


def test_values_are_those_of_keras(tmp_path: Path) -> None:
    """One, two and six groups, in one graph."""
    rng = np.random.default_rng(1)
    x = rng.normal(3, 2, (2, HEIGHT, WIDTH, CHANNELS)).astype(np.float32)
    layers = {f"groups{groups}": GroupNormalization(groups, epsilon=0.5) for groups in (1, 2, 6)}
    for layer in layers.values():
        layer(x)
        layer.gamma.assign(rng.normal(size=CHANNELS))
        layer.beta.assign(rng.normal(size=CHANNELS))
    model = converted(tmp_path, **layers)
    assert kinds(model).count("GroupNormalization") == 3
    assert "ReduceMean" not in kinds(model)
    answers = shared_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"x": x})
    for name, layer in layers.items():
        grouped = x.reshape(2, HEIGHT, WIDTH, layer.groups, -1)
        mean = grouped.mean(axis=(1, 2, 4), keepdims=True)
        expected = ((grouped - mean) / np.sqrt(grouped.var(axis=(1, 2, 4), keepdims=True) + 0.5)).reshape(x.shape)
        expected = expected * layer.gamma.numpy() + layer.beta.numpy()
        np.testing.assert_allclose(answers[name], expected, atol=2e-5)


def test_other_sums_stay(tmp_path: Path) -> None:
    """The variance of one map normalises another: nothing is replaced."""

    class Other(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            mean = tf.reduce_mean(x, axis=(1, 2), keepdims=True)
            variance = tf.reduce_mean(tf.square(x), axis=(1, 2), keepdims=True)
            return (x - mean) * tf.pow(variance + 0.5, -0.5) * np.ones(CHANNELS, np.float32) + np.ones(CHANNELS)

    assert "GroupNormalization" not in kinds(converted(tmp_path, y=Other()))
