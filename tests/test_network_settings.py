"""The settings of TensorFlow's and KerasCV's detectors and of ResNeXts: saved, exported, trained, on every backend."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import keras
import numpy as np
import pytest

from keras_retinanet import DetectionModel, build, load_model
from keras_retinanet.backbones.resnet import ResNetVariant, build_resnet
from keras_retinanet.config import AnchorConfig, ExportConfig, ExportFormat, FilterConfig, ModelConfig, ResizeConfig
from keras_retinanet.export import FORMATS, Verification
from keras_retinanet.model.retinanet import RetinaNet

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]
SMALL: dict[str, Any] = {
    "backbone": "resnet10_050",
    "weights": "none",
    "fpn_width": 8,
    "head_width": 8,
    "head_depth": 1,
}
OBJECT_DETECTION: dict[str, Any] = {
    "p6_source": "P5", "stride_padding": "same", "has_relu_before_p7": False, "head_norm": "batch", "fpn_norm": "batch",
    "has_fpn_bias": False, "has_fpn_activation": True, "fpn_carried": "output", "has_top_output": False,
    "extra_input": "finished", "activation": "relu6",
}  # fmt: skip
NETWORKS: dict[str, dict[str, Any]] = {
    "object_detection": {
        "model": ModelConfig(
            **SMALL, **OBJECT_DETECTION, is_fpn_separable=True, is_head_separable=True, has_shared_tower=True
        ),
        "anchors": AnchorConfig(offset_rule="divisible", scales=(1.0, 1.5)),
        "resize": ResizeConfig(shape=(96, 160), shape_mode="stretch", method="tf1"),
        "filter": FilterConfig(0.05, 0.6, 20, clip="after_nms", drop_empty=True, max_per_class=6, counts_empty=False),
        "backbone_options": {"pool_padding": "same", "epsilon": 1e-3, "activation": "relu6"},
    },
    "model_garden": {
        "model": ModelConfig(
            **SMALL, p6_source="P5", stride_padding="same", head_norm="batch", has_head_bias=True, fpn_norm="batch",
            activation="swish",
        ),
        "resize": ResizeConfig(shape=(100, 150), rounding="even", method="float", pad_multiple=128),
        "filter": FilterConfig(0.05, 0.5, 20, 50, clip_frame="shape", top_k_scope="class", max_per_class=6),
        "backbone_options": {
            "stem_padding": "same", "pool_padding": "same", "block_padding": "same", "activation": "swish",
            "has_first_projection": True,
        },
    },
    "resnext_and_clipped_anchors": {
        "model": ModelConfig(**SMALL), "anchors": AnchorConfig(is_clipped=True),
        "resize": ResizeConfig(shape=(96, 128), shape_mode="stretch", method="float"),
    },
}  # fmt: skip


def make(name: str) -> RetinaNet:
    """A network with answers worth comparing."""
    keras.utils.set_random_seed(3)
    model = build(**NETWORKS[name], class_names=["ant", "bee"])
    if name.startswith("resnext"):
        variant = ResNetVariant("3x3", groups=4, group_width=4)
        backbone = build_resnet("small", (1, 1, 1, 1), variant, has_bottlenecks=True, width=8)
        model = model.replaced(backbone=backbone, neck=model.neck.from_config(model.neck.get_config()))
    for head, spread in ((model.class_head, 0.5), (model.box_head, 0.1)):
        for weight in head.predictors[0].weights[:-1]:
            weight.assign(spread * np.random.default_rng(1).standard_normal(weight.shape))
        head.predictors[0].bias.assign(np.zeros(head.predictors[0].bias.shape))
    for weight in model.weights:
        if weight.name in ("moving_mean", "beta"):
            weight.assign(0.2 * np.random.default_rng(2).standard_normal(weight.shape))
    return model


@pytest.fixture(scope="module", params=NETWORKS)
def named(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RetinaNet, Path]]:
    path = tmp_path_factory.mktemp(request.param) / "model.keras"
    model = make(request.param)
    model.save(path)
    yield model, path
    keras.backend.clear_session()


IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 96, 160, 3)).astype(np.float32)
PHOTO = np.random.default_rng(1).integers(0, 256, (70, 110, 3), np.uint8)


@pytest.mark.parametrize("name", get_args(ExportFormat))
def test_every_format_answers_as_the_snapshot(
    name: ExportFormat, named: tuple[RetinaNet, Path], tmp_path: Path
) -> None:
    """`Verification` raises where raw outputs or detections differ by more than the format's tolerance."""
    if name == "openvino":
        pytest.importorskip("openvino")
    model = load_model(named[1])
    for key, value in named[0](IMAGES, training=False).items():
        if key != "anchors":
            np.testing.assert_array_equal(model(IMAGES, training=False)[key], value)
    assert DetectionModel(model)(IMAGES)["num_detections"].numpy().min() > 3
    check = Verification(name, DetectionModel(model), "float32", [PHOTO])
    out = {"keras": "a.keras", "onnx": "a.onnx", "litert": "a.tflite"}.get(name, "folder")
    FORMATS[name](DetectionModel(model), tmp_path / out, ExportConfig(), check)
    assert 0 <= check.agreement.raw < 1e-2


