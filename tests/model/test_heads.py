from __future__ import annotations

import keras
import ml_dtypes
import numpy as np
import pytest
from keras import ops

from keras_retinanet.model.heads import Head, PriorProbability


def pyramid(channels: int = 32) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(2, h, w, channels)).astype(np.float32) for name, h, w in
            (("P3", 5, 7), ("P4", 3, 4), ("P5", 2, 2))}  # fmt: skip


def test_prior_worked_by_hand():
    np.testing.assert_allclose(PriorProbability(0.01)((3,)), [-4.59512] * 3, rtol=1e-6)
    assert PriorProbability().probability == 0.01
    assert keras.backend.standardize_dtype(PriorProbability(0.5)((2,), "float16").dtype) == "float16"


@pytest.mark.parametrize("probability", [-0.1, 0, 1, 1.1])
def test_a_prior_that_is_not_possible_is_named(probability):
    with pytest.raises(ValueError, match=f"between 0 and 1; received {probability}"):
        PriorProbability(probability)


def test_initial_class_probability_is_the_prior():
    head = Head(6, 9, width=32, depth=2, prior=0.01)
    probabilities = ops.sigmoid(head(pyramid()))
    assert tuple(probabilities.shape) == (2, (35 + 12 + 4) * 9, 6)
    np.testing.assert_allclose(ops.mean(probabilities), 0.01, rtol=0.02)
    np.testing.assert_allclose(probabilities, np.full(probabilities.shape, 0.01), rtol=0.3)


def test_box_head_starts_at_zero():
    np.testing.assert_allclose(ops.mean(Head(4, 9, width=32, depth=1)(pyramid())), 0, atol=1e-3)


def test_answers_are_ordered_by_level_row_column_anchor_value():
    head = Head(2, 3, width=8, depth=0)
    maps = {"P3": np.zeros((1, 2, 2, 1), np.float32), "P4": np.ones((1, 1, 1, 1), np.float32)}
    maps["P3"][0, :, :, 0] = [[1, 2], [3, 4]]
    head.build({name: value.shape for name, value in maps.items()})
    kernel = np.zeros((3, 3, 1, 6), np.float32)
    kernel[1, 1, 0] = [1, 10, 100, 1000, 10000, 100000]  # channel = anchor · values + value
    head.predictors[0].kernel.assign(kernel)
    got = ops.convert_to_numpy(head(maps))[0]
    factors = np.array([[1, 10], [100, 1000], [10000, 100000]])
    np.testing.assert_array_equal(got, np.concatenate([factors * pixel for pixel in (1, 2, 3, 4, 1)]))


def test_shared_weights_are_one_set_and_unshared_one_a_level():
    shared, own = Head(4, 9, width=32, depth=2), Head(4, 9, width=32, depth=2, is_shared=False)
    shared(pyramid()), own(pyramid())
    assert len(shared.trainable_variables) == 6
    assert len(own.trainable_variables) == 18


def test_towers_start_from_different_kernels():
    """One initialiser object reused would give all four convolutions the same kernel (as happened in fizyr)."""
    head = Head(4, 9, width=32, depth=3)
    head(pyramid())
    kernels = [layer.kernel.numpy() for layer in head.towers[0].layers if layer.name.startswith("conv")]
    assert np.abs(kernels[0] - kernels[1]).max() > 1e-3
    assert np.abs(kernels[1] - kernels[2]).max() > 1e-3
    np.testing.assert_allclose([kernel.std() for kernel in kernels], [0.01] * 3, rtol=0.05)


def test_group_norm_is_torchvisions():
    head = Head(4, 9, width=64, depth=1, norm="group")
    head(pyramid(64))
    conv, norm = (head.towers[0].get_layer(name) for name in ("conv0", "norm0"))
    assert not conv.use_bias
    assert (norm.groups, norm.epsilon) == (32, 1e-5)
    normal = ops.convert_to_numpy(norm(np.random.default_rng(0).normal(3, 5, (1, 4, 4, 64)).astype(np.float32)))
    pairs = normal.reshape(1, 16, 32, 2)
    np.testing.assert_allclose(pairs.mean(axis=(1, 3)), np.zeros((1, 32)), atol=1e-5)
    np.testing.assert_allclose(pairs.std(axis=(1, 3)), np.ones((1, 32)), rtol=1e-4)


