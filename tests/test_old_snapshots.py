"""Files written by older code open and answer as before; `fixtures/snapshots/write.py` wrote them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from keras_retinanet.cli.train import parse
from keras_retinanet.config import AssignerConfig, FilterConfig, LossConfig, ResizeConfig, to_dict
from keras_retinanet.config.aliases import current_name

FIXTURES = Path(__file__).parent / "fixtures"
SNAPSHOTS = FIXTURES / "snapshots"
RUN_CONFIG = FIXTURES / "runs" / "e773a86" / "config.yaml"

# The package imported before the first function of Keras; what opens a path.
OPENERS = {
    "load_model": ("keras_retinanet", "keras_retinanet.load_model"),
    "keras": ("keras_retinanet.inference", "keras.models.load_model"),
}
RAW = ("deltas", "logits", "anchors")
FOUND = ("boxes", "scores", "labels", "num_detections")

REGISTERED = (
    "Anchors", "BatchNormalization", "ClipBoxes", "ConvolutionMuon", "DetectionModel", "FeaturePyramid",
    "FilterDetections", "GroupNormalization", "Head", "Normalize", "PriorProbability", "RegressBoxes", "RetinaNet",
    "WarmupSchedule",
)  # fmt: skip
"""Every class that e773a86 registered; snapshots hold these names."""

DROPPED = ("loss.gamma",)
"""Settings of `config.yaml` that had no effect: balanced cross entropy has no gamma."""

PROGRAM = """
import importlib, json, sys
from pathlib import Path
import numpy as np

importlib.import_module(sys.argv[1])
import keras

