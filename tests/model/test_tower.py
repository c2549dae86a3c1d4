"""Towers with a batch normalisation per level, and one tower for both heads."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_retinanet.config import ModelConfig
from keras_retinanet.model.build import build
from keras_retinanet.model.heads import Head
from keras_retinanet.model.tower import SharedTower, TowerSettings


def copying(layer: keras.layers.Layer, factor: float = 1.0) -> None:
    """Makes a 3x3 convolution multiply by a factor."""
    kernel = np.zeros(layer.kernel.shape, np.float32)
    kernel[1, 1] = factor * np.eye(*kernel.shape[2:])
    layer.kernel.assign(kernel)


def test_each_level_has_its_own_batch_normalisation():
    """x = 4 on P3 and P4. P3: (4 - 0) / 2 · 1 + 0 = 2. P4: (4 - 1) / 1 · 2 + 1 = 7, which ReLU6 turns into 6."""
    head = Head(1, 1, width=1, depth=1, norm="batch", norm_epsilon=0.0, activation="relu6")
    head.build({"P3": (None, None, None, 1), "P4": (None, None, None, 1)})
    copying(head.towers[0].get_layer("conv0"))
    copying(head.predictors[0])
    (first,), (second,) = head.level_norms
    first.set_weights([np.array([value]) for value in (1, 0, 0, 4)])  # gamma, beta, mean, variance
    second.set_weights([np.array([value]) for value in (2, 1, 1, 1)])
    maps = {name: np.full((1, 1, 1, 1), 4, np.float32) for name in ("P3", "P4")}
    np.testing.assert_allclose(head(maps)[0], [[2], [6]], rtol=1e-6)
    assert len(head.trainable_weights) == 3 + 2 * 2, "one convolution, the last one with its bias, two normalisations"
    assert not head.towers[0].get_layer("conv0").use_bias


def test_training_normalises_by_the_batch_and_follows_it():
    head = Head(1, 1, width=1, depth=1, norm="batch", norm_epsilon=0.0, norm_momentum=0.5)
    head.build({"P3": (None, None, None, 1)})
    copying(head.towers[0].get_layer("conv0"))
    copying(head.predictors[0])
    answer = head({"P3": np.array([[[[2]]], [[[4]]]], np.float32)}, training=True)
    np.testing.assert_allclose(np.ravel(answer), [0, 1], atol=1e-6)  # (x - 3) / 1, then ReLU
    np.testing.assert_allclose(head.level_norms[0][0].moving_mean, [1.5])
    np.testing.assert_allclose(head.level_norms[0][0].moving_variance, [1.0])


def test_separable_towers_have_depthwise_kernels():
    head = Head(3, 2, width=8, depth=1, is_separable=True)
    head.build({"P3": (None, None, None, 4)})
    shapes = [tuple(weight.shape) for weight in head.weights]
    assert shapes == [(3, 3, 4, 1), (1, 1, 4, 8), (8,), (3, 3, 8, 1), (1, 1, 8, 6), (6,)]


def test_a_shared_tower_is_run_once_for_both_heads():
    config = ModelConfig(
        "resnet10_050", "none", fpn_width=8, head_width=4, head_depth=2, head_norm="batch", has_shared_tower=True
    )
    model = build(config, class_names=["a"])
    assert isinstance(model.neck, SharedTower)
    assert model.class_head.depth == model.box_head.depth == 0
    images = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    before = model.predict(images, verbose=0)
    model.neck.level_norms[0][1].beta.assign(np.ones(4))  # of P3, the first 8 · 8 · 9 anchors
    after = model.predict(images, verbose=0)
    for name in ("deltas", "logits"):
        is_changed = (before[name] != after[name]).any(axis=(0, 2))
        assert is_changed[: 64 * 9].all()
        assert not is_changed[64 * 9 :].any()


def test_a_shared_tower_survives_saving(tmp_path):
    config = ModelConfig(
        "resnet10_050", "none", fpn_width=8, head_width=8, head_depth=1, head_norm="batch", activation="swish",
        has_shared_tower=True, is_head_separable=True, is_fpn_separable=True, fpn_norm="batch", has_fpn_bias=False,
        has_fpn_activation=True, fpn_carried="output", has_top_output=False, extra_input="finished", p6_source="P5",
    )  # fmt: skip
    model = build(config, class_names=["a"])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    images = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    for name, value in model.predict(images, verbose=0).items():
        np.testing.assert_array_equal(again.predict(images, verbose=0)[name], value)


def test_unknown_norms_are_named():
    with pytest.raises(ValueError, match="'layer'"):
        TowerSettings(norm="layer")
