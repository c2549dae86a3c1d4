from __future__ import annotations

import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from keras_retinanet.data.datasets.shared.outlines import box_of_segmentation, enclosing_box


@pytest.mark.parametrize(
    ("segmentation", "box"),
    [
        ([[10, 20, 50, 20, 30, 60]], (10, 20, 50, 60)),
        ([[10, 20, 50, 20, 30, 60], [5, 70, 6, 70, 6, 75.5]], (5, 20, 50, 75.5)),
        ([10, 20, 50, 20, 30, 60], (10, 20, 50, 60)),  # one polygon that is not in a list
        # 4 rows, 5 columns, column by column: 5 background, then rows 1 and 2 of column 1
        ({"size": [4, 5], "counts": [5, 2, 13]}, (1, 1, 2, 3)),
        # a run from row 3 of column 0 to row 0 of column 1 covers all rows
        ({"size": [4, 5], "counts": [3, 2, 15]}, (0, 0, 2, 4)),
        ({"size": [4, 5], "counts": [0, 20]}, (0, 0, 5, 4)),
        ({"size": [4, 5], "counts": [0, 0, 7, 1, 12]}, (1, 3, 2, 4)),  # a run of length 0
    ],
)
def test_enclosing_boxes_by_hand(segmentation, box):
    assert box_of_segmentation(segmentation) == box


def test_compressed_masks_as_pycocotools_reads_them():
    rng = np.random.default_rng(0)
    for _ in range(30):
        height, width = rng.integers(20, 200, 2)
        mask = np.zeros((height, width), np.uint8, order="F")
        for _ in range(3):
            y, x = rng.integers(0, height - 10), rng.integers(0, width - 10)
            mask[y : y + rng.integers(1, 10), x : x + rng.integers(1, 10)] = 1
        encoded = coco_mask.encode(mask)
        x, y, w, h = coco_mask.toBbox(encoded).tolist()
        content = {"size": [int(height), int(width)], "counts": encoded["counts"].decode()}
        assert box_of_segmentation(content) == (x, y, x + w, y + h)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[]], "no points"),
        ([], "no points"),
        ([[1, 2, 3]], "not a list of x, y"),
        ([[1, None]], "not a number"),
        ([{"x": 1}], "not a number|not a list"),
        ("outline", "neither a list of polygons nor a mask"),
        ({"size": [4, 5], "counts": [20]}, "the mask is empty"),
        ({"size": [4, 5], "counts": [5, 2]}, "do not fill its size"),
        ({"size": [4, 5], "counts": [5, -2, 17]}, "not run lengths"),
        ({"size": [4, 5], "counts": "5é"}, "a character that is not allowed"),
        ({"size": [4, 5], "counts": "P"}, "end too early"),
        ({"size": [4], "counts": [20]}, "the size of a mask"),
        ({}, "the size of a mask"),
    ],
)
def test_broken_outlines_are_named(segmentation, message):
    with pytest.raises(ValueError, match=message):
        box_of_segmentation(segmentation)


def test_turned_rectangles():
    assert enclosing_box((10, 20, 50, 40), 0) == (10, 20, 50, 40)
    assert enclosing_box((10, 20, 50, 40), 90) == pytest.approx((20, 10, 40, 50))
    # a square of side 20 around (30, 30), turned by 45 degrees, has a diagonal of 20 · √2
    reach = 10 * math.sqrt(2)
    turned = pytest.approx((30 - reach, 30 - reach, 30 + reach, 30 + reach))
    assert enclosing_box((20, 20, 40, 40), 45) == turned
    assert enclosing_box((20, 20, 40, 40), -45) == turned


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.sampled_from(["size", "counts"]), inner),
    max_leaves=8,
)


@hypothesis.settings(max_examples=200, deadline=None, derandomize=True)
@hypothesis.given(segmentation=JSON)
def test_fuzzed_outlines_never_give_another_error(segmentation):
    try:
        box = box_of_segmentation(segmentation)
    except ValueError:
        return
    assert len(box) == 4
    assert all(isinstance(side, float) for side in box)
