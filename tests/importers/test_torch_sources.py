"""Checkpoints of PyTorch libraries beyond the reference: what is told by their tensors, and what is refused."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from keras_retinanet.backbones.normalize import TORCH
from keras_retinanet.cli import import_checkpoint as import_command
from keras_retinanet.cli.parsing import join_numbers
from keras_retinanet.importers import (
    CheckpointError,
    Overrides,
    _apply_overrides,
    describe_checkpoint,
    import_checkpoint,
)
from keras_retinanet.importers.detectron2 import MEAN_ONLY
from keras_retinanet.importers.mmdetection import LOG_LIMIT

WIDTH, CLASSES = 32, 3
BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
Spell = Callable[[int, int, str], str]
"""Stage 1 … 4, block from 0, convolution "1" … or "down" → name of the convolution."""


def random(rng: np.random.Generator, *shape: int) -> np.ndarray:
    scale = np.sqrt(1 / np.prod(shape[1:])) if len(shape) == 4 else 0.1
    return (scale * rng.standard_normal(shape)).astype(np.float32)


def resnet(depth: int, stem: tuple[str, str], conv: Spell, norm: Spell, *, is_empty: bool) -> dict[str, np.ndarray]:
    """Tensors of a ResNet under the names of a library; without numbers where only shapes matter."""
    rng = np.random.default_rng(0)
    tensors: dict[str, np.ndarray] = {}

    def add(name: str, norm_name: str, *shape: int) -> None:
        kernel = np.zeros(shape, np.float32) if is_empty else random(rng, *shape)
        tensors[f"{name}.weight"] = kernel
        for part, offset in (("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1)):
            tensors[f"{norm_name}.{part}"] = offset + np.abs(random(rng, shape[0]))

    add(*stem, 64, 3, 7, 7)
    inputs = 64
    for stage, count in enumerate(BLOCKS[depth], start=1):
        own = 32 * 2**stage
        for block in range(count):
            shapes = [(own, inputs, 3, 3), (own, own, 3, 3)]
            if depth == 50:
                shapes = [(own, inputs, 1, 1), (own, own, 3, 3), (4 * own, own, 1, 1)]
            for index, shape in enumerate(shapes, start=1):
                add(conv(stage, block, str(index)), norm(stage, block, str(index)), *shape)
            if block == 0 and (stage > 1 or depth == 50):
                add(conv(stage, 0, "down"), norm(stage, 0, "down"), shapes[-1][0], inputs, 1, 1)
            inputs = shapes[-1][0]
    return tensors


def torch_spelling(prefix: str, kind: str) -> Spell:
    def spell(stage: int, block: int, index: str) -> str:
        tail = f"downsample.{0 if kind == 'conv' else 1}" if index == "down" else f"{kind}{index}"
        return f"{prefix}layer{stage}.{block}.{tail}"

    return spell


def rest(names: dict[str, str], c5: int, anchors: int = 9, *, depth: int = 1) -> dict[str, np.ndarray]:
    """Pyramid and heads; `names` has the library's for ours."""
    rng = np.random.default_rng(1)
    tensors: dict[str, np.ndarray] = {}

    def add(ours: str, *shape: int) -> None:
        tensors[f"{names[ours]}.weight"], tensors[f"{names[ours]}.bias"] = random(rng, *shape), random(rng, shape[0])

    for level in (3, 4, 5):
        add(f"lateral{level}", WIDTH, c5 // 2 ** (5 - level), 1, 1)
        add(f"output{level}", WIDTH, WIDTH, 3, 3)
    add("extra6", WIDTH, c5, 3, 3)
    add("extra7", WIDTH, WIDTH, 3, 3)
    for index in range(depth):
        add(f"class{index}", WIDTH, WIDTH, 3, 3)
        add(f"box{index}", WIDTH, WIDTH, 3, 3)
    add("logits", anchors * CLASSES, WIDTH, 3, 3)
    add("deltas", anchors * 4, WIDTH, 3, 3)
    return tensors


TORCHVISION = {
    **{f"lateral{i}": f"backbone.fpn.inner_blocks.{i - 3}.0" for i in (3, 4, 5)},
    **{f"output{i}": f"backbone.fpn.layer_blocks.{i - 3}.0" for i in (3, 4, 5)},
    **{f"extra{i}": f"backbone.fpn.extra_blocks.p{i}" for i in (6, 7)},
    "class0": "head.classification_head.conv.0.0", "box0": "head.regression_head.conv.0.0",
    "logits": "head.classification_head.cls_logits", "deltas": "head.regression_head.bbox_reg",
}  # fmt: skip
MMDETECTION = {
    **{f"lateral{i}": f"neck.lateral_convs.{i - 3}.conv" for i in (3, 4, 5)},
    **{f"output{i}": f"neck.fpn_convs.{i - 3}.conv" for i in (3, 4, 5)},
    **{f"extra{i}": f"neck.fpn_convs.{i - 3}.conv" for i in (6, 7)},
    "class0": "bbox_head.cls_convs.0.conv", "box0": "bbox_head.reg_convs.0.conv",
    "logits": "bbox_head.retina_cls", "deltas": "bbox_head.retina_reg",
}  # fmt: skip
DETECTRON = {
    **{f"lateral{i}": f"backbone.fpn_lateral{i}" for i in (3, 4, 5)},
    **{f"output{i}": f"backbone.fpn_output{i}" for i in (3, 4, 5)},
    **{f"extra{i}": f"backbone.top_block.p{i}" for i in (6, 7)},
    "class0": "head.cls_subnet.0", "class1": "head.cls_subnet.2", "box0": "head.bbox_subnet.0",
    "box1": "head.bbox_subnet.2", "logits": "head.cls_score", "deltas": "head.bbox_pred",
}  # fmt: skip


def torchvision(depth: int = 18, **options: Any) -> dict[str, np.ndarray]:
    body = "backbone.body."
    backbone = resnet(
        depth, (f"{body}conv1", f"{body}bn1"), torch_spelling(body, "conv"), torch_spelling(body, "bn"),
        is_empty=options.pop("is_empty", True),
    )  # fmt: skip
    return backbone | rest(TORCHVISION, 512 if depth == 18 else 2048, **options)


def mmdetection(depth: int = 18, *, is_empty: bool = True) -> dict[str, np.ndarray]:
    spellings = (torch_spelling("backbone.", kind) for kind in ("conv", "bn"))
    backbone = resnet(depth, ("backbone.conv1", "backbone.bn1"), *spellings, is_empty=is_empty)
    return backbone | rest(MMDETECTION, 512 if depth == 18 else 2048)


def detectron(depth: int = 18) -> dict[str, np.ndarray]:
    def conv(stage: int, block: int, index: str) -> str:
        return f"backbone.bottom_up.res{stage + 1}.{block}.{'shortcut' if index == 'down' else f'conv{index}'}"

    stem = "backbone.bottom_up.stem.conv1"
    backbone = resnet(depth, (stem, f"{stem}.norm"), conv, lambda *at: f"{conv(*at)}.norm", is_empty=True)
    return backbone | rest(DETECTRON, 512 if depth == 18 else 2048, depth=2)


def test_mmdetection_is_the_same_network_without_a_relu(files: SimpleNamespace, tmp_path: Path) -> None:
    """The tensors of one network under two libraries' names: all maps are equal but P7, which has no ReLU before it."""
    ours = import_checkpoint(
        files.torch(tmp_path / "m.pth", mmdetection(is_empty=False), {"meta": {"mmdet_version": "3.3.0"}})
    )
    theirs = import_checkpoint(
        files.torch(tmp_path / "t.pth", torchvision(is_empty=False)), overrides=Overrides(norm_epsilon=1e-5)
    )
    assert ours.report.unused == ours.report.missing == theirs.report.unused == theirs.report.missing == ()
    image = np.random.default_rng(0).uniform(0, 255, (1, 99, 131, 3)).astype(np.float32)
    ours_maps, their_maps = (found.model.neck(found.model.backbone(image)) for found in (ours, theirs))
    for level in ("P3", "P4", "P5", "P6"):
        np.testing.assert_allclose(ours_maps[level], their_maps[level], atol=1e-4)
    assert np.asarray(ours_maps["P6"]).min() < 0
    # Of an anchor of 16 px, dw = 9 and dh = -9: both cut at ln(1000 / 16) or, by torchvision, the upper one alone.
    anchor, deltas = np.array([[[0, 0, 16, 16]]], np.float32), np.array([[[0, 0, 9, -9]]], np.float32)
    for found, height in ((ours, 0.256), (theirs, 16 * math.exp(-9))):
        x1, y1, x2, y2 = np.asarray(found.model.box_coder(deltas, anchor))[0, 0]
        np.testing.assert_allclose((x2 - x1, y2 - y1), (1000, height), rtol=1e-3)
    kernel, bias = ours.model.neck.extras["P7"].get_weights()
    padded = np.pad(np.asarray(ours_maps["P6"]), ((0, 0), (1, 1), (1, 1), (0, 0)))[0]
    corner = np.tensordot(padded[:3, :3], kernel, 3) + bias  # the first pixel of a stride-2 convolution
    np.testing.assert_allclose(np.asarray(ours_maps["P7"])[0, 0, 0], corner, atol=1e-5)
    with_relu = np.tensordot(np.maximum(padded[:3, :3], 0), kernel, 3) + bias
    np.testing.assert_allclose(np.asarray(their_maps["P7"])[0, 0, 0], with_relu, atol=1e-5)


def test_what_mmdetection_stores(files: SimpleNamespace, tmp_path: Path) -> None:
    meta = {
        "mmdet_version": "2.28.1", "CLASSES": ("a", "b", "c"), "config": "backbone=dict(depth=50, style = 'caffe')",
    }  # fmt: skip
    found = describe_checkpoint(files.torch(tmp_path / "a.pth", mmdetection(50), {"meta": meta}))
    assert found.class_names == ("a", "b", "c")
    assert (found.model.backbone, found.model.head_depth, found.model.fpn_width) == ("resnet50", 1, WIDTH)
    assert found.model.has_relu_before_p7 is False
    assert found.model.p6_source == "C5"
    assert found.backbone_options == {"stride_on": "1x1", "epsilon": 1e-5, "normalization": MEAN_ONLY}
    assert found.box_coder == {"std": (1, 1, 1, 1), "max_log_scale": LOG_LIMIT, "min_log_scale": -LOG_LIMIT}
    assert pytest.approx(4.135166556742356) == LOG_LIMIT
    assert (found.filter.max_detections, found.filter.drop_empty, found.filter.clip) == (100, True, "before_nms")
    assert (found.resize.method, found.resize.rounding, found.resize.pad_multiple) == ("cv2", "nearest", 32)
    stds = "model = dict(bbox_head=dict(bbox_coder=dict(target_stds=[.1, .1, .2, .2])))"
    other = describe_checkpoint(files.torch(tmp_path / "d.pth", mmdetection(50), {"meta": meta | {"config": stds}}))
    assert other.box_coder["std"] == (0.1, 0.1, 0.2, 0.2)
    no_numbers = {"meta": meta | {"config": stds.replace("[.1", "[None")}}
    with pytest.raises(CheckpointError, match=r"e\.pth.*config cannot be read: TypeError"):
        describe_checkpoint(files.torch(tmp_path / "e.pth", mmdetection(50), no_numbers))
    plain = describe_checkpoint(files.torch(tmp_path / "b.pth", mmdetection(50), {"meta": {}}))
    assert plain.backbone_options == {"stride_on": "3x3", "epsilon": 1e-5, "normalization": TORCH}
    assert sum("assumed" in note for note in plain.notes) == 3  # version, config and style
    old = files.torch(tmp_path / "c.pth", mmdetection(50), {"meta": {"mmdet_version": "1.0rc1+abc"}})
    with pytest.raises(CheckpointError, match=r"c\.pth.*MMDetection 1\.0rc1.*background"):
        describe_checkpoint(old)


def test_what_detectron2_stores(files: SimpleNamespace, tmp_path: Path) -> None:
    tensors = detectron(50)
    plain = describe_checkpoint(files.pickle(tmp_path / "a.pkl", tensors, protocol=4))
    assert plain.backbone_options == {"stride_on": "1x1", "epsilon": 1e-5, "normalization": MEAN_ONLY}
    assert plain.model.head_depth == 2
    assert plain.anchor_order == (0, 3, 6, 1, 4, 7, 2, 5, 8)
    assert (plain.filter.clip, plain.filter.drop_empty, plain.filter.max_detections) == ("after_nms", True, 100)
    sides = np.array([[8.0, 12.0, 16.0]])
    cells = {}
    for level, factor in enumerate((1, 2, 4, 8, 16)):
        side = np.repeat(factor * sides[0], 3)  # scale by scale
        ratio = np.tile([0.5, 1, 2], 3)
        width, height = side / np.sqrt(ratio), side * np.sqrt(ratio)
        cells[f"anchor_generator.cell_anchors.{level}"] = (
            np.stack([-width, -height, width, height], axis=1) / 2
        ).astype(np.float32)
    buffers = {"pixel_mean": np.float32([124, 116, 104]).reshape(3, 1, 1), "pixel_std": np.float32([58, 57, 56])}
    path = files.torch(tmp_path / "b.pth", {**tensors, **cells, **buffers}, {"iteration": 90000, "scheduler": {"x": 1}})
    found = describe_checkpoint(path, overrides=Overrides(style="pytorch"))
    assert found.source == "detectron2"
    assert found.anchors.sizes == (8, 16, 32, 64, 128)
    assert found.anchors.ratios == pytest.approx((0.5, 1, 2))
    assert found.anchors.scales == pytest.approx((1, 1.5, 2))
    pixels = found.backbone_options["normalization"]
    assert (pixels.mean, pixels.std, pixels.is_bgr) == ((124, 116, 104), (58, 57, 56), False)
    assert found.backbone_options["stride_on"] == "3x3"
    assert all(found.is_not_weight(name) for name in (*cells, *buffers))


def test_pixel_statistics_of_detectron2_are_turned_to_rgb(files: SimpleNamespace, tmp_path: Path) -> None:
    """Its models read blue first, and so do their stored mean and deviation."""
    buffers = {
        "pixel_mean": np.float32([103.53, 116.28, 123.675]).reshape(3, 1, 1),
        "pixel_std": np.float32([57.375, 57.12, 58.395]).reshape(3, 1, 1),
    }
    path = files.torch(tmp_path / "bgr.pth", {**detectron(50), **buffers})
    pixels = describe_checkpoint(path, overrides=Overrides(style="pytorch")).backbone_options["normalization"]
    assert pixels.mean == pytest.approx((123.675, 116.28, 103.53))
    assert pixels.std == pytest.approx((58.395, 57.12, 57.375))
    assert pixels.is_bgr


def test_heads_of_detectron2_have_biases_before_their_norms(files: SimpleNamespace, tmp_path: Path) -> None:
    """Its convolutions keep their biases; those of torchvision and MMDetection have none there."""
    rng = np.random.default_rng(0)
    tensors = {name: value for name, value in detectron(18).items() if "_subnet." not in name}
    for head in ("cls", "bbox"):
        tensors[f"head.{head}_subnet.0.weight"] = random(rng, WIDTH, WIDTH, 3, 3)
        for name in ("0.bias", "1.weight", "1.bias"):
            tensors[f"head.{head}_subnet.{name}"] = random(rng, WIDTH)
    model, report, blueprint = import_checkpoint(files.pickle(tmp_path / "a.pkl", tensors))
    assert report.unused == report.missing == ()
    assert (blueprint.model.head_norm, blueprint.model.has_head_bias, blueprint.model.head_depth) == ("group", True, 1)
    features = np.random.default_rng(1).standard_normal((1, 3, 3, WIDTH)).astype(np.float32)
    patch = features[0].transpose(2, 0, 1)[None]
    x = (patch * tensors["head.cls_subnet.0.weight"]).sum((1, 2, 3)) + tensors["head.cls_subnet.0.bias"]
    conv = model.class_head.towers[0].get_layer("conv0")
    np.testing.assert_allclose(conv(features)[0, 1, 1], x, atol=1e-5)


def test_norms_of_caffe2_have_a_factor_and_a_shift_alone(files: SimpleNamespace, tmp_path: Path) -> None:
    """Detectron2 completes them with mean 0 and variance 1 when it loads a file."""
    whole = detectron(18)
    tensors = {name: value for name, value in whole.items() if not name.endswith(("running_mean", "running_var"))}
    found = describe_checkpoint(files.pickle(tmp_path / "a.pkl", tensors)).tensors
    assert set(found) == set(whole)
    norm = "backbone.bottom_up.res2.0.conv1.norm"
    np.testing.assert_array_equal(found[f"{norm}.running_mean"], np.zeros(64))
    np.testing.assert_array_equal(found[f"{norm}.running_var"], np.ones(64))
    np.testing.assert_array_equal(found[f"{norm}.weight"], whole[f"{norm}.weight"])


def test_shapes_that_would_need_far_more_than_the_file_holds(files: SimpleNamespace, tmp_path: Path) -> None:
    """Widths are read from single tensors; the network that they describe is compared before it is built."""
    tensors = torchvision(18)
    wide = {"backbone.fpn.inner_blocks.0.0.weight": np.zeros((500_000, 1, 1, 1), np.float32)}
    with pytest.raises(CheckpointError, match=r"a\.pth.*pyramid of 500000.*shapes contradict each other"):
        import_checkpoint(files.torch(tmp_path / "a.pth", tensors | wide))
    empty = {"backbone.fpn.inner_blocks.0.0.weight": np.zeros((10**9, 0, 1, 1), np.float32)}
    with pytest.raises(CheckpointError, match=r"b\.pth.*\(1000000000, 0, 1, 1\); it belongs to no convolution"):
        describe_checkpoint(files.torch(tmp_path / "b.pth", tensors | empty))


def test_the_epsilon_of_torchvision(files: SimpleNamespace, tmp_path: Path) -> None:
    """It is 0 for what began with the COCO weights of v1 alone: a ResNet-50 with P6 from P5, normalisation frozen."""

    def epsilon(tensors: dict[str, np.ndarray], beside: Any = None) -> float:
        path = files.torch(tmp_path / "a.pth", tensors, beside)
        return float(describe_checkpoint(path).backbone_options["epsilon"])

    def arguments(**values: Any) -> dict[str, Any]:
        return {"args": argparse.Namespace(**values), "epoch": 3}

    from_c5 = torchvision(50)
    v1 = from_c5 | {"backbone.fpn.extra_blocks.p6.weight": np.zeros((WIDTH, WIDTH, 3, 3), np.float32)}
    assert epsilon(v1) == 0
    assert epsilon(v1, arguments(weights="RetinaNet_ResNet50_FPN_Weights.COCO_V1", weights_backbone=None)) == 0
    assert epsilon(v1, arguments(weights=None, weights_backbone="ResNet50_Weights.IMAGENET1K_V1")) == 1e-5
    assert epsilon(v1 | {"backbone.body.bn1.num_batches_tracked": np.array(3)}) == 1e-5
    assert epsilon(from_c5) == 1e-5
    assert epsilon(torchvision(18)) == 1e-5


def test_pixels_and_box_factors_of_the_user(files: SimpleNamespace, tmp_path: Path) -> None:
    words = ["a.pth", "o.keras", "--pixel-mean", "1,2,3", "--pixel-order", "bgr", "--box-std", ".1", ".1", ".2", ".2"]
    flags = import_command.build_parser().parse_args(join_numbers(words, ["--box-std"]))
    path = files.torch(tmp_path / "a.pth", torchvision(18))
    found = describe_checkpoint(path, overrides=import_command.overrides(flags))
    assert found.backbone_options["normalization"] == ((1, 2, 3), TORCH.std, True)
    assert found.box_coder == {"std": (0.1, 0.1, 0.2, 0.2)}


def test_the_settings_of_the_user_leave_the_blueprint_as_it_was(files: SimpleNamespace, tmp_path: Path) -> None:
    blueprint = describe_checkpoint(files.torch(tmp_path / "a.pth", mmdetection()))
    options, coder = dict(blueprint.backbone_options), dict(blueprint.box_coder)
    changed = _apply_overrides(blueprint, Overrides(pixels={"is_bgr": True}, box_std=[1.0, 2.0, 3.0, 4.0]))
    assert changed.backbone_options["normalization"] == options["normalization"]._replace(is_bgr=True)
    assert changed.box_coder == coder | {"std": (1.0, 2.0, 3.0, 4.0)}
    assert (blueprint.backbone_options, blueprint.box_coder) == (options, coder)


def test_levels_need_a_size_and_a_stride_each(files: SimpleNamespace, tmp_path: Path) -> None:
    path = files.torch(tmp_path / "a.pth", torchvision(18))
    three = {"sizes": (8.0, 16.0, 32.0), "strides": (8, 16, 32)}
    with pytest.raises(CheckpointError, match=r"5 levels P3–P7, but there are 3 anchor sizes and 3 strides"):
        describe_checkpoint(path, overrides=Overrides(anchors=three))


def test_torchvision_by_what_its_tensors_tell(files: SimpleNamespace, tmp_path: Path) -> None:
    tensors = torchvision(50) | {"backbone.fpn.extra_blocks.p6.weight": np.zeros((WIDTH, WIDTH, 3, 3), np.float32)}
    v1 = describe_checkpoint(files.torch(tmp_path / "a.pth", {f"module.{k}": v for k, v in tensors.items()}))
    assert v1.backbone_options["epsilon"] == 0
    assert any("epsilon 0" in note for note in v1.notes)
    counted = {**tensors, "backbone.body.bn1.num_batches_tracked": np.array(3)}
    assert describe_checkpoint(files.torch(tmp_path / "b.pth", counted)).backbone_options["epsilon"] == 1e-5
    two = torchvision(50, anchors=2)
    path = files.torch(tmp_path / "c.pth", two)
    with pytest.raises(CheckpointError, match=r"outputs for 2 anchors per cell.*--anchor-ratios"):
        describe_checkpoint(path)
    found = describe_checkpoint(path, overrides=Overrides(anchors={"ratios": (1.0,), "scales": (1.0, 2.0)}))
    assert found.anchors.sizes == (32, 64, 128, 256, 512)
    assert found.anchors.is_rounded


def test_the_classes_of_coco_without_the_unused_ones(files: SimpleNamespace, tmp_path: Path) -> None:
    """Label k of torchvision is COCO's id k: 91 slots, of which 80 are used."""
    tensors = torchvision(50)
    logits = np.zeros((9, 91, WIDTH, 3, 3), np.float32) + np.arange(91, dtype=np.float32)[:, None, None, None]
    tensors["head.classification_head.cls_logits.weight"] = logits.reshape(-1, WIDTH, 3, 3)
    tensors["head.classification_head.cls_logits.bias"] = np.tile(np.arange(91, dtype=np.float32), 9)
    path = files.torch(tmp_path / "a.pth", tensors)
    whole = describe_checkpoint(path)
    assert len(whole.class_names) == 91
    assert (whole.class_names[1], whole.class_names[17], whole.class_names[90]) == ("person", "cat", "toothbrush")
    model = import_checkpoint(path, overrides=Overrides(drop_unused_classes=True)).model
    assert len(model.class_names) == 80
    assert (model.class_names[0], model.class_names[15], model.class_names[79]) == ("person", "cat", "toothbrush")
    bias = np.asarray(model.class_head.predictors[0].bias).reshape(9, 80)
    np.testing.assert_array_equal(bias[:, [0, 10, 11, 15, 79]], np.tile([1, 11, 13, 17, 90], (9, 1)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("backbone.fpn.extra_blocks.p6.weight"), "extra levels"),
        (lambda t: t.pop("backbone.fpn.inner_blocks.2.0.weight"), "2 lateral levels"),
        (lambda t: t.pop("head.regression_head.bbox_reg.weight"), "lacks 'head.regression_head.bbox_reg.weight'"),
        (
            lambda t: t.update({"backbone.body.layer3.6.conv1.weight": np.zeros(1, np.float32)}),
            r"stages of \(3, 4, 7, 3\)",
        ),
        (
            lambda t: t.update({"head.regression_head.bbox_reg.weight": np.zeros((35, 1), np.float32)}),
            "belong to no RetinaNet",
        ),
    ],
)
def test_what_cannot_be_imported(change: Any, message: str, files: SimpleNamespace, tmp_path: Path) -> None:
    tensors = torchvision(50)
    change(tensors)
    with pytest.raises(CheckpointError, match=rf"a\.pth.*{message}"):
        describe_checkpoint(files.torch(tmp_path / "a.pth", tensors))


