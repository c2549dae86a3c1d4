"""fizyr's snapshots beyond the reference: other backbones, names and eras, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from keras_retinanet.backbones.applications import APPLICATIONS
from keras_retinanet.importers import (
    CheckpointError,
    Overrides,
    describe_checkpoint,
    find_foreign,
    import_checkpoint,
    open_foreign,
)
from keras_retinanet.importers.fizyr_backbones import find_backbone
from keras_retinanet.importers.fizyr_model_config import FizyrSettings, read_anchor_ini
from keras_retinanet.weight_files.weight_file import open_weights


def test_an_image_gives_the_maps_of_the_original_network(
    mobilenet: keras.Model, files: SimpleNamespace, tmp_path: Path
) -> None:
    path = files.h5(tmp_path / "a.h5", *files.snapshot(mobilenet, files.MOBILENET_TAPS), is_old=True)
    model, report, blueprint = import_checkpoint(path)
    assert report.unused == report.missing == ()
    assert blueprint.class_names == ("class_0", "class_1")
    assert (model.box_coder.coder, model.box_coder.std) == ("corner", (0.2, 0.2, 0.2, 0.2))
    assert (blueprint.model.head_depth, blueprint.model.head_width, blueprint.model.fpn_width) == (
        2,
        files.WIDTH,
        files.WIDTH,
    )
    image = np.random.default_rng(2).uniform(0, 255, (1, 67, 101, 3)).astype(np.float32)
    expected = keras.Model(mobilenet.input, mobilenet.get_layer(files.MOBILENET_TAPS[4]).output)(
        image[..., ::-1] / 127.5 - 1
    )
    np.testing.assert_allclose(model.backbone(image)["C4"], expected, atol=1e-4)


def test_names_that_a_session_numbered_anew(mobilenet: keras.Model, files: SimpleNamespace, tmp_path: Path) -> None:
    plain = import_checkpoint(files.h5(tmp_path / "a.h5", *files.snapshot(mobilenet, files.MOBILENET_TAPS))).model
    opened = find_foreign(files.h5(tmp_path / "b.h5", *files.snapshot(mobilenet, files.MOBILENET_TAPS, suffix="_8")))
    assert opened is not None
    notes: list[str] = []
    numbered = open_foreign(opened, None, notes.append)
    assert [line.partition(":")[0] for line in notes] == ["fizyr"] * 2
    assert "called class_0" in notes[0]
    assert "defaults were taken" in notes[1]
    for ours, theirs in zip(plain.weights, numbered.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_fewer_levels_and_anchors_of_an_ini(mobilenet: keras.Model, files: SimpleNamespace, tmp_path: Path) -> None:
    path = files.h5(tmp_path / "a.h5", *files.snapshot(mobilenet, files.MOBILENET_TAPS, levels=(3, 4, 5)))
    ini = tmp_path / "config.ini"
    ini.write_text("[anchor_parameters]\nsizes = 16 32 64\nstrides = 8 16 32\nratios = 0.5 1 3\nscales = 1 1.2 1.6\n")
    blueprint = describe_checkpoint(path, overrides=Overrides(anchors=read_anchor_ini(ini)))
    assert (blueprint.model.min_level, blueprint.model.max_level) == (3, 5)
    assert blueprint.anchors.sizes == (16, 32, 64)
    assert blueprint.anchors.ratios == (0.5, 1, 3)
    assert blueprint.anchors.offset == 0.5
    two = Overrides(anchors={"ratios": (1.0,)})
    with pytest.raises(CheckpointError, match=r"a\.h5.*outputs for 9 anchors.*1 ratios.*--config"):
        describe_checkpoint(path, overrides=two)


def test_what_an_inference_model_tells(mobilenet: keras.Model, files: SimpleNamespace, tmp_path: Path) -> None:
    def layer(kind: str, **settings: Any) -> dict[str, Any]:
        return {"class_name": kind, "config": {"name": kind.lower(), **settings}}

    anchors = [layer("Anchors", size=s, stride=t, ratios=[1, 2, 3], scales=[1.0, 1.5, 2.0])
               for s, t in ((128, 32), (40, 8), (64, 16))]  # fmt: skip
    zeros = {"type": "ndarray", "value": [0, 0, 0, 0]}  # as Keras wraps an array
    coder = layer("RegressBoxes", mean=zeros, std=[0.3, 0.3, 0.3, 0.3])
    suppression = layer(
        "FilterDetections", nms=True, class_specific_filter=False, nms_threshold=0.6, score_threshold=0.2,
        max_detections=50,
    )  # fmt: skip
    layers, arrays = files.snapshot(mobilenet, files.MOBILENET_TAPS, levels=(3, 4, 5))
    layers.append({"layer": "anchors_0", "weight_names": ["Variable:0"]})  # of keras-retinanet 0.5
    arrays["Variable:0"] = np.zeros((9, 4), np.float32)
    config = {"class_name": "Model", "config": {"layers": [*anchors, coder, suppression]}}
    imported = import_checkpoint(files.h5(tmp_path / "a.h5", layers, arrays, config=config, has_optimizer=True))
    assert imported.report.unused == ()
    assert imported.blueprint.anchors.sizes == (40, 64, 128)
    assert imported.blueprint.anchors.strides == (8, 16, 32)
    assert imported.model.box_coder.std == (0.3, 0.3, 0.3, 0.3)
    found = imported.model.filter_config
    assert (found.nms, found.nms_threshold, found.score_threshold, found.max_detections) == ("agnostic", 0.6, 0.2, 50)
    assert found.clip_margin == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"class_name": "Conv2D", "config": {"data_format": "channels_first"}}, "channels-first"),
        ({"class_name": "RegressBoxes", "config": {"std": [0.1, 0.1, 0.2, 0.2]}}, "before April 2018"),
        ({"class_name": "RegressBoxes", "config": {"mean": [1, 0, 0, 0]}}, "mean of 0"),
        ({"config": {}}, "cannot be read"),
    ],
)
def test_descriptions_that_are_refused(
    settings: dict, message: str, mobilenet: keras.Model, files: SimpleNamespace, tmp_path: Path
) -> None:
    config = {"class_name": "Model", "config": {"layers": [settings]}}
    path = files.h5(tmp_path / "a.h5", *files.snapshot(mobilenet, files.MOBILENET_TAPS), config=config)
    with pytest.raises(CheckpointError, match=rf"a\.h5.*{message}"):
        describe_checkpoint(path)


def test_the_era_of_a_file(mobilenet: keras.Model, files: SimpleNamespace, tmp_path: Path) -> None:
    parts = files.snapshot(mobilenet, files.MOBILENET_TAPS)
    with pytest.raises(CheckpointError, match=r"Keras 2\.0\.9, before 2018"):
        describe_checkpoint(files.h5(tmp_path / "a.h5", *parts, version="2.0.9"))
    notes = describe_checkpoint(files.h5(tmp_path / "b.h5", *parts, version="2.1.5")).notes
    assert any("19 April 2018" in note for note in notes)
    assert not any("2018" in note for note in describe_checkpoint(files.h5(tmp_path / "c.h5", *parts)).notes)


def test_a_custom_submodel_is_left_over_and_named(
    mobilenet: keras.Model, files: SimpleNamespace, tmp_path: Path
) -> None:
    layers, arrays = files.snapshot(mobilenet, files.MOBILENET_TAPS)
    layers.append({"layer": "mask_submodel", "weight_names": ["mask_0/kernel:0"]})
    arrays["mask_0/kernel:0"] = np.zeros((3, 3, files.WIDTH, 1), np.float32)
    report = import_checkpoint(files.h5(tmp_path / "a.h5", layers, arrays)).report
    assert report.unused == ("mask_submodel/kernel",)
    with pytest.raises(CheckpointError, match=r"mask_submodel/kernel have no place.*--allow-unused"):
        report.require_complete()
    report.require_complete(allow_unused=True)


@pytest.mark.parametrize(
    ("stem", "others", "padded"),
    [
        ("corner", "corner", ()),
        ("symmetric", "symmetric", ("conv_pad_1", "conv_pad_3")),
        ("same", "same", ()),
    ],
    ids=["Keras 2.2", "Keras 2.1.6", "before"],
)
def test_the_paddings_of_mobilenet_by_the_layers_of_its_era(
    stem: str, others: str, padded: tuple[str, ...], mobilenet: keras.Model, files: SimpleNamespace, tmp_path: Path
) -> None:
    """Keras of today: "same" in the stem, a pixel on the right and below elsewhere. Each differs at odd sizes."""
    layers, arrays = files.snapshot(mobilenet, files.MOBILENET_TAPS)
    if others == "same":
        layers = [layer for layer in layers if "pad" not in layer["layer"]]
    else:
        layers += [{"layer": name, "weight_names": []} for name in ("conv1_pad", *padded)]
    found = describe_checkpoint(files.h5(tmp_path / "a.h5", layers, arrays)).backbone_options
    assert (found["stem_padding"], found["block_padding"]) == (stem, others)
    backbone = APPLICATIONS["mobilenet_025"](**found)
    for layer in backbone.layers:
        if layer.weights:
            layer.set_weights(mobilenet.get_layer(layer.name).get_weights())
    image = np.random.default_rng(2).uniform(0, 255, (1, 67, 101, 3)).astype(np.float32)
    pads = {"corner": (0, 1), "symmetric": (1, 1)}
    x = keras.ops.convert_to_tensor(image[..., ::-1] / 127.5 - 1)
    for layer in mobilenet.layers[1:]:
        if isinstance(layer, keras.layers.ZeroPadding2D):
            continue
        if getattr(layer, "strides", None) != (2, 2):
            x = layer(x)
            continue
        pad = pads.get(stem if layer.name == "conv1" else others)
        x = x if pad is None else keras.ops.pad(x, ((0, 0), pad, pad, (0, 0)))
        apply = keras.ops.conv if layer.name == "conv1" else keras.ops.depthwise_conv
        x = apply(x, layer.kernel, strides=2, padding="same" if pad is None else "valid")
    np.testing.assert_allclose(backbone(image)["C5"], x, atol=1e-5)


@pytest.mark.parametrize(
    ("depths", "name", "layer", "expected"),
    [
        ((3, 4, 6, 3), "resnet50", "stage4_block6_conv3", "res4f_branch2c"),
        ((3, 4, 23, 3), "resnet101", "stage4_block23_bn3", "bn4b22_branch2c"),
        ((3, 8, 36, 3), "resnet152", "stage3_block2_conv1", "res3b1_branch2a"),
        ((3, 8, 36, 3), "resnet152", "stage5_block3_shortcut_conv", "res5c_branch1"),
    ],
)
def test_names_of_deep_resnets(depths: tuple[int, ...], name: str, layer: str, expected: str) -> None:
    names = ["conv1", "bn_conv1"]
    for stage, count in enumerate(depths, start=2):
        for block in range(count):
            letter = f"b{block}" if block and name != "resnet50" and stage in (3, 4) else "abcdef"[block]
            names += [f"res{stage}{letter}_branch2{part}" for part in "abc"]
    found = find_backbone(names, {}, FizyrSettings(), Overrides(), [])
    assert found.name == name
    assert found.place(layer) == expected
    assert found.options["stem_padding"] == "same"
    assert find_backbone(["padding_conv1", *names], {}, FizyrSettings(), Overrides(), []).options["stem_padding"] == (
        "symmetric"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("application", "taps", "mode"),
    [
        ("VGG16", {3: "block3_pool", 4: "block4_pool", 5: "block5_pool"}, "caffe"),
        ("VGG19", {3: "block3_pool", 4: "block4_pool", 5: "block5_pool"}, "caffe"),
        ("DenseNet121", {3: "conv3_block12_concat", 4: "conv4_block24_concat", 5: "conv5_block16_concat"}, "tf"),
        ("DenseNet169", {3: "conv3_block12_concat", 4: "conv4_block32_concat", 5: "conv5_block32_concat"}, "tf"),
    ],
)
def test_other_backbones(
    application: str, taps: dict[int, str], mode: str, files: SimpleNamespace, tmp_path: Path
) -> None:
    whole = getattr(keras.applications, application)(include_top=False, weights=None, input_shape=(None, None, 3))
    network = keras.Model(whole.input, [whole.get_layer(tap).output for tap in taps.values()])
    model, report, _ = import_checkpoint(files.h5(tmp_path / "a.h5", *files.snapshot(network, taps)))
    assert report.unused == report.missing == ()
    image = np.random.default_rng(2).uniform(0, 255, (1, 99, 67, 3)).astype(np.float32)
    bgr = image[..., ::-1]
    expected = network(bgr / 127.5 - 1 if mode == "tf" else bgr - np.float32([103.939, 116.779, 123.68]))
    found = model.backbone(image)
    for level, value in zip(("C3", "C4", "C5"), expected, strict=True):
        np.testing.assert_allclose(found[level], value, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sizes = 1", "no section headers"),
        ("[other]\n", r"no section \[anchor_parameters\]"),
        ("[anchor_parameters]\nsizes = 1\nstrides = 1\nratios = 1\n", "'scales' is not right"),
        ("[anchor_parameters]\nsizes = 1\nstrides = 1\nratios = 1\nscales = 1\nmore = 1\n", "'more' is not right"),
        ("[anchor_parameters]\nsizes = 1.5\nstrides = 1\nratios = 1\nscales = 1\n", "sizes = '1.5' are not numbers"),
        ("[anchor_parameters]\nsizes = 1 2\nstrides = 1\nratios = 1\nscales = 1\n", "one number a level"),
    ],
)
def test_wrong_ini_files(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "config.ini"
    path.write_text(text)
    with pytest.raises(CheckpointError, match=rf"config\.ini.*{message}"):
        read_anchor_ini(path)


def test_the_reference_layouts_are_recognised(shared, files: SimpleNamespace, tmp_path: Path) -> None:
    """All three layouts of the two stems, from their names alone: no numbers are needed to tell them apart."""
    for folder, padding in (("fizyr_resnet50", "symmetric"), ("fizyr_resnet50_stem020", "same")):
        layouts = json.loads(shared(f"reference/{folder}/h5_layout.json").read_text())
        records = json.loads(shared(f"reference/{folder}/weights.json").read_text())["tensors"]
        # Only heads and pyramid tell something by their shapes: the backbone's arrays may be small.
        arrays = {
            record["name"]: np.zeros(
                record["shape"] if record["name"].startswith(("pyramid", "C", "P")) else 1, np.float32
            )
            for record in records
        }
        for kind, layout in layouts.items():
            config = None
            if layout["has_model_config"]:
                config = json.loads(shared(f"reference/{folder}/model_config_{kind}.json").read_text())
            path = files.h5(tmp_path / "a.h5", layout["layers"], arrays, config=config)
            blueprint = describe_checkpoint(path)
            assert blueprint.backbone_options["stem_padding"] == padding
            assert blueprint.backbone_options["epsilon"] == pytest.approx(1e-5)
            assert any("stored in the file" in note for note in blueprint.notes) == (kind == "inference_full")
            assert open_weights(path).keras is not None
