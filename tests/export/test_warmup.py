"""What TensorFlow Serving replays when it loads a model: read by the official classes, answered by the model."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from keras_retinanet import DetectionModel
from keras_retinanet.config import FilterConfig, ResizeConfig
from keras_retinanet.data.batch_shapes import common_image_sizes
from keras_retinanet.export import export_saved_model
from keras_retinanet.export.warmup import WARMUP, write_warmup
from keras_retinanet.serving.client import connect
from keras_retinanet.serving.predict_messages import MESSAGES

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
    assert common_image_sizes(RESIZE) == SIZES
    shapes = [[(*size, 3)] for size in SIZES] + [[(*SIZES[0], 3)] * count for count in (2, 4)]
    expected = [("insects", "serving_default", images) for images in shapes]
    assert records(write_warmup(tmp_path, "insects", RESIZE)) == expected


def test_one_canvas_needs_one_size() -> None:
    assert common_image_sizes(ResizeConfig(64, 96, is_square=True)) == [(144, 192)]


def test_the_usual_rule_has_seven_canvases() -> None:
    assert len(common_image_sizes(ResizeConfig())) == 7


@pytest.fixture(scope="module")
def version(spread_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Low enough a threshold for boxes in grey images."""
    model = DetectionModel(spread_model, FilterConfig(score_threshold=0.1, max_detections=8))
    return export_saved_model(model, tmp_path_factory.mktemp("served") / "insects")


@pytest.fixture(scope="module")
def signature(version: Path) -> Any:
    loaded = tf.saved_model.load(str(version))
    function = loaded.signatures["serving_default"]
    function.keeps = loaded  # or its variables go
    return function


@pytest.fixture(scope="module")
def requests(version: Path) -> list[Any]:
    """The warm-up as the official classes read it."""
    log = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2", reason="needs tensorflow-serving-api")
    records = tf.data.TFRecordDataset(str(version / "assets.extra" / WARMUP))
    return [log.PredictionLog.FromString(record.numpy()).predict_log.request for record in records]


def test_the_model_answers_its_own_warm_up(signature: Any, requests: list[Any]) -> None:
    """Replayed as the server does: the official classes parse the record, the signature takes the tensor."""
    counts = []
    for request in requests:
        assert request.model_spec.name == "insects"
        answer = signature(image_bytes=tf.constant(tf.make_ndarray(request.inputs["image_bytes"])))
        counts.append(int(answer["num_detections"].shape[0]))
        assert np.isfinite(answer["boxes"]).all()
    assert counts == [1, 1, 1, 2, 4]


def test_a_server_of_the_official_protocol_answers_the_client_as_it_answers_the_warm_up(
    signature: Any, requests: list[Any]
) -> None:
    """What the client sends is what stands in the warm-up, and what it makes of the answer is what the model says."""
    grpc = pytest.importorskip("grpc", reason="needs the extra `grpc`")
    predict = pytest.importorskip("tensorflow_serving.apis.predict_pb2", reason="needs tensorflow-serving-api")
    service = pytest.importorskip("tensorflow_serving.apis.prediction_service_pb2_grpc")
    seen: list[Any] = []

    class Servicer(service.PredictionServiceServicer):
        def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
            seen.append(request)
            answer = signature(image_bytes=tf.constant(tf.make_ndarray(request.inputs["image_bytes"])))
            tensors = {name: tf.make_tensor_proto(value.numpy()) for name, value in answer.items()}
            return predict.PredictResponse(outputs=tensors)

    server = grpc.server(ThreadPoolExecutor(2))
    service.add_PredictionServiceServicer_to_server(Servicer(), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        with grpc.insecure_channel(address) as channel, connect(f"grpc://{address}", "insects") as client:
            stub = service.PredictionServiceStub(channel)
            for request in requests:
                wanted = {name: tf.make_ndarray(value) for name, value in stub.Predict(request).outputs.items()}
                found = client.detect(tf.make_ndarray(request.inputs["image_bytes"]).tolist())
                replayed, asked = seen[-2:]
                assert (asked.model_spec.name, asked.inputs) == (replayed.model_spec.name, replayed.inputs)
                for row, one in enumerate(found):
                    count = int(wanted["num_detections"][row])
                    assert len(one["scores"]) == count > 0
                    for name in ("boxes", "scores", "labels"):
                        np.testing.assert_array_equal(one[name], wanted[name][row, :count])
                    assert one["names"] == [name.decode() for name in wanted["class_names"][row, :count]]
    finally:
        server.stop(None).wait()
