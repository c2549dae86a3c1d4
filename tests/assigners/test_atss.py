from __future__ import annotations

import math
from typing import Any

import numpy as np

from keras_retinanet.assigners import AssignerInputs, assign
from keras_retinanet.assigners.atss import assign_image
from keras_retinanet.config import AnchorConfig, AssignerConfig, NetworkConfig
from keras_retinanet.geometry.configured_anchors import image_anchors


def grid(side: float, stride: int, cells: int) -> np.ndarray:
    """Square anchors of a `cells × cells` map, `(cells², 4)`, one per cell."""
    centres = (np.arange(cells) + 0.5) * stride
    x, y = (part.reshape(-1) for part in np.meshgrid(centres, centres))
    return np.stack([x - side / 2, y - side / 2, x + side / 2, y + side / 2], axis=1).astype(np.float32)


LEVELS = (grid(8, 8, 4), grid(16, 16, 2))
"""16 anchors of 8 px on a 32 × 32 image, and 4 of 16 px."""
SIZE = np.array([32, 32], np.float32)


def run(boxes: Any, labels: Any = None, ignore: Any = None, size: np.ndarray = SIZE, k: int = 4, levels: Any = LEVELS):
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    labels = np.zeros(len(boxes), np.int32) if labels is None else np.asarray(labels, np.int32)
    ignore = np.zeros(len(boxes), bool) if ignore is None else np.asarray(ignore, bool)
    cells = (1,) * len(levels)
    anchor_labels, index = assign_image(levels, boxes, labels, ignore, size, anchors_per_cell=cells, nearest_cells=k)
    return np.asarray(anchor_labels), np.asarray(index)


def test_worked_by_hand() -> None:
    """The box covers the upper left anchor of 16 px (16) and the four of 8 px in it (0, 1, 4, 5).

    Candidates, the 4 nearest of each level: those four with IoU 64/256 = 0.25, and all of 16 px with 1, 0, 0, 0. The
    mean is 2/8 = 0.25, the squared deviations sum to 0.75² + 3 · 0.25² = 0.75, over 7 that is 0.327² : threshold
    0.577. Only anchor 16 reaches it.
    """
    anchor_labels, index = run([[0, 0, 16, 16]])
    assert np.flatnonzero(anchor_labels == 1).tolist() == [16]
    assert index[16] == 0
    assert np.all(np.delete(anchor_labels, 16) == 0)


def test_the_standard_deviation_is_that_of_a_sample() -> None:
    """One level and two candidates of IoU 1 and 1/3: mean 2/3, deviation over n - 1 = 0.4714, threshold 1.138: none.

    Over n the deviation would be 1/3 and the threshold exactly 1.
    """
    level = np.array([[0, 0, 8, 8], [4, 0, 12, 8]], np.float32)
    anchor_labels, _ = run([[0, 0, 8, 8]], k=2, levels=(level,))
    assert math.isclose(2 / 3 + math.sqrt(2 * (1 / 3) ** 2), 1.1381, abs_tol=1e-4)
    assert anchor_labels.tolist() == [0, 0]


def test_a_candidate_must_have_its_centre_in_the_box() -> None:
    """The box 5 … 7 has no centre inside (they have x 4, 8, 12 …), although two candidates reach the threshold.

    Candidates: two of 8 px with IoU 16/108, two of 16 px with 30/286, four zeros: threshold 0.063 + 0.070 < 0.148.
    """
    anchor_labels, _ = run([[5, 1, 7, 31]])
    assert not (anchor_labels == 1).any()
    inside, _ = run([[3, 0, 5, 8]])  # the centre (4, 4) of anchor 0 lies inside: IoU 16/64 against seven times less
    assert np.flatnonzero(inside == 1).tolist() == [0]


def test_only_the_nearest_cells_are_candidates() -> None:
    """With k = 1 the candidates are anchor 0 (IoU 0.64) and 16 (IoU 0.16): mean 0.4, deviation 0.339, threshold 0.739.

    With k = 4 the others add zeros and little overlaps: the threshold falls and anchor 0 is an object.
    """
    box = [[0.8, 0.8, 7.2, 7.2]]
    assert not (run(box, k=1)[0] == 1).any()
    assert np.flatnonzero(run(box, k=4)[0] == 1).tolist() == [0]


