from __future__ import annotations

import shutil

import pytest

from keras_retinanet.data.datasets import PascalDataset, find_layouts
from keras_retinanet.data.errors import DataError

SIZE = (40, 60)


@pytest.fixture
def lay(tmp_path, write_images, xml_object):
    """`lay("images/a.jpg", "labels/a.xml")`: files of a data set; each XML file has the box 11 21 30 40."""

    def write(*names):
        for name in names:
            file = tmp_path / name
            if name.lower().endswith(".xml"):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(f"<annotation>{xml_object(file.stem, (11, 21, 30, 40))}</annotation>")
            else:
                write_images(file.parent, {file.name: SIZE})
        return tmp_path

    return write


def _ids(data):
    assert all(sample["boxes"].tolist() == [[10, 20, 30, 40]] for sample in data)
    return [sample["image_id"] for sample in data]


def _left_out(data):
    return [note.split(": ", 1)[1] for note in data.report.notes if "counted from" not in note]


@pytest.mark.parametrize(
    ("texts", "images"),
    [
        ("Annotations", "JPEGImages"), ("Annotations", "images"), ("annotations", "images"), ("labels", "data"),
        ("ANNOTATIONS", "Images"), ("annotations/xmls", "images"), ("Annotations", "."), (".", "."),
    ],
)  # fmt: skip
def test_names_of_the_two_folders(lay, texts, images):
    folder = lay(f"{texts}/a.xml", f"{texts}/b.XML", f"{images}/a.JPG", f"{images}/b.png")
    assert [layout.format for layout in find_layouts(folder)][:1] == ["pascal"]
    assert PascalDataset.default_sets(folder) == (".", None)
    data = PascalDataset(folder)
    assert [name.rsplit("/")[-1] for name in _ids(data)] == ["a", "b"]
    assert _left_out(data) == []


@pytest.mark.parametrize(
    "pattern",
    [
        "{set}/{name}", "{set}/annotations/{name}|{set}/images/{name}", "{set}/labels/{name}|{set}/data/{name}",
        "annotations/{set}/{name}|images/{set}/{name}", "annotations/{set}/{name}|images/{name}",
    ],
)  # fmt: skip
def test_folders_of_sets(lay, pattern):
    texts, _, images = pattern.partition("|")
    for name, part in (("a", "train"), ("b", "valid"), ("c", "test")):
        folder = lay(texts.format(set=part, name=f"{name}.xml"), (images or texts).format(set=part, name=f"{name}.jpg"))
    assert find_layouts(folder)[0].format == "pascal"
    assert PascalDataset.default_sets(folder) == ("train", "valid")
    for name, part in (("a", "train"), ("b", "valid"), ("c", "test")):
        data = PascalDataset(folder, part)
        assert (_ids(data), data.class_names, _left_out(data)) == ([name], ("a", "b", "c"), [])


def test_sub_folders_are_kept(lay):
    folder = lay("Annotations/one.xml", "Annotations/a/one.xml", "Annotations/b/two.xml")
    lay("JPEGImages/one.jpg", "JPEGImages/a/one.jpg", "JPEGImages/b/two.jpg", "JPEGImages/.c/hidden.jpg")
    data = PascalDataset(folder)
    assert _ids(data) == ["a/one", "b/two", "one"]
    assert [sample["image"] for sample in data] == [
        str(folder / "JPEGImages" / f"{name}.jpg") for name in ("a/one", "b/two", "one")
    ]
    lists = folder / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "default.txt").write_text("a/one\nb/two\n")
    assert PascalDataset.default_sets(folder) == ("default", None)
    data = PascalDataset(folder)
    assert _ids(data) == ["a/one", "b/two"]
    assert _left_out(data) == [
        "1 XML files are in no list and are left out (one.xml)", "1 images are in no list and are left out (one.jpg)"
    ]  # fmt: skip


def test_folders_that_are_links_are_followed(lay, tmp_path_factory):
    folder = lay("Annotations/one.xml", "JPEGImages/one.jpg")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for part in ("Annotations", "JPEGImages"):
        shutil.copytree(folder / part, elsewhere / part)
        (folder / part / "day2").symlink_to(elsewhere / part)
        (folder / part / "loop").symlink_to(folder)
    assert _ids(PascalDataset(folder)) == ["day2/one", "one"]


