"""JSON files as labelme 6.3.1 writes them: two blanks of indentation, `imageData` in base64, all keys of a shape."""

from __future__ import annotations

import base64
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.datasets import LabelmeDataset, find_layouts
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.image_files import read_bytes
from keras_retinanet.data.sample_table import SampleTable

RECTANGLE = [[11, 22], [1, 2]]  # dragged from the lower right corner


def shape(label, points, kind="rectangle", **more):
    common = {"group_id": None, "description": "", "shape_type": kind, "flags": {}, "mask": None}
    return {"label": label, "points": points, **common, **more}


@pytest.fixture
def write(tmp_path):
    """`write(name, *shapes, image="a.jpg", **more)`: a JSON file below `tmp_path`."""

    def write_page(name, *shapes, image="a.jpg", **more):
        page = {"version": "6.3.1", "flags": {}, "shapes": list(shapes), "imagePath": image, "imageData": None}
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        content = {**page, "imageHeight": 40, "imageWidth": 60, **more}
        file.write_text(json.dumps(content, ensure_ascii=False, indent=2), encoding="utf-8")
        return tmp_path

    return write_page


def named_boxes(data):
    return [
        [(data.class_names[label], *box) for label, box in zip(sample["labels"], sample["boxes"].tolist(), strict=True)]
        for sample in data
    ]


def test_shapes(write, write_images, tmp_path):
    write_images(tmp_path)
    write(
        "a.json",
        shape("cat", RECTANGLE),
        shape("dog", [[5.5, 6], [20, 3.25], [9, 30]], "polygon"),
        shape("dog", [[30, 20], [33, 24]], "circle"),  # the radius is 5
        shape("dog", [[4, 5], [10, 8]], "mask", mask="iVBORw0KGgo="),
        shape("dog", [[20, 10], [30, 20], [20, 30], [10, 20]], "oriented_rectangle"),
        shape("nose", [[4, 4]], "point"),
        shape("nose", [[4, 4], [9, 9]], "line"),
        shape("nose", [[4, 4], [9, 9]], "line"),
        shape("nose", [[4, 4], [9, 9], [10, 4]], "linestrip"),
    )
    write("b.json", image="b.jpg", imageData=base64.b64encode(bytes(3000)).decode(), imageHeight=60, imageWidth=40)
    data = LabelmeDataset(tmp_path)
    assert data.class_names == ("cat", "dog")
    assert named_boxes(data) == [
        [
            ("cat", 1, 2, 11, 22),
            ("dog", 5.5, 3.25, 20, 30),
            ("dog", 25, 15, 35, 25),
            ("dog", 4, 5, 11, 9),
            ("dog", 10, 10, 30, 30),
        ],
        [],
        [],
    ]
    assert [sample["image"] for sample in data] == [str(tmp_path / name) for name in ("a.jpg", "b.jpg", "c.jpg")]
    assert data.report.notes == [
        f"{tmp_path}: 1 images have no JSON file and count as background (c.jpg)",
        f"{tmp_path}: shapes replaced by their enclosing boxes: 1 circle, 1 mask, 1 oriented_rectangle, 1 polygon",
        f"{tmp_path}: shapes without area, left out: 2 line, 1 linestrip, 1 point",
    ]
    (layout,) = find_layouts(tmp_path)
    assert (layout.format, layout.certainty, layout.tool) == ("labelme", 3, "labelme")


def test_old_files_have_polygons_without_a_kind(write, write_images, tmp_path):
    write_images(tmp_path, {"a.jpg": (40, 60)})
    item = {"label": "cat", "line_color": None, "fill_color": None, "points": [[1, 2], [11, 2], [11, 22]]}
    write("a.json", item, imageHeight=None, imageWidth=None)
    assert named_boxes(LabelmeDataset(tmp_path)) == [[("cat", 1, 2, 11, 22)]]


def test_shapes_of_a_group_are_one_object(write, write_images, tmp_path):
    write_images(tmp_path, {"a.jpg": (40, 60)})
    write(
        "a.json",
        shape("cat", [[1, 2], [5, 6]], group_id=3),
        shape("dog", [[7, 7], [9, 9]], group_id=3),
        shape("cat", [[20, 10], [30, 12], [30, 14]], "polygon", group_id=3),
        shape("cat", [[40, 2], [44, 6]]),
        shape("cat", [[50, 2], [54, 6]]),
    )
    assert named_boxes(LabelmeDataset(tmp_path)) == [
        [("cat", 1, 2, 30, 14), ("dog", 7, 7, 9, 9), ("cat", 40, 2, 44, 6), ("cat", 50, 2, 54, 6)]
    ]


