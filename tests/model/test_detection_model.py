from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

import keras_retinanet
from keras_retinanet.config import FilterConfig, LossConfig, ModelConfig
from keras_retinanet.model.build import build
from keras_retinanet.model.detection_model import DetectionModel
from keras_retinanet.model.retinanet import RetinaNet

SMALL = ModelConfig(backbone="resnet10_050", weights="none", fpn_width=16, head_width=16, head_depth=1)


@pytest.fixture(scope="module")
def detector() -> RetinaNet:
    keras.utils.set_random_seed(1)
    return build(SMALL, class_names=["cat", "dog"])


def silence(detector: RetinaNet) -> None:
    """Every class at probability 0.001, every box its anchor."""
    for head in (detector.class_head, detector.box_head):
        final = head.predictors[0]
        final.kernel.assign(np.zeros(final.kernel.shape))
    detector.class_head.predictors[0].bias.assign(np.full(18, -6.9))
    detector.box_head.predictors[0].bias.assign(np.zeros(36))


def test_detections_worked_by_hand():
    """One anchor of each cell speaks, so the first cell gives a box known in advance."""
    detector = build(SMALL, class_names=["cat", "dog"])
    silence(detector)
    bias = np.full(18, -6.9)
    bias[4 * 2 + 1] = 2.0  # the square anchor of the middle scale, class "dog"
    detector.class_head.predictors[0].bias.assign(bias)
    model = DetectionModel(detector, FilterConfig(nms_threshold=0.01, max_detections=500))
    found = model.predict(np.zeros((2, 128, 128, 3), np.float32), verbose=0)
    count = int(found["num_detections"][0])
    assert 0 < count < 500
    assert set(found["labels"][0, :count]) == {1}
    np.testing.assert_allclose(found["scores"][0, :count], 1 / (1 + np.exp(-2)), rtol=1e-5)
    assert np.all(found["boxes"][:, count:] == -1)
    assert np.all(found["labels"][:, count:] == -1)
    first = found["boxes"][0, 0]  # anchor 0 of P3: centre (4, 4), side 32 · 2^(1/3), cut to the image
    half = 16 * 2 ** (1 / 3)
    np.testing.assert_allclose(first, [0, 0, 4 + half, 4 + half], rtol=1e-5)


def test_sizes_clip_to_the_unpadded_image(detector):
    images = np.random.default_rng(0).uniform(0, 255, (2, 96, 128, 3)).astype(np.float32)
    model = DetectionModel(detector, FilterConfig(score_threshold=0.0, max_detections=3000, nms="none"))
    sizes = np.array([[50, 128], [96, 70]], np.float32)
    found = model.predict({"images": images, "sizes": sizes}, verbose=0)
    for image in range(2):
        boxes = found["boxes"][image][found["labels"][image] >= 0]
        assert len(boxes)
        assert boxes[:, [1, 3]].max() <= sizes[image, 0]
        assert boxes[:, [0, 2]].max() <= sizes[image, 1]
    whole = model.predict(images, verbose=0)["boxes"]
    assert whole[..., 3].max() > 50


