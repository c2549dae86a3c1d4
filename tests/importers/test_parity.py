"""Whole detectors of other libraries, imported from files in their layouts, stage by stage against what those answered.

The weights follow the recipe of the reference folder: random numbers seeded by each tensor's name.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_retinanet.data.image import decode
from keras_retinanet.data.preparation import fit_image, prepare_batch, restore_by_fit
from keras_retinanet.export.torchvision_file import torchvision_tensors
from keras_retinanet.importers import Imported, Overrides, import_checkpoint
from keras_retinanet.model.detection_model import DetectionModel

SETTINGS: dict[bool, dict[str, dict[str, Any]]] = {
    True: {
        "det": {},
        "tight": {"score_threshold": 0.1, "nms_threshold": 0.3, "max_detections": 20},
        "agnostic": {"nms": "agnostic"},
        "nonms": {"nms": "none"},
    },
    False: {
        "det": {},
        "tight": {"score_threshold": 0.02, "nms_threshold": 0.3, "max_detections": 25, "top_k": 20},
    },
}
"""Post-processing of which the reference holds the detections, for fizyr and for the others."""


@dataclass(frozen=True)
class Case:
    """A folder of the reference data and the layout in which its weights are written."""

    folder: str
    layout: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> str:
        return self.folder.partition("_")[0]

    def write(self, files: SimpleNamespace, folder: Path, path: Path) -> Path:
        arrays = files.reference(folder, self.options.get("names", "name"))
        if self.layout != "h5":
            return getattr(files, self.layout)(path, arrays)
        kind = self.options["kind"]
        layout = json.loads((folder / "h5_layout.json").read_text())[kind]
        config = None
        if layout["has_model_config"]:
            config = json.loads((folder / f"model_config_{kind}.json").read_text())
        return files.h5(path, layout["layers"], arrays, config=config, is_old=self.options.get("is_old", False))


CASES = [
    Case("fizyr_resnet50", "h5", {"kind": "weights_only", "is_old": True}),
    Case("fizyr_resnet50_stem020", "h5", {"kind": "train_full"}),
    Case("fizyr_mobilenet", "h5", {"kind": "inference_full"}),
    Case("torchvision_v1", "torch", {"names": "published_name"}),
    Case("torchvision_v2", "safetensors"),
    Case("detectron2_r50", "pickle"),
]


@dataclass(frozen=True)
class Opened:
    """An imported detector, the reference, and the image as the network takes it."""

    case: Case
    imported: Imported
    reference: Any
    images: np.ndarray

    @property
    def is_fizyr(self) -> bool:
        return self.case.source == "fizyr"


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.folder)
def opened(request, shared, files, tmp_path_factory) -> Opened:
    case = request.param
    folder = shared(f"reference/{case.folder}")
    path = case.write(files, folder, tmp_path_factory.mktemp("checkpoint") / "checkpoint.bin")
    sides = {"min_side": 198, "max_side": 278} if case.source == "fizyr" else {"min_side": 192, "max_side": 320}
    imported = import_checkpoint(path, overrides=Overrides(resize=sides, class_names="abcde"))
    path.unlink()
    with np.load(folder / "reference.npz") as archive:
        reference = dict(archive)
    network_input = reference["network_input"]
    if network_input.shape[1] == 3:
        network_input = network_input.transpose(0, 2, 3, 1)
    pixels = imported.model.backbone.get_layer("normalize")
    rgb = network_input[..., ::-1] if pixels.is_bgr else network_input
    return Opened(case, imported, reference, (rgb.astype(np.float64) * pixels.std + pixels.mean).astype(np.float32))


def test_every_tensor_has_its_place(opened: Opened) -> None:
    _, report, blueprint = opened.imported
    assert report.unused == report.missing == ()
    assert blueprint.source == opened.case.source


def check_maps(maps, reference, tolerance: float) -> None:
    for name, value in maps.items():
        value = np.asarray(value)[0]
        assert value.shape == tuple(reference[f"{name}_shape"])
        np.testing.assert_allclose(value[..., :4], reference[f"{name}_first4"], atol=tolerance, rtol=1e-4)
        np.testing.assert_allclose(value.mean(axis=(0, 1)), reference[f"{name}_mean"], atol=tolerance, rtol=1e-4)
        np.testing.assert_allclose(value.std(axis=(0, 1)), reference[f"{name}_std"], atol=tolerance, rtol=1e-4)


def test_backbone_and_pyramid(opened: Opened) -> None:
    features = opened.imported.model.backbone(opened.images)
    check_maps({name: features[name] for name in ("C3", "C4", "C5")}, opened.reference, 1e-4)
    check_maps(opened.imported.model.neck(features), opened.reference, 2e-4)


def in_our_order(values: np.ndarray, opened: Opened) -> np.ndarray:
    """Detectron2's anchors of a cell count scale by scale."""
    if opened.case.source != "detectron2":
        return values
    order = [0, 3, 6, 1, 4, 7, 2, 5, 8]
    return values.reshape(-1, 9, values.shape[-1])[:, order].reshape(-1, values.shape[-1])


