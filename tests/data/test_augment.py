"""Each augmentation is tried on rectangles of one colour each: afterwards every box must still frame its own."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_retinanet.data.augment import AUGMENTATIONS, MIN_VISIBLE, PRESETS, cropped, rotate90, scale_jitter

COLOURS = np.array([[250, 10, 10], [10, 250, 10], [10, 10, 250], [240, 240, 10]], np.uint8)
BOXES = np.array([[8, 12, 40, 30], [50, 5, 75, 50], [10, 40, 30, 60], [60, 55, 95, 65]], np.float32)
SIZE = (70, 100)
GREY = 128


def sample(size=SIZE, canvas=(96, 128), boxes=BOXES):
    image = np.full((*size, 3), GREY, np.uint8)
    for colour, (x1, y1, x2, y2) in zip(COLOURS, boxes.astype(int), strict=False):
        image[y1:y2, x1:x2] = colour
    return {
        "image": tf.constant(image),
        "boxes": tf.constant(boxes.reshape(-1, 4)),
        "labels": tf.range(len(boxes)),
        "ignore": tf.constant([number == 3 for number in range(len(boxes))], tf.bool),
        "canvas": tf.constant(canvas),
    }


def framed(image, label):
    """The box around the pixels that look more like this label's colour than like anything else."""
    palette = np.concatenate([COLOURS, [[GREY] * 3]]).astype(float)
    nearest = ((image[..., None, :].astype(float) - palette) ** 2).sum(-1).argmin(-1)
    rows, columns = np.nonzero(nearest == label)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) if len(rows) else None


SEEDS = [tf.constant([number, 5], tf.int64) for number in range(16)]
MORE_SEEDS = [tf.constant([number, 6], tf.int64) for number in range(40)]


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_box_still_frames_its_own_rectangle(name):
    apply = tf.function(AUGMENTATIONS[name])
    for seed in SEEDS:
        out = apply(sample(), seed)
        image = out["image"].numpy()
        assert image.shape[0] <= 96
        assert image.shape[1] <= 128
        assert image.min() >= 0
        assert image.max() <= 255
        for box, label in zip(out["boxes"].numpy(), out["labels"].numpy(), strict=True):
            found = framed(image, label)
            if found is None:
                assert (box[2:] - box[:2]).min() < 1.5  # a sliver too thin to keep its colour
                continue
            np.testing.assert_allclose(box, found, atol=1.0)
        assert (out["ignore"].numpy() == (out["labels"].numpy() == 3)).all()


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_seed_gives_one_result_and_seeds_differ(name):
    apply = tf.function(AUGMENTATIONS[name])
    results = [apply(sample(), seed)["image"].numpy() for seed in SEEDS]
    np.testing.assert_array_equal(results[3], apply(sample(), SEEDS[3])["image"])
    assert len({(result.shape, result.tobytes()) for result in results}) > 1


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_images_without_boxes_stay_so(name):
    out = tf.function(AUGMENTATIONS[name])(sample(boxes=np.zeros((0, 4), np.float32)), SEEDS[0])
    assert out["boxes"].shape == (0, 4)
    assert out["labels"].shape == out["ignore"].shape == (0,)


def test_flips_by_hand():
    for name, wanted in (("horizontal_flip", [60, 12, 92, 30]), ("vertical_flip", [8, 40, 40, 58])):
        outs = [AUGMENTATIONS[name](sample(), seed)["boxes"][0].numpy().tolist() for seed in SEEDS]
        assert {tuple(box) for box in outs} == {(8, 12, 40, 30), tuple(wanted)}


def test_rotate90_makes_all_four_turns_and_fits_the_canvas():
    square = sample(size=(100, 100), canvas=(128, 128))
    wanted = {(8, 12, 40, 30), (12, 60, 30, 92), (60, 70, 92, 88), (70, 8, 88, 40)}  # 0°, 90° left, 180°, 90° right
    assert {tuple(rotate90(square, seed)["boxes"][0].numpy().tolist()) for seed in MORE_SEEDS} == wanted
    shapes = {rotate90(sample(canvas=(70, 100)), seed)["image"].shape[:2] for seed in MORE_SEEDS}
    assert {tuple(shape) for shape in shapes} == {(70, 100), (70, 49)}  # the turned 100 x 70, shrunk to 70 high


def test_colour_is_gentle():
    for seed in SEEDS:
        out = AUGMENTATIONS["colour"](sample(), seed)
        assert abs(out["image"].numpy() - sample()["image"].numpy()).mean() < 40
        np.testing.assert_array_equal(out["boxes"], BOXES)


def test_scale_jitter_covers_its_range():
    sizes = [scale_jitter(sample(canvas=(1000, 1000)), seed)["image"].shape[1] for seed in SEEDS * 4]
    assert min(sizes) >= 60
    assert max(sizes) <= 160
    assert min(sizes) < 80
    assert max(sizes) > 125


def test_cropping_drops_what_is_hardly_visible_but_not_what_is_to_be_ignored():
    boxes = np.array([[0, 0, 10, 10.1], [0, 0, 10, 9.9], [20, 20, 30, 30], [0, 0, 10, 7.5], [0, 0, 5, 5]], np.float32)
    given = sample(boxes=boxes)  # number 3 is an ignore region
    out = cropped(given, tf.constant([7, 0]), tf.constant([50, 25]))  # rows 7 … 57, columns 0 … 25
    # number 0 keeps 3.1 of 10.1 rows, number 1 only 2.9 of 9.9, number 2 half, number 3 a sliver, number 4 nothing
    assert MIN_VISIBLE == 0.3
    assert out["labels"].numpy().tolist() == [0, 2, 3]
    np.testing.assert_allclose(out["boxes"], [[0, 0, 10, 3.1], [20, 13, 25, 23], [0, 0, 10, 0.5]], rtol=1e-5)
    assert out["image"].shape == (50, 25, 3)


def test_presets_name_augmentations():
    assert set(itertools.chain(*PRESETS.values())) <= set(AUGMENTATIONS)
    assert PRESETS["none"] == ()
