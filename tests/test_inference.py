from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

import keras_retinanet
from keras_retinanet.config import FilterConfig, ModelConfig
from keras_retinanet.inference import DetectionModel
from keras_retinanet.retinanet import RetinaNet, build

SMALL = ModelConfig(backbone="resnet10_050", weights="none", fpn_width=16, head_width=16, head_depth=1)


@pytest.fixture(scope="module")
def detector() -> RetinaNet:
    keras.utils.set_random_seed(1)
    return build(SMALL, class_names=["cat", "dog"])


def silence(detector: RetinaNet) -> None:
    """Every class at probability 0.001, every box its anchor."""
    for head in (detector.class_head, detector.box_head):
        final = head.finals[0]
        final.kernel.assign(np.zeros(final.kernel.shape))
    detector.class_head.finals[0].bias.assign(np.full(18, -6.9))
    detector.box_head.finals[0].bias.assign(np.zeros(36))


def test_detections_worked_by_hand():
    """One anchor of each cell speaks, so the first cell gives a box known in advance."""
    detector = build(SMALL, class_names=["cat", "dog"])
    silence(detector)
    bias = np.full(18, -6.9)
    bias[4 * 2 + 1] = 2.0  # the square anchor of the middle scale, class "dog"
    detector.class_head.finals[0].bias.assign(bias)
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
    assert again.filter == model.filter
    assert again.class_names == ("cat", "dog")
    found = again.predict(images, verbose=0)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_boxes_keep_their_pixels_under_mixed_precision(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        detector = build(SMALL, class_names=["cat", "dog"])
        silence(detector)
        bias = np.full(18, -6.9)
        bias[6] = 3.0
        detector.class_head.finals[0].bias.assign(bias)
        deltas = np.zeros((9, 4), np.float32)
        deltas[3] = [0.013, 0.002, -0.7, -0.7]
        detector.box_head.finals[0].bias.assign(deltas.reshape(-1))
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
