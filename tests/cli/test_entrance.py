"""A path alone opens with every command; several are joined; classes and a validation share are chosen by flags."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.cli import convert_data, doctor
from keras_retinanet.cli.dataset_arguments import dataset_words
from keras_retinanet.cli.train import parse
from keras_retinanet.config import DataConfig
from keras_retinanet.data.data_summary import describe_data
from keras_retinanet.data.datasets import AnnotatedImages
from keras_retinanet.data.open_dataset import open_dataset


def write_images(folder: Path, names: list[str], seed: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for place, name in enumerate(names):
        pixels = np.random.default_rng([seed, place]).integers(0, 256, (5, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((80, 50)).save(folder / name)


def write_coco(folder: Path, boxes: dict[str, list[tuple[int, str]]]) -> Path:
    """Roboflow's layout, train only: image name → x of each box of 10 by 10, and its class."""
    names = sorted({name for own in boxes.values() for _, name in own})
    write_images(folder / "train", list(boxes))
    images = [{"id": n, "file_name": name, "width": 80, "height": 50} for n, name in enumerate(boxes)]
    rows = [(n, x, names.index(name)) for n, own in enumerate(boxes.values()) for x, name in own]
    annotations = [
        {"id": n, "image_id": image, "category_id": label, "bbox": [x, 5, 10, 10]}
        for n, (image, x, label) in enumerate(rows)
    ]
    categories = [{"id": n, "name": name} for n, name in enumerate(names)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "train" / "_annotations.coco.json").write_text(json.dumps(content))
    return folder


def write_yolo(folder: Path, boxes: dict[str, int], class_name: str) -> Path:
    """One box of 8 by 5 pixels in the middle of each image where the number is 1."""
    write_images(folder / "images", list(boxes), seed=1)
    (folder / "labels").mkdir()
    for name, count in boxes.items():
        (folder / "labels" / name).with_suffix(".txt").write_text("0 0.5 0.5 0.1 0.1\n" * count)
    (folder / "data.yaml").write_text(f"train: images\nnames: [{class_name}]\n")
    return folder


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    boxes = {f"{chr(97 + n)}q.jpg": [(5, "dog"), (20, "cat")] if n % 2 else [(40, "cow")] for n in range(10)}
    return write_coco(tmp_path / "animals", boxes)


@pytest.fixture
def lorries(tmp_path: Path) -> Path:
    return write_yolo(tmp_path / "lorries", {"xq.jpg": 1, "yq.jpg": 0}, "lorry")


def data_of(line: str) -> DataConfig:
    return parse([*line.split(), "--weights", "none"]).config.data


def opened(data: DataConfig, split="train") -> AnnotatedImages:
    dataset = open_dataset(data, split)
    assert isinstance(dataset, AnnotatedImages)
    return dataset


def test_a_path_is_the_same_as_its_format(animals: Path, lorries: Path) -> None:
    assert data_of(f"{animals}") == data_of(f"coco {animals}") == data_of(f"coco:{animals}")
    assert data_of(f"{lorries / 'data.yaml'}") == DataConfig("yolo", str(lorries / "data.yaml"))


def test_the_line_that_says_what_was_opened(animals: Path) -> None:
    data = data_of(f"{animals}")
    line = describe_data(data, {"train": opened(data)}, opened(data).class_names)
    assert line == f"coco (Roboflow) {animals}: train 10 images, 15 boxes; 3 classes: cat, cow, dog"


def test_paths_of_several_formats_are_joined_by_class_name(animals: Path, lorries: Path) -> None:
    data = data_of(f"{animals} {lorries} --map-class lorry=truck --map-class cow=cattle,dog=pet,cat=pet")
    assert data.more_data == (f"yolo:{lorries}",)
    dataset = opened(data)
    assert dataset.class_names == ("pet", "cattle", "truck")
    assert [sample["labels"].tolist() for sample in dataset] == [[1], [0, 0]] * 5 + [[2], []]
    assert dataset[10]["boxes"].tolist() == [[36, 22.5, 44, 27.5]]
    line = describe_data(data, {"train": dataset}, dataset.class_names)
    assert line == (
        f"coco (Roboflow) {animals} + yolo {lorries}: train 12 images (1 without boxes), 16 boxes; 3 classes: pet, "
        "cattle, truck (lorry → truck, cow → cattle, dog → pet, cat → pet)"
    )


