import importlib.util
import sys
import types

import numpy as np
import pytest

from keras_retinanet.detection.other_libraries import to_fiftyone, to_supervision
from keras_retinanet.schema import DetectedImage

FOUND = DetectedImage(
    image="a.jpg", size=(100, 200), boxes=np.array([[20, 10, 60, 60], [0, 0, 200, 100]], np.float32),
    scores=np.array([0.75, 0.5], np.float32), labels=np.array([2, 0], np.int32), names=("dog", "cat"),
)  # fmt: skip
NOTHING = DetectedImage("b.jpg", (5, 5), np.zeros((0, 4), np.float32), np.zeros(0), np.zeros(0, np.int32), ())


@pytest.fixture(params=["supervision", "fiftyone"])
def package(request, monkeypatch):
    """The real package, or one whose classes keep their arguments."""
    if importlib.util.find_spec(request.param) is None:
        module = types.ModuleType(request.param)
        module.Detections = module.Detection = types.SimpleNamespace
        monkeypatch.setitem(sys.modules, request.param, module)
    return request.param


def test_boxes_classes_and_scores_arrive(package):
    if package == "supervision":
        found = to_supervision(FOUND)
        np.testing.assert_array_equal(found.xyxy, FOUND.boxes)
        assert (found.confidence.tolist(), found.class_id.tolist()) == ([0.75, 0.5], [2, 0])
        assert found.data["class_name"].tolist() == ["dog", "cat"]
        assert to_supervision(NOTHING).xyxy.shape == (0, 4)
        return
    dog, cat = to_fiftyone(FOUND).detections
    assert (dog.label, dog.confidence, cat.label) == ("dog", 0.75, "cat")
    np.testing.assert_allclose([dog.bounding_box, cat.bounding_box], [[0.1, 0.1, 0.2, 0.5], [0, 0, 1, 1]], atol=1e-7)
    assert to_fiftyone(NOTHING).detections == []
    with pytest.raises(ValueError, match=r"c\.jpg could not be read, so its size is unknown: is cut off"):
        to_fiftyone(DetectedImage("c.jpg", None, FOUND.boxes, FOUND.scores, FOUND.labels, (), error="is cut off"))


@pytest.mark.parametrize(("convert", "name"), [(to_supervision, "supervision"), (to_fiftyone, "fiftyone")])
def test_a_package_that_is_missing_is_named(convert, name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"{name} is not installed: pip install '\.\[{name}\]'"):
        convert(FOUND)
