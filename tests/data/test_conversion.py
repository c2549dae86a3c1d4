"""Any format to any other, and back."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.config import DataConfig
from keras_retinanet.data import conversion
from keras_retinanet.data.conversion import convert
from keras_retinanet.data.datasets import DATASETS, CocoDataset
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.image_files import byte_range, image_reference, read_bytes
from keras_retinanet.data.open_dataset import open_dataset
from keras_retinanet.data.writers import WRITERS, image_names, make_jobs, write_job
from keras_retinanet.data.writers.jobs import OutputSplit, image_suffix

BOXES = {
    "train/a.jpg": [("dog", 1, 2, 11, 22.5, 0), ("cat", 0.1, 0.2, 30.7, 39.9, 0), ("dog", 0, 0, 60, 40, 1)],
    "train/b.png": [("cat", 3.3333333, 4.1, 7.7, 59.25, 0)],
    "train/c.jpg": [],
    "val/a.jpg": [("owl, snowy", 5, 5, 29, 30, 0)],
}  # class, x1 … y2, is it an ignore region
SIZES = {"train/a.jpg": (40, 60), "train/b.png": (60, 40), "train/c.jpg": (30, 30), "val/a.jpg": (30, 30)}
CLASSES = ("cat", "dog", "owl, snowy")


def coco_content(split, first):
    names = [name for name in BOXES if name.startswith(split)]
    images = [
        {"id": first + k, "file_name": name.split("/")[1], "height": SIZES[name][0], "width": SIZES[name][1]}
        for k, name in enumerate(names)
    ]
    boxes = [
        {"image_id": first + k, "category_id": 3 * CLASSES.index(label) + 2, "bbox": [x1, y1, x2 - x1, y2 - y1],
         "iscrowd": crowd, "area": 7.25}
        for k, name in enumerate(names)
        for label, x1, y1, x2, y2, crowd in BOXES[name]
    ]  # fmt: skip
    categories = [{"id": 3 * k + 2, "name": name} for k, name in enumerate(CLASSES)]
    return {
        "images": images,
        "annotations": [{"id": k, **box} for k, box in enumerate(boxes, 1)],
        "categories": categories,
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Two sets as COCO; a.jpg stands in both of them, with other pixels."""
    folder = tmp_path_factory.mktemp("source")
    rng = np.random.default_rng(0)
    for split, first in (("train", 40), ("val", 90)):
        (folder / f"{split}2017").mkdir()
        (folder / "annotations").mkdir(exist_ok=True)
        file = folder / "annotations" / f"instances_{split}2017.json"
        file.write_text(json.dumps(coco_content(split, first)))
    for name, size in SIZES.items():
        split, file_name = name.split("/")
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(folder / f"{split}2017" / file_name)
    return folder


def config(word, folder):
    if word != "csv":
        return DataConfig(word, str(folder))
    files = {name: str(folder / f"{name}.csv") for name in ("train", "val", "classes")}
    return DataConfig("csv", annotations=files["train"], val_annotations=files["val"], classes=files["classes"])


def content_of(data):
    """Everything that a data set says, by the names of its classes: pixels, boxes, ignore regions."""
    found = []
    for split in ("train", "val"):
        dataset = open_dataset(data, split)
        for sample in dataset:
            names = [dataset.class_names[label] for label in sample["labels"]]
            boxes = [tuple(box) for box in sample["boxes"].tolist()]
            rows = list(zip(names, boxes, sample["ignore"].tolist(), strict=True))
            found.append((split, read_bytes(sample["image"]), sample["size"], rows))
    return found


def without_regions(content):
    return [(*image, [row for row in rows if not row[2]]) for *image, rows in content]


HOLD_REGIONS = ("coco", "pascal", "tfrecord")


@pytest.fixture(scope="module")
def converted(source, tmp_path_factory):
    """The source in every format."""
    out = tmp_path_factory.mktemp("converted")
    return {to: convert(config("coco", source), out / to, to, shards=2 if to == "tfrecord" else None) for to in WRITERS}


