"""Files for Triton Inference Server: a repository with the ONNX model, its configuration, and manifests."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_retinanet.runtimes.runtime import DETECTIONS
from keras_retinanet.serving.kit import check_name, new_version
from keras_retinanet.serving.manifests import MODELS, ServerSpec, storage, write_compose, write_manifests

IMAGE = "nvcr.io/nvidia/tritonserver:25.06-py3"
"""The server's container image, whose ONNX Runtime knows opset 18."""
REPOSITORY = "model_repository"
"""Folder of the models, in the kit."""
_TYPES = {1: "TYPE_FP32", 2: "TYPE_UINT8", 6: "TYPE_INT32"}  # of onnx.TensorProto

_CONFIG = """\
# Read by Triton. A new version is a folder beside "1"; it is loaded with --model-control-mode=poll.
name: "{name}"
backend: "onnxruntime"
max_batch_size: 8
{tensors}
# Requests of one shape share a batch; those that wait for longer than ten seconds are refused.
dynamic_batching {{
  max_queue_delay_microseconds: 5000
  default_queue_policy {{
    timeout_action: REJECT
    default_timeout_microseconds: 10000000
    max_queue_size: 256
  }}
}}
version_policy {{ latest {{ num_versions: 1 }} }}
"""

_README = """\
# {name} on Triton Inference Server

Classes, in the order of the labels: {classes}.

```sh
docker compose up
curl http://127.0.0.1:8000/v2/health/ready
```

| input | is |
|---|---|
{inputs}

Outputs are `boxes (B, D, 4)` x1, y1, x2, y2, `scores (B, D)`, `labels (B, D)`, padded with -1, and
`num_detections (B, 1)`.
{hint}

```python
import numpy as np
import tritonclient.http as triton
from PIL import Image, ImageOps

pixels = np.asarray(ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGB"))[None]
tensor = triton.InferInput("images", pixels.shape, "UINT8")
tensor.set_data_from_numpy(pixels)
with triton.InferenceServerClient("127.0.0.1:8000") as client:
    answer = client.infer("{name}", [tensor])
print(answer.as_numpy("boxes"))
```

`kubernetes.yaml` runs Triton in Kubernetes, `kserve.yaml` in KServe, and `retinanet-serve.yaml` this package's own
server, which takes the folder `{repository}/{name}` as it is.
"""
_RESIZES = "Images have any size; boxes are in their pixels."
_RESIZED = (
    "Images are float32, resized and padded, with their `sizes`: convert with `--with-resize` to send images as they "
    "are, as the example does."
)


def write_triton_kit(out: Path, model: Path, class_names: Sequence[str]) -> Path:
    """Writes a model repository and files to start Triton.

    Args:
        out: Folder of the files, created if absent; the model becomes the next version in it.
        model: The ONNX file.
        class_names: Names of the labels.

    Returns:
        The folder.

    Raises:
        ValueError: The name of the file is not valid in a URL.
    """
    import onnx

    name = check_name(model.stem)
    graph = onnx.load(str(model), load_external_data=False).graph
    folder = out / REPOSITORY / name
    with new_version(folder) as version:
        shutil.copyfile(model, version / "model.onnx")
        (folder / "config.pbtxt").write_text(_CONFIG.format(name=name, tensors=_tensors(graph)), encoding="utf-8")
    command = ("tritonserver", f"--model-repository={MODELS}", "--model-control-mode=poll")
    inputs = {value.name: _shape(value) for value in graph.input}
    words = {
        "name": name,
        "repository": REPOSITORY,
        "classes": ", ".join(f"`{own}`" for own in class_names),
        "inputs": "\n".join(f"| `{own}` | {shape} |" for own, shape in inputs.items()),
        "hint": _RESIZED if "sizes" in inputs else _RESIZES,
    }
    (out / "README.md").write_text(_README.format(**words), encoding="utf-8")
    server = ServerSpec(IMAGE, command, 8000, "/v2/health/live", "/v2/health/ready")
    write_compose(out, name, server, REPOSITORY, {8000: "HTTP", 8001: "gRPC", 8002: "metrics"})
    write_manifests(out, name, server, _predictor(name))
    return out


def _predictor(name: str) -> dict[str, Any]:
    return {
        "modelFormat": {"name": "onnx"},
        "runtime": "kserve-tritonserver",
        "protocolVersion": "v2",
        "storageUri": storage(name),
    }


def _tensors(graph: Any) -> str:
    lines = [f"input {_tensor(value)}" for value in graph.input]
    return "\n".join(lines + [f"output {_tensor(value)}" for value in graph.output if value.name in DETECTIONS])


def _tensor(value: Any) -> str:
    """One entry; the batch is not among its dims, and one number per image is a vector of one for clients."""
    dims = [side.dim_value or -1 for side in value.type.tensor_type.shape.dim][1:]
    kind = _TYPES[value.type.tensor_type.elem_type]
    shape = f"dims: [ {', '.join(map(str, dims))} ]" if dims else "dims: [ 1 ] reshape { shape: [ ] }"
    return f'{{ name: "{value.name}" data_type: {kind} {shape} }}'


def _shape(value: Any) -> str:
    sides = [str(side.dim_value or side.dim_param) for side in value.type.tensor_type.shape.dim]
    return f"`({', '.join(sides)})` {_TYPES[value.type.tensor_type.elem_type].removeprefix('TYPE_').lower()}"
