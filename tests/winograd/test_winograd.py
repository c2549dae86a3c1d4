"""Winograd's convolution equals the direct one, forward and backward, and is left out where it does not pay."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_retinanet import conv_gradients, winograd
from keras_retinanet.backbones import freeze_batch_norm
from keras_retinanet.backbones.normalization import BatchNormalization
from keras_retinanet.winograd import convolution, convolve, tiles, use_winograd
from keras_retinanet.winograd.tiles import transform_kernel

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="on the TensorFlow backend only")
WIDE = winograd.LEAST_CHANNELS


@pytest.fixture(autouse=True)
def direct_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """The direct convolutions have TensorFlow's gradients, whatever the processor."""
    monkeypatch.setattr(conv_gradients.products, "product_dtypes", frozenset)


def random(*shape: int, seed: int = 0) -> Any:
    return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)


def exact(matrix: np.ndarray) -> list[list[Fraction]]:
    return [[Fraction(float(value)) for value in row] for row in matrix]


def test_the_matrices_are_exact() -> None:
    """`Aᵀ [(G g) ∘ (Bᵀ d)]` is linear in g and d: it is the correlation if it is that of every two unit vectors."""
    inputs, kernel, outputs = exact(tiles.INPUT), exact(tiles.KERNEL), exact(tiles.OUTPUT)
    for y in range(4):
        for tap in range(3):
            for x in range(6):
                products = [outputs[y][n] * kernel[n][tap] / 60 * inputs[n][x] for n in range(6)]
                assert sum(products) == (x == y + tap)


def test_ones_count_the_pixels_under_the_kernel() -> None:
    found = convolve(tf.ones((4, 15, 14, 1)), tf.ones((3, 3, 1, 1)))[..., 0].numpy()
    expected = np.full((4, 15, 14), 9.0)
    expected[:, [0, -1]] = expected[:, :, [0, -1]] = 6
    expected[:, ::14, ::13] = 4
    np.testing.assert_allclose(found, expected, atol=1e-5)


def both_ways(run: Callable[..., Any], features: Any, kernel: Any, upstream: Any) -> list[np.ndarray]:
    """Result, and gradients with respect to features and kernel."""
    with tf.GradientTape() as tape:
        tape.watch((features, kernel))
        found = run(features, kernel)
    return [found.numpy(), *(value.numpy() for value in tape.gradient(found, (features, kernel), upstream))]


