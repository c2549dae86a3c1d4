from __future__ import annotations

import numpy as np
import pytest

from keras_retinanet.assigners import AssignerInputs, assign
from keras_retinanet.assigners.iou_threshold import assign_image
from keras_retinanet.config import AssignerConfig

ANCHORS = np.array(
    [
        [0, 0, 10, 10],  # is box 0
        [0, 0, 10, 8],  # IoU 0.8 with box 0
        [0, 0, 10, 4.5],  # 0.45: ignored
        [0, 0, 10, 4],  # 0.4: background
        [50, 50, 60, 60],  # far from everything
        [92, 92, 112, 112],  # centre (102, 102) outside a 100 × 100 image
    ],
    np.float32,
)
SIZE = np.array([100, 100], np.float32)


def run(anchors, boxes, labels=None, ignore=None, size=SIZE, **arguments):
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    labels = np.zeros(len(boxes), np.int32) if labels is None else np.asarray(labels, np.int32)
    ignore = np.zeros(len(boxes), bool) if ignore is None else np.asarray(ignore, bool)
    anchor_labels, index = assign_image(anchors, boxes, labels, ignore, size, **arguments)
    return np.asarray(anchor_labels).tolist(), np.asarray(index).tolist()


def test_anchor_labels_worked_by_hand():
    anchor_labels, index = run(ANCHORS, [[0, 0, 10, 10]])
    assert anchor_labels == [1, 1, -1, 0, 0, -1]
    assert index[:2] == [0, 0]


def test_no_boxes_is_all_background():
    assert run(ANCHORS, [])[0] == [0, 0, 0, 0, 0, -1]


def test_padding_rows_match_nothing():
    assert run(ANCHORS, [[0, 0, 10, 10]] * 3, labels=[-1, -1, -1])[0] == [0, 0, 0, 0, 0, -1]


def test_the_first_of_equal_boxes_wins():
    anchor_labels, index = run(
        ANCHORS, [[50, 50, 60, 60], [0, 0, 10, 10], [0, 0, 10, 10], [50, 50, 60, 60], [0, 0, 10, 10]]
    )
    assert anchor_labels == [1, 1, -1, 0, 1, -1]
    assert index == [1, 1, 1, 1, 0, 0]


def test_own_thresholds():
    anchor_labels, _ = run(ANCHORS, [[0, 0, 10, 10]], positive_iou=0.8, negative_iou=0.39)
    assert anchor_labels == [1, 1, -1, -1, 0, -1]


def test_crowds_become_ignore_regions():
    # the crowd covers half of anchor 4 and all of anchors 0–3; anchor 0 keeps its own object
    anchor_labels, index = run(ANCHORS, [[0, 0, 60, 55], [0, 0, 10, 10]], ignore=[True, False])
    assert anchor_labels == [1, 1, -1, -1, -1, -1]
    assert index[0] == 1


def test_a_crowd_that_covers_less_than_half_is_background():
    assert run(ANCHORS, [[50, 50, 60, 54.9]], ignore=[True])[0] == [0, 0, 0, 0, 0, -1]


def test_a_centre_on_the_border_is_outside():
    """Centres at x or y = 16 of an image of 16 × 16 px are ignored, those at 15.5 are background."""
    anchors = np.array([[8, 0, 24, 16], [0, 8, 16, 24], [7, 0, 24, 16], [0, 7, 16, 24]], np.float32)
    assert run(anchors, [], size=np.array([16, 16], np.float32))[0] == [-1, -1, 0, 0]


def test_force_matching_takes_each_boxes_best_anchor():
    small = [51, 51, 53, 53]  # IoU 0.04 with anchor 4
    assert run(ANCHORS, [small])[0][4] == 0
    anchor_labels, index = run(ANCHORS, [[0, 0, 10, 10], small], use_force_match=True)
    assert anchor_labels == [1, 1, -1, 0, 1, -1]
    assert index[4] == 1


