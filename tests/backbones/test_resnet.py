from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from keras.applications import resnet

from keras_retinanet.backbones.normalize import CAFFE, TORCH, PixelStatistics
from keras_retinanet.backbones.resnet import (
    ResNetVariant,
    copy_with_folded_biases,
    resnet10_050,
    resnet18,
    resnet50,
    resnet101,
    resnet152,
)

AS_IT_IS = PixelStatistics((0, 0, 0), (1, 1, 1))
BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3), "resnet152": (3, 8, 36, 3)}
FUNCTIONS = {"resnet50": resnet50, "resnet101": resnet101, "resnet152": resnet152}


@pytest.mark.parametrize(
    "name",
    ["resnet50", *(pytest.param(name, marks=pytest.mark.slow) for name in ("resnet101", "resnet152"))],  # only deeper
)
def test_equals_keras_applications(
    name: str, randomize: Callable[..., Any], assert_maps_equal: Callable[..., None]
) -> None:
    """Kernels, biases and statistics random; strides, paddings, epsilon and the order of channels all show."""
    application = {"resnet50": resnet.ResNet50, "resnet101": resnet.ResNet101, "resnet152": resnet.ResNet152}[name]
    source = randomize(application(include_top=False, weights=None, input_shape=(None, None, 3)))
    ends = {f"C{i}": f"conv{i}_block{count}_out" for i, count in enumerate(BLOCKS[name], start=2)}
    reference = keras.Model(source.inputs[0], {level: source.get_layer(end).output for level, end in ends.items()})
    backbone = FUNCTIONS[name]()
    copy_with_folded_biases(source, backbone)
    images = np.random.default_rng(1).uniform(0, 255, (1, 75, 98, 3)).astype("float32")
    assert_maps_equal(backbone(images), reference(resnet.preprocess_input(images.copy())))


def test_weights_of_another_depth_are_refused() -> None:
    images = keras.Input((None, None, 3))
    source = keras.Model(images, layers.Conv2D(2, 1, name="conv6_block1_1_conv")(images), name="deeper")
    with pytest.raises(ValueError, match=r"deeper.*resnet10_050.*conv6_block1_1_conv"):
        copy_with_folded_biases(source, resnet10_050())


def test_a_number_worked_by_hand() -> None:
    """One pixel of 1 and zero weights but a few: the stem doubles it, every block adds its shortcut."""
    backbone = resnet10_050(normalization=AS_IT_IS, epsilon=0.0)
    for layer in backbone.layers:
        if isinstance(layer, layers.Conv2D):
            layer.set_weights([np.zeros(layer.kernel.shape, "float32")])
    kernel = np.zeros((7, 7, 3, 32), "float32")
    kernel[3, 3, 0, 5] = 2  # centre of red → channel 5
    backbone.get_layer("stem_conv").set_weights([kernel])
    image = np.zeros((1, 9, 9, 3), "float32")
    image[0, 4, 4, 0] = 1  # the stem's pixel (2, 2); pooled windows start at -1: it falls into window 1 only
    answer = np.asarray(backbone(image)["C2"])
    expected = np.zeros((1, 3, 3, 32), "float32")
    expected[0, 1, 1, 5] = 2
    np.testing.assert_allclose(answer, expected, atol=1e-6)


@pytest.mark.parametrize("option", ["stem_padding", "pool_padding", "block_padding"])
def test_the_kinds_of_padding_differ_on_even_sides(option: str, randomize: Callable[..., Any]) -> None:
    """TensorFlow's "same" pads an even side at its end only, so that the windows start one pixel later."""
    images = np.random.default_rng(1).uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    symmetric, same = resnet10_050(**{option: "symmetric"}), resnet10_050(**{option: "same"})
    same.set_weights(randomize(symmetric).get_weights())
    one, other = symmetric(images), same(images)
    assert [v.shape for v in one.values()] == [v.shape for v in other.values()]
    assert np.abs(np.asarray(one["C5"]) - np.asarray(other["C5"])).max() > 0.1


def test_the_stride_stands_where_asked() -> None:
    """On the 3x3; on the 1x1 it stands in the comparison with `keras.applications`."""
    backbone = resnet50(stride_on="3x3")
    names = [layer.name for layer in backbone.layers if isinstance(layer, layers.Conv2D) and layer.strides == (2, 2)]
    expected = [f"stage{s}_block1_{part}" for s in (3, 4, 5) for part in ("shortcut_conv", "conv2")]
    assert sorted(names) == sorted(["stem_conv", *expected])


def test_arguments_reach_the_layers() -> None:
    backbone = resnet18(epsilon=0.25, momentum=0.5, normalization=CAFFE)
    norms = [layer for layer in backbone.layers if isinstance(layer, layers.BatchNormalization)]
    assert len(norms) == 20
    assert {(norm.epsilon, norm.momentum) for norm in norms} == {(0.25, 0.5)}
    assert backbone.get_layer("normalize").is_bgr


def test_defaults_are_those_of_the_published_weights() -> None:
    variant = ResNetVariant()
    assert (variant.stride_on, variant.epsilon, variant.normalization) == ("1x1", 1.001e-5, CAFFE)
    small = resnet18()
    assert small.get_layer("stem_bn").epsilon == 1e-5
    assert small.get_layer("normalize").mean == TORCH.mean


@pytest.mark.parametrize("options", [{"stride_on": "2x2"}, {"stem_padding": "valid"}, {"block_padding": None}])
def test_unknown_variants_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        resnet50(**options)


def test_kernels_start_apart() -> None:
    """A reused unseeded initialiser would give every kernel of a shape the same values."""
    backbone = resnet10_050()
    one = np.asarray(backbone.get_layer("stage2_block1_conv1").kernel)
    other = np.asarray(backbone.get_layer("stage2_block1_conv2").kernel)
    assert np.abs(one - other).max() > 0.01
    np.testing.assert_allclose(one.std(), np.sqrt(2 / (9 * 32)), rtol=0.05)


def test_no_imagenet_weights_for_the_small_ones() -> None:
    with pytest.raises(ValueError, match=r"no ImageNet weights for 'resnet18'"):
        resnet18("imagenet")