@pytest.mark.parametrize(
    ("shape", "classes", "options", "shape_of_images"),
    [
        ((128, 4, 3, 3), CLASSES, {"groups": 32, "group_width": 4}, ()),
        ((128, 4, 3, 3), 264, {"groups": 32, "group_width": 4}, (800, 800)),
        ((128, 128, 3, 3), CLASSES, {"groups": 1, "group_width": 128}, ()),
    ],
    ids=["ResNeXt-50 32x4d", "MLPerf", "wide ResNet-50"],
)
def test_groups_are_read_from_the_shapes(
    shape: tuple[int, ...], classes: int, options: dict[str, int], shape_of_images: tuple[int, ...],
    files: SimpleNamespace, tmp_path: Path,
) -> None:  # fmt: skip
    tensors = torchvision(50)
    tensors["backbone.body.layer1.0.conv2.weight"] = np.zeros(shape, np.float32)
    tensors["head.classification_head.cls_logits.weight"] = np.zeros((9 * classes, WIDTH, 3, 3), np.float32)
    found = describe_checkpoint(files.torch(tmp_path / "a.pth", tensors))
    assert {**found.backbone_options, **options} == found.backbone_options
    assert found.backbone_options["epsilon"] == 1e-5
    assert (found.resize.shape, found.resize.shape_mode) == (shape_of_images, "stretch" if shape_of_images else "fit")


def test_shapes_that_fit_no_backbone_are_named(files: SimpleNamespace, tmp_path: Path) -> None:
    tensors = torchvision()
    tensors["backbone.body.layer1.0.conv2.weight"] = np.zeros((64, 2, 3, 3), np.float32)
    with pytest.raises(CheckpointError, match=r"layer1\.0\.conv2.*\(64, 2, 3, 3\), which does not fit"):
        import_checkpoint(files.torch(tmp_path / "a.pth", tensors))


def test_a_backbone_alone_is_no_detector(files: SimpleNamespace, tmp_path: Path) -> None:
    path = files.torch(tmp_path / "a.pth", {"conv1.weight": np.zeros((64, 3, 7, 7), np.float32)})
    with pytest.raises(CheckpointError, match=r"a\.pth.*holds no RetinaNet.*'conv1.weight'"):
        describe_checkpoint(path)
