from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import pytest

from keras_retinanet.data.datasets import CsvDataset
from keras_retinanet.data.errors import DataError

FIZYR = "a.jpg,1,2,11,22,dog\nb.jpg,,,,,\na.jpg,0.5,0,30.25,7,cat\nc.jpg,0,0,30,30,dog,extra\n"


@pytest.fixture
def write(tmp_path, write_images):
    """Writes annotations (and classes) beside images a, b, c."""
    write_images(tmp_path)

    def write(annotations, classes=None):
        paths = []
        for name, text in (("boxes.csv", annotations), ("classes.csv", classes)):
            if text is not None:
                (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
                paths.append(tmp_path / name)
        return paths

    return write


def test_fizyr_format(write, tmp_path):
    data = CsvDataset(*write(FIZYR, "dog,0\ncat,1\n"))
    assert data.class_names == ("dog", "cat")
    assert [sample["image_id"] for sample in data] == ["a.jpg", "b.jpg", "c.jpg"]
    assert data[0]["image"] == str(tmp_path / "a.jpg")
    assert data[0]["boxes"].tolist() == [[1, 2, 11, 22], [0.5, 0, 30.25, 7]]
    assert data[0]["labels"].tolist() == [0, 1]
    assert data[1]["boxes"].shape == (0, 4)
    assert data[1]["size"] == (60, 40)
    assert not data[0]["ignore"].any()


@pytest.mark.parametrize(
    "text",
    [
        "image_path,xmin,ymin,xmax,ymax,label\na.jpg,1,2,3,4,x\n",
        "\ufeffPath,X1,Y1,X2,Y2,Class\r\na.jpg,1,2,3,4,x\r\n",
        "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,9,9,x,1,2,3,4\n",  # other order, more columns
        '\n"a.jpg", 1, 2, 3, 4, "x"\n\n',
        "a.jpg,1,2,3,4,x",
        "Image Path,X Min,y-min,xMax,Y_MAX,ClassName\na.jpg,1,2,3,4,x\n",
    ],
)
def test_headers_quotes_and_line_ends(write, text):
    data = CsvDataset(*write(text))
    assert data.class_names == ("x",)
    assert data[0]["boxes"].tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize(
    "text",
    [
        "label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,image_height\nx,1,2,2,2.5,a.jpg,60,40\n",
        "filename,x,y,w,h,class\na.jpg,1,2,2,2.5,x\n",
        "img_name,left,top,width,height,label\na.jpg,1,2,2,2.5,x\n",
    ],
)
def test_a_corner_and_a_size(write, text):
    assert CsvDataset(*write(text))[0]["boxes"].tolist() == [[1, 2, 3, 4.5]]


def test_names_in_sorted_order_are_said_to_be(write):
    notes = CsvDataset(*write(FIZYR)).report.notes
    assert len(notes) == 1
    assert notes[0].endswith("boxes.csv: no file of classes; labels follow the sorted class names of the boxes")
    assert CsvDataset(*write(FIZYR, "dog,0\ncat,1\n")).report.notes == []


def test_without_classes_names_are_sorted_and_absolute_paths_work(write, tmp_path):
    data = CsvDataset(*write(f"{tmp_path}/a.jpg,1,2,3,4,zoo\nb.jpg,1,2,3,4,ant\n"))
    assert data.class_names == ("ant", "zoo")
    assert data[0]["image"] == f"{tmp_path}/a.jpg"


def test_classes_are_sorted_by_id_and_may_have_gaps(write):
    assert CsvDataset(*write(FIZYR, "name,id\ncat,7\nowl,3\ndog,90\n")).class_names == ("owl", "cat", "dog")


def test_wanted_class_names_win(write):
    data = CsvDataset(*write(FIZYR, "dog,0\ncat,1\n"), class_names=("cat", "emu", "dog"))
    assert data[0]["labels"].tolist() == [2, 0]


def test_two_ways_to_write_a_path_are_one_image(write, tmp_path):
    data = CsvDataset(*write("./a.jpg,1,2,3,4,x\na.jpg,5,6,7,8,x\nno\\..\\a.jpg,,,,,\n"))
    assert [sample["image_id"] for sample in data] == ["./a.jpg"]
    assert data[0]["boxes"].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


@pytest.mark.parametrize("name", ["-1", "background", "Background", "no_box", "empty", "None"])
@pytest.mark.parametrize("box", ["-1,-1,-1,-1", "0,0,0,0"])
def test_lines_that_mark_an_image_without_objects(write, name, box):
    data = CsvDataset(*write(f"a.jpg,1,2,3,4,dog\nb.jpg,{box},{name}\n"))
    assert data.class_names == ("dog",)
    assert [sample["labels"].tolist() for sample in data] == [[0], []]
    assert data.report.num_dropped == 0
    assert f"boxes.csv: 1 lines of the class {name} mark images without objects" in data.report.notes[0]


def test_boxes_of_the_background_are_left_out_and_counted(write):
    text = "a.jpg,1,2,3,4,dog\na.jpg,5,5,9,9,background\nb.jpg,5,5,9,9,empty\n"
    data = CsvDataset(*write(text))
    assert data.class_names == ("dog", "empty")  # an empty parking space is an object
    assert [sample["labels"].tolist() for sample in data] == [[0], [1]]
    assert "1 boxes of the class background are left out" in data.report.notes[0]
    listed = CsvDataset(*write(text, "background,0\ndog,1\nempty,2\n"))
    assert [sample["labels"].tolist() for sample in listed] == [[1, 0], [2]]


def test_classes_need_a_box_that_remains(write):
    data = CsvDataset(*write("a.jpg,1,2,3,4,zebra\na.jpg,0,0,0,0,cat\nb.jpg,90,90,99,99,ant\n"))
    assert data.class_names == ("zebra",)
    assert data[0]["labels"].tolist() == [0]
    assert data.report.notes[-1].endswith("boxes.csv: no box remains of 'ant, cat': not a class")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("10", "2", "0"), ("0", "2", "10")),
        (("10.0", "2.0", "1"), ("1", "2.0", "10.0")),
        (("10", "2", "x"), ("10", "2", "x")),
    ],
)
def test_classes_that_are_numbers_sort_as_numbers(write, names, expected):
    data = CsvDataset(*write("".join(f"a.jpg,1,2,3,4,{name}\n" for name in names)))
    assert data.class_names == expected
    assert data[0]["labels"].tolist() == [expected.index(name) for name in names]