def test_a_snapshot_of_the_inference_model_answers_the_same(detector, tmp_path):
    model = DetectionModel(detector, FilterConfig(0.0, 0.4, 20, 100, "agnostic"))
    images = np.random.default_rng(0).uniform(0, 255, (1, 65, 97, 3)).astype(np.float32)
    expected = model.predict(images, verbose=0)
    model.save(tmp_path / "inference.keras")
    again = keras_retinanet.load_model(tmp_path / "inference.keras")
    assert isinstance(again, DetectionModel)
    assert again.filter_config == model.filter_config
    assert again.class_names == ("cat", "dog")
    found = again.predict(images, verbose=0)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-4)
    contents = bytearray((tmp_path / "inference.keras").read_bytes())
    contents[len(contents) // 2] ^= 255  # among the weights: what zipfile finds out is no ValueError
    (tmp_path / "damaged.keras").write_bytes(contents)
    with pytest.raises(ValueError, match=r"damaged\.keras' cannot be opened as a snapshot: .*CRC"):
        keras_retinanet.load_model(tmp_path / "damaged.keras")


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_boxes_keep_their_pixels_under_mixed_precision(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        detector = build(SMALL, class_names=["cat", "dog"])
        silence(detector)
        bias = np.full(18, -6.9)
        bias[6] = 3.0
        detector.class_head.predictors[0].bias.assign(bias)
        deltas = np.zeros((9, 4), np.float32)
        deltas[3] = [0.013, 0.002, -0.7, -0.7]
        detector.box_head.predictors[0].bias.assign(deltas.reshape(-1))
        model = DetectionModel(detector, FilterConfig(nms_threshold=1.0, max_detections=3000))
        found = model(np.zeros((1, 64, 1344, 3), np.float32))
    finally:
        keras.config.set_dtype_policy(before)
    boxes = ops.convert_to_numpy(found["boxes"])[0]
    # the last column of P3: centre 1340, anchor side 32 (square, first scale), top row centre 4
    side = 32 * np.exp(-0.7)
    x = 1340 + 0.013 * 32
    expected = [x - side / 2, 0, min(x + side / 2, 1344), 4 + 0.002 * 32 + side / 2]
    distance = np.abs(boxes - expected).max(axis=1)
    assert distance.min() < 1e-3


def found_by(filter: FilterConfig, detector: RetinaNet) -> dict[str, np.ndarray]:
    """Detections of four given boxes, one a corner of a 100 × 60 image, with scores 0.9, 0.8, 0.7 and 0.6."""
    boxes = np.array([[-50, -50, -10, -10], [-20, -20, 30, 30], [80, 40, 140, 90], [200, 10, 220, 30]], np.float32)
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    logits = np.stack([np.log(scores / (1 - scores)), np.full(4, -9.0)], axis=1).astype(np.float32)
    unit = np.tile(np.array([0, 0, 1, 1], np.float32), (4, 1))
    centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    deltas = np.concatenate([centres - 0.5, np.log(sides)], axis=1)  # against a unit square
    model = DetectionModel(detector, filter)
    predictions = {"deltas": ops.convert_to_tensor(deltas[None]), "logits": ops.convert_to_tensor(logits[None]),
                   "anchors": {"P3": ops.convert_to_tensor(unit[None])}}  # fmt: skip
    found = model.from_predictions(predictions, ops.convert_to_tensor([[60.0, 100.0]]))
    return {name: np.asarray(value)[0] for name, value in found.items()}


CORNERS = [[0, 0, 30, 30], [80, 40, 100, 60]]


@pytest.mark.parametrize(
    ("settings", "boxes", "scores"),
    [
        ({}, [[0, 0, 0, 0], CORNERS[0], CORNERS[1], [100, 10, 100, 30]], [0.9, 0.8, 0.7, 0.6]),
        ({"clip_margin": 1}, [[0, 0, 0, 0], CORNERS[0], [80, 40, 99, 59], [99, 10, 99, 30]], [0.9, 0.8, 0.7, 0.6]),
        ({"drop_empty": True}, CORNERS, [0.8, 0.7]),
        ({"clip": "after_nms", "drop_empty": True}, CORNERS, [0.8, 0.7]),
        ({"clip": "after_nms"}, [[0, 0, 0, 0], CORNERS[0], CORNERS[1], [100, 10, 100, 30]], [0.9, 0.8, 0.7, 0.6]),
        (
            {"clip": "never"},
            [[-50, -50, -10, -10], [-20, -20, 30, 30], [80, 40, 140, 90], [200, 10, 220, 30]],
            [0.9, 0.8, 0.7, 0.6],
        ),
    ],
)
def test_when_boxes_are_cut_and_dropped(settings, boxes, scores, detector):
    found = found_by(FilterConfig(max_detections=6, **settings), detector)
    assert found["num_detections"] == len(boxes)
    np.testing.assert_allclose(found["boxes"], [*boxes, *[[-1] * 4] * (6 - len(boxes))], atol=1e-3)
    np.testing.assert_allclose(found["scores"], [*scores, *[-1] * (6 - len(boxes))], atol=1e-5)
    np.testing.assert_array_equal(found["labels"], [0] * len(boxes) + [-1] * (6 - len(boxes)))


def test_boxes_cut_after_suppression_compete_uncut(detector):
    """Dropped after suppression, an empty box has taken its place among the most detections; before, it has not."""
    first = FilterConfig(max_detections=2, clip="after_nms", drop_empty=True)
    assert found_by(first, detector)["num_detections"] == 1
    assert found_by(FilterConfig(max_detections=2, drop_empty=True), detector)["num_detections"] == 2


@pytest.mark.parametrize(
    ("settings", "scores"),
    [
        ({"max_detections": 2}, [0.8, 0.7]),
        ({"max_detections": 1}, [0.8]),
        ({"max_detections": 2, "max_per_class": 2}, [0.8]),
        ({"max_detections": 2, "clip_margin": 20}, [0.8]),
    ],
)
def test_empty_boxes_that_do_not_count_among_the_most_detections(settings, scores, detector):
    """They still count in their class. With the margin, the box in the corner is empty, too."""
    filter = FilterConfig(clip="after_nms", drop_empty=True, counts_empty=False, **settings)
    found = found_by(filter, detector)
    assert found["num_detections"] == len(scores)
    np.testing.assert_allclose(found["scores"][: len(scores)], scores, atol=1e-5)
    np.testing.assert_allclose(found["boxes"][: len(scores)], CORNERS[: len(scores)], atol=1e-3)


def test_a_softmax_over_classes_and_background_worked_by_hand():
    """One anchor of each cell has the logits 1, 3 and, of the background, 2; the others are background."""
    detector = build(SMALL, class_names=["cat", "dog"], loss=LossConfig("softmax_cross_entropy"))
    for head in (detector.class_head, detector.box_head):
        final = head.predictors[0]
        final.kernel.assign(np.zeros(final.kernel.shape))
    bias = np.tile([0.0, 0.0, 20.0], (9, 1))
    bias[4] = [1.0, 3.0, 2.0]
    detector.class_head.predictors[0].bias.assign(bias.ravel())
    detector.box_head.predictors[0].bias.assign(np.zeros(36))
    model = DetectionModel(detector, FilterConfig(nms_threshold=0.01, nms="agnostic"))
    found = model(np.zeros((1, 128, 128, 3), np.float32))
    count = int(found["num_detections"][0])
    assert 0 < count < 300
    assert set(np.array(found["labels"])[0, :count]) == {1}
    share = np.exp(3) / (np.exp(1) + np.exp(3) + np.exp(2))
    np.testing.assert_allclose(found["scores"][0, :count], share, rtol=1e-5)
