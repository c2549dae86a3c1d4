from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from keras_retinanet.model.fpn import FeaturePyramid, upsample_to


@pytest.mark.parametrize(("small", "large"), [(7, 13), (10, 19), (84, 167), (5, 10), (1, 3), (2, 3), (4, 4)])
def test_upsampling_reads_the_floor_index(small, large):
    rows = np.arange(small, dtype=np.float32)[None, :, None, None] * np.ones((1, 1, 3, 1), np.float32)
    got = ops.convert_to_numpy(upsample_to(rows, np.zeros((1, large, 3, 1))))
    expected = [i * small // large for i in range(large)]
    np.testing.assert_array_equal(got[0, :, 0, 0], expected)
    columns = ops.convert_to_numpy(upsample_to(np.swapaxes(rows, 1, 2), np.zeros((1, 3, large, 1))))
    np.testing.assert_array_equal(columns[0, 0, :, 0], expected)


def test_seven_to_thirteen_differs_from_half_pixel_resize():
    """The trap: `ops.image.resize` gives other indices, so this must not be replaced by it."""
    rows = np.arange(7, dtype=np.float32)[None, :, None, None] * np.ones((1, 1, 2, 1), np.float32)
    ours = ops.convert_to_numpy(upsample_to(rows, np.zeros((1, 13, 2, 1))))[0, :, 0, 0]
    theirs = ops.convert_to_numpy(ops.image.resize(rows, (13, 2), "nearest"))[0, :, 0, 0]
    np.testing.assert_array_equal(ours, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6])
    assert (ours != theirs).any()