def test_heads_and_anchors(opened: Opened) -> None:
    reference = opened.reference
    answers = opened.imported.model(opened.images)
    logits, deltas = np.asarray(answers["logits"])[0], np.asarray(answers["deltas"])[0]
    anchors = np.concatenate([np.asarray(level)[0] for level in answers["anchors"].values()])
    np.testing.assert_allclose(anchors, in_our_order(reference["anchors"], opened), atol=1e-3)
    if opened.is_fizyr:
        np.testing.assert_allclose(deltas, reference["regression"][0], atol=1e-4)
        np.testing.assert_allclose(1 / (1 + np.exp(-logits)), reference["classification"][0], atol=2e-4)
    else:
        np.testing.assert_allclose(deltas, in_our_order(reference["bbox_deltas"][0], opened), atol=1e-4)
        np.testing.assert_allclose(logits, in_our_order(reference["cls_logits"][0], opened), atol=1e-3)
    boxes = opened.imported.model.box_coder(answers["deltas"], anchors[None].astype(np.float32))
    np.testing.assert_allclose(np.asarray(boxes)[0], in_our_order(reference["decoded"], opened), atol=2e-2)


def test_torchvision_gets_its_tensors_back(opened: Opened, files, shared) -> None:
    """Names and shapes that the library had, and its numbers; v1's epsilon of 0 goes into the scales."""
    if opened.case.source != "torchvision":
        pytest.skip("only its networks can go back")
    wanted = files.reference(shared(f"reference/{opened.case.folder}"))
    found = torchvision_tensors(opened.imported.model)
    counters = [name for name in found if name.endswith("num_batches_tracked")]
    assert set(found) - set(counters) == {name for name in wanted if not name.endswith("num_batches_tracked")}
    assert len(counters) == 53
    for name, value in wanted.items():
        assert (found[name].shape, found[name].dtype) == (value.shape, value.dtype), name
        if name.endswith(".weight") and value.ndim == 1 and opened.case.folder.endswith("v1"):
            variance = wanted[name.replace("weight", "running_var")]
            value = value * np.sqrt((variance + 1e-5) / variance)
        np.testing.assert_allclose(found[name], value, rtol=1e-6, err_msg=name)


def png(image: np.ndarray, path: Path) -> Any:
    Image.fromarray(image).save(path)
    return decode(tf.io.read_file(str(path))).numpy()


def detect(opened: Opened, path: Path, **changes: Any) -> dict[str, np.ndarray]:
    """From an image file to boxes in its pixels, through the library's own resize rule, as `KerasRuntime` does it."""
    model = opened.imported.model
    filter = dataclasses.replace(model.filter_config, **changes)
    image = png(opened.reference["image_rgb"], path / "image.png")
    fit = fit_image(*image.shape[:2], model.resize_config)
    batch, sizes = prepare_batch([image], [fit], model.resize_config, model.pad_value)
    answer = DetectionModel(model, filter)({"images": batch, "sizes": sizes})  # not traced: a quarter of the time
    answer = {name: np.asarray(value) for name, value in answer.items()}
    return restore_by_fit(answer, 0, fit, model.resize_config)


def expected(opened: Opened, setting: str) -> dict[str, np.ndarray]:
    """Boxes in pixels of the image; all of fizyr but the usual ones are kept in network pixels, padded with -1."""
    found = {name: opened.reference[f"{setting}_{name}"] for name in ("boxes", "scores", "labels")}
    if found["labels"].ndim == 2:
        is_there = found["labels"][0] >= 0
        found = {name: values[0, is_there] for name, values in found.items()}
        found["boxes"] = found["boxes"] / opened.reference["scale"]
    return found


def test_from_image_file_to_boxes(opened: Opened, tmp_path: Path) -> None:
    for setting, changes in SETTINGS[opened.is_fizyr].items():
        found, wanted = detect(opened, tmp_path, **changes), expected(opened, setting)
        assert len(found["labels"]) == len(wanted["labels"]) > 10
        if setting == "nonms":  # score gaps down to 4e-6: compared as sets
            found, wanted = ({name: np.sort(x[name], axis=0) for name in x} for x in (found, wanted))
        np.testing.assert_array_equal(found["labels"], wanted["labels"], err_msg=setting)
        np.testing.assert_allclose(found["scores"], wanted["scores"], atol=2e-4, err_msg=setting)
        np.testing.assert_allclose(found["boxes"], wanted["boxes"], atol=2e-2, err_msg=setting)
