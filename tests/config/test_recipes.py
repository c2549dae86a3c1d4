"""What the recipes set, and what `modern` chooses for data sets of different kinds."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import pytest

from keras_retinanet.cli.train import build_parser
from keras_retinanet.config import RecipeName, TrainConfig
from keras_retinanet.config.recipes import CHOSEN_BY_DATA, DEFAULT_RECIPE, RECIPES, DataFacts, choose_by_data
from keras_retinanet.config.rules import check
from keras_retinanet.config.tree import changed

CELLS = DataFacts(images=205, boxes=3000, shorter_side=480, longer_side=640, small_box=35, has_accelerator=False)


def chosen(**facts: Any) -> dict[str, Any]:
    choices = choose_by_data(dataclasses.replace(CELLS, **facts))
    return {name: value for choice in choices for name, value in choice.values.items()}


def test_recipes_have_the_names_of_the_setting_and_make_valid_configurations() -> None:
    assert tuple(RECIPES) == get_args(RecipeName)
    assert DEFAULT_RECIPE == "modern"
    assert RECIPES["paper"] == {}
    for table in (*RECIPES.values(), chosen()):
        check(changed(TrainConfig(), {**table, "data.dataset": "coco"}))


def test_what_is_chosen_by_the_data_is_listed_for_the_help() -> None:
    anchors = {name for name in CHOSEN_BY_DATA if name.startswith("anchors.")}
    assert set(chosen()) | anchors == set(CHOSEN_BY_DATA)
    help_text = " ".join(build_parser().format_help().split())
    assert "(default: 2, or chosen by the recipe)" in help_text
    assert "One of paper, fizyr, modern. (default: modern)" in help_text


def test_fizyr_has_the_numbers_of_its_train_script() -> None:
    config = changed(TrainConfig(), RECIPES["fizyr"])
    assert (config.batch_size, config.epochs, config.steps) == (1, 50, 10_000)
    assert (config.optimizer.optimizer, config.optimizer.learning_rate) == ("adam", 1e-5)
    assert (config.model.box_coder, config.resize.method, config.resize.min_side) == ("corner", "cv2", 800)


def test_image_size_follows_the_small_boxes() -> None:
    """A tenth of the boxes are smaller than 35 px of the image: 26 px need a scale of .74, so 357 × 475 → 352 × 480."""
    assert (chosen()["resize.min_side"], chosen()["resize.max_side"]) == (352, 480)
    assert (chosen(small_box=200)["resize.min_side"], chosen(small_box=200)["resize.max_side"]) == (320, 416)  # × 0.65
    assert chosen(small_box=5)["resize.max_side"] == 800  # the most on a CPU
    assert chosen(small_box=5, has_accelerator=True)["resize.max_side"] == 1056
    assert chosen(longer_side=100, shorter_side=100, small_box=4)["resize.max_side"] == 192  # at most twice the image


def test_epochs_see_the_same_number_of_pixels_whatever_the_data_set() -> None:
    """On a CPU 12,000 images of 320 × 416 or smaller, fewer of larger ones, 4,000 at least."""
    assert chosen(small_box=200)["epochs"] == round(12_000 / 205) == 59
    assert chosen(small_box=200)["evaluate_every"] == 3
    assert chosen()["epochs"] == round(12_000 * (320 * 416) / (352 * 480) / 205) == 46
    assert chosen(small_box=5)["epochs"] == round(4_000 / 205)
    assert chosen(images=3)["epochs"] == 300
    assert (chosen(images=100_000)["epochs"], chosen(images=100_000)["evaluate_every"]) == (2, 1)
    assert chosen(images=100_000, has_accelerator=True)["epochs"] == 12


def test_augmentation_weakens_where_images_are_many() -> None:
    small = chosen()
    assert (small["data.augment"], small["data.close_mosaic"]) == ("mosaic", 7)
    assert chosen(images=4000)["data.augment"] == "flip"
    assert chosen(images=6000, has_accelerator=True)["data.augment"] == "strong"


def test_the_optimizer_follows_the_initial_weights() -> None:
    names = ("learning_rate", "backbone_rate", "use_muon_in_backbone")
    assert tuple(chosen()[f"optimizer.{name}"] for name in names) == (2e-3, 0.3, False)
    assert tuple(chosen(is_pretrained=False)[f"optimizer.{name}"] for name in names) == (4e-3, 1.0, True)


def test_precision_is_what_the_machine_computes_fastest() -> None:
    assert chosen()["mixed_precision"] == "none"
    assert chosen(half_precision="bfloat16")["mixed_precision"] == "bfloat16"


@pytest.mark.parametrize(
    "facts", [{"boxes": 0, "small_box": 0.0}, {"images": 1}, {"shorter_side": 1, "longer_side": 1}]
)
def test_odd_data_sets_get_a_valid_configuration(facts: dict[str, Any]) -> None:
    config = changed(TrainConfig(), chosen(**facts))
    check(config)
    assert config.epochs >= 2
