"""Folded batch normalisation: by hand, and over the families of backbones."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from keras_retinanet import build
from keras_retinanet.backbones import BACKBONES
from keras_retinanet.config import ModelConfig
from keras_retinanet.export import folding
from keras_retinanet.export.folding import fold_backbone, fold_batch_norm, foldable_pairs, folded_weights
from keras_retinanet.framework_internals import nested_layers
from keras_retinanet.inference import load_model

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


IN_PYRAMID_AND_HEADS = {
    "tf_object_detection": {
        "p6_source": "P5", "stride_padding": "same", "has_relu_before_p7": False, "activation": "relu6",
        "has_fpn_bias": False, "has_fpn_activation": True,
        "fpn_carried": "output", "has_top_output": False, "extra_input": "finished",
        "is_fpn_separable": True, "is_head_separable": True, "has_shared_tower": True,
    },
    "model_garden": {"p6_source": "P5", "stride_padding": "same", "has_head_bias": True, "activation": "swish"},
    "for each level": {"has_shared_heads": False, "has_quality": True},
}  # fmt: skip
"""Settings of networks with batch normalisation in pyramid and heads."""
STAYING = {"tf_object_detection": set(), "model_garden": {"norm5", "norm6"}, "for each level": {"norm6"}}
"""Levels of which the next coarser one reads the map before its normalisation."""


def norm_names(network: keras.Model) -> set[str]:
    return {layer.name for layer in nested_layers(network) if isinstance(layer, layers.BatchNormalization)}


@pytest.mark.parametrize("name", IN_PYRAMID_AND_HEADS)
def test_pyramid_and_heads_answer_the_same(name: str, tmp_path, monkeypatch) -> None:
    model = ModelConfig(
        "resnet10_050", "none", fpn_width=8, head_width=8, head_depth=2, head_norm="batch", fpn_norm="batch",
        **IN_PYRAMID_AND_HEADS[name],
    )  # fmt: skip
    network = build(model, class_names=["ant", "bee"])
    random = np.random.default_rng(4)
    for weight in (variable for part in (network.neck, network.class_head, network.box_head)
                   for variable in part.weights):  # fmt: skip
        is_scale = weight.name in ("gamma", "moving_variance")
        size = 0.5 / np.sqrt(np.prod(weight.shape[:-1])) if len(weight.shape) == 4 else 0.2
        weight.assign(random.uniform(0.5, 1.5, weight.shape) if is_scale else random.normal(0, size, weight.shape))
    folded = fold_batch_norm(network)
    assert norm_names(folded) == STAYING[name]
    folded.save(tmp_path / "folded.keras")
    images = random.uniform(0, 255, (1, 64, 96, 3)).astype(np.float32)
    wanted, given = network(images, training=False), load_model(tmp_path / "folded.keras")(images, training=False)
    for output in ("deltas", "logits", *(("quality",) if model.has_quality else ())):
        largest = np.abs(wanted[output]).max()
        assert largest > 0.1
        np.testing.assert_allclose(given[output], wanted[output], atol=1e-5 * largest)

    monkeypatch.setattr(folding, "MAX_COPIES", 0)
    kept = fold_batch_norm(network)
    in_towers = {f"norm{index}_{level}" for index in range(2) for level in range(5)}
    is_shared = name != "for each level"
    assert norm_names(kept) == STAYING[name] | (in_towers if is_shared else set())
    if is_shared:
        largest = np.abs(wanted["logits"]).max()
        np.testing.assert_allclose(kept(images, training=False)["logits"], wanted["logits"], atol=1e-5 * largest)
