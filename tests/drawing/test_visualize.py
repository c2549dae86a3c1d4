"""Drawing, checked pixel by pixel."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_retinanet.drawing import visualize

RED = (255, 0, 0)


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 100, np.uint8)


def changed(image: np.ndarray) -> np.ndarray:
    return (image != 100).any(axis=2)


def test_box_outline_covers_exactly_the_box_edge_pixels() -> None:
    image = grey(20, 30)
    drawn = visualize.draw_boxes(image, [[5, 3, 15, 10]], RED, line_width=1)
    expected = np.zeros((20, 30), bool)
    expected[3:10, 5:15] = True  # x2 and y2 are the far edge: the last pixel is one before
    expected[4:9, 6:14] = False
    np.testing.assert_array_equal(changed(drawn), expected)
    assert (drawn[expected] == RED).all()
    assert (image == 100).all(), "the input was modified"


def test_line_grows_inwards() -> None:
    drawn = changed(visualize.draw_boxes(grey(40, 40), [[4, 4, 30, 30]], RED, line_width=3))
    assert drawn.any(axis=0).nonzero()[0].tolist() == list(range(4, 30))
    assert not drawn[7:27, 7:27].any()
    assert drawn[4:7, 4:30].all()


def test_line_width_follows_the_image_size() -> None:
    def width(side: int) -> int:
        drawn = changed(visualize.draw_boxes(grey(side, side), [[10, 10, side - 10, side - 10]], RED))
        return int(drawn[side // 2, : side // 2].sum())

    assert width(60) == 1
    assert width(1400) == round(1400 * 2**0.5 / 350) == 6


def test_fractional_box_covers_every_touched_pixel() -> None:
    drawn = changed(visualize.draw_boxes(grey(20, 20), [[5.7, 3.2, 9.1, 8.9]], RED, line_width=1))
    assert drawn.any(axis=0).nonzero()[0].tolist() == [5, 6, 7, 8, 9]
    assert drawn.any(axis=1).nonzero()[0].tolist() == [3, 4, 5, 6, 7, 8]


def test_box_thinner_than_a_pixel_is_one_pixel_wide() -> None:
    drawn = changed(visualize.draw_boxes(grey(20, 20), [[5.2, 3, 5.4, 8]], RED, line_width=1))
    assert drawn.sum() == 5
    assert drawn[3:8, 5].all()


@pytest.mark.parametrize(
    "box",
    [[5, 5, 5, 9], [9, 5, 5, 9], [np.nan, 1, 5, 5], [1, 1, np.inf, 5], [-1, -1, -1, -1], [50, 50, 60, 60]],
    ids=["no width", "reversed", "nan", "infinite", "padding", "outside"],
)
def test_boxes_that_cannot_be_seen_change_nothing(box: list[float]) -> None:
    assert not changed(visualize.draw_boxes(grey(20, 20), [box], RED, captions=[""])).any()


def test_box_reaching_far_outside_draws_its_visible_edge_only() -> None:
    drawn = changed(visualize.draw_boxes(grey(20, 20), [[-1e9, 4, 8, 1e9]], RED, line_width=1))
    assert drawn[4, :8].all()
    assert drawn[4:, 7].all()
    assert drawn.sum() == 8 + 15


@pytest.mark.parametrize("shape", [(1, 1), (7, 333), (203, 149)])
def test_no_boxes_is_a_copy(shape: tuple[int, int]) -> None:
    image = grey(*shape)
    for drawn in (
        visualize.draw_boxes(image, []),
        visualize.draw_boxes(image, np.zeros((0, 4)), captions=[]),
        visualize.draw_detections(image, np.zeros((0, 4)), [], [], ["a"]),
        visualize.draw_annotations(image, [], [], ["a"], ignore=[]),
    ):
        np.testing.assert_array_equal(drawn, image)
        assert drawn is not image
        assert not np.shares_memory(drawn, image)


def test_read_only_and_strided_images_are_accepted() -> None:
    image = np.repeat(grey(20, 20), 2, axis=1)[:, ::2]
    image.flags.writeable = False
    assert changed(visualize.draw_boxes(image, [[1, 1, 9, 9]], RED)).any()


@pytest.mark.parametrize(
    ("image", "boxes", "captions", "said"),
    [
        (np.zeros((4, 4, 3), np.float32), [], None, "float32"),
        (np.zeros((4, 4), np.uint8), [], None, r"\(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), [], None, r"\(4, 4, 4\)"),
        (grey(4, 4), [1, 2, 3, 4], None, r"\(4,\)"),
        (grey(4, 4), [[1, 2, 3]], None, r"\(1, 3\)"),
        (grey(4, 4), [[1, 2, 3, 4]], ["a", "b"], "2 captions for 1 boxes"),
    ],
)
def test_wrong_inputs_are_named(image: np.ndarray, boxes: list, captions: list[str] | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        visualize.draw_boxes(image, boxes, captions=captions)


@pytest.mark.parametrize(("colour", "ink"), [((255, 230, 90), 0), ((20, 30, 110), 255)], ids=["light", "dark"])
def test_caption_stands_above_the_box_and_reads_in_contrast(colour: tuple[int, int, int], ink: int) -> None:
    drawn = visualize.draw_boxes(grey(1000, 2000), [[400, 500, 1500, 900]], colour, captions=["Xylophone"])
    label = changed(drawn)[:500]
    rows, columns = label.any(axis=1).nonzero()[0], label.any(axis=0).nonzero()[0]
    assert rows[-1] == 499, "it touches the box"
    assert columns[0] == 400, "it begins where the box begins"
    filled = drawn[rows[0] : 500, 400 : columns[-1] + 1]
    assert changed(filled).all(), "the label box is filled"
    assert (filled == colour).all(axis=2).mean() > 0.5
    assert (filled == ink).all(axis=2).mean() > 0.1, "text in black on light, white on dark"


@pytest.mark.parametrize("box", [[-20, -20, 60, 60], [180, 0, 250, 99], [150, 95, 199, 150], [0, 0, 200, 100]])
def test_caption_stays_inside_the_image(box: list[float]) -> None:
    plain = visualize.draw_boxes(grey(100, 200), [box], RED)
    drawn = visualize.draw_boxes(grey(100, 200), [box], RED, captions=["airplane 0.99"])
    label = (drawn != plain).any(axis=2) | (drawn == RED).all(axis=2)
    whole = visualize.draw_boxes(grey(400, 400), [[100, 100, 300, 300]], RED, captions=["airplane 0.99"])
    ink = ((drawn != RED).any(axis=2) & changed(drawn)).sum()
    assert label.any()
    assert ink > 60
    assert ((whole != RED).any(axis=2) & changed(whole)).any()


def test_long_caption_in_a_narrow_image_ends_at_its_edge() -> None:
    drawn = visualize.draw_boxes(grey(60, 25), [[2, 30, 20, 50]], RED, captions=["a very long class name 0.97"])
    label = changed(drawn)[:30]
    assert label.any()
    assert label.any(axis=0).nonzero()[0][-1] <= 24
    assert (drawn[:30, 24] != 100).any() or not label[:, 24].any()


def test_caption_grows_with_the_image() -> None:
    def height(side: int) -> int:
        box = [side // 2, side // 2, side - 9, side - 9]
        drawn = changed(visualize.draw_boxes(grey(side, side), [box], RED, captions=["cat"]))
        return int(drawn[: side // 2].any(axis=1).sum())

    assert height(200) < height(600) < height(1300)
    assert 8 <= height(200) <= 20


def test_detections_skip_padding_and_low_scores_and_put_the_surest_on_top() -> None:
    boxes = [[10, 60, 40, 90], [10, 60, 40, 90], [60, 60, 90, 90], [-1, -1, -1, -1]]
    colours = visualize.class_colours(3)
    drawn = visualize.draw_detections(
        grey(100, 100), boxes, [0, 2, 1, -1], [0.9, 0.6, 0.3, -1], "abc", score_threshold=0.5
    )
    assert (drawn[89, 10:40] == colours[0]).all(), "class 0 is surer than class 2"
    assert not changed(drawn)[:, 60:].any(), "0.3 is below the threshold"


def test_detections_name_class_and_score() -> None:
    args = (grey(100, 200), [[20, 50, 150, 90]])
    drawn = visualize.draw_detections(*args, [1], [0.876], ["cat", "dog"])
    same = visualize.draw_boxes(*args, visualize.class_colours(2)[1], captions=["dog 0.88"])
    np.testing.assert_array_equal(drawn, same)


def test_annotations_show_ignored_boxes_in_grey() -> None:
    args = (grey(100, 200), [[20, 50, 70, 90], [100, 50, 150, 90], [0, 0, 0, 0]])
    drawn = visualize.draw_annotations(*args, [1, 0, -1], ["cat", "dog"], ignore=[False, True, False])
    colours = [visualize.class_colours(2)[1], visualize.IGNORED_COLOUR]
    same = visualize.draw_boxes(grey(100, 200), args[1][:2], colours, captions=["dog", "cat (ignored)"])
    np.testing.assert_array_equal(drawn, same)


def test_colours_are_distinct_and_stable() -> None:
    colours = visualize.class_colours(200)
    assert colours.dtype == np.uint8
    assert colours.shape == (200, 3)
    assert len(np.unique(colours, axis=0)) == 200
    np.testing.assert_array_equal(visualize.class_colours(7), colours[:7])
    assert visualize.class_colours(0).shape == (0, 3)


@pytest.mark.parametrize(("num_classes", "least"), [(3, 250), (8, 120), (20, 60), (80, 30)])
def test_colours_are_far_apart(num_classes: int, least: float) -> None:
    colours = visualize.class_colours(num_classes).astype(float)
    distances = np.linalg.norm(colours[:, None] - colours[None], axis=2)
    assert distances[~np.eye(num_classes, dtype=bool)].min() >= least


def test_oklab_of_white_and_red_are_the_published_ones() -> None:
    lab = visualize._to_oklab(np.array([[255, 255, 255], [255, 0, 0]]))
    np.testing.assert_allclose(lab, [[1, 0, 0], [0.628, 0.225, 0.126]], atol=5e-4)


def test_contact_sheet_places_images_in_rows() -> None:
    images = [np.full((h, w, 3), value, np.uint8) for h, w, value in [(4, 6, 1), (8, 3, 2), (5, 7, 3)]]
    sheet = visualize.contact_sheet(images, 2, gap=1, background=(9, 9, 9))
    assert sheet.shape == (1 + 8 + 1 + 5 + 1, 1 + 7 + 1 + 3 + 1, 3)
    expected = np.full((16, 13), 9)
    expected[1:5, 1:7] = 1
    expected[1:9, 9:12] = 2
    expected[10:15, 1:8] = 3
    np.testing.assert_array_equal(sheet[..., 0], expected)


def test_contact_sheet_of_fewer_images_than_columns_is_no_wider() -> None:
    assert visualize.contact_sheet([grey(4, 5)], 8, gap=2).shape == (8, 9, 3)


def test_contact_sheet_refuses_nothing() -> None:
    with pytest.raises(ValueError, match="0 images in 3 columns"):
        visualize.contact_sheet([], 3)
    with pytest.raises(ValueError, match="1 images in 0 columns"):
        visualize.contact_sheet([grey(2, 2)], 0)


def test_real_annotations_are_drawn_in_their_class_colour(shared: Callable[[str], Path]) -> None:
    root = shared("data/coco128")
    table = json.loads((root / "annotations/instances_val2017.json").read_text())
    record = table["images"][0]
    notes = [note for note in table["annotations"] if note["image_id"] == record["id"]]
    ids = sorted(category["id"] for category in table["categories"])
    image = np.array(Image.open(root / "val2017" / record["file_name"]).convert("RGB"))
    boxes = np.array([note["bbox"] for note in notes]).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    labels = np.array([ids.index(note["category_id"]) for note in notes])
    drawn = visualize.draw_annotations(image, boxes, labels, [str(k) for k in ids])
    last = len(notes) - 1
    y = int(np.ceil(boxes[last, 3])) - 1
    x = int(boxes[last, [0, 2]].mean())
    assert (drawn[min(y, image.shape[0] - 1), x] == visualize.class_colours(len(ids))[labels[last]]).all()
