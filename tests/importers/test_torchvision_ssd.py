"""SSD of torchvision, imported from its file layout, against what it answered; `fixtures/torchvision_ssd/write.py`."""

from __future__ import annotations

import dataclasses
import json
import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_retinanet.data.image import decode
from keras_retinanet.data.preparation import fit_image, prepare_batch, restore_by_fit
from keras_retinanet.importers import CheckpointError, Imported, Overrides, describe_checkpoint, import_checkpoint
from keras_retinanet.importers.snapshot_check import verify_snapshot
from keras_retinanet.model.detection_model import DetectionModel

FOLDER = Path(__file__).parents[1] / "fixtures" / "torchvision_ssd"
INPUTS = runpy.run_path(str(FOLDER / "inputs.py"))
SETTINGS: dict[str, dict[str, Any]] = {
    "det": {},
    "tight": {"score_threshold": 0.5, "nms_threshold": 0.2, "max_detections": 100, "top_k": 25},
}


@dataclass(frozen=True)
class Opened:
    """An imported detector, what torchvision's answered, and the image file as the network takes it."""

    imported: Imported
    golden: Any
    image: np.ndarray
    outputs: dict[str, Any]


def tensors_of(name: str, **changes: Any) -> dict[str, np.ndarray]:
    """The state dict of a detector; `changes` are shapes by name."""
    shapes = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return {key: INPUTS["fill"](key, shape) for key, shape in (shapes | changes).items()}


@pytest.fixture(scope="module", params=["ssd300_vgg16", "ssdlite320_mobilenet_v3_large"])
def opened(request: pytest.FixtureRequest, files: Any, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    folder = tmp_path_factory.mktemp("checkpoint")
    path = files.torch(folder / "checkpoint.pth", tensors_of(request.param))
    imported = import_checkpoint(path, overrides=Overrides(class_names="abcde"))
    path.unlink()
    Image.fromarray(INPUTS["image"]()).save(folder / "image.png")
    image = decode(tf.io.read_file(str(folder / "image.png"))).numpy()
    model = imported.model
    batch, _ = prepare_batch(
        [image], [fit_image(*image.shape[:2], model.resize_config)], model.resize_config, (0, 0, 0)
    )
    return Opened(imported, np.load(FOLDER / f"{request.param}.npz"), image, model(batch))


def test_every_tensor_has_its_place(opened: Opened) -> None:
    _, report, blueprint = opened.imported
    assert report.unused == report.missing == ()
    assert blueprint.class_names == tuple("abcde")


def test_outputs_and_default_boxes(opened: Opened) -> None:
    """The library's class 0, the background, comes last here."""
    logits = np.roll(opened.golden["logits"], -1, axis=1)
    np.testing.assert_allclose(opened.outputs["logits"][0], logits, atol=1e-4)
    np.testing.assert_allclose(opened.outputs["deltas"][0], opened.golden["deltas"], atol=1e-4)
    boxes = np.concatenate([np.array(level)[0] for level in opened.outputs["anchors"].values()])
    np.testing.assert_allclose(boxes, opened.golden["anchors"], atol=1e-3)


@pytest.mark.parametrize("setting", SETTINGS)
def test_from_image_file_to_boxes(opened: Opened, setting: str) -> None:
    model = opened.imported.model
    detector = DetectionModel(model, dataclasses.replace(model.filter_config, **SETTINGS[setting]))
    fit = fit_image(*opened.image.shape[:2], model.resize_config)
    answer = detector.from_predictions(opened.outputs, np.array([fit.resized], np.float32))
    found = restore_by_fit({name: np.array(value) for name, value in answer.items()}, 0, fit, model.resize_config)
    expected = {name: opened.golden[f"{setting}_{name}"] for name in ("boxes", "scores", "labels")}
    assert len(found["labels"]) == len(expected["labels"]) > 20
    np.testing.assert_array_equal(found["labels"], expected["labels"] - 1)
    np.testing.assert_allclose(found["scores"], expected["scores"], atol=1e-5)
    np.testing.assert_allclose(found["boxes"], expected["boxes"], atol=0.02)


def test_the_snapshot_is_checked_with_an_image_of_its_shape(opened: Opened, tmp_path: Path) -> None:
    opened.imported.model.save(tmp_path / "ssd.keras")
    side = opened.imported.model.resize_config.shape[0]
    assert f"equal outputs at {side}×{side}. torchvision" in verify_snapshot(tmp_path / "ssd.keras", opened.imported)


def test_classes_of_coco_without_background_and_unused_ids(files: Any, tmp_path: Path) -> None:
    name = "head.classification_head.module_list.0"
    tensors = {
        key: value for key, value in tensors_of("ssd300_vgg16").items() if key.startswith(("head.", "backbone.s"))
    }
    tensors |= {
        f"{name}.weight": np.zeros((4 * 91, 512, 3, 3), np.float32),
        f"{name}.bias": np.zeros(4 * 91, np.float32),
    }
    path = files.torch(tmp_path / "a.pth", tensors)
    found = describe_checkpoint(path)
    assert (len(found.class_names), found.class_names[0], found.class_names[-1]) == (90, "person", "toothbrush")
    assert found.kept_classes == (*range(1, 91), 0)
    used = describe_checkpoint(path, overrides=Overrides(drop_unused_classes=True))
    assert (len(used.class_names), used.class_names[-1], used.kept_classes[-2:]) == (80, "toothbrush", (90, 0))
    with pytest.raises(CheckpointError, match="90 classes and the background; --class-names names 91"):
        describe_checkpoint(path, overrides=Overrides(class_names=[str(k) for k in range(91)]))


def test_heads_of_another_kind_are_named(files: Any, tmp_path: Path) -> None:
    name = "head.classification_head.module_list.{}.weight"
    tensors = {name.format(level): np.zeros((24, 8, 3, 3), np.float32) for level in range(7)}
    with pytest.raises(CheckpointError, match=r"a\.pth.*heads have 7 maps; an SSD of torchvision has 6"):
        describe_checkpoint(files.torch(tmp_path / "a.pth", tensors))
    del tensors[name.format(6)]
    tensors[name.format(0).replace("classification", "regression")] = np.zeros((18, 8, 3, 3), np.float32)
    with pytest.raises(CheckpointError, match="box head of 18 channels"):
        describe_checkpoint(files.torch(tmp_path / "b.pth", tensors))
