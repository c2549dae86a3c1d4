"""Which names of numbers are refused before the images are known, and which can only be refused after."""

import pytest

from keras_retinanet.evaluation import MetricSettings
from keras_retinanet.evaluation.number_name import NumberName, check_number, find_number


@pytest.mark.parametrize(
    "name", ["AP75", "AP/any class", "lrp.oLRP", "f1.recall/a.b/c", "AP maxDets=500", "counts.MAE"]
)
def test_names_that_a_data_set_may_have(name: str) -> None:
    check_number(name, "coco")


@pytest.mark.parametrize(
    ("name", "metric", "said"),
    [
        ("APx", "coco", r"--monitor APx: the metric coco has no such number. It has AP, AP50, .*METRIC.NUMBER"),
        ("APx/cat", "coco", "--monitor APx/cat: "),
        ("AP75/cat", "coco", "of a class AP/CLASS, AP50/CLASS"),  # AP75 is of all classes only
        ("AP50", "voc", "the metric voc has no such number. It has mAP"),
        ("lrp.AP", "coco", "the metric lrp has no such number. It has oLRP"),
        ("rpl.oLRP", "coco", "the metric coco has no such number"),
        ("", "coco", "no such number"),
    ],
)
def test_names_that_no_data_set_has(name: str, metric: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_number(name, metric)


def test_a_class_name_may_have_any_character() -> None:
    found = find_number("lrp.oLRP/a.b/c", "coco", [], ("cat", "a.b/c"), MetricSettings())
    assert found == NumberName("lrp", "oLRP", "a.b/c")
    with pytest.raises(ValueError, match=r"such as cat"):
        find_number("lrp.oLRP/a.b", "coco", [], ("cat", "a.b/c"), MetricSettings())


def test_a_number_of_crowded_images_needs_them() -> None:
    with pytest.raises(ValueError, match="AP maxDets=500: the metric coco has no such number"):
        find_number("AP maxDets=500", "coco", [], ("cat",), MetricSettings(detector_limit=500))
