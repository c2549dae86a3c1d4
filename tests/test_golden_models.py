"""Whole networks of other libraries, rebuilt from our parts with their weights: C3–C5, P3–P7, heads, detections.

The weights follow the recipe of the reference folder: random numbers seeded by each tensor's name.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pytest

from keras_retinanet.anchors import Anchors
from keras_retinanet.backbones import BACKBONES, PixelStatistics
from keras_retinanet.backbones.normalize import CAFFE, TORCH
from keras_retinanet.boxes import RegressBoxes
from keras_retinanet.config import FilterConfig
from keras_retinanet.filter_detections import filter_detections
from keras_retinanet.fpn import FeaturePyramid
from keras_retinanet.heads import Head
from keras_retinanet.retinanet import RetinaNet

MEAN_ONLY = PixelStatistics(mean=(123.675, 116.28, 103.53), std=(1.0, 1.0, 1.0), is_bgr=True)


def fill(tensor: dict, salt: str) -> np.ndarray:
    shape = tuple(tensor["shape"])
    if tensor["kind"] == "zero":
        return np.zeros(shape)
    if tensor["kind"] == "values":
        return np.array(tensor["values"], np.float32).reshape(shape)
    rng = np.random.Generator(np.random.PCG64(zlib.crc32((tensor["name"] + salt).encode())))
    z = rng.standard_normal(shape, dtype=np.float32)
    z = np.abs(z) if tensor["kind"] == "abs" else z
    return np.float32(tensor["offset"]) + np.float32(tensor["scale"]) * z


@dataclass(frozen=True)
class Source:
    """How a library spells our parts, and which of our settings give its network."""

    conv: Callable[[str], str]
    bn: Callable[[str], str]
    neck: dict[str, str]
    heads: tuple[str, str, str, str]
    backbone: dict = field(default_factory=dict)
    pyramid: dict = field(default_factory=dict)
    head: dict = field(default_factory=dict)
    anchors: dict = field(default_factory=dict)
    coder: str = "center"
    statistics: tuple[str, ...] = ("weight", "bias", "running_mean", "running_var")
    kernel: str = "weight"
    bias: str = "bias"


def parts(name: str) -> tuple[int, int, str]:
    """`stage3_block1_conv2` → 3, 1, "2"; the shortcut is part ""."""
    stage, block, part = name.split("_", 2)
    return int(stage[5:]), int(block[5:]), "" if part.startswith("shortcut") else part[-1]


def fizyr_name(prefix: str) -> Callable[[str], str]:
    def spell(name: str) -> str:
        if name.startswith("stem"):
            return {"res": "conv1", "bn": "bn_conv1"}[prefix]
        stage, block, part = parts(name)
        branch = "branch2" + "abc"[int(part) - 1] if part else "branch1"
        return f"{prefix}{stage}{'abcdef'[block - 1]}_{branch}"

    return spell


def torch_name(kind: str) -> Callable[[str], str]:
    def spell(name: str) -> str:
        if name.startswith("stem"):
            return f"backbone.body.{kind}1"
        stage, block, part = parts(name)
        tail = f"{kind}{part}" if part else f"downsample.{0 if kind == 'conv' else 1}"
        return f"backbone.body.layer{stage - 1}.{block - 1}.{tail}"

    return spell


def detectron_name(suffix: str) -> Callable[[str], str]:
    def spell(name: str) -> str:
        if name.startswith("stem"):
            return f"backbone.bottom_up.stem.conv1{suffix}"
        stage, block, part = parts(name)
        return f"backbone.bottom_up.res{stage}.{block - 1}.{f'conv{part}' if part else 'shortcut'}{suffix}"

    return spell


FIZYR_NECK = {
    **{f"lateral{i}": f"C{i}_reduced" for i in (3, 4, 5)},
    **{f"output{i}": f"P{i}" for i in (3, 4, 5)},
    **{f"extra{i}": f"P{i}" for i in (6, 7)},
}
TORCH_NECK = {
    **{f"lateral{i}": f"backbone.fpn.inner_blocks.{i - 3}.0" for i in (3, 4, 5)},
    **{f"output{i}": f"backbone.fpn.layer_blocks.{i - 3}.0" for i in (3, 4, 5)},
    **{f"extra{i}": f"backbone.fpn.extra_blocks.p{i}" for i in (6, 7)},
}
DETECTRON_NECK = {
    **{f"lateral{i}": f"backbone.fpn_lateral{i}" for i in (3, 4, 5)},
    **{f"output{i}": f"backbone.fpn_output{i}" for i in (3, 4, 5)},
    **{f"extra{i}": f"backbone.top_block.p{i}" for i in (6, 7)},
}
FIZYR = Source(
    fizyr_name("res"), fizyr_name("bn"), FIZYR_NECK,
    ("pyramid_classification_{}", "pyramid_classification", "pyramid_regression_{}", "pyramid_regression"),
    {"epsilon": 1e-5, "pool_padding": "same", "normalization": CAFFE}, {"stride_padding": "same"}, coder="corner",
    statistics=("gamma", "beta", "moving_mean", "moving_variance"), kernel="kernel", bias="bias",
)  # fmt: skip
STEM020 = Source(**{**vars(FIZYR), "backbone": FIZYR.backbone | {"stem_padding": "same"}})
TORCH_HEADS = (
    "head.classification_head.conv.{}", "head.classification_head.cls_logits",
    "head.regression_head.conv.{}", "head.regression_head.bbox_reg",
)  # fmt: skip
TORCH_ANCHORS = {"offset": 0.0, "is_rounded": True, "stride_mode": "grid"}
V2 = Source(
    torch_name("conv"), torch_name("bn"), TORCH_NECK, TORCH_HEADS,
    {"epsilon": 1e-5, "stride_on": "3x3", "normalization": TORCH}, {}, {"norm": "group"}, TORCH_ANCHORS,
)  # fmt: skip
V1 = Source(
    **{
        **vars(V2),
        "backbone": V2.backbone | {"epsilon": 0.0},
        "pyramid": {"p6_source": "P5"},
        "head": {},
    }
)
DETECTRON = Source(
    detectron_name(""), detectron_name(".norm"), DETECTRON_NECK,
    ("head.cls_subnet.{}", "head.cls_score", "head.bbox_subnet.{}", "head.bbox_pred"),
    {"epsilon": 1e-5, "normalization": MEAN_ONLY}, {}, {}, {"offset": 0.0},
)  # fmt: skip
SOURCES = {
    "fizyr_resnet50": FIZYR,
    "fizyr_resnet50_stem020": STEM020,
    "torchvision_v1": V1,
    "torchvision_v2": V2,
    "detectron2_r50": DETECTRON,
}


class Weights:
    """The tensors of a source by our layout; remembers which were used."""

    def __init__(self, path, source: Source) -> None:
        header = json.loads(path.read_text())
        self.source = source
        self.tensors = {
            t["name"].removesuffix(":0").replace("/", "."): fill(t, header["salt"]) for t in header["tensors"]
        }
        self.unused = {name for name in self.tensors if not name.endswith("num_batches_tracked")}

    def __getitem__(self, name: str) -> np.ndarray:
        self.unused.discard(name)
        value = self.tensors[name]
        is_torch_kernel = value.ndim == 4 and self.source.kernel == "weight"
        return value.transpose(2, 3, 1, 0) if is_torch_kernel else value

    def conv(self, layer, name: str) -> None:
        values = [self[f"{name}.{self.source.kernel}"]]
        layer.set_weights([*values, self[f"{name}.{self.source.bias}"]] if layer.use_bias else values)


def load(model: RetinaNet, weights: Weights, source: Source) -> None:
    for layer in model.backbone.layers:
        if type(layer).__name__ == "Conv2D":
            weights.conv(layer, source.conv(layer.name))
            norm = model.backbone.get_layer(layer.name.replace("conv", "bn"))
            norm.set_weights([weights[f"{source.bn(layer.name)}.{name}"] for name in source.statistics])
    for layer in (*model.neck.laterals.values(), *model.neck.outputs.values(), *model.neck.extras.values()):
        weights.conv(layer, source.neck[layer.name])
    for head, (tower, final) in ((model.class_head, source.heads[:2]), (model.box_head, source.heads[2:])):
        step = 2 if source is DETECTRON else 1  # Detectron2 counts the ReLUs
        is_nested = source in (V1, V2)  # torchvision: conv.{i}.0 is the convolution, conv.{i}.1 its norm
        for index in range(4):
            name = tower.format(index * step)
            weights.conv(head.towers[0].get_layer(f"conv{index}"), f"{name}.0" if is_nested else name)
            if head.norm == "group":
                norm = head.towers[0].get_layer(f"norm{index}")
                norm.set_weights([weights[f"{name}.1.weight"], weights[f"{name}.1.bias"]])
        weights.conv(head.finals[0], final)
    assert not weights.unused


class Case(NamedTuple):
    """Our network with a source's weights, what it answers to the source's images, and what the source answered."""

    name: str
    model: RetinaNet
    features: dict
    pyramid: dict
    answers: dict
    reference: np.lib.npyio.NpzFile


@pytest.fixture(scope="module", params=SOURCES)
def case(request, shared) -> Case:
    name, source = request.param, SOURCES[request.param]
    reference = np.load(shared(f"reference/{name}/reference.npz"))
    model = RetinaNet(
        BACKBONES["resnet50"](**source.backbone), FeaturePyramid(**source.pyramid), Head(5, 9, **source.head),
        Head(4, 9, **source.head), Anchors(**source.anchors), RegressBoxes(source.coder), class_names="abcde",
    )  # fmt: skip
    load(model, Weights(shared(f"reference/{name}/weights.json"), source), source)
    network_input = reference["network_input"]
    if network_input.shape[1] == 3:
        network_input = network_input.transpose(0, 2, 3, 1)
    pixels = source.backbone["normalization"]
    rgb = network_input[..., ::-1] if pixels.is_bgr else network_input
    images = (rgb.astype(np.float64) * pixels.std + pixels.mean).astype(np.float32)
    features = model.backbone(images)
    return Case(name, model, features, model.neck(features), model(images), reference)


def check_maps(maps, reference, tolerance: float) -> None:
    for name, value in maps.items():
        value = np.asarray(value)[0]
        assert value.shape == tuple(reference[f"{name}_shape"])
        np.testing.assert_allclose(value[..., :4], reference[f"{name}_first4"], atol=tolerance, rtol=1e-4)
        np.testing.assert_allclose(value.mean(axis=(0, 1)), reference[f"{name}_mean"], atol=tolerance, rtol=1e-4)
        np.testing.assert_allclose(value.std(axis=(0, 1)), reference[f"{name}_std"], atol=tolerance, rtol=1e-4)


def test_backbone_and_pyramid(case):
    check_maps({name: case.features[name] for name in ("C3", "C4", "C5")}, case.reference, 1e-4)
    check_maps(case.pyramid, case.reference, 2e-4)


def test_heads_and_anchors(case):
    reference = case.reference
    logits, deltas = np.asarray(case.answers["logits"]), np.asarray(case.answers["deltas"])
    anchors = np.concatenate([np.asarray(level)[0] for level in case.answers["anchors"].values()])
    if case.name == "detectron2_r50":  # scale-major: permute the anchors of each cell
        order = np.array([0, 3, 6, 1, 4, 7, 2, 5, 8])
        anchors = anchors.reshape(-1, 9, 4)[:, order].reshape(-1, 4)
    np.testing.assert_allclose(anchors, reference["anchors"], atol=1e-3)
    if "regression" in reference:
        np.testing.assert_allclose(deltas, reference["regression"], atol=1e-4)
        np.testing.assert_allclose(1 / (1 + np.exp(-logits)), reference["classification"], atol=2e-4)
    else:
        np.testing.assert_allclose(deltas, reference["bbox_deltas"], atol=1e-4)
        np.testing.assert_allclose(logits, reference["cls_logits"], atol=1e-3)


def test_detections(case):
    name, reference = case.name, case.reference
    anchors = reference["anchors"][None].astype(np.float32)
    boxes = np.asarray(case.model.regress_boxes(case.answers["deltas"], anchors))
    np.testing.assert_allclose(boxes[0], reference["decoded"], atol=2e-2)
    is_fizyr = name.startswith("fizyr")
    height, width = (198, 278) if is_fizyr else (192, 270)
    if name != "detectron2_r50":  # which clips after suppression
        limit = (width - 1, height - 1) if is_fizyr else (width, height)
        boxes = np.clip(boxes, 0, np.array([*limit, *limit], np.float32))
    settings = FilterConfig(max_detections=100 if name == "detectron2_r50" else 300)
    level_sizes = [int(height * width * 9) for height, width in reference["level_shapes"]]
    found = filter_detections(
        boxes, case.answers["logits"], level_sizes=None if is_fizyr else level_sizes, from_logits=True,
        max_detections=settings.max_detections, top_k=None if is_fizyr else 1000,
    )  # fmt: skip
    count = int(found["num_detections"][0])
    assert count == len(reference["det_labels"])
    np.testing.assert_array_equal(np.asarray(found["labels"])[0, :count], reference["det_labels"])
    np.testing.assert_allclose(np.asarray(found["scores"])[0, :count], reference["det_scores"], atol=2e-4)
    scale = reference["scale"] if is_fizyr else np.array([270 / 211, 192 / 150] * 2)
    original = np.asarray(found["boxes"])[0, :count] / scale
    if name == "detectron2_r50":
        original = np.clip(original, 0, [211, 150, 211, 150])
    np.testing.assert_allclose(original, reference["det_boxes"], atol=2e-2)
