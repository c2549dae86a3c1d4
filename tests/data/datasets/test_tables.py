from __future__ import annotations

import dataclasses

import pytest

from keras_retinanet.config import DataConfig
from keras_retinanet.data.datasets import DATASETS, Reader, reader_of

FIELDS = {field.name for field in dataclasses.fields(DataConfig)}


@pytest.mark.parametrize("word", DATASETS)
def test_every_reader_describes_itself(word):
    reader = reader_of(word)
    assert issubclass(reader, Reader)
    assert reader.word == word
    assert reader.summary
    assert {*reader.arguments, *reader.optional_arguments, *reader.flags()} <= FIELDS


def test_flags_are_the_keywords_of_read():
    assert DATASETS["pascal"].flags() == ("difficult", "voc_origin", "image_dir")
    assert DATASETS["oid"].flags() == ("labels_filter", "parent_label", "image_dir")
    assert DATASETS["coco"].flags() == ("image_dir",)
    assert DATASETS["yolo"].flags() == ("image_dir", "yolo_rows")


def test_unknown_formats_and_flags_are_named():
    with pytest.raises(ValueError, match=r"Unknown data set format .voc.\. Allowed: coco, pascal, csv"):
        reader_of("voc")
    with pytest.raises(TypeError, match="difficult"):
        DATASETS["coco"](".", difficult="drop")
