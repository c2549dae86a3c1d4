from __future__ import annotations

import pytest

from keras_retinanet.data.datasets.shared.class_names import label_of
from keras_retinanet.data.errors import DataError


def test_label_of():
    labels = {"cat": 0, "dog": 1}
    assert label_of("dog", labels, "x") == 1
    with pytest.raises(DataError, match=r"x\.csv, line 2: unknown class 'dgo'.*cat, dog.*did you mean 'dog'\?"):
        label_of("dgo", labels, "x.csv, line 2")
    with pytest.raises(DataError, match="unknown class 'zebra'"):
        label_of("zebra", {}, "x")
