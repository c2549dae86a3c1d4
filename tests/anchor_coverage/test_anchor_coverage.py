"""The fast count equals the assigner's, on the grids of the real layers; coverage in numbers and words."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from keras import ops

from keras_retinanet import build
from keras_retinanet.anchor_coverage import NetworkBoxes, best_overlap, fit_anchors, measure_coverage, network_boxes
from keras_retinanet.anchor_coverage.coverage import AnchorCoverage, CoverageRow
from keras_retinanet.anchor_coverage.network_boxes import shapes_of_maps
from keras_retinanet.assigners.iou_threshold import assign_image
from keras_retinanet.config import AnchorConfig, AssignerConfig, ModelConfig, NetworkConfig, ResizeConfig
from keras_retinanet.data.resized_sizes import padded_size
from keras_retinanet.doctor.training_pictures import grid_anchors
from keras_retinanet.geometry.anchors import pyramid_shapes
from keras_retinanet.model.retinanet import RetinaNet

SMALL = AnchorConfig((16.0, 32.0, 64.0), (8, 16, 32), (0.5, 1.0, 2.0), (1.0, 1.4))
RESIZE = ResizeConfig(64, 96)


def boxes_of(boxes, sizes=((64, 96),), image=None, strides=(8, 16, 32)):
    """Boxes of label 0 in images that are padded to multiples of 32."""
    boxes, sizes = np.array(boxes, float).reshape(-1, 4), np.array(sizes)
    owner = np.zeros(len(boxes), int) if image is None else np.array(image)
    padded = np.stack(padded_size(sizes[:, 0], sizes[:, 1], RESIZE), axis=1)
    maps = shapes_of_maps(padded, partial(pyramid_shapes, strides=strides))
    return NetworkBoxes(boxes, np.zeros(len(boxes), int), owner, sizes, padded, maps)


def test_by_hand():
    one = AnchorConfig((16.0,), (8,), (1.0,), (1.0,))  # centres at 4, 12, 20 …
    fit = fit_anchors(boxes_of([[4, 4, 20, 20], [8, 4, 24, 20]], strides=(8,)), one, 0.5)
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
def test_agrees_with_the_assigner(anchors):
    rng = np.random.default_rng(3)
    sizes = np.array([[64, 96], [57, 83], [90, 64]])
    corner, side = rng.uniform(0, 60, (90, 2)), np.exp(rng.uniform(1.5, 4.2, (90, 2)))
    image = np.sort(rng.integers(0, 3, 90))
    limits = sizes[image][:, [1, 0]]
    low = np.minimum(corner, limits - 6)
    boxes = np.concatenate([low, np.minimum(low + side, limits)], axis=1).astype(np.float32).astype(float)
    found = boxes_of(boxes, sizes, image, anchors.strides)
    fit = fit_anchors(found, anchors, 0.5)
    assert best_overlap(found, anchors) == pytest.approx(fit.best)
    for k, (height, width) in enumerate(sizes):
        grid = grid_anchors(NetworkConfig(anchors=anchors), -(-height // 32) * 32, -(-width // 32) * 32)
        mine = boxes[image == k].astype(np.float32)
        labels, ignore = np.zeros(len(mine), int), np.zeros(len(mine), bool)
        inputs = (grid, mine, labels, ignore, sizes[k].astype("f4"))
        state, index = assign_image(*(ops.convert_to_tensor(x) for x in inputs))
        state, index = ops.convert_to_numpy(state), ops.convert_to_numpy(index)
        assert fit.positives[image == k].tolist() == np.bincount(index[state == 1], minlength=len(mine)).tolist()
    assert 0 < (fit.positives == 0).sum() < 90


@pytest.fixture(scope="module")
def model() -> RetinaNet:
    anchors = AnchorConfig((16.0, 32.0, 64.0, 90.0, 99.0), (8, 16, 32, 64, 128))
    config = ModelConfig("resnet10_050", "none", fpn_width=32, head_width=32, head_depth=1)
    return build(config, class_names=["a"], anchors=anchors)


@pytest.mark.parametrize("shape", [(64, 96), (160, 224), (65, 97), (203, 149)])
def test_the_shapes_of_maps_are_those_of_the_network(model: RetinaNet, shape: tuple[int, int]) -> None:
    levels = model(np.zeros((1, *shape, 3), np.float32))["anchors"]
    expected = np.concatenate([np.asarray(level)[0] for level in levels.values()])
    assert model.map_shapes(*shape) == pyramid_shapes(*shape, model.anchors.strides)
    anchors = AnchorConfig((16.0, 32.0, 64.0, 90.0, 99.0), (8, 16, 32, 64, 128))
    np.testing.assert_array_equal(grid_anchors(NetworkConfig(anchors=anchors), *shape), expected)


def test_shapes_of_maps_by_hand() -> None:
    asked = []

    def count(height: int, width: int) -> list[tuple[int, int]]:
        asked.append((height, width))
        return [(height // 8, width // 8), (height // 16, width // 16)]

    maps = shapes_of_maps([[64, 96], [32, 64], [64, 96]], count)
    assert maps.tolist() == [[[8, 12], [4, 8], [8, 12]], [[4, 6], [2, 4], [4, 6]]]
    assert sorted(asked) == [(32, 64), (64, 96)]


def test_another_number_of_levels_is_refused() -> None:
    with pytest.raises(ValueError, match="3 levels, the boxes' images feature maps of 2"):
        fit_anchors(boxes_of([[4, 4, 20, 20]], strides=(8, 16)), SMALL, 0.5)


def sample(**given):
    boxes = {"size": (32, 48), "labels": [0, 1], "ignore": [False, True], "boxes": [[1, 2, 10, 20], [0, 0, 5, 5]]}
    return {"image": "a", "image_id": 1, **boxes, **given}


def test_boxes_go_through_the_resize_rule_and_ignore_regions_do_not() -> None:
    shapes = partial(pyramid_shapes, strides=(8, 16))
    none = sample(labels=[], ignore=[], boxes=[])
    found = network_boxes([none, sample()], RESIZE, shapes)
    assert found.boxes.tolist() == [[2, 4, 20, 40]]
    assert (found.labels.tolist(), found.image.tolist()) == ([0], [1])
    assert found.sizes.tolist() == [[64, 96], [64, 96]]
    assert found.maps[:, 1].tolist() == [[8, 12], [4, 6]]
    padded = network_boxes([sample()], RESIZE, shapes, sizes=[[64, 96]], padded=[[96, 128]])
    assert (padded.boxes.tolist(), padded.maps[:, 0].tolist()) == ([[1, 2, 10, 20]], [[12, 16], [6, 8]])
    assert network_boxes([], RESIZE, shapes).boxes.shape == (0, 4)


def test_boxes_follow_the_one_scale_of_a_rule_that_has_one() -> None:
    """333 × 500 becomes 400 × 601 (600.6 rounded): fizyr scales boxes by 400 / 333 along both axes."""
    given = sample(size=(333, 500), boxes=[[0, 0, 500, 333]], labels=[0], ignore=[False])
    shapes = partial(pyramid_shapes, strides=(8,))
    one = network_boxes([given], ResizeConfig(400, 666, has_one_scale=True), shapes)
    two = network_boxes([given], ResizeConfig(400, 666), shapes)
    assert one.boxes[0].tolist() == pytest.approx([0, 0, 500 * 400 / 333, 400])
    assert two.boxes[0].tolist() == pytest.approx([0, 0, 601, 400])


def three_boxes():
    """The first is an anchor of 16 px itself; the others overlap anchors with IoU below 0.5."""
    return boxes_of([[4, 4, 20, 20], [0, 0, 3, 3], [0, 0, 96, 4]])._replace(labels=np.array([0, 1, 1]))


def test_coverage_by_class_and_size() -> None:
    coverage = measure_coverage(three_boxes(), ("cat", "dog", "owl"), SMALL, AssignerConfig())
    assert [(row.name, row.boxes, row.covered) for row in coverage.by_class] == [("cat", 1, 1), ("dog", 2, 0)]
    assert [(row.name, row.boxes) for row in coverage.by_size] == [("0 to 8 px", 1), ("16 to 32 px", 2)]
    assert (coverage.forced, coverage.unreachable, coverage.missed) == (2, 0, 2)
    assert coverage.missed_side == pytest.approx((3 + np.sqrt(96 * 4)) / 2)
    assert coverage.is_poor
    assert coverage.describe_missed() == (
        "2 of 3 boxes have no positive anchor and train nothing (66.7%); median side 11 px after resizing"
    )
    assert coverage.advise().endswith(", or --force-match")


def test_forced_boxes_are_not_missed() -> None:
    coverage = measure_coverage(three_boxes(), ("cat", "dog", "owl"), SMALL, AssignerConfig(use_force_match=True))
    assert (coverage.all.covered, coverage.forced, coverage.missed, coverage.missed_side) == (1, 2, 0, 0.0)
    assert not coverage.is_poor
    assert "2 are force-matched" in coverage.describe()
    assert "--force-match" not in coverage.advise()


def test_an_assigner_with_thresholds_of_its_own_is_not_judged() -> None:
    coverage = measure_coverage(three_boxes(), ("cat", "dog", "owl"), SMALL, AssignerConfig(assigner="atss"))
    assert not coverage.is_poor
    assert coverage.describe() == (
        "33.3% of 3 boxes have an anchor of IoU ≥ 0.5 (the assigner atss uses thresholds of its own)"
    )


def test_counts_by_hand() -> None:
    """Box 1 is an anchor of 32 px itself: those shifted by 8 px along one axis have IoU 24/40 = 0.6, those shifted
    along both 24²/(2·32² - 24²) = 0.39, by 16 px 0.33; so 5 positives. Box 2 of 4 × 4 px has none."""
    square = AnchorConfig(sizes=(32.0, 64.0, 128.0), strides=(8, 16, 32), ratios=(1.0,), scales=(1.0,))
    found = boxes_of([[20, 20, 52, 52], [70, 10, 74, 14]])
    coverage = measure_coverage(found, ("thing",), square, AssignerConfig())
    assert (coverage.all.boxes, coverage.all.covered, coverage.all.positives) == (2, 1, 2.5)
    assert coverage.missed_side == 4
    assert coverage.describe() == (
        "50.0% of 2 boxes have a positive anchor, 2.5 anchors per box; 1 could be force-matched, 0 overlap no anchor"
    )


@pytest.mark.parametrize(("num_tiny", "is_poor"), [(1, False), (2, True)])
def test_more_than_one_box_of_twenty_is_poor(num_tiny: int, is_poor: bool) -> None:
    anchor, tiny = [4.0, 4, 20, 20], [0.0, 0, 3, 3]
    sizes = [(64, 96)] * 20  # one box per image, so that they do not compete
    found = boxes_of([tiny] * num_tiny + [anchor] * (20 - num_tiny), sizes, np.arange(20))
    coverage = measure_coverage(found, ("thing",), SMALL, AssignerConfig())
    assert (coverage.missed, coverage.is_poor) == (num_tiny, is_poor)


def test_no_boxes_are_not_poor() -> None:
    coverage = measure_coverage(network_boxes([], RESIZE, lambda *_: []), ("thing",), SMALL, AssignerConfig())
    assert (coverage.all.boxes, coverage.all.share, coverage.missed, coverage.is_poor) == (0, 1.0, 0, False)


@pytest.mark.parametrize(("boxes", "is_poor"), [(20, False), (19, True)])
def test_one_missed_box_of_twenty_is_the_limit(boxes, is_poor):
    """5 % is not a reason for a warning; 1 of 19 is more."""
    row = CoverageRow("all", boxes, boxes - 1, 1.0)
    found = AnchorCoverage(row, (), (), forced=1, unreachable=0, missed_side=4.0, is_forced=False)
    assert found.is_poor is is_poor
