import argparse
import os
import subprocess
import sys
from typing import get_args

import pytest

from keras_retinanet.cli import dataset_arguments
from keras_retinanet.config import DataConfig, DatasetName


def make_parser(trailing=()):
    parser = argparse.ArgumentParser(prog="retinanet-test")
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--fast", action="store_true")
    dataset_arguments.add_dataset_arguments(parser, trailing)
    return parser


def parse(line, trailing=()):
    return dataset_arguments.parse_arguments(make_parser(trailing), line.split())


def test_every_format_is_described():
    assert tuple(dataset_arguments.FORMATS) == get_args(DatasetName)


@pytest.mark.parametrize(
    "line",
    ["--batch-size 4 --fast coco /d", "coco --batch-size 4 --fast /d", "coco /d --fast --batch-size=4"],
)
def test_flags_stand_anywhere(line):
    flags, data, trailing = parse(line)
    assert (flags.batch_size, flags.fast, trailing) == (4, True, ())
    assert data == DataConfig(dataset="coco", path="/d")


@pytest.mark.parametrize(
    ("line", "data", "trailing"),
    [
        ("csv a.csv s.keras", DataConfig(dataset="csv", annotations="a.csv"), "s.keras"),
        ("csv a.csv c.csv s.keras", DataConfig(dataset="csv", annotations="a.csv", classes="c.csv"), "s.keras"),
        ("csv a.csv --fast s.keras", DataConfig(dataset="csv", annotations="a.csv"), "s.keras"),
        ("csv --fast a.csv c.csv --batch-size 1 s.keras",
         DataConfig(dataset="csv", annotations="a.csv", classes="c.csv"), "s.keras"),
        ("demo s.keras", DataConfig(dataset="demo", path=dataset_arguments.DEMO_PATH), "s.keras"),
        ("demo there s.keras", DataConfig(dataset="demo", path="there"), "s.keras"),
        ("pascal voc s.keras", DataConfig(dataset="pascal", path="voc"), "s.keras"),
    ],
)  # fmt: skip
def test_optional_words_before_a_trailing_one(line, data, trailing):
    _, found, words = parse(line, ("SNAPSHOT",))
    assert found == data
    assert words == (trailing,)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("coco", "expected `coco PATH SNAPSHOT`, got nothing"),
        ("coco /d", "expected `coco PATH SNAPSHOT`, got /d"),
        ("csv a.csv", "expected `csv ANNOTATIONS [CLASSES] SNAPSHOT`, got a.csv"),
        ("csv a b c d", "expected `csv ANNOTATIONS [CLASSES] SNAPSHOT`, got a b c d"),
        ("demo", "expected `demo [PATH] SNAPSHOT`, got nothing"),
        ("kitti /d s.keras", "invalid choice: 'kitti'"),
        ("coco /d s.keras --no-such", "unrecognized arguments: --no-such"),
    ],
)
def test_words_that_do_not_fit_are_named(line, words, capsys):
    with pytest.raises(SystemExit) as error:
        parse(line, ("SNAPSHOT",))
    assert error.value.code == 2
    assert words in capsys.readouterr().err


def test_help_shows_each_format_with_its_words(capsys):
    with pytest.raises(SystemExit):
        parse("--help", ("SNAPSHOT",))
    text = capsys.readouterr().out
    for line in ("coco PATH SNAPSHOT ", "csv ANNOTATIONS [CLASSES] SNAPSHOT ", "demo [PATH] SNAPSHOT "):
        assert line in text


def test_parsing_imports_no_framework():
    code = (
        "import sys, keras_retinanet.cli.dataset_arguments\n"
        "assert not {'keras', 'tensorflow', 'numpy', 'matplotlib', 'PIL'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )


def test_sets_by_default_and_as_asked(tmp_path):
    def choose(**fields):
        return tuple(dataset_arguments.choose_set(DataConfig(**fields), split) for split in ("train", "val"))

    assert choose(dataset="coco", path="/d") == ("train2017", "val2017")
    assert choose(dataset="coco", path="/d", val_set="val2014") == ("train2017", "val2014")
    assert choose(dataset="demo") == ("train2017", "val2017")
    assert choose(dataset="csv", annotations="a.csv") == ("a.csv", None)
    assert choose(dataset="csv", annotations="a.csv", val_annotations="b.csv") == ("a.csv", "b.csv")
    assert choose(dataset="pascal", path=str(tmp_path)) == ("train", "val")
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "trainval.txt").write_text("one\n")
    assert choose(dataset="pascal", path=str(tmp_path)) == ("trainval", "trainval")
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("one\n")
    (tmp_path / "ImageSets" / "Main" / "val.txt").write_text("one\n")
    assert choose(dataset="pascal", path=str(tmp_path)) == ("train", "val")


def test_validation_needs_images_of_its_own(tmp_path):
    def has(**fields):
        return dataset_arguments.has_validation(DataConfig(**fields))

    assert not has(dataset="csv", annotations="a.csv")
    assert has(dataset="csv", annotations="a.csv", val_annotations="b.csv")
    assert has(dataset="demo")
    assert not has(dataset="coco", path=str(tmp_path))
    assert has(dataset="coco", path=str(tmp_path), val_set="asked for: the reader says what is missing")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_val2017.json").write_text("{}")
    assert has(dataset="coco", path=str(tmp_path))
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "trainval.txt").write_text("one\n")
    (lists / "train.txt").write_text("one\n")
    assert not has(dataset="pascal", path=str(tmp_path))  # trainval holds the images of train
    (lists / "val.txt").write_text("one\n")
    assert has(dataset="pascal", path=str(tmp_path))
