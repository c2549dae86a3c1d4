from __future__ import annotations

import json

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from keras_retinanet.data.datasets import OpenImagesDataset, find_layouts
from keras_retinanet.data.datasets.shared.label_hierarchy import classes_above
from keras_retinanet.data.errors import DataError

HEADER = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
NAMES = "/m/food,Food\n/m/apple,Apple\n/m/car,Car\n/m/pear,Pear\n"
TREE = {
    "LabelName": "/m/all",
    "Subcategory": [
        {"LabelName": "/m/food", "Subcategory": [{"LabelName": "/m/apple"}, {"LabelName": "/m/pear"}]},
        {"LabelName": "/m/car"},
    ],
}


def row(image, label, x1, x2, y1, y2, group=0):
    return f"{image},xclick,{label},1,{x1},{x2},{y1},{y2},0,0,{group},0,0\n"


@pytest.fixture
def oid(tmp_path, write_images):
    """a (40 x 60), b (60 x 40); the list also has c, which was not downloaded."""
    write_images(tmp_path / "train", {"a.jpg": (40, 60), "b.jpg": (60, 40)})
    rows = [
        row("a", "/m/apple", 0.5, 1, 0.25, 0.75),
        row("c", "/m/car", 0, 1, 0, 1),
        row("b", "/m/car", 0, 0.5, 0, 1),
        row("a", "/m/pear", 0, 0.1, 0, 0.1, group=1),
    ]
    (tmp_path / "oidv6-train-annotations-bbox.csv").write_text(HEADER + "\n" + "".join(rows))
    (tmp_path / "class-descriptions-boxable.csv").write_text(NAMES)
    (tmp_path / "bbox_labels_600_hierarchy.json").write_text(json.dumps(TREE))
    return tmp_path


def test_reads_what_is_there(oid):
    data = OpenImagesDataset(oid)
    assert data.class_names == ("Food", "Apple", "Car", "Pear")
    assert [sample["image_id"] for sample in data] == ["a", "b"]
    np.testing.assert_allclose(data[0]["boxes"], [[30, 10, 60, 30], [0, 0, 6, 4]], rtol=1e-6)
    assert data[0]["labels"].tolist() == [1, 3]
    assert data[0]["ignore"].tolist() == [False, True]  # a group
    assert data[1]["boxes"].tolist() == [[0, 0, 20, 60]]
    assert data.report.notes[0].endswith(f"1 images of the list are not in {oid / 'train'} (c)")
    assert OpenImagesDataset.default_sets(oid) == ("train", None)


def test_the_layout_of_former_releases(oid):
    (oid / "2018_04" / "train").mkdir(parents=True)
    (oid / "images").mkdir()
    (oid / "train").rename(oid / "images" / "train")
    (oid / "oidv6-train-annotations-bbox.csv").rename(oid / "2018_04" / "train-annotations-bbox.csv")
    (oid / "class-descriptions-boxable.csv").rename(oid / "2018_04" / "class-descriptions-boxable.csv")
    assert len(OpenImagesDataset(oid)) == 2


@pytest.mark.parametrize(
    ("boxes", "names"),
    [
        ("challenge-2019-train-detection-bbox.csv", "challenge-2019-classes-description-500.csv"),
        ("train/labels/detections.csv", "train/metadata/classes.csv"),
    ],
    ids=["challenge", "FiftyOne"],
)
def test_other_names_of_the_files(oid, boxes, names):
    for old, new in (("oidv6-train-annotations-bbox.csv", boxes), ("class-descriptions-boxable.csv", names)):
        (oid / new).parent.mkdir(exist_ok=True)
        (oid / old).rename(oid / new)
    assert len(OpenImagesDataset(oid)) == 2
    assert OpenImagesDataset.default_sets(oid) == ("train", None)  # detections.csv tells no set


def test_version_7_describes_classes_under_a_header(oid):
    (oid / "class-descriptions-boxable.csv").unlink()
    (oid / "oidv7-class-descriptions-boxable.csv").write_text("LabelName,DisplayName\n" + NAMES)
    assert OpenImagesDataset(oid).class_names == ("Food", "Apple", "Car", "Pear")


def test_a_filter_of_labels_by_name_and_by_id(oid):
    data = OpenImagesDataset(oid, labels_filter=("Pear", "/m/apple"))
    assert data.class_names == ("Pear", "Apple")
    assert [sample["image_id"] for sample in data] == ["a"]
    assert data[0]["labels"].tolist() == [1, 0]
    with pytest.raises(DataError, match="the filter of labels names 'Plum'"):
        OpenImagesDataset(oid, labels_filter=("Plum",))


