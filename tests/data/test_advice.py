"""What an error message advises works: each case runs the failing words, takes the advice, and runs that."""

from __future__ import annotations

import dataclasses
import json
import re
import runpy
import shlex
import shutil
import subprocess
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from keras_retinanet.cli import dataset_arguments
from keras_retinanet.cli.parsing import join_list, split_list
from keras_retinanet.data.conversion import write_dataset
from keras_retinanet.data.datasets import DATASETS, AnnotatedImages, find_layouts
from keras_retinanet.data.datasets.shared.annotations import Annotations, BoxRow
from keras_retinanet.data.open_dataset import open_dataset
from keras_retinanet.data.writers import OutputSplit
from keras_retinanet.schema import Sample

TOOLS = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "index_writers.py"))["WRITERS"]
ROW = "0 0.5 0.5 0.2 0.4\n"


def read(*words: str, trailing: str = "") -> AnnotatedImages:
    """The training set that a command line names."""
    parser = ArgumentParser("retinanet-train")
    dataset_arguments.add_dataset_arguments(parser)
    dataset_arguments.add_reader_flags(parser)
    parser.add_argument("--set", dest="train_set")
    namespace, data, _ = dataset_arguments.parse_arguments(parser, [*words, *shlex.split(trailing), "--no-index-cache"])
    data = dataclasses.replace(data, train_set=namespace.train_set)
    return open_dataset(data, "train")  # type: ignore[return-value]


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What the command says when it refuses."""
    with pytest.raises((ValueError, SystemExit)) as caught:
        read(*words)
    return capsys.readouterr().err or str(caught.value)


def advised(message: str) -> list[list[str]]:
    """Words of the commands in a message, without the program."""
    return [shlex.split(line)[1:] for line in re.findall(r"`(retinanet-train (?!--help)[^`]+)`", message)]


def make_yolo(folder: Path, write_images: Callable[..., None]) -> Path:
    write_images(folder / "images", {"a.jpg": (40, 60)})
    (folder / "labels").mkdir()
    (folder / "labels" / "a.txt").write_text(ROW)
    return folder


@pytest.mark.parametrize("word", [*TOOLS])
def test_image_dir_is_the_way_out_for_images_that_are_elsewhere(
    word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], write_images: Callable[..., None]
) -> None:
    names = ["a.png", "b.png", "c.png"]
    write_images(tmp_path / "photos", dict.fromkeys(names, (40, 60)))
    box = np.array([[1, 2, 11, 12]], np.float32)
    samples = [
        Sample(image=str(tmp_path / "photos" / name), image_id=name, boxes=box, labels=np.zeros(1, np.int32),
               ignore=np.zeros(1, bool), size=(40, 60))
        for name in names
    ]  # fmt: skip
    TOOLS[word](OutputSplit("train", samples, names, ("cat",), (1,)), tmp_path / "set")
    for image in [*(tmp_path / "set").rglob("*.png")]:
        image.unlink()
    home = next((tmp_path / "set").rglob("images"), None)
    if home is not None and word in ("visdrone", "dota"):
        shutil.rmtree(home)
    message = refusal(capsys, str(tmp_path / "set"))
    assert "--image-dir" in message
    data = read(str(tmp_path / "set"), "--image-dir", str(tmp_path / "photos"))
    assert [sample["boxes"].tolist() for sample in data] == [[[1, 2, 11, 12]]] * 3


def test_the_next_command_for_a_folder_above_below_or_beside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], write_images: Callable[..., None]
) -> None:
    folder = make_yolo(tmp_path / "home" / "my set", write_images)
    (tmp_path / "home" / "notes.txt").write_text("hello")
    for place in (tmp_path / "home", folder / "labels" / "a.txt"):
        [words] = advised(refusal(capsys, str(place)))
        assert len(read(*words)) == 1
    make_yolo(tmp_path / "home" / "other", write_images)
    [words] = advised(refusal(capsys, str(tmp_path / "home")))
    assert len(read(*words)) == 2


def test_two_readings_can_both_be_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], write_images: Callable[..., None]
) -> None:
    make_yolo(tmp_path, write_images)
    content = {
        "images": [{"id": 1, "file_name": "images/a.jpg", "width": 60, "height": 40}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    commands = advised(refusal(capsys, str(tmp_path)))
    assert [words[0] for words in commands] == ["coco", "yolo"]
    assert [read(*words).report.num_boxes for words in commands] == [1, 1]
    (tmp_path / "more.json").write_text(json.dumps(content))
    [flag] = re.findall(r"such as (--set \w+)", refusal(capsys, "coco", str(tmp_path)))
    assert len(read("coco", str(tmp_path), trailing=flag)) == 1


def test_sets_and_words_that_are_named_can_be_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], write_images: Callable[..., None]
) -> None:
    write_images(tmp_path / "images", {"a.jpg": (40, 60)})
    for name in ("list_train.txt", "list_test.txt"):
        (tmp_path / name).write_text("a.jpg\n1\n1 2 10 20 0 0 0 0 0 0\n")
    message = refusal(capsys, "wider", str(tmp_path), "--set", "trian")
    [name] = re.findall(r"choose a set with --set \(sets there: (\w+) ", message)
    assert len(read("wider", str(tmp_path), "--set", name)) == 1
    [word] = re.findall(r"did you mean the format (\w+)\?", refusal(capsys, "widder", str(tmp_path)))
    assert len(read(word, str(tmp_path))) == 1


def test_files_of_a_second_format_are_named_with_the_command_that_reads_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], write_images: Callable[..., None]
) -> None:
    write_images(tmp_path, {"a.jpg": (40, 60), "b.jpg": (40, 60)})
    (tmp_path / "boxes.csv").write_text("image_path,xmin,ymin,xmax,ymax,label\na.jpg,1,2,3,4,tree\n")
    sides = "".join(f"<{side}>{at}</{side}>" for side, at in zip(("xmin", "ymin", "xmax", "ymax"), "5678", strict=True))
    box = f"<object><name>palm</name><bndbox>{sides}</bndbox></object>"
    (tmp_path / "b.xml").write_text(f"<annotation>{box}{box}</annotation>")
    assert read(str(tmp_path)).class_names == ("tree",)
    said = capsys.readouterr().err
    assert said.startswith(f"note: {tmp_path} has files of another format, too, which are not used (b.xml): ")
    [words] = re.findall(r"`(.+)` in place of the path", said)
    assert read(*shlex.split(words)).class_names == ("palm",)


def test_a_set_of_a_single_file_can_be_omitted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], write_images: Callable[..., None]
) -> None:
    write_images(tmp_path, {"a.jpg": (40, 60)})
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 60, "height": 40}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    words = ("coco", str(tmp_path / "boxes.json"))
    assert "omit --set" in refusal(capsys, *words, "--set", "val")
    assert len(read(*words)) == 1


@pytest.mark.parametrize("ending", ["zip", "gztar", "xztar"])
def test_archives_are_unpacked_by_the_command_that_is_named(
    ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], write_images: Callable[..., None]
) -> None:
    make_yolo(tmp_path / "my set", write_images)
    file = shutil.make_archive(str(tmp_path / "my export"), ending, tmp_path / "my set")
    shutil.rmtree(tmp_path / "my set")
    found = re.search(r"unpack it with `(.*)` and give (.*?)\n", refusal(capsys, file) + "\n")
    assert found is not None
    if shutil.which(found[1].split()[0]) is None:
        pytest.skip(f"{found[1].split()[0]} is not installed")
    subprocess.run(found[1], shell=True, check=True)
    assert len(read(*shlex.split(found[2].rstrip(".")))) == 1


def test_an_attribute_is_chosen_by_the_flag_that_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], write_images: Callable[..., None]
) -> None:
    write_images(tmp_path, {"a.jpg": (40, 60)})
    region = {
        "shape_attributes": {"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4},
        "region_attributes": {"colour": "red", "size": "big"},
    }
    (tmp_path / "via.json").write_text(json.dumps({"a": {"filename": "a.jpg", "regions": [region]}}))
    message = refusal(capsys, str(tmp_path))
    assert "--class-attribute" in message
    assert read(str(tmp_path), "--class-attribute", "size").class_names == ("big",)
    message = refusal(capsys, str(tmp_path), "--class-attribute", "sice")
    assert "choose one of these with --class-attribute" in message
    assert "size (1 of 1 regions)" in message


def test_a_class_name_with_a_comma_can_be_written(tmp_path: Path, write_images: Callable[..., None]) -> None:
    make_yolo(tmp_path, write_images)
    (tmp_path / "classes.txt").write_text("car, small\ncat\n")
    data = read(str(tmp_path), "--map-class", r"car\, small=small\, red car", "--classes", r"small\, red car,cat")
    assert data.class_names == ("small, red car", "cat")
    assert split_list(r",a, b\,c ,") == ["a", "b,c"]
    assert split_list(join_list(["x", "y,z"])) == ["x", "y,z"]


def test_a_set_without_boxes_is_recognised(tmp_path: Path, write_images: Callable[..., None]) -> None:
    make_yolo(tmp_path, write_images)
    (tmp_path / "labels" / "a.txt").write_text("")
    assert [layout.format for layout in find_layouts(tmp_path)] == ["yolo"]
    (tmp_path / "labels" / "a.txt").unlink()
    assert find_layouts(tmp_path) == []


@pytest.mark.parametrize("name", ["bccd", "trees", "coco128"])
def test_conversions_of_real_sets_give_the_same_boxes(name: str, tmp_path: Path, shared: Callable[..., Path]) -> None:
    """Written in every format that has a writer, opened by path alone; formats of whole numbers round."""
    layout = find_layouts(shared(f"data/{name}"))[0]
    whole = DATASETS[layout.format](layout.settings.get("annotations", layout.path))
    chosen = [sample for sample in whole if len(sample["boxes"]) and not sample["ignore"].any()][:4]
    rows = [
        BoxRow(place, box, whole.class_names[label], f"box {place}")
        for place, sample in enumerate(chosen)
        for box, label in zip(sample["boxes"].tolist(), sample["labels"].tolist(), strict=True)
    ]
    data = AnnotatedImages(
        Annotations(name, images=[sample["image"] for sample in chosen], image_ids=[*range(len(chosen))], boxes=rows)
    )
    samples = [*data]
    names = [Path(sample["image"]).name for sample in samples]
    for word in ("coco", "pascal", "csv", "yolo", "tfrecord"):
        write_dataset({"train": data}, tmp_path / word, word, images="copy")  # type: ignore[arg-type]
    for word in TOOLS:
        TOOLS[word](OutputSplit("train", samples, names, data.class_names, None), tmp_path / word)
    for word in ("coco", "pascal", "csv", "yolo", "tfrecord", *TOOLS):
        reader = read(str(tmp_path / word))
        found = {Path(str(sample["image_id"])).stem: sample["boxes"] for sample in reader}
        exact = {"coco", "csv", "via", "datumaro", "bdd100k", "labelbox", "labelme"}
        tolerance = 0 if word in exact else 0.01 if word in ("cvat", "yolo", "tfrecord") else 1.0
        stems = [str(place) if word == "tfrecord" else Path(name).stem for place, name in enumerate(names)]
        if word == "coco":
            found = dict(zip(stems, [sample["boxes"] for sample in reader], strict=True))
        for sample, stem in zip(samples, stems, strict=True):
            order = np.lexsort(found[stem].round().T)
            wanted = np.lexsort(sample["boxes"].round().T)
            if tolerance < 0.5:
                np.testing.assert_allclose(found[stem], sample["boxes"], atol=tolerance, rtol=1e-6, err_msg=word)
            else:
                assert len(order) == len(wanted), word
                np.testing.assert_allclose(found[stem], sample["boxes"], atol=tolerance, err_msg=word)


def test_advice_names_extras_that_exist() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    package = Path(__file__).parents[2] / "keras_retinanet" / "data"
    named = {
        found for file in package.rglob("*.py") for found in re.findall(r"install_hint\([\"'](\w+)", file.read_text())
    }
    assert named
    assert all(re.search(rf"^{extra} = \[", project, re.MULTILINE) for extra in named)


def test_a_byte_order_mark_hides_no_row(tmp_path: Path, write_images: Callable[..., None]) -> None:
    make_yolo(tmp_path, write_images)
    (tmp_path / "labels" / "a.txt").write_bytes(b"\xef\xbb\xbf" + ROW.encode() + b"\r\n")
    assert read(str(tmp_path)).report.num_boxes == 1
