from __future__ import annotations

import numpy as np
import pytest

from keras_retinanet.data.datasets import AnnotatedImages, Annotations, BoxColumns
from keras_retinanet.data.errors import DataError


@pytest.fixture
def read(tmp_path, write_images):
    """A data set of a.jpg (40 x 60), b.jpg (60 x 40), c.jpg (30 x 30) with the boxes given."""

    def build(images, boxes, ignore=None, sizes=None, is_relative=False):
        write_images(tmp_path)
        columns = BoxColumns(
            image=np.array(images, np.int64),
            boxes=np.array(boxes, np.float64).reshape(-1, 4),
            labels=np.arange(len(images)),
            ignore=np.zeros(len(images), bool) if ignore is None else np.array(ignore),
            name=lambda row: f"box {row}",
            is_relative=is_relative,
        )
        paths = [str(tmp_path / name) for name in ("a.jpg", "b.jpg", "c.jpg")]
        names = [f"class {number}" for number in range(9)]
        return AnnotatedImages(Annotations("list", names, paths, [1, 2, 3], sizes or [], boxes=columns))

    return build


def test_boxes_are_sorted_to_their_images_and_keep_their_order(read):
    data = read([2, 0, 2, 0], [[0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 3, 3], [0, 0, 4, 4]])
    assert [sample["labels"].tolist() for sample in data] == [[1, 3], [], [0, 2]]
    assert data[2]["boxes"].tolist() == [[0, 0, 1, 1], [0, 0, 3, 3]]
    assert data[1]["boxes"].shape == (0, 4)
    assert [sample["size"] for sample in data] == [(40, 60), (60, 40), (30, 30)]
    assert [sample["image_id"] for sample in data[:2]] == [1, 2]
    assert data[-1]["image_id"] == 3
    assert data[0]["boxes"].dtype == np.float32
    assert data[0]["labels"].dtype == np.int32
    assert data.report.warning() is None


def test_without_any_box(read):
    data = read([], [])
    assert len(data) == 3
    assert data[0]["ignore"].shape == (0,)
    assert data.report.num_boxes == 0


def test_clips_drops_counts_and_names(read):
    boxes = [
        [5, 5, 5, 9],  # no width: out
        [9, 9, 3, 20],  # x2 < x1: out
        [70, 0, 80, 10],  # wholly outside a 60 wide image: out
        [-8, 10, 70, 20],  # clipped
        [-0.5, 0, 60.9, 40],  # less than a pixel outside: clipped, no news
        [1, 1, 2, 2],
    ]
    data = read([0] * 6, boxes)
    assert data[0]["labels"].tolist() == [3, 4, 5]
    assert data[0]["boxes"].tolist() == [[0, 10, 60, 20], [0, 0, 60, 40], [1, 1, 2, 2]]
    assert (data.report.num_boxes, data.report.num_dropped, data.report.num_clipped) == (3, 3, 1)
    warning = data.report.warning()
    assert warning.startswith("3 boxes left out, 1 clipped to their image: box 0 [5., 5., 5., 9.] left out; box 1")
    assert "box 3 [-8., 10., 70., 20.] clipped" in warning


def test_the_warning_names_five_cases_and_counts_the_rest(read):
    data = read([0] * 8, [[1, 1, 1, 1]] * 8)
    assert len(data.report.examples) == 5
    assert data.report.warning().endswith("; and 3 more")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_coordinates_that_are_no_numbers_are_an_error(read, value):
    with pytest.raises(DataError, match=r"box 1: coordinates .* allowed: finite numbers"):
        read([0, 0], [[0, 0, 1, 1], [0, 0, value, 1]])


def test_shares_are_not_taken_for_pixels_nor_pixels_for_shares(read):
    with pytest.raises(DataError, match=r"box 0: coordinates .0\.1, 0\.2, 0\.5, 0\.9.*pixels; .* fix: multiply x by"):
        read([0, 1], [[0.1, 0.2, 0.5, 0.9], [0, 0, 1, 1]])
    assert len(read([0, 1], [[0.1, 0.2, 0.5, 0.9], [0, 0, 9, 1]])[0]["boxes"]) == 1  # one tiny box among others
    with pytest.raises(DataError, match=r"box 1: coordinates .10\.0, .*shares of the image's sides.* fix: divide x by"):
        read([0, 1], [[0.1, 0.2, 0.5, 0.9], [10, 10, 20, 20]], is_relative=True)


def test_boxes_that_end_before_they_begin_are_told(read):
    notes = read([0, 0], [[9, 9, 3, 20], [1, 1, 5, 5]]).report.notes
    assert notes == ["1 boxes end before they begin and are left out: corners swapped, or x, y, width, height?"]


@pytest.mark.parametrize(
    ("boxes", "is_relative"),
    [
        ([[30, 10, 80, 40], [20, 15, 65, 50]], False),  # 30, 10, 50, 30 and 20, 15, 45, 35
        ([[0.05, 0.1, 0.95, 1.1], [-0.05, 0.2, 0.95, 1.1]], True),  # .5, .6, .9, 1 and .45, .65, 1, .9
    ],
)
def test_corners_in_place_of_sizes_are_told(read, boxes, is_relative):
    what = "boxes extend beyond their image, and none would if the last two numbers were a corner"
    notes = read([0, 0], boxes, is_relative=is_relative).report.notes
    assert notes == [f"2 of 2 {what}: x1, y1, x2, y2 in place of a size?"]


@pytest.mark.parametrize("others", [[[40, 10, 50, 30]], [[0, 0, 9, 9]] * 10])
def test_boxes_beyond_their_image_alone_do_not_show_corners(read, others):
    """One box is narrower than its distance from the border; too few extend beyond their image."""
    assert read([0] * (1 + len(others)), [[30, 10, 80, 40], *others]).report.notes == []


def test_no_images_and_missing_images_are_errors(tmp_path):
    with pytest.raises(DataError, match="list: lists no image"):
        AnnotatedImages(Annotations("list"))
    gone = Annotations("list", images=[str(tmp_path / "gone.jpg")], image_ids=[1])
    with pytest.raises(DataError, match=r"list: image .*gone\.jpg' \(number 1 of 1\) is not there"):
        AnnotatedImages(gone)
    (tmp_path / "GONE.JPG").touch()
    with pytest.raises(DataError, match=r"fix: there is '.*GONE\.JPG': give both the same name; add the file"):
        AnnotatedImages(gone)


def test_what_needs_a_package_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    paths = [str(tmp_path / name) for name in ("a.jpg", "b.HEIC", "c.heic", "d.avif")]
    for path in paths:
        open(path, "w").close()
    with pytest.raises(DataError) as caught:
        AnnotatedImages(Annotations("list", images=paths, image_ids=paths))
    assert str(caught.value).startswith(
        f"{paths[1]}: is a HEIC file, which needs another package: pip install '.[heif]'"
    )
    assert "as is 1 more. allowed: images that are read. fix: install it, or save them as JPEG" in str(caught.value)
    with pytest.raises(DataError, match="cannot be read as an image"):
        AnnotatedImages(Annotations("list", images=paths[:1], image_ids=[1]))
