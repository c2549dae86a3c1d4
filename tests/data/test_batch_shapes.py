from __future__ import annotations

import itertools

import numpy as np
import pytest

from keras_retinanet.config import ResizeConfig
from keras_retinanet.data.batch_shapes import bucket_shape, choose_batch_shapes
from keras_retinanet.data.resized_sizes import resized_size


def test_one_size_needs_one_canvas():
    batch_shapes, group = choose_batch_shapes([(800, 1067)] * 5, pad_multiple=32)
    assert batch_shapes == [(800, 1088)]
    assert group.tolist() == [0] * 5


def test_landscape_and_portrait_are_kept_apart():
    sizes = [(60, 90)] * 10 + [(90, 60)] * 10
    batch_shapes, group = choose_batch_shapes(sizes, pad_multiple=10, max_shapes=4)
    assert batch_shapes == [(60, 90), (90, 60)]
    assert group.tolist() == [0] * 10 + [1] * 10
    assert choose_batch_shapes(sizes, pad_multiple=10, max_shapes=1)[0] == [(90, 90)]


def test_a_group_that_would_not_fill_a_batch_is_not_made():
    sizes = [(60, 90)] * 8 + [(90, 60)]
    assert choose_batch_shapes(sizes, pad_multiple=10, batch_size=1)[0] == [(60, 90), (90, 60)]
    # with batches of 8: 8 · 60 · 90 + 8 · 90 · 60 = 86,400 pixels, against 16 · 90 · 90 = 129,600 in one
    assert len(choose_batch_shapes(sizes, pad_multiple=10, batch_size=8)[0]) == 2
    # with batches of 16: 2 · 16 · 5,400 = 172,800 against 16 · 8,100 = 129,600
    assert choose_batch_shapes(sizes, pad_multiple=10, batch_size=16)[0] == [(90, 90)]


def test_a_shape_must_be_worth_it():
    sizes = [(100, 100)] * 99 + [(100, 99)]
    assert choose_batch_shapes(sizes, pad_multiple=1)[0] == [(100, 100)]


def _pixels(sizes, batch_shapes, group, batch_size):
    for size, number in zip(sizes, group, strict=True):
        assert (np.array(size) <= batch_shapes[number]).all()
    count = np.bincount(group, minlength=len(batch_shapes))
    return sum(-(-n // batch_size) * batch_size * h * w for n, (h, w) in zip(count, batch_shapes, strict=True))


@pytest.mark.parametrize("batch_size", [1, 3])
def test_is_the_best_cut_along_the_ratios(batch_size):
    rng = np.random.default_rng(batch_size)
    for _ in range(20):
        sizes = rng.integers(1, 9, (12, 2)) * 10
        batch_shapes, group = choose_batch_shapes(sizes, pad_multiple=10, max_shapes=3, batch_size=batch_size)
        kinds = sorted(sorted({tuple(size) for size in sizes}), key=lambda size: size[0] / size[1])
        kinds = [np.array(kind) for kind in kinds]
        best = min(
            sum(
                -(-sum((size == kind).all() for size in sizes for kind in kinds[a:b]) // batch_size)
                * batch_size
                * np.max(kinds[a:b], axis=0).prod()
                for a, b in itertools.pairwise([0, *cut, len(kinds)])
            )
            * (1 + 0.02 * len(cut))
            for count in range(3)
            for cut in itertools.combinations(range(1, len(kinds)), count)
        )
        found = _pixels(sizes, batch_shapes, group, batch_size) * (1 + 0.02 * (len(batch_shapes) - 1))
        assert found == pytest.approx(best)


def test_very_many_sizes_stay_quick_and_covered():
    sizes = np.random.default_rng(0).integers(1, 5000, (3000, 2))
    batch_shapes, group = choose_batch_shapes(sizes, pad_multiple=1, max_shapes=4)
    assert len(batch_shapes) == 4
    _pixels(sizes, batch_shapes, group, 1)


def test_coco_like_sizes_waste_little():
    rng = np.random.default_rng(0)
    kinds = np.array([(480, 640), (640, 480), (427, 640), (640, 427), (640, 640), (375, 500), (612, 612), (333, 500)])
    kinds = kinds[rng.choice(8, 1000, p=[0.4, 0.15, 0.2, 0.07, 0.05, 0.07, 0.04, 0.02])]
    sizes = np.stack(resized_size(kinds[:, 0], kinds[:, 1], ResizeConfig()), axis=1)
    batch_shapes, group = choose_batch_shapes(sizes, pad_multiple=32, batch_size=4)
    assert len(batch_shapes) <= 4
    assert _pixels(sizes, batch_shapes, group, 4) < 1.06 * sizes.prod(axis=1).sum()


def test_usual_canvases_worked_by_hand():
    resize = ResizeConfig(800, 1333)
    assert bucket_shape(800, 800, resize) == (800, 800)
    assert bucket_shape(800, 801, resize) == (800, 960)  # 800 + 533 / 4, up to a multiple of 32
    assert bucket_shape(1067, 800, resize) == (1088, 800)  # 4 : 3 needs nothing more than its padding
    assert bucket_shape(750, 1333, resize) == (800, 1344)
    assert bucket_shape(150, 1333, resize) == (224, 1344)
    assert bucket_shape(30, 100, ResizeConfig(max_side=100, is_square=True)) == (128, 128)


def test_usual_canvases_hold_their_images_and_are_few():
    rng = np.random.default_rng(0)
    for resize in (ResizeConfig(), ResizeConfig(256, 256), ResizeConfig(600, 1000, pad_multiple=128)):
        batch_shapes = set()
        for sides in np.exp(rng.uniform(3, 8, (500, 2))).astype(int):
            height, width = resized_size(int(sides[0]), int(sides[1]), resize)
            shape = bucket_shape(height, width, resize)
            assert shape[0] >= height
            assert shape[1] >= width
            batch_shapes.add(shape)
        assert len(batch_shapes) <= 16
