from __future__ import annotations

import pytest

from keras_retinanet.config import DataConfig
from keras_retinanet.data.conversion import convert
from keras_retinanet.data.datasets import CsvDataset, PascalDataset
from keras_retinanet.data.datasets.pascal.origin import OriginEvidence
from keras_retinanet.data.datasets.pascal.xml import VocObject, VocText
from keras_retinanet.data.errors import DataError


def _decide(*boxes, size=(100, 200), origin=None):
    evidence = OriginEvidence()
    evidence.add([VocText([VocObject("cat", box, False, 1)], size, origin) for box in boxes])
    return evidence.decide()[0]


INSIDE = (5.0, 6.0, 50.0, 60.0)


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([], 1),
        ([INSIDE], 1),  # the convention
        ([INSIDE, (0.0, 6.0, 50.0, 60.0)], 0),
        ([INSIDE, (5.0, 0.0, 50.0, 60.0)], 0),
        ([INSIDE, (5.0, 6.0, 50.0, 60.5)], 0),
        ([(0.0, 0.0, 0.0, 0.0), INSIDE], 1),  # a placeholder, not a box
        ([(0.0, 0.0, float("inf"), 9.0), INSIDE], 1),
        ([(0.0, 6.0, 200.0, 60.0), (1.0, 6.0, 50.0, 60.0)], 0),
        ([(0.0, 6.0, 50.0, 60.0), *9 * [(1.0, 6.0, 50.0, 60.0)]], 0),
        ([(0.0, 6.0, 50.0, 60.0), *10 * [(1.0, 6.0, 50.0, 60.0)]], 1),  # one slip among many
        ([(5.5, 6.0, 50.0, 60.0), *10 * [(5.0, 1.0, 50.0, 60.0)]], 1),  # as in VOC 2012
        (2 * [(5.0, 6.0, 199.0, 60.0)], 1),  # two may be chance
        (3 * [(5.0, 6.0, 199.0, 60.0)], 0),
        (3 * [(5.0, 6.0, 50.0, 99.0)], 0),
        ([*3 * [(5.0, 6.0, 199.0, 60.0)], (5.0, 6.0, 200.0, 60.0)], 1),
        ([*3 * [(5.0, 6.0, 199.0, 60.0)], (1.0, 6.0, 50.0, 60.0)], 1),
    ],
)
def test_the_coordinates_decide(boxes, expected):
    assert _decide(*boxes) == expected


def test_files_that_state_their_origin_are_no_evidence():
    assert _decide((0.0, 0.0, 5.5, 5.5), origin=1) == 1


def _notes(data):
    return [note for note in data.report.notes if "counted from" in note]


def test_one_decision_for_all_sets(tmp_path, write_voc, xml_object):
    objects = {"a": xml_object("cat", (10, 20, 30, 40)), "b": xml_object("cat", (0, 20, 30, 40)), "c": ""}
    folder = write_voc(tmp_path, objects, {"train": "a\n", "val": "b\nc\n"})
    train, val = PascalDataset(folder, "train"), PascalDataset(folder, "val")
    assert train[0]["boxes"].tolist() == [[10, 20, 30, 40]]
    assert val[0]["boxes"].tolist() == [[0, 20, 30, 40]]
    expected = (
        "VOC pixels are counted from 0 (1 of 2 boxes begin at 0, 0 at 1, 0 have fractions): coordinates are used as "
        "written; --voc-origin 1 if that is wrong"
    )
    assert _notes(train) == _notes(val) == [expected]
    wanted = PascalDataset(folder, "train", class_names=("cat",))  # the other files decide here, too
    assert wanted[0]["boxes"].tolist() == [[10, 20, 30, 40]]


def test_the_flag_overrides_the_decision(tmp_path, write_voc, xml_object):
    objects = {"a": xml_object("cat", (10, 20, 30.5, 40)), "b": "<pixel_origin>1</pixel_origin>"}
    objects["b"] += xml_object("cat", (11, 21, 30, 40))
    folder = write_voc(tmp_path, objects, {"train": "a\nb\n"})
    auto, one, zero = (PascalDataset(folder, voc_origin=origin) for origin in ("auto", "1", "0"))
    assert [data[0]["boxes"].tolist() for data in (auto, one, zero)] == [
        [[10, 20, 30.5, 40]], [[9, 19, 30.5, 40]], [[10, 20, 30.5, 40]]
    ]  # fmt: skip
    assert [data[1]["boxes"].tolist() for data in (auto, one, zero)] == [
        [[10, 20, 30, 40]], [[10, 20, 30, 40]], [[11, 21, 30, 40]]
    ]  # fmt: skip
    assert [len(_notes(data)) for data in (auto, one, zero)] == [1, 0, 0]
    assert DataConfig().voc_origin == "auto"


def test_an_unknown_origin_is_named(tmp_path, write_voc):
    folder = write_voc(tmp_path, {"a": "<pixel_origin>2</pixel_origin>"}, {"train": "a\n"})
    with pytest.raises(DataError, match=r"a\.xml: <pixel_origin> is '2'. allowed: 0 or 1"):
        PascalDataset(folder)


def test_what_the_writer_writes_is_read_back_to_the_bit(tmp_path, write_images):
    write_images(tmp_path / "in")
    rows = ["a.jpg,0,0,60,40,cat", "a.jpg,10.4,20.6,30.7,39.9,dog", "b.jpg,0.1,1,2.3,9.7,cat", "c.jpg,,,,,"]
    (tmp_path / "in" / "boxes.csv").write_text("\n".join(rows) + "\n")
    source = CsvDataset(tmp_path / "in" / "boxes.csv")
    convert(DataConfig("csv", annotations=str(tmp_path / "in" / "boxes.csv")), tmp_path / "out", "pascal")
    back = PascalDataset(tmp_path / "out", class_names=source.class_names)
    assert [sample["boxes"].tobytes() for sample in back] == [sample["boxes"].tobytes() for sample in source]
    assert [len(sample["boxes"]) for sample in back] == [2, 1, 0]
    assert _notes(back) == []  # stated, not guessed
