from __future__ import annotations

import contextlib
import gzip
import io

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_retinanet.data.datasets import TfRecordDataset, find_layouts
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.image_files import byte_range, read_bytes

MAP = "item { id: 3 name: 'cat' } item { id: 9 name: 'dog' }"


def png(height, width, seed=0):
    content = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def feature(values):
    values = list(values)
    if values and isinstance(values[0], (str, bytes)):
        encoded = [value.encode() if isinstance(value, str) else value for value in values]
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=encoded))
    if values and isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def example(image, boxes=(), **more):
    """An example with boxes x1, y1, x2, y2 as shares; keywords are features, `_` for `/`."""
    features = {"image/encoded": [image]}
    for column, side in enumerate(("xmin", "ymin", "xmax", "ymax")):
        features[f"image/object/bbox/{side}"] = [float(box[column]) for box in boxes]
    features |= {name.replace("__", "/"): value for name, value in more.items()}
    content = {name: feature(value) for name, value in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=content)).SerializeToString()


def write(file, *records):
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in records:
            writer.write(record)


@pytest.fixture
def records(tmp_path):
    """Two shards: one image of 40 x 60 with a cat and a crowd of dogs, one of 60 x 40, empty."""
    first = example(
        png(40, 60),
        [(0.5, 0.25, 1, 0.75), (0, 0, 0.5, 1)],
        image__source_id=["17"],
        image__object__class__text=["cat", "dog"],
        image__object__class__label=[3, 9],
        image__object__is_crowd=[0, 1],
    )
    write(tmp_path / "my_train.record-00000-of-00002", first)
    write(tmp_path / "my_train.record-00001-of-00002", example(png(60, 40, 1), image__filename=["b.png"]))
    return tmp_path


def test_reads_boxes_and_finds_images(records):
    data = TfRecordDataset(records)
    assert TfRecordDataset.default_sets(records) == ("train", None)
    assert data.class_names == ("cat", "dog")
    assert [sample["image_id"] for sample in data] == [17, "b.png"]
    assert data[0]["boxes"].tolist() == [[30, 10, 60, 30], [0, 0, 30, 40]]
    assert data[0]["labels"].tolist() == [0, 1]
    assert data[0]["ignore"].tolist() == [False, True]
    assert [sample["size"] for sample in data] == [(40, 60), (60, 40)]
    assert data[1]["boxes"].shape == (0, 4)
    assert read_bytes(data[0]["image"]) == png(40, 60)
    assert read_bytes(data[1]["image"]) == png(60, 40, 1)
    assert byte_range(data[1]["image"]).file == str(records / "my_train.record-00001-of-00002")
    assert "no label map" in data.report.notes[0]


def test_a_label_map_gives_names_and_ids(records):
    (records / "map.pbtxt").write_text(MAP)
    data = TfRecordDataset(records)
    assert (data.class_names, data.category_ids, data.report.notes) == (("cat", "dog"), (3, 9), [])
    only_ids = example(png(4, 4), [(0, 0, 1, 1)], image__object__class__label=[9])
    write(records / "ids.tfrecord", only_ids)
    assert TfRecordDataset(records / "ids.tfrecord")[0]["labels"].tolist() == [1]
    (records / "other").mkdir()
    (records / "other" / "map.pbtxt").write_text("item { id: 3 name: 'cat' }")
    with pytest.raises(DataError, match=r"ids\.tfrecord, record 1: unknown class id 9. allowed: \[3\]"):
        TfRecordDataset(records / "ids.tfrecord", classes=records / "other" / "map.pbtxt")
    (records / "map.pbtxt").unlink()
    assert TfRecordDataset(records / "ids.tfrecord").class_names == ("9",)


@pytest.mark.parametrize("flag", ["difficult", "group_of"])
def test_other_regions_to_ignore(tmp_path, flag):
    more = {f"image__object__{flag}": [1], "image__object__class__text": ["x"], "image__object__area": [7.5]}
    write(tmp_path / "a.tfrecord", example(png(8, 8), [(0, 0, 1, 1)], **more))
    sample = TfRecordDataset(tmp_path)[0]
    assert sample["ignore"].tolist() == [True]
    assert sample["areas"].tolist() == [7.5]