def test_a_parent_label_takes_all_below_it(oid):
    data = OpenImagesDataset(oid, parent_label="Food")
    assert data.class_names == ("Food", "Apple", "Pear")
    assert [sample["image_id"] for sample in data] == ["a"]
    assert OpenImagesDataset(oid, parent_label="/m/car").class_names == ("Car",)
    (oid / "bbox_labels_600_hierarchy.json").write_text(json.dumps({"LabelName": "/m/all"}))
    with pytest.raises(DataError, match=r"hierarchy\.json: 'Food' is not in the hierarchy"):
        OpenImagesDataset(oid, parent_label="Food")
    for text in ("{", "[]", '{"LabelName": "x", "Subcategory": 7}', '{"LabelName": "x", "Subcategory": [3]}'):
        (oid / "bbox_labels_600_hierarchy.json").write_text(text)
        with pytest.raises(DataError, match=r"hierarchy\.json"):
            OpenImagesDataset(oid, parent_label="Food")


def test_the_classes_above_each_class(oid):
    dataset = OpenImagesDataset(oid)
    assert dataset.find_hierarchy(oid, "validation") == oid / "bbox_labels_600_hierarchy.json"
    above = classes_above(oid / "bbox_labels_600_hierarchy.json", dataset.names_by_id(oid, "validation"))
    assert above == {
        "Apple": {"Food", "/m/all"}, "Pear": {"Food", "/m/all"}, "Food": {"/m/all"}, "Car": {"/m/all"},
    }  # fmt: skip


def test_wanted_class_names_give_the_labels(oid):
    assert OpenImagesDataset(oid, class_names=("Car", "emu", "Pear", "Apple"))[0]["labels"].tolist() == [3, 2]
    with pytest.raises(DataError, match="line 2: unknown class 'Apple'"):
        OpenImagesDataset(oid, class_names=("Car",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 1: has no column ImageID"),
        ("ImageID,LabelName,XMin,XMax,YMin\n", "line 1: has no column YMax"),
        (HEADER + "\na,b\n", "line 2: 2 columns in 'a,b'"),
        (HEADER + "\n" + row("a", "/m/x", 0, 1, 0, 1), "line 2: unknown class '/m/x'"),
        (HEADER + "\n" + row("a", "/m/car", 0, "q", 0, 1), "line 2: XMax is 'q'"),
        (HEADER + "\n" + row("a", "/m/car", 0, 1, 0, 1, group=5), "line 2: IsGroupOf is '5'"),
        (HEADER + "\n" + row("a", "/m/car", 0, "nan", 0, 1), "line 2: coordinates"),
        (HEADER + "\n" + row("A", "/m/car", 0, 1, 0, 1), "lists 1 images, none of them in"),
        (HEADER + "\n" + row('"a', "/m/car", 0, 1, 0, 1) * 3, "line 2: opens a quote that line"),
        (b"\xff\xff", "is not UTF-8 text"),
    ],
)
def test_broken_boxes_are_named(oid, text, message):
    (oid / "oidv6-train-annotations-bbox.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=rf"bbox\.csv.*{message}.*fix: "):
        OpenImagesDataset(oid)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "describes no class"), ("/m/a\n", "line 1: is '/m/a'"), ("/m/a,A\n/m/b,A\n", "line 2: '/m/b,A' repeats")],
)
def test_broken_descriptions_are_named(oid, text, message):
    (oid / "class-descriptions-boxable.csv").write_text(text)
    with pytest.raises(DataError, match=rf"boxable\.csv.*{message}.*fix: "):
        OpenImagesDataset(oid)


def test_missing_parts_are_named(oid):
    with pytest.raises(DataError, match=r"has no \*test-annotations-bbox\.csv"):
        OpenImagesDataset(oid, "test")
    (oid / "train").rename(oid.parent / "pictures")
    with pytest.raises(DataError, match=r"has no images of 'train'.*name their folder with --image-dir"):
        OpenImagesDataset(oid)
    assert len(OpenImagesDataset(oid, image_dir=str(oid.parent / "pictures"))) == 2


