"""All analyses together."""

import json

import pytest

from keras_retinanet.analysis import AnalysisSettings, analyse, to_json


def test_all_results_are_strict_json(make_set):
    samples, detections = make_set(0)
    settings = AnalysisSettings(num_worst=5, training_boxes=[10, 200, 3000])
    content = json.loads(json.dumps(to_json(analyse(samples, detections, "abc", settings)), allow_nan=False))
    assert content["errors"]["ap"] == pytest.approx(0.21423438808574176)  # of tidecv
    assert len(content["worst"]["false_positives"]) == 5
    assert len(content["confusion"]["counts"]) == 4
    assert {entry["kind"] for entry in content["slices"]} == {
        "size", "aspect ratio", "position", "boxes per image", "training boxes",
    }  # fmt: skip
    assert content["worst"]["misses"][0]["score"] is None


def test_an_empty_set():
    result = analyse([], [], ["cat"])
    assert result.slices == ()
    assert result.label_errors == ()
    assert result.worst.misses == ()


def test_detections_of_an_unknown_image_are_refused(make_set, found):
    samples, _ = make_set(0)
    with pytest.raises(ValueError, match="image 'other', which is not among the 40 samples"):
        analyse(samples, [found((0, 0, 1, 1), scores=[1], image_id="other")], "abc")
