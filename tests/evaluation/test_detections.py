from typing import get_args

import keras
import numpy as np
import pytest

from keras_retinanet.config import MetricName
from keras_retinanet.evaluation import METRICS, detections
from keras_retinanet.evaluation.metric import EvaluationResult


class CornerModel(keras.Model):
    """Finds the whole unpadded image, and a second time half of it, as the inference model would say it."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def call(self, inputs):
        self.shapes.append(tuple(inputs["images"].shape))  # once a trace
        height, width = inputs["sizes"][:, 0], inputs["sizes"][:, 1]
        zero = keras.ops.zeros_like(height)
        boxes = keras.ops.stack([
            keras.ops.stack([zero, zero, width, height], 1),
            keras.ops.stack([zero, zero, width / 2, height], 1),
            keras.ops.stack([zero - 1] * 4, 1),
        ], 1)  # (B, 3, 4)  # fmt: skip
        count = keras.ops.cast(inputs["images"][:, 0, 0, 0], "int32")  # the first pixel says how many
        ones = keras.ops.ones_like(boxes[:, :, 0])
        return {
            "boxes": boxes,
            "scores": ones * keras.ops.convert_to_tensor([0.5, 0.5, -1.0]),
            "labels": keras.ops.cast(ones, "int32") * keras.ops.convert_to_tensor([3, 1, -1]),
            "num_detections": count,
        }


class Batches:
    """Three canvases' worth of batches, the last of each not full; images in another order than the samples."""

    def dataset(self):
        yield self.batch([4, 0], [(32, 64), (30, 60)], (32, 64))
        yield self.batch([1], [(64, 32)], (64, 32))
        yield self.batch([2], [(20, 61)], (32, 64))
        yield self.batch([3], [(64, 31)], (64, 32))

    @staticmethod
    def batch(indices, sizes, canvas):
        images = np.zeros((len(indices), *canvas, 3), np.float32)
        images[:, 0, 0, 0] = [0 if index == 3 else 2 for index in indices]
        scale = np.array(
            [[size[0] / (10.0 + index), size[1] / 50.0] for index, size in zip(indices, sizes, strict=True)]
        )
        stored = [(11, 49) if index == 2 else (10 + index, 50) for index in indices]  # 2 is smaller than by its scale
        origin = {
            "size": np.array(sizes, np.float32),
            "original_size": np.array(stored, np.int32),
            "scale": scale,
            "image_index": np.array(indices, np.int32),
        }
        return images, origin


def make_samples():
    empty = {"boxes": np.zeros((0, 4), np.float32), "labels": np.zeros(0, np.int32), "ignore": np.zeros(0, bool)}
    return [{"image": f"{index}.jpg", "image_id": f"id {index}", **empty} for index in range(5)]


def test_boxes_return_to_the_stored_image():
    samples, counts, model = make_samples(), [], CornerModel()
    found = detections.detect_dataset(model, Batches(), samples, progress=counts.append)
    assert [entry["image_id"] for entry in found] == [f"id {index}" for index in range(5)]
    assert counts == [2, 1, 1, 1]
    for index in (0, 1, 4):
        np.testing.assert_allclose(
            found[index]["boxes"], [[0, 0, 50, 10 + index], [0, 0, 25, 10 + index]], rtol=1e-6, atol=0
        )
    np.testing.assert_allclose(found[2]["boxes"], [[0, 0, 49, 11], [0, 0, 25, 11]], rtol=1e-6, atol=0)
    assert found[0]["scores"].tolist() == [0.5, 0.5]
    assert found[0]["labels"].tolist() == [3, 1]  # the order of tied scores is the model's
    assert [entry["boxes"].dtype.name for entry in found] == ["float32"] * 5
    assert (found[3]["boxes"].shape, found[3]["scores"].shape, found[3]["labels"].shape) == ((0, 4), (0,), (0,))


def test_one_trace_a_canvas():
    model = CornerModel()
    detections.detect_dataset(model, Batches(), make_samples())
    assert {shape[0] for shape in model.shapes} == {2}
    if keras.backend.backend() == "tensorflow":
        assert len(model.shapes) == 2


def test_images_that_were_left_out_are_named():
    with pytest.raises(ValueError, match=r"left out 1 of 6 images, the first is 5\.jpg"):
        detections.detect_dataset(CornerModel(), Batches(), [*make_samples(), {**make_samples()[0], "image": "5.jpg"}])


def entry(image_id, labels=(), **more):
    arrays = {"boxes": np.zeros((len(labels), 4)), "labels": np.array(labels, int), "ignore": np.zeros(len(labels))}
    return {"image": "a.jpg", "image_id": image_id, "scores": np.zeros(len(labels)), **arrays, **more}


def test_pairs_stand_in_the_order_of_the_samples():
    pairs = detections.pair_detections([entry(2), entry(1, [0])], [entry(1, [1, 1])], 2)
    assert [sample["image_id"] for sample, _ in pairs] == [2, 1]
    assert [len(found["scores"]) for _, found in pairs] == [0, 2]


@pytest.mark.parametrize(
    ("samples", "found", "words"),
    [
        ([entry(1)], [entry(1), entry(1)], "image 1 has two entries of detections"),
        ([entry(1), entry(1)], [], "two samples have the same image_id"),
        ([entry(1)], [entry("1")], "detections of image '1', which is not among the 1 samples"),
        ([entry(1)], [entry(1, [0, 2])], "detections of image 1 have label 2, allowed are 0 … 1"),
        ([entry(1, [-1])], [], "annotations of image 1 have label -1, allowed are 0 … 1"),
        ([entry(1)], [entry(1, [0], scores=[])], r"detections of image 1 differ in length: .*'scores': 0"),
    ],
)
def test_entries_that_do_not_fit_are_named(samples, found, words):
    with pytest.raises(ValueError, match=words):
        detections.pair_detections(samples, found, 2)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_perfect_and_empty(name):
    boxes = np.array([[3, 4, 50, 61], [10, 10, 150, 160]], np.float32)
    sample = entry(1, [0, 1], boxes=boxes, ignore=np.zeros(2, bool))
    perfect = METRICS[name].evaluate([sample], [entry(1, [0, 1], boxes=boxes, scores=[0.9, 0.8])], ["cat", "dog"])
    assert isinstance(perfect, EvaluationResult)
    errors = METRICS[name].lower_is_better
    assert perfect.stats.keys() == perfect.captions.keys()
    assert {METRICS[name].monitor, *errors} <= {*perfect.stats, *perfect.per_class}
    assert METRICS[name].monitor in METRICS[name].logged_stats(perfect)
    for number, value in perfect.stats.items():
        assert any(value == pytest.approx(known) for known in ((0, -1) if number in errors else (1, -1))), number
    for number, column in perfect.per_class.items():
        assert column.tolist() == pytest.approx([0, 0] if number in errors else [1, 1]), number
    assert perfect.stats[METRICS[name].monitor] >= 0
    empty = METRICS[name].evaluate([sample], [], ["cat", "dog"])
    worst = empty.stats[METRICS[name].monitor]
    assert worst > 0 if METRICS[name].mode == "min" else worst == 0


def test_flags_know_every_metric():
    assert get_args(MetricName) == tuple(METRICS)