def test_sets_are_words_of_file_names(tmp_path):
    for name in ("coco_val.record", "coco_train.record", "coco_minival.record"):
        write(tmp_path / name, example(png(4, 4), image__source_id=[name]))
    assert TfRecordDataset.default_sets(tmp_path) == ("train", "val")
    assert TfRecordDataset(tmp_path, "val")[0]["image_id"] == "coco_val.record"
    assert len(TfRecordDataset(tmp_path / "coco_*val.record")) == 2
    assert TfRecordDataset.default_sets(tmp_path / "coco_val.record") == (".", None)
    with pytest.raises(DataError, match="has no record files of set 'test'"):
        TfRecordDataset(tmp_path, "test")
    with pytest.raises(DataError, match="has no record files"):
        TfRecordDataset(tmp_path / "gone-*")


def test_a_folder_per_set_as_roboflow_writes_it(tmp_path):
    for name in ("train", "valid"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "cups.tfrecord", example(png(4, 4), BOX, image__object__class__label=[1]))
        text = 'item {\n  name: "cup",\n  id: 1,\n  display_name: "cup"\n}\n'
        (tmp_path / name / "cups_label_map.pbtxt").write_text(text)
    (layout,) = find_layouts(tmp_path)
    assert (layout.format, layout.certainty, layout.evidence) == ("tfrecord", 3, "train/cups.tfrecord")
    assert TfRecordDataset.default_sets(tmp_path) == ("train", "valid")
    assert TfRecordDataset(tmp_path, "valid").class_names == ("cup",)
    for name in ("train", "valid"):
        (tmp_path / name / "cups_label_map.pbtxt").rename(tmp_path / "cups_label_map.pbtxt")
    assert TfRecordDataset(tmp_path).class_names == ("cup",)


@pytest.mark.parametrize(
    "name",
    ["default.tfrecord", "x.tfrec", "train-00000-of-00001", "train2017.record", "a.TFRECORD", "tf.record-00000-of-1"],
)
def test_records_are_recognised_by_their_contents(tmp_path, name):
    write(tmp_path / name, example(png(4, 4)))
    for path in (tmp_path, tmp_path / name):
        (layout,) = find_layouts(path)
        assert (layout.format, layout.certainty, layout.evidence) == ("tfrecord", 3, name)
        assert len(TfRecordDataset(path)) == 1
    (tmp_path / name).write_text("a medical record")
    assert find_layouts(tmp_path) == []


def test_years_are_part_of_a_set_s_name(tmp_path):
    for name in ("train2017", "val2017"):
        write(tmp_path / f"{name}.record", example(png(4, 4), image__source_id=[name]))
    assert TfRecordDataset.default_sets(tmp_path) == ("train", "val")
    assert [sample["image_id"] for sample in TfRecordDataset(tmp_path)] == ["train2017"]
    assert [sample["image_id"] for sample in TfRecordDataset(tmp_path, "val2017")] == ["val2017"]


def test_one_broken_record_is_left_out_and_named(tmp_path):
    write(tmp_path / "a.tfrecord", example(png(4, 4), BOX, **NAMED), example(b"no image"))
    data = TfRecordDataset(tmp_path)
    assert len(data) == 1
    note = data.report.notes[-1]
    assert note.startswith(f"1 annotations left out: {tmp_path}/a.tfrecord, record 2: image/encoded cannot be read")


def test_a_missing_shard_is_named(records):
    write(records / "my_train.record-00003-of-00004", example(png(4, 4), image__source_id=["x"]))
    with pytest.raises(DataError, match=r"train\.record-00000-of-00004: is not there. allowed: all 4 shards"):
        TfRecordDataset(records)


