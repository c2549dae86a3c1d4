from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_retinanet.geometry import box_coder, boxes


def test_center_decoder_worked_by_hand():
    """dx = 1 moves the centre (5, 10) by 10 px, dy = -0.25 by -5; the width is doubled, the height halved."""
    anchor, deltas = np.array([[0, 0, 10, 20]], np.float32), [[10, -2.5, math.log(2) / 0.2, math.log(0.5) / 0.2]]
    got = box_coder.decode_center(np.array(deltas, np.float32), anchor, (0.1, 0.1, 0.2, 0.2))
    np.testing.assert_allclose(got, [[5, 0, 25, 10]], rtol=1e-5, atol=1e-5)


def test_corner_decoder_worked_by_hand():
    """Corners move by 0.5 · 0.2 and 1 · 0.2 of 10 px, and by 0.5 · 0.2 and -0.5 · 0.2 of 20 px."""
    anchor, deltas = np.array([[0, 0, 10, 20]], np.float32), np.array([[0.5, 0.5, 1.0, -0.5]], np.float32)
    np.testing.assert_allclose(box_coder.decode_corner(deltas, anchor, (0.2,) * 4), [[1, 2, 12, 18]], rtol=1e-6)


def test_center_coder_worked_by_hand():
    anchor, box = np.array([[0, 0, 10, 20]], np.float32), np.array([[5, 0, 25, 10]], np.float32)
    got = box_coder.encode_center(box, anchor, (0.1, 0.1, 0.2, 0.2))
    np.testing.assert_allclose(got, [[10, -2.5, math.log(2) / 0.2, math.log(0.5) / 0.2]], rtol=1e-6)


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [([0, 0, 99, 0], [8 - 500, 0, 8 + 500, 16]), ([0, 0, 0, 99], [0, 8 - 500, 16, 8 + 500])],
    ids=["width", "height"],
)
def test_center_decoder_limits_growth(deltas, expected):
    """62.5 times the 16 px of the anchor, around its centre."""
    anchor = np.array([[0, 0, 16, 16]], np.float32)
    got = box_coder.decode_center(np.array([deltas], np.float32), anchor, (1, 1, 1, 1))
    np.testing.assert_allclose(got, [expected], rtol=1e-5)


def test_corner_coder_worked_by_hand():
    anchor, box = np.array([[0, 0, 10, 20]], np.float32), np.array([[1, 2, 12, 18]], np.float32)
    got = box_coder.encode_corner(box, anchor, (0.2,) * 4)
    np.testing.assert_allclose(got, [[0.5, 0.5, 1.0, -0.5]], rtol=1e-6)


@pytest.mark.parametrize("coder", [name for name, one in box_coder.BOX_CODERS.items() if not one.has_bins])
def test_decoding_undoes_encoding(coder):
    corner = np.random.default_rng(1).uniform(0, 900, (50, 2, 2)).astype(np.float32)
    size = np.random.default_rng(2).uniform(5, 300, (50, 2, 2)).astype(np.float32)
    both = np.concatenate([corner, corner + size], axis=-1)
    layer = box_coder.BoxCoder(coder)
    again = layer(layer.encode(both[:, 0], both[:, 1])[None], both[None, :, 1])
    np.testing.assert_allclose(again[0], both[:, 0], rtol=1e-4, atol=1e-3)


