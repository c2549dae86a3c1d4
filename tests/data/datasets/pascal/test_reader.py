from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import pytest
from PIL import Image

from keras_retinanet.data.datasets import VOC_CLASSES, PascalDataset
from keras_retinanet.data.errors import DataError


@pytest.fixture
def voc(tmp_path, write_voc, xml_object):
    objects = {
        "a": xml_object("dog", (1, 1, 60, 40)) + xml_object("cat", (11, 6, 20, 16), "<difficult>1</difficult>"),
        "b": xml_object("cat", (2, 3, 9, 9), "<truncated>1</truncated><difficult>0</difficult>"),
        "c": "<size><width>999</width><height>1</height><depth>3</depth></size>",
    }
    return write_voc(tmp_path, objects, {"train": "a  1\nc -1\n\n", "val": "b\n"})


def test_reads_it(voc):
    data = PascalDataset(voc)
    assert data.class_names == VOC_CLASSES
    assert [sample["image_id"] for sample in data] == ["a", "c"]
    assert data[0]["image"] == str(voc / "JPEGImages" / "a.jpg")
    # xmin 1 … xmax 60 is the whole width of 60 pixels
    assert data[0]["boxes"].tolist() == [[0, 0, 60, 40], [10, 5, 20, 16]]
    assert [VOC_CLASSES[label] for label in data[0]["labels"]] == ["dog", "cat"]
    assert data[0]["ignore"].tolist() == [False, True]
    assert data[1]["boxes"].shape == (0, 4)
    assert data[1]["size"] == (30, 30)  # of the file, not of the tag


def test_the_twenty_classes():
    assert len(VOC_CLASSES) == 20
    assert sorted(VOC_CLASSES) == list(VOC_CLASSES)


def test_sets(voc, tmp_path_factory, write_voc):
    assert PascalDataset.default_sets(voc) == ("train", "val")
    assert len(PascalDataset(voc, "val")) == 1
    alone = write_voc(tmp_path_factory.mktemp("voc"), {"a": ""}, {"trainval": "a"})
    assert PascalDataset.default_sets(alone) == ("trainval", None)
    assert len(PascalDataset(alone)) == 1


def test_other_classes_are_sorted_over_all_sets(voc, xml_object):
    (voc / "Annotations" / "b.xml").write_text(f"<annotation>{xml_object('ant', (1, 1, 5, 5))}</annotation>")
    (voc / "Annotations" / "._b.xml").write_bytes(b"\0 macOS")
    assert PascalDataset(voc, "train").class_names == ("ant", "cat", "dog")
    assert PascalDataset(voc, "val").class_names == ("ant", "cat", "dog")


def test_wanted_class_names_give_the_labels(voc):
    assert PascalDataset(voc, class_names=("dog", "cat"))[0]["labels"].tolist() == [0, 1]
    with pytest.raises(DataError, match=r"a\.xml, object 2: unknown class 'cat'"):
        PascalDataset(voc, class_names=("dog",))


def test_boxes_of_no_size_are_left_out(voc, xml_object):
    boxes = [(5, 5, 5, 5), (9, 1, 4, 8), (2, 3, 10, 10), (-30, 1, 10, 10)]
    objects = "".join(xml_object("cat", box) for box in boxes)
    (voc / "Annotations" / "a.xml").write_text(f"<annotation>{objects}</annotation>")
    data = PascalDataset(voc)
    assert data[0]["boxes"].tolist() == [[1, 2, 10, 10], [0, 0, 10, 10]]
    assert (data.report.num_dropped, data.report.num_clipped) == (2, 1)
    assert "a.xml, object 1 [5., 5., 5., 5.] left out" in data.report.warning()


def test_difficult_objects_may_be_kept_or_dropped(voc):
    kept = PascalDataset(voc, difficult="keep")
    assert (len(kept[0]["labels"]), kept[0]["ignore"].any()) == (2, False)
    assert [VOC_CLASSES[label] for label in PascalDataset(voc, difficult="drop")[0]["labels"]] == ["dog"]


