from __future__ import annotations

import numpy as np
import pytest

from keras_retinanet.data.datasets import YoloDataset
from keras_retinanet.data.errors import DataError

BOX = "0 0.4 0.4 0.4 0.4"  # 20 20 60 60 of 100 x 100


@pytest.fixture
def read(tmp_path, write_images):
    """`read(text, yaml, **flags)`: boxes of one image of 100 x 100, and the notes."""
    write_images(tmp_path / "images", {"a.png": (100, 100)})
    (tmp_path / "labels").mkdir()

    def read(text, yaml="", **flags):
        (tmp_path / "labels" / "a.txt").write_text(text)
        (tmp_path / "data.yaml").write_text(f"train: images\nnames: [face]\n{yaml}")
        data = YoloDataset(tmp_path, **flags)
        return np.round(data[0]["boxes"], 3).tolist(), data.report.notes

    return read


@pytest.mark.parametrize(
    ("row", "shape"),
    [
        (BOX + " 0.3 0.3 0.5 0.5 0.35 0.35", "[3, 2]"),
        (BOX + " 0.30 0.30 2.000000 0.50 0.50 1.000000", "[2, 3]"),
        (BOX + " 0.3 0.3 2" + " 0.5 0.5 2" * 16, "[17, 3]"),
        (BOX + " 0.9 0.9", "[1, 2]"),
    ],
)
def test_rows_with_keypoints_are_their_boxes(read, row, shape):
    boxes, notes = read(f"{row}\n{BOX}\n", f"kpt_shape: {shape}")
    assert boxes == [[20, 20, 60, 60]] * 2
    assert notes == ["1 lines have keypoints, which are not used: their boxes are"]


def test_rows_that_contradict_the_number_of_keypoints_are_left_out(read):
    boxes, notes = read(f"{BOX} 0.3 0.3 2\n{BOX} 0.3 0.3 0.5 0.5\n", "kpt_shape: [1, 3]")
    assert boxes == [[20, 20, 60, 60]]
    assert notes[1].startswith("1 annotations left out:")
    assert notes[1].endswith("a.txt, line 2: 9 numbers in '0 0.4 0.4 0.4 0.4 0.3 0.3 0.5 0.5'")


def test_visibilities_show_keypoints(read):
    """Three keypoints with a visibility are 14 numbers, which no polygon has; two are 11, with 1 and 2 in place."""
    for row in (BOX + " 0.3 0.3 2 0.5 0.5 1 0 0 0", BOX + " 0.30 0.30 2 0.50 0.50 1"):
        boxes, notes = read(row)
        assert boxes == [[20, 20, 60, 60]]
        assert "the points are inside; if polygons: --yolo-rows polygon" in notes[0]


def rows_with_keypoints(count):
    """Boxes of 0.2 x 0.3 about the image, with three keypoints in each."""
    rng = np.random.default_rng(0)
    for x, y in rng.uniform(0.2, 0.8, (count, 2)).round(3).tolist():
        points = (rng.uniform(-0.09, 0.09, (3, 2)) + np.array([x, y])).round(3)
        yield f"0 {x} {y} 0.2 0.3 " + " ".join(map(str, points.ravel().tolist()))


def test_many_rows_show_keypoints_without_visibility(read):
    rows = list(rows_with_keypoints(20))
    boxes, notes = read("\n".join(rows))
    x, y = (float(word) for word in rows[0].split()[1:3])
    np.testing.assert_allclose(boxes[0], [100 * x - 10, 100 * y - 15, 100 * x + 10, 100 * y + 15], atol=1e-3)
    assert notes[0].startswith("20 lines have keypoints, which are not used: their boxes are (all have 11 numbers")
    boxes, notes = read("\n".join(rows), yolo_rows="polygon")
    assert notes == ["20 lines are polygons: their enclosing boxes are used"]
    assert boxes[0][0] == 20  # the width, read as the x of a corner


def test_polygons_of_equal_length_are_not_taken_for_keypoints(read):
    """Small objects, whose corners would lie inside of a box at the first with the size of the second."""
    rng = np.random.default_rng(1)
    corners = rng.uniform(0.3, 0.6, (40, 1, 2)) + rng.uniform(0, 0.05, (40, 4, 2))
    text = "\n".join("0 " + " ".join(f"{side:.4f}" for side in points) for points in corners.reshape(40, 8))
    boxes, notes = read(text)
    low, high = corners.round(4).min(axis=1) * 100, corners.round(4).max(axis=1) * 100
    np.testing.assert_allclose(boxes, np.concatenate([low, high], axis=1), atol=2e-3)
    assert notes == [
        "40 lines are oriented boxes or polygons of four points: their enclosing boxes are used "
        "(all have 9 numbers and would do as a box with keypoints, too: "
        "--yolo-rows keypoints, or kpt_shape in the YAML file)"
    ]
    assert read(text, yolo_rows="keypoints")[1] == ["40 lines have keypoints, which are not used: their boxes are"]


def test_polygons_and_boxes_may_be_mixed(read):
    boxes, notes = read(f"{BOX}\n0 0.1 0.2 0.5 0.3 0.3 0.9\n0 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2\n")
    assert boxes == [[20, 20, 60, 60], [10, 20, 50, 90], [10, 10, 20, 20]]
    assert notes == ["2 lines are polygons: their enclosing boxes are used"]


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([f"{BOX} 0.93", f"{BOX} 1"], "2 lines have a score after the box, as predictions do: it is not used"),
        (
            ["0 0.93 0.4 0.4 0.4 0.4", "0 0.99 0.4 0.4 0.4 0.4"],  # darknet and globox: the score comes first
            "2 lines have a score before the box, as predictions do: it is not used",
        ),
        ([f"{BOX} 1", f"{BOX} 17"], "2 lines have a track number at their end, as predictions do: it is not used"),
    ],
)
def test_a_sixth_number(read, rows, what):
    boxes, notes = read("\n".join(rows))
    assert boxes == [[20, 20, 60, 60]] * 2
    assert notes == [what]


def test_a_class_alone_is_a_tag_of_the_image(read):
    boxes, notes = read(f"0\n{BOX}\n")
    assert boxes == [[20, 20, 60, 60]]
    assert notes == ["1 lines have a class and no box: tags of whole images, which are left out"]
    assert read("0\n")[0] == []


def test_odd_spellings(read, tmp_path):
    text = tmp_path / "labels" / "b.txt"
    assert read("\ufeff0.0 4e-1 +.4 0.4\t0.4\r\n\r\n" + BOX)[0] == [[20, 20, 60, 60]] * 2
    for broken in ("0 0.4 0.4 0.4 0_4\n", "0,0.4,0.4,0.4,0.4\n", "face 0.4 0.4 0.4 0.4\n"):
        boxes, notes = read(broken + BOX)
        assert boxes == [[20, 20, 60, 60]]
        assert "line 1: a number is" in notes[0]
        with pytest.raises(DataError, match="line 1: a number is"):  # nothing else
            read(broken)
    assert not text.exists()
