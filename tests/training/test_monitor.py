import numpy as np
import pytest

from keras_retinanet.evaluation import MetricSettings
from keras_retinanet.training.monitor import choose_monitor

NAMES = ("cat", "dog")
BOXES = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], np.float32)
SAMPLES = [
    {"image": "a.jpg", "image_id": 1, "boxes": BOXES, "labels": np.array([0, 1]), "ignore": np.zeros(2, bool)}
]  # fmt: skip
FOUND = [{"image_id": 1, "boxes": BOXES[:1], "scores": np.array([0.9]), "labels": np.array([0])}]


def choose(chosen, metric="coco", samples=SAMPLES, limit=None):
    return choose_monitor(chosen, metric, samples, NAMES, MetricSettings(detector_limit=limit))


@pytest.mark.parametrize(
    ("chosen", "metric", "column", "mode", "value"),
    [
        (None, "coco", "val_AP", "max", 0.5),
        (None, "lrp", "val_oLRP", "min", 0.5),
        ("AR1", "coco", "val_AR1", "max", 0.5),  # not among the numbers that are logged
        ("AP50/cat", "coco", "val_AP50/cat", "max", 1),
        ("AP50/dog", "coco", "val_AP50/dog", "max", 0),
        ("lrp.oLRP_fn", "coco", "val_lrp.oLRP_fn", "min", 0.5),
        ("counts.MAE/dog", "voc", "val_counts.MAE/dog", "min", 1),
    ],
)
def test_any_number_of_any_metric(chosen, metric, column, mode, value):
    monitor = choose(chosen, metric)
    assert (monitor.column, monitor.mode) == (column, mode)
    logged, classes = monitor.log(metric, SAMPLES, FOUND, NAMES, MetricSettings())
    assert logged[monitor.name] == pytest.approx(value)
    usual, _ = choose(None, metric).log(metric, SAMPLES, FOUND, NAMES, MetricSettings())
    assert logged.keys() == usual.keys() | {monitor.name}
    assert classes == {
        "coco": {"AP/cat": pytest.approx(1), "AP/dog": 0}, "voc": {"AP/cat": 1, "AP/dog": 0},
        "lrp": {"oLRP/cat": 0, "oLRP/dog": 1},
    }[metric]  # fmt: skip


def test_a_number_to_which_no_box_contributes_is_left_out():
    monitor = choose("ARl")
    assert "ARl" not in monitor.log("coco", SAMPLES, FOUND, NAMES, MetricSettings())[0]
    names = (*NAMES, "cow")
    assert "AP/cow" not in monitor.log("coco", SAMPLES, FOUND, names, MetricSettings())[1]


def test_the_limit_of_the_detector_where_images_have_more_boxes():
    crowd = {"boxes": np.tile(BOXES[:1], (101, 1)), "labels": np.zeros(101, int), "ignore": np.zeros(101, bool)}
    monitor = choose(None, samples=[{**SAMPLES[0], **crowd}], limit=200)
    assert (monitor.column, monitor.is_chosen) == ("val_AP maxDets=200", False)
    assert choose("AP", samples=[{**SAMPLES[0], **crowd}], limit=200).column == "val_AP"


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (
            "AP51",
            r"--monitor AP51: the metric coco has no such number. It has AP, AP50, .*; of a class AP/CLASS, AP50/C",
        ),
        ("AP/cow", r"--monitor AP/cow: .* \(such as cat\)"),
        ("lrp.AP", "the metric lrp has no such number. It has oLRP"),
        ("rpl.oLRP", "METRIC.NUMBER is one of another metric"),
    ],
)
def test_what_does_not_exist_is_refused(chosen, said):
    with pytest.raises(ValueError, match=said):
        choose(chosen)
    with pytest.raises(ValueError, match="--monitor AP needs validation images"):
        choose("AP", samples=None)
