from __future__ import annotations

import keras
import numpy as np
import pytest
from keras.applications import densenet, mobilenet, vgg16

from keras_retinanet.backbones import normalize
from keras_retinanet.backbones.normalize import CAFFE, EFFICIENTNET, TF, TORCH, Normalize, normalized_input, pad_value


def test_worked_numbers() -> None:
    layer = Normalize((10, 20, 30), (2, 4, 5))
    np.testing.assert_array_equal(layer(np.array([[12.0, 12.0, 0.0]], "float32")), [[1, -2, -6]])


def test_blue_first() -> None:
    layer = Normalize((10, 20, 30), (2, 4, 5), is_bgr=True)
    np.testing.assert_array_equal(layer(np.array([[12.0, 12.0, 0.0]], "float32")), [[-6, -2, 1]])


@pytest.mark.parametrize(("statistics", "module"), [(CAFFE, vgg16), (TF, mobilenet), (TORCH, densenet)])
def test_equals_preprocess_input(statistics: normalize.PixelStatistics, module: object) -> None:
    images = np.random.default_rng(0).uniform(0, 255, (2, 5, 7, 3)).astype("float32")
    expected = module.preprocess_input(images.copy())  # type: ignore[attr-defined]
    np.testing.assert_allclose(Normalize(*statistics)(images), expected, rtol=1e-6, atol=2e-6)


def test_efficientnet_divides_by_the_deviation_one_and_a_half_times() -> None:
    images = np.random.default_rng(0).uniform(0, 255, (2, 5, 7, 3)).astype("float32")
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = (images / 255 - mean) / std / np.sqrt(std)
    np.testing.assert_allclose(Normalize(*EFFICIENTNET)(images), expected, rtol=1e-5, atol=1e-5)


def test_the_larger_efficientnet_v2_divides_by_128() -> None:
    images = np.random.default_rng(0).uniform(0, 255, (2, 5, 7, 3)).astype("float32")
    np.testing.assert_allclose(Normalize(*normalize.EFFICIENTNET_V2)(images), images / 128 - 1, atol=1e-6)


@pytest.mark.parametrize("name", ["CAFFE", "TF", "TORCH", "EFFICIENTNET", "EFFICIENTNET_V2", "EFFICIENTNET_LITE"])
def test_padding_becomes_exactly_zero(name: str) -> None:
    images, normalized = normalized_input(getattr(normalize, name))
    backbone = keras.Model(images, normalized)
    padding = np.broadcast_to(np.asarray(pad_value(backbone), "float32"), (1, 3, 2, 3))
    assert np.all(np.asarray(backbone(padding)) == 0)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_is_float32_under_mixed_precision(policy: str) -> None:
    keras.config.set_dtype_policy(policy)
    try:
        images, normalized = normalized_input(TF)
        model = keras.Model(images, normalized)
        answer = model(np.full((1, 1, 1, 3), 201.3, "float32"))
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(answer.dtype) == "float32"
    np.testing.assert_allclose(answer, np.float32((201.3 - 127.5) / 127.5), rtol=1e-6)


def test_takes_uint8() -> None:
    np.testing.assert_allclose(Normalize(*TF)(np.array([[255, 0, 255]], "uint8")), [[1, -1, 1]])


def test_serialises_with_every_argument() -> None:
    layer = Normalize((1, 2, 3), (4, 5, 6), is_bgr=True, name="normalize")
    config = keras.saving.serialize_keras_object(layer)
    assert config["registered_name"] == "keras_retinanet>Normalize"
    copy = keras.saving.deserialize_keras_object(config)
    assert (copy.mean, copy.std, copy.is_bgr, copy.name) == ((1, 2, 3), (4, 5, 6), True, "normalize")


@pytest.mark.parametrize(("mean", "std"), [((1, 2), (1, 1, 1)), ((1, 2, 3), (1, 1)), ((1, 2, 3), (1, 0, 1))])
def test_refuses_what_is_no_colour(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="three numbers"):
        Normalize(mean, std)