def test_a_forced_anchor_learns_the_box_it_was_forced_for_or_its_best():
    """Anchor 3 is the best of the boxes of 3 × 3 and 3 × 2 px; its own best is the first. The last of them owns it."""
    boxes = [[0, 0, 10, 10], [0, 0, 3, 3], [0, 0, 3, 2]]
    found = {rule: run(ANCHORS, boxes, use_force_match=True, forced_box=rule) for rule in ("best", "own")}
    assert found["best"][0] == found["own"][0] == [1, 1, -1, 1, 0, -1]
    assert (found["best"][1][3], found["own"][1][3]) == (0, 2)
    assert found["best"][1][:2] == found["own"][1][:2] == [0, 0]


def test_force_matching_needs_an_overlap():
    assert run(ANCHORS, [[70, 70, 80, 80]], use_force_match=True)[0] == [0, 0, 0, 0, 0, -1]


def test_batch_equals_one_by_one():
    rng = np.random.default_rng(3)
    corner, side = rng.uniform(0, 80, (3, 9, 2)), rng.uniform(4, 40, (3, 9, 2))
    boxes = np.concatenate([corner, corner + side], axis=-1).astype(np.float32)
    labels = rng.integers(-1, 4, (3, 9)).astype(np.int32)
    ignore = rng.uniform(size=(3, 9)) < 0.2
    corner, side = rng.uniform(0, 80, (500, 2)), rng.uniform(4, 40, (500, 2))
    anchors = np.concatenate([corner, corner + side], axis=-1).astype(np.float32)
    sizes = np.array([[100, 100], [60, 90], [100, 40]], np.float32)
    levels = (anchors[:400], anchors[400:])
    inputs = AssignerInputs(levels, (1, 1), boxes, labels, ignore, sizes)
    anchor_labels, index, _ = assign(AssignerConfig(use_force_match=True), inputs)
    for image in range(3):
        expected = assign_image(anchors, boxes[image], labels[image], ignore[image], sizes[image], use_force_match=True)
        np.testing.assert_array_equal(anchor_labels[image], expected[0])
        np.testing.assert_array_equal(index[image], expected[1])
    assert set(np.unique(anchor_labels)) == {-1, 0, 1}


def test_a_batch_without_any_box_is_background():
    empty = np.zeros((2, 0), np.int32)
    inputs = AssignerInputs((ANCHORS,), (1,), np.zeros((2, 0, 4), np.float32), empty, empty, np.stack([SIZE, SIZE]))
    anchor_labels, index, quality = assign(AssignerConfig(), inputs)
    assert np.asarray(anchor_labels).tolist() == [[0, 0, 0, 0, 0, -1]] * 2
    assert not np.asarray(index).any()
    assert quality is None


@pytest.mark.parametrize("image", range(4))
def test_equal_fizyr(shared, image):
    golden = np.load(shared("reference/fizyr_golden/targets_losses_golden.npz"))
    anchors = golden["anchors"].astype(np.float32)
    boxes, labels = golden[f"bboxes_{image}"].reshape(-1, 4), golden[f"labels_{image}"].astype(int)
    anchor_labels, index = run(anchors, boxes, labels, size=golden["image_shapes"][image][:2].astype(np.float32))
    expected = golden["labels_batch"][image]
    np.testing.assert_array_equal(anchor_labels, expected[:, -1])
    positive = np.array(anchor_labels) == 1
    if len(labels):
        own = labels[np.array(index)]
        np.testing.assert_array_equal(own[positive], expected[positive, :-1].argmax(axis=1))


def test_thousand_boxes_need_no_matrix():
    """A matrix of 200,700 × 1,000 floats would take 800 MB; the peak here is a few vectors."""
    import resource

    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 1200, (200_700, 2)).astype(np.float32)
    anchors = np.concatenate([corner, corner + 40], axis=-1)
    boxes = np.concatenate([corner[:1000], corner[:1000] + 40], axis=-1)[None]
    labels, ignore = np.zeros((1, 1000), np.int32), np.zeros((1, 1000), bool)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    inputs = AssignerInputs((anchors,), (1,), boxes, labels, ignore, np.array([[2000, 2000]], np.float32))
    anchor_labels, index, _ = assign(AssignerConfig(), inputs)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    np.testing.assert_array_equal(np.asarray(index)[0, :1000], np.arange(1000))
    np.testing.assert_array_equal(np.asarray(anchor_labels)[0, :1000], 1)
    assert grown < 300, f"{grown:.0f} MB"
