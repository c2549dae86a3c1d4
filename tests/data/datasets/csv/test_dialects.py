"""CSV files as annotation tools and data sets write them: each recognised by its first lines, and read exactly."""

from __future__ import annotations

import re

import pytest

from keras_retinanet.data.datasets import CsvDataset

# a.jpg is 40 high and 60 wide, b.jpg 60 and 40, c.jpg 30 and 30.
VOTT = """"image","xmin","ymin","xmax","ymax","label"
"a.jpg",1.7391304347826086,2.5,31.25,20.000000000000004,"dog"
"b.jpg",0,0,40,60,"cat"
"""
MAKE_SENSE = "dog,1,2,30,18,a.jpg,60,40\ncat,0,0,40,60,b.jpg,40,60\n"
MAKE_SENSE_HEADER = "label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,image_height\n"
SKU_110K = "a.jpg,1,2,31,20,object,60,40\nb.jpg,0,0,40,60,object,40,60\n"
ROBOFLOW = """filename,width,height,class,xmin,ymin,xmax,ymax
a.jpg,60,40,dog,1,2,31,20
b.jpg,40,60,cat,0,0,40,60
"""
WHEAT = """image_name,BoxesString,domain
a.jpg,1 2 31 20;0 0 5 6,Arvalis_1
b.jpg,no_box,Arvalis_2
c.jpg,0 0 30 30,Arvalis_2
"""
WHEAT_KAGGLE = """image_id,width,height,bbox,source
a,60,40,"[1.0, 2.0, 30.0, 18.0]",usask_1
a,60,40,"[0.0, 0.0, 5.0, 6.0]",usask_1
b,40,60,"[0.0, 0.0, 40.0, 60.0]",arvalis_1
"""
VIA = """filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes
a.jpg,4321,"{}",6,0,"{""name"":""rect"",""x"":1,""y"":2,""width"":30,""height"":18}","{""class"":""dog""}"
a.jpg,4321,"{}",6,1,"{""name"":""circle"",""cx"":20,""cy"":20,""r"":5.5}","{""class"":""cat""}"
a.jpg,4321,"{}",6,2,"{""name"":""ellipse"",""cx"":20,""cy"":20,""rx"":8,""ry"":4,""theta"":0}","{""class"":""cat""}"
a.jpg,4321,"{}",6,3,"{""name"":""polygon"",""all_points_x"":[5,9,7],""all_points_y"":[6,6,1]}","{""class"":""dog""}"
a.jpg,4321,"{}",6,4,"{""name"":""point"",""cx"":3,""cy"":4}","{""class"":""dog""}"
a.jpg,4321,"{}",6,5,"{""name"":""polyline"",""all_points_x"":[1,2],""all_points_y"":[3,4]}","{""class"":""dog""}"
b.jpg,1234,"{}",0,0,"{}","{}"
"""
OPEN_IMAGES = """ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf
a,xclick,Dog,1,0.1,0.5,0.25,0.75,0,0,0
b,xclick,Cat,1,0,1,0,1,0,0,1
"""
GERMAN = """Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId
a.jpg;60;40;1;2;31;20;10
b.jpg;40;60;0;0;40;60;2
"""
BOTH = {"a.jpg": [[1, 2, 31, 20]], "b.jpg": [[0, 0, 40, 60]]}
FILES = {
    "VoTT": (VOTT, {"a.jpg": [[1.7391304347826086, 2.5, 31.25, 20.000000000000004]], "b.jpg": BOTH["b.jpg"]}, "dog"),
    "make-sense": (MAKE_SENSE, BOTH, "dog"),
    "make-sense with header": (MAKE_SENSE_HEADER + MAKE_SENSE, BOTH, "dog"),
    "SKU-110K": (SKU_110K, BOTH, "object"),
    "TensorFlow Object Detection": (ROBOFLOW, BOTH, "dog"),
    "Global Wheat": (
        WHEAT,
        {"a.jpg": [[1, 2, 31, 20], [0, 0, 5, 6]], "b.jpg": [], "c.jpg": [[0, 0, 30, 30]]},
        "wheat_head",
    ),
    "Global Wheat (Kaggle)": (
        WHEAT_KAGGLE,
        {"a": [[1, 2, 31, 20], [0, 0, 5, 6]], "b": [[0, 0, 40, 60]]},
        "wheat_head",
    ),
    "VIA": (
        VIA,
        {"a.jpg": [[1, 2, 31, 20], [14.5, 14.5, 25.5, 25.5], [12, 16, 28, 24], [5, 1, 9, 6]], "b.jpg": []},
        "dog",
    ),
    "Open Images": (OPEN_IMAGES, {"a": [[6, 10, 30, 30]], "b": [[0, 0, 40, 60]]}, "Dog"),
    "semicolons": (GERMAN, BOTH, "10"),
    "tabs": (ROBOFLOW.replace(",", "\t"), BOTH, "dog"),
    "x0, y0, x1, y1": ("image,x0,y0,x1,y1,label\na.jpg,1,2,31,20,dog\nb.jpg,0,0,40,60,cat\n", BOTH, "dog"),
    "pixels of the centre": (
        "image,x_center,y_center,width,height,label\na.jpg,16,11,30,18,dog\nb.jpg,20,30,40,60,cat\n",
        BOTH,
        "dog",
    ),
    "shares of the centre": (
        "image,x_center,y_center,width,height,label\na.jpg,0.25,0.5,0.5,0.25,dog\nb.jpg,0.5,0.5,1,1,cat\n",
        {"a.jpg": [[0, 15, 30, 25]], "b.jpg": [[0, 0, 40, 60]]},
        "dog",
    ),
    "no class": ("image,xmin,ymin,xmax,ymax\na.jpg,1,2,31,20\nb.jpg,0,0,40,60\n", BOTH, "object"),
}


