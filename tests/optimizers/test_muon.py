"""Muon for convolutions: one update against a singular value decomposition, and who learns by AdamW."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from keras_retinanet.optimizers.muon import ConvolutionMuon


def stepped(shape: tuple[int, ...], gradients: list[np.ndarray], rate: float = 0.1, **options: object) -> np.ndarray:
    """A kernel of zeros after steps with these gradients."""
    variable = keras.Variable(np.zeros(shape, np.float32), name="kernel")
    optimizer = ConvolutionMuon(rate, **options)
    for gradient in gradients:
        optimizer.apply([ops.convert_to_tensor(gradient)], [variable])
    return ops.convert_to_numpy(variable.value)


def orthogonal(matrix: np.ndarray) -> np.ndarray:
    u, _, v = np.linalg.svd(matrix, full_matrices=False)
    return u @ v


@pytest.mark.parametrize("shape", [(3, 3, 8, 16), (1, 1, 8, 40)])
def test_first_update_is_the_orthogonal_factor_at_the_size_of_an_adamw_step(shape: tuple[int, ...]) -> None:
    """Newton–Schulz' quintic brings singular values to 0.7…1.2, not to 1: direction and size are compared."""
    gradient = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    update = stepped(shape, [gradient], weight_decay=None).reshape(-1, shape[-1])
    longest = max(np.prod(shape[:-1]), shape[-1])
    expected = -0.1 * 0.2 * np.sqrt(longest) * orthogonal(gradient.reshape(-1, shape[-1]))
    cosine = (update * expected).sum() / np.linalg.norm(update) / np.linalg.norm(expected)
    assert cosine > 0.97
    assert np.linalg.norm(update) == pytest.approx(np.linalg.norm(expected), rel=0.2)
    singular = np.linalg.svd(update / (0.1 * 0.2 * np.sqrt(longest)), compute_uv=False)
    assert 0.6 < singular.min() <= singular.max() < 1.3


def test_update_does_not_depend_on_the_size_of_the_gradient() -> None:
    gradient = np.random.default_rng(2).standard_normal((3, 3, 8, 8)).astype(np.float32)
    large, small = (stepped((3, 3, 8, 8), [gradient * factor], weight_decay=None) for factor in (2.0**10, 2.0**-8))
    np.testing.assert_allclose(large, small, atol=1e-4)
    assert np.abs(small).max() > 0.01


@pytest.mark.parametrize(("nesterov", "expected"), [(True, 0.0), (False, 2.0)])
def test_momentum_looks_ahead(nesterov: bool, expected: float) -> None:
    """After g and -0.7 g the momentum is .0125 g, and what Nesterov makes of it -.035 g + .95 · .0125 g = -.023 g."""
    gradient = np.random.default_rng(3).standard_normal((3, 3, 8, 8)).astype(np.float32)
    once = stepped((3, 3, 8, 8), [gradient], weight_decay=None)
    twice = stepped((3, 3, 8, 8), [gradient, -0.7 * gradient], weight_decay=None, nesterov=nesterov)
    assert np.linalg.norm(twice - expected * once) < 0.05 * 2 * np.linalg.norm(once)


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("bias", (6,)),
        ("stem", (7, 7, 3, 8)),
        ("depthwise", (3, 3, 8, 1)),
        ("class_head/final/kernel", (3, 3, 8, 8)),
    ],
)
def test_the_rest_learns_by_adamw(path: str, shape: tuple[int, ...]) -> None:
    variable = keras.Variable(np.zeros(shape, np.float32), name=path.rsplit("/", 1)[-1])
    variable._path = path
    gradient = np.random.default_rng(4).choice([-2.0, -1.0, 1.0, 2.0], shape).astype(np.float32)
    optimizer = ConvolutionMuon(0.1, weight_decay=None, adam_weight_decay=None)
    optimizer.apply([ops.convert_to_tensor(gradient)], [variable])
    np.testing.assert_allclose(ops.convert_to_numpy(variable.value), -0.1 * np.sign(gradient), rtol=1e-3)


def test_a_path_that_only_resembles_the_last_convolution_is_no_exception() -> None:
    optimizer = ConvolutionMuon()
    kernel = keras.Variable(np.zeros((3, 3, 8, 8), np.float32), name="kernel")
    kernel._path = "finalist/conv/kernel"
    assert not optimizer._should_use_adamw(kernel)


def test_decay_pulls_both_kinds_and_spares_the_excluded() -> None:
    kernel, bias = (keras.Variable(np.ones(shape, np.float32)) for shape in [(3, 3, 8, 8), (8,)])
    optimizer = ConvolutionMuon(0.5, weight_decay=0.1, adam_weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_list=[bias])
    optimizer.apply([ops.zeros((3, 3, 8, 8)), ops.zeros((8,))], [kernel, bias])
    np.testing.assert_allclose(ops.convert_to_numpy(kernel.value), 1 - 0.5 * 0.1, rtol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(bias.value), 1.0)


def test_state_is_saved_with_the_model(tmp_path: Path) -> None:
    """A step after loading equals the step that would have followed."""
    images = np.random.default_rng(5).standard_normal((4, 5, 5, 8)).astype(np.float32)
    targets = np.random.default_rng(6).standard_normal((4, 5, 5, 8)).astype(np.float32)
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((5, 5, 8)), keras.layers.Conv2D(8, 3, padding="same")])
    model.compile(ConvolutionMuon(0.01, momentum=0.8, exclude_layers=["/other/"]), loss="mse")
    model.train_on_batch(images, targets)
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    assert type(restored.optimizer) is ConvolutionMuon
    assert restored.optimizer.get_config() == model.optimizer.get_config()
    for one in (model, restored):
        one.train_on_batch(images, targets)
    for a, b in zip(model.get_weights(), restored.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert restored.optimizer.momentum == 0.8
