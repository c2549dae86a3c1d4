"""Models, images and expected answers for the benchmarks of `retinanet-serve`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SIZES = ((120, 160), (160, 120), (96, 144), (108, 192), (192, 108), (128, 128))
CLIENT_TIMEOUT = 5  # seconds after which the server gives up on a slow body
REQUEST_MB = 4


def make_models(folder: Path, count: int) -> list[Path]:
    """Small ONNX detectors (MobileNet 0.25, 64 pixels), whose random scores lie on both sides of their threshold."""
    import keras

    from keras_retinanet import DetectionModel, build
    from keras_retinanet.cli import convert_model
    from keras_retinanet.config import AnchorConfig, FilterConfig, ModelConfig, ResizeConfig

    paths = []
    noise = np.stack([image[:64, :64] for image in make_images(8)]).astype(np.float32)
    for seed in range(count):
        keras.utils.set_random_seed(seed)
        model = build(
            ModelConfig("mobilenet_025", "none", 3, 5, fpn_width=32, head_width=32, head_depth=1),
            class_names=["ant", "bee"],
            anchors=AnchorConfig((16.0, 32.0, 64.0), (8, 16, 32)),
            resize=ResizeConfig(64, 64),
        )
        final = model.class_head.predictors[0]
        kernel, bias = final.get_weights()
        kernel = np.random.default_rng(seed).normal(0, 1, kernel.shape)
        final.set_weights([kernel, 0 * bias])
        spread = float(np.std(model.predict(noise, verbose=0)["logits"]))
        final.set_weights([1.5 / spread * kernel, 0 * bias])
        snapshot, path = folder / f"{seed}.keras", folder / f"{seed}.onnx"
        DetectionModel(model, FilterConfig(score_threshold=0.5, max_detections=10)).save(snapshot)
        if convert_model.main([str(snapshot), str(path), "--format", "onnx"]):
            raise SystemExit("the model could not be exported")
        paths.append(path)
    return paths


def make_images(count: int) -> list[np.ndarray]:
    """Coarse noise in several shapes."""
    rng = np.random.default_rng(0)
    images = []
    for index in range(count):
        height, width = SIZES[index % len(SIZES)]
        coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
        images.append(np.kron(coarse, np.ones((8, 8, 1), np.uint8))[:height, :width])
    return images


def is_same(answer: dict[str, Any], found: dict[str, Any]) -> bool:
    """Whether a row of a reply is what the runtime found."""
    count = len(found["scores"])
    return (
        answer["num_detections"] == count
        and answer["labels"][:count] == found["labels"].tolist()
        and np.allclose(answer["scores"][:count], found["scores"], atol=1e-3)
        and np.allclose(np.reshape(answer["boxes"][:count], (-1, 4)), found["boxes"], atol=0.5)
    )


def is_alike(answer: dict[str, Any], found: dict[str, Any], most: int = 5) -> bool:
    """Whether the best detections of either side stand on the other, wherever: rounding changes their order.

    One may be missing: of two that are nearly equal, suppression keeps the other.
    """
    count = answer["num_detections"]
    given = {name: np.array(answer[name][:count]) for name in found}
    for one, other in ((given, found), (found, given)):
        missing = 0
        for box, score, label in zip(one["boxes"][:most], one["scores"][:most], one["labels"][:most], strict=True):
            near = (np.abs(other["scores"] - score) < 0.02) & (other["labels"] == label)
            missing += not np.any(near & (np.abs(other["boxes"].reshape(-1, 4) - box).max(axis=1) < 0.5))
        if missing > 1:
            return False
    return True


def expected_answers(model: Path, images: list[np.ndarray], compare: Callable[..., bool]) -> list[Any]:
    """The answer for each image, all different from each other."""
    from keras_retinanet.runtimes import open_runtime

    runtime = open_runtime(model)
    found = [runtime.detect([image])[0] for image in images]
    rows = [{**{name: one[name].tolist() for name in one}, "num_detections": len(one["scores"])} for one in found]
    for i, row in enumerate(rows):
        if twins := [j for j, other in enumerate(found) if j != i and compare(row, other)]:
            raise SystemExit(f"images {i} and {twins[0]} have the same answer; take a model that finds more in noise")
    return found


def start_server(model: Path, flags: list[str]) -> tuple[subprocess.Popen[str], str, list[int]]:
    """The server's process, its URL once it is ready, and a list that grows by one a line of its log."""
    words = [sys.executable, str(ROOT / "bin" / "retinanet-serve"), str(model), "--port", "0", "--name", "load"]
    words += ["--client-timeout", str(CLIENT_TIMEOUT), "--max-request-mb", str(REQUEST_MB), *flags]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    output = []
    for line in process.stderr:
        output.append(line)
        if found := re.search(r"ready: .* on (http://\S+)", line):
            lines: list[int] = []
            threading.Thread(target=count_lines, args=(process.stderr, lines), daemon=True).start()
            return process, found.group(1), lines
    raise SystemExit(f"the server did not start:\n{''.join(output)}")


def count_lines(stream: Any, lines: list[int]) -> None:
    for _ in stream:
        lines.append(1)
