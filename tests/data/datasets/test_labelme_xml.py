"""LabelMe 3.0: XML files as CVAT and Datumaro 1.13.12 write them, with pixels counted from 0."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from keras_retinanet.data.datasets import LabelmeXmlDataset, find_layouts
from keras_retinanet.data.errors import DataError

OBJECT = """  <object>
    <name>{name}</name>
    <deleted>{deleted}</deleted>
    <verified>0</verified>
    <occluded>no</occluded>
    <date></date>
    <id>0</id>
    <parts>
      <hasparts></hasparts>
      <ispartof></ispartof>
    </parts>
{shape}
    <attributes></attributes>
  </object>
"""
PAGE = """<annotation>
  <filename>{name}</filename>
  <folder>train</folder>
  <source>
    <sourceImage></sourceImage>
    <sourceAnnotation>Datumaro</sourceAnnotation>
  </source>
  <imagesize>
    <nrows>40</nrows>
    <ncols>60</ncols>
  </imagesize>
{objects}</annotation>
"""


def polygon(name: str, *points: tuple[float, float], kind: str = "", deleted: int = 0) -> str:
    corners = "".join(f"<pt>\n<x>{x:.2f}</x>\n<y>{y:.2f}</y>\n</pt>\n" for x, y in points)
    shape = f"<type>{kind}</type>\n" * bool(kind) + f"<polygon>\n{corners}<username></username>\n</polygon>"
    return OBJECT.format(name=name, deleted=deleted, shape=shape)


def box(name: str, x1: float, y1: float, x2: float, y2: float, deleted: int = 0) -> str:
    return polygon(name, (x1, y1), (x2, y1), (x2, y2), (x1, y2), kind="bounding_box", deleted=deleted)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write_one(image: str, text: str, *objects: str, filename: str = "") -> Path:
        for file in (tmp_path / image, tmp_path / text):
            file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 40)).save(tmp_path / image)
        page = PAGE.format(name=filename or Path(image).name, objects="".join(objects))
        (tmp_path / text).write_text(page, "utf-8")
        return tmp_path / text

    return write_one


def named_boxes(data: LabelmeXmlDataset) -> list[list[tuple[str, list[float]]]]:
    return [
        [(data.class_names[label], one) for label, one in zip(sample["labels"], sample["boxes"].tolist(), strict=True)]
        for sample in data
    ]


def test_shapes_become_boxes_or_are_counted(write, tmp_path: Path) -> None:
    corners = "<xmin>2</xmin>\n<ymin>3</ymin>\n<xmax>9</xmax>\n<ymax>11</ymax>"
    mask = f"<segm>\n<mask>a_mask_0.png</mask>\n<box>\n{corners}\n</box>\n</segm>"
    write(
        "a.jpg", "a.xml",
        box("cat", 10.5, 4.25, 30, 20),
        polygon("dog", (5, 5), (20, 8), (12, 30)),
        polygon("dog", (5, 5), (20, 8)),
        box("gone", 1, 1, 5, 5, deleted=1),
        OBJECT.format(name="sky", deleted=0, shape=mask),
    )  # fmt: skip
    write("empty.jpg", "empty.xml")
    Image.new("RGB", (60, 40)).save(tmp_path / "without.jpg")
    data = LabelmeXmlDataset(tmp_path)
    assert data.class_names == ("cat", "dog", "sky")
    first = [("cat", [10.5, 4.25, 30, 20]), ("dog", [5, 5, 20, 30]), ("sky", [2, 3, 9, 11])]
    assert named_boxes(data) == [first, [], []]
    assert data.report.notes == [
        f"{tmp_path}: 1 images have no XML file and count as background (without.jpg)",
        f"{tmp_path}: shapes replaced by their enclosing boxes: 1 mask, 1 polygon",
        f"{tmp_path}: shapes without area, left out: 1 point or line",
    ]


def test_datumaro_has_a_folder_of_images_and_one_of_texts_for_each_split(write, tmp_path: Path) -> None:
    write("Images/train/décran 1.jpg", "Annotations/train/décran 1.xml", box("cat", 1, 2, 3, 4))
    write("Images/val/b.jpg", "Annotations/val/b.xml", box("dog", 5, 6, 7, 8))
    (layout,) = find_layouts(tmp_path)
    assert (layout.format, layout.certainty, layout.tool) == ("labelmexml", 3, "LabelMe 3.0")
    assert LabelmeXmlDataset.default_sets(tmp_path) == ("train", "val")
    train, val = (LabelmeXmlDataset(tmp_path, name) for name in ("train", "val"))
    assert [Path(sample["image"]).name for sample in (*train, *val)] == ["décran 1.jpg", "b.jpg"]
    assert named_boxes(train) + named_boxes(val) == [[("cat", [1, 2, 3, 4])], [("dog", [5, 6, 7, 8])]]


@pytest.mark.parametrize("filename", ["a.jpg", "C:\\\\pictures\\\\a.jpg", "other.png"])
def test_the_image_is_the_one_named_or_of_the_same_name(write, tmp_path: Path, filename: str) -> None:
    write("a.jpg", "a.xml", box("cat", 1, 2, 3, 4), filename=filename)
    assert named_boxes(LabelmeXmlDataset(tmp_path)) == [[("cat", [1, 2, 3, 4])]]


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        (box("", 1, 2, 3, 4), "a.xml, shape 1: has no <name>"),
        (polygon("cat", (1, 2), kind="bounding_box"), "at least 2 points"),
        (box("cat", 1, 2, 3, 4).replace("<x>1.00</x>", "<x>one</x>"), "a.xml, shape 1: points are"),
    ],
)
def test_a_broken_object_is_left_out_or_an_error(write, tmp_path: Path, objects: str, message: str) -> None:
    write("a.jpg", "a.xml", objects, box("dog", 5, 6, 7, 8))
    assert named_boxes(LabelmeXmlDataset(tmp_path)) == [[("dog", [5, 6, 7, 8])]]
    with pytest.raises(DataError, match=message):
        LabelmeXmlDataset(tmp_path, on_error="error")


def test_a_file_that_is_not_xml_names_itself(write, tmp_path: Path) -> None:
    write("a.jpg", "a.xml", box("cat", 1, 2, 3, 4))
    write("b.jpg", "b.xml").write_text("<annotation><filename>")
    with pytest.raises(DataError, match=r"b\.xml: is not XML"):
        LabelmeXmlDataset(tmp_path, on_error="error")
    assert len(LabelmeXmlDataset(tmp_path)) == 1


def test_pascal_voc_is_not_labelme(tmp_path: Path) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / "a.jpg")
    bndbox = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox>"
    item = f"<object><name>cat</name>{bndbox}<polygon><x1>1</x1></polygon></object>"
    text = f"<annotation><filename>a.jpg</filename>{item}</annotation>"
    (tmp_path / "a.xml").write_text(text)
    assert [layout.format for layout in find_layouts(tmp_path)] == ["pascal"]
