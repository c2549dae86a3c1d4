"""A format is recognised by its files, or the message names the next command."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from keras_retinanet.data.errors import DataError
from keras_retinanet.data.recognition import recognise

COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 8}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 4]}],
    "categories": [{"id": 1, "name": "cat"}],
}


def write_coco(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "labels.json").write_text(json.dumps(COCO))
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    return folder


def write_yolo(folder: Path) -> Path:
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "images" / "a.png")
    (folder / "labels" / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (folder / "data.yaml").write_text("train: images\nnames: [cat]\n")
    return folder


def test_a_folder_and_a_file(tmp_path: Path) -> None:
    assert recognise(write_coco(tmp_path / "a"), "retinanet-train").format == "coco"
    assert recognise(tmp_path / "a" / "labels.json", "retinanet-train").format == "coco"
    assert recognise(write_yolo(tmp_path / "b"), "retinanet-train").format == "yolo"


def test_an_unpacked_archive_with_one_folder_stands_for_it(tmp_path: Path) -> None:
    write_coco(tmp_path / "export" / "inner" / "project" / "data")
    (tmp_path / "export" / "__MACOSX").mkdir()
    found = recognise(tmp_path / "export", "retinanet-train")
    assert (found.format, found.path) == ("coco", tmp_path / "export" / "inner" / "project")


def test_two_readings_are_named_with_the_commands(tmp_path: Path) -> None:
    write_coco(write_yolo(tmp_path / "both"))
    with pytest.raises(DataError, match="has 2 readings") as error:
        recognise(tmp_path / "both", "retinanet-train")
    place = tmp_path / "both"
    assert f"choose with `retinanet-train coco {place}` or `retinanet-train yolo {place}`" in str(error.value)


def test_an_archive_is_refused_with_a_command_that_unpacks_it(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "source")
    archive = tmp_path / "my export.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in source.iterdir():
            packed.write(file, file.name)
    with pytest.raises(DataError, match=r"is a \.zip archive") as error:
        recognise(archive, "retinanet-train")
    command = str(error.value).split("`")[1]
    assert command == f"unzip -q '{archive}' -d '{tmp_path}/my export'"
    if subprocess.run(["which", "unzip"], capture_output=True, check=False).returncode == 0:
        subprocess.run(command, shell=True, check=True)
        assert recognise(tmp_path / "my export", "retinanet-train").format == "coco"


def test_the_folder_below_or_above_is_suggested(tmp_path: Path) -> None:
    write_coco(tmp_path / "deep" / "data" / "labels")
    (tmp_path / "deep" / "notes").mkdir()
    with pytest.raises(DataError) as error:
        recognise(tmp_path / "deep", "retinanet-doctor")
    assert f"`retinanet-doctor coco {tmp_path / 'deep' / 'data'}`" in error.value.fix
    yolo = write_yolo(tmp_path / "yolo")
    (yolo / "images" / "more").mkdir()
    with pytest.raises(DataError) as error:
        recognise(yolo / "images", "retinanet-doctor")
    assert f"`retinanet-doctor yolo {yolo}`" in error.value.fix


def test_what_was_found_is_counted(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.JPG", "c.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    with pytest.raises(DataError) as error:
        recognise(tmp_path, "retinanet-train")
    assert error.value.found == "has files of no known layout: 2 .jpg, 1 .png"
    assert "images without annotations" in error.value.fix
    (tmp_path / "notes.json").write_text("{}")
    with pytest.raises(DataError, match=r"`retinanet-train coco "):
        recognise(tmp_path, "retinanet-train")


@pytest.mark.parametrize(
    ("files", "given", "kind"),
    [
        (["last.keras"], "last.keras", "a model file"),
        (["fizyr.h5"], "fizyr.h5", "a model file"),
        (["detector.pth"], "detector.pth", "a model file"),
        (["saved_model.pb"], "", "a SavedModel"),
        (["config.yaml", "last.keras", "metrics.csv"], "", "the folder of a run"),
    ],
)
def test_a_model_in_place_of_a_data_set(tmp_path: Path, files: list[str], given: str, kind: str) -> None:
    for name in files:
        (tmp_path / name).write_bytes(b"")
    place = tmp_path / given
    fixes = {
        "retinanet-evaluate": f"name the data set first: `retinanet-evaluate DATA {place}`",
        "retinanet-train": f"start from a model with `retinanet-train DATA --weights {place}`",
        "retinanet-doctor": "name the data set: `retinanet-doctor DATA`",
    }
    for program, fix in fixes.items():
        with pytest.raises(DataError) as error:
            recognise(place, program)
        assert error.value.found == f"is {kind}, not a data set"
        assert fix in error.value.fix
        can_resume = program == "retinanet-train" and "config.yaml" in files
        assert (f"`retinanet-train --resume {place}`" in error.value.fix) == can_resume


@pytest.mark.parametrize(
    ("files", "given", "kind"),
    [
        (["model.onnx"], "model.onnx", "a model file"),
        (["model.xml", "model.bin"], "", "an OpenVINO model"),
        (["saved_model.pb", "assets.extra/keras_retinanet.json"], "", "a SavedModel"),
        (["2/saved_model.pb", "2/assets.extra/keras_retinanet.json"], "", "a folder of versions of a SavedModel"),
    ],
)
def test_an_exported_model_is_not_proposed_for_training(
    tmp_path: Path, files: list[str], given: str, kind: str
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match="its snapshot with `retinanet-train DATA --weights SNAPSHOT`") as error:
        recognise(tmp_path / given, "retinanet-train")
    assert error.value.found == f"is {kind}, not a data set"


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"is not there\. allowed: a path, or the word of a format \(`retinanet-train --help` lists them\)",
    ):
        recognise(tmp_path / "no", "retinanet-train")


def test_a_data_set_of_image_classification_has_no_boxes(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "set" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "set" / name / "a.jpg")
    with pytest.raises(DataError, match=r"image classification \(ImageNet\); a detector needs boxes"):
        recognise(tmp_path / "set", "retinanet-train")
    (tmp_path / "set" / "synsets.txt").write_text("cat\ndog\n")  # as CVAT writes it
    with pytest.raises(DataError, match="a detector needs boxes"):
        recognise(tmp_path / "set", "retinanet-train")


def test_data_sets_below_a_folder_are_all_named(tmp_path):
    for name in ("VOC2007", "VOC 2012"):
        (tmp_path / "devkit" / name / "Annotations").mkdir(parents=True)
        (tmp_path / "devkit" / name / "ImageSets" / "Main").mkdir(parents=True)
        (tmp_path / "devkit" / name / "Annotations" / "a.xml").write_text("<annotation/>")
    home = tmp_path / "devkit"
    for place in (home, tmp_path):
        with pytest.raises(DataError) as caught:
            recognise(place, "retinanet-train")
        command = f"`retinanet-train '{home}/VOC 2012' {home}/VOC2007`"
        assert caught.value.fix == f"2 data sets are below it; to join them: {command}"
