"""With a survey the readers go on after what is broken, and take down all of it."""

from __future__ import annotations

import pytest

from keras_retinanet.data.datasets import (
    CocoDataset,
    CsvDataset,
    KittiDataset,
    OpenImagesDataset,
    PascalDataset,
    TfRecordDataset,
    YoloDataset,
)
from keras_retinanet.data.error_collector import MAX_ERRORS, ErrorCollector, collect_errors, report_or_raise
from keras_retinanet.data.errors import DataError


def broken(words):
    raise DataError("here", words)


def test_a_fault_is_raised_or_taken_down():
    with pytest.raises(DataError, match="here: twice"):
        collect_errors("skip", lambda: broken("twice"), 0)
    collector = ErrorCollector()
    assert collect_errors(collector, lambda: broken("once"), 0) == 0
    assert collect_errors(collector, lambda: 7, 0) == 7
    assert [str(error) for error in collector.errors] == ["here: once"]
    for _ in range(MAX_ERRORS + 5):
        report_or_raise(collector, DataError("there", "again"))
    assert (len(collector.errors), collector.num_errors) == (MAX_ERRORS, MAX_ERRORS + 6)  # counted, not all kept


def found(read, *words, **options):
    """How many boxes remain, and where the faults stand."""
    collector = ErrorCollector()
    data = read(*words, on_error=collector, **options)
    return sum(len(sample["labels"]) for sample in data), [error.where.rsplit("/", 1)[1] for error in collector.errors]


def test_csv(tmp_path, write_images):
    write_images(tmp_path)
    lines = "a.jpg,1,2,9,9,cat", "a.jpg,1,2,9", "a.jpg,1,x,9,9,cat", "b.jpg,1,2,9,9,cat", "b.jpg,1,2,9,9,cow"
    (tmp_path / "boxes.csv").write_text("\n".join([*lines, "a.jpg,1,nan,9,9,cat"]))
    wrong = [f"boxes.csv, line {line}" for line in (2, 3, 5, 6)]
    assert found(CsvDataset, tmp_path / "boxes.csv", class_names=["cat"]) == (2, wrong)


def test_sizes_in_csv(tmp_path, write_images):
    write_images(tmp_path)
    lines = "filename,width,height,class,xmin,ymin,xmax,ymax", "a.jpg,61,40,cat,1,2,9,9", "b.jpg,,40,cat,1,2,9,9"
    (tmp_path / "boxes.csv").write_text("\n".join(lines))
    collector = ErrorCollector()
    assert CsvDataset(tmp_path / "boxes.csv", on_error=collector)[0]["size"] == (40, 60)
    assert (collector.annotated_sizes, collector.trusts_annotated_size) == ([(40, 61), None], False)


def test_coco(tmp_path, write_coco, coco):
    coco["annotations"] += [
        {"id": 7, "image_id": 99, "category_id": 9, "bbox": [1, 2, 3, 4]},
        {"id": 8, "image_id": 10, "category_id": 5, "bbox": [1, 2, 3, 4]},
        {"id": 9, "image_id": 10, "category_id": 9, "bbox": [1, 2, 3]},
        "nothing",
    ]
    wrong = [f"instances_train2017.json, annotation {name}" for name in ("id 7", "id 8", "id 9", "number 7")]
    assert found(CocoDataset, write_coco(tmp_path, coco)) == (3, wrong)


def test_yolo_and_kitti(tmp_path, write_images):
    write_images(tmp_path / "images", {"a.jpg": (40, 60), "b.jpg": (40, 60)})
    (tmp_path / "labels").mkdir()
    (tmp_path / "data.yaml").write_text("names: [cat]\ntrain: images\n")
    (tmp_path / "labels" / "a.txt").write_text("0 .5 .5 .2 .2\n1 .5 .5 .2 .2\n0 9 9 2 2\n")
    (tmp_path / "labels" / "b.txt").write_text("0,.5,.5,.2,.2\n")
    assert found(YoloDataset, tmp_path) == (1, ["a.txt, line 2", "a.txt, line 3", "b.txt, line 1"])
    row = "Car 0 0 0 {} 2 20 30 0 0 0 0 0 0 0\n"
    (tmp_path / "labels" / "a.txt").write_text(row.format(1) + row.format("?") + "Car 1 2\n")
    (tmp_path / "labels" / "b.txt").write_text(row.format("x"))
    (tmp_path / "labels" / "c.txt").write_text("")
    assert found(KittiDataset, tmp_path, ".") == (1, ["c.txt", "a.txt, line 2", "a.txt, line 3", "b.txt, line 1"])


def test_open_images(tmp_path, write_images):
    write_images(tmp_path / "train", {"a.jpg": (40, 60)})
    (tmp_path / "class-descriptions-boxable.csv").write_text("/m/car,Car\n/m/cat,Cat\n")
    lines = (
        "ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf", "a,/m/car,0,1,0,1,0", "a,/m/x,0,1,0,1,0", "a,/m/car,0,1",
        "a,/m/car,0,q,0,1,0", "a,/m/car,0,1,0,1,7", "a,/m/car,0,60,0,40,0", "a,/m/cat,0,1,0,.5,1",
        "a,/m/cat,0,inf,0,1,0",
    )  # fmt: skip
    (tmp_path / "train-annotations-bbox.csv").write_text("\n".join(lines))
    wrong = [f"train-annotations-bbox.csv, line {line}" for line in (3, 4, 5, 6, 7, 9)]
    assert found(OpenImagesDataset, tmp_path) == (2, wrong)


def test_tfrecord(tmp_path, write_records):
    box = {"xmin": [0.0], "ymin": [0.0], "xmax": [1.0], "ymax": [1.0]}
    write_records(
        tmp_path / "a.tfrecord",
        {"id": "1", "text": ["cat"], **box},
        {"id": "1", "text": ["cat"], **box},
        {"id": "2", "text": ["cow"], **box},
        {"id": "3", "text": ["cat"], **box, "xmax": []},
        {"id": "4", "text": ["cat"], **box},
    )
    content = (tmp_path / "a.tfrecord").read_bytes()
    (tmp_path / "a.tfrecord").write_bytes(content[:-9])
    wrong = [f"a.tfrecord, record {number}" for number in ("4", "5", "2", "3, object 1")]
    assert found(TfRecordDataset, tmp_path, class_names=["cat"]) == (1, wrong)


def test_pascal_with_the_sizes_of_the_files(tmp_path, write_voc, xml_object):
    size = "<size><width>60</width><height>41</height></size>"
    texts = {
        "a": size + xml_object("cat", (1, 2, 9, 9)),
        "b": xml_object("cat", (1, "x", 9, 9)),
        "c": b"<annotation>",
    }
    folder = write_voc(tmp_path, texts, {"train": "a\nb\nc\n"})
    assert found(PascalDataset, folder) == (1, ["b.xml, object 1", "c.xml"])
    collector = ErrorCollector()
    assert PascalDataset(folder, on_error=collector)[0]["size"] == (40, 60)
    assert (collector.annotated_sizes, collector.trusts_annotated_size) == ([(41, 60), None, None], False)
