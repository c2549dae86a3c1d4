import json

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.config import DataConfig
from keras_retinanet.data import open_dataset
from keras_retinanet.data.datasets import DATASETS, Annotations, Reader
from keras_retinanet.data.datasets.shared.frames import FrameRule
from keras_retinanet.data.errors import DataError
from keras_retinanet.demo import scenes


def test_sets_by_default_and_as_asked(tmp_path):
    def choose(**fields):
        return tuple(open_dataset.choose_set(DataConfig(**fields), split) for split in ("train", "val"))

    assert choose(dataset="coco", path="/d") == ("train2017", "val2017")
    assert choose(dataset="coco", path="/d", val_set="val2014") == ("train2017", "val2014")
    assert choose(dataset="demo") == ("train2017", "val2017")
    assert choose(dataset="csv", annotations="a.csv") == ("a.csv", None)
    assert choose(dataset="csv", annotations="a.csv", val_annotations="b.csv") == ("a.csv", "b.csv")
    (tmp_path / "ImageSets" / "Main").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "trainval.txt").write_text("one\n")
    assert choose(dataset="pascal", path=str(tmp_path)) == ("trainval", "trainval")
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("one\n")
    assert choose(dataset="pascal", path=str(tmp_path)) == ("train", "val")  # the reader says that val is missing
    (tmp_path / "ImageSets" / "Main" / "val.txt").write_text("one\n")
    assert choose(dataset="pascal", path=str(tmp_path)) == ("train", "val")


def test_validation_needs_images_of_its_own(tmp_path):
    def has(**fields):
        return open_dataset.has_validation(DataConfig(**fields))

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


def test_sets_and_readers_of_every_format(tmp_path, monkeypatch):
    asked, picture = [], tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(picture)

    class Recorder(Reader):
        word = "recorder"

        def __init__(self, *words, **options):
            asked.append((words, options))
            super().__init__(*words, **options)

        def read(self, *, difficult="ignore"):
            return Annotations(str(self.path), ["cow"], [str(picture)], [1], [(8, 8)])

    class WithValidation(Recorder):
        usual_validation = "validation"

    monkeypatch.setitem(open_dataset.DATASETS, "pascal", Recorder)
    monkeypatch.setitem(open_dataset.DATASETS, "oid", WithValidation)
    fields = {"path": "/d", "difficult": "drop", "bad_data": "error", "use_index_cache": False}
    open_dataset.open_dataset(DataConfig(dataset="pascal", **fields), "train")
    open_dataset.open_dataset(DataConfig(dataset="oid", **fields), "val")
    options = {"difficult": "drop", "on_error": "error", "frame": FrameRule()}
    assert asked == [(("/d", "train"), options), (("/d", "validation"), options)]
    assert not open_dataset.has_validation(DataConfig(dataset="oid", path="/d"))


def test_flags_of_one_reader_are_options_of_that_reader():
    with_images = [word for word in DATASETS if word not in ("tfrecord", "tfds", "demo")]
    owners = {"image_dir": with_images, "difficult": ["pascal", "dota"]}
    owners |= {"voc_origin": ["pascal"], "yolo_rows": ["yolo"], "class_attribute": ["via"]}
    owners |= {"person_box": ["crowdhuman"], "labels_filter": ["oid"], "parent_label": ["oid"]}
    assert open_dataset.reader_flags() == owners


def make_sample(labels):
    labels = np.asarray(labels, np.int32)
    return {
        "image": "a.jpg", "image_id": 1, "boxes": np.ones((len(labels), 4), np.float32), "labels": labels,
        "ignore": np.zeros(len(labels), bool), "size": (5, 7),
    }  # fmt: skip


def test_labels_are_matched_by_name():
    samples = [make_sample([0, 1, 2, 1]), make_sample([])]
    matched = open_dataset.match_classes(samples, ["dog", "cow", "cat"], ["cat", "cow", "dog", "hen"])
    assert matched[0]["labels"].tolist() == [2, 1, 0, 1]
    assert matched[0]["size"] == (5, 7)
    assert matched[1]["labels"].shape == (0,)
    assert samples[0]["labels"].tolist() == [0, 1, 2, 1]


def test_unknown_classes_are_named_where_they_have_boxes():
    samples = [make_sample([0, 1, 1])]
    with pytest.raises(DataError, match=r"does not know 'cow' \(2 boxes\). allowed: 'dog', 'cat'"):
        open_dataset.match_classes(samples, ["dog", "cow", "ant"], ["dog", "cat"])
    assert open_dataset.match_classes([make_sample([0])], ["dog", "cow"], ["cat", "dog"])[0]["labels"].tolist() == [1]


def test_the_demo_writes_its_scenes_once(tmp_path, monkeypatch):
    written = []
    write = scenes.write_dataset

    def write_few(folder, *, progress):
        written.append(folder)
        write(folder, num_train=3, num_val=2, progress=progress)

    monkeypatch.setattr(scenes, "write_dataset", write_few)
    data = DataConfig(dataset="demo", path=str(tmp_path))
    assert (len(open_dataset.open_dataset(data, "train")), len(open_dataset.open_dataset(data, "val"))) == (3, 2)
    assert written == [tmp_path]  # other counts than the default's are left as they are
    (tmp_path / "scenes.json").write_text(json.dumps({}))  # as an interrupted writing leaves it
    open_dataset.open_dataset(data, "val")
    assert written == [tmp_path] * 2


def test_csv_without_validation_annotations_says_so():
    with pytest.raises(DataError, match="no val images"):
        open_dataset.open_dataset(DataConfig(dataset="csv", annotations="a.csv"), "val")
