"""Tiles of painted pictures: what the merged answer must be is known to the pixel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from keras_retinanet.config import TileConfig
from keras_retinanet.detection.tiling import TileDetections, TiledRuntime, merge


@pytest.fixture
def detect(painted_runtime: Any) -> Callable[..., list[tuple[float, ...]]]:
    """Rows of box, score and label, in the order of the answer."""

    def run(image: Any, tiles: TileConfig) -> list[tuple[float, ...]]:
        (found,) = TiledRuntime(painted_runtime(), tiles).detect([image])
        return [
            (*box, round(float(score), 2), int(label))
            for box, score, label in zip(found["boxes"].tolist(), found["scores"], found["labels"], strict=True)
        ]

    return run


def test_objects_no_larger_than_the_overlap_are_found_once_and_whole(paint: Any, detect: Any) -> None:
    rng = np.random.default_rng(3)
    boxes = []
    for y in range(0, 390, 26):  # a grid of cells, so that no two meet
        for x in range(0, 490, 26):
            w, h = rng.integers(4, 25, 2)
            left, top = x + int(rng.integers(0, 26 - w)), y + int(rng.integers(0, 26 - h))
            boxes.append([left, top, left + int(w), top + int(h)])
    boxes = [boxes[k] for k in rng.permutation(len(boxes))[:200]]
    labels, scores = rng.integers(0, 3, 200).tolist(), rng.integers(30, 100, 200).tolist()
    found = detect(paint(400, 500, boxes, labels, scores), TileConfig(100, 0.25))
    expected = [(*map(float, box), score / 100, label) for box, score, label in zip(boxes, scores, labels, strict=True)]
    assert sorted(found) == sorted(expected)
    assert [row[4] for row in found] == sorted((row[4] for row in found), reverse=True)


def test_a_fragment_goes_even_where_it_is_surer_than_the_whole() -> None:
    # Tiles 0–100 and 75–175. The first shows 70–90 whole; the second cuts it at 75.
    tiles = np.array([[0, 0, 100, 100], [75, 0, 175, 100]])
    found: Any = [
        {"boxes": np.array([[70, 40, 90, 60]]), "scores": np.array([0.6]), "labels": np.array([1])},
        {"boxes": np.array([[0, 40, 15, 60]]), "scores": np.array([0.9]), "labels": np.array([1])},
    ]
    pieces = TileDetections.of(found, tiles, 100, 175)
    assert pieces.boxes.tolist() == [[70, 40, 90, 60], [75, 40, 90, 60]]
    assert pieces.is_cut.tolist() == [False, True]
    merged = merge(pieces, "per_class", 0.5)
    assert merged["boxes"].tolist() == [[70, 40, 90, 60]]
    assert merged["scores"].tolist() == pytest.approx([0.6])
    found[1]["labels"] = np.array([2])
    assert len(merge(TileDetections.of(found, tiles, 100, 175), "per_class", 0.5)["scores"]) == 2, "another class"
    assert len(merge(TileDetections.of(found, tiles, 100, 175), "agnostic", 0.5)["scores"]) == 1


def test_a_box_within_two_percent_of_an_inner_border_is_cut() -> None:
    """2 px of a tile of 100: ends at 99.5 and 98 are fragments, one at 97.5 is not."""
    tiles = np.array([[0, 0, 100, 100], [75, 0, 175, 100]])
    found: Any = [
        {"boxes": np.array([[60, 40, right, 60]]), "scores": np.array([0.5]), "labels": np.array([0])}
        for right in (99.5, 98, 97.5)
    ]
    nothing: Any = {"boxes": np.zeros((0, 4)), "scores": np.zeros(0), "labels": np.zeros(0, int)}
    assert [TileDetections.of([one, nothing], tiles, 100, 175).is_cut.tolist() for one in found] == [
        [True],
        [True],
        [False],
    ]


def test_a_fragment_that_no_other_tile_shows_stays() -> None:
    tiles = np.array([[0, 0, 100, 100], [75, 0, 175, 100]])
    nothing: Any = {"boxes": np.zeros((0, 4)), "scores": np.zeros(0), "labels": np.zeros(0, int)}
    fragment: Any = {"boxes": np.array([[90, 40, 100, 60]]), "scores": np.array([0.5]), "labels": np.array([0])}
    merged = merge(TileDetections.of([fragment, nothing], tiles, 100, 175), "per_class", 0.5)
    assert merged["boxes"].tolist() == [[90, 40, 100, 60]]


def test_the_border_of_the_image_cuts_nothing() -> None:
    tiles = np.array([[0, 0, 100, 50]])
    found: Any = [{"boxes": np.array([[0, 0, 100, 50]]), "scores": np.array([0.5]), "labels": np.array([0])}]
    assert TileDetections.of(found, tiles, 50, 100).is_cut.tolist() == [False]
    assert TileDetections.of(found, tiles, 50, 101).is_cut.tolist() == [True]


@pytest.mark.parametrize("has_whole_pass", [True, False])
def test_an_object_that_no_tile_shows_whole_becomes_one_box(paint: Any, detect: Any, has_whole_pass: bool) -> None:
    image = paint(300, 300, [[20, 110, 290, 140], [40, 30, 60, 50]], [0, 1], [80, 70])
    found = detect(image, TileConfig(100, 0.25, has_whole_pass))
    assert found == [(20, 110, 290, 140, 0.8, 0), (40, 30, 60, 50, 0.7, 1)]


def test_an_object_as_large_as_the_image_is_one_box(paint: Any, detect: Any) -> None:
    assert detect(paint(250, 250, [[5, 5, 245, 245]], [2], [90]), TileConfig(100, 0.25, False)) == [
        (5, 5, 245, 245, 0.9, 2)
    ]


def test_neighbours_of_one_class_stay_two(paint: Any, detect: Any) -> None:
    # They touch at 87, between the inner borders 75 and 100 of the two tiles.
    boxes = [[67, 40, 87, 60], [87, 40, 107, 60]]
    found = detect(paint(100, 175, boxes, [0, 0], [80, 70]), TileConfig(100, 0.25))
    assert found == [(67, 40, 87, 60, 0.8, 0), (87, 40, 107, 60, 0.7, 0)]


def test_without_suppression_only_what_two_tiles_show_is_one() -> None:
    tiles = np.array([[0, 0, 100, 100], [75, 0, 175, 100]])
    twice: Any = {"boxes": [[78, 40, 96, 60], [78, 40, 96, 61]], "scores": [0.9, 0.8], "labels": [0, 0]}
    again: Any = {"boxes": [[3, 40, 21, 60]], "scores": [0.7], "labels": [0]}
    merged = merge(TileDetections.of([twice, again], tiles, 100, 175), "none", 0.5)
    assert merged["boxes"].tolist() == [[78, 40, 96, 60], [78, 40, 96, 61]]


def test_the_whole_pass_gives_only_what_is_larger_than_the_overlap(
    paint: Any, detect: Any, painted_runtime: Any
) -> None:
    class Coarse(painted_runtime):
        """Sees everything in the whole image three pixels to the right."""

        def detect(self, images: Any) -> Any:
            found = super().detect(images)
            for image, entry in zip(images, found, strict=True):
                entry["boxes"] += 3.0 * (image.shape[1] > 100)
            return found

    image = paint(100, 300, [[30, 40, 55, 60], [150, 10, 280, 30]], [0, 1], [50, 90])
    (found,) = TiledRuntime(Coarse(), TileConfig(100, 0.25)).detect([image])
    assert found["boxes"].tolist() == [[153, 13, 283, 33], [30, 40, 55, 60]]


def test_tiles_go_to_the_runtime_in_batches_of_one_shape(paint: Any, painted_runtime: Any) -> None:
    inner = painted_runtime()
    TiledRuntime(inner, TileConfig(100, 0.25), batch_size=4).detect(
        [paint(100, 400, [], [], []), paint(90, 60, [], [], [])]
    )
    assert inner.batches == [[(100, 100)] * 4, [(100, 100)], [(100, 400)], [(90, 60)]]


@pytest.mark.parametrize(
    ("tiles", "said"), [(TileConfig(0), "at least 1 pixel, not 0"), (TileConfig(9, 1.0), "from 0 to 0.9, not 1.0")]
)
def test_impossible_tiles_are_refused(painted_runtime: Any, tiles: TileConfig, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TiledRuntime(painted_runtime(), tiles)
