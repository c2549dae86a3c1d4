"""Files for TensorFlow Serving in addition to the model: configuration, start script, sample requests."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_retinanet.extras import install_hint
from keras_retinanet.serving.manifests import MODELS, ServerSpec, storage, write_manifests
from keras_retinanet.serving.model_versions import NAME
from keras_retinanet.serving.predict_messages import IMAGES, SIGNATURE

IMAGE = "tensorflow/serving:2.21.0"
"""The server's container image: the TensorFlow version that wrote the model, or a newer one."""

_MODELS = """\
# Read by the server with --model_config_file. Of the versions below base_path the highest is served; a new one is
# found within --file_system_poll_wait_seconds.
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
  }}
}}
"""

_BATCHING = """\
# Read by the server with --enable_batching --batching_parameters_file. Requests are put into one batch of one shape:
# an image that cannot be decoded then fails the others of its batch, and the padding moves scores in the last digits.
max_batch_size { value: 8 }
batch_timeout_micros { value: 5000 }
max_enqueued_batches { value: 100 }
num_batch_threads { value: 2 }
"""

_COMPOSE = """\
# docker compose up. Listens on this machine only: it has no authentication. Put a proxy with TLS in front of it.
services:
  {name}:
    image: {image}
    command:
      - --model_config_file=/kit/models.config
      - --file_system_poll_wait_seconds=10
      # Batches across requests; read batching_parameters.txt before you turn them on.
      # - --enable_batching=true
      # - --batching_parameters_file=/kit/batching_parameters.txt
    ports:
      - "127.0.0.1:8500:8500"  # gRPC
      - "127.0.0.1:8501:8501"  # REST
    volumes:
      - type: bind
        source: {models}
        target: /models/{name}
        read_only: true
      - type: bind
        source: .
        target: /kit
        read_only: true
    restart: unless-stopped
"""

_RUN = """\
#!/bin/sh
# The same without compose. Listens on this machine only.
set -eu
cd "$(dirname "$0")"
exec docker run --rm -p 127.0.0.1:8500:8500 -p 127.0.0.1:8501:8501 \\
  -v "$(cd {models} && pwd):/models/{name}:ro" -v "$PWD:/kit:ro" \\
  {image} --model_config_file=/kit/models.config --file_system_poll_wait_seconds=10 "$@"
"""

_README = """\
# {name} on TensorFlow Serving

| file | is |
|---|---|
| `models.config` | which model is served, under which name |
| `batching_parameters.txt` | batches across requests; not in use until its two flags are given |
| `kubernetes.yaml`, `kserve.yaml` | the server in Kubernetes, and in KServe |
| `retinanet-serve.yaml` | this package's own server in Kubernetes |
| `compose.yaml`, `run.sh` | the server in a container, on this machine's ports 8500 (gRPC) and 8501 (REST) |

Classes, in the order of the labels: {classes}.

## Start

```sh
docker compose up        # or: sh run.sh
curl http://127.0.0.1:8501/v1/models/{name}
```

The model says `AVAILABLE` once it has replayed its warm-up requests. A new version that appears beside the present one
is loaded by itself. Batches across requests: uncomment their two lines in `compose.yaml`, or

```sh
sh run.sh --enable_batching=true --batching_parameters_file=/kit/batching_parameters.txt
```

## Ask by REST

```sh
(printf '{{"instances": [{{"b64": "'; base64 < photo.jpg | tr -d '\\n'; printf '"}}]}}') |
  curl -d @- http://127.0.0.1:8501/v1/models/{name}:predict
```

From Python, with nothing but this package:

```python
from keras_retinanet.serving_client import connect

with connect("http://127.0.0.1:8501", model="{name}") as client:
    for found in client.detect(["photo.jpg"]):
        print(found["names"], found["scores"], found["boxes"])
```

## Ask by gRPC

The same with `connect("grpc://127.0.0.1:8500", model="{name}")`, after {install_grpc}. With
`tensorflow-serving-api` instead:

```python
from pathlib import Path

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

request = predict_pb2.PredictRequest()
request.model_spec.name = "{name}"
request.model_spec.signature_name = "{signature}"
request.inputs["{images}"].CopyFrom(tf.make_tensor_proto([Path("photo.jpg").read_bytes()]))
with grpc.insecure_channel("127.0.0.1:8500") as channel:
    answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=30)
print(tf.make_ndarray(answer.outputs["boxes"]))
```

## Signatures

| name | input |
|---|---|
| `{signature}` | `{images} (B,)`: image files |
| `tf_example` | `examples (B,)`: serialised `tf.train.Example`s, the file in `image/encoded` |
| `image_tensor` | `images (B, H, W, 3)` uint8, RGB |
| `raw_outputs` | `images (B, H, W, 3)` float32, the network's input |

The first three answer `boxes (B, D, 4)` x1, y1, x2, y2 in pixels of each image, `scores (B, D)`, `labels (B, D)`,
`class_names (B, D)` and `num_detections (B,)`; what is beyond `num_detections` is padding.
"""


