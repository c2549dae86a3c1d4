"""The anchor search finds anchors with higher coverage, and keeps good ones."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from keras_retinanet.anchor_coverage import NetworkBoxes, fit_anchors
from keras_retinanet.anchor_coverage.network_boxes import shapes_of_maps
from keras_retinanet.config import AnchorConfig, DataConfig, DefaultBoxConfig, TrainConfig
from keras_retinanet.doctor import diagnose
from keras_retinanet.doctor.anchor_search import anchor_flags, search_anchors, search_default_boxes
from keras_retinanet.geometry.anchors import pyramid_shapes
from keras_retinanet.geometry.default_boxes import DefaultBoxes

SMALL = AnchorConfig((16.0, 32.0, 64.0), (8, 16, 32), (0.5, 1.0, 2.0), (1.0, 1.4))


def boxes_of(boxes):
    """Boxes in one image of 64 × 96 pixels."""
    boxes, size = np.array(boxes, float).reshape(-1, 4), np.array([[64, 96]])
    labels = np.zeros(len(boxes), int)
    maps = shapes_of_maps(size, partial(pyramid_shapes, strides=SMALL.strides))
    return NetworkBoxes(boxes, labels, labels, size, size, maps)


def test_the_search_finds_flat_boxes_and_leaves_good_anchors_alone():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 40, (60, 2))
    flat = boxes_of(np.hstack([low, low + np.array([44, 9])]))  # sixty that compete for the anchors of one image
    better = search_anchors(flat, SMALL, 0.5, progress=None)
    shares = [np.mean(fit_anchors(flat, choice, 0.5).positives > 0) for choice in (SMALL, better)]
    assert shares[0] < 0.1
    assert shares[1] > 0.6
    assert better.strides == SMALL.strides
    assert (len(better.ratios), len(better.scales)) == (3, 2)
    assert better == search_anchors(flat, SMALL, 0.5)
    assert search_anchors(boxes_of([]), SMALL, 0.5) is SMALL


def test_sizes_of_default_boxes_follow_the_boxes():
    """Squares of 24 px have an IoU of at most 0.16 with one of 60 px, the smallest at first."""
    rng = np.random.default_rng(0)
    size, low = np.array([[300, 300]]), rng.uniform(0, 270, (40, 2))
    boxes, labels = np.hstack([low, low + 24.0]), np.zeros(40, int)
    maps = shapes_of_maps(size, lambda height, width: [(38, 38), (19, 19)])
    found = NetworkBoxes(boxes, labels, labels, size, size, maps)
    given = DefaultBoxConfig((60.0, 90.0, 120.0), ((2.0,), (2.0,)), (8.0, 16.0))
    better = search_default_boxes(found, given, 300, 0.6)
    layers = [DefaultBoxes(each.sizes, each.ratios, each.strides, 300) for each in (given, better)]
    assert [np.mean(fit_anchors(found, layer, 0.6).positives > 0) for layer in layers] == [0, 1]
    assert (better.ratios, better.strides) == (given.ratios, given.strides)
    assert list(better.sizes) == sorted(better.sizes)
    assert search_default_boxes(found._replace(boxes=boxes[:0]), given, 300, 0.6) is given


def test_flags():
    assert anchor_flags(DefaultBoxConfig((21.0, 45.5))) == "--default-box-sizes 21,45.5"
    assert anchor_flags(SMALL) == "--anchor-sizes 16,32,64 --anchor-ratios 0.5,1,2 --anchor-scales 1,1.4"


@pytest.mark.slow
def test_trees(shared):
    config = TrainConfig(data=DataConfig("pascal", str(shared("data/trees"))))
    proposal = diagnose(config, use_search=True).proposal
    assert proposal is not None
    before, after = proposal.before["train"].all, proposal.after["train"].all
    assert (before.boxes, before.covered) == (279, 226)
    assert after.share > 0.97
