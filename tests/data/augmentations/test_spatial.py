import numpy as np
import pytest
import tensorflow as tf

from keras_retinanet.data.augmentations.placement import resized as resized_sample
from keras_retinanet.data.augmentations.spatial import (
    crop,
    horizontal_flip,
    large_scale_jitter,
    multi_scale,
    rotate90,
    scale_jitter,
    vertical_flip,
)

SEEDS = [tf.constant([number, 6], tf.int64) for number in range(40)]
BOX = (8.0, 12.0, 40.0, 30.0)


def sample(size=(70, 100), target_size=(96, 128), boxes=(BOX,)):
    return {
        "image": tf.zeros((*size, 3), tf.uint8),
        "boxes": tf.constant(np.reshape(boxes, (-1, 4)), tf.float32),
        "labels": tf.range(len(boxes)),
        "ignore": tf.zeros(len(boxes), tf.bool),
        "target_size": tf.constant(target_size),
        "pad_value": tf.zeros(3),
    }


def outcomes(augmentation, given, seeds=SEEDS):
    apply = tf.function(augmentation, autograph=False)
    return [apply(given, seed) for seed in seeds]


@pytest.mark.parametrize(("flip", "wanted"), [(horizontal_flip, (60, 12, 92, 30)), (vertical_flip, (8, 40, 40, 58))])
def test_flips_by_hand(flip, wanted):
    boxes = {tuple(out["boxes"][0].numpy().tolist()) for out in outcomes(flip, sample())}
    assert boxes == {BOX, wanted}


def test_rotate90_makes_all_four_turns_and_fits_the_canvas():
    square = outcomes(rotate90, sample(size=(100, 100), target_size=(128, 128)))
    wanted = {BOX, (12, 60, 30, 92), (60, 70, 92, 88), (70, 8, 88, 40)}  # 0°, 90° left, 180°, 90° right
    assert {tuple(out["boxes"][0].numpy().tolist()) for out in square} == wanted
    shapes = {tuple(out["image"].shape[:2]) for out in outcomes(rotate90, sample(target_size=(70, 100)))}
    assert shapes == {(70, 100), (70, 49)}  # the turned 100 x 70, shrunk to 70 high


@pytest.mark.parametrize(("jitter", "least", "most"), [(scale_jitter, 0.6, 1.6), (large_scale_jitter, 0.1, 2.0)])
def test_jitters_cover_their_range_and_move_boxes_alike(jitter, least, most):
    outs = outcomes(jitter, sample(target_size=(1000, 1000)))
    factors = np.array([out["image"].shape[1] / 100 for out in outs])
    assert least - 0.01 <= factors.min() < least + 0.2
    assert most - 0.3 < factors.max() <= most + 0.01
    for out, factor in zip(outs, factors, strict=True):
        np.testing.assert_allclose(out["boxes"][0], np.array(BOX) * factor, rtol=0.06)


def test_a_jitter_fills_the_canvas_with_a_part_when_it_enlarges():
    outs = outcomes(large_scale_jitter, sample(target_size=(80, 110)))
    shapes = np.array([out["image"].shape[:2] for out in outs])
    assert (shapes <= (80, 110)).all()
    assert (shapes[shapes[:, 0] > 75] >= (76, 105)).all()  # the window is cut in whole pixels before it grows
    assert (shapes[:, 0] > 75).sum() > 10


def test_multi_scale_takes_the_six_sides_of_detectron2():
    sizes = {out["image"].shape[1] for out in outcomes(multi_scale, sample(size=(70, 100)))}
    assert sizes == {80, 84, 88, 92, 96, 100}


def test_crops_show_the_centre_of_a_box_and_fill_the_canvas():
    given = sample(size=(90, 120), target_size=(90, 120), boxes=[(4, 4, 12, 12)])
    outs = [out for out in outcomes(crop, given) if tuple(out["boxes"][0].numpy()) != (4, 4, 12, 12)]
    assert 10 < len(outs) < 30  # every second time
    for out in outs:
        assert not out["ignore"][0]
        x1, y1, x2, y2 = out["boxes"][0].numpy()
        assert min(x2 - x1, y2 - y1) >= 4  # the half with the centre at least
        assert 90 in out["image"].shape or 120 in out["image"].shape
    shapes = {tuple(out["image"].shape) for out in outcomes(crop, sample(boxes=()))}
    assert len(shapes) > 5  # without boxes too


@pytest.mark.parametrize("jitter", [scale_jitter, large_scale_jitter, multi_scale])
def test_images_not_resized_yet_get_the_scale_of_the_resized_ones(jitter):
    unresized = {**sample(), "resized_size": tf.constant([140, 200])}  # twice as large by the resize rule
    resized = sample(size=(140, 200), boxes=[2 * np.array(BOX)])
    for one, other in zip(outcomes(jitter, unresized), outcomes(jitter, resized), strict=True):
        one = resized_sample(one)
        np.testing.assert_allclose(one["image"].shape, other["image"].shape, atol=2)  # windows of whole stored pixels
        assert len(one["boxes"]) <= 1
        if len(one["boxes"]) and other["image"].shape[0] < 80:  # seen whole: a window that is cut may lie elsewhere
            np.testing.assert_allclose(one["boxes"], other["boxes"], atol=1.5)