def features(height: int, width: int, levels=range(3, 6)) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        f"C{i}": rng.normal(size=(2, -(-height // 2**i), -(-width // 2**i), 2 * i)).astype(np.float32) for i in levels
    }


def identity(layer: keras.layers.Conv2D) -> None:
    """Makes a convolution copy its first channels."""
    kernel = np.zeros(layer.kernel.shape, np.float32)
    middle = kernel.shape[0] // 2
    for channel in range(min(kernel.shape[2:])):
        kernel[middle, middle, channel, channel] = 1
    layer.kernel.assign(kernel)


def test_top_down_sums_worked_by_hand():
    neck = FeaturePyramid(width=1, max_level=5)
    maps = {name: np.full((1, side, side, 1), value, np.float32) for name, side, value in
            (("C3", 13, 1.0), ("C4", 7, 10.0), ("C5", 4, 100.0))}  # fmt: skip
    neck.build({name: value.shape for name, value in maps.items()})
    for layer in (*neck.laterals.values(), *neck.outputs.values()):
        identity(layer)
    pyramid = neck(maps)
    np.testing.assert_array_equal(pyramid["P5"], np.full((1, 4, 4, 1), 100.0))
    np.testing.assert_array_equal(pyramid["P4"], np.full((1, 7, 7, 1), 110.0))
    np.testing.assert_array_equal(pyramid["P3"], np.full((1, 13, 13, 1), 111.0))


@pytest.mark.parametrize(("padding", "first"), [("symmetric", 0), ("same", 0)])
def test_stride_two_padding_on_even_maps(padding, first):
    neck = FeaturePyramid(width=1, max_level=6, stride_padding=padding)
    maps = {name: np.zeros((1, side, side, 1), np.float32) for name, side in (("C3", 16), ("C4", 8), ("C5", 4))}
    maps["C5"][0, :, :, 0] = np.arange(16).reshape(4, 4)
    neck.build({name: value.shape for name, value in maps.items()})
    identity(neck.extras["P6"])
    got = ops.convert_to_numpy(neck(maps)["P6"])[0, :, :, 0]
    # the centre tap of the first window lies on pixel 0 with symmetric padding, on pixel 1 with "same"
    expected = [[0, 2], [8, 10]] if padding == "symmetric" else [[5, 7], [13, 15]]
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("source", ["C5", "P5"])
def test_p6_source_and_relu_before_p7(source):
    neck = FeaturePyramid(width=1, p6_source=source)
    maps = {name: np.full((1, side, side, 1), value, np.float32) for name, side, value in
            (("C3", 16, 0.0), ("C4", 8, 0.0), ("C5", 4, -3.0))}  # fmt: skip
    neck.build({name: value.shape for name, value in maps.items()})
    for layer in (*neck.laterals.values(), *neck.outputs.values(), *neck.extras.values()):
        identity(layer)
    neck.outputs["P5"].bias.assign([5.0])
    pyramid = neck(maps)
    np.testing.assert_array_equal(pyramid["P6"], np.full((1, 2, 2, 1), -3.0 if source == "C5" else 2.0))
    np.testing.assert_array_equal(pyramid["P7"], np.full((1, 1, 1, 1), 0.0 if source == "C5" else 2.0))


def test_no_relu_before_p7_lets_negatives_through():
    neck = FeaturePyramid(width=1, has_relu_before_p7=False)
    maps = {name: np.full((1, side, side, 1), -3.0, np.float32) for name, side in (("C3", 16), ("C4", 8), ("C5", 4))}
    neck.build({name: value.shape for name, value in maps.items()})
    for layer in neck.extras.values():
        identity(layer)
    np.testing.assert_array_equal(neck(maps)["P7"], np.full((1, 1, 1, 1), -3.0))


@pytest.mark.parametrize(("height", "width"), [(203, 149), (224, 224), (333, 500), (1, 1)])
@pytest.mark.parametrize("padding", ["symmetric", "same"])
def test_announced_shapes_are_the_real_ones(height, width, padding):
    neck = FeaturePyramid(width=3, min_level=2, stride_padding=padding)
    maps = features(height, width, range(2, 6))
    spec = neck.compute_output_spec({name: keras.KerasTensor(value.shape) for name, value in maps.items()})
    pyramid = neck(maps)
    assert list(pyramid) == ["P2", "P3", "P4", "P5", "P6", "P7"]
    assert {name: tuple(level.shape) for name, level in pyramid.items()} == {n: s.shape for n, s in spec.items()}


def test_every_argument_survives_serialisation():
    arguments = {
        "width": 7, "min_level": 2, "max_level": 6, "p6_source": "P5", "stride_padding": "same",
        "has_relu_before_p7": False,
    }  # fmt: skip
    layer = FeaturePyramid(**arguments)
    again = FeaturePyramid.from_config(layer.get_config())
    assert {name: getattr(again, name) for name in arguments} == arguments


def test_defaults_are_those_of_the_paper():
    """§4: P3 to P7 of 256 channels; P6 from C5, a ReLU before P7."""
    neck = FeaturePyramid()
    assert neck.levels == ("P3", "P4", "P5", "P6", "P7")
    assert (neck.width, neck.p6_source, neck.stride_padding, neck.has_relu_before_p7) == (256, "C5", "symmetric", True)
    neck.build({f"C{i}": (None, None, None, i) for i in (3, 4, 5)})
    assert [layer.kernel.shape for layer in neck.laterals.values()] == [(1, 1, i, 256) for i in (3, 4, 5)]
    assert [layer.kernel.shape for layer in neck.outputs.values()] == [(3, 3, 256, 256)] * 3
    assert [layer.kernel.shape for layer in neck.extras.values()] == [(3, 3, 5, 256), (3, 3, 256, 256)]
    layers = (*neck.laterals.values(), *neck.outputs.values(), *neck.extras.values())
    names = ["lateral3", "lateral4", "lateral5", "output3", "output4", "output5", "extra6", "extra7"]
    assert [layer.name for layer in layers] == names
    assert FeaturePyramid(max_level=5).levels == ("P3", "P4", "P5")


def test_unknown_sides_stay_unknown():
    neck = FeaturePyramid(width=3)
    sides = {"C3": (None, 33), "C4": (None, 17), "C5": (None, 9)}
    spec = neck.compute_output_spec({name: keras.KerasTensor((2, *side, 4)) for name, side in sides.items()})
    assert [level.shape[1:3] for level in spec.values()] == [(None, 33), (None, 17), (None, 9), (None, 5), (None, 3)]


def test_sizes_known_only_when_it_runs_give_the_same_maps():
    tf = pytest.importorskip("tensorflow")
    neck, maps = FeaturePyramid(width=3), features(101, 75)
    run = tf.function(
        neck, input_signature=[{name: tf.TensorSpec((None, None, None, m.shape[-1])) for name, m in maps.items()}]
    )
    for name, level in run(maps).items():
        np.testing.assert_allclose(level, neck(maps)[name], atol=1e-5)


def test_known_maps_follow_a_reference_known_only_when_it_runs():
    tf = pytest.importorskip("tensorflow")
    rows = np.arange(7, dtype=np.float32)[None, :, None, None]
    unknown = tf.TensorSpec((1, None, None, 1))
    run = tf.function(lambda reference: upsample_to(tf.constant(rows), reference), [unknown], autograph=False)
    for length in (13, 14, 15):
        got = run(np.zeros((1, length, 2, 1), np.float32))
        assert got.shape == (1, length, 2, 1)
        np.testing.assert_array_equal(got[0, :, 1, 0], [i * 7 // length for i in range(length)])


@pytest.mark.parametrize("small", [1, 13, 50, 1023, 2048])
def test_sides_known_only_when_it_runs_have_the_same_index(small):
    """TensorFlow's kernel multiplies the index by a float32: no whole number may be missed by a rounding."""
    tf = pytest.importorskip("tensorflow")
    rows = np.arange(small, dtype=np.float32)[None, :, None, None]
    unknown = tf.TensorSpec((1, None, None, 1))
    run = tf.function(upsample_to, input_signature=[unknown, unknown], autograph=False)
    for length in (2 * small - 1, 2 * small, 2 * small + 1):
        got = run(rows, np.zeros((1, length, 1, 1), np.float32))
        np.testing.assert_array_equal(got[0, :, 0, 0], np.arange(length) * small // length)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float32"])
def test_levels_have_the_dtype_of_the_policy(policy):
    neck, maps = FeaturePyramid(width=3, dtype=policy), features(64, 64)
    spec = neck.compute_output_spec({name: keras.KerasTensor(value.shape) for name, value in maps.items()})
    for name, level in neck(maps).items():
        wanted = policy.removeprefix("mixed_")
        assert keras.backend.standardize_dtype(level.dtype) == spec[name].dtype == wanted
    assert {layer.compute_dtype for layer in neck._flatten_layers(include_self=False)} == {wanted}


def test_missing_level_is_named():
    with pytest.raises(ValueError, match="needs C2 and the backbone returns C3, C4, C5 only"):
        FeaturePyramid(min_level=2)(features(64, 64))


@pytest.mark.parametrize("arguments", [{"min_level": 4}, {"max_level": 8}, {"p6_source": "C4"}])
def test_wrong_arguments_are_named(arguments):
    with pytest.raises(ValueError, match=str(next(iter(arguments.values())))):
        FeaturePyramid(**arguments)


def one_channel(**settings) -> tuple[FeaturePyramid, dict[str, np.ndarray]]:
    """A pyramid of width 1 whose convolutions copy, and maps of 1, 10 and 100."""
    neck = FeaturePyramid(width=1, p6_source="P5", norm_epsilon=0.0, **settings)
    maps = {name: np.full((1, side, side, 1), value, np.float32) for name, side, value in
            (("C3", 8, 1.0), ("C4", 4, 10.0), ("C5", 2, 100.0))}  # fmt: skip
    neck.build({name: value.shape for name, value in maps.items()})
    for layer in (*neck.laterals.values(), *neck.outputs.values(), *neck.extras.values()):
        identity(layer)
    for norm in neck.norms.values():  # x / 2 - 1
        norm.set_weights([np.array([value], np.float32) for value in (1, -1, 0, 4)])
    return neck, maps


def middle(pyramid: dict) -> list[float]:
    return [float(np.asarray(level)[0, 0, 0, 0]) for level in pyramid.values()]


def test_levels_normalised_as_in_model_garden():
    """Sums 100, 110, 111 go through x / 2 - 1; P6 and P7 are made from the maps before it."""
    neck, maps = one_channel(norm="batch", stride_padding="symmetric")
    assert list(neck.norms) == ["P3", "P4", "P5", "P6", "P7"]
    assert middle(neck(maps)) == [54.5, 54.0, 49.0, 49.0, 49.0]


def test_finished_levels_carried_down_as_in_the_object_detection_api():
    """P5 = 100 as it is; P4 = relu6((100 + 10) / 2 - 1) = 6; P3 = relu6((6 + 1) / 2 - 1) = 2.5; P6 = 6; P7 = 2."""
    neck, maps = one_channel(
        norm="batch", has_bias=False, activation="relu6", has_output_activation=True, carried="output",
        has_top_output=False, extra_input="finished",
    )  # fmt: skip
    assert list(neck.norms) == ["P3", "P4", "P6", "P7"]
    assert middle(neck(maps)) == [2.5, 6.0, 100.0, 6.0, 2.0]
    assert not neck.outputs["P3"].use_bias
    assert neck.laterals["C3"].use_bias
