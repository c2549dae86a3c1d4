"""Files for OpenVINO Model Server: the model as it reads image files, its configuration, and manifests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from keras_retinanet.runtimes.openvino_folder import HINT, HINTS, MODEL, OpenVinoRuntime, shared_core
from keras_retinanet.runtimes.runtime import DETECTIONS
from keras_retinanet.serving.kit import check_name, new_version
from keras_retinanet.serving.manifests import MODELS, ServerSpec, write_compose, write_manifests
from keras_retinanet.serving.predict_messages import IMAGES

IMAGE = "openvino/model_server:2025.2"
"""The server's container image."""
_FOLDER = "models"

_README = """\
# {name} on OpenVINO Model Server

```sh
docker compose up
curl http://127.0.0.1:8501/v2/models/{name}/ready
```

The server decodes JPEG and PNG files (without their EXIF orientation) and speaks TensorFlow Serving's REST API:

```python
from keras_retinanet.serving_client import connect

with connect("http://127.0.0.1:8501", model="{name}", class_names={classes}) as client:
    for found in client.detect(["photo.jpg"]):
        print(found["names"], found["scores"], found["boxes"])
```

Outputs are `boxes (B, D, 4)` x1, y1, x2, y2 in pixels of the file, `scores (B, D)`, `labels (B, D)`, padded with -1,
and `num_detections (B,)`. The model is the artefact with its input in the colours in which the server decodes files,
BGR, and without the raw outputs.

`kubernetes.yaml` runs the server in Kubernetes, `kserve.yaml` in KServe, and `retinanet-serve.yaml` this package's own
server: give it the artefact itself, not this copy of it.
"""


def write_openvino_kit(out: Path, model: Path, class_names: Sequence[str]) -> Path:
    """Writes a model for OpenVINO Model Server and files to start it.

    Args:
        out: Folder of the files, created if absent; the model becomes the next version in it.
        model: Folder of an artefact with `--with-resize`.
        class_names: Names of the labels.

    Returns:
        The folder.

    Raises:
        ValueError: The artefact does not resize images, or its name is not valid in a URL.
    """
    name = check_name(model.resolve().name)
    described = OpenVinoRuntime(model).description
    if not described.has_resize:
        raise ValueError(f"{str(model)!r} takes images that are resized already; convert with --with-resize.")
    with new_version(out / _FOLDER / name) as version:
        _write_model(model, version)
    (out / _FOLDER / "config.json").write_text(_config(name, HINTS[described.dtype]), encoding="utf-8")
    command = (f"--config_path={MODELS}/config.json", "--port=8500", "--rest_port=8501")
    readme = _README.format(name=name, classes=json.dumps(list(class_names)))
    (out / "README.md").write_text(readme, encoding="utf-8")
    server = ServerSpec(IMAGE, command, 8501, "/v2/health/live", "/v2/health/ready")
    write_compose(out, name, server, _FOLDER, {8500: "gRPC", 8501: "REST"})
    write_manifests(out, name, server, None)
    return out


def _config(name: str, hint: str) -> str:
    config = {
        "name": name,
        "base_path": f"{MODELS}/{name}",
        "plugin_config": {HINT: hint},
        "model_version_policy": {"latest": {"num_versions": 1}},
    }
    return json.dumps({"model_config_list": [{"config": config}]}, indent=2) + "\n"


def _write_model(model: Path, version: Path) -> None:
    """Writes the graph with files' colours and without raw outputs, which would be thousands of numbers in JSON."""
    import openvino
    from openvino.preprocess import ColorFormat, PrePostProcessor

    graph = shared_core().read_model(model / MODEL)
    kept = [output.get_node() for output in graph.outputs if output.get_any_name() in DETECTIONS]
    graph = openvino.Model(kept, graph.get_parameters(), graph.get_friendly_name())
    steps = PrePostProcessor(graph)
    steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    steps.input().tensor().set_color_format(ColorFormat.BGR)
    steps.input().model().set_layout(openvino.Layout("NHWC"))
    steps.input().preprocess().convert_color(ColorFormat.RGB)
    graph = steps.build()
    graph.inputs[0].set_names({IMAGES})
    openvino.save_model(graph, version / MODEL, compress_to_fp16=False)
