"""Findings about photos that EXIF turns: known, unknown, mixed, and boxes that do not fit."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.config import DataConfig, ResizeConfig, TrainConfig
from keras_retinanet.doctor import diagnose
from keras_retinanet.doctor.cleaning import write_clean
from keras_retinanet.doctor.html_report import draw_thumbnail
from keras_retinanet.doctor.image_scan import scan_image

SHOWN = (64, 48)  # height and width; stored 48 x 64


def write_photo(path: Path, seed: int, orientation: int | None = 6) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.random.default_rng(seed).integers(0, 256, (8, 6, 3), np.uint8)
    shown = Image.fromarray(grey).resize(SHOWN[::-1], Image.Resampling.NEAREST)
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    stored = shown if orientation is None else shown.transpose(Image.Transpose.ROTATE_90)
    stored.save(path, exif=exif)


def findings(data: DataConfig) -> dict[str, Any]:
    config = TrainConfig(data=data, resize=ResizeConfig(48, 64))
    return {finding.kind: finding for finding in diagnose(config).findings if finding.split == "train"}


@pytest.fixture
def mixed(tmp_path: Path) -> DataConfig:
    """Three photos annotated as shown, one as stored."""
    boxes = {"a": (4, 50, 20, 62), "b": (4, 50, 20, 62), "c": (4, 4, 20, 20), "d": (50, 4, 62, 20)}
    for seed, name in enumerate(boxes):
        write_photo(tmp_path / f"{name}.png", seed)
    rows = [f"{name}.png,{x1},{y1},{x2},{y2},cow" for name, (x1, y1, x2, y2) in boxes.items()]
    (tmp_path / "boxes.csv").write_text("\n".join(rows))
    return DataConfig("csv", annotations=str(tmp_path / "boxes.csv"), use_index_cache=False)


def test_a_mixed_set_is_a_warning(mixed: DataConfig, tmp_path: Path) -> None:
    found = findings(mixed)
    assert (found["exif"].severity, found["exif"].count) == ("note", 4)
    assert found["exif"].fix.startswith("boxes refer to them turned upright, as sizes and boxes show")
    odd = found["exif-mixed"]
    assert (odd.severity, odd.title) == (
        "warning", "1 images were annotated as stored, unlike others with an EXIF orientation",
    )  # fmt: skip
    assert odd.examples[0].where.endswith("d.png")
    assert "exif-boxes" not in found
    assert "outside" not in found
    assert [example.orientation for example in found["exif"].examples] == [6, 6, 6, 1]
    assert draw_thumbnail(found["exif"].examples[0]) is not None


def test_a_flag_against_the_boxes_is_an_error(mixed: DataConfig) -> None:
    found = findings(dataclasses.replace(mixed, exif="ignore"))
    wrong = found["exif-boxes"]
    assert (wrong.severity, wrong.count) == ("error", 2)
    assert wrong.fix.startswith("leave out --exif ignore")
    assert "as --exif says" in found["exif"].fix


def test_without_evidence_it_is_a_warning(tmp_path: Path) -> None:
    write_photo(tmp_path / "images/train/a.png", 0)
    (tmp_path / "labels/train").mkdir(parents=True)
    (tmp_path / "labels/train/a.txt").write_text("0 0.5 0.25 0.5 0.25\n")
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/train\nnames: [cow]\n")
    found = findings(DataConfig("yolo", str(tmp_path), use_index_cache=False))
    assert found["exif"].severity == "warning"
    assert "as labelling tools show them; neither sizes nor boxes prove it" in found["exif"].fix


def test_swapped_sizes_without_a_tag_are_a_lost_one(tmp_path: Path) -> None:
    write_photo(tmp_path / "train2017/a.png", 0, orientation=None)
    image = {"id": 1, "file_name": "a.png", "height": SHOWN[1], "width": SHOWN[0]}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 4, 9, 9], "iscrowd": 0}
    content = {"images": [image], "annotations": [box], "categories": [{"id": 1, "name": "cow"}]}
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/instances_train2017.json").write_text(json.dumps(content))
    found = findings(DataConfig("coco", str(tmp_path), use_index_cache=False))
    assert found["size"].fix.startswith("1 of them have height and width swapped, as if they had lost an EXIF")


def test_a_turned_copy_is_a_near_duplicate(tmp_path: Path) -> None:
    write_photo(tmp_path / "turned.png", 0)
    write_photo(tmp_path / "upright.png", 0, orientation=None)
    turned, upright = (scan_image(str(tmp_path / name)) for name in ("turned.png", "upright.png"))
    assert turned.thumbnail == upright.thumbnail
    assert (turned.size, upright.size) == (SHOWN[::-1], SHOWN)


def test_a_clean_copy_refers_to_the_same_pictures(mixed: DataConfig, tmp_path: Path) -> None:
    config = TrainConfig(data=mixed, resize=ResizeConfig(48, 64))
    done = write_clean(diagnose(config), tmp_path / "out")
    copy = DataConfig("csv", annotations=str(done.folder / "train.csv"), use_index_cache=False)
    before, after = (diagnose(TrainConfig(data=data, resize=ResizeConfig(48, 64))).scans[0] for data in (mixed, copy))
    assert [sample["size"] for sample in after.samples] == [sample["size"] for sample in before.samples]
    assert after.raw_boxes.tolist() == before.raw_boxes.tolist()
