from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras import ops

from keras_retinanet.assigners import AssignerInputs, assign
from keras_retinanet.assigners.task_aligned import _largest_of_many, _power, assign_image
from keras_retinanet.config import AnchorConfig, AssignerConfig, NetworkConfig
from keras_retinanet.geometry.configured_anchors import image_anchors

ANCHORS = np.array([[0, 0, 8, 8], [8, 0, 16, 8], [16, 0, 24, 8], [24, 0, 32, 8]], np.float32)
"""Centres at x 4, 12, 20, 28 and y 4."""


def logit(*scores: float) -> np.ndarray:
    p = np.array(scores)
    return np.log(p / (1 - p)).astype(np.float32)


def run(boxes: Any, predicted: Any, scores: Any, labels: Any = None, ignore: Any = None, **constants: Any) -> Any:
    boxes = np.asarray(boxes, np.float32)
    labels = np.zeros(len(boxes), np.int32) if labels is None else np.asarray(labels, np.int32)
    ignore = np.zeros(len(boxes), bool) if ignore is None else np.asarray(ignore, bool)
    logits = logit(*scores).reshape(1, len(predicted), -1)
    size = np.array([32, 32], np.float32)
    predicted = np.asarray(predicted, np.float32)
    found = assign_image(ANCHORS, boxes, labels, ignore, size, predicted, 0, logits, **constants)
    return tuple(np.asarray(part) for part in found)


def test_worked_by_hand() -> None:
    """One box 0 … 16 × 0 … 8, k = 1: the second anchor has the better box, the first the better product.

    IoUs 0.5 and 0.75; with α 1 and β 1, t = 0.9 · 0.5 = 0.45 and 0.4 · 0.75 = 0.3. The quality of the only object is
    its IoU, whatever t.
    """
    predicted = [[0, 0, 8, 8], [0, 0, 12, 8], [0, 0, 16, 8], [0, 0, 16, 8]]
    labels, index, quality = run(
        [[0, 0, 16, 8]], predicted, [0.9, 0.4, 0.99, 0.99], aligned_top_k=1, alignment_beta=1.0
    )
    assert labels.tolist() == [1, 0, 0, 0]
    assert index[0] == 0
    np.testing.assert_allclose(quality, [0.5, 0, 0, 0], atol=1e-6)


def test_quality_is_scaled_to_the_largest_iou_of_the_box() -> None:
    """Both anchors: t = 0.9 · 0.5² = 0.225 and 0.4 · 0.75² = 0.225 · 1; times 0.75 / 0.225."""
    predicted = [[0, 0, 8, 8], [0, 0, 12, 8], [0, 0, 1, 1], [0, 0, 1, 1]]
    labels, _, quality = run([[0, 0, 16, 8]], predicted, [0.9, 0.2, 0.5, 0.5], alignment_beta=2.0)
    assert labels.tolist() == [1, 1, 0, 0]
    np.testing.assert_allclose(quality[:2], [0.75, 0.2 * 0.75**2 * 0.75 / 0.225], rtol=1e-5)


def test_only_anchors_inside_the_box_are_ranked() -> None:
    """The two with perfect boxes have their centres outside, and take no place of the one that has it inside."""
    predicted = [[0, 0, 4, 8], [0, 0, 8, 8], [0, 0, 8, 8], [0, 0, 8, 8]]
    labels, _, quality = run([[0, 0, 8, 8]], predicted, [0.01, 0.99, 0.99, 0.99], aligned_top_k=2)
    assert labels.tolist() == [1, 0, 0, 0]
    np.testing.assert_allclose(quality[0], 0.5, rtol=1e-3)  # t is 0.01 / 64, and 1e-7 is added to it


def test_an_anchor_of_two_boxes_goes_to_the_larger_iou() -> None:
    predicted = [[0, 0, 16, 8], [0, 0, 14, 8], [0, 0, 1, 1], [0, 0, 1, 1]]
    labels, index, _ = run([[0, 0, 16, 8], [0, 0, 14, 8]], predicted, [0.5, 0.5, 0.5, 0.5])
    assert labels.tolist() == [1, 1, 0, 0]
    assert index[:2].tolist() == [0, 1]


def test_the_score_is_that_of_the_class_of_the_box() -> None:
    predicted = [[0, 0, 16, 8]] * 4
    scores = [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.5, 0.5]]
    for label, best in ((0, 0), (1, 1)):
        labels, _, _ = run([[0, 0, 16, 8]], predicted, np.ravel(scores), [label], aligned_top_k=1)
        assert np.flatnonzero(labels).tolist() == [best]


def test_padding_takes_no_anchor_and_regions_are_ignored() -> None:
    boxes = [[0, 0, 8, 8], [16, 0, 24, 8], [8, 0, 16, 8]]
    labels, index, quality = run(boxes, ANCHORS, [0.5] * 4, [0, 0, -1], [False, True, False])
    assert labels.tolist() == [1, 0, -1, 0]
    assert index[0] == 0
    np.testing.assert_allclose(quality, [1, 0, 0, 0], atol=1e-4)