def test_many_lines_equal_the_same_lines_one_by_one(write):
    """An unusual value makes a chunk of lines be read one by one."""
    lines = [f"{'abc'[k % 3]}.jpg,{k % 20},{k % 7}.5,{k % 20 + 9},29,c{k % 4}\n" for k in range(500)]
    lines[100:100] = [" b.jpg , 1 , 2 , 3 , 4 , c1 \n", "c.jpg,,,,,\n"]
    fast = CsvDataset(*write("".join(lines)))
    slow = CsvDataset(*write("".join([*lines, "a.jpg,1,2,3,4,\n"])))
    assert len(fast) == len(slow) == 3
    for one, other in zip(fast, slow, strict=True):
        assert one["boxes"].tolist() == other["boxes"].tolist()
        assert one["labels"].tolist() == other["labels"].tolist()
    assert sum(len(sample["labels"]) for sample in fast) == 501


def test_only_images_without_boxes(write):
    data = CsvDataset(*write("a.jpg,,,,,\n"))
    assert (len(data), data.class_names) == (1, ())


def test_boxes_without_area_are_left_out_by_line(write):
    data = CsvDataset(*write("a.jpg,5,5,5,9,x\na.jpg,-9,0,9,9,x\n"))
    assert data[0]["boxes"].tolist() == [[0, 0, 9, 9]]
    warning = data.report.warning()
    assert "boxes.csv, line 1 [5., 5., 5., 9.] left out" in warning
    assert "boxes.csv, line 2 [-9.,  0.,  9.,  9.] clipped" in warning


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"boxes\.csv: lists no image"),
        ("a,b,c,d,e,f\na.jpg,1,2,3,4,x\n", "line 1: is a header with unknown columns: 'a,b,c,d,e,f'"),
        ("a.jpg,1,2,3,4,x\na.jpg,1,2,3\n", "line 2: 4 columns in 'a.jpg,1,2,3'"),
        ("a.jpg|1|2|3|4|x\n", "line 1: 1 columns.*fix: separate with commas"),
        ("a.jpg,1,2,3,4,x\n\na.jpg,1,q,3,4,x\n", "line 3: y1 is 'q'"),
        ("a.jpg,1,2,3,,x\n", "line 1: y2 is ''"),
        ("a.jpg,1,2,3,4,\n", "line 1: names no class"),
        (",1,2,3,4,x\n", "line 1: names no image"),
        (
            'b.jpg,,,,,\na.jpg,1,2,3,4,"x\n' + "b.jpg,1,2,3,4,x\n" * 3,
            "line 2: opens a quote that line 5 closes, or none",
        ),
        ("a.jpg,1_0,2,30,40,x\n", "line 1: x1 is '1_0'"),
        ("a.jpg,1,2,inf,4,x\n", "line 1: coordinates"),
        ("no.jpg,1,2,3,4,x\n", r"no\.jpg' \(number 1 of 1\) is not there"),
        ("a\0b,1,2,3,4,x\n", "boxes.csv"),
        (b"\xff\xfea\0", "is not UTF-8 text"),
        ('a.jpg,"' + "x" * 200_000 + '",2,3,4,x', "line 1: field larger"),
    ],
)
def test_broken_annotations_are_named(write, text, message):
    with pytest.raises(DataError, match=message) as caught:
        CsvDataset(*write(text), on_error="error")
    assert caught.value.fix


