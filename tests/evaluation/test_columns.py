import numpy as np

from keras_retinanet.data.datasets.shared.annotated_images import AnnotatedImages, Index
from keras_retinanet.evaluation import columns
from keras_retinanet.evaluation.detection_file import DetectionFile
from keras_retinanet.evaluation.detections import pair_detections

BOXES = np.array([[0, 0, 2, 3], [1, 1, 4, 5], [0, 0, 10, 10], [5, 5, 6, 8]], np.float32)
LABELS, IGNORE = np.array([0, 1, 1, 1], np.int32), np.array([False, False, True, False])


def make_index():
    """Three images with 1, 0 and 3 boxes."""
    return Index(
        class_names=("cat", "dog"), images=["a", "b", "c"], image_ids=[7, 3, 5], sizes=np.full((3, 2), 20),
        boxes=BOXES, labels=LABELS, ignore=IGNORE, areas=np.array([5, np.nan, 90, 2.5]),
        orientations=np.zeros(3, np.uint8), bit_depths=np.zeros(3, np.uint8), splits=np.array([0, 1, 1, 4]),
        report=None, category_ids=None, sources=[],
    )  # fmt: skip


def test_annotations_as_columns():
    dataset = AnnotatedImages.from_index(make_index())
    for samples in (dataset, list(dataset)):
        truth = columns.gather_truth(samples)
        assert truth.splits.tolist() == [0, 1, 1, 4]
        np.testing.assert_array_equal(truth.boxes, BOXES)
        assert (truth.labels.tolist(), truth.ignore.tolist()) == (LABELS.tolist(), IGNORE.tolist())
        assert truth.areas.tolist() == [5, 12, 90, 2.5]  # 3 × 4 where none is stated
        assert truth.image().tolist() == [0, 2, 2, 2]
        assert truth.most_of_a_class().tolist() == [1, 0, 2]
        chosen = truth.select(np.array([2, 0]))
        assert (chosen.splits.tolist(), chosen.labels.tolist()) == ([0, 3, 4], [1, 1, 1, 0])
        assert columns.list_ids(samples) == [7, 3, 5]
    without = columns.gather_truth([{**sample, "areas": np.full(len(sample["labels"]), np.nan)} for sample in dataset])
    assert without.areas.tolist() == [6, 12, 100, 3]
    assert columns.gather_truth([]).splits.tolist() == [0]


def test_detections_as_columns(tmp_path, monkeypatch):
    """In memory in any order, with an image left out; and from a file."""
    dataset = AnnotatedImages.from_index(make_index())
    rows = {"boxes": BOXES[:3], "scores": np.array([0.5, 0.25, 0.3], np.float32), "labels": LABELS[:3]}
    one = {name: values[:1] for name, values in rows.items()}
    file = DetectionFile(tmp_path / "a.detections", "0" * 32, 3)
    file.add([(2, rows), (0, one), (1, {name: values[:0] for name, values in rows.items()})])
    stored = file.detections(columns.list_ids(dataset))
    monkeypatch.setattr(columns, "_BLOCK", 2)
    for detections in ([{"image_id": 5, **rows}, {"image_id": 7, **one}], stored):
        assert columns.count_detections(detections) == 4
        pairs = pair_detections(dataset, detections, 2)
        assert [(sample["image"], len(found["scores"])) for sample, found in pairs] == [("a", 1), ("b", 0), ("c", 3)]
        assert [found["image_id"] for _, found in pairs[1:]] == [3, 5]
        assert pairs.num_detections() == 4
        ordered = pairs.sorted_by_id()
        assert [sample["image_id"] for sample, _ in ordered] == [3, 5, 7]
        assert ordered.truth().labels.tolist() == [1, 1, 1, 0]
        (first, end, found), (start, last, rest) = ordered.blocks()
        assert (first, end, start, last) == (0, 2, 2, 3)
        assert (found.image.tolist(), rest.image.tolist()) == ([1, 1, 1], [0])
        np.testing.assert_array_equal(found.boxes, BOXES[:3])
        assert found.boxes.dtype == np.float64
        assert found.scores.dtype == np.float32  # is compared with thresholds in its own precision
        np.testing.assert_array_equal(found.scores, rows["scores"])
        assert found.labels.tolist() == [0, 1, 1]
    file.close()
