"""Settings listed, changed and read back."""

import dataclasses
import pickle

import pytest

from keras_retinanet.config import (
    AnchorConfig,
    FilterConfig,
    ModelConfig,
    ResizeConfig,
    ServeConfig,
    TrainConfig,
    to_dict,
)
from keras_retinanet.config.tree import changed, descriptions, flattened, from_dict, settings


def test_every_setting_is_described() -> None:
    missing = [setting.name for setting in settings(TrainConfig) if not setting.description]
    assert missing == []


def test_every_described_attribute_exists() -> None:
    for config in (AnchorConfig, ModelConfig, TrainConfig, ServeConfig):
        assert set(descriptions(config)) == {field.name for field in dataclasses.fields(config)}


def test_types_come_from_the_annotations() -> None:
    found = {setting.name: setting for setting in settings(TrainConfig)}
    assert found["anchors.sizes"].is_tuple
    assert found["anchors.sizes"].scalar is float
    assert found["anchors.scales"].scalar is float
    assert found["steps"].scalar is int
    assert found["mixed_precision"].choices == ("none", "float16", "bfloat16")
    assert found["assigner.use_force_match"].is_flag
    assert not found["epochs"].is_tuple
    assert found["epochs"].choices is None


def test_changed_reaches_into_groups_and_leaves_the_original() -> None:
    config = TrainConfig()
    other = changed(config, {"anchors.sizes": (1.0,), "epochs": 3})
    assert (other.anchors.sizes, other.epochs) == ((1.0,), 3)
    assert config == TrainConfig()
    assert other.anchors.ratios == config.anchors.ratios


@pytest.mark.parametrize("name", ["anchors.size", "epoch", "epochs.x", "anchor.sizes"])
def test_changed_refuses_unknown_names(name: str) -> None:
    with pytest.raises(ValueError, match="Unknown setting"):
        changed(TrainConfig(), {name: 1})


def test_a_config_survives_its_plain_form() -> None:
    config = changed(TrainConfig(), {"anchors.scales": ((1.0, 1.5), (2.0, 3.0)), "steps": 7, "data.path": "x"})
    assert from_dict(TrainConfig, to_dict(config)) == config


def test_from_dict_takes_defaults_for_what_is_missing() -> None:
    assert from_dict(TrainConfig, {"model": {"fpn_width": 8}}) == changed(TrainConfig(), {"model.fpn_width": 8})


@pytest.mark.parametrize("plain", [{"epoch": 1}, {"model": {"width": 1}}, {"model": 3}, ["epochs"]])
def test_from_dict_refuses_what_it_does_not_know(plain: object) -> None:
    with pytest.raises(ValueError, match=r"Unknown setting|needs names"):
        from_dict(TrainConfig, plain)  # type: ignore[arg-type]


def test_flattened_names_every_setting_once() -> None:
    assert list(flattened(TrainConfig())) == [setting.name for setting in settings(TrainConfig)]


@pytest.mark.parametrize("config", [ResizeConfig, FilterConfig])
def test_pickles_from_before_the_classes_had_files_of_their_own_open(config: type) -> None:
    assert pickle.loads(f"ckeras_retinanet.config.network_settings\n{config.__name__}\n.".encode()) is config
