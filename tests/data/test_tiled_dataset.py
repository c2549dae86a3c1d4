"""Data sets in tiles: pixels, boxes, names and which tiles are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.config import CutConfig, DataConfig
from keras_retinanet.data.conversion import convert
from keras_retinanet.data.datasets import CocoDataset, CsvDataset
from keras_retinanet.data.decode_file import decode_file
from keras_retinanet.data.tiled_dataset import cut_dataset

CUT = CutConfig(size=100, overlap=0.4, min_visibility=0.6)


@pytest.fixture
def source(tmp_path: Path, write_images: Any) -> Path:
    """A picture of 100 x 160 with three boxes, one without boxes of 100 x 220, and one as large as a tile."""
    folder = tmp_path / "source"
    write_images(folder, {"wide.jpg": (100, 160), "empty.png": (100, 220), "small.png": (100, 100)})
    rows = ["wide.jpg,10,10,50,20,cat", "wide.jpg,96,6,104,10,dog", "wide.jpg,20,80,160,90,cat", "empty.png,,,,,"]
    (folder / "boxes.csv").write_text("\n".join([*rows, "small.png,1,2,3,4,dog", ""]))
    return folder / "boxes.csv"


def test_pixels_boxes_and_names(source: Path, tmp_path: Path) -> None:
    tiled = cut_dataset(CsvDataset(source), tmp_path / "tiles", CUT)
    assert [Path(sample["image"]).name for sample in tiled] == [
        *("wide_x0_y0.png", "wide_x60_y0.png"),
        *("empty_x0_y0.png", "empty_x60_y0.png", "empty_x120_y0.png"),
        "small.png",
    ]
    left, right = tiled.samples[:2]
    assert left["boxes"].tolist() == [[10, 10, 50, 20], [96, 6, 100, 10], [20, 80, 100, 90]]
    assert left["ignore"].tolist() == [False, True, True]  # 1/2 and 4/7 of their areas
    assert right["boxes"].tolist() == [[36, 6, 44, 10], [0, 80, 100, 90]]
    assert right["ignore"].tolist() == [False, False]  # 5/7
    assert right["labels"].tolist() == [1, 0]
    assert (right["size"], right["image_id"]) == ((100, 100), "wide_x60_y0")
    assert tiled.samples[5]["image"] == str(source.parent / "small.png")
    pixels = decode_file((source.parent / "wide.jpg").read_bytes()).pixels
    np.testing.assert_array_equal(decode_file(Path(right["image"]).read_bytes()).pixels, pixels[:, 60:160])
    assert tiled.report.notes[-1] == (
        "2 images are cut into 5 tiles of 100 pixels with an overlap of at least 0.4; 2 fragments of boxes, of which a "
        "tile shows less than 0.6, are ignore regions there"
    )


def test_empty_tiles_are_thinned_by_the_seed(source: Path, tmp_path: Path) -> None:
    def names(number: int, share: float, seed: int = 0) -> list[str]:
        cut = CutConfig(100, 0.4, 0.6, seed=seed)
        tiled = cut_dataset(CsvDataset(source), tmp_path / str(number), cut, empty_share=share)
        return [Path(sample["image"]).stem for sample in tiled]

    some = names(0, 0.34)  # one of three
    assert len(some) == 4
    assert some == names(1, 0.34)
    assert {tuple(names(2 + seed, 0.34, seed)) for seed in range(6)} > {tuple(some)}
    assert names(8, 0) == ["wide_x0_y0", "wide_x60_y0", "small"]
    tiled = cut_dataset(CsvDataset(source), tmp_path / "note", CUT, empty_share=0)
    assert tiled.report.notes[-1] == "3 of 3 tiles without objects are left out"


def test_a_broken_image_is_left_out_and_named(source: Path, tmp_path: Path) -> None:
    dataset = CsvDataset(source)
    (source.parent / "wide.jpg").write_bytes(b"no image")
    Image.new("RGB", (160, 100)).save(source.parent / "empty.png")
    tiled = cut_dataset(dataset, tmp_path / "tiles", CUT)
    assert [Path(sample["image"]).name for sample in tiled] == ["small.png"]
    note = tiled.report.notes[-1]
    assert note.startswith(f"2 images that cannot be decoded are left out: {source.parent / 'wide.jpg'} cannot be ")
    assert "empty.png is (100, 160) pixels high and wide, but (100, 220) in the annotations" in note


@pytest.mark.parametrize("name", ["coco", "csv"])
def test_conversion_in_tiles_and_the_way_back(source: Path, tmp_path: Path, name: Any) -> None:
    data = DataConfig("csv", annotations=str(source), val_annotations=str(source))
    done = convert(data, tmp_path / "out", name, cut=CutConfig(100, 0.4, 0.6, empty_share=0, format="jpg"))
    sets = {"coco": ("train2017", "val2017"), "csv": ("train", "val")}[name]
    assert done.num_images == {sets[0]: 3, sets[1]: 6}  # validation keeps its empty tiles
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    if name == "csv":
        assert "csv cannot represent ignore regions (crowd, difficult, group): 4 left out" in done.notes
        tiled: Any = CsvDataset(tmp_path / "out" / "train.csv")
    else:
        tiled = CocoDataset(tmp_path / "out", "train2017")
    with Image.open(tiled[0]["image"]) as image:
        assert image.format == "JPEG"
    moved = []
    for sample in tiled[:2]:
        _, x, y = Path(sample["image"]).stem.rsplit("_", 2)
        offset = np.array([int(x[1:]), int(y[1:])] * 2)
        moved += [tuple(box) for box in (sample["boxes"][~sample["ignore"]] + offset).tolist()]
    assert sorted(moved) == [(10, 10, 50, 20), (60, 80, 160, 90), (96, 6, 104, 10)]


def test_tiles_are_new_images(source: Path, tmp_path: Path) -> None:
    data = DataConfig("csv", annotations=str(source))
    with pytest.raises(ValueError, match="--images none does not go with --tile: tiles are new images"):
        convert(data, tmp_path / "out", "coco", images="none", cut=CUT)


def test_tiles_show_what_boxes_refer_to(tmp_path: Path) -> None:
    """A photo of 160 x 100 as stored, 100 x 160 as shown, and a 12-bit image; both become plain pictures."""
    exif = Image.Exif()
    exif[0x0112] = 6
    shown = np.random.default_rng(0).integers(0, 256, (160, 100, 3), np.uint8)
    Image.fromarray(np.ascontiguousarray(np.rot90(shown))).save(tmp_path / "photo.png", exif=exif)
    Image.fromarray(np.full((160, 100), 4095, np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "boxes.csv").write_text("photo.png,10,110,50,158,cat\ndeep.png,10,10,50,20,cat\n")
    tiled = cut_dataset(CsvDataset(tmp_path / "boxes.csv"), tmp_path / "tiles", CUT)
    below, white = tiled.samples[1], tiled.samples[2]
    assert Path(below["image"]).name == "photo_x0_y60.png"
    assert below["boxes"].tolist() == [[10, 50, 50, 98]]
    np.testing.assert_array_equal(decode_file(Path(below["image"]).read_bytes()).pixels, shown[60:])
    assert decode_file(Path(white["image"]).read_bytes()).pixels.min() == 255
    assert all("orientation" not in sample and "bit_depth" not in sample for sample in tiled)
