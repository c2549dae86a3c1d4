"""The depthwise convolution with a faster gradient answers as Keras' own."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from keras_retinanet.backbones.depthwise import DepthwiseConv2D

tf = pytest.importorskip("tensorflow")


def twins(**arguments: object) -> tuple[keras.layers.Layer, keras.layers.Layer]:
    """Keras' layer and ours with the same weights, for maps `(B, 9, 8, 5)`."""
    pair = keras.layers.DepthwiseConv2D(3, **arguments), DepthwiseConv2D(3, **arguments)
    for layer in pair:
        layer.build((None, 9, 8, 5))
    pair[1].set_weights(pair[0].get_weights())
    return pair


def gradients(layer: keras.layers.Layer, maps: np.ndarray, training: bool) -> list[np.ndarray]:
    """Outputs, and the gradients of Σ outputs² with respect to maps, kernel and bias, in float32."""
    maps = tf.constant(maps, layer.compute_dtype)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        outputs = layer(maps, training=training)
        loss = ops.sum(ops.square(ops.cast(outputs, "float32")))
    found = tape.gradient(loss, [maps, *layer.trainable_variables])
    return [ops.convert_to_numpy(ops.cast(each, "float32")) for each in (outputs, *found)]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a kernel of TensorFlow")
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("policy", "tolerance"), [("float32", 0), ("mixed_bfloat16", 2**-7)])
def test_outputs_and_gradients_are_those_of_keras(padding: str, policy: str, tolerance: float) -> None:
    keras.utils.set_random_seed(0)
    theirs, ours = twins(strides=2, padding=padding, dtype=policy, bias_initializer="normal", activation="relu6")
    maps = np.random.default_rng(0).normal(size=(2, 9, 8, 5)).astype("float32")
    for theirs_now, ours_now in zip(gradients(theirs, maps, True), gradients(ours, maps, True), strict=True):
        np.testing.assert_allclose(ours_now, theirs_now, rtol=tolerance, atol=tolerance * np.abs(theirs_now).max())


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a kernel of TensorFlow")
def test_the_gradient_in_bfloat16_is_rounded_once() -> None:
    """One channel, a kernel of nines ones, stride 2: an input pixel sums the outputs that its windows feed."""
    layer = DepthwiseConv2D(3, strides=2, use_bias=False, depthwise_initializer="ones", dtype="mixed_bfloat16")
    maps = np.zeros((1, 5, 5, 1), "float32")
    maps[0, 2, 2] = 1.0  # all four windows hold the centre: each output is 1, its derivative 2
    outputs, of_maps, of_kernel = gradients(layer, maps, True)
    assert outputs.ravel().tolist() == [1, 1, 1, 1]
    assert of_maps[0, :, :, 0].tolist() == [
        [2, 2, 4, 2, 2], [2, 2, 4, 2, 2], [4, 4, 8, 4, 4], [2, 2, 4, 2, 2], [2, 2, 4, 2, 2],
    ]  # fmt: skip
    assert of_kernel[..., 0, 0].tolist() == [[2, 0, 2], [0, 0, 0], [2, 0, 2]]


def test_the_layer_is_restored_with_every_argument() -> None:
    layer = DepthwiseConv2D(3, strides=2, padding="same", use_bias=False, name="filter")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is DepthwiseConv2D
    assert again.get_config() == layer.get_config()
