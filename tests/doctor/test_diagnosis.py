"""Every fault made by hand is found, counted, named and weighed; nothing else is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.config import DataConfig, ResizeConfig, TrainConfig
from keras_retinanet.data.errors import DataError
from keras_retinanet.data.near_duplicates import group_near_duplicates
from keras_retinanet.data.open_dataset import open_dataset
from keras_retinanet.doctor import diagnose
from keras_retinanet.doctor.cleaning import write_clean
from keras_retinanet.doctor.findings import Finding, exit_status
from keras_retinanet.doctor.html_report import write_html
from keras_retinanet.doctor.image_scan import scan_image

EXPECTED = {
    ("missing", "train"): ("error", 1, "gone.png"),
    ("truncated", "train"): ("error", 1, "cut.png"),
    ("unreadable", "train"): ("error", 1, "text.jpg"),
    ("size", "train"): ("error", 1, "wide.png"),
    ("cmyk", "train"): ("warning", 1, "cmyk.jpg"),
    ("16-bit", "train"): ("note", 1, "deep.png"),
    ("exif", "train"): ("note", 1, "turned.jpg"),
    ("duplicate-image", "train"): ("warning", 1, "again.jpg"),
    ("leakage", "train, val"): ("warning", 1, "leaked.png"),
    ("duplicate-box", "train"): ("warning", 1, "annotation id 2"),
    ("contradiction", "train"): ("warning", 1, "annotation id 3"),
    ("degenerate", "train"): ("warning", 1, "annotation id 4"),
    ("overrun", "train"): ("warning", 1, "annotation id 5"),
    ("outside", "train"): ("warning", 1, "annotation id 6"),
    ("tiny", "train"): ("warning", 1, "annotation id 7"),
    ("huge", "train"): ("warning", 1, "annotation id 8"),
    ("ignored", "train"): ("note", 1, "annotation id 10"),
    ("similar-names", "train"): ("warning", 1, "cat"),
    ("background-class", "train"): ("warning", 1, "background"),
    ("one-based", "train"): ("warning", 1, "background"),
    ("unused-class", "train"): ("warning", 1, "background"),
    ("unused-class", "val"): ("note", 2, "cat"),
    ("rare-class", "train"): ("warning", 2, "Cat"),
    ("untrained-class", "train, val"): ("warning", 1, "background"),
    ("empty-image", "train"): ("note", 5, "gone.png"),
    ("empty-image", "val"): ("note", 1, "leaked.png"),
    ("coverage", "train"): ("warning", 2, ""),
    ("coverage", "val"): ("warning", 1, ""),
}


def test_each_fault_is_found_and_no_other(diagnosis):
    found = {(finding.kind, finding.split): finding for finding in diagnosis.findings}
    seen = {key: (finding.severity, finding.count) for key, finding in found.items()}
    by_hand = {key: (severity, count) for key, (severity, count, _) in EXPECTED.items() if key[0] != "coverage"}
    assert {key: value for key, value in seen.items() if key[0] != "coverage"} == by_hand
    for key, (_, _, where) in EXPECTED.items():
        if key[0] != "coverage":
            assert found[key].examples[0].where.endswith(where), key
            assert found[key].fix
    assert diagnosis.status == 2
    assert [finding.severity for finding in diagnosis.findings][:4] == ["error"] * 4


def test_the_numbers_are_those_of_the_files(diagnosis):
    train, val = diagnosis.splits
    assert (train.images, train.usable, train.boxes, train.ignored, train.empty) == (11, 7, 11, 1, 5)
    assert train.boxes_by_class == {"background": 0, "cat": 5, "Cat": 3}  # 1, 2, 5, 7, 9 and 3, 8, 11
    assert (val.images, val.usable, val.boxes) == (2, 2, 1)


def test_what_a_finding_says(diagnosis):
    said = {finding.kind: finding for finding in diagnosis.findings if finding.split != "val"}
    assert said["size"].examples[0].what == "is 64 × 48 pixels, 100 × 48 in the annotations"
    assert said["overrun"].examples[0].what == "[50, 30, 80, 40] in an image of 64 × 48 pixels"
    assert said["contradiction"].examples[0].what == "[4, 4, 24, 24] is cat and Cat"
    assert said["tiny"].examples[0].what == "[5, 5, 8, 8] is 3.0 pixels after resizing"
    assert said["exif"].examples[0].what == "EXIF orientation 6"
    assert said["exif"].fix.startswith("boxes refer to them turned upright, as sizes and boxes show")
    assert said["16-bit"].fix.startswith("the largest of 16 bits becomes white")


def test_a_clean_copy_can_be_opened_and_has_only_what_trains(diagnosis, tmp_path):
    done = write_clean(diagnosis, tmp_path / "out")
    copy = open_dataset(DataConfig("coco", str(tmp_path / "out"), bad_data="error"), "train")
    assert [Path(sample["image"]).name for sample in copy] == [
        "good.png", "cmyk.jpg", "deep.png", "turned.jpg", "first.png", "again.jpg", "empty.png",
    ]  # fmt: skip
    assert copy[0]["boxes"].tolist() == [[4, 4, 24, 24], [4, 4, 24, 24], [50, 30, 64, 40]]
    assert [copy.class_names[label] for label in copy[0]["labels"]] == ["cat", "Cat", "cat"]
    assert "train: 4 images that cannot be used removed" in done.notes
    assert "train: 2 boxes without area in their image removed" in done.notes
    assert "train: 1 duplicate boxes removed" in done.notes


def test_the_page_needs_nothing_else(diagnosis, tmp_path):
    write_html(diagnosis, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "http" not in text.replace("http-equiv", "")
    assert text.count("data:image/png;base64,") == 7  # five plots, and coverage by size of either split
    assert text.count("data:image/jpeg;base64,") > 10
    for finding in diagnosis.findings:
        assert f"<h3>{finding.title.replace('&', '&amp;')}</h3>" in text


def test_broken_structure_is_a_finding(tmp_path, config):
    (tmp_path / "boxes.csv").write_text("a.png,1,2,3,4,cow\na.png,1,2,x,4,cow\n")
    broken = diagnose(dataclasses.replace(config, data=DataConfig("csv", annotations=str(tmp_path / "boxes.csv"))))
    finding = broken.findings[0]
    assert (finding.kind, finding.severity, broken.status) == ("structure", "error", 2)
    assert finding.examples[0].where.endswith("boxes.csv, line 2")
    others = {other.kind for other in broken.findings[1:]}
    assert others == {"missing", "unused-class"}  # line 1 is looked at all the same
    with pytest.raises(ValueError, match="cannot be read; correct the structure errors"):
        write_clean(broken, tmp_path / "out")


def test_relative_boxes_and_missing_images_of_yolo(tmp_path, config):
    for part in ("images/train", "labels/train"):
        (tmp_path / part).mkdir(parents=True)
    Image.new("RGB", (40, 20)).save(tmp_path / "images/train/a.png")
    (tmp_path / "labels/train/a.txt").write_text("0 0.5 0.5 0.25 0.5\n0 1.0 0.5 0.5 0.5\n")
    (tmp_path / "list.txt").write_text("images/train/a.png\nimages/train/b.png\n")
    (tmp_path / "data.yaml").write_text("train: list.txt\nval: list.txt\nnames: [cat]\n")
    found = diagnose(dataclasses.replace(config, data=DataConfig("yolo", str(tmp_path))))
    said = {finding.kind: finding for finding in found.findings if finding.split == "train"}
    assert said["missing"].examples[0].where.endswith("b.png")
    assert said["overrun"].examples[0].what == "[30, 5, 50, 15] in an image of 40 × 20 pixels"
    assert said["rare-class"].examples[0].what == "2 boxes"
    with pytest.raises(DataError, match=r"b\.png"):
        open_dataset(DataConfig("yolo", str(tmp_path), bad_data="error"), "train")
    assert len(open_dataset(DataConfig("yolo", str(tmp_path)), "train")) == 1


def test_exit_status_is_that_of_the_worst():
    note, warning, error = (Finding("x", severity, "train", "", 1) for severity in ("note", "warning", "error"))
    assert [exit_status(those) for those in ([], [note], [note, warning], [warning, error])] == [0, 0, 1, 2]


def test_near_duplicates_are_scaled_and_saved_again_but_not_others_or_plain_ones(tmp_path):
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).resize((64, 64)) for _ in range(4)]
    pictures += [pictures[1].resize((100, 90)), Image.new("L", (64, 64), 9), Image.new("L", (64, 64), 200)]
    thumbnails = []
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / f"{number}.png")
        thumbnails.append(scan_image(str(tmp_path / f"{number}.png")).thumbnail)
    assert thumbnails[5] is None
    assert group_near_duplicates(thumbnails) == [[1, 4]]
    assert group_near_duplicates([]) == []


def test_several_faults_of_structure_and_a_wrong_size_tag_in_one_run(tmp_path):
    image = "<size><width>{}</width><height>48</height></size>"
    texts = {
        "a": image.format(64) + "<object><name>cat</name></object>",
        "b": image.format(46),
        "c": image.format(0),
        "d": "<",
    }
    for number, (name, xml) in enumerate(texts.items()):
        pixels = np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.xml").write_text(f"<annotation>{xml}</annotation>")
    diagnosis = diagnose(TrainConfig(data=DataConfig("pascal", str(tmp_path)), resize=ResizeConfig(48, 64)))
    said = {finding.kind: finding for finding in diagnosis.findings}
    assert [example.where.rsplit("/", 1)[1] for example in said["structure"].examples] == ["a.xml, object 1", "d.xml"]
    assert (said["structure"].severity, said["size"].severity, said["size"].count) == ("error", "warning", 1)
    assert said["size"].examples[0].what == "is 64 × 48 pixels, 46 × 48 in the annotations"
    assert diagnosis.splits[0].usable == 4  # a training takes the size of the file


def test_a_data_set_without_classes_cannot_be_trained_on(tmp_path):
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    (tmp_path / "boxes.csv").write_text("a.png,,,,,\n")
    diagnosis = diagnose(TrainConfig(data=DataConfig("csv", annotations=str(tmp_path / "boxes.csv"))))
    assert (diagnosis.findings[0].kind, diagnosis.status) == ("no-class", 2)
    assert diagnosis.findings[0].title.startswith("1 training images, but no box names a class")


def test_a_jpeg_without_its_last_bytes_is_a_warning_and_used(tmp_path):
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    picture = Image.fromarray(coarse).resize((64, 48), Image.Resampling.NEAREST)
    for name in ("a.jpg", "b.jpg", "c.tif"):
        picture.save(tmp_path / name)
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-2])
    Image.fromarray(np.ones((48, 64), np.float32)).save(tmp_path / "d.tif")
    rows = [f"{name},4,4,24,24,cat\n" for name in ("a.jpg", "b.jpg", "c.tif", "d.tif")]
    (tmp_path / "boxes.csv").write_text("".join(rows))
    found = diagnose(TrainConfig(data=DataConfig("csv", annotations=str(tmp_path / "boxes.csv"))))
    kinds = {finding.kind: finding for finding in found.findings}
    cut_off, unreadable = kinds["cut-off"], kinds["unreadable"]
    assert (cut_off.severity, cut_off.title) == ("warning", "1 JPEGs lack their last bytes")
    assert cut_off.examples[0].where == str(tmp_path / "a.jpg")
    assert unreadable.examples[0].what == "has values of 32 bits (mode 'F')"
    assert found.splits[0].usable == 3