def targets() -> dict[str, np.ndarray]:
    boxes = np.array([[[10, 8, 42, 40], [50, 20, 90, 60]], [[5, 5, 60, 50], [0, 0, 0, 0]]], np.float32)
    return {
        "boxes": boxes, "labels": np.array([[0, 1], [1, -1]], np.int32), "ignore": np.zeros((2, 2), bool),
        "size": np.array([[96, 160], [90, 150]], np.float32), "image_index": np.arange(2, dtype=np.int32),
    }  # fmt: skip


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_of_training_under_every_policy(policy: str, name: str) -> None:
    keras.config.set_dtype_policy(policy)
    try:
        model = make(name)
    finally:
        keras.config.set_dtype_policy("float32")
    optimizer: Any = keras.optimizers.SGD(1e-4)
    if policy == "mixed_float16":  # Keras begins with a scale of 2^15, of which the first steps of a run may be lost
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=8.0)
    model.compile(optimizer, run_eagerly=True)
    before = [np.asarray(weight.value) for weight in model.trainable_weights]
    losses = model.train_on_batch(IMAGES, targets(), return_dict=True)
    assert all(np.isfinite(value) for value in losses.values())
    is_moved = [(np.asarray(w.value) != old).any() for w, old in zip(model.trainable_weights, before, strict=True)]
    assert np.mean(is_moved) > 0.8


RUN = """
import sys
import keras, numpy as np
sys.path.insert(0, sys.argv[3])
import keras_retinanet
data = np.load(sys.argv[2])
model = keras_retinanet.load_model(sys.argv[1])
raw = model.predict(data["images"], verbose=0)
model.compile(keras.optimizers.SGD(1e-4))
targets = {name: data[name] for name in ("boxes", "labels", "ignore", "size", "image_index")}
loss = model.train_on_batch(data["images"], targets, return_dict=True)["loss"]
np.savez(sys.argv[2], **data, **{f"found_{name}": value for name, value in raw.items()}, loss=loss)
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_answer_and_train_alike(backend: str, named: tuple[RetinaNet, Path], tmp_path: Path) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    np.savez(tmp_path / "data.npz", images=IMAGES, **targets())
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(named[1]), str(tmp_path / "data.npz"), str(ROOT)],
        capture_output=True, text=True, check=False,
        env=os.environ | {"KERAS_BACKEND": backend, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = np.load(tmp_path / "data.npz")
    model = load_model(named[1])
    for name, value in model.predict(IMAGES, verbose=0).items():
        np.testing.assert_allclose(found[f"found_{name}"], value, atol=1e-3 * np.abs(value).max())
    model.compile(keras.optimizers.SGD(1e-4), run_eagerly=True)
    own = model.train_on_batch(IMAGES, targets(), return_dict=True)["loss"]
    np.testing.assert_allclose(found["loss"], own, rtol=1e-3)