@pytest.mark.parametrize("shape", [(1, 29, 30), (3, 13, 18), (2, 16, 28)])
@pytest.mark.parametrize("is_traced", [False, True])
def test_values_and_gradients_are_those_of_keras(
    shape: tuple[int, int, int], is_traced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In two parts, the last of which is not full; traced with unknown sides, of which some maps are too small."""
    monkeypatch.setattr(tiles, "TILES_AT_ONCE", 37)
    features, kernel, upstream = random(*shape, 5), random(3, 3, 5, 7, seed=1) / 7, random(*shape, 7, seed=2)
    run: Any = convolve
    if is_traced:
        unknown = [tf.TensorSpec((None, None, None, 5)), tf.TensorSpec((3, 3, 5, 7))]
        run = tf.function(convolve, input_signature=unknown, autograph=False)
    direct = both_ways(lambda x, k: ops.conv(x, k, padding="same"), features, kernel, upstream)
    for ours, theirs in zip(both_ways(run, features, kernel, upstream), direct, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=5e-5 * theirs.std(), rtol=0)


def test_a_small_map_has_the_bits_of_the_direct_convolution() -> None:
    features, kernel, upstream = random(1, 20, 36, 3), random(3, 3, 3, 2, seed=1), random(1, 20, 36, 2, seed=2)
    assert convolution.LEAST_TILES > 5 * 9
    direct = both_ways(lambda x, k: ops.conv(x, k, padding="same"), features, kernel, upstream)
    for ours, theirs in zip(both_ways(convolve, features, kernel, upstream), direct, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def names_before(op: Any) -> set[str]:
    """Names of all operations that an operation waits for."""
    direct = {source.op for source in op.inputs} | set(op.control_inputs)
    return {before.name for before in direct}.union(*map(names_before, direct))


def test_nothing_of_the_backward_pass_is_prepared_in_the_forward_pass() -> None:
    """A map padded for the gradient of the kernel would be kept from its convolution to the end of the step."""
    kernel = tf.Variable(random(3, 3, 2, 3))

    @tf.function(autograph=False)
    def gradients(features: Any, upstream: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(features)
            outputs = convolve(features, kernel)
        return tape.gradient(outputs, (features, kernel), upstream)

    def operations(height: int) -> list[Any]:
        shapes = [tf.TensorSpec((1, height, 28, channels)) for channels in (2, 3)]
        return list(gradients.get_concrete_function(*shapes).graph.get_operations())

    forward, *backward = [op for op in operations(28) if op.type == "PartitionedCall"]  # padded within
    assert "upstream" not in names_before(forward)
    assert ["upstream" in names_before(op) for op in backward] == [True, True]
    assert [len(op.outputs) for op in (forward, *backward)] == [1, 1, 1], "nothing is kept for a gradient of their own"
    assert "MatMul" not in {op.type for op in operations(24)}, "6 x 7 tiles do not pay: no kernel is transformed"


def test_a_changed_variable_is_transformed_again_in_the_same_graph() -> None:
    features, kernel = random(1, 28, 28, 2), tf.Variable(random(3, 3, 2, 2))
    transformed = []

    @tf.function(autograph=False)
    def run() -> Any:
        found = [convolve(features, kernel) for _ in range(2)]
        transformed.append(len(tf.compat.v1.get_default_graph().get_collection(convolution._KERNELS)))
        kernel.assign(kernel * 2)
        return *found, convolve(features, kernel)

    first, second, doubled = run()
    assert transformed == [1]
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(doubled, 2 * first, rtol=1e-5, atol=1e-5)


def test_the_gradient_reaches_the_variable_through_all_calls() -> None:
    features, kernel = random(1, 28, 28, 2), tf.Variable(random(3, 3, 2, 2))

    @tf.function(autograph=False)
    def gradient(run: Callable[..., Any]) -> Any:
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(run(run(features, kernel), kernel) ** 2)
        return tape.gradient(value, kernel)

    expected = gradient(lambda x, k: tf.nn.conv2d(x, k, 1, "SAME"))
    np.testing.assert_allclose(gradient(convolve), expected, rtol=1e-4, atol=1e-4 * float(abs(expected).numpy().max()))


def plain(width: int = WIDE, **settings: Any) -> keras.Model:
    """A convolution between two of one channel."""
    images = keras.Input((None, None, 1))
    x = layers.Conv2D(width, 1, name="before")(images)
    x = layers.Conv2D(width, **{"kernel_size": 3, "padding": "same", "name": "middle"} | settings)(x)
    return keras.Model(images, layers.Conv2D(1, 3, padding="same", name="after")(x))


@pytest.mark.parametrize(
    "settings",
    [
        {"width": WIDE - 1},
        {"strides": 2},
        {"dilation_rate": 2},
        {"groups": 2},
        {"padding": "valid"},
        {"kernel_size": 5},
        {"dtype": "mixed_bfloat16"},
    ],
    ids=str,
)
def test_other_convolutions_keep_their_operation(settings: dict[str, Any]) -> None:
    model = plain(**settings)
    images = random(1, 28, 32, 1)
    expected = model(images)
    use_winograd(model)
    np.testing.assert_array_equal(model(images), expected)


def test_off_gives_the_operation_back_and_nothing_is_saved(tmp_path: Path) -> None:
    model, images = plain(), random(1, 28, 32, 1)
    config, direct = model.get_config(), model(images).numpy()
    assert use_winograd(model) == 1
    assert use_winograd(model) == 1, "again"
    fast = model(images).numpy()
    assert not np.array_equal(fast, direct)
    np.testing.assert_allclose(fast, direct, atol=1e-5)
    assert model.get_config() == config
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(images), direct)
    assert use_winograd(model, "off") == 0
    np.testing.assert_array_equal(model(images), direct)


def test_an_export_of_a_model_in_memory_has_direct_convolutions() -> None:
    model, images = plain(), random(1, 28, 32, 1)
    direct = model(images).numpy()
    use_winograd(model)
    with conv_gradients.direct_convolutions():
        np.testing.assert_array_equal(model(images), direct)
    assert not np.array_equal(model(images), direct)


def test_layers_that_use_it_within_a_block_only_answer_as_before_outside() -> None:
    model, images = plain(), random(1, 28, 32, 1)
    direct = model(images).numpy()
    assert use_winograd(model, is_default=False) == 1
    np.testing.assert_array_equal(model(images), direct)
    with winograd.winograd_convolutions():
        fast = model(images).numpy()
        with conv_gradients.direct_convolutions():
            np.testing.assert_array_equal(model(images), direct)
    assert not np.array_equal(fast, direct)
    use_winograd(model)
    use_winograd(model, is_default=False)
    np.testing.assert_array_equal(model(images), fast, "a layer that always uses it keeps it")


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValueError, match='"off" or "auto", not \'on\''):
        use_winograd(plain(), "on")  # type: ignore[arg-type]


def test_frozen_batch_norm_is_folded_into_it() -> None:
    """The step has no convolution before the normalisation, and the same gradients."""
    inputs = keras.Input((None, None, 2))
    found = layers.Conv2D(3, 3, padding="same", use_bias=False)(inputs)
    model = keras.Model(inputs, BatchNormalization()(found))
    norm = model.layers[-1]
    for index, variable in enumerate(norm.weights):
        variable.assign(np.float32([0.5, 1, 2]) + index)
    freeze_batch_norm(model)
    images, kernel = random(1, 28, 32, 2), model.trainable_variables[0]

    @tf.function(autograph=False)
    def step() -> Any:
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
        return outputs, tape.gradient(outputs, kernel.value, random(1, 28, 32, 3, seed=3))

    direct = step()
    least, winograd.LEAST_CHANNELS = winograd.LEAST_CHANNELS, 2
    try:
        assert use_winograd(model) == 1
    finally:
        winograd.LEAST_CHANNELS = least
    step = tf.function(step.python_function, autograph=False)
    sources = step.get_concrete_function().graph.get_collection(conv_gradients._SOURCES)
    assert len(sources) == 2, "of the layer, which nothing reads, and of the folded one"
    assert not sources[0][0].consumers()
    for ours, theirs in zip(step(), direct, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * float(abs(theirs).numpy().max()))


def test_a_kernel_is_transformed_by_g_from_both_sides() -> None:
    """Row 1 of G is (1, 1, 1) / 6 and row 5 (0, 0, 1/2): their products with ones are 1/4 and 1/2 · 1/2 …"""
    found = transform_kernel(tf.ones((3, 3, 1, 1))).numpy().reshape(6, 6)
    rows = np.array([1 / 2, 1 / 2, 1 / 6, 28 / 15, 1 / 10, 1 / 2])
    np.testing.assert_allclose(found, np.outer(rows, rows), rtol=1e-6)


def test_training_in_pieces_has_the_bits_of_training_at_once(tmp_path: Path) -> None:
    images, targets = random(2, 28, 28, 1), random(2, 28, 28, 1, seed=1)
    keras.utils.set_random_seed(0)
    model = plain()
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse", jit_compile=False)
    use_winograd(model)
    model.train_on_batch(images, targets)
    model.save(tmp_path / "first.keras")
    second = keras.models.load_model(tmp_path / "first.keras")
    use_winograd(second)
    for each in (model, second):
        each.train_on_batch(images, targets)
    for ours, theirs in zip(second.variables, model.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert np.isfinite(ops.convert_to_numpy(model.trainable_variables[0])).all()


@pytest.mark.slow
def test_a_whole_network_stays_within_the_tolerance_of_exports() -> None:
    from keras_retinanet import build
    from keras_retinanet.config import ModelConfig

    keras.utils.set_random_seed(0)
    model = build(ModelConfig(backbone="resnet50", weights="none"), class_names=["a", "b"])
    images = np.random.default_rng(0).uniform(0, 255, (1, 416, 544, 3)).astype("float32")
    direct = model.predict_on_batch(images)
    assert use_winograd(model) > 15
    model.predict_function = None
    for name, value in model.predict_on_batch(images).items():
        np.testing.assert_allclose(value, direct[name], atol=1e-4 * max(1, float(np.abs(direct[name]).max())))