def test_a_list_of_files_of_one_format(animals: Path, tmp_path: Path) -> None:
    second = write_coco(tmp_path / "second", {"zq.jpg": [(5, "bird")]}) / "train" / "_annotations.coco.json"
    data = data_of(f"coco {animals / 'train' / '_annotations.coco.json'} {second}")
    assert data.more_data == (f"coco:{second}",)
    assert (opened(data).class_names, len(opened(data))) == (("cat", "cow", "dog", "bird"), 11)


def test_classes_are_kept_and_ordered(animals: Path) -> None:
    dataset = opened(data_of(f"{animals} --classes dog,cow"))
    assert dataset.class_names == ("dog", "cow")
    assert [sample["labels"].tolist() for sample in dataset] == [[1], [0]] * 5


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--classes dgo", "no class is called 'dgo'. allowed: 'cat', 'cow', 'dog'. fix: did you mean 'dog'?"),
        ("--map-class Cow=x", "no class is called 'Cow'. allowed: 'cat', 'cow', 'dog'. fix: did you mean 'cow'?"),
        ("--map-class cow", "--map-class is 'cow'; allowed is OLD=NEW"),
        ("--val-share 1.5", "--val-share must lie between 0 and 1, got 1.5"),
        ("--val-share 0.01", "--val-share 0.01: leaves no validation images of 10"),
    ],
)  # fmt: skip
def test_wrong_choices_are_one_line(animals: Path, tmp_path: Path, capsys, flags: str, message: str) -> None:
    try:
        status = convert_data.main([str(animals), str(tmp_path / "out"), "--to", "csv", *flags.split()])
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    assert message in capsys.readouterr().err


def test_a_share_is_set_aside(animals: Path) -> None:
    data = data_of(f"{animals} --val-share 0.2")
    train, val = opened(data), opened(data, "val")
    names = [{Path(sample["image"]).name for sample in dataset} for dataset in (train, val)]
    assert (len(names[0]), len(names[1]), names[0] & names[1]) == (8, 2, set())
    assert train.class_names == val.class_names
    assert sum(len(sample["labels"]) for sample in val) == 3  # one image of cows, one of dog and cat
    assert "2 of 10 images are set aside" in val.report.notes[0]
    line = describe_data(data, {"train": train, "val": val}, train.class_names)
    assert "train 8 images, 12 boxes; val 2 images, 3 boxes; 3 classes" in line


def test_a_share_is_refused_where_validation_images_exist(tmp_path: Path) -> None:
    folder = write_coco(tmp_path / "both", {"aq.jpg": [(5, "dog")]})
    (folder / "train").rename(folder / "valid")
    write_coco(folder, {"bq.jpg": [(5, "dog")]})
    with pytest.raises(ValueError, match=r"--val-share is for data without validation images, and .*both has some"):
        open_dataset(DataConfig("coco", str(folder), val_share=0.2), "train")


def test_the_doctor_follows_every_choice(animals: Path, lorries: Path, capsys) -> None:
    words = [str(animals), str(lorries), "--classes", "dog,lorry", "--val-share", "0.5"]
    doctor.main(words)
    text = capsys.readouterr().out
    assert text.startswith(f"data: coco (Roboflow) {animals} + yolo {lorries}\n")
    train, val = (line for line in text.splitlines() if line.startswith(("train: 6 ", "val: 6 ")))
    assert train.endswith(("of 2 classes", "of 1 of 2 classes"))
    assert sum(int(line.split("; ")[1].split()[0]) for line in (train, val)) == 6  # boxes: 5 dogs and a lorry


def test_the_printed_words_open_the_same_images(animals: Path, lorries: Path) -> None:
    line = f"{animals} {lorries} --map-class lorry=truck --classes truck,dog --val-share 0.25 --val-seed 3"
    data = data_of(line)
    again = data_of(" ".join(dataset_words(data)))
    assert again == data


def test_a_word_that_is_a_folder_is_still_the_word(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    write_coco(tmp_path / "coco", {"aq.jpg": [(5, "dog")], "bq.jpg": [(5, "dog")]})
    assert data_of("./coco").path == "./coco" or data_of("./coco").path == "coco"
    with pytest.raises(SystemExit):
        data_of("coco")
    assert "the folder of that name is ./coco" in capsys.readouterr().err


def test_what_was_read_is_printed_by_convert_data(lorries: Path, tmp_path: Path, capsys) -> None:
    assert convert_data.main([str(lorries), str(tmp_path / "out"), "--to", "coco", "--classes", "lorry"]) == 0
    text = capsys.readouterr().out
    assert f"data: yolo {lorries}: train 2 images (1 without boxes), 1 box; 1 class: lorry (chosen by" in text
