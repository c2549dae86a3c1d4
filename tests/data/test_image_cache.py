from __future__ import annotations

import numpy as np
import pytest

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data import image_cache
from keras_retinanet.data.datasets import CocoDataset
from keras_retinanet.data.sample_table import SampleTable


def test_gives_the_same_pixels_as_loading(tmp_path, write_coco):
    table = SampleTable(CocoDataset(write_coco(tmp_path)), ResizeConfig(32, 50))
    for is_resized, load in ((True, table.load), (False, table.load_unresized)):
        look_up = image_cache.cache_samples(table, workers=2, is_resized=is_resized)
        for index in range(3):
            cached, loaded = look_up(index), load(index)
            assert set(cached) == set(loaded)
            for key, value in loaded.items():
                np.testing.assert_array_equal(cached[key], value)


def test_refuses_what_does_not_fit_in_memory():
    image_cache._require_memory(1000)
    with pytest.raises(ValueError, match=r"The cache would take 1000000\.0 GB .* Train without the cache"):
        image_cache._require_memory(10**15)