@pytest.mark.parametrize("to", WRITERS)
def test_what_is_written_is_what_was_read(source, converted, to):
    before, after = content_of(config("coco", source)), content_of(config(to, converted[to].folder))
    assert_same(before if to in HOLD_REGIONS else without_regions(before), after, to)
    regions = to not in HOLD_REGIONS
    assert converted[to].num_boxes == (4 if regions else 5)
    assert converted[to].num_images == dict.fromkeys(WRITERS[to].sets.values(), 0) | {
        WRITERS[to].sets["train"]: 3,
        WRITERS[to].sets["val"]: 1,
    }
    expected = (f"{to} cannot represent ignore regions (crowd, difficult, group): 1 left out",) if regions else ()
    assert converted[to].notes == expected


def assert_same(before, after, *formats):
    atol = 0 if set(formats) <= {"coco", "csv", "pascal"} else 1e-5
    assert len(after) == len(before)
    for (*image, rows), (*other_image, other_rows) in zip(before, after, strict=True):
        assert image == other_image
        assert [(name, ignore) for name, _, ignore in rows] == [(name, ignore) for name, _, ignore in other_rows]
        for (_, box, _), (_, other, _) in zip(rows, other_rows, strict=True):
            np.testing.assert_allclose(np.float32(other), np.float32(box), rtol=0, atol=atol)


@pytest.mark.parametrize(("first", "second"), list(itertools.product(WRITERS, WRITERS)))
def test_any_to_any(converted, tmp_path, first, second):
    data = config(first, converted[first].folder)
    again = convert(data, tmp_path / "again", second)
    before = content_of(data)
    assert_same(
        before if second in HOLD_REGIONS else without_regions(before),
        content_of(config(second, again.folder)),
        first,
        second,
    )


def test_ids_areas_and_categories_of_coco_stay(converted):
    for to in ("coco", "tfrecord"):
        train = open_dataset(config(to, converted[to].folder), "train")
        assert train.category_ids == (2, 5, 8)
        assert [sample["image_id"] for sample in train] == [40, 41, 42]
        assert train[0]["areas"].tolist() == [7.25] * 3
    # YOLO has no ids but those of its classes, from 0: COCO ids are counted anew
    assert CocoDataset(converted["coco"].folder, "val2017").category_ids == (2, 5, 8)


def test_numbers_are_written_short(converted):
    text = (converted["coco"].folder / "annotations" / "instances_train2017.json").read_text()
    assert '"bbox":[0.1,0.2,30.6,39.7]' in text
    assert "a.jpg,0.1,0.2,30.7,39.9,cat" in (converted["csv"].folder / "train.csv").read_text()
    assert "images/train/c.jpg,,,,,\n" in (converted["csv"].folder / "train.csv").read_text()
    assert (converted["csv"].folder / "classes.csv").read_text() == 'cat,0\ndog,1\n"owl, snowy",2\n'
    assert "<xmin>1.1</xmin>" in (converted["pascal"].folder / "Annotations" / "a.xml").read_text()
    assert (converted["pascal"].folder / "ImageSets" / "Main" / "val.txt").read_text() == "a-2\n"
    assert (converted["yolo"].folder / "labels" / "train" / "c.txt").read_text() == ""


def test_images_are_linked_or_left(source, tmp_path):
    linked = convert(config("coco", source), tmp_path / "linked", "yolo", images="link")
    original = source / "train2017" / "a.jpg"
    assert (linked.folder / "images" / "train" / "a.jpg").samefile(original)
    for to in ("coco", "csv"):
        left = convert(config("coco", source), tmp_path / to, to, images="none")
        assert open_dataset(config(to, left.folder), "train")[0]["image"] == str(original)
        assert not list(left.folder.rglob("*.jpg"))
    with pytest.raises(ValueError, match="--images none does not go with --to yolo; allowed: copy or link"):
        convert(config("coco", source), tmp_path / "no", "yolo", images="none")


def test_records_cannot_be_pointed_into(converted, tmp_path):
    with pytest.raises(ValueError, match="--images none cannot point at images inside of record files"):
        convert(config("tfrecord", converted["tfrecord"].folder), tmp_path / "no", "csv", images="none")


def test_boxes_that_voc_cannot_hold_are_told(tmp_path, write_tiny_csv):
    out = convert(write_tiny_csv("1,1,2,9", "1,1,9,9"), tmp_path / "voc", "pascal")
    assert out.notes[-1] == "pascal cannot represent boxes a pixel wide or high, or less: 1 left out"
    assert out.num_boxes == 1
    assert len(open_dataset(DataConfig("pascal", str(out.folder)), "train")[0]["boxes"]) == 1


