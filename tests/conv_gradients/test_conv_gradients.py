"""Gradients by matrix products are those of TensorFlow's kernels, and layers use them where they are faster."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from keras_retinanet import conv_gradients, winograd
from keras_retinanet.backbones import freeze_batch_norm
from keras_retinanet.backbones.normalization import BatchNormalization
from keras_retinanet.conv_gradients import convolve, direct_convolutions, products, source_of, use_products
from keras_retinanet.conv_gradients.products import SAME, feature_gradient, kernel_gradient, most_pixels
from keras_retinanet.winograd import use_winograd

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="on the TensorFlow backend only")


@pytest.fixture(autouse=True)
def paying(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor on which products pay in both dtypes."""
    monkeypatch.setattr(products, "product_dtypes", lambda: frozenset({"float32", "bfloat16"}))


def random(*shape: int, seed: int = 0) -> Any:
    return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)


def operations(run: Any) -> set[str]:
    """Types of the operations of a function without arguments."""
    graph = tf.function(run, autograph=False).get_concrete_function().graph
    return {operation.type for operation in graph.get_operations()}


def test_the_gradient_of_a_kernel_counts_the_pixels_under_each_tap() -> None:
    """Maps and upstream of ones, 4 x 5: a tap of the first row sees 3 of 4 rows, of the first column 4 of 5 columns."""
    found = kernel_gradient(tf.ones((1, 4, 5, 1)), tf.TensorShape((3, 3, 1, 1)), tf.ones((1, 4, 5, 1)))
    np.testing.assert_array_equal(found[..., 0, 0], [[12, 15, 12], [16, 20, 16], [12, 15, 12]])


def test_a_tap_pairs_an_output_with_the_input_beside_it() -> None:
    """Of the input at (1, 2) and the output at (0, 1) the tap is one row below and one column right of the middle."""
    features, upstream = np.zeros((1, 3, 4, 2), np.float32), np.zeros((1, 3, 4, 3), np.float32)
    features[0, 1, 2, 1], upstream[0, 0, 1, 2] = 5, 7
    found = kernel_gradient(tf.constant(features), tf.TensorShape((3, 3, 2, 3)), tf.constant(upstream)).numpy()
    assert found[2, 2, 1, 2] == 35
    assert np.count_nonzero(found) == 1


@pytest.mark.parametrize("shape", [(4, 7, 5), (1, 1, 1), (3, 2, 9)])
@pytest.mark.parametrize(("size", "padding"), [(1, "VALID"), (1, "SAME"), (3, "SAME")])
def test_values_are_those_of_the_kernels_of_tensorflow(
    shape: tuple[int, ...], size: int, padding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two images of 7 x 5 or of 2 x 9 pixels at a time: the last part of three images is not full."""
    monkeypatch.setattr(products, "MAX_ELEMENTS", 2 * 35 * 3 * (4 + 6) if shape[1] == 7 else 2 * 18 * 3 * (4 + 6))
    features, kernel, upstream = random(*shape, 4), random(size, size, 4, 6, seed=1), random(*shape, 6, seed=2)
    settings = {**SAME, "padding": padding}
    wanted = (
        tf.raw_ops.Conv2DBackpropInput(
            input_sizes=features.shape, filter=kernel, out_backprop=upstream, **settings
        ),
        tf.raw_ops.Conv2DBackpropFilter(
            input=features, filter_sizes=kernel.shape, out_backprop=upstream, **settings
        ),
    )  # fmt: skip
    found = (
        feature_gradient(features, kernel, upstream, settings),
        kernel_gradient(features, kernel.shape, upstream, settings),
    )
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "size", "dtype"),
    [
        ({"strides": [1, 2, 2, 1]}, 1, "float32"), ({"dilations": [1, 2, 2, 1]}, 3, "float32"),
        ({"padding": "VALID"}, 3, "float32"), ({}, 5, "float32"), ({}, 5, "bfloat16"), ({}, 3, "bfloat16"),
    ],
)  # fmt: skip
def test_other_convolutions_keep_their_kernels(changes: dict[str, Any], size: int, dtype: str) -> None:
    """The map of 72 pixels is large for 2 and 3 channels."""
    features, kernel = tf.cast(random(1, 8, 9, 2), dtype), tf.cast(random(size, size, 2, 3), dtype)
    settings = {**SAME, **changes}

    def gradients() -> Any:
        with tf.GradientTape() as tape:
            tape.watch((features, kernel))
            outputs = convolve(features, kernel, settings)
        return tape.gradient(outputs, (features, kernel))

    assert {"Conv2DBackpropInput", "Conv2DBackpropFilter"} <= operations(gradients)


def test_in_bfloat16_the_gradient_of_a_1x1_kernel_is_a_product() -> None:
    """Its values are exact where all sums are: small whole numbers. The gradient of the inputs has its kernel."""
    numbers = np.random.default_rng(0).integers(-3, 4, 2 * 3 * 5 * 4 + 2 * 3 * 5 * 6)
    features = tf.constant(numbers[:120].reshape(2, 3, 5, 4), tf.bfloat16)
    upstream = tf.constant(numbers[120:].reshape(2, 3, 5, 6), tf.bfloat16)
    found = kernel_gradient(features, tf.TensorShape((1, 1, 4, 6)), upstream)
    wanted = np.einsum("bhwc,bhwk->ck", numbers[:120].reshape(2, 3, 5, 4), numbers[120:].reshape(2, 3, 5, 6))
    assert found.dtype == "bfloat16"
    assert np.abs(wanted).max() > 20
    np.testing.assert_array_equal(tf.cast(found[0, 0], tf.float32), wanted)
    kernel = tf.zeros((1, 1, 4, 6), tf.bfloat16)
    assert operations(lambda: kernel_gradient(features, kernel.shape, upstream)) >= {"MatMul"}
    assert "Conv2DBackpropInput" in operations(lambda: feature_gradient(features, kernel, upstream))


def whole_numbers(*shape: int, seed: int) -> Any:
    """Small whole numbers, whose sums of products are exact in bfloat16's float32 sums."""
    return np.random.default_rng(seed).integers(-2, 3, shape).astype(np.float32)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (1, 2)])