def test_a_plain_folder_of_xml_files_beside_images(tmp_path, write_images, xml_object):
    write_images(tmp_path, {"a.jpg": (40, 60), "b.PNG": (60, 40), "c.jpg": (30, 30)})
    (tmp_path / "a.xml").write_text(f"<annotation>{xml_object('dog', (1, 1, 60, 40))}</annotation>")
    (tmp_path / "b.xml").write_text(f"<annotation>{xml_object('ant', (2, 2, 9, 9))}</annotation>")
    assert PascalDataset.default_sets(tmp_path) == (".", None)
    data = PascalDataset(tmp_path)
    assert data.class_names == ("ant", "dog")  # not the twenty of the challenge
    assert [sample["image_id"] for sample in data] == ["a", "b"]
    assert data[0]["boxes"].tolist() == [[0, 0, 60, 40]]
    assert data.report.notes[0] == f"{tmp_path}: 1 images without an XML file are left out (c.jpg)"
    (tmp_path / "d.xml").write_text("<annotation/>")
    data = PascalDataset(tmp_path)
    assert [sample["image_id"] for sample in data] == ["a", "b"]
    assert data.report.notes[1] == f"{tmp_path}: 1 XML files without an image are left out (d.xml)"
    with pytest.raises(DataError, match=r"d\.xml: has no image"):
        PascalDataset(tmp_path, on_error="error")
    for name in ("a.jpg", "b.PNG", "c.jpg"):
        (tmp_path / name).unlink()
    with pytest.raises(DataError, match=r"a\.xml: has no image"):  # nothing is left
        PascalDataset(tmp_path)


def test_folders_of_sets(tmp_path, write_images, xml_object):
    for name, word in (("train", "dog"), ("valid", "ant")):
        write_images(tmp_path / name, {"a.jpg": (40, 60)})
        (tmp_path / name / "a.xml").write_text(f"<annotation>{xml_object(word, (1, 1, 5, 5))}</annotation>")
    assert PascalDataset.default_sets(tmp_path) == ("train", "valid")
    assert PascalDataset(tmp_path).class_names == PascalDataset(tmp_path, "valid").class_names == ("ant", "dog")
    with pytest.raises(DataError, match="has no Pascal VOC annotations"):
        PascalDataset(tmp_path, "test")


def test_a_namespace_is_passed_over(voc, xml_object):
    box = xml_object("cat", (2, 3, 5, 6))
    (voc / "Annotations" / "a.xml").write_text(f'<annotation xmlns="urn:voc">{box}</annotation>')
    assert PascalDataset(voc)[0]["boxes"].tolist() == [[1, 2, 5, 6]]


def test_images_may_be_of_any_kind(voc):
    (voc / "JPEGImages" / "a.jpg").unlink()
    Image.new("RGB", (5, 4)).save(voc / "JPEGImages" / "a.PNG")
    data = PascalDataset(voc, class_names=("dog", "cat"))
    assert data[0]["image"].endswith("a.PNG")
    assert data[0]["size"] == (4, 5)


def _object(xml):
    return f"<annotation><object>{xml}</object></annotation>".encode()


BOX = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>4</ymax></bndbox>"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"a\.xml: is not XML"),
        (b'<?xml version="1.0" encoding="gbk"?><annotation/>', r"a\.xml: is not XML .multi-byte.*annotation in UTF-8"),
        (b"<annotation><Object><name>cat</name></Object></annotation>", r"a\.xml: has <Object>. allowed: <object>"),
        (b"<Annotation/>", r"a\.xml: begins with <Annotation>"),
        (_object(f"<name>cat</name>{BOX}{BOX}"), r"a\.xml, object 1: has 2 <bndbox>. allowed: one"),
        (b"<annotation>", r"a\.xml: is not XML"),
        (b'<?xml version="1.0" encoding="none"?><a/>', r"a\.xml: "),
        (_object(BOX), r"a\.xml, object 1: has no <name>"),
        (_object("<name>cat</name>"), r"a\.xml, object 1: has no <bndbox><xmin>"),
        (_object("<name>cat</name>" + BOX.replace("<ymax>4", "<ymax>x")), r"a\.xml, object 1: <ymax> is 'x'"),
        (_object("<name>cat</name>" + BOX.replace("<ymax>4", "<ymax>nan")), r"a\.xml, object 1: coordinates"),
        (_object("<name>cat</name><difficult>2</difficult>" + BOX), "<difficult> is '2'"),
    ],
)
def test_broken_annotations_are_named(voc, content, message):
    (voc / "Annotations" / "a.xml").write_bytes(content)
    with pytest.raises(DataError, match=message + ".*fix: "):
        PascalDataset(voc)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (b"", r"train\.txt: lists no image"),
        (b"a\nd\n", r"image 'd' is not there"),
        (b"a\nc\na\n", r"train\.txt, line 3: 'a' is listed twice \(first in line 1\)"),
        (b"\xff\xff", r"train\.txt: is not UTF-8 text"),
        (b"a\0b", "image 'a.x00b' is not there"),
    ],
)
def test_broken_lists_are_named(voc, lines, message):
    (voc / "ImageSets" / "Main" / "train.txt").write_bytes(lines)
    with pytest.raises(DataError, match=message + ".*fix: "):
        PascalDataset(voc, on_error="error")


