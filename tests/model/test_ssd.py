from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import keras_retinanet
from keras_retinanet.backbones import ssd_vgg
from keras_retinanet.backbones.normalize import CAFFE
from keras_retinanet.backbones.ssd_vgg import ssd_vgg16
from keras_retinanet.config import ModelConfig
from keras_retinanet.config.architectures import ARCHITECTURES, default_network
from keras_retinanet.geometry.configured_anchors import image_anchors
from keras_retinanet.model.build import build
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.model.ssd_neck import L2Normalization, SsdNeck


def ssd(name: str, **settings) -> RetinaNet:
    return build(ModelConfig(weights="none", architecture=name), class_names=["cat", "dog"], **settings)


@pytest.fixture(scope="module")
def ssd300() -> RetinaNet:
    keras.utils.set_random_seed(0)
    return ssd("ssd300_vgg16")


def test_lengths_of_vectors_worked_by_hand() -> None:
    layer = L2Normalization(initial_scale=10)
    maps = np.array([[[[3.0, 4.0], [0.0, 0.0], [-1.0, 0.0]]]], np.float32)
    np.testing.assert_allclose(layer(maps), [[[[6, 8], [0, 0], [-10, 0]]]], atol=1e-6)
    layer.scale.assign([1.0, 2.0])
    np.testing.assert_allclose(layer(maps)[0, 0, 0], [0.6, 1.6], rtol=1e-6)


def test_blocks_that_shrink_by_stride_and_by_kernel() -> None:
    """Stride 2 with a pixel of padding; 3x3 without; and 4x4 with padding on two rows, as the last of SSD512."""
    neck = SsdNeck([(2, 3, 3, 2, 1), (2, 5, 3, 1, 0), (2, 4, 4, 1, 1)])
    maps = {"C4": np.ones((1, 15, 15, 6), np.float32), "C5": np.ones((1, 8, 7, 3), np.float32)}
    found = neck(maps)
    shapes = [tuple(level.shape) for level in found.values()]
    assert shapes == [(1, 15, 15, 6), (1, 8, 7, 3), (1, 4, 4, 3), (1, 2, 2, 5), (1, 1, 1, 4)]
    assert list(found) == list(neck.levels) == ["conv4_3", "fc7", "conv8_2", "conv9_2", "conv10_2"]
    inputs = {name: keras.KerasTensor(value.shape) for name, value in maps.items()}
    assert [tuple(spec.shape) for spec in neck.compute_output_spec(inputs).values()] == shapes


@pytest.mark.parametrize(("name", "count"), [("ssd300_vgg16", 8732), ("ssd512_vgg16", 24_564)])
def test_maps_and_boxes_of_the_settings(name: str, count: int) -> None:
    config = default_network(ModelConfig(architecture=name))
    side = config.resize.shape[0]
    levels = image_anchors(config, side, side)
    assert sum(len(level) for level in levels) == count
    sizes = config.default_boxes.sizes
    strides = config.default_boxes.strides
    for level, (boxes, cells) in enumerate(zip(levels, ARCHITECTURES[name].map_sides, strict=True)):
        first, last = np.array(boxes[0]), np.array(boxes[-1])
        np.testing.assert_allclose(first[2:] - first[:2], sizes[level], rtol=1e-5)
        np.testing.assert_allclose(first[:2] + first[2:], strides[level], rtol=1e-5)  # twice the centre, half a stride
        ratio = config.default_boxes.ratios[level][-1]  # the last box is the high one of the last ratio
        expected = np.minimum([sizes[level] / ratio**0.5, sizes[level] * ratio**0.5], side)
        np.testing.assert_allclose(last[2:] - last[:2], expected, rtol=1e-5)
        np.testing.assert_allclose((last[:2] + last[2:]) / 2, (cells - 0.5) * strides[level], rtol=1e-5)


def test_boxes_of_ssd512_worked_by_hand() -> None:
    """Map by map 64² · 4, 32² · 6, 16² · 6, 8² · 6, 4² · 6, 2² · 4 and 4 boxes; sides 20.48 to 542.72."""
    levels = image_anchors(default_network(ModelConfig(architecture="ssd512_vgg16")), 512, 512)
    assert [len(level) for level in levels] == [16_384, 6_144, 1_536, 384, 96, 16, 4]
    np.testing.assert_allclose(levels[0][0], [-6.24, -6.24, 14.24, 14.24], atol=1e-4)
    np.testing.assert_allclose(levels[0][-1], [508 - 7.2408, 508 - 14.4815, 508 + 7.2408, 508 + 14.4815], atol=1e-3)
    np.testing.assert_allclose(levels[1][0], [8 - 25.6, 8 - 25.6, 8 + 25.6, 8 + 25.6], atol=1e-4)
    np.testing.assert_allclose(levels[6][0], [256 - 230.4, 256 - 230.4, 256 + 230.4, 256 + 230.4], atol=1e-4)
    np.testing.assert_allclose(
        levels[6][1], [256 - 250.0427] * 2 + [256 + 250.0427] * 2, atol=1e-3
    )  # √(460.8 · 542.72)
    np.testing.assert_allclose(levels[6][-1], [256 - 162.9174, 0, 256 + 162.9174, 512], atol=1e-3)  # cut to the image


