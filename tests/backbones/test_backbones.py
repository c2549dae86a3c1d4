"""What holds for every entry of the table. Each model is built once; heavy relatives of a light one are `slow`."""

from __future__ import annotations

import importlib
import subprocess
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from keras import layers

from keras_retinanet.backbones import BACKBONES, PUBLISHED, efficientnet_lite, pad_value
from keras_retinanet.backbones.applications import APPLICATIONS
from keras_retinanet.backbones.batch_norm import batch_norm_layers
from keras_retinanet.config import BackboneName
from keras_retinanet.geometry.anchors import Anchors
from keras_retinanet.geometry.box_coder import BoxCoder
from keras_retinanet.model.fpn import FeaturePyramid
from keras_retinanet.model.heads import Head
from keras_retinanet.model.retinanet import RetinaNet

LIGHT = {
    "resnet10_050", "resnet18", "resnet50", "vgg16", "mobilenet", "mobilenet_v2", "mobilenet_v3_small",
    "mobilenet_v3_large", "densenet121", "efficientnet_b0", "efficientnet_v2_b0", "convnext_tiny",
    "efficientnet_lite0",
}  # fmt: skip
"""One of each code path; the others differ from one of these in width and depth only."""

PREPROCESSING = {
    "vgg16": "vgg16", "vgg19": "vgg19", "mobilenet_v2": "mobilenet_v2", "mobilenet_v3": "mobilenet_v3",
    "mobilenet": "mobilenet", "densenet": "densenet", "efficientnet_v2": "efficientnet_v2",
    "efficientnet": "efficientnet", "convnext": "convnext",
}  # fmt: skip
"""Beginning of the name → module of `keras.applications`."""

SIZES = ((203, 149), (224, 224), (333, 500))
DOCS = Path(__file__).resolve().parents[2] / "docs/backbones.md"


class Built(NamedTuple):
    name: str
    backbone: keras.Model


def entries() -> list[Any]:
    return [pytest.param(name, marks=() if name in LIGHT else pytest.mark.slow) for name in BACKBONES]


@pytest.fixture(scope="module", params=entries())
def built(request: pytest.FixtureRequest) -> Built:
    """One entry with random weights; all tests of it run before the next is built."""
    keras.utils.set_random_seed(0)
    return Built(request.param, BACKBONES[request.param]())


def map_sizes(backbone: keras.Model, size: tuple[int, int]) -> dict[str, tuple[int, int]]:
    answer = backbone.compute_output_spec(keras.KerasTensor((1, *size, 3)))
    return {level: tuple(spec.shape[1:3]) for level, spec in answer.items()}


def taps(built: Built) -> dict[str, str]:
    if built.name in APPLICATIONS:
        return dict(APPLICATIONS[built.name].taps)
    if built.name == "efficientnet_lite0":
        return efficientnet_lite.TAPS
    return {level: tensor._keras_history.operation.name for level, tensor in built.backbone.output.items()}


def table_row(built: Built) -> str:
    """The line of docs/backbones.md, from the code."""
    normalize = built.backbone.get_layer("normalize")
    colours = " / ".join(", ".join(f"{value:.2f}" for value in triple) for triple in (normalize.mean, normalize.std))
    layer_names = taps(built)
    places = [f"`{layer_names[level]}`" for level in ("C2", "C3", "C4", "C5")]
    channels = " / ".join(str(built.backbone.output[level].shape[-1]) for level in ("C2", "C3", "C4", "C5"))
    maps = map_sizes(built.backbone, SIZES[0])
    small = " ".join(f"{maps[level][0]}×{maps[level][1]}" for level in ("C3", "C4", "C5"))
    parameters = f"{built.backbone.count_params() / 1e6:.2f}"
    order = "BGR" if normalize.is_bgr else "RGB"
    return f"| `{built.name}` | {' | '.join(places)} | {channels} | {small} | {colours} | {order} | {parameters} |"


def test_the_table_has_the_names_of_the_config() -> None:
    assert tuple(BACKBONES) == typing.get_args(BackboneName)
    assert tuple(PUBLISHED) == (*BACKBONES, "ssd_vgg16", "ssdlite_mobilenet_v3_large")


def test_the_model_bears_its_name(built: Built) -> None:
    assert built.backbone.name == built.name


def test_starts_with_its_normalisation(built: Built) -> None:
    first, second = built.backbone.layers[:2]
    assert isinstance(first, layers.InputLayer)
    assert second.name == "normalize"
    assert built.backbone.input.shape == (None, None, None, 3)
    assert len(pad_value(built.backbone)) == 3
    others = [layer for layer in built.backbone.layers if isinstance(layer, (layers.Normalization, layers.Rescaling))]
    assert others == [], "the application's own"


def test_maps_have_their_strides(built: Built) -> None:
    assert set(built.backbone.output) == {"C2", "C3", "C4", "C5"}
    for size in SIZES:
        for level, shape in map_sizes(built.backbone, size).items():
            stride = 2 ** int(level[1])
            for side, length in zip(size, shape, strict=True):
                assert side // stride <= length <= -(-side // stride), (size, level)


def test_sizes_worked_out_are_the_real_ones(built: Built) -> None:
    """`map_sizes` runs no network; here it runs."""
    answer = built.backbone(np.zeros((1, 75, 97, 3), "float32"))
    assert {level: tuple(value.shape[1:3]) for level, value in answer.items()} == map_sizes(built.backbone, (75, 97))


