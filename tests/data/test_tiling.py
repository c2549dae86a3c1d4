"""The grid of tiles, and what each tile shows of the boxes of its image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keras_retinanet.data.tiling import cut_boxes, cut_tiles


@pytest.mark.parametrize(
    ("height", "width", "size", "overlap", "lefts", "tops"),
    [
        (80, 100, 100, 0.25, [0], [0]),
        (100, 250, 100, 0.25, [0, 75, 150], [0]),
        (101, 200, 100, 0.0, [0, 100], [0, 1]),
        (100, 201, 100, 0.0, [0, 50, 101], [0]),
        (300, 90, 100, 0.5, [0], [0, 50, 100, 150, 200]),
    ],
)
def test_tiles_worked_by_hand(
    height: int, width: int, size: int, overlap: float, lefts: list[int], tops: list[int]
) -> None:
    expected = [[x, y, min(x + size, width), min(y + size, height)] for y in tops for x in lefts]
    assert cut_tiles(height, width, size, overlap).tolist() == expected


@pytest.mark.parametrize("side", [100, 101, 174, 175, 176, 999, 1249])
@pytest.mark.parametrize("overlap", [0, 0.2, 0.25, 0.33, 0.9])
def test_tiles_cover_the_image_with_the_overlap_that_was_asked_for(side: int, overlap: float) -> None:
    tiles = cut_tiles(100, side, 100, overlap)
    assert tiles[0, 0] == 0
    assert tiles[-1, 2] == side
    assert set(tiles[:, 2] - tiles[:, 0]) == {100}
    common = tiles[:-1, 2] - tiles[1:, 0]
    assert (common >= int(100 * overlap)).all()


def sample(boxes: Any, ignore: Any = None) -> Any:
    count = len(boxes)
    return {
        "image": "a.png",
        "image_id": 1,
        "boxes": np.array(boxes, np.float32).reshape(-1, 4),
        "labels": np.zeros(count, np.int32),
        "ignore": np.zeros(count, bool) if ignore is None else np.array(ignore),
    }


def test_boxes_of_two_tiles_worked_by_hand() -> None:
    """100 x 160 in tiles of 100 with 40 in common: 0 … 100 and 60 … 160."""
    tiles = cut_tiles(100, 160, 100, 0.4)
    assert tiles.tolist() == [[0, 0, 100, 100], [60, 0, 160, 100]]
    boxes = [
        [10, 10, 50, 20],  # the left tile only
        [70, 30, 95, 60],  # whole in both
        [50, 40, 110, 60],  # 50 of 60 columns in each
        [96, 5.5, 104, 9.5],  # half in the left tile, whole in the right
        [20, 80, 160, 90],  # 80 of 140 columns in the left, 100 in the right
        [100, 0, 120, 10],  # touches the left tile without an area
    ]
    left, right = cut_boxes(sample(boxes), tiles, 0.6)
    assert (left.tile, right.tile) == ((0, 0, 100, 100), (60, 0, 160, 100))
    assert left.rows.tolist() == [0, 1, 2, 3, 4]
    assert left.boxes.tolist() == [
        [10, 10, 50, 20],
        [70, 30, 95, 60],
        [50, 40, 100, 60],
        [96, 5.5, 100, 9.5],
        [20, 80, 100, 90],
    ]
    np.testing.assert_allclose(left.visible, [1, 1, 5 / 6, 0.5, 4 / 7])
    assert left.ignore.tolist() == [False, False, False, True, True]
    assert right.rows.tolist() == [1, 2, 3, 4, 5]
    assert right.boxes.tolist() == [
        [10, 30, 35, 60],
        [0, 40, 50, 60],
        [36, 5.5, 44, 9.5],
        [0, 80, 100, 90],
        [40, 0, 60, 10],
    ]
    np.testing.assert_allclose(right.visible, [1, 5 / 6, 1, 5 / 7, 1])
    assert right.ignore.tolist() == [False] * 5


def test_ignore_regions_stay_and_a_tile_without_others_is_empty() -> None:
    tiles = cut_tiles(10, 20, 10, 0)
    left, right = cut_boxes(sample([[0, 0, 20, 5], [12, 6, 14, 9]], [True, False]), tiles, 0.5)
    assert (left.ignore.tolist(), left.is_empty) == ([True], True)
    assert (right.ignore.tolist(), right.is_empty) == ([True, False], False)
    assert all(tile.is_empty for tile in cut_boxes(sample([]), tiles, 0.5))


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.6])
def test_the_boxes_of_all_tiles_moved_back_are_the_boxes_of_the_image(overlap: float) -> None:
    rng = np.random.default_rng(4)
    low = rng.integers(0, [730, 530], (200, 2))
    boxes = np.concatenate([low, low + rng.integers(1, 70, (200, 2))], axis=1)
    cut = cut_boxes(sample(boxes), cut_tiles(600, 800, 128, overlap), 0.5)
    found = np.tile([np.inf, np.inf, -np.inf, -np.inf], (200, 1))
    whole = set()
    for tile in cut:
        moved = tile.boxes + np.tile(tile.tile[:2], 2)
        found[tile.rows] = np.concatenate(
            [np.minimum(found[tile.rows, :2], moved[:, :2]), np.maximum(found[tile.rows, 2:], moved[:, 2:])], axis=1
        )
        for row, box, share in zip(tile.rows, moved, tile.visible, strict=True):
            assert (share == 1) == (box.tolist() == boxes[row].tolist())
            whole |= {row} if share == 1 else set()
    np.testing.assert_array_equal(found, boxes)  # joined, the pieces are the box
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    assert whole >= set(np.flatnonzero(sides <= int(128 * overlap)))  # what the overlap holds is whole in some tile