def test_a_score_of_zero_makes_no_object_and_extremes_stay_finite() -> None:
    sizes, image = np.array([32, 32], np.float32), 0
    for dtype in ("float32", "float16", "bfloat16"):
        logits = ops.cast(np.array([[[-6e4], [6e4], [0], [0]]], np.float32), dtype)
        found = assign_image(
            ANCHORS, ANCHORS[:2], np.zeros(2, np.int32), np.zeros(2, bool), sizes, ANCHORS, image, logits
        )
        labels, _, quality = (np.asarray(part) for part in found)
        assert labels.tolist() == [0, 1, 0, 0]
        np.testing.assert_allclose(quality, [0, 1, 0, 0], atol=1e-6)


def test_as_mmdetection(mmdetection: Any) -> None:
    anchors, boxes, labels, predicted, logits = mmdetection["aligned_problem"]()
    size = np.array([64, 64], np.float32)
    state, index, quality = assign_image(
        anchors, boxes, labels, np.zeros(3, bool), size, predicted, 0, logits[None], aligned_top_k=4
    )
    box = np.where(np.asarray(state) == 1, np.asarray(index), -1)
    assert box.tolist() == mmdetection["aligned"]["box"]
    np.testing.assert_allclose(quality, mmdetection["aligned"]["quality"], atol=1e-5)


@pytest.mark.parametrize(
    ("per_cell", "side", "count"),
    [
        pytest.param(1, 64, 1000, marks=pytest.mark.slow),
        pytest.param(9, 64, 1000, marks=pytest.mark.slow),
        (9, 32, 200),
    ],
)
def test_a_batch_equals_its_images_and_takes_many_boxes(per_cell: int, side: int, count: int) -> None:
    """More boxes than anchors where the image is small or a cell has one: 80 or 180; else 720."""
    scales, ratios = ((1.0,), (1.0,)) if per_cell == 1 else ((1.0, 1.3, 1.6), (0.5, 1.0, 2.0))
    config = AnchorConfig((16.0, 32.0), (8, 16), ratios, scales)
    levels, rng = image_anchors(NetworkConfig(anchors=config), side, side), np.random.default_rng(0)
    anchors = np.concatenate([np.asarray(level) for level in levels])
    corners = rng.uniform(0, side - 14, (2, count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(4, 14, corners.shape)], -1).astype(np.float32)
    labels = rng.integers(-1, 2, (2, count)).astype(np.int32)
    predicted = (anchors + rng.normal(0, 2, (2, *anchors.shape))).astype(np.float32)
    logits = rng.normal(-1, 1, (2, len(anchors), 2)).astype(np.float32)
    ignore, sizes = np.zeros((2, count), "int32"), np.array([[side, side], [0.625 * side, side]], np.float32)
    inputs = AssignerInputs(levels, (per_cell,) * 2, boxes, labels, ignore, sizes, predicted, logits)
    found = assign(AssignerConfig(assigner="task_aligned", aligned_top_k=5), inputs)
    assert (np.asarray(found.anchor_labels) == 1).sum() > 20
    for image in range(2):
        one = assign_image(
            anchors, boxes[image], labels[image], ignore[image] > 0, sizes[image], predicted[image], image, logits,
            aligned_top_k=5,
        )  # fmt: skip
        for batch, alone in zip(found, one, strict=True):
            np.testing.assert_allclose(np.asarray(batch)[image], np.asarray(alone), atol=1e-6)


def test_no_box_in_the_batch() -> None:
    nothing = (np.zeros((1, 0, 4), "float32"), np.zeros((1, 0), "int32"), np.zeros((1, 0), "int32"))
    sizes = np.array([[32, 32]], np.float32)
    inputs = AssignerInputs((ANCHORS,), (1,), *nothing, sizes, ANCHORS[None], np.zeros((1, 4, 1), "float32"))
    found = assign(AssignerConfig(assigner="task_aligned"), inputs)
    assert np.asarray(found.anchor_labels).tolist() == [[0, 0, 0, 0]]
    assert np.asarray(found.quality).tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize("size", [3, 128, 700])
def test_the_largest_of_many_are_those_of_a_sort(size: int) -> None:
    values = np.random.default_rng(size).integers(0, 40, size).astype(np.float32)  # with equals
    found, places = _largest_of_many(values, 7)
    wanted = np.argsort(-values, kind="stable")[:7]
    np.testing.assert_array_equal(places, wanted)
    np.testing.assert_array_equal(found, values[wanted])


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0, 3.0, 6.0, 7.0, 9.5])
def test_powers(exponent: float) -> None:
    values = np.array([0.0, 0.1, 0.7, 1.0], np.float32)
    np.testing.assert_allclose(_power(values, exponent), values**exponent, rtol=1e-5)