@pytest.fixture
def write(tmp_path, write_images):
    """Writes one CSV file next to images a, b, c."""
    write_images(tmp_path)

    def write(text, name="boxes.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


@pytest.mark.parametrize("kind", FILES)
def test_boxes_are_exact_and_the_dialect_is_recognised(write, kind):
    text, boxes, name = FILES[kind]
    file = write(text)
    data = CsvDataset(file)
    assert {sample["image_id"]: sample["boxes"].tolist() for sample in data} == {
        image: [pytest.approx(box, abs=1e-5) for box in own] for image, own in boxes.items()
    }
    assert data.class_names[data[0]["labels"][0]] == name
    layout = CsvDataset.find_layout(file)
    assert layout.settings == {"annotations": str(file)}
    assert layout.certainty == (1 if kind == "Open Images" else 3)
    unnamed = {"make-sense with header": "make-sense", "tabs": "TensorFlow Object Detection"}
    assert layout.tool == unnamed.get(kind, kind if kind[0].isupper() or kind == "make-sense" else "")


def test_groups_of_open_images_are_ignored(write):
    first, second = CsvDataset(write(OPEN_IMAGES))
    assert (first["ignore"].tolist(), second["ignore"].tolist()) == ([False], [True])


def test_shapes_and_points_of_via_are_counted(write):
    notes = CsvDataset(write(VIA)).report.notes
    assert any(note.endswith("3 circles, ellipses or polygons: their enclosing boxes are used") for note in notes)
    assert any(note.endswith("2 points or lines are left out") for note in notes)


def test_regions_of_via_without_class(write):
    plain = VIA.replace('"{""class"":""dog""}"', '"{}"').replace('"{""class"":""cat""}"', '"{}"')
    data = CsvDataset(write(plain))
    assert (data.class_names, len(data[0]["labels"])) == (("object",), 4)
    assert any("no region has a class: all are 'object'" in note for note in data.report.notes)
    data = CsvDataset(write(VIA.replace('"{""class"":""cat""}"', '"{}"')))
    assert (data.class_names, len(data[0]["labels"])) == (("dog",), 2)
    assert any("2 regions without a class are left out" in note for note in data.report.notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (VIA.replace("rect", "star"), "line 2: a region is .*star"),
        (VIA.replace('""x"":1', '""x"":null'), "line 2: a region is .*a rect with broken numbers"),
        (VIA.replace('"{""name"":""rect""', '"{""name"":""rect'), "line 2: a region is"),
        (WHEAT.replace("1 2 31 20", "1 2 31"), "line 2: a box is '1 2 31'"),
        (WHEAT_KAGGLE.replace("[1.0, 2.0,", "[1.0,"), "line 2: a box is"),
    ],
)
def test_broken_cells_are_left_out_and_named(write, text, message):
    notes = CsvDataset(write(text)).report.notes
    (note,) = [note for note in notes if "left out: " in note]
    assert note.startswith("1 annotations left out: ")
    assert re.search(message, note)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "image_id,PredictionString\na,0.5 1 2 3 4\n",
        "sepal,petal\n1,2\n",
        "dog,0\ncat,1\n",
        "a.jpg,dog\n",
        "1,2,3,4,5,6\n",
        "image,x,y\na.jpg,1,2\n",
        "\0\0",
    ],
)
def test_other_csv_files_are_not_boxes(write, text):
    assert CsvDataset.find_layout(write(text)) is None


def test_annotated_sizes_reach_the_doctor(write):
    from keras_retinanet.data.error_collector import ErrorCollector

    for text in (ROBOFLOW, SKU_110K, MAKE_SENSE, WHEAT_KAGGLE):
        collector = ErrorCollector()
        CsvDataset(write(text), on_error=collector)
        assert collector.annotated_sizes == [(40, 60), (60, 40)]
