from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keras_retinanet.losses import ClassTargets
from keras_retinanet.losses.mining import hard_examples, hard_negatives, keep_anchors

LOSSES = np.array([[5, 4, 3, 2, 1, 9]], np.float32)
LABELS = np.array([[0, 1, 0, 0, 1, -1]], np.int32)
ANCHORS = np.array(
    [[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [21, 0, 31, 10], [40, 0, 50, 10], [60, 0, 70, 10]], np.float32
)
"""The first two, and the next two, overlap with an IoU of 9/11 = 0.818; the last anchor is ignored."""


def mine(losses: np.ndarray = LOSSES, labels: np.ndarray = LABELS, **changes: Any) -> list[list[int]]:
    constants = {"mined_examples": 3, "mining_nms": 0.5, "negative_ratio": 0.0, "mining_scope": "image", **changes}
    targets = ClassTargets(np.zeros_like(labels), labels, None, ANCHORS)
    return np.asarray(hard_examples(losses, targets, **constants)).astype(int).tolist()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [1, 0, 1, 0, 1, 0]),  # 5, then 3 and 1: 4 and 2 overlap an anchor of larger loss
        ({"mining_nms": 1.0, "mined_examples": 4}, [1, 1, 1, 1, 0, 0]),
        # Two objects and background anchors up to six, of which there are two: these suppress their own kind only.
        ({"mined_examples": 8, "negative_ratio": 3.0}, [1, 1, 1, 0, 1, 0]),
    ],
)
def test_examples_worked_by_hand(changes: dict[str, Any], expected: list[int]) -> None:
    assert mine(**changes) == [expected]


def test_the_ratio_is_that_to_the_objects_found() -> None:
    """Up to 2 objects and 2 background anchors: an image of one object has one each, one without objects none."""
    losses = np.repeat(LOSSES, 3, axis=0)
    labels = np.array([[0, 1, 0, 0, 0, -1], [0, 0, 0, 0, 0, 0], [1, 0, 1, 0, 1, 0]], np.int32)
    found = mine(losses, labels, mined_examples=4, negative_ratio=1.0)
    assert found == [[1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 1]]


def test_a_batch_is_mined_as_one_but_suppresses_within_images() -> None:
    losses = np.stack([LOSSES[0], LOSSES[0] + 0.5])
    labels = np.repeat(LABELS, 2, axis=0)
    found = mine(losses, labels, mined_examples=3, mining_scope="batch")
    assert found == [[1, 0, 0, 0, 0, 0], [1, 0, 1, 0, 0, 0]]  # 5.5, 5, 3.5


def test_hard_negatives_worked_by_hand() -> None:
    """Two objects: the two background anchors of largest loss per object, of three; an image without objects none."""
    losses, labels = np.repeat(LOSSES, 2, axis=0), np.array([[0, 1, 0, 0, 1, -1], [0, 0, 0, -1, 0, 0]], np.int32)
    found = [np.asarray(hard_negatives(losses, labels, ratio)).astype(int).tolist() for ratio in (0.5, 1.0, 3.0)]
    assert found[0] == [[1, 1, 0, 0, 1, 0], [0] * 6]
    assert found[1] == [[1, 1, 1, 0, 1, 0], [0] * 6]
    assert found[2] == [[1, 1, 1, 1, 1, 0], [0] * 6]


def test_equal_losses_are_not_all_taken() -> None:
    labels = np.array([[1, 0, 0, 0, 0]], np.int32)
    found = np.asarray(hard_negatives(np.zeros((1, 5), np.float32), labels, 3.0)).astype(int)
    assert found.sum() == 4
    assert found[0, 0] == 1


def test_other_anchors_are_ignored() -> None:
    targets = keep_anchors(ClassTargets(LABELS, LABELS), np.array([[True, True, False, False, False, True]]))
    assert np.asarray(targets.anchor_labels).tolist() == [[0, 1, -1, -1, -1, -1]]


def test_missing_anchors_are_named() -> None:
    with pytest.raises(ValueError, match=r"ClassTargets\.anchors"):
        hard_examples(
            LOSSES,
            ClassTargets(LABELS, LABELS),
            mined_examples=3,
            mining_nms=0.5,
            negative_ratio=0.0,
            mining_scope="image",
        )
