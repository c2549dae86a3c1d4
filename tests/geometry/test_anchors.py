from __future__ import annotations

import json

import keras
import numpy as np
import pytest

from keras_retinanet.config import AnchorConfig, NetworkConfig
from keras_retinanet.geometry.anchors import Anchors, base_anchors, pyramid_shapes
from keras_retinanet.geometry.configured_anchors import image_anchors


def pyramid(height: int, width: int, levels: range = range(3, 8)) -> dict[str, np.ndarray]:
    return {f"P{i}": np.zeros((1, -(-height // 2**i), -(-width // 2**i), 1), np.float32) for i in levels}


def every_level(layer: Anchors, height: int, width: int, levels: range = range(3, 8)) -> np.ndarray:
    anchors = layer(pyramid(height, width, levels), np.zeros((1, height, width, 3), np.float32))
    return np.concatenate([np.asarray(level)[0] for level in anchors.values()])


def test_base_anchors_worked_by_hand():
    got = base_anchors(32, (0.5, 1), (1, 2))
    half = 32 * np.sqrt(2) / 2
    expected = [[-half, -half / 2, half, half / 2], [-2 * half, -half, 2 * half, half]]
    np.testing.assert_allclose(got[:2], expected)
    np.testing.assert_allclose(got[2:], [[-16, -16, 16, 16], [-32, -32, 32, 32]])


def test_rounded_base_anchors_are_torchvisions():
    scales = (1, 2 ** (1 / 3), 2 ** (2 / 3))
    got = base_anchors(128, (0.5, 1, 2), scales, is_rounded=True)
    np.testing.assert_array_equal(got[:, 2:][:3], [[91, 45], [114, 57], [144, 72]])
    np.testing.assert_array_equal(got[:, 2:][3:6], [[64, 64], [80, 80], [102, 102]])  # 203 / 2 rounds to even


def test_rounded_base_anchors_of_sizes_that_are_given():
    """32 · 2^(1/3) = 40.3: a quarter as high as wide it is 80.6 by 20.2, of a size rounded down 80 by 20."""
    scales = (2 ** (1 / 3),)
    np.testing.assert_array_equal(base_anchors(32, (0.25,), scales, True, False), [[-40, -10, 40, 10]])
    np.testing.assert_array_equal(base_anchors(33, (0.25,), scales, True, False), [[-42, -10, 42, 10]])  # 41.6
    np.testing.assert_array_equal(base_anchors(33, (0.25,), scales, True, True), [[-41, -10, 41, 10]])  # 41
    np.testing.assert_array_equal(base_anchors(30, (1,), (47 / 30,), True), [[-24, -24, 24, 24]])  # 23.5 is made even


def test_rows_before_columns_before_anchors():
    layer = Anchors((4,), (8,), (1,), (1, 2))
    got = layer({"P3": np.zeros((2, 2, 3, 5), np.float32)}, np.zeros((2, 16, 24, 3), np.float32))["P3"]
    assert got.shape == (1, 12, 4)
    np.testing.assert_array_equal(got[0, 0], [2, 2, 6, 6])
    np.testing.assert_array_equal(got[0, 1], [0, 0, 8, 8])
    np.testing.assert_array_equal(got[0, 2], [10, 2, 14, 6])
    np.testing.assert_array_equal(got[0, 6], [2, 10, 6, 14])


def test_grid_strides_and_zero_offset():
    layer = Anchors((2,), (64,), (1,), (1,), offset=0, stride_mode="grid")
    got = layer({"P6": np.zeros((1, 13, 17, 1), np.float32)}, np.zeros((1, 800, 1088, 3), np.float32))["P6"]
    np.testing.assert_array_equal(np.asarray(got)[0, 17 + 1], [63, 60, 65, 62])  # 800 // 13 = 61, 1088 // 17 = 64


def test_scales_of_each_level():
    layer = Anchors((4, 8), (8, 16), (1,), ((1, 2), (3,)))
    assert layer.num_anchors == (2, 1)
    got = layer(pyramid(16, 16, range(3, 5)), np.zeros((1, 16, 16, 3), np.float32))
    assert [level.shape for level in got.values()] == [(1, 8, 4), (1, 1, 4)]
    np.testing.assert_array_equal(got["P4"][0, 0], [-4, -4, 20, 20])


def test_each_halving_rounds_up():
    """65 → 33 → 17 → 9, and 97 → 49 → 25 → 13."""
    assert pyramid_shapes(65, 97, (8, 16, 32)) == [(9, 13), (5, 7), (3, 4)]
    assert pyramid_shapes(64, 96, (4, 64)) == [(16, 24), (1, 2)]


def test_anchors_of_an_image_without_a_network():
    """16 × 40 pixels give maps of 2 × 5 and 1 × 3; the last centres are (36, 12) and (40, 8)."""
    levels = image_anchors(NetworkConfig(anchors=AnchorConfig((4, 8), (8, 16), (1,), (1,))), 16, 40)
    fine, coarse = (np.asarray(level) for level in levels)
    assert fine.shape == (10, 4)
    assert coarse.shape == (3, 4)
    np.testing.assert_array_equal(fine[[0, 9]], [[2, 2, 6, 6], [34, 10, 38, 14]])
    np.testing.assert_array_equal(coarse[2], [36, 4, 44, 12])


def test_announced_shapes_are_the_real_ones():
    layer = Anchors((4, 8), (8, 16), (1,), ((1, 2), (3,)))
    maps = pyramid(40, 24, range(3, 5))
    announced = layer.compute_output_spec({name: keras.KerasTensor(value.shape) for name, value in maps.items()}, None)
    real = layer(maps, np.zeros((1, 40, 24, 3), np.float32))
    assert {name: spec.shape for name, spec in announced.items()} == {"P3": (1, 5 * 3 * 2, 4), "P4": (1, 3 * 2, 4)}
    assert {name: tuple(level.shape) for name, level in real.items()} == {"P3": (1, 30, 4), "P4": (1, 6, 4)}
    assert {keras.backend.standardize_dtype(spec.dtype) for spec in announced.values()} == {"float32"}
    unknown = {"P3": keras.KerasTensor((None, None, 3, 1)), "P4": keras.KerasTensor((None, 3, None, 1))}
    assert {spec.shape for spec in layer.compute_output_spec(unknown, None).values()} == {(1, None, 4)}


def test_there_is_nothing_to_train():
    layer = Anchors()
    assert not layer.trainable
    assert "trainable" not in layer.get_config()


def test_anchors_are_float32_under_every_policy():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = Anchors((32,), (8,), (1,), (1,))
        (level,) = layer(pyramid(1336, 8, range(3, 4)), np.zeros((1, 1336, 8, 3), np.float32)).values()
    finally:
        keras.config.set_dtype_policy(before)
    assert layer.compute_dtype == layer.variable_dtype == keras.backend.standardize_dtype(level.dtype) == "float32"
    np.testing.assert_array_equal(level[0, -1], [4 - 16, 1332 - 16, 4 + 16, 1332 + 16])  # bfloat16 rounds to 1312, 1344


def test_numbers_of_numpy_are_stored_as_plain_ones():
    layer = Anchors(np.float32([16, 32]), np.int64([8, 16]), np.float32([0.5]), tuple(np.float32([1, 1.5])))
    config = json.loads(json.dumps(layer.get_config()))
    assert (config["sizes"], config["strides"], config["ratios"], config["scales"]) == (
        [16, 32],
        [8, 16],
        [0.5],
        [1, 1.5],
    )
    per_level = Anchors((16, 32), (8, 16), scales=[tuple(np.float32([1])), tuple(np.float32([1.5]))])
    assert json.loads(json.dumps(per_level.get_config()))["scales"] == [[1], [1.5]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sizes": (1, 2)}, "2 sizes .* and 5 strides"),
        ({"scales": ((1,), (2,))}, "5 levels; received 2"),
        ({"ratios": ()}, "must be given"),
        ({"sizes": (1, 2), "strides": (8, 16), "scales": ((1,), ())}, "must be given"),
        ({"sizes": (0, 1, 2, 3, 4)}, "positive"),
        ({"stride_mode": "torch"}, "'torch'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Anchors(**arguments)


@pytest.mark.parametrize(("height", "width"), [(512, 512), (101, 97), (64, 200), (7, 5)])
def test_equal_fizyr_at_odd_sizes_too(shared, height, width):
    golden = np.load(shared("reference/fizyr_golden/anchors_golden.npz"))
    expected = golden[f"anchors_{height}x{width}"]
    np.testing.assert_allclose(every_level(Anchors(), height, width), expected, rtol=1e-6, atol=1e-4)


def test_equal_fizyr_with_p2(shared):
    golden = np.load(shared("reference/fizyr_golden/anchors_golden.npz"))
    layer = Anchors((16, 32, 64, 128, 256, 512), (4, 8, 16, 32, 64, 128), (0.5, 1, 2, 3), (1, 1.2, 1.6))
    got = every_level(layer, 96, 128, range(2, 8))
    np.testing.assert_allclose(got, golden["anchors_p2_96x128"], rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("source", ["torchvision_v1", "torchvision_v2"])
def test_equal_torchvision(shared, source):
    golden = np.load(shared(f"reference/{source}/reference.npz"))
    layer = Anchors(offset=0, is_rounded=True, stride_mode="grid")
    maps = {f"P{i + 3}": np.zeros((1, h, w, 1), np.float32) for i, (h, w) in enumerate(golden["level_shapes"])}
    got = layer(maps, np.zeros((1, 192, 288, 3), np.float32))
    got = np.concatenate([np.asarray(level)[0] for level in got.values()])
    np.testing.assert_array_equal(got, golden["anchors"])


def test_offsets_only_where_the_stride_divides():
    """A map of 3 x 2 for an image of 24 x 20, stride 8: rows begin at 4, columns, as 20 / 8 is no integer, at 0."""
    layer = Anchors([8.0], [8], [1.0], [1.0], offset_rule="divisible")
    level = np.asarray(layer({"P3": np.zeros((1, 3, 3, 1))}, np.zeros((1, 24, 20, 3)))["P3"])[0]
    centres = (level[:, :2] + level[:, 2:]) / 2
    assert centres[:, 1].tolist() == [4, 4, 4, 12, 12, 12, 20, 20, 20]
    assert centres[:, 0].tolist() == [0, 8, 16] * 3


def test_clipped_anchors_end_at_the_image():
    layer = Anchors([16.0], [8], [1.0], [1.0], is_clipped=True)
    level = np.asarray(layer({"P3": np.zeros((1, 1, 2, 1))}, np.zeros((1, 8, 16, 3)))["P3"])[0]
    assert level.tolist() == [[0, 0, 12, 8], [4, 0, 16, 8]]


def test_unknown_offset_rules_are_named():
    with pytest.raises(ValueError, match="'never'"):
        Anchors(offset_rule="never")