@pytest.mark.parametrize("size", [1, 3])
def test_in_bfloat16_gradients_of_kernels_are_those_of_tensorflow(
    size: int, strides: tuple[int, int], padding: str
) -> None:
    """Maps of 6 x 7 pixels: a stride of 2 and `SAME` have zeros on one side only along y. Or unknown sides."""
    settings = {"strides": [1, *strides, 1], "padding": padding}
    maps, kernel = tf.constant(whole_numbers(2, 6, 7, 24, seed=0)), tf.zeros((size, size, 24, 24))
    upstream = tf.constant(whole_numbers(*tf.nn.conv2d(maps, kernel, **settings).shape, seed=1))
    wanted = tf.raw_ops.Conv2DBackpropFilter(
        input=maps, filter_sizes=kernel.shape, out_backprop=upstream, **settings
    )  # fmt: skip
    halves = [tf.cast(maps, "bfloat16"), tf.cast(upstream, "bfloat16")]
    assert tf.reduce_max(abs(wanted)) > 20
    assert tf.reduce_max(abs(wanted)) <= 256  # whole numbers of bfloat16

    def gradient(features: Any, outputs: Any) -> Any:
        return kernel_gradient(features, kernel.shape, outputs, settings)

    unknown = tf.function(gradient, input_signature=[tf.TensorSpec((None, None, None, 24), "bfloat16")] * 2)
    assert "Conv2DBackpropFilter" not in operations(lambda: gradient(*halves))
    for found in (gradient(*halves), unknown(*halves)):
        assert found.dtype == "bfloat16"
        np.testing.assert_array_equal(tf.cast(found, "float32"), wanted)


def test_small_maps_have_few_pixels_for_their_channels() -> None:
    """Worked by hand: 4 · 256; 4 · 4 · √(2048 · 256) of 2,048 channels are 11,585, 16 Mi / (9 · 2048) are less."""
    with_stride = {**SAME, "strides": [1, 2, 2, 1]}
    assert most_pixels((3, 3, 256, 256)) == 1024
    assert most_pixels((3, 3, 64, 256)) == 512
    assert most_pixels((3, 3, 256, 256), with_stride) == 4096
    assert most_pixels((3, 3, 2048, 256), with_stride) == 910


