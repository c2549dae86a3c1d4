"""The repository for Triton, from a graph without nodes: only its inputs and outputs are read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from keras_retinanet.serving.kit_triton import write_triton_kit
from keras_retinanet.serving.model_versions import model_source

onnx = pytest.importorskip("onnx", reason="needs the extra `onnx`")


def write_graph(path: Path, has_resize: bool) -> Path:
    """Inputs and outputs of an artefact with ten detections and two classes."""
    of, helper = onnx.TensorProto, onnx.helper.make_tensor_value_info
    images = ("images", of.UINT8, ["batch", "h", "w", 3]) if has_resize else ("images", of.FLOAT, ["batch", 64, 64, 3])
    inputs = [images] if has_resize else [images, ("sizes", of.FLOAT, ["batch", 2])]
    outputs = [
        ("boxes", of.FLOAT, ["batch", 10, 4]),
        ("deltas", of.FLOAT, ["batch", "anchors", 4]),
        ("labels", of.INT32, ["batch", 10]),
        ("num_detections", of.INT32, ["batch"]),
        ("scores", of.FLOAT, ["batch", 10]),
    ]
    graph = onnx.helper.make_graph([], "g", [helper(*one) for one in inputs], [helper(*one) for one in outputs])
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(onnx.helper.make_model(graph), str(path))
    return path


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    return write_triton_kit(tmp_path / "kit", write_graph(tmp_path / "insects.onnx", True), ["ant", "bee"])


def test_the_configuration_names_inputs_and_detections(kit: Path) -> None:
    text = (kit / "model_repository/insects/config.pbtxt").read_text()
    assert re.findall(r"^(?:input|output) (\{.*\})$", text, re.MULTILINE) == [
        '{ name: "images" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] }',
        '{ name: "boxes" data_type: TYPE_FP32 dims: [ 10, 4 ] }',
        '{ name: "labels" data_type: TYPE_INT32 dims: [ 10 ] }',
        '{ name: "num_detections" data_type: TYPE_INT32 dims: [ 1 ] reshape { shape: [ ] } }',
        '{ name: "scores" data_type: TYPE_FP32 dims: [ 10 ] }',
    ]


def test_tritons_own_parser_reads_it(kit: Path) -> None:
    pb2 = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="needs tritonclient[grpc]")
    from google.protobuf import text_format

    config = text_format.Parse((kit / "model_repository/insects/config.pbtxt").read_text(), pb2.ModelConfig())
    assert (config.name, config.backend, config.max_batch_size) == ("insects", "onnxruntime", 8)
    assert [list(one.dims) for one in config.input] == [[-1, -1, 3]]
    assert config.output[2].HasField("reshape")
    assert config.dynamic_batching.default_queue_policy.max_queue_size == 256
    assert config.version_policy.latest.num_versions == 1


def test_a_resized_input_has_its_sizes(tmp_path: Path) -> None:
    kit = write_triton_kit(tmp_path / "kit", write_graph(tmp_path / "m.onnx", False), ["ant"])
    text = (kit / "model_repository/m/config.pbtxt").read_text()
    assert 'input { name: "images" data_type: TYPE_FP32 dims: [ 64, 64, 3 ] }' in text
    assert 'input { name: "sizes" data_type: TYPE_FP32 dims: [ 2 ] }' in text
    assert "convert with `--with-resize`" in (kit / "README.md").read_text()


def test_the_next_call_adds_a_version_which_our_server_finds_too(kit: Path, tmp_path: Path) -> None:
    write_triton_kit(kit, tmp_path / "insects.onnx", ["ant", "bee"])
    folder = kit / "model_repository/insects"
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2", "config.pbtxt"]
    assert (folder / "2/model.onnx").read_bytes() == (tmp_path / "insects.onnx").read_bytes()
    assert model_source(str(folder)).newest().number == 2


def test_compose_and_manifests_name_the_same_server(kit: Path) -> None:
    (service,) = yaml.safe_load((kit / "compose.yaml").read_text())["services"].values()
    deployment: Any = next(iter(yaml.safe_load_all((kit / "kubernetes.yaml").read_text())))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert (service["image"], service["command"]) == (container["image"], container["args"])
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert (kit / service["volumes"][0]["source"] / "insects/config.pbtxt").is_file()
    predictor = yaml.safe_load((kit / "kserve.yaml").read_text())["spec"]["predictor"]["model"]
    assert (predictor["runtime"], predictor["storageUri"]) == ("kserve-tritonserver", "pvc://insects-models")
    assert json.dumps(service["command"][1]) == '"--model-repository=/models"'


def test_a_name_that_cannot_stand_in_a_url(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="called 'my model'"):
        write_triton_kit(tmp_path / "kit", write_graph(tmp_path / "my model.onnx", True), ["ant"])
