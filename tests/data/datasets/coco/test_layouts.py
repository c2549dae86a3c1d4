"""Folders as annotation tools write them; each has the three images of the fixtures."""

from __future__ import annotations

import json

import pytest

from keras_retinanet.config import DataConfig
from keras_retinanet.data.datasets import CocoDataset, find_layouts
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.open_dataset import choose_set

BOXES = [[[1, 2, 11, 22], [0, 0, 60, 40]], [[0.5, 0, 30.75, 7]], []]


@pytest.fixture
def lay(tmp_path, coco, write_images):
    """`lay(json, images, prefix="")`: one split; `prefix` precedes each `file_name`. Returns the folder."""

    def write(file, images, prefix=""):
        write_images(tmp_path / images)
        content = {**coco, "images": [{**image, "file_name": prefix + image["file_name"]} for image in coco["images"]]}
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(json.dumps(content))
        return tmp_path

    return write


def boxes_of(data):
    return [sample["boxes"].tolist() for sample in data]


@pytest.mark.parametrize(
    ("file", "images", "set_name"),
    [
        ("train/_annotations.coco.json", "train", "train"),  # Roboflow
        ("annotations/instances_default.json", "images/default", "default"),  # CVAT, Datumaro
        ("result.json", "images", "."),  # Label Studio
        ("labels.json", "data", "."),  # FiftyOne
        ("train/labels.json", "train/data", "train"),
        ("x_coco.json", ".", "."),  # SAHI
        ("_annotations.coco.json", ".", "."),
        ("train.json", "images/train", "train"),
        ("annotations/my_train2017.json", "train2017", "train2017"),
        ("annotations/all.json", "images", "."),
        ("train/anything.json", "train/images", "train"),
        ("animals_train.json", ".", "train"),
    ],
)
def test_layouts_are_recognised_by_their_contents(lay, file, images, set_name):
    folder = lay(file, images)
    layout = find_layouts(folder)[0]
    assert (layout.format, layout.evidence) == ("coco", file)
    assert CocoDataset.default_sets(folder) == (set_name, None)
    data = CocoDataset(folder)
    assert boxes_of(data) == BOXES
    assert data[0]["image"] == str(folder / images / "a.jpg")
    assert not data.report.notes


@pytest.mark.parametrize(
    ("file", "images"),
    [
        ("annotations/instances_val2017.json", "val2017"),
        ("annotations/instances_default.json", "images/default"),
        ("valid/_annotations.coco.json", "valid"),
        ("anything.json", "images"),
        ("labels.json", "data"),
    ],
)
def test_a_path_may_be_the_file(lay, file, images):
    path = lay(file, images) / file
    assert find_layouts(path)[0].format == "coco"
    assert CocoDataset.default_sets(path) == (".", None)
    data = CocoDataset(path)
    assert boxes_of(data) == BOXES
    assert data[1]["image"] == str(path.parents[len(file.split("/")) - 1] / images / "b.jpg")
    with pytest.raises(DataError, match=r"has no set 'val'.*omit --set"):
        CocoDataset(path, "val")


@pytest.mark.parametrize("name", ["val", "valid", "validation", "val2017"])
def test_both_splits(lay, name):
    lay("train/_annotations.coco.json", "train")
    lay("test/_annotations.coco.json", "test")
    folder = lay(f"{name}/_annotations.coco.json", name)
    assert CocoDataset.default_sets(folder) == ("train", name)
    assert CocoDataset(folder, name)[0]["image"] == str(folder / name / "a.jpg")
    assert boxes_of(CocoDataset(folder, "test")) == BOXES


def test_one_file_per_split_and_one_folder_of_images(lay):
    lay("train.json", "images")
    folder = lay("val.json", "images")
    assert CocoDataset.default_sets(folder) == ("train", "val")
    assert CocoDataset(folder, "val")[2]["image"] == str(folder / "images" / "c.jpg")


def test_files_without_a_split_are_chosen_by_name(lay):
    lay("cats.json", "images")
    folder = lay("dogs.json", "images")
    with pytest.raises(DataError, match=r"of the set 'train2017'.*sets there: cats \(cats.json\), dogs \(dogs.json\)"):
        CocoDataset(folder)
    assert boxes_of(CocoDataset(folder, "dogs")) == BOXES


def test_images_elsewhere(lay, tmp_path):
    folder = lay("data/annotations/instances_train.json", "elsewhere") / "data"
    with pytest.raises(DataError, match="is not there"):
        CocoDataset(folder)
    data = CocoDataset(folder, image_dir=str(tmp_path / "elsewhere"))
    assert data[0]["image"] == str(tmp_path / "elsewhere" / "a.jpg")
    assert boxes_of(data) == BOXES