def served_name(model: Path) -> str:
    """The name of a model on the server.

    Args:
        model: Folder of the model, with the versions in it.

    Returns:
        The folder's name.

    Raises:
        ValueError: The name is not valid in a URL.
    """
    return check_name(model.resolve().name)


def check_name(name: str) -> str:
    """Checks the name of an artefact.

    Args:
        name: That of its file or folder.

    Returns:
        The name.

    Raises:
        ValueError: It is not valid in a URL.
    """
    if not NAME.fullmatch(name):
        raise ValueError(
            f"The model's folder is called {name!r}, which becomes its name on the server; "
            "rename it to letters, digits, '.', '_' and '-'."
        )
    return name


def next_version(folder: Path) -> int:
    """The number of the next version in a folder.

    Args:
        folder: Folder of the versions; it need not exist.

    Returns:
        One more than the highest.
    """
    numbers = (int(found.name) for found in folder.glob("*") if found.name.isdecimal())
    return max(numbers, default=0) + 1


@contextlib.contextmanager
def new_version(folder: Path) -> Iterator[Path]:
    """A folder that becomes the next version once it is complete, since a server may look for versions at any time.

    Args:
        folder: Folder of the versions, created if absent.

    Yields:
        An empty folder, removed if the block fails.
    """
    number = next_version(folder)
    hidden = folder / f".{number}.part"
    shutil.rmtree(hidden, ignore_errors=True)  # of a process that was killed
    hidden.mkdir(parents=True)
    try:
        yield hidden
        hidden.rename(folder / str(number))
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def write_kit(out: Path, version: Path, class_names: Sequence[str]) -> Path:
    """Writes files to start TensorFlow Serving and to send it requests.

    Args:
        out: Folder of the files, created if absent; files of the same names are replaced.
        version: Folder of the exported version, `…/NAME/N`.
        class_names: Names of the labels.

    Returns:
        The folder.

    Raises:
        ValueError: The name of the model's folder is not valid in a URL.
    """
    name = served_name(version.parent)
    out.mkdir(parents=True, exist_ok=True)
    models = Path(os.path.relpath(version.resolve().parent, out.resolve())).as_posix()
    models = models if models.startswith(".") else f"./{models}"
    words = {
        "name": name,
        "image": IMAGE,
        "signature": SIGNATURE,
        "images": IMAGES,
        "classes": ", ".join(f"`{own}`" for own in class_names),
        "install_grpc": install_hint("grpc"),
    }
    files = {
        "models.config": _MODELS.format(**words),
        "batching_parameters.txt": _BATCHING,
        "compose.yaml": _COMPOSE.format(models=json.dumps(models).replace("$", "$$"), **words),  # else a variable
        "run.sh": _RUN.format(models=shlex.quote(models), **words),
        "README.md": _README.format(**words),
    }
    for file, text in files.items():
        (out / file).write_text(text, encoding="utf-8")
    write_manifests(out, name, _server(name), _predictor(name))
    return out


def _server(name: str) -> ServerSpec:
    arguments = (f"--model_name={name}", f"--model_base_path={MODELS}/{name}", "--rest_api_port=8501")
    state = f"/v1/models/{name}"
    return ServerSpec(IMAGE, arguments, 8501, state, state)


def _predictor(name: str) -> dict[str, Any]:
    return {
        "modelFormat": {"name": "tensorflow"},
        "protocolVersion": "v1",
        "storageUri": f"{storage(name)}/{name}",
    }
