"""Grouped convolutions against one convolution per group, in inference and training."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_retinanet.backbones.grouped_conv import GroupedConv2D
from keras_retinanet.backbones.normalize import TORCH
from keras_retinanet.backbones.resnet import ResNetVariant, build_resnet
from keras_retinanet.export.folding import fold_backbone, foldable_pairs


def grouped(**options: object) -> GroupedConv2D:
    layer = GroupedConv2D(6, 3, padding="same", groups=3, bias_initializer="ones", **options)
    layer.build((None, None, None, 12))
    return layer


@pytest.mark.parametrize("training", [False, True])
def test_each_group_reads_its_own_channels(training: bool) -> None:
    layer = grouped(strides=2)
    maps = np.random.default_rng(0).normal(size=(2, 7, 9, 12)).astype(np.float32)
    kernel = np.asarray(layer.kernel)
    assert kernel.shape == (3, 3, 4, 6)
    found = layer(maps, training=training)
    for group in range(3):
        own = tf.nn.conv2d(maps[..., 4 * group : 4 * group + 4], kernel[..., 2 * group : 2 * group + 2], 2, "SAME")
        np.testing.assert_allclose(found[..., 2 * group : 2 * group + 2], own + 1, atol=1e-5)


def test_gradients_equal_those_of_keras() -> None:
    layer = grouped(use_bias=False)
    maps = tf.constant(np.random.default_rng(0).normal(size=(1, 5, 5, 12)), tf.float32)
    plain = keras.layers.Conv2D(6, 3, padding="same", groups=3, use_bias=False)
    plain.build((None, None, None, 12))
    plain.set_weights(layer.get_weights())
    gradients = []
    for own, options in ((layer, {"training": True}), (plain, {})):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(own(maps, **options) ** 2)
        gradients.append(tape.gradient(loss, own.kernel.value))
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-4, atol=1e-4)


def test_a_resnext_is_plain_operations_and_folds() -> None:
    variant = ResNetVariant("3x3", epsilon=1e-5, normalization=TORCH, groups=4, group_width=4)
    backbone = build_resnet("small", (1, 1, 1, 1), variant, has_bottlenecks=True, width=8)
    assert backbone.get_layer("stage3_block1_conv2").kernel.shape == (3, 3, 8, 32)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(layer.moving_mean + 0.3)
            layer.gamma.assign(0.7 * layer.gamma)
    images = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    function = tf.function(lambda images: backbone(images, training=False)["C5"])
    graph = function.get_concrete_function(tf.TensorSpec((1, 64, 64, 3))).graph.as_graph_def()
    assert not [node.name for node in graph.node if "_XlaMustCompile" in node.attr]
    assert not [own.signature.name for own in graph.library.function if "_XlaMustCompile" in own.attr]
    pairs = foldable_pairs(backbone)
    assert {"stage2_block1_conv2", "stage5_block1_conv2"} <= set(pairs)
    folded = fold_backbone(backbone)(images)
    for name, value in backbone(images).items():
        np.testing.assert_allclose(folded[name], value, rtol=1e-4, atol=1e-4)
