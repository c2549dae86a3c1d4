"""The two normalisations against those of Keras, and by hand."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from keras_retinanet.backbones.normalization import BatchNormalization, GroupNormalization


def twins(**arguments: object) -> tuple[keras.layers.Layer, keras.layers.Layer]:
    """Keras' layer and ours with the same random weights."""
    pair = keras.layers.BatchNormalization(**arguments), BatchNormalization(**arguments)
    rng = np.random.default_rng(3)
    weights = [rng.uniform(0.5, 1.5, 5).astype(np.float32) for _ in range(4)]
    for layer in pair:
        layer.build((None, None, None, 5))
        layer.set_weights(weights)
    return pair


@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("epsilon", [1e-5, 0.0])
def test_answers_and_running_statistics_are_those_of_keras(is_training: bool, epsilon: float) -> None:
    reference, ours = twins(epsilon=epsilon, momentum=0.8)
    images = np.random.default_rng(4).normal(2, 3, (2, 3, 4, 5)).astype(np.float32)
    expected, found = (layer(images, training=is_training) for layer in (reference, ours))
    np.testing.assert_allclose(ops.convert_to_numpy(found), ops.convert_to_numpy(expected), atol=2e-6)
    for a, b in zip(ours.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6)


def test_statistics_by_hand() -> None:
    """One channel of 1, 3, 5, 7: mean 4, population variance 5; running values move by a tenth of the way."""
    layer = BatchNormalization(epsilon=0.0, momentum=0.9)
    answer = layer(np.array([1, 3, 5, 7], np.float32).reshape(1, 2, 2, 1), training=True)
    np.testing.assert_allclose(np.ravel(ops.convert_to_numpy(answer)), np.array([-3, -1, 1, 3]) / 5**0.5, rtol=1e-6)
    assert float(ops.convert_to_numpy(layer.moving_mean)[0]) == pytest.approx(0.4)
    assert float(ops.convert_to_numpy(layer.moving_variance)[0]) == pytest.approx(0.9 + 0.5)


