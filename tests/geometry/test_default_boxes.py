from __future__ import annotations

import json
import math

import numpy as np
import pytest

from keras_retinanet.geometry.default_boxes import DefaultBoxes, base_default_boxes

MAPS = {"a": np.zeros((1, 2, 3, 5), np.float32), "b": np.zeros((1, 1, 1, 7), np.float32)}
IMAGE = np.zeros((1, 16, 24, 3), np.float32)


def boxes_of(layer: DefaultBoxes) -> dict[str, np.ndarray]:
    return {name: np.array(level)[0] for name, level in layer(MAPS, IMAGE).items()}


def test_one_position_worked_by_hand() -> None:
    """Sizes 8 and 18: squares of 8 and √144 = 12; of ratio 4 a box of 16 × 4 and one of 4 × 16."""
    found = base_default_boxes(8, 18, [4], math.inf)
    np.testing.assert_allclose(found[:, 2:] - found[:, :2], [[8, 8], [12, 12], [16, 4], [4, 16]])
    np.testing.assert_allclose(found[:, :2], -found[:, 2:])
    cut = base_default_boxes(8, 18, [4], 10)
    np.testing.assert_allclose(cut[:, 2:] - cut[:, :2], [[8, 8], [10, 10], [10, 4], [4, 10]])


def test_positions_worked_by_hand() -> None:
    layer = DefaultBoxes([4, 9, 25], [[], [4]], [8, 30])
    assert layer.num_anchors == (2, 4)
    found = boxes_of(layer)
    assert found["a"].shape == (2 * 3 * 2, 4)
    np.testing.assert_allclose(found["a"][0], [2, 2, 6, 6])  # centre 4, 4 and side 4
    np.testing.assert_allclose(found["a"][2], [10, 2, 14, 6])  # the next column
    np.testing.assert_allclose(found["a"][-1], [20 - 3, 12 - 3, 20 + 3, 12 + 3])  # last row and column, √(4 · 9)
    np.testing.assert_allclose(found["b"][2], [15 - 9, 15 - 2.25, 15 + 9, 15 + 2.25])  # 9 · 2 × 9 / 2


def test_strides_of_the_maps_themselves() -> None:
    """Without strides: 24 px over 3 columns, 16 px over 2 rows, and the middle of the image."""
    found = boxes_of(DefaultBoxes([4, 9, 25], [[], []]))
    np.testing.assert_allclose(found["a"][0], [2, 2, 6, 6])
    np.testing.assert_allclose((found["b"][0, :2] + found["b"][0, 2:]) / 2, [12, 8])


def test_serialises_and_names_what_is_wrong() -> None:
    layer = DefaultBoxes([4, 9, 25], [[2], [2, 3]], [8, 30], 24, name="anchors")
    again = DefaultBoxes.from_config(json.loads(json.dumps(layer.get_config())))
    for name, boxes in boxes_of(layer).items():
        np.testing.assert_array_equal(boxes_of(again)[name], boxes)
    with pytest.raises(ValueError, match="2 maps need 3 sizes and 2 strides or none; received 2 sizes"):
        DefaultBoxes([4, 9], [[], []])
    with pytest.raises(ValueError, match="must be positive; received -3"):
        DefaultBoxes([4, 9], [[-3]])