opener = eval(sys.argv[2], {"keras": keras, "keras_retinanet": sys.modules["keras_retinanet"]})
answers, settings = {}, {}
y, x, c = np.mgrid[:61, :83, :3]
images = [(x * (c + 1) + y * y // 20) % 256, (x * y // 50 + 40 * c + 2 * y) % 256 // 2]
inputs = {"images": np.stack(images).astype(np.float32), "sizes": np.array([[61, 83], [50, 70]], np.float32)}
for path in sorted(Path(sys.argv[3]).glob("*.keras")):
    model = opener(path)
    from keras_retinanet import DetectionModel, RetinaNet
    from keras_retinanet.config import to_dict

    network = model
    if isinstance(model, RetinaNet):
        raw = model(inputs["images"], training=False)
        anchors = np.concatenate([np.asarray(level) for level in raw["anchors"].values()], axis=1)[0]
        own = {"deltas": raw["deltas"][:, ::5], "logits": raw["logits"][:, ::5], "anchors": anchors[::5]}
        detection = DetectionModel(model)
    else:
        own, detection = {}, model
        network = next(layer for layer in model.layers if isinstance(layer, RetinaNet))
    found = {**own, **detection(inputs)}
    answers |= {f"{path.stem}/{name}": np.asarray(value) for name, value in found.items()}
    settings[path.stem] = {
        "class": type(model).__name__,
        "class_names": list(model.class_names),
        "resize": to_dict(network.resize_config),
        "assigner": to_dict(network.assigner_config),
        "loss": to_dict(network.loss_config),
        "filter": to_dict(model.filter_config),
        "pad_value": [round(float(value), 3) for value in network.pad_value],
    }
    if getattr(model, "optimizer", None) is not None:
        rate, steps = float(model.optimizer.learning_rate), int(model.optimizer.iterations)
        settings[path.stem]["optimizer"] = [type(model.optimizer).__name__, rate, steps]
settings["registered"] = sorted(keras.saving.get_custom_objects())
np.savez(Path(sys.argv[4]) / "answers.npz", **answers)
(Path(sys.argv[4]) / "settings.json").write_text(json.dumps(settings))
"""


def arrays(path: Path) -> dict[str, Any]:
    """All arrays of an archive."""
    with np.load(path) as archive:
        return dict(archive)


@pytest.fixture(scope="module", params=OPENERS)
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """Answers and settings of all files, opened in a process that has loaded nothing else."""
    module, opener = OPENERS[request.param]
    out = tmp_path_factory.mktemp("opened")
    command = [sys.executable, "-c", PROGRAM, module, opener, str(SNAPSHOTS), str(out)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(FIXTURES.parents[1]), os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=out)
    assert done.returncode == 0, done.stderr[-3000:]
    return arrays(out / "answers.npz"), json.loads((out / "settings.json").read_text())


@pytest.fixture(scope="module")
def expected() -> Any:
    return arrays(SNAPSHOTS / "expected.npz")


def assert_same(found: Any, expected: Any) -> None:
    """Equal to 1e-5 of the largest value: other processors sum in another order."""
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["resnet", "mobilenet"])
def test_raw_outputs_and_anchors(opened: tuple[Any, Any], expected: Any, name: str) -> None:
    for output in RAW:
        assert_same(opened[0][f"{name}/{output}"], expected[f"{name}/{output}"])


@pytest.mark.parametrize("name", ["resnet", "mobilenet", "inference"])
def test_detections(opened: tuple[Any, Any], expected: Any, name: str) -> None:
    assert expected[f"{name}/num_detections"].min() >= 7
    for output in FOUND:
        assert_same(opened[0][f"{name}/{output}"], expected[f"{name}/{output}"])


def test_settings_of_the_resnet(opened: tuple[Any, Any]) -> None:
    settings = opened[1]["resnet"]
    assert settings["class"] == "RetinaNet"
    assert settings["class_names"] == ["ant", "bee", "wasp"]
    assert settings["resize"] == to_dict(ResizeConfig(64, 96, rounding="floor", exif="ignore"))  # as stored, as then
    assert settings["assigner"] == to_dict(AssignerConfig())
    assert settings["loss"] == to_dict(LossConfig(alpha=0.25, gamma=2.0))
    assert settings["filter"] == to_dict(FilterConfig(score_threshold=0.4, max_detections=40, top_k=200))
    assert settings["pad_value"] == [123.675, 116.28, 103.53]
    name, rate, steps = settings["optimizer"]
    assert (name, steps) == ("ConvolutionMuon", 7)
    assert rate == pytest.approx(0.002 * (1 + np.cos(np.pi * 7 / 20)) / 2)  # step 7 of 20, warm-up over, half a cosine


def test_settings_of_the_mobilenet(opened: tuple[Any, Any]) -> None:
    settings = opened[1]["mobilenet"]
    assert settings["class"] == "RetinaNet"
    assert settings["class_names"] == ["cat", "dog"]
    assert settings["resize"] == {
        "min_side": 60, "max_side": 90, "is_square": True, "antialias": True, "pad_multiple": 10, "rounding": "even",
        "method": "pillow", "has_one_scale": True, "exif": "ignore", "bit_depth": 16, "shape": [], "shape_mode": "fit",
    }  # fmt: skip
    assert settings["assigner"] == to_dict(AssignerConfig(positive_iou=0.6, negative_iou=0.3, use_force_match=True))
    loss = LossConfig("balanced_cross_entropy", "giou", alpha=0.4, beta=0.2, box_weight=2.0)  # it has no gamma
    assert settings["loss"] == to_dict(loss)
    assert settings["filter"] == {
        "score_threshold": 0.45, "nms_threshold": 0.4, "max_detections": 40, "top_k": 60, "nms": "agnostic",
        "clip": "after_nms", "clip_margin": 1, "drop_empty": True, "class_thresholds": [0.3, 0.6],
        "clip_frame": "image", "top_k_scope": "level", "max_per_class": None,
        "temperature": 1.0, "score_bias": 0.0, "quality_score": "sqrt", "counts_empty": True,
    }  # fmt: skip
    assert settings["pad_value"] == [127.5, 127.5, 127.5]


def test_settings_of_the_inference_model(opened: tuple[Any, Any]) -> None:
    settings = opened[1]["inference"]
    assert settings["class"] == "DetectionModel"
    assert settings["class_names"] == ["ant", "bee", "wasp"]
    assert settings["resize"] == to_dict(ResizeConfig(64, 96, rounding="floor", exif="ignore"))
    assert settings["filter"] == to_dict(FilterConfig(score_threshold=0.4, max_detections=9, top_k=200))


def test_every_name_in_old_snapshots_is_registered(opened: tuple[Any, Any]) -> None:
    assert {f"keras_retinanet>{name}" for name in REGISTERED} <= set(opened[1]["registered"])


def test_fine_tuning_takes_over_what_an_old_inference_model_was_built_with() -> None:
    config = parse(["coco", "scenes", "--weights", str(SNAPSHOTS / "inference.keras")]).config
    assert (config.model.backbone, config.model.max_level, config.model.fpn_width) == ("resnet10_050", 5, 8)
    assert config.anchors.sizes == (16, 32, 64)
    assert (config.resize.min_side, config.resize.rounding) == (64, "floor")


def test_fine_tuning_takes_over_what_an_old_snapshot_was_built_with() -> None:
    config = parse(["coco", "scenes", "--weights", str(SNAPSHOTS / "mobilenet.keras")]).config
    model, anchors = config.model, config.anchors
    assert (model.backbone, model.min_level, model.max_level, model.p6_source) == ("mobilenet_025", 3, 6, "P5")
    assert (model.stride_padding, model.has_relu_before_p7, model.fpn_width) == ("same", False, 8)
    assert (model.head_width, model.head_depth, model.head_norm, model.head_norm_epsilon) == (64, 1, "group", 1e-3)
    assert (model.has_head_bias, model.has_shared_heads, model.box_coder) == (True, False, "corner")
    assert (anchors.sizes, anchors.strides, anchors.ratios) == ((16, 32, 64, 128), (8, 16, 32, 64), (0.7, 1.4))
    assert anchors.scales == ((1.0,), (1.0, 1.3), (1.0, 1.5), (0.5, 1.0))
    assert (anchors.offset, anchors.is_rounded, anchors.has_whole_sizes, anchors.stride_mode) == (
        0,
        True,
        False,
        "grid",
    )
    assert (config.resize.min_side, config.resize.max_side, config.resize.method) == (60, 90, "pillow")


def flattened(plain: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted name → value."""
    flat: dict[str, Any] = {}
    for name, value in plain.items():
        flat |= flattened(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def test_config_of_an_old_run_is_read_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("backbone.weights.h5").touch()  # the file that its `model.weights` names has to be there
    written = flattened(yaml.safe_load(RUN_CONFIG.read_text(encoding="utf-8")))
    assert len(written) == 82
    read = flattened(to_dict(parse(["coco", "scenes", "--config", str(RUN_CONFIG)]).config))
    assert {name: read[current_name(name)] for name in written} == written | dict.fromkeys(DROPPED)
    assert (read["data.exif"], read["resize.exif"]) == ("ignore", "ignore")  # resumed, it sees what it saw


def test_a_part_of_a_config_keeps_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("resize: {min_side: 320}\ndata: {workers: 2}\n")
    config = parse(["coco", "scenes", "--config", str(tmp_path / "own.yaml")]).config
    assert (config.data.exif, config.resize.exif, config.resize.min_side) == ("auto", "apply", 320)