def test_one_step_moves_the_weights_as_with_keras() -> None:
    images = np.random.default_rng(5).normal(1, 2, (4, 3, 3, 5)).astype(np.float32)
    targets = np.random.default_rng(6).normal(0, 1, (4, 3, 3, 5)).astype(np.float32)
    after = []
    for layer in twins(epsilon=1e-3):
        inputs = keras.Input((3, 3, 5))
        model = keras.Model(inputs, layer(keras.layers.Conv2D(5, 1, kernel_initializer="ones")(inputs)))
        model.compile(keras.optimizers.SGD(0.1), loss="mse")
        model.train_on_batch(images + np.arange(5, dtype=np.float32), targets)
        after.append(model.get_weights())
    for a, b in zip(*after, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_keeps_the_dtype_and_float32_statistics(policy: str) -> None:
    layer = BatchNormalization(momentum=0.0, dtype=policy)
    images = np.random.default_rng(7).normal(3, 2, (8, 16, 16, 2)).astype(np.float32)
    answer = layer(images, training=True)
    assert keras.backend.standardize_dtype(answer.dtype) == policy.removeprefix("mixed_")
    rounded = ops.convert_to_numpy(ops.cast(ops.cast(images, policy.removeprefix("mixed_")), "float32"))
    np.testing.assert_allclose(layer.get_weights()[2], rounded.mean((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(layer.get_weights()[3], rounded.var((0, 1, 2)), rtol=1e-3)


def test_a_frozen_layer_uses_and_keeps_its_statistics_in_training() -> None:
    _, layer = twins(epsilon=1e-3)
    layer.trainable = False
    images = np.random.default_rng(8).normal(2, 3, (2, 3, 4, 5)).astype(np.float32)
    before = layer.get_weights()
    np.testing.assert_array_equal(
        ops.convert_to_numpy(layer(images, training=True)), ops.convert_to_numpy(layer(images, training=False))
    )
    for a, b in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.usefixtures("direct_gradients")
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_frozen_layer_in_training_is_part_of_the_convolution_before_it(policy: str) -> None:
    """Outputs and gradients are those of convolution and normalisation one after the other, as run eagerly."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("other backends compile the two layers themselves")
    import tensorflow as tf

    convolution = keras.layers.Conv2D(5, 3, strides=2, use_bias=False, dtype=policy)
    norm = twins(dtype=policy)[1]
    norm.trainable = False
    images = tf.constant(np.random.default_rng(7).normal(size=(2, 9, 8, 3)), convolution.compute_dtype)

    def run(images: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = norm(convolution(images), training=True)
            loss = tf.reduce_sum(tf.square(tf.cast(outputs, "float32")))
        return outputs, tape.gradient(loss, [images, convolution.kernel.value])

    expected, traced = run(images), tf.function(run)
    bound = 1e-5 if policy == "float32" else 0.05
    for one, other in zip(tf.nest.flatten(traced(images)), tf.nest.flatten(expected), strict=True):
        assert one.dtype == other.dtype
        scale = np.abs(other.numpy()).max()
        np.testing.assert_allclose(one.numpy().astype(np.float32), other.numpy().astype(np.float32), atol=bound * scale)
    operations = traced.get_concrete_function(images).graph.get_operations()
    kinds = [operation.type for operation in operations]
    assert kinds.count("Conv2DBackpropFilter") == kinds.count("Conv2DBackpropInput") == 1
    assert not any("BatchNormGrad" in name for name in kinds)
    backward = next(operation for operation in operations if operation.type == "Conv2DBackpropInput")
    scaled = backward.inputs[1].op if policy == "float32" else backward.inputs[1].op.inputs[0].op
    assert scaled.type == "Mul"
    assert scaled.control_inputs == [backward.inputs[2].op], "scaled again, after the gradient of the outputs"


@pytest.mark.parametrize("arguments", [{"axis": 1}, {"center": False}, {"renorm": True}])
def test_what_the_kernel_cannot_do_is_left_to_keras(arguments: dict[str, object]) -> None:
    images = np.random.default_rng(11).normal(2, 3, (2, 3, 4, 5)).astype(np.float32)
    expected, found = (
        ops.convert_to_numpy(kind(**arguments)(images, training=True))
        for kind in (keras.layers.BatchNormalization, BatchNormalization)
    )
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_the_layer_is_restored_with_every_argument() -> None:
    layer = BatchNormalization(epsilon=0.25, momentum=0.5, center=False, name="other")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is BatchNormalization
    assert again.get_config() == layer.get_config()
    assert (again.epsilon, again.momentum, again.center) == (0.25, 0.5, False)


# Group normalisation


@pytest.mark.parametrize(("groups", "channels"), [(2, 6), (4, 4), (1, 3)])
def test_group_norm_answers_and_gradients_are_those_of_keras(groups: int, channels: int) -> None:
    rng = np.random.default_rng(9)
    images = rng.normal(20, 3, (2, 5, 3, channels)).astype(np.float32)
    targets = rng.normal(0, 1, (2, 5, 3, channels)).astype(np.float32)
    answers, after = [], []
    for kind in (keras.layers.GroupNormalization, GroupNormalization):
        layer = kind(groups, epsilon=1e-5)
        inputs = keras.Input((None, None, channels))
        model = keras.Model(inputs, layer(keras.layers.Dense(channels, kernel_initializer="identity")(inputs)))
        layer.set_weights([np.arange(1, channels + 1), np.ones(channels)])
        answers.append(model.predict(images, verbose=0))
        model.compile(keras.optimizers.SGD(0.1), loss="mse")
        model.train_on_batch(images, targets)
        after.append(model.get_weights())
    np.testing.assert_allclose(answers[1], answers[0], atol=2e-5)
    for a, b in zip(*after, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_group_norm_over_another_axis_is_left_to_keras() -> None:
    images = np.random.default_rng(12).normal(2, 3, (2, 4, 3, 5)).astype(np.float32)
    expected, found = (
        ops.convert_to_numpy(kind(2, axis=1)(images)) for kind in (keras.layers.GroupNormalization, GroupNormalization)
    )
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_group_norm_by_hand() -> None:
    """Two groups of two channels over one pixel: (1, 3) and (0, 10) become -1, 1 each."""
    layer = GroupNormalization(2, epsilon=1e-12)  # Keras 3.16 refuses 0
    answer = layer(np.array([1, 3, 0, 10], np.float32).reshape(1, 1, 1, 4))
    np.testing.assert_allclose(np.ravel(ops.convert_to_numpy(answer)), [-1, 1, -1, 1], rtol=1e-6)


def test_group_norm_takes_its_statistics_in_float32() -> None:
    """Around 1000 bfloat16 steps by 4 to 8; the mean of the rounded values is still exact to float32."""
    images = np.linspace(900, 1100, 64, dtype=np.float32).reshape(1, 8, 8, 1)
    layer = GroupNormalization(1, epsilon=1e-12, dtype="mixed_bfloat16")
    answer = layer(ops.cast(images, "bfloat16"))
    rounded = ops.convert_to_numpy(ops.cast(ops.cast(images, "bfloat16"), "float32"))
    assert keras.backend.standardize_dtype(answer.dtype) == "bfloat16"
    expected = (rounded - rounded.mean()) / rounded.std()
    np.testing.assert_allclose(ops.convert_to_numpy(ops.cast(answer, "float32")), expected, rtol=0.005, atol=0.005)


def test_group_norm_is_restored_with_every_argument() -> None:
    layer = GroupNormalization(4, epsilon=0.25, scale=False, name="other")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is GroupNormalization
    assert again.get_config() == layer.get_config()
    assert (again.groups, again.epsilon, again.scale) == (4, 0.25, False)