@pytest.mark.parametrize(
    ("page", "given", "image"),
    [
        ("a.json", "a.jpg", "a.jpg"),
        ("labels/a.json", "..\\images\\a.jpg", "images/a.jpg"),
        ("day 1/ü.json", "ü.JPG", "day 1/ü.JPG"),
        ("a.json", "C:\\Users\\Zoë\\pictures\\a.jpg", "a.jpg"),
        ("labels/a.json", "/home/zoe/a.jpg", "images/a.jpg"),
        ("renamed.json", "IMG_0001.jpg", "renamed.png"),
    ],
)
def test_where_images_are(write, write_images, tmp_path, page, given, image):
    file = tmp_path / image
    write_images(file.parent, {f"{file.stem}.png": (40, 60)})
    (file.parent / f"{file.stem}.png").rename(file)
    write(page, shape("cat", RECTANGLE), image=given)
    data = LabelmeDataset(tmp_path)
    assert (named_boxes(data), data[0]["image"]) == ([[("cat", 1, 2, 11, 22)]], data[0]["image"])
    assert file.samefile(data[0]["image"])
    note = f"{tmp_path}: 1 image paths lead elsewhere"
    is_elsewhere = given.startswith(("C:", "/home", "IMG"))
    assert [text.startswith(note) for text in data.report.notes] == [True] * is_elsewhere


def test_folders_named_for_splits(write, write_images, tmp_path):
    for split in ("train", "valid"):
        write_images(tmp_path / "images" / split, {"a.jpg": (40, 60), "empty.jpg": (40, 60)})
        write(f"labels/{split}/a.json", shape(split, RECTANGLE), image=f"../../images/{split}/a.jpg")
    write("alone.json", shape("cat", RECTANGLE))
    assert LabelmeDataset.default_sets(tmp_path) == ("train", "valid")
    data = LabelmeDataset(tmp_path, "valid")
    assert named_boxes(data) == [[("valid", 1, 2, 11, 22)], []]
    assert data.report.notes == [
        f"{tmp_path}: 1 JSON files are in no folder of a set and are left out (alone.json)",
        f"{tmp_path}: 1 images have no JSON file and count as background (images/valid/empty.jpg)",
    ]
    with pytest.raises(DataError, match=r"no JSON files of the set 'test'.*sets there: train, valid"):
        LabelmeDataset(tmp_path, "test")


def test_a_single_file(write, write_images, tmp_path):
    write_images(tmp_path)
    file = write("a.json", shape("cat", RECTANGLE)) / "a.json"
    assert LabelmeDataset.default_sets(file) == (".", None)
    assert named_boxes(LabelmeDataset(file)) == [[("cat", 1, 2, 11, 22)]]


def test_a_path_that_is_not_there(write, write_images, tmp_path):
    write_images(tmp_path)
    write("a.json", shape("cat", RECTANGLE))
    with pytest.raises(DataError, match=r"gone: cannot be read"):
        LabelmeDataset(tmp_path / "gone")


def test_classes_of_labels_txt(write, write_images, tmp_path):
    write_images(tmp_path, {"a.jpg": (40, 60)})
    write("a.json", shape("cat", RECTANGLE), shape("ant", RECTANGLE))
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\ndog\ncat\n")
    data = LabelmeDataset(tmp_path)
    assert data.class_names == ("dog", "cat", "ant")
    assert data.report.notes == [f"{tmp_path}/labels.txt lacks 1 classes that boxes have, which follow its own: 'ant'"]


def test_classes_that_are_numbers_sort_as_numbers(write, write_images, tmp_path):
    write_images(tmp_path, {"a.jpg": (40, 60)})
    write("a.json", *(shape(name, RECTANGLE) for name in ("10", "9", "0")))
    assert LabelmeDataset(tmp_path).class_names == ("0", "9", "10")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (shape("", RECTANGLE), "'label' is ''"),
        (shape("cat", [[1, 2]]), r"points are \[\[1, 2\]\]"),
        (shape("cat", [[1, 2], [3, "x"]]), "points are"),
        (shape("cat", [[1, 2], [3, float("nan")]]), "coordinates"),
        (shape("cat", None), "points are None"),
        (shape("cat", RECTANGLE, "cube"), "'shape_type' is 'cube'"),
        ("cat", "is 'cat'"),
    ],
)
def test_a_broken_shape_is_left_out_and_counted(write, write_images, tmp_path, broken, message):
    write_images(tmp_path, {"a.jpg": (40, 60)})
    write("a.json", broken, shape("cat", RECTANGLE))
    data = LabelmeDataset(tmp_path)
    assert named_boxes(data) == [[("cat", 1, 2, 11, 22)]]
    (note,) = data.report.notes
    assert note.startswith(f"1 annotations left out: {tmp_path}/a.json, shape 1: ")
    with pytest.raises(DataError, match=f"a.json, shape 1: {message}"):
        LabelmeDataset(tmp_path, on_error="error")


