from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from keras_retinanet.backbones.dilated_conv import DilatedConv2D

tf = pytest.importorskip("tensorflow")
HOW = {"padding": "same", "activation": "relu", "bias_initializer": keras.initializers.RandomNormal(seed=1)}


def test_taps_worked_by_hand() -> None:
    """One bright pixel of a row, dilation 2: each output sees it through the tap two columns away, or the centre."""
    layer = DilatedConv2D(1, (1, 3), padding="same", dilation_rate=2)
    layer.build((1, 1, 5, 1))
    layer.kernel.assign(np.array([1.0, 10.0, 100.0]).reshape(1, 3, 1, 1))
    maps = np.array([0.0, 0.0, 1.0, 0.0, 0.0], np.float32).reshape(1, 1, 5, 1)
    for training in (True, False):
        np.testing.assert_array_equal(np.ravel(layer(maps, training=training)), [100, 0, 10, 0, 1])


@pytest.mark.parametrize(("size", "rate"), [(3, 6), ((3, 2), (2, 3))])
def test_answers_and_gradients_are_those_of_keras(size: int, rate: int) -> None:
    maps = tf.constant(np.random.default_rng(0).normal(size=(2, 7, 9, 3)).astype(np.float32))
    plain = layers.Conv2D(4, size, dilation_rate=rate, **HOW)
    ours = DilatedConv2D(4, size, dilation_rate=rate, **HOW)
    expected = plain(maps)
    ours.build(maps.shape)
    ours.set_weights(plain.get_weights())
    assert tuple(ours.compute_output_spec(keras.KerasTensor((None, 7, 9, 3))).shape) == (None, 7, 9, 4)
    for training in (True, False):
        np.testing.assert_allclose(ours(maps, training=training), expected, atol=1e-5)
    found = []
    for layer, training in ((plain, {}), (ours, {"training": True})):
        with tf.GradientTape() as tape:
            tape.watch(maps)
            loss = tf.reduce_sum(layer(maps, **training) ** 2)
        found.append(tape.gradient(loss, [maps, *(weight.value for weight in layer.trainable_weights)]))
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)
