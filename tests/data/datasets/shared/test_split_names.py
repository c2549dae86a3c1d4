from __future__ import annotations

import pytest

from keras_retinanet.data.datasets.shared.split_names import split_in, usual_sets


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("annotations_train", "train"),
        ("Train-2", "train"),
        ("val2017", "val2017"),
        ("labels.validation", "validation"),
        ("my_valid_set", "valid"),
        ("constraint", ""),
        ("value", ""),
        ("latest", ""),
    ],
)
def test_split_in_a_name(name, split):
    assert split_in(name) == split


@pytest.mark.parametrize(
    ("names", "train", "val"),
    [
        (["valid", "train", "test"], "train", "valid"),
        (["train2017", "val2017"], "train2017", "val2017"),
        (["."], ".", None),
        (["photos"], "photos", None),
        (["val"], "train", "val"),
        (["a", "b"], "train", None),
        ([], "train", None),
    ],
)
def test_usual_sets(names, train, val):
    assert usual_sets(names) == (train, val)
