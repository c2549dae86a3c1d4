"""Classes are kept, ordered, renamed and merged by name."""

from __future__ import annotations

import pytest

from keras_retinanet.data.class_choice import check_class_choice, choose_classes, parse_class_map
from keras_retinanet.data.errors import DataError

NAMES = ("car", "lorry", "van", "dog")


def test_pairs_are_parsed() -> None:
    assert parse_class_map(["lorry = truck", "van=truck"]) == {"lorry": "truck", "van": "truck"}
    assert parse_class_map(None) == {}


@pytest.mark.parametrize("pair", ["lorry", "=truck", "lorry=", ""])
def test_what_is_not_a_pair_is_refused(pair: str) -> None:
    with pytest.raises(ValueError, match="allowed is OLD=NEW"):
        parse_class_map([pair])


def test_two_new_names_for_one_class_are_refused() -> None:
    with pytest.raises(ValueError, match="renames 'van' twice: to 'truck' and 'car'"):
        parse_class_map(["van=truck", "van=car"])


@pytest.mark.parametrize(
    ("keep", "renamed", "names", "labels"),
    [
        (None, {}, NAMES, [0, 1, 2, 3]),
        (None, {"lorry": "truck", "van": "truck"}, ("car", "truck", "dog"), [0, 1, 1, 2]),
        (None, {"van": "car"}, ("car", "lorry", "dog"), [0, 1, 0, 2]),
        (("dog", "car"), {}, ("dog", "car"), [1, -1, -1, 0]),
        (("truck", "car"), {"lorry": "truck", "van": "truck"}, ("truck", "car"), [1, 0, 0, -1]),
        (None, {"car": "dog", "dog": "car"}, ("dog", "lorry", "van", "car"), [0, 1, 2, 3]),
    ],
)
def test_names_and_labels(keep, renamed, names, labels) -> None:
    assert choose_classes(NAMES, keep, renamed) == (names, labels)


@pytest.mark.parametrize(
    ("keep", "renamed", "message"),
    [
        (("dgo",), {}, r"--classes: no class is called 'dgo'\. .*'dog'\. fix: did you mean 'dog'\?"),
        (("Car",), {}, "did you mean 'car'"),
        (None, {"lory": "truck"}, "--map-class: no class is called 'lory'.*did you mean 'lorry'"),
        (("lorry",), {"lorry": "truck"}, "--classes: no class is called 'lorry'"),
        (("zebra",), {}, "correct the name"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest_one(keep, renamed, message) -> None:
    with pytest.raises(DataError, match=message):
        check_class_choice(NAMES, keep, renamed)


def test_known_names_pass() -> None:
    check_class_choice(NAMES, ("truck", "dog"), {"lorry": "truck"})
