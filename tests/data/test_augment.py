"""Each augmentation is tried on rectangles of one colour each: afterwards every box must still frame its own."""

from __future__ import annotations

import functools
import itertools
from typing import get_args

import numpy as np
import pytest
import tensorflow as tf

from keras_retinanet.config import AugmentName
from keras_retinanet.data.augment import AUGMENTATIONS, MIXTURES, PRESETS, apply_augmentations, max_images_per_sample
from keras_retinanet.demo import painting
from keras_retinanet.demo.scenes import draw_scene

COLOURS = np.array([[250, 10, 10], [10, 250, 10], [10, 10, 250], [240, 240, 10]], np.uint8)
BOXES = np.array([[8, 12, 40, 30], [50, 5, 75, 50], [10, 40, 30, 60], [60, 55, 95, 65]], np.float32)
SIZE = (70, 100)
GREY = 128


def sample(size=SIZE, target_size=(96, 128), boxes=BOXES):
    image = np.full((*size, 3), GREY, np.uint8)
    for colour, (x1, y1, x2, y2) in zip(COLOURS, boxes.astype(int), strict=False):
        image[y1:y2, x1:x2] = colour
    return {
        "image": tf.constant(image),
        "boxes": tf.constant(boxes.reshape(-1, 4)),
        "labels": tf.range(len(boxes)),
        "ignore": tf.constant([number == 3 for number in range(len(boxes))], tf.bool),
        "target_size": tf.constant(target_size),
        "pad_value": tf.constant([110.0, 120.0, 130.0]),
    }


def with_clipped_boxes(image, label):
    """The box around the pixels that look more like this label's colour than like anything else."""
    palette = np.concatenate([COLOURS, [OTHER_COLOUR], [[GREY] * 3]]).astype(float)
    nearest = ((image[..., None, :].astype(float) - palette) ** 2).sum(-1).argmin(-1)
    rows, columns = np.nonzero(nearest == min(label, len(COLOURS)))
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) if len(rows) else None


SEEDS = [tf.constant([number, 5], tf.int64) for number in range(16)]


EVERY = [*AUGMENTATIONS, *MIXTURES]
OTHER_COLOUR, OTHER_BOX = np.array([250, 10, 250], np.uint8), np.array([[10, 15, 50, 45]], np.float32)


def other(seed):
    """The image that mixtures get: one rectangle in another colour, labelled 9, of two sizes."""
    image = np.full((60, 90, 3), GREY, np.uint8)
    image[15:45, 10:50] = OTHER_COLOUR
    wide = tf.random.stateless_uniform((), seed) < 0.5
    image = tf.cond(wide, lambda: tf.constant(image), lambda: tf.constant(image[:, :70]))
    parts = {"boxes": tf.constant(OTHER_BOX), "labels": tf.constant([9]), "ignore": tf.constant([False])}
    return {**sample(), "image": image, **parts}


@functools.cache
def function(name):
    """The augmentation as the pipeline runs it, traced once for all tests."""
    return tf.function(lambda given, seed: apply_augmentations(given, (name,), seed, other), autograph=False)


@pytest.mark.parametrize("name", sorted(set(EVERY) - {"mixup"}))  # where two images shine through, colours do not tell
def test_every_box_still_frames_its_own_rectangle(name):
    apply = function(name)
    seen = 0
    for seed in SEEDS:
        out = apply(sample(), seed)
        image = out["image"].numpy()
        assert image.shape[0] <= 96
        assert image.shape[1] <= 128
        assert image.min() >= 0
        assert image.max() <= 255
        labels = out["labels"].numpy()
        outer = np.concatenate([np.floor(out["boxes"][:, :2]), np.ceil(out["boxes"][:, 2:])], axis=1).astype(int)
        for number, (box, label, ignore) in enumerate(zip(out["boxes"].numpy(), labels, out["ignore"], strict=True)):
            region = np.zeros(image.shape[:2], bool)
            x1, y1, x2, y2 = (outer[number] + [-4, -4, 4, 4]).clip(0)
            region[y1:y2, x1:x2] = True
            for x1, y1, x2, y2 in outer[(labels == label) & (np.arange(len(labels)) != number)]:
                region[y1:y2, x1:x2] = False  # a mosaic may show the same rectangle twice, side by side
            found = with_clipped_boxes(np.where(region[..., None], image, GREY), label)
            if found is None:
                assert (box[2:] - box[:2]).min() < 1.5  # a sliver too thin to keep its colour
                continue
            np.testing.assert_allclose(box, found, atol=1.0)
            seen += not ignore
    assert seen > 16