def test_as_datumaro_writes_it(tmp_path, write_images):
    """Datumaro 1.13.12: flags are -1, ids keep their folder, an image without boxes is in the list of images alone."""
    for set_name in ("train", "val"):
        write_images(tmp_path / "images" / set_name, {"one.jpg": (40, 60), "empty.jpg": (40, 60)})
        write_images(tmp_path / "images" / set_name / "sub", {"two.jpg": (40, 60)})
        home = tmp_path / "annotations"
        home.mkdir(exist_ok=True)
        rows = "one,,cat,1,0.5,1.0,0.25,0.75,-1,-1,-1,-1,-1\nsub/two,,dog,1,0.0,0.5,0.0,1.0,-1,-1,-1,-1,-1\n"
        (home / f"{set_name}-annotations-bbox.csv").write_text(HEADER + "\n" + rows)
        (home / "class-descriptions.csv").write_text("dog,dog\ncat,cat\n")
    (layout,) = [layout for layout in find_layouts(tmp_path) if layout.certainty > 1]
    assert (layout.format, layout.evidence) == ("oid", "annotations/train-annotations-bbox.csv")
    assert OpenImagesDataset.default_sets(tmp_path) == ("train", "val")
    data = OpenImagesDataset(tmp_path)
    assert [sample["image_id"] for sample in data] == ["one", "sub/two", "empty"]
    np.testing.assert_allclose(data[0]["boxes"], [[30, 10, 60, 30]], rtol=1e-6)
    assert data[0]["labels"].tolist() == [1]
    assert not data[0]["ignore"].any()
    assert data.report.notes == [f"{tmp_path}/images/train: 1 images have no box and are background (empty.jpg)"]


def test_as_globox_writes_it(tmp_path, write_images):
    """globox 2.9.0: one file of any name, ids with suffix, no descriptions, empty flags."""
    write_images(tmp_path, {"one.jpg": (40, 60), "empty.jpg": (40, 60)})
    rows = "one.jpg,,dog,,0.0,0.5,0.0,1.0,,,,,\none.jpg,,cat,,0.5,1.0,0.25,0.75,,,,,\n"
    (tmp_path / "annotations.csv").write_text(HEADER + "\n" + rows)
    for path in (tmp_path, tmp_path / "annotations.csv"):
        layout = find_layouts(path)[0]
        assert (layout.format, layout.certainty, layout.evidence) == ("oid", 3, "annotations.csv")
        data = OpenImagesDataset(path)
        assert data.class_names == ("cat", "dog")
        assert [sample["image_id"] for sample in data] == ["one", "empty"]
        assert data[0]["labels"].tolist() == [1, 0]
        assert data.report.notes == [
            f"{tmp_path}: 1 images have no box and are background (empty.jpg)",
            f"{tmp_path}/annotations.csv: no class descriptions; labels follow the sorted LabelNames",
        ]
    assert OpenImagesDataset(tmp_path, labels_filter=("dog",))[0]["labels"].tolist() == [0]
    with pytest.raises(DataError, match=r"has no \*class-descriptions\*\.csv.*leave --parent-label out"):
        OpenImagesDataset(tmp_path, parent_label="dog")


def test_images_of_one_folder_for_all_sets(oid):
    (oid / "train").rename(oid / "images")
    (oid / "validation-annotations-bbox.csv").write_text(HEADER + "\n" + row("a", "/m/car", 0, 1, 0, 1))
    assert OpenImagesDataset.default_sets(oid) == ("train", "validation")
    data = OpenImagesDataset(oid, "validation")
    assert [sample["image_id"] for sample in data] == ["a"]
    assert data.report.notes == [f"{oid}/images: 1 images have no box of this set and are left out (b.jpg)"]


def test_one_broken_line_is_left_out_and_named(oid):
    file = oid / "oidv6-train-annotations-bbox.csv"
    file.write_text(file.read_text() + "a,b\n" + row("a", "/m/x", 0, 1, 0, 1))
    data = OpenImagesDataset(oid)
    assert [len(sample["labels"]) for sample in data] == [2, 1]
    assert data.report.notes[-1] == (
        f"2 annotations left out: {file}, line 6: 2 columns in 'a,b'; {file}, line 7: unknown class '/m/x'"
    )


FUZZ = hypothesis.settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
)
FIELD = st.sampled_from(["a", "c", "/m/car", "0", "1", "0.5", "nan", "x", '"', "\r", "\0", "é", "\n", ""])


@FUZZ
@hypothesis.given(fields=st.lists(FIELD, max_size=13), noise=st.binary(max_size=12))
def test_fuzzed_files_never_give_another_error(oid, fields, noise):
    text = ",".join(fields).encode()
    boxes, names = oid / "oidv6-train-annotations-bbox.csv", oid / "class-descriptions-boxable.csv"
    for content, described in (
        (HEADER.encode() + b"\n" + text, NAMES.encode()),
        (noise, NAMES.encode()),
        (HEADER.encode() + noise, text),
        (row(*(fields * 13)[:6]).encode() if fields else b"", noise),
    ):
        boxes.write_bytes(content)
        names.write_bytes(described)
        try:
            data = OpenImagesDataset(oid)
        except DataError:
            continue
        assert all((sample["labels"] < len(data.class_names)).all() for sample in data)
