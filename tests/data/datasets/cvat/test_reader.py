"""XML files as CVAT 2 writes them (`dump_as_cvat_annotation`, `dump_as_cvat_interpolation`), with two decimals."""

from __future__ import annotations

import pytest

from keras_retinanet.data.datasets import CvatDataset, find_layouts
from keras_retinanet.data.errors import DataError

LABELS = "".join(
    f"<label><name>{name}</name><color>#2080c0</color><type>{kind}</type><attributes></attributes>{parent}</label>"
    for name, kind, parent in (
        ("dog", "any", ""), ("cat", "rectangle", ""), ("owl", "rectangle", ""), ("sky", "tag", ""),
        ("hand", "skeleton", ""), ("finger", "points", "<parent>hand</parent>"),
    )
)  # fmt: skip
BOX = (
    '<box label="cat" source="manual" occluded="1" xtl="1.00" ytl="2.50" xbr="11.25" ybr="22.00" z_order="0">'
    '<attribute name="age">3</attribute></box>'
)
FOUND = ("cat", 1, 2.5, 11.25, 22)


def image(number, name, shapes="", size=(40, 60), subset=None):
    place = f' subset="{subset}" task_id="7"' if subset else ""
    return f'<image id="{number}" name="{name}"{place} width="{size[1]}" height="{size[0]}">{shapes}</image>'


@pytest.fixture
def write(tmp_path):
    """`write(*elements, name="annotations.xml")`: the file of a task."""

    def write_task(*elements, name="annotations.xml", kind="task", more=""):
        meta = (
            f"<meta><{kind}><id>4</id><name>t</name>{more}<labels>{LABELS}</labels></{kind}><dumped>now</dumped></meta>"
        )
        text = f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  {meta}\n  '
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n".join(elements) + "\n</annotations>\n", encoding="utf-8")
        return tmp_path

    return write_task


def named_boxes(data):
    return [
        [(data.class_names[label], *box) for label, box in zip(sample["labels"], sample["boxes"].tolist(), strict=True)]
        for sample in data
    ]


def test_shapes(write, write_images, tmp_path):
    write_images(tmp_path / "images")
    (tmp_path / "images" / "c.jpg").rename(tmp_path / "images" / "ü.jpg")
    skeleton = (
        '<skeleton label="hand" source="manual"><points label="finger" outside="0" points="1.00,2.00"/></skeleton>'
    )
    write(
        image(
            0,
            "a.jpg",
            BOX + '<box label="dog" occluded="0" xtl="20" ytl="15" xbr="40" ybr="25" rotation="90.00"></box>'
            '<polygon label="dog" occluded="0" points="1.00,2.00;30.50,2.00;9.00,30.00" z_order="0"></polygon>'
            '<ellipse label="dog" occluded="0" cx="30.00" cy="20.00" rx="10.00" ry="4.00" rotation="270.00"></ellipse>'
            '<mask label="dog" occluded="0" rle="3, 2, 1" left="4" top="5" width="3" height="2" z_order="0"></mask>'
            '<cuboid label="dog" occluded="0" xtl1="10" ytl1="12" xbl1="10" ybl1="30" xtr1="20" ytr1="11" xbr1="20"'
            ' ybr1="31" xtl2="25" ytl2="13" xbl2="25" ybl2="29" xtr2="15" ytr2="14" xbr2="15" ybr2="28"></cuboid>'
            '<polyline label="dog" points="1.00,2.00;3.00,4.00"></polyline>'
            '<points label="dog" points="1.00,2.00"></points>'
            '<tag label="sky" source="manual"></tag>' + skeleton,
        ),
        image(1, "b.jpg", size=(60, 40)),
        image(2, "ü.jpg", size=(30, 30)),
    )
    data = CvatDataset(tmp_path)
    assert data.class_names == ("dog", "cat", "owl")
    first, *others = named_boxes(data)
    assert others == [[], []]
    assert first == [
        FOUND,
        ("dog", 25, 10, 35, 30),
        ("dog", 1, 2, 30.5, 30),
        ("dog", 26, 10, 34, 30),
        ("dog", 4, 6, 6, 7),
        ("dog", 10, 11, 25, 31),
    ]
    assert data.report.notes == [
        f"{tmp_path}/annotations.xml: shapes replaced by their enclosing boxes: "
        "1 cuboid, 1 ellipse, 1 mask, 1 polygon, 1 rotated box",
        f"{tmp_path}/annotations.xml: shapes without area, left out: 1 points, 1 polyline, 1 skeleton, 1 tag",
    ]
    assert [sample["image_id"] for sample in data] == ["a.jpg", "b.jpg", "ü.jpg"]
    (layout,) = find_layouts(tmp_path)
    assert (layout.format, layout.certainty, layout.tool, layout.evidence) == ("cvat", 3, "CVAT", "annotations.xml")


