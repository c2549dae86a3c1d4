from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from keras_retinanet.backbones import freeze_batch_norm
from keras_retinanet.backbones.batch_norm import batch_norm_layers


def small_model() -> keras.Model:
    images = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 1, name="conv")(images)
    x = keras.layers.BatchNormalization(name="bn", momentum=0.5)(x)
    inner = keras.Sequential([keras.Input((None, None, 4)), keras.layers.BatchNormalization(momentum=0.5)])
    return keras.Model(images, inner(x))


def pixels() -> np.ndarray:
    return np.random.default_rng(0).normal(5, 3, (2, 3, 5, 3)).astype("float32")


def test_trained_batch_norm_normalises_the_batch_and_moves() -> None:
    model = small_model()
    answer = np.asarray(model(pixels(), training=True))
    np.testing.assert_allclose(answer.mean((0, 1, 2)), 0, atol=1e-4)
    assert not np.allclose(model.get_layer("bn").moving_mean, 0)


def test_frozen_batch_norm_runs_in_inference_mode() -> None:
    model = small_model()
    freeze_batch_norm(model)
    quiet = np.asarray(model(pixels(), training=False))
    before = [np.asarray(weight) for layer in batch_norm_layers(model) for weight in layer.weights]
    np.testing.assert_array_equal(model(pixels(), training=True), quiet)
    after = [np.asarray(weight) for layer in batch_norm_layers(model) for weight in layer.weights]
    assert len(before) == 8, "also the one of the nested model"
    np.testing.assert_equal(after, before)


def test_only_batch_norm_is_frozen() -> None:
    model = small_model()
    freeze_batch_norm(model)
    assert [weight.name for weight in model.trainable_weights] == ["kernel", "bias"]


def test_a_step_of_fit_leaves_it(tmp_path: Path) -> None:
    model = small_model()
    freeze_batch_norm(model)
    model.compile("sgd", "mse")
    kernel = np.asarray(model.get_layer("conv").kernel)
    model.fit(pixels(), np.zeros((2, 3, 5, 4), "float32"), verbose=0)
    assert not np.allclose(model.get_layer("conv").kernel, kernel)
    np.testing.assert_array_equal(model.get_layer("bn").moving_mean, np.zeros(4))


def test_the_state_survives_saving_also_inside_another_model(tmp_path: Path) -> None:
    frozen, free = small_model(), small_model()
    freeze_batch_norm(frozen)
    for model, is_trainable in ((frozen, False), (free, True)):
        images = keras.Input((None, None, 3))
        outer = keras.Model(images, model(images), trainable=True)
        outer.save(tmp_path / "model.keras")
        copy = keras.saving.load_model(tmp_path / "model.keras")
        states = [layer.trainable for layer in batch_norm_layers(copy)]
        assert states == [is_trainable, is_trainable]
        np.testing.assert_allclose(copy(pixels(), training=True), outer(pixels(), training=True), atol=1e-6)
