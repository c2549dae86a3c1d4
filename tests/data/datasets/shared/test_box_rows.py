"""Boxes in compact columns: labels, places, ignore regions of any class, and unknown classes."""

import numpy as np
import pytest

from keras_retinanet.data.datasets.shared.box_rows import BoxGroup, BoxRows, numbered_place
from keras_retinanet.data.error_collector import ErrorCollector
from keras_retinanet.data.errors import DataError


def rows() -> BoxRows:
    table = BoxRows()
    table.add(0, BoxGroup("a.json, box", ["dog", "cat"], [0, 1, 2, 3, 4, 5, 6, 7]))
    table.add(2, BoxGroup("b.json, box", [None], [8, 9, 10, 11], [5], [True]))
    table.add(2, BoxGroup(["c.csv, line 3", "c.csv, line 9"], ["dog", "cow"], range(12, 20)))
    return table


def test_rows_keep_their_order_and_their_places():
    columns = rows().columns(["cat", "cow", "dog"], "error")
    assert columns.image.tolist() == [0, 0, 2, 2, 2, 2, 2]
    assert columns.labels.tolist() == [2, 0, 0, 1, 2, 2, 1]  # the region of any class stands for all three
    assert columns.ignore.tolist() == [False, False, True, True, True, False, False]
    assert columns.boxes[:, 0].tolist() == [0, 4, 8, 8, 8, 12, 16]
    where = [columns.name(row) for row in range(7)]
    assert where == ["a.json, box 1", "a.json, box 2", *["b.json, box 5"] * 3, "c.csv, line 3", "c.csv, line 9"]
    assert columns.areas is None


def test_names_that_occur_are_sorted():
    assert rows().sorted_names() == ("cat", "cow", "dog")
    assert len(rows()) == 5


def test_boxes_of_unknown_classes_are_errors_or_left_out():
    with pytest.raises(DataError, match=r"c\.csv, line 9"):
        rows().columns(["cat", "dog"], "error")
    collector = ErrorCollector()
    columns = rows().columns(["cat", "dog"], collector)
    assert columns.labels.tolist() == [1, 0, 0, 1, 1]
    assert collector.num_errors == 1
    assert columns.name(4) == "c.csv, line 3"


def test_areas_count_if_every_box_has_one():
    table = BoxRows()
    table.add(0, BoxGroup("a", ["x"], [0, 0, 2, 2]), [3.5])
    assert table.columns(["x"], "error").areas.tolist() == [3.5]
    table.add(1, BoxGroup("b", ["x"], [0, 0, 2, 2]))
    assert table.columns(["x"], "error").areas is None


def test_no_boxes_are_columns_of_no_rows():
    columns = BoxRows().columns(["x"], "error")
    assert np.asarray(columns.boxes).shape == (0, 4)
    assert columns.labels.tolist() == []


def test_a_place_is_a_text_or_one_of_several():
    assert numbered_place("a, shape", 3) == "a, shape 3"
    assert numbered_place(["a", "b", "c"], 2) == "b"