def test_subsets_of_a_project(write, write_images, tmp_path):
    for subset in ("Train", "Validation"):
        write_images(tmp_path / "images" / subset / "day1", {"a.jpg": (40, 60)})
    write(*(image(n, "day1/a.jpg", BOX * n, subset=s) for n, s in enumerate(("Train", "Validation"))), kind="project")
    assert CvatDataset.default_sets(tmp_path) == ("Train", "Validation")
    assert CvatDataset.default_sets(tmp_path / "annotations.xml") == ("Train", "Validation")
    train, val, both = CvatDataset(tmp_path, "Train"), CvatDataset(tmp_path, "Validation"), CvatDataset(tmp_path, ".")
    assert (named_boxes(train), named_boxes(val), named_boxes(both)) == ([[]], [[FOUND]], [[], [FOUND]])
    assert [sample["image"] for sample in both] == [
        str(tmp_path / "images" / subset / "day1" / "a.jpg") for subset in ("Train", "Validation")
    ]
    assert train.report.notes == val.report.notes == both.report.notes == []
    with pytest.raises(DataError, match=r"has no CVAT annotations of the set 'Test'"):
        CvatDataset(tmp_path, "Test")


@pytest.mark.parametrize(
    ("file", "images", "name"),
    [
        ("train.xml", "images", "a.jpg"),  # Datumaro 1.13
        ("annotations.xml", ".", "a.jpg"),
        ("annotations/annotations.xml", "images", "sub/a.jpg"),
        ("task 4/annotations.xml", "task 4/images", "a.jpg"),
    ],
)
def test_layouts(write, write_images, tmp_path, file, images, name):
    picture = tmp_path / images / name
    write_images(picture.parent, {"a.jpg": (40, 60)})
    write(image(0, name, BOX), name=file)
    for path in (tmp_path, tmp_path / file):
        data = CvatDataset(path)
        assert named_boxes(data) == [[FOUND]]
        assert picture.samefile(data[0]["image"])
        assert not data.report.notes


def test_images_elsewhere_and_images_not_listed(write, write_images, tmp_path):
    write_images(tmp_path / "photos" / "day 1", {"a.jpg": (40, 60), "b.jpg": (40, 60)})
    write(image(0, "share\\day 1\\a.jpg", BOX))
    data = CvatDataset(tmp_path)
    assert named_boxes(data) == [[FOUND]]
    assert data.report.notes == [
        f"{tmp_path}/annotations.xml: 1 image paths lead elsewhere, such as 'share\\\\day 1\\\\a.jpg': "
        f"images of the same name in {tmp_path}/photos/day 1 are used",
        f"{tmp_path}/annotations.xml: 1 images are not listed and are left out (b.jpg)",
    ]
    write_images(tmp_path / "photos" / "day 2", {"a.jpg": (40, 60)})
    write(image(0, "a.jpg", BOX))
    with pytest.raises(DataError, match=r"'a\.jpg' may be any of 2: .*--image-dir"):
        CvatDataset(tmp_path)
    assert len(CvatDataset(tmp_path, image_dir=str(tmp_path / "photos" / "day 2"))) == 1
    write(image(0, "gone.jpg", BOX))
    with pytest.raises(DataError, match=r"gone\.jpg' \(number 1 of 1\) is not there"):
        CvatDataset(tmp_path)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ('<box label="cat" xtl="1" ytl="2" xbr="x" ybr="4"/>', "'xbr' is 'x'"),
        ('<box label="cat" xtl="1" ytl="2" xbr="3"/>', "has no 'ybr'"),
        ('<box label="cat" xtl="1" ytl="2" xbr="nan" ybr="4"/>', "coordinates"),
        ('<box xtl="1" ytl="2" xbr="3" ybr="4"/>', "<box> has no 'label'"),
        ('<polygon label="cat" points="1,2;3"/>', "points are"),
        ('<mask label="cat" rle="3, 4" left="4" top="5" width="3" height="2"/>', "'rle' is broken"),
        ('<brush label="cat"/>', "is <brush>"),
    ],
)
def test_a_broken_shape_is_left_out_and_counted(write, write_images, tmp_path, broken, message):
    write_images(tmp_path / "images", {"a.jpg": (40, 60)})
    write(image(0, "a.jpg", broken + BOX))
    data = CvatDataset(tmp_path)
    assert named_boxes(data) == [[FOUND]]
    (note,) = data.report.notes
    assert note.startswith(f"1 annotations left out: {tmp_path}/annotations.xml, 'a.jpg', shape 1: ")
    with pytest.raises(DataError, match=rf"annotations.xml, 'a.jpg', shape 1: {message}"):
        CvatDataset(tmp_path, on_error="error")
    write(image(0, "a.jpg", broken))
    with pytest.raises(DataError, match=message):  # nothing could be read
        CvatDataset(tmp_path)


