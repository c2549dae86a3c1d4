from __future__ import annotations

import pytest

from keras_retinanet.config import DatasetName
from keras_retinanet.data.datasets import DATASETS, AnnotatedImages


def test_the_table_is_what_the_command_line_offers():
    assert {*DATASETS, "demo"} == set(DatasetName.__args__)  # the demo's scenes are read as coco


@pytest.mark.parametrize("name", DATASETS)
def test_every_reader_is_a_dataset(name):
    assert issubclass(DATASETS[name], AnnotatedImages)