def test_every_file_is_used_or_reported(lay):
    lay("Annotations/a.xml", "Annotations/alone.xml", "images/a.jpg", "images/a.png", "images/bare.jpg")
    folder = lay("stray.xml", "stray.jpg", "SegmentationClass/a.png", "Annotations/A2.xml", "images/deep/A2.jpeg")
    data = PascalDataset(folder)
    assert _ids(data) == ["A2", "a"]
    assert _left_out(data) == [
        "1 images differ from another in suffix and are left out (a.png)",
        "1 images without an XML file are left out (bare.jpg)",
        "1 XML files without an image are left out (alone.xml)",
        "1 XML files outside Annotations/ are left out (stray.xml)",
        "1 images outside images/ are left out (stray.jpg)",
    ]


def test_a_folder_that_is_no_set_is_reported(lay):
    folder = lay("train/t.xml", "train/t.jpg", "test/s.xml", "test/s.jpg", "more/m.xml", "more/m.jpg")
    assert PascalDataset.default_sets(folder) == ("train", None)
    note = "1 XML files belong to another set and are left out (more/m.xml)"
    assert _left_out(PascalDataset(folder)) == [note]


def test_two_xml_files_never_share_an_image(lay):
    folder = lay("Annotations/x/a.xml", "Annotations/y/a.xml", "images/a.jpg", "images/b.jpg", "Annotations/b.xml")
    data = PascalDataset(folder)
    assert _ids(data) == ["b"]
    assert _left_out(data) == [
        "1 images without an XML file are left out (a.jpg)",
        "2 XML files without an image are left out (x/a.xml, y/a.xml)",
    ]


def test_a_listed_image_without_xml_is_background(lay):
    folder = lay("Annotations/full.xml", "JPEGImages/full.jpg", "JPEGImages/two words.jpg")
    lists = folder / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("full\ntwo words\n")
    data = PascalDataset(folder)
    assert [len(sample["boxes"]) for sample in data] == [1, 0]
    assert _left_out(data) == ["1 images have no XML file and count as background (two words)"]
    (lists / "train.txt").write_text("full\nnowhere\n")
    with pytest.raises(DataError, match=r"train\.txt: image 'nowhere' is not there"):
        PascalDataset(folder, on_error="error")
    data = PascalDataset(folder)
    assert [sample["image_id"] for sample in data] == ["full"]
    assert any("1 images are not there and are left out (nowhere.jpg)" in note for note in data.report.notes)


def test_the_folder_above_is_refused(lay):
    folder = lay("VOC2007/Annotations/a.xml", "VOC2007/JPEGImages/a.jpg")
    (folder / "VOC2007" / "ImageSets" / "Main").mkdir(parents=True)
    with pytest.raises(DataError, match=r"1 data sets below it.*give its path: .*VOC2007"):
        PascalDataset(folder)


def test_a_label_map_gives_classes_and_their_order(lay):
    folder = lay("Annotations/dog.xml", "Annotations/cat.xml", "images/dog.jpg", "images/cat.jpg")
    lines = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nowl:9,9,9::\ndog:1,2,3:head,paw:sit\ncat:::\n"
    (folder / "labelmap.txt").write_text(lines)
    data = PascalDataset(folder)
    assert (data.class_names, [sample["labels"].tolist() for sample in data]) == (("owl", "dog", "cat"), [[2], [1]])
    (folder / "labelmap.txt").write_text(lines.replace("dog", "a:b"))
    data = PascalDataset(folder)
    assert data.class_names == ("owl", "a:b", "cat", "dog")
    assert "lacks 1 classes that boxes have, which follow its own: 'dog'" in data.report.notes[-1]
    for wrong, message in (("owl", "line 6: 'owl'"), ("cat:::", "line 6: 'cat:::' repeats line 5")):
        (folder / "labelmap.txt").write_text(f"{lines}{wrong}\n")
        with pytest.raises(DataError, match=rf"labelmap\.txt, {message}.*fix: correct the line"):
            PascalDataset(folder)


def test_cvat_xml_names_its_own_format(lay):
    folder = lay("images/a.jpg")
    content = "<?xml version='1.0'?><annotations><version>1.1</version><image id='0' name='a.jpg'/></annotations>"
    (folder / "annotations.xml").write_text(content)
    assert "pascal" not in [layout.format for layout in find_layouts(folder)]
    message = r"annotations\.xml: is CVAT's own XML.*give the format cvat"
    with pytest.raises(DataError, match=message):
        PascalDataset(folder)
    lay("annotations.jpg")
    with pytest.raises(DataError, match=message):
        PascalDataset(folder)
