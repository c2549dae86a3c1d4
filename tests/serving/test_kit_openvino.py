"""The model for OpenVINO Model Server: a graph whose outputs tell which colour came first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from keras_retinanet.config import FilterConfig, ResizeConfig
from keras_retinanet.runtimes import Description
from keras_retinanet.runtimes.description import DESCRIPTION_KEY
from keras_retinanet.serving.kit_openvino import write_openvino_kit

openvino = pytest.importorskip("openvino", reason="needs the extra `openvino`")


def write_artefact(folder: Path, has_resize: bool = True) -> Path:
    """`scores` are the mean of each channel of the image, in its order; `deltas` must not come through."""
    from openvino import opset13 as ops

    images = ops.parameter([-1, -1, -1, 3], openvino.Type.u8, name="images")
    means = ops.reduce_mean(ops.convert(images, "f32"), ops.constant([1, 2]), False)
    outputs = []
    for name in ("scores", "deltas"):
        node = ops.multiply(means, ops.constant(np.float32(1)))
        node.output(0).get_tensor().set_names({name})
        outputs.append(node)
    images.output(0).get_tensor().set_names({"images"})
    graph = openvino.Model(outputs, [images], "detector")
    described = Description(
        ("ant", "bee"), ResizeConfig(32, 64), (0.0, 0.0, 0.0), FilterConfig(), None, has_resize=has_resize
    )
    graph.set_rt_info(described.to_json(), DESCRIPTION_KEY)
    folder.mkdir(parents=True)
    openvino.save_model(graph, folder / "model.xml", compress_to_fp16=False)
    return folder


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    return write_openvino_kit(tmp_path / "kit", write_artefact(tmp_path / "insects"), ["ant", "bee"])


def test_the_model_takes_what_the_server_decodes(kit: Path) -> None:
    """Blue first, as the server has it: the network sees red first."""
    from keras_retinanet.runtimes.openvino_folder import shared_core

    graph = shared_core().read_model(kit / "models/insects/1/model.xml")
    assert [one.get_any_name() for one in graph.inputs] == ["image_bytes"]
    assert [one.get_any_name() for one in graph.outputs] == ["scores"]
    compiled = shared_core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    image = np.broadcast_to(np.array([3, 20, 100], np.uint8), (1, 5, 7, 3))
    np.testing.assert_allclose(compiled(image.copy())[0], [[100, 20, 3]], rtol=1e-6)


def test_the_configuration_says_how_to_compute(kit: Path) -> None:
    (entry,) = json.loads((kit / "models/config.json").read_text())["model_config_list"]
    assert entry["config"] == {
        "name": "insects",
        "base_path": "/models/insects",
        "plugin_config": {"INFERENCE_PRECISION_HINT": "f32"},
        "model_version_policy": {"latest": {"num_versions": 1}},
    }
    (service,) = yaml.safe_load((kit / "compose.yaml").read_text())["services"].values()
    assert "--config_path=/models/config.json" in service["command"]
    assert (kit / service["volumes"][0]["source"] / "config.json").is_file()


def test_our_client_reads_the_reply_of_a_server_without_names(kit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's snippet, with a transport that answers in columns, as the server does."""
    from keras_retinanet.serving.rest_transport import RestTransport

    asked: list[Any] = []

    def predict(self: Any, files: Any) -> dict[str, Any]:
        asked.append((self._path if hasattr(self, "_path") else "", files))
        return {"boxes": [[[1, 2, 3, 4], [-1] * 4]], "scores": [[0.5, -1]], "labels": [[1, -1]], "num_detections": [1]}

    monkeypatch.setattr(RestTransport, "predict", predict)
    snippet = (kit / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    shown: list[Any] = []
    picture = kit / "photo.jpg"
    picture.write_bytes(b"\xff\xd8\xff")
    monkeypatch.chdir(kit)
    exec(compile(snippet, "README.md", "exec"), {"print": lambda *words: shown.append(words)})
    assert shown[0][0] == ["bee"]
    assert asked[0][1] == [b"\xff\xd8\xff"]


def test_what_cannot_be_served_is_refused(tmp_path: Path) -> None:
    artefact = write_artefact(tmp_path / "m", has_resize=False)
    with pytest.raises(ValueError, match="takes images that are resized already; convert with --with-resize"):
        write_openvino_kit(tmp_path / "kit", artefact, ["ant"])
