"""AP of parts of a data set."""

import numpy as np
import pytest

from keras_retinanet.analysis.matches import match
from keras_retinanet.analysis.slices import compute_slices
from keras_retinanet.evaluation import coco


def of_kind(slices, kind):
    return {entry.name: entry for entry in slices if entry.kind == kind}


@pytest.mark.parametrize("share_of_regions", [0, 0.2])
def test_sizes_equal_those_of_coco(make_set, share_of_regions):
    samples, detections = make_set(5, 60, share_of_regions=share_of_regions)
    for entry, found in zip(samples, detections, strict=True):
        entry["boxes"], found["boxes"] = entry["boxes"] * 1.3, found["boxes"] * 1.3
    expected = coco.evaluate(samples, detections, "abc").stats
    sizes = list(of_kind(compute_slices(match(samples, detections, "abc")), "size").values())
    assert [entry.ap for entry in sizes] == pytest.approx(
        [expected["APs"], expected["APm"], expected["APl"]], abs=1e-12
    )
    assert sum(entry.num_boxes for entry in sizes) == sum((~entry["ignore"]).sum() for entry in samples)


def test_whole_images_and_classes_equal_an_evaluation_of_these_alone(make_set):
    samples, detections = make_set(6, 30)
    brightness = {entry["image_id"]: 40 if entry["image_id"] < 12 else 100 for entry in samples}
    slices = compute_slices(match(samples, detections, "abc"), brightness, [5000, 20, 5000])
    dark = coco.evaluate(samples[:12], detections[:12], "abc").stats
    assert of_kind(slices, "brightness")["dark, below 85"].ap == pytest.approx(dark["AP"], abs=1e-12)
    assert of_kind(slices, "brightness")["dark, below 85"].ap50 == pytest.approx(dark["AP50"], abs=1e-12)
    per_class = coco.evaluate(samples, detections, "abc").per_class["AP"]
    training = of_kind(slices, "training boxes")
    assert training["below 100"].ap == pytest.approx(per_class[1], abs=1e-12)
    assert training["1,000 and more"].ap == pytest.approx(per_class[[0, 2]].mean(), abs=1e-12)
    assert "100 to 999" not in training
    counts = [len(entry["labels"]) for entry in samples]
    few = [k for k, count in enumerate(counts) if count <= 5]
    alone = coco.evaluate([samples[k] for k in few], [detections[k] for k in few], "abc").stats["AP"]
    assert of_kind(slices, "boxes per image")["up to 5"].ap == pytest.approx(alone, abs=1e-12)


def test_a_box_outside_the_part_ignores_its_detection(sample, found):
    tall, wide, lost = (50, 50, 60, 100), (100, 100, 200, 120), (200, 200, 290, 215)
    truth, detections = sample(tall, wide), found(lost, tall, wide, scores=[0.9, 0.8, 0.7])
    ratios = of_kind(compute_slices(match([truth], [detections], "a")), "aspect ratio")
    assert ratios["tall, below 2:3"].ap == pytest.approx(1)  # neither the wide box nor the lost wide detection counts
    assert ratios["wide, above 3:2"].ap == pytest.approx(0.5)  # the lost one counts, the tall one does not
    assert [entry.num_boxes for entry in ratios.values()] == [1, 1]
    assert "square" not in ratios


def test_position(sample, found):
    boxes = (130, 130, 170, 170), (20, 20, 60, 60), (0, 100, 40, 140)
    slices = compute_slices(match([sample(*boxes)], [found(boxes[0], boxes[2], scores=[0.9, 0.8])], "a"))
    position = of_kind(slices, "position")
    assert {name: entry.recall50 for name, entry in position.items()} == {
        "centre of the image": 1, "outer part": 0, "at the edge": 1,
    }  # fmt: skip
    assert np.isclose(position["outer part"].ap, 0)


def test_position_needs_sizes(sample):
    entry = sample((0, 0, 10, 10))
    del entry["size"]
    assert not of_kind(compute_slices(match([entry], [], "a")), "position")