@pytest.mark.parametrize("sides", [8, None], ids=["known", "unknown"])
@pytest.mark.parametrize(("channels", "is_product"), [(16, True), (15, False)])
def test_in_bfloat16_large_maps_keep_their_kernels(
    sides: int | None, channels: int, is_product: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 pixels are small for 16 channels, not for 15; also where sides are known only when the step runs."""
    zeros = tf.zeros((64, 9 * channels), tf.bfloat16)
    monkeypatch.setattr(products, "_patches", lambda *arguments: zeros)
    maps, shape = tf.ones((1, 8, 8, channels), tf.bfloat16), tf.TensorShape((3, 3, channels, channels))
    signature = [tf.TensorSpec((1, sides, sides, channels), tf.bfloat16)]
    found = tf.function(lambda maps: kernel_gradient(maps, shape, maps), input_signature=signature)(maps)
    assert float(found[1, 1, 0, 0]) == (0 if is_product else 64)


def test_in_bfloat16_other_processors_keep_their_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "product_dtypes", lambda: frozenset({"float32"}))
    features, upstream = (tf.zeros((1, 3, 5, sides), tf.bfloat16) for sides in (4, 6))
    found = operations(lambda: kernel_gradient(features, tf.TensorShape((1, 1, 4, 6)), upstream))
    assert "Conv2DBackpropFilter" in found


def network() -> keras.Model:
    """A 1x1 and two 3x3 convolutions, the second with frozen batch normalisation, and one with a stride."""
    images = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 1, name="narrow")(images)
    x = layers.Conv2D(5, 3, padding="same", use_bias=False, name="folded")(x)
    x = BatchNormalization(name="norm")(x)
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="plain")(x)
    model = keras.Model(images, layers.Conv2D(2, 3, strides=2, name="stride")(x))
    norm = model.get_layer("norm")
    norm.set_weights([random(5, seed=k).numpy() ** 2 + 0.5 for k in range(4)])
    freeze_batch_norm(model)
    return model


def step(model: keras.Model) -> Any:
    images = random(2, 9, 10, 3, seed=9)

    def run() -> Any:
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
            loss = tf.reduce_sum(outputs**2)
        return outputs, tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    return run


def test_a_step_of_a_network_has_the_same_gradients() -> None:
    keras.utils.set_random_seed(3)
    model = network()
    outputs, wanted = tf.function(step(model), autograph=False)()
    assert use_products(model) == use_products(model) == 4
    ours, found = tf.function(step(model), autograph=False)()
    np.testing.assert_array_equal(ours, outputs)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * float(abs(other).numpy().max()))
    graph = tf.function(step(model), autograph=False).get_concrete_function().graph
    kernels = [operation for operation in graph.get_operations() if operation.type == "Conv2DBackpropFilter"]
    assert len(kernels) == 1, "of the convolution with a stride"
    assert len(graph.get_collection(conv_gradients._SOURCES)) == 3
    assert "FusedBatchNormV3" not in {operation.type for operation in graph.get_operations()}


def test_winograd_is_put_above_products_and_taken_off_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "LEAST_CHANNELS", 1)
    model = network()
    use_products(model)
    layer = model.get_layer("plain")
    former = layer.convolution_op
    assert use_winograd(model) == 2
    assert use_products(model) == 4
    assert isinstance(layer.convolution_op, winograd._Operation)
    assert layer.convolution_op.direct == former
    use_winograd(model, "off")
    assert layer.convolution_op == former


def test_sides_need_not_be_known_when_a_step_is_traced() -> None:
    kernel = random(3, 3, 4, 6, seed=1)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec((None, None, None, n)) for n in (4, 6)])
    def gradients(features: Any, upstream: Any) -> Any:
        return feature_gradient(features, kernel, upstream), kernel_gradient(features, kernel.shape, upstream)

    features, upstream = random(3, 5, 8, 4), random(3, 5, 8, 6, seed=2)
    expected = kernel_gradient(features, kernel.shape, upstream)
    np.testing.assert_allclose(gradients(features, upstream)[1], expected, rtol=1e-5, atol=1e-5)


def test_an_artefact_gets_the_layers_own_operation() -> None:
    model = network()
    use_products(model)

    def run() -> Any:
        return model(random(1, 8, 8, 3))

    assert "IdentityN" in operations(run)
    with direct_convolutions():
        assert "IdentityN" not in operations(run)


def test_where_products_do_not_pay_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "product_dtypes", frozenset)
    model = network()
    assert use_products(model) == 0
    assert "convolution_op" not in vars(model.get_layer("plain"))


def test_source_of_knows_only_what_was_kept() -> None:
    assert source_of(random(1, 2, 2, 1)) is None
    with tf.Graph().as_default():
        assert source_of(tf.zeros(3)) is None