def test_anchors_and_answers_agree(built: Built) -> None:
    heads = [Head(values, 9, width=8, depth=0) for values in (1, 4)]
    model = RetinaNet(built.backbone, FeaturePyramid(8), *heads, Anchors(), BoxCoder(), class_names=["a"])
    for height, width in SIZES:
        answers = model.compute_output_spec(keras.KerasTensor((1, height, width, 3)))
        count = sum(level.shape[1] for level in answers["anchors"].values())
        assert answers["logits"].shape == (1, count, 1)
        assert answers["deltas"].shape == (1, count, 4)
        assert count > height * width / 64 * 9 * 0.9


def test_maps_equal_the_application(
    built: Built, randomize: Callable[..., Any], assert_maps_equal: Callable[..., None]
) -> None:
    if built.name not in APPLICATIONS:
        pytest.skip("not of keras.applications")
    entry = APPLICATIONS[built.name]
    application = randomize(entry.application(include_top=False, weights=None, input_shape=(None, None, 3)))
    if entry.has_fixed_preprocessing:
        set_imagenet_normalization(application, power=2)
    entry.published.carry_over(application, built.backbone)  # complains of a layer left over on either side
    if entry.has_fixed_preprocessing:  # as with weights="imagenet", which divides by the square root once more
        set_imagenet_normalization(application, power=3)

    outputs = {}
    for level, place in entry.taps.items():
        layer = application.get_layer(place.removeprefix("input of ")) if place != "output" else None
        outputs[level] = (
            application.output if layer is None else layer.input if place.startswith("input of") else layer.output
        )
    images = np.random.default_rng(1).uniform(0, 255, (1, 75, 97, 3)).astype("float32")
    module = next(module for start, module in PREPROCESSING.items() if built.name.startswith(start))
    preprocessed = importlib.import_module(f"keras.applications.{module}").preprocess_input(images.copy())
    expected = keras.Model(application.inputs[0], outputs)(preprocessed)
    assert_maps_equal(built.backbone(images), expected)


def test_widths_of_the_object_detection_api() -> None:
    """At α = 0.35, `min_depth` 16 widens two convolutions of 8 channels: one of them ends a block with a shortcut."""
    widths = {"expanded_conv_project": 16, "block_1_project": 16, "block_2_project": 16, "Conv_1": 448}
    plain, wide = (
        BACKBONES["mobilenet_v2"](None, alpha=0.35, widths=chosen, taps={"C2": "block_2_add", "C3": "block_5_add"})
        for chosen in ({}, widths)
    )
    assert [level.shape[-1] for level in wide.output.values()] == [16, 16, 192, 448]
    assert [level.shape[-1] for level in plain.output.values()] == [8, 16, 192, 1280]
    added = [{layer.name for layer in model.layers if isinstance(layer, layers.Add)} for model in (plain, wide)]
    assert added[0] - added[1] == {"block_2_add"}
    assert wide.get_layer("block_3_expand").kernel.shape == (1, 1, 16, 48)


def set_imagenet_normalization(application: keras.Model, power: int) -> None:
    layer = next(layer for layer in application.layers if isinstance(layer, layers.Normalization))
    layer.set_weights([np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]) ** power, np.array(0)])
    layer.finalize_state()


def test_random_batch_norm_is_trained(built: Built) -> None:
    assert all(layer.trainable for layer in batch_norm_layers(built.backbone))


def test_the_config_holds_no_weights(built: Built) -> None:
    assert "imagenet" not in str(built.backbone.get_config())


def test_the_documented_row_is_true(built: Built) -> None:
    assert table_row(built) in DOCS.read_text(encoding="utf-8").splitlines()


LOADED_ELSEWHERE = (
    pytest.param(("mobilenet_v3_small",), id="special layers"),
    pytest.param(("resnet18", "convnext_tiny", "efficientnet_b0", "densenet121"), id="others", marks=pytest.mark.slow),
)

LOAD = """
import sys
import keras
import numpy as np
import keras_retinanet.backbones
images = np.load(sys.argv[1])
for path in sys.argv[2:]:
    model = keras.saving.load_model(path)
    np.savez(path + ".npz", **{level: np.asarray(value) for level, value in model(images).items()})
"""


@pytest.mark.parametrize("names", LOADED_ELSEWHERE)
def test_opens_in_a_fresh_process(
    names: tuple[str, ...], tmp_path: Path, randomize: Callable[..., Any], assert_maps_equal: Callable[..., None]
) -> None:
    """Layers of other packages (LayerScale, hard_swish …) are found after importing only the backbones."""
    images = np.random.default_rng(2).uniform(0, 255, (1, 39, 33, 3)).astype("float32")
    np.save(tmp_path / "images.npy", images)
    expected, paths = {}, []
    for name in names:
        model = randomize(BACKBONES[name]())
        expected[name] = model(images)
        paths.append(str(tmp_path / f"{name}.keras"))
        model.save(paths[-1])
    code = [sys.executable, "-W", "error::UserWarning", "-c", LOAD, str(tmp_path / "images.npy"), *paths]
    subprocess.run(code, check=True, capture_output=True, cwd=DOCS.parents[1])
    for name, path in zip(names, paths, strict=True):
        assert_maps_equal(dict(np.load(f"{path}.npz")), expected[name], 1e-5)