def test_names_that_lead_into_the_upload_folder(lay):
    folder = lay("result.json", "images", "../../label-studio/media/upload/1/")
    data = CocoDataset(folder)
    assert [sample["image"] for sample in data] == [str(folder / "images" / f"{name}.jpg") for name in "abc"]
    assert "3 image paths lead elsewhere, such as '../" in data.report.notes[0]


def test_base_names_that_are_not_unique_are_refused(lay, coco):
    for image, name in zip(coco["images"], ("x/a.jpg", "y/a.jpg", "c.jpg"), strict=True):
        image["file_name"] = name
    with pytest.raises(DataError, match=r"2 image paths lead to folders that are not there.*'a\.jpg'.*--image-dir"):
        CocoDataset(lay("result.json", "images", "upload/"))


def test_addresses_in_place_of_names(lay, coco):
    for image in coco["images"]:
        image["coco_url"] = f"http://images.cocodataset.org/val2017/{image.pop('file_name')}"
    folder = lay_without_names(lay, coco)
    assert CocoDataset(folder)[0]["image"] == str(folder / "val2017" / "a.jpg")


def lay_without_names(lay, coco):
    images = coco["images"]
    coco["images"] = []
    folder = lay("lvis_v1_train.json", "val2017")
    (folder / "lvis_v1_train.json").write_text(json.dumps({**coco, "images": images}))
    return folder


def test_other_json_files_are_not_coco(tmp_path):
    for name, content in {
        "notes.json": {"categories": [{"id": 0, "name": "cat"}], "info": {}},
        "list.json": [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "annotations": []}],
        "labelme.json": {"shapes": [], "imagePath": "a.jpg"},
    }.items():
        (tmp_path / name).write_text(json.dumps(content))
        assert CocoDataset.find_layout(tmp_path / name) is None
    assert CocoDataset.find_layout(tmp_path) is None
    with pytest.raises(DataError, match=r"no COCO annotations.*allowed: annotations/instances_<set>.*is not COCO"):
        CocoDataset(tmp_path)


def test_a_set_that_is_not_divided_is_evaluated_as_a_whole(lay):
    folder = str(lay("annotations/instances_default.json", "images/default"))
    assert choose_set(DataConfig("coco", folder), "val") == "default"


def test_images_in_several_folders(lay, tmp_path):
    folder = lay("all.json", "part 1")
    (folder / "part 2").mkdir()
    (folder / "part 1" / "c.jpg").rename(folder / "part 2" / "c.jpg")
    data = CocoDataset(folder)
    assert [sample["image"] for sample in data] == [
        str(folder / place) for place in ("part 1/a.jpg", "part 1/b.jpg", "part 2/c.jpg")
    ]
    assert boxes_of(data) == BOXES
    assert any("3 image paths lead elsewhere, such as 'a.jpg'" in note for note in data.report.notes)


def test_the_folder_of_annotations_as_path(lay):
    folder = lay("annotations/instances_train.json", "train")
    assert boxes_of(CocoDataset(folder / "annotations")) == BOXES


def test_a_name_that_differs_in_case_is_named(lay):
    folder = lay("result.json", "images")
    (folder / "images" / "a.jpg").rename(folder / "images" / "a.JPG")
    with pytest.raises(DataError, match=r"fix: there is '.*images/a\.JPG': give both the same name"):
        CocoDataset(folder, on_error="error")
    assert "1 images are not there (there is '" in CocoDataset(folder).report.notes[0]


def test_image_dir_with_a_folder_for_each_split(lay, tmp_path):
    folder = lay("data/annotations/instances_train.json", "pictures/train") / "data"
    data = CocoDataset(folder, "train", image_dir=str(tmp_path / "pictures"))
    assert data[0]["image"] == str(tmp_path / "pictures" / "train" / "a.jpg")


def test_names_with_percent_signs(lay, coco, write_images):
    """Some tools write `a%20b.jpg` for `a b.jpg`."""
    for image in coco["images"]:
        image["file_name"] = image["file_name"].replace(".", "%20x.")
    folder = lay_without_names(lay, coco)
    for name in "abc":
        (folder / "val2017" / f"{name}.jpg").rename(folder / "val2017" / f"{name} x.jpg")
    assert CocoDataset(folder)[0]["image"] == str(folder / "val2017" / "a x.jpg")
