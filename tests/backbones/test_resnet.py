from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
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
    resnet18,
    resnet50,
    resnet101,
    resnet152,
)

AS_IT_IS = PixelStatistics((0, 0, 0), (1, 1, 1))
BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3), "resnet152": (3, 8, 36, 3)}
FUNCTIONS = {"resnet50": resnet50, "resnet101": resnet101, "resnet152": resnet152}


@pytest.mark.parametrize("name", ["resnet50", "resnet101", pytest.param("resnet152", marks=pytest.mark.slow)])
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
    with pytest.raises(ValueError, match=r"deeper.*resnet18.*conv6_block1_1_conv"):
        copy_with_folded_biases(source, resnet18())


def test_a_number_worked_by_hand() -> None:
    """One pixel of 1 and zero weights but a few: the stem doubles it, every block adds its shortcut."""
    backbone = resnet18(normalization=AS_IT_IS, epsilon=0.0)
    for layer in backbone.layers:
        if isinstance(layer, layers.Conv2D):
            layer.set_weights([np.zeros(layer.kernel.shape, "float32")])
    kernel = np.zeros((7, 7, 3, 64), "float32")
    kernel[3, 3, 0, 5] = 2  # centre of red → channel 5
    backbone.get_layer("stem_conv").set_weights([kernel])
    image = np.zeros((1, 9, 9, 3), "float32")
    image[0, 4, 4, 0] = 1  # the stem's pixel (2, 2); pooled windows start at -1: it falls into window 1 only
    answer = np.asarray(backbone(image)["C2"])
    expected = np.zeros((1, 3, 3, 64), "float32")
    expected[0, 1, 1, 5] = 2
    np.testing.assert_allclose(answer, expected, atol=1e-6)


@pytest.mark.parametrize("option", ["stem_padding", "pool_padding", "block_padding"])
def test_the_kinds_of_padding_differ_on_even_sides(option: str, randomize: Callable[..., Any]) -> None:
    """TensorFlow's "same" pads an even side at its end only, so that the windows start one pixel later."""
    images = np.random.default_rng(1).uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    symmetric, same = resnet18(**{option: "symmetric"}), resnet18(**{option: "same"})
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
    backbone = resnet18()
    one = np.asarray(backbone.get_layer("stage2_block1_conv1").kernel)
    other = np.asarray(backbone.get_layer("stage2_block1_conv2").kernel)
    assert np.abs(one - other).max() > 0.01
    np.testing.assert_allclose(one.std(), np.sqrt(2 / (9 * 64)), rtol=0.05)


def test_no_imagenet_weights_for_the_small_ones() -> None:
    with pytest.raises(ValueError, match=r"no ImageNet weights for 'resnet18'"):
        resnet18("imagenet")


# Published detectors, from their stored features.

VARIANTS: dict[str, dict[str, Any]] = {
    "fizyr_resnet50": {"stem_padding": "symmetric", "pool_padding": "same", "epsilon": 1e-5},
    "fizyr_resnet50_stem020": {"stem_padding": "same", "pool_padding": "same", "epsilon": 1e-5},
    "torchvision_v1": {"stride_on": "3x3", "epsilon": 0.0},
    "torchvision_v2": {"stride_on": "3x3", "epsilon": 1e-5},
    "detectron2_r50": {"stride_on": "1x1", "epsilon": 1e-5},
}


QUICK = ("fizyr_resnet50_stem020", "torchvision_v1")
"""Between them both strides, both paddings of stem and pool, and an epsilon that shows."""


def fill(record: dict[str, Any], salt: str) -> np.ndarray:
    """The weight recipe of the reference data."""
    if record["kind"] in ("zero", "values"):
        return np.zeros(record["shape"], np.float32)
    rng = np.random.Generator(np.random.PCG64(zlib.crc32((record["name"] + salt).encode())))
    z = rng.standard_normal(tuple(record["shape"]), dtype=np.float32)
    z = np.abs(z) if record["kind"] == "abs" else z
    return np.float32(record["offset"]) + np.float32(record["scale"]) * z


def source_names(library: str, layer: str) -> list[str]:
    """Names under which a library stores the weights of one of our layers."""
    if layer.startswith("stem"):
        stage, block, part = 1, 0, ""
    else:
        stage, block = (
            int(word[len(start) :]) for word, start in zip(layer.split("_"), ("stage", "block"), strict=False)
        )
        block, part = block - 1, layer.split("_", 2)[2].replace("shortcut_", "0")
    index = int("".join(filter(str.isdigit, part)) or 0)
    is_norm = "bn" in layer
    if library.startswith("fizyr"):
        suffix = f"{stage}{'abcdef'[block]}_branch" + ("1" if index == 0 else f"2{'abc'[index - 1]}")
        name = ("bn" if is_norm else "res") + suffix if stage > 1 else "bn_conv1" if is_norm else "conv1"
        parts = ["gamma:0", "beta:0", "moving_mean:0", "moving_variance:0"] if is_norm else ["kernel:0"]
        return [f"{name}/{part}" for part in parts]
    parts = ["weight", "bias", "running_mean", "running_var"] if is_norm else ["weight"]
    if library.startswith("torchvision"):
        module = "downsample" if index == 0 else f"bn{index}" if is_norm else f"conv{index}"
        place = ("1." if is_norm else "0.") if index == 0 else ""
        name = f"backbone.body.layer{stage - 1}.{block}.{module}.{place}"
        name = name if stage > 1 else "backbone.body.bn1." if is_norm else "backbone.body.conv1."
    else:
        name = f"backbone.bottom_up.res{stage}.{block}." + ("shortcut." if index == 0 else f"conv{index}.")
        name = (name if stage > 1 else "backbone.bottom_up.stem.conv1.") + ("norm." if is_norm else "")
    return [name + part for part in parts]


@pytest.mark.parametrize(
    "library", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in VARIANTS]
)
def test_features_of_published_detectors(library: str, shared: Callable[[str], Path]) -> None:
    folder = shared(f"reference/{library}")
    recipe = json.loads((folder / "weights.json").read_text())
    records = {record["name"]: record for record in recipe["tensors"]}
    backbone = resnet50(**VARIANTS[library], normalization=AS_IT_IS)
    for layer in backbone.layers:
        if layer.weights:
            values = [fill(records[name], recipe.get("salt", "")) for name in source_names(library, layer.name)]
            is_torch_kernel = values[0].ndim == 4 and not library.startswith("fizyr")
            layer.set_weights([values[0].transpose(2, 3, 1, 0)] if is_torch_kernel else values)
    golden = np.load(folder / "reference.npz")
    images = golden["network_input"]
    answer = backbone(images if images.shape[-1] == 3 else images.transpose(0, 2, 3, 1))
    for level in ("C3", "C4", "C5"):
        value = np.asarray(answer[level])[0]
        assert value.shape == tuple(golden[f"{level}_shape"])
        for name, ours in (("first4", value[..., :4]), ("mean", value.mean((0, 1))), ("std", value.std((0, 1)))):
            np.testing.assert_allclose(ours, golden[f"{level}_{name}"], rtol=1e-4, atol=1e-4, err_msg=f"{level} {name}")