def test_a_class_that_the_labels_lack(write, write_images, tmp_path):
    write_images(tmp_path / "images", {"a.jpg": (40, 60)})
    write(image(0, "a.jpg", BOX.replace("cat", "emu")))
    data = CvatDataset(tmp_path)
    assert data.class_names == ("dog", "cat", "owl", "emu")
    assert data.report.notes == [
        f"{tmp_path}/annotations.xml lacks 1 classes that boxes have, which follow its own: 'emu'"
    ]


def track(number, *shapes, label="cat"):
    return f'<track id="{number}" label="{label}" source="manual">{"".join(shapes)}</track>'


def frame(number, x, *, key=1, outside=0):
    return (
        f'<box frame="{number}" keyframe="{key}" outside="{outside}" occluded="0" xtl="{x}.00" ytl="2.00"'
        f' xbr="{x + 10}.00" ybr="22.00" z_order="0"></box>'
    )


SIZE = "<original_size><width>60</width><height>40</height></original_size>"


def test_tracks_are_read_at_their_key_frames(write, write_images, tmp_path):
    write_images(tmp_path / "images", {f"frame_{n:06d}.png": (40, 60) for n in (0, 1, 2, 3, 5)})
    for file in (tmp_path / "images").iterdir():
        file.rename(file.with_suffix(".PNG"))
    write(
        track(0, frame(0, 1), frame(1, 2, key=0), frame(2, 3, key=0), frame(3, 4), frame(4, 4, outside=1)),
        track(1, frame(1, 20, key=0), frame(2, 30), frame(3, 31, key=0), frame(5, 33), label="dog"),
        more=SIZE,
    )
    data = CvatDataset(tmp_path)
    assert [sample["image"][-10:-4] for sample in data] == ["000000", "000002", "000003", "000005"]
    assert named_boxes(data) == [
        [("cat", 1, 2, 11, 22)],
        [("cat", 3, 2, 13, 22), ("dog", 30, 2, 40, 22)],
        [("cat", 4, 2, 14, 22), ("dog", 31, 2, 41, 22)],
        [("dog", 33, 2, 43, 22)],
    ]
    assert data.report.notes == [
        f"{tmp_path}/annotations.xml: tracks of a video are read at their 4 key frames",
        f"{tmp_path}/annotations.xml: 1 images are not listed and are left out (frame_000001.PNG)",
    ]


def test_boxes_between_key_frames_are_interpolated_where_they_are_not_written(write, write_images, tmp_path):
    write_images(tmp_path, {f"frame_{n:06d}.jpg": (40, 60) for n in (0, 1, 4)})
    write(track(0, frame(0, 1), frame(4, 9)), track(1, frame(1, 20), frame(3, 30, outside=1)))
    assert named_boxes(CvatDataset(tmp_path)) == [
        [("cat", 1, 2, 11, 22)],
        [("cat", 3, 2, 13, 22), ("cat", 20, 2, 30, 22)],
        [("cat", 9, 2, 19, 22)],
    ]
    polygons = [frame(0, 1), frame(4, 9)]
    polygons = [text.replace("box", "polygon").replace('xtl="', 'points="1,2;3,2;3,5" xtl="') for text in polygons]
    write(track(0, *polygons), track(1, frame(1, 20), frame(3, 30, outside=1)))
    data = CvatDataset(tmp_path)
    assert [sample["image"][-5] for sample in data] == ["0", "4"]
    assert "1 frames have shapes between key frames that are not boxes" in data.report.notes[1]


def test_tracks_without_the_frames_are_refused(write, tmp_path):
    write(track(0, frame(0, 1)))
    with pytest.raises(DataError, match=r"frame_000000' \(number 1 of 1\) is not there.*ffmpeg"):
        CvatDataset(tmp_path)
    write(track(0, frame(0, 1).replace('frame="0"', 'frame="x"')))
    with pytest.raises(DataError, match=r"track 1: 'frame' is 'x'"):
        CvatDataset(tmp_path)


def test_other_xml_is_not_taken_for_it(tmp_path):
    (tmp_path / "a.xml").write_text("<annotation><object><name>cat</name></object></annotation>")
    assert CvatDataset.find_layout(tmp_path) is None
    (tmp_path / "a.xml").write_text("<annotations><version>1.1</version><meta>")
    with pytest.raises(DataError, match=r"a\.xml: is not XML"):
        CvatDataset(tmp_path)
