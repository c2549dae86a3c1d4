"""Samples that a user's own code hands over: what is wrong is named by sample and entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.pipeline import InferenceBatches, TrainingBatches
from keras_retinanet.data.sample_checks import check_samples


def sample(**changes: Any) -> Any:
    usual = {
        "image": "a.jpg",
        "image_id": 1,
        "boxes": np.array([[1, 2, 30, 40], [5, 5, 6, 6]], np.float32),
        "labels": np.array([0, 1], np.int32),
        "ignore": np.array([False, True]),
        "size": (60, 80),
    }
    return {**usual, **changes}


EMPTY = {"boxes": [], "labels": [], "ignore": []}


def test_what_passes() -> None:
    nothing = sample(boxes=np.zeros((0, 4)), labels=np.zeros(0), ignore=np.zeros(0, bool))
    lists = sample(boxes=[[1, 2, 3, 4], [0, 0, 1, 1]], labels=[0, 1], ignore=[0, 0], image=Path("a.jpg"), size=None)
    check_samples([sample(), nothing, sample(**EMPTY), lists, sample(labels=np.array([0.0, 1.0]))], ["cat", "dog"])
    check_samples([sample(labels=np.array([0, 900]))])
    check_samples([], ["cat"])


NAN = np.array([[1, 2, 30, 40], [5, np.nan, 6, 6]], np.float32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.array([0, 5])}, "'labels', box 1: is 5. allowed: 0 … 1 (cat, dog). fix: map ids to them"),
        ({"labels": np.array([0, -1])}, "'labels', box 1: is -1. allowed"),
        (
            {"labels": np.array([0, 0.5])},
            "'labels': is an array of shape (2,) and float64. allowed: (N,) whole numbers",
        ),
        (
            {"labels": np.array(["cat", "dog"])},
            "'labels': is an array of shape (2,) and <U3. allowed: (N,) whole numbers",
        ),
        ({"labels": 3}, "'labels': is an array of shape () and int64"),
        (
            {"labels": np.array([0])},
            "'ignore': is an array of shape (2,) and bool. allowed: (N,) bool: regions that may hi",
        ),
        ({"boxes": NAN}, "'boxes', box 1: is [5.0, nan, 6.0, 6.0]. allowed: finite numbers. fix: correct"),
        (
            {"boxes": np.array([[1, 2, 3, 4], [30, 40, 20, 50]])},
            "'boxes', box 1: is [30.0, 40.0, 20.0, 50.0]. allowed: x1 <",
        ),
        ({"boxes": np.zeros((1, 4))}, "'boxes': has 1 rows, and 'labels' has 2. allowed: (N, 4) numbers"),
        ({"boxes": np.zeros((2, 5))}, "'boxes': is an array of shape (2, 5) and float64. allowed: (N, 4) numbers"),
        ({"boxes": np.array([["1"] * 4] * 2)}, "'boxes': is an array of shape (2, 4) and <U1. allowed"),
        ({"size": (0, 80)}, "'size': is (0, 80). allowed: height and width in pixels. fix: leave it out"),
        ({"size": (60, 80, 3)}, "'size': is (60, 80, 3). allowed"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], message: str) -> None:
    samples = [sample(), sample(**EMPTY), sample(**{"image": "b.jpg", **changes})]
    with pytest.raises(DataError) as caught:
        check_samples(samples, ["cat", "dog"])
    assert f"sample 2 ('b.jpg'), {message}" in str(caught.value)


def test_labels_that_count_from_one() -> None:
    with pytest.raises(DataError, match=r"'labels', box 1: is 2. .* fix: they seem to count from 1: subtract 1"):
        check_samples([sample(labels=np.array([1, 2])), sample(labels=np.array([2, 1]))], ["cat", "dog"])


def test_missing_entries_and_other_types() -> None:
    wrong = sample()
    del wrong["ignore"]
    with pytest.raises(
        DataError, match=r"sample 1 \('a.jpg'\), 'ignore': is missing; there are image, image_id, boxes"
    ):
        check_samples([sample(), wrong])
    with pytest.raises(DataError, match=r"sample 0: is a tuple. allowed: a dict with image, boxes, labels, ignore"):
        check_samples([(1, 2)])  # type: ignore[list-item]
    with pytest.raises(
        DataError, match=r"sample 0, 'image': is a ndarray. allowed: the path of an image file. fix: save"
    ):
        check_samples([sample(image=np.zeros((4, 4, 3)))])


@pytest.mark.parametrize("kind", [TrainingBatches, InferenceBatches])
def test_batches_check_what_they_are_given(kind: Any) -> None:
    settings = {"resize": ResizeConfig(32, 64), "pad_value": (0, 0, 0), "batch_size": 1}
    settings |= {"seed": 0} if kind is TrainingBatches else {}
    with pytest.raises(DataError, match=r"sample 0 \('a.jpg'\), 'boxes', box 0: is \[1, 1, 1, 1\]"):
        kind([sample(boxes=np.ones((2, 4), int))], **settings)