@pytest.mark.parametrize("name", EVERY)
def test_a_seed_gives_one_result_and_seeds_differ(name):
    apply = function(name)
    results = [apply(sample(), seed)["image"].numpy() for seed in SEEDS]
    np.testing.assert_array_equal(results[3], apply(sample(), SEEDS[3])["image"])
    assert len({(result.shape, result.tobytes()) for result in results}) > 1


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_images_without_boxes_stay_so(name):
    out = tf.function(AUGMENTATIONS[name], autograph=False)(sample(boxes=np.zeros((0, 4), np.float32)), SEEDS[0])
    assert out["boxes"].shape == (0, 4)
    assert out["labels"].shape == out["ignore"].shape == (0,)


KEEP_PLACES = ("colour", "visual_effects", "blur", "jpeg")


@pytest.mark.parametrize("name", sorted(set(AUGMENTATIONS) - set(KEEP_PLACES)))
def test_boxes_still_hold_the_objects_of_a_scene(name):
    """Three objects of a scene, each painted in a channel of its own on black, whatever their shape."""
    scene = draw_scene(5)
    image = np.zeros_like(scene.image)
    chosen = np.argsort(-scene.boxes[:, 2] + scene.boxes[:, 0], kind="stable")[:3]
    for channel, index in enumerate(chosen):
        coverage, left, top = painting.mask(scene.contours[index])
        image[top : top + coverage.shape[0], left : left + coverage.shape[1], channel] = coverage
    given = {**sample(target_size=(512, 512)), "pad_value": tf.zeros(3), "image": tf.constant(image)}
    given.update(boxes=tf.constant(scene.boxes[chosen]), labels=tf.range(3), ignore=tf.zeros(3, tf.bool))
    apply = tf.function(AUGMENTATIONS[name], autograph=False)
    for seed in SEEDS[:6]:
        out = apply(given, seed)
        for box, label in zip(out["boxes"].numpy(), out["labels"].numpy(), strict=True):
            rows, columns = np.nonzero(out["image"].numpy()[..., label] > 127)
            if len(rows) == 0:
                continue  # only a corner of the box is left, without any of the object
            found = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            slack = 2 if name == "large_scale_jitter" else 1  # enlarged twice, a stored pixel covers two
            assert (found[:2] >= box[:2] - slack).all(), (box, found)
            assert (found[2:] <= box[2:] + slack).all(), (box, found)


@pytest.mark.parametrize("name", KEEP_PLACES)
def test_colours_change_gently_and_boxes_not_at_all(name):
    apply = function(name)
    for seed in SEEDS:
        out = apply(sample(), seed)
        assert abs(out["image"].numpy().astype(float) - sample()["image"].numpy()).mean() < 40
        np.testing.assert_array_equal(out["boxes"], BOXES)
        np.testing.assert_array_equal(out["ignore"], sample()["ignore"])


def test_presets_name_augmentations():
    assert set(itertools.chain(*PRESETS.values())) <= set(EVERY)
    assert PRESETS["none"] == ()
    assert get_args(AugmentName) == tuple(PRESETS)


def test_images_in_one_picture():
    assert max_images_per_sample(PRESETS["strong"]) == 1
    assert max_images_per_sample(("mixup", "colour", "mosaic")) == 1 + 1 + 3
