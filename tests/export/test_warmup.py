"""What TensorFlow Serving replays when it loads a model: read by the official classes, answered by the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from keras_retinanet import DetectionModel
from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.canvases import usual_sizes
from keras_retinanet.export import export_saved_model
from keras_retinanet.export.warmup import WARMUP, write_warmup
from keras_retinanet.predict_messages import MESSAGES

# The shorter side becomes 64, unless the longer would exceed 100; multiples of 32. 3:4 → 64 x 85 → 64 x 96; 2:3 → 64 x
# 96; 9:16 → 56 x 100 → 64 x 128; 1:1 → 64 x 64.
RESIZE = ResizeConfig(64, 100)
SIZES = [(144, 192), (192, 144), (432, 768), (768, 432), (48, 48)]


def records(path: Path) -> list[Any]:
    """Model, signature, and the shape of each image, of every record."""
    found = []
    for record in tf.data.TFRecordDataset(str(path)):
        request = MESSAGES["PredictionLog"].FromString(record.numpy()).predict_log.request
        images = [tuple(tf.io.decode_jpeg(file).shape) for file in request.inputs[0].value.string_val]
        found.append((request.model_spec.name, request.model_spec.signature_name, images))
    return found


def test_a_request_for_each_canvas_and_some_with_more_images(tmp_path: Path) -> None:
    assert usual_sizes(RESIZE) == SIZES
    shapes = [[(*size, 3)] for size in SIZES] + [[(*SIZES[0], 3)] * count for count in (2, 4)]
    expected = [("insects", "serving_default", images) for images in shapes]
    assert records(write_warmup(tmp_path, "insects", RESIZE)) == expected


def test_one_canvas_needs_one_size() -> None:
    assert usual_sizes(ResizeConfig(64, 96, is_square=True)) == [(144, 192)]


def test_the_usual_rule_has_seven_canvases() -> None:
    assert len(usual_sizes(ResizeConfig())) == 7


@pytest.fixture(scope="module")
def version(spread_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_saved_model(DetectionModel(spread_model), tmp_path_factory.mktemp("served") / "insects")


def test_the_model_answers_its_own_warm_up(version: Path) -> None:
    """Replayed as the server does: the official classes parse the record, the signature takes the tensor."""
    log = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2", reason="needs tensorflow-serving-api")
    signature = tf.saved_model.load(str(version)).signatures["serving_default"]
    counts = []
    for record in tf.data.TFRecordDataset(str(version / "assets.extra" / WARMUP)):
        request = log.PredictionLog.FromString(record.numpy()).predict_log.request
        assert request.model_spec.name == "insects"
        answer = signature(image_bytes=tf.constant(tf.make_ndarray(request.inputs["image_bytes"])))
        counts.append(int(answer["num_detections"].shape[0]))
        assert np.isfinite(answer["boxes"]).all()
    assert counts == [1, 1, 1, 2, 4]