def test_broken_and_foreign_files_are_left_out_and_counted(write, write_images, tmp_path):
    write_images(tmp_path)
    write("a.json", shape("cat", RECTANGLE))
    (tmp_path / "b.json").write_text('{"shapes": [')
    (tmp_path / "settings.json").write_text('{"a": 1}')
    write("gone.json", shape("cat", RECTANGLE), image="gone.jpg")
    data = LabelmeDataset(tmp_path)
    # b.jpg has a JSON file, though a broken one: it is not known to be background.
    assert [sample["image_id"] for sample in data] == ["a.jpg", "c.jpg"]
    assert data.report.notes[1].startswith("2 annotations left out: ")
    for part in ("b.json: is not JSON", "settings.json: has no list 'shapes'"):
        assert f"{tmp_path}/{part}" in data.report.notes[1]
    gone = "1 images are not there and are left out with their 1 boxes (gone.jpg)"
    assert any(gone in note for note in data.report.notes)
    with pytest.raises(DataError, match=r"b\.json: is not JSON"):
        LabelmeDataset(tmp_path, on_error="error")


def test_embedded_pictures_are_read_from_the_json_file(write, write_images, tmp_path):
    write_images(tmp_path, {"a.png": (40, 60), "b.png": (40, 60)})
    content = (tmp_path / "a.png").read_bytes()
    pixels = np.asarray(Image.open(tmp_path / "a.png"))
    (tmp_path / "a.png").unlink()
    write("a.json", shape("cat", RECTANGLE), image="a.png", imageData=base64.b64encode(content).decode())
    text = (tmp_path / "a.json").read_text()
    assert "/" in text
    (tmp_path / "escaped.json").write_text(text.replace("/", "\\/").replace('"a.png"', '"escaped.png"'))
    write("b.json", shape("cat", RECTANGLE), image="b.png", imageData="AAAA")  # the file next to it is preferred
    data = LabelmeDataset(tmp_path)
    assert [sample["image_id"] for sample in data] == ["a.png", "b.png", "escaped.png"]
    assert named_boxes(data) == [[("cat", 1, 2, 11, 22)]] * 3
    assert data[1]["image"] == str(tmp_path / "b.png")
    assert read_bytes(data[0]["image"]) == read_bytes(data[2]["image"]) == content
    table = SampleTable(data, ResizeConfig(40, 60))
    for index in (0, 2):
        assert np.array_equal(table.load(index)["image"], pixels)
    assert np.array_equal(table.load(1)["image"], np.asarray(Image.open(tmp_path / "b.png")))


def test_embedded_photos_have_their_orientation(write, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (400, 600, 3), np.uint8)
    for quality in (50, 100):  # the latter is longer than the part that is decoded for the header
        photo = Image.fromarray(noise)
        exif = photo.getexif()
        exif[0x0112] = 6
        photo.save(tmp_path / "photo.jpg", exif=exif, quality=quality)
        content = base64.b64encode((tmp_path / "photo.jpg").read_bytes()).decode()
        (tmp_path / "photo.jpg").unlink()
        write("a.json", shape("cat", [[1, 2], [30, 550]]), imageData=content, imageHeight=600, imageWidth=400)
        (sample,) = LabelmeDataset(tmp_path)
        assert (sample["orientation"], sample["size"]) == (6, (600, 400))


def test_broken_base64_is_an_image_that_cannot_be_read(write, tmp_path):
    write("a.json", shape("cat", RECTANGLE), imageData="AA*A")
    (sample,) = LabelmeDataset(tmp_path)
    with pytest.raises(OSError, match="base64 is broken"):
        read_bytes(sample["image"])
    write("a.json", shape("cat", RECTANGLE), imageData="AA*A", imageHeight=None)
    with pytest.raises(DataError, match="cannot be read as an image"):
        LabelmeDataset(tmp_path)


def test_the_annotated_size_is_that_of_the_turned_photo(write, write_images, tmp_path):
    from keras_retinanet.data.error_collector import ErrorCollector

    write_images(tmp_path, {"a.jpg": (40, 60)})
    write("a.json", shape("cat", RECTANGLE), imageHeight=60, imageWidth=40)
    LabelmeDataset(tmp_path, on_error=(collector := ErrorCollector()))
    assert collector.annotated_sizes == [(60, 40)]
    assert not collector.trusts_annotated_size


def test_linked_folders_are_followed(write, write_images, tmp_path):
    write_images(tmp_path / "elsewhere", {"a.jpg": (40, 60)})
    write("elsewhere/a.json", shape("cat", RECTANGLE))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    assert named_boxes(LabelmeDataset(tmp_path / "data")) == [[("cat", 1, 2, 11, 22)]]
    shutil.rmtree(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="no JSON files"):
        LabelmeDataset(tmp_path / "data")
