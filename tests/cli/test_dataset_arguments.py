import argparse
import os
import subprocess
import sys

import pytest

from keras_retinanet.cli import dataset_arguments
from keras_retinanet.config import DEMO_PATH, DataConfig
from keras_retinanet.data.datasets import DATASETS


def make_parser(trailing=()):
    parser = argparse.ArgumentParser(prog="retinanet-test")
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--fast", action="store_true")
    dataset_arguments.add_dataset_arguments(parser, trailing)
    return parser


def parse(line, trailing=()):
    return dataset_arguments.parse_arguments(make_parser(trailing), line.split())


def test_every_format_is_described():
    assert all(reader.summary for reader in DATASETS.values())
    words = {word: dataset_arguments.usage(reader) for word, reader in DATASETS.items()}
    assert {word: usage for word, usage in words.items() if usage != "PATH"} == {
        "csv": "ANNOTATIONS [CLASSES]", "tfrecord": "PATH [CLASSES]", "tfds": "NAME", "demo": "[PATH]",
    }  # fmt: skip


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
        ("demo s.keras", DataConfig(dataset="demo", path=DEMO_PATH), "s.keras"),
        ("demo there s.keras", DataConfig(dataset="demo", path="there"), "s.keras"),
        ("pascal voc s.keras", DataConfig(dataset="pascal", path="voc"), "s.keras"),
        ("tfrecord /d map.pbtxt s.keras", DataConfig(dataset="tfrecord", path="/d", classes="map.pbtxt"), "s.keras"),
        ("tfds voc/2007 s.keras", DataConfig(dataset="tfds", path="voc/2007"), "s.keras"),
        ("tfds:voc/2007 s.keras", DataConfig(dataset="tfds", path="voc/2007"), "s.keras"),
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
        ("voc /d s.keras", "did you mean the format pascal? otherwise check it"),
        ("coco /d s.keras --no-such", "unrecognized arguments: --no-such"),
    ],
)
def test_words_that_do_not_fit_are_named(line, words, capsys):
    with pytest.raises(SystemExit) as error:
        parse(line, ("SNAPSHOT",))
    assert error.value.code == 2
    assert words in capsys.readouterr().err


def test_flags_of_the_readers_enter_the_settings():
    parser = make_parser()
    dataset_arguments.add_reader_flags(parser)
    line = "oid /d --labels-filter Cat,Dog --bad-data error --no-index-cache"
    _, data, _ = dataset_arguments.parse_arguments(parser, line.split())
    assert (data.labels_filter, data.bad_data, data.use_index_cache) == (("Cat", "Dog"), "error", False)


def test_help_shows_each_format_with_its_words(capsys):
    with pytest.raises(SystemExit):
        parse("--help", ("SNAPSHOT",))
    text = capsys.readouterr().out
    for line in (
        "coco PATH SNAPSHOT ",
        "csv ANNOTATIONS [CLASSES] SNAPSHOT ",
        "tfds NAME SNAPSHOT ",
        "demo [PATH] SNAPSHOT ",
    ):
        assert line in text


def test_parsing_imports_no_framework():
    code = (
        "import sys, keras_retinanet.cli.dataset_arguments\n"
        "assert not {'keras', 'tensorflow', 'matplotlib', 'pandas', 'scipy'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
