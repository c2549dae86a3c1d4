from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import keras_retinanet
from keras_retinanet.backbones.dtype import with_policy
from keras_retinanet.backbones.ssdlite_mobilenet import ssdlite_mobilenet_v3_large
from keras_retinanet.config import LossConfig, ModelConfig
from keras_retinanet.config.architectures import ARCHITECTURES, default_network
from keras_retinanet.geometry.configured_anchors import image_anchors
from keras_retinanet.model.build import build
from keras_retinanet.model.part_checks import check_parts, check_settings
from keras_retinanet.model.retinanet import RetinaNet
from keras_retinanet.model.ssdlite_neck import SsdLiteNeck

NAME = "ssdlite320_mobilenet_v3_large"


@pytest.fixture(scope="module")
def network() -> RetinaNet:
    keras.utils.set_random_seed(0)
    model = ModelConfig(weights="none", architecture=NAME)
    return build(model, class_names=["cat", "dog"], loss=LossConfig("multibox", beta=1.0))


def test_extra_blocks_worked_by_hand() -> None:
    """Maps of 10 halve to 5, 3, 2 and 1; a block of ones sums a pixel's neighbours, cut at 6."""
    neck = SsdLiteNeck([(1, 2)])
    maps = {"C4": np.zeros((1, 8, 8, 3), np.float32), "C5": np.ones((1, 4, 4, 1), np.float32)}
    neck.build({name: value.shape for name, value in maps.items()})
    for layer in neck.convolutions.values():
        layer.kernel.assign(np.ones(layer.kernel.shape))
    found = np.array(neck(maps)["extra2"])[0, ..., 0]
    scale = 1 / np.sqrt(1 + 1e-3)  # of each normalisation with its first statistics
    inside = min(9 * scale**2, 6) * scale
    np.testing.assert_allclose(found, [[4 * scale**3, 6 * scale**3], [6 * scale**3, inside]], rtol=1e-4)


def test_maps_and_boxes() -> None:
    """3,234 boxes: (20² + 10² + 5² + 3² + 2² + 1) · 6. The first stands at 8, 8 with a side of 20 % of 320 px."""
    config = default_network(ModelConfig(architecture=NAME))
    levels = image_anchors(config, 320, 320)
    assert [len(level) for level in levels] == [2400, 600, 150, 54, 24, 6]
    np.testing.assert_allclose(levels[0][0], [8 - 32, 8 - 32, 8 + 32, 8 + 32])
    centre = 2.5 * 320 / 3  # of the last box of the map of 3 x 3, a high one of ratio 3
    half = 208 / 2 / 3**0.5, 320 / 2
    expected = [centre - half[0], centre - half[1], centre + half[0], centre + half[1]]
    np.testing.assert_allclose(levels[3][-1], expected, rtol=1e-5)


def test_a_snapshot_and_the_shapes_of_its_maps(network: RetinaNet, tmp_path: Path) -> None:
    assert tuple(shape[0] for shape in network.map_shapes(320, 320)) == ARCHITECTURES[NAME].map_sides
    assert network.class_head.has_background
    assert network.backbone.get_layer("conv_1").filters == 480  # the reduced tail of random weights
    images = np.random.default_rng(0).uniform(0, 255, (1, 320, 320, 3)).astype(np.float32)
    network.save(tmp_path / "lite.keras")
    again = keras_retinanet.load_model(tmp_path / "lite.keras", compile=False)
    answers = [model(images) for model in (network, again)]
    assert tuple(answers[0]["logits"].shape) == (1, 3234, 3)
    for name in ("deltas", "logits"):
        np.testing.assert_array_equal(*(np.array(answer[name]) for answer in answers))


def test_parts_that_do_not_fit_are_named(network: RetinaNet) -> None:
    """As a modified snapshot would have them: it is opened through the same constructor."""
    heads, counts = (network.class_head, network.box_head, network.box_coder), network.anchors.num_anchors
    check_parts(network.class_names, *heads, counts)
    with pytest.raises(ValueError, match="3 class names for a head of 2 classes"):
        check_parts(["a", "b", "c"], *heads, counts)
    with pytest.raises(
        ValueError, match=r"class head predicts for \(6, 6, 6, 6, 6, 6\) anchors per position; .*\(4, 6,"
    ):
        check_parts(network.class_names, *heads, (4, 6, 6, 6, 6, 6))
    with pytest.raises(ValueError, match="an output for the background, and the loss 'focal' needs none"):
        check_settings(LossConfig("focal"), network.assigner_config, network.class_head)


def test_the_backbone_changes_its_dtype(network: RetinaNet) -> None:
    """Its activations are sums and products without a policy of their own."""
    copy = with_policy(network.backbone, lambda _: "mixed_bfloat16")
    assert copy.get_layer("conv").compute_dtype == "bfloat16"
    assert {output.dtype for output in copy.output.values()} == {"bfloat16"}


@pytest.mark.slow
def test_imagenet_weights_have_the_whole_tail_and_paddings_of_keras(tmp_path: Path) -> None:
    source = keras.applications.MobileNetV3Large(include_top=False, weights=None, include_preprocessing=False)
    source.save_weights(tmp_path / "weights.weights.h5")
    backbone = ssdlite_mobilenet_v3_large(tmp_path / "weights.weights.h5")
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    np.testing.assert_allclose(backbone(image)["C5"], source(image / 127.5 - 1), atol=1e-4)
