"""The shapes of the training images inside a snapshot."""

from __future__ import annotations

import json

import numpy as np

from keras_retinanet.config import ResizeConfig
from keras_retinanet.snapshots.training_shapes import TrainingShape, find_shapes, with_shapes

RULE = ResizeConfig(256, 320, shape=(256, 320), shape_mode="fit")


def stored(resize: ResizeConfig = RULE) -> dict:
    """As read from a snapshot: JSON."""
    shapes = np.array([[256, 320, 205], [320, 256, 3]])
    return json.loads(json.dumps(with_shapes({"model": {"backbone": "resnet18"}}, resize, shapes)))


def test_written_and_found() -> None:
    assert stored()["model"] == {"backbone": "resnet18"}
    assert find_shapes(stored(), RULE) == [TrainingShape(256, 320, 205), TrainingShape(320, 256, 3)]


def test_another_rule_has_other_shapes() -> None:
    assert find_shapes(stored(), ResizeConfig(256, 320, shape=(256, 320), exif="ignore")) == []
    assert find_shapes(stored(ResizeConfig(256, 320)), ResizeConfig(256, 352)) == []


def test_without_shapes_none_are_found() -> None:
    assert find_shapes({"model": {}}, RULE) == []


def test_a_rule_written_before_a_setting_existed_is_the_rule_with_its_default() -> None:
    metadata = stored(ResizeConfig(256, 320))
    del metadata["training_shapes"]["resize"]["bit_depth"]
    assert len(find_shapes(metadata, ResizeConfig(256, 320))) == 2
    assert find_shapes(metadata, ResizeConfig(256, 320, bit_depth=12)) == []