def test_missing_parts_are_named(voc):
    with pytest.raises(DataError, match=r"test\.txt: cannot be read .*sets there: train, val"):
        PascalDataset(voc, "test")
    (voc / "Annotations" / "c.xml").rename(voc / "Annotations" / "C.xml")
    with pytest.raises(DataError, match=r"c\.xml: cannot be read .*C\.xml"):
        PascalDataset(voc, on_error="error")
    assert [sample["image_id"] for sample in PascalDataset(voc)] == ["a"]
    (voc / "JPEGImages" / "c.jpg").unlink()
    with pytest.raises(DataError, match=r"train\.txt: image 'c' is not there"):
        PascalDataset(voc, on_error="error")


def test_trees(shared, tmp_path):
    for file in shared("data/trees").glob("2019_YELL_2_541000_4977000_image_crop.*"):
        (tmp_path / file.name).symlink_to(file)
    data = PascalDataset(tmp_path)
    assert (len(data), data.class_names) == (1, ("Tree",))
    assert len(data[0]["labels"]) + data.report.num_dropped == 279


FUZZ = hypothesis.settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
)
WORDS = ["<object>", "</object>", "<name>", "</name>", "cat", "<bndbox>", "</bndbox>", "<xmin>", "</xmin>", "1",
         "1e999", "-5", "<ymax>8</ymax>", BOX, "<difficult>", "</difficult>", "&x;", "\0", "é"]  # fmt: skip


@FUZZ
@hypothesis.given(words=st.lists(st.sampled_from(WORDS), max_size=12), lines=st.binary(max_size=12))
def test_fuzzed_files_never_give_another_error(voc, words, lines):
    nested = f"<annotation><object><name>cat</name>{''.join(words)}{BOX}</object></annotation>"
    for xml in (nested.encode(), "".join(words).encode(), lines):
        (voc / "Annotations" / "a.xml").write_bytes(xml)
        assert is_in_range_or_refused(voc, "train")
    (voc / "ImageSets" / "Main" / "fuzzed.txt").write_bytes(lines)
    assert is_in_range_or_refused(voc, "fuzzed")


def is_in_range_or_refused(folder, set_name):
    """Whether all labels are in range, or a `DataError` says where the data are wrong."""
    try:
        dataset = PascalDataset(folder, set_name)
    except DataError as error:
        return str(folder) in error.where and bool(error.found)
    return all((sample["labels"] < len(dataset.class_names)).all() for sample in dataset)


def test_bccd(shared):
    train, val = (PascalDataset(shared("data/bccd"), name) for name in ("train", "val"))
    assert (len(train), len(val)) == (205, 87)
    assert train.class_names == val.class_names == ("Platelets", "RBC", "WBC")
    assert train.report.num_dropped + val.report.num_dropped == 2
    assert "BloodImage_00343.xml, object 4" in train.report.warning()
    assert "BloodImage_00338.xml, object 13" in val.report.warning()


def test_one_broken_file_or_object_is_left_out_and_named(voc, xml_object):
    whole = xml_object("dog", (1, 1, 5, 5))
    (voc / "Annotations" / "a.xml").write_text(f"<annotation>{whole}{whole.replace('dog', '')}</annotation>")
    (voc / "Annotations" / "c.xml").write_bytes(b"")
    data = PascalDataset(voc)
    assert [sample["image_id"] for sample in data] == ["a"]
    assert data[0]["boxes"].tolist() == [[0, 0, 5, 5]]
    notes = " ".join(data.report.notes)
    assert "1 images are left out, since their XML files are broken (c)" in notes
    assert "2 annotations left out:" in notes
    assert "a.xml, object 2: has no <name>" in notes
    assert "c.xml: is not XML" in notes
    with pytest.raises(DataError, match=r"a\.xml, object 2: has no <name>"):
        PascalDataset(voc, on_error="error")


def test_images_that_are_elsewhere(tmp_path, xml_object, write_images):
    """The XML files of make-sense.ai come without images; all ways round that the message names work."""
    text = f"<annotation>{xml_object('dog', (1, 1, 5, 5))}</annotation>"
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.xml").write_text(text)
    with pytest.raises(DataError, match=r"images/ in it, give the folder above that has both, or .*--image-dir"):
        PascalDataset(tmp_path / "labels")
    write_images(tmp_path / "pictures", {"a.jpg": (40, 60)})
    assert len(PascalDataset(tmp_path / "labels", image_dir=str(tmp_path / "pictures"))) == 1
    assert len(PascalDataset(tmp_path)) == 1
    write_images(tmp_path / "labels" / "images", {"a.jpg": (40, 60)})
    assert PascalDataset(tmp_path / "labels")[0]["image"] == str(tmp_path / "labels" / "images" / "a.jpg")