@pytest.mark.parametrize("name", ["ssd300_vgg16", "ssd512_vgg16"])
def test_maps_of_the_layers_are_those_of_the_table(name: str) -> None:
    backbone = ssd_vgg16()
    neck, side = SsdNeck(ARCHITECTURES[name].blocks), default_network(ModelConfig(architecture=name)).resize.shape[0]
    image = keras.KerasTensor((1, side, side, 3))
    maps = neck.compute_output_spec(backbone.compute_output_spec(image))
    assert tuple(level.shape[1] for level in maps.values()) == ARCHITECTURES[name].map_sides


def test_settings_of_the_architecture(ssd300: RetinaNet) -> None:
    assert ssd300.resize_config.shape == (300, 300)
    assert (ssd300.resize_config.shape_mode, ssd300.resize_config.pad_multiple) == ("stretch", 1)
    assert (ssd300.assigner_config.use_force_match, ssd300.assigner_config.forced_box) == (True, "own")
    assert (ssd300.filter_config.nms_threshold, ssd300.filter_config.top_k_scope) == (0.45, "class")
    assert ssd300.box_coder.std == (0.1, 0.1, 0.2, 0.2)
    assert ssd300.metadata["model"]["architecture"] == ssd300.name == "ssd300_vgg16"
    assert not ssd300.class_head.has_background
    assert ssd300.class_head.num_anchors == (4, 6, 6, 6, 4, 4)


def batch_of_one(side: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """An image of noise with an object."""
    images = np.random.default_rng(0).uniform(0, 255, (1, side, side, 3)).astype(np.float32)
    return images, {
        "boxes": np.array([[[20, 30, 140, 250]]], np.float32), "labels": np.array([[1]], np.int32),
        "ignore": np.zeros((1, 1), np.int32), "size": np.array([[side, side]], np.float32),
        "image_index": np.zeros(1, np.int32),
    }  # fmt: skip


def test_a_step_with_focal_loss_and_the_snapshot_after_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With few channels in all blocks."""
    monkeypatch.setattr(ssd_vgg, "BLOCKS", ((8, 2), (8, 2), (8, 3), (16, 3), (16, 3)))
    keras.utils.set_random_seed(0)
    network = ssd("ssd300_vgg16")
    images, targets = batch_of_one(300)
    network.compile(keras.optimizers.SGD(0.1, clipnorm=1.0))
    parts = (
        network.neck.norm.scale, network.neck.extras["conv9_2"].kernel, network.backbone.get_layer("fc6").kernel,
        network.class_head.predictors[0].kernel, network.box_head.predictors[3].kernel,
    )  # fmt: skip
    before = [np.array(part).copy() for part in parts]
    first = network.train_on_batch(images, targets, return_dict=True)
    assert 0 < first["classification_loss"] < 50
    assert [part.path for part, old in zip(parts, before, strict=True) if np.array_equal(part, old)] == []
    network.save(tmp_path / "ssd.keras")
    again = keras_retinanet.load_model(tmp_path / "ssd.keras", compile=False)
    answers = [model(images) for model in (network, again)]
    for name in ("deltas", "logits"):
        np.testing.assert_array_equal(*(np.array(answer[name]) for answer in answers))


def test_ssd512_on_an_image_and_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """With few channels in its first blocks; every map has weights of its own, and all of them move."""
    monkeypatch.setattr(ssd_vgg, "BLOCKS", ((8, 1), (8, 1), (8, 1), (16, 1), (16, 1)))
    keras.utils.set_random_seed(0)
    network = ssd("ssd512_vgg16")  # focal loss, to which every box adds
    images, targets = batch_of_one(512)
    answer = network(images)
    deltas, logits = np.asarray(answer["deltas"]), np.asarray(answer["logits"])
    assert (deltas.shape, logits.shape) == ((1, 24_564, 4), (1, 24_564, 2))
    assert np.isfinite(deltas).all()
    assert np.isfinite(logits).all()
    network.compile(keras.optimizers.SGD(0.1, clipnorm=1.0), run_eagerly=True)
    parts = (
        network.neck.norm.scale, *(layer.kernel for layer in network.neck.extras.values()),
        *(final.kernel for final in network.class_head.predictors), network.backbone.get_layer("fc6").kernel,
    )  # fmt: skip
    before = [np.array(part) for part in parts]
    losses = network.train_on_batch(images, targets, return_dict=True)
    assert all(0 < losses[name] < 50 for name in ("loss", "box_loss", "classification_loss"))
    assert [part.path for part, old in zip(parts, before, strict=True) if np.array_equal(part, old)] == []


@pytest.mark.slow
def test_imagenet_weights_fill_the_convolutions(tmp_path: Path) -> None:
    """A file as Keras downloads it: the 13 convolutions without classifier, blue first; fc6 and fc7 stay random."""
    source = keras.applications.VGG16(include_top=False, weights=None)
    source.save_weights(tmp_path / "vgg.weights.h5")
    backbone = ssd_vgg16(tmp_path / "vgg.weights.h5")
    for name in ("block1_conv1", "block5_conv3"):
        np.testing.assert_array_equal(backbone.get_layer(name).kernel, source.get_layer(name).kernel)
    normalize = backbone.get_layer("normalize")
    assert (normalize.mean, normalize.std, normalize.is_bgr) == CAFFE
