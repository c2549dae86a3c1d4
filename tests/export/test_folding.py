"""Folded batch normalisation: by hand, and over the families of backbones."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from keras_retinanet import build
from keras_retinanet.backbones import BACKBONES
from keras_retinanet.config import ModelConfig
from keras_retinanet.export.folding import fold_backbone, fold_batch_norm, foldable_pairs, folded_weights

LIGHT = {"resnet10_050": (0, 12), "mobilenet_025": (0, 27), "efficientnet_lite0": (0, 49)}
"""Name → normalisations that stay, and convolutions that take one over, counted in the papers' tables."""
HEAVY = {
    "mobilenet_v2": (0, 52),
    "mobilenet_v3_small": (0, 34),
    "resnet50": (0, 53),
    "efficientnet_b0": (0, 49),
    "efficientnet_v2_b0": (0, 59),
    "densenet121": (62, 59),
    "vgg16": (0, 0),
    "convnext_tiny": (0, 0),
}


def shake(model: keras.Model) -> None:
    """Statistics, scales and shifts as after training, each layer's own."""
    random = np.random.default_rng(3)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([
                random.uniform(0.5, 1.5, weight.shape) if "beta" not in weight.path and "mean" not in weight.path
                else random.normal(0, 0.2, weight.shape)
                for weight in layer.weights
            ])  # fmt: skip


def norms(model: keras.Model) -> int:
    return sum(isinstance(layer, layers.BatchNormalization) for layer in model.layers)


def by_hand(conv: layers.Layer, gamma: float, beta: float, mean: float, variance: float) -> list[list[float]]:
    x = keras.Input((1, 1, 1))
    norm = layers.BatchNormalization(epsilon=0.0)
    keras.Model(x, norm(conv(x)))
    conv.set_weights([np.full(weight.shape, 3.0) for weight in conv.weights])
    norm.set_weights([np.full((1,), value) for value in (gamma, beta, mean, variance)])
    return [value.ravel().tolist() for value in folded_weights(conv, norm)]


def test_by_hand() -> None:
    """5 · (3x + 3 − 1) / √4 + 7 is 7.5x + 12; without a bias of its own, 5 · (3x − 1) / 2 + 7 is 7.5x + 4.5."""
    assert by_hand(layers.Conv2D(1, 1), 5, 7, 1, 4) == [[7.5], [12.0]]
    assert by_hand(layers.Conv2D(1, 1, use_bias=False), 5, 7, 1, 4) == [[7.5], [4.5]]
    assert by_hand(layers.DepthwiseConv2D(1, use_bias=False), 5, 7, 1, 4) == [[7.5], [4.5]]


def test_a_depthwise_kernel_is_scaled_channel_by_channel() -> None:
    x = keras.Input((4, 4, 3))
    conv, norm = layers.DepthwiseConv2D(3, depth_multiplier=2), layers.BatchNormalization()
    model = keras.Model(x, layers.ReLU()(norm(conv(x))))
    shake(model)
    images = np.random.default_rng(1).normal(size=(2, 4, 4, 3)).astype(np.float32)
    folded = fold_backbone(model)
    assert norms(folded) == 0
    np.testing.assert_allclose(folded(images), model(images), atol=1e-6)


def test_only_a_normalisation_that_reads_the_convolution_alone_is_folded() -> None:
    x = keras.Input((4, 4, 3))
    read_twice = layers.Conv2D(3, 1, name="read_twice")(x)
    active = layers.Conv2D(3, 1, activation="relu", name="active")(x)
    plain = layers.Conv2D(3, 1, name="plain")(x)
    answer = layers.Conv2D(3, 1, name="answer")(x)
    normed = [layers.BatchNormalization()(y) for y in (read_twice, active, plain, answer)]
    model = keras.Model(x, [*normed, layers.ReLU()(read_twice), answer])
    assert list(foldable_pairs(model)) == ["plain"]
    shake(model)
    images = np.random.default_rng(1).normal(size=(2, 4, 4, 3)).astype(np.float32)
    for one, other in zip(fold_backbone(model)(images), model(images), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("name", [*LIGHT, *(pytest.param(name, marks=pytest.mark.slow) for name in HEAVY)])
def test_backbones_answer_the_same(name: str) -> None:
    backbone = BACKBONES[name](weights=None)
    shake(backbone)
    staying, folding = (LIGHT | HEAVY)[name]
    assert len(foldable_pairs(backbone)) == folding
    folded = fold_backbone(backbone)
    assert norms(folded) == staying
    images = np.random.default_rng(2).uniform(0, 255, (1, 64, 96, 3)).astype(np.float32)
    wanted = backbone(images, training=False)
    for level, value in folded(images, training=False).items():
        largest = np.abs(wanted[level]).max()
        assert largest > 0
        np.testing.assert_allclose(value, wanted[level], atol=1e-4 * largest)


def test_the_network_is_left_as_it_was() -> None:
    network = build(
        ModelConfig("resnet10_050", "none", 3, 7, fpn_width=32, head_width=32, head_depth=1), class_names=["ant"]
    )
    shake(network.backbone)
    before = [np.array(value) for value in network.get_weights()]
    folded = fold_batch_norm(network)
    assert norms(network.backbone) == 12
    assert all(np.array_equal(*pair) for pair in zip(before, network.get_weights(), strict=True))
    images = np.random.default_rng(2).uniform(0, 255, (1, 64, 96, 3)).astype(np.float32)
    given, wanted = folded(images, training=False), network(images, training=False)
    for name in ("deltas", "logits"):
        np.testing.assert_allclose(given[name], wanted[name], atol=1e-4 * np.abs(wanted[name]).max())
