"""The quick way to coverage answers what the matcher answers; the search finds more of it."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from keras_retinanet import build
from keras_retinanet.assigners.iou_threshold import assign_image
from keras_retinanet.config import AnchorConfig, AssignerConfig, ModelConfig, ResizeConfig
from keras_retinanet.doctor.anchor_fit import NetworkBoxes, best_overlap, fit_anchors, network_boxes
from keras_retinanet.doctor.anchor_search import anchor_flags, search_anchors
from keras_retinanet.doctor.coverage import check_coverage, measure
from keras_retinanet.doctor.training_pictures import grid_anchors
from keras_retinanet.training.anchor_coverage import canvas_anchors

SMALL = AnchorConfig((16.0, 32.0, 64.0), (8, 16, 32), (0.5, 1.0, 2.0), (1.0, 1.4))
RESIZE = ResizeConfig(64, 96)


def boxes_of(boxes, sizes=((64, 96),), image=None):
    boxes = np.array(boxes, float).reshape(-1, 4)
    owner = np.zeros(len(boxes), int) if image is None else np.array(image)
    return NetworkBoxes(boxes, np.zeros(len(boxes), int), owner, np.array(sizes))


def test_by_hand():
    one = AnchorConfig((16.0,), (8,), (1.0,), (1.0,))  # centres at 4, 12, 20 …
    fit = fit_anchors(boxes_of([[4, 4, 20, 20], [8, 4, 24, 20]]), one, RESIZE, 0.5)
    assert fit.best.tolist() == pytest.approx([1.0, 12 / 20])
    # The first box: its own anchor, and the four beside it overlap 8 of 16 pixels: IoU 1/3. One anchor, then.
    # The second lies between two anchors, IoU 3/5 each; one of the two learns the first box.
    assert fit.positives.tolist() == [1, 1]


@pytest.mark.parametrize(
    "anchors",
    [
        SMALL,
        AnchorConfig((12.0, 30.0), (4, 32), (0.7, 1.9), (1.0, 1.3), offset=0.0, is_rounded=True),
        AnchorConfig((16.0, 32.0), (8, 64), (1.0,), ((1.0, 1.5), (1.2,)), stride_mode="grid"),
    ],
)
def test_agrees_with_the_matcher(anchors):
    rng = np.random.default_rng(3)
    sizes = np.array([[64, 96], [57, 83], [90, 64]])
    corner, side = rng.uniform(0, 60, (90, 2)), np.exp(rng.uniform(1.5, 4.2, (90, 2)))
    image = np.sort(rng.integers(0, 3, 90))
    limits = sizes[image][:, [1, 0]]
    low = np.minimum(corner, limits - 6)
    boxes = np.concatenate([low, np.minimum(low + side, limits)], axis=1).astype(np.float32).astype(float)
    found = boxes_of(boxes, sizes, image)
    fit = fit_anchors(found, anchors, RESIZE, 0.5)
    assert best_overlap(found, anchors, RESIZE) == pytest.approx(fit.best)
    for k, (height, width) in enumerate(sizes):
        grid = grid_anchors(anchors, -(-height // 32) * 32, -(-width // 32) * 32)
        mine = boxes[image == k].astype(np.float32)
        labels, ignore = np.zeros(len(mine), int), np.zeros(len(mine), bool)
        state, index = assign_image(
            *(ops.convert_to_tensor(x) for x in (grid, mine, labels, ignore, sizes[k].astype("f4")))
        )
        state, index = ops.convert_to_numpy(state), ops.convert_to_numpy(index)
        assert fit.positives[image == k].tolist() == np.bincount(index[state == 1], minlength=len(mine)).tolist()
    assert 0 < (fit.positives == 0).sum() < 90


def test_the_grids_are_those_of_the_network():
    anchors = AnchorConfig((16.0, 32.0, 64.0, 90.0, 99.0), (8, 16, 32, 64, 128))
    model = build(
        ModelConfig("resnet10_050", "none", fpn_width=32, head_width=32, head_depth=1),
        class_names=["a"],
        anchors=anchors,
    )
    for shape in ((64, 96), (160, 224)):
        np.testing.assert_array_equal(grid_anchors(anchors, *shape), np.concatenate(canvas_anchors(model, *shape)))


def test_boxes_go_through_the_resize_rule_and_ignore_regions_do_not():
    sample = {
        "image": "a", "image_id": 1, "size": (32, 48), "labels": [0, 1], "ignore": [False, True],
        "boxes": [[1, 2, 10, 20], [0, 0, 5, 5]],
    }  # fmt: skip
    found = network_boxes([sample], RESIZE)  # type: ignore[list-item]
    assert found.boxes.tolist() == [[2, 4, 20, 40]]
    assert found.sizes.tolist() == [[64, 96]]


def test_coverage_by_class_and_size():
    found = boxes_of([[4, 4, 20, 20], [0, 0, 3, 3], [0, 0, 96, 4]])._replace(labels=np.array([0, 1, 1]))
    coverage = measure(found, ("cat", "dog", "owl"), SMALL, AssignerConfig(), RESIZE)
    assert [(row.name, row.boxes, row.covered) for row in coverage.by_class] == [("cat", 1, 1), ("dog", 2, 0)]
    assert [(row.name, row.boxes) for row in coverage.by_size] == [("0 to 8 px", 1), ("16 to 32 px", 2)]
    assert (coverage.forced, coverage.hopeless) == (2, 0)
    (finding,) = check_coverage(coverage, "train")
    assert finding.title == "2 of 3 boxes train no anchor (66.7%)"


def test_the_search_finds_flat_boxes_and_leaves_good_anchors_alone():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 40, (60, 2))
    flat = boxes_of(np.hstack([low, low + np.array([44, 9])]))  # sixty that compete for the anchors of one image
    better = search_anchors(flat, SMALL, RESIZE, 0.5, progress=None)
    shares = [np.mean(fit_anchors(flat, choice, RESIZE, 0.5).positives > 0) for choice in (SMALL, better)]
    assert shares[0] < 0.1
    assert shares[1] > 0.6
    assert better.strides == SMALL.strides
    assert (len(better.ratios), len(better.scales)) == (3, 2)
    assert better == search_anchors(flat, SMALL, RESIZE, 0.5)
    assert search_anchors(boxes_of([]), SMALL, RESIZE, 0.5) is SMALL


def test_flags():
    assert anchor_flags(SMALL) == "--anchor-sizes 16,32,64 --anchor-ratios 0.5,1,2 --anchor-scales 1,1.4"


@pytest.mark.slow
def test_trees(shared):
    from keras_retinanet.config import DataConfig, TrainConfig
    from keras_retinanet.doctor import diagnose

    config = TrainConfig(data=DataConfig("pascal", str(shared("data/trees"))))
    proposal = diagnose(config, use_search=True).proposal
    assert proposal is not None
    before, after = proposal.before["train"].all, proposal.after["train"].all
    assert (before.boxes, before.covered) == (279, 226)
    assert after.share > 0.97
