from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_retinanet.geometry import boxes

A = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10], [2, 2, 2, 2]], np.float32)
B = np.array([[5, 0, 15, 10], [20, 20, 30, 30], [0, 0, 10, 10], [2, 2, 2, 2]], np.float32)


def test_area_of_swapped_corners_is_zero():
    got = boxes.area(np.array([[1, 2, 4, 6], [4, 2, 1, 6], [3, 3, 3, 3]], np.float32))
    np.testing.assert_array_equal(got, [12, 0, 0])


def test_iou_worked_by_hand():
    np.testing.assert_allclose(boxes.iou(A, B), [50 / 150, 0, 1, 0], rtol=1e-6)


def test_iou_broadcasts_to_a_matrix():
    matrix = ops.convert_to_numpy(boxes.iou(A[:3, None], B[None]))
    assert matrix.shape == (3, 4)
    np.testing.assert_allclose(matrix[1], [1 / 3, 0, 1, 0], rtol=1e-6)


def test_giou_worked_by_hand():
    # second pair: hull 30 × 30, union 200 → 0 - 700 / 900
    np.testing.assert_allclose(boxes.giou(A, B)[:3], [1 / 3, -700 / 900, 1], rtol=1e-6)


def test_diou_worked_by_hand():
    # first pair: centres 5 apart, hull 15 × 10; second: (20, 20) apart, hull 30 × 30
    np.testing.assert_allclose(boxes.diou(A, B)[:3], [1 / 3 - 25 / 325, -800 / 1800, 1], rtol=1e-6)


def test_ciou_worked_by_hand():
    a, b = np.array([[0, 0, 10, 10]], np.float32), np.array([[0, 0, 20, 10]], np.float32)
    v = 4 / math.pi**2 * (math.atan(1) - math.atan(2)) ** 2
    diou = 0.5 - 25 / 500
    np.testing.assert_allclose(boxes.ciou(a, b), [diou - v / (0.5 + v) * v], rtol=1e-5)


def test_the_weight_in_ciou_carries_no_gradient():
    a, b = tf.constant([[0.0, 0.0, 4.0, 2.0]]), tf.constant([[1.0, 0.0, 3.0, 5.0]])

    def v(a):
        return 4 / np.pi**2 * (tf.atan((a[:, 2] - a[:, 0]) / (a[:, 3] - a[:, 1])) - np.arctan(2 / 5)) ** 2

    weight = float((boxes.diou(a, b) - boxes.ciou(a, b))[0] / v(a)[0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(a)
        values = {"ciou": boxes.ciou(a, b), "diou": boxes.diou(a, b), "v": v(a)}
    gradients = {name: tape.gradient(value, a).numpy() for name, value in values.items()}
    assert np.abs(gradients["v"]).min() > 0.01
    np.testing.assert_allclose(gradients["ciou"], gradients["diou"] - weight * gradients["v"], atol=1e-6)


@pytest.mark.parametrize("function", [boxes.iou, boxes.giou, boxes.diou, boxes.ciou])
def test_degenerate_boxes_give_finite_values(function):
    assert np.all(np.isfinite(function(A, B)))


def test_clip_to_height_and_width():
    got = boxes.clip(np.array([[-3.0, 4, 50, 60], [5, 6, 7, 8]], np.float32), 20.0, 30.0)
    np.testing.assert_array_equal(got, [[0, 4, 30, 20], [5, 6, 7, 8]])


def test_boxes_on_any_side_of_the_image_are_cut():
    got = boxes.clip(np.array([[-9.0, -8, -3, -2], [40, 50, 60, 70]], np.float32), 20.0, 30.0)
    np.testing.assert_array_equal(got, [[0, 0, 0, 0], [30, 20, 30, 20]])


@pytest.mark.parametrize("function", [boxes.iou, boxes.giou, boxes.diou, boxes.ciou])
def test_overlaps_do_not_depend_on_the_place(function):
    """Two boxes of unlike shape, moved together by (64, 128) px."""
    a, b = np.array([[0, 0, 8, 4]], np.float32), np.array([[4, 2, 8, 16]], np.float32)
    moved = np.array([64, 128, 64, 128], np.float32)
    np.testing.assert_allclose(function(a + moved, b + moved), function(a, b), rtol=1e-6)
    np.testing.assert_allclose(boxes.iou(a + moved, b + moved), [8 / (32 + 56 - 8)], rtol=1e-6)


def test_iou_equals_fizyr(shared):
    golden = np.load(shared("reference/fizyr_golden/targets_losses_golden.npz"))
    anchors, own = golden["anchors"].astype(np.float32), golden["bboxes_0"].astype(np.float32)
    np.testing.assert_allclose(boxes.iou(anchors[:, None], own[None]), golden["overlap_0"], rtol=1e-4, atol=1e-6)


def test_boxes_may_end_before_the_edge():
    layer = boxes.ClipBoxes.from_config(boxes.ClipBoxes(margin=1).get_config())
    found = layer(np.array([[[-3, 2, 50, 60]]], np.float32), np.array([[40, 30]], np.float32))
    np.testing.assert_array_equal(found, [[[0, 2, 29, 39]]])
