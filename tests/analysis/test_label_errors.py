"""Annotations that look wrong."""

from keras_retinanet.analysis.label_errors import find_label_errors
from keras_retinanet.analysis.matches import match
from keras_retinanet.analysis.tide import find_errors


def test_each_kind(sample, found):
    right, renamed, moved, missing = (0, 0, 50, 50), (100, 0, 150, 50), (200, 0, 250, 50), (0, 200, 50, 250)
    truth = sample(right, renamed, moved, labels=[0, 1, 0])
    detections = found(right, renamed, (200, 20, 250, 70), missing, scores=[0.9, 0.8, 0.7, 0.6])
    matches = match([truth], [detections], "ab")
    suggestions = find_label_errors(matches, find_errors(matches))
    assert {entry.kind for entry in suggestions} == {"wrong_class", "misplaced", "missing"}
    by_kind = {entry.kind: entry for entry in suggestions}
    assert (by_kind["wrong_class"].row, by_kind["wrong_class"].label, by_kind["wrong_class"].suggested_label) == (
        1,
        1,
        0,
    )
    assert (by_kind["misplaced"].row, by_kind["misplaced"].suggested_box) == (2, (200, 20, 250, 70))
    assert (by_kind["missing"].row, by_kind["missing"].box, by_kind["missing"].suggested_box) == (-1, None, missing)
    ranks = [entry.rank for entry in suggestions]
    assert ranks == sorted(ranks, reverse=True)
