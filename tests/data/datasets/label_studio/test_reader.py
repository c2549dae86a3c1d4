"""Exports as Label Studio 1.2x writes them; boxes of the tiny image (40 high, 60 wide) are worked by hand."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from keras_retinanet.data.datasets import LabelStudioDataset, find_layouts
from keras_retinanet.data.errors import DataError

CAT = {"x": 10, "y": 5, "width": 50, "height": 50, "rotation": 0, "rectanglelabels": ["cat"]}  # 6, 2, 36, 22
FOUND = ("cat", 6, 2, 36, 22)
NUMBERS = itertools.count()


def region(value, kind="rectanglelabels", **more):
    size = {"original_width": 60, "original_height": 40, "image_rotation": 0}
    names = {"from_name": "label", "to_name": "image", "type": kind, "origin": "manual"}
    return {**size, "value": value, "id": f"region{next(NUMBERS)}", **names, **more}


def annotation(*regions, created="2026-11-29T10:00:00Z", **more):
    common = {"id": 1, "completed_by": 1, "was_cancelled": False, "ground_truth": False, "created_at": created}
    return {**common, "result": list(regions), "lead_time": 3.5, "prediction": {}, **more}


def task(address, *annotations, key="image", **more):
    common = {"id": 3, "drafts": [], "meta": {}, "created_at": "2026-11-29T09:00:00Z", "project": 1}
    prediction = {"result": [region({**CAT, "rectanglelabels": ["predicted"]})], "score": 0.5}
    return {**common, "annotations": list(annotations), "predictions": [prediction], "data": {key: address}, **more}


@pytest.fixture
def write(tmp_path):
    """`write(*tasks)`: the export of a project."""

    def write_tasks(*tasks, name="project-1-at-2026-11-29-10-00-ab12cd34.json"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(tasks, ensure_ascii=False), encoding="utf-8")
        return file

    return write_tasks


def named_boxes(data):
    return [
        [
            (data.class_names[label], *np.round(box, 4).tolist())
            for label, box in zip(sample["labels"], sample["boxes"], strict=True)
        ]
        for sample in data
    ]


def encode_brush(mask, lengths=(3, 4, 8, 16)):
    """Run lengths as Label Studio packs them: runs where all values are equal, literal values elsewhere."""
    values = np.repeat(mask[..., None], 4, axis=2).astype(np.uint8)
    values[..., :3] = np.where(values[..., :3] > 0, [7, 8, 9], 0)
    flat = values.reshape(-1).tolist()
    bits = f"{len(flat):032b}{7:05b}" + "".join(f"{length - 1:04b}" for length in lengths)
    start = 0
    while start < len(flat):
        end = start + 1
        while end < len(flat) and flat[end] == flat[start]:
            end += 1
        if end - start < 4:
            while end < len(flat) and end - start < 8 and flat[end : end + 4] != [flat[end]] * 4:
                end += 1
            bits += f"0{0:02b}{end - start - 1:03b}" + "".join(f"{value:08b}" for value in flat[start:end])
        else:
            bits += f"1{3:02b}{end - start - 1:016b}{flat[start]:08b}"
        start = end
    bits += "0" * (-len(bits) % 8)
    return [int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]


def test_regions(write, write_images, tmp_path):
    write_images(tmp_path / "images")
    mask = np.zeros((40, 60), np.uint8)
    mask[7:11, 20:33] = mask[9:15, 25] = 255
    plain = region({"x": 50, "y": 50, "width": 25, "height": 25, "rotation": 0}, "rectangle", id="two entries")
    labels = region({"x": 50, "y": 50, "width": 25, "height": 25, "labels": ["dog"]}, "labels", id="two entries")
    file = write(
        task(
            "/data/upload/1/a.jpg",
            annotation(
                region(CAT),
                plain,
                labels,
                # Turned clockwise by 90 degrees about (30, 4): 12 wide and 8 high become 8 to the left and 12 down.
                region({"x": 50, "y": 10, "width": 20, "height": 20, "rotation": 90, "rectanglelabels": ["owl"]}),
                region(
                    {"x": 50, "y": 50, "radiusX": 10, "radiusY": 10, "rotation": 90, "ellipselabels": ["owl"]},
                    "ellipselabels",
                ),
                region(
                    {"points": [[10, 10], [50, 20], [20, 60]], "closed": True, "polygonlabels": ["owl"]},
                    "polygonlabels",
                ),
                region({"format": "rle", "rle": encode_brush(mask), "brushlabels": ["owl"]}, "brushlabels"),
                region({"x": 10, "y": 10, "width": 0.5, "keypointlabels": ["nose"]}, "keypointlabels"),
                region({"choices": ["sunny"]}, "choices"),
                region({"x": 0, "y": 0, "width": 10, "height": 10, "rectanglelabels": ["cat", "pet"]}),
            ),
        ),
        task("/data/upload/1/b.jpg", annotation()),
    )
    data = LabelStudioDataset(tmp_path)
    assert data.class_names == ("cat", "dog", "owl", "pet")
    assert named_boxes(data) == [
        [
            FOUND,
            ("dog", 30, 20, 45, 30),
            ("owl", 22, 4, 30, 16),
            ("owl", 26, 14, 34, 26),
            ("owl", 6, 4, 30, 24),
            ("owl", 20, 7, 33, 15),
            ("cat", 0, 0, 6, 4),
            ("pet", 0, 0, 6, 4),
        ],
        [],
    ]
    assert data.report.notes == [
        f"{file}: 1 images are not listed and are left out (c.jpg)",
        f"{file}: shapes replaced by their enclosing boxes: 1 brush, 1 ellipse, 1 polygon, 1 rotated rectangle",
        f"{file}: shapes without area, left out: 1 choice of an image, 1 keypoint",
    ]
    (layout,) = find_layouts(tmp_path)
    assert (layout.format, layout.certainty, layout.tool) == ("labelstudio", 3, "Label Studio")


@pytest.mark.parametrize(
    ("address", "image", "is_noted"),
    [
        ("/data/upload/1/ab12cd34-a.jpg", "images/ab12cd34-a.jpg", False),
        ("/data/upload/1/ab12cd34-a.jpg", "a.jpg", True),
        ("/data/upload/ab12cd34-a.jpg", "a.jpg", True),
        ("/data/local-files/?d=day%201/a.jpg", "day 1/a.jpg", False),
        ("/data/local-files/?d=datasets/day1/a.jpg", "day1/a.jpg", True),
        ("s3://bucket/day1/a.jpg", "day1/a.jpg", False),
        ("gs://bucket/far/away/a.jpg", "images/a.jpg", True),
        ("https://host/x/%C3%BC.jpg?sign=1", "images/ü.jpg", True),
        ("/tasks/1/resolve/?fileuri=czM6Ly9idWNrZXQvZGF5MS9hLmpwZw==", "day1/a.jpg", False),
        ("images/a.jpg", "images/a.jpg", False),
        ("C:\\photos\\a.jpg", "images/a.jpg", True),
    ],
)
def test_addresses(write, write_images, tmp_path, address, image, is_noted):
    picture = tmp_path / image
    write_images(picture.parent, {picture.name: (40, 60)})
    write(task(address, annotation(region(CAT))))
    data = LabelStudioDataset(tmp_path)
    assert named_boxes(data) == [[FOUND]]
    assert picture.samefile(data[0]["image"])
    assert ["1 image paths lead elsewhere" in note for note in data.report.notes] == [True] * is_noted


def test_one_annotation_of_each_task_is_used(write, write_images, tmp_path):
    write_images(tmp_path, dict.fromkeys(["a.jpg", "b.jpg", "c.jpg"], (40, 60)))
    old = annotation(region({**CAT, "rectanglelabels": ["old"]}), created="2026-01-01T00:00:00Z")
    new = annotation(region({**CAT, "rectanglelabels": ["new"]}), created="2026-02-01T00:00:00Z")
    skipped = annotation(region({**CAT, "rectanglelabels": ["skipped"]}), created="2026-03-01", was_cancelled=True)
    file = write(
        task("a.jpg", new, old, skipped),
        task("b.jpg", {**old, "ground_truth": True}, new),
        task("c.jpg", skipped),
        task("d.jpg"),
    )
    data = LabelStudioDataset(tmp_path)
    assert [[box[0] for box in boxes] for boxes in named_boxes(data)] == [["new"], ["old"]]
    assert data.class_names == ("new", "old")
    assert data.report.notes == [
        f"{file}: 2 images have several annotations: the one marked as ground truth, else the newest, is used",
        f"{file}: 2 tasks have no annotation and are left out (c.jpg, d.jpg)",
        f"{file}: 1 images are not listed and are left out (c.jpg)",
    ]


def test_json_min(write, write_images, tmp_path):
    write_images(tmp_path)
    sizes = {"original_width": 60, "original_height": 40}
    common = {"annotator": 1, "lead_time": 2.5, "updated_at": "2026-11-29"}
    file = write(
        {"photo": "a.jpg", "id": 1, "label": [{**CAT, **sizes}], "scene": "sunny", "annotation_id": 4,
         "created_at": "2026-01-01", **common},
        {"photo": "a.jpg", "id": 1, "label": [{**CAT, **sizes, "rectanglelabels": ["dog"]}], "annotation_id": 5,
         "created_at": "2026-02-01", **common},
        {"photo": "b.jpg", "id": 2, "annotation_id": 6, "created_at": "2026-01-01", **common},
        {"photo": "c.jpg", "id": 3, "annotation_id": None, "created_at": None, **common},
    )  # fmt: skip
    data = LabelStudioDataset(tmp_path)
    assert named_boxes(data) == [[("dog", 6, 2, 36, 22)], []]
    assert data.report.notes[:2] == [
        f"{file}: 1 images have several annotations: the one marked as ground truth, else the newest, is used",
        f"{file}: 1 tasks have no annotation and are left out (c.jpg)",
    ]
    assert find_layouts(file)[0].format == "labelstudio"


def test_a_region_without_labels_has_its_choices_as_classes(write, write_images, tmp_path):
    write_images(tmp_path, {"a.jpg": (40, 60)})
    box = region({**CAT, "rectanglelabels": []}, "rectangle", id="one")
    write(
        task("a.jpg", annotation(box, region({**CAT, "rectanglelabels": [], "choices": ["ripe"]}, "choices", id="one")))
    )
    assert named_boxes(LabelStudioDataset(tmp_path)) == [[("ripe", 6, 2, 36, 22)]]


def test_sets_are_files(write, write_images, tmp_path):
    write_images(tmp_path / "images")
    write(task("a.jpg", annotation(region(CAT))), name="train.json")
    write(task("b.jpg", annotation(region(CAT))), name="val.json")
    assert LabelStudioDataset.default_sets(tmp_path) == ("train", "val")
    assert [sample["image_id"] for sample in LabelStudioDataset(tmp_path, "val")] == ["b.jpg"]
    with pytest.raises(DataError, match=r"has no Label Studio annotations of the set 'test'.*--set"):
        LabelStudioDataset(tmp_path, "test")


def test_the_annotated_size_is_that_of_the_picture_in_the_browser(write, write_images, tmp_path):
    from keras_retinanet.data.error_collector import ErrorCollector

    write_images(tmp_path, {"a.jpg": (40, 60)})
    write(task("a.jpg", annotation(region(CAT, original_width=40, original_height=60))))
    LabelStudioDataset(tmp_path, on_error=(collector := ErrorCollector()))
    assert collector.annotated_sizes == [(60, 40)]
    assert collector.columns.boxes.tolist() == [[4, 3, 24, 33]]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (region({**CAT, "rectanglelabels": []}), "has no label"),
        (region({**CAT, "x": "left"}), "'x' is 'left'"),
        (region(CAT, image_rotation=90), "rotated by 90 degrees in Label Studio"),
        (region({"rle": [1, 2, 3], "brushlabels": ["cat"]}), "'rle' cannot be read"),
        (region({"rle": encode_brush(np.zeros((40, 60))), "brushlabels": ["cat"]}), "is an empty mask"),
        (region({"rle": encode_brush(np.ones((4, 6))), "brushlabels": ["cat"]}), r"'rle' cannot be read \(96 values"),
        (region({"rle": encode_brush(np.ones((40, 60)))[:9], "brushlabels": ["cat"]}), "ends too early"),
        (region({"points": [[1, 2]], "polygonlabels": ["cat"]}), "points are"),
    ],
)
def test_a_broken_region_is_left_out_and_counted(write, write_images, tmp_path, broken, message):
    write_images(tmp_path, {"a.jpg": (40, 60)})
    file = write(task("a.jpg", annotation(broken, region(CAT))))
    data = LabelStudioDataset(tmp_path)
    assert named_boxes(data) == [[FOUND]]
    assert data.report.notes[-1].startswith(f"1 annotations left out: {file}, 'a.jpg', shape 1: ")
    with pytest.raises(DataError, match=f"shape 1: .*{message}"):
        LabelStudioDataset(tmp_path, on_error="error")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            task("a.jpg", annotation(region({"sequence": [], "framesCount": 9, "labels": ["cat"]}))),
            "has tracks of a video",
        ),
        (task("no picture", annotation()) | {"data": {"text": "hello"}}, "has no image"),
        (task("a.jpg", annotation()) | {"data": {"left": "a.jpg", "right": "b.jpg"}}, r"has 2 images \(left, right\)"),
        (task("a.jpg", annotation()) | {"annotations": 3}, "'annotations' is 3"),
        (task("a.jpg", {**annotation(), "result": None}), "'result' is None"),
        ("a.jpg", "is 'a.jpg'"),
    ],
)
def test_a_task_that_cannot_be_read_is_left_out_and_counted(write, write_images, tmp_path, broken, message):
    write_images(tmp_path, {"a.jpg": (40, 60), "b.jpg": (40, 60)})
    file = write(broken, task("b.jpg", annotation(region(CAT))))
    data = LabelStudioDataset(tmp_path)
    assert named_boxes(data) == [[FOUND]]
    assert data.report.notes[-1].startswith(f"1 annotations left out: {file}, task 1: ")
    write(broken)
    with pytest.raises(DataError, match=f"task 1: {message}|not a list|has no Label Studio"):
        LabelStudioDataset(file)


def test_missing_images_name_the_way_out(write, tmp_path):
    write(task("/data/upload/1/ab12cd34-a.jpg", annotation(region(CAT))))
    with pytest.raises(DataError, match=r"ab12cd34-a\.jpg' \(number 1 of 1\) is not there.*--image-dir"):
        LabelStudioDataset(tmp_path)


def test_one_file_per_annotation(tmp_path, write_images):
    """Cloud storage has the annotation with its task in files named by its number; the newest of a task is used."""
    write_images(tmp_path / "images")
    (tmp_path / "out").mkdir()
    old = annotation(region({**CAT, "x": 0}), created="2026-11-28T10:00:00Z")
    files = (
        ("9", old, "a.jpg"),
        ("10", annotation(region(CAT)), "a.jpg"),
        ("11.json", annotation(), "b.jpg"),
    )
    for name, content, image in files:
        content = {
            **content,
            "id": int(name.partition(".")[0]),
            "task": {"id": 1, "data": {"image": f"s3://x/{image}"}},
        }
        (tmp_path / "out" / name).write_text(json.dumps(content))
    (tmp_path / "out" / "12").write_text("[]")
    layout = find_layouts(tmp_path / "out")[0]
    assert (layout.format, layout.evidence, layout.tool) == ("labelstudio", "one file per annotation", "Label Studio")
    data = LabelStudioDataset(tmp_path / "out", image_dir=str(tmp_path / "images"))
    assert named_boxes(data) == [[FOUND], []]
    assert str(tmp_path / "out" / "10") in data.contents.sources
    assert "out/12: has no 'task' with 'data'" in "\n".join(data.report.notes)