def test_levels_with_unequal_anchors_need_their_own_heads():
    with pytest.raises(ValueError, match="is_shared=False"):
        Head(4, (3, 6, 6))
    head = Head(4, (3, 6, 6), width=32, depth=1, is_shared=False)
    assert tuple(head(pyramid()).shape) == (2, 35 * 3 + 12 * 6 + 4 * 6, 4)
    assert tuple(Head(4, [3, 3, 3], width=32, depth=1)(pyramid()).shape) == (2, 51 * 3, 4), "equal ones may be shared"
    with pytest.raises(ValueError, match="3 levels"):
        Head(4, (3, 6), is_shared=False)(pyramid())


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_outputs_are_float32_under_mixed_precision(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        head = Head(4, 9, width=32, depth=1)
        out = head(pyramid())
    finally:
        keras.config.set_dtype_policy(before)
    assert keras.backend.standardize_dtype(out.dtype) == "float32"
    assert head.towers[0].get_layer("conv0").compute_dtype == policy.removeprefix("mixed_")
    assert head.predictors[0].compute_dtype == "float32"
    values = ops.convert_to_numpy(out)
    assert len(np.unique(values)) > values.size / 2  # bfloat16 would collapse them to a few hundred


def test_a_head_has_its_own_dtype_policy():
    head = Head(4, 9, width=32, depth=1, norm="group", dtype="mixed_bfloat16")
    out = head(pyramid())
    assert [layer.compute_dtype for layer in head.towers[0].layers[1:]] == ["bfloat16"] * 3
    assert head.predictors[0].compute_dtype == keras.backend.standardize_dtype(out.dtype) == "float32"


def test_a_last_convolution_of_its_own_dtype_answers_in_float32():
    head = Head(4, 9, width=32, depth=1, final_dtype="bfloat16")
    head.build(dict.fromkeys(("P3", "P4"), (None, None, None, 16)))
    out = head({level: ops.ones((1, 3, 3, 16)) for level in ("P3", "P4")})
    assert head.predictors[0].compute_dtype == "bfloat16"
    assert keras.backend.standardize_dtype(out.dtype) == "float32"
    values = ops.convert_to_numpy(out)
    np.testing.assert_array_equal(values, values.astype(ml_dtypes.bfloat16).astype("float32"))


@pytest.mark.parametrize(
    ("policy", "step"), [("mixed_bfloat16", 2.0**-8), ("mixed_float16", 2.0**-11), ("float32", 0.0)]
)
def test_in_training_the_last_convolution_is_rounded_before_its_bias_is_added(policy, step):
    """Around 1 bfloat16 has steps of 1/128; around the bias of -100 it would have steps of 1/2."""
    head = Head(3, num_anchors=2, width=32, depth=1, dtype=policy)
    head.build({name: value.shape for name, value in pyramid().items()})
    rng = np.random.default_rng(1)
    head.towers[0].set_weights([rng.normal(size=(3, 3, 32, 32)) / 17, np.zeros(32)])
    head.finals[0].set_weights([rng.normal(size=(3, 3, 32, 6)) / 17, np.full(6, -100)])
    exact, trained = (ops.convert_to_numpy(head(pyramid(), training=training)) for training in (False, True))
    assert trained.dtype == np.float32
    error, largest = np.abs(trained - exact).max(), np.abs(exact + 100).max()
    assert 1 < largest < 8
    assert step / 4 <= error <= 2 * step * largest + 2e-5  # rounded, and no more


def test_every_argument_survives_serialisation():
    arguments = {
        "outputs_per_anchor": 5, "num_anchors": (3, 4), "width": 64, "depth": 2, "norm": "group", "is_shared": False,
        "prior": 0.2, "final_dtype": "bfloat16", "norm_epsilon": 1e-3, "has_bias": True,
    }  # fmt: skip
    again = Head.from_config(Head(**arguments).get_config())
    assert {name: getattr(again, name) for name in arguments} == arguments


def test_defaults_are_those_of_the_paper():
    """§4: four convolutions of 256 channels and nine anchors; kernels start at a deviation of 0.01, biases at 0."""
    head = Head(4)
    head.build(dict.fromkeys(("P3", "P4"), (None, None, None, 8)))
    (tower,), (final,) = head.towers, head.predictors
    convolutions = [layer for layer in tower.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.kernel.shape for layer in convolutions] == [(3, 3, 8, 256), *[(3, 3, 256, 256)] * 3]
    assert final.kernel.shape == (3, 3, 256, 36)
    assert final.padding == "same"
    np.testing.assert_allclose(final.kernel.numpy().std(), 0.01, rtol=0.05)
    np.testing.assert_array_equal(final.bias.numpy(), np.zeros(36))
    assert all(layer.use_bias for layer in convolutions)
    assert [type(layer).__name__ for layer in tower.layers] == ["Identity", *["Conv2D", "ReLU"] * 4]


def test_convolutions_keep_their_biases_before_the_norm_where_told():
    """Detectron2's do; and the epsilon is that of the source."""
    head = Head(4, width=32, depth=1, norm="group", has_bias=True, norm_epsilon=1e-3)
    head.build({"P3": (None, None, None, 8)})
    conv, norm, relu = head.towers[0].layers[1:]
    assert conv.use_bias
    assert norm.epsilon == 1e-3
    assert isinstance(relu, keras.layers.ReLU)


def test_towers_end_every_convolution_in_a_relu():
    """One pixel of -2 and 3: a convolution that copies, then one that adds both."""
    head = Head(1, 1, width=2, depth=1)
    head.build({"P3": (None, None, None, 2)})
    copy, add = np.zeros((3, 3, 2, 2), np.float32), np.zeros((3, 3, 2, 1), np.float32)
    copy[1, 1] = np.eye(2)
    add[1, 1] = 1
    head.towers[0].get_layer("conv0").kernel.assign(copy)
    head.predictors[0].kernel.assign(add)
    np.testing.assert_array_equal(head({"P3": np.array([[[[-2, 3]]]], np.float32)}), [[[3]]])


@pytest.mark.parametrize(("settings", "said"), [({"norm": "layer"}, "'layer'"), ({"width": 48}, "received 48")])
def test_impossible_norms_are_named(settings, said):
    with pytest.raises(ValueError, match=said):
        Head(4, **{"norm": "group", **settings})


@pytest.mark.parametrize("num_anchors", [9, (3, 6, 6)])
def test_announced_shapes_are_the_real_ones(num_anchors):
    head = Head(5, num_anchors, width=8, depth=1, is_shared=False)
    maps = pyramid(4)
    announced = head.compute_output_spec({name: keras.KerasTensor(value.shape) for name, value in maps.items()})
    answer = head(maps)
    counts = (9, 9, 9) if num_anchors == 9 else num_anchors
    assert announced.shape == tuple(answer.shape) == (2, 35 * counts[0] + 12 * counts[1] + 4 * counts[2], 5)
    assert keras.backend.standardize_dtype(announced.dtype) == "float32"
    unknown = {name: keras.KerasTensor((None, 8, None if name == "P4" else 8, 4)) for name in maps}
    assert head.compute_output_spec(unknown).shape == (None, None, 5)


def test_prior_of_a_softmax_is_shared_by_the_classes():
    """Two anchors of three classes and background: π of all classes together, 1 - π of the background."""
    bias = np.array(PriorProbability(0.3, softmax_outputs=4)((8,))).reshape(2, 4)
    shares = np.exp(bias) / np.exp(bias).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, [[0.1, 0.1, 0.1, 0.7]] * 2, rtol=1e-6)
    head = Head(4, 2, width=32, depth=0, prior=0.3, has_background=True)
    nothing = {"P3": np.zeros((1, 1, 1, 32), np.float32)}
    np.testing.assert_allclose(ops.softmax(head(nothing)), [[[0.1, 0.1, 0.1, 0.7]] * 2], rtol=1e-6)
    assert Head.from_config(head.get_config()).has_background
