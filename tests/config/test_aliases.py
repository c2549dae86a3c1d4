from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from keras_retinanet.config import AssignerConfig, TrainConfig, to_dict
from keras_retinanet.config.aliases import SETTINGS, current_name, with_current_arguments, with_current_names
from keras_retinanet.config.tree import flattened
from keras_retinanet.snapshots.run_folder import read_config


def test_names_of_groups_and_of_their_settings() -> None:
    assert current_name("matching") == "assigner"
    assert current_name("matching.positive_iou") == "assigner.positive_iou"
    assert current_name("anchors.sizes") == "anchors.sizes"
    assert current_name("matchings.positive_iou") == "matchings.positive_iou"


@pytest.mark.parametrize(("before", "now"), SETTINGS.items())
def test_every_alias_leads_to_a_setting(before: str, now: str) -> None:
    names = flattened(TrainConfig())
    assert any(name == now or name.startswith(f"{now}.") for name in names)
    assert not any(name == before or name.startswith(f"{before}.") for name in names)


def test_a_configuration_of_before_is_read(tmp_path: Path) -> None:
    plain = to_dict(TrainConfig(assigner=AssignerConfig(0.6, 0.3, True)))
    plain["matching"] = {name: plain["assigner"][name] for name in ("positive_iou", "negative_iou", "use_force_match")}
    del plain["assigner"], plain["loss"]["background_weight"]
    plain["loss"] |= {"classification": "cross_entropy", "alpha": 0.25, "gamma": 2.0}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(plain, allow_unicode=True))
    notes: list[str] = []
    config = read_config(path, notes.append)
    assert notes == [f"{path}: matching is an earlier name of assigner."]
    assert config.assigner == AssignerConfig(0.6, 0.3, True)
    assert (config.loss.alpha, config.loss.gamma) == (None, None)  # cross entropy never used them


def test_a_setting_under_both_its_names_is_refused() -> None:
    with pytest.raises(ValueError, match="matching is an earlier name of assigner"):
        with_current_names({"assigner": {}, "matching": {}})


def test_constants_that_a_loss_has_stay() -> None:
    loss = {"classification": "balanced_cross_entropy", "alpha": 0.3, "gamma": 1.0}
    assert with_current_arguments({"loss": loss}) == {
        "loss_config": {"classification": "balanced_cross_entropy", "alpha": 0.3, "gamma": None}
    }
    focal = {"classification": "focal", "alpha": 0.3, "gamma": 1.0}
    assert with_current_names({"loss": focal}) == {"loss": focal}