@pytest.fixture
def write_tiny_csv(tmp_path):
    def write(*boxes, name="boxes"):
        Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
        (tmp_path / f"{name}.csv").write_text("".join(f"a.png,{box},{name}\n" for box in boxes))
        return DataConfig("csv", annotations=str(tmp_path / f"{name}.csv"))

    return write


def test_what_the_reader_left_out_is_told_and_classes_are_joined(tmp_path, write_tiny_csv):
    train, val = write_tiny_csv("1,1,1,9", "2,2,9,9", name="hen"), write_tiny_csv("1,1,5,5", name="cow")
    both = DataConfig("csv", annotations=train.annotations, val_annotations=val.annotations)
    out = convert(both, tmp_path / "out", "yolo")
    assert out.notes[0].startswith("train: 1 boxes left out, 0 clipped to their image: ")
    assert "labels follow the sorted class names of the boxes" in out.notes[1]
    assert open_dataset(DataConfig("yolo", str(out.folder)), "val").class_names == ("hen", "cow")
    assert not convert(both, tmp_path / "val", "csv", splits=("val",)).num_images.get("train")
    with pytest.raises(ValueError, match="has no val images to write"):
        convert(train, tmp_path / "none", "csv", splits=("val",))


def test_nothing_is_left_of_a_conversion_that_fails(tmp_path, write_tiny_csv):
    def fail(jobs):
        raise OSError("disk full")

    data = write_tiny_csv("1,1,9,9")
    with pytest.raises(OSError, match="disk full"):
        convert(data, tmp_path / "deep" / "out", "yolo", run=fail)
    assert list((tmp_path / "deep").iterdir()) == []
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(ValueError, match="full already exists and is not empty"):
        convert(data, tmp_path / "full", "yolo")
    (tmp_path / "full" / "x").unlink()
    convert(data, tmp_path / "full", "yolo")
    with pytest.raises(DataError, match="cannot be read"):
        convert(DataConfig("csv", annotations="gone.csv"), tmp_path / "new", "yolo")
    assert not (tmp_path / "new").exists()


def test_shards(source, tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "SHARD_BYTES", 4000)
    out = convert(config("coco", source), tmp_path / "out", "tfrecord", splits=("train",))
    size = sum(len(read_bytes(sample["image"])) for sample in open_dataset(config("coco", source), "train"))
    count = -(-size // 4000)
    assert 1 < count <= 3
    names = sorted(file.name for file in out.folder.glob("train*"))
    assert names == [f"train.tfrecord-{k:05}-of-{count:05}" for k in range(count)]


def test_cutting(source):
    samples = open_dataset(config("coco", source), "train")[:]
    part = OutputSplit("train", samples, image_names(samples), CLASSES, (1, 2, 3))
    jobs = make_jobs("coco", "out", part, "copy", 2)
    assert [(job.first, job.split.names, job.number, job.count) for job in jobs] == [
        (0, ["a.jpg"], 0, 2),
        (1, ["b.png", "c.jpg"], 1, 2),
    ]
    assert len(make_jobs("coco", "out", part, "copy", 99)) == 3


def test_names_of_images_from_anywhere(source):
    picture = source / "train2017" / "b.png"
    size = picture.stat().st_size
    paths = [
        "x/a.jpg",
        "y/A.PNG",
        "a-2.jpg",
        image_reference(str(picture), 0, size),
        image_reference(str(picture), 0, size),
    ]
    samples = [
        {"image": path, "image_id": ident} for path, ident in zip(paths, [1, 2, 3, 17, "v/ö 1?.jpg"], strict=True)
    ]
    assert image_names(samples) == ["a.jpg", "A-2.PNG", "a-2-2.jpg", "17.png", "ö_1_.jpg"]
    assert [image_suffix(head) for head in (b"\xff\xd8\xff", b"GIF89a", b"BM..", b"RIFF")] == [
        ".jpg",
        ".gif",
        ".bmp",
        ".webp",
    ]


def test_every_writer_has_its_reader():
    assert set(WRITERS) <= set(DATASETS)
    assert byte_range("a.jpg") is None
    assert write_job.__doc__