BOX = [(0, 0, 1, 1)]
NAMED = {"image__object__class__text": ["x"]}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"\xff\xff", "is not a tf.train.Example"),
        (b"", "has no image/encoded"),
        (example(b""), "has no image/encoded"),
        (example(b"no image"), "image/encoded cannot be read"),
        (example(7), "image/encoded is a int64_list. allowed: a bytes_list"),
        (example(png(4, 4), BOX), "has boxes without classes"),
        (example(png(4, 4), BOX, **NAMED, image__object__bbox__xmin=[]), "0, 1, 1, 1 values of xmin, ymin, xmax, ymax"),
        (example(png(4, 4), BOX, image__object__class__text=["x", "y"]), "2 values of image/object/class/text for 1"),
        (example(png(4, 4), BOX, **NAMED, image__object__is_crowd=[0, 1]), "2 values of image/object/is_crowd"),
        (example(png(4, 4), [(0, 0, 320, 200)], **NAMED), "box .*shares of the image's sides"),
        (example(png(4, 4), [(0, 0, float("nan"), 1)], **NAMED), "coordinates"),
        (example(png(4, 4), image__source_id=["1"]), "source_id 1 occurs twice .first in .*record 1"),
    ],
)
def test_broken_records_are_named(tmp_path, record, message):
    write(tmp_path / "a.tfrecord", example(png(4, 4), image__source_id=["1"]), record)
    with pytest.raises(DataError, match=rf"a\.tfrecord, record 2.*{message}.*fix: "):
        TfRecordDataset(tmp_path)


def test_damaged_files_are_named(records):
    file = records / "my_train.record-00001-of-00002"
    whole = file.read_bytes()
    for content, message in (
        (whole[:-50], "record 1: is cut off"),
        (whole[:40] + bytes([whole[40] ^ 1]) + whole[41:], "record 1: is damaged"),
        (gzip.compress(whole), "is compressed.*fix: unpack it"),
        (b"text", "record 1: is cut off"),
    ):
        file.write_bytes(content)
        with pytest.raises(DataError, match=rf"00001-of-00002.*{message}"):
            TfRecordDataset(records)
    file.write_bytes(b"")
    assert len(TfRecordDataset(records)) == 1


@hypothesis.settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
)
@hypothesis.given(data=st.data())
def test_fuzzed_records_never_give_another_error(records, data):
    content = example(png(4, 4), BOX, **NAMED)
    place = data.draw(st.integers(0, len(content)))
    noise = data.draw(st.binary(max_size=6))
    write(records / "a.tfrecord", content[:place] + noise + content[place + data.draw(st.integers(0, 6)) :])
    whole = (records / "my_train.record-00000-of-00002").read_bytes()
    place = data.draw(st.integers(0, len(whole)))
    (records / "b.tfrecord").write_bytes(whole[:place] + noise + whole[place:])
    for name in ("a.tfrecord", "b.tfrecord"):
        with contextlib.suppress(DataError):
            assert len(TfRecordDataset(records / name)) <= 1


def test_texts_that_contradict_the_label_map_are_reported(tmp_path, write_records):
    """The text is used; a text that the map lacks is a class of its own, and refuses nothing."""
    import tensorflow as tf

    box = {"xmin": [0.0, 0.5], "ymin": [0.0, 0.5], "xmax": [0.5, 1.0], "ymax": [0.5, 1.0]}
    write_records(tmp_path / "old.record", {"id": "1", "text": ["cat", "emu"], **box})
    [record] = tf.data.TFRecordDataset(str(tmp_path / "old.record"))
    example = tf.train.Example.FromString(record.numpy())
    example.features.feature["image/object/class/label"].int64_list.value.extend([2, 3])
    with tf.io.TFRecordWriter(str(tmp_path / "train.record")) as writer:
        writer.write(example.SerializeToString())
    (tmp_path / "old.record").unlink()
    label_map = tmp_path / "map.pbtxt"
    label_map.write_text("item { id: 1 name: 'cat' }\nitem { id: 2 name: 'dog' }\n")
    data = TfRecordDataset(tmp_path)
    assert data.class_names == ("cat", "dog", "emu")
    assert data[0]["labels"].tolist() == [0, 2]
    assert data.report.notes[:2] == [
        f"2 boxes have a text that is not what {label_map} calls their number (number 2 is 'dog', the text is 'cat'): "
        "the text is used",
        f"{label_map} lacks 1 classes that boxes have, which follow its own: 'emu'",
    ]
