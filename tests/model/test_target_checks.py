"""Mistakes in batches of a user's own code are named before anything is learned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_retinanet.model.target_checks import CheckedBatches, check_targets

NAMES = ("cat", "dog")


def targets(**changes: Any) -> dict[str, Any]:
    """Two samples of 96 x 128 with one box each and a row of padding."""
    return {
        "boxes": np.array([[[10, 10, 60, 60], [0, 0, 0, 0]], [[30, 20, 90, 80], [0, 0, 0, 0]]], "float32"),
        "labels": np.array([[0, -1], [1, -1]], "int32"),
        "ignore": np.zeros((2, 2), "int32"),
        "size": np.array([[96, 128], [90, 128]], "float32"),
        "image_index": np.array([0, 1], "int32"),
        **changes,
    }


IMAGES = np.zeros((2, 96, 128, 3), "float32")


def test_right_targets_pass() -> None:
    check_targets(targets(), NAMES, images=IMAGES)
    check_targets(targets(boxes=np.zeros((2, 0, 4)), labels=np.zeros((2, 0), int), ignore=np.zeros((2, 0))), NAMES)
    check_targets({name: keras.ops.convert_to_tensor(value) for name, value in targets().items()}, NAMES)


BOX = [[[10, 10, 60, 60], [0, 0, 0, 0]], [[30, 20, 90, 80], [0, 0, 0, 0]]]
TURNED = [[[10, 10, 60, 60], [0, 0, 0, 0]], [[30, 20, 25, 80], [0, 0, 0, 0]]]
ENDLESS = [[[10, 10, 60, 60], [0, 0, 0, 0]], [[30, 20, 90, 80], [0, 0, np.inf, 0]]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"labels": np.array([[1, -1], [2, -1]])},
            "targets['labels'], sample 1 of the first batch, box 0: 2; allowed: 0 … 1 (cat, dog), and -1 for rows that "
            "are no boxes. They seem to count from 1: subtract 1",
        ),
        (
            {"labels": np.array([[0, -1], [7, -1]])},
            "box 0: 7; allowed: 0 … 1 (cat, dog), and -1 for rows that are no boxe",
        ),
        ({"labels": np.array([[0, -2], [1, -1]])}, "sample 0 of the first batch, box 1: -2; allowed"),
        (
            {"labels": np.zeros((2, 2))},
            "targets['labels'] is an array of shape (2, 2) and float64; allowed: (B, N) whole",
        ),
        (
            {"labels": np.zeros((2, 1), int)},
            "entries differ in their number of boxes N: targets['boxes'] has 2, targets['la",
        ),
        (
            {"boxes": np.array(TURNED)},
            "targets['boxes'], sample 1 of the first batch, box 0: [30, 20, 25, 80]; allowed: x1 <",
        ),
        (
            {"boxes": np.array(ENDLESS)},
            "sample 1 of the first batch, box 1: [0.0, 0.0, inf, 0.0]; allowed: finite numbers.",
        ),
        (
            {"boxes": np.array(BOX)[0]},
            "targets['boxes'] is an array of shape (2, 4) and int64; allowed: (B, N, 4) x1, y1",
        ),
        (
            {"size": np.array([[96, 128], [97, 128]])},
            "targets['size'], sample 1 of the first batch: [97, 128]; allowed: h",
        ),
        ({"size": np.array([[96, 128], [0, 128]])}, "in pixels of the batch before padding, up to 96 and 128."),
        (
            {"image_index": np.array([0])},
            "number of samples: 2 images, 2 boxes, 2 labels, 2 ignore, 2 size, 1 image_index.",
        ),
        (
            {"ignore": np.array(["no"] * 4).reshape(2, 2)},
            "targets['ignore'] is an array of shape (2, 2) and <U2; allowed",
        ),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        check_targets(targets(**changes), NAMES, images=IMAGES)
    assert message in str(caught.value)


def test_missing_entries_are_named() -> None:
    wrong = targets()
    del wrong["ignore"], wrong["image_index"]
    with pytest.raises(
        ValueError, match=r"targets lack 'ignore': \(B, N\), 0 or 1, 'image_index': .*; they have boxes, l"
    ):
        check_targets(wrong, NAMES)
    with pytest.raises(ValueError, match=r"targets are a ndarray; allowed: a dict with boxes, labels"):
        check_targets(np.zeros(3), NAMES)


WRONG = targets(labels=np.array([[0, -1], [2, -1]], "int32"))


class Batches(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        return IMAGES, WRONG


def endless() -> Iterator[Any]:
    while True:
        yield IMAGES, WRONG


@pytest.mark.parametrize("form", ["arrays", "dataset", "generator", "py_dataset"])
def test_fit_names_the_sample_of_every_kind_of_input(small_network: Any, form: str) -> None:
    model = small_network()
    model.compile(keras.optimizers.SGD(0.01))
    arguments: dict[str, Any] = {
        "arrays": lambda: {"x": IMAGES, "y": WRONG},
        "dataset": lambda: {"x": tf.data.Dataset.from_tensors((IMAGES, WRONG)).repeat(3), "shuffle": False},
        "generator": lambda: {"x": endless(), "steps_per_epoch": 2},
        "py_dataset": lambda: {"x": Batches()},
    }[form]()
    before = [np.array(weight) for weight in model.trainable_variables]
    with pytest.raises(ValueError, match=r"targets\['labels'\], sample 1.*, box 0: 2; allowed: 0 … 1 \(ant, bee\)"):
        model.fit(**arguments, verbose=0)
    assert all((old == new).all() for old, new in zip(before, model.trainable_variables, strict=True))


def test_a_missing_entry_is_named_in_evaluation_too(small_network: Any) -> None:
    model = small_network()
    model.compile(keras.optimizers.SGD(0.01))
    wrong = targets()
    del wrong["ignore"]
    with pytest.raises(ValueError, match="targets lack 'ignore'"):
        model.evaluate(IMAGES, wrong, verbose=0)


def test_batches_arrive_as_they_are_and_only_the_first_is_checked() -> None:
    right = (IMAGES, targets())
    dataset = tf.data.Dataset.from_tensors(right).concatenate(tf.data.Dataset.from_tensors((IMAGES, WRONG)))
    checked = CheckedBatches(dataset, None, NAMES)
    assert checked.x.element_spec == dataset.element_spec
    assert checked.x.cardinality() == 2
    images, second = list(checked.x.as_numpy_iterator())[1]
    np.testing.assert_array_equal(images, IMAGES)
    assert second["labels"].tolist() == [[0, -1], [2, -1]]
    assert checked.error is None
    kept = list(CheckedBatches(iter([right, 1, 2]), None, NAMES).x)
    assert kept[0] is right
    assert kept[1:] == [1, 2]


def test_of_two_batches_with_as_many_boxes_the_first_gets_a_row_of_padding() -> None:
    """Keras would refuse a third one with another number."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("other backends know the shape of every batch")
    first, second = CheckedBatches(iter([(IMAGES, targets()), (IMAGES, targets())]), None, NAMES).x
    assert {name: value.shape[1] for name, value in first[1].items() if name in ("boxes", "labels", "ignore")} == {
        "boxes": 3, "labels": 3, "ignore": 3,
    }  # fmt: skip
    assert first[1]["boxes"][:, 2].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0]]
    assert first[1]["labels"].tolist() == [[0, -1, -1], [1, -1, -1]]
    assert first[1]["boxes"].dtype == np.float32
    assert second[1]["labels"].tolist() == [[0, -1], [1, -1]]


def test_pairs_are_required() -> None:
    with pytest.raises(ValueError, match="the dataset yields no pairs; allowed: batches of images and targets"):
        CheckedBatches(tf.data.Dataset.from_tensors(IMAGES), None, NAMES)
    with pytest.raises(ValueError, match=r"a batch is a ndarray; allowed: a pair of images and targets"):
        CheckedBatches(iter([IMAGES]), None, NAMES)
    assert list(CheckedBatches(iter([]), None, NAMES).x) == []
