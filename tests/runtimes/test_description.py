"""The description inside an artefact, as it is written today and as earlier versions wrote it."""

from __future__ import annotations

import json

import pytest

from keras_retinanet.config import FilterConfig, ResizeConfig
from keras_retinanet.runtimes.description import Description

STORED = Description(
    ("ant", "bee"), ResizeConfig(64, 96), (1.0, 2.0, 3.0), FilterConfig(0.3), (64, 64), "bfloat16", True, "2.0.0",
    "2.21", {"model": {"backbone": "resnet50"}},
)  # fmt: skip


def test_a_description_is_read_as_it_was_written() -> None:
    assert Description.from_json(STORED.to_json(), "text") == STORED


def test_the_number_format_was_called_precision() -> None:
    plain = json.loads(STORED.to_json())
    plain["precision"] = plain.pop("dtype")
    assert Description.from_json(json.dumps(plain), "text") == STORED


def test_artefacts_from_before_the_exif_rule_see_the_stored_pixels() -> None:
    plain = json.loads(STORED.to_json())
    assert STORED.resize.exif == "apply"
    del plain["resize"]["exif"], plain["resize"]["bit_depth"]
    read = Description.from_json(json.dumps(plain), "text").resize
    assert (read.exif, read.bit_depth) == ("ignore", 16)


def test_fields_of_later_versions_are_ignored() -> None:
    plain = json.loads(STORED.to_json()) | {"colour": "red"}
    assert Description.from_json(json.dumps(plain), "text") == STORED


@pytest.mark.parametrize("text", ["", "[1]", '{"class_names": 3}', '{"resize": {"min_side": "x"}}'])
def test_what_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"'a\.onnx' has a description that cannot be read"):
        Description.from_json(text, "a.onnx")