def test_broken_lines_are_left_out_and_named(write):
    broken = "".join(f"a.jpg,1,{side},3,4,x\n" for side in "pqrstuv")
    data = CsvDataset(*write(f"a.jpg,1,2,3,4,x\n{broken}b.jpg,1,2,3\n"))
    assert [sample["image_id"] for sample in data] == ["a.jpg"]  # b.jpg would be background by mistake
    assert data[0]["boxes"].tolist() == [[1, 2, 3, 4]]
    (note,) = [note for note in data.report.notes if "left out: " in note]
    assert note.startswith("8 annotations left out: ")
    assert "boxes.csv, line 2: y1 is 'p'; " in note
    assert note.endswith("line 6: y1 is 't'; and 3 more")
    with pytest.raises(DataError, match="line 1: y1 is 'q'"):  # nothing remains
        CsvDataset(*write("a.jpg,1,q,3,4,x\n"))


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("", "names no class"),
        ("dog\n", "line 1: is 'dog'"),
        ("dog,0\ncat,x\n", "line 2: id 'x'"),
        ("dog,0\ncat,-1\n", "line 2: id '-1'"),
        ("dog,0\ncat,0\n", "line 2: 'cat,0' repeats"),
        ("dog,0\ndog,1\n", "line 2: 'dog,1' repeats"),
        ("dog,0\n", r"boxes\.csv, line 3: unknown class 'cat'"),
    ],
)
def test_broken_classes_are_named(write, classes, message):
    with pytest.raises(DataError, match=message + ".*fix: "):
        CsvDataset(*write(FIZYR, classes))


def test_missing_files_are_named(write, tmp_path):
    with pytest.raises(DataError, match=r"gone\.csv: cannot be read"):
        CsvDataset(tmp_path / "gone.csv")
    with pytest.raises(DataError, match=r"gone\.csv: cannot be read"):
        CsvDataset(*write(FIZYR), tmp_path / "gone.csv")


FIELD = st.sampled_from(["a.jpg", "1", "-1", "5e3", "nan", "", "x", '"', "\r", "\0", "image_path", "xmin", ";", "é"])
FUZZ = hypothesis.settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
)


@FUZZ
@hypothesis.given(rows=st.lists(st.lists(FIELD, min_size=1, max_size=8), max_size=4), noise=st.binary(max_size=12))
def test_fuzzed_files_never_give_another_error(write, rows, noise):
    text = "\n".join(",".join(row) for row in rows).encode()
    for boxes, classes in ((text, None), (noise, None), (text + noise, None), (FIZYR, text), (FIZYR, noise)):
        try:
            dataset = CsvDataset(*write(boxes, classes))
        except DataError:
            continue
        assert all((sample["labels"] < len(dataset.class_names)).all() for sample in dataset)


def test_trees(shared):
    data = CsvDataset(shared("data/trees/OSBS_029.csv"))
    assert (len(data), len(data[0]["labels"]), data.class_names) == (1, 61, ("Tree",))
    assert data.report.warning() is None
