"""Captions beside their boxes: places worked by hand."""

from __future__ import annotations

import numpy as np

from keras_retinanet.drawing.captions import MAX_FORCED_CAPTIONS, caption_size, line_width, place_captions

SIZE = (400, 300)


def test_a_caption_stands_above_its_box_else_below_else_inside() -> None:
    boxes = [[50, 100, 150, 200], [200, 5, 300, 100], [0, 0, 400, 300]]
    places = [place_captions([box], [(60, 20)], SIZE)[0] for box in boxes]
    assert places == [(50, 80), (200, 100), (0, 0)]


def test_a_caption_stays_within_the_image() -> None:
    assert place_captions([[380, 100, 398, 120]], [(60, 20)], SIZE) == [(340, 80)]
    assert place_captions([[-50, 100, 30, 120]], [(60, 20)], SIZE) == [(0, 80)]


def test_a_caption_gives_way_to_another_object() -> None:
    below, above = [50, 100, 150, 200], [60, 60, 100, 100]
    assert place_captions([above, below], [(40, 20), (60, 20)], SIZE) == [(60, 40), (50, 200)]


def test_captions_of_one_place_do_not_cover_each_other() -> None:
    boxes = [[50, 100, 250, 200]] * 2
    first, second = place_captions(boxes, [(60, 20)] * 2, SIZE)
    assert second == (50, 80), "the last is the surest"
    assert first == (190, 80)


def test_an_object_around_it_does_not_drive_a_caption_away() -> None:
    around, inner = [0, 40, 400, 300], [100, 100, 150, 150]
    assert place_captions([around, inner], [(60, 20)] * 2, SIZE)[1] == (100, 80)


def test_of_many_captions_those_that_hide_others_are_left_out() -> None:
    grid = np.array([[x, y, x + 20, y + 20] for y in range(0, 200, 20) for x in range(0, 200, 20)], float)
    places = place_captions(grid, [(50, 12)] * len(grid), SIZE)
    shown = [place for place in places if place is not None]
    assert len(shown) < len(grid) / 2
    for k, (x, y) in enumerate(shown):
        for left, top in shown[k + 1 :]:
            common = max(0, min(x, left) + 50 - max(x, left)) * max(0, min(y, top) + 12 - max(y, top))
            assert common <= 0.1 * 50 * 12
    assert None not in place_captions(grid[:MAX_FORCED_CAPTIONS], [(50, 12)] * MAX_FORCED_CAPTIONS, SIZE)


def test_letters_and_lines_shrink_with_the_object() -> None:
    assert caption_size([0, 0, 900, 400], usual=40, least=10) == 40
    assert caption_size([0, 0, 100, 100], usual=40, least=10) == 20
    assert caption_size([0, 0, 10, 10], usual=40, least=10) == 13
    assert caption_size([0, 0, 10, 10], usual=10, least=10) == 10
    assert line_width([0, 0, 500, 500], usual=4) == 4
    assert line_width([0, 0, 500, 32], usual=4) == 2
    assert line_width([0, 0, 5, 5], usual=4) == 1