def test_an_anchor_that_two_boxes_choose_learns_the_better_one() -> None:
    anchor_labels, index = run([[0, 0, 16, 13], [0, 0, 16, 16], [0, 0, 16, 16]])
    assert anchor_labels[16] == 1
    assert index[16] == 1  # of the equal boxes 1 and 2 the first


def test_padding_crowds_and_the_outside_of_the_image() -> None:
    boxes = [[0, 0, 16, 16], [16, 16, 32, 32], [0, 0, 16, 16]]
    anchor_labels, index = run(
        boxes, labels=[0, 1, -1], ignore=[False, True, False], size=np.array([32, 24], np.float32)
    )
    assert np.flatnonzero(anchor_labels == 1).tolist() == [16]
    assert index[16] == 0
    # in the crowd: 8 px anchors 10, 11, 14, 15 and the 16 px anchor 19; outside (centre x ≥ 24): 3, 7, 11, 15, 17, 19
    assert np.flatnonzero(anchor_labels == -1).tolist() == [3, 7, 10, 11, 14, 15, 17, 19]


def test_padding_alone_is_background() -> None:
    anchor_labels, index = run([[0, 0, 0, 0], [0, 0, 0, 0]], labels=[-1, -1])
    assert not anchor_labels.any()
    assert not index.any()


def like_the_published_code(levels: list[np.ndarray], per_cell: int, boxes: np.ndarray, k: int) -> np.ndarray:
    """`prepare_targets` of the authors' ATSS in NumPy: `(A,)` index of the box, -1 for background."""
    anchors = np.concatenate(levels).astype(np.float64)
    centre = (anchors[:, :2] + anchors[:, 2:]) / 2
    low = np.maximum(anchors[:, None, :2], boxes[None, :, :2])
    high = np.minimum(anchors[:, None, 2:], boxes[None, :, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=-1)
    areas = [np.prod(part[:, 2:] - part[:, :2], axis=1) for part in (anchors, boxes)]
    overlaps = common / (areas[0][:, None] + areas[1][None] - common)
    best, chosen = np.full(len(anchors), -np.inf), np.full(len(anchors), -1)
    for n, box in enumerate(boxes):
        distance = np.hypot(*(centre - (box[:2] + box[2:]) / 2).T).round(3)
        start, candidates = 0, []
        for level in levels:
            order = np.argsort(distance[start : start + len(level)], kind="stable")
            candidates += (start + order[: k * per_cell]).tolist()
            start += len(level)
        values = overlaps[candidates, n]
        threshold = values.mean() + values.std(ddof=1)
        for anchor in candidates:
            inside = min(*(centre[anchor] - box[:2]), *(box[2:] - centre[anchor])) > 0.01
            if overlaps[anchor, n] >= threshold and inside and overlaps[anchor, n] > best[anchor]:
                best[anchor], chosen[anchor] = overlaps[anchor, n], n
    return chosen


def test_a_batch_equals_the_published_algorithm() -> None:
    config = AnchorConfig((16.0, 32.0, 64.0), (8, 16, 32), (0.5, 1.0, 2.0), (1.0, 1.26))
    levels = image_anchors(NetworkConfig(anchors=config), 160, 224)
    rng = np.random.default_rng(8)
    corner, side = rng.uniform(0, 100, (2, 12, 2)), rng.uniform(8, 60, (2, 12, 2))
    boxes = np.concatenate([corner, corner + side], axis=-1).astype(np.float32)
    none = np.zeros((2, 12), np.int32)
    sizes = np.array([[160, 224]] * 2, np.float32)
    found = assign(AssignerConfig(assigner="atss"), AssignerInputs(levels, (6,) * 3, boxes, none, none, sizes))
    for image in range(2):
        expected = like_the_published_code([np.asarray(level) for level in levels], 6, boxes[image].astype(float), 9)
        got = np.where(np.asarray(found.anchor_labels)[image] == 1, np.asarray(found.matched_idxs)[image], -1)
        assert len(np.unique(expected)) > 10
        np.testing.assert_array_equal(got, expected)
