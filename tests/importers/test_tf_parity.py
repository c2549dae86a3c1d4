"""Detectors of TensorFlow's own libraries, from files in their layouts, stage by stage against what those answered."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from keras_retinanet.data.preparation import fit_image, prepare_batch, restore_by_fit
from keras_retinanet.importers import Imported, describe_checkpoint, import_checkpoint
from keras_retinanet.model.detection_model import DetectionModel

CASES = [
    ("tfod_ssd_resnet50_fpn", "checkpoint"),
    ("tfod_mobilenet_v2_fpnlite", "checkpoint"),
    ("tfmodels_retinanet_r50", "checkpoint"),
]
OTHER_LAYOUTS = [
    ("tfod_ssd_resnet50_fpn", "saved_model"),
    ("tfmodels_retinanet_r50", "exported"),
    ("tfmodels_retinanet_r50", "saved_model"),
]


@dataclass(frozen=True)
class Opened:
    """An imported detector, the reference, and the image."""

    name: str
    imported: Imported
    reference: Any

    @property
    def is_garden(self) -> bool:
        return self.name.startswith("tfmodels")


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def opened(request, shared, files, tmp_path_factory) -> Opened:
    name, layout = request.param
    source = shared(f"reference/{name}")
    folder = tmp_path_factory.mktemp("detector")
    files.tf_checkpoint(folder, source, layout)
    return Opened(name, import_checkpoint(folder), np.load(source / "reference.npz"))


def test_every_tensor_has_its_place(opened: Opened) -> None:
    _, report, blueprint = opened.imported
    assert report.unused == report.missing == ()
    assert blueprint.source == ("model_garden" if opened.is_garden else "tf_object_detection")
    assert len(blueprint.class_names) == 5


def network_images(opened: Opened) -> np.ndarray:
    """The image as our pipeline gives it to the network."""
    image = opened.reference["image_rgb"]
    fit = fit_image(*image.shape[:2], opened.imported.model.resize_config)
    images, _ = prepare_batch([image], [fit], opened.imported.model.resize_config, opened.imported.model.pad_value)
    return images


def test_image_to_network_input(opened: Opened) -> None:
    model = opened.imported.model
    pixels = np.asarray(model.backbone.get_layer("normalize")(network_images(opened)))
    wanted = opened.reference["network_input"]
    assert pixels.shape == wanted.shape
    np.testing.assert_allclose(pixels, wanted, atol=2e-3)


def test_maps(opened: Opened) -> None:
    model = opened.imported.model
    maps = model.backbone(network_images(opened))
    neck = getattr(model.neck, "pyramid", model.neck)
    for name, value in {**maps, **neck(maps)}.items():
        if f"{name}_shape" not in opened.reference:
            continue
        value = np.asarray(value)[0]
        assert value.shape == tuple(opened.reference[f"{name}_shape"])
        np.testing.assert_allclose(value[..., :4], opened.reference[f"{name}_first4"], atol=1e-3, rtol=1e-3)
        for statistic in ("mean", "std"):
            own = getattr(value, statistic)(axis=(0, 1))
            np.testing.assert_allclose(own, opened.reference[f"{name}_{statistic}"], atol=3e-4, rtol=1e-3)


def test_raw_outputs_and_anchors(opened: Opened) -> None:
    """From the image, in the order of our anchors, without background, deltas as (x, y, w, h)."""
    model, _, blueprint = opened.imported
    found = model(network_images(opened))
    order = _order(opened, blueprint.anchor_order)
    logits = opened.reference["cls_logits"][:, order, 1:]
    deltas = opened.reference["bbox_deltas"][:, order][..., [1, 0, 3, 2]]
    np.testing.assert_allclose(found["logits"], logits, atol=1e-3)
    np.testing.assert_allclose(found["deltas"], deltas, atol=1e-4)
    anchors = np.concatenate([np.asarray(level)[0] for level in found["anchors"].values()])
    np.testing.assert_allclose(anchors, opened.reference["anchors"][order], atol=1e-3)


def _order(opened: Opened, anchor_order: tuple[int, ...] | None) -> np.ndarray:
    count = len(opened.reference["anchors"])
    if anchor_order is None:
        return np.arange(count)
    cells = np.arange(count).reshape(-1, len(anchor_order))
    return cells[:, list(anchor_order)].reshape(-1)


FILTER_FIELDS = {"nms_iou_threshold": "nms_threshold", "topk_per_class": "top_k"}


@pytest.mark.parametrize("purpose", ["det", "tight"])
def test_detections_from_the_image(opened: Opened, purpose: str, shared) -> None:
    model = opened.imported.model
    filter = model.filter_config
    if purpose == "tight":
        tight = json.loads((shared(f"reference/{opened.name}") / "meta.json").read_text())["tight_settings"]
        filter = dataclasses.replace(filter, **{FILTER_FIELDS.get(name, name): value for name, value in tight.items()})
    image = opened.reference["image_rgb"]
    fit = fit_image(*image.shape[:2], model.resize_config)
    images, sizes = prepare_batch([image], [fit], model.resize_config, model.pad_value)
    batch = DetectionModel(model, filter).predict_on_batch({"images": images, "sizes": sizes})
    found = restore_by_fit(batch, 0, fit, model.resize_config)
    boxes = opened.reference[f"{purpose}_boxes"]
    height, width = image.shape[:2]
    np.testing.assert_array_equal(found["labels"], opened.reference[f"{purpose}_labels"])
    np.testing.assert_allclose(found["scores"], opened.reference[f"{purpose}_scores"], atol=2e-4)
    np.testing.assert_allclose(found["boxes"], np.clip(boxes, 0, [width, height, width, height]), atol=0.02)


@pytest.mark.parametrize(("name", "layout"), OTHER_LAYOUTS, ids="-".join)
def test_other_layouts_hold_the_same_numbers(name: str, layout: str, shared, files, tmp_path) -> None:
    source = shared(f"reference/{name}")
    files.tf_checkpoint(tmp_path / "a", source, "checkpoint")
    files.tf_checkpoint(tmp_path / "b", source, layout)
    wanted, found = (describe_checkpoint(tmp_path / part).tensors for part in "ab")
    assert set(found) == set(wanted)
    for key, value in wanted.items():
        np.testing.assert_array_equal(found[key], value)
