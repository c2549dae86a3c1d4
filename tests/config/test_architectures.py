from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from keras_retinanet.config import (
    ArchitectureName,
    AssignerConfig,
    FilterConfig,
    LossConfig,
    ModelConfig,
    NetworkConfig,
    TrainConfig,
)
from keras_retinanet.config.architectures import (
    ARCHITECTURES,
    default_network,
    inapplicable_changes,
    refuse_inapplicable,
    with_architecture,
    with_own_settings,
)
from keras_retinanet.config.rules import check
from keras_retinanet.config.tree import changed, flag_name, flattened, settings

_CONSTANTS = ("positive_iou", "negative_iou", "use_force_match", "forced_box")
SSD_MODEL = ("architecture", "weights", "weights_config", "prior")
SHAPE = (
    "min_side", "max_side", "is_square", "shape", "shape_mode", "pad_multiple", "rounding", "has_one_scale",
)  # fmt: skip
SSD = ModelConfig(architecture="ssd300_vgg16")


def test_names_of_the_flag_are_those_of_the_table() -> None:
    assert get_args(ArchitectureName) == tuple(ARCHITECTURES)
    assert ModelConfig().architecture == "retinanet"
    known = flattened(NetworkConfig())
    assert all(name in known for architecture in ARCHITECTURES.values() for name in architecture.defaults)


def test_a_retinanet_keeps_its_settings() -> None:
    assert default_network(ModelConfig()) == NetworkConfig()
    assert with_own_settings({"model.fpn_width": 64}, "retinanet") == {"model.fpn_width": 64}
    refuse_inapplicable(["model.fpn_width", "anchors.ratios"], "retinanet")
    with pytest.raises(ValueError, match="--default-box-sizes does not apply to --architecture retinanet"):
        refuse_inapplicable(["default_boxes.sizes"], "retinanet")


def test_what_nobody_set_is_filled_in() -> None:
    config = TrainConfig(model=SSD, loss=LossConfig("cross_entropy"), filter=FilterConfig(top_k=77))
    filled = with_architecture(config)
    assert filled.loss == LossConfig("cross_entropy", beta=1.0)
    assert (filled.filter.top_k, filled.filter.nms_threshold) == (77, 0.45)
    assert filled.resize.shape == (300, 300)
    assert with_architecture(filled) == filled
    other = with_architecture(dataclasses.replace(config, assigner=AssignerConfig(assigner="atss")))
    assert other.assigner == AssignerConfig(assigner="atss")
    kept = with_architecture(config, ["filter.nms_threshold"])
    assert kept.filter.nms_threshold == 0.5


FLAGS = {setting.name: flag_name(setting.name) for setting in settings(TrainConfig)}


def test_every_flag_applies_or_is_refused() -> None:
    """All flags of retinanet-train that an SSD refuses; the others apply to it."""
    parts = [name for name in FLAGS if name.startswith("model.") and name.partition(".")[2] not in SSD_MODEL]
    shape = [f"resize.{name}" for name in SHAPE]
    anchors = [name for name in FLAGS if name.startswith("anchors.")]
    refused = {*parts, *shape, *anchors, "loss.dfl_weight", "loss.quality_weight", "filter.quality_score"}
    for architecture in ("ssd300_vgg16", "ssd512_vgg16", "ssdlite320_mobilenet_v3_large"):
        assert {name for name in FLAGS if not ARCHITECTURES[architecture].applies(name)} == refused
    boxes = {name for name in FLAGS if name.startswith("default_boxes.")}
    assert {name for name in FLAGS if not ARCHITECTURES["retinanet"].applies(name)} == boxes
    assert len(parts) == 28
    assert len(anchors) == 10


@pytest.mark.parametrize("name", sorted(name for name in FLAGS if not ARCHITECTURES["ssd300_vgg16"].applies(name)))
def test_a_flag_without_effect_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{FLAGS[name]} does not apply to --architecture ssd300_vgg16"):
        refuse_inapplicable([name], "ssd300_vgg16")


@pytest.mark.parametrize("name", ["model.fpn_width", "anchors.ratios", "resize.min_side", "model.backbone"])
def test_what_does_not_apply_is_refused_by_its_flag(name: str) -> None:
    with pytest.raises(ValueError, match=r"--(fpn-width|anchor-ratios|image-min-side|backbone) does not apply to"):
        refuse_inapplicable([name], "ssd300_vgg16")
    refuse_inapplicable(["optimizer.learning_rate", "loss.classification", "model.weights", "seed"], "ssd300_vgg16")


def test_what_does_not_apply_is_refused_in_python() -> None:
    check(with_architecture(TrainConfig(model=dataclasses.replace(SSD, weights="none"))))
    wrong = changed(TrainConfig(model=SSD), {"model.fpn_width": 64, "anchors.ratios": (1.0,)})
    assert inapplicable_changes(wrong) == ["model.fpn_width", "anchors.ratios"]
    with pytest.raises(ValueError, match=r"--fpn-width does not apply to --architecture ssd300_vgg16\. Leave it out"):
        check(wrong)


def test_a_preset_keeps_what_applies() -> None:
    preset = {"model.fpn_width": 64, "resize.min_side": 256, "batch_size": 8, "assigner.positive_iou": 0.45}
    found = with_own_settings(preset, "ssd300_vgg16")
    assert found == {"batch_size": 8} | dict(ARCHITECTURES["ssd300_vgg16"].defaults)
    beside = with_own_settings({"batch_size": 8}, "ssd300_vgg16", {"assigner.assigner": "atss"})
    assert set(found) - set(beside) == {f"assigner.{name}" for name in _CONSTANTS}