def test_corner_coder_equals_fizyr(shared):
    golden = np.load(shared("reference/fizyr_golden/targets_losses_golden.npz"))
    anchors = golden["anchors"][None].astype(np.float32)
    decoded = box_coder.BoxCoder("corner")(golden["pred_regression"].astype(np.float32), anchors)
    np.testing.assert_allclose(decoded, golden["decoded"], rtol=1e-5, atol=1e-4)
    clipped = boxes.clip(decoded, 159.0, 223.0)  # fizyr clips to the last pixel
    np.testing.assert_allclose(clipped, golden["clipped"], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_layers_keep_pixels_under_mixed_precision(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        anchors = np.array([[[1301.3, 700.7, 1332.9, 790.1]]], np.float32)
        deltas = np.array([[[0.013, 0.02, 0.001, 0.002]]], np.float32)
        got = ops.convert_to_numpy(box_coder.BoxCoder()(deltas, anchors))
        clipped = ops.convert_to_numpy(boxes.ClipBoxes()(got, np.array([[800, 1333.2]], np.float32)))
    finally:
        keras.config.set_dtype_policy(before)
    width, height = 31.6 * math.exp(0.001), 89.4 * math.exp(0.002)
    x, y = 1317.1 + 0.013 * 31.6, 745.4 + 0.02 * 89.4
    exact = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    np.testing.assert_allclose(got[0, 0], exact, atol=1e-3)
    np.testing.assert_allclose(clipped[0, 0], [*exact[:2], 1333.2, exact[3]], atol=1e-3)


def test_unknown_coder_names_the_known():
    with pytest.raises(ValueError, match=r"'polar'.*center, corner"):
        box_coder.BoxCoder("polar")


def test_limits_on_growth_are_settings():
    """dw = 5 and dh = -5 on a square of 10: no limit, the usual one above, MMDetection's on both sides."""
    anchors, deltas = np.array([[[0, 0, 10, 10]]], np.float32), np.array([[[0, 0, 5, -5]]], np.float32)

    def sides(**limits):
        layer = box_coder.BoxCoder.from_config(box_coder.BoxCoder(**limits).get_config())
        found = np.asarray(layer(deltas, anchors))[0, 0]
        return found[2:] - found[:2]

    np.testing.assert_allclose(sides(max_log_scale=None), [10 * math.exp(5), 10 * math.exp(-5)], rtol=1e-4)
    np.testing.assert_allclose(sides(), [625, 10 * math.exp(-5)], rtol=1e-4)
    limit = math.log(1000 / 16)
    np.testing.assert_allclose(sides(min_log_scale=-limit), [625, 0.16], rtol=1e-4)


def test_distribution_decoder_worked_by_hand():
    """Bins 0, 1, 2 with probabilities 1/4, 1/2, 1/4 have the mean 1: an eighth of the anchor's width or height.

    The anchor is 16 × 8 around (12, 6); the right side has all mass in the last bin: 2 eighths of 16 px.
    """
    even, last = np.log([1, 2, 1]), np.array([0, 0, 50])
    deltas = np.concatenate([even, even, last, even])[None].astype(np.float32)
    anchor = np.array([[4, 2, 20, 10]], np.float32)
    got = box_coder.decode_distribution(deltas, anchor, (0.125,) * 4)
    np.testing.assert_allclose(got, [[12 - 2, 6 - 1, 12 + 4, 6 + 1]], rtol=1e-6)


def test_distances_worked_by_hand():
    anchor, box = np.array([[4, 2, 20, 10]], np.float32), np.array([[8, 3, 14, 12]], np.float32)
    got = box_coder.encode_distances(box, anchor, (0.125,) * 4)
    np.testing.assert_allclose(got, [[4 / 2, 3 / 1, 2 / 2, 6 / 1]])


def test_distances_are_the_inverse_of_distributions():
    rng = np.random.default_rng(0)
    anchors = np.tile(np.array([[10, 10, 26, 42]], np.float32), (5, 1))
    coder = box_coder.BoxCoder("distribution", reg_max=4)
    deltas = rng.normal(0, 2, (5, coder.num_deltas)).astype(np.float32)
    boxes = coder(deltas, anchors)
    weights = np.exp(deltas.reshape(5, 4, 5))
    means = (weights * np.arange(5)).sum(-1) / weights.sum(-1)
    np.testing.assert_allclose(coder.encode(boxes, anchors), means, rtol=1e-4)


def test_means_are_those_of_mmdetection(mmdetection):
    """Around the origin, with an anchor of 8 px, a bin is a pixel."""
    bins, _ = mmdetection["distribution_problem"]()
    anchor = np.array([[-4, -4, 4, 4]], np.float32)
    got = box_coder.decode_distribution(bins.reshape(10, -1), anchor, (0.125,) * 4)
    np.testing.assert_allclose(got * np.array([-1, -1, 1, 1]), mmdetection["integral"], rtol=1e-5)


def test_a_distribution_of_extreme_logits_is_finite():
    deltas = np.array([[6e4, -6e4, 0] * 4], np.float32)
    got = box_coder.decode_distribution(deltas, np.array([[0, 0, 8, 8]], np.float32), (0.125,) * 4)
    np.testing.assert_allclose(got, [[4, 4, 4, 4]])


def test_the_distribution_coder_knows_its_outputs_and_is_stored():
    coder = box_coder.BoxCoder("distribution", reg_max=7)
    again = box_coder.BoxCoder.from_config(coder.get_config())
    assert (coder.num_deltas, again.num_deltas, again.has_distribution) == (32, 32, True)
    assert box_coder.BoxCoder().num_deltas == 4
    assert coder.compute_output_shape((2, 9, 32), (1, 9, 4)) == (2, 9, 4)
    with pytest.raises(ValueError, match="`reg_max` must be at least 1; received 0"):
        box_coder.BoxCoder("distribution", reg_max=0)
