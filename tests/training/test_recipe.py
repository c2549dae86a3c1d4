"""A recipe fills what nobody set, once, and says why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keras_retinanet.assigners import assigner_constants
from keras_retinanet.cli.train import parse
from keras_retinanet.config import TrainConfig
from keras_retinanet.config.recipes import FIZYR, MODERN
from keras_retinanet.config.tree import changed, flattened
from keras_retinanet.losses import class_constants
from keras_retinanet.training.recipe import apply_recipe, chosen_names, find_excluded_choices, scale_last_epochs


def samples(side: float = 30.0) -> list[Any]:
    """Twenty images of 480 × 640, each with a square and a crowd region."""
    boxes = np.array([[100, 100, 100 + side, 100 + side], [0, 0, 5, 5]], np.float32)
    return [
        {"image": f"{k}.jpg", "boxes": boxes + k, "labels": np.array([0, 0]), "ignore": np.array([False, True]),
         "size": (480, 640)}
        for k in range(20)
    ]  # fmt: skip


def applied(values: dict[str, Any], side: float = 30.0) -> tuple[TrainConfig, list[str]]:
    config = changed(TrainConfig(), values)
    return apply_recipe(config, chosen_names(config), samples(side), ["cell"])


def test_paper_is_the_defaults_value_for_value() -> None:
    config, lines = applied({"recipe": "paper"})
    assert (config, lines) == (TrainConfig(), [])


def test_fizyr_fills_what_is_free() -> None:
    config, lines = applied({"recipe": "fizyr", "batch_size": 4})
    values = flattened(config)
    assert {name: values[name] for name in FIZYR} == {**FIZYR, "batch_size": 4}
    assert lines[0] == "recipe fizyr: 20 images, 20 boxes; 1 of its settings were set otherwise"
    assert "optimizer adam" in lines[1]


def test_modern_chooses_by_the_data_and_keeps_what_was_set() -> None:
    """Anchors start at 32 pixels; boxes have 15 at the chosen size, which the search finds."""
    config, lines = applied({"recipe": "modern", "optimizer.optimizer": "adam", "epochs": 7}, side=12.0)
    assert (config.optimizer.optimizer, config.epochs) == ("adam", 7)
    assert config.model.head_norm == MODERN["model.head_norm"]
    assert (config.evaluate_every, config.data.augment) == (1, "flip"), "seven epochs are too few to combine images"
    assert config.resize.max_side == 800
    assert min(config.anchors.sizes) < 20
    assert len(lines) <= 10
    assert any("the doctor's search: 100.0% of the boxes" in line for line in lines)
    given, _ = applied({"recipe": "modern", "anchors.sizes": (8.0, 16.0, 32.0, 64.0, 128.0)})
    assert given.anchors.sizes == (8.0, 16.0, 32.0, 64.0, 128.0)


def test_a_recipe_leaves_out_what_contradicts_a_flag() -> None:
    """Groups of a multiple of 32 channels; the anchors of three levels stay three, and GIoU and the rest are taken."""
    levels = {"model.max_level": 5, "anchors.sizes": (8.0, 16.0, 32.0), "anchors.strides": (8, 16, 32)}
    config, lines = applied({"recipe": "modern", "model.head_width": 40, **levels})
    assert (config.model.head_norm, config.model.head_width, config.loss.box) == ("none", 40, "giou")
    assert config.anchors.sizes == (8.0, 16.0, 32.0)
    assert "  not head_norm group, which other settings do not allow" in lines


@pytest.mark.parametrize(
    ("flags", "assigner", "loss", "line"),
    [
        ("", "task_aligned", "quality_focal", ""),
        ("--tal-top-k 9 --focal-gamma 1", "task_aligned", "quality_focal", ""),
        ("--assigner atss", "atss", "focal", "  not classification quality_focal: --assigner is set"),
        ("--assigner atss --loss quality_focal", "atss", "quality_focal", ""),
        ("--positive-iou 0.5", "iou_threshold", "focal", "  not assigner task_aligned: --positive-iou is set"),
        ("--focal-alpha 0.5", "task_aligned", "focal", "  not classification quality_focal: --focal-alpha is set"),
        ("--class-balance alpha_by_frequency", "task_aligned", "focal",
         "  not classification quality_focal: --class-balance is set"),
        ("--loss ohem --mining-nms 0.7", "task_aligned", "ohem", ""),
        ("--architecture ssd300_vgg16 --weights none", "iou_threshold", "focal", ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("data", ["coco somewhere", "demo somewhere"])
def test_the_assigner_and_loss_of_modern_agree_with_what_was_set(
    data: str, flags: str, assigner: str, loss: str, line: str
) -> None:
    command = parse([*data.split(), *flags.split()])
    config, lines = apply_recipe(command.config, command.chosen, samples(), ["cell"])
    assert (config.assigner.assigner, config.loss.classification) == (assigner, loss)
    assert assigner_constants(config.assigner) is not None
    assert class_constants(config.loss) is not None
    assert [text for text in lines if " is set" in text and "set otherwise" not in text][:1] == ([line] if line else [])


def test_a_recipe_without_an_assigner_excludes_nothing() -> None:
    assert find_excluded_choices(TrainConfig(), FIZYR, {"assigner.positive_iou", "loss.alpha"}) == {}
    assert find_excluded_choices(TrainConfig(), MODERN, {"assigner.aligned_top_k", "loss.gamma", "loss.beta"}) == {}


def test_modern_takes_a_data_set_without_boxes() -> None:
    empty = [{**sample, "ignore": np.array([True, True])} for sample in samples()]
    config = changed(TrainConfig(), {"recipe": "modern"})
    resolved, _ = apply_recipe(config, frozenset({"recipe"}), empty, ["cell"])
    assert resolved.anchors == TrainConfig().anchors


def test_last_epochs_follow_a_time_unless_they_were_set() -> None:
    """Four of 29 epochs become two of 12, and one of 3; what was set stays, up to the length of the run."""
    config = changed(TrainConfig(), {"data.close_mosaic": 4, "optimizer.swa_epochs": 5, "epochs": 12})
    free = scale_last_epochs(config, 29, ())
    assert (free.data.close_mosaic, free.optimizer.swa_epochs) == (2, 2)
    assert scale_last_epochs(changed(config, {"epochs": 3}), 29, ()).data.close_mosaic == 1
    kept = scale_last_epochs(changed(config, {"epochs": 3}), 29, ("data.close_mosaic",))
    assert (kept.data.close_mosaic, kept.optimizer.swa_epochs) == (3, 1)
    assert scale_last_epochs(TrainConfig(), 29, ()).data.close_mosaic == 0


def test_flags_presets_and_files_win_over_a_recipe(tmp_path: Any) -> None:
    (tmp_path / "images").mkdir()
    words = ["demo", str(tmp_path / "scenes"), "--recipe", "modern", "--batch-size", "3"]
    command = parse(words)
    assert command.config.recipe == "modern"
    assert {"batch_size", "resize.min_side", "optimizer.optimizer"} <= command.chosen  # a flag, and demo's own
    assert "model.head_norm_epsilon" not in command.chosen
    resolved, _ = apply_recipe(command.config, command.chosen, samples(), ["cell"])
    assert (resolved.batch_size, resolved.resize.min_side, resolved.optimizer.learning_rate) == (3, 256, 8e-3)
    assert resolved.optimizer.ema_decay == MODERN["optimizer.ema_decay"]


def test_a_whole_configuration_leaves_nothing_to_a_recipe(tmp_path: Any) -> None:
    from keras_retinanet.snapshots.run_folder import Run

    run = Run(tmp_path)
    run.write_config(changed(TrainConfig(), {"recipe": "modern", "epochs": 5}))
    command = parse(["demo", str(tmp_path / "scenes"), "--config", str(run.config)])
    assert apply_recipe(command.config, command.chosen, samples(), ["cell"])[0] == command.config
    assert command.config.epochs == 5


def test_a_run_has_a_time_or_a_number_of_epochs(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["demo", str(tmp_path / "scenes"), "--time", "30m", "--epochs", "3"])
    assert "--epochs and --time both say how long to train" in capsys.readouterr().err
    assert parse(["demo", str(tmp_path / "scenes"), "--time", "30m"]).config.time == "30m"


@pytest.mark.parametrize("flag", ["--recipe", "--time"])
def test_a_resumed_run_keeps_its_recipe_and_its_time(flag: str, tmp_path: Any) -> None:
    from keras_retinanet.snapshots.run_folder import Run

    run = Run(tmp_path)
    run.write_config(changed(TrainConfig(), {"data.path": str(tmp_path)}))
    run.last.write_bytes(b"")
    with pytest.raises(SystemExit):
        parse(["--resume", str(tmp_path), flag, "modern" if flag == "--recipe" else "30m"])
